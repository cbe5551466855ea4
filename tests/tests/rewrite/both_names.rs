//! The old version on `iso_agents` and the new one on `users`, side by side.

use crossfade_tests::answer::comparable;
use crossfade_tests::control::a_moment;
use crossfade_tests::raw::RawClient;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const MAPPED: &str = "'00000000-0000-4000-8000-000000000001'";

struct Sides {
    _world: World,
    proxy: Proxy,
    /// Past the proxy.
    direct: Client,
}

async fn sides(phase: Phase) -> anyhow::Result<Sides> {
    let world = World::start().await?;
    let proxy = world.in_phase("moved", phase).await?;
    let direct = world.postgres.connect("moved").await?;
    Ok(Sides {
        _world: world,
        proxy,
        direct,
    })
}

impl Sides {
    async fn run(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut client = RawClient::connect(self.proxy.port, "moved").await?;
        Ok(comparable(&client.simple(sql).await?))
    }

    async fn legacy(&self, columns: &str) -> anyhow::Result<Option<String>> {
        let sql = format!("SELECT concat_ws('|', {columns}) FROM iso_agents WHERE id = {MAPPED}");
        Ok(self
            .direct
            .query_opt(&sql, &[])
            .await?
            .map(|row| row.get(0)))
    }

    async fn unified(&self, columns: &str) -> anyhow::Result<Option<String>> {
        let sql = format!("SELECT concat_ws('|', {columns}) FROM users WHERE id = {MAPPED}");
        Ok(self
            .direct
            .query_opt(&sql, &[])
            .await?
            .map(|row| row.get(0)))
    }

    async fn in_step(&self) -> anyhow::Result<bool> {
        let sql = format!(
            "SELECT (SELECT updated_at FROM users WHERE id = {MAPPED}) IS NOT DISTINCT FROM \
             (SELECT updated_at FROM iso_agents WHERE id = {MAPPED})"
        );
        Ok(self.direct.query_one(&sql, &[]).await?.get(0))
    }
}

