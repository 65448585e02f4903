//! What the server's own messages teach: who is a customer, who guesses
//! passwords, and who only tries out accounts. And which replies strangers get.

use crate::{
    abi::{
        Auth, Failures, Learned, Policy, SITE_DAY_NS, SITE_WORDS, Site, VERIFIED_MIN_NS, Verified,
        how, stealth,
    },
    decide::standing,
    method::Method,
    rule::Rule,
    scan::kind,
};

/// What a message that leaves a protected port says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The status code; 0 for a request of the server's own.
    pub status: u32,
    /// The [`Method`] of the request, or of the one that is answered, by number.
    pub method: u32,
}

/// The headers that are needed of a reply with a status code, a bit for each
/// [`kind`], CSeq and Call-ID at most; 0 stands for all: not more than that is
/// read. A registration that succeeds needs all, too, but that is seen only in its
/// CSeq.
#[inline(always)]
#[must_use]
pub const fn needed(status: u32) -> u32 {
    const CSEQ: u32 = 1 << kind::CSEQ;
    const CALL_ID: u32 = 1 << kind::CALL_ID;
    match status {
        401 | 407 => 0,
        200..=299 | 400..=499 | 604 => CSEQ | CALL_ID,
        _ => CSEQ,
    }
}

/// What becomes of a message that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fate {
    Leaves = 0,
    /// It becomes a challenge, or where that cannot be, is dropped.
    Challenge = 1,
    Dropped = 2,
}

/// A request with credentials that the message answers for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Whether its nonce was sent to where it came from.
    pub is_known: bool,
    /// And to nobody else: then whoever sent it has seen the challenge.
    pub is_proven: bool,
    /// And it was made up by sipguard: the server will call it stale.
    pub is_forged: bool,
}

/// What a lesson may ask for and change. All of it is about the endpoint that
/// the message goes to, which is not trusted.
pub trait Lessons {
    /// The policy in force.
    fn policy(&self) -> &Policy;
    /// Counts something that was learned.
    fn count(&mut self, what: Learned);
    /// The [`standing`] of the endpoint.
    fn standing(&self) -> u32;
    /// Whether the message goes over TCP: then the endpoint is no forged one.
    fn is_tcp(&self) -> bool;
    /// The request with credentials that this message answers; each is given
    /// once only.
    fn noted(&mut self) -> Option<Noted>;
    /// Remembers the nonce of the challenge in this message, and tells whether it
    /// says that only the old nonce was stale (RFC 7616 section 3.3).
    fn is_stale(&mut self) -> bool;
    /// Seconds that a registration was granted for;
    /// [`crate::scan::identity::NO_SECONDS`] where the message does not say.
    fn granted(&mut self) -> u32;
    /// Makes the endpoint a verified one.
    fn verify(&mut self, is_proven: bool, how: u32, span_ns: u64);
    /// Ends that, where it is one.
    fn end(&mut self);
    /// Forgets what was refused to the endpoint and its source.
    fn succeed(&mut self);
    /// Gives a try back to the source: [`Auth::tries`].
    fn give_back(&mut self, is_proven: bool);
    /// Counts a wrong password, and bans where that was one too many.
    fn fail(&mut self, status: u32);
    /// Counts a challenge or an unknown user, likewise.
    fn harvest(&mut self, status: u32);
}

/// Learns from a message and says what becomes of it.
#[inline(always)]
pub fn learn<L: Lessons>(lessons: &mut L, said: Said) -> Fate {
    if said.status == 0 {
        lessons.verify(true, how::CONTACTED, VERIFIED_MIN_NS);
        return Fate::Leaves;
    }
    match said.status {
        200..=299 => accepted(lessons, said),
        401 | 407 => {
            let gives_away = refused(lessons, said.status);
            if gives_away && hides(lessons) {
                return Fate::Challenge;
            }
        }
        403 if is_about_the_password(lessons, said) => {
            refused(lessons, said.status);
        }
        // Who has no account cannot know its password.
        404 if said.method == REGISTER => {
            refused(lessons, said.status);
        }
        403 | 404 | 410 | 484 | 485 | 604 => {
            lessons.noted();
            stray(lessons, said.status);
        }
        _ => {}
    }
    fate(lessons, said)
}

const INVITE: u32 = Method::Invite as u32;
const REGISTER: u32 = Method::Register as u32;
const SECOND_NS: u64 = 1_000_000_000;

