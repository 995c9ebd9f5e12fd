//! Jobs whose sources wait for the rows that time alone brings about.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::{alarm_expected, alarmed};
use super::windows::tumbling;
use super::{DISORDER, Event, at};
use crate::api::Job;
use crate::connector::Files;
use crate::testing::OUT;
use crate::testing::simulate::patient::Patient;
use crate::time::Units;
use crate::window::Tumbling;

pub(super) fn alarm(job: &Job, patient: Patient) {
    alarmed(job.source(patient));
}

pub(super) fn alarm_rows(events: &[Event]) -> usize {
    alarm_expected(events).len()
}

/// Each record of a key in its turn, when its window by the clock has ended; and windows that come
/// behind later ones.
pub(super) fn clock(job: &Job, patient: Patient) {
    job.source(patient)
        .processing_time()
        .key_by(|(key, _, _)| key)
        .window(Tumbling::of(5.millis()))
        .aggregate(|events| events.count())
        .key_by(|window| window.key)
        .process::<(u64, i64), String>(
            |(count, end), window, context| {
                if window.start.millis() < *end {
                    context.give(&format!("the clock was set back by {:?}", window.start));
                }
                *end = window.end.millis();
                for _ in 0..window.value {
                    *count += 1;
                    context.give(&format!("{} {count}", window.key));
                }
            },
            |_, _, _| (),
        )
        .sink(Files::to_lines(OUT));
}

pub(super) fn clock_expected(events: &[Event]) -> Vec<String> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let row = |(key, _, _): &Event| {
        let count = counts.entry(*key).or_default();
        *count += 1;
        format!("{key} {count}")
    };
    events.iter().map(row).collect()
}

pub(super) fn clock_rows(events: &[Event]) -> usize {
    events.len()
}

/// Windows of which all but the last ones end when silent splits no longer hold them open.
pub(super) fn mute(job: &Job, patient: Patient) {
    tumbling(job.source(patient).event_time(|(_, ms, _)| at(ms), DISORDER.millis()));
}

pub(super) fn mute_rows(events: &[Event]) -> usize {
    let newest = events.iter().map(|(_, ms, _)| *ms).max().unwrap_or(0);
    let windows = events.iter().map(|(key, ms, _)| (*key, ms / 10 * 10));
    let ended = windows.filter(|(_, start)| start + 10 + DISORDER < newest);
    ended.collect::<BTreeSet<_>>().len()
}
