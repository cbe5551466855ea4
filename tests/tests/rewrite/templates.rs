//! What was made of one text serves those that differ from it in constants alone: as if each had been read.
//!
//! `CROSSFADE_SEED` begins at another case, `CROSSFADE_TEMPLATE_CASES` sets how many there are.

use crossfade_tests::generate::{self, Choices};
use crossfade_tests::properties::{reader, templates};
use rewrite_rules::{Phase, RuleSet, SearchPath, SourceFile};

const SEED: u64 = 70_000;
const CASES: u64 = 40;
/// The newest syntax that the grammar writes.
const SERVER: u32 = 18;

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_statements_are_read_alike_with_and_without_templates() {
    let first = number("CROSSFADE_SEED", SEED);
    let cases = number("CROSSFADE_TEMPLATE_CASES", CASES);
    let (mut texts, mut by_template) = (0, 0);
    for seed in first..first + cases {
        println!("CROSSFADE_SEED={seed}");
        let case = generate::case(&mut Choices::seeded(SERVER, seed));
        let mut choices = Choices::seeded(SERVER, !seed);
        for statement in &case.statements {
            for phase in Phase::ALL {
                let rules = reader::rules(phase as u8);
                texts += 5;
                by_template += templates::check_text(
                    rules,
                    &statement.sql,
                    SearchPath::AsDeclared,
                    &mut choices,
                );
            }
        }
    }
    println!("{by_template} of {texts} texts by a template");
    // The first two of a form are read, and some forms depend on all of their constants.
    assert!(by_template * 10 > texts, "{by_template} of {texts}");
}

const USER_SETTINGS: &str = include_str!("../../../rewrite-rules/rules/user_settings.toml");
const ENHANCED_USER: &str = include_str!("../../../rewrite-rules/rules/enhanced_user.toml");

#[test]
fn so_are_statements_on_tables_that_are_split_or_keep_fields_in_jsonb() {
    let files = [("u", USER_SETTINGS), ("e", ENHANCED_USER)].map(|(name, text)| SourceFile {
        path: format!("{name}.toml").into(),
        text: text.to_owned(),
    });
    let rules = RuleSet::compile(files.to_vec()).expect("the shipped rules are right");
    let mut choices = Choices::seeded(SERVER, number("CROSSFADE_SEED", SEED));
    let mut by_template = 0;
    for phase in Phase::ALL {
        let rules = rules.with_phase(None, phase);
        for statement in STATEMENTS {
            let path = SearchPath::AsDeclared;
            by_template += templates::check_text(&rules, statement, path, &mut choices);
        }
    }
    assert!(by_template > STATEMENTS.len() * 5, "{by_template}");
}

const STATEMENTS: [&str; 26] = [
    "SELECT id, language, accepted_tos FROM user_settings WHERE id = 1",
    "SELECT * FROM user_settings WHERE keycloak_user_id = 'twice' ORDER BY 1 LIMIT 5 OFFSET 0",
    "SELECT u.id, u, upper(u.language) || 'x' FROM user_settings AS u WHERE u.id IN (1, 3, 12345678901)",
    "SELECT count(*) FILTER (WHERE id > 3), 'all' FROM user_settings GROUP BY 2 HAVING count(*) > 1.5",
    "SELECT id FROM user_settings WHERE id = -1 FOR UPDATE",
    "SELECT id FROM user_settings WHERE accepted_tos > timestamp '2025-02-15' OR id::text = '5' FOR UPDATE",
    "SELECT u.id FROM user_settings u LEFT JOIN org o ON o.name = 'user_' || u.id || '_org' WHERE u.id = 1",
    "INSERT INTO user_settings (id, keycloak_user_id, language) VALUES (2, 'k1', 'new'), (3, 'k2', NULL)",
    "INSERT INTO user_settings (keycloak_user_id, billing_margin) VALUES ('k1', 1.5) RETURNING id, 'ok', 7",
    "INSERT INTO user_settings (id, language) SELECT 5, 'de' FROM org WHERE name = 'x' LIMIT 1",
    "INSERT INTO user_settings (id, language) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET language = 'b' WHERE user_settings.id < 9",
    "UPDATE user_settings SET language = 'w', user_version = user_version + 1 WHERE id = 2",
    "UPDATE user_settings SET mcp_config = '{\"a\": 1}', accepted_tos = '2027-03-03' WHERE keycloak_user_id = 'k1' RETURNING *",
    "UPDATE user_settings u SET language = o.name, billing_margin = 0.25 FROM org o WHERE u.id = 1 AND o.name = 'x'",
    "UPDATE user_settings SET (language, agent) = ('a', 'b') WHERE id BETWEEN 1 AND 100",
    "DELETE FROM user_settings WHERE id = 2 AND language <> 'x'",
    "DELETE FROM user_settings USING org WHERE org.name = 'x' AND user_settings.id = 4 RETURNING id * 2",
    "MERGE INTO user_settings t USING (VALUES (1, 'a'), (2, 'b')) AS s (id, l) ON t.id = s.id WHEN MATCHED AND s.l = 'x' THEN DELETE WHEN MATCHED THEN UPDATE SET language = s.l || 'y' WHEN NOT MATCHED THEN INSERT (id, language) VALUES (s.id, 'z')",
    "SELECT username FROM main_enhanceduser WHERE id = 1 AND is_active = true",
    "SELECT a.username, 5 FROM main_enhanceduser a JOIN main_enhanceduser b ON b.manager_id = a.id WHERE b.id = 7 ORDER BY 1, 2",
    "UPDATE main_enhanceduser SET first_name = 'A', last_name = 'it''s' WHERE id = 3",
    "INSERT INTO main_enhanceduser (username, email, password) VALUES ('u', 'u@example.org', 'x')",
    "DELETE FROM main_enhanceduser WHERE username = 'u'",
    "WITH w AS (SELECT id FROM main_enhanceduser WHERE username LIKE 'a%' LIMIT 3) SELECT * FROM w WHERE id > 0",
    "SELECT set_config('search_path', 'public', false), id FROM main_enhanceduser WHERE id = 1",
    "SELECT 'main_enhanceduser'::regclass::text, id FROM main_enhanceduser WHERE id = 1 -- 5 'x'",
];
