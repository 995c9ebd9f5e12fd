//! The program from outside: what it prints, and how it ends.

use std::process::{Command, Output};

fn thalweg(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_thalweg");
    Command::new(program).args(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn doctor_says_what_the_machine_gives() {
    let output = thalweg(&["doctor"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for name in [
        "io_uring",
        "cores",
        "affinity",
        "quota",
        "memlock",
        "huge pages",
        "THP",
        "clock",
        "frequency",
        "hypervisor",
        "memory",
        "NUMA",
        "swap",
    ] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
}

#[test]
fn doctor_writes_json() {
    let output = thalweg(&["doctor", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let findings: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    for finding in findings.as_array().expect("a list") {
        let verdict = finding["verdict"].as_str().expect("a verdict");
        assert!(["ok", "warn", "bad"].contains(&verdict), "{finding}");
        assert_eq!(finding["remedy"].is_null(), verdict == "ok", "{finding}");
    }
}

#[test]
fn doctor_follows_the_switch_of_io_uring() {
    let switch = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let text = stdout(&thalweg(&["doctor"]));
    assert_eq!(switch.trim() == "2", text.contains("kernel.io_uring_disabled=2"), "{text}");
}

#[test]
fn an_unknown_query_is_refused_in_words() {
    let output = thalweg(&["bench", "nexmark", "--query", "q5,q99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("queries are called q0 to q22"), "{}", stderr(&output));
}

#[test]
fn help_names_every_argument() {
    let text = stdout(&thalweg(&["bench", "nexmark", "--help"]));
    for argument in
        ["--query", "--shards", "--events", "--runs", "--executor", "--format", "--output"]
    {
        assert!(text.contains(argument), "{argument} in\n{text}");
    }
    assert!(stdout(&thalweg(&["--version"])).starts_with("thalweg "));
}

#[test]
fn an_error_is_one_line_and_exit_code_1() {
    let output = thalweg(&["bench", "nexmark", "--events", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.starts_with("thalweg: ") && text.lines().count() == 1, "{text}");
}
