//! Captures made by another's hand, and broken in every way.

use std::{borrow::Cow, time::Duration};

use pcap_file::{
    DataLink, Endianness, TsResolution,
    pcap::{PcapHeader, PcapWriter, RawPcapPacket},
    pcapng::{
        PcapNgWriter, RawBlock,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            simple_packet::SimplePacketBlock,
        },
    },
};

use super::*;

const ORDERS: [Endianness; 2] = [Endianness::Big, Endianness::Little];

/// A packet that does not borrow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    nanoseconds: Option<i128>,
    link: u32,
    direction: Option<Direction>,
    data: Vec<u8>,
    len: u32,
}

/// What can be read, and why it ended.
fn read(bytes: &[u8]) -> (Vec<Packet>, Option<CaptureError>) {
    let mut capture = match Capture::new(bytes) {
        Ok(capture) => capture,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut packets = Vec::new();
    while let Some(next) = capture.next() {
        match next {
            Ok(Captured { time, link, direction, data, len }) => packets.push(Packet {
                nanoseconds: time.map(Timestamp::as_nanosecond),
                link,
                direction,
                data: data.to_vec(),
                len,
            }),
            Err(error) => {
                assert!(capture.next().is_none());
                return (packets, Some(error));
            }
        }
    }
    (packets, None)
}

fn read_all(bytes: &[u8]) -> Vec<Packet> {
    let (packets, error) = read(bytes);
    assert!(error.is_none(), "{error:?}");
    packets
}

/// A capture with the offset in it where each packet ends.
struct Made {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

fn pcap(endianness: Endianness, ts_resolution: TsResolution, datalink: DataLink) -> Made {
    let header = PcapHeader { endianness, ts_resolution, datalink, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    let mut ends = vec![24];
    for (number, (incl_len, orig_len)) in
        [(3, 3), (0, 0), (20, 1500), (61, 61)].into_iter().enumerate()
    {
        let data = vec![number as u8 + 1; incl_len as usize];
        let (ts_sec, ts_frac) = (1_700_000_000 + number as u32, 999_999);
        let packet = RawPcapPacket { ts_sec, ts_frac, incl_len, orig_len, data: Cow::Owned(data) };
        ends.push(ends[number] + writer.write_raw_packet(&packet).unwrap());
    }
    ends.remove(0);
    Made { bytes: writer.into_writer(), ends }
}

#[test]
fn pcap_of_either_order_and_resolution() {
    for order in ORDERS {
        for (resolution, fraction) in
            [(TsResolution::MicroSecond, 999_999_000), (TsResolution::NanoSecond, 999_999)]
        {
            let packets = read_all(&pcap(order, resolution, DataLink::ETHERNET).bytes);
            assert_eq!(packets.len(), 4);
            let second = |number: i128| 1_000_000_000 * (1_700_000_000 + number);
            assert_eq!(
                packets[2],
                Packet {
                    nanoseconds: Some(second(2) + fraction),
                    link: 1,
                    direction: None,
                    data: vec![3; 20],
                    len: 1500
                }
            );
            assert_eq!((packets[1].data.len(), packets[3].data.len()), (0, 61));
        }
    }
}

#[test]
fn link_types_of_pcap() {
    for (number, expected) in [
        (0, 0),
        (1, 1),
        (12, 101),
        (14, 101),
        (101, 101),
        (108, 108),
        (113, 113),
        (228, 228),
        (229, 229),
        (276, 276),
    ] {
        let made = pcap(Endianness::Little, TsResolution::MicroSecond, DataLink::from(number));
        assert!(read_all(&made.bytes).iter().all(|packet| packet.link == expected), "{number}");
    }
    let made = pcap(Endianness::Big, TsResolution::NanoSecond, DataLink::from(127));
    let (packets, error) = read(&made.bytes);
    let error = error.unwrap();
    assert!(packets.is_empty() && matches!(error.damage, Damage::LinkType(127)));
    assert!(error.to_string().contains("Wi-Fi") && error.hint().is_some());
    // With the length of a check sequence in the upper bits.
    let made = pcap(Endianness::Big, TsResolution::NanoSecond, DataLink::from(0x4400_0001));
    assert_eq!(read_all(&made.bytes)[0].link, 1);
}

/// Interfaces of several resolutions and link types, packets of every kind,
/// blocks that say nothing of packets, and a second section.
fn pcapng(order: Endianness) -> Made {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), order).unwrap();
    let mut ends = Vec::new();
    let interface = |link: u32, snaplen, options: Vec<InterfaceDescriptionOption<'static>>| {
        InterfaceDescriptionBlock { linktype: DataLink::from(link), snaplen, options }
    };
    let name = InterfaceDescriptionOption::IfName("eth0".into());
    writer.write_pcapng_block(interface(1, 30, vec![name])).unwrap();
    let nano = vec![InterfaceDescriptionOption::IfTsResol(9)];
    writer.write_pcapng_block(interface(276, 0, nano)).unwrap();
    let odd = vec![
        InterfaceDescriptionOption::IfTsResol(0x80 | 10),
        InterfaceDescriptionOption::IfTsOffset(1_000),
    ];
    writer.write_pcapng_block(interface(101, 0, odd)).unwrap();

    let enhanced =
        |interface_id, units, data: &'static [u8], flags: Option<u32>| EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(units),
            original_len: 400,
            data: Cow::Borrowed(data),
            options: flags.map(EnhancedPacketOption::Flags).into_iter().collect(),
        };
    writer.write_pcapng_block(enhanced(0, 1_700_000_000_123_456, b"first", None)).unwrap();
    ends.push(writer.get_ref().len());
    writer.write_pcapng_block(enhanced(1, 1_700_000_000_123_456_789, b"second", Some(1))).unwrap();
    ends.push(writer.get_ref().len());
    let unknown =
        RawBlock { type_: 0x0bad, initial_len: 16, body: Cow::Borrowed(&[7; 4]), trailer_len: 16 };
    writer.write_raw_block(&unknown).unwrap();
    writer.write_pcapng_block(enhanced(2, 3 * 1024 + 512, b"third", Some(2))).unwrap();
    ends.push(writer.get_ref().len());
    let simple = SimplePacketBlock { original_len: 400, data: Cow::Borrowed(&[9; 30]) };
    writer.write_pcapng_block(simple).unwrap();
    ends.push(writer.get_ref().len());
    // By hand, for the crate writes this one's time as one number.
    let interface_and_drops = match order {
        Endianness::Big => [0, 1, 0, 3],
        Endianness::Little => [1, 0, 3, 0],
    };
    let words = [5u32, 6, 3, 3].map(|word| match order {
        Endianness::Big => word.to_be_bytes(),
        Endianness::Little => word.to_le_bytes(),
    });
    let old = RawBlock {
        type_: 2,
        initial_len: 36,
        body: Cow::Owned([&interface_and_drops, words.as_flattened(), b"old\0"].concat()),
        trailer_len: 36,
    };
    writer.write_raw_block(&old).unwrap();
    ends.push(writer.get_ref().len());

    let mut bytes = writer.into_inner();
    let other = if order == Endianness::Big { Endianness::Little } else { Endianness::Big };
    let mut second = PcapNgWriter::with_endianness(Vec::new(), other).unwrap();
    second.write_pcapng_block(interface(113, 0, Vec::new())).unwrap();
    second.write_pcapng_block(enhanced(0, 1, b"other section", None)).unwrap();
    bytes.extend(second.into_inner());
    ends.push(bytes.len());
    Made { bytes, ends }
}

