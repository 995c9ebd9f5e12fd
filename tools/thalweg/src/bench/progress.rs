//! A line on standard error that shows how far a run has come.

use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::report::readable_rate;

/// How often the count is asked for.
const POLL: Duration = Duration::from_millis(100);

const TEMPLATE: &str = "{prefix} {bar:24} {human_pos}/{human_len}, {rate}";

/// The line, from its making until it is dropped; then it is wiped. Nothing is shown, and no
/// thread started, where standard error is not a terminal.
#[derive(Debug)]
pub struct Progress {
    poller: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Shows `query`, run `run` of `runs` (0 for one that is not measured), and how many of
    /// `events` are through as `done` tells it: a small thread calls it every 100 ms.
    ///
    /// ```
    /// use thalweg_cli::bench::progress::Progress;
    ///
    /// let progress = Progress::start("q5", 1, 3, 1_000, || 500);
    /// drop(progress);
    /// ```
    pub fn start(
        query: &str,
        run: u32,
        runs: u32,
        events: u64,
        done: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        if !stderr().is_terminal() {
            return Self { poller: None };
        }
        let bar = ProgressBar::with_draw_target(Some(events), ProgressDrawTarget::stderr());
        let prefix = match run {
            0 => format!("{query} warm-up"),
            _ => format!("{query} run {run} of {runs}"),
        };
        Self::on(bar, prefix, done)
    }

    fn on(bar: ProgressBar, prefix: String, done: impl Fn() -> u64 + Send + 'static) -> Self {
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, to: &mut dyn Write| {
                // A line that cannot be drawn is not worth more words.
                write!(to, "{} events/s", readable_rate(state.per_sec())).ok();
            }));
        }
        bar.set_prefix(prefix);
        let (stop, stopped) = channel();
        let poll = move || {
            while stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                bar.set_position(done());
            }
            bar.finish_and_clear();
        };
        // Without a thread there is no line, and the run goes on.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(poll).ok();
        Self { poller: thread.map(|thread| (stop, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.poller.take() {
            drop(stop);
            // A closure that panicked has said so itself; the measurement does not depend on it.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use indicatif::InMemoryTerm;

    use super::*;

    #[test]
    fn the_line_follows_the_count_and_goes_away() {
        let screen = InMemoryTerm::new(5, 120);
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let bar = ProgressBar::with_draw_target(Some(4_000_000), target);
        let done = Arc::new(AtomicU64::new(1_000_000));
        let count = Arc::clone(&done);
        let progress = Progress::on(bar, "q5 run 2 of 3".to_owned(), move || {
            count.fetch_add(1, Ordering::Relaxed);
            2_500_000
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        while !screen.contents().contains("2,500,000/4,000,000, ") {
            assert!(Instant::now() < deadline, "{}", screen.contents());
            thread::sleep(Duration::from_millis(10));
        }
        assert!(screen.contents().starts_with("q5 run 2 of 3"), "{}", screen.contents());
        drop(progress);
        assert_eq!(screen.contents(), "");
        let calls = done.load(Ordering::Relaxed);
        thread::sleep(POLL * 2);
        assert_eq!(done.load(Ordering::Relaxed), calls, "the thread is gone");
    }

    #[test]
    fn dropping_does_not_wait_for_the_next_poll() {
        let began = Instant::now();
        drop(Progress::on(ProgressBar::hidden(), String::new(), || 0));
        assert!(began.elapsed() < POLL);
    }
}
