//! Unified rows that refer to rows which are not copied yet: while unified's failures are recorded nobody is told, and
//! nobody gets to where they would be.

use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

const LEGACY: &str = "\
    CREATE TABLE teams (id integer PRIMARY KEY, name text, above integer CONSTRAINT teams_above_fkey REFERENCES teams);
    CREATE TABLE players (id integer PRIMARY KEY, team integer CONSTRAINT players_team_fkey REFERENCES teams);
    CREATE INDEX ON teams (above); CREATE INDEX ON players (team);
    INSERT INTO teams SELECT n, 'team ' || n, nullif(n - 1, 0) FROM generate_series(1, 9) AS n;
    INSERT INTO players SELECT n, n FROM generate_series(1, 9) AS n;";

const UNIFIED: &str = "\
    CREATE TABLE clubs (id integer PRIMARY KEY, name text, above integer CONSTRAINT clubs_above_fkey REFERENCES clubs);
    CREATE TABLE people (id integer PRIMARY KEY, club integer CONSTRAINT people_club_fkey REFERENCES clubs);
    CREATE INDEX ON clubs (above); CREATE INDEX ON people (club);";

const TEAMS: &str = r#"
[[table]]
legacy = "public.teams"
unified = "public.clubs"
key = ["id"]
[table.columns]
id = "integer NOT NULL"
name = "text"
above = "integer"
[table.constraints]
teams_above_fkey = "clubs_above_fkey"
"#;

const ONE: Case = Case {
    name: "players",
    rules: r#"
[migration]
name = "players"
phase = "legacy_only"

[[table]]
legacy = "public.teams"
unified = "public.clubs"
key = ["id"]
[table.columns]
id = "integer NOT NULL"
name = "text"
above = "integer"
[table.constraints]
teams_above_fkey = "clubs_above_fkey"

[[table]]
legacy = "public.players"
unified = "public.people"
key = ["id"]
[table.columns]
id = "integer NOT NULL"
team = { type = "integer", unified = "club" }
[table.constraints]
players_team_fkey = "people_club_fkey"
"#,
    tables: 2,
    also: &[],
    server: "",
    legacy: LEGACY,
    unified: UNIFIED,
};

/// Refers to a row that no backfill has brought.
const REFERS: [&str; 2] = [
    "INSERT INTO players VALUES ({n}, 9) RETURNING *",
    "INSERT INTO teams VALUES ({n}, 'new', 9)",
];

async fn refer(twin: &Twin, number: u32) {
    for sql in REFERS {
        twin.same(&sql.replace("{n}", &number.to_string()))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_failures_are_told_what_is_referred_to_is_there() {
    let twin = Twin::start(ONE).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    refer(&twin, 20).await;
    twin.advance(Phase::ShadowRead).await.unwrap();
    refer(&twin, 21).await;
    // The ledger's own gate is another one.
    let operator = twin.superuser().await.unwrap();
    operator
        .batch_execute("DELETE FROM crossfade.divergence")
        .await
        .unwrap();
    let said = twin.crossfade("advance").await.unwrap_err().to_string();
    for part in [
        "rows referred to",
        "people_club_fkey of people refers to rows of public.teams",
        "clubs_above_fkey of clubs refers to rows of public.teams",
        "`crossfade backfill players`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("divergence ledger"), "{said}");
    twin.crossfade("backfill").await.unwrap();
    twin.verified(2).await;
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        twin.advance(phase).await.unwrap();
        refer(&twin, 30 + phase as u32).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_failures_are_told_early_the_next_step_waits_for_what_is_referred_to() {
    const TOLD: Case = Case {
        rules: r#"
[migration]
name = "players"
phase = "legacy_only"
on_unified_error = "refuse"

[[table]]
legacy = "public.players"
unified = "public.people"
key = ["id"]
[table.columns]
id = "integer NOT NULL"
team = { type = "integer", unified = "club" }
[table.constraints]
players_team_fkey = "people_club_fkey"
"#,
        tables: 1,
        legacy: "CREATE TABLE teams (id integer PRIMARY KEY, name text, above integer CONSTRAINT teams_above_fkey REFERENCES teams);
            CREATE TABLE players (id integer PRIMARY KEY, team integer CONSTRAINT players_team_fkey REFERENCES teams);
            CREATE INDEX ON teams (above); CREATE INDEX ON players (team);
            INSERT INTO teams SELECT n, 'team ' || n FROM generate_series(1, 9) AS n",
        ..ONE
    };
    let teams = format!("[migration]\nname = \"teams\"\nphase = \"legacy_only\"\n{TEAMS}");
    let both: &'static [(&str, &str)] = Box::leak(Box::new([("teams", &*teams.leak())]));
    let twin = Twin::start(Case { also: both, ..TOLD }).await.unwrap();
    twin.prepare().await.unwrap();
    twin.crossfade("advance").await.unwrap();
    // The operator wants it told: nothing is written.
    let told = answer(&twin.proxied, "INSERT INTO players VALUES (39, 9)").await;
    assert!(told.starts_with("23503"), "{told}");
    twin.same("SELECT * FROM players ORDER BY id")
        .await
        .unwrap();
    let said = twin.crossfade("advance").await.unwrap_err().to_string();
    assert!(
        said.contains("people_club_fkey of people refers to rows of public.teams")
            && said.contains("`crossfade backfill teams`"),
        "{said}"
    );
    // Copied by their own migration, they are there.
    twin.crossfade_of("teams", "advance").await.unwrap();
    twin.crossfade_of("teams", "backfill").await.unwrap();
    twin.crossfade("advance").await.unwrap();
    twin.same(REFERS[0].replace("{n}", "40").as_str())
        .await
        .unwrap();
    let rows = answer(&twin.direct, "SELECT id, club FROM people ORDER BY id").await;
    assert_eq!(rows, "(id, club)\n40|9\ndone 1");
}
