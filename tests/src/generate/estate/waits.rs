//! Two sessions: the first writes and leaves its transaction open, the second waits for it, and the first ends.

use super::super::{Case, Choices, Statement, plain};
use super::{Text, made};

/// What the first does to houses 11 and 5, and to tenant 12 and staff 101.
const FIRSTS: [(&str, &str); 18] = [
    (
        "UPDATE houses SET size = size + 1 WHERE id = 11",
        "a writer that waits for an UPDATE",
    ),
    (
        "UPDATE houses SET name = 'other', price = 7 WHERE id IN (5, 11)",
        "a writer that waits for an UPDATE",
    ),
    (
        "UPDATE houses SET zip = NULL, sold = sold + interval '1 day' WHERE id IN (5, 11)",
        "a writer that waits for an UPDATE",
    ),
    (
        "UPDATE tenants SET note = 'first', a = 5 WHERE id = 12",
        "a writer that waits for an UPDATE",
    ),
    (
        "UPDATE staff SET pay = pay + 1, last = 'first' WHERE nr IN (101, 102)",
        "a writer that waits for an UPDATE",
    ),
    (
        "DELETE FROM houses WHERE id = 11",
        "a writer that waits for a DELETE",
    ),
    (
        "DELETE FROM houses WHERE id = 5",
        "a writer that waits for a DELETE",
    ),
    (
        "DELETE FROM tenants WHERE id = 12",
        "a writer that waits for a DELETE",
    ),
    (
        "DELETE FROM staff WHERE nr IN (101, 102)",
        "a writer that waits for a DELETE",
    ),
    (
        "UPDATE houses SET id = 1011 WHERE id = 11",
        "a writer that waits for a key change",
    ),
    (
        "UPDATE houses SET id = 1005 WHERE id = 5",
        "a writer that waits for a key change",
    ),
    (
        "UPDATE tenants SET id = 1012 WHERE id = 12",
        "a writer that waits for a key change",
    ),
    (
        "INSERT INTO houses (id, name) VALUES (300, 'first')",
        "a writer that waits for an INSERT",
    ),
    (
        "INSERT INTO staff (id, nr, first) OVERRIDING SYSTEM VALUE VALUES (300, 300, 'first')",
        "a writer that waits for an INSERT",
    ),
    (
        "INSERT INTO tenants (id, a) VALUES (300, 5), (302, 11)",
        "a writer that waits for a reference",
    ),
    (
        "UPDATE tenants SET e = 5, f = 11 WHERE id = 21",
        "a writer that waits for a reference",
    ),
    (
        "SELECT id FROM houses WHERE id IN (5, 11) FOR UPDATE",
        "a writer that waits for a lock",
    ),
    (
        "SELECT id FROM tenants WHERE id = 12 FOR UPDATE",
        "a writer that waits for a lock",
    ),
];

