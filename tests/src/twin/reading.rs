//! What the twin reads of a message, beside what the decision itself reads.

use sipguard_common::{
    abi::Address,
    scan::{
        SCAN_CALLS, Scratch,
        identity::{self, mix},
        kind,
    },
};

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

    /// Number and method of CSeq.
    pub(super) fn cseq(&mut self) -> Option<(u32, u32)> {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        unsafe { identity::cseq(scratch).then(|| ((*scratch).cseq, (*scratch).cseq_method)) }
    }

    /// Which transaction the message belongs to.
    pub(super) fn tag(&mut self, client: Address) -> Option<u64> {
        let (number, _) = self.cseq()?;
        Some(mix(self.hash_call_id(client)?, u64::from(number)) | 1)
    }

    /// A hash of the account that a registration is about.
    pub(super) fn account(&mut self) -> Option<u64> {
        let scratch = &raw mut *self.scratch;
        // SAFETY: as above.
        unsafe { identity::hash_account(scratch, 1).then(|| (*scratch).hash) }
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

    /// A hash of the nonce that was found, and of an address.
    fn nonce(&mut self, client: Address) -> Option<u64> {
        let (seed, scratch) = (self.seed(client), &raw mut *self.scratch);
        // SAFETY: as above.
        unsafe { identity::hash_nonce(scratch, seed).then(|| (*scratch).hash | 1) }
    }

    /// Of a request with credentials, a hash of the nonce in them, if any.
    pub(super) fn credentials(&mut self, client: Address) -> Option<Option<u64>> {
        self.parameters(kind::CREDENTIALS)?;
        Some(self.nonce(client))
    }

    /// Of a challenge, a hash of its nonce, if any, and whether it says that the
    /// old one was stale.
    pub(super) fn challenge(&mut self, client: Address) -> Option<(Option<u64>, bool)> {
        self.parameters(kind::CHALLENGE)?;
        let nonce = self.nonce(client);
        Some((nonce, self.scratch.stale != 0))
    }
}
