//! The tables that are tortured: what they and their columns are called under either name, and how they
//! are filled. One is mapped by a table of columns, the other by steps of SQL.

use rewrite_rules::Phase;
use tokio_postgres::Client;

use super::SHARED_ROWS;
use super::dependents::COLUMNS;
use super::model::Name;
use crate::Proxy;

const DEPENDENTS: &str = include_str!("../../data/torture/dependents.sql");
const PROMISES_KEYS: &str = include_str!("../../data/torture/promises_keys.sql");
const PLEDGES_BY_COLUMNS: &str = include_str!("../../data/torture/pledges_by_columns.toml");
const PLEDGES_BY_STEPS: &str = include_str!("../../data/torture/pledges_by_steps.toml");
const SETTINGS_RULES: &str = include_str!("../../../rewrite-rules/rules/user_settings.toml");
const SETTINGS_LEGACY: &str = include_str!("../../data/lens/user_settings_legacy.sql");
const SETTINGS_UNIFIED: &str = include_str!("../../data/lens/user_settings_unified.sql");

/// Tables that a migration moves: with `pledges`, which refer to the first of them.
pub const MIGRATED: i64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// `iso_agents` and `users`: the same rows, one role renamed, some hidden.
    ByColumns,
    /// `user_settings`, of whose rows each becomes several, and one may be of the same person as another.
    BySteps,
}

/// What the model's columns are called under a name.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Begins with the client's mark.
    pub who: &'static str,
    pub title: &'static str,
    pub role: &'static str,
    pub margin: &'static str,
}

