//! Rows do not depend on how the bytes were cut.
#![allow(clippy::unwrap_used)]

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::rows::{Framing, Rows};
use super::{Limits, Traffic};
use crate::connector::{Csv, Decode, Json, Lines, Messages};
use crate::operator::{BadRecord, Downstream, Feed, OnBadRecord};
use crate::prelude::*;
use crate::record::{Batch, Block};

record! {
    #[derive(Eq)]
    struct Pair { id: u64, text: String }
}

/// What came of some bytes: records, then (line, error) of those that are bad.
type Came<R> = (Vec<R>, Vec<(u64, String)>);

struct Keep<R>(Came<R>);

impl<R: Record> Downstream for Keep<R> {
    fn take(&mut self, port: usize, batch: &Batch<'_>) -> Result {
        match port {
            0 => batch.records::<R>().for_each(|(_, view)| self.0.0.push(R::own(view))),
            _ => batch.records::<BadRecord>().for_each(|(_, bad)| {
                let bad = BadRecord::own(bad);
                self.0.1.push((bad.line, bad.error));
            }),
        }
        Ok(())
    }
}

/// Reads pieces one after the other, with little room at a time, and then the end.
fn read<D: Decode>(
    decode: D,
    framing: Framing,
    limits: Limits,
    pieces: &[&[u8]],
    whole: bool,
) -> (Came<D::Record>, Traffic) {
    let traffic = Traffic::default();
    let mut rows = Rows::new(decode, framing, limits, traffic.clone());
    let mut keep = Keep((Vec::new(), Vec::new()));
    let (mut block, mut bad) = (Block::new(), 0);
    let mut with_feed = |run: &mut dyn FnMut(&mut Feed<'_, D::Record>)| {
        let side = OnBadRecord::SideStream;
        let mut feed = Feed::new(0, &mut block, &mut bad, side, &mut keep).with_room(2);
        run(&mut feed);
        feed.flush().unwrap();
    };
    for piece in pieces {
        let mut at = 0;
        while at < piece.len() {
            with_feed(&mut |feed| at += rows.take(&"peer", &piece[at..], feed, &mut 3).unwrap());
        }
    }
    with_feed(&mut |feed| rows.end(&"peer", whole, feed).unwrap());
    drop(rows);
    (keep.0, traffic)
}

#[test]
fn rows_that_give_no_record_are_steps_as_well() {
    let mut rows = Rows::new(Lines, Framing::Lines, Limits::default(), Traffic::default());
    let mut keep = Keep((Vec::<String>::new(), Vec::new()));
    let (mut block, mut bad) = (Block::new(), 0);
    let mut feed = Feed::new(0, &mut block, &mut bad, OnBadRecord::Skip, &mut keep);
    let mut steps = 3;
    let bytes = b"\xff\n\xff\n\xff\n\xff\n";
    assert_eq!(rows.take(&"peer", bytes, &mut feed, &mut steps).unwrap(), 6);
    assert_eq!(steps, 0);
}

/// Reads bytes in one piece, cut in two at every place, one by one, and in random pieces: what
/// comes is always the same, and nothing is kept in the end.
fn read_every_way<D: Decode>(
    decode: &D,
    framing: Framing,
    limits: Limits,
    bytes: &[u8],
) -> Came<D::Record>
where
    D::Record: PartialEq + std::fmt::Debug,
{
    let check = |pieces: &[&[u8]]| {
        let (came, traffic) = read(decode.clone(), framing, limits, pieces, true);
        assert_eq!(traffic.partial_bytes(), 0);
        came
    };
    let expected = check(&[bytes]);
    for cut in 0..bytes.len() {
        assert_eq!(check(&[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut}");
    }
    assert_eq!(check(&bytes.chunks(1).collect::<Vec<_>>()), expected);
    let mut random = SmallRng::seed_from_u64(7);
    for _ in 0..50 {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random.gen_range(1..=rest.len().min(9)));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(check(&pieces), expected);
    }
    expected
}

fn pair(id: u64, text: &str) -> Pair {
    Pair { id, text: text.into() }
}

fn prefixed(rows: &[&[u8]]) -> Vec<u8> {
    let prefix = |row: &&[u8]| (row.len() as u32).to_be_bytes();
    rows.iter().flat_map(|row| [&prefix(row)[..], row].concat()).collect()
}

#[test]
fn lines_come_whole_however_they_are_cut() {
    let text = "to be\r\n\nor not\nüber\n\u{7f}\nlast";
    let (lines, bad) = read_every_way(&Lines, Framing::Lines, Limits::default(), text.as_bytes());
    assert_eq!(lines, text.lines().collect::<Vec<_>>());
    assert!(bad.is_empty());
}

#[test]
fn rows_of_csv_go_over_lines() {
    let text = "id,text\n1,\"two\nlines\"\r\n2,one\nx,bad\n\
                3,\"a \"\"quote\"\"\n\n\nand more\"\n4,\"open\n";
    let (pairs, bad) =
        read_every_way(&Csv::<Pair>::new(), Framing::Lines, Limits::default(), text.as_bytes());
    let third = pair(3, "a \"quote\"\n\n\nand more");
    assert_eq!(pairs, [pair(1, "two\nlines"), pair(2, "one"), third]);
    let lines: Vec<u64> = bad.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [5, 10], "{bad:?}");
    assert!(bad[0].1.contains("field id"), "{bad:?}");
    assert!(bad[1].1.contains("quote"), "{bad:?}");
}

