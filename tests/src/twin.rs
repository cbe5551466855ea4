//! Two databases with the same legacy tables: one is migrated behind a proxy, the other never
//! hears of it. Whatever is asked of both must be answered alike.

mod phases;

use anyhow::{Context, ensure};
use crossfade_testbed::Postgres;
use crossfade_testbed::binaries::Binaries;
use rewrite_rules::Phase;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::answer::comparable;
use crate::raw::RawClient;
use crate::world::{CLERK, PASSWORD, USER};
use crate::{Proxy, World};

/// What a migration is made of.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The migration's name.
    pub name: &'static str,
    pub rules: &'static str,
    /// How many tables they move.
    pub tables: usize,
    /// Further migrations of the same database: names and rules.
    pub also: &'static [(&'static str, &'static str)],
    /// What the superuser does on the server beforehand: roles.
    pub server: &'static str,
    /// The legacy tables with their rows.
    pub legacy: &'static str,
    /// The unified tables.
    pub unified: &'static str,
}

/// A table that is split.
pub const USER_SETTINGS: Case = Case {
    name: "user_settings",
    rules: include_str!("../../rewrite-rules/rules/user_settings.toml"),
    tables: 1,
    also: &[],
    server: "",
    legacy: include_str!("../data/lens/user_settings_legacy.sql"),
    unified: include_str!("../data/lens/user_settings_unified.sql"),
};

/// A table that is split, with unique columns beside its key.
pub const MEMBERS: Case = Case {
    name: "members",
    rules: include_str!("../data/lens/members.toml"),
    tables: 1,
    also: &[],
    server: "",
    legacy: include_str!("../data/lens/members_legacy.sql"),
    unified: include_str!("../data/lens/members_unified.sql"),
};

/// [`MEMBERS`] as the unified tables have them.
pub const UNIFIED_MEMBERS: &str = "(SELECT k.legacy_id AS id, p.email, b.region, b.number AS badge, p.name, b.visits \
    FROM member_ids k JOIN person p ON p.id = k.person_id JOIN badge b ON b.person_id = p.id)";

/// Tables that are merged into others.
pub const ENHANCED_USER: Case = Case {
    name: "enhanced_user",
    rules: include_str!("../../rewrite-rules/rules/enhanced_user.toml"),
    tables: 3,
    also: &[],
    server: "",
    legacy: include_str!("../data/lens/enhanced_user_legacy.sql"),
    unified: include_str!("../data/lens/enhanced_user_unified.sql"),
};

/// Two tables that become one, in which a row of one and a row of the other may be the same.
pub const MERGED: Case = Case {
    name: "merged",
    rules: include_str!("../data/lens/merged.toml"),
    tables: 2,
    also: &[],
    server: "",
    legacy: include_str!("../data/lens/merged_legacy.sql"),
    unified: include_str!("../data/lens/merged_unified.sql"),
};

/// Two tables of people that become users with roles, and what refers to them.
pub const STUDIO_CUSTOMERS: Case = Case {
    name: "studio_customers",
    rules: include_str!("../../rewrite-rules/rules/studio_customers.toml"),
    tables: 6,
    also: &[],
    server: "",
    legacy: include_str!("../data/lens/studio_customers_legacy.sql"),
    unified: include_str!("../data/lens/studio_customers_unified.sql"),
};

/// Tables that each tenant has in a schema of its own, which become one for all of them.
pub const TENANT_SCHEMAS: Case = Case {
    name: "tenant_schemas",
    rules: include_str!("../../rewrite-rules/rules/tenant_schemas.toml"),
    tables: 18,
    also: &[],
    server: "",
    legacy: concat!(
        include_str!("../data/tenants/public.sql"),
        "CREATE SCHEMA acme_corp; SET search_path = acme_corp;",
        include_str!("../data/tenants/tenant.sql"),
        include_str!("../data/tenants/rows.sql"),
        "CREATE SCHEMA globex_inc; SET search_path = globex_inc;",
        include_str!("../data/tenants/tenant.sql"),
        include_str!("../data/tenants/rows_of_another.sql"),
        "RESET search_path;"
    ),
    unified: include_str!("../data/tenants/unified.sql"),
};

