//! Owners and customers of studios become users with roles: what Prisma sends through every phase and back, each answer
//! compared with that of a database that was left alone, and what becomes of each row that is a case of its own.

use crossfade_tests::twin::{STUDIO_CUSTOMERS, Twin, answer};
use rewrite_rules::Phase;

const TABLES: usize = 6;

/// What the application sends, with its parameters; `{p}` is the phase's number.
const PRISMA: &[(&str, &[Option<&str>])] = &[
    (
        r#"INSERT INTO "public"."studio_owners" ("id","name","email","password","createdAt","updatedAt") VALUES ($1,$2,$3,$4,$5,$6) RETURNING "public"."studio_owners"."id", "public"."studio_owners"."name", "public"."studio_owners"."email", "public"."studio_owners"."emailVerified", "public"."studio_owners"."createdAt""#,
        &[
            Some("o{p}"),
            Some("Owner"),
            Some("o{p}@new"),
            Some("h"),
            Some("2026-01-01"),
            Some("2026-01-01"),
        ],
    ),
    (
        r#"INSERT INTO "public"."customers" ("id","name","email","password","phone","createdAt","updatedAt") VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING "public"."customers"."id", "public"."customers"."phone""#,
        &[
            Some("c{p}"),
            Some("Customer"),
            Some("c{p}@new"),
            Some("h"),
            Some("+49"),
            Some("2026-01-01"),
            Some("2026-01-01"),
        ],
    ),
    // Registered twice.
    (
        r#"INSERT INTO "public"."customers" ("id","name","email","createdAt","updatedAt") VALUES ($1,'x',$2,'2026-01-01','2026-01-01') RETURNING "public"."customers"."id""#,
        &[Some("x{p}"), Some("c{p}@new")],
    ),
    (
        r#"INSERT INTO "public"."studio_owners" ("id","email","createdAt","updatedAt") VALUES ($1,$2,'2026-01-01','2026-01-01') RETURNING "public"."studio_owners"."id""#,
        &[Some("x{p}"), Some("o{p}@new")],
    ),
    (
        r#"INSERT INTO "public"."customers" ("id","name","email","createdAt","updatedAt") VALUES ('c{p}','x','other','2026-01-01','2026-01-01')"#,
        &[],
    ),
    (
        r#"SELECT "public"."studio_owners"."id", "public"."studio_owners"."name", "public"."studio_owners"."email", "public"."studio_owners"."password" FROM "public"."studio_owners" WHERE ("public"."studio_owners"."email" = $1 AND 1=1) LIMIT $2 OFFSET $3"#,
        &[Some("o{p}@new"), Some("1"), Some("0")],
    ),
    (
        r#"UPDATE "public"."customers" SET "emailVerified" = $1, "updatedAt" = $2 WHERE ("public"."customers"."email" = $3 AND 1=1) RETURNING "public"."customers"."id", "public"."customers"."emailVerified""#,
        &[Some("2026-02-02"), Some("2026-02-02"), Some("c{p}@new")],
    ),
    (
        r#"INSERT INTO "public"."bookings" ("id","studioId","serviceId","customerName","customerEmail","customerPhone","preferredDate","preferredTime","message","status","createdAt","updatedAt") VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,CAST($10::text AS "public"."BookingStatus"),$11,$12) RETURNING "public"."bookings"."id""#,
        &[
            Some("bk{p}"),
            Some("st1"),
            None,
            Some("G"),
            Some("g{p}@new"),
            Some(""),
            Some("Monday"),
            Some("9:00"),
            None,
            Some("PENDING"),
            Some("2026-01-01"),
            Some("2026-01-01"),
        ],
    ),
    (
        r#"SELECT "public"."bookings"."id", "public"."bookings"."customerId", "public"."bookings"."customerPhone", "public"."bookings"."explicitHealthConsent", "public"."bookings"."status"::text FROM "public"."bookings" WHERE "public"."bookings"."id" = $1 LIMIT $2 OFFSET $3"#,
        &[Some("bk{p}"), Some("1"), Some("0")],
    ),
    // The guest registers, and the booking is hers.
    (
        r#"INSERT INTO "public"."customers" ("id","name","email","createdAt","updatedAt") VALUES ($1,$2,$3,$4,$5) ON CONFLICT ("email") DO UPDATE SET "name" = $6, "updatedAt" = $7 WHERE ("public"."customers"."email" = $8 AND 1=1) RETURNING "public"."customers"."id", "public"."customers"."name""#,
        &[
            Some("g{p}"),
            Some("G"),
            Some("g{p}@new"),
            Some("2026-01-01"),
            Some("2026-01-01"),
            Some("v"),
            Some("2026-01-01"),
            Some("g{p}@new"),
        ],
    ),
    (
        r#"INSERT INTO "public"."customers" ("id","name","email","createdAt","updatedAt") VALUES ($1,$2,$3,$4,$5) ON CONFLICT ("email") DO UPDATE SET "name" = $6, "updatedAt" = $7 WHERE ("public"."customers"."email" = $8 AND 1=1) RETURNING "public"."customers"."id", "public"."customers"."name""#,
        &[
            Some("again"),
            Some("G"),
            Some("g{p}@new"),
            Some("2026-01-01"),
            Some("2026-01-01"),
            Some("v"),
            Some("2026-01-01"),
            Some("g{p}@new"),
        ],
    ),
    (
        r#"UPDATE "public"."bookings" SET "customerId" = $1, "updatedAt" = $2 WHERE "public"."bookings"."customerEmail" = $3"#,
        &[Some("g{p}"), Some("2026-03-03"), Some("g{p}@new")],
    ),
    (
        r#"SELECT "public"."bookings"."id", "public"."bookings"."customerId" FROM "public"."bookings" WHERE "public"."bookings"."customerId" = $1 ORDER BY "public"."bookings"."createdAt" DESC OFFSET $2"#,
        &[Some("g{p}"), Some("0")],
    ),
    (
        r#"INSERT INTO "public"."_CustomerFavorites" ("A","B") VALUES ($1,$2) ON CONFLICT DO NOTHING"#,
        &[Some("c{p}"), Some("st2")],
    ),
    (
        r#"INSERT INTO "public"."_CustomerFavorites" ("A","B") VALUES ($1,$2) ON CONFLICT DO NOTHING"#,
        &[Some("c{p}"), Some("st2")],
    ),
    (
        r#"SELECT "public"."studios"."id", "t0"."A" AS "CustomerFavorites@Customer" FROM "public"."studios" INNER JOIN "public"."_CustomerFavorites" AS "t0" ON "t0"."B" = "public"."studios"."id" WHERE (1=1 AND "t0"."A" = $1) ORDER BY 1 OFFSET $2"#,
        &[Some("c{p}"), Some("0")],
    ),
    (
        r#"INSERT INTO "public"."accounts" ("id","userId","type","provider","providerAccountId","access_token","expires_at") VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING "public"."accounts"."id", "public"."accounts"."userId""#,
        &[
            Some("a{p}"),
            Some("o{p}"),
            Some("oauth"),
            Some("google"),
            Some("n-{p}"),
            Some("at"),
            Some("1"),
        ],
    ),
    (
        r#"INSERT INTO "public"."accounts" ("id","userId","type","provider","providerAccountId") VALUES ('again','o{p}','oauth','google','n-{p}')"#,
        &[],
    ),
    (
        r#"INSERT INTO "public"."accounts" ("id","userId","type","provider","providerAccountId") VALUES ('again','nobody','oauth','google','x-{p}')"#,
        &[],
    ),
    (
        r#"INSERT INTO "public"."sessions" ("id","sessionToken","userId","expires") VALUES ('s{p}','n-{p}','o{p}','2027-01-01') RETURNING "public"."sessions"."userId""#,
        &[],
    ),
    (
        r#"SELECT "public"."accounts"."id", "public"."accounts"."userId" FROM "public"."accounts" WHERE (("public"."accounts"."provider" = $1 AND "public"."accounts"."providerAccountId" = $2) AND 1=1) LIMIT $3 OFFSET $4"#,
        &[Some("google"), Some("n-{p}"), Some("1"), Some("0")],
    ),
    (
        r#"INSERT INTO "public"."studios" ("id","name","address","city","phone","email","createdAt","updatedAt","ownerId") VALUES ('n{p}','N','n','Ulm','1','n','2026-01-01','2026-01-01','o{p}')"#,
        &[],
    ),
    (
        r#"SELECT "public"."studios"."id", COALESCE("aggr_selection_0_Booking"."_aggr_count_bookings", 0) AS "_aggr_count_bookings" FROM "public"."studios" LEFT JOIN (SELECT "public"."bookings"."studioId", COUNT(*) AS "_aggr_count_bookings" FROM "public"."bookings" WHERE 1=1 GROUP BY "public"."bookings"."studioId") AS "aggr_selection_0_Booking" ON ("public"."studios"."id" = "aggr_selection_0_Booking"."studioId") WHERE "public"."studios"."ownerId" IN ($1, $2) ORDER BY "public"."studios"."id" OFFSET $3"#,
        &[Some("own1"), Some("o{p}"), Some("0")],
    ),
    (
        r#"SELECT COUNT(*) AS "_count$_all" FROM (SELECT "public"."bookings"."id" FROM "public"."bookings" WHERE 1=1 OFFSET $1) AS "sub""#,
        &[Some("0")],
    ),
    (
        r#"SELECT COUNT(*) AS "_count$_all", "public"."bookings"."status"::text FROM "public"."bookings" WHERE 1=1 GROUP BY "public"."bookings"."status" ORDER BY 2 OFFSET $1"#,
        &[Some("0")],
    ),
    (
        r#"UPDATE "public"."bookings" SET "status" = CAST($1::text AS "public"."BookingStatus"), "updatedAt" = $2 WHERE ("public"."bookings"."id" = $3 AND 1=1) RETURNING "public"."bookings"."id", "public"."bookings"."status"::text"#,
        &[Some("CONFIRMED"), Some("2026-03-03"), Some("bk{p}")],
    ),
];

