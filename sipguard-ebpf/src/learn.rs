//! The state behind `sipguard_common::learn`.

use sipguard_common::{
    abi::{
        Address, Endpoint, Failures, LEARNED_SLOTS, Learned, Policy, Replies, STATUS_CLASSES, Site,
        TRANSACTION_NS, Verified, how, stealth,
    },
    decide::{
        Content,
        standing::{UNPROVEN, VERIFIED},
    },
    frame::TCP,
    learn::{self, Lessons, Noted, SOURCE_HARVEST, Said},
    method::{METHOD_SLOTS, Method},
    opaque,
    rule::Rule,
    scan::{
        self, Scratch,
        identity::{self, mix},
        kind,
    },
};

use crate::{
    bans::{self, Reason},
    clock, count, limits, lists, maps, payload, standing, transactions,
};

/// Lie in read-only data: on the stack LLVM would clear them word by word.
static NEW_VERIFIED: Verified = Verified {
    expires_ns: 0,
    since_ns: 0,
    how: 0,
    status: 0,
    status_ns: 0,
    tat_ns: [0; sipguard_common::method::BUCKETS],
};
static NEW_SITE: Site =
    Site { until_ns: 0, since_ns: 0, seen: [0; 4], before: [0; 4], shift: 0, pad: 0 };
static NEW_FAILURES: Failures = Failures {
    since_ns: 0,
    count: 0,
    harvest: 0,
    hour_since_ns: 0,
    hour: 0,
    status: 0,
    status_ns: 0,
    tag: 0,
};

/// One message on its way out, under one policy. What is read of it lies in the
/// scratch memory, and whatever changes maps is a subprogram: the verifier walks
/// each once and not once for each way to it.
struct Lesson<'a> {
    policy: &'a Policy,
    scratch: *mut Scratch,
    ifindex: u32,
}

impl Lessons for Lesson<'_> {
    #[inline(always)]
    fn policy(&self) -> &Policy {
        self.policy
    }

    #[inline(always)]
    fn count(&mut self, what: Learned) {
        count(self.ifindex, what);
    }

    #[inline(always)]
    fn standing(&self) -> u32 {
        // SAFETY: this CPU's own memory.
        unsafe { (&raw const (*self.scratch).standing).read_volatile() }
    }

    #[inline(always)]
    fn is_tcp(&self) -> bool {
        // SAFETY: this CPU's own memory.
        unsafe { is_tcp(self.scratch) }
    }

    #[inline(always)]
    fn noted(&mut self) -> Option<Noted> {
        match transactions::answered() {
            0 => None,
            answered => Some(transactions::noted(answered)),
        }
    }

    #[inline(always)]
    fn is_stale(&mut self) -> bool {
        transactions::remember()
    }

    #[inline(always)]
    fn granted(&mut self) -> u32 {
        granted_seconds()
    }

    #[inline(always)]
    fn verify(&mut self, is_proven: bool, how: u32, span_ns: u64) {
        verify(self.ifindex, u32::from(is_proven), how, span_ns);
    }

    #[inline(always)]
    fn end(&mut self) {
        end_verified(self.ifindex);
    }

    #[inline(always)]
    fn succeed(&mut self) {
        forgive();
    }

    #[inline(always)]
    fn give_back(&mut self, is_proven: bool) {
        give_back(self.policy, u32::from(is_proven));
    }

    #[inline(always)]
    fn fail(&mut self, status: u32) {
        fail(self.policy, self.ifindex, status);
    }

    #[inline(always)]
    fn harvest(&mut self, status: u32) {
        harvest(self.policy, self.ifindex, status);
    }
}

/// # Safety
/// The scratch memory is this CPU's own. So below.
#[inline(always)]
unsafe fn is_tcp(scratch: *const Scratch) -> bool {
    // SAFETY: as the caller promises.
    unsafe { (&raw const (*scratch).packet.protocol).read() == u32::from(TCP) }
}

/// Who gets the message.
#[inline(always)]
unsafe fn receiver(scratch: *const Scratch) -> Endpoint {
    // SAFETY: as the caller promises.
    unsafe { (*scratch).packet.receiver() }
}

/// Who has sent the request that is answered, where that was another port than
/// the one that gets the answer (RFC 3261 section 18.2.2).
#[inline(always)]
unsafe fn sender(scratch: *const Scratch) -> Option<Endpoint> {
    // SAFETY: as the caller promises.
    let (Endpoint { address, place }, noted) = unsafe { (receiver(scratch), (*scratch).place) };
    (noted != 0 && noted != place).then_some(Endpoint { address, place: noted })
}

/// Seconds that a registration was granted for.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn granted_seconds() -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return identity::NO_SECONDS;
    };
    // SAFETY: the line scan has run.
    unsafe { payload::granted(scratch) }
}

