//! What windows there are: tumbling, sliding, cumulating.

use std::fmt;
use std::time::Duration;

use super::check::{check_panes, check_span, divisor_near};
use crate::error::Result;
use crate::time::{Timestamp, in_words, span};

/// A description of windows that [`Keyed::window`] and [`Stream::window`] take: [`Tumbling`],
/// [`Sliding`], [`Cumulating`], [`Session`](super::Session), [`CountWindow`](super::CountWindow),
/// [`Global`](super::Global). They print as an explanation of the job says them.
///
/// [`Keyed::window`]: ../api/struct.Keyed.html#method.window
/// [`Stream::window`]: ../api/struct.Stream.html#method.window
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not describe windows",
    label = "not windows",
    note = "there are `Tumbling::of(1.minutes())`, `Sliding`, `Cumulating`, `Session`, \
            `CountWindow` and `Global`"
)]
pub trait Windows: Clone + fmt::Display + Send + 'static {
    /// Whether event time says which records belong to a window, or when its result is given.
    fn needs_event_times(&self) -> bool {
        true
    }

    /// Whether the windows can be.
    ///
    /// # Errors
    /// Which length is none or makes too many panes, and what to give instead; the job does not
    /// start.
    fn check(&self) -> Result {
        Ok(())
    }
}

/// Windows that are made of panes: any window is a run of whole panes.
#[diagnostic::on_unimplemented(
    message = "windows of `{Self}` are not made of panes",
    label = "neither tumbling, sliding nor cumulating",
    note = "joins by window and early results need `Tumbling`, `Sliding` or `Cumulating`"
)]
pub trait Paned: Windows {
    /// The panes and windows in numbers.
    fn spec(&self) -> WindowSpec;
}

/// Windows made of panes, in microseconds. Windows end at every multiple of `step` plus `offset`.
///
/// ```text
/// sliding, size 4, step 2      cumulating, size 4, step 1
/// panes   |0-2|2-4|4-6|6-8|    panes   |0|1|2|3|4|5|6|7|
/// windows |-------|            windows |-|
///             |-------|                |---|
///                 |-------|            |-----|
///                                      |-------|
///                                              |-|  …
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    /// Length of a window; of the longest for cumulating windows.
    pub size: i64,
    /// Distance between the ends of windows.
    pub step: i64,
    /// Length of a pane.
    pub pane: i64,
    /// Where windows are aligned to, from the epoch.
    pub offset: i64,
    /// All windows of one `size` begin together.
    pub cumulating: bool,
}

impl WindowSpec {
    /// The same windows in panes of which none crosses a multiple of `early` (0: any).
    #[must_use]
    pub fn with_early(self, early: i64) -> WindowSpec {
        WindowSpec { pane: gcd(self.pane, early), ..self }
    }

    /// The start of the pane that holds a time.
    #[inline]
    pub fn pane_of(&self, at: Timestamp) -> Timestamp {
        at.align_down(self.pane, self.offset)
    }

    /// Panes that start before this time have ended at `at`: all of them at the end of time, which
    /// the last pane reaches beyond.
    pub fn closed(&self, at: Timestamp) -> Timestamp {
        if at == Timestamp::MAX { at } else { us(at, 1 - self.pane) }
    }

    /// The end of the first window that holds a pane.
    pub fn first_end(&self, pane: Timestamp) -> Timestamp {
        self.end_at_or_after(us(pane, self.pane))
    }

    /// The end of the last window that holds a pane.
    pub fn last_end(&self, pane: Timestamp) -> Timestamp {
        if self.cumulating {
            return us(pane.align_down(self.size, self.offset), self.size);
        }
        us(pane, self.size).align_down(self.step, self.offset)
    }