/// What else is asked of the tables, as texts.
const OTHERS: &[&str] = &[
    // An owner with a customer's e-mail, and a customer with an owner's; the phone is the customer's.
    "INSERT INTO studio_owners (id, name, email, password, \"emailVerified\", \"createdAt\", \"updatedAt\") \
     VALUES ('oc{p}', 'Customer', 'c{p}@new', 'h', '2026-02-02', '2026-01-01', '2026-02-02') RETURNING id, email",
    "UPDATE customers SET phone = '+49 2' WHERE id = 'c{p}' RETURNING id, email, phone",
    "UPDATE studio_owners SET name = name, image = NULL WHERE id = 'oc{p}' RETURNING id, email, name, image",
    "SELECT o.id, c.id, c.phone FROM studio_owners o JOIN customers c USING (email) ORDER BY 1",
    // Neither sees what only the other is.
    "SELECT id FROM studio_owners ORDER BY id",
    "SELECT id, email, phone FROM customers ORDER BY id",
    // Another e-mail of one of the two, with what refers to him.
    "UPDATE customers SET email = 'moved{p}@new' WHERE id = 'c{p}' RETURNING id, email",
    "SELECT * FROM \"_CustomerFavorites\" ORDER BY 1, 2",
    "UPDATE studio_owners SET email = 'g{p}@new' WHERE id = 'o{p}' RETURNING id, email",
    "SELECT \"userId\", id FROM accounts ORDER BY id",
    "SELECT \"userId\", id, \"sessionToken\" FROM sessions ORDER BY id",
    "SELECT id, \"ownerId\" FROM studios ORDER BY id",
    "SELECT id, \"customerId\", \"customerEmail\" FROM bookings ORDER BY id",
    // Other ids.
    "UPDATE customers SET id = 'C{p}' WHERE id = 'c{p}'",
    "UPDATE studio_owners SET id = 'O{p}' WHERE id = 'o{p}'",
    "UPDATE \"_CustomerFavorites\" SET \"B\" = 'st3' WHERE \"A\" = 'C{p}'",
    "SELECT * FROM \"_CustomerFavorites\" ORDER BY 1, 2",
    "SELECT \"userId\", id FROM accounts ORDER BY id",
    "SELECT id, \"ownerId\" FROM studios ORDER BY id",
    "UPDATE studios SET \"ownerId\" = 'own3' WHERE id = 'n{p}'",
    // Who goes takes along what foreign keys say.
    "DELETE FROM customers WHERE id = 'g{p}' RETURNING id, email",
    "DELETE FROM customers WHERE id = 'C{p}'",
    "SELECT id, \"customerId\" FROM bookings WHERE id = 'bk{p}'",
    "DELETE FROM \"public\".\"bookings\" WHERE (\"public\".\"bookings\".\"id\" = 'bk{p}' AND 1=1) RETURNING \"public\".\"bookings\".\"id\", \"public\".\"bookings\".\"customerEmail\"",
    "UPDATE studios SET \"ownerId\" = 'O{p}' WHERE id = 'n{p}'",
    "DELETE FROM studio_owners WHERE id = 'O{p}' RETURNING id, email",
    "SELECT id, \"ownerId\" FROM studios ORDER BY id",
    "SELECT id FROM accounts ORDER BY id",
    "SELECT id FROM sessions ORDER BY id",
    "SELECT * FROM \"_CustomerFavorites\" ORDER BY 1, 2",
];

