//! Unsafe code outside the few files made for it, and calls for which there is something better.

use crate::source::{Fault, Source, Token};

/// The files that may hold `unsafe`; a name that ends in `/` stands for its folder.
const UNSAFE_FILES: &[&str] = &[
    "src/record/archived.rs",
    "src/record/block.rs",
    "src/record/compound.rs",
    "src/record/declare.rs",
    "src/record/in_window.rs",
    "src/record/mod.rs",
    "src/record/native.rs",
    "src/ring/copying.rs",
    "src/ring/slots.rs",
    "src/ring/spsc.rs",
    "src/ring/spsc_models.rs",
    "src/ring/spsc_tests.rs",
    "src/state/held.rs",
    "src/state/lists.rs",
    "src/state/memory.rs",
    "src/state/paged/beside.rs",
    "src/state/paged/directory.rs",
    "src/state/paged/group.rs",
    "src/state/paged/packed.rs",
    "src/state/paged/page.rs",
    "src/state/timers/pile.rs",
    "src/sys/",
];

/// How far above an `unsafe` its conditions may begin.
const SAFETY_LINES_MAX: usize = 16;

/// A call that the engine's own files do not make, and the files that may all the same.
struct Ban {
    call: &'static [&'static str],
    except: &'static [&'static str],
    instead: &'static str,
}

const fn ban(call: &'static [&'static str], instead: &'static str) -> Ban {
    Ban { call, except: &[], instead }
}

const EXIT: &str = "return an Error; only a program's main ends the process";
const PRINT: &str = "return it, count it in the metrics, or send it to a sink";
const CLOCK: &str = "measure by Instant or sys::clock::now, which nobody sets back";
const WIDTH: &str = "widths in bytes are explicit: convert to u32 or u64 first";

const BANS: &[Ban] = &[
    ban(&["process", "::", "exit"], EXIT),
    ban(&["process", "::", "abort"], EXIT),
    ban(&[".", "unwrap", "(", ")"], "return an Error, or `expect` the invariant by name"),
    Ban { call: &["println", "!"], except: &["src/connector/stdout.rs"], instead: PRINT },
    ban(&["print", "!"], PRINT),
    ban(&["eprintln", "!"], PRINT),
    ban(&["eprint", "!"], PRINT),
    Ban { call: &["SystemTime"], except: &["src/sys/clock.rs"], instead: CLOCK },
    ban(&["thread", "::", "sleep"], "park with a deadline, so that a wake-up ends it"),
    ban(&["usize", "::", "to_le_bytes"], WIDTH),
    ban(&["usize", "::", "to_be_bytes"], WIDTH),
    ban(&["usize", "::", "to_ne_bytes"], WIDTH),
    ban(&["usize", "::", "from_le_bytes"], WIDTH),
    ban(&["usize", "::", "from_be_bytes"], WIDTH),
    ban(&["usize", "::", "from_ne_bytes"], WIDTH),
    ban(&["as", "usize", ")", ".", "to_le_bytes"], WIDTH),
    ban(&["as", "usize", ")", ".", "to_ne_bytes"], WIDTH),
    ban(&[".", "len", "(", ")", ".", "to_le_bytes"], WIDTH),
    ban(&[".", "len", "(", ")", ".", "to_ne_bytes"], WIDTH),
];

pub fn calls(source: &Source) -> Vec<Fault> {
    if !source.is_engine() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for ban in BANS.iter().filter(|ban| !ban.except.contains(&source.path.as_str())) {
        for line in source.find(ban.call) {
            faults.push(Fault::new(source, line, format!("`{}`", ban.call.concat()), ban.instead));
        }
    }
    faults
}

pub fn unsafe_elsewhere(source: &Source) -> Vec<Fault> {
    if !source.is_product() || UNSAFE_FILES.iter().any(|entry| covers(entry, &source.path)) {
        return Vec::new();
    }
    let remedy = "use a safe crate, or move it to one of UNSAFE_FILES in tests/tidy/banned.rs";
    let fault = |(line, _)| Fault::new(source, line, "`unsafe` in a file not made for it", remedy);
    unsafes(source).into_iter().map(fault).collect()
}

/// A file on the list that exists and needs no `unsafe` leaves the list.
pub fn unsafe_list_is_current(sources: &[Source]) -> Vec<Fault> {
    let idle =
        |source: &&Source| UNSAFE_FILES.contains(&&*source.path) && unsafes(source).is_empty();
    let remedy = "take it off UNSAFE_FILES in tests/tidy/banned.rs";
    let fault = |source: &Source| Fault::new(source, 1, "holds no `unsafe`", remedy);
    sources.iter().filter(idle).map(fault).collect()
}

/// Each `unsafe` names the conditions that it meets (`SAFETY:`) or asks for (`# Safety`).
pub fn unsafe_unexplained(source: &Source) -> Vec<Fault> {
    if !source.is_product() {
        return Vec::new();
    }
    let lines: Vec<&str> = source.lines().map(|(_, line)| line).collect();
    let explained = |(line, word): &(usize, &str)| {
        let from = line.saturating_sub(SAFETY_LINES_MAX + 1);
        lines[from..*line].iter().any(|text| text.contains(word))
    };
    let fault = |(line, word)| {
        let what = format!("`unsafe` without `{word}` in the {SAFETY_LINES_MAX} lines above");
        Fault::new(source, line, what, "number the conditions that make it sound")
    };
    unsafes(source).into_iter().filter(|found| !explained(found)).map(fault).collect()
}

