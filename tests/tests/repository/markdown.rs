//! As much of Markdown as links and headings need: inline and reference links outside code, and the
//! anchors that a page's headings get on GitHub.

use std::collections::{BTreeMap, BTreeSet};

/// A link's target, and the line it stands in (from one).
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    pub line: usize,
    pub target: String,
}

#[derive(Default)]
pub struct Page {
    pub links: Vec<Link>,
    pub anchors: BTreeSet<String>,
}

impl Page {
    pub fn read(text: &str) -> Page {
        let mut page = Page::default();
        let mut taken = BTreeMap::new();
        for (line, prose) in prose_lines(text) {
            if let Some(heading) = heading(prose) {
                page.anchors.insert(anchor(heading, &mut taken));
            }
            let without_code = without_code_spans(prose);
            for target in targets(&without_code) {
                page.links.push(Link { line, target });
            }
        }
        page
    }
}

/// The lines outside fenced code, with their numbers.
fn prose_lines(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|m| start.starts_with(m));
        match (fence, marker) {
            (None, Some(opened)) => fence = Some(opened),
            (Some(opened), Some(met)) if opened == met => fence = None,
            (Some(_), _) => {}
            (None, None) => lines.push((number + 1, line)),
        }
    }
    lines
}

fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    ((1..=6).contains(&level) && rest.starts_with(' ')).then(|| rest.trim())
}

/// Lower case, without punctuation, hyphens for blanks; the second of a name has `-1` behind.
fn anchor(heading: &str, taken: &mut BTreeMap<String, u32>) -> String {
    let name: String = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    let before = taken.entry(name.clone()).or_insert(0);
    *before += 1;
    match *before {
        1 => name,
        more => format!("{name}-{}", more - 1),
    }
}

/// Code spans do not reach over lines here, as the documents are written.
fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// `[text](target)`, `[text](target "title")`, and the definition `[label]: target`.
fn targets(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("](") {
        rest = &rest[at + 2..];
        let end = rest.find(')').unwrap_or(rest.len());
        found.extend(rest[..end].split_whitespace().next().map(str::to_owned));
    }
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.extend(target.split_whitespace().next().map(str::to_owned));
    }
    found
}

#[test]
fn links_are_read_outside_code_and_headings_become_anchors() {
    let page = Page::read(
        "# What it *does*, and `how`\n[a](b.md#c) and [d](<e.md>)\n`[no](no.md)`\n```\n# no\n[no](no.md)\n```\n\
         ## Twice\n## Twice\n[label]: f.md \"title\"\n",
    );
    let links: Vec<(usize, &str)> = page
        .links
        .iter()
        .map(|link| (link.line, link.target.as_str()))
        .collect();
    assert_eq!(links, [(2, "b.md#c"), (2, "<e.md>"), (10, "f.md")]);
    let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
    assert_eq!(anchors, ["twice", "twice-1", "what-it-does-and-how"]);
}
