//! What the legacy table does not let in: once legacy is left, only what the unified table or the
//! rule file repeats is refused as before.

use std::collections::BTreeSet;

use rewrite_rules::Lens;
use rewrite_rules::lens::Unique;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::Findings;
use crate::control::catalog::Column;
use crate::control::{ControlError, shown};

/// A constraint, or a unique index without one.
struct Limit {
    name: String,
    /// As `pg_constraint.contype`; `i`: a unique index.
    kind: u8,
    /// Key columns; none of an expression.
    columns: BTreeSet<String>,
    /// What is behind its name, the way PostgreSQL writes it.
    definition: String,
    /// Of a unique index: it is one on plain columns.
    plain: bool,
    acts: LimitActs,
}

/// What a foreign key does and when it is looked at; of another limit nothing.
struct LimitActs {
    /// By the catalog's letters.
    code: String,
    words: String,
}

impl Limit {
    /// Whether it changes rows of its table by itself.
    fn acts_by_itself(&self) -> bool {
        self.kind == b'f'
            && self
                .acts
                .code
                .bytes()
                .take(2)
                .any(|action| b"cnd".contains(&action))
    }

    fn is_unique(&self) -> bool {
        [b'p', b'u', b'i'].contains(&self.kind)
    }
}

/// Each limit of the legacy table needs one of the unified table that stands for it.
pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    (legacy, unified): (&[Column], &[Column]),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let name = shown(&lens.unified.sql());
    let unified_name = |column: &str| {
        let moved = lens.moved().iter().find(|(from, _)| from == column);
        let mapped = lens.column(column).map(|c| c.unified.as_str());
        mapped
            .or(moved.map(|(_, to)| to.as_str()))
            .unwrap_or(column)
            .to_owned()
    };
    for column in legacy.iter().filter(|column| column.not_null) {
        let counterpart = unified_name(&column.name);
        let found = unified.iter().find(|found| found.name == counterpart);
        if found.is_some_and(|found| !found.not_null) {
            findings.warning(
                format!(
                    "column {} is NOT NULL, {name}.{counterpart} is not",
                    column.name
                ),
                "SET NOT NULL there, or know that NULLs are let in once legacy is left",
            );
        }
    }
    for column in lens.shown_by_not_null() {
        let found = unified.iter().find(|found| found.name == column.unified);
        if found.is_some_and(|found| !found.not_null) {
            findings.error(
                format!(
                    "the rule file says NOT NULL of {}, and `visible` needs it: {name}.{} may be NULL, and such a row is hidden",
                    column.name, column.unified
                ),
                "SET NOT NULL there, or leave NOT NULL out of the rule file",
            );
        }
    }
    let ours = limits(client, &lens.legacy.sql()).await?;
    let theirs = limits(client, &lens.unified.sql()).await?;
    for (from, to) in &lens.constraints {
        for (limits, one, table) in [(&ours, from, &lens.legacy), (&theirs, to, &lens.unified)] {
            if !limits.iter().any(|limit| limit.name == *one) {
                findings.error(
                    format!(
                        "{} has no constraint {one}, which [table.constraints] names",
                        shown(&table.sql())
                    ),
                    "correct its name",
                );
            }
        }
    }
    for limit in &ours {
        let is_paired = lens.constraints.iter().any(|(from, _)| *from == limit.name);
        let mut columns: BTreeSet<String> = limit.columns.iter().map(|c| unified_name(c)).collect();
        if limit.is_unique() {
            // Among a tenant's rows.
            columns.extend(lens.discriminator().map(|own| own.column.clone()));
        }
        let counterpart = theirs
            .iter()
            .find(|found| stands_for(found, limit, &columns));
        match counterpart {
            _ if is_paired => {
                let pair = lens.constraints.iter().find(|(from, _)| *from == limit.name);
                let stands = pair.and_then(|(_, to)| theirs.iter().find(|found| found.name == *to));
                acts_alike(limit, stands, &name, findings);
                if lens.pairs_rows() {
                    tells_alike(limit, (stands, &columns), &name, findings);
                }
            }
            Some(found) if found.name == limit.name && limit.kind == b'f' => {
                acts_alike(limit, Some(found), &name, findings);
            }
            // Which index ON CONFLICT DO NOTHING may go by only the rule file says.
            Some(_) if limit.kind == b'i' && lens.pairs_rows() => unsaid(limit, findings),
            Some(found) if found.name == limit.name || limit.kind == b'i' => {}
            Some(found) => {
                acts_alike(limit, Some(found), &name, findings);
                findings.warning(
                    format!(
                        "{} is {} on {name}, and clients are told that name once unified leads",
                        limit.name, found.name
                    ),
                    &format!(
                        "write {} = \"{}\" in [table.constraints]",
                        limit.name, found.name
                    ),
                );
            }
            // Of expressions or some rows: what stands for it PostgreSQL itself is asked (`targets`).
            None if !lens.is_one_table() && limit.is_unique() && !limit.plain => unsaid(limit, findings),
            None if limit.acts_by_itself() => findings.warning(
                format!("{name} has nothing like {}: {}", limit.name, limit.definition),
                "create it there: the legacy rows that it changes or removes by itself no proxy sees, from dual_write on",
            ),
            None => findings.warning(
                format!(
                    "{name} has nothing like {}: {}",
                    limit.name, limit.definition
                ),
                "create it there, or know that it no longer holds once legacy is left",
            ),
        }
    }
    Ok(())
}

