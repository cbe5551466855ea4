//! UPDATE … FROM and DELETE … USING of a table that is split, with what they return of the joined
//! tables: in every phase, each answer compared with that of a database that was left alone.

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::twin::{MEMBERS, Twin, UNIFIED_MEMBERS, answer};
use rewrite_rules::Phase;

/// A table that nobody moves.
const NOTES: &str = "CREATE TABLE notes (id integer PRIMARY KEY, member integer, note text, more integer, visits integer); \
    INSERT INTO notes SELECT n, n, 'note ' || n, n * 10, -n FROM generate_series(1, 9) AS n; \
    CREATE TABLE tags (member integer, tag text); \
    INSERT INTO tags SELECT n, 'tag ' || n FROM generate_series(1, 5) AS n; \
    GRANT ALL ON notes, tags TO PUBLIC";

/// `{p}` is the phase's own number.
const STATEMENTS: &[&str] = &[
    "UPDATE members m SET visits = n.more FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING m.id, n.note, m.visits, n.more - m.visits AS gone",
    "UPDATE members m SET name = n.note || '{p}' FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING *",
    "UPDATE members m SET name = n.note FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING n.*, m.*",
    "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING n, m, n.note, row_to_json(n), m.name",
    "UPDATE members m SET name = 'y' FROM notes WHERE member = m.id AND m.id < 3 RETURNING upper(note), name, more + 1",
    "UPDATE members SET name = 'z' FROM notes WHERE member = members.id AND members.id < 3 RETURNING public.notes.note, notes.more, members.name, public.members.id",
    // Of rows that an outer join does not find, of functions and of queries.
    "UPDATE members m SET visits = m.visits + 1 FROM notes n LEFT JOIN tags t ON t.member = n.member + 2 WHERE n.member = m.id AND m.id IN (2, 4) RETURNING m.id, m.visits, t.tag, t, n.note",
    "UPDATE members m SET visits = m.visits + 1 FROM notes JOIN tags USING (member) WHERE member = m.id AND m.id < 3 RETURNING m.id, member, note, tag",
    "UPDATE members m SET visits = g FROM generate_series(1, 3) AS g WHERE m.id = g RETURNING g, m.visits",
    "UPDATE members m SET visits = g.n FROM unnest(ARRAY[5, 6], ARRAY['a', 'b']) AS g (n, t) WHERE m.id = g.n RETURNING g.*, m.visits",
    "UPDATE members m SET visits = l.s FROM (VALUES (1, 'a'), (2, 'b')) AS v (id, t), LATERAL (SELECT v.id + n.more AS s FROM notes n WHERE n.id = v.id) AS l WHERE m.id = v.id RETURNING *",
    "UPDATE members m SET name = 'same' FROM (VALUES (1, 'a'), (1, 'a')) AS v (id, t) WHERE m.id = v.id RETURNING v.t, m.id",
    // The table itself, as it was.
    "UPDATE members m SET name = o.name, visits = o.visits FROM members o WHERE o.id = m.id + 1 AND m.id BETWEEN 10 AND 13 RETURNING m.id, o.id AS before, o.name, o.visits, m.name, o",
    "WITH w AS (UPDATE members m SET name = 'with' FROM notes n WHERE n.member = m.id AND m.id < 6 RETURNING m.id, n.note, name) SELECT * FROM w ORDER BY id DESC",
    // Queries in the list.
    "UPDATE members m SET visits = 7 FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING m.id, (SELECT count(*) FROM tags t WHERE t.member <= n.member), (SELECT max(o.id) FROM members o WHERE o.id < m.id + n.more), note",
    "UPDATE members m SET visits = 8 FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING n, (SELECT tag FROM tags WHERE tags.member = n.id), EXISTS (SELECT FROM tags t WHERE t.member = m.id)",
    "DELETE FROM members m USING notes n WHERE false RETURNING *, (SELECT 1)",
    // Values that a query gives, beside what was joined.
    "UPDATE members m SET (name, visits) = (SELECT t.tag, n.id FROM tags t WHERE t.member = n.member) FROM notes n WHERE n.member = m.id AND m.id < 6 RETURNING m.id, m.name, n.note, m.visits",
    // Rows that go.
    "BEGIN; DELETE FROM members m USING notes n, tags t WHERE n.member = m.id AND t.member = n.id AND m.id < 4 RETURNING m.email, n.note, tag; SELECT count(*) FROM members; ROLLBACK",
    "INSERT INTO members (id, email, name) VALUES (20{p}, 'gone{p}@x', 'Gone')",
    "DELETE FROM members USING notes AS n WHERE n.id = 9 AND members.id = 20{p} RETURNING *",
    // Other keys.
    "INSERT INTO members (id, email, name) VALUES (30{p}, 'key{p}@x', 'Key'), (31{p}, 'kez{p}@x', 'Kez')",
    "UPDATE members m SET id = v.t + n.id, name = n.note FROM (VALUES (30{p}, 400{p}), (31{p}, 410{p})) AS v (f, t), notes n WHERE m.id = v.f AND n.id = 1 RETURNING m.id, v.f AS was, n.note, v.*",
    "UPDATE members m SET id = m.id + 1000 FROM members o WHERE o.id = m.id AND m.name = 'note 1' AND m.email LIKE 'ke_{p}@x' RETURNING o.id, m.id, o.email",
    "SELECT id, email, name FROM members WHERE email LIKE 'ke_{p}@x' ORDER BY id",
    "UPDATE members m SET name = 'none' FROM notes n WHERE n.member = m.id AND m.id = 77 RETURNING *",
    "SELECT id, email, region, badge, name, visits FROM members ORDER BY email",
];

