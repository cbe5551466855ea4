//! The console: who may enter, what is shown, and a migration that is taken through its phases by it alone.

use crossfade_tests::console::{self, Console, OPERATOR_PASSWORD, VIEWER, told};
use crossfade_tests::control::{self, number, until};
use crossfade_tests::{Proxy, World, psql};
use rewrite_rules::Phase;

async fn refused(url: &str) -> (String, String) {
    match Console::at(url).await {
        Ok(_) => panic!("{url} lets one in"),
        Err(error) => told(error.downcast_ref().expect("an error of the driver's")),
    }
}

#[tokio::test]
async fn only_a_user_of_the_file_enters_and_a_wrong_name_looks_like_a_wrong_password() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "entered", "").await.unwrap();
    Console::operator(&proxy).await.unwrap();
    let at = |who: &str| proxy.url_as(who, "crossfade");
    let mut said = Vec::new();
    for who in ["ann:wrong", "eve:wrong", "app:secret"] {
        let (sqlstate, words) = refused(&at(who)).await;
        assert_eq!(sqlstate, "28P01", "{who}: {words}");
        let name = who.split(':').next().unwrap();
        said.push(words.replace(name, "NAME"));
    }
    assert!(said.iter().all(|words| *words == said[0]), "{said:?}");

    // Whoever is taken out of the file is out at the next login, and the others are not.
    let bob = console::user(VIEWER, "viewer", "see").await.unwrap();
    console::write_users(&proxy, "entered", &bob).unwrap();
    let (sqlstate, _) = refused(&at(&format!("ann:{OPERATOR_PASSWORD}"))).await;
    assert_eq!(sqlstate, "28P01");
    Console::viewer(&proxy).await.unwrap();

    // A file that cannot be used lets nobody in, and the log says why.
    console::write_users(&proxy, "entered", "\"ann\" \"plaintext\" operate\n").unwrap();
    let (sqlstate, words) = refused(&at(&format!("ann:{OPERATOR_PASSWORD}"))).await;
    assert_eq!(sqlstate, "57P03", "{words}");
    assert!(!words.contains("plaintext"), "{words}");
    let log = proxy.log();
    assert!(log.contains("no verifier of SCRAM-SHA-256"), "{log}");
    assert!(!log.contains("plaintext"), "{log}");
}

#[tokio::test]
async fn without_a_users_file_the_name_is_the_servers() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("off", Phase::LegacyOnly).await.unwrap();
    let (sqlstate, words) = refused(&proxy.url_as("app:secret", "crossfade")).await;
    assert_eq!(sqlstate, "3D000", "{words}");
}

#[tokio::test]
async fn a_console_of_another_name_leaves_a_database_crossfade_to_the_application() {
    let world = World::start().await.unwrap();
    let more = "database = \"operators\"\n";
    let proxy = console::serving(&world, "renamed", more).await.unwrap();
    let (sqlstate, _) = refused(&proxy.url_as("app:secret", "crossfade")).await;
    assert_eq!(sqlstate, "3D000");
    let who = format!("ann:{OPERATOR_PASSWORD}");
    let console = Console::at(&proxy.url_as(&who, "operators")).await.unwrap();
    let rows = console.rows("SELECT current_database()").await.unwrap();
    assert_eq!(rows.at(0, "current_database"), Some("operators"));
}

#[tokio::test]
async fn a_proxy_whose_console_nobody_could_enter_does_not_serve() {
    let world = World::start().await.unwrap();
    let proxy = console::configured(&world, "nobody", "").await.unwrap();
    console::write_users(&proxy, "nobody", "# nobody yet\n").unwrap();
    let ended = control::run(&proxy.config(), &["serve"]).await.unwrap();
    assert!(!ended.status.success());
    assert!(ended.errors.contains("names no user: "), "{ended:?}");
}