    /// The ends of those windows of a pane that end at `from` or later.
    pub fn ends(
        &self,
        pane: Timestamp,
        from: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + use<> {
        let (spec, last) = (*self, self.last_end(pane));
        let first = self.first_end(pane).max(from);
        let next = move |end: &Timestamp| Some(spec.next_end(*end)).filter(|next| next > end);
        std::iter::successors(Some(first), next).take_while(move |end| *end <= last)
    }

    /// The start of the window that ends at `end`.
    pub fn start_of(&self, end: Timestamp) -> Timestamp {
        if self.cumulating {
            return us(end, -1).align_down(self.size, self.offset);
        }
        us(end, -self.size)
    }

    /// The first end of a window at or after a time.
    pub fn end_at_or_after(&self, at: Timestamp) -> Timestamp {
        us(us(at, -1).align_down(self.step, self.offset), self.step)
    }

    /// The end of the window after the one that ends at `end`.
    pub fn next_end(&self, end: Timestamp) -> Timestamp {
        us(end, self.step)
    }

    /// Whether a pane lies between windows.
    pub fn is_between(&self, pane: Timestamp) -> bool {
        self.last_end(pane) < self.first_end(pane)
    }

    /// Whether every window is one pane and every pane a window.
    pub fn is_tumbling(&self) -> bool {
        self.size == self.pane && self.step == self.pane
    }

    /// Where a record goes that falls into a pane when all windows that end at or before `closed`
    /// are closed.
    pub fn place(&self, pane: Timestamp, closed: Timestamp) -> Place {
        if self.is_between(pane) {
            return Place::Nowhere;
        }
        let (first, last) = (self.first_end(pane), self.last_end(pane));
        let from = if first > closed { first } else { self.end_at_or_after(us(closed, 1)) };
        if from > last || closed == Timestamp::MAX { Place::Late } else { Place::From(from) }
    }
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It counts in its windows that end at this time or after it.
    From(Timestamp),
    /// All its windows are closed.
    Late,
    /// It lies between windows.
    Nowhere,
}

/// Moves a time by microseconds, saturating.
pub(super) fn us(at: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_micros(at.micros().saturating_add(by))
}

/// Windows of a fixed length, one after the other, aligned to the epoch (1970-01-01, UTC).
///
/// ```
/// use thalweg::prelude::*;
/// let hourly = Tumbling::of(1.hours());
/// let days_of_new_york = Tumbling::of(1.days()).offset(5.hours());
/// # let _ = (hourly, days_of_new_york);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    size: i64,
    offset: i64,
}

impl Tumbling {
    /// Windows of this length. The job does not start if it is less than a microsecond.
    pub fn of(size: Duration) -> Tumbling {
        Tumbling { size: span(size), offset: 0 }
    }

    /// Moves their beginnings by so much from the epoch; whole lengths more change nothing.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Tumbling {
        Tumbling { offset: span(offset) % self.size.max(1), ..self }
    }
}

impl fmt::Display for Tumbling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tumbling {}", in_words(self.size))?;
        write_offset(self.offset, f)
    }
}

impl Windows for Tumbling {
    fn check(&self) -> Result {
        check_span("length of the windows", self.size)
    }
}
impl Paned for Tumbling {
    fn spec(&self) -> WindowSpec {
        let Tumbling { size, offset } = *self;
        WindowSpec { size, step: size, pane: size, offset, cumulating: false }
    }
}

/// Windows of a fixed length, one every slide; with a slide below the length they overlap, with
/// one above it they leave records out, which are not counted as late. Windows end at the multiples
/// of the slide since the epoch, so the first ones begin before the first record.
///
/// ```
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// job.source(Memory::of([1_u64, 12, 13]))
///     .event_time(|ms| Timestamp::from_millis(ms as i64), 0.seconds())
///     .window(Sliding::of(20.millis(), 10.millis()))
///     .aggregate(|ms| ms.count())
///     .map(|window| (window.start.millis(), window.end.millis(), window.value))
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted(), [(-10, 10, 1), (0, 20, 3), (10, 30, 2)]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    size: i64,
    slide: i64,
    offset: i64,
}

impl Sliding {
    /// Windows of length `size`, one every `slide`. The job does not start if one of them is less
    /// than a microsecond, or if the longest time that divides both, the pane, is much shorter than
    /// the window ([`PANES`](crate::limits::PANES)).
    pub fn of(size: Duration, slide: Duration) -> Sliding {
        Sliding { size: span(size), slide: span(slide), offset: 0 }
    }

    /// Moves their ends by so much from the epoch.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Sliding {
        Sliding { offset: span(offset) % self.slide.max(1), ..self }
    }
}

impl fmt::Display for Sliding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sliding {} every {}", in_words(self.size), in_words(self.slide))?;
        write_offset(self.offset, f)
    }
}

