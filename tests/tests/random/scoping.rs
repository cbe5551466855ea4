//! What the names of random queries mean, held against the server: a view depends on the columns that its
//! query names, and the catalog tells which.
//!
//! `CROSSFADE_SEED` begins at another case (a failure prints its own).

use std::collections::BTreeSet;

use crossfade_testbed::Postgres;
use crossfade_tests::generate::Choices;
use rewrite_rules::{RuleSet, SearchPath, SourceFile};

const CASES: u64 = 3_000;

const TABLES: &str = "CREATE TABLE a (id int, x int, y int);
    CREATE TABLE b (id int, x int, z int);
    CREATE TABLE c (id int, w int);
    CREATE TABLE u (id int, x int, v int)";

/// The columns of `u` are not known.
fn rules() -> RuleSet {
    let columns = [("a", "x y"), ("b", "x z"), ("c", "w")];
    let table = |(table, columns): (&str, &str)| {
        let columns: String = columns
            .split(' ')
            .map(|column| format!("{column} = {{ type = \"int\" }}\n"))
            .collect();
        format!(
            "[[table]]\nlegacy = \"public.{table}\"\nunified = \"public.{table}_new\"\nkey = [\"id\"]\n\
             [table.columns]\nid = {{ type = \"int\" }}\n{columns}"
        )
    };
    let tables: String = columns.map(table).concat();
    let text = format!("[migration]\nname = \"m\"\nphase = \"dual_write\"\n{tables}");
    let file = SourceFile {
        path: "m.toml".into(),
        text,
    };
    RuleSet::compile(vec![file]).expect("the rules are right")
}

/// Writes queries that are seldom wrong: a name is more often one that is there.
struct Writer {
    choices: Choices,
    depth: usize,
    aliases: usize,
}

impl Writer {
    fn of(&mut self, texts: &[&str]) -> String {
        texts[self.choices.below(texts.len())].to_owned()
    }

    fn one_in(&mut self, cases: usize) -> bool {
        self.choices.below(cases) == 0
    }

    /// A query of one column, or of any.
    fn query(&mut self, single: bool) -> String {
        self.depth += 1;
        let with = if self.depth < 3 && self.one_in(6) {
            let columns = self.of(&["", "", "(id)", "(q, x)"]);
            let name = self.of(&["w", "a", "u"]);
            format!("WITH {name}{columns} AS ({}) ", self.query(false))
        } else {
            String::new()
        };
        let from = self.from();
        let mut list = Vec::new();
        let results = if single { 1 } else { 1 + self.choices.below(3) };
        for _ in 0..results {
            list.push(self.result(single));
        }
        let mut query = format!("{with}SELECT {} FROM {from}", list.join(", "));
        if self.one_in(3) {
            query += &format!(" WHERE {}", self.condition());
        }
        if self.one_in(6) {
            query += &format!(" ORDER BY {}", self.name());
        }
        self.depth -= 1;
        query
    }

    fn result(&mut self, single: bool) -> String {
        if !single && self.one_in(8) {
            return format!("{}.*", self.item());
        }
        let value = self.value();
        let name = self.of(&["", "", " AS x", " AS y", " AS q", " AS id", " AS a"]);
        value + &name
    }

    fn value(&mut self) -> String {
        match self.choices.below(if self.depth < 3 { 8 } else { 6 }) {
            0..=4 => self.name(),
            5 => format!("coalesce({}, 1)", self.name()),
            6 => format!("({})", self.query(true)),
            _ => format!("(SELECT count(*) FROM ({}) AS k)", self.query(false)),
        }
    }

    fn condition(&mut self) -> String {
        if self.depth < 3 && self.one_in(3) {
            return format!("{} IN ({})", self.name(), self.query(true));
        }
        format!("{} = {}", self.name(), self.name())
    }

    fn name(&mut self) -> String {
        let column = self.of(&["x", "y", "z", "w", "v", "id", "q"]);
        if self.one_in(2) {
            return column;
        }
        let item = self.item();
        if self.one_in(12) {
            return format!("public.{item}.{column}");
        }
        format!("{item}.{column}")
    }

