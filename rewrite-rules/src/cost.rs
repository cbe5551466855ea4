//! What a text would cost its reader, told by its tokens before it is parsed.
//!
//! The parser's tree is handed over with every shared part written out once for each that shares it.
//! Of all of the grammar one construct shares: in `SET (a, b, …) = source` each column has the source.
//! So a list of n columns and n values takes n² nodes, and one whose source is a query that has such a
//! list in its own WITH takes the product of both. All else grows with the text, by as much as
//! [`Token::weight`] says, or is nested, which the parser itself bounds (some 5,000 deep).

use crate::text::tokens::{Token, Tokens};

/// A text that weighs more is not parsed. A unit stands for up to 0.9 kB at the tree's making, so this is
/// half a GB at most, and for ordinary texts a fifth of it. It lets pass 5,000 rows of 30 values, a list of
/// 65,535 parameters each with its cast, and `SET` lists of 300 columns.
pub(crate) const WEIGHT_MAX: u64 = 600_000;

/// The weight of the tree that a text's tokens make.
pub(crate) fn weight(text: &str, scanned: &[Token]) -> u64 {
    let tokens = Tokens {
        text,
        tokens: scanned,
    };
    let mut lists = Lists::default();
    let mut total: u64 = 0;
    for (at, token) in scanned.iter().enumerate() {
        let copies = lists.step(tokens, at);
        total = total.saturating_add(u64::from(token.weight).saturating_mul(copies));
    }
    total
}

/// Which lists of columns share the source that the current token belongs to.
#[derive(Default)]
struct Lists {
    /// The parentheses that are open: whether each may hold columns to be set, and its commas.
    open: Vec<(bool, u64)>,
    /// The columns in the parentheses that have just been closed.
    closed: Option<u64>,
    /// The sources around: their depth, and the copies that are made of what is in them.
    sources: Vec<(u32, u64)>,
}

impl Lists {
    fn factor(&self) -> u64 {
        self.sources.last().map_or(1, |(_, copies)| *copies)
    }

    /// Takes one token, and tells how many copies of it there will be.
    fn step(&mut self, tokens: Tokens<'_>, at: usize) -> u64 {
        let token = &tokens.tokens[at];
        let before = at.checked_sub(1).map(|at| &tokens.tokens[at]);
        let columns = self.closed.take();
        while let Some((depth, _)) = self.sources.last()
            && (token.depth < *depth || token.depth == *depth && ends_source(tokens, at))
        {
            self.sources.pop();
        }
        let copies = self.factor();
        match token.symbol(tokens.text.as_bytes()) {
            b'(' | b'[' => {
                let may_set = before.is_some_and(|before| {
                    tokens.is_word(before, "set") || before.symbol(tokens.text.as_bytes()) == b','
                });
                self.open.push((may_set, 0));
            }
            b')' | b']' => {
                let closed = self.open.pop();
                self.closed = closed.filter(|(may_set, _)| *may_set).map(|(_, n)| n + 1);
            }
            b',' => {
                if let Some((_, commas)) = self.open.last_mut() {
                    *commas += 1;
                }
            }
            b'=' => {
                if let Some(columns) = columns {
                    let in_source = copies.saturating_mul(columns);
                    self.sources.push((token.depth, in_source));
                }
            }
            _ => {}
        }
        copies
    }
}