pub struct Twin {
    case: Case,
    /// Whom the application connects as.
    user: &'static str,
    proxy: Proxy,
    /// The application on the database that is left alone; unless it must be the owner, as a role that
    /// owns nothing there.
    pub alone: Client,
    /// The same role through the proxy.
    pub proxied: Client,
    /// Past the proxy, on the migrated database.
    pub direct: Client,
    world: World,
}

impl Twin {
    /// Both databases, and a proxy in `legacy_only`.
    pub async fn start(case: Case) -> anyhow::Result<Self> {
        Self::start_in(case, Postgres::start().await?, CLERK).await
    }

    /// The same with the tables' owner as the application: for what only that may do, or where
    /// policies and memberships of the case speak of it.
    pub async fn start_as_owner(case: Case) -> anyhow::Result<Self> {
        Self::start_in(case, Postgres::start().await?, USER).await
    }

    /// The same on the server of another installation.
    pub async fn start_from(case: Case, binaries: Binaries) -> anyhow::Result<Self> {
        Self::start_in(case, Postgres::start_from(binaries, &[]).await?, CLERK).await
    }

    /// Both of these.
    pub async fn start_from_as_owner(case: Case, binaries: Binaries) -> anyhow::Result<Self> {
        Self::start_in(case, Postgres::start_from(binaries, &[]).await?, USER).await
    }

    async fn start_in(case: Case, postgres: Postgres, user: &'static str) -> anyhow::Result<Self> {
        let world = World::empty(postgres).await?;
        let superuser = world.postgres.connect("postgres").await?;
        for database in ["alone", "migrated"] {
            let ddl = format!("CREATE DATABASE {database} OWNER {}", USER);
            superuser.batch_execute(&ddl).await?;
        }
        superuser
            .batch_execute(case.server)
            .await
            .context("roles")?;
        let owner = world.client(&world.direct_url("alone")).await?;
        let direct = world.client(&world.direct_url("migrated")).await?;
        for (database, client) in [("alone", &owner), ("migrated", &direct)] {
            world.let_clerk_in(database).await?;
            client.batch_execute(case.legacy).await.context("legacy")?;
        }
        let alone = world.client(&world.url_of(user, "alone")).await?;
        direct
            .batch_execute(case.unified)
            .await
            .context("unified")?;
        let proxy = Proxy::with_config(&world.postgres, "migrated", "")?;
        proxy.write_rules(case.name, case.rules)?;
        for (name, rules) in case.also {
            proxy.write_rules(name, rules)?;
        }
        let proxy = proxy.serve().await?;
        let proxied = proxy.client_of(user).await?;
        Ok(Twin {
            case,
            user,
            proxy,
            alone,
            proxied,
            direct,
            world,
        })
    }

    /// The application's connection strings: to the database that is left alone, and through the proxy.
    #[must_use]
    pub fn urls(&self) -> [String; 2] {
        let user = format!("{}:{PASSWORD}", self.user);
        [
            self.world.postgres.url_as(&user, "alone"),
            self.proxy.url_as(&user, "migrated"),
        ]
    }

    /// One more session of the application through the proxy.
    pub async fn another(&self) -> anyhow::Result<Client> {
        self.proxy.client_of(self.user).await
    }

    /// One more session of the application on the database that is left alone.
    pub async fn another_alone(&self) -> anyhow::Result<Client> {
        self.world
            .client(&self.world.url_of(self.user, "alone"))
            .await
    }

    /// The server's own port, behind which is the database that is left alone.
    #[must_use]
    pub fn port_alone(&self) -> u16 {
        self.world.postgres.port
    }

