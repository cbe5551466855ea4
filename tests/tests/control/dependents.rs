//! Tables that refer to a migrated one and move with it, where the sides' foreign keys do not say the same.

use crossfade_tests::control::number;
use crossfade_tests::torture::model::Name;
use crossfade_tests::torture::tables::Tables;
use crossfade_tests::world::CLERK;
use crossfade_tests::{Proxy, World};
use tokio_postgres::Client;

const DATABASE: &str = "dependents";

struct Setup {
    world: World,
    tables: Tables,
    proxy: Proxy,
    through: Client,
    direct: Client,
}

impl Setup {
    async fn start(tables: Tables) -> Self {
        let world = World::start().await.unwrap();
        world.database(DATABASE).await.unwrap();
        let owner = world.client(&world.direct_url(DATABASE)).await.unwrap();
        tables.fill(&owner, 9, CLERK).await.unwrap();
        let proxy = Proxy::with_config(&world.postgres, DATABASE, "").unwrap();
        proxy
            .write_rules(tables.migration(), &tables.rules())
            .unwrap();
        let proxy = proxy.serve().await.unwrap();
        let through = proxy.client().await.unwrap();
        let direct = world.client(&world.postgres.url(DATABASE)).await.unwrap();
        Setup {
            world,
            tables,
            proxy,
            through,
            direct,
        }
    }

    async fn steps(&self, commands: &[&str]) {
        for command in commands {
            let mut args: Vec<&str> = command.split(' ').collect();
            args.insert(1, self.tables.migration());
            self.proxy.crossfade(&args).await.unwrap();
        }
    }

    /// Inserts a row with a key under the legacy name.
    async fn insert(&self, key: u64) -> String {
        let id = self.tables.own_id(0, key);
        let email = format!("c0-{key}@example.com");
        let values = [&id, &email, "row", "admin", "0", "0"];
        let mut sql = self.tables.insert(Name::Legacy).to_owned();
        for (index, value) in values.iter().enumerate() {
            sql = sql.replace(&format!("${}", index + 1), &format!("'{value}'"));
        }
        self.accepted(&sql).await;
        id
    }

    async fn accepted(&self, sql: &str) {
        let done = self.through.execute(sql, &[]).await;
        assert_eq!(
            done.unwrap_or_else(|error| panic!("{:?}: {sql}: {error:?}", self.tables)),
            1,
            "{sql}"
        );
    }
}

/// What unified has let go of, legacy keeps after a visit to `unified_only`: what it refers to must not be kept with it,
/// and what came meanwhile is not there to be referred to.
async fn stale_dependents(tables: Tables) {
    let it = Setup::start(tables).await;
    let mut ids = Vec::new();
    for key in 0..6 {
        ids.push(it.insert(key).await);
    }
    for (id, column, to) in [
        (1, "kept", 0),
        (2, "late", 1),
        (3, "kept", 2),
        (4, "late", 3),
    ] {
        let to = &ids[to];
        it.accepted(&format!(
            "INSERT INTO pledges (id, {column}) VALUES ({id}, '{to}')"
        ))
        .await;
    }
    it.steps(&[
        "advance", "backfill", "verify", "advance", "advance", "advance",
    ])
    .await;
    let turned = tables.turned_to(Name::Unified);
    it.direct.batch_execute(&turned).await.unwrap();
    it.steps(&["verify", "advance"]).await;
    for id in 1..=4 {
        it.accepted(&format!("DELETE FROM pledges WHERE id = {id}"))
            .await;
    }
    let new = it.insert(6).await;
    it.steps(&["rollback"]).await;

    let legacy = tables.table(Name::Legacy);
    // Referred to at once, and when the transaction ends.
    it.accepted(&format!(
        "INSERT INTO pledges (id, kept) VALUES (5, '{new}')"
    ))
    .await;
    it.accepted(&format!(
        "INSERT INTO pledges (id, late) VALUES (6, '{new}')"
    ))
    .await;
    it.accepted(&format!("DELETE FROM {legacy} WHERE id = '{}'", ids[0]))
        .await;
    it.accepted(&format!("DELETE FROM {legacy} WHERE id = '{}'", ids[1]))
        .await;
    let to = [tables.own_id(0, 7), tables.own_id(0, 8)];
    for (id, to) in ids[2..4].iter().zip(&to) {
        it.accepted(&format!(
            "UPDATE {legacy} SET id = '{to}' WHERE id = '{id}'"
        ))
        .await;
    }
    if tables.keys_are_unified() {
        it.accepted(&format!(
            "INSERT INTO promises (id, late) VALUES (7, '{new}')"
        ))
        .await;
    }
    it.steps(&["backfill --reverse", "verify --repair", "verify"])
        .await;
    let ledger = "SELECT count(*) FROM crossfade.divergence";
    assert_eq!(number(&it.direct, ledger).await.unwrap(), 0);
    let turned = tables.turned_to(Name::Legacy);
    it.direct.batch_execute(&turned).await.unwrap();
    it.steps(&["rollback", "verify"]).await;
    let there = format!(
        "SELECT count(*) FROM pledges AS p JOIN {legacy} AS t ON t.id = coalesce(p.kept, p.late) WHERE t.id = '{new}'"
    );
    let expected = if tables.keys_are_unified() { 3 } else { 2 };
    assert_eq!(number(&it.direct, &there).await.unwrap(), expected);
    // What is in step is kept and refused as ever.
    let delete = format!("DELETE FROM {legacy} WHERE id = '{new}'");
    let error = it.through.execute(&delete, &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23503", "{error:?}");
    drop(it.world);
}

#[tokio::test]
async fn stale_dependents_do_not_fail_a_write_that_unified_accepts() {
    stale_dependents(Tables::ByColumns).await;
}

#[tokio::test]
async fn stale_dependents_do_not_fail_a_write_that_unified_accepts_where_rows_are_split() {
    stale_dependents(Tables::BySteps).await;
}
