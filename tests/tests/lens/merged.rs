//! `admins` and `members` become `people`, where an admin and a member of one e-mail are one person: through every phase and
//! back, each answer compared with that of a database that was left alone.

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::generate::Choices;
use crossfade_tests::newer;
use crossfade_tests::twin::{MERGED, Twin, answer};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

/// The tables as unified has them, without the name, which is one person's.
const ADMINS: &str = "(SELECT k.legacy_id AS id, p.email, p.level FROM admin_ids k JOIN people p ON p.id = k.person_id)";
const MEMBERS: &str = "(SELECT k.legacy_id AS id, p.email, p.points, p.joined FROM member_ids k JOIN people p ON p.id = k.person_id)";
const OLD_ADMINS: &str = "(SELECT id, email, level FROM admins)";
const OLD_MEMBERS: &str = "(SELECT id, email, points, joined FROM members)";

/// What the old application sends; `{p}` is the phase's number.
const STATEMENTS: &[&str] = &[
    "INSERT INTO admins (email, name) VALUES ('a{p}@new', 'A') RETURNING id, email, level",
    "INSERT INTO members (email, name, points) VALUES ('b{p}@new', 'B', 5) RETURNING id, email, points, joined",
    // The same person, either way.
    "INSERT INTO members (email, name) VALUES ('a{p}@new', 'A too') RETURNING id, email",
    "INSERT INTO admins (email, name, level) VALUES ('b{p}@new', 'B too', 7) RETURNING id, level",
    // Taken within one table, though not in the other.
    "INSERT INTO admins (email, name) VALUES ('a{p}@new', 'again')",
    "INSERT INTO members (email, name) VALUES ('b{p}@new', 'again')",
    "UPDATE members SET email = 'a{p}@new' WHERE email = 'b{p}@new'",
    "INSERT INTO members (email, name) VALUES ('a{p}@new', 'again') ON CONFLICT DO NOTHING",
    "INSERT INTO admins (email, name) VALUES ('a{p}@new', 'A') ON CONFLICT (email) DO UPDATE SET level = 3 RETURNING level",
    // What only one of them has.
    "UPDATE admins SET level = level + 1 WHERE email IN ('a{p}@new', 'b{p}@new', 'p1@x') RETURNING id, level",
    "UPDATE members SET points = points * 2, joined = '2026-02-02' WHERE email IN ('a{p}@new', 'p1@x') RETURNING id, points, joined",
    "UPDATE admins SET (level, email) = (9, email) WHERE email = 'p2@x'",
    // Rows of one number are two rows.
    "SELECT a.id, a.email, m.email FROM admins a JOIN members m ON m.id = a.id WHERE a.id < 6 ORDER BY 1",
    "SELECT email, level, points FROM admins JOIN members USING (email) ORDER BY email",
    // One of the two goes elsewhere, comes to another, and back.
    "UPDATE members SET email = 'c{p}@new' WHERE email = 'a{p}@new' RETURNING id, email",
    "SELECT email, level FROM admins WHERE email LIKE '_{p}@new' ORDER BY email",
    "SELECT email, points, joined FROM members WHERE email LIKE '_{p}@new' ORDER BY email",
    "UPDATE members SET email = 'p{p}@x' WHERE email = 'p{p}@x' OR email = 'nobody' RETURNING email",
    "UPDATE admins SET email = 'c{p}@new' WHERE email = 'b{p}@new' RETURNING id, email, level",
    "UPDATE admins SET email = 'b{p}@new' WHERE email = 'c{p}@new' RETURNING id, email, level",
    "UPDATE admins SET email = upper(email) WHERE email = 'a{p}@new' RETURNING email",
    // One goes, the other stays; then another comes in its place.
    "DELETE FROM admins WHERE email = 'b{p}@new' RETURNING id, email, level",
    "SELECT email, points FROM members WHERE email = 'b{p}@new'",
    "INSERT INTO admins (email, name) VALUES ('b{p}@new', 'B three') RETURNING email, level",
    "DELETE FROM members WHERE email = 'b{p}@new' RETURNING id, email, points",
    "SELECT email, level FROM admins WHERE email = 'b{p}@new'",
    // Keys.
    "UPDATE members SET id = id + 1000 WHERE email = 'c{p}@new' RETURNING email",
    "UPDATE admins SET id = id + 1000 WHERE email = 'A{p}@NEW'",
    "SELECT id, email, level FROM admins ORDER BY id",
    "SELECT id, email, points, joined FROM members ORDER BY id",
    "SELECT count(*), count(DISTINCT email) FROM (SELECT email FROM admins UNION ALL SELECT email FROM members) AS all_of_them",
    "SELECT a.id, m.id FROM admins a JOIN members m USING (email) WHERE email = 'p1@x' FOR UPDATE",
    "BEGIN; LOCK TABLE members IN SHARE MODE; LOCK TABLE admins IN SHARE MODE; ROLLBACK",
    "BEGIN; TRUNCATE members; SELECT (SELECT count(*) FROM members), (SELECT count(*) FROM admins); ROLLBACK",
    "BEGIN; TRUNCATE admins, members; SELECT (SELECT count(*) FROM members), (SELECT count(*) FROM admins); ROLLBACK",
];

