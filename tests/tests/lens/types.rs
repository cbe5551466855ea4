//! Columns of one type in legacy and of another in unified: what legacy never let in, what it cannot
//! hold, and what a setting would decide.

use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

const PARCELS: Case = Case {
    name: "parcels",
    rules: include_str!("../../data/lens/parcels.toml"),
    tables: 1,
    also: &[],
    server: "",
    legacy: include_str!("../../data/lens/parcels_legacy.sql"),
    unified: include_str!("../../data/lens/parcels_unified.sql"),
};

/// The same lens by steps.
const BY_STEPS: Case = Case {
    rules: include_str!("../../data/lens/parcels_steps.toml"),
    ..PARCELS
};

/// The unified table seen as the legacy one, by SQL of this test's own.
const AS_LEGACY: &str = "(SELECT id::int, small::smallint, code::varchar(8), pad::char(4), price::numeric(8,2), \
    zip::zip, plain, ratio::real, flags::bit(3), sent_at AT TIME ZONE 'UTC' AS sent, \
    (due AT TIME ZONE 'Asia/Tokyo')::timestamptz(0) AS due, (day AT TIME ZONE 'UTC')::date AS day, \
    born::date AS born, note FROM shipments)";

/// Values for which a legacy column has no room, each for each way to write it, and some that it makes
/// its own. `{p}` is the phase's own number.
const VALUES: [(&str, &str); 26] = [
    ("id", "4000000000"),
    ("id", "4000000{p}.5"),
    ("small", "40000"),
    ("small", "1.5"),
    ("small", "32767.4"),
    ("code", "'nine-----'"),
    ("code", "'x{p}                 '"),
    ("code", "'ab' || repeat('c', {p} + 7)"),
    ("code", "12345{p}"),
    ("pad", "'abcde'"),
    ("pad", "'a        '"),
    ("price", "1000000"),
    ("price", "1.005"),
    ("price", "'1e9'"),
    ("zip", "'12a'"),
    ("zip", "'123456'"),
    ("zip", "repeat('7', 6)"),
    // Nothing that is known before rows are.
    ("zip", "(SELECT repeat('7', 6))"),
    ("plain", "'12a'"),
    ("plain", "'123456'"),
    ("plain", "repeat('7', 6)"),
    ("plain", "(SELECT repeat('7', 6))"),
    ("ratio", "1e39::float8"),
    ("flags", "B'1111'"),
    ("day", "'2024-07-01 23:30'::timestamp"),
    ("sent", "'2024-07-01 23:30+05'::timestamptz"),
];