/// What the second does.
const SECONDS: [&str; 38] = [
    "UPDATE houses SET size = size + 1 WHERE id = 11 RETURNING id, name, size",
    "UPDATE houses SET size = size + 1 WHERE id = 11 AND name = 'house 11'",
    "UPDATE houses SET name = name || '!' WHERE id = 11 AND size < 3 RETURNING *",
    "UPDATE houses SET price = price + 1 WHERE id IN (5, 11) AND zip = '00011'",
    "UPDATE houses SET zip = '99' WHERE id = 5 RETURNING sold, zip",
    "UPDATE houses SET (size, name) = (SELECT houses.size + 2, houses.name || '?') WHERE id = 11 RETURNING name, size",
    "UPDATE houses AS h SET size = h.size + v.n FROM (VALUES (5, 3), (11, 4)) AS v (i, n) WHERE v.i = h.id AND h.size < 6 RETURNING h.id, h.size",
    "UPDATE houses SET sold = sold + interval '1 hour' WHERE sold < '2024-02-01' AND id IN (5, 11)",
    "UPDATE houses SET price = 1 WHERE id < 13 AND id > 4",
    "UPDATE houses SET id = 1111 WHERE id = 11 RETURNING id",
    "UPDATE houses SET id = 1011 WHERE id = 21",
    "UPDATE houses SET id = 1005 WHERE id = 6 RETURNING id, name",
    "INSERT INTO houses (id, name) VALUES (1011, 'second')",
    "INSERT INTO tenants (id, a) VALUES (301, 1011)",
    "WITH w AS (UPDATE houses SET size = size + 1 WHERE id = 11 AND size < 3 RETURNING id, size) SELECT * FROM w",
    "DELETE FROM houses WHERE id = 11 AND size = 2",
    "DELETE FROM houses WHERE id = 5 RETURNING id, name",
    "DELETE FROM houses WHERE id IN (5, 11) AND price > 100",
    "DELETE FROM houses AS h USING (VALUES (5), (11)) AS v (i) WHERE v.i = h.id AND h.name LIKE 'house%' RETURNING h.id",
    "INSERT INTO houses (id, name) VALUES (300, 'second')",
    "INSERT INTO houses (id, name) VALUES (301, 'first') ON CONFLICT (name) DO NOTHING",
    "INSERT INTO houses (id, name) VALUES (300, 'second') ON CONFLICT (id) DO UPDATE SET name = houses.name || '+', size = 1 RETURNING name",
    "INSERT INTO houses (id, name) VALUES (11, 'house 11') ON CONFLICT (id) DO UPDATE SET size = houses.size + 5 WHERE houses.price > 100 RETURNING size",
    "INSERT INTO houses (id, name) VALUES (5, 'five')",
    "INSERT INTO tenants (id, a) VALUES (300, 11) RETURNING a",
    "INSERT INTO tenants (id, e) VALUES (300, 5)",
    "INSERT INTO tenants (id, f) VALUES (300, 11)",
    "UPDATE tenants SET a = 11 WHERE id = 21",
    "UPDATE tenants SET note = coalesce(note, '') || '!' WHERE id = 12 RETURNING note, a",
    "UPDATE tenants SET note = 'second' WHERE a = 12",
    "UPDATE tenants SET b = a WHERE id = 12 AND note = 'tenant 2'",
    "DELETE FROM tenants WHERE id = 12 AND a = 11 RETURNING id",
    "UPDATE staff SET pay = pay * 2 WHERE nr = 101 RETURNING pay, yearly, called",
    "UPDATE staff SET last = called WHERE yearly < 300 RETURNING called",
    "DELETE FROM staff WHERE called = 'First 2 Last'",
    "INSERT INTO staff (id, nr, first) OVERRIDING SYSTEM VALUE VALUES (301, 300, 'second')",
    "SELECT id, name, size FROM houses WHERE id = 11 AND size = 2 FOR UPDATE",
    "SELECT id, a FROM tenants WHERE id = 12 AND a IS NOT NULL FOR UPDATE",
];

/// The tables that a statement writes or whose rows it refers to.
fn concerned(sql: &str) -> [bool; 3] {
    [
        sql.contains("houses")
            || sql.contains("INTO tenants")
            || sql.contains("SET a =")
            || sql.contains("SET e ="),
        sql.contains("tenants")
            || sql.starts_with("DELETE FROM houses")
            || sql.starts_with("UPDATE houses SET id"),
        sql.contains("staff"),
    ]
}

pub(super) fn case(choices: &mut Choices) -> Case {
    let (first, construct) = choices.pick(&FIRSTS);
    let begin = plain("BEGIN", "READ COMMITTED");
    let mut statements = vec![begin];
    let mut written = made(choices, 0, |grammar| {
        grammar.saw(construct);
        Text::from(first.to_owned())
    });
    written.ordered = false;
    statements.push(written);
    if choices.chance(20) {
        let (again, construct) = choices.pick(&FIRSTS);
        statements.push(made(choices, 1, |grammar| {
            grammar.saw(construct);
            Text::from(again.to_owned())
        }));
    }
    let end = choices.pick(&["COMMIT", "COMMIT", "ROLLBACK"]);
    statements.push(plain(end, end));
    // Mostly it is about the same rows.
    let fitting: Vec<&str> = SECONDS
        .iter()
        .copied()
        .filter(|second| {
            let pairs = concerned(first).into_iter().zip(concerned(second));
            pairs.into_iter().any(|(one, other)| one && other)
        })
        .collect();
    let second = match choices.chance(90) {
        true => fitting[choices.below(fitting.len())],
        false => choices.pick(&SECONDS),
    };
    let waiting = second_session(choices, second);
    Case {
        statements,
        writes: true,
        waiting: Some(waiting),
    }
}

fn second_session(choices: &mut Choices, sql: &str) -> Vec<Statement> {
    let second = made(choices, 2, |grammar| {
        if sql.contains("tenants (id") || sql.contains("SET a = 11") {
            grammar.saw("a writer that refers meanwhile");
        }
        Text::from(sql.to_owned())
    });
    match choices.below(6) {
        0..=3 => vec![second],
        4 => vec![
            plain("BEGIN", "READ COMMITTED"),
            second,
            plain("COMMIT", "COMMIT"),
        ],
        _ => vec![
            plain("BEGIN ISOLATION LEVEL REPEATABLE READ", "REPEATABLE READ"),
            second,
            plain("COMMIT", "COMMIT"),
        ],
    }
}