/// Makes who gets the message verified, and who sent the request.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn verify(ifindex: u32, is_proven: u32, how: u32, span_ns: u64) -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    let (now, is_proven) = (clock::tick(), is_proven != 0);
    // SAFETY: this CPU's own memory, and map values.
    unsafe {
        let receiver = receiver(scratch);
        let status = (*scratch).status;
        let source = (*scratch).source;
        standing::make_known(receiver.address);
        if source != receiver.address {
            standing::make_known(source);
        }
        if accept(&receiver, is_proven, now, how, span_ns, status) {
            count(ifindex, Learned::Verified);
        }
        if let Some(sender) = sender(scratch) {
            accept(&sender, is_proven, now, how, span_ns, status);
        }
        let standing = if is_proven { VERIFIED } else { UNPROVEN };
        (&raw mut (*scratch).standing).write_volatile(standing);
        if !is_proven {
            return 0;
        }
        let is_registration = how == how::REGISTER;
        (&raw mut (*scratch).hash).write_volatile(1);
        let hash = if is_registration && hash_header(kind::TO) != 0 {
            (&raw const (*scratch).hash).read_volatile()
        } else {
            mix(1, receiver.place)
        };
        let source = (*scratch).source;
        if let Some(site) = limits::value(&maps::SITES, &source, &NEW_SITE) {
            (*site).accept(now, now + span_ns, hash);
        }
    }
    0
}

/// Makes one endpoint verified; true where it was not.
#[inline(always)]
fn accept(
    endpoint: &Endpoint,
    is_proven: bool,
    now: u64,
    how: u32,
    span_ns: u64,
    status: u32,
) -> bool {
    // What was proven once stays so.
    let state = match maps::ENDPOINTS.get_ptr_mut(endpoint) {
        Some(state) => Some(state),
        None if is_proven => limits::value(&maps::ENDPOINTS, endpoint, &NEW_VERIFIED),
        None => limits::value(&maps::ENDPOINTS_UNPROVEN, endpoint, &NEW_VERIFIED),
    };
    let Some(state) = state else {
        return false;
    };
    // SAFETY: a map value. Two replies at once to the same endpoint say the
    // same.
    let state = unsafe { &mut *state };
    let is_new = state.expires_ns <= now;
    state.renew(now, how, span_ns);
    if status != 0 {
        state.status = status;
        state.status_ns = now;
    }
    is_new
}

/// Ends that.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn end_verified(ifindex: u32) -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    let now = clock::tick();
    let end_one = |state: Option<*mut Verified>| {
        let Some(state) = state else {
            return false;
        };
        // SAFETY: a map value.
        unsafe {
            let held = now < (*state).expires_ns;
            if held {
                (*state).expires_ns = now;
            }
            held
        }
    };
    // It may be in both: first it was accepted on evidence that can be forged.
    let end = |endpoint: &Endpoint| {
        let held = end_one(maps::ENDPOINTS.get_ptr_mut(endpoint));
        end_one(maps::ENDPOINTS_UNPROVEN.get_ptr_mut(endpoint)) || held
    };
    // SAFETY: this CPU's own memory.
    unsafe {
        if end(&receiver(scratch)) {
            count(ifindex, Learned::Ended);
        }
        if let Some(sender) = sender(scratch) {
            end(&sender);
        }
    }
    0
}

/// Forgets what was refused to who gets the message, who sent the request, and
/// their source.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn forgive() -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    let forgive = |who: &Endpoint| {
        if let Some(failures) = maps::FAILURES.get_ptr_mut(who) {
            // SAFETY: a map value.
            unsafe { (*failures).clear() }
        }
    };
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        let source = (*scratch).source;
        new_tries(source);
        forgive(&Endpoint::whole(source));
        forgive(&receiver(scratch));
        if let Some(sender) = sender(scratch) {
            forgive(&sender);
        }
    }
    0
}

/// Gives a source all its tries back.
#[inline(always)]
fn new_tries(source: Address) {
    if let Some(state) = maps::STRANGERS.get_ptr_mut(source) {
        // SAFETY: a map value.
        unsafe { (*state).tries_ns = [0; 2] }
    }
}

/// Gives the source a try back.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn give_back(policy: *const Policy, is_proven: u32) -> u32 {
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let (Some(scratch), Some(policy)) = (maps::EGRESS.get_ptr_mut(0), unsafe { policy.as_ref() })
    else {
        return 0;
    };
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        let source = (*scratch).source;
        if let Some(state) = maps::STRANGERS.get_ptr_mut(source) {
            let [unproven, proven] = policy.auth.tries;
            let [of_unproven, of_proven] = &mut (*state).tries_ns;
            if is_proven != 0 {
                *of_proven = of_proven.saturating_sub(proven.interval_ns);
            } else {
                *of_unproven = of_unproven.saturating_sub(unproven.interval_ns);
            }
        }
    }
    0
}

