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
