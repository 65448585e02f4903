//! The XDP programs of the package `bench-ebpf`.

use std::{fs, io, net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{HashMap, Map},
    programs::{TestRun as _, TestRunOptions, Xdp, XdpMode},
};
use nix::net::if_::if_nametoindex;

use crate::rig::{
    lab::{Lab, WAN},
    tool::Tool,
};

/// A program that sipguard is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yardstick {
    Drop,
    Pass,
    SourceHash,
}

impl Yardstick {
    const fn program(self) -> &'static str {
        match self {
            Self::Drop => "drop_all",
            Self::Pass => "pass_all",
            Self::SourceHash => "source_hash",
        }
    }
}

/// The object with all programs; none of them runs until it is asked for.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
}

impl Programs {
    /// Takes the object that `cargo xtask bench` and `test` build.
    ///
    /// # Errors
    /// Where it is missing or the kernel refuses it.
    pub fn load() -> Result<Self> {
        let path = Tool::BenchObject.path()?;
        let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { ebpf: Ebpf::load(&object).context("the programs of the benchmarks")? })
    }

    /// A program of it, loaded into the kernel.
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub fn program(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("loading {name}"))?;
        }
        Ok(program)
    }

    /// Takes a map out of it.
    ///
    /// # Errors
    /// Where there is none of this name, or it is of another type.
    pub fn map<T: TryFrom<Map, Error = aya::maps::MapError>>(&mut self, name: &str) -> Result<T> {
        let map = self.ebpf.take_map(name).with_context(|| format!("no map {name}"))?;
        T::try_from(map).with_context(|| format!("the map {name}"))
    }

    /// Attaches a yardstick to the server's interface, as long as this lives.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach(&mut self, lab: &Lab, yardstick: Yardstick) -> Result<()> {
        let program = self.program(yardstick.program())?;
        lab.server()
            .enter(|| {
                let ifindex = if_nametoindex(WAN)?;
                program.attach_to_if_index(ifindex, XdpMode::Driver).map_err(io::Error::other)?;
                Ok(())
            })
            .with_context(|| format!("attaching {}", yardstick.program()))
    }

    /// Makes sources known to [`Yardstick::SourceHash`].
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn know(&mut self, sources: impl Iterator<Item = Ipv4Addr>) -> Result<()> {
        // A map that was taken is closed with its handle: the program first.
        self.program(Yardstick::SourceHash.program())?;
        let mut known: HashMap<_, u32, u64> = self.map("SOURCES")?;
        for source in sources {
            known.insert(u32::from_ne_bytes(source.octets()), 0, 0)?;
        }
        Ok(())
    }

    /// Runs a yardstick `repeat` times over one frame; gives the mean time of
    /// one run.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn run(&mut self, yardstick: Yardstick, frame: &[u8], repeat: u32) -> Result<Duration> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = repeat;
        Ok(self.program(yardstick.program())?.test_run(options)?.duration)
    }
}
