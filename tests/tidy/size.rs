//! How long a file, a function and a line may be.

use syn::visit::{self, Visit};

use crate::source::{Fault, Source};

const FILE_LINES_MAX: usize = 600;
/// From `fn` to the closing brace, comments included: what a reader has to scroll through.
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;
const README_LINES_MAX: usize = 150;

pub fn files(source: &Source) -> Vec<Fault> {
    let lines = source.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let what = format!("{lines} lines, {FILE_LINES_MAX} allowed");
    vec![Fault::new(source, FILE_LINES_MAX + 1, what, "split it along its concepts")]
}

pub fn readme(source: &Source) -> Vec<Fault> {
    let lines = source.lines().count();
    if source.path != "README.md" || lines <= README_LINES_MAX {
        return Vec::new();
    }
    let what = format!("{lines} lines, {README_LINES_MAX} allowed");
    vec![Fault::new(source, README_LINES_MAX + 1, what, "move detail to src/guide")]
}

/// Addresses, rows of tables and the strings of a manifest cannot be broken.
pub fn lines(source: &Source) -> Vec<Fault> {
    if source.path.ends_with(".toml") {
        return Vec::new();
    }
    let may_be_long = |line: &str| {
        let prose = line.trim_start_matches([' ', '/', '!']);
        line.contains("https://") || line.contains("http://") || prose.starts_with('|')
    };
    source
        .lines()
        .map(|(at, line)| (at, line, line.chars().count()))
        .filter(|(_, line, columns)| *columns > COLUMNS_MAX && !may_be_long(line))
        .map(|(at, _, columns)| {
            let what = format!("{columns} columns, {COLUMNS_MAX} allowed");
            Fault::new(source, at, what, "break the line")
        })
        .collect()
}

pub fn functions(source: &Source) -> Vec<Fault> {
    let Ok(file) = syn::parse_file(&source.text) else {
        return vec![Fault::new(source, 1, "not a Rust file", "make it compile")];
    };
    let mut tall = Tall { found: Vec::new() };
    tall.visit_file(&file);
    tall.found
        .iter()
        .map(|(line, name, lines)| {
            let what = format!("{name} has {lines} lines, {FUNCTION_LINES_MAX} allowed");
            Fault::new(source, *line, what, "give a part of it a name of its own")
        })
        .collect()
}

struct Tall {
    found: Vec<(usize, String, usize)>,
}

impl Tall {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().end().line;
        let lines = last - first + 1;
        if lines > FUNCTION_LINES_MAX {
            self.found.push((first, signature.ident.to_string(), lines));
        }
    }
}

impl<'ast> Visit<'ast> for Tall {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn a_long_file_is_refused() {
    let source = |lines: usize| Source::rust("src/a.rs", &"\n".repeat(lines));
    assert!(files(&source(600)).is_empty());
    assert_eq!(files(&source(601)).len(), 1);
}

#[test]
fn a_long_function_is_refused_wherever_it_stands() {
    let tall = |lines: usize| format!("fn f() {{{}}}", "\n".repeat(lines - 1));
    let count = |text: String| functions(&Source::rust("tests/a.rs", &text)).len();
    assert_eq!(count(tall(70)), 0);
    assert_eq!(count(tall(71)), 1);
    assert_eq!(count(format!("struct A; impl A {{ {} }}", tall(71))), 1);
    assert_eq!(count(format!("trait A {{ {} }}", tall(71))), 1);
    assert_eq!(count(format!("mod a {{ #[test] {} }}", tall(71))), 1);
    assert_eq!(count(format!("fn g() {{ fn h() {{}}\n{} }}", tall(71))), 2);
}

#[test]
fn a_long_line_is_refused_unless_it_cannot_be_broken() {
    let count = |line: String| lines(&Source::text("src/guide/a.md", &line)).len();
    assert_eq!(count("é".repeat(100)), 0);
    assert_eq!(count("é".repeat(101)), 1);
    assert_eq!(count(format!("//! | {} |", "x".repeat(101))), 0);
    assert_eq!(count(format!("https://{}", "x".repeat(101))), 0);
}

#[test]
fn a_long_readme_is_refused() {
    let source = |path: &str| Source::text(path, &"\n".repeat(151));
    assert_eq!(readme(&source("README.md")).len(), 1);
    assert!(readme(&source("src/guide/tour.md")).is_empty());
}
