//! What ORMs, drivers and migration tools send, and what they read of the answers: in every phase, each
//! message compared with that of a database that was left alone.

use std::fmt::Write;

use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::twin::{Case, MEMBERS, Twin};
use rewrite_rules::Phase;

/// A table that moves one to one under other names, beside one that stays.
const CUSTOMERS: Case = Case {
    name: "customers",
    rules: r#"[migration]
name = "customers"
phase = "legacy_only"
[[table]]
legacy = "public.customers"
unified = "public.people"
key = ["id"]
[table.columns]
id = { type = "integer", default = "nextval('public.customers_id_seq')" }
email = { type = "text", unified = "mail" }
name = { type = "varchar(20)", unified = "full_name" }
score = { type = "integer", default = "0" }
touched = { type = "text", set_by_trigger = true }
[table.constraints]
customers_pkey = "people_pkey"
customers_email_key = "people_mail_key"
customers_name_idx = "people_full_name_idx"
customers_score_check = "people_score_check"
"#,
    tables: 1,
    also: &[],
    server: "",
    legacy: "CREATE TABLE customers (id serial PRIMARY KEY, email text NOT NULL UNIQUE, name varchar(20), \
             score integer NOT NULL DEFAULT 0 CHECK (score >= 0), touched text); \
             CREATE UNIQUE INDEX customers_name_idx ON customers (name); \
             CREATE INDEX customers_score_idx ON customers (score); \
             CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.touched := 'by ' || TG_OP; RETURN NEW; END $$; \
             CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch(); \
             CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer, note text); \
             INSERT INTO customers (email, name) SELECT 'c' || n, 'n' || n FROM generate_series(1, 9) AS n; \
             INSERT INTO orders SELECT n, n, 'o' || n FROM generate_series(1, 9) AS n",
    unified: "CREATE TABLE people (id integer PRIMARY KEY DEFAULT nextval('customers_id_seq'), \
              mail text NOT NULL, full_name varchar(20), score integer NOT NULL DEFAULT 0, touched text, \
              CONSTRAINT people_mail_key UNIQUE (mail), CONSTRAINT people_score_check CHECK (score >= 0)); \
              CREATE UNIQUE INDEX people_full_name_idx ON people (full_name); \
              CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch()",
};

/// A message as a client could tell it from another: of an error all but the server's source lines.
fn told(message: &Message) -> String {
    match message.tag {
        b'T' => format!("T {:?}", message.columns()),
        b'D' => format!("D {:?}", message.values()),
        b'E' | b'N' => {
            let fields = b"SVCMDHPWstcdn";
            let fields = fields.iter().filter_map(|code| {
                let field = message.field(*code)?;
                Some(format!("{}={field}", *code as char))
            });
            let fields: Vec<String> = fields.collect();
            format!("{} {}", message.tag as char, fields.join(" "))
        }
        b'C' => format!("C {}", message.tag_text()),
        tag => format!("{} {:?}", tag as char, message.body),
    }
}

fn all_told(messages: &[Message]) -> Vec<String> {
    messages.iter().map(told).collect()
}

/// Both sessions of a twin's databases, by hand.
struct Both {
    alone: RawClient,
    through: RawClient,
}

impl Both {
    async fn of(twin: &Twin) -> Both {
        Both {
            alone: twin.raw_alone().await.unwrap(),
            through: twin.raw().await.unwrap(),
        }
    }

    /// What differs when a text is sent by either protocol, in a transaction that is rolled back.
    async fn differ(&mut self, sql: &str) -> Option<String> {
        let mut wrong = String::new();
        for extended in [false, true] {
            if extended && sql.contains(';') {
                continue;
            }
            let mut answers = Vec::new();
            for client in [&mut self.alone, &mut self.through] {
                client.simple("BEGIN").await.unwrap();
                let messages = if extended {
                    client.extended(sql, &[]).await.unwrap()
                } else {
                    client.simple(sql).await.unwrap()
                };
                client.simple("ROLLBACK").await.unwrap();
                answers.push(all_told(&messages));
            }
            if answers[0] != answers[1] {
                let (alone, through) = (answers[0].join("\n   "), answers[1].join("\n   "));
                let how = if extended { "extended" } else { "simple" };
                let _ = writeln!(
                    wrong,
                    "{sql} ({how})\n   {alone}\n -- through\n   {through}"
                );
            }
        }
        (!wrong.is_empty()).then_some(wrong)
    }
}