const DUAL: [Phase; 4] = [
    Phase::DualWrite,
    Phase::ShadowRead,
    Phase::DualRead,
    Phase::UnifiedRead,
];

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_the_unified_name_reach_legacy_in_every_dual_phase() -> anyhow::Result<()> {
    for phase in DUAL {
        let sides = sides(phase).await?;
        let inserted = sides
            .run(&format!(
                "INSERT INTO users (id, clerk_user_id, email, full_name, role, phone) \
                 VALUES ({MAPPED}, 'new', 'new@example.com', 'New', 'sales_rep', '+1') RETURNING phone, role"
            ))
            .await?;
        assert_eq!(
            inserted[1..],
            ["D [\"+1\", \"sales_rep\"]", "C INSERT 0 1", "Z [73]"],
            "{phase}"
        );
        assert_eq!(
            sides.legacy("email, role").await?.as_deref(),
            Some("new@example.com|iso_agent"),
            "{phase}"
        );

        let updated = sides
            .run(&format!(
                "UPDATE users SET email = 'newer@example.com', timezone = 'X' WHERE id = {MAPPED}"
            ))
            .await?;
        assert_eq!(updated, ["C UPDATE 1", "Z [73]"], "{phase}");
        assert_eq!(
            sides.legacy("email").await?.as_deref(),
            Some("newer@example.com"),
            "{phase}"
        );
        assert!(sides.in_step().await?, "{phase}");

        // A column that legacy lacks, but whose update a trigger stamps.
        sides
            .run(&format!(
                "UPDATE public.users SET phone = '+2' WHERE public.users.id = {MAPPED}"
            ))
            .await?;
        assert!(sides.in_step().await?, "{phase}: updated_at follows");

        let upserted = sides
            .run(&format!(
                "INSERT INTO users (id, clerk_user_id, email, full_name) VALUES ({MAPPED}, 'new', 'e@example.com', 'x') \
                 ON CONFLICT (id) DO UPDATE SET role = 'operator'"
            ))
            .await?;
        assert_eq!(upserted, ["C INSERT 0 1", "Z [73]"], "{phase}");
        assert_eq!(
            sides.legacy("role, full_name").await?.as_deref(),
            Some("operator|New"),
            "{phase}"
        );

        let deleted = sides
            .run(&format!(
                "DELETE FROM users WHERE id = {MAPPED} RETURNING email"
            ))
            .await?;
        assert_eq!(
            deleted[1..],
            ["D [\"newer@example.com\"]", "C DELETE 1", "Z [73]"],
            "{phase}"
        );
        assert_eq!(sides.legacy("email").await?, None, "{phase}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_turns_customer_leaves_legacy_and_comes_back() -> anyhow::Result<()> {
    for phase in DUAL {
        let sides = sides(phase).await?;
        sides
            .run(&format!(
                "INSERT INTO users (id, clerk_user_id, email, full_name) VALUES ({MAPPED}, 'c', 'c@example.com', 'C')"
            ))
            .await?;
        assert_eq!(
            sides.legacy("id").await?,
            None,
            "{phase}: a customer is not for legacy readers"
        );
        sides
            .run(&format!(
                "UPDATE users SET role = 'admin' WHERE id = {MAPPED}"
            ))
            .await?;
        assert_eq!(
            sides.legacy("email, role").await?.as_deref(),
            Some("c@example.com|admin"),
            "{phase}"
        );
        let hidden = sides
            .run(&format!(
                "UPDATE users SET role = 'customer' WHERE id = {MAPPED}"
            ))
            .await?;
        assert_eq!(hidden, ["C UPDATE 1", "Z [73]"], "{phase}");
        assert_eq!(sides.legacy("id").await?, None, "{phase}");
        assert_eq!(
            sides.unified("role").await?.as_deref(),
            Some("customer"),
            "{phase}"
        );
        // Through the legacy name it does not exist, and cannot be harmed.
        let deleted = sides
            .run(&format!("DELETE FROM iso_agents WHERE id = {MAPPED}"))
            .await?;
        assert_eq!(deleted, ["C DELETE 0", "Z [73]"], "{phase}");
        assert_eq!(
            sides.unified("role").await?.as_deref(),
            Some("customer"),
            "{phase}"
        );
    }
    Ok(())
}

/// A delete whose unified half failed was acknowledged all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_legacy_deleted_does_not_come_back_with_what_unified_has_of_it()
-> anyhow::Result<()> {
    for phase in [Phase::DualWrite, Phase::ShadowRead] {
        let sides = sides(phase).await?;
        sides
            .run(&format!(
                "INSERT INTO users (id, clerk_user_id, email, full_name, role) \
                 VALUES ({MAPPED}, 'c', 'c@example.com', 'C', 'admin')"
            ))
            .await?;
        sides
            .direct
            .batch_execute(
                "CREATE FUNCTION stubborn() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'stubborn' USING ERRCODE = '23514'; END $$; \
                 CREATE TRIGGER stubborn BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION stubborn()",
            )
            .await?;
        let deleted = sides
            .run(&format!("DELETE FROM iso_agents WHERE id = {MAPPED}"))
            .await?;
        assert_eq!(deleted[0], "C DELETE 1", "{phase}");
        for sql in [
            format!("UPDATE users SET role = 'operator', full_name = 'D' WHERE id = {MAPPED}"),
            format!("UPDATE users SET full_name = 'E' WHERE id = {MAPPED}"),
            format!(
                "INSERT INTO users (id, clerk_user_id, email, full_name) VALUES ({MAPPED}, 'x', 'x@example.com', 'X') \
                 ON CONFLICT (id) DO UPDATE SET full_name = 'F' RETURNING full_name"
            ),
        ] {
            let said = sides.run(&sql).await?;
            assert!(
                said.iter().any(|line| line.ends_with(" 1")),
                "{phase}: {sql}: {said:?}"
            );
            assert_eq!(sides.legacy("id").await?, None, "{phase}: {sql}");
        }
        // One that nobody saw is there for legacy readers as soon as it is shown.
        sides
            .run(&format!(
                "UPDATE users SET role = 'customer' WHERE id = {MAPPED}"
            ))
            .await?;
        sides
            .run(&format!(
                "UPDATE users SET role = 'admin' WHERE id = {MAPPED}"
            ))
            .await?;
        let shown = sides.legacy("full_name, role").await?;
        assert_eq!(shown.as_deref(), Some("F|admin"), "{phase}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_never_touches_a_row_that_legacy_readers_cannot_see() -> anyhow::Result<()> {
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        let sides = sides(phase).await?;
        sides
            .direct
            .batch_execute(&format!(
                "INSERT INTO users (id, clerk_user_id, email, full_name) VALUES ({MAPPED}, 'c', 'c@example.com', 'C')"
            ))
            .await?;
        let upserted = sides
            .run(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('z', 'c@example.com', 'Z') \
                 ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name",
            )
            .await?;
        assert!(upserted[0].starts_with("E ERROR"), "{phase}: {upserted:?}");
        assert_eq!(
            sides.unified("full_name, role").await?.as_deref(),
            Some("C|customer"),
            "{phase}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_with_a_mapped_column_uses_the_unified_index() -> anyhow::Result<()> {
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        let sides = sides(phase).await?;
        let mut client = RawClient::connect(sides.proxy.port, "moved").await?;
        client.simple("SET enable_seqscan = off").await?;
        client.simple("SET enable_bitmapscan = off").await?;
        for (sql, parameters) in [
            (
                "EXPLAIN (COSTS OFF) SELECT email FROM iso_agents WHERE role = 'iso_agent'",
                &[][..],
            ),
            (
                "EXPLAIN (COSTS OFF) SELECT email FROM iso_agents a WHERE is_active AND a.role = $1",
                &[Some("iso_agent")],
            ),
            (
                "EXPLAIN (COSTS OFF) SELECT email FROM iso_agents WHERE role IN ('iso_agent')",
                &[],
            ),
        ] {
            let plan = format!("{:?}", comparable(&client.extended(sql, parameters).await?));
            let served =
                plan.contains("idx_users_role") && plan.contains("Index Cond: (role = 'sales_rep'");
            assert!(served, "{phase}: {sql}\n{plan}");
        }
    }
    Ok(())
}

/// Two increments of the same row at once: the second waits for the first and adds to its result.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_lose_none() -> anyhow::Result<()> {
    for phase in Phase::ALL {
        if phase == Phase::Retired {
            continue;
        }
        let sides = sides(phase).await?;
        sides
            .run(&format!(
                "INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ({MAPPED}, 'i', 'i@example.com', 'I')"
            ))
            .await?;
        let add =
            format!("UPDATE iso_agents SET margin_value = margin_value + 1 WHERE id = {MAPPED}");
        let mut first = RawClient::connect(sides.proxy.port, "moved").await?;
        let mut second = RawClient::connect(sides.proxy.port, "moved").await?;
        first.simple("BEGIN").await?;
        first.simple(&add).await?;
        let waiting =
            tokio::spawn(async move { second.simple(&add).await.map(|m| comparable(&m)) });
        loop {
            let waits: i64 = sides
                .direct
                .query_one("SELECT count(*) FROM pg_locks WHERE NOT granted", &[])
                .await?
                .get(0);
            if waits > 0 {
                break;
            }
            a_moment().await;
        }
        first.simple("COMMIT").await?;
        assert_eq!(waiting.await??, ["C UPDATE 1", "Z [73]"], "{phase}");
        let read = sides
            .run(&format!(
                "SELECT margin_value FROM iso_agents WHERE id = {MAPPED}"
            ))
            .await?;
        assert_eq!(read[1], "D [\"2.00\"]", "{phase}");
    }
    Ok(())
}

/// A legacy row that the unified table cannot hold (its phone is too long) is written all the
/// same while legacy leads, and its key is in the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_unified_half_is_recorded_and_the_legacy_write_stands() -> anyhow::Result<()> {
    let sides = sides(Phase::DualWrite).await?;
    let inserted = sides
        .run(&format!(
            "INSERT INTO iso_agents (id, clerk_user_id, email, full_name, metadata) VALUES \
             ({MAPPED}, 'long', 'long@example.com', 'L', '{{\"phone\": \"123456789012345678901\"}}'), \
             (gen_random_uuid(), 'fine', 'fine@example.com', 'F', '{{}}')"
        ))
        .await?;
    assert_eq!(inserted, ["C INSERT 0 2", "Z [73]"]);
    assert_eq!(
        sides.legacy("email").await?.as_deref(),
        Some("long@example.com")
    );
    assert_eq!(sides.unified("email").await?, None);
    let fine: i64 = sides
        .direct
        .query_one(
            "SELECT count(*) FROM users WHERE email = 'fine@example.com'",
            &[],
        )
        .await?
        .get(0);
    assert_eq!(fine, 1, "only the row that fails is left out");
    let ledger = sides
        .direct
        .query("SELECT key::text, sqlstate FROM crossfade.divergence", &[])
        .await?;
    assert_eq!(ledger.len(), 1);
    assert_eq!(
        ledger[0].get::<_, &str>(0),
        format!("[{}]", MAPPED.replace('\'', "\""))
    );
    assert_eq!(ledger[0].get::<_, &str>(1), "22001");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_unified_half_refuses_the_write_once_reads_depend_on_it() -> anyhow::Result<()> {
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        let sides = sides(phase).await?;
        let refused = sides
            .run(&format!(
                "INSERT INTO iso_agents (id, clerk_user_id, email, full_name, metadata) VALUES \
                 ({MAPPED}, 'long', 'long@example.com', 'L', '{{\"phone\": \"123456789012345678901\"}}')"
            ))
            .await?;
        assert_eq!(
            refused,
            [
                "E ERROR | 22001 | value too long for type character varying(20)",
                "Z [73]"
            ],
            "{phase}"
        );
        assert_eq!(sides.legacy("email").await?, None, "{phase}");
        assert_eq!(sides.unified("email").await?, None, "{phase}");
    }
    Ok(())
}

/// In `dual_read` a row that unified lacks is still there for the reader, and is counted.
#[tokio::test(flavor = "multi_thread")]
async fn dual_read_falls_back_to_legacy_for_rows_that_unified_lacks() -> anyhow::Result<()> {
    let sides = sides(Phase::DualRead).await?;
    sides
        .direct
        .batch_execute(
            "DELETE FROM users WHERE email IN ('agent.7@example.com', 'agent.8@example.com')",
        )
        .await?;
    let mut client = RawClient::connect(sides.proxy.port, "moved").await?;
    client.simple("SET client_min_messages = error").await?;
    let sql = "SELECT email, role FROM iso_agents WHERE email IN ('agent.7@example.com', 'agent.9@example.com') ORDER BY 1";
    let read = client.simple(sql).await?;
    assert!(
        read.iter().all(|message| message.tag != b'N'),
        "the notice that counts is not for the client"
    );
    assert_eq!(
        comparable(&read)[1..],
        [
            "D [\"agent.7@example.com\", \"iso_agent\"]",
            "D [\"agent.9@example.com\", \"iso_agent\"]",
            "C SELECT 2",
            "Z [73]"
        ]
    );
    let counted = client.simple("SELECT count(*) FROM iso_agents").await?;
    assert_eq!(comparable(&counted)[1], "D [\"301\"]");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_no_unified_one_stands_for_is_refused_in_words_that_say_so()
-> anyhow::Result<()> {
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        let sides = sides(phase).await?;
        let insert = format!(
            "INSERT INTO iso_agents (id, clerk_user_id, email, full_name) \
             VALUES ({MAPPED}, 'm', 'm@example.com', 'M')"
        );
        sides.run(&insert).await?;
        for write in [
            "INSERT INTO iso_agents (clerk_user_id, email, full_name, role) \
             VALUES ('k', 'k@example.com', 'K', 'sales_rep')",
            &format!("UPDATE iso_agents SET role = 'sales_rep' WHERE id = {MAPPED}"),
        ] {
            let answer = sides.run(write).await?;
            assert!(
                answer[0].contains("23514 | no unified value is mapped for role = sales_rep"),
                "{phase}: {write}: {answer:?}"
            );
        }
        let legacy: i64 = sides
            .direct
            .query_one(
                "SELECT count(*) FROM iso_agents WHERE role = 'sales_rep'",
                &[],
            )
            .await?
            .get(0);
        assert_eq!(legacy, 0, "{phase}: nothing is written");
    }
    Ok(())
}
