//! Putting tables aside and bringing them back: their names, their rights and their foreign keys, in one transaction each;
//! and with it the stand-ins that bear their names meanwhile.

use std::collections::HashSet;

use rewrite_rules::Lens;
use rewrite_rules::lens::{quote_ident, quote_literal};
use serde::Serialize;
use tokio_postgres::{Client, Transaction};

use super::stand_in::{self, StandIn};
use super::statement::{self, Patience, Statement};
use crate::control::ControlError;
use crate::control::stand_in::TRIGGER_FUNCTION;

/// Before the name of a table on probation, and of its indexes: says whose doing it is to whoever finds it.
const PREFIX: &str = "cf_retired_";
/// PostgreSQL cuts longer names off.
const NAME_BYTES_MAX: usize = 63;
/// Nobody should use the table; whoever does, or uses a table that it refers to, makes everybody else wait behind us no
/// longer. Less than after what the server looks for deadlocks (1 s), which it would settle at an application's cost.
const LOCK_TIMEOUT: &str = "500ms";

/// A table on probation, or about to be.
#[derive(Clone, Debug, Serialize)]
pub struct Aside {
    /// The name that it had, as SQL.
    pub legacy_table: String,
    /// The name that it has, as SQL.
    pub put_aside_as: String,
    /// Its last part, unquoted.
    #[serde(skip)]
    pub name: String,
    /// That of the name that it had.
    #[serde(skip)]
    legacy_name: String,
    /// Its schema, unquoted.
    #[serde(skip)]
    pub schema: String,
    /// What gives its rights back.
    #[serde(skip)]
    grants: Vec<String>,
    /// What gives back the names of its indexes, and its foreign keys, once the tables have their names.
    #[serde(skip)]
    restores: Vec<String>,
    /// How long it has been there; 0 for one that is about to be.
    pub seconds: f64,
    /// How long it has been known that it is dropped; `None`: it is there.
    pub gone_seconds: Option<f64>,
    /// Whether an empty stand-in bears the name that it had.
    pub has_stand_in: bool,
}

impl Aside {
    /// What brings it back, once nothing else bears its name.
    #[must_use]
    fn undo(&self) -> Vec<String> {
        let mut statements = vec![
            // What Crossfade's own role was given to look at it.
            format!(
                "REVOKE ALL ON TABLE {} FROM CURRENT_USER",
                self.put_aside_as
            ),
            format!(
                "ALTER TABLE {} RENAME TO {}",
                self.put_aside_as,
                quote_ident(&self.legacy_name)
            ),
        ];
        statements.extend(self.grants.iter().cloned());
        statements
    }

    #[must_use]
    pub fn is_there(&self) -> bool {
        self.gone_seconds.is_none()
    }
}

/// What `--undo` would say, for people.
pub(super) fn undo_statements(asides: &[Aside]) -> Vec<String> {
    let stand_ins = asides.iter().filter(|aside| aside.has_stand_in);
    let drops = stand_ins.map(|aside| format!("DROP TABLE {}", aside.legacy_table));
    let undo = asides.iter().flat_map(Aside::undo);
    let restores = asides.iter().flat_map(|aside| aside.restores.clone());
    drops.chain(undo).chain(restores).collect()
}

/// Every right on a table and its columns, as the GRANT that gives it, with who has it. An owner
/// who was never mentioned has all of them.
const RIGHTS: &str = "\
WITH rights AS ( \
    SELECT a.grantee, a.is_grantable, a.privilege_type AS what \
    FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a \
    WHERE c.oid = to_regclass($1) \
    UNION ALL \
    SELECT a.grantee, a.is_grantable, format('%s (%I)', a.privilege_type, t.attname) \
    FROM pg_attribute AS t, aclexplode(t.attacl) AS a \
    WHERE t.attrelid = to_regclass($1) AND t.attnum > 0 AND NOT t.attisdropped) \
SELECT g.name, format('GRANT %s ON TABLE %s TO %s%s', string_agg(DISTINCT r.what, ', '), $1, \
    g.name, CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
FROM rights AS r CROSS JOIN LATERAL (SELECT CASE r.grantee WHEN 0 THEN 'PUBLIC' \
    ELSE quote_ident(pg_get_userbyid(r.grantee)) END AS name) AS g \
GROUP BY g.name, r.is_grantable ORDER BY 1, 2";

