//! A verify's report as one HTML page that needs nothing else: no script, no font, no network.

use super::report::{TableReport, VerifyReport};
use crate::control::shown;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
padding:0 1rem;color:#1a1a1a}h1 small{font-weight:normal;color:#666;font-size:60%}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem;width:100%}\
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #ddd;\
vertical-align:top;overflow-wrap:anywhere}td:first-child,th{white-space:nowrap}\
.numbers td+td,.numbers th+th{text-align:right}.samples td+td,.samples th+th{width:45%}\
h4{margin:1.5rem 0 0}code{font-weight:normal}.clean{color:#176b2c}.not{color:#a11212}";

/// The page. Everything that comes from the database is escaped.
#[must_use]
pub fn page(report: &VerifyReport) -> String {
    let (class, verdict) = if report.clean {
        ("clean", "clean")
    } else {
        ("not", "NOT clean")
    };
    let name = escaped(&report.migration);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name}: {verdict}</title>\
         <style>{STYLE}</style></head><body>\n\
         <h1>{name}: <span class=\"{class}\">{verdict}</span> \
         <small>in the snapshot of {}</small></h1>\n",
        escaped(&report.snapshot_at)
    );
    for table in &report.tables {
        page += &section(table);
    }
    page + "</body></html>\n"
}

fn section(table: &TableReport) -> String {
    let mut text = format!(
        "<h2>{} against {}</h2>\n",
        escaped(&shown(&table.legacy_table)),
        escaped(&shown(&table.unified_table))
    );
    text += &rows_of(
        &[
            "legacy rows",
            "unified rows",
            "missing",
            "extra",
            "different",
        ],
        &[vec![
            table.legacy_rows.to_string(),
            table.unified_rows.to_string(),
            table.missing.to_string(),
            table.extra.to_string(),
            table.different.to_string(),
        ]],
        "numbers",
    );
    let columns: Vec<Vec<String>> = table
        .totals
        .iter()
        .map(|column| {
            let total = |side: usize| column.totals[side].clone().unwrap_or_default();
            let different = table
                .different_columns
                .iter()
                .find(|found| found.column == column.column)
                .map_or(0, |found| found.different);
            vec![
                column.column.clone(),
                different.to_string(),
                rate(column.nulls[0], table.legacy_rows),
                rate(column.nulls[1], table.unified_rows),
                total(0),
                total(1),
            ]
        })
        .collect();
    let head = [
        "column",
        "different",
        "NULL in legacy",
        "NULL in unified",
        "total in legacy",
        "total in unified",
    ];
    text += &rows_of(&head, &columns, "numbers");
    if !table.ignored_columns.is_empty() {
        let ignored = escaped(&table.ignored_columns.join(", "));
        text += &format!("<p>Not compared: {ignored}</p>\n");
    }
    if !table.undeclared_columns.is_empty() {
        let unknown = escaped(&table.undeclared_columns.join(", "));
        text += &format!("<p class=\"not\">Not in the rule file: {unknown}</p>\n");
    }
    if !table.samples.is_empty() {
        text += "<h3>Samples</h3>\n";
    }
    for sample in &table.samples {
        text += &format!(
            "<h4>{} <code>{}</code></h4>\n",
            escaped(sample.kind),
            escaped(&sample.key.to_string())
        );
        let values = sample.columns.as_object().into_iter().flatten();
        let rows: Vec<Vec<String>> = values
            .map(|(column, values)| {
                let side = |at: usize| values[at].as_str().unwrap_or("NULL").to_owned();
                vec![column.clone(), side(0), side(1)]
            })
            .collect();
        text += &rows_of(&["column", "legacy", "unified"], &rows, "samples");
    }
    text
}

/// `17 (1.7 %)`
fn rate(nulls: i64, rows: i64) -> String {
    if rows == 0 || nulls == 0 {
        return nulls.to_string();
    }
    format!("{nulls} ({:.1} %)", nulls as f64 * 100.0 / rows as f64)
}

fn rows_of(head: &[&str], rows: &[Vec<String>], class: &str) -> String {
    let mut text = format!("<table class=\"{class}\"><thead><tr>");
    for name in head {
        text += &format!("<th>{}</th>", escaped(name));
    }
    text += "</tr></thead><tbody>\n";
    for row in rows {
        text += "<tr>";
        for value in row {
            text += &format!("<td>{}</td>", escaped(value));
        }
        text += "</tr>\n";
    }
    text + "</tbody></table>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::{ColumnTotals, SampleRow};
    use super::*;

    #[test]
    fn what_comes_from_the_database_cannot_become_markup() {
        let report = VerifyReport {
            migration: "a<b".to_owned(),
            snapshot_at: "now".to_owned(),
            snapshot: None,
            clean: false,
            missing: 0,
            extra: 0,
            different: 1,
            tables: vec![TableReport {
                legacy_table: "\"public\".\"old\"".to_owned(),
                unified_table: "\"public\".\"new\"".to_owned(),
                legacy_rows: 2,
                unified_rows: 2,
                missing: 0,
                extra: 0,
                different: 1,
                different_columns: Vec::new(),
                totals: vec![ColumnTotals {
                    column: "n".to_owned(),
                    nulls: [1, 0],
                    totals: [Some("5".to_owned()), None],
                }],
                ignored_columns: Vec::new(),
                undeclared_columns: Vec::new(),
                samples: vec![SampleRow {
                    kind: "different",
                    key: json!(["<script>alert(1)</script>"]),
                    columns: json!({"n": ["\"><b>", null]}),
                }],
            }],
        };
        let page = page(&report);
        assert!(
            !page.contains("<script") && !page.contains("\"><b>"),
            "{page}"
        );
        assert!(
            page.contains("&lt;script&gt;") && page.contains("1 (50.0 %)"),
            "{page}"
        );
    }
}
