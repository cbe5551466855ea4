//! Who gets in, and from where.

use crossfade_tests::control;
use crossfade_tests::visit::{PASSWORD, PageFiles, Visit};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

async fn served(world: &World, name: &str, files: &PageFiles) -> Proxy {
    let config = &files.config;
    let proxy = world.in_phase_with(name, Phase::DualWrite, config).await;
    proxy.unwrap()
}

#[tokio::test]
async fn nobody_sees_anything_without_having_logged_in() {
    let world = World::start().await.unwrap();
    let files = PageFiles::new("").unwrap();
    let proxy = served(&world, "entry", &files).await;
    let mut visit = Visit::new(files.port);
    for path in [
        "/",
        "/proxies",
        "/events",
        "/migrations/iso_agents",
        "/migrations/iso_agents/advance",
        "/nowhere",
    ] {
        let answer = visit.get(path).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/login")),
            "{path}"
        );
        assert!(!answer.body.contains("iso_agents"), "{path}");
    }
    for (user, password) in [
        ("ann", "wrong"),
        ("nobody", PASSWORD),
        ("ann", ""),
        ("", PASSWORD),
    ] {
        let answer = visit.log_in(user, password).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("set-cookie")),
            (401, None),
            "{user}"
        );
        assert!(
            answer
                .body
                .contains("There is no such user with this password.")
        );
    }
    visit.cookie = Some(format!("crossfade-{}=made-up", files.port));
    assert_eq!(visit.get("/").await.unwrap().status, 303);

    let answer = visit.log_in("ann", PASSWORD).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").unwrap();
    for word in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let page = visit.get("/").await.unwrap();
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("iso_agents") && page.body.contains("dual_write"),
        "{page:?}"
    );
    assert_eq!(visit.get("/events").await.unwrap().status, 200);
    for path in ["/proxies", "/migrations/iso_agents"] {
        let page = visit.get(path).await.unwrap();
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains("iso_agents"), "{path}: {page:?}");
    }
    for path in [
        "/nowhere",
        "/migrations/nothing",
        "/migrations/%3Cb%3E/advance",
    ] {
        assert_eq!(visit.get(path).await.unwrap().status, 404, "{path}");
    }
    let log = proxy.log();
    assert!(
        !log.contains(PASSWORD) && !log.contains("SCRAM-SHA-256$"),
        "{log}"
    );

    let out = visit.post("/logout", &[("csrf", "made-up")]).await.unwrap();
    assert_eq!(out.status, 403);
    let csrf = page.hidden("csrf").unwrap();
    let out = visit.post("/logout", &[("csrf", csrf)]).await.unwrap();
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert_eq!(visit.get("/").await.unwrap().status, 303);
}

#[tokio::test]
async fn whoever_is_taken_out_of_the_file_is_out_and_a_role_counts_as_it_is() {
    let world = World::start().await.unwrap();
    let files = PageFiles::new("").unwrap();
    let _proxy = served(&world, "roles", &files).await;
    let visit = Visit::of(files.port, "ann").await.unwrap();
    let path = "/migrations/iso_agents/advance";
    assert_eq!(visit.get(path).await.unwrap().status, 200);
    files.write(&[("ann", "see"), ("sam", "see")]).unwrap();
    assert_eq!(visit.get(path).await.unwrap().status, 403);
    files.write(&[("sam", "see")]).unwrap();
    assert_eq!(visit.get("/").await.unwrap().status, 303);
}

#[tokio::test]
async fn who_guesses_passwords_has_to_wait() {
    let world = World::start().await.unwrap();
    let files = PageFiles::new("").unwrap();
    let _proxy = served(&world, "guesses", &files).await;
    let mut visit = Visit::new(files.port);
    let mut told = Vec::new();
    // At once, so that no time passes in which somebody has waited enough.
    for _ in 0..6 {
        told.push(visit.log_in("ann", "guess").await.unwrap().status);
    }
    assert_eq!(told, [401, 401, 401, 401, 401, 429]);
    let right = visit.log_in("ann", PASSWORD).await.unwrap();
    assert_eq!(right.status, 429, "{right:?}");
    assert!(right.header("retry-after").is_some());
    assert_eq!(visit.log_in("sam", PASSWORD).await.unwrap().status, 303);
}

