//! Maps by their names, wherever they come from.

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
};

use super::KernelError;

/// An object that was loaded, or pins that an earlier load has left.
pub(super) trait Maps {
    /// Gives a map away.
    fn take(&mut self, name: &'static str) -> Result<Map, KernelError>;
}

impl Maps for Ebpf {
    fn take(&mut self, name: &'static str) -> Result<Map, KernelError> {
        self.take_map(name).ok_or(KernelError::Missing { what: "map", name })
    }
}

/// A typed map by its name.
pub(super) fn typed<T>(maps: &mut impl Maps, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = MapError>,
{
    T::try_from(maps.take(name)?).map_err(KernelError::map("opening a map"))
}

/// A look into a map that stays where it is: for state that only the kernel
/// program writes.
pub(super) fn view<'a, T>(ebpf: &'a Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<&'a Map, Error = MapError>,
{
    let map = ebpf.map(name).ok_or(KernelError::Missing { what: "map", name })?;
    T::try_from(map).map_err(KernelError::map("opening a map"))
}

pub(super) type ArrayMap<V> = aya::maps::Array<MapData, V>;
