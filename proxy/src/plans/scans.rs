//! Which tables a plan reads whole, found in EXPLAIN's JSON.

use rewrite_rules::TableName;
use serde_json::Value;

/// A table that is read from end to end, by a scan of it or of a whole index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WholeScan {
    pub table: TableName,
    /// What the plan calls it.
    pub alias: String,
    /// What the rows are wanted by, if not all of them are.
    pub condition: Option<String>,
}

/// What a node is below.
#[derive(Clone, Copy, Default)]
struct Above<'p> {
    /// The condition of a join.
    condition: Option<&'p str>,
    /// What a LIMIT expects to cost that stops it when it has enough.
    limited: Option<f64>,
}

/// A scan of which a LIMIT expects to need less than this share is not read whole.
const STOPPED_SHARE: f64 = 0.5;

/// Those of a plan (EXPLAIN with VERBOSE, which names schemas).
pub(crate) fn whole_scans(plan: &Value) -> Vec<WholeScan> {
    let mut found = Vec::new();
    walk(plan, Above::default(), &|_, _| true, &mut found);
    found
}

/// The same, and scans by an index that only knows what the rules say of every row, while what the statement looks for is left to a
/// filter: `aims` tells of a condition and an alias whether it looks for some rows of that table.
pub(crate) fn aimless_scans(plan: &Value, aims: &dyn Fn(&str, &str) -> bool) -> Vec<WholeScan> {
    let mut found = Vec::new();
    walk(plan, Above::default(), aims, &mut found);
    found
}

/// Nodes that read all of what is below them before they give their first row.
const GATHER_ALL: [&str; 6] = [
    "Sort",
    "Aggregate",
    "Hash",
    "WindowAgg",
    "Materialize",
    "SetOp",
];

fn walk(
    plan: &Value,
    above: Above<'_>,
    aims: &dyn Fn(&str, &str) -> bool,
    found: &mut Vec<WholeScan>,
) {
    if let Some(plans) = plan.as_array() {
        for plan in plans {
            walk(plan, above, aims, found);
        }
        return;
    }
    if let Some(plan) = plan.get("Plan") {
        return walk(plan, above, aims, found);
    }
    let text = |name: &str| plan.get(name).and_then(Value::as_str);
    let kind = text("Node Type").unwrap_or_default();
    let filter = text("Filter").or_else(|| text("Join Filter"));
    let condition = filter.or(above.condition);
    let alias = text("Alias").unwrap_or_default();
    let is_whole = match kind {
        "Seq Scan" => true,
        "Index Scan" | "Index Only Scan" => match text("Index Cond") {
            None => true,
            Some(by) => !aims(by, alias) && filter.is_some_and(|filter| aims(filter, alias)),
        },
        "Bitmap Heap Scan" => text("Recheck Cond")
            .is_some_and(|by| !aims(by, alias) && filter.is_some_and(|filter| aims(filter, alias))),
        _ => false,
    };
    let number = |name: &str| plan.get(name).and_then(Value::as_f64);
    let own = number("Total Cost").unwrap_or_default();
    let is_stopped = above.limited.is_some_and(|cost| cost < own * STOPPED_SHARE);
    if let (true, false, Some(schema), Some(name)) =
        (is_whole, is_stopped, text("Schema"), text("Relation Name"))
    {
        found.push(WholeScan {
            table: TableName {
                schema: schema.to_owned(),
                name: name.to_owned(),
            },
            alias: text("Alias").unwrap_or(name).to_owned(),
            condition: condition.map(str::to_owned),
        });
    }
    let Some(plans) = plan.get("Plans").and_then(Value::as_array) else {
        return;
    };
    let of_join = ["Join Filter", "Hash Cond", "Merge Cond"];
    let of_join = of_join.into_iter().find_map(text);
    let limited = match kind {
        "Limit" => number("Total Cost"),
        _ if GATHER_ALL.contains(&kind) => None,
        _ => above.limited,
    };
    for below in plans {
        // What a SubPlan or an InitPlan looks for is its own affair.
        let apart = below.get("Subplan Name").is_some();
        let below_of = match apart {
            true => Above::default(),
            false => Above {
                condition: of_join.or(above.condition),
                limited,
            },
        };
        walk(below, below_of, aims, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(plan: &Value) -> Vec<(String, Option<String>)> {
        let all = whole_scans(plan).into_iter();
        all.map(|scan| (scan.table.name, scan.condition)).collect()
    }

    #[test]
    fn a_scan_without_an_index_is_found_wherever_it_is_with_its_condition() {
        let plan = json!([{"Plan": {
            "Node Type": "Nested Loop", "Join Filter": "(a.x = b.x)", "Plans": [
                {"Node Type": "Seq Scan", "Schema": "s", "Relation Name": "a"},
                {"Node Type": "Index Scan", "Schema": "s", "Relation Name": "b", "Index Cond": "(b.y = 1)"},
                {"Node Type": "Index Only Scan", "Schema": "s", "Relation Name": "c", "Filter": "(c.z = 2)"},
                {"Node Type": "Seq Scan", "Schema": "s", "Relation Name": "d", "Subplan Name": "CTE e"},
            ],
        }}]);
        let expected = [
            ("a", Some("(a.x = b.x)")),
            ("c", Some("(c.z = 2)")),
            ("d", None),
        ];
        let expected = expected.map(|(table, of)| (table.to_owned(), of.map(str::to_owned)));
        assert_eq!(found(&plan), expected);
    }

    #[test]
    fn an_index_that_knows_nothing_of_what_is_looked_for_is_none() {
        let scan = |kind: &str, by: &str, cond: &str, filter: &str| json!({"Node Type": kind, "Schema": "s", "Relation Name": "a", by: cond, "Filter": filter});
        let aims = |condition: &str, _: &str| condition.contains('$');
        let count = |plan: &Value| aimless_scans(plan, &aims).len();
        for (kind, by) in [
            ("Index Scan", "Index Cond"),
            ("Bitmap Heap Scan", "Recheck Cond"),
        ] {
            let by_kind = scan(kind, by, "(a.kind = 'x')", "(a.email = $1)");
            assert_eq!(
                (count(&by_kind), whole_scans(&by_kind).len()),
                (1, 0),
                "{kind}"
            );
            assert_eq!(
                count(&scan(kind, by, "(a.email = $1)", "(a.kind = 'x')")),
                0,
                "{kind}"
            );
            assert_eq!(
                count(&scan(kind, by, "(a.kind = 'x')", "a.is_live")),
                0,
                "{kind}"
            );
        }
    }

    #[test]
    fn the_first_rows_of_a_table_are_not_all_of_it_unless_nearly_all_are_looked_through_for_them() {
        let limit = |cost: f64, below: &Value| json!({"Plan": {"Node Type": "Limit", "Total Cost": cost, "Plans": [below]}});
        let scan = json!({"Node Type": "Index Scan", "Schema": "s", "Relation Name": "a", "Filter": "(a.b = 1)",
            "Total Cost": 600.0});
        assert_eq!(found(&limit(2.0, &scan)), []);
        assert_eq!(found(&limit(590.0, &scan)).len(), 1);
        let sort = json!({"Node Type": "Sort", "Plans": [scan]});
        assert_eq!(found(&limit(2.0, &sort)).len(), 1);
    }
}
