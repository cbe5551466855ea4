//! Where result columns come from: RowDescription names a table and a column by their numbers, and
//! drivers go by these (an updatable result set, whether a column may be NULL).
//!
//! ```text
//! SELECT email FROM customers, read from people   →  people's number and that of mail
//!                                                 →  customers' number and that of email
//! ```
//!
//! Knows which numbers stand for which; never asks for them.

use std::collections::HashMap;

use rewrite_rules::{Rewritten, TableName};

/// A table's number and that of one of its columns.
pub type ColumnNumber = (u32, i16);

/// Legacy columns by the unified ones that they are read from.
#[derive(Debug, Default)]
pub struct Origins(HashMap<ColumnNumber, Vec<Origin>>);

#[derive(Clone, Debug)]
pub struct Origin {
    pub unified: TableName,
    pub legacy: TableName,
    pub place: ColumnNumber,
}

impl Origins {
    pub fn add(&mut self, unified: ColumnNumber, origin: Origin) {
        self.0.entry(unified).or_default().push(origin);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body of a RowDescription with the places that the client's text means; `None`: as it came.
    #[must_use]
    pub fn told(&self, rewritten: &Rewritten, body: &[u8]) -> Option<Vec<u8>> {
        let mut told = body.to_vec();
        let mut changed = false;
        for at in fields(body)? {
            let origin = self.origin(rewritten, place(body, at)?);
            let Some((table, column)) = origin else {
                continue;
            };
            told.get_mut(at..at + 4)?
                .copy_from_slice(&table.to_be_bytes());
            told.get_mut(at + 4..at + 6)?
                .copy_from_slice(&column.to_be_bytes());
            changed = true;
        }
        changed.then_some(told)
    }

    /// One unified column may be read for several legacy tables, of which the text names one.
    fn origin(&self, rewritten: &Rewritten, unified: ColumnNumber) -> Option<ColumnNumber> {
        let mut meant = self.0.get(&unified)?.iter();
        let meant = meant.find(|origin| rewritten.is_read_for(&origin.unified, &origin.legacy))?;
        Some(meant.place)
    }
}

/// Where each field says what it comes from.
fn fields(body: &[u8]) -> Option<Vec<usize>> {
    let count = i16::from_be_bytes(body.get(..2)?.try_into().ok()?);
    let mut at = 2;
    let mut all = Vec::new();
    for _ in 0..count {
        at += body.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        all.push(at);
        // Table, column, type, its size and modifier, format.
        at += 4 + 2 + 4 + 2 + 4 + 2;
    }
    Some(all)
}

fn place(body: &[u8], at: usize) -> Option<ColumnNumber> {
    let table = body.get(at..at + 4)?.try_into().ok()?;
    let column = body.get(at + 4..at + 6)?.try_into().ok()?;
    Some((u32::from_be_bytes(table), i16::from_be_bytes(column)))
}

#[cfg(test)]
mod tests {
    use rewrite_rules::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

    use super::*;

    fn table(name: &str) -> TableName {
        TableName {
            schema: "public".to_owned(),
            name: name.to_owned(),
        }
    }

    fn rewritten(sql: &str, tell: impl FnOnce(&Rewritten)) {
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text: include_str!("../../../rewrite-rules/rules/iso_agents.toml").to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
        let rules = rules.with_phase(None, Phase::UnifiedRead);
        match &rules.rewrite(sql, SearchPath::AsDeclared).verdict {
            Verdict::Rewritten(rewritten) => tell(rewritten),
            other => panic!("{other:?}"),
        }
    }

    fn description(places: &[ColumnNumber]) -> Vec<u8> {
        let count = i16::try_from(places.len()).expect("a few");
        let mut body = count.to_be_bytes().to_vec();
        for (table, column) in places {
            body.extend_from_slice(b"name\0");
            body.extend_from_slice(&table.to_be_bytes());
            body.extend_from_slice(&column.to_be_bytes());
            body.extend_from_slice(&[0; 12]);
        }
        body
    }

    fn origins() -> Origins {
        let mut origins = Origins::default();
        for (column, of) in [(1, "iso_agents"), (1, "another"), (2, "iso_agents")] {
            let place = (if of == "another" { 9 } else { 7 }, 10 + column);
            let (unified, legacy) = (table("users"), table(of));
            let origin = Origin {
                unified,
                legacy,
                place,
            };
            origins.add((5, column), origin);
        }
        origins
    }

    #[test]
    fn columns_of_the_unified_table_are_told_as_the_legacy_ones_that_the_text_names() {
        rewritten("SELECT id, email, 1 FROM iso_agents", |rewritten| {
            let came = description(&[(5, 1), (5, 2), (5, 3), (6, 1), (0, 0)]);
            let told = description(&[(7, 11), (7, 12), (5, 3), (6, 1), (0, 0)]);
            assert_eq!(origins().told(rewritten, &came), Some(told));
            let others = description(&[(6, 1), (0, 0)]);
            assert_eq!(origins().told(rewritten, &others), None);
        });
        let by_the_new_name = "UPDATE users SET email = email RETURNING id";
        rewritten(by_the_new_name, |rewritten| {
            let came = description(&[(5, 1)]);
            assert_eq!(origins().told(rewritten, &came), None);
        });
    }

    #[test]
    fn a_description_cut_anywhere_is_left_alone() {
        rewritten("SELECT id FROM iso_agents", |rewritten| {
            let whole = description(&[(5, 1), (5, 2)]);
            for end in 0..whole.len() {
                // The last twelve bytes say nothing of where a column comes from.
                let told = origins().told(rewritten, &whole[..end]);
                assert!(told.is_none() || end > 2 + 23, "{end} bytes");
            }
        });
    }
}
