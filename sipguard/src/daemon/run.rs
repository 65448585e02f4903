//! The life of the daemon, from the files to the last detached interface.

use std::{
    future::pending,
    io::{self, Write},
    net::SocketAddr,
    path::{self, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::UnixListener,
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc::UnboundedReceiver, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout, timeout_at},
};
use tracing::{info, warn};

use super::{
    By, ControlSocket, Daemon, Entered, Error, Place, Shared, SocketError,
    alerts::watch,
    audit::log_note,
    bans, crowdsec,
    events::pump,
    feeds::{self, AllKept, Feeds},
    kept,
    manager::{self, Watchdog},
    memory::give_back,
    privilege::{self, Places},
    pulse::beat,
    reload,
    report::{record, write_down},
    restore::restore,
    taps,
};
use crate::{
    api,
    history::{History, Kind, Line, State},
    kernel::{Attached, Kernel, KernelError, LogLevel, ProgramLog},
    policy::{FailMode, Mode, Plan, WebSettings},
    rights::of_worker,
    sanitise::{sanitise, sanitise_lines},
};

/// How often ended entries are looked for.
const EXPIRY_TICK: Duration = Duration::from_secs(1);

/// How often the kernel program's log is read.
const LOG_TICK: Duration = Duration::from_secs(1);

/// How long callers who are being answered may keep a daemon that stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long the start waits for what an earlier run has left. Protection does
/// not wait for a disk.
const LOADING: Duration = Duration::from_secs(3);

/// How long a daemon that stops waits for its last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Characters of diagnostics that are logged.
const MAX_LOGGED: usize = 20_000;

/// What the command line says about a run; `None` leaves it to the files.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration directory.
    pub config: PathBuf,
    /// Interfaces to protect; with none, those of the files.
    pub interfaces: Vec<String>,
    pub mode: Option<Mode>,
    /// Path of the control socket.
    pub socket: Option<PathBuf>,
    /// The state directory.
    pub state: Option<PathBuf>,
    /// What becomes of the filter when the daemon is gone.
    pub fail_mode: Option<FailMode>,
    /// Where maps and programs are pinned that outlive it.
    pub pins: PathBuf,
    /// Where the web listener is; the inner `None` is off.
    pub web: Option<Option<SocketAddr>>,
    /// What the kernel program itself logs.
    pub kernel_log: LogLevel,
}

