//! SQL meant to break its reader: a clean refusal or a right rewrite, never a lost thread.
//!
//! Each text is read on a thread with the stack that the proxy's workers have.

use rewrite_rules::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

/// As the proxy's workers have it.
const STACK_BYTES: usize = 256 * 1024 * 1024;

const RULES: &str = include_str!("../rules/iso_agents.toml");

fn read(phase: Phase, text: String) -> String {
    let reader = move || {
        let file = SourceFile {
            path: "iso_agents.toml".into(),
            text: RULES.to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
        let rules = rules.with_phase(None, phase);
        assert!(rules.must_read(text.as_bytes()));
        match &rules.rewrite(&text, SearchPath::AsDeclared).verdict {
            Verdict::PassThrough => "passed".to_owned(),
            Verdict::Rewritten(rewritten) => {
                // What is sent grows by the read of each reference, and by a cast for each value
                // of a VALUES list; by nothing that multiplies with the text.
                let references = text.matches("iso_agents").count();
                let bytes = rewritten.sql.len();
                assert!(
                    bytes < 12 * text.len() + 4_000 * (references + 1),
                    "{} bytes became {bytes}",
                    text.len()
                );
                "rewritten".to_owned()
            }
            Verdict::Refused(refusal) => refusal.sqlstate.to_owned(),
        }
    };
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(reader)
        .expect("a thread can be had")
        .join()
        .expect("the reader does not panic")
}

/// Reads a text in a phase that leaves reads as they are, and in one that rewrites them.
fn check(text: &str, expected: [&[&str]; 2]) {
    for (phase, expected) in [Phase::DualWrite, Phase::UnifiedRead]
        .into_iter()
        .zip(expected)
    {
        let got = read(phase, text.to_owned());
        let shown: String = text.chars().take(60).collect();
        assert!(
            expected.contains(&got.as_str()),
            "{phase}: {shown}… gave {got}"
        );
    }
}

const READS: [&[&str]; 2] = [&["passed"], &["rewritten"]];
/// The parser's own limits may speak instead.
const READS_OR_REFUSED: [&[&str]; 2] = [
    &["passed", "42601", "54000", "0A000"],
    &["rewritten", "42601", "54000", "0A000"],
];
const REFUSED: [&[&str]; 2] = [&["42601", "54000"], &["42601", "54000"]];

#[test]
fn fifty_thousand_ands() {
    let conditions = vec!["id IS NOT NULL"; 50_000].join(" AND ");
    check(
        &format!("SELECT email FROM iso_agents WHERE {conditions}"),
        READS,
    );
    let roles = vec!["role = 'admin'"; 20_000].join(" AND ");
    check(
        &format!("SELECT email FROM iso_agents WHERE {roles}"),
        READS,
    );
}

#[test]
fn ten_thousand_parentheses() {
    for count in [1_000, 10_000] {
        let (open, close) = ("(".repeat(count), ")".repeat(count));
        check(
            &format!("SELECT email FROM iso_agents WHERE {open}true{close}"),
            READS_OR_REFUSED,
        );
        check(
            &format!("{open}SELECT email FROM iso_agents{close}"),
            READS_OR_REFUSED,
        );
        check(
            &format!("SELECT email FROM iso_agents WHERE {open}true"),
            REFUSED,
        );
    }
}

#[test]
fn a_chain_of_twenty_thousand_operators_on_either_side() {
    check(
        &format!("SELECT 1{} FROM iso_agents", " + 1".repeat(20_000)),
        READS_OR_REFUSED,
    );
    check(
        &format!("SELECT {}true FROM iso_agents", "NOT ".repeat(20_000)),
        READS_OR_REFUSED,
    );
    check(
        &format!("SELECT 1{} FROM iso_agents", "::int".repeat(20_000)),
        READS_OR_REFUSED,
    );
    let cases = "CASE WHEN true THEN ".repeat(5_000) + "1" + &" END".repeat(5_000);
    check(&format!("SELECT {cases} FROM iso_agents"), READS_OR_REFUSED);
}

#[test]
fn a_hundred_thousand_nested_arrays() {
    for count in [1_000, 100_000] {
        let arrays = format!("{}1{}", "ARRAY[".repeat(count), "]".repeat(count));
        check(
            &format!("SELECT {arrays} FROM iso_agents"),
            READS_OR_REFUSED,
        );
        check(
            &format!("SELECT {} FROM iso_agents", "ARRAY[".repeat(count)),
            REFUSED,
        );
    }
}

#[test]
fn nested_queries_and_unions() {
    let count = 2_000;
    let nested = format!(
        "{}SELECT email FROM iso_agents{}",
        "SELECT * FROM (".repeat(count),
        ") AS x".repeat(count)
    );
    check(&nested, READS_OR_REFUSED);
    let union = vec!["SELECT email FROM iso_agents"; 1_000].join(" UNION ALL ");
    check(&union, READS_OR_REFUSED);
    let with: Vec<String> = (0..3_000)
        .map(|n| format!("w{n} AS (SELECT email FROM iso_agents)"))
        .collect();
    check(
        &format!("WITH {} SELECT 1", with.join(", ")),
        READS_OR_REFUSED,
    );
}

#[test]
fn a_list_of_a_megabyte() {
    let list = vec!["'admin'"; 100_000].join(",");
    check(
        &format!("SELECT email FROM iso_agents WHERE role IN ({list})"),
        READS,
    );
    let longer = vec!["'admin'"; 200_000].join(",");
    check(
        &format!("SELECT email FROM iso_agents WHERE role IN ({longer})"),
        REFUSED,
    );
}

#[test]
fn thousands_of_rows_and_statements() {
    let rows = vec!["('k', 'e@example.com', 'n')"; 10_000].join(", ");
    let insert = format!("INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES {rows}");
    let rewritten: [&[&str]; 2] = [&["rewritten"], &["rewritten"]];
    check(&insert, rewritten);
    let several = "SELECT 1 FROM iso_agents;".repeat(2_000);
    check(&several, READS);
    let semicolons = format!(
        "{}SELECT 1 FROM iso_agents{}",
        ";".repeat(50_000),
        ";".repeat(50_000)
    );
    check(&semicolons, READS);
}

#[test]
fn thousands_of_parts_of_a_column_and_of_names_in_a_target() {
    let rewritten: [&[&str]; 2] = [&["rewritten"], &["rewritten"]];
    let parts = vec!["metadata['a']"; 20_000].join(",");
    let values = vec!["to_jsonb(1)"; 20_000].join(",");
    let insert = "INSERT INTO iso_agents";
    check(&format!("{insert} ({parts}) VALUES ({values})"), rewritten);
    let sets = vec!["metadata[lower(email)] = '1'"; 15_000].join(",");
    check(&format!("UPDATE iso_agents SET {sets}"), rewritten);
    let conflict = "DEFAULT VALUES ON CONFLICT";
    let sets = vec!["metadata[excluded.email] = '1'"; 15_000].join(",");
    check(
        &format!("{insert} {conflict} (id) DO UPDATE SET {sets}"),
        rewritten,
    );
    let names = vec!["iso_agents.email > 'a'"; 20_000].join(" AND ");
    check(
        &format!("{insert} {conflict} (id) WHERE {names} DO NOTHING"),
        [&["rewritten"], &["0A000"]],
    );
}

#[test]
fn texts_that_end_too_early() {
    for text in [
        "SELECT 'iso_agents",
        "SELECT \"iso_agents",
        "SELECT $iso_agents$",
        "SELECT /* iso_agents",
        "SELECT U&\"iso_agents",
        "SELECT U&\"iso\\zzzz\"",
        "UPDATE iso_agents SET",
        "INSERT INTO iso_agents (",
        "WITH x AS (DELETE FROM iso_agents",
        "COPY iso_agents FROM",
    ] {
        check(text, REFUSED);
    }
}

#[test]
fn a_zero_byte_hides_nothing() {
    check("SELECT 1 \0 FROM iso_agents", REFUSED);
    check(
        "SELECT email FROM iso_agents\0; DROP TABLE iso_agents",
        REFUSED,
    );
}

#[test]
fn comments_in_comments() {
    let deep = format!(
        "{}{} SELECT email FROM iso_agents",
        "/*".repeat(100_000),
        "*/".repeat(100_000)
    );
    check(&deep, [&["54000"], &["54000"]]);
    let apart = format!(
        "{}{} SELECT email FROM iso_agents",
        "/* ".repeat(100_000),
        " */".repeat(100_000)
    );
    check(&apart, READS);
    // Banners are no nesting.
    let banners = format!("/{}/ SELECT 1 FROM iso_agents", "*".repeat(50_000));
    check(&banners, READS);
}

/// The memory that one reading may take, as much as the fuzzer allows itself; at the stack's limit the
/// parser's own depth takes some 150 MB of it.
const READING_KB_MAX: usize = 512 << 10;

/// Names, for the process that reads it, a text of [`costly`].
const COSTLY: &str = "CROSSFADE_TEST_COSTLY";

/// Every construct that makes more of a text than it is long, or much of little.
fn costly() -> Vec<(&'static str, String)> {
    let set = |columns: usize, source: &str| {
        let columns = vec!["full_name"; columns].join(",");
        format!("UPDATE iso_agents SET ({columns}) = {source}")
    };
    let mut nested = "SELECT 1,1".to_owned();
    for _ in 0..40 {
        let inner = format!("(WITH w AS (UPDATE t SET (a,b) = ({nested}) RETURNING 1) SELECT 1)");
        nested = format!("SELECT 1,{inner}");
    }
    let from = "FROM iso_agents";
    // As many as are read, and far more than that.
    let many = |of: &str, count: usize| vec![of; count].join(",");
    let mib = (1 << 20) - 100;
    let merge = "MERGE INTO iso_agents USING s ON true WHEN MATCHED THEN UPDATE";
    let insert = "INSERT INTO iso_agents DEFAULT VALUES ON CONFLICT (id) DO UPDATE";
    let row = format!("({})", many("'x'", 1_000));
    let columns = many("c", 1_000);
    let long = "x".repeat(500_000);
    vec![
        (
            "300 columns set by a row",
            set(300, &format!("({})", many("'x'", 300))),
        ),
        (
            "300 columns set by a query",
            set(300, &format!("(SELECT {})", many("'x'", 300))),
        ),
        ("1,000 columns", set(1_000, &row)),
        (
            "columns set by one long value",
            set(1_000, &format!("(SELECT '{long}')")),
        ),
        (
            "such lists within each other",
            set(2, &format!("({nested})")),
        ),
        (
            "columns set on conflict",
            format!("{insert} SET ({columns}) = {row}"),
        ),
        (
            "columns set by MERGE",
            format!("{merge} SET ({columns}) = {row}"),
        ),
        ("results", format!("SELECT {} {from}", many("a", 99_000))),
        ("constants", format!("SELECT {} {from}", many("1", 199_000))),
        (
            "rows",
            format!(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES {}",
                many("('k','e@example.com','n')", 30_000)
            ),
        ),
        (
            "sets",
            format!(
                "SELECT 1 {from} GROUP BY GROUPING SETS({})",
                many("(a,b)", 46_000)
            ),
        ),
        (
            "names dropped",
            format!("DROP TABLE iso_agents,{}", many("t", 99_000)),
        ),
        (
            "statements",
            format!("SELECT 1 {from};{}", "SELECT 1;".repeat(100_000)),
        ),
        (
            "concatenations",
            format!("SELECT 'a'{} {from}", "||'a'".repeat(4_000)),
        ),
        (
            "calls",
            format!("SELECT {}1{} {from}", "f(".repeat(4_000), ")".repeat(4_000)),
        ),
        (
            "signs in a row",
            format!("SELECT 1 {}1 {from}", "+".repeat(mib)),
        ),
        (
            "signs of two kinds",
            format!("SELECT 1 {}1 {from}", "+-".repeat(mib / 2)),
        ),
    ]
}

/// Reads one of them, in a process that does nothing else, and tells what that took.
#[test]
#[ignore = "is run by the test below, for each text"]
fn reads_one_text() {
    let Ok(name) = std::env::var(COSTLY) else {
        return;
    };
    let text = costly().into_iter().find(|(known, _)| *known == name);
    let (_, text) = text.expect("it is one of them");
    for phase in [Phase::DualWrite, Phase::UnifiedRead] {
        println!("{phase}: {}", read(phase, text.clone()));
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    println!("kB: {}", kb.expect("a number"));
}

#[test]
fn no_text_takes_more_memory_than_its_share() {
    for (name, text) in costly() {
        let test = std::env::current_exe().expect("its own path");
        let told = std::process::Command::new(test)
            .args(["--exact", "reads_one_text", "--ignored", "--nocapture"])
            .env(COSTLY, name)
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let kb = told.lines().find_map(|line| line.strip_prefix("kB: "));
        let kb: usize = kb
            .and_then(|kb| kb.parse().ok())
            .unwrap_or_else(|| panic!("{name} ended its process: {told}"));
        eprintln!("{name}: {kb} kB for {} bytes", text.len());
        assert!(
            kb <= READING_KB_MAX,
            "{name}: {kb} kB for {} bytes",
            text.len()
        );
    }
}

#[test]
fn a_list_that_multiplies_is_refused_where_it_names_a_managed_table_and_passes_where_not() {
    let columns = vec!["c"; 1_000].join(",");
    let values = vec!["'x'"; 1_000].join(",");
    let set = |table: &str| format!("UPDATE {table} SET ({columns}) = ({values})");
    check(&set("iso_agents"), [&["54001"], &["54001"]]);
    // It is read because it may run a prepared statement.
    check(&set("prepared"), [&["passed"], &["passed"]]);
    let few = vec!["full_name"; 300].join(",");
    let row = vec!["'x'"; 300].join(",");
    let legal = format!("UPDATE iso_agents SET ({few}) = ({row})");
    check(&legal, [&["rewritten"], &["rewritten", "42601", "0A000"]]);
}

/// What may stand within its like: what comes before, what the innermost is, and what comes behind.
const NESTED: [(&str, &str, &str, &str); 16] = [
    (
        "a query in FROM",
        "SELECT * FROM (",
        "SELECT email FROM iso_agents",
        ") AS x",
    ),
    (
        "a query behind EXISTS",
        "SELECT 1 FROM iso_agents WHERE EXISTS (",
        "SELECT 1",
        ")",
    ),
    (
        "a query behind IN",
        "SELECT id FROM iso_agents WHERE id IN (",
        "SELECT 1",
        ")",
    ),
    (
        "a query as a value",
        "SELECT (",
        "SELECT max(email) FROM iso_agents",
        ")",
    ),
    (
        "WITH",
        "WITH w AS (",
        "SELECT * FROM iso_agents",
        ") SELECT * FROM w",
    ),
    (
        "LATERAL",
        "SELECT a.id FROM iso_agents AS a, LATERAL (",
        "SELECT 1",
        ") AS x",
    ),
    (
        "UNION in parentheses",
        "SELECT id FROM iso_agents UNION (",
        "SELECT id FROM iso_agents",
        ")",
    ),
    (
        "UNION to the left",
        "",
        "SELECT id FROM iso_agents",
        " UNION SELECT id FROM iso_agents",
    ),
    (
        "joins in parentheses",
        "SELECT 1 FROM (iso_agents CROSS JOIN ",
        "iso_agents",
        ")",
    ),
    (
        "joins to the left",
        "",
        "SELECT 1 FROM iso_agents",
        " CROSS JOIN iso_agents",
    ),
    (
        "CASE",
        "SELECT CASE WHEN role = 'admin' THEN (",
        "SELECT 1 FROM iso_agents",
        ") END",
    ),
    ("calls", "lower(", "role", ")"),
    ("conditions", "(role = 'admin' OR id = 1 AND ", "true", ")"),
    ("rows", "ROW(1, ", "role", ")"),
    ("subscripts", "(ARRAY[1])[", "1", "]"),
    (
        "a write in WITH",
        "WITH w AS (",
        "DELETE FROM iso_agents RETURNING id",
        ") SELECT id FROM w",
    ),
];

/// What is nested, so often.
fn nested(name: &str, count: usize) -> String {
    let found = NESTED.iter().find(|(known, ..)| *known == name);
    let (_, before, innermost, behind) = found.expect("it is one of them");
    // Of what begins a query once, the query itself does not count.
    let (query, before) = match before.split_once("SELECT 1 FROM (") {
        Some(("", rest)) => ("SELECT 1 FROM ", format!("({rest}")),
        Some(_) | None => ("", (*before).to_owned()),
    };
    let (before, behind) = (before.repeat(count), behind.repeat(count));
    let text = format!("{query}{before}{innermost}{behind}");
    if text.contains("FROM iso_agents") {
        text
    } else {
        format!("SELECT 1 FROM iso_agents WHERE ({text}) IS NOT NULL")
    }
}

/// The parser takes each form up to one of these and no further: its own stack is bounded.
const DEPTHS: [usize; 9] = [500, 1_000, 1_500, 2_000, 3_000, 4_000, 4_500, 5_000, 10_000];

const FORM: &str = "CROSSFADE_NESTED_FORM";

/// Reads one of them ever deeper, up to what the parser takes or a text may weigh.
#[test]
#[ignore = "is run by the test below, for each form"]
fn reads_what_is_nested() {
    let Ok(form) = std::env::var(FORM) else {
        return;
    };
    for phase in [Phase::DualWrite, Phase::UnifiedRead] {
        for count in DEPTHS {
            println!("{phase}: {count}");
            let text = nested(&form, count);
            // What thousands of references cost that are rewritten is another question.
            if phase == Phase::UnifiedRead && text.matches("iso_agents").count() > 1_100 {
                break;
            }
            let told = read(phase, text);
            println!("{phase}: {count} {told}");
            if !["passed", "rewritten"].contains(&told.as_str()) {
                assert!(
                    ["42601", "54000", "54001", "0A000"].contains(&told.as_str()),
                    "{told}"
                );
                break;
            }
        }
    }
    println!("done");
}

#[test]
fn what_is_nested_as_deep_as_the_parser_takes_it_is_read_or_refused() {
    for (form, ..) in NESTED {
        let test = std::env::current_exe().expect("its own path");
        let told = std::process::Command::new(test)
            .args([
                "--exact",
                "reads_what_is_nested",
                "--ignored",
                "--nocapture",
            ])
            .env(FORM, form)
            .output()
            .expect("it runs");
        let out = String::from_utf8_lossy(&told.stdout).into_owned();
        let err = String::from_utf8_lossy(&told.stderr).into_owned();
        eprintln!("{form}: {}", out.lines().collect::<Vec<_>>().join("; "));
        assert!(out.contains("\ndone\n"), "{form}: {out}{err}");
    }
}
