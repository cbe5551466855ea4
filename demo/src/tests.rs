use super::*;
use crate::cast::Cast;
use crate::mirror::Mirror;
use crossfade_testbed::{Postgres, iso_agents};

async fn filled(agents: u32) -> (Postgres, Client) {
    let server = Postgres::start().await.unwrap();
    let db = server.connect("postgres").await.unwrap();
    iso_agents::install(&db).await.unwrap();
    iso_agents::fill(&db, &iso_agents::Rows::agents(agents))
        .await
        .unwrap();
    (server, db)
}

#[tokio::test]
async fn the_old_version_runs_without_errors_on_the_bare_server() {
    let (server, db) = filled(500).await;
    let board = Arc::new(Board::new(Phase::LegacyOnly));
    let mut cast = Cast::gather(&db, server.superuser_url(), Arc::clone(&board))
        .await
        .unwrap();
    cast.start_old();
    while board.statements(Side::Old) < 1_500 && board.errors() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cast.stop().await.unwrap();
    assert_eq!(board.troubles(), Vec::<String>::new());

    // Its model must agree with the table that it wrote, once that is called users.
    iso_agents::carry_over(&db).await.unwrap();
    let verdict = cast.compare(&db).await.unwrap();
    assert!(verdict.is_clean(), "{verdict:?}");
    assert!(verdict.compared > 400);
    let sides = check::sides(&db).await.unwrap();
    assert!(sides.is_clean(), "{sides:?}");
}

#[tokio::test]
async fn a_damaged_table_is_noticed_by_both_comparisons() {
    let (server, db) = filled(100).await;
    let board = Arc::new(Board::new(Phase::LegacyOnly));
    let cast = Cast::gather(&db, server.superuser_url(), Arc::clone(&board))
        .await
        .unwrap();
    iso_agents::carry_over(&db).await.unwrap();
    db.batch_execute(
        "DELETE FROM users WHERE clerk_user_id = 'user_1';
         UPDATE users SET full_name = 'Somebody else' WHERE clerk_user_id = 'user_2';
         INSERT INTO users (clerk_user_id, email, full_name, role)
         VALUES ('nobody', 'nobody@example.com', 'Nobody', 'operator')",
    )
    .await
    .unwrap();
    for verdict in [
        check::sides(&db).await.unwrap(),
        cast.compare(&db).await.unwrap(),
    ] {
        assert_eq!(
            (verdict.missing, verdict.extra, verdict.different),
            (1, 1, 1),
            "{verdict:?}"
        );
    }
}

#[tokio::test]
async fn a_lost_update_of_the_contended_row_is_noticed() {
    let (server, db) = filled(10).await;
    let board = Arc::new(Board::new(Phase::LegacyOnly));
    let cast = Cast::gather(&db, server.superuser_url(), Arc::clone(&board))
        .await
        .unwrap();
    iso_agents::carry_over(&db).await.unwrap();
    assert!(cast.compare(&db).await.unwrap().is_clean());
    board
        .increments
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(cast.compare(&db).await.unwrap().different, 1);
}

/// A piece on two databases with nothing between, `planted` in one of them, until so many statements were sent or
/// something is wrong.
async fn mirrored(name: &str, planted: &str, statements: u64) -> (Arc<Board>, check::Verdict) {
    let piece = Arc::new(Files::find(name).unwrap().read().unwrap());
    let server = Postgres::start().await.unwrap();
    let db = server.connect("postgres").await.unwrap();
    db.batch_execute("CREATE ROLE app").await.unwrap();
    db.batch_execute(&piece.roles).await.unwrap();
    for database in ["one", "other"] {
        db.batch_execute(&format!("CREATE DATABASE {database}"))
            .await
            .unwrap();
        let db = server.connect(database).await.unwrap();
        db.batch_execute(&piece.legacy(100)).await.unwrap();
        if database == "one" {
            db.batch_execute(planted).await.unwrap();
        }
    }
    let board = Arc::new(Board::new(Phase::LegacyOnly));
    let urls = [server.url("one"), server.url("other")];
    let mut mirror = Mirror::new(piece, 100, urls, Arc::clone(&board));
    mirror.start();
    while board.statements(Side::Old) < statements && board.errors() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    mirror.stop().await.unwrap();
    let verdict = mirror.compare().await.unwrap();
    (board, verdict)
}

#[tokio::test]
async fn whatever_is_played_is_answered_alike_by_two_databases_that_are_alike() {
    for files in piece::ALL {
        let (board, verdict) = mirrored(files.name, "", 1_000).await;
        assert_eq!(board.troubles(), Vec::<String>::new(), "{}", files.name);
        assert!(verdict.is_clean(), "{}: {verdict:?}", files.name);
        assert!(verdict.compared > 100, "{}: {verdict:?}", files.name);
    }
}

#[tokio::test]
async fn a_database_that_keeps_something_else_is_noticed_by_answers_and_by_the_comparison() {
    let planted = "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN NEW.language = 'other'; RETURN NEW; END $$;
        CREATE TRIGGER other BEFORE INSERT ON user_settings FOR EACH ROW EXECUTE FUNCTION other()";
    let (board, verdict) = mirrored("user_settings", planted, u64::MAX).await;
    let troubles = board.troubles();
    assert!(troubles[0].contains("other"), "{troubles:?}");
    let (_phase, tally) = board.tallies()[0];
    assert!(tally.different > 0, "{tally:?}");
    assert!(verdict.missing > 0 && verdict.extra > 0, "{verdict:?}");
}
