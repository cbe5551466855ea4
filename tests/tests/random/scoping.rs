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

/// An item of FROM and its columns.
type Item = (String, Vec<String>);

/// Writes queries of which most are right: it knows what is in scope, and now and then takes a name that may
/// not be.
struct Writer {
    choices: Choices,
    depth: usize,
    aliases: usize,
    /// The items of the queries around, innermost last.
    levels: Vec<Vec<Item>>,
    with: Vec<Item>,
}

fn names(columns: &str) -> Vec<String> {
    columns.split(' ').map(str::to_owned).collect()
}

impl Writer {
    fn of(&mut self, texts: &[&str]) -> String {
        texts[self.choices.below(texts.len())].to_owned()
    }

    fn one_in(&mut self, cases: usize) -> bool {
        self.choices.below(cases) == 0
    }

    /// A query of one column, or of any, with the names of its results.
    fn query(&mut self, single: bool) -> (String, Vec<String>) {
        self.depth += 1;
        let before = self.with.len();
        let with = if self.depth < 3 && self.one_in(5) {
            let (query, mut columns) = self.query(false);
            let name = self.of(&["w", "a", "u"]);
            let renames = self.one_in(2);
            let renamed = if renames { "(q)" } else { "" };
            if renames {
                columns[0] = "q".to_owned();
            }
            self.with.push((name.clone(), columns));
            format!("WITH {name}{renamed} AS ({query}) ")
        } else {
            String::new()
        };
        self.levels.push(Vec::new());
        let mut from = Vec::new();
        for _ in 0..=self.choices.below(2) {
            from.push(self.item_of_from());
        }
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for _ in 0..if single { 1 } else { 1 + self.choices.below(3) } {
            let (text, names) = self.result(single);
            list.push(text);
            columns.extend(names);
        }
        let mut query = format!("{with}SELECT {} FROM {}", list.join(", "), from.join(", "));
        if self.one_in(3) {
            query += &format!(" WHERE {}", self.condition());
        }
        if self.one_in(6) {
            query += &format!(" ORDER BY {}", self.name());
        }
        self.levels.pop();
        self.with.truncate(before);
        self.depth -= 1;
        (query, columns)
    }

    fn result(&mut self, single: bool) -> (String, Vec<String>) {
        let items = self.levels.last().cloned().unwrap_or_default();
        if !single && self.one_in(8) && !items.is_empty() {
            let (name, columns) = items[self.choices.below(items.len())].clone();
            return (format!("{name}.*"), columns);
        }
        let value = self.value();
        let name = self.of(&["x", "y", "q", "id", "a", "r"]);
        (format!("{value} AS {name}"), vec![name])
    }

    fn value(&mut self) -> String {
        match self.choices.below(if self.depth < 3 { 8 } else { 6 }) {
            0..=4 => self.name(),
            5 => format!("coalesce({}, 1)", self.name()),
            6 => format!("({} LIMIT 1)", self.query(true).0),
            _ => format!("(SELECT count(*) FROM ({}) AS k)::int", self.query(false).0),
        }
    }

    fn condition(&mut self) -> String {
        if self.depth < 3 && self.one_in(3) {
            return format!("{} IN ({})", self.name(), self.query(true).0);
        }
        format!("{} = {}", self.name(), self.name())
    }

    fn name(&mut self) -> String {
        let stray = self.of(&["x", "y", "z", "w", "v", "id", "q"]);
        // Most often of the innermost query.
        let outer = if self.one_in(4) {
            self.choices.below(3)
        } else {
            0
        };
        let level = self
            .levels
            .iter()
            .rev()
            .filter(|level| !level.is_empty())
            .nth(outer);
        let Some(items) = level.cloned() else {
            return "1".to_owned();
        };
        let (item, columns) = items[self.choices.below(items.len())].clone();
        let column = if self.one_in(15) || columns.is_empty() {
            stray
        } else {
            columns[self.choices.below(columns.len())].clone()
        };
        match self.choices.below(20) {
            0..=9 => column,
            10 if ["a", "b", "c"].contains(&item.as_str()) => format!("public.{item}.{column}"),
            _ => format!("{item}.{column}"),
        }
    }

    /// An alias; the item's columns under the names that it gives.
    fn alias(&mut self, mut columns: Vec<String>) -> String {
        self.aliases += 1;
        let name = format!("t{}", self.aliases);
        let given = self.of(&["", "", "", "x", "q x"]);
        let given: Vec<String> = given
            .split_terminator(' ')
            .take(columns.len())
            .map(str::to_owned)
            .collect();
        columns.splice(..given.len(), given.iter().cloned());
        self.bring((name.clone(), columns));
        let given = if given.is_empty() {
            String::new()
        } else {
            format!(" ({})", given.join(", "))
        };
        format!(" AS {name}{given}")
    }

