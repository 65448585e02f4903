//! Loading the object that the build put into this binary.

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    programs::{SchedClassifier, Xdp},
    util::KernelVersion,
};

use super::{KernelError, LogLevel, btf, features, pins::Next};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sipguard.o"));

const INGRESS: &str = "sipguard_ingress";
/// As long as the kernel keeps of a name.
pub(super) const EGRESS: &str = "sipguard_egress";

/// What a load is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// With the lines of the program's own log up to this level.
    Protect(LogLevel),
    /// Time comes from a map, outcomes go to a map.
    Test,
}

/// Whether there is an object.
pub(super) fn is_there() -> bool {
    !OBJECT.is_empty()
}

/// The object itself.
pub(super) fn bytes() -> &'static [u8] {
    OBJECT
}

/// Loads maps and programs into the kernel.
pub(super) fn load(purpose: Purpose) -> Result<Ebpf, KernelError> {
    load_with(purpose, None)
}

/// The same with maps that an earlier load has left, and pins for all of them.
pub(super) fn load_with(purpose: Purpose, pins: Option<&Next>) -> Result<Ebpf, KernelError> {
    if !is_there() {
        return Err(KernelError::NoObject);
    }
    features::check()?;
    let log = match purpose {
        Purpose::Protect(level) => level as u8,
        Purpose::Test => LogLevel::Off as u8,
    };
    let mut loader = EbpfLoader::new();
    // Read-only data: what is off is not even loaded.
    loader.override_global(aya_log::LEVEL, &log, true);
    if purpose == Purpose::Test {
        loader.override_global("TEST", &1u32, true);
    }
    // Without them, as on a kernel without types, nobody is banned for a
    // signature, for nothing proves whose it is.
    let offsets = btf::offsets("tcp_sock", ["rcv_nxt", "snd_nxt"]);
    if let Some([rcv_nxt, snd_nxt]) = &offsets {
        loader.override_global("RCV_NXT", rcv_nxt, true);
        loader.override_global("SND_NXT", snd_nxt, true);
    }
    if let Some(pins) = pins {
        pins.offer(&mut loader);
    }
    let mut ebpf = loader.load(OBJECT).map_err(KernelError::load)?;
    ingress(&mut ebpf)?.load().map_err(KernelError::program("loading the ingress program"))?;
    egress(&mut ebpf)?.load().map_err(KernelError::program("loading the egress program"))?;
    Ok(ebpf)
}

/// The ingress program.
pub(super) fn ingress(ebpf: &mut Ebpf) -> Result<&mut Xdp, KernelError> {
    ebpf.program_mut(INGRESS)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| missing(INGRESS))
}

/// The ingress program, to run and not to change.
pub(super) fn ingress_ref(ebpf: &Ebpf) -> Result<&Xdp, KernelError> {
    ebpf.program(INGRESS)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| missing(INGRESS))
}

/// The egress program.
pub(super) fn egress(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, KernelError> {
    ebpf.program_mut(EGRESS)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| missing(EGRESS))
}

/// The egress program, to run and not to change.
pub(super) fn egress_ref(ebpf: &Ebpf) -> Result<&SchedClassifier, KernelError> {
    ebpf.program(EGRESS).and_then(|program| program.try_into().ok()).ok_or_else(|| missing(EGRESS))
}

const fn missing(name: &'static str) -> KernelError {
    KernelError::Missing { what: "program", name }
}

/// Instructions that the verifier may walk at most, in each of the programs.
/// The kernel's limit is a million; what grows past this has lost its shape.
/// Verifiers before Linux 6.12 prune less, and walk more.
#[must_use]
pub fn instruction_budget() -> u32 {
    match KernelVersion::current() {
        Ok(version) if version < KernelVersion::new(6, 12, 0) => 300_000,
        _ => 120_000,
    }
}

/// How large a loaded program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Instructions that the verifier walked.
    pub verified_instructions: u32,
    /// Bytes of BPF instructions.
    pub translated_bytes: u32,
    /// Bytes of machine code.
    pub jited_bytes: u32,
}

/// How large the loaded programs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramInfos {
    pub ingress: ProgramInfo,
    pub egress: ProgramInfo,
}

impl ProgramInfos {
    /// Each with its name.
    #[must_use]
    pub const fn named(self) -> [(&'static str, ProgramInfo); 2] {
        [("ingress", self.ingress), ("egress", self.egress)]
    }
}

pub(super) fn infos(ebpf: &Ebpf) -> Result<ProgramInfos, KernelError> {
    let context = || KernelError::program("reading a program's sizes");
    let ingress = ingress_ref(ebpf)?.info().map_err(context())?;
    let egress = egress_ref(ebpf)?.info().map_err(context())?;
    Ok(ProgramInfos { ingress: sizes(&ingress), egress: sizes(&egress) })
}

fn sizes(info: &aya::programs::ProgramInfo) -> ProgramInfo {
    ProgramInfo {
        verified_instructions: info.verified_instruction_count().unwrap_or(0),
        translated_bytes: info.size_translated().unwrap_or(0),
        jited_bytes: info.size_jitted(),
    }
}
