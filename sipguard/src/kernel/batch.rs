//! Many entries of a map with one system call, for which the library has
//! nothing: one by one, a hundred thousand take a second.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr,
};

use aya::{Pod, maps::MapData};
use nix::{errno::Errno, libc};

/// BPF_MAP_LOOKUP_BATCH of `enum bpf_cmd` in linux/bpf.h: from Linux 5.6 on, for
/// arrays of each CPU from 5.13 on.
const LOOKUP_BATCH: u32 = 24;

/// Entries of the first call.
const CHUNK: usize = 4_096;

/// The `batch` of `union bpf_attr` in linux/bpf.h; pointers are numbers.
#[derive(Default)]
#[repr(C)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Reads through one map.
struct Walk<'a> {
    map: &'a MapData,
    key_bytes: usize,
    value_bytes: usize,
    /// Where the next call goes on; the kernel's own affair, of at most a key's
    /// length for arrays and four bytes for hashes.
    place: Option<u64>,
}

/// Keys and values of one call, one behind the other.
struct Batch {
    keys: Vec<u8>,
    values: Vec<u8>,
    count: usize,
    is_last: bool,
}

impl Walk<'_> {
    /// At most `room` entries; an error of ENOSPC where not even one bucket of a
    /// hash has room.
    fn next(&mut self, room: usize) -> io::Result<Batch> {
        let (mut keys, mut values) =
            (vec![0; room * self.key_bytes], vec![0; room * self.value_bytes]);
        let mut out = 0_u64;
        let mut attributes = Attributes {
            in_batch: self.place.as_ref().map_or(0, |place| ptr::from_ref(place) as u64),
            out_batch: &raw mut out as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(room).map_err(io::Error::other)?,
            map_fd: self.map.fd().as_fd().as_raw_fd().cast_unsigned(),
            ..Attributes::default()
        };
        // SAFETY: the attributes are those of this command; what they point to
        // lives until its end and has room for as many entries as they say.
        let done = unsafe {
            libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, &raw mut attributes, size_of::<Attributes>())
        };
        let is_last = match Errno::result(done) {
            Ok(_) => false,
            Err(Errno::ENOENT) => true,
            Err(errno) => return Err(errno.into()),
        };
        self.place = Some(out);
        Ok(Batch { keys, values, count: attributes.count as usize, is_last })
    }
}

/// Every entry of a hash that packets change meanwhile.
pub(super) fn entries<K: Pod, V: Pod>(map: &MapData) -> io::Result<Vec<(K, V)>> {
    let (key_bytes, value_bytes) = (size_of::<K>(), size_of::<V>());
    let mut walk = Walk { map, key_bytes, value_bytes, place: None };
    let (mut all, mut room) = (Vec::new(), CHUNK);
    loop {
        let batch = match walk.next(room) {
            Ok(batch) => batch,
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                room *= 2;
                continue;
            }
            Err(error) => return Err(error),
        };
        let keys = batch.keys.chunks_exact(key_bytes).map(read::<K>);
        let values = batch.values.chunks_exact(value_bytes).map(read::<V>);
        all.extend(keys.zip(values).take(batch.count));
        if batch.is_last {
            return Ok(all);
        }
    }
}

/// The first value of an array, too large for a stack.
pub(super) fn value(map: &MapData, bytes: usize) -> io::Result<Vec<u8>> {
    let key_bytes = size_of::<u32>();
    let mut walk = Walk { map, key_bytes, value_bytes: bytes, place: None };
    Ok(walk.next(1)?.values)
}

/// The first entries of an array.
pub(super) fn values<V: Pod>(map: &MapData, first: usize) -> io::Result<Vec<V>> {
    let value_bytes = size_of::<V>();
    let mut walk = Walk { map, key_bytes: size_of::<u32>(), value_bytes, place: None };
    let mut all = Vec::with_capacity(first);
    while all.len() < first {
        let batch = walk.next(first - all.len())?;
        all.extend(batch.values.chunks_exact(value_bytes).take(batch.count).map(read::<V>));
        if batch.is_last {
            break;
        }
    }
    Ok(all)
}

/// The first entries of an array of counters, each summed over CPUs.
pub(super) fn sums(map: &MapData, first: usize, cpus: usize) -> io::Result<Vec<u64>> {
    let value_bytes = cpus * size_of::<u64>();
    let mut walk = Walk { map, key_bytes: size_of::<u32>(), value_bytes, place: None };
    let mut all = Vec::with_capacity(first);
    while all.len() < first {
        let batch = walk.next(first - all.len())?;
        let counters = batch.values.chunks_exact(value_bytes).take(batch.count);
        all.extend(counters.map(|cpus| -> u64 { cpus.chunks_exact(8).map(read::<u64>).sum() }));
        if batch.is_last {
            break;
        }
    }
    Ok(all)
}

/// A value of so many bytes.
fn read<T: Pod>(bytes: &[u8]) -> T {
    debug_assert_eq!(bytes.len(), size_of::<T>());
    // SAFETY: there are as many bytes, and each pattern of them is a value.
    unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) }
}