fn covers(entry: &str, path: &str) -> bool {
    path == entry || (entry.ends_with('/') && path.starts_with(entry))
}

/// Where `unsafe` stands, and the words that explain that kind of it. A function pointer's type
/// is no promise and needs none; a trait's method has its conditions at the trait; a model of a
/// function has them at the function.
fn unsafes(source: &Source) -> Vec<(usize, &'static str)> {
    let next = |at: usize| source.tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    source
        .tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.text == "unsafe")
        .filter(|(at, token)| {
            let pointer = next(at + 2) == "(";
            next(at + 1) != "fn" || !(pointer || token.test || is_in_trait_impl(source, *at))
        })
        .map(|(at, token)| match next(at + 1) {
            "fn" | "trait" => (token.line, "# Safety"),
            _ => (token.line, "SAFETY:"),
        })
        .collect()
}

/// Whether the innermost braces around a token are those of an `impl … for …`.
fn is_in_trait_impl(source: &Source, at: usize) -> bool {
    let mut closed = 0;
    let mut before = source.tokens[..at].iter().rev().map(|token| token.text.as_str());
    let inside = before.by_ref().find(|text| {
        match *text {
            "}" => closed += 1,
            "{" => closed -= 1,
            _ => {}
        }
        closed < 0
    });
    let mut brackets = 0;
    let header: Vec<&str> = before
        .take_while(|text| {
            match *text {
                "]" => brackets += 1,
                "[" => brackets -= 1,
                _ => {}
            }
            // The semicolon of an array's type ends nothing.
            !matches!(*text, "{" | "}") && (*text != ";" || brackets > 0)
        })
        .collect();
    inside.is_some() && header.contains(&"impl") && header.contains(&"for")
}

#[test]
fn a_banned_call_is_refused_in_the_engine() {
    let count = |path: &str, text: &str| calls(&Source::rust(path, text)).len();
    for bad in [
        "fn f() { std::process::exit(1) }",
        "fn f() { std::process::abort() }",
        "fn f(x: Option<u8>) -> u8 { x.unwrap() }",
        "fn f() { println!(\"x\") }",
        "fn f() { eprintln!(\"x\") }",
        "use std::thread::sleep;",
        "fn f() { std::time::SystemTime::now(); }",
        "fn f(x: u8) { (x as usize).to_le_bytes(); }",
        "fn f() { usize::from_le_bytes([0; 8]); }",
    ] {
        assert_eq!(count("src/key.rs", bad), 1, "{bad}");
        assert_eq!(count("tests/key.rs", bad), 0, "{bad}");
        assert_eq!(count("src/key.rs", &format!("#[cfg(test)] mod t {{ {bad} }}")), 0, "{bad}");
    }
    assert_eq!(count("src/connector/stdout.rs", "fn f() { println!(\"x\") }"), 0);
    assert_eq!(count("src/key.rs", "fn f(x: Option<u8>) -> u8 { x.unwrap_or(1) }"), 0);
    assert_eq!(count("src/key.rs", "/// Never `x.unwrap()`.\nfn f() {}"), 0);
}

#[test]
fn unsafe_is_refused_outside_the_list() {
    let count = |path: &str| {
        let source = Source::rust(path, "fn f() { unsafe { g() } }");
        unsafe_elsewhere(&source).len()
    };
    assert_eq!(count("src/key.rs"), 1);
    assert_eq!(count("tools/thalweg/src/main.rs"), 1);
    assert_eq!(count("src/ring/spsc.rs"), 0);
    assert_eq!(count("src/sys/affinity.rs"), 0);
    assert_eq!(count("benches/ring.rs"), 0);
    let idle = Source::rust("src/ring/spsc.rs", "#![allow(unsafe_code)]");
    assert_eq!(unsafe_list_is_current(&[idle]).len(), 1);
}

#[test]
fn unsafe_without_conditions_is_refused() {
    let count = |text: &str| unsafe_unexplained(&Source::rust("src/ring/spsc.rs", text)).len();
    assert_eq!(count("fn f() { unsafe { g() } }"), 1);
    assert_eq!(count("fn f() {\n// SAFETY: 1. g is pure.\nunsafe { g() } }"), 0);
    assert_eq!(count("unsafe impl Send for A {}"), 1);
    assert_eq!(count("/// # Safety\n/// 1. Not null.\nunsafe fn f() {}"), 0);
    assert_eq!(count("// SAFETY: of another kind\nunsafe fn f() {}"), 1);
    assert_eq!(count("type F = unsafe fn(u8);"), 0);
    assert_eq!(count("impl R for [A; 4] { fn g() {} unsafe fn f() {} }"), 0);
    assert_eq!(count("impl R for A { fn g() {} } impl A { fn g() {} unsafe fn f() {} }"), 1);
    assert_eq!(count("#[cfg(loom)] impl A { unsafe fn f() {} }"), 0);
    let far = format!("// SAFETY: 1. far\n{}fn f() {{ unsafe {{ g() }} }}", "\n".repeat(20));
    assert_eq!(count(&far), 1);
}
