//! `sipguard run`

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    path::PathBuf,
};

use clap::ValueEnum;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::exit::Failure;
use crate::{
    daemon::{self, Options, config_dir},
    kernel::{LOG_TARGET, LogLevel},
    policy,
};

/// Protect interfaces until stopped
///
/// Policy is loaded before the first interface is attached, and one line on
/// stdout says when the protection is on. SIGHUP reloads, SIGTERM and SIGINT
/// end it; the filter stays or leaves as the fail mode says.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An interface to protect; may be given several times [default: those of
    /// sipguard.toml]
    #[arg(long = "iface", value_name = "NAME")]
    interfaces: Vec<String>,
    /// The configuration directory [default: /etc/sipguard if it exists, else
    /// ./config]
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// How to attach: in the driver (native), in the network stack (generic),
    /// or the first that works [default: as sipguard.toml says]
    #[arg(long)]
    mode: Option<Mode>,
    /// The state directory: what survives a restart [default: as sipguard.toml
    /// says]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// What becomes of the filter when sipguard is gone: it stays (keep) or
    /// leaves (open) [default: as sipguard.toml says]
    #[arg(long, value_name = "MODE")]
    fail_mode: Option<FailMode>,
    /// Where the web listener is: an address with a port, or off [default: as
    /// sipguard.toml says]
    #[arg(long, value_name = "ADDR|off", value_parser = web)]
    web: Option<Web>,
    /// What to log to stderr: error, warn, info, debug, trace, or per part of
    /// the program, such as info,sipguard::audit=off; sipguard_ebpf=debug has
    /// the kernel program log, too
    #[arg(long, env = "RUST_LOG", value_name = "LEVEL", default_value = "info")]
    log: Targets,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailMode {
    Keep,
    Open,
}

impl From<FailMode> for policy::FailMode {
    fn from(mode: FailMode) -> Self {
        match mode {
            FailMode::Keep => Self::Keep,
            FailMode::Open => Self::Open,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Auto,
    Native,
    Generic,
}

impl From<Mode> for policy::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}

/// `None` is off.
#[derive(Clone, Copy, Debug)]
struct Web(Option<SocketAddr>);

fn web(text: &str) -> Result<Web, String> {
    match text {
        "off" => Ok(Web(None)),
        _ => text.parse().map(|address| Web(Some(address))).map_err(|_| {
            "it is neither an address with a port, such as 127.0.0.1:9061, nor off".to_owned()
        }),
    }
}

pub(super) fn run(args: Args, socket: Option<PathBuf>, pins: PathBuf) -> Result<(), Failure> {
    let Args { interfaces, config, mode, state, fail_mode, web, log } = args;
    let options = Options {
        config: config_dir(config.as_deref())?,
        interfaces,
        mode: mode.map(policy::Mode::from),
        socket,
        state,
        fail_mode: fail_mode.map(policy::FailMode::from),
        pins,
        web: web.map(|Web(address)| address),
        kernel_log: match log.would_enable(LOG_TARGET, &Level::DEBUG) {
            true => LogLevel::Debug,
            false => LogLevel::Off,
        },
    };
    let words = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // URLs of feeds hold keys.
    let log = log.with_target("ureq", LevelFilter::OFF).with_target("ureq_proto", LevelFilter::OFF);
    tracing_subscriber::registry().with(words).with(log).init();
    Ok(daemon::run(&options)?)
}
