//! What a verify found, as values and as text.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::control::shown;

#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    pub migration: String,
    pub snapshot_at: String,
    /// What was visible to it, where that was one snapshot.
    #[serde(skip)]
    pub snapshot: Option<String>,
    /// Nothing is missing, extra or different, and every column is known.
    pub clean: bool,
    pub missing: i64,
    pub extra: i64,
    pub different: i64,
    pub tables: Vec<TableReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TableReport {
    pub legacy_table: String,
    pub unified_table: String,
    pub legacy_rows: i64,
    /// Rows of the unified table that legacy readers can see.
    pub unified_rows: i64,
    pub missing: i64,
    pub extra: i64,
    pub different: i64,
    pub different_columns: Vec<ColumnCount>,
    pub totals: Vec<ColumnTotals>,
    pub ignored_columns: Vec<String>,
    /// Columns of the legacy table that the rule file does not have.
    pub undeclared_columns: Vec<String>,
    pub samples: Vec<SampleRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ColumnCount {
    pub column: String,
    pub different: i64,
    pub set_by_trigger: bool,
}

/// What a column holds as a whole, in legacy and in unified.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnTotals {
    pub column: String,
    pub nulls: [i64; 2],
    /// Sums of numbers and counts of truths; `None` for what does not add up.
    pub totals: [Option<String>; 2],
}

impl VerifyReport {
    /// Of no table yet, in the snapshot of that time.
    #[must_use]
    pub fn of(migration: &str, snapshot_at: String) -> VerifyReport {
        VerifyReport {
            migration: migration.to_owned(),
            snapshot_at,
            snapshot: None,
            clean: true,
            missing: 0,
            extra: 0,
            different: 0,
            tables: Vec::new(),
        }
    }

    pub fn push(&mut self, table: TableReport) {
        self.missing += table.missing;
        self.extra += table.extra;
        self.different += table.different;
        let same = table.missing + table.extra + table.different == 0;
        self.clean &= same && table.undeclared_columns.is_empty();
        self.tables.push(table);
    }
}

impl ColumnTotals {
    fn differ(&self) -> bool {
        self.nulls[0] != self.nulls[1] || self.totals[0] != self.totals[1]
    }
}

impl fmt::Display for ColumnTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = &self.column;
        if self.nulls[0] != self.nulls[1] {
            let [legacy, unified] = self.nulls;
            writeln!(
                f,
                "    {column} is NULL in {legacy} rows of legacy, {unified} of unified"
            )?;
        }
        if let ([Some(legacy), Some(unified)], true) =
            (&self.totals, self.totals[0] != self.totals[1])
        {
            writeln!(
                f,
                "    {column} adds up to {legacy} in legacy, {unified} in unified"
            )?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct SampleRow {
    pub kind: &'static str,
    pub key: Value,
    /// `column: [legacy, unified]`, as texts.
    pub columns: Value,
}

/// A long value in a sample would bury the others.
const VALUE_CHARS_MAX: usize = 60;

/// No repair ever makes such a column equal: the repair's own update fires the trigger.
const REPAIRED: &str = "      \
    a trigger sets it, also when a backfill repairs a row: to live with that, write\n      \
    `unverified = [\"{column}\"]` in its [[table]]";

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(
                f,
                "{} ({} rows) against {} ({} rows that legacy readers see)",
                shown(&table.legacy_table),
                table.legacy_rows,
                shown(&table.unified_table),
                table.unified_rows
            )?;
            writeln!(
                f,
                "  missing {}   extra {}   different {}",
                table.missing, table.extra, table.different
            )?;
            for column in &table.different_columns {
                writeln!(
                    f,
                    "    {} differs in {} rows",
                    column.column, column.different
                )?;
                if column.set_by_trigger {
                    writeln!(f, "{}", REPAIRED.replace("{column}", &column.column))?;
                }
            }
            for column in table.totals.iter().filter(|column| column.differ()) {
                write!(f, "{column}")?;
            }
            if !table.ignored_columns.is_empty() {
                writeln!(f, "  not compared: {}", table.ignored_columns.join(", "))?;
            }
            for column in &table.undeclared_columns {
                writeln!(
                    f,
                    "  column {column} is not in the rule file: nobody copies or compares it"
                )?;
            }
            for sample in &table.samples {
                write!(f, "{sample}")?;
            }
        }
        let verdict = if self.clean { "clean" } else { "NOT clean" };
        write!(
            f,
            "{}: {verdict}, in the snapshot of {}",
            self.migration, self.snapshot_at
        )
    }
}

impl fmt::Display for SampleRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} {}", self.kind, key(&self.key))?;
        // A row that is on one side only is named by its key; its values are in the JSON.
        if self.kind != "different" {
            return Ok(());
        }
        for (column, values) in self.columns.as_object().into_iter().flatten() {
            writeln!(
                f,
                "      {column}: legacy {}, unified {}",
                value(&values[0]),
                value(&values[1])
            )?;
        }
        Ok(())
    }
}

/// A key of one column without its brackets.
fn key(key: &Value) -> String {
    match key.as_array().map(Vec::as_slice) {
        Some([Value::String(one)]) => one.clone(),
        Some(_) | None => key.to_string(),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) if text.chars().count() > VALUE_CHARS_MAX => {
            let start: String = text.chars().take(VALUE_CHARS_MAX).collect();
            format!("'{start}…'")
        }
        Value::String(text) => format!("'{text}'"),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
