//! What a client sends costs the proxy in proportion to its length: many statements in one string or one
//! pipeline, many rows of one statement, and what a hostile one puts into a text.
//!
//! Instructions are counted, not seconds: valgrind runs `growth`, which does the work in three sizes of
//! each kind, every one twice the size before. From the first to the second size and from the second to
//! the third the work grows by s and 2 s where it is linear, by s and 4 s where it is quadratic.

use std::process::Command;

/// Tables that grow, and a logarithm, are part of linear work.
const RATIO_MAX: f64 = 2.2;

#[test]
fn the_work_grows_as_what_is_sent_does() {
    if !is_installed() {
        println!("valgrind is not to be found; nothing is counted");
        return;
    }
    let kinds = count();
    assert!(kinds.len() >= 13, "{kinds:?}");
    let mut steep = Vec::new();
    for (kind, counts) in &kinds {
        let [first, second, third] = counts[..] else {
            panic!("three sizes of {kind}: {counts:?}");
        };
        let steps = [second - first, third - second].map(|step| step as f64);
        let ratio = steps[1] / steps[0];
        println!("{kind}: {counts:?} instructions, {ratio:.2}");
        if ratio > RATIO_MAX {
            steep.push(format!("{kind}: {counts:?}, {ratio:.2}"));
        }
    }
    assert!(steep.is_empty(), "{}", steep.join("\n"));
}

#[test]
fn a_text_that_prepares_thousands_is_not_kept_once_for_each() {
    // Their texts, once rewritten, are a MB: kept for each of them they would be 2 GB.
    let run = Command::new(env!("CARGO_BIN_EXE_growth"))
        .args(["PREPAREs in one string", "2000"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let most: u64 = said.trim().parse().expect("kB");
    assert!(most < 600_000, "{most} kB");
}

fn is_installed() -> bool {
    let version = Command::new("valgrind").arg("--version").output();
    version.is_ok_and(|said| said.status.success())
}

/// Each kind with the instructions of its sizes.
fn count() -> Vec<(String, Vec<i64>)> {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("counts");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=growth::mark"])
        // The thread's stack, of which the SQL parser measures its own use.
        .arg("--max-stackframe=268435456")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env!("CARGO_BIN_EXE_growth"))
        .output()
        .expect("valgrind runs");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let mut kinds: Vec<(String, Vec<i64>)> = Vec::new();
    // A part ends with each mark: of two the second one's is the work.
    for (call, line) in said.lines().enumerate() {
        let (kind, _size) = line.split_once('\t').expect("kind and size");
        let part = format!("{}.{}", out.display(), call * 2 + 2);
        let counts = instructions(&std::fs::read_to_string(part).expect("a part of each call"));
        match kinds.last_mut() {
            Some((last, known)) if last == kind => known.push(counts),
            _ => kinds.push((kind.to_owned(), vec![counts])),
        }
    }
    kinds
}

/// A part's own total.
fn instructions(part: &str) -> i64 {
    let mut lines = part.lines();
    let total = lines.find_map(|line| line.strip_prefix("totals: "));
    total
        .and_then(|total| total.trim().parse().ok())
        .expect("a total")
}
