//! Databases of three tables that refer to each other, moved by two rule files: one names their columns, the other
//! the steps.
//!
//! It lays both sides down by SQL of its own, so that a phase can be tried without trusting the lenses.

use anyhow::Context;
use crossfade_testbed::{Auth, Postgres};
use rewrite_rules::Phase;

use crate::Proxy;
use crate::world::{PASSWORD, USER};

const LEGACY: &str = include_str!("../data/estate/legacy.sql");
/// The foreign keys of the table that nobody moves; `{houses}` and `{tenants}` are what they refer to.
const KEYS: &str = include_str!("../data/estate/keys.sql");
const TEMPLATE: &str = "estate";
const TABLES: [&str; 3] = ["houses", "tenants", "staff"];
/// What the identity columns of the legacy tables draw from.
const SEQUENCES: [&str; 3] = ["tenants_id_seq", "staff_id_seq", "staff_nr_seq"];

/// A role, and what it may do with houses, tenants and staff.
#[derive(Debug)]
pub struct Role {
    pub name: &'static str,
    pub rights: [&'static str; 3],
    /// Has what docs/running.md says that a role needs. Who has less may be denied more than it was.
    pub settled: bool,
}

const CHANGES: &str = "SELECT, INSERT, UPDATE";
const WRITES: &str = "SELECT, INSERT, UPDATE, DELETE";
const EMPTIES: &str = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE";

pub const ROLES: [Role; 8] = [
    Role {
        name: "estate_reader",
        rights: ["SELECT"; 3],
        settled: true,
    },
    Role {
        name: "estate_changer",
        rights: [CHANGES; 3],
        settled: true,
    },
    Role {
        name: "estate_writer",
        rights: [WRITES; 3],
        settled: true,
    },
    Role {
        name: "estate_emptier",
        rights: [EMPTIES; 3],
        settled: true,
    },
    Role {
        name: "estate_landlord",
        rights: [EMPTIES, "", "SELECT"],
        settled: true,
    },
    Role {
        name: "estate_agent",
        rights: ["", WRITES, CHANGES],
        settled: true,
    },
    Role {
        name: "estate_inserter",
        rights: ["INSERT", "INSERT", "SELECT"],
        settled: false,
    },
    Role {
        name: "estate_patcher",
        rights: [
            "SELECT (id, name), UPDATE (name)",
            "SELECT, UPDATE (note)",
            "SELECT (id, first)",
        ],
        settled: false,
    },
];

/// One of the two migrations.
#[derive(Debug)]
pub struct Estate {
    pub name: &'static str,
    rules: &'static str,
    unified: &'static str,
    /// Puts every legacy row into unified.
    carried: &'static str,
    /// The unified tables of each legacy table, and its rows as they have them.
    moved: [(&'static [&'static str], &'static str); 3],
}

pub const BY_COLUMNS: Estate = Estate {
    name: "columns",
    rules: include_str!("../data/estate/by_columns.toml"),
    unified: include_str!("../data/estate/by_columns.sql"),
    carried: include_str!("../data/estate/by_columns_carried.sql"),
    moved: [
        (
            &["place"],
            "SELECT id, title AS name, zip, price, size, sold_at AT TIME ZONE 'UTC' AS sold, \
             (due AT TIME ZONE 'Asia/Tokyo')::timestamptz(0) AS due, born::date AS born, lag FROM place WHERE kind = 'house'",
        ),
        (
            &["dweller"],
            "SELECT id, note, a, b, c, d, e, f, g, h FROM dweller",
        ),
        (
            &["people"],
            "SELECT id, nr, first, last, pay, full_name AS called, yearly, house FROM people",
        ),
    ],
};

pub const BY_STEPS: Estate = Estate {
    name: "steps",
    rules: include_str!("../data/estate/by_steps.toml"),
    unified: include_str!("../data/estate/by_steps.sql"),
    carried: include_str!("../data/estate/by_steps_carried.sql"),
    moved: [
        (
            &["place", "place_times"],
            "SELECT id, title AS name, zip, price, size, sold_at AT TIME ZONE 'UTC' AS sold, \
             (due AT TIME ZONE 'Asia/Tokyo')::timestamptz(0) AS due, born::date AS born, lag FROM place FULL JOIN place_times ON place_id = id",
        ),
        (
            &["dweller"],
            "SELECT id, note, a, b, c, d, e, f, g, h FROM dweller",
        ),
        (
            &["people", "pays"],
            "SELECT id, nr, first, last, pay, first || coalesce(' ' || last, '') AS called, (pay * 12)::numeric(9,2) AS yearly, house \
             FROM people FULL JOIN pays USING (id)",
        ),
    ],
};

impl Estate {
    /// The same with a fault in its rules: whoever looks for faults has to find it.
    ///
    /// # Panics
    ///
    /// If the rules do not say once what is to be wrong.
    #[must_use]
    pub fn planted(self, right: &str, wrong: &str) -> &'static Estate {
        assert_eq!(self.rules.matches(right).count(), 1, "{right}");
        let rules = self.rules.replace(right, wrong);
        Box::leak(Box::new(Estate {
            rules: Box::leak(rules.into_boxed_str()),
            ..self
        }))
    }