    /// The proxy's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.proxy.port
    }

    /// A session on the database that is left alone, by hand.
    pub async fn raw_alone(&self) -> anyhow::Result<RawClient> {
        RawClient::connect(self.world.postgres.port, "alone").await
    }

    /// Checks that statements of the extended protocol are described and answered alike, errors with
    /// their places.
    pub async fn told_alike(&self, statements: &[&str]) -> anyhow::Result<()> {
        let (mut alone, mut through) = (self.raw_alone().await?, self.raw().await?);
        for sql in statements {
            let expected = comparable(&alone.extended(sql, &[]).await?);
            let found = comparable(&through.extended(sql, &[]).await?);
            ensure!(found == expected, "{sql}\n{expected:#?}\n{found:#?}");
        }
        Ok(())
    }

    /// A session through the proxy that speaks the protocol by hand.
    pub async fn raw(&self) -> anyhow::Result<RawClient> {
        RawClient::connect(self.proxy.port, "migrated").await
    }

    /// Runs a command on the migration, options behind it; its output.
    pub async fn crossfade(&self, command: &str) -> anyhow::Result<String> {
        self.crossfade_of(self.case.name, command).await
    }

    /// The same on one of the database's migrations.
    pub async fn crossfade_of(&self, migration: &str, command: &str) -> anyhow::Result<String> {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.insert(1, migration);
        self.proxy.crossfade(&args).await
    }

    /// Has both sides compared: so many tables, and no difference in any.
    pub async fn verified(&self, tables: usize) {
        let said = self.crossfade("verify").await.unwrap();
        let clean = said.matches("missing 0   extra 0   different 0").count();
        assert_eq!(clean, tables, "{said}");
        assert_eq!(said.matches("missing").count(), tables, "{said}");
    }

    /// The operator of the migrated database.
    pub async fn superuser(&self) -> anyhow::Result<Client> {
        Ok(self.world.postgres.connect("migrated").await?)
    }

    /// `crossfade prepare`, whose tables the application may use as its own.
    pub async fn prepare(&self) -> anyhow::Result<()> {
        self.proxy.crossfade(&["prepare"]).await?;
        let grant = format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}", USER);
        let superuser = self.superuser().await?;
        superuser.batch_execute(&grant).await?;
        // Of the tables that it has just made there is somebody now who may use them.
        self.proxy.crossfade(&["prepare"]).await?;
        Ok(())
    }

    /// Takes every migration a step further.
    pub async fn advance(&self, to: Phase) -> anyhow::Result<()> {
        let also = self.case.also.iter().map(|(name, _)| *name);
        for migration in std::iter::once(self.case.name).chain(also) {
            let said = self.crossfade_of(migration, "advance").await?;
            ensure!(said.contains(&format!("-> {to}")), "not {to}: {said}");
        }
        Ok(())
    }

    /// Asks both, and fails unless they answer alike; the answer.
    pub async fn same(&self, sql: &str) -> anyhow::Result<String> {
        let expected = answer(&self.alone, sql).await;
        let found = answer(&self.proxied, sql).await;
        ensure!(
            found == expected,
            "{sql}\nexpected {expected}\nfound    {found}"
        );
        Ok(found)
    }

    /// Asks both by the extended protocol, with parameters as texts.
    pub async fn same_with(&self, sql: &str, values: &[Option<&str>]) -> anyhow::Result<String> {
        let expected = extended(&self.alone, sql, values).await;
        let found = extended(&self.proxied, sql, values).await;
        ensure!(
            found == expected,
            "{sql} {values:?}\nexpected {expected}\nfound    {found}"
        );
        Ok(found)
    }

    /// The rows of a relation in the database that is left alone, and of one in the other.
    pub async fn equal(&self, alone: &str, migrated: &str) -> anyhow::Result<()> {
        let rows = |relation: &str| {
            format!(
                "SELECT to_jsonb(r)::text FROM {relation} AS r ORDER BY to_jsonb(r)::text COLLATE \"C\""
            )
        };
        let expected = answer(&self.alone, &rows(alone)).await;
        let found = answer(&self.direct, &rows(migrated)).await;
        ensure!(
            found == expected,
            "{migrated}\nexpected {expected}\nfound    {found}"
        );
        Ok(())
    }

    /// That the proxy refuses a statement, and why.
    pub async fn refused(&self, sql: &str, why: &str) -> anyhow::Result<()> {
        let found = answer(&self.proxied, sql).await;
        ensure!(
            found.contains("0A000") && found.contains(why),
            "{sql}\nexpected a refusal: {why}\nfound {found}"
        );
        Ok(())
    }
}