/// Whether a success says that the password was right: nobody is asked for one
/// where a call is cancelled, or where somebody only wants to know who is there.
#[inline(always)]
const fn asks_for_the_password(method: u32) -> bool {
    const SUBSCRIBE: u32 = Method::Subscribe as u32;
    const PUBLISH: u32 = Method::Publish as u32;
    matches!(method, REGISTER | INVITE | SUBSCRIBE..=PUBLISH)
}

#[inline(always)]
fn accepted<L: Lessons>(lessons: &mut L, said: Said) {
    let noted = lessons.noted();
    // A password that is right is no forgery, though others know the nonce.
    let is_proven = lessons.is_tcp() || noted.is_some_and(|noted| noted.is_known);
    if noted.is_some() && asks_for_the_password(said.method) {
        lessons.succeed();
    }
    if said.method == REGISTER {
        let seconds = lessons.granted();
        if seconds == 0 {
            lessons.end();
            return;
        }
        let span_ns = u64::from(seconds) * SECOND_NS;
        // Also where the reply does not say.
        let is_short = seconds == u32::MAX || span_ns < VERIFIED_MIN_NS;
        let span_ns = if is_short { VERIFIED_MIN_NS } else { span_ns };
        lessons.verify(is_proven, how::REGISTER, span_ns);
    } else if said.method == INVITE {
        lessons.verify(is_proven, how::INVITE, VERIFIED_MIN_NS);
    } else if standing::is_verified(lessons.standing()) {
        // It goes on: a session refresh, a subscription, the end of a call.
        lessons.verify(is_proven, how::INVITE, VERIFIED_MIN_NS);
    }
}

/// Customers dial what is forbidden to them.
#[inline(always)]
fn is_about_the_password<L: Lessons>(lessons: &L, said: Said) -> bool {
    said.method == REGISTER || !standing::is_verified(lessons.standing())
}

/// Whether replies to the endpoint are such that it cannot tell accounts apart.
#[inline(always)]
fn hides<L: Lessons>(lessons: &L) -> bool {
    let policy = lessons.policy();
    policy.stealth == stealth::CHALLENGES
        && policy.enforced & Rule::Stealth.bit() != 0
        && !lessons.is_tcp()
        && !standing::is_verified(lessons.standing())
}

/// True where the reply gives away that a challenge was made up.
#[inline(always)]
fn refused<L: Lessons>(lessons: &mut L, status: u32) -> bool {
    let is_challenge = status == 401 || status == 407;
    let is_stale = is_challenge && lessons.is_stale();
    match lessons.noted() {
        // It knew the password, but not the newest nonce.
        Some(noted) if is_stale && !noted.is_forged => lessons.give_back(noted.is_proven),
        Some(noted) if noted.is_proven || lessons.is_tcp() => {
            lessons.count(Learned::Failure);
            lessons.fail(status);
            return is_stale && noted.is_forged;
        }
        Some(_) => {
            lessons.count(Learned::Unproven);
            stray(lessons, status);
        }
        None => stray(lessons, status),
    }
    false
}

#[inline(always)]
fn stray<L: Lessons>(lessons: &mut L, status: u32) {
    if lessons.standing() == standing::STRANGER {
        lessons.count(Learned::Harvest);
        lessons.harvest(status);
    }
}

/// Whether a registration that is refused needs to know why: it is too short
/// (423), or belongs somewhere else (3xx). Both come behind the password
/// (RFC 3261 section 10.3), or to everybody, and tell nothing of accounts.
#[inline(always)]
const fn helps_to_register(said: Said) -> bool {
    said.method == REGISTER && matches!(said.status, 300..=399 | 423)
}

/// What becomes of a reply.
#[inline(always)]
fn fate<L: Lessons>(lessons: &mut L, said: Said) -> Fate {
    let policy = lessons.policy();
    if policy.stealth == stealth::ALL
        // A segment that is lost is sent again and again, and its connection
        // stalls.
        || lessons.is_tcp()
        || standing::is_verified(lessons.standing())
    {
        return Fate::Leaves;
    }
    let fate = if policy.stealth == stealth::NONE {
        Fate::Dropped
    } else if said.status < 300 || matches!(said.status, 401 | 407) || helps_to_register(said) {
        Fate::Leaves
    } else {
        Fate::Challenge
    };
    if fate == Fate::Leaves || policy.enforced & Rule::Stealth.bit() != 0 {
        return fate;
    }
    if policy.observed & Rule::Stealth.bit() != 0 {
        lessons.count(Learned::StealthWould);
    }
    Fate::Leaves
}

