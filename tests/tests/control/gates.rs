//! What a step looks at before it is taken, and whether what it says settles it.

use crossfade_tests::control::{self, number, until};
use crossfade_tests::world::USER;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

/// The statements that a refusal lists, as an operator would copy them.
fn statements(refusal: &str) -> String {
    let lines = refusal
        .lines()
        .map(|line| line.trim_start_matches([' ', '-', '>']));
    let sql = lines.filter(|line| line.starts_with("ALTER ") || line.starts_with("GRANT "));
    sql.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn foreign_keys_to_legacy_are_listed_with_the_statements_that_turn_them() {
    let world = World::start().await.unwrap();
    world.database("keys").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "keys", Phase::UnifiedRead).unwrap();
    let client = world.client(&world.postgres.url("keys")).await.unwrap();
    crossfade_testbed::iso_agents::carry_over(&client)
        .await
        .unwrap();
    client
        .batch_execute(
            "CREATE TABLE \"Odd (one)\" (\"An agent\" text, CONSTRAINT \"to (an) agent\" \
             FOREIGN KEY (\"An agent\") REFERENCES iso_agents (email) \
             ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED); \
             CREATE VIEW agents_seen AS SELECT * FROM iso_agents; \
             CREATE FUNCTION touch() RETURNS void LANGUAGE plpgsql AS \
             'BEGIN UPDATE public.iso_agents SET full_name = full_name; END'; \
             CREATE FUNCTION other() RETURNS void LANGUAGE plpgsql AS \
             'BEGIN UPDATE iso_agents_archive SET full_name = full_name; END'",
        )
        .await
        .unwrap();
    let args = ["advance", "iso_agents"];
    let refused = control::run(&proxy.config(), &args).await.unwrap();
    assert!(!refused.status.success());
    for text in [
        "client_profiles_iso_agent_id_fkey of client_profiles",
        "requests_iso_agent_id_fkey of requests",
        "\"to (an) agent\" of \"Odd (one)\"",
        "warning: view agents_seen",
        "warning: function touch()",
        "warning: trigger update_iso_agents_updated_at of iso_agents",
    ] {
        assert!(refused.errors.contains(text), "`{text}` in {refused:?}");
    }
    assert!(!refused.errors.contains("other()"), "{}", refused.errors);

    client
        .batch_execute(&statements(&refused.errors))
        .await
        .unwrap();
    let turned = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated \
                  AND confrelid = 'users'::regclass";
    assert_eq!(number(&client, turned).await.unwrap(), 3);
    let as_it_was = "SELECT count(*) FROM pg_constraint WHERE conname = 'to (an) agent_unified' \
                     AND confupdtype = 'c' AND confdeltype = 'n' AND condeferred";
    assert_eq!(number(&client, as_it_was).await.unwrap(), 1);
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    proxy.crossfade(&args).await.unwrap();
}

#[tokio::test]
async fn a_role_that_may_not_read_unified_stops_the_step_to_reading_it() {
    let world = World::start().await.unwrap();
    world.database("rights").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "rights", Phase::ShadowRead).unwrap();
    let client = world.client(&world.postgres.url("rights")).await.unwrap();
    client
        .batch_execute(
            "CREATE ROLE \"Web user\"; CREATE ROLE reporting; \
             GRANT SELECT, INSERT ON iso_agents TO \"Web user\"; \
             GRANT SELECT ON iso_agents, users TO reporting; \
             ALTER TABLE iso_agents ENABLE ROW LEVEL SECURITY",
        )
        .await
        .unwrap();
    let args = ["advance", "iso_agents"];
    let refused = control::run(&proxy.config(), &args).await.unwrap();
    for text in [
        "\"Web user\" lacks INSERT, SELECT, UPDATE on public.users",
        "row level security protects public.iso_agents but not public.users",
    ] {
        assert!(refused.errors.contains(text), "`{text}` in {refused:?}");
    }
    assert!(!refused.errors.contains("reporting"), "{}", refused.errors);
    assert!(
        !refused.errors.contains(USER),
        "the owner: {}",
        refused.errors
    );
    client
        .batch_execute(&statements(&refused.errors))
        .await
        .unwrap();
    proxy.crossfade(&args).await.unwrap();
}