/// Ownerships are those of the studios.
const OWNERSHIPS: &str = "SELECT count(*) FROM studios s FULL JOIN (SELECT o.\"studioId\", a.\"ownerId\" FROM studio_ownership o \
    JOIN user_role_assignments a ON a.\"userId\" = o.\"userId\" AND a.\"ownerId\" IS NOT NULL) AS o ON o.\"studioId\" = s.id \
    WHERE s.\"ownerId\" IS DISTINCT FROM o.\"ownerId\"";

/// What is to be done before legacy is left behind.
const TURNED: &str = "ALTER TABLE studios DROP CONSTRAINT \"studios_ownerId_fkey\", ADD CONSTRAINT \"studios_ownerId_fkey\" \
    FOREIGN KEY (\"ownerId\") REFERENCES user_role_assignments (\"ownerId\") ON DELETE CASCADE ON UPDATE CASCADE";

async fn application(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for (sql, values) in PRISMA {
        let values: Vec<Option<String>> = values
            .iter()
            .map(|value| value.map(|value| value.replace("{p}", &number)))
            .collect();
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        let asked = twin.same_with(&sql.replace("{p}", &number), &values).await;
        asked.unwrap_or_else(|error| panic!("{phase}: {error}"));
    }
    for sql in OTHERS {
        let asked = twin.same(&sql.replace("{p}", &number)).await;
        asked.unwrap_or_else(|error| panic!("{phase}: {error}"));
    }
}

