//! Ctrl-C: stops the jobs that asked for it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;

use super::Shared;
use crate::error::{Error, Kind, Result};

static JOBS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());
static HANDLER: OnceLock<Result<(), String>> = OnceLock::new();

/// Stops this job at Ctrl-C, SIGTERM or SIGHUP. The handler is set at the first call. A second
/// signal, or one when no such job is left, ends the process.
pub(super) fn stop_on_ctrl_c(job: &Arc<Shared>) -> Result {
    let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.retain(|job| job.strong_count() > 0);
    jobs.push(Arc::downgrade(job));
    drop(jobs);
    let set = || ctrlc::set_handler(stop_all).map_err(|error| error.to_string());
    HANDLER.get_or_init(set).clone().map_err(|why| {
        let what = format!("can't take over Ctrl-C: {why}; run without stop_on_ctrl_c");
        Error::new(Kind::Plan, what)
    })
}

fn stop_all() {
    let jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    let running: Vec<_> = jobs.iter().filter_map(Weak::upgrade).collect();
    if running.iter().all(|job| job.is_stopped()) {
        // As if nobody had taken the signal over.
        let _ = emulate_default_handler(SIGINT);
    }
    running.iter().for_each(|job| job.stop());
}