#[test]
fn pcapng_with_all_that_it_may_have() {
    for order in ORDERS {
        let packets = read_all(&pcapng(order).bytes);
        let packet = |nanoseconds, link, direction, data: &[u8], len| Packet {
            nanoseconds,
            link,
            direction,
            data: data.to_vec(),
            len,
        };
        let expected = [
            packet(Some(1_700_000_000_123_456_000), 1, None, b"first", 400),
            packet(Some(1_700_000_000_123_456_789), 276, Some(Direction::In), b"second", 400),
            packet(Some(1_003_500_000_000), 101, Some(Direction::Out), b"third", 400),
            packet(None, 1, None, &[9; 30], 400),
            packet(Some((5 << 32) + 6), 276, None, b"old", 3),
            packet(Some(1_000), 113, None, b"other section", 400),
        ];
        assert_eq!(packets, expected);
    }
}

#[test]
fn packets_of_an_interface_that_cannot_be_replayed_end_it() {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    for link in [1, 127] {
        let interface = InterfaceDescriptionBlock::new(DataLink::from(link), 0);
        writer.write_pcapng_block(interface).unwrap();
    }
    for interface_id in [0, 0, 1, 0] {
        let packet = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::ZERO,
            original_len: 4,
            data: Cow::Borrowed(&[1; 4]),
            options: Vec::new(),
        };
        writer.write_pcapng_block(packet).unwrap();
    }
    let (packets, error) = read(&writer.into_inner());
    assert_eq!(packets.len(), 2);
    assert!(matches!(error.unwrap().damage, Damage::LinkType(127)));
}

