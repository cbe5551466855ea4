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
    /// A LIMIT may stop it before its end.
    limited: bool,
}

/// Those of a plan (EXPLAIN with VERBOSE, which names schemas).
pub(crate) fn whole_scans(plan: &Value) -> Vec<WholeScan> {
    let mut found = Vec::new();
    walk(plan, Above::default(), &mut found);
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

fn walk(plan: &Value, above: Above<'_>, found: &mut Vec<WholeScan>) {
    if let Some(plans) = plan.as_array() {
        for plan in plans {
            walk(plan, above, found);
        }
        return;
    }
    if let Some(plan) = plan.get("Plan") {
        return walk(plan, above, found);
    }
    let text = |name: &str| plan.get(name).and_then(Value::as_str);
    let kind = text("Node Type").unwrap_or_default();
    let filter = text("Filter").or_else(|| text("Join Filter"));
    let condition = filter.or(above.condition);
    let is_whole = kind == "Seq Scan"
        || kind == "Index Scan" && text("Index Cond").is_none()
        || kind == "Index Only Scan" && text("Index Cond").is_none();
    if let (true, Some(schema), Some(name)) = (is_whole, text("Schema"), text("Relation Name"))
        && !(above.limited && condition.is_none())
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
    let limited = (above.limited || kind == "Limit") && !GATHER_ALL.contains(&kind);
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
        walk(below, below_of, found);
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
    fn the_first_rows_of_a_table_are_not_all_of_it_unless_they_are_looked_for() {
        let limit = |below: Value| json!({"Plan": {"Node Type": "Limit", "Plans": [below]}});
        let scan = |filter: Value| json!({"Node Type": "Index Scan", "Schema": "s", "Relation Name": "a", "Filter": filter});
        assert_eq!(found(&limit(scan(Value::Null))), []);
        assert_eq!(found(&limit(scan(json!("(a.b = 1)")))).len(), 1);
        let sort = json!({"Node Type": "Sort", "Plans": [scan(Value::Null)]});
        assert_eq!(found(&limit(sort)).len(), 1);
    }
}
