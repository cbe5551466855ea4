//! Two plans side by side: what may be said of the one in a later phase.
//!
//! Costs are the planner's guesses, and small ones guess badly: only what is many times as dear and dear enough to be felt
//! counts. A table that is read whole where legacy goes by an index is told apart: it gets dearer with each row.

use std::collections::BTreeSet;

use rewrite_rules::TableName;
use rewrite_rules::lens::quote_ident;
use serde_json::Value;

use super::ask::Planned;
use super::scans::{WholeScan, aimless_scans};
use crate::control::called::ReadTable;
use crate::control::plans::PlanVerdict;

/// Pages from which on a table is large enough that reading all of it for a few rows matters: 800 kB, some thousand rows.
pub const SCAN_PAGES_MIN: i64 = 100;
/// How many times as dear a plan has to be.
pub const DEARER_TIMES: f64 = 5.0;
/// What it has to cost, in the planner's units: as much as reading 1,000 pages in a row, some milliseconds.
pub const COST_MIN: f64 = 1000.0;
/// A unified side that has less than this share of legacy's pages is not filled yet.
const FILLED_MIN: f64 = 0.25;

/// What the migration moves.
#[derive(Clone, Debug)]
pub struct Sides {
    pub legacy: BTreeSet<TableName>,
    pub unified: BTreeSet<TableName>,
}

/// The planner's costs of a plan.
pub(super) fn cost(plan: &Value) -> Option<f64> {
    let plan = plan.get(0).unwrap_or(plan);
    plan.get("Plan")?.get("Total Cost")?.as_f64()
}

/// Says what is to be said of the plan in a later phase, `later`.
pub(super) fn judge(legacy: &Planned, later: &Planned, sides: &Sides) -> PlanVerdict {
    let before: BTreeSet<TableName> = aimless_scans(&legacy.plan, &aims)
        .into_iter()
        .map(|scan| scan.table)
        .collect();
    let reads_legacy_whole = before.iter().any(|table| sides.legacy.contains(table));
    // Where all of legacy is read, all of unified may be, unless that is much more.
    let excuses = |was: &TableName, is: &TableName| {
        let alike = was == is || sides.legacy.contains(was) && sides.unified.contains(is);
        alike && pages(legacy, was) as f64 >= pages(later, is) as f64 * FILLED_MIN
    };
    let excused = |table: &TableName| before.iter().any(|was| excuses(was, table));
    // What an index would serve, the planner thinks cheaper without: the costs decide.
    let by_indexes = aimless_scans(&later.by_indexes, &aims);
    let served = |table: &TableName| !by_indexes.iter().any(|scan| scan.table == *table);
    let worst = aimless_scans(&later.plan, &aims)
        .into_iter()
        .filter(|scan| pages(later, &scan.table) >= SCAN_PAGES_MIN)
        .filter(|scan| !excused(&scan.table) && !served(&scan.table))
        .max_by_key(|scan| pages(later, &scan.table));
    if let Some(scan) = worst {
        return told(&scan, later, pages(later, &scan.table));
    }
    if let Some(reason) = unfilled(legacy, later, sides) {
        let no_index = by_indexes
            .iter()
            .filter(|scan| scan.condition.is_some() && sides.unified.contains(&scan.table))
            .find(|_| !reads_legacy_whole);
        return match no_index {
            Some(scan) => told(scan, later, 0),
            None => PlanVerdict::CannotTell { reason },
        };
    }
    match (cost(&legacy.plan), cost(&later.plan)) {
        (Some(before), Some(after)) if after >= COST_MIN && after >= before * DEARER_TIMES => {
            PlanVerdict::Dearer
        }
        (Some(_), Some(_)) => PlanVerdict::Same,
        (None, _) | (_, None) => PlanVerdict::CannotTell {
            reason: "the server's plan has no costs".to_owned(),
        },
    }
}

/// Whether a condition looks for some rows of a table: by a parameter, or by what a row of another one says.
fn aims(condition: &str, alias: &str) -> bool {
    condition.contains('$') || !compared(condition, alias).is_empty()
}

fn read<'p>(of: &'p Planned, table: &TableName) -> Option<&'p ReadTable> {
    of.tables.iter().find(|read| read.name == *table)
}

fn pages(of: &Planned, table: &TableName) -> i64 {
    read(of, table).map_or(0, |read| read.pages)
}

/// Why costs say nothing yet, if the rows are still to come.
fn unfilled(legacy: &Planned, later: &Planned, sides: &Sides) -> Option<String> {
    let largest = |of: &Planned, side: &BTreeSet<TableName>| {
        let tables = of.tables.iter().filter(|read| side.contains(&read.name));
        tables.max_by_key(|read| read.pages).cloned()
    };
    let full = largest(legacy, &sides.legacy)?;
    let filled = largest(later, &sides.unified)?;
    // In place both sides are the same table.
    let lacks = full.pages >= SCAN_PAGES_MIN
        && full.name != filled.name
        && (filled.pages as f64) < full.pages as f64 * FILLED_MIN;
    lacks.then(|| {
        let shown = |table: &TableName| crate::control::shown(&table.sql());
        format!(
            "{} has {} pages where {} has {}: costs are compared once rows are backfilled and ANALYZE has run; an index is \
             there for each look-up",
            shown(&filled.name),
            filled.pages,
            shown(&full.name),
            full.pages
        )
    })
}