const INDEXES: &str = "\
SELECT i.relname::text FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid \
WHERE x.indrelid = to_regclass($1) ORDER BY 1";

/// Foreign keys of the table itself. It is left alone from now on, so they must hinder nobody who deletes what its rows refer to:
/// their queries run as its owner, who has no right on it any more. Valid ones come back unchecked where rows have gone meanwhile.
const REFERS: &str = "\
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', $1::text, k.conname), CASE WHEN k.convalidated THEN \
    format('DO $crossfade$ BEGIN %s; EXCEPTION WHEN foreign_key_violation THEN %s NOT VALID; END $crossfade$', d.ddl, d.ddl) \
    ELSE d.ddl END \
FROM pg_constraint AS k CROSS JOIN LATERAL (SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1::text, k.conname, \
    pg_get_constraintdef(k.oid)) AS ddl) AS d \
WHERE k.contype = 'f' AND k.conrelid = to_regclass($1) AND k.conparentid = 0 ORDER BY k.conname";

/// All that is said to put some tables aside.
pub(super) struct Plan {
    pub asides: Vec<Aside>,
    statements: Vec<Statement>,
}

impl Plan {
    /// For people.
    pub fn statements(&self) -> impl Iterator<Item = &String> {
        self.statements.iter().filter_map(|said| said.sql.as_ref())
    }
}

/// What would be said now; nothing is changed.
pub(super) async fn preview(
    client: &mut Client,
    of: (&str, &[&Lens]),
    stand_ins: bool,
) -> Result<Plan, ControlError> {
    let transaction = begin(client).await?;
    plan(&transaction, of, stand_ins).await
}

/// Without a search path the catalog writes every name with its schema.
async fn begin(client: &mut Client) -> Result<Transaction<'_>, ControlError> {
    let sql = || ControlError::sql("putting the legacy tables aside");
    let transaction = client.transaction().await.map_err(sql())?;
    let settings = format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL search_path = ''");
    transaction.batch_execute(&settings).await.map_err(sql())?;
    Ok(transaction)
}

async fn plan(
    transaction: &Transaction<'_>,
    (migration, lenses): (&str, &[&Lens]),
    stand_ins: bool,
) -> Result<Plan, ControlError> {
    let sql = || ControlError::sql("look at a table that is put aside");
    let (mut asides, mut made) = (Vec::new(), Vec::<StandIn>::new());
    let (mut renamed, mut revoked) = (Vec::new(), Vec::new());
    let mut names = Names::default();
    for lens in lenses {
        let table = lens.legacy.sql();
        let schema = quote_ident(&lens.legacy.schema);
        let name = names.aside(&lens.legacy.schema, &lens.legacy.name);
        let put_aside_as = format!("{schema}.{}", quote_ident(&name));
        let rights = transaction.query(RIGHTS, &[&table]).await.map_err(sql())?;
        let grants: Vec<String> = rights.iter().map(|row| row.get(1)).collect();
        let mut grantees: Vec<String> = rights.iter().map(|row| row.get(0)).collect();
        grantees.dedup();
        let revoke = |who| format!("REVOKE ALL ON TABLE {put_aside_as} FROM {who} CASCADE");
        revoked.extend(grantees.into_iter().map(revoke).map(Statement::must));

        let (mut keys, mut restores) = (Vec::new(), Vec::new());
        for row in transaction.query(REFERS, &[&table]).await.map_err(sql())? {
            renamed.push(Statement::must(row.get(0)));
            keys.push(row.get(1));
        }
        if stand_ins {
            let indexes = transaction.query(INDEXES, &[&table]).await;
            for row in indexes.map_err(sql())? {
                let index: String = row.get(0);
                let aside = names.aside(&lens.legacy.schema, &index);
                let (index, aside) = (quote_ident(&index), quote_ident(&aside));
                let rename = format!("ALTER INDEX {schema}.{index} RENAME TO {aside}");
                renamed.push(Statement::must(rename));
                restores.push(format!("ALTER INDEX {schema}.{aside} RENAME TO {index}"));
            }
            let of = (migration, table.as_str(), put_aside_as.as_str());
            made.push(stand_in::plan(transaction, of, &grants).await?);
        }
        restores.append(&mut keys);
        let rename = format!("ALTER TABLE {table} RENAME TO {}", quote_ident(&name));
        renamed.push(Statement::must(rename));
        asides.push(Aside {
            put_aside_as,
            legacy_table: table,
            legacy_name: lens.legacy.name.clone(),
            schema: lens.legacy.schema.clone(),
            name,
            grants,
            restores,
            seconds: 0.0,
            gone_seconds: None,
            has_stand_in: stand_ins,
        });
    }
    let mut statements = renamed;
    let (mut refers, mut guarded) = (Vec::new(), Vec::new());
    for stand_in in made {
        statements.extend(stand_in.made);
        refers.extend(stand_in.refers);
        guarded.extend(stand_in.guarded);
    }
    statements.extend(refers);
    statements.extend(guarded);
    statements.extend(revoked);
    Ok(Plan { asides, statements })
}

