//! Columns, types, defaults, keys and values: the rule file against the catalog.

use std::collections::HashMap;

use rewrite_rules::lens::{Generated, quote_ident};
use rewrite_rules::{LegacyColumn, Lens, Phase};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{About, Depth, Findings, limits};
use crate::control::ControlError;
use crate::control::catalog::{self, Column, SetBy, columns};

/// `false` when the tables do not fit the rules well enough to try the lens on rows.
pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    phase: Phase,
    depth: Depth,
    findings: &mut Findings,
) -> Result<bool, ControlError> {
    let legacy = columns(client, &lens.legacy.sql()).await?;
    let unified = columns(client, &lens.unified.sql()).await?;
    let before = findings.all.len();
    let mut tables = lens.unified_tables();
    // Once no statement goes there, nobody asks what it is like, or whether it is there.
    let is_left = match phase {
        Phase::UnifiedOnly | Phase::Retired => true,
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead => false,
    };
    if !is_left {
        tables.insert(0, &lens.legacy);
    }
    for table in tables {
        if columns(client, &table.sql()).await?.is_empty() {
            let name = crate::control::shown(&table.sql());
            findings.error(
                format!("there is no table {name}"),
                "create it, or correct its name in the rule file",
            );
        }
    }
    if findings.all.len() > before {
        return Ok(false);
    }
    let sides = ColumnsOfBoth {
        legacy: (!is_left).then_some(legacy.as_slice()),
        unified: &unified,
    };
    let declared = declared_types(client, lens).await;
    match declared {
        Ok(declared) => described(client, lens, &sides, (&declared, depth), findings).await?,
        Err(said) => findings.error(
            format!("a type or default of the rule file is wrong: {said}"),
            "correct it",
        ),
    }
    values(client, lens, &sides, depth, findings).await?;
    keys(client, lens, &sides, findings).await?;
    Ok(findings.all[before..]
        .iter()
        .all(|finding| finding.severity != super::Severity::Error))
}

/// Both tables' columns.
struct ColumnsOfBoth<'a> {
    /// `None`: the table is left alone, and may be gone.
    legacy: Option<&'a [Column]>,
    unified: &'a [Column],
}

async fn described(
    client: &Client,
    lens: &Lens,
    sides: &ColumnsOfBoth<'_>,
    (declared, depth): (&DeclaredColumns, Depth),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    if let Some(legacy) = sides.legacy {
        legacy_shape(lens, legacy, declared, findings);
        generated(client, lens, legacy, depth, findings).await?;
    }
    if lens.is_row_for_row() {
        unified_shape(lens, sides.unified, declared, findings);
    }
    set_by_triggers(client, lens, sides, findings).await?;
    let Some(legacy) = sides.legacy else {
        return Ok(());
    };
    assigned_alone(client, lens, findings).await?;
    match lens.is_row_for_row() {
        true => limits::check(client, lens, (legacy, sides.unified), findings).await,
        false => limits::repeated(client, lens, legacy, findings).await,
    }
}

/// The rule file's types and defaults as the server writes them, by (unified?, legacy name).
async fn declared_types(
    client: &Client,
    lens: &Lens,
) -> Result<HashMap<(bool, String), (String, Option<String>)>, String> {
    // By number: a longer name than PostgreSQL's could be cut.
    let column = |(at, c): (usize, &LegacyColumn), unified: bool| {
        let (prefix, sql_type) = if unified {
            ("u", &c.unified_type)
        } else {
            ("l", &c.sql_type)
        };
        let default = match &c.default {
            Some(default) if !unified => format!(" DEFAULT {default}"),
            Some(_) | None => String::new(),
        };
        format!("{prefix}{at} {sql_type}{default}")
    };
    let numbered = lens.columns.iter().enumerate();
    let all: Vec<String> = numbered
        .flat_map(|c| [column(c, false), column(c, true)])
        .collect();
    let said = |error: tokio_postgres::Error| {
        error
            .as_db_error()
            .map_or_else(|| error.to_string(), |said| said.message().to_owned())
    };
    // A table that is never committed: the server itself says what the types are called.
    let create = format!(
        "BEGIN; CREATE TEMPORARY TABLE cf_check ({})",
        all.join(", ")
    );
    let made = client.batch_execute(&create).await.map_err(said);
    let found = match made {
        Ok(()) => columns(client, "pg_temp.cf_check")
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    client.batch_execute("ROLLBACK").await.map_err(said)?;
    // Each column of the lens has two of it, in this order.
    let sides = lens.columns.iter().flat_map(|c| [(false, c), (true, c)]);
    Ok(sides
        .zip(found?)
        .map(|((unified, c), found)| ((unified, c.name.clone()), (found.sql_type, found.default)))
        .collect())
}

/// What the rule file leaves to triggers needs one on each side: else the column goes stale on the one
/// without, and a repair takes that for what was meant.
async fn set_by_triggers(
    client: &Client,
    lens: &Lens,
    sides: &ColumnsOfBoth<'_>,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    for column in lens.columns.iter().filter(|column| column.set_by_trigger) {
        let legacy = sides.legacy.map(|_| (lens.legacy.sql(), &column.name));
        let unified = lens
            .is_row_for_row()
            .then(|| (lens.unified.sql(), &column.unified));
        for (table, name) in legacy.into_iter().chain(unified) {
            let shown = crate::control::shown(&table);
            match catalog::set_by(client, &table, name).await? {
                SetBy::Trigger => {}
                SetBy::Perhaps => findings.warning(
                    format!("{shown}.{name} is `set_by_trigger`, and no trigger of the table names it"),
                    "see that one sets it at every update",
                ),
                SetBy::Nobody => findings.error(
                    format!("{shown}.{name} is `set_by_trigger`, and the table has no BEFORE UPDATE trigger to set it"),
                    "create one like that of the other table, or leave `set_by_trigger` out",
                ),
            }
        }
    }
    Ok(())
}