async fn limits(twin: &Twin, phase: Phase) -> String {
    let number = (phase as usize).to_string();
    let mut wrong = String::new();
    for (at, (column, value)) in VALUES.into_iter().enumerate() {
        let id = 100 * (phase as usize + 1) + at;
        let given = if column == "id" {
            ("id", value.to_owned())
        } else {
            ("id, ", format!("{id}, {value}"))
        };
        let columns = if column == "id" { "" } else { column };
        let texts = [
            format!(
                "INSERT INTO parcels ({}{columns}) VALUES ({})",
                given.0, given.1
            ),
            format!(
                "INSERT INTO parcels (id, note) VALUES ({id}, 'kept') ON CONFLICT (id) DO NOTHING"
            ),
            format!("UPDATE parcels SET {column} = {value} WHERE id = {id}"),
            format!("UPDATE parcels SET ({column}, note) = ({value}, 'set') WHERE id = {id}"),
            format!(
                "INSERT INTO parcels ({}{columns}) SELECT {}",
                given.0, given.1
            ),
            format!(
                "INSERT INTO parcels (id) VALUES ({id}) ON CONFLICT (id) DO UPDATE SET {}",
                if column == "id" {
                    "note = 'again'".to_owned()
                } else {
                    format!("{column} = {value}")
                }
            ),
            format!("SELECT * FROM parcels WHERE id = {id}"),
        ];
        for sql in texts {
            if let Err(error) = twin.same(&sql.replace("{p}", &number)).await {
                wrong += &format!("{phase}: {error}\n\n");
            }
        }
        if column != "id" && !value.contains("(") {
            let set = format!("UPDATE parcels SET {column} = $1 WHERE id = {id}");
            let value = value.replace("{p}", &number);
            let value = value
                .trim_start_matches('B')
                .split("::")
                .next()
                .unwrap_or_default();
            if let Err(error) = twin
                .same_with(&set, &[Some(value.trim_matches('\''))])
                .await
            {
                wrong += &format!("{phase}: {error}\n\n");
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_legacy_column_has_no_room_for_is_the_error_that_it_was() {
    no_room(PARCELS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_legacy_column_has_no_room_for_is_that_error_by_steps_as_well() {
    no_room(BY_STEPS).await;
}

async fn no_room(case: Case) {
    let twin = Twin::start(case).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let wrong = limits(&twin, phase).await;
        assert!(wrong.is_empty(), "{wrong}");
        twin.equal_in(phase, "parcels", AS_LEGACY).await.unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unified_row_that_legacy_cannot_hold_has_no_legacy_image_and_is_counted() {
    let twin = Twin::in_phase(PARCELS, Phase::DualRead).await.unwrap();
    let held = "SELECT count(*), sum(id) FROM parcels";
    twin.same(held).await.unwrap();
    twin.direct
        .batch_execute(
            "INSERT INTO shipments (id, small, code, price, zip, born) VALUES (4000000000, 1, 'a', 1, '1', '2000-01-01'), \
             (11, 1.5, 'b', 1, '1', NULL), (12, 1, 'more than eight', 1, '1', NULL), (13, 1, 'c', 1.005, '1', NULL), \
             (14, 1, 'd', 1, 'none', NULL), (15, 1, 'e', 1, '1', 'yesterday')",
        )
        .await
        .unwrap();
    for sql in [
        held,
        "SELECT * FROM parcels ORDER BY id",
        "SELECT id FROM parcels WHERE small = 1 AND id > 0 AND code <> 'x' AND born > '1900-01-01' ORDER BY id",
        "SELECT p.id FROM parcels p JOIN parcels q ON p.id = q.id AND p.zip = q.zip ORDER BY 1",
    ] {
        twin.same(sql).await.unwrap();
    }
    let said = twin.crossfade("check").await.unwrap();
    for (column, rows) in [
        ("id", 1),
        ("small", 1),
        ("code", 1),
        ("price", 1),
        ("zip", 1),
        ("born", 1),
    ] {
        let told =
            format!("{rows} rows have a public.shipments.{column} that public.parcels.{column}");
        assert!(said.contains(&told), "{told}: {said}");
    }
    // `direct` has gone around the proxy.
    twin.crossfade("verify").await.unwrap();
    let said = twin.crossfade("advance").await.unwrap();
    assert!(
        said.contains(
            "1 rows of public.shipments have a value in id that public.parcels cannot hold"
        ),
        "{said}"
    );
    twin.same(held).await.unwrap();
    // A key that only a hidden row has is taken, as that of an unmapped value is.
    let taken = answer(&twin.proxied, "INSERT INTO parcels (id) VALUES (12)").await;
    assert!(taken.starts_with("23505"), "{taken}");
    let untouched = answer(&twin.proxied, "UPDATE parcels SET note = 'all'").await;
    assert_eq!(untouched, "done 3");
    let cut = answer(&twin.direct, "SELECT code FROM shipments WHERE id = 12").await;
    assert!(cut.contains("more than eight"), "{cut}");
}

/// Settings under which the old application's sessions run, each phase under others.
const SETTINGS: [&str; 3] = [
    "SET TimeZone = 'America/New_York'; SET DateStyle = 'SQL, DMY'; SET extra_float_digits = 0",
    "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'German'; SET extra_float_digits = -15",
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; RESET extra_float_digits",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_another_column_moves_no_time_whatever_the_session_is_set_to() {
    no_time_moves(PARCELS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_another_column_moves_no_time_by_steps_either() {
    no_time_moves(BY_STEPS).await;
}

async fn no_time_moves(case: Case) {
    let twin = Twin::start(case).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let id = 50 + phase as usize;
        for (number, settings) in SETTINGS.into_iter().enumerate() {
            let row = id * 10 + number;
            for sql in [
                settings.to_owned(),
                format!(
                    "INSERT INTO parcels (id, sent, due, day, born, ratio) VALUES \
                     ({row}, '2024-07-01 12:00', '2024-07-01 12:00', '2024-07-01', '2001-05-06', 0.123456789)"
                ),
                format!("UPDATE parcels SET note = 'touched' WHERE id IN (1, {row})"),
                format!("UPDATE parcels SET sent = sent + interval '1 hour', due = sent WHERE id = {row}"),
                "UPDATE parcels SET day = day + 1, born = born - 1 WHERE id > 0 AND isfinite(day)".to_owned(),
                "SELECT * FROM parcels ORDER BY id".to_owned(),
                format!("SELECT id FROM parcels WHERE sent = '2024-07-01 13:00' AND born < '2020-01-01' AND id >= {row}"),
            ] {
                twin.same(&sql).await.unwrap_or_else(|error| panic!("{phase}: {error}"));
            }
        }
        twin.equal_in(phase, "parcels", AS_LEGACY).await.unwrap();
        if phase.writes_both() && phase > Phase::DualWrite {
            twin.verified(1).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_a_setting_decides_about_is_found_in_the_catalog() {
    let rules = PARCELS.rules.replace(
        "note  = \"text\"",
        "note  = { type = \"public.moment\", unified_type = \"timestamptz\", holds = \"true\" }",
    );
    let case = Case {
        rules: Box::leak(rules.into_boxed_str()),
        legacy: "CREATE DOMAIN zip AS varchar(5) CHECK (VALUE ~ '^[0-9]+$'); CREATE DOMAIN moment AS timestamp; \
            CREATE TABLE parcels (id integer PRIMARY KEY, small smallint, code varchar(8) CONSTRAINT parcels_code UNIQUE, \
            pad char(4), price numeric(8,2), zip zip, plain zip, ratio real, flags bit(3), sent timestamp, \
            due timestamptz(0), day date, born date, note moment)",
        unified: "CREATE TABLE shipments (id bigint PRIMARY KEY, small numeric, code text CONSTRAINT shipments_code UNIQUE, \
            pad varchar(10), price numeric, zip text, plain zip, ratio double precision, flags bit varying, \
            sent_at timestamptz, due timestamp, day timestamptz, born text, note timestamptz)",
        ..PARCELS
    };
    let twin = Twin::start(case).await.unwrap();
    twin.prepare().await.unwrap();
    let said = twin.crossfade("check").await;
    let said = format!("{said:?}");
    assert!(
        said.contains(
            "column note: public.moment as timestamp with time zone depends on the session"
        ),
        "{said}"
    );
}
