//! The files under test, as lines and as flat tokens that know whether they are test code.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// One broken rule: where, what, and the way out.
#[derive(Debug)]
pub struct Fault {
    pub path: String,
    pub line: usize,
    pub what: String,
    pub remedy: String,
}

impl Fault {
    pub fn new(source: &Source, line: usize, what: impl Into<String>, remedy: &str) -> Self {
        Self { path: source.path.clone(), line, what: what.into(), remedy: remedy.to_owned() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// One token, cut loose from its tree. Comments are gone, a doc comment is one literal.
#[derive(Debug)]
pub struct Token {
    pub text: String,
    pub line: usize,
    /// Inside an item that only tests compile.
    pub test: bool,
    /// How many inline modules of this file are around it.
    pub nest: usize,
}

/// One file.
#[derive(Debug)]
pub struct Source {
    /// From the project's root, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    /// Files named by `#[cfg(test)] mod name;`, without `.rs`.
    test_modules: Vec<String>,
    unreadable: Option<(usize, String)>,
}

impl Source {
    /// A Rust file. One that is not Rust has no tokens, and `unreadable` says so.
    pub fn rust(path: &str, text: &str) -> Self {
        let mut source = Self::text(path, text);
        match text.parse::<TokenStream>() {
            Ok(stream) => {
                let mut flat = Flat { tokens: Vec::new(), test_modules: Vec::new() };
                flat.stream(stream, Place { test: is_test_file(path), nest: 0 });
                source.tokens = flat.tokens;
                source.test_modules = flat.test_modules.iter().map(|to| to.below(path)).collect();
            }
            Err(error) => {
                source.unreadable = Some((error.span().start().line, error.to_string()));
            }
        }
        source
    }

    /// A file of another kind: lines only.
    pub fn text(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens: Vec::new(),
            test_modules: Vec::new(),
            unreadable: None,
        }
    }

    /// In the engine or in one of its programs: not a test, not a benchmark.
    pub fn is_product(&self) -> bool {
        self.is_engine() || (self.path.starts_with("tools/") && !is_test_file(&self.path))
    }

    /// In the engine itself.
    pub fn is_engine(&self) -> bool {
        self.path.starts_with("src/")
    }

    /// Lines with their numbers, from 1.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        lines.into_iter().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Where these tokens stand in a row, outside test code.
    pub fn find(&self, pattern: &[&str]) -> Vec<usize> {
        self.tokens
            .windows(pattern.len())
            .filter(|run| !run[0].test)
            .filter(|run| run.iter().zip(pattern).all(|(token, text)| token.text == *text))
            .map(|run| run[0].line)
            .collect()
    }
}

/// A file that the other checks could not see into is itself a fault.
pub fn unreadable(source: &Source) -> Vec<Fault> {
    let fault = |(line, error): &(usize, String)| {
        Fault::new(source, *line, format!("not Rust: {error}"), "make it compile")
    };
    source.unreadable.iter().map(fault).collect()
}

/// All Rust files of the project, in order of their paths.
pub fn rust_files() -> Vec<Source> {
    let mut sources: Vec<Source> = ["src", "tools", "tests", "benches"]
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|path| path.ends_with(".rs"))
        .map(|path| Source::rust(&path, &read(&path)))
        .collect();
    let tests: HashSet<String> =
        sources.iter().flat_map(|source| source.test_modules.clone()).collect();
    for source in &mut sources {
        if tests.iter().any(|module| is_within(&source.path, module)) {
            source.tokens.iter_mut().for_each(|token| token.test = true);
        }
    }
    sources
}

/// The prose and the settings: documents, manifests, the script of the checks.
pub fn texts() -> Vec<Source> {
    let mut paths: Vec<String> = ["src", "tools", "tests", "benches"]
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|path| path.ends_with(".md") || path.ends_with(".toml"))
        .collect();
    for path in ["README.md", "Cargo.toml", ".ci/run"] {
        if root().join(path).exists() {
            paths.push(path.to_owned());
        }
    }
    paths.iter().map(|path| Source::text(path, &read(path))).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// Every file below a folder, as paths from the root, without build output.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(entry.path());
                }
            } else if let Ok(path) = entry.path().strip_prefix(root()) {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/")
}

/// The folder in which the modules that a file declares are looked for.
fn module_folder(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    match name {
        "mod" | "lib" | "main" => folder.to_owned(),
        _ => stem.to_owned(),
    }
}

fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[derive(Clone, Copy)]
struct Place {
    test: bool,
    nest: usize,
}

/// Where a declared module's file is: by its name, or by `#[path]`.
enum ModuleFile {
    Named(String),
    At(String),
}

impl ModuleFile {
    /// The file's path without `.rs`, for a module that the file at `parent` declares.
    fn below(&self, parent: &str) -> String {
        match self {
            Self::Named(name) => format!("{}/{name}", module_folder(parent)),
            Self::At(path) => {
                let folder = parent.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{}", path.trim_end_matches(".rs"))
            }
        }
    }
}

struct Flat {
    tokens: Vec<Token>,
    test_modules: Vec<ModuleFile>,
}

