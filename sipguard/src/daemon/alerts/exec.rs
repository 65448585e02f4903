//! A program that is run for an alert: no shell, no inherited environment, and
//! an end in any case.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    libc,
    sys::signal::{Signal, killpg},
    unistd::{Pid, Uid},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::timeout,
};
use tracing::debug;

use super::{Trouble, notice::environment};
use crate::{api::wire::AlertNotice, policy::unsafe_program, sanitise::sanitise_lines};

/// What programs of the system are found by.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes of what it prints that are kept.
const MAX_OUTPUT: usize = 4096;

/// How long the rest of its words is waited for once it has ended: what it left
/// running may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Runs a program to its end, which comes after `limit` at the latest.
pub(super) async fn run(
    command: &[String],
    limit: Duration,
    notice: &AlertNotice,
) -> Result<String, Trouble> {
    let [program, arguments @ ..] = command else {
        return Err(Trouble::Lasting("the command is empty".to_owned()));
    };
    check(program)?;
    let mut action = Command::new(program);
    action
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(environment(notice))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    // SAFETY: between fork and exec it makes three system calls, and allocates
    // nothing.
    unsafe { action.pre_exec(drop_rights) };
    let child = action
        .spawn()
        .map_err(|error| Trouble::Lasting(format!("cannot run {program}: {error}")))?;
    let mut group = Group::of(child);
    let ended = timeout(limit, group.end()).await;
    let (status, output) = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Err(Trouble::Lasting(format!("{program} is lost: {error}"))),
        Err(_) => {
            group.kill();
            return Err(Trouble::Lasting(format!("killed after {} s", limit.as_secs())));
        }
    };
    group.has_ended();
    let output = sanitise_lines(String::from_utf8_lossy(&output).trim_end(), MAX_OUTPUT);
    if !output.is_empty() {
        debug!(target: "sipguard::alerts", program, "printed: {output}");
    }
    match status.success() {
        true => Ok("ended with code 0".to_owned()),
        false => Err(Trouble::Lasting(format!("ended with {status}"))),
    }
}

/// Leaves all capabilities. A program of root, or one to which a service hands
/// on those of its unit, would have them back otherwise; the daemon sees to it
/// that no program gains any (`no_new_privs`). Without ambient ones, programs of
/// other users than root have none in any case: a filter of system calls that
/// refuses to give them up does not matter there.
fn drop_rights() -> io::Result<()> {
    const NONE: libc::c_ulong = 0;
    // Of the calling thread, as its effective, permitted and inheritable sets,
    // in two halves.
    const HEAD: [u32; 2] = [0x2008_0522, 0];
    const SETS: [u32; 6] = [0; 6];
    // SAFETY: the first takes no pointer, the second reads two structures of
    // capset(2), which are these words; the arguments are those of
    // capabilities(7).
    let done = unsafe {
        let done =
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, NONE, NONE, NONE);
        done == 0
            && (libc::syscall(libc::SYS_capset, HEAD.as_ptr(), SETS.as_ptr()) == 0
                || libc::geteuid() != 0)
    };
    match done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// Whoever could write it, or put another in its place, could read and change
/// what sipguard's user may.
fn check(program: &str) -> Result<(), Trouble> {
    let refused = |why: String| Trouble::Lasting(format!("{program} {why}"));
    let file = fs::metadata(program).map_err(|error| refused(format!("cannot be run: {error}")))?;
    if let Some(why) = unsafe_program(Path::new(program), file.mode()) {
        return Err(refused(why.to_owned()));
    }
    if file.uid() != 0 && file.uid() != Uid::effective().as_raw() {
        let why = format!("belongs to uid {}, neither to root nor to sipguard", file.uid());
        return Err(refused(format!("{why}: it is not run")));
    }
    Ok(())
}