/// What the new application sends, and what it means to the old tables.
const NEW: &[(&str, &str)] = &[
    (
        "UPDATE people SET level = 20 + level, points = points + 1 WHERE email = 'p3@x'",
        "UPDATE admins SET level = 20 + level WHERE email = 'p3@x'; UPDATE members SET points = points + 1 WHERE email = 'p3@x'",
    ),
    (
        "UPDATE people SET email = email || '.{p}' WHERE email LIKE 'p4@x%'",
        "UPDATE admins SET email = email || '.{p}' WHERE email LIKE 'p4@x%'; UPDATE members SET email = email || '.{p}' WHERE email LIKE 'p4@x%'",
    ),
    (
        "INSERT INTO people (email, name) VALUES ('fresh{p}@x', 'Fresh')",
        "SELECT",
    ),
    (
        "INSERT INTO people (email, name) VALUES ('p5@x', 'x') ON CONFLICT (email) DO UPDATE SET points = 50, level = 5",
        "UPDATE members SET points = 50 WHERE email = 'p5@x'; UPDATE admins SET level = 5 WHERE email = 'p5@x'",
    ),
    (
        "WITH gone AS (DELETE FROM people WHERE email = 'A{p}@NEW' RETURNING id) SELECT count(*) FROM gone",
        "DELETE FROM admins WHERE email = 'A{p}@NEW'",
    ),
];

async fn sides(twin: &Twin, phase: Phase) {
    if phase.writes_both() || phase == Phase::LegacyOnly {
        twin.equal(OLD_ADMINS, OLD_ADMINS).await.unwrap();
        twin.equal(OLD_MEMBERS, OLD_MEMBERS).await.unwrap();
    }
    if phase != Phase::LegacyOnly {
        twin.equal(OLD_ADMINS, ADMINS).await.unwrap();
        twin.equal(OLD_MEMBERS, MEMBERS).await.unwrap();
    }
    let kinds = "SELECT count(*) FROM people p WHERE kind <> CASE \
        WHEN NOT EXISTS (SELECT FROM admin_ids k WHERE k.person_id = p.id) THEN 'member' \
        WHEN EXISTS (SELECT FROM member_ids k WHERE k.person_id = p.id) THEN 'both' ELSE 'admin' END";
    assert_eq!(answer(&twin.direct, kinds).await, "(count)\n0\ndone 1");
}

async fn old_application(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in STATEMENTS {
        let sql = sql.replace("{p}", &number);
        let asked = twin.same(&sql).await;
        asked.unwrap_or_else(|error| panic!("{phase}: {error}"));
    }
}

