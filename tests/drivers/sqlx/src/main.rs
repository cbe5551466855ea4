//! sqlx prints what it is answered: `with-sqlx ordinary|managed URL`.

use futures_util::StreamExt;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolCopyExt, PgPoolOptions, PgRow};
use sqlx::{Acquire, ConnectOptions, Connection, Executor, PgPool, Row};

type Outcome = Result<(), sqlx::Error>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let script = arguments.next().expect("ordinary or managed");
    let url = arguments.next().expect("a URL");
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&url)
        .await?;
    if script == "managed" {
        managed(&pool).await?;
    } else {
        copies(&pool).await?;
        notifications(&pool, &url).await?;
        many_statements(&url).await?;
        failures(&pool).await?;
    }
    pool.close().await;
    Ok(())
}

fn tell<T>(what: &str, outcome: Result<T, sqlx::Error>)
where
    T: std::fmt::Debug,
{
    match outcome {
        Ok(value) => println!("{what}: {value:?}"),
        Err(sqlx::Error::Database(error)) => println!(
            "{what}: {:?} {} {:?} {:?}",
            error.code(),
            error.message(),
            error.table(),
            error.constraint()
        ),
        Err(other) => println!("{what}: {other}"),
    }
}

fn strings(row: PgRow) -> Vec<Option<String>> {
    (0..row.len()).map(|at| row.get(at)).collect()
}

async fn managed(pool: &PgPool) -> Outcome {
    const INSERT: &str =
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ($1, $2, $3)";
    for n in 0..8 {
        let done = sqlx::query(INSERT)
            .bind(format!("sqlx_{n}"))
            .bind(format!("{n}@sqlx.example"))
            .bind("Zoë")
            .execute(pool)
            .await;
        tell("insert", done.map(|done| done.rows_affected()));
    }
    let select = "SELECT email, full_name, role::text, margin_value::text FROM iso_agents \
                  WHERE clerk_user_id = $1";
    // Kept by sqlx under a name, then prepared anew each time.
    for persistent in [true, false] {
        for n in 0..8 {
            let query = sqlx::query(select).persistent(persistent);
            let row = query.bind(format!("sqlx_{n}")).fetch_one(pool).await;
            tell("select", row.map(strings));
        }
    }
    let renamed = sqlx::query(
        "UPDATE iso_agents SET full_name = $1 WHERE email LIKE '%sqlx.example' RETURNING email",
    )
    .bind("Zoé")
    .fetch_all(pool)
    .await;
    let renamed = renamed.map(|rows| {
        let mut all: Vec<_> = rows.into_iter().map(strings).collect();
        all.sort();
        all
    });
    tell("update", renamed);
    let twice = sqlx::query(INSERT).bind("sqlx_0").bind("x").bind("x");
    tell("a key twice", twice.execute(pool).await);

    let mut outer = pool.begin().await?;
    let off = "UPDATE iso_agents SET is_active = false WHERE clerk_user_id LIKE 'sqlx%'";
    let done = sqlx::query(off).execute(&mut *outer).await;
    tell("within", done.map(|done| done.rows_affected()));
    let mut inner = outer.begin().await?;
    let failed = "SELECT no_such_column FROM iso_agents";
    tell("failed", sqlx::query(failed).execute(&mut *inner).await);
    let after = sqlx::query("SELECT $1::int").bind(1).execute(&mut *inner);
    tell("aborted", after.await);
    inner.rollback().await?;
    let off = "SELECT count(*)::text FROM iso_agents WHERE NOT is_active AND email LIKE '%sqlx%'";
    let row = sqlx::query(off).fetch_one(&mut *outer).await;
    tell("rolled back to the savepoint", row.map(strings));
    outer.rollback().await?;
    let several = format!("{off}; {off}; DELETE FROM iso_agents WHERE email = '7@sqlx.example'");
    let rows = pool.fetch_all(several.as_str()).await;
    let rows: Result<Vec<_>, _> = rows.map(|rows| rows.into_iter().map(strings).collect());
    tell("three statements", rows);
    let streamed = sqlx::query("SELECT email FROM iso_agents ORDER BY email").fetch(pool);
    let streamed: Vec<_> = streamed.map(|row| row.map(strings)).collect().await;
    tell("streamed", Ok(streamed));
    Ok(())
}

async fn copies(pool: &PgPool) -> Outcome {
    pool.execute("CREATE TABLE copied (n int, t text)").await?;
    let mut sink = pool.copy_in_raw("COPY copied FROM STDIN").await?;
    for n in 0..1000 {
        let line = format!("{n}\t{}\n", "ä".repeat(n));
        sink.send(line.as_bytes()).await?;
    }
    tell("copied in", sink.finish().await);
    let mut source = pool.copy_out_raw("COPY copied TO STDOUT").await?;
    let mut bytes = 0;
    while let Some(piece) = source.next().await {
        bytes += piece?.len();
    }
    drop(source);
    tell("copied out", Ok(bytes));
    let sink = pool.copy_in_raw("COPY copied FROM STDIN").await?;
    tell("given up", sink.abort("no more").await);
    Ok(())
}

async fn notifications(pool: &PgPool, url: &str) -> Outcome {
    let mut listener = PgListener::connect(url).await?;
    listener.listen("news").await?;
    for n in 0..10 {
        let said = sqlx::query("SELECT pg_notify('news', $1)").bind(n.to_string());
        said.execute(pool).await?;
        let heard = listener.recv().await;
        tell("heard", heard.map(|heard| heard.payload().to_owned()));
    }
    Ok(())
}

/// More than sqlx keeps: it closes those used longest ago.
async fn many_statements(url: &str) -> Outcome {
    let options: PgConnectOptions = url.parse()?;
    let options = options.statement_cache_capacity(3);
    let mut connection = options.connect().await?;
    for round in 0..4 {
        for n in 0..9 {
            let sql = format!("SELECT ($1::int + {n})::text");
            let row = sqlx::query(&sql).bind(round).fetch_one(&mut connection);
            tell("many", row.await.map(strings));
        }
    }
    let held = "SELECT count(*)::text FROM pg_prepared_statements WHERE $1";
    let row = sqlx::query(held).bind(true).fetch_one(&mut connection);
    tell("held", row.await.map(strings));
    connection.close().await
}

async fn failures(pool: &PgPool) -> Outcome {
    for sql in [
        "SELECT",
        "SELECT 1 / $1",
        "SELECT no_such_function($1)",
        "SELECT 'x'::int WHERE $1 = 1",
    ] {
        let failed = sqlx::query(sql).bind(0).fetch_optional(pool).await;
        tell(sql, failed.map(|row| row.map(strings)));
    }
    let mut connection = pool.acquire().await?;
    let dropped = connection.begin().await?;
    drop(dropped);
    let row = connection.fetch_one("SELECT 'after a dropped transaction'");
    tell("dropped", row.await.map(strings));
    Ok(())
}
