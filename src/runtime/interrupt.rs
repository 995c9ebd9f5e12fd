//! Ctrl-C: stops the jobs that asked for it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::Shared;
use crate::error::{Error, Kind, Result};

static JOBS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());
static HANDLER: OnceLock<Result<(), String>> = OnceLock::new();

/// Stops this job at Ctrl-C, SIGTERM or SIGHUP. The handler is set at the first call.
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
    jobs.iter().filter_map(Weak::upgrade).for_each(|job| job.stop());
}