async fn both_applications(twin: &Twin, phase: Phase) {
    old_application(twin, phase).await;
    let number = (phase as usize).to_string();
    for (new, old) in NEW {
        let (new, old) = (new.replace("{p}", &number), old.replace("{p}", &number));
        let told = answer(&twin.proxied, &new).await;
        assert!(told.contains("done 1"), "{phase}: {new}: {told}");
        twin.alone.batch_execute(&old).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tables_become_one_and_two_again() {
    let twin = Twin::start(MERGED).await.unwrap();
    twin.prepare().await.unwrap();
    old_application(&twin, Phase::LegacyOnly).await;
    let checked = twin.crossfade("check").await.unwrap();
    assert!(!checked.contains("reads differently"), "{checked}");
    twin.advance(Phase::DualWrite).await.unwrap();
    twin.crossfade("backfill").await.unwrap();
    twin.verified(2).await;
    for phase in [
        Phase::DualWrite,
        Phase::ShadowRead,
        Phase::DualRead,
        Phase::UnifiedRead,
    ] {
        if phase > Phase::DualWrite {
            twin.advance(phase).await.unwrap();
        }
        both_applications(&twin, phase).await;
        sides(&twin, phase).await;
        twin.verified(2).await;
    }
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    both_applications(&twin, Phase::UnifiedOnly).await;
    sides(&twin, Phase::UnifiedOnly).await;
    // And all the way back, with what unified took alone.
    twin.crossfade("rollback").await.unwrap();
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(2).await;
    for phase in [
        Phase::DualRead,
        Phase::ShadowRead,
        Phase::DualWrite,
        Phase::LegacyOnly,
    ] {
        twin.crossfade("rollback").await.unwrap();
        sides(&twin, phase).await;
        let sql = "UPDATE admins SET level = level + 1 WHERE email = 'p1@x' RETURNING level";
        twin.same(sql).await.unwrap();
        twin.same("UPDATE members SET points = points + 1 WHERE email = 'p1@x' RETURNING points")
            .await
            .unwrap();
    }
    twin.equal(OLD_ADMINS, OLD_ADMINS).await.unwrap();
    twin.equal(OLD_MEMBERS, OLD_MEMBERS).await.unwrap();
}

/// Writes before the rows are copied, which then meet what they made.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_copied_yet_meet_those_that_are_written() {
    let twin = Twin::start(MERGED).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    old_application(&twin, Phase::DualWrite).await;
    twin.advance(Phase::ShadowRead).await.unwrap();
    old_application(&twin, Phase::ShadowRead).await;
    twin.crossfade("backfill").await.unwrap();
    twin.verified(2).await;
    sides(&twin, Phase::ShadowRead).await;
}

async fn names(twin: &Twin) -> String {
    let sql = "SELECT (SELECT name FROM admins WHERE email = 'p1@x'), (SELECT name FROM members WHERE email = 'p1@x'), \
               (SELECT name FROM people WHERE email = 'p1@x') ORDER BY 1";
    let said = answer(&twin.direct, sql).await;
    said.lines().nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_is_that_of_who_came_first_and_each_legacy_row_keeps_its_own() {
    let twin = Twin::in_phase(MERGED, Phase::DualWrite).await.unwrap();
    assert_eq!(names(&twin).await, "Admin 1|Member 11|Admin 1");
    for sql in [
        "UPDATE admins SET name = 'Chief' WHERE email = 'p1@x'",
        "UPDATE members SET name = 'Mate' WHERE email = 'p1@x'",
    ] {
        twin.same(sql).await.unwrap();
    }
    assert_eq!(names(&twin).await, "Chief|Mate|Chief");
    // Under the new name it follows where it is told.
    answer(
        &twin.proxied,
        "UPDATE people SET name = 'One' WHERE email = 'p1@x'",
    )
    .await;
    assert_eq!(names(&twin).await, "One|Mate|One");
    twin.verified(2).await;
    twin.advance(Phase::ShadowRead).await.unwrap();
    twin.advance(Phase::DualRead).await.unwrap();
    // By nature there is one name.
    let read =
        "SELECT a.name, m.name FROM admins a JOIN members m USING (email) WHERE email = 'p1@x'";
    let said = answer(&twin.proxied, read).await;
    assert!(said.contains("One|One"), "{said}");
    // Who is left has the person alone.
    twin.same("DELETE FROM admins WHERE email = 'p1@x'")
        .await
        .unwrap();
    assert_eq!(names(&twin).await, "∅|Mate|One");
    twin.same("UPDATE members SET name = 'Alone' WHERE email = 'p1@x'")
        .await
        .unwrap();
    assert_eq!(names(&twin).await, "∅|Alone|Alone");
    twin.verified(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_directions_take_their_locks_in_one_order() {
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let twin = Twin::in_phase(MERGED, phase).await.unwrap();
        let watcher = twin.superuser().await.unwrap();
        let old = twin.another().await.unwrap();
        let new = pid(&twin.proxied).await.unwrap();
        // In the order of the rule file, as the statement under the new name has it.
        let first = answer(
            &old,
            "BEGIN; UPDATE admins SET level = 40 WHERE email = 'p2@x'",
        )
        .await;
        let (under_new, under_old) = tokio::join!(
            answer(
                &twin.proxied,
                "UPDATE people SET email = 'moved@x' WHERE email = 'p2@x'"
            ),
            async {
                until_blocked(&watcher, new).await.unwrap();
                let said =
                    answer(&old, "UPDATE members SET points = 41 WHERE email = 'p2@x'").await;
                answer(&old, "COMMIT").await;
                said
            }
        );
        let told = [first.as_str(), &under_old, &under_new];
        assert_eq!(told, ["done 0\ndone 1", "done 1", "done 1"], "{phase}");
        let rows = "SELECT a.level, m.points FROM admins a JOIN members m USING (email) WHERE email = 'moved@x'";
        let said = answer(&twin.direct, rows).await;
        assert!(said.contains("40|41"), "{phase}: {said}");
        twin.verified(2).await;
    }
}

/// What the old application may send, of few e-mails, so that rows meet.
fn any_write(choices: &mut Choices) -> String {
    let (table, column) = choices.pick(&[("admins", "level"), ("members", "points")]);
    let (one, other) = (choices.below(8), choices.below(8));
    let value = choices.below(100);
    let insert =
        format!("INSERT INTO {table} (email, name, {column}) VALUES ('e{one}@x', 'N', {value})");
    match choices.below(9) {
        0 | 1 => format!("{insert} RETURNING id, email, {column}"),
        2 => format!(
            "{insert} ON CONFLICT (email) DO UPDATE SET {column} = {table}.{column} + 1 RETURNING id, {column}"
        ),
        3 => format!("{insert} ON CONFLICT DO NOTHING RETURNING id"),
        4 => format!(
            "UPDATE {table} SET email = 'e{other}@x' WHERE email = 'e{one}@x' RETURNING id, email, {column}"
        ),
        5 => format!(
            "UPDATE {table} SET {column} = {value}, name = 'N' WHERE email = 'e{one}@x' RETURNING id, {column}"
        ),
        6 => format!("DELETE FROM {table} WHERE email = 'e{one}@x' RETURNING id, email, {column}"),
        7 => format!("UPDATE {table} SET id = id + 1000 WHERE email = 'e{one}@x' RETURNING email"),
        _ => format!(
            "WITH a AS (UPDATE admins SET level = {value} WHERE email = 'e{one}@x' RETURNING email), \
             m AS (DELETE FROM members WHERE email = 'e{other}@x' RETURNING email) \
             SELECT (SELECT email FROM a), (SELECT email FROM m)"
        ),
    }
}

/// A transaction, or one write alone.
fn any_transaction(choices: &mut Choices) -> Vec<String> {
    if choices.chance(70) {
        return vec![any_write(choices)];
    }
    let mut all = vec!["BEGIN".to_owned()];
    for _ in 0..=choices.below(4) {
        all.push(any_write(choices));
        if choices.chance(30) {
            all.extend(["SAVEPOINT s".to_owned(), any_write(choices)]);
            all.push(choices.pick(&["ROLLBACK TO s", "RELEASE s"]).to_owned());
        }
    }
    all.push(choices.pick(&["COMMIT", "ROLLBACK"]).to_owned());
    all
}

/// `CROSSFADE_SEED` begins otherwise, `CROSSFADE_MERGED_WRITES` says how many transactions in each phase.
#[tokio::test(flavor = "multi_thread")]
async fn random_writes_of_both_tables_are_answered_alike() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("CROSSFADE_SEED").unwrap_or(1);
    let writes = number("CROSSFADE_MERGED_WRITES").unwrap_or(40);
    let mut choices = Choices::seeded(15, seed);
    let twin = Twin::start(MERGED).await.unwrap();
    // One name, which nobody loses.
    for client in [&twin.alone, &twin.direct] {
        let one = "UPDATE admins SET name = 'N'; UPDATE members SET name = 'N'";
        client.batch_execute(one).await.unwrap();
    }
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for _ in 0..writes {
            for sql in any_transaction(&mut choices) {
                let asked = twin.same(&sql).await;
                asked.unwrap_or_else(|error| panic!("CROSSFADE_SEED={seed} {phase}: {error}"));
            }
            let (email, value) = (choices.below(8), choices.below(100));
            if phase > Phase::DualWrite && choices.chance(20) {
                let new = format!(
                    "UPDATE people SET level = {value}, points = {value} WHERE email = 'e{email}@x'"
                );
                let old = format!(
                    "UPDATE admins SET level = {value} WHERE email = 'e{email}@x'; \
                     UPDATE members SET points = {value} WHERE email = 'e{email}@x'"
                );
                twin.proxied.batch_execute(&new).await.unwrap();
                twin.alone.batch_execute(&old).await.unwrap();
            }
        }
        if phase > Phase::DualWrite {
            sides(&twin, phase).await;
        }
        if phase > Phase::DualWrite && phase.writes_both() {
            twin.verified(2).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_names_live_on_when_their_tables_are_gone() {
    let twin = Twin::in_phase(MERGED, Phase::UnifiedOnly).await.unwrap();
    twin.advance(Phase::Retired).await.unwrap();
    let operator = twin.superuser().await.unwrap();
    for table in ["admins", "members"] {
        let gone = format!("ALTER SEQUENCE {table}_id_seq OWNED BY NONE; DROP TABLE {table}");
        operator
            .batch_execute(&format!(
                "ALTER TABLE {table} ALTER id DROP DEFAULT; {gone}"
            ))
            .await
            .unwrap();
    }
    old_application(&twin, Phase::Retired).await;
    twin.equal(OLD_ADMINS, ADMINS).await.unwrap();
    twin.equal(OLD_MEMBERS, MEMBERS).await.unwrap();
}

/// Two rows that come at once are one person.
#[tokio::test(flavor = "multi_thread")]
async fn an_admin_and_a_member_who_come_at_once_are_one() {
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let twin = Twin::in_phase(MERGED, phase).await.unwrap();
        let watcher = twin.superuser().await.unwrap();
        let other = twin.another().await.unwrap();
        let waits = pid(&other).await.unwrap();
        let insert =
            |table: &str| format!("INSERT INTO {table} (email, name) VALUES ('at@once', 'One')");
        let first = answer(&twin.proxied, &format!("BEGIN; {}", insert("admins"))).await;
        let member = insert("members");
        let (second, ()) = tokio::join!(answer(&other, &member), async {
            until_blocked(&watcher, waits).await.unwrap();
            answer(&twin.proxied, "COMMIT").await;
        });
        let told = [first.as_str(), &second];
        assert_eq!(told, ["done 0\ndone 1", "done 1"], "{phase}");
        let people = "SELECT count(*), min(kind) FROM people WHERE email = 'at@once'";
        let people = answer(&twin.direct, people).await;
        assert!(people.contains("1|both"), "{phase}: {people}");
        twin.verified(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_under_the_unified_name_reaches_both_tables() {
    let Some(binaries) = newer::postgresql() else {
        return;
    };
    let twin = Twin::start_from(MERGED, binaries).await.unwrap();
    twin.prepare().await.unwrap();
    twin.carry_to(Phase::DualWrite).await.unwrap();
    for phase in [
        Phase::DualWrite,
        Phase::ShadowRead,
        Phase::DualRead,
        Phase::UnifiedRead,
    ] {
        if phase > Phase::DualWrite {
            twin.advance(phase).await.unwrap();
        }
        let number = phase as usize;
        let told = answer(
            &twin.proxied,
            &format!(
                "MERGE INTO people p USING (VALUES ('p5@x', {number}0), ('p{number}@x', 0), ('m{number}@merge', {number})) v (e, n) \
                 ON p.email = v.e WHEN MATCHED AND v.n = 0 THEN DELETE \
                 WHEN MATCHED THEN UPDATE SET level = v.n, points = v.n + 1 \
                 WHEN NOT MATCHED AND v.n > 0 THEN INSERT (email, name, points) VALUES (v.e, 'New', v.n)"
            ),
        )
        .await;
        let own = format!(
            "UPDATE admins SET level = {number}0 WHERE email = 'p5@x'; \
             UPDATE members SET points = {number}1 WHERE email = 'p5@x'; \
             DELETE FROM admins WHERE email = 'p{number}@x'; DELETE FROM members WHERE email = 'p{number}@x'"
        );
        assert!(told.contains("done"), "{phase}: {told}");
        twin.alone.batch_execute(&own).await.unwrap();
        sides(&twin, phase).await;
        twin.verified(2).await;
    }
}

/// Legacy rows of another table do not follow what is written under a legacy name: what would need that is found out
/// before the first step.
#[tokio::test(flavor = "multi_thread")]
async fn check_tells_where_one_table_writes_over_another() {
    let world = World::start().await.unwrap();
    world.database("over").await.unwrap();
    let direct = world.client(&world.direct_url("over")).await.unwrap();
    direct.batch_execute(MERGED.legacy).await.unwrap();
    direct.batch_execute(MERGED.unified).await.unwrap();
    let proxy = Proxy::with_config(&world.postgres, "over", "").unwrap();
    let lossy = "lossy = [{ columns = [\"name\"], when = \"NOT k.own\" }]\n";
    assert!(MERGED.rules.contains(lossy));
    let rules = MERGED.rules.replace(lossy, "");
    let rules = rules.replace("CASE WHEN k.own THEN r.name ELSE p.name END", "r.name");
    for (rules, tells) in [(MERGED.rules, false), (rules.as_str(), true)] {
        proxy.write_rules("merged", rules).unwrap();
        proxy.crossfade(&["prepare"]).await.unwrap();
        // It also tells that the application may not use the crosswalks yet.
        let said = proxy.crossfade(&["check", "merged"]).await;
        let said = said.unwrap_or_else(|error| error.to_string());
        let lost = "column name of 5 of the tried rows is lost";
        let lose = |line: &str| line.contains(lost).then(|| line.contains("public.members"));
        let losing: Vec<bool> = said.lines().filter_map(lose).collect();
        assert_eq!(losing, if tells { vec![] } else { vec![true] }, "{said}");
        for other in ["members", "admins"] {
            let told = format!(
                "column name of public.{other} reads differently in 5 of its rows once rows of this table are put"
            );
            assert_eq!(said.contains(&told), tells, "{said}");
        }
    }
}

/// Of two rule files that name one unified table one begins when the other is gone.
#[tokio::test(flavor = "multi_thread")]
async fn two_migrations_of_one_unified_table_are_not_both_begun() {
    let world = World::start().await.unwrap();
    world.database("two").await.unwrap();
    let direct = world.client(&world.direct_url("two")).await.unwrap();
    direct.batch_execute(MERGED.legacy).await.unwrap();
    direct.batch_execute(MERGED.unified).await.unwrap();
    let visitors = "CREATE TABLE visitors (id bigint PRIMARY KEY, email varchar(80) NOT NULL)";
    direct.batch_execute(visitors).await.unwrap();
    let proxy = Proxy::with_config(&world.postgres, "two", "").unwrap();
    let other = "[migration]\nname = \"visitors\"\nphase = \"legacy_only\"\n[[table]]\nlegacy = \"public.visitors\"\n\
        unified = \"public.people\"\nkey = [\"id\"]\ncolumns = \"id bigint NOT NULL, email varchar(80) NOT NULL\"\n";
    proxy.write_rules("visitors", other).unwrap();
    let told =
        "public.people is a unified table of migration merged as well, which is in dual_write";
    for (phase, tells) in [("legacy_only", false), ("dual_write", true)] {
        let rules = MERGED
            .rules
            .replace("\"legacy_only\"", &format!("\"{phase}\""));
        proxy.write_rules("merged", &rules).unwrap();
        let said = proxy.crossfade(&["check", "visitors"]).await;
        let said = said.unwrap_or_else(|error| error.to_string());
        assert_eq!(said.contains(told), tells, "{phase}: {said}");
    }
}