#[test]
fn a_quote_that_opens_by_mistake_takes_no_more_than_256_lines() {
    let text = format!("id,text\n1,\"open\n{}2,after\n", "x\n".repeat(255));
    let (came, _) =
        read(Csv::<Pair>::new(), Framing::Lines, Limits::default(), &[text.as_bytes()], true);
    assert_eq!(came.0, [pair(2, "after")]);
    assert_eq!(came.1[0].0, 2, "{:?}", came.1);
}

#[test]
fn a_header_that_does_not_fit_ends_it() {
    let text = "id,name\n1,a\n2,b\n";
    let (pairs, bad) =
        read_every_way(&Csv::<Pair>::new(), Framing::Lines, Limits::default(), text.as_bytes());
    assert!(pairs.is_empty());
    assert_eq!(bad.len(), 1);
    assert!(bad[0].1.contains("text") && bad[0].1.contains("nothing that follows"), "{bad:?}");
}

#[test]
fn garbage_is_bad_row_by_row_and_nothing_else_is() {
    let text = b"{\"id\":1,\"text\":\"a\"}\n\xff\xfe\x00\n{\"id\":2\n{\"id\":3,\"text\":\"c\"}\n";
    let (pairs, bad) =
        read_every_way(&Json::<Pair>::new(), Framing::Lines, Limits::default(), text);
    assert_eq!(pairs, [pair(1, "a"), pair(3, "c")]);
    assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
    assert!(bad[0].1.contains("UTF-8") && bad[1].1.contains("not JSON"), "{bad:?}");
}

#[test]
fn messages_may_hold_anything() {
    let rows: [&[u8]; 4] = [b"a\nb", b"", b"\xff\x00\r\n", b"last"];
    let bytes = prefixed(&rows);
    let (messages, bad) = read_every_way(&Messages, Framing::Prefixed, Limits::default(), &bytes);
    assert_eq!(messages.iter().map(|m| &*m.bytes).collect::<Vec<_>>(), rows);
    assert!(bad.is_empty());

    let cut = &bytes[..bytes.len() - 1];
    let (messages, bad) = read_every_way(&Messages, Framing::Prefixed, Limits::default(), cut);
    assert_eq!(messages.len(), 3);
    assert_eq!(bad, [(4, "the connection ended within the row".to_owned())]);
}

#[test]
fn what_is_too_long_is_one_bad_row_of_which_nothing_is_kept() {
    let limits = Limits { row_bytes: 8, ..Limits::default() };
    let text = "12345678\r\n123456789\nab\n12345678901234567890123\ncd\n";
    let (lines, bad) = read_every_way(&Lines, Framing::Lines, limits, text.as_bytes());
    assert_eq!(lines, ["12345678", "ab", "cd"]);
    let too_long = "the row is longer than 8 bytes".to_owned();
    assert_eq!(bad, [(2, too_long.clone()), (4, too_long.clone())]);

    let rows: [&[u8]; 3] = [b"12345678", b"123456789", b"\n"];
    let (messages, bad) = read_every_way(&Messages, Framing::Prefixed, limits, &prefixed(&rows));
    assert_eq!(messages.iter().map(|m| &*m.bytes).collect::<Vec<_>>(), [rows[0], rows[2]]);
    assert_eq!(bad, [(2, too_long)]);
}

#[test]
fn all_connections_together_keep_no_more_than_they_may() {
    let limits = Limits { partial_bytes: 10, ..Limits::default() };
    let (came, traffic) =
        read(Lines, Framing::Lines, limits, &[b"12345", b"678901", b"23\nok\n"], true);
    assert_eq!(came.0, ["ok"]);
    assert!(came.1[0].1.contains("partial_bytes_max"), "{:?}", came.1);
    assert_eq!(traffic.partial_bytes(), 0);
    let (came, _) = read(
        Messages,
        Framing::Prefixed,
        limits,
        &[b"\0\0\0\x0c12345", b"678901", b"2\0\0\0\x01x"],
        true,
    );
    assert_eq!(came.0.iter().map(|m| &*m.bytes).collect::<Vec<_>>(), [b"x"]);
}

#[test]
fn what_was_begun_when_the_peer_was_lost_is_bad() {
    let pieces: [&[u8]; 1] = [b"a\nb"];
    let (came, _) = read(Lines, Framing::Lines, Limits::default(), &pieces, false);
    assert_eq!(came.0, ["a"]);
    assert_eq!(came.1, [(2, "the connection was lost within the row".to_owned())]);
}