/// Names that are given in one transaction. They are cut, so two may come out as one.
#[derive(Default)]
struct Names(HashSet<(String, String)>);

impl Names {
    fn aside(&mut self, schema: &str, name: &str) -> String {
        let mut number = 1;
        loop {
            let end = if number == 1 {
                String::new()
            } else {
                format!("_{number}")
            };
            let mut aside = format!("{PREFIX}{name}");
            while aside.len() + end.len() > NAME_BYTES_MAX {
                aside.pop();
            }
            let aside = aside + &end;
            if self.0.insert((schema.to_owned(), aside.clone())) {
                return aside;
            }
            number += 1;
        }
    }
}

/// All of them at once; with what is left out of their stand-ins.
pub(super) async fn apply(
    client: &mut Client,
    of: (&str, &[&Lens]),
    stand_ins: bool,
) -> Result<(Vec<Aside>, Vec<String>), ControlError> {
    let mut patience = Patience::default();
    loop {
        match apply_once(client, of, stand_ins).await {
            Err(error) => patience.after(error).await?,
            Ok(done) => return Ok(done),
        }
    }
}

async fn apply_once(
    client: &mut Client,
    of: (&str, &[&Lens]),
    stand_ins: bool,
) -> Result<(Vec<Aside>, Vec<String>), ControlError> {
    const DOING: &str = "putting the legacy tables aside";
    let sql = || ControlError::sql(DOING);
    let (migration, lenses) = of;
    let transaction = begin(client).await?;
    let tables: Vec<String> = lenses.iter().map(|lens| lens.legacy.sql()).collect();
    // What is looked at next stays so.
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
    statement::say(&transaction, &[Statement::must(lock)], DOING).await?;
    let plan = plan(&transaction, of, stand_ins).await?;
    let left_out = statement::say(&transaction, &plan.statements, DOING).await?;
    for aside in &plan.asides {
        let left = transaction
            .query(RIGHTS, &[&aside.put_aside_as])
            .await
            .map_err(sql())?;
        if let Some(row) = left.first() {
            let (who, right): (String, String) = (row.get(0), row.get(1));
            return Err(ControlError::Refused(format!(
                "{who} keeps a right that the owner of {} did not give (`{right}`): take it away first; \
                 nothing was changed",
                aside.legacy_table
            )));
        }
        // A superuser reads it all the same; an owner has given its own rights away.
        transaction
            .batch_execute(&format!(
                "DO $$ BEGIN IF NOT has_table_privilege({}, 'SELECT') THEN \
                 GRANT SELECT ON TABLE {} TO CURRENT_USER; END IF; END $$",
                quote_literal(&aside.put_aside_as),
                aside.put_aside_as
            ))
            .await
            .map_err(sql())?;
        transaction
            .execute(
                "INSERT INTO crossfade.retirements (migration, legacy_table, put_aside_as, grants, restores) \
                 VALUES ($1, $2, $3, $4, $5)",
                &[
                    &migration,
                    &aside.legacy_table,
                    &aside.put_aside_as,
                    &aside.grants,
                    &aside.restores,
                ],
            )
            .await
            .map_err(sql())?;
    }
    transaction.commit().await.map_err(sql())?;
    Ok((plan.asides, left_out))
}

/// Brings back those that are there; with what could not be.
pub(super) async fn undo(
    client: &mut Client,
    migration: &str,
    asides: &[Aside],
) -> Result<Vec<String>, ControlError> {
    let mut patience = Patience::default();
    loop {
        match undo_once(client, migration, asides).await {
            Err(error) => patience.after(error).await?,
            Ok(left_out) => return Ok(left_out),
        }
    }
}

