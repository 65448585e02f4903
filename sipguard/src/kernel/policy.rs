//! The policy's map: one outer slot, a new inner map for each policy.

use aya::{
    Ebpf,
    maps::{Array, ArrayOfMaps, MapData},
};
use sipguard_common::abi::Policy;

use super::{ArrayMap, KernelError, typed};

type Bytes = [u8; size_of::<Policy>()];

/// A policy in kernel memory that no packet sees yet.
pub(super) struct Prepared(ArrayMap<Bytes>);

pub(super) struct PolicyMap {
    outer: ArrayOfMaps<MapData, ArrayMap<Bytes>>,
}

impl PolicyMap {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self { outer: typed(ebpf, "POLICY")? })
    }

    /// Copies a policy into the kernel, out of sight.
    pub(super) fn prepare(&self, bytes: &[u8]) -> Result<Prepared, KernelError> {
        let bytes: &Bytes = bytes.try_into().map_err(|_| KernelError::Missing {
            what: "policy of the size that the program expects in",
            name: "POLICY",
        })?;
        let mut inner = Array::create(1, 0).map_err(KernelError::map("making a policy map"))?;
        inner.set(0, bytes, 0).map_err(KernelError::map("writing the policy"))?;
        Ok(Prepared(inner))
    }

    /// From the next packet on, this policy holds. Waits until no packet is
    /// judged by the old one any more.
    pub(super) fn swap(&mut self, Prepared(inner): &Prepared) -> Result<(), KernelError> {
        self.outer.set(0, inner, 0).map_err(KernelError::map("swapping the policy"))
    }
}
