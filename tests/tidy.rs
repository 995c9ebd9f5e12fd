//! The project's own rules, held by a test that reads the source.
//!
//! Nothing here compiles the engine: each check walks the tokens or the lines of the files under
//! `src`, `tools`, `tests` and `benches`, and says `file:line: what is wrong; what to do`. Every
//! checker is itself tested on a snippet that breaks its rule.

#[path = "tidy/banned.rs"]
mod banned;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/leftovers.rs"]
mod leftovers;
#[path = "tidy/size.rs"]
mod size;
#[path = "tidy/source.rs"]
mod source;

use source::{Fault, Source};

/// Fails with one line for each fault.
fn refuse(faults: &[Fault]) {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(lines.is_empty(), "{} to tidy up\n{}", lines.len(), lines.join("\n"));
}

/// Runs one checker over every Rust file.
fn each_file(check: impl Fn(&Source) -> Vec<Fault>) {
    let sources = source::rust_files();
    assert!(sources.len() > 5, "the walk found next to nothing");
    refuse(&sources.iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn every_file_is_rust_that_parses() {
    each_file(source::unreadable);
}

#[test]
fn imports_point_down() {
    refuse(&floors::check(&source::rust_files()));
}

#[test]
fn files_are_short() {
    each_file(size::files);
}

#[test]
fn functions_are_short() {
    each_file(size::functions);
}

#[test]
fn lines_are_short() {
    each_file(size::lines);
    refuse(&source::texts().iter().flat_map(size::lines).collect::<Vec<_>>());
}

#[test]
fn readme_is_short() {
    refuse(&source::texts().iter().flat_map(size::readme).collect::<Vec<_>>());
}

#[test]
fn unsafe_lives_in_named_files() {
    each_file(banned::unsafe_elsewhere);
    refuse(&banned::unsafe_list_is_current(&source::rust_files()));
}

#[test]
fn unsafe_names_its_conditions() {
    each_file(banned::unsafe_unexplained);
}

#[test]
fn banned_calls_are_not_made() {
    each_file(banned::calls);
}

#[test]
fn no_notes_to_self_are_left() {
    each_file(leftovers::notes);
    refuse(&source::texts().iter().flat_map(leftovers::notes).collect::<Vec<_>>());
}

#[test]
fn no_code_is_commented_out() {
    each_file(leftovers::dead_code);
}

#[test]
fn no_path_of_one_machine_is_named() {
    each_file(leftovers::machine_paths);
    refuse(&source::texts().iter().flat_map(leftovers::machine_paths).collect::<Vec<_>>());
}
