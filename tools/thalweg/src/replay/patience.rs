//! How long a target that is behind is waited for.

use std::time::Duration;

use super::Plan;
use super::course::{Course, Step};

/// Records that are looked at in one go.
const STEP: usize = 100_000;

/// When a replay ends although not all was sent. A target that stops is waited for as long as more
/// is to come: what it makes late is what a replay shows.
pub struct Patience<'a> {
    plan: &'a Plan,
    /// Looks ahead, from when a target was behind for the first time.
    ahead: Option<Ahead<'a>>,
}

impl<'a> Patience<'a> {
    /// Of a replay that begins.
    pub fn new(plan: &'a Plan) -> Patience<'a> {
        Patience { plan, ahead: None }
    }

    /// Why it ends at this time after the start, if it does. `still` is how long nobody has taken
    /// anything, none where some connection waits for no target.
    pub fn ends(&mut self, now: Duration, still: Option<Duration>) -> Option<String> {
        let patience = self.plan.args.sending.drain_timeout;
        let to = &self.plan.args.to;
        let asked = |since: Duration| now > since.saturating_add(patience);
        // What was due just before its end may be moved behind it.
        let end =
            self.plan.args.choice.duration.map(|most| {
                most.saturating_sub(self.plan.offset).saturating_add(self.plan.moved())
            });
        if end.is_some_and(asked) {
            let what = "had not taken all that was due";
            return Some(format!("{to} {what} {patience:?} after --duration (--drain-timeout)"));
        }
        if still.is_none_or(|still| still < patience) {
            return None;
        }
        if self.ahead.is_none() {
            self.ahead = Ahead::new(self.plan).ok();
        }
        self.ahead.as_mut()?.last(now).filter(|last| asked(*last))?;
        let what = "took nothing, and nothing more is to come";
        Some(format!("{to} {what}, for {patience:?} (--drain-timeout)"))
    }
}

/// Goes the way of the replay, as far as records are due.
struct Ahead<'a> {
    course: Course<'a>,
    /// The latest time at which one is due, of those that it came by.
    latest: Duration,
    is_over: bool,
}

impl<'a> Ahead<'a> {
    fn new(plan: &'a Plan) -> anyhow::Result<Ahead<'a>> {
        Ok(Ahead { course: Course::new(plan, true)?, latest: Duration::ZERO, is_over: false })
    }

    /// When the last record of all is due; none as long as that is later, or not found out.
    fn last(&mut self, now: Duration) -> Option<Duration> {
        for _ in 0..STEP {
            if self.is_over || self.latest > now {
                break;
            }
            self.step(now);
        }
        Some(self.latest).filter(|_| self.is_over)
    }

    fn step(&mut self, now: Duration) {
        let plan = self.course.plan;
        match self.course.step(|| now) {
            Ok(Step::Passed(_)) => {}
            Ok(Step::Copy(at)) if at.due.is_some() => {
                let due = plan.since(at.due.unwrap_or_default());
                self.latest = self.latest.max(due.saturating_add(plan.moved()));
            }
            // All is due from the start; or nothing comes behind what can't be read.
            Ok(Step::Copy(_) | Step::Over(_)) | Err(_) => self.is_over = true,
        }
    }
}
