//! The floors: a file imports only from modules that lie below its own.
//!
//! ```text
//! 6  testing
//! 5  api
//! 4  runtime
//! 3  plan, connector                            neither imports the other
//! 2  operator <- window, join
//! 1  state, record, format
//! 0  error, limits, time, key, config, ring, sys
//! ```
//!
//! Neighbours on floors 0 and 1 may import one another as long as no circle closes. What a macro
//! names by `$crate::` counts for the file that defines the macro.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Fault, Source};

const FLOORS: &[&[&str]] = &[
    &["error", "limits", "time", "key", "config", "ring", "sys"],
    &["state", "record", "format"],
    &["operator", "window", "join"],
    &["plan", "connector"],
    &["runtime"],
    &["api"],
    &["testing"],
];

/// Modules that show the engine and are imported by none of its files.
const FREE: &[&str] = &["lib", "prelude", "guide"];

/// What the root holds for macros: other crates, by one name.
const FOREIGN: &str = "__private";

/// The only imports between modules of floors 2 and above that share one.
const SIDEWAYS: &[(&str, &str)] = &[("window", "operator"), ("join", "operator")];

/// Neighbours may import each other up to this floor.
const SOCIABLE_MAX: usize = 1;

/// One import of a module by a file.
struct Import {
    line: usize,
    module: String,
}

/// Checks every file of `src`, then that no circle closes among neighbours.
pub fn check(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut beside: Vec<(&Source, String, Import)> = Vec::new();
    for source in sources.iter().filter(|source| source.is_engine()) {
        let path = module_path(&source.path);
        let own = path[0].clone();
        if FREE.contains(&own.as_str()) {
            continue;
        }
        let Some(floor) = floor_of(&own) else {
            let what = format!("module {own} has no floor");
            faults.push(Fault::new(source, 1, what, "give it one in tests/tidy/floors.rs"));
            continue;
        };
        for import in imports(source, &path) {
            match verdict(&own, floor, &import.module) {
                Verdict::Fine => {}
                Verdict::Beside => beside.push((source, own.clone(), import)),
                Verdict::Wrong(what, remedy) => {
                    faults.push(Fault::new(source, import.line, what, remedy));
                }
            }
        }
    }
    faults.extend(circles(&beside));
    faults
}

enum Verdict {
    Fine,
    Beside,
    Wrong(String, &'static str),
}

fn verdict(own: &str, floor: usize, module: &str) -> Verdict {
    if module == own || module == FOREIGN || SIDEWAYS.contains(&(own, module)) {
        return Verdict::Fine;
    }
    if FREE.contains(&module) {
        let what = format!("{own} imports {module}, which shows all floors");
        return Verdict::Wrong(what, "name the module that defines it");
    }
    let Some(below) = floor_of(module) else {
        let what = format!("`crate::{module}` is not a module with a floor");
        return Verdict::Wrong(what, "name the module that defines it, as in crate::error::Error");
    };
    if below < floor {
        Verdict::Fine
    } else if below == floor && floor <= SOCIABLE_MAX {
        Verdict::Beside
    } else {
        let what = format!("{own} (floor {floor}) imports {module} (floor {below})");
        Verdict::Wrong(what, "move what both need to a lower floor, or pass it in from above")
    }
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// `src/ring/spsc.rs` is `[ring, spsc]`, `src/ring/mod.rs` is `[ring]`.
fn module_path(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if parts.len() > 1 && parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// All top-level modules that the tokens name, from the crate's root or by way of `super`.
fn imports(source: &Source, path: &[String]) -> Vec<Import> {
    let mut found = Vec::new();
    let text = |at: usize| source.tokens.get(at).map_or("", |token| token.text.as_str());
    let mut at = 0;
    while at < source.tokens.len() {
        let token = &source.tokens[at];
        let mut ups = 0;
        let mut next = at;
        while text(next) == "super" && text(next + 1) == "::" {
            ups += 1;
            next += 2;
        }
        let rooted = matches!(text(at), "crate" | "thalweg") && text(at + 1) == "::";
        let leading = at == 0 || text(at - 1) != "::";
        if rooted {
            next = at + 2;
        }
        let at_root = rooted || (ups > 0 && ups == path.len() + token.nest);
        if at_root && leading && !token.test {
            found.extend(heads(source, next));
        }
        at = next.max(at + 1);
    }
    found
}

/// The first words of what follows `crate::`: one, or those of a braced list.
fn heads(source: &Source, at: usize) -> Vec<Import> {
    let tokens = &source.tokens[at..];
    let import =
        |token: &crate::source::Token| Import { line: token.line, module: token.text.clone() };
    let Some(first) = tokens.first() else {
        return Vec::new();
    };
    if first.text != "{" {
        let exported_macro =
            tokens.get(1).is_some_and(|next| next.text == "!") && floor_of(&first.text).is_none();
        return if exported_macro { Vec::new() } else { vec![import(first)] };
    }
    let mut found = Vec::new();
    let mut depth = 0;
    let mut fresh = false;
    for token in tokens {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => {}
            _ if fresh && depth == 1 => found.push(import(token)),
            _ => {}
        }
        fresh = depth == 1 && matches!(token.text.as_str(), "{" | ",");
        if depth == 0 {
            break;
        }
    }
    found
}

/// An import of a neighbour from which a way leads back.
fn circles(beside: &[(&Source, String, Import)]) -> Vec<Fault> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, own, import) in beside {
        edges.entry(own).or_default().insert(&import.module);
    }
    let leads_back = |from: &str, to: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            if module == to {
                return true;
            }
            if seen.insert(module) {
                open.extend(edges.get(module).into_iter().flatten());
            }
        }
        false
    };
    let closes = |(_, own, import): &&(&Source, String, Import)| leads_back(&import.module, own);
    let fault = |(source, own, import): &(&Source, String, Import)| {
        let what = format!("{own} and {} import each other", import.module);
        Fault::new(source, import.line, what, "let only one of them know the other")
    };
    beside.iter().filter(closes).map(fault).collect()
}