#[tokio::test]
async fn whoever_may_see_sees_all_and_does_nothing() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "seen", "").await.unwrap();
    let console = Console::viewer(&proxy).await.unwrap();
    for command in [
        "SHOW MIGRATIONS",
        "SHOW GATES",
        "SHOW FENCES",
        "SHOW INSTANCES",
        "SHOW SESSIONS",
        "SHOW STATEMENTS",
        "SHOW PLANS iso_agents",
        "SHOW CANARY",
        "SHOW DIVERGENCE",
        "SHOW FALLBACKS",
        "SHOW BACKFILL",
        "SHOW EVENTS",
        "SHOW CONFIG",
        "SHOW VERSION",
        "SHOW HELP",
        "SHOW LISTS",
        "SHOW CLIENTS",
        "SHOW SERVERS",
        "SHOW STATS",
        "SHOW STATS_TOTALS",
        "SHOW STATS_AVERAGES",
        "SHOW POOLS",
        "SHOW DATABASES",
        "SHOW USERS",
        "SHOW STATE",
    ] {
        let rows = console.rows(command).await;
        let rows = rows.unwrap_or_else(|error| panic!("{command}: {error:?}"));
        assert!(!rows.columns.is_empty(), "{command}");
    }
    for command in [
        "ADVANCE iso_agents",
        "ROLLBACK iso_agents",
        "CANARY iso_agents 5 %",
        "CANARY iso_agents OFF",
        "PAUSE",
        "RESUME",
        "RELOAD",
        "KILL 1",
    ] {
        let (sqlstate, words) = console.refusal(command).await;
        assert_eq!(sqlstate, "42501", "{command}: {words}");
    }
    let rows = console.rows("SHOW MIGRATIONS").await.unwrap();
    assert_eq!(rows.at(0, "migration"), Some("iso_agents"));
    assert_eq!(rows.at(0, "phase"), Some("legacy_only"));
    assert_eq!(rows.at(0, "next"), Some("dual_write"));
    assert_eq!(rows.at(0, "legacy"), Some("public.iso_agents"));
    let (sqlstate, words) = console.refusal("SHOW GATES no_such").await;
    assert_eq!(sqlstate, "55000");
    assert!(words.contains("no migration no_such"), "{words}");
    let (sqlstate, words) = console.refusal("FROBNICATE").await;
    assert_eq!(sqlstate, "42601");
    assert!(words.contains("SHOW HELP"), "{words}");
    // What was refused harms nothing that comes after it.
    assert_eq!(console.rows("SELECT 1").await.unwrap().rows.len(), 1);
}

/// What a step needs besides its word.
async fn copied(proxy: &Proxy) {
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
}

#[tokio::test]
async fn a_whole_migration_is_taken_by_the_console_and_its_user_is_on_record() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "whole", "").await.unwrap();
    let console = Console::operator(&proxy).await.unwrap();
    let app = proxy.client().await.unwrap();
    let phase = async || {
        let rows = console.rows("SHOW MIGRATIONS iso_agents").await.unwrap();
        rows.at(0, "phase").unwrap().to_owned()
    };

    let steps = console
        .rows("ADVANCE iso_agents TO shadow_read;")
        .await
        .unwrap();
    let to: Vec<_> = (0..2).map(|row| steps.at(row, "to_phase")).collect();
    assert_eq!(to, [Some("dual_write"), Some("shadow_read")]);
    assert_eq!(steps.at(0, "serving"), Some("1"));
    let told = console.notices().join("\n");
    let line = "legacy_only -> dual_write, drained (1 serving";
    assert!(told.contains(line), "{told}");
    let renamed = "UPDATE iso_agents SET full_name = 'Renamed' \
                   WHERE id = (SELECT min(id::text)::uuid FROM iso_agents)";
    app.batch_execute(renamed).await.unwrap();

    // The gates say no, and what settles it; then they say yes.
    let (sqlstate, words) = console.refusal("ADVANCE iso_agents").await;
    assert_eq!(sqlstate, "55000");
    assert!(words.contains("stays in shadow_read"), "{words}");
    assert!(words.contains("SHOW GATES"), "{words}");
    let gates = console.rows("SHOW GATES iso_agents").await.unwrap();
    let current = gates.find("gate", "unified is current");
    assert_eq!(gates.at(current, "answer"), Some("not met"));
    let settle = gates.at(current, "settle").unwrap();
    assert!(settle.contains("crossfade backfill iso_agents"), "{settle}");
    assert_eq!(gates.at(current, "to_phase"), Some("dual_read"));
    assert_eq!(phase().await, "shadow_read");
    copied(&proxy).await;
    let backfill = console.rows("SHOW BACKFILL").await.unwrap();
    assert_eq!(backfill.at(0, "state"), Some("complete"));
    let gates = console.rows("SHOW GATES iso_agents").await.unwrap();
    let mut answers = (0..gates.rows.len()).map(|row| gates.at(row, "answer"));
    assert!(
        answers.all(|answer| answer == Some("met")),
        "{:?}",
        gates.rows
    );

    console
        .rows("ADVANCE iso_agents TO unified_read")
        .await
        .unwrap();
    assert_eq!(phase().await, "unified_read");
    let back = console.rows("ROLLBACK iso_agents").await.unwrap();
    assert_eq!(back.at(0, "to_phase"), Some("dual_read"));
    assert_eq!(phase().await, "dual_read");
    let client = world.client(&world.postgres.url("whole")).await.unwrap();
    client
        .batch_execute(crossfade_demo::broker::REFER_TO_UNIFIED)
        .await
        .unwrap();
    console
        .rows("ADVANCE iso_agents TO unified_only")
        .await
        .unwrap();
    assert_eq!(phase().await, "unified_only");
    let again = console
        .rows("ADVANCE iso_agents TO unified_only")
        .await
        .unwrap();
    assert_eq!(again.rows.len(), 0, "it stands there");
    let (sqlstate, words) = console.refusal("ADVANCE iso_agents TO dual_write").await;
    assert_eq!(sqlstate, "55000");
    assert!(words.contains("past dual_write"), "{words}");

    // On record is who it was and from where, in the console as in the command's words.
    let events = console.rows("SHOW EVENTS iso_agents").await.unwrap();
    let step = events.find("to_phase", "unified_only");
    assert_eq!(events.at(step, "by"), Some("ann (console)"));
    assert!(
        events.at(step, "from").unwrap().starts_with("127.0.0.1:"),
        "{:?}",
        events.rows
    );
    assert!(events.at(step, "drained_at").is_some());
    let said = proxy.crossfade(&["events", "iso_agents"]).await.unwrap();
    assert!(said.contains("by ann (console)@127.0.0.1:"), "{said}");
    let rows = console.rows("SHOW MIGRATIONS").await.unwrap();
    assert!(
        rows.at(0, "by")
            .unwrap()
            .starts_with("ann (console)@127.0.0.1:"),
        "{:?}",
        rows.rows
    );
    let stepped = "SELECT count(*) FROM crossfade.events WHERE to_phase IS NOT NULL";
    assert_eq!(number(&client, stepped).await.unwrap(), 7);
}

