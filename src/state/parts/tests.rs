use super::*;
use crate::limits::FRAME_RECORDS;
use crate::time::Timestamp;

fn owner(step: &str, asked: &str, input: usize) -> Owner {
    Owner { step: step.into(), asked: asked.into(), input }
}

fn saved() -> Vec<u8> {
    let mut saver = Saver::new();
    saver.enter(1, &owner("count", "", 0));
    let words = ["a", "bb", ""];
    let of = |n: u64| (words[n as usize % 3], n);
    saver.part::<(String, u64)>("totals", |to| (0..10_000).for_each(|n| to.put(of(n)))).unwrap();
    saver.part::<u64>("none", |_| {}).unwrap();
    saver.enter(1, &owner("other", "", 1));
    saver.part::<u64>("totals", |to| to.put_at(Timestamp::MAX, 7)).unwrap();
    saver.take()
}

#[test]
fn what_is_saved_is_loaded_part_by_part() {
    let all = [vec![Saved::read(&saved()).unwrap()], vec![Saved::read(&[]).unwrap()]];
    let counts: Vec<_> = all[0][0].parts().map(|(_, records, _)| records).collect();
    assert_eq!(counts, [10_000, 0, 1]);
    let (count, other) = (owner("count", "", 0), owner("other", "", 1));
    let loader = Loader::new(&all, 0, 1).entered(&count);
    let mut next = 0;
    let mut show = |shard, at, (word, n): (&str, u64)| {
        assert_eq!(
            (shard, at, word.len(), n),
            (0, Timestamp::MIN, [1, 2, 0][next % 3], next as u64)
        );
        next += 1;
    };
    loader.part::<(String, u64)>("totals", &mut show).unwrap();
    assert_eq!(next, 10_000);
    let mut got = Vec::new();
    let other = loader.entered(&other);
    other.part::<u64>("totals", |_, at, n| got.push((at, n))).unwrap();
    assert_eq!(got, [(Timestamp::MAX, 7)]);
    let error = loader.part::<(u64, u64)>("totals", |_, _, _| ()).unwrap_err().to_string();
    assert!(error.contains("0: text") && error.contains("0: u64"), "{error}");
    let changed = owner("count", "tumbling 1s", 0);
    let error = loader.entered(&changed).part::<(String, u64)>("totals", |_, _, _| ());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("totals was saved when it was asked for (), and now for"), "{error}");
}

#[test]
fn damaged_sections_are_refused() {
    let whole = saved();
    for cut in [1, 8, 9, 100, whole.len() - 16, whole.len() - 1] {
        assert!(Saved::read(&whole[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_frame_of_more_records_than_there_can_be_is_refused() {
    let mut saver = Saver::new();
    saver.enter(1, &owner("count", "", 0));
    saver.part::<u64>("none", |_| {}).unwrap();
    let none = saver.take();
    let end = [0_u64; 2];
    // Records of no bytes: nothing else bounds their number.
    let of = |records: u64| {
        let mut bytes = none[..none.len() - size_of_val(&end)].to_vec();
        [records | UNTIMED, 0, 0, 0].iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        Saved::read(&bytes)
    };
    assert!(of(FRAME_RECORDS as u64).is_ok());
    assert!(of(FRAME_RECORDS as u64 + 1).is_err());
    assert!(of(1 << 40).is_err());
}