/// A program and all that it has started in its process group: killed when this
/// is dropped before its end.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Self { child, id }
    }

    /// Waits for its end, and what it has printed until then.
    async fn end(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let status = {
            let words = async {
                tokio::join!(read(stdout, &mut first), read(stderr, &mut second));
            };
            tokio::pin!(words);
            let mut said_all = false;
            let status = loop {
                tokio::select! {
                    status = self.child.wait() => break status?,
                    () = &mut words, if !said_all => said_all = true,
                }
            };
            if !said_all {
                // Not worth an error.
                let _ = timeout(LAST_WORDS, words).await;
            }
            status
        };
        first.extend(second);
        Ok((status, first))
    }

    fn kill(&mut self) {
        if let Some(id) = self.id.take() {
            // It may have ended by itself meanwhile.
            let _ = killpg(id, Signal::SIGKILL);
        }
    }

    /// What it has left running is its business.
    fn has_ended(&mut self) {
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the beginning and reads on, so that nobody waits for room in a pipe.
async fn read(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = (MAX_OUTPUT / 2).saturating_sub(kept.len());
        kept.extend(buffer.iter().take(count.min(room)));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

    use tempfile::TempDir;

    use super::{super::notice, *};

    fn script(dir: &Path, text: &str, mode: u32) -> String {
        let path = dir.join("act");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }

    fn act(command: &[String], limit: Duration) -> Result<String, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(command, limit, &notice::test("pbx")))
    }

    const SECONDS: Duration = Duration::from_secs(20);

    #[test]
    fn a_program_gets_its_words_and_nothing_else() {
        let dir = TempDir::new().unwrap();
        let out = dir.path().join("out");
        let script = script(
            dir.path(),
            &format!("printf '%s\\n' \"$1\" > {0}; env >> {0}", out.display()),
            0o755,
        );
        let done = act(&[script, "$(reboot); `x`".to_owned()], SECONDS);
        assert_eq!(done, Ok("ended with code 0".to_owned()));
        let text = fs::read_to_string(out).unwrap();
        assert!(text.starts_with("$(reboot); `x`\n"), "{text}");
        assert!(text.contains("\nSIPGUARD_ALERT_CHANGE=test\n"), "{text}");
        assert!(text.contains("\nSIPGUARD_ALERT_HOST=pbx\n"), "{text}");
        assert!(!text.contains("CARGO"), "{text}");
    }

    #[test]
    fn how_it_ends_is_told() {
        let dir = TempDir::new().unwrap();
        let failed = act(&[script(dir.path(), "echo no; exit 3", 0o700)], SECONDS).unwrap_err();
        assert!(failed.message().contains("exit status: 3"));
        let missing = act(&["/nonexistent/program".to_owned()], SECONDS).unwrap_err();
        assert!(missing.message().contains("cannot be run"));
    }

    /// D: a hook that others can write is a way to root.
    #[test]
    fn what_others_can_write_is_not_run() {
        let dir = TempDir::new().unwrap();
        let refused = act(&[script(dir.path(), "exit 0", 0o775)], SECONDS).unwrap_err();
        assert!(refused.message().contains("can be written by others"));
        let good = script(dir.path(), "exit 0", 0o755);
        let put = |mode| fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        for mode in [0o775, 0o757] {
            put(mode);
            let refused = act(std::slice::from_ref(&good), SECONDS).unwrap_err();
            assert!(refused.message().contains("where others can replace it"), "{mode:o}");
        }
        // There, only its owner can.
        put(0o1777);
        assert!(act(&[good], SECONDS).is_ok());
    }

    #[test]
    fn who_never_ends_is_killed_with_all_children() {
        let dir = TempDir::new().unwrap();
        let child = dir.path().join("child");
        let endless = format!("sleep 1000 & echo $! > {}; wait", child.display());
        let start = Instant::now();
        let killed = act(&[script(dir.path(), &endless, 0o755)], Duration::from_secs(1));
        assert_eq!(killed, Err(Trouble::Lasting("killed after 1 s".to_owned())));
        assert!(start.elapsed() < SECONDS);
        let id: i32 = fs::read_to_string(child).unwrap().trim().parse().unwrap();
        let gone = || nix::sys::signal::kill(Pid::from_raw(id), None).is_err() || is_zombie(id);
        while !gone() {
            assert!(start.elapsed() < SECONDS, "its child lives");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where nobody reaps orphans.
    fn is_zombie(id: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.contains(") Z ")
    }

    #[test]
    fn who_leaves_something_running_and_who_prints_without_end_hold_nobody_up() {
        let dir = TempDir::new().unwrap();
        let start = Instant::now();
        let done = act(&[script(dir.path(), "sleep 30 &", 0o755)], SECONDS);
        assert_eq!(done, Ok("ended with code 0".to_owned()));
        let done = act(&[script(dir.path(), "head -c 1000000 /dev/zero", 0o755)], SECONDS);
        assert_eq!(done, Ok("ended with code 0".to_owned()));
        assert!(start.elapsed() < SECONDS);
    }
}