#[tokio::test]
async fn who_holds_a_step_up_is_shown_without_what_was_said_and_a_cancel_request_gives_the_step_up()
{
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "held", "").await.unwrap();
    let console = Console::operator(&proxy).await.unwrap();
    console
        .rows("ADVANCE iso_agents TO dual_write")
        .await
        .unwrap();
    let app = proxy.client().await.unwrap();
    let said = "UPDATE iso_agents SET full_name = 'a secret of a client' WHERE id = (SELECT max(id::text)::uuid FROM iso_agents)";
    app.batch_execute(&format!("BEGIN; {said}")).await.unwrap();

    let client = world.client(&world.postgres.url("held")).await.unwrap();
    let stepping = Console::operator(&proxy).await.unwrap();
    let cancel = stepping.client.cancel_token();
    let step = tokio::spawn(async move { stepping.refusal("ADVANCE iso_agents").await });
    until(
        &client,
        "SELECT EXISTS (SELECT FROM crossfade.epochs WHERE phase = 'shadow_read')",
    )
    .await
    .unwrap();
    let fences = console.rows("SHOW FENCES iso_agents").await.unwrap();
    let over = fences.find("holds", "fence that is over");
    assert_eq!(fences.at(over, "phase"), Some("dual_write"));
    assert!(fences.at(over, "client").unwrap().starts_with("127.0.0.1:"));
    assert!(fences.at(over, "proxy").is_some());
    let session = fences.at(over, "session").unwrap().to_owned();
    for table in [
        "FENCES",
        "SESSIONS",
        "STATEMENTS",
        "CLIENTS",
        "SERVERS",
        "CONFIG",
        "EVENTS",
    ] {
        let rows = console.rows(&format!("SHOW {table}")).await.unwrap();
        let text = format!("{:?}", rows.rows);
        for secret in ["a secret of a client", "secret@", ":secret", "SCRAM"] {
            assert!(!text.contains(secret), "SHOW {table}: {text}");
        }
    }

    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    let (sqlstate, words) = step.await.unwrap();
    assert_eq!(sqlstate, "57014", "{words}");
    // It stands in the new phase, and is completed once the holder is gone: by KILL.
    console.rows(&format!("KILL {session}")).await.unwrap();
    let (sqlstate, _) = console.refusal("KILL 99999").await;
    assert_eq!(sqlstate, "42704");
    console
        .rows("ADVANCE iso_agents TO shadow_read")
        .await
        .unwrap();
    let ended = app.batch_execute("SELECT 1").await.unwrap_err();
    assert!(ended.is_closed() || told(&ended).0 == "57P01", "{ended:?}");
    let drained = "SELECT count(*) FROM crossfade.events WHERE to_phase = 'shadow_read' AND drained_at IS NOT NULL";
    assert_eq!(number(&client, drained).await.unwrap(), 1);
}