impl Flat {
    /// Flattens one level. After `#[cfg(test)]` or `#[test]`, all up to the end of the item is
    /// test code: up to its braces, or to its semicolon.
    fn stream(&mut self, stream: TokenStream, outside: Place) {
        let mut place = outside;
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Group(group) => {
                    let module = at >= 2 && is_ident(&trees[at - 2], "mod");
                    let nest = place.nest + usize::from(module);
                    self.group(group, Place { nest, ..place });
                    let attribute = at >= 1 && is_punct(&trees[at - 1], '#');
                    if attribute && is_test_attribute(group) {
                        place.test = true;
                    } else if group.delimiter() == Delimiter::Brace {
                        place.test = outside.test;
                    }
                }
                TokenTree::Punct(punct) => {
                    let second = at >= 1 && is_joint_colon(&trees[at - 1]);
                    if punct.as_char() == ':' && second {
                        if let Some(last) = self.tokens.last_mut() {
                            last.text.push(':');
                        }
                        continue;
                    }
                    self.push(punct.to_string(), punct.span().start().line, place);
                    if punct.as_char() == ';' {
                        if place.test && !outside.test {
                            self.test_modules.extend(declared_module(&trees[..at]));
                        }
                        place.test = outside.test;
                    }
                }
                TokenTree::Ident(ident) => {
                    self.push(ident.to_string(), ident.span().start().line, place);
                }
                TokenTree::Literal(literal) => {
                    self.push(literal.to_string(), literal.span().start().line, place);
                }
            }
        }
    }

    fn group(&mut self, group: &Group, place: Place) {
        let (open, close) = match group.delimiter() {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::None => ("", ""),
        };
        self.push(open.to_owned(), group.span_open().start().line, place);
        self.stream(group.stream(), place);
        self.push(close.to_owned(), group.span_close().start().line, place);
    }

    fn push(&mut self, text: String, line: usize, place: Place) {
        if !text.is_empty() {
            self.tokens.push(Token { text, line, test: place.test, nest: place.nest });
        }
    }
}

fn is_ident(tree: &TokenTree, text: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == text)
}

fn is_punct(tree: &TokenTree, text: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == text)
}

fn is_joint_colon(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(punct)
        if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
}

/// `#[test]`, `#[cfg(…test…)]`, and the same of loom, whose models are tests of another kind.
fn is_test_attribute(group: &Group) -> bool {
    let trees: Vec<TokenTree> = group.stream().into_iter().collect();
    match trees.first() {
        Some(first) if is_ident(first, "test") => true,
        Some(first) if is_ident(first, "cfg") => trees.get(1).is_some_and(asks_for_test),
        _ => false,
    }
}

/// Whether a condition names a test, other than under `not`.
fn asks_for_test(condition: &TokenTree) -> bool {
    let TokenTree::Group(group) = condition else {
        return false;
    };
    let trees: Vec<TokenTree> = group.stream().into_iter().collect();
    trees.iter().enumerate().any(|(at, tree)| match tree {
        TokenTree::Ident(ident) => ident == "test" || ident == "loom",
        TokenTree::Group(_) => !is_ident(&trees[at - 1], "not") && asks_for_test(tree),
        _ => false,
    })
}

/// What `mod name` at the end declares, if it is that.
fn declared_module(trees: &[TokenTree]) -> Option<ModuleFile> {
    let [before @ .., keyword, name] = trees else {
        return None;
    };
    if !is_ident(keyword, "mod") {
        return None;
    }
    // Attributes stand right before: `#` and a bracketed group each.
    for pair in before.rchunks_exact(2) {
        let [hash, TokenTree::Group(group)] = pair else {
            break;
        };
        if !is_punct(hash, '#') {
            break;
        }
        let text = group.stream().to_string();
        if let Some(path) = text.strip_prefix("path = ") {
            return Some(ModuleFile::At(path.trim_matches('"').to_owned()));
        }
    }
    Some(ModuleFile::Named(name.to_string()))
}

#[test]
fn test_code_is_told_from_the_rest() {
    let text = "fn a() { b(); }\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\nfn d() {}\n\
                #[cfg(all(test, loom))]\nmod model;\n#[cfg(not(test))]\nfn e() {}\n\
                #[cfg(all(test, not(loom)))]\n#[path = \"far.rs\"]\nmod near;\n";
    let source = Source::rust("src/ring/spsc.rs", text);
    let test = |name: &str| {
        let token = source.tokens.iter().find(|token| token.text == name).expect(name);
        (token.test, token.nest)
    };
    assert_eq!(test("b"), (false, 0));
    assert_eq!(test("c"), (true, 1));
    assert_eq!(test("d"), (false, 0));
    assert_eq!(test("e"), (false, 0));
    assert_eq!(source.test_modules, ["src/ring/spsc/model", "src/ring/far"]);
    assert!(is_within("src/ring/spsc/model.rs", "src/ring/spsc/model"));
    assert!(!is_within("src/ring/spsc/models.rs", "src/ring/spsc/model"));
}

#[test]
fn paths_are_one_token_of_two_colons() {
    let source = Source::rust("src/a.rs", "fn f(x: u8) { std::process::exit(1) }");
    assert_eq!(source.find(&["process", "::", "exit"]), [1]);
    assert_eq!(source.find(&["x", ":", "u8"]), [1]);
}

#[test]
fn a_file_that_is_not_rust_is_a_fault() {
    let faults = unreadable(&Source::rust("src/a.rs", "fn f() {\n    (\n}\n"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(unreadable(&Source::rust("src/a.rs", "fn f() {}")).is_empty());
}
