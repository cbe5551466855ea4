//! What may be done from the page, and what is told of it.

use crossfade_tests::control::{a_moment, number, pid, until};
use crossfade_tests::visit::{Answer, PageFiles, Visit};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const MIGRATION: &str = "/migrations/iso_agents";
const ADVANCE: &str = "/migrations/iso_agents/advance";
const ROLLBACK: &str = "/migrations/iso_agents/rollback";
const CONFIRMED: [(&str, &str); 2] = [("name", "iso_agents"), ("reason", "agreed <b>& signed</b>")];

/// A server, a proxy with a page, and somebody who knows what the database has in force.
struct Site {
    _world: World,
    files: PageFiles,
    proxy: Proxy,
    operator: Client,
}

impl Site {
    async fn in_phase(name: &str, phase: Phase) -> Site {
        Site::with(name, phase, "").await
    }

    async fn with(name: &str, phase: Phase, more_of_admin: &str) -> Site {
        let world = World::start().await.unwrap();
        let files = PageFiles::new(more_of_admin).unwrap();
        let proxy = world
            .in_phase_with(name, phase, &files.config)
            .await
            .unwrap();
        let operator = world.client(&world.postgres.url(name)).await.unwrap();
        let registered = "to_regclass('crossfade.epochs') IS NOT NULL \
            AND EXISTS (SELECT FROM crossfade.epochs)";
        until(&operator, registered).await.unwrap();
        Site {
            _world: world,
            files,
            proxy,
            operator,
        }
    }

    async fn visit(&self, user: &str) -> Visit {
        Visit::of(self.files.port, user).await.unwrap()
    }

    async fn phase(&self) -> String {
        let newest = "SELECT phase FROM crossfade.epochs ORDER BY epoch DESC LIMIT 1";
        self.operator.query_one(newest, &[]).await.unwrap().get(0)
    }

    async fn epochs(&self) -> i64 {
        let epochs = "SELECT count(*) FROM crossfade.epochs";
        number(&self.operator, epochs).await.unwrap()
    }

    /// The last event, as `kind from to who@where: why`.
    async fn last_event(&self) -> String {
        let event = "SELECT concat_ws(' ', kind, from_phase, to_phase, os_user || '@' || host || ':', reason) \
            FROM crossfade.events ORDER BY id DESC LIMIT 1";
        self.operator.query_one(event, &[]).await.unwrap().get(0)
    }
}

/// Asks again until the page says this.
async fn until_said(visit: &Visit, path: &str, said: &str) -> Answer {
    loop {
        let answer = visit.get(path).await.unwrap();
        if answer.body.contains(said) {
            return answer;
        }
        a_moment().await;
    }
}

