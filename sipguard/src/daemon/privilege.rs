//! What the daemon may do once it runs. It needs more at its start than later:
//! root makes directories, gives the socket its group, and asks for the names of
//! other people's programs. Then it keeps what loading, attaching and reading
//! maps take, also for interfaces that come back, and nothing else. There is no
//! way back: no program that it runs gains anything either.
//!
//! Capabilities belong to a thread, and a thread takes over those of the one
//! that has started it. So [`confine`] comes before the first other thread, and
//! what is put off until the end of the start ([`UNTIL_ATTACHED`]) is left by
//! every other thread at once ([`of_worker`]).

use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use caps::{CapSet, Capability};
use nix::{
    errno::Errno,
    sys::{
        prctl::{set_dumpable, set_no_new_privs},
        resource::{Resource, setrlimit},
    },
    unistd::{AccessFlags, Uid, access},
};
use tracing::{info, warn};

use super::{TOKEN_FILE, writes};
use crate::{
    history,
    policy::{self, ActionKind, Plan},
    rights::{self, KEPT, of_worker},
    sanitise::sanitise,
};

/// Without it, whoever stands in the way at an interface has no name.
const UNTIL_ATTACHED: Capability = Capability::CAP_SYS_ADMIN;

/// Characters of a path and what is wrong with it.
const MAX_TROUBLE: usize = 2000;

/// As of the state directory that the package makes.
const DIRECTORY_MODE: u32 = 0o750;

/// Where the daemon goes on writing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    pub(super) config: &'a Path,
    pub(super) state: &'a Path,
    pub(super) socket: &'a Path,
    /// Where what outlives it is pinned.
    pub(super) pins: &'a Path,
}

/// Gives away what is not needed any more, in this thread and in all that it
/// will start. What cannot be given away makes a warning: protection goes on.
pub(super) fn confine(places: Places<'_>, plan: &Plan) {
    // Who may not will hear why from the history.
    let _ = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(places.state);
    let mut failures = Vec::new();
    let mut note = |what: &str, error: &dyn std::fmt::Display| {
        failures.push(format!("{what}: {error}"));
    };
    if let Err(error) = rights::bound() {
        note("the bounds of capabilities stay", &error);
    }
    if let Err(error) = set_no_new_privs() {
        note("programs may gain privileges", &error);
    }
    // Tokens, keys and the state of callers are in its memory.
    if let Err(error) = set_dumpable(false).and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0)) {
        note("its memory may be dumped", &error);
    }
    if let Err(error) = writes::confine(places) {
        note("it may write wherever its user may", &error);
    }
    let kept: Vec<Capability> = KEPT.into_iter().chain([UNTIL_ATTACHED]).collect();
    if let Err(error) = rights::keep(&kept) {
        note("capabilities stay", &error);
    }
    for failure in failures {
        warn!("privileges: {failure}");
    }
    for trouble in unreachable(places, plan) {
        warn!("{}", sanitise(&trouble, MAX_TROUBLE));
    }
}

/// The last interface is attached.
pub(super) fn attached() {
    of_worker();
    let left = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let names: BTreeSet<String> = left.iter().map(ToString::to_string).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(" ");
    info!(target: "sipguard::audit", action = "privileges", uid = Uid::effective().as_raw(), kept = names);
}

/// What could be read or written until now, and not any more: root has no power
/// over the files of others.
fn unreachable(places: Places<'_>, plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for path in read_again(places, plan) {
        if is_denied(&File::open(&path)) {
            found.push(trouble(&path, "cannot be read any more, so that a reload will fail"));
        }
    }
    for action in &plan.alerts.actions {
        if let ActionKind::Exec { command, .. } = &action.kind
            && let Some(program) = command.first().map(Path::new)
            && access(program, AccessFlags::X_OK) == Err(Errno::EACCES)
        {
            found.push(trouble(program, "cannot be run any more for an alert"));
        }
    }
    let rights = AccessFlags::R_OK | AccessFlags::W_OK;
    let inside = [history::FILE, TOKEN_FILE].map(|name| (places.state.join(name), rights));
    let directory = (places.state.to_owned(), rights | AccessFlags::X_OK);
    let mut state = [directory].into_iter().chain(inside);
    if let Some((path, _)) =
        state.find(|(path, rights)| access(path, *rights) == Err(Errno::EACCES))
    {
        let what = "cannot be used any more, so that bans and entries of earlier runs are not in \
                    force, and none of this one survive a restart";
        found.push(trouble(&path, what));
    }
    found
}

/// What a reload reads: the files of the configuration, and those that they name.
fn read_again(places: Places<'_>, plan: &Plan) -> Vec<PathBuf> {
    let secrets = plan.alerts.actions.iter().filter_map(|action| match &action.kind {
        ActionKind::Webhook { token_file, .. } => token_file.clone(),
        _ => None,
    });
    let keys = plan.feeds.values().filter_map(|feed| feed.key_file.clone());
    let crowdsec = [plan.crowdsec.bouncer(), plan.crowdsec.machine()];
    let logins = crowdsec.into_iter().flatten().map(|(_, file)| file.to_owned());
    let files = policy::FILES.iter().map(|name| places.config.join(name));
    files.chain(secrets).chain(keys).chain(logins).collect()
}

fn trouble(path: &Path, what: &str) -> String {
    format!("{} {what}: {}", path.display(), remedy(path))
}

fn is_denied<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Who has it, as far as that can be seen.
fn remedy(path: &Path) -> String {
    let own = Uid::effective();
    let mut ways = path.ancestors();
    let owner = ways.find_map(|way| Some((way.to_owned(), way.metadata().ok()?.uid())));
    let (way, uid): (PathBuf, u32) = owner.unwrap_or_default();
    format!(
        "{} belongs to uid {uid}, and sipguard runs as uid {own} without rights over files of \
         others; let uid {own} have it, or start sipguard as uid {uid}",
        way.display()
    )
}