#[tokio::test]
async fn a_name_that_is_not_the_pages_is_not_answered() {
    let world = World::start().await.unwrap();
    let files = PageFiles::new("").unwrap();
    let _proxy = served(&world, "hosts", &files).await;
    let mut visit = Visit::of(files.port, "ann").await.unwrap();
    for host in [
        "evil.example",
        "localhost",
        "localhost:1",
        "evil.localhost:9432",
    ] {
        visit.host = host.to_owned();
        for path in ["/", "/login", "/migrations/iso_agents"] {
            let answer = visit.get(path).await.unwrap();
            assert_eq!(answer.status, 421, "{host}{path}");
            assert!(!answer.body.contains("iso_agents"), "{answer:?}");
        }
        assert_eq!(visit.log_in("ann", PASSWORD).await.unwrap().status, 421);
    }
    visit.host = format!("127.0.0.1:{}", files.port);
    assert_eq!(visit.get("/").await.unwrap().status, 200);
    // What programs ask is asked by whatever name they know.
    visit.host = "prometheus.example".to_owned();
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(visit.get(path).await.unwrap().status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_page_that_is_reached_from_elsewhere_has_names_and_its_cookie_is_for_tls() {
    let world = World::start().await.unwrap();
    let more = "tls_in_front = true\nhosts = [\"gate.example\"]\n";
    let files = PageFiles::new(more).unwrap();
    let _proxy = served(&world, "elsewhere", &files).await;
    let mut visit = Visit::new(files.port);
    visit.host = "gate.example".to_owned();
    visit.origin = Some("http://gate.example".to_owned());
    assert_eq!(visit.log_in("ann", PASSWORD).await.unwrap().status, 403);
    visit.origin = Some("https://gate.example".to_owned());
    let answer = visit.log_in("ann", PASSWORD).await.unwrap();
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-") && cookie.contains("; Secure"),
        "{cookie}"
    );
    assert_eq!(visit.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn every_answer_forbids_what_a_page_of_ours_does_not_need() {
    let world = World::start().await.unwrap();
    let files = PageFiles::new("").unwrap();
    let _proxy = served(&world, "headers", &files).await;
    let visit = Visit::of(files.port, "ann").await.unwrap();
    let mut stranger = visit.clone();
    stranger.host = "evil.example".to_owned();
    for answer in [
        visit.get("/").await.unwrap(),
        visit.get("/nowhere").await.unwrap(),
        visit.post("/logout", &[]).await.unwrap(),
        Visit::new(files.port).get("/").await.unwrap(),
        Visit::new(files.port).get("/login").await.unwrap(),
        stranger.get("/").await.unwrap(),
    ] {
        let policy = answer.header("content-security-policy").unwrap();
        for word in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(word), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        // Nothing is fetched from anywhere.
        for word in ["src=", "@import", "url(", "http://", "https://"] {
            assert!(!answer.body.contains(word), "{word}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_page_is_off_unless_it_is_switched_on_with_all_that_it_needs() {
    let world = World::start().await.unwrap();
    world.database("off").await.unwrap();
    let files = PageFiles::new("").unwrap();
    for (config, said) in [
        (
            files
                .config
                .replace("[console]\nusers", "[console]\n#users"),
            "users in [console]",
        ),
        (
            files.config.replace("listen = ", "#listen = "),
            "listen in [admin]",
        ),
        (
            files
                .config
                .replace("listen = \"127.0.0.1:", "listen = \"0.0.0.0:"),
            "`hosts` has to say by which names",
        ),
    ] {
        let proxy = Proxy::with_config(&world.postgres, "off", &config).unwrap();
        let ended = control::run(&proxy.config(), &["serve"]).await.unwrap();
        assert!(!ended.status.success(), "{ended:?}");
        assert!(ended.errors.contains(said), "{said}: {ended:?}");
    }
    let proxy = Proxy::with_config(
        &world.postgres,
        "off",
        &files.config.replace("page = true", "page = false"),
    );
    let _proxy = proxy.unwrap().serve().await.unwrap();
    let visit = Visit::new(files.port);
    for path in ["/", "/login"] {
        assert_eq!(visit.get(path).await.unwrap().status, 404, "{path}");
    }
}