    /// A server with the roles on it.
    pub async fn start() -> anyhow::Result<Postgres> {
        let postgres = Postgres::start().await?;
        // Who looks whether a proxy answers.
        postgres.create_user(USER, PASSWORD, Auth::Scram).await?;
        let superuser = postgres.connect("postgres").await?;
        for role in &ROLES {
            let sql = format!("CREATE ROLE {}", role.name);
            superuser.batch_execute(&sql).await?;
        }
        // Copies of one database have the same numbers for its types, which clients are told.
        let create = format!("CREATE DATABASE {TEMPLATE}");
        superuser.batch_execute(&create).await?;
        let template = postgres.connect(TEMPLATE).await?;
        template.batch_execute(LEGACY).await.context("legacy")?;
        drop(template);
        let alone = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'"
        );
        superuser.batch_execute(&alone).await?;
        Ok(postgres)
    }

    /// The database that is left alone.
    pub async fn straight(&self, postgres: &Postgres) -> anyhow::Result<()> {
        self.laid(postgres, "straight", None).await
    }

    /// A database in a phase, as a migration that went well would have left it, and a proxy before it.
    pub async fn in_phase(&self, postgres: &Postgres, phase: Phase) -> anyhow::Result<Proxy> {
        let database = Self::database(phase);
        let proxy = Proxy::with_config(postgres, &database, "")?;
        let rules = self.rules.replace(
            "phase = \"legacy_only\"",
            &format!("phase = \"{}\"", phase.name()),
        );
        proxy.write_rules("estate", &rules)?;
        self.laid(postgres, &database, Some((phase, &proxy)))
            .await
            .with_context(|| format!("{} in {phase}", self.name))?;
        proxy.serve().await
    }

    #[must_use]
    pub fn database(phase: Phase) -> String {
        format!("in_{phase}")
    }

    async fn laid(
        &self,
        postgres: &Postgres,
        database: &str,
        moved: Option<(Phase, &Proxy)>,
    ) -> anyhow::Result<()> {
        let superuser = postgres.connect("postgres").await?;
        let create = format!("CREATE DATABASE {database} TEMPLATE {TEMPLATE}");
        superuser.batch_execute(&create).await?;
        let client = postgres.connect(database).await?;
        let phase = moved.map_or(Phase::LegacyOnly, |(phase, _)| phase);
        if phase > Phase::LegacyOnly {
            for sql in [self.unified, self.carried] {
                client.batch_execute(sql).await.context("unified")?;
            }
        }
        client.batch_execute(&self.grants(phase)).await?;
        let leads = !phase.writes_both() && phase != Phase::LegacyOnly;
        let (houses, tenants) = match leads {
            true => ("place", "dweller"),
            false => ("houses", "tenants"),
        };
        let keys = KEYS
            .replace("{houses}", houses)
            .replace("{tenants}", tenants);
        client.batch_execute(&keys).await.context("keys")?;
        if let Some((_, proxy)) = moved.filter(|(phase, _)| *phase > Phase::LegacyOnly) {
            proxy.crossfade(&["prepare"]).await?;
        }
        if phase == Phase::Retired {
            let gone = format!("DROP TABLE {} CASCADE", TABLES.join(", "));
            client.batch_execute(&gone).await?;
            // They went with the tables.
            for sequence in SEQUENCES {
                let again = format!(
                    "CREATE SEQUENCE {sequence}; GRANT USAGE ON {sequence} TO {}",
                    all_roles()
                );
                client.batch_execute(&again).await?;
            }
        }
        let kept = self.probe(phase);
        client.batch_execute(&kept).await.context("probe")?;
        client.batch_execute("ANALYZE").await?;
        Ok(())
    }