/// What triggers of the legacy table make of a row, and none of the unified one does, is gone once
/// unified leads: from the row, and from what RETURNING tells.
async fn assigned_alone(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    if !lens.pairs_rows() {
        return Ok(());
    }
    let unified = catalog::assigned(client, &lens.unified.sql()).await?;
    for name in catalog::assigned(client, &lens.legacy.sql()).await? {
        let Some(column) = lens.column(&name).filter(|column| !column.set_by_trigger) else {
            continue;
        };
        if !unified.contains(&column.unified) {
            findings.warning(
                format!(
                    "a BEFORE trigger sets column {name}, and none of {} sets {}: once unified leads clients read back what they wrote",
                    crate::control::shown(&lens.unified.sql()),
                    column.unified
                ),
                "create one like it there",
            );
        }
    }
    Ok(())
}

type DeclaredColumns = HashMap<(bool, String), (String, Option<String>)>;

fn legacy_shape(
    lens: &Lens,
    legacy: &[Column],
    declared: &DeclaredColumns,
    findings: &mut Findings,
) {
    for name in catalog::undeclared(lens, legacy) {
        findings.error(
            format!("column {name} is not in `columns`: its values would be lost"),
            "add it to the rule file, in the table's order",
        );
    }
    for column in lens.columns.iter() {
        let Some(found) = legacy.iter().find(|found| found.name == column.name) else {
            findings.error(
                format!("column {} of `columns` is not in the table", column.name),
                "remove it from the rule file",
            );
            continue;
        };
        let Some((sql_type, default)) = declared.get(&(false, column.name.clone())) else {
            continue;
        };
        if *sql_type != found.sql_type {
            findings.error(
                format!(
                    "column {} has type {}, the rule file says {sql_type}",
                    column.name, found.sql_type
                ),
                "write the table's type",
            );
        }
        if *default != found.default && !found.fills_itself {
            let said =
                |default: &Option<String>| default.clone().unwrap_or_else(|| "none".to_owned());
            findings.error(
                format!(
                    "column {} has the default {}, the rule file says {}",
                    column.name,
                    said(&found.default),
                    said(default)
                ),
                "write the table's default: an INSERT must give the same values once unified leads",
            );
        }
    }
    let in_table = legacy.iter().map(|column| &column.name);
    let in_file: Vec<&String> = lens.columns.iter().map(|column| &column.name).collect();
    let common: Vec<&String> = in_table.filter(|name| in_file.contains(name)).collect();
    let ordered: Vec<&String> = in_file
        .into_iter()
        .filter(|name| common.contains(name))
        .collect();
    if common != ordered {
        findings.error(
            "`columns` are not in the table's order".to_owned(),
            "order them as the table does: SELECT * must give them so",
        );
    }
}

