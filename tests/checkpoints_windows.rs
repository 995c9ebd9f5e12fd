//! Windows are cut anywhere by checkpoints: what they give before and after, on whatever number of
//! shards, is what they give when nothing is cut.

#![allow(clippy::unwrap_used)]

#[path = "support/cuts.rs"]
mod cuts;

use proptest::prelude::{ProptestConfig, proptest};
use thalweg::prelude::*;

use cuts::{check, cuts, events};

/// A result's window and value as a row.
fn row<V>(start: Timestamp, value: V) -> (u64, V) {
    (start.micros().cast_unsigned(), value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn windows_of_panes(events in events(), splits in 1_usize..4, cuts in cuts()) {
        let (ten, four) = (10.micros(), 4.micros());
        check("tumbling", &events, splits, &cuts, |_, e| {
            keyed!(e).window(Tumbling::of(ten)).aggregate(|es| es.sum(|e| e.id))
                .map(|w| (w.key, w.value)).settle()
        });
        // Sums are subtracted, greatest values kept in stacks.
        check("sliding sum", &events, splits, &cuts, |_, e| {
            keyed!(e).window(Sliding::of(ten, four)).aggregate(|es| es.sum(|e| e.id))
                .map(|w| row(w.start, w.key << 32 | w.value)).settle()
        });
        check("sliding max", &events, splits, &cuts, |_, e| {
            keyed!(e).window(Sliding::of(20.micros(), four))
                .aggregate(|es| (es.max(|e| e.id), es.max(|e| e.at.micros().cast_unsigned())))
                .map(|w| row(w.start, w.key << 32 | w.value.0 << 24 | w.value.1)).settle()
        });
        check("cumulating", &events, splits, &cuts, |_, e| {
            keyed!(e).window(Cumulating::of(20.micros(), 5.micros())).aggregate(|es| es.count())
                .map(|w| row(w.end, w.key << 32 | w.value)).settle()
        });
        check("all keys", &events, splits, &cuts, |_, e| {
            e.event_time(|e| e.at, (cuts::DISORDER as u64).micros())
                .window(Sliding::of(ten, 5.micros())).aggregate(|es| es.max(|e| e.id))
                .map(|w| row(w.start, w.value)).settle()
        });
    }

    #[test]
    fn windows_whose_results_come_again(
        events in events(),
        splits in 1_usize..4,
        cuts in cuts(),
    ) {
        // How often a result comes depends on how far the watermark goes at once, or on when a
        // record came that was behind it: the last one of each window counts.
        let late = 60.micros();
        check("lateness", &events, splits, &cuts, |_, e| {
            keyed!(e).window(Tumbling::of(10.micros())).allowed_lateness(late)
                .aggregate(|es| es.count())
                .map(|w| (w.key, w.start, w.value))
                .key_by(|(key, start, _)| (key, start))
                .aggregate_final(|ws| ws.max(|w| w.2))
                .map(|((key, start), most)| row(start, key << 32 | most)).settle()
        });
        check("early", &events, splits, &cuts, |_, e| {
            keyed!(e)
                .window(Tumbling::of(12.micros()))
                .early_every(3.micros())
                .aggregate(|es| es.count())
                .map(|w| (w.key, w.start, w.value))
                .key_by(|(key, start, _)| (key, start))
                .aggregate_final(|ws| ws.max(|w| w.2))
                .map(|((key, start), most)| row(start, key << 32 | most))
                .settle()
        });
        check("unmerged", &events, splits, &cuts, |_, e| {
            keyed!(e)
                .window(Sliding::of(10.micros(), 5.micros()))
                .aggregate(|es| es.fold_alone(|sum: &mut u64, e| *sum += e.id))
                .map(|w| row(w.start, w.key << 32 | w.value))
                .settle()
        });
        check("every", &events, splits, &cuts, |_, e| {
            keyed!(e)
                .window(Global::trigger(Trigger::every(7.micros())))
                .aggregate(|es| es.count())
                .map(|w| (w.key, w.value))
                .key_by(|(key, _)| key)
                .aggregate_final(|ws| ws.max(|w| w.1))
                .settle()
        });
    }

    #[test]
    fn sessions(events in events(), splits in 1_usize..4, cuts in cuts()) {
        check("sessions", &events, splits, &cuts, |_, e| {
            keyed!(e).window(Session::gap(6.micros())).aggregate(|es| es.count())
                .map(|w| row(w.start, w.key << 32 | w.value)).settle()
        });
    }

    #[test]
    fn windows_that_depend_on_the_order_of_records(events in events(), cuts in cuts()) {
        check("count", &events, 1, &cuts, |_, e| {
            keyed!(e).window(CountWindow::sliding(5, 2)).aggregate(|es| es.sum(|e| e.id))
                .map(|w| row(w.start, w.key << 32 | w.value)).settle()
        });
        check("every n", &events, 1, &cuts, |_, e| {
            keyed!(e).window(Global::trigger(Trigger::every_n(3))).aggregate(|es| es.sum(|e| e.id))
                .map(|w| (w.key, w.value)).settle()
        });
        check("at the end", &events, 1, &cuts, |_, e| {
            keyed!(e).window(Global::trigger(Trigger::at_end())).aggregate(|es| es.sum(|e| e.id))
                .map(|w| (w.key, w.value)).settle()
        });
    }
}