    fn grants(&self, phase: Phase) -> String {
        let mut sql = String::new();
        for role in &ROLES {
            for ((table, rights), (unified, _)) in TABLES.iter().zip(role.rights).zip(&self.moved) {
                if rights.is_empty() {
                    continue;
                }
                sql += &format!("GRANT {rights} ON {table} TO {};\n", role.name);
                if phase > Phase::LegacyOnly && role.settled {
                    let unified = unified.join(", ");
                    sql += &format!("GRANT {rights} ON {unified} TO {};\n", role.name);
                }
            }
        }
        sql + &format!(
            "GRANT ALL ON keys TO {0}; GRANT USAGE ON SEQUENCE {1} TO {0};",
            all_roles(),
            SEQUENCES.join(", ")
        )
    }

    /// Functions in the schema `probe`, for a session that is not to name the tables: `seen()`, the rows of each side that
    /// the phase keeps, in their transaction; `begin(n)`, from which on the sequences draw; and `reset()`, which brings
    /// the rows back that were there.
    fn probe(&self, phase: Phase) -> String {
        let legacy = phase.writes_both() || phase == Phase::LegacyOnly;
        let unified = phase > Phase::LegacyOnly;
        // A row of its own, so that a side without any is not taken for one that is not kept.
        let mut seen = vec!["SELECT 0, 'keys ' || to_jsonb(r)::text FROM keys AS r".to_owned()];
        let mut tables = vec!["keys"];
        if legacy {
            seen.push("SELECT 2, 'here'".to_owned());
        }
        if unified {
            seen.push("SELECT 3, 'here'".to_owned());
            seen.push(
                "SELECT 1, 'ledger ' || legacy_table || key::text || sqlstate || reason FROM crossfade.divergence"
                    .to_owned(),
            );
        }
        for (table, (parts, rows)) in TABLES.iter().zip(&self.moved) {
            if legacy {
                tables.push(table);
                seen.push(format!(
                    "SELECT 2, '{table} ' || to_jsonb(r)::text FROM {table} AS r"
                ));
            }
            if unified {
                tables.extend(*parts);
                seen.push(format!(
                    "SELECT 3, '{table} ' || to_jsonb(r)::text FROM ({rows}) AS r"
                ));
            }
        }
        let keep: Vec<String> = tables
            .iter()
            .map(|table| format!("CREATE TABLE probe.kept_{table} AS TABLE {table};"))
            .collect();
        let ledger = match unified {
            true => "DELETE FROM crossfade.divergence;",
            false => "",
        };
        let draws: Vec<String> = SEQUENCES
            .iter()
            .map(|sequence| format!("setval('{sequence}', n)"))
            .collect();
        format!(
            "CREATE SCHEMA probe; GRANT USAGE ON SCHEMA probe TO PUBLIC; {keep}
             CREATE FUNCTION probe.seen() RETURNS TABLE (side int, told text) LANGUAGE plpgsql SECURITY DEFINER
               SET TimeZone = 'UTC' SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET extra_float_digits = 1 AS $$
               #variable_conflict use_column
               BEGIN RETURN QUERY {seen}; END $$;
             CREATE FUNCTION probe.begin(n integer) RETURNS void LANGUAGE sql AS $$ SELECT {draws} $$;
             CREATE FUNCTION probe.reset() RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
               DECLARE t text; c text;
               BEGIN
                 FOREACH t IN ARRAY '{{{tables}}}'::text[] LOOP
                   SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO c FROM pg_attribute
                     WHERE attrelid = t::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
                   EXECUTE format('DELETE FROM %s', t);
                   EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM probe.kept_%s', t, c, c, t);
                 END LOOP;
                 {ledger}
               END $$;",
            keep = keep.join(" "),
            seen = seen.join(" UNION ALL "),
            draws = draws.join(", "),
            tables = tables.join(","),
        )
    }
}

fn all_roles() -> String {
    let names: Vec<&str> = ROLES.iter().map(|role| role.name).collect();
    names.join(", ")
}
