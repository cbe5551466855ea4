use super::*;

#[tokio::test]
async fn a_dropped_server_leaves_neither_files_nor_a_process() {
    let server = Postgres::start().await.unwrap();
    let port = server.port;
    let dir = server.dir.path().to_owned();
    let client = server.connect("postgres").await.unwrap();
    let row = client.query_one("SELECT 1 + 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 2);
    assert!(dir.is_dir());

    drop(server);

    assert!(!dir.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn data_survives_a_restart_and_a_crash_of_the_server() {
    let mut server = Postgres::start().await.unwrap();
    let port = server.port;
    let client = server.connect("postgres").await.unwrap();
    client
        .batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        .await
        .unwrap();
    server.restart().await.unwrap();
    server.stop_immediate().await.unwrap();
    assert!(server.connect("postgres").await.is_err());
    server.start_again().await.unwrap();

    assert_eq!(server.port, port);
    let client = server.connect("postgres").await.unwrap();
    let row = client.query_one("SELECT n FROM kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn a_user_must_prove_itself_as_its_kind_of_authentication_says() {
    let server = Postgres::start().await.unwrap();
    for (name, auth) in [
        ("by password", Auth::Password),
        ("by md5", Auth::Md5),
        ("by scram", Auth::Scram),
    ] {
        server.create_user(name, "it's secret", auth).await.unwrap();
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(server.port)
            .user(name)
            .dbname("postgres");
        assert!(
            config.connect(NoTls).await.is_err(),
            "{name} without a password"
        );
        config.password("it's secret");
        assert!(config.connect(NoTls).await.is_ok(), "{name}");
    }
}

#[test]
fn a_child_lives_on_when_the_thread_that_asked_for_it_ends() {
    let process = std::thread::spawn(|| {
        let mut command = process::dying_with_us(Path::new("/bin/sleep"));
        command.arg("60");
        Process::spawn(command).unwrap()
    })
    .join()
    .unwrap();
    assert!(!process.is_over());
    assert!(process.signal(Signal::Terminate).is_ok());
    while !process.is_over() {
        std::thread::yield_now();
    }
}
