//! A stream of pcapng, block by block.

use pcap_file::{
    PcapError,
    pcapng::{
        Block as Parsed, PcapNgParser,
        blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption},
    },
};

use super::End;

/// What a section begins with.
const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Bytes of a block at most: a jumbo frame and its comment are far below.
const MAX_BLOCK: usize = 1 << 20;

/// Packets of a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that are in it.
    pub packets: u64,
    /// Over the number a second that was asked for.
    pub held_back: u64,
    /// Without room on their way.
    pub lost: u64,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The start of the section, or an interface: every file needs them.
    Head,
    Packet,
    /// What was counted so far; the last one says why the capture ends.
    Statistics(Counts, Option<End>),
    /// Nothing that sipguard writes.
    Other,
}

/// Cuts a stream into blocks.
#[derive(Default)]
pub struct Blocks {
    parser: Option<PcapNgParser>,
    /// From the first block on that is not yet whole.
    rest: Vec<u8>,
}

impl Blocks {
    /// Takes what has come, and hands over each block that is whole now.
    ///
    /// # Errors
    /// This is no pcapng, or `take` says so.
    pub fn feed<E: From<PcapError>>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Block, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rest.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let from = self.rest.get(at..).unwrap_or_default();
            let (left, block) = match next(&mut self.parser, from) {
                Ok(found) => found,
                Err(PcapError::IncompleteBuffer) => break,
                Err(error) => return Err(error.into()),
            };
            let len = from.len() - left;
            take(block, from.get(..len).unwrap_or_default())?;
            at += len;
        }
        self.rest.drain(..at);
        match self.rest.len() > MAX_BLOCK {
            true => Err(PcapError::InvalidField("a block without end").into()),
            false => Ok(()),
        }
    }
}

/// How many bytes are left behind the first block, and what that is.
fn next(parser: &mut Option<PcapNgParser>, from: &[u8]) -> Result<(usize, Block), PcapError> {
    let Some(parser) = parser else {
        if !from.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic) {
            return Err(PcapError::InvalidField("no section header"));
        }
        let (left, first) = PcapNgParser::new(from)?;
        *parser = Some(first);
        return Ok((left.len(), Block::Head));
    };
    let (left, block) = parser.next_block(from)?;
    let block = match block {
        Parsed::SectionHeader(_) | Parsed::InterfaceDescription(_) => Block::Head,
        Parsed::EnhancedPacket(_) => Block::Packet,
        Parsed::InterfaceStatistics(statistics) => read(&statistics),
        _ => Block::Other,
    };
    Ok((left.len(), block))
}

fn read(statistics: &InterfaceStatisticsBlock<'_>) -> Block {
    let (mut counts, mut end) = (Counts::default(), None);
    for option in &statistics.options {
        match option {
            InterfaceStatisticsOption::IsbUsrDeliv(packets) => counts.packets = *packets,
            InterfaceStatisticsOption::IsbIfDrop(held_back) => counts.held_back = *held_back,
            InterfaceStatisticsOption::IsbOsDrop(lost) => counts.lost = *lost,
            InterfaceStatisticsOption::Comment(name) => end = End::from_name(name),
            _ => {}
        }
    }
    Block::Statistics(counts, end)
}
