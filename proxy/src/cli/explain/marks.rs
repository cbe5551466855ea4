//! A text before and after, with what was taken out and what was put in marked.

use rewrite_rules::Rewritten;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    /// For a terminal.
    Colours,
    /// `[-taken out-]` and `{+put in+}`.
    Brackets,
}

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

impl Marks {
    pub fn heading(self, text: &str) -> String {
        match self {
            Marks::Colours => format!("{BOLD}{text}{PLAIN}"),
            Marks::Brackets => format!("-- {text}"),
        }
    }

    fn taken_out(self, text: &str) -> String {
        match self {
            Marks::Colours => format!("{RED}{text}{PLAIN}"),
            Marks::Brackets => format!("[-{text}-]"),
        }
    }

    fn put_in(self, text: &str) -> String {
        match self {
            Marks::Colours => format!("{GREEN}{text}{PLAIN}"),
            Marks::Brackets => format!("{{+{text}+}}"),
        }
    }
}

/// The client's text and the sent one. What stands in both, in whatever order, is not marked.
pub(super) fn both(rewritten: &Rewritten, marks: Marks) -> (String, String) {
    let kept = rewritten.kept.iter().filter(|kept| kept.length > 0);
    let mut before: Vec<(usize, usize)> = kept.clone().map(|k| (k.original, k.length)).collect();
    let mut after: Vec<(usize, usize)> = kept.map(|k| (k.rewritten, k.length)).collect();
    before.sort_unstable();
    after.sort_unstable();
    (
        marked(&rewritten.original, &before, |text| marks.taken_out(text)),
        marked(&rewritten.sql, &after, |text| marks.put_in(text)),
    )
}

/// A text with a mark on what lies outside of the extents, which are sorted and may overlap.
fn marked(text: &str, kept: &[(usize, usize)], mark: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut at = 0;
    for &(start, length) in kept {
        if start > at {
            out += &mark(&text[at..start]);
            at = start;
        }
        let end = start + length;
        if end > at {
            out += &text[at..end];
            at = end;
        }
    }
    if at < text.len() {
        out += &mark(&text[at..]);
    }
    out
}