#[tokio::test]
async fn a_rule_file_that_does_not_describe_the_tables_gets_no_dual_write() {
    let world = World::start().await.unwrap();
    world.database("shape").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "shape", Phase::LegacyOnly).unwrap();
    let client = world.client(&world.postgres.url("shape")).await.unwrap();
    client
        .batch_execute(
            "ALTER TABLE iso_agents ADD COLUMN nickname text; \
             ALTER TABLE iso_agents ALTER COLUMN margin_value TYPE numeric(12,2); \
             ALTER TABLE users DROP COLUMN phone",
        )
        .await
        .unwrap();
    let args = ["advance", "iso_agents"];
    let refused = control::run(&proxy.config(), &args).await.unwrap();
    for text in [
        "public.iso_agents: column nickname is not in `columns`",
        "column margin_value has type numeric(12,2), the rule file says numeric(10,2)",
        "public.users has no column phone",
        "`crossfade check iso_agents`",
    ] {
        assert!(refused.errors.contains(text), "`{text}` in {refused:?}");
    }
    client
        .batch_execute(
            "ALTER TABLE iso_agents DROP COLUMN nickname; \
             ALTER TABLE iso_agents ALTER COLUMN margin_value TYPE numeric(10,2); \
             ALTER TABLE users ADD COLUMN phone varchar(20)",
        )
        .await
        .unwrap();
    proxy.crossfade(&args).await.unwrap();
}

#[tokio::test]
async fn what_a_proxy_counts_is_seen_in_the_database_and_in_status() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("counts", Phase::DualRead).await.unwrap();
    let client = world.client(&world.postgres.url("counts")).await.unwrap();
    client
        .batch_execute("DELETE FROM users WHERE clerk_user_id IN ('user_1', 'user_2')")
        .await
        .unwrap();
    let application = proxy.client().await.unwrap();
    let rows = application
        .query(
            "SELECT FROM iso_agents WHERE clerk_user_id IN ('user_1', 'user_2', 'user_3')",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    until(
        &client,
        "SELECT sum(fallbacks) = 2 FROM crossfade.instances",
    )
    .await
    .unwrap();
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    for text in [
        "2 fallbacks, 0 divergences",
        "ledger      empty\n",
        // Whether the statements were noted by now or not.
        "coverage    for the next step: no",
        "sequences   for the next step: no key column has one",
    ] {
        assert!(status.contains(text), "`{text}`: {status}");
    }
    client
        .batch_execute(
            "UPDATE crossfade.migrations SET last_fallback_at = '2001-02-03', \
             last_divergence_at = '2001-02-04'; INSERT INTO crossfade.events \
             (migration, kind, from_phase, to_phase, os_user, host) \
             VALUES ('iso_agents', 'advance', 'shadow_read', 'dual_read', 'o', 'h')",
        )
        .await
        .unwrap();
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    for text in [
        "fallbacks   none for 0.0 days, the last one at 2001-02-03 00:00:00 UTC",
        "ledger      empty, a write last added to it at 2001-02-04 00:00:00 UTC",
    ] {
        assert!(status.contains(text), "`{text}`: {status}");
    }
}

#[tokio::test]
async fn a_statement_that_only_the_next_phase_would_refuse_holds_up_the_step() {
    let world = World::start().await.unwrap();
    world.database("covered").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "covered", Phase::ShadowRead).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world.client(&world.postgres.url("covered")).await.unwrap();
    client
        .batch_execute(
            "INSERT INTO crossfade.statements (hash, statement, calls) VALUES \
             ('a', 'SELECT ctid FROM iso_agents', 3), ('b', 'SELECT id FROM iso_agents', 9), \
             ('c', 'ALTER TABLE iso_agents ADD COLUMN more int', 1)",
        )
        .await
        .unwrap();
    let dry = ["advance", "iso_agents", "--dry-run"];
    let planned = control::run(&proxy.config(), &dry).await.unwrap();
    assert!(!planned.status.success(), "{planned:?}");
    assert!(planned.output.contains("nothing is done"), "{planned:?}");
    let refused = control::run(&proxy.config(), &["advance", "iso_agents"])
        .await
        .unwrap();
    assert!(
        refused
            .errors
            .contains("1 of 3 statements of the last week would be refused: SELECT ctid"),
        "{refused:?}"
    );
    // What nobody says any more is not held against it.
    client
        .batch_execute(
            "UPDATE crossfade.statements SET last_seen = now() - interval '8 days' WHERE hash = 'a'",
        )
        .await
        .unwrap();
    let planned = control::run(&proxy.config(), &dry).await.unwrap();
    assert!(planned.status.success(), "{planned:?}");
    let text = std::fs::read_to_string(proxy.rule_file()).unwrap();
    assert!(text.contains("phase = \"shadow_read\""), "{text}");
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
}

