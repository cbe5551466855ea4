//! What a client wrote runs with that client's rights, or not at all: comparisons, and the wall that
//! they run behind.
//!
//! Each trap is a function of the application's own role that tells the server's log where it ran,
//! and does what an attacker would: it takes the session's role back and makes itself a superuser.

use crossfade::control::client_role::TempFunction;
use crossfade_testbed::Auth;
use crossfade_tests::control::{a_moment, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const TRAPS: &str = r#"
CREATE SCHEMA app;
CREATE FUNCTION app.sprung(how text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') NOT LIKE 'crossfade%' THEN RETURN; END IF;
    RAISE LOG 'TRAP % as %, session of %', how, current_user, session_user;
    BEGIN
        PERFORM set_config('default_transaction_read_only', 'off', false);
        RESET ROLE;
        RAISE LOG 'ROLE TAKEN %', current_user;
        ALTER ROLE app SUPERUSER;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
END $$;
CREATE FUNCTION app.lower(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM app.sprung('function'); RETURN $1; END $$;
CREATE FUNCTION public.min(x text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM app.sprung('hidden'); RETURN $1; END $$;
CREATE FUNCTION app.same(text, text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM app.sprung('operator'); RETURN true; END $$;
CREATE OPERATOR app.= (LEFTARG = text, RIGHTARG = text, FUNCTION = app.same);
CREATE FUNCTION app.role_text(public.user_role) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM app.sprung('cast'); RETURN 'x'; END $$;
CREATE DOMAIN app.label AS text CHECK (app.lower(VALUE) IS NOT NULL);
CREATE FUNCTION public.peek(public.iso_agents) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM app.sprung('field'); RETURN 'x'; END $$;
CREATE FUNCTION public.text_of(public.iso_agents) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM app.sprung('row cast'); RETURN 'x'; END $$;
CREATE VIEW app.seen AS SELECT id, app.lower(email) AS email FROM public.iso_agents;
"#;

/// Reads of which each reaches a trap in the application's own session.
const READS: [&str; 13] = [
    "SELECT app.lower(email) FROM public.iso_agents",
    "SELECT public.min(email) FROM iso_agents",
    "SELECT min(email) FROM iso_agents GROUP BY id",
    "SELECT id FROM iso_agents WHERE email OPERATOR(app.=) 'x'",
    "SELECT id FROM iso_agents WHERE email OPERATOR(app.=) ANY (VALUES ('x'))",
    "SELECT '{x}'::app.label[] FROM iso_agents",
    "SELECT app.label 'x', email::app.label FROM iso_agents",
    "SELECT a.peek FROM iso_agents a",
    "SELECT (a).peek FROM iso_agents a",
    "SELECT a.id FROM iso_agents a JOIN app.seen s ON s.id = a.id AND s.email <> ''",
    "SELECT id FROM iso_agents WHERE EXISTS (SELECT FROM app.seen s WHERE s.email = 'x')",
    "SELECT x FROM iso_agents, app.lower(email) AS x",
    "SELECT id FROM iso_agents ORDER BY email USING OPERATOR(pg_catalog.<), app.lower(email)",
];

/// What the tables' owner may hang on them, and a read that a plan of evaluates it for.
const HUNG: [(&str, &str); 5] = [
    (
        "CREATE CAST (public.user_role AS text) WITH FUNCTION app.role_text(public.user_role) AS IMPLICIT",
        "SELECT role::text FROM iso_agents",
    ),
    (
        "CREATE CAST (public.iso_agents AS text) WITH FUNCTION public.text_of(public.iso_agents) AS IMPLICIT",
        "SELECT lower(a::text) FROM iso_agents a",
    ),
    (
        "CREATE INDEX trap ON public.users (app.lower('x'))",
        "SELECT id FROM iso_agents WHERE email = 'x'",
    ),
    (
        "CREATE STATISTICS app.trap ON (app.lower('y')), full_name FROM public.iso_agents",
        "SELECT id FROM iso_agents WHERE email = 'y'",
    ),
    (
        "ALTER TABLE public.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         CREATE POLICY trap ON public.users USING (app.lower(email) IS NOT NULL)",
        "SELECT id FROM iso_agents WHERE email = 'z'",
    ),
];
const UNHUNG: [&str; 5] = [
    "DROP CAST (public.user_role AS text)",
    "DROP CAST (public.iso_agents AS text)",
    "DROP INDEX public.trap",
    "DROP STATISTICS app.trap",
    "ALTER TABLE public.users DISABLE ROW LEVEL SECURITY",
];

/// A proxy in shadow_read whose control connection is this role's, every read of which is compared.
async fn shadowing(
    world: &World,
    name: &str,
    control: Option<&str>,
    owners: &str,
) -> anyhow::Result<Proxy> {
    world.database(name).await?;
    let proxy = Proxy::with_config(&world.postgres, name, "[shadow]\nsample = 1.0\n")?;
    proxy.write_phase(Phase::DualWrite)?;
    if let Some(role) = control {
        let own = world.postgres.url(name);
        let theirs = world.postgres.url_as(&format!("{role}:secret"), name);
        let config = std::fs::read_to_string(proxy.config())?.replace(&own, &theirs);
        std::fs::write(proxy.config(), config)?;
        let operator = world.client(&own).await?;
        let grants = proxy.crossfade(&["prepare", "--grants-for", role]).await?;
        operator.batch_execute(&grants).await?;
    }
    proxy.crossfade(&["backfill", "iso_agents"]).await?;
    let owner = world.client(&world.direct_url(name)).await?;
    owner.batch_execute(owners).await?;
    proxy.turn_to("iso_agents", Phase::ShadowRead).await?;
    proxy.serve().await
}

/// Waits until so many comparisons came to an end, and tells how many came to a result.
async fn compared(operator: &Client, ended: usize) -> anyhow::Result<i64> {
    let counts = "FROM crossfade.instances";
    let all = "coalesce(sum(shadow_equal + shadow_different + shadow_failed), 0)";
    until(operator, &format!("SELECT {all} >= {ended} {counts}")).await?;
    let results =
        format!("SELECT coalesce(sum(shadow_equal + shadow_different), 0)::bigint {counts}");
    number(operator, &results).await
}

async fn nothing_ran(world: &World, operator: &Client) -> anyhow::Result<()> {
    let log = world.postgres.log();
    let sprung: Vec<&str> = log.lines().filter(|line| line.contains("TRAP")).collect();
    assert!(sprung.is_empty(), "{sprung:#?}");
    let superuser =
        "SELECT count(*) FROM pg_roles WHERE rolname = 'app' AND (rolsuper OR rolcreaterole)";
    assert_eq!(number(operator, superuser).await?, 0);
    Ok(())
}

/// Every trap, with a control connection of this role.
async fn no_trap_is_sprung(world: &World, name: &str, control: Option<&str>) -> anyhow::Result<()> {
    // Before: whoever begins to serve knows whose names are PostgreSQL's own, and learns of others seconds later.
    let proxy = shadowing(world, name, control, TRAPS).await?;
    let operator = world.client(&world.postgres.url(name)).await?;
    let owner = world.client(&world.direct_url(name)).await?;
    let application = proxy.client().await?;
    // Where the trap is of its own path: `lower` and `=` are its own in this session.
    let own_path = "SET search_path = app, pg_catalog, public";
    let mut sent = 0;
    // Of `min` and `lower` there are others than pg_catalog's.
    let mut results = 0;
    for read in READS {
        application.simple_query(read).await?;
        sent += 1;
    }
    assert_eq!(compared(&operator, sent).await?, results, "{}", proxy.log());
    application.batch_execute(own_path).await?;
    for read in [
        "SELECT lower(email) FROM iso_agents",
        "SELECT id FROM iso_agents WHERE email = 'x'",
    ] {
        application.simple_query(read).await?;
        sent += 1;
    }
    results += 1; // what names an operator
    application.batch_execute("RESET search_path").await?;
    assert_eq!(compared(&operator, sent).await?, results, "{}", proxy.log());
    for ((hang, read), unhang) in HUNG.into_iter().zip(UNHUNG) {
        owner.batch_execute(hang).await?;
        application.simple_query(read).await?;
        sent += 1;
        let found = compared(&operator, sent).await?;
        assert_eq!(found, results, "{hang}\n{}", proxy.log());
        owner.batch_execute(unhang).await?;
    }
    // With all of it gone a comparison comes to a result again.
    let read = "SELECT id, role FROM iso_agents WHERE email <> $1";
    // The first Bind shows that there is something to compare.
    for _ in 0..2 {
        application.query(read, &[&"secret@example.com"]).await?;
    }
    assert_eq!(
        compared(&operator, sent + 1).await?,
        results + 1,
        "{}",
        proxy.log()
    );
    nothing_ran(world, &operator).await
}

#[tokio::test]
async fn a_comparison_runs_nothing_that_a_client_made_where_the_control_role_is_a_superuser() {
    let world = World::start().await.unwrap();
    no_trap_is_sprung(&world, "as_super", None).await.unwrap();
}

#[tokio::test]
async fn a_comparison_runs_nothing_that_a_client_made_where_the_control_role_has_the_printed_grants()
 {
    let world = World::start().await.unwrap();
    let mover = world.postgres.create_user("mover", "secret", Auth::Scram);
    mover.await.unwrap();
    let operator = world.postgres.connect("postgres").await.unwrap();
    operator.batch_execute("GRANT app TO mover").await.unwrap();
    no_trap_is_sprung(&world, "as_mover", Some("mover"))
        .await
        .unwrap();
}

/// Planning is all that is asked for; it evaluates what is hung on the tables, and would what a text calls.
async fn no_trap_is_sprung_by_a_plan(world: &World, name: &str, control: Option<&str>) {
    let proxy = shadowing(world, name, control, TRAPS).await.unwrap();
    let operator = world.client(&world.postgres.url(name)).await.unwrap();
    let owner = world.client(&world.direct_url(name)).await.unwrap();
    let file = proxy.rules_dir().join("../reads.txt");
    let planned = async |reads: &[&str]| -> Vec<serde_json::Value> {
        std::fs::write(&file, reads.join("\n")).unwrap();
        let file = file.to_str().unwrap();
        let args = [
            "coverage",
            "iso_agents",
            "--plans",
            "--json",
            "--file",
            file,
        ];
        let ended = crossfade_tests::control::run(&proxy.config(), &args)
            .await
            .unwrap();
        let said: serde_json::Value = serde_json::from_str(&ended.output)
            .unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
        said["plans"].as_array().unwrap().clone()
    };
    let refused = |plans: &[serde_json::Value], what: &str| {
        assert!(!plans.is_empty(), "{what}");
        for plan in plans {
            assert_eq!(plan["verdict"], "cannot_tell", "{what}: {plan:#}");
        }
    };
    // What has a constant of a type of somebody's has none left in its shape; the cast is there.
    for read in READS {
        let plans = planned(&[read]).await;
        // Of the name there is another one, which takes the same: the server knows whose this is.
        match read {
            "SELECT min(email) FROM iso_agents GROUP BY id" => {
                assert!(
                    plans.iter().all(|plan| plan["verdict"] == "same"),
                    "{plans:#?}"
                );
            }
            _ => refused(&plans, read),
        }
    }
    for ((hang, read), unhang) in HUNG.into_iter().zip(UNHUNG) {
        owner.batch_execute(hang).await.unwrap();
        refused(&planned(&[read]).await, hang);
        owner.batch_execute(unhang).await.unwrap();
    }
    // Whose operator and function it is depends on the path of the role that it is planned for.
    if control.is_none() {
        let path = "ALTER ROLE app SET search_path = app, pg_catalog, public";
        operator.batch_execute(path).await.unwrap();
        for read in [
            "SELECT lower(email) FROM iso_agents",
            "SELECT id FROM iso_agents WHERE email = 'x'",
        ] {
            refused(&planned(&[read]).await, read);
        }
        let reset = "ALTER ROLE app RESET search_path";
        operator.batch_execute(reset).await.unwrap();
    }
    let plans = planned(&["SELECT id FROM iso_agents WHERE email = 'x'"]).await;
    assert!(
        plans.iter().all(|plan| plan["verdict"] == "same"),
        "{plans:#?}"
    );
    nothing_ran(world, &operator).await.unwrap();
}

#[tokio::test]
async fn a_plan_evaluates_nothing_that_a_client_made_whoever_the_control_role_is() {
    let world = World::start().await.unwrap();
    let mover = world.postgres.create_user("mover", "secret", Auth::Scram);
    mover.await.unwrap();
    no_trap_is_sprung_by_a_plan(&world, "plan_super", None).await;
    // It may not become the owner, and plans as itself.
    no_trap_is_sprung_by_a_plan(&world, "plan_mover", Some("mover")).await;
}

#[tokio::test]
async fn a_role_that_may_not_become_the_clients_compares_nothing_and_says_so() {
    let world = World::start().await.unwrap();
    let mover = world.postgres.create_user("mover", "secret", Auth::Scram);
    mover.await.unwrap();
    let proxy = shadowing(&world, "apart", Some("mover"), "").await.unwrap();
    let operator = world.client(&world.postgres.url("apart")).await.unwrap();
    let application = proxy.client().await.unwrap();
    let read = "SELECT id FROM iso_agents";
    application.simple_query(read).await.unwrap();
    assert_eq!(compared(&operator, 1).await.unwrap(), 0);
    let log = proxy.log();
    assert!(log.contains("may not SET ROLE to the client's"), "{log}");
}

#[tokio::test]
async fn what_runs_behind_the_wall_cannot_take_the_role_back_nor_write_nor_stay() {
    let world = World::start().await.unwrap();
    world.database("walled").await.unwrap();
    let control = crossfade::control::connect(&world.postgres.url("walled"), "test")
        .await
        .unwrap();
    let begun = crossfade::control::client_role::begin(&control, "app", "SELECT");
    assert!(begun.await.unwrap());
    let body = "BEGIN EXECUTE $1; RETURN current_user; END";
    let function = TempFunction {
        name: "cf_tried",
        arguments: "text",
        returns: "text",
        body,
    };
    crossfade::control::client_role::function(&control, &function)
        .await
        .unwrap();
    control
        .batch_execute("SET TRANSACTION READ ONLY")
        .await
        .unwrap();
    for tried in [
        "RESET ROLE",
        "SET ROLE postgres",
        "SELECT set_config('role', 'none', false)",
        "SET SESSION AUTHORIZATION postgres",
        "RESET SESSION AUTHORIZATION",
        "SET TRANSACTION READ WRITE",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "DELETE FROM iso_agents",
        "CREATE TEMPORARY TABLE left_behind ()",
        "ALTER FUNCTION pg_temp.cf_tried(text) SECURITY INVOKER",
        "ALTER ROLE app SUPERUSER",
        "COPY iso_agents TO PROGRAM 'cat'",
    ] {
        control.batch_execute("SAVEPOINT tried").await.unwrap();
        let ran = control
            .query_one("SELECT pg_temp.cf_tried($1)", &[&tried])
            .await;
        let error = ran.expect_err(tried);
        assert!(error.as_db_error().is_some(), "{tried}: {error}");
        control
            .batch_execute("ROLLBACK TO SAVEPOINT tried")
            .await
            .unwrap();
    }
    let left = "SELECT set_config('app.left', 'here', false)";
    let ran = control
        .query_one("SELECT pg_temp.cf_tried($1)", &[&left])
        .await
        .unwrap();
    assert_eq!(ran.get::<_, &str>(0), "app");
    crossfade::control::client_role::end(&control)
        .await
        .unwrap();
    let rows = control
        .query_typed(
            "SELECT current_user::text, coalesce(current_setting('app.left', true), '')",
            &[],
        )
        .await
        .unwrap();
    let user: &str = rows[0].get(0);
    assert_ne!(user, "app");
    assert_eq!(rows[0].get::<_, &str>(1), "");
}

#[tokio::test]
async fn a_difference_is_told_without_the_clients_constants_and_comments() {
    let world = World::start().await.unwrap();
    let proxy = shadowing(&world, "told", None, "").await.unwrap();
    let operator = world.client(&world.postgres.url("told")).await.unwrap();
    operator
        .batch_execute("UPDATE users SET full_name = 'other'")
        .await
        .unwrap();
    let application = proxy.client().await.unwrap();
    let read = "SELECT full_name /* user=4711 */ FROM iso_agents WHERE email <> 'Secret'";
    application.simple_query(read).await.unwrap();
    // The server's own words would repeat the constant.
    let broken = "SELECT id FROM iso_agents WHERE full_name <> 'Secret' AND \
                  role = CASE WHEN full_name = 'other' THEN 'Secret' || full_name ELSE 'admin' END::user_role";
    let _ = application.simple_query(broken).await;
    while !proxy.log().contains("a shadow read differs") {
        a_moment().await;
    }
    until(
        &operator,
        "SELECT count(*) >= 1 FROM crossfade.statements WHERE statement LIKE '%full_name%'",
    )
    .await
    .unwrap();
    let log = proxy.log();
    assert!(log.contains("SELECT full_name"), "{log}");
    assert!(!log.contains("Secret") && !log.contains("4711"), "{log}");
    let kept = "SELECT count(*) FROM crossfade.statements WHERE statement ~ 'Secret|4711'";
    assert_eq!(number(&operator, kept).await.unwrap(), 0);
}

#[tokio::test]
async fn check_tells_whose_code_runs_with_the_control_roles_rights() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("code", Phase::LegacyOnly).await.unwrap();
    let owner = world.client(&world.direct_url("code")).await.unwrap();
    let trigger = "CREATE FUNCTION public.on_write() RETURNS trigger LANGUAGE plpgsql AS \
                   'BEGIN RETURN NEW; END'; \
                   CREATE TRIGGER w BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION on_write()";
    owner.batch_execute(trigger).await.unwrap();
    let checked = crossfade_tests::control::run(&proxy.config(), &["check", "iso_agents"])
        .await
        .unwrap();
    assert!(
        checked.output.contains("run code of other roles"),
        "{checked:?}"
    );
    assert!(checked.output.contains("on_write() of app"), "{checked:?}");
}

/// A command without a configuration.
async fn ran(args: &[&str]) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(crossfade_tests::binary::crossfade());
    for name in crossfade_testbed::process::surroundings() {
        command.env_remove(name);
    }
    let ended = command.args(args).output().await?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    anyhow::ensure!(ended.status.success(), "{ended:?}");
    Ok(said)
}

#[tokio::test]
async fn neither_a_plan_nor_coverage_runs_what_a_client_made_with_the_control_roles_rights() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("asked", Phase::LegacyOnly).await.unwrap();
    let owner = world.client(&world.direct_url("asked")).await.unwrap();
    owner.batch_execute(TRAPS).await.unwrap();
    let operator = world.client(&world.postgres.url("asked")).await.unwrap();
    // Constants of a domain in an array are checked as soon as they are read.
    let checked = [
        "SELECT id FROM iso_agents WHERE email = ANY ('{x}'::app.label[])",
        "UPDATE iso_agents SET full_name = ('{x}'::app.label[])[1]",
        "DROP TABLE iso_agents; SELECT '{x}'::app.label[]",
        "PREPARE p AS SELECT '{x}'::app.label[] FROM iso_agents",
        "CREATE TABLE made AS SELECT '{x}'::app.label[] FROM iso_agents",
    ];
    let application = proxy.client().await.unwrap();
    for text in checked.iter().filter(|text| text.starts_with("SELECT")) {
        application.simple_query(text).await.unwrap();
    }
    let file = proxy.rules_dir().join("statements.sql");
    std::fs::write(&file, checked.join("\n")).unwrap();
    let file = file.to_str().unwrap();
    until(
        &operator,
        "SELECT count(*) > 0 FROM crossfade.statements WHERE statement LIKE '%label%'",
    )
    .await
    .unwrap();
    for args in [
        &["coverage", "iso_agents"][..],
        &["coverage", "iso_agents", "--file", file],
    ] {
        let ended = crossfade_tests::control::run(&proxy.config(), args)
            .await
            .unwrap();
        assert!(ended.output.contains("label"), "{ended:?}");
    }
    nothing_ran(&world, &operator).await.unwrap();

    // A plan is asked for under a role, and evaluates what that role could: behind the wall.
    let url = world.postgres.url("asked");
    let rules = proxy.rules_dir();
    let explain = |role: &'static [&'static str]| {
        let mut args = vec!["explain", "--plan", "--control", &url, "--rules"];
        args.push(rules.to_str().unwrap());
        args.extend(role);
        args.push("SELECT id FROM iso_agents WHERE email = app.lower('x')");
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |args: Vec<String>| async move {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        ran(&args).await
    };
    assert!(run(explain(&[])).await.is_err(), "whose plan?");
    let said = run(explain(&["--role", "app"])).await.unwrap();
    assert!(said.contains("plan    "), "{said}");
    let log = world.postgres.log();
    assert!(log.contains("TRAP function as app"), "it was evaluated");
    assert!(!log.contains("ROLE TAKEN"), "{log}");
}