impl Windows for Sliding {
    fn check(&self) -> Result {
        let Sliding { size, slide, .. } = *self;
        check_span("length of the windows", size)?;
        check_span("slide of the windows", slide)?;
        if size % slide == 0 {
            return check_panes(self.spec(), || ("", "give a longer slide"));
        }
        check_panes(self.spec(), || {
            let slide_said = in_words(slide);
            let why =
                format!(", the greatest length that divides both it and the slide of {slide_said}");
            let such = in_words(divisor_near(size, slide));
            (why, format!("give a slide that divides the length, such as {such}"))
        })
    }
}
impl Paned for Sliding {
    fn spec(&self) -> WindowSpec {
        let Sliding { size, slide, offset } = *self;
        WindowSpec { size, step: slide, pane: gcd(size, slide), offset, cumulating: false }
    }
}

/// Windows that begin together and end one step after the other, up to a length: the count since
/// midnight, every minute. They are aligned to the epoch.
///
/// ```
/// # use thalweg::prelude::*;
/// # let job = Job::new("doc");
/// # let (sink, results) = Collect::new();
/// job.source(Memory::of([1_u64, 12, 13]))
///     .event_time(|ms| Timestamp::from_millis(ms as i64), 0.seconds())
///     .window(Cumulating::of(30.millis(), 10.millis()))
///     .aggregate(|ms| ms.count())
///     .map(|window| (window.end.millis(), window.value))
///     .sink(sink);
/// # job.run()?;
/// assert_eq!(results.sorted(), [(10, 1), (20, 3), (30, 3)]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cumulating {
    size: i64,
    step: i64,
}

impl Cumulating {
    /// Windows that end every `step` until they are `size` long. `size` is rounded up to a
    /// multiple of `step`. The job does not start if one of them is less than a microsecond.
    pub fn of(size: Duration, step: Duration) -> Cumulating {
        let (size, step) = (span(size), span(step));
        let steps = size / step.max(1) + i64::from(size % step.max(1) > 0);
        Cumulating { size: steps.saturating_mul(step), step }
    }
}

impl fmt::Display for Cumulating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cumulating to {} every {}", in_words(self.size), in_words(self.step))
    }
}

impl Windows for Cumulating {
    fn check(&self) -> Result {
        check_span("step of the windows", self.step)?;
        check_span("length of the windows", self.size)?;
        check_panes(self.spec(), || ("", "give a longer step"))
    }
}
impl Paned for Cumulating {
    fn spec(&self) -> WindowSpec {
        let Cumulating { size, step } = *self;
        WindowSpec { size, step, pane: step, offset: 0, cumulating: true }
    }
}

fn write_offset(offset: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if offset == 0 { Ok(()) } else { write!(f, ", offset {}", in_words(offset)) }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: i64) -> Timestamp {
        Timestamp::from_micros(x)
    }

    #[test]
    fn sliding_windows_of_a_pane() {
        let spec = Sliding::of(Duration::from_micros(10), Duration::from_micros(4)).spec();
        assert_eq!(spec.pane, 2);
        // [-2, 8), [2, 12), [6, 16) hold the pane [6, 8).
        assert_eq!(spec.first_end(at(6)), at(8));
        assert_eq!(spec.last_end(at(6)), at(16));
        assert_eq!(spec.start_of(at(8)), at(-2));
    }

    #[test]
    fn cumulating_windows_of_a_pane() {
        let spec = Cumulating::of(Duration::from_micros(6), Duration::from_micros(2)).spec();
        assert_eq!((spec.first_end(at(8)), spec.last_end(at(8))), (at(10), at(12)));
        assert_eq!(spec.start_of(at(12)), at(6));
        assert_eq!(spec.start_of(at(8)), at(6));
    }

    #[test]
    fn sparse_windows_leave_records_out() {
        let spec = Sliding::of(Duration::from_micros(2), Duration::from_micros(6)).spec();
        // Windows [4, 6), [10, 12): the pane [2, 4) is in none, its last end is before its first.
        assert!(spec.last_end(at(2)) < spec.first_end(at(2)));
        assert_eq!((spec.first_end(at(4)), spec.last_end(at(4))), (at(6), at(6)));
    }
}