#[tokio::test]
async fn a_step_forward_and_back_is_taken_and_on_the_record_with_its_user_and_reason() {
    let site = Site::in_phase("steps", Phase::LegacyOnly).await;
    let visit = site.visit("ann").await;
    let form = visit.get(ADVANCE).await.unwrap();
    for said in [
        "Advance iso_agents to dual_write",
        "every write also reaches the new table",
    ] {
        assert!(form.body.contains(said), "{said}: {form:?}");
    }
    let done = visit.fill_in(ADVANCE, &CONFIRMED).await.unwrap();
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some(MIGRATION)),
        "{done:?}"
    );
    let page = until_said(&visit, MIGRATION, "advance legacy_only → dual_write").await;
    assert!(page.body.contains("by ann (page)@127.0.0.1"), "{page:?}");
    until_said(&visit, MIGRATION, ": done.").await;
    assert_eq!(site.phase().await, "dual_write");
    let expected = "advance legacy_only dual_write ann (page)@127.0.0.1: agreed <b>& signed</b>";
    assert_eq!(site.last_event().await, expected);
    let page = until_said(&visit, MIGRATION, "agreed &lt;b&gt;&amp; signed&lt;/b&gt;").await;
    assert!(!page.body.contains("<b>& signed"), "{page:?}");

    let done = visit.fill_in(ROLLBACK, &CONFIRMED).await.unwrap();
    assert_eq!(done.status, 303, "{done:?}");
    until_said(
        &visit,
        MIGRATION,
        "rollback dual_write → legacy_only</strong>: done.",
    )
    .await;
    assert_eq!(site.phase().await, "legacy_only");
    let expected = "rollback dual_write legacy_only ann (page)@127.0.0.1: agreed <b>& signed</b>";
    assert_eq!(site.last_event().await, expected);
    let events = visit.get("/events").await.unwrap();
    assert!(
        events.body.contains("rollback") && events.body.contains("ann (page)"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_step_that_a_gate_refuses_says_which_and_what_settles_it() {
    let site = Site::in_phase("refused", Phase::DualRead).await;
    let visit = site.visit("ann").await;
    let epochs = site.epochs().await;
    let page = until_said(&visit, MIGRATION, "not met").await;
    assert!(
        page.body.contains("crossfade backfill iso_agents"),
        "{page:?}"
    );
    assert_eq!(
        visit.fill_in(ADVANCE, &CONFIRMED).await.unwrap().status,
        303
    );
    let page = until_said(&visit, MIGRATION, ": refused.").await;
    let said = "iso_agents stays in dual_read. Not met for unified_read:";
    assert!(page.body.contains(said), "{page:?}");
    assert_eq!(
        (site.phase().await.as_str(), site.epochs().await),
        ("dual_read", epochs)
    );
}

#[tokio::test]
async fn what_is_not_a_form_of_the_session_filled_in_by_hand_does_nothing() {
    let site = Site::in_phase("forms", Phase::LegacyOnly).await;
    let visit = site.visit("ann").await;
    let epochs = site.epochs().await;
    let form = visit.get(ADVANCE).await.unwrap();
    let csrf = form.hidden("csrf").unwrap();
    let other = site.visit("ann").await;
    let others = other.get(ADVANCE).await.unwrap();
    let others = others.hidden("csrf").unwrap();
    let step = [("from", "legacy_only"), ("to", "dual_write")];
    let sent = |csrf: Option<&'static str>, name: &'static str| {
        let csrf = csrf.map(|csrf| ("csrf", csrf));
        let fields = csrf.into_iter().chain(step).chain([("name", name)]);
        fields.collect::<Vec<_>>()
    };
    // Without a token, with a made-up one, with another session's.
    for fields in [
        sent(None, "iso_agents"),
        sent(Some("made-up"), "iso_agents"),
    ] {
        assert_eq!(visit.post(ADVANCE, &fields).await.unwrap().status, 403);
    }
    let fields = [("csrf", others), step[0], step[1], CONFIRMED[0]];
    assert_eq!(visit.post(ADVANCE, &fields).await.unwrap().status, 403);
    // From another site, or from one that nobody names.
    let mut elsewhere = visit.clone();
    let fields = [("csrf", csrf), step[0], step[1], CONFIRMED[0]];
    for origin in [Some("http://evil.example"), Some("null"), None] {
        elsewhere.origin = origin.map(str::to_owned);
        let answer = elsewhere.post(ADVANCE, &fields).await.unwrap();
        assert_eq!(answer.status, 403, "{origin:?}");
    }
    // Without the name, or with another.
    for name in ["", "iso_agent", "ISO_AGENTS"] {
        let fields = [("csrf", csrf), step[0], step[1], ("name", name)];
        let answer = visit.post(ADVANCE, &fields).await.unwrap();
        assert_eq!(answer.status, 409, "{name}");
        assert!(answer.body.contains("Nothing was done."), "{answer:?}");
    }
    // A form that is older than the phase, and one that means no step.
    for (from, to, status) in [
        ("dual_write", "shadow_read", 409),
        ("legacy_only", "retired", 404),
        ("", "", 404),
    ] {
        let fields = [("csrf", csrf), ("from", from), ("to", to), CONFIRMED[0]];
        let answer = visit.post(ADVANCE, &fields).await.unwrap();
        assert_eq!(answer.status, status, "{from}");
    }
    assert_eq!(
        visit
            .get(&format!("{ADVANCE}?{}=x", "name"))
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(site.epochs().await, epochs);
}

#[tokio::test]
async fn who_may_look_may_not_act() {
    let site = Site::in_phase("look", Phase::DualWrite).await;
    let visit = site.visit("sam").await;
    let epochs = site.epochs().await;
    let page = until_said(&visit, MIGRATION, "Next step").await;
    assert!(
        !page.body.contains(ADVANCE) && !page.body.contains(ROLLBACK),
        "{page:?}"
    );
    let csrf = page.hidden("csrf").unwrap();
    for (path, to) in [(ADVANCE, "shadow_read"), (ROLLBACK, "legacy_only")] {
        assert_eq!(visit.get(path).await.unwrap().status, 403);
        let fields = [
            ("csrf", csrf),
            ("from", "dual_write"),
            ("to", to),
            CONFIRMED[0],
        ];
        let answer = visit.post(path, &fields).await.unwrap();
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    let fields = [("csrf", csrf), ("dial", "pause")];
    let dial = visit
        .post(&format!("{MIGRATION}/backfill"), &fields)
        .await
        .unwrap();
    assert_eq!(dial.status, 403);
    // To look is what he may.
    let gates = visit
        .post(&format!("{MIGRATION}/gates"), &[("csrf", csrf)])
        .await
        .unwrap();
    assert_eq!(gates.status, 303);
    assert_eq!(site.epochs().await, epochs);
}

#[tokio::test]
async fn a_step_that_waits_says_for_whom_and_another_is_not_begun_meanwhile() {
    let site = Site::in_phase("waits", Phase::LegacyOnly).await;
    // Whose drain was seen: the next step waits for nobody before it begins.
    let advance = ["advance", "iso_agents"];
    site.proxy.crossfade(&advance).await.unwrap();
    let visit = site.visit("ann").await;
    let client = site.proxy.client().await.unwrap();
    let pid = pid(&client).await.unwrap();
    client
        .batch_execute("BEGIN; SET LOCAL application_name = 'night report'")
        .await
        .unwrap();
    client
        .batch_execute("UPDATE iso_agents SET full_name = 'secret' WHERE clerk_user_id = 'user_2'")
        .await
        .unwrap();
    // What it has said last is shown; a longer text the server would have cut.
    client
        .batch_execute("SELECT count(*) FROM iso_agents WHERE email = 'secret'")
        .await
        .unwrap();
    assert_eq!(
        visit.fill_in(ROLLBACK, &CONFIRMED).await.unwrap().status,
        303
    );
    let page = until_said(&visit, MIGRATION, "fence that is over").await;
    for said in [
        "rollback dual_write → legacy_only</strong> is under way. ",
        "Who holds it up",
        &format!(">{pid}<"),
        "night report",
        "through ",
        "waits for 1 proxy and 1 transaction.",
        "SELECT count(*) FROM iso_agents WHERE email = $1",
        "idle in transaction",
        "127.0.0.1",
    ] {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    assert!(!page.body.contains("secret"), "{page:?}");
    let again = visit.fill_in(ADVANCE, &CONFIRMED).await.unwrap();
    assert_eq!(again.status, 409);
    assert!(
        again
            .body
            .contains("ann (page)@127.0.0.1 is taking a step of it"),
        "{again:?}"
    );
    client.batch_execute("COMMIT").await.unwrap();
    until_said(&visit, MIGRATION, "legacy_only</strong>: done.").await;
    assert_eq!(site.phase().await, "legacy_only");
}

#[tokio::test]
async fn a_backfill_is_held_back_and_paused_and_goes_on() {
    let site = Site::in_phase("dials", Phase::DualWrite).await;
    let visit = site.visit("ann").await;
    let path = format!("{MIGRATION}/backfill");
    let page = visit.get(MIGRATION).await.unwrap();
    let csrf = page.hidden("csrf").unwrap().to_owned();
    let dial = async |name: &str, rows: &str| {
        let fields = [
            ("csrf", csrf.as_str()),
            ("dial", name),
            ("rows_per_second", rows),
        ];
        visit.post(&path, &fields).await.unwrap()
    };
    let none = dial("pause", "0").await;
    assert_eq!(none.status, 503, "{none:?}");
    assert!(
        none.body.contains("no backfill of iso_agents is under way"),
        "{none:?}"
    );
    let running = "INSERT INTO crossfade.backfill (migration, legacy_table, run, state, chunk_rows, rows_estimated, rows_done) \
        VALUES ('iso_agents', '\"public\".\"iso_agents\"', gen_random_uuid(), 'running', 500, 300, 75); \
        INSERT INTO crossfade.work (work, migration, pid, began) \
        SELECT 'backfill', 'iso_agents', pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    site.operator.batch_execute(running).await.unwrap();
    let page = until_said(&visit, MIGRATION, "Pause").await;
    for said in ["75 of about 300 rows", "value=\"25.0\"", "running"] {
        assert!(page.body.contains(said), "{said}: {page:?}");
    }
    let wish = "SELECT wish || ' ' || coalesce(rows_per_second_max, 0) FROM crossfade.backfill";
    let wish = async || -> String { site.operator.query_one(wish, &[]).await.unwrap().get(0) };
    assert_eq!(dial("speed", "1500").await.status, 303);
    assert_eq!(wish().await, "run 1500");
    assert_eq!(dial("pause", "0").await.status, 303);
    assert_eq!(wish().await, "pause 1500");
    assert!(visit.get(MIGRATION).await.unwrap().body.contains("paused"));
    assert_eq!(dial("resume", "0").await.status, 303);
    assert_eq!(dial("speed", "0").await.status, 303);
    assert_eq!(wish().await, "run 0");
    let event = site.last_event().await;
    assert_eq!(event, "backfill adjusted ann (page)@127.0.0.1:");
    for (name, rows) in [("speed", "-1"), ("speed", "100000001"), ("explode", "1")] {
        assert_eq!(dial(name, rows).await.status, 400, "{name} {rows}");
    }
    assert_eq!(dial("speed", "many").await.status, 422);
}

#[tokio::test]
async fn rows_that_differ_stand_side_by_side_with_their_values_where_that_is_allowed() {
    for (name, more, shows) in [("hides", "", false), ("shows", "show_values = true", true)] {
        let site = Site::with(name, Phase::DualWrite, more).await;
        site.operator
            .batch_execute(
                "UPDATE users SET full_name = 'Some<b>body' WHERE clerk_user_id = 'user_2'",
            )
            .await
            .unwrap();
        let found = site.proxy.crossfade(&["verify", "iso_agents"]).await;
        assert!(found.is_err(), "{found:?}");
        let visit = site.visit("sam").await;
        let page = until_said(&visit, MIGRATION, "Side by side").await;
        // The name, and the time that a trigger sets with it.
        assert_eq!(
            page.body.matches("class=\"differs\"").count(),
            2,
            "{page:?}"
        );
        assert!(page.body.contains("full_name"), "{page:?}");
        assert_eq!(page.body.contains("Some&lt;b&gt;body"), shows, "{page:?}");
        assert!(!page.body.contains("Some<b>body"), "{page:?}");
    }
}
