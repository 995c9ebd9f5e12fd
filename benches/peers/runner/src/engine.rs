//! The engines: what to build, what to run.

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One line of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Engine {
    /// thalweg on plain pinned threads.
    Thalweg,
    /// thalweg on glommio executors.
    ThalwegGlommio,
    /// The limit: hand-written code for each query.
    Handwritten,
    /// timely dataflow.
    Timely,
    /// Renoir.
    Renoir,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Engine::Thalweg => "thalweg",
            Engine::ThalwegGlommio => "thalweg-glommio",
            Engine::Handwritten => "handwritten",
            Engine::Timely => "timely",
            Engine::Renoir => "renoir",
        })
    }
}

impl Engine {
    /// The package; its folder and its program have the same name.
    fn package(self) -> &'static str {
        match self {
            Engine::Thalweg | Engine::ThalwegGlommio => "thalweg_peer",
            Engine::Handwritten => "handwritten",
            Engine::Timely => "timely_peer",
            Engine::Renoir => "renoir_peer",
        }
    }

    /// The built program.
    pub fn program(self) -> PathBuf {
        target_dir().join("release").join(self.package())
    }

    /// The arguments that only this engine gets.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Engine::Thalweg => &["--executor", "threads"],
            Engine::ThalwegGlommio => &["--executor", "glommio"],
            // Of sizes from 256 to 65,536 events, the best all in all.
            Engine::Timely => &["--batch", "4096"],
            Engine::Handwritten | Engine::Renoir => &[],
        }
    }

    /// Whether the engine has another plan of that name for its queries.
    pub fn has_variant(self, variant: &str) -> bool {
        variant == "raw" && matches!(self, Engine::Handwritten | Engine::Timely)
    }
}

/// The folder of this workspace.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Where cargo puts what it builds: this program is in `<target>/<profile>/`.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    match program.ancestors().nth(2) {
        Some(target) if program.is_file() => target.to_owned(),
        _ => workspace().join("target"),
    }
}

/// Those of the engines whose package is here; says which are not.
pub fn present(engines: &[Engine]) -> Vec<Engine> {
    let there = |e: Engine| workspace().join(e.package()).join("Cargo.toml");
    keep(engines, "there is no package", there)
}

/// Those of the engines whose program is built; says which are not.
pub fn built(engines: &[Engine]) -> Vec<Engine> {
    keep(engines, "there is no program", Engine::program)
}

fn keep(engines: &[Engine], lack: &str, file: impl Fn(Engine) -> PathBuf) -> Vec<Engine> {
    let is_here = |e: &Engine| {
        let found = file(*e).is_file();
        if !found {
            eprintln!("{e}: skipped, {lack} {}", e.package());
        }
        found
    };
    engines.iter().copied().filter(is_here).collect()
}

/// Builds the engines one package at a time: together, cargo would give all of them the union of
/// their dependencies' features.
///
/// # Errors
///
/// When cargo cannot be started or a package does not compile.
pub fn build(engines: &[Engine]) -> Result<()> {
    let mut packages: Vec<_> = engines.iter().map(|e| e.package()).collect();
    packages.dedup();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for package in packages {
        // From the workspace's folder, where its configuration of the compiler applies.
        let status = Command::new(&cargo)
            .args(["build", "--release", "-p", package])
            .current_dir(workspace())
            .status()
            .with_context(|| format!("cannot start {}", cargo.display()))?;
        ensure!(status.success(), "{package} does not build");
    }
    Ok(())
}
