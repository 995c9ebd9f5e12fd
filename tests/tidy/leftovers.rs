//! What an author leaves behind: notes to self, code that was switched off, a machine's own paths.

use crate::source::{Fault, Source};

/// Written in two halves, so that this file passes its own check.
const NOTES: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

const MACROS: &[&str] = &["dbg", "todo", "unimplemented"];

const HOMES: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("C:", "\\"),
];

pub fn notes(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, line) in source.lines() {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = words.into_iter().find(|word| NOTES.contains(word)) {
            faults.push(Fault::new(source, at, word, "do it, or open an issue and delete it"));
        }
    }
    for name in MACROS {
        for line in source.find(&[name, "!"]) {
            faults.push(Fault::new(source, line, format!("`{name}!`"), "write what it stands for"));
        }
    }
    faults
}

pub fn machine_paths(source: &Source) -> Vec<Fault> {
    let named = |line: &str| HOMES.iter().find(|home| starts_somewhere(line, home));
    let remedy = "name it from the project's root, or take it from the environment";
    source
        .lines()
        .filter_map(|(at, line)| named(line).map(|home| (at, home)))
        .map(|(at, home)| Fault::new(source, at, format!("a path under {home}"), remedy))
        .collect()
}

/// Whether a path begins with these words somewhere in the line, as against going through them.
fn starts_somewhere(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/~*}".contains(c))
    })
}

/// A comment that is a statement. Prose does not parse, except for a lone word: hence the marks.
pub fn dead_code(source: &Source) -> Vec<Fault> {
    let comment = |line: &str| {
        let code = line.trim_start().strip_prefix("//")?;
        (!code.starts_with(['/', '!'])).then(|| code.trim().to_owned())
    };
    let remedy = "delete it; the history keeps it";
    source
        .lines()
        .filter_map(|(at, line)| comment(line).map(|code| (at, code)))
        .filter(|(_, code)| is_statement(code))
        .map(|(at, _)| Fault::new(source, at, "code in a comment", remedy))
        .collect()
}

fn is_statement(code: &str) -> bool {
    let marked = ["(", "=", "::", "let ", "return", "break", "continue", "use "]
        .iter()
        .any(|mark| code.contains(mark));
    let whole = if let Some(open) = code.strip_suffix('{') {
        format!("{{ {open} {{}} }}")
    } else if code.ends_with(';') && marked {
        format!("{{ {code} }}")
    } else {
        return false;
    };
    syn::parse_str::<syn::Block>(&whole).is_ok()
}

#[test]
fn a_note_to_self_is_refused() {
    for note in NOTES {
        let text = format!("// {note}: later\nfn f() {{}}");
        assert_eq!(notes(&Source::rust("src/a.rs", &text)).len(), 1, "{note}");
        let inside = format!("// {note}S and A{note}\nfn f() {{}}");
        assert!(notes(&Source::rust("src/a.rs", &inside)).is_empty(), "{note}");
    }
    for name in MACROS {
        let text = format!("fn f() {{ {name}!(1) }}");
        assert_eq!(notes(&Source::rust("tools/a.rs", &text)).len(), 1, "{name}");
    }
}

#[test]
fn a_path_of_one_machine_is_refused() {
    let count = |line: String| machine_paths(&Source::text("README.md", &line)).len();
    for home in HOMES {
        assert_eq!(count(format!("read \"{home}me/x.csv\"")), 1, "{home}");
    }
    assert_eq!(count(format!("a relative net{}er", concat!("/wo", "rk/"))), 0);
    assert_eq!(count("/proc/cpuinfo and /sys/kernel".to_owned()), 0);
}

#[test]
fn code_in_a_comment_is_refused() {
    let count = |line: &str| dead_code(&Source::rust("src/a.rs", line)).len();
    for bad in [
        "// let x = 3;",
        "    // self.push(3);",
        "// if x > 3 {",
        "// for x in y {",
        "// return x;",
        "// a::b = c;",
    ] {
        assert_eq!(count(bad), 1, "{bad}");
    }
    for good in [
        "// the ring is full;",
        "// full;",
        "/// let x = 3;",
        "//! let x = 3;",
        "// the index may be stale (see `free`);",
        "// one of {",
        "let x = 3;",
    ] {
        assert_eq!(count(good), 0, "{good}");
    }
}