async fn same_in_every_phase(statements: &[&str]) {
    same_in(&Phase::ALL, statements).await;
}

/// In those phases of a migration that goes on to the last but one.
async fn same_in(phases: &[Phase], statements: &[&str]) {
    let twin = Twin::start(CUSTOMERS).await.unwrap();
    twin.prepare().await.unwrap();
    let mut wrong = String::new();
    for phase in Phase::ALL {
        match phase {
            Phase::LegacyOnly => {}
            Phase::DualWrite => {
                twin.advance(phase).await.unwrap();
                twin.crossfade("backfill").await.unwrap();
                twin.verified(1).await;
            }
            Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead | Phase::UnifiedOnly => {
                twin.advance(phase).await.unwrap();
            }
            Phase::Retired => continue,
        }
        if !phases.contains(&phase) {
            continue;
        }
        let mut both = Both::of(&twin).await;
        for sql in statements {
            if let Some(found) = both.differ(sql).await {
                let _ = writeln!(wrong, "{phase}: {found}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn rows_are_locked_in_each_of_the_ways_that_orms_know() {
    same_in_every_phase(&[
        "SELECT id FROM customers WHERE id = 1 FOR UPDATE",
        "SELECT id FROM customers WHERE id = 1 FOR NO KEY UPDATE",
        "SELECT id, email FROM customers WHERE id = 1 FOR SHARE",
        "SELECT id, email FROM customers WHERE id = 1 FOR KEY SHARE",
        "SELECT name FROM customers WHERE id < 3 ORDER BY id FOR UPDATE NOWAIT",
        "SELECT name FROM customers WHERE id < 3 ORDER BY id FOR SHARE SKIP LOCKED",
        "SELECT name FROM customers WHERE id < 3 ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
        "SELECT c.name, o.note FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 2 FOR UPDATE OF o",
        "SELECT c.name, o.note FROM orders o LEFT JOIN customers c ON o.customer_id = c.id WHERE o.id = 2 FOR UPDATE OF o",
        "SELECT c.name, o.note FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 2 FOR SHARE OF c NOWAIT",
        "SELECT c.name FROM customers c, orders o WHERE o.customer_id = c.id AND c.id = 2 FOR UPDATE OF c, o SKIP LOCKED",
        "SELECT c.name FROM customers c, orders o WHERE o.customer_id = c.id AND c.id = 2 FOR UPDATE OF c FOR SHARE OF o",
        "SELECT note FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE id < 3) ORDER BY id FOR UPDATE",
        "SELECT 1 FROM orders WHERE EXISTS (SELECT FROM customers WHERE id = 1 FOR KEY SHARE) AND id = 1",
        "UPDATE orders SET note = 'x' WHERE customer_id = (SELECT id FROM customers WHERE id = 3 FOR UPDATE SKIP LOCKED) RETURNING id",
        "SELECT count(*) FROM customers FOR UPDATE",
        "SELECT id FROM customers FOR UPDATE OF nobody",
    ])
    .await;
}

#[tokio::test]
async fn a_query_that_groups_by_the_key_may_name_the_other_columns() {
    same_in_every_phase(&[
        "SELECT c.id, c.email, count(o.id) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id ORDER BY c.id",
        "SELECT customers.*, count(*) FROM customers JOIN orders ON customer_id = customers.id GROUP BY customers.id \
         HAVING max(note) > 'o2' ORDER BY name",
        "SELECT id, upper(email), score + 1 FROM customers GROUP BY id ORDER BY email DESC",
        "SELECT a.name, b.name FROM customers a JOIN customers b ON b.id = a.id + 1 GROUP BY a.id, b.id ORDER BY a.id",
        "SELECT row_to_json(c) FROM customers c GROUP BY c.id ORDER BY c.id",
        "SELECT name, (SELECT count(*) FROM orders WHERE customer_id = c.id AND note <> c.email) FROM customers c \
         GROUP BY id ORDER BY id",
        "SELECT id, name FROM customers RIGHT JOIN (VALUES (1), (100), (100)) AS r (id) USING (id) GROUP BY customers.id, r.id ORDER BY 1",
        "SELECT count(*) FROM (SELECT name FROM customers GROUP BY public.customers.id) AS q",
        "UPDATE orders SET note = (SELECT max(name || id) FROM customers WHERE customer_id = id GROUP BY id) WHERE id < 3 RETURNING note",
        "SELECT id, name FROM customers GROUP BY ROLLUP (id)",
        "SELECT name FROM customers GROUP BY email",
        "SELECT o.id, c.name FROM customers c, orders o GROUP BY o.id",
    ])
    .await;
}

#[tokio::test]
async fn what_is_sent_at_boot_and_changes_nothing_is_answered_as_before() {
    same_in_every_phase(&[
        "CREATE TABLE IF NOT EXISTS customers (id serial PRIMARY KEY, email text)",
        "CREATE TABLE IF NOT EXISTS public.customers (id serial PRIMARY KEY, email text)",
        "CREATE INDEX IF NOT EXISTS customers_score_idx ON customers (score)",
        "CREATE UNIQUE INDEX IF NOT EXISTS customers_name_idx ON customers (name)",
        "CREATE UNIQUE INDEX IF NOT EXISTS customers_email_key ON public.customers (email)",
        "ALTER TABLE customers ADD COLUMN IF NOT EXISTS score integer NOT NULL DEFAULT 0",
        "ALTER TABLE IF EXISTS public.customers ADD COLUMN IF NOT EXISTS email text, ADD COLUMN IF NOT EXISTS name text",
    ])
    .await;
}

#[tokio::test]
async fn a_target_without_an_index_is_told_as_postgresql_tells_it() {
    same_in_every_phase(&[
        "INSERT INTO customers (email) VALUES ('x') ON CONFLICT (score) DO NOTHING",
        "INSERT INTO customers (email) VALUES ('x') ON CONFLICT (score, id) DO UPDATE SET name = 'y'",
        "INSERT INTO customers (email) VALUES ('x') ON CONFLICT (lower(email)) DO NOTHING",
        "INSERT INTO customers (email) VALUES ('x') ON CONFLICT (email) WHERE score > 1 DO UPDATE SET name = 'y'",
        "INSERT INTO customers (email) VALUES ('x') ON CONFLICT (nothing) DO NOTHING",
        "INSERT INTO customers (email) VALUES ('x') ON CONFLICT ON CONSTRAINT customers_name_idx DO NOTHING",
    ])
    .await;
}

#[tokio::test]
async fn a_constraint_that_nobody_has_is_told_as_postgresql_tells_it() {
    for (case, insert) in [
        (CUSTOMERS, "INSERT INTO customers AS c (email) VALUES ('x')"),
        (MEMBERS, "INSERT INTO members (email) VALUES ('x')"),
    ] {
        let twin = Twin::start(case).await.unwrap();
        twin.prepare().await.unwrap();
        twin.in_every_phase(async |phase| {
            for target in [
                "\"No such\" DO NOTHING",
                "nobodys DO UPDATE SET email = 'y'",
            ] {
                let sql = format!("{insert} ON CONFLICT ON CONSTRAINT {target}");
                let said = twin.same(&sql).await;
                let said = said.unwrap_or_else(|error| panic!("{phase}: {error}"));
                assert!(said.starts_with("42704 constraint"), "{said}");
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_transaction_that_only_reads_names_the_command_that_was_sent() {
    same_in_every_phase(&[
        "SET TRANSACTION READ ONLY; INSERT INTO customers (email) VALUES ('x')",
        "SET TRANSACTION READ ONLY; UPDATE customers SET name = 'x' WHERE id = 1",
        "SET TRANSACTION READ ONLY; DELETE FROM customers WHERE id = 1",
        "SET TRANSACTION READ ONLY; WITH w AS (DELETE FROM customers WHERE id = 1 RETURNING id) SELECT * FROM w",
        "SET TRANSACTION READ ONLY; SELECT id FROM customers WHERE id = 1 FOR UPDATE",
        "SET TRANSACTION READ ONLY; SELECT id FROM customers WHERE id = 1 FOR SHARE NOWAIT",
        "SET TRANSACTION READ ONLY; TRUNCATE customers",
        "SET TRANSACTION READ ONLY; COPY customers FROM STDIN",
        "SET TRANSACTION READ ONLY; LOCK TABLE customers IN ROW EXCLUSIVE MODE",
        "SET TRANSACTION READ ONLY; CREATE TABLE IF NOT EXISTS customers (id int)",
    ])
    .await;
}

/// Once unified leads it is a row of another table that fails: its columns are none of the client's.
#[tokio::test]
async fn errors_show_the_row_that_failed_as_long_as_legacy_leads() {
    let legacy_leads = [Phase::DualWrite, Phase::ShadowRead, Phase::DualRead];
    same_in(
        &legacy_leads,
        &[
            "INSERT INTO customers (id, email, score) VALUES (1000, 'x', -1)",
            "INSERT INTO customers (id, email) VALUES (1000, NULL)",
            "UPDATE customers SET score = -1 WHERE id = 1",
            "UPDATE customers SET email = NULL WHERE id = 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn errors_tell_the_clients_key_and_what_triggers_set_is_returned() {
    same_in_every_phase(&[
        "INSERT INTO customers (id, email) VALUES (1000, 'c1')",
        "UPDATE customers SET name = 'n2' WHERE id = 1",
        "UPDATE customers SET id = 2 WHERE id = 1",
        "INSERT INTO customers (id, email) VALUES (1000, 'x') RETURNING id, touched",
        "INSERT INTO customers (id, email) VALUES (1000, 'x') RETURNING *",
        "INSERT INTO customers (id, email) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'z' RETURNING touched",
        "UPDATE customers SET name = 'z' WHERE id = 1 RETURNING touched, name",
        "DELETE FROM customers WHERE id = 1 RETURNING touched",
    ])
    .await;
}

#[tokio::test]
async fn a_line_that_cannot_be_copied_is_told() {
    let twin = Twin::in_phase(CUSTOMERS, Phase::DualWrite).await.unwrap();
    for phase in [Phase::DualWrite, Phase::ShadowRead, Phase::DualRead] {
        if phase != Phase::DualWrite {
            twin.advance(phase).await.unwrap();
        }
        let mut both = Both::of(&twin).await;
        for data in [
            "2000\tx\nx\ty\n",
            "2000\ta\tb\n",
            "2000\n",
            "99999999999\ty\n",
        ] {
            let copy = "COPY customers (id, email) FROM STDIN";
            let alone = all_told(&both.alone.copy_in(copy, data).await.unwrap());
            let through = all_told(&both.through.copy_in(copy, data).await.unwrap());
            assert_eq!(through, alone, "{phase}: {data}");
        }
    }
}

/// Each column of a result with the names of the table and the column that it is said to come from.
async fn origins(client: &mut RawClient, sql: &str) -> Vec<(String, Option<String>)> {
    let messages = client.extended(sql, &[]).await.unwrap();
    let described = messages.iter().find(|message| message.tag == b'T').unwrap();
    let mut named = Vec::new();
    for (name, table, column) in described.origins() {
        let asked = format!(
            "SELECT attrelid::regclass || '.' || attname FROM pg_attribute WHERE attrelid = {table} AND attnum = {column}"
        );
        let answer = client.simple(&asked).await.unwrap();
        let row = answer.iter().find(|message| message.tag == b'D');
        let origin = row.and_then(|row| row.values().into_iter().next().flatten());
        named.push((name, origin));
    }
    named
}

#[tokio::test]
async fn columns_come_from_the_table_that_was_named() {
    let twin = Twin::start(CUSTOMERS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.carry_to(Phase::DualRead).await.unwrap();
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        if phase != Phase::DualRead {
            twin.advance(phase).await.unwrap();
        }
        let mut both = Both::of(&twin).await;
        for sql in [
            "SELECT * FROM customers",
            "SELECT c.email AS mail, c.id, o.note, upper(c.name) FROM customers c JOIN orders o ON o.id = c.id",
            "SELECT s.name FROM (SELECT * FROM customers) AS s",
            "UPDATE customers SET name = name WHERE id = 1 RETURNING id, email",
        ] {
            // A UNION with what unified lacks comes from nowhere.
            if phase == Phase::DualRead && sql.starts_with("SELECT") {
                continue;
            }
            let alone = origins(&mut both.alone, sql).await;
            let through = origins(&mut both.through, sql).await;
            assert_eq!(through, alone, "{phase}: {sql}");
            assert!(through.iter().any(|(_, origin)| origin.is_some()), "{sql}");
        }
        // Whoever names the unified table is told of that one.
        if phase != Phase::DualRead {
            let through = origins(&mut both.through, "SELECT mail FROM people").await;
            assert_eq!(through[0].1.as_deref(), Some("people.mail"));
        }
    }
}

/// A table whose rows are all in its partitions.
const VISITS: Case = Case {
    name: "visits",
    rules: r#"[migration]
name = "visits"
phase = "legacy_only"
[[table]]
legacy = "public.visits"
unified = "public.calls"
key = ["id"]
[table.columns]
id = { type = "integer" }
page = { type = "text" }
[table.constraints]
visits_pkey = "calls_pkey"
"#,
    tables: 1,
    also: &[],
    server: "",
    legacy: "CREATE TABLE visits (id integer PRIMARY KEY, page text) PARTITION BY RANGE (id); \
             CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (100); \
             INSERT INTO visits SELECT n, 'p' || n FROM generate_series(1, 9) AS n",
    unified: "CREATE TABLE calls (id integer PRIMARY KEY, page text)",
};

#[tokio::test]
async fn only_a_partitioned_table_there_are_no_rows_to_read_or_write_in_any_phase() {
    let twin = Twin::start(VISITS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for sql in [
            "SELECT count(*) FROM ONLY visits",
            "SELECT count(*) FROM visits",
            "SELECT v.page FROM ONLY (visits) AS v WHERE v.id = 3",
            "SELECT count(*) FROM visits v LEFT JOIN ONLY visits o USING (id) WHERE o.id IS NULL",
            "SELECT page FROM ONLY visits WHERE id = 3 FOR UPDATE",
            "UPDATE ONLY visits SET page = 'only' WHERE id = 3",
            "UPDATE ONLY (visits) AS v SET page = o.page FROM visits o WHERE o.id = v.id RETURNING v.id",
            "UPDATE visits v SET page = 'x' FROM ONLY visits o WHERE o.id = v.id RETURNING v.id",
            "DELETE FROM ONLY visits",
            "DELETE FROM ONLY visits AS v USING visits o WHERE o.id = v.id AND v.id = 4 RETURNING o.page",
            "WITH w AS (DELETE FROM ONLY visits WHERE id = 5 RETURNING id) SELECT count(*) FROM w",
            "UPDATE visits SET page = page || '!' WHERE id = 6",
            "SELECT * FROM visits ORDER BY id",
        ] {
            twin.same(sql)
                .await
                .unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
    })
    .await
    .unwrap();
}
