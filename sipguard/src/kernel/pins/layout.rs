//! Whether a pinned map is what this binary takes it for. The library would use
//! any map that it finds.

use std::collections::HashMap;

use aya::maps::{MapData, MapInfo, MapType};
use aya_obj::{Map, Object};
use sipguard_common::abi::Record;

use crate::kernel::{KernelError, object};

/// The maps of the object that the build put into this binary.
pub(super) fn of_object() -> Result<HashMap<String, Map>, KernelError> {
    let object = Object::parse(object::bytes())
        .map_err(|error| KernelError::Refused(format!("its object cannot be read: {error}")))?;
    Ok(object.maps)
}

/// How a map differs from one of the object, in words.
pub(super) fn wrong(found: &MapData, wanted: &Map) -> Result<Option<String>, KernelError> {
    let info = info(found)?;
    let kind = |info: &MapInfo| info.map_type().map(|kind| kind as u32).unwrap_or_default();
    let pairs = [
        ("type", kind(&info), wanted.map_type()),
        ("key size", info.key_size(), wanted.key_size()),
        ("value size", info.value_size(), wanted.value_size()),
        ("capacity", info.max_entries(), wanted.max_entries()),
    ];
    Ok(pairs
        .into_iter()
        .find(|(_, found, wanted)| found != wanted)
        .map(|(what, found, wanted)| format!("another {what}: {found}, not {wanted}")))
}

/// Whether the record cannot be read, and why.
pub(super) fn wrong_record(found: &MapData) -> Result<Option<String>, KernelError> {
    let info = info(found)?;
    let right = info.map_type().is_ok_and(|kind| kind == MapType::Array)
        && info.value_size() as usize == size_of::<Record>();
    Ok((!right).then(|| "they do not say whose they are".to_owned()))
}

fn info(map: &MapData) -> Result<MapInfo, KernelError> {
    map.info().map_err(KernelError::map("asking for a map's layout"))
}
