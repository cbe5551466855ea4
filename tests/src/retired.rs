//! A migration in the phase `retired` whose legacy table has all that the catalog can say of one, and what an introspecting
//! client sees of it (`tests/data/retired`).

use anyhow::ensure;
use tokio_postgres::Client;

use crate::control::{self, Ended};
use crate::{Proxy, World};

/// What the catalog says of `public.agents` to whoever asks: columns, constraints, indexes, comments, owner, rights. Which
/// sequence an identity column has is its own affair.
const CATALOG: &str = "\
SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
    SELECT format('column %s %s %s %s %s %s %s %s %s', row_number() OVER (ORDER BY a.attnum), a.attname, \
        format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, \
        CASE WHEN a.attidentity = '' THEN pg_get_expr(d.adbin, d.adrelid) END, c.collname, col_description(a.attrelid, a.attnum)) AS line \
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    LEFT JOIN pg_collation AS c ON c.oid = a.attcollation \
    WHERE a.attrelid = 'public.agents'::regclass AND a.attnum > 0 AND NOT a.attisdropped \
    UNION ALL SELECT format('constraint %s %s %s %s', conname, pg_get_constraintdef(oid), convalidated, \
        obj_description(oid, 'pg_constraint')) FROM pg_constraint WHERE conrelid = 'public.agents'::regclass \
    UNION ALL SELECT format('index %s %s', pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class')) \
        FROM pg_index WHERE indrelid = 'public.agents'::regclass \
    UNION ALL SELECT format('table %s %s', relowner::regrole, obj_description(oid, 'pg_class')) \
        FROM pg_class WHERE oid = 'public.agents'::regclass \
    UNION ALL SELECT format('sequence %s', pg_get_serial_sequence('public.agents', 'id')) \
    UNION ALL SELECT format('identity %s %s %s', q.seqstart, q.seqincrement, q.seqmax) FROM pg_sequence AS q \
        WHERE q.seqrelid = pg_get_serial_sequence('public.agents', 'nr')::regclass \
    UNION ALL SELECT format('right %s %s %s %s', a.grantee::regrole, a.privilege_type, a.is_grantable, name) \
        FROM (SELECT coalesce(relacl, acldefault('r', relowner)) AS acl, '' AS name FROM pg_class WHERE oid = 'public.agents'::regclass \
        UNION ALL SELECT attacl, attname FROM pg_attribute WHERE attrelid = 'public.agents'::regclass) AS t, aclexplode(t.acl) AS a \
) AS l";

pub struct Retired {
    pub proxy: Proxy,
    /// A superuser, past the proxy.
    pub operator: Client,
    /// The table's owner, past the proxy.
    pub owner: Client,
}

impl Retired {
    /// A database of its own, prepared; a role `seller` may do everything with the table, `reporter` may read it and change
    /// a column.
    pub async fn start(world: &World, database: &str) -> anyhow::Result<Retired> {
        world.database(database).await?;
        let operator = world.postgres.connect(database).await?;
        let owner = world.client(&world.direct_url(database)).await?;
        let tables = include_str!("../data/retired/agents.sql");
        owner.batch_execute(tables).await?;
        operator
            .batch_execute(
                "DO $$ BEGIN IF to_regrole('reporter') IS NULL THEN CREATE ROLE reporter; CREATE ROLE seller; END IF; END $$; \
                 GRANT SELECT ON agents, people TO reporter; \
                 GRANT UPDATE (name) ON agents TO reporter WITH GRANT OPTION; GRANT INSERT, UPDATE ON agents, people TO reporter; \
                 GRANT ALL ON agents, people TO seller; \
                 GRANT USAGE ON SEQUENCE agents_id_seq, agents_nr_seq TO reporter, seller",
            )
            .await?;
        let proxy = Proxy::with_config(&world.postgres, database, "")?;
        proxy.write_rules("agents", include_str!("../data/retired/agents.toml"))?;
        proxy.crossfade(&["prepare"]).await?;
        Ok(Retired {
            proxy: proxy.serve().await?,
            operator,
            owner,
        })
    }

    pub async fn catalog(&self) -> anyhow::Result<String> {
        Ok(self.operator.query_one(CATALOG, &[]).await?.get(0))
    }

    pub async fn retire(&self, more: &[&str]) -> anyhow::Result<Ended> {
        let args = [&["retire", "agents"], more].concat();
        control::run(&self.proxy.config(), &args).await
    }

    /// As if nobody had touched the tables on probation for long enough.
    pub async fn a_week_passes(&self) -> anyhow::Result<()> {
        let week = "UPDATE crossfade.retirements SET untouched_since = now() - interval '8 days'";
        Ok(self.operator.batch_execute(week).await?)
    }

    /// Puts the table aside, if it is not, and runs the words that drop it.
    pub async fn drop_table(&self) -> anyhow::Result<()> {
        self.retire(&[]).await?;
        self.a_week_passes().await?;
        let said = self.retire(&[]).await?;
        let words = words(&said.output);
        ensure!(said.status.success() && !words.is_empty(), "{said:#?}");
        self.operator.batch_execute(&words).await?;
        Ok(())
    }
}

/// What `retire` tells an operator to run.
#[must_use]
pub fn words(said: &str) -> String {
    let mut lines = said.lines();
    lines.find(|line| line.ends_with("run:"));
    lines.collect::<Vec<_>>().join("\n")
}