/// A unique index that ON CONFLICT DO NOTHING would not pass over.
fn unsaid(limit: &Limit, findings: &mut Findings) {
    findings.warning(
        format!(
            "the rule file does not say what stands for {}: {}",
            limit.name, limit.definition
        ),
        "name it in [table.constraints]: ON CONFLICT DO NOTHING skips what it refuses, and fails of what the rule file does not know",
    );
}

/// What is named for a unique constraint must be unique on the same columns: what it refuses beyond that, ON CONFLICT DO
/// NOTHING would pass over as if legacy did.
fn tells_alike(
    limit: &Limit,
    (stands, columns): (Option<&Limit>, &BTreeSet<String>),
    on: &str,
    findings: &mut Findings,
) {
    let Some(found) = stands.filter(|found| limit.is_unique() && limit.plain && found.is_unique())
    else {
        return;
    };
    if found.columns != *columns {
        findings.error(
            format!(
                "{} is {}, and {} on {on}, which stands for it, {}",
                limit.name, limit.definition, found.name, found.definition
            ),
            "make them unique on the same columns, or leave the name out of [table.constraints]",
        );
    }
}

/// What a foreign key does on DELETE and UPDATE, and when, must be what the other one does.
fn acts_alike(limit: &Limit, stands: Option<&Limit>, on: &str, findings: &mut Findings) {
    let Some(found) =
        stands.filter(|found| limit.kind == b'f' && found.acts.code != limit.acts.code)
    else {
        return;
    };
    findings.warning(
        format!(
            "{} says {}, and {} on {on}, which stands for it, {}",
            limit.name, limit.acts.words, found.name, found.acts.words
        ),
        "make them alike: what PostgreSQL does by itself to the rows of one side no proxy sees, from dual_write on",
    );
}

/// Whether `found` refuses what `limit` does; `columns` are the limit's, as unified calls them.
fn stands_for(found: &Limit, limit: &Limit, columns: &BTreeSet<String>) -> bool {
    if limit.is_unique() && limit.plain {
        // A unique index on fewer columns is stricter. One with a condition is the operator's
        // answer to rows that legacy does not have.
        let stricter = found.plain && !found.columns.is_empty() && found.columns.is_subset(columns);
        return found.is_unique() && (stricter || found.columns == *columns);
    }
    if limit.kind == b'f' {
        // What it refers to may have moved as well.
        return found.kind == b'f' && found.columns == *columns;
    }
    (found.is_unique() == limit.is_unique() || found.kind == limit.kind)
        && found.definition == limit.definition
}

async fn limits(client: &Client, table: &str) -> Result<Vec<Limit>, ControlError> {
    let rows = client
        .query_typed(
            "SELECT c.conname::text, c.contype::text, pg_get_constraintdef(c.oid), false, \
                    (SELECT coalesce(array_agg(a.attname::text), '{}') FROM pg_attribute a \
                     WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)), \
                    c.confdeltype::text || c.confupdtype::text || c.condeferrable::int || c.condeferred::int, \
                    concat_ws(' ', 'ON DELETE', a.word ->> c.confdeltype::text, 'ON UPDATE', \
                        a.word ->> c.confupdtype::text, CASE WHEN c.condeferred THEN 'DEFERRABLE INITIALLY DEFERRED' \
                        WHEN c.condeferrable THEN 'DEFERRABLE' ELSE 'NOT DEFERRABLE' END) \
             FROM pg_constraint c, (SELECT '{\"a\": \"NO ACTION\", \"r\": \"RESTRICT\", \"c\": \"CASCADE\", \
                 \"n\": \"SET NULL\", \"d\": \"SET DEFAULT\"}'::jsonb) AS a (word) \
             WHERE c.conrelid = to_regclass($1) AND c.contype IN ('c', 'f', 'x') \
             UNION ALL \
             SELECT r.relname::text, coalesce(c.contype::text, 'i'), \
                    substring(pg_get_indexdef(i.indexrelid) from ' USING (.*)'), \
                    i.indpred IS NULL AND i.indexprs IS NULL, \
                    (SELECT coalesce(array_agg(a.attname::text), '{}') FROM pg_attribute a \
                     WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])), \
                    '', '' \
             FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid \
             LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u') \
             WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid ORDER BY 1",
            &[(&table, Type::TEXT)],
        )
        .await
        .map_err(ControlError::sql("look-up of constraints"))?;
    Ok(rows
        .iter()
        .map(|row| Limit {
            name: row.get(0),
            kind: row.get::<_, &str>(1).bytes().next().unwrap_or(b'c'),
            definition: row.get(2),
            plain: row.get(3),
            columns: row.get::<_, Vec<String>>(4).into_iter().collect(),
            acts: LimitActs {
                code: row.get(5),
                words: row.get(6),
            },
        })
        .collect())
}