impl Verified {
    /// Accepted once more, at this time, for at least this long.
    #[inline(always)]
    pub fn renew(&mut self, now_ns: u64, how: u32, span_ns: u64) {
        let expires_ns = now_ns + span_ns;
        if self.expires_ns <= now_ns {
            self.since_ns = now_ns;
            self.how = how;
        }
        // A new registration may be shorter than the one before it.
        if how == how::REGISTER || self.expires_ns < expires_ns {
            self.expires_ns = expires_ns;
        }
        if how == how::REGISTER {
            self.how = how;
        }
    }
}

/// Accounts from which on limits are raised by one bit, two, three..., as bits
/// of a bitmap of 256 that so many hashes set: 256 x (1 - e^(-n/256)) for
/// n = 2^bits - 1.
const STEPS: [u32; 10] = [1, 3, 7, 15, 29, 56, 100, 161, 221, 251];

impl Site {
    /// An account was accepted, or, without one, an endpoint.
    #[inline(always)]
    pub fn accept(&mut self, now_ns: u64, until_ns: u64, hash: u64) {
        if now_ns.wrapping_sub(self.since_ns) >= SITE_DAY_NS {
            let is_next = now_ns.wrapping_sub(self.since_ns) < 2 * SITE_DAY_NS;
            let mut i = 0;
            while i < SITE_WORDS {
                self.before[i] = if is_next { self.seen[i] } else { 0 };
                self.seen[i] = 0;
                i += 1;
            }
            self.since_ns = now_ns;
        }
        if self.until_ns < until_ns {
            self.until_ns = until_ns;
        }
        let (word, bit) = (hash >> 62, 1 << (hash >> 56 & 63));
        let mut set = 0;
        let mut i = 0;
        while i < SITE_WORDS {
            // Not by index: the kernel would have to check it.
            if i as u64 == word {
                self.seen[i] |= bit;
            }
            set += ones(self.seen[i] | self.before[i]);
            i += 1;
        }
        self.shift = shift(set);
    }
}

/// By how many bits limits are raised where so many bits of the bitmap are set.
const fn shift(set: u32) -> u32 {
    let mut shift = 0;
    let mut i = 0;
    while i < STEPS.len() {
        if set >= STEPS[i] {
            shift = i as u32 + 1;
        }
        i += 1;
    }
    shift
}

