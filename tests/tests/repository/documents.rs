//! The documents lead where they say, and the first of them stays short.

use std::fs;
use std::path::{Path, PathBuf};

use crate::markdown::Page;

/// Two screens, which is what somebody reads who does not know yet whether to go on.
const README_LINES_MAX: usize = 110;
const README_WORDS_MAX: usize = 700;

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the tests are a directory of the repository")
}

/// Files below a directory that end in `.ending`, without what is built or hidden.
pub fn files_below(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory to read") {
        let path = entry.expect("an entry to read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || ["target", "node_modules", "out"].contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.extension().is_some_and(|met| met == ending) {
            found.push(path);
        }
    }
}

fn all_files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_below(&repository(), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no file ends in .{ending}");
    found
}

/// What is wrong with a link, if anything is. Links to elsewhere are not followed.
fn fault(page: &Path, target: &str) -> Option<String> {
    let target = target.trim_start_matches('<').trim_end_matches('>');
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let meant = if path.is_empty() {
        page.to_owned()
    } else {
        page.parent().expect("a file is in a directory").join(path)
    };
    if !meant.exists() {
        return Some(format!("there is no {path}"));
    }
    if anchor.is_empty() {
        return None;
    }
    let text = fs::read_to_string(&meant).ok()?;
    (!Page::read(&text).anchors.contains(anchor))
        .then(|| format!("{} has no heading #{anchor}", meant.display()))
}

#[test]
fn every_link_of_the_documents_leads_to_a_file_and_a_heading() {
    let mut faults = Vec::new();
    let mut links = 0;
    for page in all_files("md") {
        let text = fs::read_to_string(&page).expect("a page of text");
        for link in Page::read(&text).links {
            links += 1;
            if let Some(fault) = fault(&page, &link.target) {
                faults.push(format!("{}:{}: {fault}", page.display(), link.line));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(links > 20, "only {links} links were found in all documents");
}

#[test]
fn a_link_to_a_file_or_a_heading_that_is_not_there_is_a_fault() {
    let page = repository().join("docs/README.md");
    assert_eq!(fault(&page, "glossary.md"), None);
    assert_eq!(fault(&page, "glossary.md#glossary"), None);
    assert_eq!(fault(&page, "#documents"), None);
    assert_eq!(fault(&page, "https://www.postgresql.org/"), None);
    assert!(fault(&page, "no-such-page.md").is_some());
    assert!(fault(&page, "glossary.md#no-such-word").is_some());
    assert!(fault(&page, "#no-such-heading").is_some());
}

/// Paths in a text that begin with `prefix`, as far as a name of ours reaches.
fn paths_named(text: &str, prefix: &str) -> Vec<String> {
    let part_of_name = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    text.match_indices(prefix)
        .filter(|(at, _)| !text[..*at].ends_with(|c| part_of_name(&c)))
        .map(|(at, _)| text[at..].chars().take_while(part_of_name).collect())
        .map(|path: String| path.trim_end_matches(['.', '/']).to_owned())
        .collect()
}

/// Paths that files of an ending name and that are not there.
fn paths_missing(ending: &str, prefix: &str, wanted: fn(&str) -> bool) -> Vec<String> {
    let mut missing = Vec::new();
    for file in all_files(ending) {
        let text = fs::read_to_string(&file).expect("a file of text");
        for path in paths_named(&text, prefix) {
            if wanted(&path) && !repository().join(&path).exists() {
                missing.push(format!("{}: there is no {path}", file.display()));
            }
        }
    }
    missing
}

#[test]
fn a_page_that_the_code_names_exists() {
    for ending in ["rs", "toml", "sql"] {
        let missing = paths_missing(ending, "docs/", |path| path.ends_with(".md"));
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }
}

#[test]
fn a_script_that_the_documents_name_exists() {
    let missing = paths_missing("md", "scripts/", |_| true);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    let named = paths_named("run `scripts/demo`, not other-scripts/x.", "scripts/");
    assert_eq!(named, ["scripts/demo"]);
}

#[test]
fn a_source_that_the_documents_name_exists() {
    for prefix in [
        "proxy/src/",
        "rewrite-rules/src/",
        "rewrite-rules/templates/",
    ] {
        let missing = paths_missing("md", prefix, |path| path.contains('.'));
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }
}

#[test]
fn the_index_of_the_documents_names_each_of_them() {
    let docs = repository().join("docs");
    let index = fs::read_to_string(docs.join("README.md")).expect("docs/README.md");
    let named: Vec<String> = Page::read(&index)
        .links
        .into_iter()
        .map(|link| link.target)
        .collect();
    let mut pages = Vec::new();
    files_below(&docs, "md", &mut pages);
    for page in pages {
        let path = page.strip_prefix(&docs).expect("a page below docs");
        let path = path.to_string_lossy().into_owned();
        assert!(
            path == "README.md" || named.contains(&path),
            "docs/README.md does not name {path}"
        );
    }
}

#[test]
fn the_readme_is_two_screens() {
    let text = fs::read_to_string(repository().join("README.md")).expect("README.md");
    let (lines, words) = (text.lines().count(), text.split_whitespace().count());
    assert!(
        lines <= README_LINES_MAX && words <= README_WORDS_MAX,
        "README.md has {lines} lines and {words} words: what is longer belongs to docs/"
    );
}

/// What a container is to find of this repository stands behind `- ./` and before a colon.
#[test]
fn what_the_compose_file_mounts_is_there() {
    let text = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    let mounts = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./"));
    let mounts: Vec<&str> = mounts.filter_map(|line| line.split(':').next()).collect();
    assert!(mounts.len() > 2, "{mounts:?}");
    for mount in mounts {
        assert!(repository().join(mount).exists(), "there is no {mount}");
    }
}