#[cfg(test)]
fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::rust(path, text)).collect();
    check(&sources).iter().map(Fault::to_string).collect()
}

#[track_caller]
fn refused(path: &str, text: &str, expected: &str) {
    let faults = faults_of(&[(path, text)]);
    assert!(faults.len() == 1 && faults[0].contains(expected), "{faults:?}");
}

#[track_caller]
fn passes(path: &str, text: &str) {
    let faults = faults_of(&[(path, text)]);
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn an_import_upwards_is_refused() {
    refused("src/ring/spsc.rs", "\nuse crate::runtime::Shard;", "src/ring/spsc.rs:2: ring (floor");
    refused("src/ring/spsc.rs", "fn f() { crate::api::job(); }", "imports api");
    refused("src/ring/mod.rs", "use super::state::Table;", "imports state");
    refused("src/ring/spsc.rs", "use super::super::state::Table;", "imports state");
    refused("src/ring/spsc.rs", "mod x { use super::super::super::plan::P; }", "imports plan");
    refused("src/state/mod.rs", "use crate::{error::Error, window::{pane, key}};", "window");
}

#[test]
fn a_macro_counts_where_it_is_defined() {
    let text = "macro_rules! m { ($x:ident) => { $crate::api::Job::$x() } }";
    refused("src/record/declare.rs", text, "imports api");
    passes("src/lib.rs", text);
    passes("src/record/declare.rs", "macro_rules! m { () => { $crate::__private::rkyv::f() } }");
}

#[test]
fn neighbours_are_told_apart() {
    passes("src/window/pane.rs", "use crate::operator::Operator;");
    refused("src/operator/map.rs", "use crate::window::Pane;", "imports window");
    refused("src/join/interval.rs", "use crate::window::Pane;", "imports window");
    refused("src/plan/mod.rs", "use crate::connector::File;", "imports connector");
    refused("src/connector/mod.rs", "use crate::plan::Graph;", "imports plan");
    passes("src/ring/mesh.rs", "use crate::limits::RING_BYTES;");
    let circle = faults_of(&[
        ("src/key.rs", "use crate::time::Timestamp;"),
        ("src/time.rs", "use crate::error::Error;"),
        ("src/error.rs", "use crate::key::Key;"),
    ]);
    assert_eq!(circle.len(), 3, "{circle:?}");
}

#[test]
fn what_has_no_floor_is_refused() {
    refused("src/utils.rs", "", "module utils has no floor");
    refused("src/ring/mod.rs", "use crate::Error;", "`crate::Error`");
    refused("src/ring/mod.rs", "use crate::prelude::*;", "shows all floors");
}

#[test]
fn what_is_below_or_inside_or_in_tests_passes() {
    passes("src/runtime/shard.rs", "use crate::{ring::Ring, state::Table}; use super::epoch::E;");
    passes("src/ring/spsc.rs", "pub(crate) fn f() {} mod x { use super::f; } use crate::ring::G;");
    passes("src/ring/spsc.rs", "#[cfg(test)] mod tests { use crate::api::Job; use super::*; }");
    passes("src/prelude.rs", "pub use crate::api::Job;");
    passes("src/state/mod.rs", "fn f() { crate::context!(1); }");
}
