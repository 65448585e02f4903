//! How a command ends when it does not succeed.

use std::io;

use crate::{
    api::client::ClientError,
    daemon::{Error, NoConfiguration, RunError, SocketError},
    policy::Diagnostics,
};

/// Exit codes, as the long help lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Failure = 1,
    Usage = 2,
    NotRunning = 3,
    NotPermitted = 4,
    /// EX_CONFIG of sysexits.h.
    Configuration = 78,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as Self
    }
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    Told {
        exit: Exit,
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// Diagnostics of the configuration, shown before the message.
        report: Option<String>,
    },
    /// The reader of stdout went away: no failure of ours.
    PipeClosed,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>, hint: Option<String>) -> Self {
        Self::Told { exit, message: message.into(), hint, report: None }
    }

    pub(super) fn configuration(diagnostics: &Diagnostics) -> Self {
        Self::Told {
            exit: Exit::Configuration,
            message: "the configuration has errors".to_owned(),
            hint: None,
            report: Some(diagnostics.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    /// Of writing to stdout.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::new(Exit::Failure, format!("cannot write the output: {error}"), None),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Exit::Failure, format!("cannot write JSON: {error}"), None)
    }
}

impl From<NoConfiguration> for Failure {
    fn from(error: NoConfiguration) -> Self {
        let hint = "name the directory with sipguard.toml in it".to_owned();
        Self::new(Exit::Configuration, error.to_string(), Some(hint))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::NotRunning(_) => {
                let hint =
                    "start it by `sipguard run --iface NAME`, or name its socket by --socket";
                Self::new(Exit::NotRunning, message, Some(hint.to_owned()))
            }
            ClientError::NotPermitted(_) => {
                let hint = "run as root or as a member of the group sipguard";
                Self::new(Exit::NotPermitted, message, Some(hint.to_owned()))
            }
            ClientError::Failed { forbidden, failure } => {
                let exit = match (forbidden, &failure.report) {
                    (true, _) => Exit::NotPermitted,
                    (false, Some(_)) => Exit::Configuration,
                    (false, None) => Exit::Failure,
                };
                Self::Told { exit, message, hint: failure.hint, report: failure.report }
            }
            ClientError::Io { .. }
            | ClientError::NoAnswer
            | ClientError::Http(_)
            | ClientError::Request(_)
            | ClientError::Json(_) => Self::new(Exit::Failure, message, None),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let message = error.to_string();
        match error {
            RunError::Policy(Error::Configuration(diagnostics)) => {
                Self::configuration(&diagnostics)
            }
            RunError::NoInterface => {
                let hint = "name one by --iface, or in sipguard.toml under [interfaces] names";
                Self::new(Exit::Usage, message, Some(hint.to_owned()))
            }
            RunError::Kernel(error) => {
                let not_permitted = error.is_permission();
                let exit = if not_permitted { Exit::NotPermitted } else { Exit::Failure };
                Self::new(exit, message, None)
            }
            RunError::Socket(error) => {
                let exit = match &error {
                    SocketError::Io { source, .. }
                        if source.kind() == io::ErrorKind::PermissionDenied =>
                    {
                        Exit::NotPermitted
                    }
                    _ => Exit::Failure,
                };
                Self::new(exit, message, Some(error.hint().to_owned()))
            }
            RunError::Policy(_) | RunError::Io(_) => Self::new(Exit::Failure, message, None),
        }
    }
}