/// Why the daemon did not start, or did not run on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("no interface to protect")]
    NoInterface,
    #[error(transparent)]
    Policy(#[from] Error),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot set up the daemon: {0}")]
    Io(#[from] io::Error),
}

/// Protects the interfaces until SIGTERM or SIGINT. Policy is in the kernel
/// before the first interface is attached, and one line on stdout says that
/// the last one is.
///
/// # Errors
/// The protection could not be started; nothing is attached then.
pub fn run(options: &Options) -> Result<(), RunError> {
    let runtime =
        runtime::Builder::new_current_thread().enable_all().on_thread_start(of_worker).build()?;
    let result = runtime.block_on(start_and_serve(options));
    // A reload that still reads files has nothing to apply them to any more.
    runtime.shutdown_background();
    result
}

async fn start_and_serve(options: &Options) -> Result<(), RunError> {
    // First of all, so that a signal during the start is not lost.
    let signals = Signals::new()?;
    let place = Place::new(options.config.clone());
    let (mut plan, notes) = place.load()?;
    for note in notes {
        log_note(&note);
    }
    let interfaces = interfaces(options, &plan)?;
    // Who has the socket is the one sipguard here, before anything is loaded.
    let path = options.socket.clone().unwrap_or_else(|| plan.socket.clone());
    let (socket, listener) = ControlSocket::bind(&path)?;
    let listener = UnixListener::from_std(listener)?;
    let fail_mode = options.fail_mode.unwrap_or(plan.fail_mode);
    let (mut kernel, log) = kept::load(options.kernel_log, fail_mode, &options.pins)?;
    if let Some(log) = log {
        tokio::spawn(follow(log));
    }
    kernel.apply(&plan)?;
    let state = options.state.clone().unwrap_or_else(|| plan.state.clone());
    // Before anything is read that came from elsewhere, and before any thread.
    let Options { config, pins, .. } = options;
    let places = Places { config, state: &state, socket: &path, pins };
    privilege::confine(places, &plan);
    // What an earlier run has left holds before the first packet is judged.
    let deadline = Instant::now() + LOADING;
    let mut kept = feeds::read_kept(&state, &plan);
    let decided = crowdsec::read_kept(&state, &plan);
    let (history, mut earlier) = History::start(&state);
    let mut entered = Entered::default();
    match timeout_at(deadline.into(), earlier.recv()).await {
        Ok(Some(Some(state))) => {
            restore(&state, &mut kernel, (&place, &plan), &mut entered, &history);
        }
        // The writer has said why.
        Ok(_) => {}
        Err(_) => warn!("history takes long to read: what it holds comes back later"),
    }
    let (feeds, late) = match timeout_at(deadline.into(), &mut kept).await {
        Ok(kept) => {
            let kept = kept.unwrap_or_else(|error| {
                warn!("what was kept of feeds is not in force: {error}");
                AllKept::default()
            });
            (feeds::restore(kept, &mut kernel, (&place, &mut plan)), None)
        }
        Err(_) => {
            warn!("feeds take long to read: what they hold comes back later");
            (Feeds::default().under(&plan.feeds), Some(kept))
        }
    };
    let (decided, late_decided) =
        crowdsec::restore(decided, deadline, &mut kernel, (&place, &plan)).await;
    let kept_state = path::absolute(&state)?;
    let mode = options.mode.unwrap_or(plan.mode);
    let attached =
        attach_all(&mut kernel, &interfaces, mode).inspect_err(|_| kernel.give_up(&kept_state))?;
    match kernel.settle(&kept_state) {
        Ok(left) if left.is_empty() => {}
        Ok(left) => {
            warn!("{} interfaces that an earlier run has protected are so no longer", left.len())
        }
        Err(error) => warn!("the next start will not find this filter: {error}"),
    }
    privilege::attached();

    announce(&attached, &plan);
    let status = protecting(&attached, &plan);
    give_back();
    info!(target: "sipguard::audit", action = "start", interfaces = interfaces.join(" "), config = %options.config.display(), socket = %path.display());
    history.add(started(&interfaces, options));
    let web = WebSettings {
        listen: options.web.unwrap_or(plan.web.listen),
        names: plan.web.names.clone(),
    };
    let (events, bans_told) = (kernel.take_events(), kernel.take_bans_told());
    let tapped = kernel.take_tapped();
    let (since, keeps) = (kernel.since(), kernel.keeps());
    let daemon = Daemon::new(Box::new(kernel), place, plan, attached)
        .with_history(history.clone())
        .with_entries(entered)
        .with_feeds(feeds)
        .with_decisions(decided)
        .counting_since(since);
    let shared = Shared::new(daemon);
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(shared.clone()));
    tasks.spawn(beat(shared.clone()));
    tasks.spawn(record(shared.clone()));
    if let Some(events) = events {
        tasks.spawn(pump(events, shared.clone()));
    }
    if let Some(bans_told) = bans_told {
        tasks.spawn(bans::pump(bans_told, shared.clone()));
    }
    tasks.spawn(api::web::listen(web, state.clone(), shared.clone()));
    if let Some(tapped) = tapped {
        tasks.spawn(taps::pump(tapped, shared.clone()));
        tasks.spawn(taps::mirror(shared.clone()));
    }
    tasks.spawn(restore_later(earlier, shared.clone()));
    tasks.spawn(crowdsec::run(shared.clone(), state.clone(), late_decided));
    tasks.spawn(feeds::run(shared.clone(), state, late));
    // Callers are heard from now on, even if they are answered a moment later.
    manager::ready(&status);
    serve(shared, listener, signals).await;
    drop(tasks);
    info!(target: "sipguard::audit", action = "stop");
    if keeps {
        info!("the filter stays in force: `sipguard detach` takes it away");
    }
    history.add(Line::new(Kind::Stop, By::Signal.to_string()));
    if !history.close(LAST_LINES) {
        warn!("the end of the history is not written: its disk stands still");
    }
    drop(socket);
    Ok(())
}

fn started(interfaces: &[String], options: &Options) -> Line {
    let (interfaces, config) = (interfaces.join(" "), options.config.display());
    let new = format!("interfaces {interfaces}, configuration {config}");
    let by = By::Uid(nix::unistd::Uid::effective().as_raw());
    Line { new: Some(new), ..Line::new(Kind::Start, by.to_string()) }
}

/// Brings back what could not be read before.
async fn restore_later(mut earlier: UnboundedReceiver<Option<State>>, shared: Shared) {
    while let Some(state) = earlier.recv().await {
        if let Some(state) = state {
            shared.daemon().await.restore(&state);
        }
    }
}

/// Passes on what the kernel program logs, for as long as the daemon runs.
async fn follow(mut log: ProgramLog) {
    let mut tick = interval(LOG_TICK);
    loop {
        tick.tick().await;
        log.flush();
    }
}

