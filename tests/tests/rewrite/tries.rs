//! What is tried before a statement by key: what it spares the database, and what becomes of it where it does not do.

use crossfade_tests::control::until;
use crossfade_tests::protocol_scripts::messages::{bind, execute, parse, query, sync};
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// The ways in which a statement by key comes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Query,
    Unnamed,
    Prepared,
}

const WAYS: [Way; 3] = [Way::Query, Way::Unnamed, Way::Prepared];

impl Way {
    /// A client that will run nothing but this text.
    async fn client(self, proxy: &Proxy, sql: &str) -> anyhow::Result<RawClient> {
        let mut client = RawClient::connect(proxy.port, "moved").await?;
        match self {
            Way::Query | Way::Unnamed => {}
            Way::Prepared => {
                let answer = client.prepare("mine", sql).await?;
                assert_eq!(answer[0].tag, b'1', "it is prepared");
            }
        }
        Ok(client)
    }

    async fn run(
        self,
        client: &mut RawClient,
        sql: &str,
        values: &[&str],
    ) -> anyhow::Result<Vec<Message>> {
        let given: Vec<Option<&[u8]>> = values.iter().map(|v| Some(v.as_bytes())).collect();
        let sent = match self {
            Way::Query => {
                let mut text = sql.to_owned();
                for (at, value) in values.iter().enumerate() {
                    text = text.replace(&format!("${}", at + 1), &format!("'{value}'"));
                }
                query(&text)
            }
            Way::Unnamed => [
                parse("", sql),
                bind("", "", &given, 0),
                execute("", 0),
                sync(),
            ]
            .concat(),
            Way::Prepared => [bind("", "mine", &given, 0), execute("", 0), sync()].concat(),
        };
        client.send(&sent).await?;
        client.until_ready().await
    }
}

fn rows(answer: &[Message]) -> Vec<Vec<Option<String>>> {
    let rows = answer.iter().filter(|message| message.tag == b'D');
    rows.map(Message::values).collect()
}

fn tags(answer: &[Message]) -> Vec<String> {
    let ends = answer.iter().filter(|message| message.tag == b'C');
    ends.map(Message::tag_text).collect()
}

async fn start(phase: Phase) -> anyhow::Result<(World, Proxy, Client, Vec<String>)> {
    let world = World::start_with(&[("deadlock_timeout", "2s")]).await?;
    let proxy = world.in_phase("moved", phase).await?;
    let direct = world.postgres.connect("moved").await?;
    let ids = direct
        .query(
            "SELECT id::text FROM iso_agents WHERE role <> 'admin' ORDER BY email LIMIT 12",
            &[],
        )
        .await?;
    let ids = ids.iter().map(|row| row.get(0)).collect();
    Ok((world, proxy, direct, ids))
}

const READ: &str = "SELECT full_name FROM iso_agents WHERE id = $1";

