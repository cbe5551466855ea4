//! The seal: whoever writes a migration's tables without an epoch is seen by the server itself, and nobody else is.

use crossfade_tests::control::{number, run, until};
use crossfade_tests::twin::{ENHANCED_USER, MERGED, TENANT_SCHEMAS, Twin, USER_SETTINGS};
use crossfade_tests::{Proxy, World, newer};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// The phases in which legacy is sealed.
const SEALED: [Phase; 5] = [
    Phase::DualWrite,
    Phase::ShadowRead,
    Phase::DualRead,
    Phase::UnifiedRead,
    Phase::UnifiedOnly,
];

const COLUMNS: &str = "clerk_user_id, email, full_name";

/// `kind table` of whatever was told, in order; what a trigger did stands behind.
async fn told(client: &Client) -> String {
    let sql = "SELECT coalesce(string_agg(DISTINCT concat_ws(' ', kind, table_name, CASE WHEN within THEN 'within' END), ', '), '') \
               FROM crossfade.writers_around";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn forget(client: &Client) {
    let sql = "DELETE FROM crossfade.writers_around";
    client.batch_execute(sql).await.unwrap();
}

async fn copied_in(client: &Client, line: &str) {
    copied_into(client, "iso_agents", COLUMNS, line).await;
}

async fn copied_into(client: &Client, table: &str, columns: &str, line: &str) {
    use futures_util::SinkExt;

    let sql = format!("COPY {table} ({columns}) FROM STDIN");
    let sink = client.copy_in::<_, bytes::Bytes>(&sql).await.unwrap();
    let mut sink = std::pin::pin!(sink);
    sink.send(bytes::Bytes::from(format!("{line}\n")))
        .await
        .unwrap();
    sink.finish().await.unwrap();
}

/// What goes around, each by itself.
async fn goes_around(writer: &Client, unified: bool) {
    for sql in [
        format!("INSERT INTO iso_agents ({COLUMNS}) VALUES ('around', 'around@example.com', 'A')"),
        "UPDATE iso_agents SET full_name = 'B' WHERE clerk_user_id = 'around'".to_owned(),
        "DELETE FROM iso_agents WHERE clerk_user_id = 'around'".to_owned(),
        "BEGIN; CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE iso_agents; TRUNCATE iso_agents CASCADE; \
         INSERT INTO iso_agents TABLE kept; COMMIT"
            .to_owned(),
    ] {
        writer.batch_execute(&sql).await.unwrap();
    }
    copied_in(writer, "copied\tcopied@example.com\tC").await;
    let gone = "DELETE FROM iso_agents WHERE clerk_user_id = 'copied'";
    writer.batch_execute(gone).await.unwrap();
    if unified {
        let sql = "UPDATE users SET full_name = full_name WHERE clerk_user_id = 'user_1'";
        writer.batch_execute(sql).await.unwrap();
    }
}

async fn every_writer_is_seen(world: World) {
    let proxy = world.in_phase("seen", Phase::DualWrite).await.unwrap();
    let operator = world.client(&world.postgres.url("seen")).await.unwrap();
    for phase in SEALED {
        if phase != Phase::DualWrite {
            proxy.turn_to("iso_agents", phase).await.unwrap();
        }
        proxy.crossfade(&["prepare"]).await.unwrap();
        assert_eq!(told(&operator).await, "", "{phase}");
        let writer = world.client(&world.direct_url("seen")).await.unwrap();
        goes_around(&writer, phase.writes_both()).await;
        let mut expected =
            "COPY public.iso_agents, DELETE public.iso_agents, INSERT public.iso_agents, \
                            TRUNCATE public.iso_agents, UPDATE public.iso_agents"
                .to_owned();
        if phase.writes_both() {
            expected += ", UPDATE public.users";
        }
        assert_eq!(told(&operator).await, expected, "{phase}");
        let said = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
        for kind in ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "COPY"] {
            let who = format!(
                "user app, application test, from 127.0.0.1 wrote public.iso_agents around the proxies ({kind})"
            );
            assert!(said.contains(&who), "{phase}: {who}: {said}");
        }
        forget(&operator).await;
    }
    proxy.turn_to("iso_agents", Phase::Retired).await.unwrap();
    let writer = world.client(&world.direct_url("seen")).await.unwrap();
    // Whatever is left of the seal says nothing any more.
    goes_around(&writer, false).await;
    assert_eq!(told(&operator).await, "");
    proxy.crossfade(&["prepare"]).await.unwrap();
    let left = "SELECT count(*) FROM pg_trigger WHERE tgname = 'crossfade_seal'";
    assert_eq!(number(&operator, left).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_around_the_proxies_is_seen_and_named_in_every_phase() {
    every_writer_is_seen(World::start().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_the_newest_server() {
    let Some(binaries) = newer::postgresql() else {
        return;
    };
    every_writer_is_seen(World::start_from(binaries).await.unwrap()).await;
}

/// By its own names and by the others, in every way that a client has.
async fn writes_through(proxy: &Proxy, phase: Phase) {
    let client = proxy.client().await.unwrap();
    let insert = |key: &str| {
        format!("INSERT INTO iso_agents ({COLUMNS}) VALUES ('{key}', '{key}@x.org', 'x')")
    };
    let mut texts = vec![
        insert("simple"),
        "UPDATE iso_agents SET full_name = 'y' WHERE clerk_user_id = 'simple'".to_owned(),
        format!(
            "{} ON CONFLICT (email) DO UPDATE SET full_name = 'again'",
            insert("simple")
        ),
        format!("PREPARE p AS {}", insert("prepared")),
        "EXECUTE p".to_owned(),
        "BEGIN; SAVEPOINT s; DELETE FROM iso_agents WHERE clerk_user_id = 'prepared'; ROLLBACK TO s; \
         DELETE FROM iso_agents WHERE clerk_user_id = 'prepared'; COMMIT"
            .to_owned(),
        "PREPARE q AS DELETE FROM iso_agents WHERE clerk_user_id = 'copied'".to_owned(),
        // What a savepoint takes back takes the lock with it.
        "BEGIN; SAVEPOINT s; EXECUTE q; ROLLBACK TO s; EXECUTE q; COMMIT".to_owned(),
        "WITH gone AS (DELETE FROM iso_agents WHERE clerk_user_id = 'simple' RETURNING id) SELECT count(*) FROM gone"
            .to_owned(),
        "EXPLAIN ANALYZE UPDATE iso_agents SET full_name = 'z' WHERE clerk_user_id = 'user_2'".to_owned(),
    ];
    // A new application's.
    if phase.reads_unified() {
        texts.extend(
            [
                "UPDATE users SET full_name = 'u' WHERE clerk_user_id = 'user_3'",
                "PREPARE u AS UPDATE users SET full_name = 'v' WHERE clerk_user_id = 'user_3'",
                "BEGIN; SAVEPOINT s; EXECUTE u; ROLLBACK TO s; EXECUTE u; COMMIT",
            ]
            .map(str::to_owned),
        );
    }
    for sql in texts {
        let done = client.batch_execute(&sql).await;
        done.unwrap_or_else(|error| panic!("{phase}: {sql}: {error:?}"));
    }
    if phase.reads_unified() {
        let columns = "clerk_user_id, email, full_name, role";
        let line = "unified\tunified@example.com\tU\tsales_rep";
        copied_into(&client, "users", columns, line).await;
        let gone = "DELETE FROM users WHERE clerk_user_id = 'unified'";
        client.batch_execute(gone).await.unwrap();
    }
    copied_in(&client, "copied\tcopied@example.com\tC").await;
    let sql = "DELETE FROM iso_agents WHERE clerk_user_id = $1";
    let statement = client.prepare(sql).await.unwrap();
    for key in ["copied", "copied", "nobody"] {
        client.execute(&statement, &[&key]).await.unwrap();
    }
    client
        .batch_execute("BEGIN; TRUNCATE iso_agents CASCADE; ROLLBACK")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_through_the_proxies_and_what_commands_write_is_told_of_in_no_phase() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("ours", Phase::LegacyOnly).await.unwrap();
    let operator = world.client(&world.postgres.url("ours")).await.unwrap();
    let none = async |phase: Phase, what: &str| {
        assert_eq!(told(&operator).await, "", "{phase}: {what}");
    };
    let command = async |command: &str| {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.insert(1, "iso_agents");
        proxy.crossfade(&args).await.unwrap()
    };
    writes_through(&proxy, Phase::LegacyOnly).await;
    for phase in SEALED {
        // How long reads have not fallen back is not what is looked at here.
        command(match phase {
            Phase::UnifiedOnly => "advance --force --reason test",
            _ => "advance",
        })
        .await;
        let placed = "SELECT count(*) FROM crossfade.seals";
        let expected = if phase.writes_both() { 2 } else { 1 };
        assert_eq!(
            number(&operator, placed).await.unwrap(),
            expected,
            "{phase}"
        );
        writes_through(&proxy, phase).await;
        none(phase, "clients").await;
        match phase {
            Phase::DualWrite => {
                command("backfill").await;
                none(phase, "backfill").await;
                // Differences that a repair finds; whoever plants them is seen.
                let planted = "UPDATE users SET full_name = 'planted' WHERE clerk_user_id IN ('user_4', 'user_5')";
                operator.batch_execute(planted).await.unwrap();
                assert_eq!(told(&operator).await, "UPDATE public.users");
                forget(&operator).await;
                command("verify --repair").await;
                command("check").await;
            }
            Phase::UnifiedRead => {
                let planted =
                    "UPDATE iso_agents SET full_name = 'planted' WHERE clerk_user_id = 'user_4'";
                operator.batch_execute(planted).await.unwrap();
                forget(&operator).await;
                command("verify --repair").await;
                command("backfill --reverse").await;
                command("verify").await;
                // New rows refer to unified from now on.
                operator
                    .batch_execute("DROP TABLE requests, client_profiles CASCADE")
                    .await
                    .unwrap();
            }
            Phase::ShadowRead | Phase::DualRead => {
                command("verify").await;
            }
            Phase::LegacyOnly | Phase::UnifiedOnly | Phase::Retired => {}
        }
        none(phase, "commands").await;
    }
    // And back again.
    for phase in SEALED.into_iter().rev().skip(1) {
        command("rollback").await;
        if phase == Phase::UnifiedRead {
            command("backfill --reverse --restart").await;
            command("verify --repair").await;
            command("verify").await;
        }
        writes_through(&proxy, phase).await;
        none(phase, "on the way back").await;
    }
    command("rollback").await;
    writes_through(&proxy, Phase::LegacyOnly).await;
    none(Phase::LegacyOnly, "at the end").await;
    let left = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname = 'crossfade_seal') + (SELECT count(*) FROM crossfade.seals)";
    assert_eq!(number(&operator, left).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_what_lenses_of_other_kinds_write() {
    let settings = [
        "INSERT INTO user_settings (id, keycloak_user_id, language) VALUES ({p}001, 'sealed-{p}', 'de')",
        "UPDATE user_settings SET language = 'fr' WHERE id = {p}001",
        "DELETE FROM user_settings WHERE id = {p}001",
    ];
    let users = [
        "UPDATE main_enhanceduser SET is_active = NOT is_active WHERE id = (SELECT min(id) FROM main_enhanceduser)",
    ];
    let merged = [
        "INSERT INTO admins (id, email, name) VALUES ({p}001, 'sealed-{p}@x.org', 'Ada')",
        "INSERT INTO members (id, email, name) VALUES ({p}001, 'sealed-{p}@x.org', 'Ada')",
        "UPDATE members SET name = 'Bea' WHERE id = {p}001",
        "DELETE FROM admins WHERE id = {p}001",
    ];
    for (case, texts) in [
        (USER_SETTINGS, &settings[..]),
        (ENHANCED_USER, &users[..]),
        (MERGED, &merged[..]),
    ] {
        let twin = Twin::start(case).await.unwrap();
        twin.prepare().await.unwrap();
        let operator = twin.superuser().await.unwrap();
        twin.in_every_phase(async |phase| {
            forget(&operator).await;
            for sql in texts {
                let sql = sql.replace("{p}", &(phase as usize + 1).to_string());
                twin.same(&sql).await.unwrap();
            }
            if phase.writes_both() && phase != Phase::DualWrite {
                twin.crossfade("verify --repair").await.unwrap();
            }
            let sealed = "SELECT count(*) FROM crossfade.seals";
            let is_sealed = number(&operator, sealed).await.unwrap() > 0;
            assert_eq!(is_sealed, phase != Phase::LegacyOnly, "{phase}");
            assert_eq!(told(&operator).await, "", "{}: {phase}", case.name);
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_each_tenant_are_sealed_and_those_of_one_that_comes() {
    let twin = Twin::start_as_owner(TENANT_SCHEMAS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    let operator = twin.superuser().await.unwrap();
    let sealed = "SELECT count(*) FROM crossfade.seals AS s JOIN pg_class AS c ON c.oid = s.relation \
                  WHERE c.relname = 'employees_department' AND c.relnamespace::regnamespace::text IN ('acme_corp', 'globex_inc')";
    assert_eq!(number(&operator, sealed).await.unwrap(), 2);
    let write = "UPDATE acme_corp.employees_department SET name = name || '!'";
    twin.proxied.batch_execute(write).await.unwrap();
    assert_eq!(told(&operator).await, "");
    twin.direct.batch_execute(write).await.unwrap();
    assert_eq!(
        told(&operator).await,
        "UPDATE acme_corp.employees_department"
    );
    // A proxy sees to a tenant that it has heard of.
    let come = concat!(
        "CREATE SCHEMA late_one; SET search_path = late_one;",
        include_str!("../../data/tenants/tenant.sql"),
        "RESET search_path; INSERT INTO public.tenants_tenant SELECT (jsonb_populate_record(t, \
         jsonb_build_object('id', gen_random_uuid(), 'schema_name', 'late_one', 'name', 'late', 'slug', 'late'))).* \
         FROM public.tenants_tenant AS t WHERE schema_name = 'acme_corp'"
    );
    twin.direct.batch_execute(come).await.unwrap();
    let sealed = "EXISTS (SELECT FROM crossfade.seals WHERE relation = to_regclass('late_one.employees_department'))";
    until(&operator, sealed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_rules_refuse_them_they_are_told_and_nothing_is_written() {
    let world = World::start().await.unwrap();
    world.database("refused").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "refused", Phase::LegacyOnly).unwrap();
    let rules = std::fs::read_to_string(proxy.rule_file()).unwrap();
    let refusing = rules.replacen(
        "phase = \"legacy_only\"\n",
        "phase = \"legacy_only\"\nwriters_around = \"refuse\"\n",
        1,
    );
    std::fs::write(proxy.rule_file(), &refusing).unwrap();
    let proxy = proxy.serve().await.unwrap();
    let operator = world.client(&world.postgres.url("refused")).await.unwrap();
    operator
        .batch_execute(
            "CREATE FUNCTION public.rename_agent() RETURNS void LANGUAGE sql \
             AS $$ UPDATE public.iso_agents SET full_name = 'f' WHERE clerk_user_id = 'user_1' $$; \
             GRANT EXECUTE ON FUNCTION public.rename_agent() TO PUBLIC",
        )
        .await
        .unwrap();
    let writer = world.client(&world.direct_url("refused")).await.unwrap();
    let write = "UPDATE iso_agents SET full_name = 'around' WHERE clerk_user_id = 'user_1'";
    writer.batch_execute(write).await.unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let refused = writer.batch_execute(write).await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "55000", "{refused:?}");
    let message = "UPDATE of public.iso_agents goes around the proxies, and the rules of migration iso_agents let nobody write so";
    assert_eq!(refused.message(), message);
    let hint = refused.hint().unwrap();
    assert!(hint.contains("through a Crossfade proxy"), "{hint}");
    // A function is read by nobody, through a proxy as well.
    let through = proxy.client().await.unwrap();
    let refused = through.batch_execute("SELECT public.rename_agent()").await;
    assert_eq!(refused.unwrap_err().code().unwrap().code(), "55000");
    through.batch_execute(write).await.unwrap();
    for command in ["backfill", "verify"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    proxy.crossfade(&["check", "iso_agents"]).await.unwrap();
    // The rules change their mind, in force and in the database.
    std::fs::write(
        proxy.rule_file(),
        std::fs::read_to_string(proxy.rule_file())
            .unwrap()
            .replace("writers_around = \"refuse\"\n", ""),
    )
    .unwrap();
    let applied = run(&proxy.config(), &["apply"]).await.unwrap();
    assert!(applied.status.success(), "{applied:?}");
    let counting = "NOT EXISTS (SELECT FROM crossfade.seals WHERE writers <> 'count')";
    until(&operator, counting).await.unwrap();
    writer.batch_execute(write).await.unwrap();
    assert_eq!(told(&operator).await, "UPDATE public.iso_agents");
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    writer.batch_execute(write).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_answers_for_certain_where_no_proxy_has_ever_looked() {
    let world = World::start().await.unwrap();
    world.database("certain").await.unwrap();
    let operator = world.client(&world.postgres.url("certain")).await.unwrap();
    crossfade_testbed::iso_agents::carry_over(&operator)
        .await
        .unwrap();
    // Nobody serves; a short transaction is over before anybody could look.
    let proxy = Proxy::with_rules(&world.postgres, "certain", Phase::DualRead).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    for command in ["backfill", "verify"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    let writer = world.client(&world.direct_url("certain")).await.unwrap();
    let write = "UPDATE iso_agents SET full_name = 'around' WHERE clerk_user_id = 'user_1'";
    writer.batch_execute(write).await.unwrap();
    let advance = ["advance", "iso_agents", "--drain-timeout-seconds", "5"];
    let refused = run(&proxy.config(), &advance).await.unwrap();
    let who = "user app, application test, from 127.0.0.1 wrote public.iso_agents around the proxies (UPDATE)";
    assert!(refused.errors.contains(who), "{refused:#?}");

    // A comparison does not settle what it cannot have seen: a transaction that began before it.
    proxy
        .crossfade(&["verify", "iso_agents", "--repair"])
        .await
        .unwrap();
    writer.batch_execute("BEGIN").await.unwrap();
    let again = "UPDATE iso_agents SET full_name = 'again' WHERE clerk_user_id = 'user_2'";
    writer.batch_execute(again).await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
    let refused = run(&proxy.config(), &advance).await.unwrap();
    assert!(refused.errors.contains(who), "{refused:#?}");

    proxy
        .crossfade(&["verify", "iso_agents", "--repair"])
        .await
        .unwrap();
    let taken = run(&proxy.config(), &advance).await.unwrap();
    assert!(taken.status.success(), "{taken:#?}");
    assert!(
        !taken.errors.contains("around the proxies     NOT met"),
        "{taken:#?}"
    );
    // Where one is not sealed, it cannot be told.
    operator
        .batch_execute("ALTER TABLE iso_agents DISABLE TRIGGER crossfade_seal")
        .await
        .unwrap();
    let left = run(&proxy.config(), &["doctor"]).await.unwrap();
    let off = "is not sealed against writers around the proxies, though it is in unified_read";
    assert!(left.output.contains(off), "{left:#?}");
    // The next command sees to it; of the time before nobody can tell.
    let refused = run(&proxy.config(), &advance).await.unwrap();
    for text in ["around the proxies     NOT met", "no proxy has ever looked"] {
        assert!(refused.errors.contains(text), "{text}: {refused:#?}");
    }
    operator
        .batch_execute("DROP TRIGGER crossfade_seal ON iso_agents")
        .await
        .unwrap();
    let mended = run(&proxy.config(), &["doctor", "--mend"]).await.unwrap();
    assert!(mended.errors.contains(off), "{mended:#?}");
    assert!(!mended.output.contains("seal"), "{mended:#?}");
    forget(&operator).await;
    writer.batch_execute(write).await.unwrap();
    assert_eq!(told(&operator).await, "UPDATE public.iso_agents");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_written_directly_and_a_table_that_is_in_use_are_seen_to() {
    let world = World::start().await.unwrap();
    world.database("parted").await.unwrap();
    let owner = world.client(&world.direct_url("parted")).await.unwrap();
    owner
        .batch_execute(
            "CREATE TABLE visits (id integer NOT NULL, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
             CREATE TABLE visits_low PARTITION OF visits FOR VALUES FROM (0) TO (100); \
             CREATE TABLE visits_high PARTITION OF visits FOR VALUES FROM (100) TO (200); \
             CREATE TABLE calls (id integer PRIMARY KEY, note text); INSERT INTO visits VALUES (1, 'a'), (101, 'b')",
        )
        .await
        .unwrap();
    let proxy = Proxy::with_config(&world.postgres, "parted", "").unwrap();
    proxy
        .write_rules(
            "visits",
            "[migration]\nname = \"visits\"\nphase = \"legacy_only\"\n[[table]]\nlegacy = \"public.visits\"\n\
             unified = \"public.calls\"\nkey = [\"id\"]\ncolumns = \"id integer NOT NULL, note text\"\n",
        )
        .unwrap();
    let proxy = proxy.serve().await.unwrap();
    // Whoever reads holds no seal up.
    let reader = world.client(&world.direct_url("parted")).await.unwrap();
    reader
        .batch_execute("BEGIN; SELECT count(*) FROM visits")
        .await
        .unwrap();
    proxy.crossfade(&["advance", "visits"]).await.unwrap();
    let operator = world.client(&world.postgres.url("parted")).await.unwrap();
    let through = proxy.client().await.unwrap();
    let write = "UPDATE visits SET note = note || '!'";
    assert_eq!(through.execute(write, &[]).await.unwrap(), 2);
    assert_eq!(told(&operator).await, "");
    for (sql, table) in [
        ("UPDATE visits_high SET note = 'c'", "visits_high"),
        ("INSERT INTO visits_low VALUES (2, 'd')", "visits_low"),
        ("DELETE FROM visits WHERE id = 2", "visits"),
    ] {
        owner.batch_execute(sql).await.unwrap();
        let found = told(&operator).await;
        assert!(
            found.ends_with(&format!(" public.{table}")),
            "{sql}: {found}"
        );
        forget(&operator).await;
    }
    // It does not come down over somebody who reads, and says nothing all the same.
    let rollback = run(&proxy.config(), &["rollback", "visits"]).await.unwrap();
    assert!(rollback.status.success(), "{rollback:#?}");
    owner.batch_execute(write).await.unwrap();
    assert_eq!(told(&operator).await, "");
    let left = "SELECT count(*) FROM pg_trigger WHERE tgname = 'crossfade_seal'";
    assert!(number(&operator, left).await.unwrap() > 0);
    let found = run(&proxy.config(), &["doctor"]).await.unwrap();
    assert!(found.output.contains("bears a seal"), "{found:#?}");
    reader.batch_execute("COMMIT").await.unwrap();
    let mended = run(&proxy.config(), &["doctor", "--mend"]).await.unwrap();
    assert!(!mended.output.contains("seal"), "{mended:#?}");
    assert_eq!(number(&operator, left).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_does_by_itself_is_told_apart_and_stops_nobody() {
    let world = World::start().await.unwrap();
    world.database("within").await.unwrap();
    let owner = world.client(&world.direct_url("within")).await.unwrap();
    owner
        .batch_execute(
            "CREATE TABLE mailboxes (email text PRIMARY KEY); INSERT INTO mailboxes SELECT email FROM iso_agents; \
             ALTER TABLE iso_agents ADD CONSTRAINT boxed FOREIGN KEY (email) REFERENCES mailboxes ON DELETE CASCADE; \
             CREATE TABLE bells (who text); \
             CREATE FUNCTION ring() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN \
                 UPDATE iso_agents SET full_name = ''rung'' WHERE clerk_user_id = NEW.who; RETURN NEW; END'; \
             CREATE TRIGGER ring AFTER INSERT ON bells FOR EACH ROW EXECUTE FUNCTION ring()",
        )
        .await
        .unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "within", Phase::LegacyOnly).unwrap();
    let rules = std::fs::read_to_string(proxy.rule_file()).unwrap();
    let refusing = rules.replacen(
        "phase = \"legacy_only\"\n",
        "phase = \"legacy_only\"\nwriters_around = \"refuse\"\n",
        1,
    );
    std::fs::write(proxy.rule_file(), &refusing).unwrap();
    let proxy = proxy.serve().await.unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let operator = world.client(&world.postgres.url("within")).await.unwrap();
    let through = proxy.client().await.unwrap();
    for (sql, expected) in [
        (
            "DELETE FROM mailboxes WHERE email = (SELECT email FROM iso_agents WHERE clerk_user_id = 'user_1')",
            "",
        ),
        (
            "DELETE FROM mailboxes WHERE email LIKE 'agent.2@%'",
            "DELETE public.iso_agents within",
        ),
        (
            "INSERT INTO bells VALUES ('user_3')",
            "UPDATE public.iso_agents within",
        ),
    ] {
        through.batch_execute(sql).await.unwrap();
        let found = told(&operator).await;
        // A statement that carries the epoch itself is one of ours, with all that it brings about.
        assert_eq!(found, expected, "{sql}");
        forget(&operator).await;
    }
    through
        .batch_execute("INSERT INTO bells VALUES ('user_3')")
        .await
        .unwrap();
    let said = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    let who =
        "had a trigger or a foreign key write public.iso_agents where no proxy sees it (UPDATE)";
    assert!(said.contains(who), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_fire_no_triggers_prepare_transactions_or_take_back_are_seen_as_they_end() {
    let world = World::start_with(&[("max_prepared_transactions", "5")])
        .await
        .unwrap();
    let proxy = world.in_phase("ends", Phase::DualWrite).await.unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let operator = world.client(&world.postgres.url("ends")).await.unwrap();
    let write = "UPDATE iso_agents SET full_name = 'around' WHERE clerk_user_id = 'user_1'";
    let writer = world.client(&world.postgres.url("ends")).await.unwrap();
    writer
        .batch_execute(&format!("SET session_replication_role = replica; {write}"))
        .await
        .unwrap();
    assert_eq!(told(&operator).await, "UPDATE public.iso_agents");
    forget(&operator).await;
    // What was not done is not told of.
    let writer = world.client(&world.postgres.url("ends")).await.unwrap();
    for sql in [
        format!("BEGIN; {write}; ROLLBACK"),
        format!("BEGIN; SAVEPOINT s; {write}; ROLLBACK TO s; COMMIT"),
    ] {
        writer.batch_execute(&sql).await.unwrap();
        assert_eq!(told(&operator).await, "", "{sql}");
    }
    // But what is done after it in the same transaction.
    let again = format!("BEGIN; SAVEPOINT s; {write}; ROLLBACK TO s; {write}; COMMIT");
    writer.batch_execute(&again).await.unwrap();
    assert_eq!(told(&operator).await, "UPDATE public.iso_agents");
    forget(&operator).await;
    // A session does not wait for what it has prepared itself.
    let other = write.replace("user_1", "user_2");
    writer.batch_execute(write).await.unwrap();
    writer
        .batch_execute(&format!("BEGIN; {write}; PREPARE TRANSACTION 'one'"))
        .await
        .unwrap();
    writer.batch_execute(&other).await.unwrap();
    writer.batch_execute("COMMIT PREPARED 'one'").await.unwrap();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let other = format!("BEGIN ISOLATION LEVEL {level}; {other}; {other}; COMMIT");
        writer.batch_execute(&other).await.unwrap();
    }
    // A proxy keeps one row of each writer.
    let one = "(SELECT count(*) = 1 AND bool_and(kind = 'UPDATE') FROM crossfade.writers_around)";
    until(&operator, one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_own_the_tables_says_so_and_does_not_promise_to_refuse() {
    let world = World::start().await.unwrap();
    world.database("lent").await.unwrap();
    let operator = world.client(&world.postgres.url("lent")).await.unwrap();
    let made = world
        .postgres
        .create_user("mover", "secret", crossfade_testbed::Auth::Scram);
    made.await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "lent", Phase::LegacyOnly).unwrap();
    let grants = ["prepare", "--grants-for", "mover"];
    let grants = proxy.crossfade(&grants).await.unwrap();
    operator.batch_execute(&grants).await.unwrap();
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let (own, as_mover) = (
        world.postgres.url("lent"),
        world.postgres.url_as("mover:secret", "lent"),
    );
    std::fs::write(proxy.config(), config.replace(&own, &as_mover)).unwrap();
    let proxy = proxy.serve().await.unwrap();
    let said = proxy.crossfade(&["check", "iso_agents"]).await.unwrap();
    assert!(said.contains("may not seal it"), "{said}");
    let taken = run(&proxy.config(), &["advance", "iso_agents"])
        .await
        .unwrap();
    assert!(taken.status.success(), "{taken:#?}");
    assert!(taken.errors.contains("cannot be sealed"), "{taken:#?}");
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();

    let rules = std::fs::read_to_string(proxy.rule_file()).unwrap();
    let refusing = rules.replacen(
        "[migration]\n",
        "[migration]\nwriters_around = \"refuse\"\n",
        1,
    );
    std::fs::write(proxy.rule_file(), refusing).unwrap();
    let applied = run(&proxy.config(), &["apply"]).await.unwrap();
    assert!(applied.status.success(), "{applied:#?}");
    let refused = run(&proxy.config(), &["advance", "iso_agents"])
        .await
        .unwrap();
    let why =
        "the rules of iso_agents refuse writers around the proxies, and this role does not own";
    assert!(refused.errors.contains(why), "{refused:#?}");
    let phase = "SELECT count(*) FROM crossfade.epochs WHERE phase = 'dual_write'";
    assert_eq!(number(&operator, phase).await.unwrap(), 1);
    // With the owner's rights it may, whoever writes.
    operator
        .batch_execute("GRANT app TO mover; ALTER TABLE users OWNER TO app; ALTER TABLE iso_agents OWNER TO app")
        .await
        .unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let writer = world.client(&world.direct_url("lent")).await.unwrap();
    let write = "UPDATE iso_agents SET full_name = 'around' WHERE clerk_user_id = 'user_1'";
    let refused = writer.batch_execute(write).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55000");
    proxy
        .client()
        .await
        .unwrap()
        .batch_execute(write)
        .await
        .unwrap();
}
