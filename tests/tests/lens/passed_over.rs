//! INSERT … ON CONFLICT DO NOTHING where unified has more that a row can meet than legacy: unique indexes of its own, and rows
//! that legacy readers do not see. What PostgreSQL would have inserted must never be passed over in silence.

use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

const LEGACY: &str = "\
    CREATE TABLE shops (id integer PRIMARY KEY, code text CONSTRAINT shops_code_key UNIQUE, name text, phone text);
    CREATE UNIQUE INDEX shops_name ON shops (lower(name)) WHERE name <> '';
    INSERT INTO shops SELECT n, 'c' || n, 'Name ' || n, 'p' || n FROM generate_series(1, 5) AS n;";

const UNIFIED: &str = "\
    CREATE TABLE store (id integer PRIMARY KEY, code text CONSTRAINT store_code_key UNIQUE, title text, phone text,
      kind text NOT NULL DEFAULT 'shop', region text NOT NULL DEFAULT 'none');
    CREATE UNIQUE INDEX a_store_phone ON store (phone);
    CREATE UNIQUE INDEX store_title ON store (lower(title)) WHERE title <> '';
    CREATE UNIQUE INDEX store_small ON store ((upper(phone) || '!')) WHERE code IS NULL AND phone LIKE 'small%';
    CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE UNIQUE INDEX store_any_case ON store (phone COLLATE any_case) WHERE phone IN ('p1', 'P1');
    CREATE UNIQUE INDEX store_region ON store (region, title) WHERE region <> 'none';
    INSERT INTO store VALUES (900, 'depot', 'Depot', 'p900', 'depot', 'north');";

/// Each as it is.
const BY_COLUMNS: Case = Case {
    name: "shops",
    rules: r#"
[migration]
name = "shops"
phase = "legacy_only"

[[table]]
legacy = "public.shops"
unified = "public.store"
key = ["id"]
visible = "kind = 'shop'"
[table.columns]
id = "integer NOT NULL"
code = "text"
name = { type = "text", unified = "title" }
phone = "text"
[table.constants]
kind = "'shop'"
[table.constraints]
shops_code_key = "store_code_key"
shops_name = "store_title"
"#,
    tables: 1,
    also: &[],
    server: "",
    legacy: LEGACY,
    unified: UNIFIED,
};

/// The same, said in steps.
const BY_STEPS: Case = Case {
    rules: r#"
[migration]
name = "shops"
phase = "legacy_only"

[[table]]
legacy = "public.shops"
unified = ["public.store"]
key = ["id"]
columns = "id integer NOT NULL, code text CONSTRAINT shops_code_key UNIQUE, name text, phone text"
read = "SELECT s.id, s.code, s.title AS name, s.phone FROM store s WHERE s.kind = 'shop'"
put = ["""INSERT INTO store (id, code, title, phone) SELECT id, code, name, phone FROM row_image
  ON CONFLICT (id) DO UPDATE SET code = excluded.code, title = excluded.title, phone = excluded.phone"""]
remove = ["DELETE FROM store s USING row_image r WHERE s.id = r.id"]
[table.constraints]
shops_code_key = "store_code_key"
shops_name = "store_title"
"#,
    ..BY_COLUMNS
};

/// What legacy's own unique indexes keep out, and what nothing does; `{n}` is a number of its own.
const ALIKE: [&str; 9] = [
    "INSERT INTO shops VALUES (1, 'n{n}', 'n{n}', 'n{n}') ON CONFLICT DO NOTHING",
    "INSERT INTO shops VALUES ({n}, 'c2', 'n{n}', 'n{n}') ON CONFLICT DO NOTHING RETURNING *",
    "INSERT INTO shops VALUES ({n}, 'n{n}', 'NAME 3', 'n{n}') ON CONFLICT DO NOTHING",
    "INSERT INTO shops VALUES ({n}, 'c2', 'NAME 3', 'p4') ON CONFLICT DO NOTHING",
    "INSERT INTO shops VALUES ({n}, 'c2', 'x{n}', 'p2') ON CONFLICT (code) DO NOTHING",
    "INSERT INTO shops VALUES ({n}, 'n{n}', 'n{n}', 'n{n}'), (2, 'x', 'x', 'x'), ({n}, 'y', 'y', 'y') ON CONFLICT DO NOTHING RETURNING id, code",
    "INSERT INTO shops SELECT id + {n} - 1, 'm' || id || '{n}', 'm' || id || '{n}', 'm' || id || '{n}' FROM shops WHERE id < 4 ON CONFLICT DO NOTHING",
    "WITH w AS (INSERT INTO shops VALUES (1, 'w', 'w', 'w'), ({n} + 5, 'w{n}', 'w{n}', NULL) ON CONFLICT DO NOTHING RETURNING id) SELECT * FROM w",
    "DELETE FROM shops WHERE id > 9",
];