impl Tables {
    #[must_use]
    pub fn migration(self) -> &'static str {
        match self {
            Tables::ByColumns => "iso_agents",
            Tables::BySteps => "user_settings",
        }
    }

    #[must_use]
    pub fn table(self, name: Name) -> &'static str {
        match (self, name) {
            (Tables::ByColumns, Name::Legacy) => "iso_agents",
            (Tables::ByColumns, Name::Unified) => "users",
            (Tables::BySteps, Name::Legacy) => "user_settings",
            (Tables::BySteps, Name::Unified) => "settings",
        }
    }

    #[must_use]
    pub fn columns(self, name: Name) -> Columns {
        match self {
            Tables::ByColumns => Columns {
                who: "clerk_user_id",
                title: "full_name",
                role: "role",
                margin: "margin_value",
            },
            Tables::BySteps => Columns {
                who: "email",
                title: "language",
                role: "agent",
                margin: match name {
                    Name::Legacy => "user_version",
                    Name::Unified => "settings_version",
                },
            },
        }
    }

    /// What is selected of a row, each a text: the columns that [`Name::line`] has.
    #[must_use]
    pub fn selected(self, name: Name) -> String {
        let columns = self.columns(name);
        let last = match (self, name) {
            (Tables::ByColumns, Name::Legacy) => "metadata->>'terms'",
            (Tables::BySteps, Name::Legacy) => "(accepted_tos::date - date '2026-01-01')::text",
            (Tables::ByColumns, Name::Unified) => "phone",
            (Tables::BySteps, Name::Unified) => "NULL::text",
        };
        format!(
            "id::text, email, {}, {}::text, {}::int8::text, {last}",
            columns.title, columns.role, columns.margin
        )
    }

    /// The type of the key, which is also that of what refers to it.
    #[must_use]
    pub fn key_type(self) -> &'static str {
        match self {
            Tables::ByColumns => "uuid",
            Tables::BySteps => "integer",
        }
    }

    /// An INSERT with the parameters id, e-mail, title, role, margin, terms and, under the unified name of
    /// [`Tables::ByColumns`], phone. Under that of [`Tables::BySteps`] settings come to be that are nobody's.
    #[must_use]
    pub fn insert(self, name: Name) -> &'static str {
        match (self, name) {
            (Tables::ByColumns, Name::Legacy) => {
                "INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, margin_value, metadata) \
                 VALUES ($1::text::uuid, split_part($2::text, '@', 1), $2::text, $3::text, \
                 $4::text::user_role, $5::text::numeric, jsonb_build_object('terms', $6::text::integer))"
            }
            (Tables::ByColumns, Name::Unified) => {
                "INSERT INTO users (id, clerk_user_id, email, full_name, role, margin_value, metadata, phone) \
                 VALUES ($1::text::uuid, split_part($2::text, '@', 1), $2::text, $3::text, \
                 $4::text::user_role, $5::text::numeric, jsonb_build_object('terms', $6::text::integer), \
                 nullif($7::text, ''))"
            }
            (Tables::BySteps, Name::Legacy) => {
                "INSERT INTO user_settings (id, email, language, agent, user_version, accepted_tos, keycloak_user_id) \
                 VALUES ($1::text::integer, $2::text, $3::text, $4::text, $5::text::integer, \
                 date '2026-01-01' + $6::text::integer, split_part($2::text, '-', 1) || ' ' || $4::text)"
            }
            (Tables::BySteps, Name::Unified) => {
                "INSERT INTO settings (id, email, language, agent, settings_version) \
                 VALUES ($1::text::integer, $2::text, $3::text, $4::text, $5::text::integer + 0 * $6::text::integer)"
            }
        }
    }

    /// What an UPDATE under the legacy name sets beside: only that name knows the terms.
    #[must_use]
    pub fn further_terms(self, name: Name) -> &'static str {
        match (self, name) {
            (Tables::ByColumns, Name::Legacy) => {
                ", metadata = jsonb_set(metadata, '{terms}', to_jsonb((metadata->>'terms')::integer + 1))"
            }
            (Tables::BySteps, Name::Legacy) => ", accepted_tos = accepted_tos + interval '1 day'",
            (_, Name::Unified) => "",
        }
    }

    /// The role as `$2`; under the legacy name of [`Tables::BySteps`] it also says whose the row is, so that
    /// it changes hands, and shares a person with other rows of its client.
    #[must_use]
    pub fn set_role(self, name: Name) -> &'static str {
        match (self, name) {
            (Tables::ByColumns, _) => "role = $2::text::user_role",
            (Tables::BySteps, Name::Legacy) => {
                "agent = $2::text, keycloak_user_id = split_part(email, '-', 1) || ' ' || $2::text"
            }
            (Tables::BySteps, Name::Unified) => "agent = $2::text",
        }
    }

    /// Whether the unified name can hide a row from the legacy one, and show it again.
    #[must_use]
    pub fn hides(self) -> bool {
        self == Tables::ByColumns
    }

    /// Whether foreign keys of the unified tables see to `promises`; else the lens does, and what is done under
    /// unified names is not its concern.
    #[must_use]
    pub fn keys_are_unified(self) -> bool {
        self == Tables::ByColumns
    }

    #[must_use]
    pub fn own_id(self, client: usize, key: u64) -> String {
        match self {
            Tables::ByColumns => format!("{:08x}-0000-4000-8000-{key:012x}", client + 1),
            Tables::BySteps => (10_000_000 * (client as u64 + 1) + key).to_string(),
        }
    }

    #[must_use]
    pub fn hot_id(self, key: u64) -> String {
        match self {
            Tables::ByColumns => format!("ffffffff-0000-4000-8000-{key:012x}"),
            Tables::BySteps => (6_000_000 + key).to_string(),
        }
    }

    #[must_use]
    pub fn shared_id(self, row: usize) -> String {
        match self {
            Tables::ByColumns => format!("eeeeeeee-0000-4000-8000-{row:012x}"),
            Tables::BySteps => (5_000_000 + row).to_string(),
        }
    }

    /// Asks how far a shared row was counted up.
    #[must_use]
    pub fn shared_margin(self, name: Name, row: usize) -> String {
        format!(
            "SELECT {}::int8 FROM {} WHERE id = '{}'",
            self.columns(name).margin,
            self.table(name),
            self.shared_id(row)
        )
    }

    /// What the column of [`COLUMNS`] has by default, as SQL.
    fn default(self) -> String {
        let id = self.shared_id(0);
        match self {
            Tables::ByColumns => format!("'{id}'::uuid"),
            Tables::BySteps => id,
        }
    }

    /// The rule file before the first step.
    #[must_use]
    pub fn rules(self) -> String {
        let default = self.default();
        match self {
            Tables::ByColumns => {
                Proxy::rules_in(Phase::LegacyOnly)
                    + &PLEDGES_BY_COLUMNS.replace("{default}", &default)
            }
            Tables::BySteps => {
                // What the new application deletes is gone for the old one.
                let key = "\nkey     = [\"id\"]\n";
                assert!(SETTINGS_RULES.contains(key), "the shipped rules say {key}");
                SETTINGS_RULES.replace(key, &format!("{key}when_hidden = \"remove\"\n"))
                    + &PLEDGES_BY_STEPS.replace("{default}", &default)
            }
        }
    }

    /// Tables and rows, and what the second role may do.
    pub async fn fill(
        self,
        owner: &Client,
        more: u32,
        second: &str,
    ) -> Result<(), tokio_postgres::Error> {
        let own = match self {
            // What refers to iso_agents holds up the step to unified_only.
            Tables::ByColumns => {
                "ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey; \
                 ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey"
                    .to_owned()
            }
            // The crosswalk is made here, so that the second role can be given its rights to it.
            Tables::BySteps => format!(
                "{SETTINGS_LEGACY}; {SETTINGS_UNIFIED}; ALTER SEQUENCE user_settings_id_seq RESTART 2000000000; {}",
                SETTINGS_RULES
                    .split_once("sql = \"\"\"")
                    .and_then(|(_, rest)| rest.split_once("\"\"\""))
                    .map_or("", |(sql, _)| sql)
            ),
        };
        owner.batch_execute(&own).await?;
        for row in 0..SHARED_ROWS {
            let id = format!("'{}'::{}", self.shared_id(row), self.key_type());
            let sql = self.rows(&id, &format!("'shared-{row}'"), "");
            owner.batch_execute(&sql).await?;
        }
        let id = match self {
            Tables::ByColumns => "gen_random_uuid()",
            Tables::BySteps => "100000 + n",
        };
        let from = format!("FROM generate_series(1, {more}) AS n");
        owner
            .batch_execute(&self.rows(id, "'more-' || n", &from))
            .await?;
        let dependents = DEPENDENTS
            .replace("{key}", self.key_type())
            .replace("{legacy}", self.table(Name::Legacy))
            .replace("{default}", &self.default());
        owner.batch_execute(&dependents).await?;
        if self.keys_are_unified() {
            owner.batch_execute(PROMISES_KEYS).await?;
        }
        owner.batch_execute(&self.turned_to(Name::Legacy)).await?;
        owner.batch_execute(&self.grants(second)).await?;
        owner.batch_execute("ANALYZE").await
    }

    fn rows(self, id: &str, who: &str, from: &str) -> String {
        match self {
            Tables::ByColumns => format!(
                "INSERT INTO iso_agents (id, clerk_user_id, email, full_name, metadata) \
                 SELECT {id}, {who}, {who} || '@example.com', 'row', '{{\"terms\": 0}}'::jsonb {from}"
            ),
            Tables::BySteps => format!(
                "INSERT INTO user_settings (id, keycloak_user_id, email, language, accepted_tos) \
                 SELECT {id}, {who}, {who} || '@example.com', 'row', timestamp '2026-01-01' {from}"
            ),
        }
    }

    /// It may do everything but delete; and of one table nothing at all.
    fn grants(self, role: &str) -> String {
        let tables = match self {
            Tables::ByColumns => "iso_agents, users",
            Tables::BySteps => {
                "user_settings, settings, org, \"user\", org_user, user_settings_apart"
            }
        };
        let steps = match self {
            Tables::ByColumns => String::new(),
            // Putting a row takes memberships and what was kept of it away.
            Tables::BySteps => format!(
                "GRANT DELETE ON org_user, user_settings_apart TO {role}; GRANT SELECT ON role TO {role}; \
                 GRANT USAGE ON SEQUENCE user_settings_id_seq TO {role}; "
            ),
        };
        format!(
            "GRANT SELECT, INSERT, UPDATE ON {tables}, errands, pledges, promises TO {role}; {steps}\
             CREATE TABLE strongbox (id integer PRIMARY KEY, note text); INSERT INTO strongbox VALUES (1, 'gold')"
        )
    }

    /// Turns the foreign keys of `errands` to the table of a name.
    #[must_use]
    pub fn turned_to(self, name: Name) -> String {
        let keys = COLUMNS.iter().map(|(column, actions)| {
            format!(
                "DROP CONSTRAINT IF EXISTS errands_{column}_fkey, ADD CONSTRAINT errands_{column}_fkey \
                 FOREIGN KEY ({column}) REFERENCES {} {actions}",
                self.table(name)
            )
        });
        format!(
            "ALTER TABLE errands {}",
            keys.collect::<Vec<_>>().join(", ")
        )
    }
}
