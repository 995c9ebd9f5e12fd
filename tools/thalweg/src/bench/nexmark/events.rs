//! Where a query's events come from.

use std::sync::Arc;

use thalweg::connector::ChannelSource;
use thalweg::connector::nexmark::{Event, Recorded};
use thalweg::operator::{Source, Split};
use thalweg::prelude::*;

use crate::bench::latency::Live;

/// The events of a run: made beforehand and read as fast as they can be, or on a schedule.
#[derive(Clone, Debug)]
pub enum Events {
    /// From memory.
    Recorded(Recorded),
    /// Each when it is due.
    Live(Live),
    /// Each when it is sent.
    Sent(Arc<ChannelSource<Event>>),
}

impl From<Recorded> for Events {
    fn from(recorded: Recorded) -> Self {
        Self::Recorded(recorded)
    }
}

impl Source for Events {
    type Record = Event;

    fn name(&self) -> String {
        match self {
            Self::Recorded(events) => events.name(),
            Self::Live(events) => events.name(),
            Self::Sent(events) => events.name(),
        }
    }

    fn has_event_times(&self) -> bool {
        true
    }

    fn splits(&self, shards: usize) -> Result<Vec<Box<dyn Split<Event>>>> {
        match self {
            Self::Recorded(events) => events.splits(shards),
            Self::Live(events) => events.splits(shards),
            Self::Sent(events) => events.splits(shards),
        }
    }
}
