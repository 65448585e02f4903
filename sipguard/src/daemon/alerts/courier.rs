//! One action with what waits for it. Each has a task of its own, so that one
//! that hangs delays no other, and never the daemon.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Notify,
    task::{AbortHandle, spawn_blocking},
    time::sleep,
};
use tracing::{info, warn};

use super::{
    Trouble, exec,
    notice::{TEST, words},
    webhook,
};
use crate::{
    alerts::Change,
    api::wire::{AlertAction, AlertNotice, AlertTry},
    policy::{Action, ActionKind, AlertSeverity},
};

/// Notices that wait for one action; beyond that the oldest of the mildest are
/// given up.
const MAX_WAITING: usize = 64;

/// What is waited before the second try, twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What is waited at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// An action and its task, which ends with this.
#[derive(Debug)]
pub(super) struct Courier {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    awake: Notify,
}

#[derive(Debug)]
struct State {
    action: Action,
    waiting: VecDeque<Arc<AlertNotice>>,
    told: u64,
    failed: u64,
    dropped: u64,
    last: Option<AlertTry>,
}

impl Courier {
    pub(super) fn new(action: Action) -> Self {
        let state =
            State { action, waiting: VecDeque::new(), told: 0, failed: 0, dropped: 0, last: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), awake: Notify::new() });
        let task = tokio::spawn(work(Arc::clone(&shared))).abort_handle();
        Self { shared, task }
    }

    pub(super) fn action(&self) -> Action {
        self.shared.state().action.clone()
    }

    /// From the next try on it works that way.
    pub(super) fn set(&self, action: Action) {
        self.shared.state().action = action;
    }

    pub(super) fn send(&self, notice: &Arc<AlertNotice>) {
        let mut state = self.shared.state();
        state.waiting.push_back(Arc::clone(notice));
        if state.waiting.len() > MAX_WAITING {
            // Of those that are equally mild, the first.
            let mildest = state.waiting.iter().enumerate().min_by_key(|(_, one)| severity(one));
            if let Some((place, _)) = mildest {
                state.waiting.remove(place);
                state.dropped += 1;
            }
        }
        self.shared.awake.notify_one();
    }

    pub(super) fn wire(&self) -> AlertAction {
        let state = self.shared.state();
        AlertAction {
            name: state.action.name.clone(),
            kind: state.action.kind.name().to_owned(),
            severity: state.action.severity.name().to_owned(),
            told: state.told,
            failed: state.failed,
            dropped: state.dropped,
            waiting: state.waiting.len(),
            last: state.last.clone(),
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Each change of the state is complete: a panic elsewhere leaves it good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts how it ended; gives whether the log should hear of it, which is
    /// the first time that something goes wrong, and the first that it is well.
    fn note(&self, outcome: &Result<String, String>) -> bool {
        let mut state = self.state();
        let was_ok = state.last.as_ref().is_none_or(|last| last.ok);
        match outcome {
            Ok(_) => state.told += 1,
            Err(_) => state.failed += 1,
        }
        let (Ok(message) | Err(message)) = outcome.clone();
        let ok = outcome.is_ok();
        state.last = Some(AlertTry { time: Timestamp::now(), ok, message });
        ok != was_ok
    }
}

/// Where it stands among all severities, the mildest first.
fn severity(notice: &AlertNotice) -> Option<usize> {
    AlertSeverity::ALL.iter().position(|one| one.name() == notice.alert.severity)
}

async fn work(shared: Arc<Shared>) {
    loop {
        let next = shared.state().waiting.pop_front();
        let Some(notice) = next else {
            shared.awake.notified().await;
            continue;
        };
        let outcome = deliver(&shared, &notice).await;
        if shared.note(&outcome) {
            let name = shared.state().action.name.clone();
            match outcome {
                Ok(_) => info!(target: "sipguard::alerts", "action {name} works again"),
                Err(why) => warn!(target: "sipguard::alerts", "action {name} has failed: {why}"),
            }
        }
    }
}

/// Tries until it is told, or there is no hope.
async fn deliver(shared: &Shared, notice: &AlertNotice) -> Result<String, String> {
    let mut tries = 0;
    loop {
        let action = shared.state().action.clone();
        match once(&action, notice).await {
            Ok(message) => return Ok(message),
            Err(Trouble::Passing(_)) if tries < retries(&action) => {
                sleep(pause(tries, getrandom::u32().unwrap_or(u32::MAX / 2))).await;
                tries += 1;
            }
            Err(trouble) if tries == 0 => return Err(trouble.message()),
            Err(trouble) => {
                return Err(format!("{} (after {} tries)", trouble.message(), tries + 1));
            }
        }
    }
}

fn retries(action: &Action) -> u32 {
    match action.kind {
        ActionKind::Webhook { retries, .. } => retries,
        ActionKind::Log | ActionKind::Exec { .. } => 0,
    }
}

/// Half to one and a half times the time, by chance: not all who were refused
/// together come back together.
fn pause(tries: u32, chance: u32) -> Duration {
    let time = FIRST_WAIT.saturating_mul(1u32.checked_shl(tries).unwrap_or(u32::MAX));
    time.min(LONGEST_WAIT).mul_f64(0.5 + f64::from(chance) / f64::from(u32::MAX))
}

/// One try.
pub(super) async fn once(action: &Action, notice: &AlertNotice) -> Result<String, Trouble> {
    match &action.kind {
        ActionKind::Log => {
            log(notice);
            Ok("a line in the log".to_owned())
        }
        ActionKind::Exec { command, timeout } => exec::run(command, *timeout, notice).await,
        ActionKind::Webhook { url, token_file, timeout, .. } => {
            let body = serde_json::to_vec(notice)
                .map_err(|error| Trouble::Lasting(format!("no JSON: {error}")))?;
            call(url.clone(), token_file.clone(), *timeout, body).await
        }
    }
}

/// On a thread of its own.
async fn call(
    url: String,
    token_file: Option<PathBuf>,
    limit: Duration,
    body: Vec<u8>,
) -> Result<String, Trouble> {
    let work = move || webhook::post(&url, token_file.as_deref(), limit, &body);
    match spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Trouble::Lasting(error.to_string())),
    }
}