/// The interfaces to protect, each once.
fn interfaces(options: &Options, plan: &Plan) -> Result<Vec<String>, RunError> {
    let asked = match options.interfaces.is_empty() {
        true => &plan.interfaces,
        false => &options.interfaces,
    };
    let mut names: Vec<String> = Vec::with_capacity(asked.len());
    for name in asked {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    match names.is_empty() {
        true => Err(RunError::NoInterface),
        false => Ok(names),
    }
}

/// Attaches to every interface, up to the first that cannot be.
fn attach_all(
    kernel: &mut Kernel,
    interfaces: &[String],
    mode: Mode,
) -> Result<Vec<Attached>, KernelError> {
    interfaces.iter().map(|name| kernel.attach(name, mode)).collect()
}

/// Says on stdout, in one line, that the protection is on.
fn announce(attached: &[Attached], plan: &Plan) {
    for one in attached {
        if let Some(note) = &one.note {
            warn!("{}: {} mode: {}", sanitise(&one.name, 64), one.mode.name(), note);
        }
    }
    let line = protecting(attached, plan);
    // Nobody may be reading; the protection is on all the same.
    let _ = writeln!(io::stdout(), "sipguard: {line}").and_then(|()| io::stdout().flush());
}

/// What is protected, in one line.
pub(super) fn protecting(attached: &[Attached], plan: &Plan) -> String {
    let interfaces: Vec<String> = attached
        .iter()
        .map(|one| {
            format!("{} ({}, {})", sanitise(&one.name, 64), one.mode.name(), one.egress.name())
        })
        .collect();
    format!(
        "protecting {}: {} signatures, {} trusted, {} blocked",
        interfaces.join(", "),
        plan.signatures.len(),
        plan.trusted.len(),
        plan.blocked.len()
    )
}

/// Answers callers and signals until one of those asks to stop.
async fn serve(shared: Shared, listener: UnixListener, mut signals: Signals) {
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = tokio::spawn(api::serve(listener, shared.clone(), async {
        let _ = stopped.await;
    }));
    // However many signals come during a reload, one more follows it.
    let reload_asked = Arc::new(Notify::new());
    let reloader = tokio::spawn(reload_whenever(reload_asked.clone(), shared.clone()));
    let mut tick = interval(EXPIRY_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watchdog = Watchdog::new();
    loop {
        tokio::select! {
            () = received(&mut signals.terminate) => break,
            () = received(&mut signals.interrupt) => break,
            () = received(&mut signals.reload) => reload_asked.notify_one(),
            // Who has got the daemon, and has done with it what must be done,
            // works: a daemon that somebody holds for good does not.
            _ = tick.tick() => {
                shared.daemon().await.expire();
                watchdog.alive(Instant::now());
            }
        }
    }
    manager::stopping();
    reloader.abort();
    // Who waits for an answer gets it; who waits for the next one, or for the
    // next event, does not.
    shared.events().close();
    shared.pulse().close();
    shared.taps().close();
    shared.alerts().close();
    write_down(&shared).await;
    drop(stop);
    if timeout(LAST_ANSWERS, &mut server).await.is_err() {
        server.abort();
    }
    shared.daemon().await.leave();
}

async fn reload_whenever(asked: Arc<Notify>, shared: Shared) {
    loop {
        asked.notified().await;
        if let Err(Error::Configuration(diagnostics)) = reload(&shared, By::Signal).await {
            warn!("{}", sanitise_lines(diagnostics.to_string().trim_end(), MAX_LOGGED));
        }
    }
}

/// The signals that the daemon listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits for a signal; a stream that has ended never brings one.
async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{AttachedMode, EgressMode};

    fn options(interfaces: &[&str]) -> Options {
        Options {
            config: PathBuf::new(),
            interfaces: interfaces.iter().map(ToString::to_string).collect(),
            mode: None,
            socket: None,
            state: None,
            fail_mode: None,
            pins: PathBuf::new(),
            web: None,
            kernel_log: LogLevel::Off,
        }
    }

    #[test]
    fn the_command_line_names_the_interfaces_else_the_files() {
        let plan = Plan { interfaces: vec!["eth7".to_owned()], ..Plan::default() };
        assert_eq!(interfaces(&options(&[]), &plan).unwrap(), ["eth7"]);
        let twice = options(&["eth1", "eth0", "eth1"]);
        assert_eq!(interfaces(&twice, &plan).unwrap(), ["eth1", "eth0"]);
        let none = interfaces(&options(&[]), &Plan::default());
        assert!(matches!(none, Err(RunError::NoInterface)));
    }

    #[test]
    fn the_announcement_is_one_line() {
        let attached = |name: &str, mode, egress| Attached {
            name: name.to_owned(),
            ifindex: 2,
            mode,
            note: None,
            egress,
            taken_over: false,
            unprotected: None,
        };
        let both = [
            attached("eth0", AttachedMode::Native, EgressMode::Tcx),
            attached("eth1", AttachedMode::Generic, EgressMode::Clsact),
        ];
        assert_eq!(
            protecting(&both, &Plan::default()),
            "protecting eth0 (native, tcx), eth1 (generic, clsact): 0 signatures, 0 trusted, 0 blocked"
        );
        let odd = [attached("e\nth", AttachedMode::Native, EgressMode::Tcx)];
        assert_eq!(protecting(&odd, &Plan::default()).lines().count(), 1);
    }
}
