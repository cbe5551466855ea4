//! Putting a table aside and back: its name and its rights, in one transaction each.

use rewrite_rules::Lens;
use rewrite_rules::lens::{quote_ident, quote_literal};
use serde::Serialize;
use tokio_postgres::Client;

use crate::control::ControlError;

/// Before the name of a table on probation: says whose doing it is to whoever finds it.
const PREFIX: &str = "cf_retired_";
/// PostgreSQL cuts longer names off.
const NAME_BYTES_MAX: usize = 63;
/// Nobody should use the table; whoever does makes everybody else wait behind us no longer.
const LOCK_TIMEOUT: &str = "2s";

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
    /// What gives its rights back.
    #[serde(skip)]
    grants: Vec<String>,
    /// Who has any, as SQL.
    #[serde(skip)]
    grantees: Vec<String>,
    /// How long it has been there; 0 for one that is about to be.
    pub seconds: f64,
}

impl Aside {
    /// What puts it aside.
    #[must_use]
    pub fn apply(&self) -> Vec<String> {
        let table = &self.legacy_table;
        let mut statements: Vec<String> = self
            .grantees
            .iter()
            .map(|grantee| format!("REVOKE ALL ON TABLE {table} FROM {grantee} CASCADE"))
            .collect();
        statements.push(format!(
            "ALTER TABLE {table} RENAME TO {}",
            quote_ident(&self.name)
        ));
        statements
    }

    /// What brings it back.
    #[must_use]
    pub fn undo(&self) -> Vec<String> {
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

pub(super) async fn plan(client: &Client, lens: &Lens) -> Result<Aside, ControlError> {
    let table = lens.legacy.sql();
    let rows = client
        .query(RIGHTS, &[&table])
        .await
        .map_err(ControlError::sql("look at the rights"))?;
    let mut grantees: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    grantees.dedup();
    let name = name_aside(&lens.legacy.name);
    Ok(Aside {
        put_aside_as: format!(
            "{}.{}",
            quote_ident(&lens.legacy.schema),
            quote_ident(&name)
        ),
        legacy_table: table,
        legacy_name: lens.legacy.name.clone(),
        name,
        grants: rows.iter().map(|row| row.get(1)).collect(),
        grantees,
        seconds: 0.0,
    })
}

fn name_aside(name: &str) -> String {
    let mut aside = format!("{PREFIX}{name}");
    while aside.len() > NAME_BYTES_MAX {
        aside.pop();
    }
    aside
}

/// All tables of a migration at once.
pub(super) async fn apply(
    client: &mut Client,
    migration: &str,
    asides: &[Aside],
) -> Result<(), ControlError> {
    let sql = || ControlError::sql("putting the legacy tables aside");
    let transaction = client.transaction().await.map_err(sql())?;
    transaction
        .batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        .await
        .map_err(sql())?;
    for aside in asides {
        for statement in aside.apply() {
            transaction.batch_execute(&statement).await.map_err(sql())?;
        }
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
                "INSERT INTO crossfade.retirements (migration, legacy_table, put_aside_as, grants) \
                 VALUES ($1, $2, $3, $4)",
                &[
                    &migration,
                    &aside.legacy_table,
                    &aside.put_aside_as,
                    &aside.grants,
                ],
            )
            .await
            .map_err(sql())?;
    }
    transaction.commit().await.map_err(sql())
}

pub(super) async fn undo(
    client: &mut Client,
    migration: &str,
    asides: &[Aside],
) -> Result<(), ControlError> {
    let sql = || ControlError::sql("bringing the legacy tables back");
    let transaction = client.transaction().await.map_err(sql())?;
    for aside in asides {
        for statement in aside.undo() {
            transaction.batch_execute(&statement).await.map_err(sql())?;
        }
    }
    transaction
        .execute(
            "DELETE FROM crossfade.retirements WHERE migration = $1",
            &[&migration],
        )
        .await
        .map_err(sql())?;
    transaction.commit().await.map_err(sql())
}

/// The tables of a migration that are on probation.
pub async fn read(client: &Client, migration: &str) -> Result<Vec<Aside>, ControlError> {
    let rows = client
        .query(
            "SELECT legacy_table, put_aside_as, grants, \
             extract(epoch FROM clock_timestamp() - since)::float8, \
             (parse_ident(put_aside_as))[2], (parse_ident(legacy_table))[2] \
             FROM crossfade.retirements WHERE migration = $1 ORDER BY legacy_table",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at the probation"))?;
    Ok(rows
        .iter()
        .map(|row| Aside {
            legacy_table: row.get(0),
            put_aside_as: row.get(1),
            grants: row.get(2),
            grantees: Vec::new(),
            seconds: row.get(3),
            name: row.get(4),
            legacy_name: row.get(5),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(name_aside("iso_agents"), "cf_retired_iso_agents");
        let long = name_aside(&"ä".repeat(31));
        assert_eq!(long.len(), 63);
        assert!(long.ends_with('ä'));
    }
}