/// Counts a wrong password of whoever sent the request.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn fail(policy: *const Policy, ifindex: u32, status: u32) -> u32 {
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let (Some(scratch), Some(policy)) = (maps::EGRESS.get_ptr_mut(0), unsafe { policy.as_ref() })
    else {
        return 0;
    };
    let now = clock::tick();
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        let source = (*scratch).source;
        // Of a site only this endpoint: its neighbours know their passwords.
        let who = if standing::is_site(source, now) {
            sender(scratch).unwrap_or(receiver(scratch))
        } else {
            Endpoint::whole(source)
        };
        let Some(failures) = limits::value(&maps::FAILURES, &who, &NEW_FAILURES) else {
            return 0;
        };
        (*failures).status = status;
        (*failures).status_ns = now;
        let over = (*failures).fail(now, &policy.auth);
        if over != 0 {
            let reason =
                Reason { rule: Rule::Auth.number(), signature: 0, failures: over, proven: true };
            punish(policy, scratch, &who, &reason, ifindex);
            // Whoever comes back from a ban begins anew; behind the ban, for
            // guesses are on their way on other CPUs.
            new_tries(source);
        }
    }
    0
}

/// Counts a challenge or an unknown user of who gets the message, and of all of
/// its source.
#[inline(always)]
fn harvest(policy: &Policy, ifindex: u32, status: u32) {
    harvested_account();
    for whole in [0, 1] {
        harvest_of(policy, ifindex, status, whole);
    }
}

/// Mixes the first header of a kind into the hash in the scratch memory of the
/// way out; 0 where there is none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hash_header(kind: u32) -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own memory, sealed and scanned.
    u32::from(unsafe { identity::hash_header(scratch, kind) })
}

/// Mixes the account into the hash of the transaction.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn harvested_account() -> u32 {
    if let Some(scratch) = maps::EGRESS.get_ptr_mut(0) {
        // SAFETY: this CPU's own memory, sealed; where no header is seen, its
        // lines are scanned.
        unsafe {
            if scan::value_of(scratch, kind::TO).is_none() {
                reply_lines();
            }
            hash_header(kind::TO);
        }
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn harvest_of(policy: *const Policy, ifindex: u32, status: u32, whole: u32) -> u32 {
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let (Some(scratch), Some(policy)) = (maps::EGRESS.get_ptr_mut(0), unsafe { policy.as_ref() })
    else {
        return 0;
    };
    let now = clock::tick();
    // SAFETY: this CPU's own memory, and a map value.
    unsafe {
        let (who, max) = if whole == 0 {
            (receiver(scratch), policy.auth.harvest)
        } else {
            (Endpoint::whole((*scratch).source), policy.auth.harvest * SOURCE_HARVEST)
        };
        let Some(failures) = limits::value(&maps::FAILURES, &who, &NEW_FAILURES) else {
            return 0;
        };
        // The same reply once more: of the same transaction, about the same
        // account.
        let tag = (*scratch).hash;
        if (*failures).tag == tag && now.wrapping_sub((*failures).status_ns) < TRANSACTION_NS {
            return 0;
        }
        (*failures).tag = tag;
        (*failures).status = status;
        (*failures).status_ns = now;
        let over = (*failures).harvest(now, &policy.auth, max);
        if over != 0 {
            let (rule, proven) = (Rule::Harvest.number(), is_tcp(scratch));
            let reason = Reason { rule, signature: 0, failures: over, proven };
            punish(policy, scratch, &who, &reason, ifindex);
        }
    }
    0
}

/// Bans, where the rule drops.
#[inline(always)]
unsafe fn punish(
    policy: &Policy,
    scratch: *const Scratch,
    who: &Endpoint,
    reason: &Reason,
    ifindex: u32,
) {
    let (done, would) = if reason.rule == Rule::Auth.number() {
        (Learned::AuthBan, Learned::AuthWould)
    } else {
        (Learned::HarvestBan, Learned::HarvestWould)
    };
    // SAFETY: this CPU's own memory.
    let server = unsafe { (*scratch).packet.source };
    let bit = 1 << (reason.rule & 63);
    if policy.enforced & bit != 0 {
        count(ifindex, done);
        bans::ban(policy, who, reason, ifindex, server);
    } else if policy.observed & bit != 0 {
        count(ifindex, would);
        bans::would_ban(policy, who, reason, ifindex, server);
    }
}

/// Counts something that was learned.
#[inline(always)]
pub(crate) fn count(ifindex: u32, what: Learned) {
    count_learned(ifindex, what as u32);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_learned(ifindex: u32, what: u32) -> u32 {
    let Some(replies) = maps::REPLIES.get_ptr_mut(count::slot(ifindex)) else {
        return 0;
    };
    let what = opaque(u64::from(what)) as usize & (LEARNED_SLOTS - 1);
    // SAFETY: this CPU's own value; masked.
    unsafe { *(&raw mut (*replies).learned).cast::<u64>().add(what) += 1 }
    0
}

/// Counts a message by its method.
///
/// # Safety
/// `counts` are as many as there are slots for methods.
#[inline(always)]
unsafe fn count_method(counts: *mut u64, method: u32) {
    let method = opaque(u64::from(method)) as usize & (METHOD_SLOTS - 1);
    // SAFETY: masked.
    unsafe { *counts.add(method) += 1 }
}

/// Reads the message that starts at the position of the scratch memory, counts
/// it and learns from it; gives its [`learn::Fate`] by number. A subprogram: the
/// verifier walks it once and not once for each way to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn learn_message(policy: *const Policy, ifindex: u32) -> u32 {
    let leaves = learn::Fate::Leaves as u32;
    let (Some(scratch), Some(replies)) =
        (maps::EGRESS.get_ptr_mut(0), maps::REPLIES.get_ptr_mut(count::slot(ifindex)))
    else {
        return leaves;
    };
    // SAFETY: a value of a map, for as long as the program runs, or null.
    let Some(policy) = (unsafe { policy.as_ref() }) else {
        return leaves;
    };
    // SAFETY: this CPU's own values.
    unsafe {
        let is_tcp = is_tcp(scratch);
        if is_tcp {
            // Keepalives stand between messages of a connection.
            payload::skip_ends(scratch);
        }
        let content = if identity::is_reply(scratch) {
            RESPONSE
        } else {
            scan::content(scratch, policy).encode()
        };
        let said = match content {
            method @ 1..METHODS => {
                count_method((&raw mut (*replies).requests).cast(), method);
                if is_tcp {
                    // Up to where the next message starts.
                    reply_lines();
                    message_end();
                }
                Said { status: 0, method }
            }
            RESPONSE => reply(replies),
            _ => {
                (*replies).other += 1;
                return leaves;
            }
        };
        let packet = &raw const (*scratch).packet;
        // Nothing is learned of those.
        if said.status == 1 || (said.status / 100 == 1 && policy.stealth != stealth::NONE) {
            return leaves;
        }
        if lists::is_trusted((*packet).destination, (*packet).destination_port) {
            return leaves;
        }
        (*scratch).status = said.status;
        (*scratch).place = 0;
        standing::of_receiver(policy);
        learn::learn(&mut Lesson { policy, scratch, ifindex }, said) as u32
    }
}

const METHODS: u32 = METHOD_SLOTS as u32;
const RESPONSE: u32 = Content::Response.encode();
const REGISTER: u32 = Method::Register as u32;

/// Scans all lines of the header.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn reply_lines() -> u32 {
    if let Some(scratch) = maps::EGRESS.get_ptr_mut(0) {
        // SAFETY: this CPU's own memory, sealed.
        unsafe { payload::scan_all(scratch) }
    }
    0
}