async fn undo_once(
    client: &mut Client,
    migration: &str,
    asides: &[Aside],
) -> Result<Vec<String>, ControlError> {
    const DOING: &str = "bringing the legacy tables back";
    let sql = || ControlError::sql(DOING);
    let transaction = begin(client).await?;
    let stand_ins = asides.iter().filter(|aside| aside.has_stand_in);
    let stand_ins: Vec<(&str, &str)> = stand_ins
        .map(|aside| (aside.legacy_table.as_str(), aside.put_aside_as.as_str()))
        .collect();
    stand_in::take_away(&transaction, &stand_ins).await?;
    for aside in asides {
        let taken = transaction
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&aside.legacy_table])
            .await
            .map_err(sql())?;
        if taken.get(0) {
            return Err(ControlError::Refused(format!(
                "{0} is the name of another table by now, and no stand-in of Crossfade's: rename that one or drop it, for {1} \
                 to have its name back; nothing was changed",
                crate::control::shown(&aside.legacy_table),
                crate::control::shown(&aside.put_aside_as)
            )));
        }
    }
    let undo = asides.iter().flat_map(Aside::undo).map(Statement::must);
    let restores = asides.iter().flat_map(|aside| &aside.restores);
    let restores = restores.map(|said| Statement::may(said.clone(), format!("`{said}`")));
    let statements: Vec<Statement> = undo.chain(restores).collect();
    let left_out = statement::say(&transaction, &statements, DOING).await?;
    let tables: Vec<&String> = asides.iter().map(|aside| &aside.legacy_table).collect();
    transaction
        .execute(
            "DELETE FROM crossfade.retirements WHERE migration = $1 AND legacy_table = ANY ($2)",
            &[&migration, &tables],
        )
        .await
        .map_err(sql())?;
    transaction.commit().await.map_err(sql())?;
    Ok(left_out)
}

/// The tables of a migration that are on probation, or were and are dropped since; the first look that does not find one
/// notes the time.
pub async fn read(client: &Client, migration: &str) -> Result<Vec<Aside>, ControlError> {
    let rows = client
        .query(
            "WITH gone AS (UPDATE crossfade.retirements SET gone_since = clock_timestamp() \
                 WHERE migration = $1 AND gone_since IS NULL AND to_regclass(put_aside_as) IS NULL \
                 RETURNING migration, legacy_table, gone_since) \
             SELECT r.legacy_table, r.put_aside_as, r.grants, \
                 extract(epoch FROM clock_timestamp() - r.since)::float8, \
                 (parse_ident(r.put_aside_as))[2], (parse_ident(r.legacy_table))[2], (parse_ident(r.legacy_table))[1], \
                 r.restores, CASE WHEN to_regclass(r.put_aside_as) IS NULL THEN \
                     extract(epoch FROM clock_timestamp() - coalesce(g.gone_since, r.gone_since))::float8 END, \
                 EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = to_regclass(r.legacy_table) \
                     AND t.tgfoid = to_regprocedure($2)) \
             FROM crossfade.retirements AS r LEFT JOIN gone AS g USING (migration, legacy_table) \
             WHERE r.migration = $1 ORDER BY r.legacy_table",
            &[&migration, &TRIGGER_FUNCTION],
        )
        .await
        .map_err(ControlError::sql("look at the probation"))?;
    Ok(rows
        .iter()
        .map(|row| Aside {
            legacy_table: row.get(0),
            put_aside_as: row.get(1),
            grants: row.get(2),
            restores: row.get(7),
            seconds: row.get(3),
            name: row.get(4),
            legacy_name: row.get(5),
            schema: row.get(6),
            gone_seconds: row.get(8),
            has_stand_in: row.get(9),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters_and_two_are_never_one() {
        let mut names = Names::default();
        assert_eq!(names.aside("public", "iso_agents"), "cf_retired_iso_agents");
        let long = names.aside("public", &"ä".repeat(31));
        assert_eq!(long.len(), 63);
        assert!(long.ends_with('ä'));
        let other = names.aside("public", &format!("{}b", "ä".repeat(31)));
        assert!(other.len() <= 63 && other.ends_with("ä_2"), "{other}");
        assert_eq!(names.aside("other", &"ä".repeat(31)), long);
    }
}