/// NOT NULL, CHECKs and UNIQUE constraints of a legacy table with a written lens: those that the rule
/// file repeats hold on after it.
pub(super) async fn repeated(
    client: &Client,
    lens: &Lens,
    legacy: &[Column],
    findings: &mut Findings,
) -> Result<(), ControlError> {
    for column in legacy.iter().filter(|column| column.not_null) {
        if lens.column(&column.name).is_some_and(|said| !said.not_null) {
            findings.warning(
                format!(
                    "column {} is NOT NULL, which the rule file does not say",
                    column.name
                ),
                "write NOT NULL behind its type: it holds on once legacy is left",
            );
        }
    }
    let rows = client
        .query(
            "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE contype = 'c' AND conrelid = to_regclass($1) ORDER BY 1",
            &[&lens.legacy.sql()],
        )
        .await
        .map_err(ControlError::sql("look-up of CHECKs"))?;
    for row in &rows {
        let (name, definition): (String, String) = (row.get(0), row.get(1));
        if !lens.checks().iter().any(|check| check.name == name) {
            findings.warning(
                format!("the rule file does not repeat {name}: {definition}"),
                "write it in [table.checks]: it holds on once legacy is left",
            );
        }
    }
    references(client, lens, findings).await?;
    let of = |unique: &Unique| {
        let columns = unique.columns.iter();
        let columns: BTreeSet<String> = columns.map(|&at| lens.columns[at].name.clone()).collect();
        (unique.name.clone(), columns)
    };
    let said: Vec<(String, BTreeSet<String>)> = lens.uniques().iter().map(of).collect();
    let all = limits(client, &lens.legacy.sql()).await?;
    let named = |limit: &Limit| lens.constraints.iter().any(|(from, _)| *from == limit.name);
    let uniques = || {
        all.iter()
            .filter(|limit| [b'u', b'i'].contains(&limit.kind))
    };
    for limit in uniques().filter(|limit| !limit.plain && !named(limit)) {
        unsaid(limit, findings);
    }
    let found: Vec<(String, BTreeSet<String>)> = all
        .iter()
        .filter(|limit| [b'u', b'i'].contains(&limit.kind) && limit.plain)
        .map(|limit| (limit.name.clone(), limit.columns.clone()))
        .collect();
    let shown = |columns: &BTreeSet<String>| Vec::from_iter(columns.iter().cloned()).join(", ");
    for (name, columns) in found.iter().filter(|found| !said.contains(found)) {
        findings.warning(
            format!(
                "the rule file does not repeat {name}: UNIQUE ({})",
                shown(columns)
            ),
            "write it among `columns`: ON CONFLICT goes by it once reads are unified",
        );
    }
    for (name, columns) in said.iter().filter(|said| !found.contains(said)) {
        findings.error(
            format!("the table has no {name}: UNIQUE ({})", shown(columns)),
            "write it as the table has it, or remove it from `columns`",
        );
    }
    Ok(())
}

/// The foreign keys of a legacy table with a written lens: as the rule file repeats them they hold on after it.
async fn references(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let all = limits(client, &lens.legacy.sql()).await?;
    let found: Vec<&Limit> = all.iter().filter(|limit| limit.kind == b'f').collect();
    for limit in &found {
        let mut said = lens.foreign_keys().iter();
        let Some(said) = said.find(|said| said.name == limit.name) else {
            findings.warning(
                format!(
                    "the rule file does not repeat {}: {}",
                    limit.name, limit.definition
                ),
                "write it among `columns`, `CONSTRAINT name FOREIGN KEY …`: it holds on once legacy is left",
            );
            continue;
        };
        let columns = said.columns.iter().map(|&at| lens.columns[at].name.clone());
        let acts = format!(
            "{}{}{}",
            said.on_delete.letter(),
            said.on_update.letter(),
            said.deferral.digits()
        );
        if columns.collect::<BTreeSet<String>>() != limit.columns || acts != limit.acts.code {
            findings.error(
                format!(
                    "{} is {} {}, and the rule file says otherwise",
                    limit.name, limit.definition, limit.acts.words
                ),
                "write it as the table has it",
            );
        }
        if let Some(unified) = &said.unified {
            stands(client, lens, (limit, unified), findings).await?;
        }
    }
    let mut said = lens.foreign_keys().iter();
    while let Some(said) = said.find(|said| !found.iter().any(|limit| limit.name == said.name)) {
        findings.error(
            format!("the table has no foreign key {}", said.name),
            "write it as the table has it, or remove it from `columns`",
        );
    }
    Ok(())
}

/// The unified constraint that stands for a foreign key: it must be there, and act alike.
async fn stands(
    client: &Client,
    lens: &Lens,
    (limit, unified): (&Limit, &str),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    for table in lens.unified_side() {
        let theirs = limits(client, &table.sql()).await?;
        if let Some(found) = theirs.iter().find(|found| found.name == unified) {
            acts_alike(limit, Some(found), &shown(&table.sql()), findings);
            return Ok(());
        }
    }
    findings.error(
        format!("no unified table has the constraint {unified}, which [table.constraints] names"),
        "correct its name",
    );
    Ok(())
}
