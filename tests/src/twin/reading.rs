//! What the twin reads of a message, beside what the decision itself reads.

use sipguard_common::{
    abi::Address,
    scan::{
        SCAN_CALLS, Scratch,
        identity::{self, mix},
        kind,
    },
};

use super::state::NonceHash;

/// Scratch memory with a message, sealed and its lines scanned, and the key of
/// the hashes.
pub(super) struct Reader<'s> {
    pub(super) scratch: &'s mut Scratch,
    pub(super) key: u64,
}

impl Reader<'_> {
    fn seed(&self, address: Address) -> u64 {
        let Address([head, tail]) = address;
        mix(mix(self.key, head), tail)
    }

    /// A hash of the Call-ID and an address.
    pub(super) fn hash_call_id(&mut self, address: Address) -> Option<u64> {
        let (seed, scratch) = (self.seed(address), &raw mut *self.scratch);
        // SAFETY: the scratch memory is borrowed, sealed and scanned.
        unsafe { identity::hash_call_id(scratch, seed).then(|| (*scratch).hash) }
    }

    /// The method of CSeq, by number.
    pub(super) fn cseq(&mut self) -> Option<u32> {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        unsafe { identity::cseq(scratch).then(|| (*scratch).cseq_method) }
    }

    /// Which transaction the message belongs to.
    pub(super) fn tag(&mut self, client: Address) -> Option<u64> {
        self.cseq()?;
        let hash = self.hash_call_id(client)?;
        // SAFETY: CSeq was read.
        let number = unsafe { identity::cseq_word(&raw const *self.scratch) };
        Some(mix(hash, number) | 1)
    }

    /// A hash of the account that the message is about.
    pub(super) fn account(&mut self, seed: u64) -> Option<u64> {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        unsafe {
            (*scratch).hash = seed;
            identity::hash_header(scratch, kind::TO).then(|| (*scratch).hash)
        }
    }

    /// A hash of the response in the credentials, of which the parameters were
    /// read; 0 where there is none.
    pub(super) fn response(&mut self) -> u64 {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        unsafe { if identity::hash_response(scratch, self.key) { (*scratch).hash } else { 0 } }
    }

    /// Seconds that a registration was granted for, if the message says so.
    pub(super) fn granted(&mut self) -> u32 {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        unsafe {
            if identity::seconds_begin(scratch) {
                let _ = (0..SCAN_CALLS).any(|_| identity::seconds_call(scratch));
            }
            (*scratch).seconds
        }
    }

    /// The parameters of the first header of a kind; `None` where there is none.
    fn parameters(&mut self, kind: u32) -> Option<()> {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        unsafe {
            identity::parameters_begin(scratch, kind).then(|| {
                let _ = (0..SCAN_CALLS).any(|_| identity::parameters_call(scratch));
            })
        }
    }

    /// The hashes of the nonce that was found, for an address.
    fn nonce(&mut self, client: Address) -> Option<NonceHash> {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        let hash = unsafe { identity::hash_nonce(scratch, self.key).then(|| (*scratch).hash) }?;
        let Address([head, tail]) = client;
        Some(NonceHash { owned: mix(mix(hash, head), tail) | 1, itself: hash | 1 })
    }

    /// Of a request with credentials, the nonce in them, if any.
    pub(super) fn credentials(&mut self, client: Address) -> Option<Option<NonceHash>> {
        self.parameters(kind::CREDENTIALS)?;
        Some(self.nonce(client))
    }

    /// Of a challenge, its nonce, if any, and whether it says that the old one was
    /// stale.
    pub(super) fn challenge(&mut self, client: Address) -> Option<(Option<NonceHash>, bool)> {
        self.parameters(kind::CHALLENGE)?;
        let nonce = self.nonce(client);
        Some((nonce, self.scratch.stale != 0))
    }
}