/// Columns that fill themselves: the same ones, in the same way.
async fn generated(
    client: &Client,
    lens: &Lens,
    legacy: &[Column],
    depth: Depth,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    for column in lens.columns.iter() {
        let Some(found) = legacy.iter().find(|found| found.name == column.name) else {
            continue;
        };
        let declared = column.generated.as_ref().map(|generated| match generated {
            Generated::Identity { always: true } => "GENERATED ALWAYS AS IDENTITY",
            Generated::Identity { always: false } => "GENERATED BY DEFAULT AS IDENTITY",
            Generated::Expression(_) => "GENERATED ALWAYS AS (…)",
        });
        let in_table = found.generated.as_deref();
        let same = match (declared, in_table) {
            (Some(_), Some(_)) if found.is_computed || column.is_computed() => {
                found.is_computed == column.is_computed()
            }
            (declared, in_table) => declared == in_table,
        };
        if !same {
            let said = format!(
                "column {} is {}, the rule file says {}",
                column.name,
                in_table.unwrap_or("not generated"),
                declared.unwrap_or("nothing of it"),
            );
            let settle =
                "write it behind its type: what may be given for it holds on once unified leads";
            // An identity that anything may be given for lacks nothing but OVERRIDING.
            let harmless = in_table == Some("GENERATED BY DEFAULT AS IDENTITY")
                && declared.is_none()
                && column.default.is_some();
            if harmless {
                findings.warning(said, settle);
            } else {
                findings.error(said, settle);
            }
        } else if depth.reads_rows()
            && let Some(count) = lens.count_computed_otherwise(column)
        {
            let rows: i64 = client
                .query_one(&count, &[])
                .await
                .map_err(ControlError::sql("trial of a generated column"))?
                .get(0);
            if rows > 0 {
                findings.error(
                    format!(
                        "column {} is computed otherwise than the rule file says, as {rows} rows show",
                        column.name
                    ),
                    "write its expression as the table has it",
                );
            }
        }
    }
    Ok(())
}

fn unified_shape(
    lens: &Lens,
    unified: &[Column],
    declared: &DeclaredColumns,
    findings: &mut Findings,
) {
    let name = crate::control::shown(&lens.unified.sql());
    for column in lens.columns.iter() {
        let Some(found) = unified.iter().find(|found| found.name == column.unified) else {
            findings.error(
                format!(
                    "{name} has no column {} for {}",
                    column.unified, column.name
                ),
                "create it, or name the right one with `unified = …`",
            );
            continue;
        };
        if found.generated.as_deref() == Some("GENERATED ALWAYS AS IDENTITY") {
            let said = format!("{name}.{} is GENERATED ALWAYS AS IDENTITY", column.unified);
            let settle = "SET GENERATED BY DEFAULT: an UPDATE cannot set it to what legacy has";
            if lens.is_key(column) {
                findings.warning(said, settle);
            } else {
                findings.error(said, settle);
            }
        }
        if found.is_computed != column.is_computed_in_unified() {
            findings.error(
                format!(
                    "{name}.{} is {}, and the rule file says otherwise",
                    column.unified,
                    found.generated.as_deref().unwrap_or("not generated")
                ),
                "write it in `unified_type`, behind the type: nothing can be put into such a column",
            );
        }
        let Some((sql_type, _)) = declared.get(&(true, column.name.clone())) else {
            continue;
        };
        if *sql_type != found.sql_type {
            findings.error(
                format!(
                    "{name}.{} has type {}, the rule file says {sql_type}",
                    column.unified, found.sql_type
                ),
                "write it with `unified_type = …`",
            );
        }
    }
    for constant in lens.constants() {
        if !unified.iter().any(|found| found.name == constant.unified) {
            findings.error(
                format!(
                    "{name} has no column {} of [table.constants]",
                    constant.unified
                ),
                "create it, or remove it from the rule file",
            );
        }
    }
    let fed = |name: &String| {
        lens.column_by_unified(name).is_some()
            || lens.constants().iter().any(|c| c.unified == *name)
            || lens.is_moved(name)
    };
    for found in unified.iter().filter(|found| !fed(&found.name)) {
        let draws = found
            .default
            .as_ref()
            .is_some_and(|d| d.starts_with("nextval("))
            || (found.fills_itself && !found.is_computed);
        if draws && !lens.is_one_table() {
            findings.warning(
                format!(
                    "{name}.{} draws a number for each row that is put: after an INSERT under the legacy name \
                     lastval() tells it",
                    found.name
                ),
                "have clients ask by RETURNING or currval('…'), or give it a value in [table.constants]",
            );
        }
        if found.not_null && found.default.is_none() && !found.fills_itself {
            findings.error(
                format!(
                    "{name}.{} is NOT NULL without a default, and nothing feeds it",
                    found.name
                ),
                "give it a value in [table.constants]",
            );
        }
    }
}