/// What stands behind a source, outside all parentheses.
fn ends_source(tokens: Tokens<'_>, at: usize) -> bool {
    match tokens.tokens[at].symbol(tokens.text.as_bytes()) {
        b',' | b';' => true,
        _ => tokens.is_any(at, &["where", "returning", "from", "when"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::tokens;

    fn weight_of(text: &str) -> u64 {
        weight(text, &tokens::scan(text).expect("it is scanned"))
    }

    /// `('x', 'x', …)`
    fn row(of: &str, count: usize) -> String {
        format!("({})", vec![of; count].join(", "))
    }

    #[test]
    fn a_list_of_columns_multiplies_its_source_and_nothing_else() {
        let columns = weight_of("UPDATE t SET (a, b, c) = ");
        let source = weight_of("(1, 2, 3)");
        let rest = " WHERE (a, b) = (1, 2) AND (a, b) = (3, 4)";
        let listed = weight_of("UPDATE t SET (a, b, c) = (1, 2, 3)");
        assert_eq!(listed, columns + 3 * source);
        let more = weight_of(&format!("UPDATE t SET (a, b, c) = (1, 2, 3){rest}"));
        assert_eq!(more, listed + weight_of(rest));
        let two = weight_of("UPDATE t SET (a, b, c) = (1, 2, 3), (a, b, c) = (1, 2, 3)");
        assert_eq!(two, listed + weight_of("(a, b, c) = ") + 3 * source);
    }

    #[test]
    fn the_end_of_a_source_is_found_behind_every_kind_of_it() {
        let rest = " WHERE f = ROW(1, 2, 3, 4, 5, 6, 7, 8, 9)";
        for source in [
            "ROW(1, 2)",
            "(SELECT 1, 2 FROM s WHERE (x, y) = (1, 2))",
            "a IS DISTINCT FROM b",
            "extract(year FROM d)",
            "CASE WHEN a THEN (1, 2) ELSE ARRAY[1, 2] END",
            "DEFAULT",
        ] {
            let set = format!("UPDATE t SET (a, b) = {source}");
            assert_eq!(
                weight_of(&set),
                weight_of("UPDATE t SET (a, b) = ") + 2 * weight_of(source),
                "{source}"
            );
            let arm = " WHEN MATCHED THEN DELETE";
            for behind in [
                rest,
                " FROM u",
                " RETURNING a",
                ", c = 1",
                "; SELECT 1",
                arm,
            ] {
                let whole = weight_of(&format!("{set}{behind}"));
                assert_eq!(
                    whole,
                    weight_of(&set) + weight_of(behind),
                    "{source}{behind}"
                );
            }
        }
    }

    #[test]
    fn lists_in_the_sources_of_lists_multiply_each_other() {
        let mut text = "SELECT 1, 2".to_owned();
        for _ in 0..40 {
            text = format!("WITH w AS (UPDATE t SET (a, b) = ({text}) RETURNING 1) SELECT 1, 2");
        }
        assert!(weight_of(&text) > 1 << 40);
    }

    #[test]
    fn what_applications_send_weighs_less_than_the_limit() {
        for (what, text) in [
            (
                "5,000 rows of 30 values",
                format!(
                    "INSERT INTO t VALUES {}",
                    vec![row("'x'", 30); 5_000].join(", ")
                ),
            ),
            (
                "30,000 parameters in a list",
                format!("SELECT a FROM t WHERE b IN {}", row("$1", 30_000)),
            ),
            (
                "the most parameters that there can be, each with its cast",
                format!("SELECT a FROM t WHERE b IN {}", row("$1::varchar", 65_535)),
            ),
            (
                "300 columns at once, of a row",
                format!("UPDATE t SET {} = {}", row("c", 300), row("'x'", 300)),
            ),
            (
                "280 columns at once, of what an INSERT brought",
                format!(
                    "INSERT INTO t VALUES {} ON CONFLICT (a) DO UPDATE SET {} = ROW{}",
                    row("$1", 280),
                    row("c", 280),
                    row("excluded.c", 280)
                ),
            ),
            (
                "50,000 conditions",
                format!(
                    "SELECT a FROM t WHERE {}",
                    vec!["id IS NOT NULL"; 50_000].join(" AND ")
                ),
            ),
        ] {
            let weight = weight_of(&text);
            assert!(weight <= WEIGHT_MAX, "{what}: {weight}");
        }
    }

    #[test]
    fn what_nobody_sends_weighs_more() {
        for text in [
            format!("UPDATE t SET {} = {}", row("c", 1_000), row("'x'", 1_000)),
            format!(
                "UPDATE t SET {} = (SELECT '{}')",
                row("c", 1_000),
                "x".repeat(500_000)
            ),
            format!("SELECT {}", vec!["a"; 200_000].join(",")),
        ] {
            assert!(weight_of(&text) > WEIGHT_MAX);
        }
    }
}