/// What only unified keeps out, and the index by which it does.
const KEPT_OUT: [(&str, &str); 8] = [
    (
        "INSERT INTO shops VALUES ({n}, 'n{n}', 'n{n}', 'P1') ON CONFLICT DO NOTHING",
        "store_any_case",
    ),
    (
        "INSERT INTO shops VALUES ({n}, 'n{n}', 'n{n}', 'p1') ON CONFLICT DO NOTHING",
        "a_store_phone",
    ),
    (
        "INSERT INTO shops VALUES ({n}, 'n{n}', 'n{n}', 'p900') ON CONFLICT DO NOTHING RETURNING *",
        "a_store_phone",
    ),
    (
        "INSERT INTO shops SELECT {n} + x, 'n{n}' || x, 'n{n}' || x, 'p' || x FROM generate_series(1, 8) AS x ON CONFLICT DO NOTHING",
        "a_store_phone",
    ),
    (
        "INSERT INTO shops VALUES ({n}, NULL, 'n{n}', 'small {n}a'), ({n} + 2, NULL, 'k{n}', 'small {n}A') ON CONFLICT DO NOTHING",
        "store_small",
    ),
    (
        "INSERT INTO shops VALUES ({n}, 'depot', 'n{n}', 'n{n}') ON CONFLICT DO NOTHING",
        "store_code_key",
    ),
    (
        "INSERT INTO shops VALUES ({n}, 'depot', 'n{n}', 'n{n}') ON CONFLICT (code) DO NOTHING",
        "store_code_key",
    ),
    (
        "INSERT INTO shops VALUES (900, 'n{n}', 'n{n}', 'n{n}') ON CONFLICT (id) DO NOTHING RETURNING id",
        "store_pkey",
    ),
];

async fn all(twin: &Twin, phase: Phase) {
    let number = (100 + 10 * phase as usize).to_string();
    for sql in ALIKE {
        let sql = sql.replace("{n}", &number);
        twin.same(&sql)
            .await
            .unwrap_or_else(|error| panic!("{phase}: {error}"));
    }
    let insert = "INSERT INTO shops VALUES ($1, $2, $3, $3) ON CONFLICT DO NOTHING RETURNING name";
    for values in [["1", "v", "v"], ["70", "c1", "v"], ["70", "v", "v"]] {
        twin.same_with(insert, &values.map(Some)).await.unwrap();
    }
    twin.same("DELETE FROM shops WHERE id = 70").await.unwrap();
    if phase < Phase::DualRead {
        return;
    }
    let rows = "SELECT * FROM shops ORDER BY id";
    let before = answer(&twin.direct, "SELECT * FROM store ORDER BY id").await;
    for (sql, index) in &KEPT_OUT {
        // A key tells which row it is: while legacy leads, that row is written.
        if *index == "store_pkey" && phase == Phase::DualRead {
            continue;
        }
        let told = answer(&twin.proxied, &sql.replace("{n}", &number)).await;
        // By steps the row would not read back.
        let lost = *index == "store_pkey" && told.starts_with("55000");
        assert!(told.starts_with("23505") || lost, "{phase}: {sql}: {told}");
        if lost {
            continue;
        }
        let known = told.contains(index) || told.contains(&index.replace("store", "shops"));
        assert!(
            known || told.contains("not one that is read"),
            "{phase}: {sql}: {told}"
        );
    }
    let after = answer(&twin.direct, "SELECT * FROM store ORDER BY id").await;
    assert_eq!(after, before, "{phase}");
    twin.same(rows).await.unwrap();
}

async fn in_every_phase(case: Case) {
    let twin = Twin::start(case).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| all(&twin, phase).await)
        .await
        .unwrap();
    // What only unified keeps out is taken, and recorded, as long as it only follows: the rows would differ from then on.
    let said = twin.crossfade("verify").await.unwrap();
    assert!(said.contains("missing 0"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_columns_nothing_is_passed_over_that_legacy_would_have_taken() {
    in_every_phase(BY_COLUMNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_steps_nothing_is_passed_over_that_legacy_would_have_taken() {
    in_every_phase(BY_STEPS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_unified_only_follows_what_it_keeps_out_is_recorded() {
    for case in [BY_COLUMNS, BY_STEPS] {
        let twin = Twin::in_phase(case, Phase::ShadowRead).await.unwrap();
        let insert = "INSERT INTO shops VALUES (50, 'c50', 'fifty', 'p1') ON CONFLICT DO NOTHING RETURNING id";
        twin.same(insert).await.unwrap();
        twin.equal("shops", "shops").await.unwrap();
        let ledger = "SELECT key::text, sqlstate FROM crossfade.divergence ORDER BY 1";
        let told = answer(&twin.superuser().await.unwrap(), ledger).await;
        assert_eq!(told, "(key, sqlstate)\n[\"50\"]|23505\ndone 1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_tells_what_do_nothing_goes_by() {
    // A column of a unique constraint is gone in unified; another index is not named.
    const NARROWER: Case = Case {
        legacy: "CREATE TABLE shops (id integer PRIMARY KEY, code text, name text, phone text, \
              CONSTRAINT shops_code_key UNIQUE (code, name)); \
            CREATE UNIQUE INDEX shops_name ON shops (name); CREATE UNIQUE INDEX shops_phone ON shops (phone)",
        unified: "CREATE TABLE store (id integer PRIMARY KEY, code text CONSTRAINT store_code_key UNIQUE, title text, phone text, \
              kind text NOT NULL DEFAULT 'shop'); \
            CREATE UNIQUE INDEX store_title ON store (title); CREATE UNIQUE INDEX store_phone ON store (phone)",
        ..BY_COLUMNS
    };
    let twin = Twin::start(NARROWER).await.unwrap();
    twin.prepare().await.unwrap();
    let said = twin.crossfade("check").await.unwrap_err().to_string();
    for part in [
        "shops_code_key is btree (code, name), and store_code_key on public.store, which stands for it, btree (code)",
        "the rule file does not say what stands for shops_phone",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("shops_name"), "{said}");
    let said = twin.crossfade("advance").await.unwrap_err().to_string();
    assert!(said.contains("store_code_key"), "{said}");
}
