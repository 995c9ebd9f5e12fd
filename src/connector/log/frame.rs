//! Frames of a log file: their heads, and how bodies are kept.

use super::compress::{Packer, Unpacker};
use crate::error::{Error, Kind, Result};
use crate::limits::PACKED_BYTES;
use crate::record::pad;
use crate::time::Timestamp;

/// Bytes of a frame before its body.
pub(super) const HEAD: usize = 64;
/// The body is kept as an LZ4 block.
pub(super) const LZ4: u32 = 1;
const ONE_ARRIVAL: u32 = 2;
const INDEX: u32 = 4;
/// The body is kept as a frame of zstd.
pub(super) const ZSTD: u32 = 8;

/// What stands before the body of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Bytes of the body as it is kept, without padding.
    pub kept: u32,
    pub records: u32,
    /// Bytes of the body.
    pub body: u32,
    flags: u32,
    /// Records before it in the file.
    pub before: u64,
    pub least: i64,
    pub greatest: i64,
    /// Arrival of the first record and of the last.
    pub from: i64,
    pub to: i64,
    /// Of the body as it is kept.
    crc: u32,
}

/// What stands at a place of a file.
pub(super) enum Found<'a> {
    /// A frame, and its body as it is kept.
    Frame(FrameHead, &'a [u8]),
    /// The rest of a frame that a crash cut off, or that is being written.
    Torn,
    /// Something that is no frame, and what is wrong with it.
    Damaged(&'static str),
    End,
}

impl FrameHead {
    fn bytes(&self, place: u64) -> [u8; HEAD] {
        let FrameHead { kept, records, body, flags, before, least, greatest, from, to, crc } =
            *self;
        let mut head = [0; HEAD];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            head[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        [kept, records, body, flags].iter().for_each(|word| put(&word.to_ne_bytes()));
        put(&before.to_ne_bytes());
        [least, greatest, from, to].iter().for_each(|word| put(&word.to_ne_bytes()));
        put(&crc.to_ne_bytes());
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&place.to_ne_bytes());
        checksum.update(&head[..HEAD - 4]);
        head[HEAD - 4..].copy_from_slice(&checksum.finalize().to_ne_bytes());
        head
    }

    fn read(head: &[u8; HEAD], place: u64) -> Option<FrameHead> {
        let long = |at| i64::from_ne_bytes(*head[at..].first_chunk().unwrap_or(&[0; 8]));
        let read = FrameHead {
            kept: number(head, 0),
            records: number(head, 4),
            body: number(head, 8),
            flags: number(head, 12),
            before: long(16).cast_unsigned(),
            least: long(24),
            greatest: long(32),
            from: long(40),
            to: long(48),
            crc: number(head, 56),
        };
        (read.bytes(place) == *head).then_some(read)
    }

    pub fn is_index(&self) -> bool {
        self.flags & INDEX != 0
    }

    /// Bytes of the frame in the file.
    pub fn len(&self) -> usize {
        HEAD + pad(self.kept as usize)
    }

    /// The body, for which `unpacker` has room where it was packed. None when it is not what the
    /// head says.
    pub fn unpack<'a>(&self, kept: &'a [u8], unpacker: &'a mut Unpacker) -> Option<&'a [u8]> {
        let body = self.body as usize;
        match self.flags & (LZ4 | ZSTD) {
            0 => (kept.len() == body).then_some(kept),
            flag @ (LZ4 | ZSTD) => unpacker.unpack(kept, flag, body),
            _ => None,
        }
    }

    /// The event times, the arrivals behind the first one's, if they differ, and the records.
    pub fn split<'a>(&self, body: &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>, &'a [u8])> {
        let records = self.records as usize;
        let (times, rest) = body.split_at_checked(records * 8)?;
        if self.flags & ONE_ARRIVAL != 0 {
            return Some((times, None, rest));
        }
        let (arrivals, rest) = rest.split_at_checked(pad(records * 4))?;
        Some((times, Some(&arrivals[..records * 4]), rest))
    }
}