async fn owned_as_said(twin: &Twin) {
    let found = answer(&twin.direct, OWNERSHIPS).await;
    assert_eq!(found, "(count)\n0\ndone 1");
}

/// The tables of the side that the application is answered from when legacy leads.
async fn legacy_is_right(twin: &Twin) {
    for table in [
        "studio_owners",
        "customers",
        "accounts",
        "sessions",
        "studios",
        "bookings",
        "\"_CustomerFavorites\"",
    ] {
        twin.equal(table, table).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn studios_go_through_every_phase_and_back() {
    let twin = Twin::start(STUDIO_CUSTOMERS).await.unwrap();
    twin.prepare().await.unwrap();
    application(&twin, Phase::LegacyOnly).await;
    twin.advance(Phase::DualWrite).await.unwrap();
    application(&twin, Phase::DualWrite).await;
    twin.crossfade("backfill").await.unwrap();
    twin.verified(TABLES).await;
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
        application(&twin, phase).await;
        legacy_is_right(&twin).await;
        owned_as_said(&twin).await;
        twin.verified(TABLES).await;
    }
    twin.direct.batch_execute(TURNED).await.unwrap();
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    application(&twin, Phase::UnifiedOnly).await;
    owned_as_said(&twin).await;
    twin.crossfade("rollback").await.unwrap();
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(TABLES).await;
    legacy_is_right(&twin).await;
    for _ in [
        Phase::DualRead,
        Phase::ShadowRead,
        Phase::DualWrite,
        Phase::LegacyOnly,
    ] {
        twin.crossfade("rollback").await.unwrap();
    }
    legacy_is_right(&twin).await;
}

/// The rows of a query of the migrated database.
async fn rows(twin: &Twin, sql: &str) -> Vec<String> {
    let said = answer(&twin.direct, sql).await;
    assert!(said.contains("done "), "{sql}: {said}");
    let rows = said
        .lines()
        .filter(|line| !line.starts_with('(') && !line.starts_with("done "));
    rows.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_edge_row_becomes_what_the_rule_says() {
    let twin = Twin::in_phase(STUDIO_CUSTOMERS, Phase::DualWrite)
        .await
        .unwrap();
    // The owner's name, password and verification, and the customer's phone; ids and passwords that may be missing.
    let users = rows(
        &twin,
        "SELECT id, email, name, password, phone, \"primaryRole\", \"emailVerified\"::date, \"createdAt\"::date FROM users \
         WHERE email NOT IN ('same-customer@x', 'friend@x', 'guest@x') ORDER BY id",
    )
    .await;
    let expected = [
        "cus2|anna@x|Anna|c2||CUSTOMER|∅|2024-01-01",
        "cus3|Anna@x|Other case|c3|∅|CUSTOMER|∅|2024-01-01",
        "cus4|bert@x|Bert|c4|+49 4|CUSTOMER|∅|2024-01-01",
        "own1|both@x|Both as owner|owner-hash|+49 1|STUDIO_OWNER|2025-01-02|2025-01-01",
        "own2|oauth@x|By OAuth|∅|∅|STUDIO_OWNER|∅|2025-01-01",
        "own3|noname@x|∅|h3|∅|STUDIO_OWNER|∅|2025-01-01",
        "own4|nostudio@x|No studio|h4|∅|STUDIO_OWNER|∅|2025-01-01",
        "same|same-owner@x|Same id, owner|h5|∅|STUDIO_OWNER|∅|2025-01-01",
    ];
    assert_eq!(users, expected);
    // One id of two people: one of them has another user's, and both are found by it.
    let same = "SELECT u.email, a.role, u.id = 'same' FROM users u JOIN user_role_assignments a ON a.\"userId\" = u.id \
                WHERE a.\"legacyId\" = 'same' ORDER BY 1";
    assert_eq!(
        rows(&twin, same).await,
        ["same-customer@x|CUSTOMER|f", "same-owner@x|STUDIO_OWNER|t"]
    );
    // A merged customer's id leads to the user, for what refers to it as well.
    let merged = "SELECT a.\"legacyId\", a.own, (SELECT string_agg(f.\"A\", ' ' ORDER BY f.\"A\") FROM \"_UserFavorites\" f WHERE f.\"B\" = a.\"userId\") \
                  FROM user_role_assignments a WHERE a.\"userId\" = 'own1' ORDER BY 1";
    assert_eq!(
        rows(&twin, merged).await,
        ["cus1|f|st1 st2", "own1|t|st1 st2"]
    );
    // Bookings are their e-mail's, and keep what they said; of a guest there is one.
    let bookings = "SELECT b.id, u.email, k.customer_id, b.\"customerPhone\", a.\"grantedBy\", a.\"legacyId\" FROM new_bookings b \
                    JOIN users u ON u.id = b.\"customerId\" JOIN booking_customers k ON k.booking_id = b.id \
                    JOIN user_role_assignments a ON a.\"userId\" = u.id AND a.role = 'CUSTOMER' ORDER BY 1";
    let expected = [
        "b1|anna@x|cus2|1|SYSTEM_MIGRATION|cus2",
        "b2|friend@x|cus2||GUEST_BOOKING|∅",
        "b3|bert@x|∅|4|SYSTEM_MIGRATION|cus4",
        "b4|guest@x|∅|5|GUEST_BOOKING|∅",
        "b5|guest@x|∅|5|GUEST_BOOKING|∅",
        "b6|both@x|cus1|6|SYSTEM_MIGRATION|cus1",
    ];
    assert_eq!(rows(&twin, bookings).await, expected);
    // A studio of nobody's has no ownership, the others one.
    let owned = "SELECT \"studioId\", \"userId\", \"canTransfer\", \"invitedBy\" FROM studio_ownership ORDER BY 1";
    let expected = [
        "st1|own1|t|SYSTEM_MIGRATION",
        "st2|own2|t|SYSTEM_MIGRATION",
        "st4|same|t|SYSTEM_MIGRATION",
    ];
    assert_eq!(rows(&twin, owned).await, expected);
    let accounts = "SELECT id, \"userId\" FROM new_accounts UNION ALL SELECT id, \"userId\" FROM new_sessions ORDER BY 1";
    assert_eq!(
        rows(&twin, accounts).await,
        ["acc1|own2", "ses1|own2", "ses2|own1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_role_goes_and_the_other_stays() {
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let twin = Twin::in_phase(STUDIO_CUSTOMERS, phase).await.unwrap();
        // The customer, with favourites and bookings; the owner keeps what is the owner's.
        twin.same("DELETE FROM customers WHERE id = 'cus1'")
            .await
            .unwrap();
        let left = "SELECT u.id, u.name, u.phone, u.\"primaryRole\", (SELECT string_agg(role::text, ' ') FROM user_role_assignments a \
                    WHERE a.\"userId\" = u.id), (SELECT count(*) FROM new_bookings b WHERE b.\"customerId\" = u.id) FROM users u \
                    WHERE email = 'both@x'";
        assert_eq!(
            rows(&twin, left).await,
            ["own1|Both as owner|∅|STUDIO_OWNER|STUDIO_OWNER|1"],
            "{phase}"
        );
        twin.same("SELECT id, \"customerId\" FROM bookings ORDER BY id")
            .await
            .unwrap();
        // A customer with a booking: the user stays as a guest.
        twin.same("DELETE FROM customers WHERE id = 'cus2'")
            .await
            .unwrap();
        let guest = "SELECT count(*), (SELECT count(*) FROM new_bookings WHERE \"customerId\" = min(u.id)) FROM users u WHERE email = 'anna@x'";
        assert_eq!(rows(&twin, guest).await, ["1|1"], "{phase}");
        // The owner comes back as a customer, and goes as an owner, with the studio.
        let insert = "INSERT INTO customers (id, name, email, \"createdAt\", \"updatedAt\") VALUES ('back', 'Both as owner', 'both@x', \
                      '2025-01-01', '2025-02-01') RETURNING id";
        twin.same(insert).await.unwrap();
        twin.same("DELETE FROM studio_owners WHERE id = 'own1'")
            .await
            .unwrap();
        assert_eq!(
            rows(&twin, left).await,
            ["own1|Both as owner|∅|CUSTOMER|CUSTOMER|0"],
            "{phase}"
        );
        twin.same("SELECT id, email FROM customers ORDER BY id")
            .await
            .unwrap();
        twin.same("SELECT id FROM studios ORDER BY id")
            .await
            .unwrap();
        twin.verified(TABLES).await;
    }
}

/// What the new application writes reaches the tables that the old one knows.
#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_new_application_are_there_for_the_old_one() {
    for phase in [Phase::DualRead, Phase::UnifiedRead] {
        let twin = Twin::in_phase(STUDIO_CUSTOMERS, phase).await.unwrap();
        let told = async |sql: &str| answer(&twin.proxied, sql).await;
        for sql in [
            "INSERT INTO users (id, email, name, \"updatedAt\") VALUES ('u1', 'u1@x', 'New', '2026-01-01')",
            "INSERT INTO user_role_assignments (id, \"userId\", role, \"grantedBy\") VALUES ('r1', 'u1', 'CUSTOMER', 'OAUTH_SIGNUP')",
            // A second row of one role, as NULLs let it in: one customer.
            "INSERT INTO user_role_assignments (id, \"userId\", role) VALUES ('r2', 'u1', 'CUSTOMER')",
            "INSERT INTO user_role_assignments (id, \"userId\", role) VALUES ('r3', 'own4', 'CUSTOMER')",
            "INSERT INTO new_bookings (id, \"studioId\", \"customerId\", \"customerName\", \"customerEmail\", \"preferredDate\", \
             \"preferredTime\", \"updatedAt\") VALUES ('nb1', 'st1', 'u1', 'New', 'u1@x', 'Monday', '9:00', '2026-01-01')",
            "INSERT INTO \"_UserFavorites\" (\"A\", \"B\") VALUES ('st3', 'u1')",
            "INSERT INTO studio_ownership (id, \"userId\", \"studioId\") VALUES ('w1', 'own4', 'st3')",
            // The user's own name, under both roles.
            "UPDATE users SET email = 'renamed@x', phone = '7' WHERE id = 'own1'",
        ] {
            let said = told(sql).await;
            assert_eq!(said, "done 1", "{phase}: {sql}");
        }
        let customers = "SELECT id, email, name, phone FROM customers WHERE id IN ('u1', 'own4', 'cus1') ORDER BY id";
        let expected = [
            "cus1|renamed@x|Both as customer|7",
            "own4|nostudio@x|No studio|∅",
            "u1|u1@x|New|∅",
        ];
        assert_eq!(rows(&twin, customers).await, expected, "{phase}");
        let owner = "SELECT email FROM studio_owners WHERE id = 'own1' UNION ALL SELECT \"ownerId\" FROM studios WHERE id = 'st3' \
                     UNION ALL SELECT \"customerId\" FROM bookings WHERE id = 'nb1' \
                     UNION ALL SELECT \"B\" FROM \"_CustomerFavorites\" WHERE \"A\" = 'u1'";
        assert_eq!(
            rows(&twin, owner).await,
            ["own4", "renamed@x", "st3", "u1"],
            "{phase}"
        );
        twin.verified(TABLES).await;
        // One of the two roles, and then the user.
        assert_eq!(
            told("DELETE FROM user_role_assignments WHERE id = 'r3'").await,
            "done 1"
        );
        let gone = "SELECT count(*) FROM customers WHERE id = 'own4' UNION ALL SELECT count(*) FROM studio_owners WHERE id = 'own4'";
        assert_eq!(rows(&twin, gone).await, ["0", "1"], "{phase}");
        twin.verified(TABLES).await;
    }
}

/// What is lost by nature is declared, and told before the first step.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_merge_loses_is_told_before_it_begins() {
    let twin = Twin::start(STUDIO_CUSTOMERS).await.unwrap();
    twin.prepare().await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    assert!(said.contains(" 0 errors"), "{said}");
    for column in ["name", "password", "createdAt"] {
        let told = format!("column {column} of 1 of the tried rows is lost");
        assert!(said.contains(&told), "{column}: {said}");
    }
}
