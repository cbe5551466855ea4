//! The fuzzers' properties on inputs that proptest makes up: a failure prints the seed, and is kept
//! beside this file to be tried first the next time.

use crossfade_tests::properties::{decoders, frames, reader, session};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rewrite_rules::{Phase, SearchPath, Verdict};

/// Bytes of which many are NULs, small numbers and the protocol's letters.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(0_u8),
        0_u8..12,
        prop::sample::select(b"QPBDECHSFXdcfpZTK12snt".to_vec()),
        any::<u8>(),
    ];
    vec(byte, 0..most)
}

/// Frames of which few lie about their length.
fn frames_of_bytes() -> impl Strategy<Value = Vec<u8>> {
    let frame = (any::<u8>(), bytes(40), 0_u32..60).prop_map(|(tag, body, lie)| {
        let length = body.len() as u32 + 4;
        let length = if lie < 3 {
            length.saturating_sub(lie * 7)
        } else {
            length
        };
        [&[tag][..], &length.to_be_bytes(), &body].concat()
    });
    (bytes(9), vec(frame, 0..12)).prop_map(|(cuts, frames)| {
        let mut all = cuts;
        all.resize(8, 5);
        all.extend(frames.concat());
        all
    })
}

const WORDS: &[&str] = &[
    "SELECT",
    "*",
    "id",
    "role",
    "email",
    "metadata",
    "full_name",
    "FROM",
    "iso_agents",
    "public.iso_agents",
    "users",
    "\"iso_agents\"",
    "AS",
    "a",
    "a.id",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "WHERE",
    "role = 'admin'",
    "id = $1",
    "IN",
    "(",
    ")",
    ",",
    "INSERT INTO",
    "VALUES",
    "DEFAULT",
    "ON CONFLICT (email) DO NOTHING",
    "DO UPDATE SET",
    "UPDATE",
    "SET",
    "full_name = 'x'",
    "DELETE FROM",
    "RETURNING",
    "WITH w AS (",
    "UNION ALL",
    "EXISTS (",
    "ORDER BY 1",
    "LIMIT 2",
    "FOR UPDATE",
    ";",
    "EXPLAIN",
    "COPY",
    "TO STDOUT",
    "FROM STDIN",
    "TRUNCATE",
    "count(*)",
    "GROUP BY",
    "NULL",
    "'ä'",
    "/* c */",
    "-- c\n",
    "U&\"iso\\005fagents\"",
    "$$x$$",
    "::text",
    "CASE WHEN true THEN",
    "END",
    "LATERAL (",
    "MERGE INTO",
    "USING",
    "search_path",
    "excluded.role",
];

/// Words of SQL in any order, and statements into which such words were thrown.
fn sql() -> impl Strategy<Value = String> {
    let words = || vec(prop::sample::select(WORDS), 0..14).prop_map(|words| words.join(" "));
    let statement = prop::sample::select(
        &[
            "SELECT %s FROM iso_agents a %s",
            "SELECT id, role FROM iso_agents WHERE id = $1 %s",
            "UPDATE iso_agents SET full_name = 'x' %s",
            "UPDATE iso_agents AS a SET role = %s WHERE a.id = $1 RETURNING *",
            "DELETE FROM iso_agents WHERE %s",
            "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'b', %s) %s",
            "WITH w AS (SELECT %s FROM iso_agents) DELETE FROM iso_agents USING w RETURNING %s",
            "SELECT 1; %s; TABLE iso_agents",
        ][..],
    );
    let filled = (statement, vec(vec(prop::sample::select(WORDS), 0..4), 2)).prop_map(
        |(statement, fill)| {
            let fill = fill.iter().map(|words| words.join(" "));
            fill.fold(statement.to_owned(), |text, fill| {
                text.replacen("%s", &fill, 1)
            })
        },
    );
    prop_oneof![1 => words(), 3 => filled]
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn a_stream_cut_anywhere_comes_out_the_same(data in frames_of_bytes()) {
        frames::check(&data);
    }

    #[test]
    fn no_bytes_harm_a_decoder(data in bytes(80)) {
        decoders::check(&data);
    }

    #[test]
    fn no_interleaving_of_messages_harms_a_session(data in bytes(400)) {
        session::check(&data);
    }

    #[test]
    fn the_reader_answers_any_text_and_what_it_makes_is_sql(
        phase in 0_u8..7,
        known_path in any::<bool>(),
        text in sql(),
    ) {
        let path = if known_path { SearchPath::AsDeclared } else { SearchPath::Unknown };
        reader::check_text(reader::rules(phase), &text, path);
    }
}

/// The properties are worth nothing where the inputs never reach the interesting code.
#[test]
fn the_made_up_texts_are_of_every_verdict() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut passed, mut rewritten, mut refused) = (0, 0, 0);
    for _ in 0..300 {
        let text = sql().new_tree(&mut runner).expect("a text").current();
        let rules = reader::rules(Phase::DualRead as u8);
        match &rules.rewrite(&text, SearchPath::AsDeclared).verdict {
            Verdict::PassThrough => passed += 1,
            Verdict::Rewritten(_) => rewritten += 1,
            Verdict::Refused(_) => refused += 1,
        }
    }
    assert!(
        passed > 5 && rewritten > 20 && refused > 20,
        "{passed} passed, {rewritten} rewritten, {refused} refused"
    );
}