    fn bring(&mut self, item: Item) {
        self.levels.last_mut().expect("within a query").push(item);
    }

    fn item_of_from(&mut self) -> String {
        match self.choices.below(if self.depth < 3 { 9 } else { 4 }) {
            0..=3 => self.table(),
            4 => {
                // It does not see its neighbours.
                let beside = std::mem::take(self.levels.last_mut().expect("within a query"));
                let (query, columns) = self.query(false);
                *self.levels.last_mut().expect("within a query") = beside;
                format!("({query}){}", self.alias(columns))
            }
            5 => {
                let (query, columns) = self.query(false);
                format!("LATERAL ({query}){}", self.alias(columns))
            }
            6 => {
                let call = format!("generate_series(1, {})", self.name());
                let alias = self.alias(vec![String::new()]);
                let level = self.levels.last_mut().expect("within a query");
                let (name, columns) = level.last_mut().expect("it was brought");
                if columns[0].is_empty() {
                    columns[0].clone_from(name);
                }
                call + &alias
            }
            7 => format!("(VALUES (1, 2)){}", self.alias(names("column1 column2"))),
            _ => self.join(),
        }
    }

    fn table(&mut self) -> String {
        let table = self.of(&["a", "b", "c", "u", "w"]);
        let mut with = self.with.iter().rev();
        let columns = match with.find(|(name, _)| *name == table) {
            Some((_, columns)) => columns.clone(),
            None => match table.as_str() {
                "a" => names("id x y"),
                "b" => names("id x z"),
                "c" => names("id w"),
                _ => names("id x v"),
            },
        };
        let there = self
            .levels
            .last()
            .is_some_and(|level| level.iter().any(|(name, _)| *name == table));
        if there || self.one_in(2) {
            return format!("{table}{}", self.alias(columns));
        }
        self.bring((table.clone(), columns));
        table
    }

    fn join(&mut self) -> String {
        self.depth += 1;
        let start = self.levels.last().map_or(0, Vec::len);
        let (left, right) = (self.item_of_from(), self.item_of_from());
        let kind = self.of(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let join = match self.choices.below(4) {
            0 => format!("{left} {kind} {right} USING (id)"),
            1 => format!("{left} NATURAL {kind} {right}"),
            _ => {
                // The condition sees what is joined.
                let level = self.levels.last_mut().expect("within a query");
                let before: Vec<Item> = level.drain(..start).collect();
                let condition = format!("{} = {}", self.name(), self.name());
                self.levels
                    .last_mut()
                    .expect("within a query")
                    .splice(..0, before);
                format!("{left} {kind} {right} ON {condition}")
            }
        };
        self.depth -= 1;
        if self.one_in(4) {
            let level = self.levels.last_mut().expect("within a query");
            let columns = level
                .drain(start..)
                .flat_map(|(_, columns)| columns)
                .collect();
            return format!("({join}){}", self.alias(columns));
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
    client
        .batch_execute(TABLES)
        .await
        .expect("the tables are made");
    let rules = rules();
    let first = std::env::var("CROSSFADE_SEED");
    let first: u64 = first.ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (mut held, mut certain, mut found) = (0, 0_u64, Vec::new());
    for seed in first..first + CASES {
        let mut writer = Writer {
            choices: Choices::seeded(15, seed),
            depth: 0,
            aliases: 0,
            levels: Vec::new(),
            with: Vec::new(),
        };
        let (query, _) = writer.query(false);
        // The server gives a view no two columns of one name.
        let sql = format!("CREATE VIEW probe AS SELECT 1 AS one FROM ({query}) AS whole_query");
        if client.batch_execute(&sql).await.is_err() {
            continue;
        }
        let rows = client
            .query(DEPENDS, &[])
            .await
            .expect("the catalog answers");
        client
            .batch_execute("DROP VIEW probe")
            .await
            .expect("it is there");
        let server: BTreeSet<(String, String)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let ours = rules.columns_named(&query, SearchPath::AsDeclared);
        let ours = ours.expect("the server has read it");
        held += 1;
        let wrong: Vec<_> = ours.columns.difference(&server).collect();
        let missed = server.difference(&ours.columns);
        let missed: Vec<_> = missed
            .filter(|column| !ours.unknown && !of_joins(&query, column))
            .collect();
        certain += u64::from(!ours.unknown);
        if !wrong.is_empty() || !missed.is_empty() {
            found.push(format!(
                "CROSSFADE_SEED={seed}\n{query}\nnot meant: {wrong:?}\nmissed: {missed:?}"
            ));
        }
    }
    println!("{held} queries, of which {certain} have no unknown name");
    assert!(
        found.is_empty(),
        "{} of {held}:\n{}",
        found.len(),
        found[..found.len().min(8)].join("\n")
    );
    assert!(held > CASES / 4 && certain > held / 4, "{held}, {certain}");
}
