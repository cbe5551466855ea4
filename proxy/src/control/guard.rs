//! Nobody but an operator changes the columns of a legacy table while both sides are kept: what comes
//! around the proxies would be copied to nowhere. An event trigger refuses it, where the role may have one.
//!
//! | when | |
//! |---|---|
//! | `prepare`, and before a step to a phase that keeps both sides | the event triggers are made, the tables entered |
//! | after the step that ends it (`legacy_only`, `retired`) | the tables are left out; with the last one the event triggers go |
//!
//! What an operator does says so (`SET crossfade.ddl = 'on'`, as our own connections do), and the server
//! sees that the session's role is a member of the one that owns schema `crossfade`.

use rewrite_rules::{Migration, Phase, RuleSet};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::ControlError;

const TRIGGERS: [(&str, &str); 2] = [
    ("crossfade_ddl", "ddl_command_end"),
    ("crossfade_drop", "sql_drop"),
];

const DOING: &str = "guard over the tables' columns";

/// Whether the event triggers are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTriggers {
    Yes,
    /// The role may not create them.
    MayNot,
}

/// Whether the legacy table must stay as it is.
#[must_use]
pub fn is_guarded(phase: Phase) -> bool {
    match phase {
        Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead
        | Phase::UnifiedOnly => true,
        Phase::LegacyOnly | Phase::Retired => false,
    }
}

/// What `prepare` sees to: the event triggers, and the tables of migrations under way.
pub async fn prepare(client: &Client, rules: &RuleSet) -> Result<EventTriggers, ControlError> {
    let watched = watch(client).await?;
    for migration in rules.migrations() {
        if is_guarded(migration.phase) {
            enter(client, migration).await?;
        } else {
            leave(client, migration).await?;
        }
    }
    Ok(watched)
}

/// Before anybody writes both sides.
pub async fn before(client: &Client, migration: &Migration, to: Phase) -> Result<(), ControlError> {
    if is_guarded(to) {
        watch(client).await?;
        enter(client, migration).await?;
    }
    Ok(())
}

/// When nobody does any more.
pub async fn after(client: &Client, migration: &Migration, to: Phase) -> Result<(), ControlError> {
    if is_guarded(to) {
        return Ok(());
    }
    let sql = || ControlError::sql(DOING);
    leave(client, migration).await?;
    let left: bool = client
        .query_one("SELECT EXISTS (SELECT FROM crossfade.guarded)", &[])
        .await
        .map_err(sql())?
        .get(0);
    for (name, _) in TRIGGERS.iter().filter(|_| !left) {
        let gone = client
            .batch_execute(&format!("DROP EVENT TRIGGER IF EXISTS {name}"))
            .await;
        match gone {
            // A superuser made it for us, and it guards nothing now.
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {}
            gone => gone.map_err(sql())?,
        }
    }
    Ok(())
}

/// What lets a superuser have what this role may not.
#[must_use]
pub fn by_hand() -> String {
    let create = TRIGGERS
        .iter()
        .flat_map(|(name, event)| create(name, event));
    create.collect::<Vec<_>>().join("; ")
}

fn create(name: &str, event: &str) -> [String; 2] {
    [
        format!("CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION crossfade.watch_ddl()"),
        // Also where triggers are told that they are on a replica.
        format!("ALTER EVENT TRIGGER {name} ENABLE ALWAYS"),
    ]
}

/// Whether both event triggers are there and fire.
pub async fn is_watched(client: &Client) -> Result<bool, ControlError> {
    let row = client
        .query_one(
            "SELECT count(DISTINCT evtevent) FROM pg_event_trigger \
             WHERE evtfoid = to_regprocedure('crossfade.watch_ddl()') AND evtenabled IN ('O', 'A')",
            &[],
        )
        .await
        .map_err(ControlError::sql("look at the event triggers"))?;
    let events = usize::try_from(row.get::<_, i64>(0)).unwrap_or_default();
    Ok(events == TRIGGERS.len())
}

/// Whether this role may create them.
pub async fn may_watch(client: &Client) -> Result<bool, ControlError> {
    let row = client
        .query_one(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .await
        .map_err(ControlError::sql("look at the role"))?;
    Ok(row.get(0))
}

async fn watch(client: &Client) -> Result<EventTriggers, ControlError> {
    if is_watched(client).await? {
        return Ok(EventTriggers::Yes);
    }
    for statement in TRIGGERS
        .iter()
        .flat_map(|(name, event)| create(name, event))
    {
        match client.batch_execute(&statement).await {
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                return Ok(EventTriggers::MayNot);
            }
            // It is there, made by another command or disabled by somebody: the next statement settles it.
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => {}
            made => made.map_err(ControlError::sql("creation of an event trigger"))?,
        }
    }
    Ok(EventTriggers::Yes)
}

/// Whether the migration's tables are watched over, as far as this role may see to it.
pub async fn is_entered(client: &Client, migration: &str) -> Result<bool, ControlError> {
    let sql = "SELECT EXISTS (SELECT FROM crossfade.guarded WHERE migration = $1)";
    let row = client.query_one(sql, &[&migration]).await;
    Ok(row.map_err(ControlError::sql(DOING))?.get(0))
}

async fn leave(client: &Client, migration: &Migration) -> Result<(), ControlError> {
    let sql = "DELETE FROM crossfade.guarded WHERE migration = $1";
    let left = client.execute(sql, &[&migration.name]).await;
    left.map(drop).map_err(ControlError::sql(DOING))
}

/// The tables as they are now, unless they are entered already.
async fn enter(client: &Client, migration: &Migration) -> Result<(), ControlError> {
    let tables: Vec<String> = migration
        .tables
        .iter()
        .map(|lens| lens.legacy.sql())
        .collect();
    client
        .execute(
            "INSERT INTO crossfade.guarded (migration, relation, shape) \
             SELECT $1, c.oid, crossfade.shape_of(c.oid) FROM unnest($2::text[]) AS t (name) \
             JOIN pg_class AS c ON c.oid = to_regclass(t.name) ON CONFLICT DO NOTHING",
            &[&migration.name, &tables],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql(DOING))
}