/// Mapped values: each that legacy rows have, or could have, must have a unified one.
async fn values(
    client: &Client,
    lens: &Lens,
    sides: &ColumnsOfBoth<'_>,
    depth: Depth,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    for column in lens
        .columns
        .iter()
        .filter(|column| !column.values.is_empty())
    {
        let type_of = |columns: &[Column], name: &str| {
            columns
                .iter()
                .find(|found| found.name == name)
                .map(|found| found.sql_type.clone())
        };
        let mapped = |label: &String| column.values.iter().any(|(legacy, _)| legacy == label);
        let imaged = |label: &String| column.values.iter().any(|(_, unified)| unified == label);
        if let Some(sql_type) = sides
            .legacy
            .and_then(|legacy| type_of(legacy, &column.name))
        {
            let used = if depth.reads_rows() {
                used_unmapped(client, lens, column).await?
            } else {
                Vec::new()
            };
            findings.about(About::Rows);
            for value in &used {
                findings.error(
                    format!(
                        "rows have {} = {value}, which has no unified value",
                        column.name
                    ),
                    "map it in `values`",
                );
            }
            findings.about(About::Fit);
            for label in labels(client, &sql_type)
                .await?
                .iter()
                .filter(|label| !mapped(label) && !used.contains(label))
            {
                findings.note(format!(
                    "{} = {label} has no unified value; no row has it",
                    column.name
                ));
            }
        }
        if let Some(sql_type) = type_of(sides.unified, &column.unified) {
            let labels = labels(client, &sql_type).await?;
            for (_, value) in column
                .values
                .iter()
                .filter(|(_, v)| !labels.is_empty() && !labels.contains(v))
            {
                findings.error(
                    format!("type {sql_type} has no value {value}"),
                    "add it with ALTER TYPE … ADD VALUE, or correct `values`",
                );
            }
            for label in labels.iter().filter(|label| !imaged(label)) {
                findings.note(format!(
                    "rows with {} = {label} do not exist for legacy readers",
                    column.unified
                ));
            }
        }
    }
    Ok(())
}

async fn labels(client: &Client, sql_type: &str) -> Result<Vec<String>, ControlError> {
    let rows = client
        .query(
            "SELECT enumlabel::text FROM pg_enum WHERE enumtypid = to_regtype($1) ORDER BY enumsortorder",
            &[&sql_type],
        )
        .await
        .map_err(ControlError::sql("look-up of a type's values"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Enough to see what was forgotten; a text may hold as many as there are rows.
const UNMAPPED_MAX: i64 = 100;

/// Values of legacy rows that are not mapped, some of them.
async fn used_unmapped(
    client: &Client,
    lens: &Lens,
    column: &LegacyColumn,
) -> Result<Vec<String>, ControlError> {
    let name = quote_ident(&column.name);
    let mapped: Vec<&str> = column
        .values
        .iter()
        .map(|(value, _)| value.as_str())
        .collect();
    let sql = format!(
        "SELECT DISTINCT {name}::text FROM {} WHERE {name} IS NOT NULL \
         AND {name}::text <> ALL ($1::text[]) LIMIT $2",
        lens.legacy
    );
    let rows = client
        .query(&sql, &[&mapped, &UNMAPPED_MAX])
        .await
        .map_err(ControlError::sql("look-up of values in use"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Both keys must be unique, and complete: ON CONFLICT and the joins by key rest on that.
async fn keys(
    client: &Client,
    lens: &Lens,
    tables: &ColumnsOfBoth<'_>,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let legacy = tables.legacy.unwrap_or_default();
    for key in lens.key_columns() {
        let found = legacy.iter().find(|found| found.name == key.name);
        if found.is_some_and(|found| !found.not_null) {
            findings.error(
                format!("key column {} may be NULL", key.name),
                "SET NOT NULL, or name another key: a row without a key is neither found nor copied",
            );
        }
    }
    let sides = [
        (
            lens.legacy.sql(),
            lens.key_columns()
                .map(|c| c.name.clone())
                .collect::<Vec<_>>(),
        ),
        (
            lens.unified.sql(),
            lens.discriminator()
                .map(|own| own.column.clone())
                .into_iter()
                .chain(lens.key_columns().map(|c| c.unified.clone()))
                .collect::<Vec<_>>(),
        ),
    ];
    // How the unified rows of a written lens are told apart is its own SQL's affair.
    let sides = sides
        .into_iter()
        .take(if lens.is_row_for_row() { 2 } else { 1 })
        .skip(usize::from(tables.legacy.is_none()));
    for (table, key) in sides {
        let unique: bool = client
            .query_typed_one(
                "SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisunique \
                 AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate AND \
                 (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a \
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])) \
                 = (SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) AS k))",
                &[(&table, Type::TEXT), (&key, Type::TEXT_ARRAY)],
            )
            .await
            .map_err(ControlError::sql("look-up of unique indexes"))?
            .get(0);
        if !unique {
            findings.error(
                format!(
                    "{} has no unique index on exactly ({})",
                    crate::control::shown(&table),
                    key.join(", ")
                ),
                "create one, or name another key",
            );
        }
    }
    Ok(())
}
