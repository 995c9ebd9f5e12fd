//! One run: a process of its own, on as many cores as it has workers.

use crate::engine::target_dir;
use crate::options::{Options, Run};
use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use wait_timeout::ChildExt;
use workload::Measurement;

/// The cores that runs may use, in the order in which workers get them.
pub struct Cores(Vec<usize>);

impl Cores {
    /// The wanted cores, or all that this process may use when there is no wish.
    ///
    /// # Errors
    ///
    /// When a wanted core is not to be had.
    pub fn allowed(wanted: &[usize]) -> Result<Cores> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("cannot read the allowed cores")?;
        let is_allowed = |&core: &usize| set.is_set(core).unwrap_or(false);
        if let Some(core) = wanted.iter().find(|c| !is_allowed(c)) {
            bail!("core {core} is not one that this process may use");
        }
        Ok(Cores(match wanted {
            [] => (0..CpuSet::count()).filter(is_allowed).collect(),
            _ => wanted.to_vec(),
        }))
    }

    /// Starts the command on the first cores, as many as asked for (or all, if they are fewer).
    fn start(&self, command: &mut Command, cores: usize) -> Result<Child> {
        let mut set = CpuSet::new();
        for &core in self.0.iter().take(cores) {
            set.set(core)?;
        }
        // A child has the cores of the thread that starts it, from its first instruction on.
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this)?;
        sched_setaffinity(this, &set).context("cannot choose the cores")?;
        let child = command.spawn();
        sched_setaffinity(this, &before).context("cannot take back the choice of cores")?;
        child.with_context(|| format!("cannot start {}", command.get_program().display()))
    }
}

/// Runs once; the JSON line, under the name of the engine that was asked for.
///
/// # Errors
///
/// When the process fails (with what it wrote to standard error), takes too long, or answers
/// something else than what it was asked.
pub fn once(run: &Run, options: &Options, cores: &Cores) -> Result<Measurement> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut command = command(run, options);
    command.stdout(out.try_clone()?).stderr(err.try_clone()?);
    let mut child = cores.start(&mut command, run.workers)?;
    let status = wait(&mut child, Duration::from_secs(options.timeout_s))?;
    let (out, err) = (text(&mut out)?, text(&mut err)?);
    let Some(status) = status else {
        bail!("stopped after {} s\n{err}", options.timeout_s);
    };
    ensure!(status.success(), "{status}\n{err}");
    let line = out.lines().last().unwrap_or_default();
    let mut m: Measurement =
        serde_json::from_str(line).with_context(|| format!("not a JSON line: {line}"))?;
    let answered = (&m.query, m.workers, m.events);
    let asked = (&run.query, run.workers, options.events());
    ensure!(answered == asked, "asked for {asked:?}, answered {answered:?}");
    m.engine = run.engine.to_string();
    Ok(m)
}

fn command(run: &Run, options: &Options) -> Command {
    let mut command = Command::new(run.engine.program());
    let (query, variant) = match run.query.split_once('-') {
        Some((query, variant)) => (query, Some(variant)),
        None => (&*run.query, None),
    };
    command.args(["--query", query]);
    command.args(["--workers", &run.workers.to_string()]);
    command.args(["--events", &options.events().to_string()]);
    command.arg("--cache").arg(target_dir().join("input"));
    command.args(run.engine.arguments());
    if let Some(variant) = variant {
        command.args(["--variant", variant]);
    }
    command
}

/// The status of a process that ends in time; nothing for one that had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let status = child.wait_timeout(limit)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(status)
}

fn text(file: &mut File) -> Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_on_the_first_cores() {
        let cores = Cores::allowed(&[]).expect("cores");
        let mut out = tempfile::tempfile().expect("a file");
        let mut command = Command::new("grep");
        command.args(["Cpus_allowed_list", "/proc/self/status"]);
        command.stdout(out.try_clone().expect("a handle"));
        let mut child = cores.start(&mut command, 1).expect("started");
        child.wait().expect("ended");
        let expected = format!("Cpus_allowed_list:\t{}", cores.0[0]);
        assert_eq!(text(&mut out).expect("read"), expected);
        let after = Cores::allowed(&[]).expect("cores");
        assert_eq!(after.0, cores.0, "this thread keeps its cores");
    }

    #[test]
    fn a_process_that_hangs_is_stopped() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("started");
        let status = wait(&mut child, Duration::from_millis(50)).expect("waited");
        assert!(status.is_none());
    }
}
