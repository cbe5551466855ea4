//! An operator learns which statements the server would plan worse on the unified side, before any read turns.

use crossfade_testbed::{Auth, free_port};
use crossfade_tests::control::{self, a_moment, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::Client;

/// Enough for both tables to be more than a few pages.
const AGENTS: u32 = 12_000;

/// Legacy has an index that unified lacks, and the statistics are fresh.
const INDEXED: &str = "CREATE INDEX ON iso_agents (full_name); ANALYZE";

/// What `coverage --plans` found of those statements in a file, whether or not each is covered.
async fn planned(proxy: &Proxy, name: &str, statements: &[&str], more: &[&str]) -> Value {
    let file = proxy.rules_dir().join(format!("../{name}.txt"));
    std::fs::write(&file, statements.join("\n")).unwrap();
    let file = file.to_str().unwrap();
    let args = [
        "coverage",
        "iso_agents",
        "--plans",
        "--json",
        "--file",
        file,
    ];
    let args = [&args[..], more].concat();
    let ended = control::run(&proxy.config(), &args).await.unwrap();
    serde_json::from_str(&ended.output).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

/// Phase, verdict and what else was found of each statement with a word in it.
fn of<'v>(found: &'v Value, word: &str) -> Vec<(&'v str, &'v str, &'v Value)> {
    let all = found["plans"].as_array().unwrap().iter();
    all.filter(|one| one["statement"].as_str().unwrap().contains(word))
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap();
            (text("phase"), text("verdict"), one)
        })
        .collect()
}

/// What is said of it in the last phase.
fn verdict<'v>(found: &'v Value, word: &str) -> (&'v str, &'v Value) {
    in_phase(found, word, "unified_only")
}

fn in_phase<'v>(found: &'v Value, word: &str, phase: &str) -> (&'v str, &'v Value) {
    let mut all = of(found, word).into_iter();
    let one = all.find(|(of, _, _)| *of == phase);
    let (_, verdict, one) = one.unwrap_or_else(|| panic!("{word} in {phase}: {found:#}"));
    (verdict, one)
}