/// Finds the end of the message, behind [`reply_lines`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn message_end() -> u32 {
    if let Some(scratch) = maps::EGRESS.get_ptr_mut(0) {
        // SAFETY: this CPU's own memory, sealed.
        unsafe { scan::scan_end(scratch) }
    }
    0
}

/// Reads a reply: status code and method by number. A status of 1 stands for
/// one that cannot be read.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn read_reply() -> u32 {
    let Some(scratch) = maps::EGRESS.get_ptr_mut(0) else {
        return 1;
    };
    // SAFETY: this CPU's own memory, sealed, with a response.
    unsafe {
        let status = identity::status(scratch).unwrap_or(1);
        let is_tcp = is_tcp(scratch);
        let need = learn::needed(status);
        if is_tcp || need == 0 {
            reply_lines();
        } else {
            payload::find(scratch, need);
        }
        if !identity::cseq(scratch) {
            // It answers no request.
            return 1;
        }
        let method = (*scratch).cseq_method;
        if is_tcp {
            message_end();
        } else if method == REGISTER && status / 100 == 2 {
            reply_lines();
        }
        status | method << 16
    }
}

/// Reads and counts a reply.
///
/// # Safety
/// The counters are this CPU's own.
#[inline(always)]
unsafe fn reply(replies: *mut Replies) -> Said {
    let read = read_reply();
    let (status, method) = (read & 0xffff, read >> 16);
    let class = opaque(u64::from(status / 100)) as usize & (STATUS_CLASSES - 1);
    // SAFETY: as the caller promises; the class is masked.
    unsafe {
        let counts = (&raw mut (*replies).by).cast::<u64>().add(class * METHOD_SLOTS);
        count_method(counts, method);
    }
    Said { status, method }
}

/// As the subprogram says.
#[inline(always)]
pub(crate) fn message(policy: &Policy, ifindex: u32) -> u32 {
    learn_message(policy, ifindex)
}