/// What is at a place of a file.
pub(super) fn find(file: &[u8], place: usize) -> Found<'_> {
    let rest = file.get(place..).unwrap_or_default();
    if rest.is_empty() {
        return Found::End;
    }
    let Some((head, behind)) = rest.split_first_chunk::<HEAD>() else { return Found::Torn };
    let Some(head) = FrameHead::read(head, place as u64) else {
        // A file system may leave zeros where the end of a file was not written in time.
        let blank = rest.iter().all(|byte| *byte == 0);
        return if blank { Found::Torn } else { Found::Damaged("the frame's head is damaged") };
    };
    if head.flags & (LZ4 | ZSTD) != 0 && head.body as usize > PACKED_BYTES {
        return Found::Damaged("it claims to unpack to more bytes than a compressed frame may");
    }
    let kept = head.kept as usize;
    let Some(padded) = behind.get(..pad(kept)) else { return Found::Torn };
    if crc32fast::hash(&padded[..kept]) != head.crc {
        let last = padded.len() == behind.len();
        return if last { Found::Torn } else { Found::Damaged("the checksum is wrong") };
    }
    Found::Frame(head, &padded[..kept])
}

/// The head at a place, whose body is not looked at.
pub(super) fn glance(file: &[u8], place: usize) -> Option<FrameHead> {
    let head = FrameHead::read(file.get(place..)?.first_chunk()?, place as u64)?;
    (file.len() - place >= head.len()).then_some(head)
}

/// Records that are to be a frame.
pub(super) struct Records<'a> {
    pub times: &'a [Timestamp],
    /// When they arrived: one for all, or one each, none earlier than the first and none more
    /// than [`SPAN_MAX`] behind it.
    pub arrivals: &'a [i64],
    pub encoded: &'a [u8],
}

/// Microseconds between the arrivals of a frame's first record and the others.
pub(super) const SPAN_MAX: i64 = u32::MAX as i64;

impl Records<'_> {
    /// Puts the frame, which is at `place` of its file, behind so many records, into `out`. Packed
    /// where that makes it shorter, if it may be.
    pub fn put(
        &self,
        place: u64,
        before: u64,
        packer: &mut Packer,
        out: &mut Vec<u8>,
    ) -> Result<FrameHead> {
        let Records { times, arrivals, encoded } = self;
        let micros = || times.iter().map(|at| at.micros());
        let (from, to) = (arrivals.first().copied(), arrivals.iter().max().copied());
        let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
        out.clear();
        out.extend([0; HEAD]);
        micros().for_each(|at| out.extend(at.to_ne_bytes()));
        let one = arrivals.iter().all(|at| *at == from);
        if !one {
            let behind = |at: &i64| u32::try_from(at - from).unwrap_or(u32::MAX);
            arrivals.iter().for_each(|at| out.extend(behind(at).to_ne_bytes()));
            out.resize(out.len().next_multiple_of(8), 0);
        }
        out.extend_from_slice(encoded);
        let head = FrameHead {
            records: small(times.len())?,
            before,
            least: micros().min().unwrap_or_default(),
            greatest: micros().max().unwrap_or_default(),
            from,
            to,
            flags: if one { ONE_ARRIVAL } else { 0 },
            ..FrameHead::default()
        };
        finish(head, place, packer, out)
    }
}

/// Puts the frame of an index.
pub(super) fn put_index(body: &[u8], place: u64, before: u64, out: &mut Vec<u8>) -> Result {
    out.clear();
    out.extend([0; HEAD]);
    out.extend_from_slice(body);
    let head = FrameHead { before, flags: INDEX, ..FrameHead::default() };
    finish(head, place, &mut Packer::default(), out).map(drop)
}

/// Completes a frame whose body is in `out`, behind room for the head.
fn finish(
    mut head: FrameHead,
    place: u64,
    packer: &mut Packer,
    out: &mut Vec<u8>,
) -> Result<FrameHead> {
    head.body = small(out.len() - HEAD)?;
    if let Some((packed, flag)) = packer.pack(&out[HEAD..]) {
        out.truncate(HEAD);
        out.extend_from_slice(packed);
        head.flags |= flag;
    }
    head.kept = small(out.len() - HEAD)?;
    head.crc = crc32fast::hash(&out[HEAD..]);
    out.resize(HEAD + pad(head.kept as usize), 0);
    out[..HEAD].copy_from_slice(&head.bytes(place));
    Ok(head)
}

pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

fn small(bytes: usize) -> Result<u32> {
    let much = |_| Error::new(Kind::Limit, "4 GiB do not fit a frame of a log");
    u32::try_from(bytes).map_err(much)
}
