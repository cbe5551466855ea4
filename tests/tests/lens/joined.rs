//! UPDATE … FROM and DELETE … USING of a table that is split, with what they return of the joined
//! tables: in every phase, each answer compared with that of a database that was left alone.

use std::sync::LazyLock;

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::corpus;
use crossfade_tests::twin::{MEMBERS, Twin, UNIFIED_MEMBERS, answer};
use rewrite_rules::Phase;

/// A table that nobody moves.
const NOTES: &str = "CREATE TABLE notes (id integer PRIMARY KEY, member integer, note text, more integer, visits integer); \
    INSERT INTO notes SELECT n, n, 'note ' || n, n * 10, -n FROM generate_series(1, 9) AS n; \
    CREATE TABLE tags (member integer, tag text); \
    INSERT INTO tags SELECT n, 'tag ' || n FROM generate_series(1, 5) AS n; \
    GRANT ALL ON notes, tags TO PUBLIC";

/// `{p}` is the phase's own number.
static STATEMENTS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/members_joined.sql")));

/// What PostgreSQL does not do.
static MISTAKES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    corpus::texts(include_str!(
        "../../data/statements/members_joined_mistakes.sql"
    ))
});

const BOUND: &str = "UPDATE members m SET visits = n.more + $1::int FROM notes n WHERE n.member = m.id AND n.note = $2 \
    RETURNING m.id, n.note, m.visits, n.more, n.visits AS nv, m.name";

async fn start() -> Twin {
    let twin = Twin::start_as_owner(MEMBERS).await.unwrap();
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
        for (statements, fails) in [(&*STATEMENTS, false), (&*MISTAKES, true)] {
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
                // The row is looked at again beside the note that it was joined to, as PostgreSQL does.
                assert_eq!(told, "(visits, note)\ndone 0", "{phase} {second}");
                let kept = "SELECT visits FROM members WHERE id = 1 ORDER BY id";
                assert_eq!(answer(&other, kept).await, "(visits)\n5\ndone 1");
                // Once more.
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