async fn metrics(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn until_metric(port: u16, line: &str) {
    while !metrics(port).await.contains(line) {
        a_moment().await;
    }
}

#[tokio::test]
async fn a_look_up_that_would_lose_its_index_is_told_before_the_step_and_everywhere() {
    let world = World::start_filled(AGENTS, INDEXED).await.unwrap();
    let port = free_port().unwrap();
    let admin = format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n");
    let proxy = world
        .in_phase_with("told", Phase::DualWrite, &admin)
        .await
        .unwrap();
    let operator = world.postgres.connect("told").await.unwrap();
    operator.batch_execute("ANALYZE").await.unwrap();
    let early = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(early.contains("nobody has compared them yet"), "{early}");

    let client = proxy.client().await.unwrap();
    for sql in [
        "SELECT id FROM iso_agents WHERE full_name = 'A secret'",
        "SELECT email FROM iso_agents /* trace */ WHERE full_name = 'A secret'",
        "UPDATE iso_agents SET is_active = true WHERE full_name = 'A secret'",
        "SELECT id, role FROM iso_agents WHERE email = 'a secret'",
        "SELECT count(*) FROM iso_agents",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    until(
        &operator,
        "SELECT count(*) = 5 FROM crossfade.statements WHERE statement LIKE '%iso_agents%'",
    )
    .await
    .unwrap();
    let said = proxy
        .crossfade(&["coverage", "iso_agents", "--plans"])
        .await
        .unwrap();
    for expected in [
        "plans of 5 statements, planned for app: 3 read a whole table, 0 are dearer, 0 cannot be compared",
        "SELECT email FROM iso_agents WHERE full_name = $1\n             in dual_read, unified_read, unified_only: reads the whole \
         of public.users",
        "an index might serve: CREATE INDEX ON public.users (full_name)",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("secret"), "{said}");

    // Whoever is about to take the step is told, and not held up.
    let gates = ["advance", "iso_agents", "--dry-run"];
    let gates = proxy.crossfade(&gates).await.unwrap();
    let advice = "3 of 5 statements would be planned worse";
    assert!(gates.contains(advice), "{gates}");
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(status.contains(advice), "{status}");
    let statements = ["statements", "iso_agents"];
    let statements = proxy.crossfade(&statements).await.unwrap();
    let marked = statements.matches("planned worse: scan in dual_read, scan in unified_only");
    assert!(marked.count() >= 2, "{statements}");
    // While legacy leads, it finds the rows of an UPDATE.
    until_metric(
        port,
        "crossfade_plan_regressions{migration=\"iso_agents\",phase=\"dual_read\"} 2",
    )
    .await;
    let step = proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    assert!(step.contains("-> shadow_read"), "{step}");

    // What was suggested serves.
    operator
        .batch_execute("CREATE INDEX ON public.users (full_name); ANALYZE")
        .await
        .unwrap();
    let again = proxy
        .crossfade(&["coverage", "iso_agents", "--plans"])
        .await
        .unwrap();
    assert!(again.contains("0 read a whole table"), "{again}");
    until_metric(
        port,
        "crossfade_plan_regressions{migration=\"iso_agents\",phase=\"dual_read\"} 0",
    )
    .await;
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    assert!(status.contains("none of 5 statements is known"), "{status}");
}

#[tokio::test]
async fn before_rows_are_copied_a_look_up_without_an_index_is_told_all_the_same() {
    let world = World::start_filled(AGENTS, INDEXED).await.unwrap();
    let proxy = world.in_phase("empty", Phase::LegacyOnly).await.unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let operator = world.postgres.connect("empty").await.unwrap();
    operator
        .batch_execute("TRUNCATE users; ANALYZE")
        .await
        .unwrap();
    let statements = [
        "SELECT id FROM iso_agents WHERE full_name = $1",
        "SELECT id FROM iso_agents WHERE email = $1",
        "SELECT count(*) FROM iso_agents",
    ];
    let found = planned(&proxy, "empty", &statements, &[]).await;
    let (scan, one) = verdict(&found, "full_name");
    assert_eq!((scan, &one["pages"]), ("scan", &0.into()), "{one}");
    assert_eq!(one["index_ddl"], "CREATE INDEX ON public.users (full_name)");
    for word in ["email", "count"] {
        let (cannot_tell, one) = verdict(&found, word);
        assert_eq!(cannot_tell, "cannot_tell", "{one}");
        let reason = one["reason"].as_str().unwrap();
        assert!(reason.contains("once rows are backfilled"), "{reason}");
    }
    // A file's statements are nobody's: nothing is put down of them.
    let kept = "SELECT count(*) FROM crossfade.plans";
    assert_eq!(number(&operator, kept).await.unwrap(), 0);
}

/// Shapes that are odd, and what is to be said of each where `users` lacks the index.
const ODD: [(&str, &str); 17] = [
    (
        r#"SELECT "full_name" FROM "iso_agents" WHERE "full_name" = $1"#,
        "scan",
    ),
    (
        r#"SELECT "public"."iso_agents"."id" FROM "public"."iso_agents" WHERE "public"."iso_agents"."full_name" IN ($1, $2)"#,
        "scan",
    ),
    (
        "SELECT id FROM iso_agents a1 WHERE full_name = ANY ($1)",
        "scan",
    ),
    (
        "SELECT 2, id FROM iso_agents a2 WHERE full_name = $1 ORDER BY id LIMIT $2 OFFSET $3",
        "scan",
    ),
    (
        "SELECT $1 FROM iso_agents a3 WHERE full_name = $2::varchar::text",
        "scan",
    ),
    (
        "DELETE FROM iso_agents WHERE full_name = $1 RETURNING id",
        "scan",
    ),
    (
        "WITH q AS (SELECT id FROM iso_agents a4 WHERE full_name = 'x') SELECT * FROM q",
        "scan",
    ),
    (
        "SELECT p.id FROM client_profiles p JOIN iso_agents a5 ON a5.id = p.iso_agent_id WHERE a5.full_name = $1",
        "scan",
    ),
    (
        "SELECT id FROM iso_agents a6 WHERE email = $1 AND role = 'admin'",
        "same",
    ),
    ("SELECT id FROM iso_agents a7 LIMIT 1", "same"),
    ("SELECT * FROM iso_agents a8", "same"),
    (
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING",
        "same",
    ),
    (
        "SELECT a9.id FROM iso_agents a9 JOIN of_a_session USING (id)",
        "cannot_tell",
    ),
    ("SELECT a10.gone FROM iso_agents a10", "cannot_tell"),
    (
        "SELECT id FROM iso_agents a11 WHERE $1 IS NULL",
        "cannot_tell",
    ),
    (
        "SELECT a12.id FROM iso_agents a12 JOIN seen_by USING (id)",
        "cannot_tell",
    ),
    ("COPY iso_agents (email) TO STDOUT", "cannot_tell"),
];

#[tokio::test]
async fn odd_statements_are_planned_or_told_apart_and_none_ends_the_comparison() {
    let world = World::start_filled(AGENTS, INDEXED).await.unwrap();
    let proxy = world.in_phase("odd", Phase::DualWrite).await.unwrap();
    let operator = world.postgres.connect("odd").await.unwrap();
    operator
        .batch_execute(
            "CREATE VIEW seen_by AS SELECT id FROM iso_agents; GRANT SELECT ON seen_by TO app; ANALYZE",
        )
        .await
        .unwrap();
    let statements = ODD.map(|(statement, _)| statement);
    let found = planned(&proxy, "odd", &statements, &[]).await;
    let mut wrong = Vec::new();
    for (statement, expected) in ODD {
        let shape = rewrite_rules::shape(statement).unwrap();
        let all = of(&found, &shape);
        let last = all.iter().find(|(phase, _, _)| *phase == "unified_only");
        if last.is_none_or(|(_, verdict, _)| *verdict != expected) {
            wrong.push(format!("{expected}: {statement}\n{all:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let reason = |word: &str| {
        verdict(&found, word).1["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let temporary = reason("of_a_session");
    assert!(
        temporary.contains("\"of_a_session\" does not exist, by the search_path of app"),
        "{temporary}"
    );
    assert!(
        reason("gone").contains("gone does not exist"),
        "{}",
        reason("gone")
    );
    assert!(
        reason("seen_by").contains("names a view"),
        "{}",
        reason("seen_by")
    );
    assert!(
        reason("COPY").contains("no plan of its own"),
        "{}",
        reason("COPY")
    );
    nothing_is_left(&operator).await;
}

/// Neither a function, nor a lock, nor a transaction.
async fn nothing_is_left(operator: &Client) {
    let left = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'cf\\_%'";
    assert_eq!(number(operator, left).await.unwrap(), 0);
}

#[tokio::test]
async fn a_statement_is_planned_by_the_path_of_the_role_that_it_is_planned_for() {
    let world = World::start_filled(AGENTS, INDEXED).await.unwrap();
    let proxy = world.in_phase("paths", Phase::DualWrite).await.unwrap();
    let operator = world.postgres.connect("paths").await.unwrap();
    operator
        .batch_execute(
            "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.iso_agents (LIKE public.iso_agents); \
             CREATE TABLE elsewhere.notes (id uuid, note text); \
             CREATE ROLE wanderer; GRANT USAGE ON SCHEMA elsewhere TO app, wanderer; \
             GRANT ALL ON ALL TABLES IN SCHEMA elsewhere TO app, wanderer; ANALYZE; \
             ALTER ROLE app IN DATABASE paths SET search_path = public, elsewhere; \
             ALTER ROLE wanderer SET search_path = elsewhere, public",
        )
        .await
        .unwrap();
    let joined =
        "SELECT n.note FROM notes n JOIN iso_agents a ON a.id = n.id WHERE a.full_name = $1";
    let found = planned(&proxy, "paths", &[joined], &[]).await;
    let (scan, _) = in_phase(&found, "notes", "dual_read");
    assert_eq!(scan, "scan", "{found:#}");
    let found = planned(&proxy, "paths", &[joined], &["--role", "wanderer"]).await;
    let (cannot_tell, one) = in_phase(&found, "notes", "dual_read");
    assert_eq!(cannot_tell, "cannot_tell", "{one}");
    let reason = one["reason"].as_str().unwrap();
    let told = "its names mean other tables by the search_path of wanderer, elsewhere, public";
    assert!(reason.contains(told), "{reason}");
    let args = ["coverage", "iso_agents", "--plans", "--role", "nobody_here"];
    let ended = control::run(&proxy.config(), &args).await.unwrap();
    assert!(!ended.status.success(), "{ended:#?}");
    assert!(
        ended.errors.contains("cannot be nobody_here's"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn a_role_without_rights_to_unified_is_told_of_and_one_that_cannot_become_the_owner_plans_itself()
 {
    let world = World::start_filled(AGENTS, INDEXED).await.unwrap();
    let mover = world.postgres.create_user("mover", "secret", Auth::Scram);
    mover.await.unwrap();
    let proxy = world.in_phase("rights", Phase::DualWrite).await.unwrap();
    let operator = world.postgres.connect("rights").await.unwrap();
    operator
        .batch_execute("CREATE ROLE blind; GRANT SELECT ON iso_agents TO blind; ANALYZE")
        .await
        .unwrap();
    let read = ["SELECT id FROM iso_agents WHERE full_name = $1"];
    let found = planned(&proxy, "blind", &read, &["--role", "blind"]).await;
    let (cannot_tell, one) = verdict(&found, "full_name");
    assert_eq!(cannot_tell, "cannot_tell");
    let reason = one["reason"].as_str().unwrap();
    let told = "permission denied for table users for blind: grant it";
    assert!(reason.contains(told), "{reason}");

    world.database("moved").await.unwrap();
    let operator = world.postgres.connect("moved").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "moved", Phase::LegacyOnly).unwrap();
    let grants = ["prepare", "--grants-for", "mover"];
    let grants = proxy.crossfade(&grants).await.unwrap();
    operator.batch_execute(&grants).await.unwrap();
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let as_mover = world.postgres.url_as("mover:secret", "moved");
    let config = config.replace(&world.postgres.url("moved"), &as_mover);
    std::fs::write(proxy.config(), config).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let found = planned(&proxy, "mover", &read, &[]).await;
    assert_eq!(found["planned_for"], "mover");
    assert_eq!(verdict(&found, "full_name").0, "scan", "{found:#}");
}
