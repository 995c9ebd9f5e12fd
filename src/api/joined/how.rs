//! [`How`]: which records of two streams meet.

use std::fmt;
use std::time::Duration;

use super::super::windowed::windows_asked;
use crate::error::{Error, Kind, Result};
use crate::join::{AsOfJoin, EquiJoin, IntervalJoin, Joint};
use crate::operator::{Fate, Pairing, Seen, Stage, Stamp, not_behind};
use crate::plan::Times;
use crate::state::{Backend, Few};
use crate::time::{in_words, span};
use crate::window::{Paned, WindowJoin, in_open_window};

/// A word about time that says which records of two keyed streams meet.
pub trait How<J: Joint>: Clone + Send + 'static {
    /// How messages name the operator, unless the user does.
    const NAME: &'static str;
    /// What it has to do with event times.
    const TIMES: Times = Times::Needs;
    /// The operator.
    type Stage: Stage<J::Left, 0> + Stage<J::Right, 1>;

    /// The words, for an explanation.
    fn asked(&self) -> String {
        String::new()
    }

    /// Whether the words make sense.
    ///
    /// # Errors
    /// What is wrong with them and how to mend it.
    fn check(&self) -> Result {
        Ok(())
    }

    /// The rule for [`Punctual`](crate::operator::Punctual): what a record counts as, and whether
    /// it is late.
    fn rule(self) -> impl FnMut(Stamp) -> Fate + Clone + Send + 'static;

    /// Makes the operator, whose state is kept where `backend` says.
    fn stage(
        &self,
        by: (J::LeftBy, J::RightBy),
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self::Stage;
}

/// A way of meeting in which it can be known of a right record, too, that it stays alone.
#[diagnostic::on_unimplemented(
    message = "rows of right records alone can't be had this way",
    label = "not for `full`",
    note = "an as-of join has `inner` and `left`"
)]
pub trait Mutual {}

/// All records of a key meet, whenever they come.
#[derive(Clone, Copy, Debug)]
pub struct Ever;

impl Mutual for Ever {}
impl<J: Joint> How<J> for Ever {
    const NAME: &'static str = "join";
    const TIMES: Times = Times::OfEither;
    type Stage = EquiJoin<J>;

    fn rule(self) -> impl FnMut(Stamp) -> Fate + Clone + Send + 'static {
        // A record that is late counts as having come on time, so that its rows are not late for
        // what follows on some shards and on time on others.
        |Stamp { at, mark }: Stamp| Fate::Counts(at.max(mark))
    }
    fn stage(
        &self,
        by: (J::LeftBy, J::RightBy),
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self::Stage {
        EquiJoin::new(by, pairing, backend)
    }
}

/// Those meet that fall into the same window; said by [`Joined::window`](super::Joined::window).
#[derive(Clone, Copy, Debug)]
pub struct SameWindow<W> {
    pub(super) windows: W,
    /// Microseconds.
    pub(super) lateness: i64,
}

impl<W> Mutual for SameWindow<W> {}
impl<J: Joint, W: Paned> How<J> for SameWindow<W> {
    const NAME: &'static str = "window join";
    type Stage = WindowJoin<J::Left, J::LeftBy, J::Right, J::RightBy, Few<J::Right>, J::Pairing>;

    fn asked(&self) -> String {
        windows_asked(&self.windows, self.lateness)
    }
    fn check(&self) -> Result {
        self.windows.check()
    }
    fn rule(self) -> impl FnMut(Stamp) -> Fate + Clone + Send + 'static {
        in_open_window(self.windows.spec(), self.lateness)
    }
    fn stage(
        &self,
        by: (J::LeftBy, J::RightBy),
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self::Stage {
        WindowJoin::new(by, self.windows.spec(), self.lateness, pairing, backend)
    }
}

/// As [`SameWindow`]; of the right records it is only remembered that there was one.
#[derive(Clone, Copy, Debug)]
pub struct SeenInWindow<W>(pub(super) SameWindow<W>);

impl<J, W> How<J> for SeenInWindow<W>
where
    J: Joint,
    J::Pairing: Pairing<J::Left, (), Out = J::Out>,
    W: Paned,
{
    const NAME: &'static str = "window join";
    type Stage = WindowJoin<J::Left, J::LeftBy, J::Right, J::RightBy, Seen, J::Pairing>;

    fn asked(&self) -> String {
        windows_asked(&self.0.windows, self.0.lateness)
    }
    fn check(&self) -> Result {
        self.0.windows.check()
    }
    fn rule(self) -> impl FnMut(Stamp) -> Fate + Clone + Send + 'static {
        in_open_window(self.0.windows.spec(), self.0.lateness)
    }
    fn stage(
        &self,
        by: (J::LeftBy, J::RightBy),
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self::Stage {
        WindowJoin::new(by, self.0.windows.spec(), self.0.lateness, pairing, backend)
    }
}

/// A time relative to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// So much earlier.
    Before(Duration),
    /// So much later.
    After(Duration),
}

impl Offset {
    /// Microseconds later.
    fn micros(self) -> i64 {
        match self {
            Offset::Before(by) => -span(by),
            Offset::After(by) => span(by),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Offset::Before(by) => write!(f, "{} before", in_words(span(by))),
            Offset::After(by) => write!(f, "{} after", in_words(span(by))),
        }
    }
}

/// Those meet whose times are near; said by [`Joined::between`](super::Joined::between).
#[derive(Clone, Copy, Debug)]
pub struct Between {
    pub(super) lower: Offset,
    pub(super) upper: Offset,
}

impl Mutual for Between {}
impl<J: Joint> How<J> for Between {
    const NAME: &'static str = "interval join";
    type Stage = IntervalJoin<J>;

    fn asked(&self) -> String {
        format!("from {} to {}", self.lower, self.upper)
    }
    fn check(&self) -> Result {
        let Between { lower, upper } = *self;
        if lower.micros() <= upper.micros() {
            return Ok(());
        }
        let what =
            format!("no time is between {lower:?} and {upper:?}; give the earlier one first");
        Err(Error::new(Kind::Plan, what))
    }
    fn rule(self) -> impl FnMut(Stamp) -> Fate + Clone + Send + 'static {
        not_behind
    }
    fn stage(
        &self,
        by: (J::LeftBy, J::RightBy),
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self::Stage {
        IntervalJoin::new(by, (self.lower.micros(), self.upper.micros()), pairing, backend)
    }
}

/// A left record meets the newest right one; said by [`Joined::as_of`](super::Joined::as_of).
#[derive(Clone, Copy, Debug)]
pub struct AsOf {
    pub(super) tolerance: Duration,
}

impl<J: Joint> How<J> for AsOf {
    const NAME: &'static str = "as-of join";
    type Stage = AsOfJoin<J>;

    fn asked(&self) -> String {
        format!("tolerance {}", in_words(span(self.tolerance)))
    }
    fn rule(self) -> impl FnMut(Stamp) -> Fate + Clone + Send + 'static {
        not_behind
    }
    fn stage(
        &self,
        by: (J::LeftBy, J::RightBy),
        pairing: J::Pairing,
        backend: &Backend,
    ) -> Self::Stage {
        AsOfJoin::new(by, span(self.tolerance), pairing, backend)
    }
}