fn told(scan: &WholeScan, of: &Planned, pages: i64) -> PlanVerdict {
    let columns = scan.condition.as_deref();
    let columns = columns.map_or_else(Vec::new, |condition| compared(condition, &scan.alias));
    // One that is there did not serve.
    let is_there = |column: &String| {
        let read = read(of, &scan.table);
        read.is_some_and(|read| read.indexed.contains(column))
    };
    let lacks = columns.first().is_some_and(|first| !is_there(first));
    let index_ddl = lacks.then(|| {
        let quoted: Vec<String> = columns.iter().map(|column| as_written(column)).collect();
        let table = [&scan.table.schema, &scan.table.name].map(|part| as_written(part));
        format!(
            "CREATE INDEX ON {}.{} ({})",
            table[0],
            table[1],
            quoted.join(", ")
        )
    });
    PlanVerdict::Scan {
        scanned: scan.table.sql(),
        pages,
        condition: scan.condition.clone(),
        index_ddl,
    }
}

fn as_written(name: &str) -> String {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    match plain {
        true => name.to_owned(),
        false => quote_ident(name),
    }
}

/// The columns of a table that a condition, as EXPLAIN writes it, compares by `=` with a parameter or another table's column,
/// as they are: casts apart, which cost an index nothing where the server wrote them by itself. An expression over one needs an index of its own, which is not guessed.
fn compared(condition: &str, alias: &str) -> Vec<String> {
    let qualified = [format!("{alias}."), format!("{}.", quote_ident(alias))];
    let mut columns: Vec<String> = Vec::new();
    let mut rest = condition;
    while !rest.is_empty() {
        let at = condition.len() - rest.len();
        let prefix = qualified.iter().find(|name| rest.starts_with(&***name));
        let begins = |text: &str| {
            let last = text.trim_end_matches('(').chars().next_back();
            // Behind a name and a parenthesis it is an argument.
            match text.ends_with('(') {
                true => last.is_none_or(|c| c.is_whitespace()),
                false => last.is_none_or(|c| !c.is_alphanumeric() && !"_.\"".contains(c)),
            }
        };
        if let Some(prefix) = prefix.filter(|_| begins(&condition[..at])) {
            let (column, behind) = name(&rest[prefix.len()..]);
            if is_equated(&condition[..at], behind) && !columns.contains(&column) {
                columns.push(column);
            }
            rest = behind;
            continue;
        }
        rest = match rest.strip_prefix('\'') {
            // What stands in a string is no column.
            Some(string) => string.find('\'').map_or("", |end| &string[end + 1..]),
            None => {
                let mut chars = rest.chars();
                chars.next();
                chars.as_str()
            }
        };
    }
    columns
}