#[tokio::test]
async fn legacy_is_left_only_after_days_without_a_fallback_and_by_a_fresh_verify() {
    let world = World::start().await.unwrap();
    world.database("baked").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "baked", Phase::UnifiedRead).unwrap();
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let config = config.replace("fallback_free_days = 0", "fallback_free_days = 7");
    std::fs::write(proxy.config(), config).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world.client(&world.postgres.url("baked")).await.unwrap();
    for (sql, found) in [
        ("SELECT", "NOT met: no step to dual_read is on record"),
        (
            "INSERT INTO crossfade.events (at, migration, kind, from_phase, to_phase, os_user, host) \
             VALUES (now() - interval '8 days', 'iso_agents', 'advance', 'shadow_read', \
             'dual_read', 'o', 'h')",
            " met: none for 8.0 days, 7 are asked for",
        ),
        (
            "UPDATE crossfade.migrations SET last_fallback_at = now() - interval '2 days'",
            "NOT met: none for 2.0 days, 7 are asked for",
        ),
    ] {
        client.batch_execute(sql).await.unwrap();
        let planned = control::run(&proxy.config(), &["advance", "iso_agents", "--dry-run"])
            .await
            .unwrap();
        assert!(planned.output.contains(found), "`{found}` in {planned:?}");
    }

    proxy.turn_to("iso_agents", Phase::DualRead).await.unwrap();
    client
        .batch_execute(
            "INSERT INTO crossfade.verifications (migration, started_at, clean, missing, extra, \
             different, report) VALUES ('iso_agents', now() - interval '25 hours', true, 0, 0, 0, '{}')",
        )
        .await
        .unwrap();
    let planned = control::run(&proxy.config(), &["advance", "iso_agents", "--dry-run"])
        .await
        .unwrap();
    assert!(
        planned
            .output
            .contains("NOT met: the last verify is 25 h old, at most 24 are allowed"),
        "{planned:?}"
    );
}

#[tokio::test]
async fn a_ledger_is_settled_in_the_direction_of_the_phase() {
    let world = World::start().await.unwrap();
    world.database("settles").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "settles", Phase::UnifiedRead).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world.client(&world.postgres.url("settles")).await.unwrap();
    let record = "SELECT crossfade.record_divergence('iso_agents', '\"public\".\"iso_agents\"', \
                  jsonb_build_array(id), 'planted', 'XX000') FROM iso_agents LIMIT 1";
    client.batch_execute(record).await.unwrap();
    for command in ["advance", "rollback"] {
        let refused = control::run(&proxy.config(), &[command, "iso_agents"]).await;
        let refused = refused.unwrap();
        for text in [
            "1 key whose legacy row is known to be wrong",
            "then `crossfade backfill iso_agents --reverse`",
        ] {
            assert!(
                refused.errors.contains(text),
                "{command}, `{text}`: {refused:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_made_anew_does_not_renew_the_last_fallback() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("renewed", Phase::DualRead).await.unwrap();
    let client = world.client(&world.postgres.url("renewed")).await.unwrap();
    let remove = "DELETE FROM users WHERE clerk_user_id = 'user_1'";
    client.batch_execute(remove).await.unwrap();
    let application = proxy.client().await.unwrap();
    let read = "SELECT FROM iso_agents WHERE clerk_user_id = 'user_1'";
    assert_eq!(application.query(read, &[]).await.unwrap().len(), 1);
    let fell_back = "SELECT last_fallback_at IS NOT NULL FROM crossfade.migrations";
    until(&client, fell_back).await.unwrap();
    client
        .batch_execute(
            "UPDATE crossfade.migrations SET last_fallback_at = '2001-01-01'; \
             CREATE TABLE heartbeat AS SELECT pid FROM pg_stat_activity \
             WHERE application_name = 'crossfade serve'; \
             SELECT pg_terminate_backend(pid) FROM heartbeat; \
             UPDATE crossfade.instances SET seen_at = '2001-01-01'",
        )
        .await
        .unwrap();
    // It is back, and has said what it says with each heartbeat, twice.
    for _ in 0..2 {
        client
            .batch_execute("UPDATE crossfade.instances SET seen_at = '2001-01-01'")
            .await
            .unwrap();
        until(
            &client,
            "SELECT seen_at > '2002-01-01' FROM crossfade.instances",
        )
        .await
        .unwrap();
    }
    let kept = "SELECT count(*) FROM crossfade.migrations WHERE last_fallback_at = '2001-01-01'";
    assert_eq!(number(&client, kept).await.unwrap(), 1);
}

#[tokio::test]
async fn a_verify_of_other_rules_opens_no_gate() {
    let world = World::start().await.unwrap();
    world.database("rules").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "rules", Phase::DualRead).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let proxy = proxy.serve().await.unwrap();
    for command in ["backfill", "verify"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    let dry = ["advance", "iso_agents", "--dry-run"];
    let planned = control::run(&proxy.config(), &dry).await.unwrap();
    assert!(planned.status.success(), "{planned:#?}");
    let text = std::fs::read_to_string(proxy.rule_file()).unwrap();
    let changed = text.replace(
        "visible = \"role <> 'customer'\"",
        "visible = \"role IS DISTINCT FROM 'customer'\"",
    );
    assert_ne!(changed, text);
    std::fs::write(proxy.rule_file(), changed).unwrap();
    proxy.crossfade(&["apply"]).await.unwrap();
    let planned = control::run(&proxy.config(), &dry).await.unwrap();
    let told = "NOT met: the rule file's mapping has changed since the last verify";
    assert!(planned.output.contains(told), "{planned:#?}");
}