/// Bits that are set, without an instruction for that.
#[inline(always)]
const fn ones(word: u64) -> u32 {
    let word = word - (word >> 1 & 0x5555_5555_5555_5555);
    let word = (word & 0x3333_3333_3333_3333) + (word >> 2 & 0x3333_3333_3333_3333);
    let word = (word + (word >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    (word.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u32
}

/// Wrong passwords in an hour that ban: so many times those of a window. Who
/// stays just below the window's is found by this.
const HOURLY: u32 = 3;
const HOUR_NS: u64 = 3600 * SECOND_NS;

/// Challenges and unknown users of a whole source that ban: so many times those
/// of one endpoint. An office of strangers gets one for each of its phones.
pub const SOURCE_HARVEST: u32 = 10;

impl Failures {
    /// Begins new windows where the old ones are over.
    #[inline(always)]
    fn roll(&mut self, now_ns: u64, auth: &Auth) {
        if now_ns.wrapping_sub(self.since_ns) >= auth.window_ns {
            self.since_ns = now_ns;
            self.count = 0;
            self.harvest = 0;
        }
        if now_ns.wrapping_sub(self.hour_since_ns) >= HOUR_NS {
            self.hour_since_ns = now_ns;
            self.hour = 0;
        }
    }

    /// A wrong password. Gives how many there were in the window, or in the
    /// hour, where that is one too many; else 0. Two CPUs at once may count one
    /// for two.
    #[inline(always)]
    pub fn fail(&mut self, now_ns: u64, auth: &Auth) -> u32 {
        self.roll(now_ns, auth);
        self.count += 1;
        self.hour += 1;
        if auth.failures == 0 {
            return 0;
        }
        let over = if self.count >= auth.failures {
            self.count
        } else if self.hour >= HOURLY * auth.failures {
            self.hour
        } else {
            return 0;
        };
        // Whoever comes back from a ban has a window of his own, but not an
        // hour.
        self.count = 0;
        over
    }

    /// A challenge or an unknown user. Gives how many there were in the window
    /// where that is over `max`, which is 0 for any number; else 0.
    #[inline(always)]
    pub fn harvest(&mut self, now_ns: u64, auth: &Auth, max: u32) -> u32 {
        self.roll(now_ns, auth);
        self.harvest += 1;
        let over = self.harvest;
        if max == 0 || over < max {
            return 0;
        }
        // Whoever comes back from a ban has a few tries: it may be a phone in
        // the name of which somebody else was asking.
        self.harvest = max - max / 8 - 1;
        over
    }

    /// Nothing was refused.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.count = 0;
        self.harvest = 0;
        self.hour = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Limit;

    const S: u64 = 1_000_000_000;
    const AUTH: Auth = Auth {
        failures: 5,
        harvest: 30,
        window_ns: 600 * S,
        unproven_ban_ns: 60 * S,
        tries: [Limit::UNLIMITED; 2],
    };

    /// N08: whatever the pace, with bans of ten minutes and without any memory
    /// of offenders.
    #[test]
    fn n08_eighteen_guesses_an_hour_at_most() {
        for gap in [S / 10, S, 30 * S, 100 * S, 121 * S, 149 * S, 151 * S, 199 * S, 201 * S] {
            let (mut failures, mut banned_until) = (Failures::default(), 0);
            let mut guesses = Vec::new();
            let mut now = 1_000_000 * S;
            while now < 1_000_000 * S + 4 * HOUR_NS {
                if now >= banned_until {
                    guesses.push(now);
                    if failures.fail(now, &AUTH) != 0 {
                        banned_until = now + 600 * S;
                    }
                }
                now += gap;
            }
            let most = guesses
                .iter()
                .map(|from| {
                    guesses.iter().filter(|at| (*from..from + HOUR_NS).contains(at)).count()
                })
                .max();
            assert!(most <= Some(24), "{gap}: {most:?}");
            let first = guesses.iter().filter(|at| **at < 1_000_000 * S + HOUR_NS).count();
            assert!(first <= 18, "{gap}: {first}");
        }
    }

    #[test]
    fn l05_four_wrong_and_a_right_one() {
        let mut failures = Failures::default();
        for round in 0..100 {
            for i in 0..4 {
                assert_eq!(failures.fail(S * (round * 10 + i), &AUTH), 0);
            }
            failures.clear();
        }
    }

    #[test]
    fn a_site_is_as_large_as_its_accounts() {
        for (accounts, low, high) in
            [(1, 1, 1), (2, 1, 2), (10, 3, 4), (100, 6, 7), (500, 8, 9), (2000, 10, 10)]
        {
            let mut site = Site::default();
            let mut hash = 0x1234_5678_9abc_def1_u64;
            for _ in 0..accounts {
                hash = crate::scan::identity::mix(hash, 0x9e37);
                site.accept(S, 300 * S, hash);
                site.accept(2 * S, 300 * S, hash);
            }
            assert!((low..=high).contains(&site.shift), "{accounts}: {}", site.shift);
        }
    }

    #[test]
    fn a_site_is_remembered_for_a_day_and_no_more_than_two() {
        let mut site = Site::default();
        (0..100).for_each(|i| site.accept(SITE_DAY_NS * 9, S, crate::scan::identity::mix(i, 7)));
        let (day, of_hundred) = (SITE_DAY_NS, site.shift);
        site.accept(day * 10, S, 0);
        assert_eq!(site.shift, of_hundred);
        site.accept(day * 11, S, 0);
        assert_eq!(site.shift, 1);
        assert!(site.is_remembered(day * 12) && !site.is_remembered(day * 13));
    }

    #[test]
    fn a_registration_may_be_renewed_for_less() {
        let mut verified = Verified::default();
        verified.renew(S, how::REGISTER, 3600 * S);
        verified.renew(2 * S, how::INVITE, 300 * S);
        assert_eq!((verified.expires_ns, verified.how), (3601 * S, how::REGISTER));
        verified.renew(3 * S, how::REGISTER, 300 * S);
        assert_eq!((verified.expires_ns, verified.since_ns), (303 * S, S));
    }
}