#[tokio::test]
async fn a_canary_is_begun_shown_and_ended_and_what_is_done_to_the_proxy_is_on_the_record() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "canary", "").await.unwrap();
    let console = Console::operator(&proxy).await.unwrap();
    let (sqlstate, words) = console.refusal("CANARY iso_agents 5 %").await;
    assert_eq!(sqlstate, "55000", "{words}");
    assert!(
        words.contains("in shadow_read and in dual_read alone"),
        "{words}"
    );
    console
        .rows("ADVANCE iso_agents TO dual_write")
        .await
        .unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    console
        .rows("ADVANCE iso_agents TO shadow_read")
        .await
        .unwrap();
    console
        .rows("CANARY iso_agents 12.5 % USER teller")
        .await
        .unwrap();
    let shown = console.rows("SHOW CANARY iso_agents").await.unwrap();
    let errors = shown.find("measure", "errors");
    assert_eq!(shown.at(errors, "share"), Some("0.125"));
    assert_eq!(shown.at(errors, "users"), Some("teller"));
    assert_eq!(shown.at(errors, "reads_as"), Some("dual_read"));
    assert!(
        shown
            .at(errors, "by")
            .unwrap()
            .starts_with("ann (console)@127.0.0.1:")
    );
    console.rows("CANARY iso_agents OFF").await.unwrap();
    let _steps = console.notices();
    console.rows("CANARY iso_agents OFF").await.unwrap();
    assert_eq!(console.notices(), ["no canary ran"]);

    let client = world.client(&world.postgres.url("canary")).await.unwrap();
    let app = proxy.client().await.unwrap();
    let session = console.rows("SHOW SESSIONS").await.unwrap();
    let session = session
        .at(session.find("user", "app"), "id")
        .unwrap()
        .to_owned();
    for command in ["PAUSE", "RESUME", "RELOAD", &format!("KILL {session}")] {
        console.rows(command).await.unwrap();
    }
    until(
        &client,
        "(SELECT array_agg(kind ORDER BY kind) = '{kill,pause,reload,resume}' FROM crossfade.events \
         WHERE migration = '' AND os_user = 'ann (console)' AND details->>'proxy' LIKE '127.0.0.1:%')",
    )
    .await
    .unwrap();
    drop(app);
    let events = proxy.crossfade(&["events"]).await.unwrap();
    assert!(events.contains("  -  pause\n"), "{events}");
}

#[tokio::test]
async fn psql_reads_every_table_and_extended_output() {
    let world = World::start().await.unwrap();
    let proxy = console::serving(&world, "by_psql", "").await.unwrap();
    let url = proxy.url_as(&format!("ann:{OPERATOR_PASSWORD}"), "crossfade");
    let said = psql(&world.postgres.bin("psql"), "console.sql", &url)
        .await
        .unwrap();
    assert!(said.succeeded, "{}{}", said.output, said.errors);
    for text in [
        "migration | iso_agents",
        "phase     | legacy_only",
        "PAUSE",
        "RESUME",
        "RELOAD",
        "ADVANCE",
        "?column?",
    ] {
        assert!(
            said.output.contains(text),
            "`{text}` in {}{}",
            said.output,
            said.errors
        );
    }
    assert!(said.errors.contains("SHOW HELP"), "{}", said.errors);
    assert!(
        !said.errors.contains("Some psql features might not work"),
        "{}",
        said.errors
    );
}

#[tokio::test]
async fn over_tls_the_login_is_bound_to_the_connection() {
    let world = World::start().await.unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let params = rcgen::CertificateParams::new(names).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let more = "[tls]\ncertificate = \"bound.crt\"\nkey = \"bound.key\"\n";
    let proxy = console::configured(&world, "bound", more).await.unwrap();
    let config = proxy.config();
    let dir = config.parent().unwrap();
    std::fs::write(dir.join("bound.crt"), certificate.pem()).unwrap();
    std::fs::write(dir.join("bound.key"), key.serialize_pem()).unwrap();
    let proxy = proxy.serve().await.unwrap();
    for (binding, password, succeeds) in [
        ("require", OPERATOR_PASSWORD, true),
        ("disable", OPERATOR_PASSWORD, true),
        ("require", "wrong", false),
    ] {
        let url = proxy.url_as(&format!("ann:{password}"), "crossfade");
        let url = format!("{url}?sslmode=require&channel_binding={binding}");
        let script = "console_short.sql";
        let said = psql(&world.postgres.bin("psql"), script, &url)
            .await
            .unwrap();
        let seen = said.output.contains("Crossfade");
        assert_eq!(seen, succeeds, "{binding}: {}{}", said.output, said.errors);
    }
    let url = proxy.url_as(&format!("ann:{OPERATOR_PASSWORD}"), "crossfade");
    let url = format!("{url}?channel_binding=require&sslmode=disable");
    let said = psql(&world.postgres.bin("psql"), "console_short.sql", &url)
        .await
        .unwrap();
    assert!(!said.output.contains("Crossfade 0"), "{}", said.output);
}
