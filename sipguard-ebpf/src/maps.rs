//! The maps. Names are part of the ABI: user space finds them by name.

use aya_ebpf::{
    Global,
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use sipguard_common::{
    abi::{
        self, Address, BANS, Ban, BanMade, Counters, Endpoint, Event, EventLimits, Failures,
        INTERFACE_SLOTS, Interfaces, Judged, ListEntry, ListKey, ListSizes, MAX_BLOCKED,
        MAX_TRUSTED, Nonce, PEERS as PEER_SLOTS, Policy, Ports, Record, Replies, SignatureName,
        Site, Source, TallySet, TapBuffer, TapSpec, TappedHead, Transaction, Verified,
    },
    automaton::SIGNATURE_SLOTS,
    method, networks,
    rule::RULE_SLOTS,
    scan::Scratch,
};

/// Entries are allocated as they are added: lists are large only where needed.
const NO_PREALLOC: usize = 1;

/// User space can map the values into its memory (Linux 5.5).
const MMAPABLE: usize = 1 << 10;

/// 1 under test and replay: time comes from [`CLOCK`], and each packet's
/// outcome is written to [`JUDGED`]. Read-only data, so that a normal load
/// carries none of it.
///
/// The value stands for no and occurs nowhere else: LLVM merges equal
/// constants, and a map key of 0 that shares its place with this would change
/// with it.
#[unsafe(no_mangle)]
static TEST: Global<u32> = Global::new(0x7e57_0ff0);

/// Whether this is a load for tests or replay.
#[inline(always)]
pub(crate) fn is_test() -> bool {
    TEST.load() == 1
}

/// The whole policy, replaced by replacing the inner map.
#[btf_map]
pub(crate) static POLICY: ArrayOfMaps<Array<Policy, 1>, 1> = ArrayOfMaps::new();

/// The inner maps of [`POLICY`], in turns. Made with the object and not when
/// they are needed, for Linux 6.1 takes no inner map that has no BTF where its
/// template has some.
#[btf_map]
static POLICY_A: Array<Policy, 1> = Array::new();
#[btf_map]
static POLICY_B: Array<Policy, 1> = Array::new();

/// Whose maps these are, for the next one who opens their pins.
#[btf_map]
static RECORD: Array<Record, 1> = Array::new();

#[btf_map]
pub(crate) static INTERFACES: Array<Interfaces, 1> = Array::new();

#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<Counters, INTERFACE_SLOTS> = PerCpuArray::new();

#[btf_map]
pub(crate) static LIST_SIZES: Array<ListSizes, 1> = Array::new();

/// The index of the lists, see [`networks`].
#[btf_map]
pub(crate) static NETWORKS: Array<networks::Chunk, { networks::CHUNKS }> = Array::new();

/// Which addresses are blocked in the IPv4 /24s of which the index says so.
#[btf_map]
pub(crate) static BLOCKED_BITS: Array<networks::Bits, { networks::PLACES as usize }> = Array::new();

#[btf_map]
pub(crate) static TRUSTED: HashMap<ListKey, ListEntry, MAX_TRUSTED, NO_PREALLOC> = HashMap::new();

#[btf_map]
pub(crate) static TRUSTED_PREFIX: LpmTrie<ListKey, ListEntry, MAX_TRUSTED> = LpmTrie::new();

#[btf_map]
pub(crate) static BLOCKED: HashMap<ListKey, ListEntry, MAX_BLOCKED, NO_PREALLOC> = HashMap::new();

#[btf_map]
pub(crate) static BLOCKED_PREFIX: LpmTrie<ListKey, ListEntry, MAX_BLOCKED> = LpmTrie::new();

/// What sipguard blocked by itself. A flood of made-up addresses evicts little:
/// of evidence that can be forged there is only as much as the strangers' budget
/// lets through.
#[btf_map]
pub(crate) static BANNED: LruHashMap<Endpoint, Ban, BANS> = LruHashMap::new();

/// [`abi::bans_made`]: until the first ban nobody looks for one.
#[btf_map]
pub(crate) static BANS_MADE: Array<u64, 1> = Array::new();

/// Who is verified. Written only on evidence that cannot be forged.
#[btf_map]
pub(crate) static ENDPOINTS: LruHashMap<Endpoint, Verified, { abi::ENDPOINTS }> = LruHashMap::new();

/// Who is verified on evidence that may be forged: a map of its own, so that a
/// flood of such never takes the room of the others.
#[btf_map]
pub(crate) static ENDPOINTS_UNPROVEN: LruHashMap<Endpoint, Verified, { abi::ENDPOINTS_UNPROVEN }> =
    LruHashMap::new();

/// Sources with verified endpoints.
#[btf_map]
pub(crate) static SITES: LruHashMap<Address, Site, { abi::SITES }> = LruHashMap::new();

/// A bit for each hash of an address that may be in one of the three above: a
/// stranger pays for one look-up, and not for three.
#[btf_map]
pub(crate) static KNOWN: Array<u64, { abi::KNOWN as usize }> = Array::new();

/// Refused requests by who sent them.
#[btf_map]
pub(crate) static FAILURES: LruHashMap<Endpoint, Failures, { abi::FAILURES }> = LruHashMap::new();

/// Key of the hashes of TRANSACTIONS, CHALLENGES, NONCES and GREYLIST, which user
/// space draws at each load: with another one, nothing in them is found any more.
#[btf_map]
pub(crate) static SEED: Array<u64, 1> = Array::new();

/// Requests with credentials that wait for their answer.
#[btf_map]
pub(crate) static TRANSACTIONS: Array<Transaction, { abi::TRANSACTIONS as usize }> = Array::new();

/// Nonces that the server has sent, and to whom.
#[btf_map]
pub(crate) static CHALLENGES: Array<u64, { abi::CHALLENGES as usize }> = Array::new();

/// The same nonces by themselves.
#[btf_map]
pub(crate) static NONCES: Array<Nonce, { abi::NONCES as usize }> = Array::new();

/// The server's first challenges, for CPUs that have sent none so far. Written
/// once.
#[btf_map]
pub(crate) static FIRST_TEMPLATES: Array<Scratch, 2> = Array::new();

/// The server's last challenge of a registration, and of anything else: the line
/// of the header in `bytes`, its length in `len`, the number of lines before it
/// in `lines`, and where its nonce is in `nonce_at`. Each CPU has its own, so that
/// none is read half written.
#[btf_map]
pub(crate) static TEMPLATES: PerCpuArray<Scratch, 2> = PerCpuArray::new();

/// Strangers' requests that shall come again.
#[btf_map]
pub(crate) static GREYLIST: Array<u64, { abi::GREYLIST as usize }> = Array::new();

/// Bans, for the daemon.
#[btf_map]
pub(crate) static BANS_TOLD: RingBuf<BanMade, { 64 * 1024 }> = RingBuf::new();

/// What leaves.
#[btf_map]
pub(crate) static REPLIES: PerCpuArray<Replies, INTERFACE_SLOTS> = PerCpuArray::new();

/// Working memory of the egress program.
#[btf_map]
pub(crate) static EGRESS: PerCpuArray<Scratch, 1> = PerCpuArray::new();

#[btf_map]
pub(crate) static PROTECTED: LpmTrie<ListKey, ListEntry, 65_536> = LpmTrie::new();

/// Buckets of strangers. The oldest make room for new ones.
#[btf_map]
pub(crate) static STRANGERS: LruHashMap<Address, Source, 131_072> = LruHashMap::new();

/// Buckets of strangers' networks.
#[btf_map]
pub(crate) static SUBNETS: LruHashMap<Address, u64, 65_536> = LruHashMap::new();

/// Ports that strangers send from, where a limit is set on them.
#[btf_map]
pub(crate) static PORTS: LruHashMap<Address, Ports, 65_536> = LruHashMap::new();

/// Buckets that all strangers share.
#[btf_map]
pub(crate) static BUDGETS: Array<u64, { method::BUDGETS }> = Array::new();

/// Bucket of the repeated requests of strangers.
#[btf_map]
pub(crate) static RESERVE: Array<u64, 1> = Array::new();

/// Buckets of trusted peers with a class, by number of the peer.
#[btf_map]
pub(crate) static PEERS: Array<u64, PEER_SLOTS> = Array::new();

/// Packets by slot of the signature that they matched.
#[btf_map]
pub(crate) static SIGNATURE_HITS: PerCpuArray<u64, SIGNATURE_SLOTS> = PerCpuArray::new();

/// The names of these signatures, for the next one who counts in their slots.
#[btf_map]
static SIGNATURE_NAMES: Array<SignatureName, SIGNATURE_SLOTS> = Array::new();

/// Events, for the daemon.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, { 256 * 1024 }> = RingBuf::new();

#[btf_map]
pub(crate) static EVENT_LIMITS: PerCpuArray<EventLimits, 1> = PerCpuArray::new();

/// Buckets of events by rule.
#[btf_map]
pub(crate) static EVENT_RULES: Array<u64, RULE_SLOTS> = Array::new();

/// Buckets of events by a hash of the source.
#[btf_map]
pub(crate) static EVENT_SOURCES: Array<u64, { abi::EVENT_SOURCES as usize }> = Array::new();

/// Who sends, and how much: user space reads it as memory.
#[btf_map]
pub(crate) static TALLIES: Array<TallySet, { abi::TALLY_SETS as usize }, MMAPABLE> = Array::new();

/// A [`abi::Tap::bit`] for each tap that is open.
#[btf_map]
pub(crate) static TAPPING: Array<u32, 1> = Array::new();

/// What each tap asks for.
#[btf_map]
pub(crate) static TAPS: Array<TapSpec, { abi::TAPS }> = Array::new();

/// Buckets of the taps.
#[btf_map]
pub(crate) static TAP_LIMITS: Array<u64, { abi::TAPS }> = Array::new();

#[btf_map]
pub(crate) static TAP_BUFFERS: PerCpuArray<TapBuffer, 1> = PerCpuArray::new();

/// Packets for the taps: each a head and the bytes of the frame.
#[btf_map]
pub(crate) static TAPPED: RingBuf<TappedHead, { 2 * 1024 * 1024 }> = RingBuf::new();

/// Working memory of the ingress program.
#[btf_map]
pub(crate) static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// The clock under test and replay, in nanoseconds.
#[btf_map]
pub(crate) static CLOCK: Array<u64, 1> = Array::new();

/// The last outcome under test and replay.
#[btf_map]
pub(crate) static JUDGED: Array<Judged, 1> = Array::new();