fn log(notice: &AlertNotice) {
    let (change, words) = (&notice.change, words(notice));
    let is_mild = notice.alert.severity == AlertSeverity::Info.name();
    if is_mild || *change == Change::Cleared.name() || *change == TEST {
        info!(target: "sipguard::alerts", "{change}: {words}");
    } else {
        warn!(target: "sipguard::alerts", "{change}: {words}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{super::notice, *};

    #[test]
    fn pauses_grow_to_a_minute_and_vary() {
        let seconds = |tries| pause(tries, u32::MAX / 2).as_secs_f64().round();
        assert_eq!([0, 1, 2, 5, 6, 99].map(seconds), [1.0, 2.0, 4.0, 32.0, 60.0, 60.0]);
        assert_eq!(pause(0, 0), Duration::from_millis(500));
        assert_eq!(pause(0, u32::MAX), Duration::from_millis(1500));
    }

    fn on_a_runtime<T>(work: impl AsyncFnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work())
    }

    fn webhook(url: &str) -> Action {
        Action {
            name: "hook".to_owned(),
            severity: AlertSeverity::Info,
            kind: ActionKind::Webhook {
                url: url.to_owned(),
                token_file: None,
                timeout: Duration::from_secs(30),
                retries: 0,
            },
        }
    }

    /// A collector that hangs costs what waits for it, and nobody else.
    #[test]
    fn the_oldest_is_given_up_where_too_much_waits() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        on_a_runtime(async || {
            let hanging = Courier::new(webhook(&url));
            let log = Courier::new(Action { kind: ActionKind::Log, ..webhook("") });
            let started = Instant::now();
            for _ in 0..MAX_WAITING + 10 {
                let notice = Arc::new(notice::test("pbx"));
                hanging.send(&notice);
            }
            log.send(&Arc::new(notice::test("pbx")));
            while log.wire().told < 1 {
                assert!(started.elapsed() < Duration::from_secs(20));
                tokio::task::yield_now().await;
            }
            let state = hanging.wire();
            assert!(state.waiting <= MAX_WAITING && state.dropped >= 9, "{state:?}");
            assert_eq!((state.told, state.failed), (0, 0));
            // What is under way would end with its time limit: the server ends it.
            drop((hanging, listener));
        });
    }

    /// What is bad is heard of, whatever mild news come after it.
    #[test]
    fn the_mildest_are_given_up_first() {
        on_a_runtime(async || {
            // Its task has not begun before this one waits for something.
            let courier = Courier::new(webhook("http://127.0.0.1:9/"));
            let send = |number, severity: AlertSeverity| {
                let mut notice = notice::test("pbx");
                notice.alert.number = number;
                notice.alert.severity = severity.name().to_owned();
                courier.send(&Arc::new(notice));
            };
            send(0, AlertSeverity::Critical);
            send(1, AlertSeverity::Warning);
            (2..MAX_WAITING as u64 + 3).for_each(|number| send(number, AlertSeverity::Info));
            let numbers = || -> Vec<u64> {
                courier.shared.state().waiting.iter().map(|notice| notice.alert.number).collect()
            };
            assert_eq!(numbers(), [vec![0, 1], (5..MAX_WAITING as u64 + 3).collect()].concat());
            (100..164).for_each(|number| send(number, AlertSeverity::Critical));
            assert_eq!(numbers(), (100..164).collect::<Vec<_>>());
            // Milder than all that waits, it is given up itself.
            send(200, AlertSeverity::Info);
            assert_eq!(numbers(), (100..164).collect::<Vec<_>>());
            assert_eq!(courier.wire().dropped, MAX_WAITING as u64 + 4);
        });
    }

    #[test]
    fn what_fails_is_counted_and_said() {
        let action = Action {
            kind: ActionKind::Exec {
                command: vec!["/nonexistent".to_owned()],
                timeout: Duration::from_secs(1),
            },
            ..webhook("")
        };
        on_a_runtime(async || {
            let courier = Courier::new(action);
            courier.send(&Arc::new(notice::test("pbx")));
            while courier.wire().failed < 1 {
                tokio::task::yield_now().await;
            }
            let last = courier.wire().last.unwrap();
            assert!(!last.ok && last.message.contains("/nonexistent"), "{last:?}");
        });
    }
}