/// Everything that a client is told, as text.
pub async fn answer(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Err(error) => told(&error),
        Ok(messages) => {
            let mut lines: Vec<String> = messages.iter().map(line).collect();
            // Rows in no order that anybody promised; an INSERT returns them as they were given.
            if !sql.contains("ORDER BY") && !sql.contains("INSERT") {
                lines.sort();
            }
            lines.join("\n")
        }
    }
}

fn line(message: &SimpleQueryMessage) -> String {
    match message {
        SimpleQueryMessage::Row(row) => {
            let values: Vec<&str> = (0..row.len()).map(|i| row.get(i).unwrap_or("∅")).collect();
            values.join("|")
        }
        SimpleQueryMessage::RowDescription(columns) => {
            let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
            format!("({})", names.join(", "))
        }
        SimpleQueryMessage::CommandComplete(rows) => format!("done {rows}"),
        other => format!("{other:?}"),
    }
}

fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!(
            "{} {} [{} {}]",
            said.code().code(),
            said.message(),
            said.table().unwrap_or_default(),
            said.constraint().unwrap_or_default()
        ),
        None => format!("{error:?}"),
    }
}

/// A statement prepared, bound to texts, and run; its columns' types are told as well.
async fn extended(client: &Client, sql: &str, values: &[Option<&str>]) -> String {
    // What drivers that cast every parameter do: the texts go in as literals of an EXECUTE.
    let statement = match client.prepare(sql).await {
        Ok(statement) => statement,
        Err(error) => return told(&error),
    };
    let texts: Vec<Text> = values
        .iter()
        .map(|value| Text(value.map(str::to_owned)))
        .collect();
    let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        texts.iter().map(|text| text as _).collect();
    match client.query(&statement, &parameters).await {
        Err(error) => told(&error),
        Ok(rows) => {
            let mut lines: Vec<String> = statement
                .columns()
                .iter()
                .map(|column| format!("{} {}", column.name(), column.type_()))
                .collect();
            lines.extend(rows.iter().map(|row| {
                let raw: Vec<String> = (0..row.len())
                    .map(|i| shown(&row.get::<_, Raw>(i)))
                    .collect();
                raw.join("|")
            }));
            lines.join("\n")
        }
    }
}

/// A value in text format, whatever the parameter's type.
#[derive(Debug)]
struct Text(Option<String>);

impl tokio_postgres::types::ToSql for Text {
    fn to_sql(
        &self,
        _type: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            None => Ok(tokio_postgres::types::IsNull::Yes),
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(tokio_postgres::types::IsNull::No)
            }
        }
    }

    fn accepts(_type: &tokio_postgres::types::Type) -> bool {
        true
    }

    fn encode_format(&self, _type: &tokio_postgres::types::Type) -> tokio_postgres::types::Format {
        tokio_postgres::types::Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A value as it came.
struct Raw(Option<Vec<u8>>);

/// A text as itself, other values by their bytes.
fn shown(Raw(value): &Raw) -> String {
    let Some(bytes) = value else {
        return "∅".to_owned();
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        Ok(_) | Err(_) => format!("{bytes:?}"),
    }
}

impl<'a> tokio_postgres::types::FromSql<'a> for Raw {
    fn from_sql(
        _type: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(Some(raw.to_vec())))
    }

    fn from_sql_null(
        _type: &tokio_postgres::types::Type,
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(None))
    }

    fn accepts(_type: &tokio_postgres::types::Type) -> bool {
        true
    }
}