    fn item(&mut self) -> String {
        self.of(&["a", "b", "c", "u", "w", "t1", "t2", "t3", "j"])
    }

    fn from(&mut self) -> String {
        let items = 1 + self.choices.below(2);
        let items: Vec<String> = (0..items).map(|_| self.from_item()).collect();
        items.join(", ")
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        let columns = self.of(&["", "", "", "(x)", "(q, x)"]);
        format!(" AS t{}{columns}", 1 + self.aliases % 3)
    }

    fn from_item(&mut self) -> String {
        match self.choices.below(if self.depth < 3 { 9 } else { 4 }) {
            0 | 1 => self.of(&["a", "b", "c", "u", "w", "public.a"]),
            2 | 3 => self.of(&["a", "b", "c", "u"]) + &self.alias(),
            4 => format!("({}){}", self.query(false), self.alias()),
            5 => format!("LATERAL ({}){}", self.query(false), self.alias()),
            6 => format!("generate_series(1, {}){}", self.name(), self.alias()),
            7 => format!("(VALUES (1, {})){}", self.name(), self.alias()),
            _ => self.join(),
        }
    }

    fn join(&mut self) -> String {
        self.depth += 1;
        let (left, right) = (self.from_item(), self.from_item());
        let kind = self.of(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let join = match self.choices.below(4) {
            0 => format!("{left} {kind} {right} USING (id)"),
            1 => format!("{left} NATURAL {kind} {right}"),
            _ => format!("{left} {kind} {right} ON {}", self.condition()),
        };
        self.depth -= 1;
        if self.one_in(4) {
            let columns = self.of(&["", "", "(q)", "(x, q)"]);
            return format!("({join}) AS j{columns}");
        }
        join
    }
}

/// The columns on which a view depends.
const DEPENDS: &str = "SELECT DISTINCT c.relname::text, a.attname::text FROM pg_depend AS d \
    JOIN pg_rewrite AS r ON r.oid = d.objid AND r.ev_class = 'probe'::regclass \
    JOIN pg_class AS c ON c.oid = d.refobjid AND c.relname <> 'probe' \
    JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0";

/// What joins make one of two: they name these columns themselves.
fn of_joins(sql: &str, column: &(String, String)) -> bool {
    sql.contains("USING (id)") && column.1 == "id" || sql.contains("NATURAL")
}

#[tokio::test]
async fn names_mean_the_columns_that_the_server_finds() {
    let postgres = Postgres::start().await.expect("PostgreSQL");
    let client = postgres.connect("postgres").await.expect("a session");
    client.batch_execute(TABLES).await.expect("the tables are made");
    let rules = rules();
    let first = std::env::var("CROSSFADE_SEED");
    let first: u64 = first.ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (mut held, mut certain) = (0, 0);
    for seed in first..first + CASES {
        let mut writer = Writer {
            choices: Choices::seeded(15, seed),
            depth: 0,
            aliases: 0,
        };
        let query = writer.query(false);
        // The server gives a view no two columns of one name.
        let sql = format!("CREATE VIEW probe AS SELECT 1 AS one FROM ({query}) AS whole_query");
        if client.batch_execute(&sql).await.is_err() {
            continue;
        }
        let rows = client.query(DEPENDS, &[]).await.expect("the catalog answers");
        client.batch_execute("DROP VIEW probe").await.expect("it is there");
        let server: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let ours = rules.columns_named(&query, SearchPath::AsDeclared);
        let ours = ours.expect("the server has read it");
        held += 1;
        let wrong: Vec<_> = ours.columns.difference(&server).collect();
        assert!(wrong.is_empty(), "CROSSFADE_SEED={seed}\n{query}\nnot meant: {wrong:?}");
        if !ours.unknown {
            certain += 1;
            let missed = server.difference(&ours.columns);
            let missed: Vec<_> = missed.filter(|column| !of_joins(&query, column)).collect();
            assert!(missed.is_empty(), "CROSSFADE_SEED={seed}\n{query}\nmissed: {missed:?}");
        }
    }
    println!("{held} queries, of which {certain} have no unknown name");
    assert!(held > CASES / 20 && certain > held / 3, "{held}, {certain}");
}