fn all_kinds() -> Vec<Made> {
    let mut all: Vec<Made> = ORDERS.into_iter().map(pcapng).collect();
    for order in ORDERS {
        all.push(pcap(order, TsResolution::MicroSecond, DataLink::ETHERNET));
    }
    all
}

#[test]
fn cut_anywhere_what_came_before_is_read() {
    for Made { bytes, ends } in all_kinds() {
        let whole = read_all(&bytes);
        assert_eq!(whole.len(), ends.len());
        for cut in 0..bytes.len() {
            let before = ends.iter().filter(|end| **end <= cut).count();
            let (packets, error) = read(&bytes[..cut]);
            assert_eq!(packets, whole[..before], "cut at {cut}");
            let Some(error) = error else { continue };
            let is_head = cut < 4 && matches!(error.damage, Damage::Empty | Damage::Foreign(_));
            assert!(is_head || matches!(error.damage, Damage::CutOff(_)), "cut at {cut}: {error}");
            assert!(error.at <= cut as u64 && error.hint().is_some());
        }
    }
}

#[test]
fn damaged_anywhere_what_came_before_is_read() {
    for Made { bytes, ends } in all_kinds() {
        let whole = read_all(&bytes);
        for place in 0..bytes.len() {
            let before = ends.iter().filter(|end| **end <= place).count();
            for byte in [0, 0xff, bytes[place] ^ 1, bytes[place] ^ 0x80] {
                let mut damaged = bytes.clone();
                damaged[place] = byte;
                let (packets, error) = read(&damaged);
                assert!(packets.len() >= before, "{byte} at {place}: {error:?}");
                assert_eq!(packets[..before], whole[..before], "{byte} at {place}");
                assert!(error.is_none_or(|error| error.at <= bytes.len() as u64));
            }
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_damage_and_take_no_memory() {
    let Made { mut bytes, ends } =
        pcap(Endianness::Big, TsResolution::MicroSecond, DataLink::ETHERNET);
    bytes[ends[1] + 8..ends[1] + 12].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
    let (packets, error) = read(&bytes);
    let error = error.unwrap();
    assert_eq!((packets.len(), error.at), (2, ends[1] as u64));
    assert!(matches!(error.damage, Damage::Corrupt(_)));

    let Made { mut bytes, ends } = pcapng(Endianness::Big);
    bytes[ends[0] + 4..ends[0] + 8].copy_from_slice(&0x7fff_fffcu32.to_be_bytes());
    let (packets, error) = read(&bytes);
    let error = error.unwrap();
    assert_eq!((packets.len(), error.at), (1, ends[0] as u64));
    assert!(matches!(error.damage, Damage::Corrupt(_)));
}

#[test]
fn foreign_files_are_named() {
    for (bytes, expected) in [
        (&b"\x1f\x8b\x08\0\0\0"[..], "compressed"),
        (b"\x28\xb5\x2f\xfd\0", "compressed"),
        (b"17:03:22 IP 192.0.2.1.5060", "text"),
        (b"snoop\0\0\0", "snoop"),
        (b"\x7fELF\x02", "program"),
        (b"\0\0", "something else"),
        (b"", "empty"),
    ] {
        let error = Capture::new(bytes).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some());
    }
    let mut old = pcap(Endianness::Little, TsResolution::MicroSecond, DataLink::ETHERNET).bytes;
    old[6] = 2;
    assert!(Capture::new(old.as_slice()).unwrap_err().to_string().contains("version 2.2"));
}

#[test]
fn a_disk_that_fails_is_no_end() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("bad sector"))
        }
    }
    let bytes = pcap(Endianness::Little, TsResolution::MicroSecond, DataLink::ETHERNET).bytes;
    let mut capture = Capture::new(bytes[..50].chain(Failing)).unwrap();
    assert!(matches!(capture.next(), Some(Ok(_))));
    assert!(matches!(capture.next(), Some(Err(CaptureError { damage: Damage::Io(_), .. }))));
}