/// What PostgreSQL does not do.
const MISTAKES: &[&str] = &[
    "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING id",
    "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING visits",
    "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING n.nothing",
    "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING nothing",
    "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING o.note",
    "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING 1 / (n.id - 1)",
    "UPDATE members m SET name = repeat(n.note, 9) FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING n.note",
];

const BOUND: &str = "UPDATE members m SET visits = n.more + $1::int FROM notes n WHERE n.member = m.id AND n.note = $2 \
    RETURNING m.id, n.note, m.visits, n.more, n.visits AS nv, m.name";

async fn start() -> Twin {
    let twin = Twin::start(MEMBERS).await.unwrap();
    twin.alone.batch_execute(NOTES).await.unwrap();
    twin.direct.batch_execute(NOTES).await.unwrap();
    twin.prepare().await.unwrap();
    twin
}

#[tokio::test]
async fn what_a_write_has_joined_is_returned_in_every_phase() {
    let twin = start().await;
    twin.in_every_phase(async |phase| {
        let number = (phase as usize).to_string();
        for (statements, fails) in [(STATEMENTS, false), (MISTAKES, true)] {
            for sql in statements {
                let told = twin.same(&sql.replace("{p}", &number)).await;
                let told = told.unwrap_or_else(|e| panic!("{phase}: {e}"));
                assert_eq!(!told.contains("done"), fails, "{sql}: {told}");
            }
        }
        twin.same_with(BOUND, &[Some(&number), Some("note 5")])
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
        twin.equal_in(phase, "members", UNIFIED_MEMBERS)
            .await
            .unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn clients_are_told_the_types_of_what_was_joined() {
    let twin = start().await;
    twin.carry_to(Phase::UnifiedRead).await.unwrap();
    twin.told_alike(&[
        "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id = 1 RETURNING *",
        "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id = 1 RETURNING note, name, (SELECT 1), n.more",
        "DELETE FROM members USING notes n WHERE n.id = 30 RETURNING members.*, n.note",
        // An error is told where it is in the client's text.
        "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id = 1 RETURNING m.id, n.nothing",
        "UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id RETURNING id",
        "DELETE FROM members m USING notes n WHERE n.member = m.id RETURNING m.id, n.note + 1",
    ])
    .await
    .unwrap();
}

/// Whoever waits for a row must neither write over what it has not seen, nor return what the row was
/// joined to before.
#[tokio::test]
async fn a_joined_write_that_waited_for_another_writer_tells_nothing_stale() {
    let twin = start().await;
    twin.carry_to(Phase::UnifiedRead).await.unwrap();
    let other = twin.another().await.unwrap();
    let process = pid(&other).await.unwrap();
    let update = "UPDATE members m SET visits = m.visits + 1 FROM notes n WHERE n.id = m.visits + 1 \
                  AND m.id = 1 RETURNING m.visits, n.note";
    let delete = "DELETE FROM members m USING notes n WHERE n.id = m.visits + 1 AND m.id = 1 \
                  RETURNING m.visits, n.note";
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        if phase == Phase::UnifiedOnly {
            twin.advance(phase).await.unwrap();
        }
        for first in [
            "UPDATE members SET visits = 5 WHERE id = 1",
            "UPDATE members m SET visits = 5 FROM notes n WHERE n.id = m.id AND m.id = 1",
        ] {
            for (second, then) in [
                (update, "(visits, note)\n6|note 6\ndone 1"),
                (delete, "(visits, note)\n5|note 6\ndone 1"),
            ] {
                answer(&twin.proxied, &format!("BEGIN; {first}")).await;
                let (told, ()) = tokio::join!(answer(&other, second), async {
                    until_blocked(&twin.direct, process).await.unwrap();
                    answer(&twin.proxied, "COMMIT").await;
                });
                assert!(told.starts_with("40001"), "{phase} {second}: {told}");
                let kept = "SELECT visits FROM members WHERE id = 1 ORDER BY id";
                assert_eq!(answer(&other, kept).await, "(visits)\n5\ndone 1");
                // Once more, as it is told to.
                let told = answer(&other, &format!("{second} /* ORDER BY */")).await;
                assert_eq!(told, then, "{phase} {second}");
                // What did not happen is nothing to wait for.
                answer(&twin.proxied, "DELETE FROM members WHERE id = 1").await;
                answer(
                    &twin.proxied,
                    "INSERT INTO members (id, email, visits) VALUES (1, 'm1@x', 2)",
                )
                .await;
                answer(&twin.proxied, &format!("BEGIN; {first}")).await;
                let (told, ()) = tokio::join!(answer(&other, second), async {
                    until_blocked(&twin.direct, process).await.unwrap();
                    answer(&twin.proxied, "ROLLBACK").await;
                });
                assert!(
                    told.contains("|note 3") && told.contains("done 1"),
                    "{phase} {second}: {told}"
                );
                answer(&twin.proxied, "DELETE FROM members WHERE id = 1").await;
                answer(
                    &twin.proxied,
                    "INSERT INTO members (id, email, visits) VALUES (1, 'm1@x', 2)",
                )
                .await;
            }
        }
    }
}