/// A column's name at the beginning of a text, and what is behind it.
fn name(text: &str) -> (String, &str) {
    if let Some(inner) = text.strip_prefix('"') {
        let end = inner.find('"').unwrap_or(inner.len());
        return (
            inner[..end].to_owned(),
            inner.get(end + 1..).unwrap_or_default(),
        );
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
    let (name, behind) = text.split_at(end.unwrap_or(text.len()));
    (name.to_owned(), behind)
}

fn is_equated(before: &str, behind: &str) -> bool {
    let mut behind = behind.trim_start_matches(')');
    if let Some(cast) = behind.strip_prefix("::") {
        let end = cast.find(" = ").unwrap_or(cast.len());
        // One word or two, such as `character varying`.
        let plain = cast[..end]
            .chars()
            .all(|c| c.is_alphanumeric() || " _\"().,[]".contains(c));
        behind = if plain { &cast[end..] } else { "" };
    }
    let ahead = behind.trim_start_matches(')');
    match ahead.strip_prefix(" = ") {
        Some(other) => {
            let list = other.strip_prefix("ANY ").unwrap_or(other);
            let other = list.trim_start_matches('(').trim_start_matches("ARRAY[");
            let other = other.trim_start_matches('(');
            let word = other.split([' ', ')']).next().unwrap_or_default();
            let begins = other.starts_with(|c: char| c.is_alphabetic() || "_\"".contains(c));
            other.starts_with('$') || begins && word.contains('.')
        }
        None => before.trim_end_matches('(').ends_with(" = "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(name: &str) -> TableName {
        TableName {
            schema: "s".to_owned(),
            name: name.to_owned(),
        }
    }

    fn sides() -> Sides {
        Sides {
            legacy: [table("old")].into(),
            unified: [table("new"), table("cross")].into(),
        }
    }

    fn planned(kind: &str, on: &str, cost: f64, pages: i64) -> Planned {
        let condition = match kind {
            "Seq Scan" => "Filter",
            _ => "Index Cond",
        };
        let plan = json!([{"Plan": {"Node Type": kind, "Schema": "s", "Relation Name": on, "Alias": "cf_u",
            condition: "((cf_u.email)::text = $1)", "Total Cost": cost}}]);
        Planned {
            by_indexes: plan.clone(),
            plan,
            tables: vec![ReadTable {
                name: table(on),
                pages,
                indexed: vec!["id".to_owned()],
            }],
        }
    }

    fn scan(pages: i64) -> PlanVerdict {
        PlanVerdict::Scan {
            scanned: table("new").sql(),
            pages,
            condition: Some("((cf_u.email)::text = $1)".to_owned()),
            index_ddl: Some("CREATE INDEX ON s.new (email)".to_owned()),
        }
    }

    #[test]
    fn every_kind_of_plan_is_judged_beside_every_other() {
        const INDEX: &str = "Index Scan";
        const SEQ: &str = "Seq Scan";
        use PlanVerdict::{Dearer, Same};
        for (legacy, later, expected) in [
            ((INDEX, 8.0, 370), (INDEX, 9.0, 370), Same),
            ((INDEX, 8.0, 370), (SEQ, 640.0, 370), scan(370)),
            // Both read all: it is no dearer than it was.
            ((SEQ, 640.0, 370), (SEQ, 700.0, 400), Same),
            ((SEQ, 640.0, 370), (SEQ, 9000.0, 1400), Dearer),
            // A legacy table of a few rows among many of unified's own.
            ((SEQ, 2.0, 1), (SEQ, 6400.0, 4000), scan(4000)),
            // Tiny tables do not cry wolf.
            ((INDEX, 1.0, 99), (SEQ, 99.0, 99), Same),
            ((INDEX, 8.0, 370), (INDEX, 999.0, 370), Same),
            ((INDEX, 8.0, 370), (INDEX, 1000.0, 370), Dearer),
            ((INDEX, 300.0, 370), (INDEX, 1400.0, 370), Same),
            // Nothing is there yet, and nothing serves the look-up.
            ((INDEX, 8.0, 370), (SEQ, 1.0, 0), scan(0)),
        ] {
            let found = judge(
                &planned(legacy.0, "old", legacy.1, legacy.2),
                &planned(later.0, "new", later.1, later.2),
                &sides(),
            );
            assert_eq!(found, expected, "{legacy:?} {later:?}");
        }
        // An index is there, and the planner reads the table nevertheless: by the costs.
        let mut served = planned(SEQ, "new", 640.0, 370);
        served.by_indexes = planned(INDEX, "new", 900.0, 370).plan;
        let found = judge(&planned(INDEX, "old", 8.0, 370), &served, &sides());
        assert_eq!(found, Same);
        // One that is there and does not serve is not suggested.
        let mut useless = planned(SEQ, "new", 640.0, 370);
        useless.tables[0].indexed.push("email".to_owned());
        let found = judge(&planned(INDEX, "old", 8.0, 370), &useless, &sides());
        let PlanVerdict::Scan { index_ddl, .. } = found else {
            panic!("{found:?}");
        };
        assert_eq!(index_ddl, None);
        let found = judge(
            &planned(INDEX, "old", 8.0, 370),
            &planned(INDEX, "new", 1.0, 3),
            &sides(),
        );
        let PlanVerdict::CannotTell { reason } = found else {
            panic!("{found:?}");
        };
        assert!(
            reason.starts_with("s.new has 3 pages where s.old has 370"),
            "{reason}"
        );
    }

    #[test]
    fn an_index_is_guessed_of_columns_that_are_compared_as_they_are() {
        for (condition, expected) in [
            (
                "((cf_u.role <> 'customer'::user_role) AND (cf_u.email = $1))",
                "email",
            ),
            ("((cf_u.email)::text = ($1)::text)", "email"),
            ("($1 = cf_u.\"userId\")", "userId"),
            ("(lower(cf_u.email) = $1)", ""),
            ("(cf_u.email = ANY (ARRAY[$1, $2]))", "email"),
            (
                "((cf_u.a = $1) AND (cf_u.b = a.b) AND (xcf_u.c = 1))",
                "a b",
            ),
            ("(a.id = cf_u.user_id)", "user_id"),
            ("(cf_u.email ~~ $1)", ""),
            ("(cf_u.note = ' cf_u.x = $1')", ""),
            (
                "((cf_u.role = ANY ('{a,b}'::user_role[])) AND (cf_u.full_name = $1))",
                "full_name",
            ),
            (
                "((cf_u.role = 'a'::user_role) AND (cf_u.id = (\"T\".\"B\")))",
                "id",
            ),
            ("cf_u.is_active", ""),
        ] {
            let found = compared(condition, "cf_u").join(" ");
            assert_eq!(found, expected, "{condition}");
        }
    }
}