#[tokio::test]
async fn a_row_that_unified_has_is_read_without_a_look_at_the_legacy_table() -> anyhow::Result<()> {
    let (_world, proxy, direct, ids) = start(Phase::DualRead).await?;
    for way in WAYS {
        let mut client = way.client(&proxy, READ).await?;
        for id in &ids[..3] {
            let answer = way.run(&mut client, READ, &[id]).await?;
            assert_eq!(rows(&answer).len(), 1, "{way:?}");
        }
        // Whoever reads it waits for this one.
        direct
            .batch_execute("BEGIN; LOCK TABLE iso_agents IN ACCESS EXCLUSIVE MODE")
            .await?;
        for id in &ids {
            let answer = way.run(&mut client, READ, &[id]).await?;
            assert_eq!(rows(&answer).len(), 1, "{way:?}");
        }
        direct.batch_execute("ROLLBACK").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_row_that_unified_lacks_comes_from_legacy_and_is_counted_once() -> anyhow::Result<()> {
    let (_world, proxy, direct, ids) = start(Phase::DualRead).await?;
    for (way, missing) in WAYS.into_iter().zip(&ids[6..]) {
        let told = "SELECT full_name FROM iso_agents WHERE id::text = $1";
        let expected: String = direct.query_one(told, &[missing]).await?.get(0);
        direct
            .execute("DELETE FROM users WHERE id::text = $1", &[missing])
            .await?;
        for block in [false, true] {
            let mut client = way.client(&proxy, READ).await?;
            if block {
                client.simple("BEGIN").await?;
            }
            for id in &ids[..3] {
                way.run(&mut client, READ, &[id]).await?;
            }
            let answer = way.run(&mut client, READ, &[missing]).await?;
            assert_eq!(rows(&answer), [[Some(expected.clone())]], "{way:?} {block}");
            // A row that nobody has is none.
            let nobody = "00000000-0000-4000-8000-000000000000";
            let answer = way.run(&mut client, READ, &[nobody]).await?;
            assert_eq!(rows(&answer).len(), 0, "{way:?} {block}");
            assert_eq!(tags(&answer), ["SELECT 0"], "{way:?} {block}");
        }
    }
    // By each way outside of a block and in one.
    until(
        &direct,
        "SELECT sum(fallbacks) = 6 FROM crossfade.instances",
    )
    .await?;
    Ok(())
}

/// What unified refuses of every row whose name begins so.
const REFUSES: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.full_name LIKE 'refused%' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION refuse()";

#[tokio::test]
async fn a_write_that_unified_refuses_stands_and_enters_the_ledger() -> anyhow::Result<()> {
    let (_world, proxy, direct, ids) = start(Phase::DualWrite).await?;
    direct.batch_execute(REFUSES).await?;
    let update = "UPDATE iso_agents SET full_name = $1 WHERE id = $2";
    let insert = "INSERT INTO iso_agents (id, clerk_user_id, email, full_name) \
                  VALUES ($1, $2, $3, $4) RETURNING full_name";
    for (at, way) in WAYS.into_iter().enumerate() {
        let mut client = way.client(&proxy, update).await?;
        for (n, id) in ids[..3].iter().enumerate() {
            let name = format!("name {at} {n}");
            let answer = way.run(&mut client, update, &[&name, id]).await?;
            assert_eq!(tags(&answer), ["UPDATE 1"], "{way:?}");
        }
        let refused = &ids[6 + at];
        let answer = way.run(&mut client, update, &["refused", refused]).await?;
        assert_eq!(tags(&answer), ["UPDATE 1"], "{way:?}");
        let answer = way.run(&mut client, update, &["name", &ids[0]]).await?;
        assert_eq!(tags(&answer), ["UPDATE 1"], "{way:?}");

        let mut client = way.client(&proxy, insert).await?;
        for n in 0..4 {
            let new = format!("00000000-0000-4000-9000-00000000{at:02}{n:02}");
            let name = if n == 3 { "refused" } else { "new" };
            let (clerk, email) = (format!("c{at}{n}"), format!("c{at}{n}@x.org"));
            let answer = way
                .run(&mut client, insert, &[&new, &clerk, &email, name])
                .await?;
            assert_eq!(rows(&answer), [[Some(name.to_owned())]], "{way:?}");
            assert_eq!(tags(&answer), ["INSERT 0 1"], "{way:?}");
        }
        // What legacy refuses is refused.
        let answer = way
            .run(&mut client, insert, &[&ids[1], "d", "d@x.org", "refused"])
            .await?;
        let error = answer.iter().find(|message| message.tag == b'E');
        let error = error.expect("the key is taken");
        assert_eq!(error.field(b'C').as_deref(), Some("23505"), "{way:?}");
        assert_eq!(error.field(b't').as_deref(), Some("iso_agents"), "{way:?}");
    }
    let count = |sql: &'static str| async {
        direct
            .query_one(sql, &[])
            .await
            .map(|row| row.get::<_, i64>(0))
    };
    let legacy = "SELECT count(*) FROM iso_agents WHERE full_name = 'refused'";
    assert_eq!(count(legacy).await?, 6, "each stands");
    let unified = "SELECT count(*) FROM users WHERE full_name = 'refused'";
    assert_eq!(count(unified).await?, 0);
    let ledger = "SELECT count(*) FROM crossfade.divergence WHERE sqlstate = '23514' AND times = 1";
    assert_eq!(count(ledger).await?, 6, "each is told once");
    Ok(())
}

#[tokio::test]
async fn a_write_that_waits_in_unified_alone_leaves_before_anybody_is_told_of_a_deadlock()
-> anyhow::Result<()> {
    let (world, proxy, direct, ids) = start(Phase::DualWrite).await?;
    let update = "UPDATE iso_agents SET full_name = $1 WHERE id = $2";
    for (way, id) in WAYS.into_iter().zip(&ids) {
        let mut client = way.client(&proxy, update).await?;
        for other in &ids[6..9] {
            way.run(&mut client, update, &["before", other]).await?;
        }
        let holder = world.postgres.connect("moved").await?;
        holder.batch_execute("BEGIN").await?;
        let holds = "UPDATE users SET timezone = 'UTC' WHERE id::text = $1";
        assert_eq!(holder.execute(holds, &[id]).await?, 1);
        let waits = async {
            let answer = way.run(&mut client, update, &["after", id]).await?;
            anyhow::Ok(tags(&answer))
        };
        let takes = async {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            while direct.query_one(waiting, &[]).await?.get::<_, i64>(0) == 0 {
                tokio::task::yield_now().await;
            }
            // The one that waits has this row.
            let both = "UPDATE iso_agents SET margin_value = 7 WHERE id::text = $1";
            holder.execute(both, &[id]).await?;
            holder.batch_execute("COMMIT").await?;
            anyhow::Ok(())
        };
        let (told, taken) = tokio::join!(waits, takes);
        taken?;
        assert_eq!(told?, ["UPDATE 1"], "{way:?}");
        let name: String = direct
            .query_one(
                "SELECT full_name FROM iso_agents WHERE id::text = $1",
                &[id],
            )
            .await?
            .get(0);
        assert_eq!(name, "after", "{way:?}");
    }
    Ok(())
}
