//! Random statements over a table that is split, from a small grammar of its own.
//!
//! What a statement does is determined: a row is joined to one row at most, and whatever draws from
//! a sequence does so in an order that PostgreSQL promises. What is right PostgreSQL says.

use std::collections::BTreeSet;

use crossfade_tests::generate::Choices;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number,
    Text,
    Yes,
    Time,
    Json,
}

pub type Column = (&'static str, Kind);

/// A legacy table, with its key `id`.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Behind the key.
    pub columns: &'static [Column],
    /// What ON CONFLICT may go by.
    pub targets: &'static [&'static str],
}

/// A table that nobody moves; its columns have names of their own, but for the key.
const NOTES: &[Column] = &[
    ("id", Kind::Number),
    ("note", Kind::Text),
    ("n", Kind::Number),
    ("flag", Kind::Yes),
    ("at", Kind::Time),
];

/// It, with its rows.
pub const NOTES_DDL: &str = "CREATE TABLE notes (id integer PRIMARY KEY, note text, n integer, flag boolean, at timestamp); \
    INSERT INTO notes SELECT n, 'note ' || n, n * 7, n % 2 = 0, '2026-01-01'::timestamp + n * interval '1 day' \
    FROM generate_series(1, 9) AS n; GRANT ALL ON notes TO PUBLIC";

/// What may be named where an expression stands.
struct Relation {
    alias: String,
    columns: Vec<Column>,
}

/// Statements of one transaction, and how it begins.
#[derive(Clone, Debug)]
pub struct Case {
    pub begin: &'static str,
    pub statements: Vec<Statement>,
}

/// One statement and what it was made of.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    /// By the extended protocol, with these parameters.
    pub bound: Option<Vec<Option<&'static str>>>,
    pub constructs: BTreeSet<&'static str>,
}

pub struct Grammar<'c> {
    table: &'static Table,
    choices: &'c mut Choices,
    constructs: BTreeSet<&'static str>,
    /// Tells names of FROM apart.
    names: u32,
    /// Numbers the statement among those of its case: new keys and unique values.
    at: usize,
    /// The values of its parameters, if it may have some.
    bound: Option<Vec<Option<&'static str>>>,
}

pub fn case(table: &'static Table, choices: &mut Choices) -> Case {
    let begin = choices.pick(&[
        "BEGIN",
        "BEGIN",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
    ]);
    let count = 1 + choices.below(5);
    let statements = (0..count).map(|at| {
        let extended = choices.chance(40);
        let mut grammar = Grammar {
            table,
            choices,
            constructs: BTreeSet::new(),
            names: 0,
            at,
            bound: extended.then(Vec::new),
        };
        let sql = grammar.statement();
        Statement {
            sql,
            bound: grammar.bound,
            constructs: grammar.constructs,
        }
    });
    let statements = statements.collect();
    Case { begin, statements }
}

impl Grammar<'_> {
    fn saw(&mut self, construct: &'static str) {
        self.constructs.insert(construct);
    }

    fn statement(&mut self) -> String {
        let merges = self.choices.server >= 17;
        match self.choices.below(if merges { 11 } else { 9 }) {
            0 => self.select(),
            1 | 2 => self.within(Self::insert),
            3..=6 => self.within(Self::update),
            7 | 8 => self.within(Self::delete),
            _ => self.within(Self::merge),
        }
    }

    /// As it is, or inside of a WITH.
    fn within(&mut self, write: fn(&mut Self) -> String) -> String {
        let sql = write(self);
        if !sql.contains(" RETURNING ") || !self.choices.chance(15) {
            return sql;
        }
        self.saw("write in WITH");
        format!("WITH w AS ({sql}) SELECT w.*, 1 FROM w")
    }

    fn columns(&self) -> Vec<Column> {
        let key = [("id", Kind::Number)];
        key.into_iter()
            .chain(self.table.columns.iter().copied())
            .collect()
    }

    fn target(&mut self) -> (String, Relation) {
        let name = self.table.name;
        let columns = self.columns();
        if self.choices.chance(40) {
            let alias = "t".to_owned();
            return (format!("{name} AS t"), Relation { alias, columns });
        }
        let alias = name.to_owned();
        (name.to_owned(), Relation { alias, columns })
    }

    /// Rows of its own for FROM or USING; the condition joins one of them at most.
    fn joined(&mut self, target: &Relation) -> (String, String, Relation) {
        self.names += 1;
        let alias = format!("j{}", self.names);
        let key = format!("{}.id", target.alias);
        let notes = |alias: String| Relation {
            alias,
            columns: NOTES.to_vec(),
        };
        match self.choices.below(5) {
            0 => {
                self.saw("join of a table");
                let on = format!("{alias}.id = {key}");
                (format!("notes AS {alias}"), on, notes(alias))
            }
            1 => {
                self.saw("join of VALUES");
                let from = format!(
                    "(VALUES (1, 'one', 7), (2, NULL, 8), (4, 'four', NULL), (90, 'none', 1)) AS {alias} (id, note, n)"
                );
                let columns = vec![NOTES[0], NOTES[1], NOTES[2]];
                (
                    from,
                    format!("{alias}.id = {key}"),
                    Relation { alias, columns },
                )
            }
            2 => {
                self.saw("join of the table itself");
                let from = format!("{} AS {alias}", self.table.name);
                let columns = self.columns();
                (
                    from,
                    format!("{alias}.id = {key} + 1"),
                    Relation { alias, columns },
                )
            }
            3 => {
                self.saw("outer join");
                let other = format!("{alias}o");
                let from = format!(
                    "notes AS {other} LEFT JOIN notes AS {alias} ON {alias}.id = {other}.id + 4"
                );
                (from, format!("{other}.id = {key}"), notes(alias))
            }
            _ => {
                self.saw("join of a query");
                let from =
                    format!("(SELECT * FROM notes AS i WHERE i.id IN (1, 3, 5, 6)) AS {alias}");
                (from, format!("{alias}.id = {key}"), notes(alias))
            }
        }
    }

    /// A column of the relations, by its table.
    fn column(&mut self, relations: &[&Relation], kind: Kind) -> Option<String> {
        let all: Vec<String> = relations
            .iter()
            .flat_map(|relation| {
                let fitting = relation.columns.iter().filter(|column| column.1 == kind);
                fitting.map(|(name, _)| format!("{}.{name}", relation.alias))
            })
            .collect();
        (!all.is_empty()).then(|| all[self.choices.below(all.len())].clone())
    }

    /// `$1` and its like, now and then.
    fn parameter(&mut self, kind: Kind) -> Option<String> {
        if self.bound.is_none() || !self.choices.chance(40) {
            return None;
        }
        let values: &[&str] = match kind {
            Kind::Number => &["3", "17"],
            Kind::Text => &["p", "longer than twenty"],
            Kind::Yes => &["true", "f"],
            Kind::Time => &["2026-07-07 07:07:07"],
            Kind::Json => &["{\"p\": 1}", "null"],
        };
        let value = (!self.choices.chance(15)).then(|| self.choices.pick(values));
        self.saw("parameter");
        let bound = self.bound.as_mut()?;
        bound.push(value);
        Some(format!("${}", bound.len()))
    }

    fn value(&mut self, relations: &[&Relation], kind: Kind) -> String {
        let constants: &[&str] = match kind {
            Kind::Number => &["1", "5", "0", "42", "NULL", "3 + 4", "'12'"],
            Kind::Text => &["'a'", "'b'", "''", "NULL", "'k1'", "'twice'", "'é ''q'"],
            Kind::Yes => &["true", "false", "NULL", "'f'"],
            Kind::Time => &["'2026-05-05 01:02:03'", "NULL", "'2027-01-01'::timestamp"],
            Kind::Json => &["'{\"a\":  1}'", "NULL", "'null'", "'[1, 2]'::json"],
        };
        let constant = match self.parameter(kind) {
            Some(parameter) => parameter,
            None => self.choices.pick(constants).to_owned(),
        };
        let Some(column) = self.column(relations, kind) else {
            return constant;
        };
        match self.choices.below(6) {
            0..=2 => constant,
            3 => column,
            4 => match kind {
                Kind::Number => format!("coalesce({column}, 2) + 1"),
                Kind::Text => format!("left(upper({column}) || '!', 18)"),
                Kind::Yes => format!("NOT {column}"),
                Kind::Time => format!("{column} + interval '1 day'"),
                Kind::Json => format!("coalesce({column}, '[]')"),
            },
            _ => {
                self.saw("scalar query");
                match kind {
                    Kind::Number => "(SELECT count(*) FROM notes AS q WHERE q.n < 30)".to_owned(),
                    Kind::Text => format!(
                        "(SELECT max(q.note) FROM notes AS q WHERE q.note IS DISTINCT FROM {column})"
                    ),
                    Kind::Yes => format!(
                        "EXISTS (SELECT FROM {} AS q WHERE q.id = 2)",
                        self.table.name
                    ),
                    Kind::Time => "(SELECT min(q.at) FROM notes AS q)".to_owned(),
                    Kind::Json => format!(
                        "(SELECT to_json(q) FROM notes AS q WHERE {column} IS NULL AND q.id = 3)"
                    ),
                }
            }
        }
    }

    /// A value for a column, now and then one that no row can have.
    fn assigned(&mut self, relations: &[&Relation], (name, kind): Column) -> String {
        if self.choices.chance(8) {
            self.saw("DEFAULT");
            return "DEFAULT".to_owned();
        }
        if self.choices.chance(4) {
            self.saw("a mistake");
            // Nothing that the planner computes: it does so even for an action without rows.
            let number = self.column(relations, Kind::Number);
            let none = number.map_or_else(String::new, |column| format!(" + 0 * {column}"));
            return match kind {
                Kind::Number => "'many'".to_owned(),
                Kind::Text => format!("repeat('long', 30{none})"),
                Kind::Yes | Kind::Json => "17".to_owned(),
                Kind::Time => "'yesterday''s'".to_owned(),
            };
        }
        // Emails are unique: mostly they stay so.
        if name == "email" && !self.choices.chance(20) {
            return format!("'e{}.' || {}", self.at, self.choices.below(1000));
        }
        self.value(relations, kind)
    }

    fn condition(&mut self, target: &Relation, relations: &[&Relation]) -> String {
        let alias = &target.alias;
        let one = 1 + self.choices.below(8);
        match self.choices.below(8) {
            0 | 1 => format!("{alias}.id = {one}"),
            2 => format!("{alias}.id IN ({one}, {})", 1 + self.choices.below(9)),
            3 => format!("{alias}.id < {one}"),
            4 => {
                let value = self.value(relations, Kind::Text);
                let column = self.column(relations, Kind::Text);
                let column = column.unwrap_or_else(|| "'a'".to_owned());
                format!("{alias}.id < 9 AND {column} IS DISTINCT FROM {value}::text")
            }
            5 => {
                let column = self.column(relations, Kind::Number);
                let column = column.unwrap_or_else(|| "1".to_owned());
                format!("{column} > {one} OR {alias}.id = 1")
            }
            6 => {
                self.saw("query in WHERE");
                format!("{alias}.id IN (SELECT q.id FROM notes AS q WHERE q.n > {one}0)")
            }
            _ => {
                self.saw("query in WHERE");
                let name = self.table.name;
                format!("EXISTS (SELECT FROM {name} AS q WHERE q.id = {alias}.id + 1)")
            }
        }
    }

    /// Behind RETURNING, or nothing.
    fn returning(&mut self, target: &Relation, joined: Option<&Relation>) -> String {
        if self.choices.chance(30) {
            return String::new();
        }
        let mut relations = vec![target];
        relations.extend(joined);
        let alias = &target.alias;
        let list = match self.choices.below(9) {
            0 => format!("{alias}.id"),
            1 => format!("{alias}.*"),
            2 => {
                self.saw("whole row");
                format!("{alias}.id, row_to_json({alias})::text, {alias}")
            }
            3 => {
                self.saw("query in RETURNING");
                let number = self.column(&relations, Kind::Number);
                let number = number.unwrap_or_else(|| "1".to_owned());
                let of = self.choices.pick(&["notes", self.table.name]);
                format!(
                    "{alias}.id, (SELECT count(*) FROM {of} AS q WHERE q.id < {number}) AS below"
                )
            }
            4 => {
                self.saw("RETURNING *");
                "*".to_owned()
            }
            5 if joined.is_none() => "id + 1 AS next".to_owned(),
            6 if let Some(joined) = joined => {
                self.saw("joined row in RETURNING");
                format!("{}.*, {alias}.id AS own", joined.alias)
            }
            7 if let Some(joined) = joined => {
                self.saw("joined row in RETURNING");
                format!(
                    "{alias}.id AS own, row_to_json({})::text AS row",
                    joined.alias
                )
            }
            _ => {
                let mut items = vec![format!("{alias}.id AS own")];
                for (at, kind) in [Kind::Text, Kind::Number, Kind::Yes]
                    .into_iter()
                    .enumerate()
                {
                    if let Some(column) = self.column(&relations, kind) {
                        items.push(format!("{column} AS c{at}"));
                    }
                }
                items.join(", ")
            }
        };
        format!(" RETURNING {list}")
    }

    /// Behind SET.
    fn sets(&mut self, target: &Relation, relations: &[&Relation], keys: bool) -> String {
        let count = 1 + self.choices.below(3);
        let mut left: Vec<Column> = self.table.columns.to_vec();
        let mut sets = Vec::new();
        if keys && self.choices.chance(12) {
            self.saw("another key");
            let by = 100 * (self.at + 1);
            sets.push(format!("id = {}.id + {by}", target.alias));
        }
        for _ in 0..count {
            let column = left.remove(self.choices.below(left.len()));
            match self.choices.below(6) {
                0 if left.len() > 1 => {
                    let other = left.remove(self.choices.below(left.len()));
                    let (a, b) = (
                        self.assigned(relations, column),
                        self.assigned(relations, other),
                    );
                    sets.push(format!("({}, {}) = ({a}, {b})", column.0, other.0));
                }
                1 if left.len() > 1 && !sets.iter().any(|set| set.contains("(SELECT ")) => {
                    self.saw("SET (…) = (query)");
                    let other = left.remove(self.choices.below(left.len()));
                    let (a, b) = (
                        self.value(relations, column.1),
                        self.value(relations, other.1),
                    );
                    let rows =
                        self.choices
                            .pick(&["", " WHERE false", " FROM notes AS q WHERE q.id = 2"]);
                    sets.push(format!(
                        "({}, {}) = (SELECT {a}, {b}{rows})",
                        column.0, other.0
                    ));
                }
                _ => {
                    let value = self.assigned(relations, column);
                    sets.push(format!("{} = {value}", column.0));
                }
            }
        }
        sets.join(", ")
    }

    fn select(&mut self) -> String {
        self.saw("SELECT");
        let (from, target) = self.target();
        let relations = [&target];
        let condition = self.condition(&target, &relations);
        let value = self.value(&relations, Kind::Text);
        let mut behind = String::new();
        if self.choices.chance(40) {
            self.saw("FOR UPDATE");
            behind +=
                self.choices
                    .pick(&[" FOR UPDATE", " LIMIT 2 FOR UPDATE", " FOR NO KEY UPDATE"]);
        }
        format!(
            "SELECT {alias}.*, {value} AS v FROM {from} WHERE {condition} ORDER BY {alias}.id{behind}",
            alias = target.alias
        )
    }

    fn insert(&mut self) -> String {
        self.saw("INSERT");
        let (into, target) = self.target();
        let mut columns: Vec<Column> = self.table.columns.to_vec();
        let keep = 1 + self.choices.below(4);
        let mut given: Vec<Column> = Vec::new();
        // Where an email must be given.
        if let Some(at) = columns.iter().position(|column| column.0 == "email") {
            given.push(columns.remove(at));
        }
        for _ in 0..keep {
            given.push(columns.remove(self.choices.below(columns.len())));
        }
        let keyed = self.choices.chance(60);
        let mut names: Vec<&str> = given.iter().map(|column| column.0).collect();
        if keyed {
            names.insert(0, "id");
        }
        let rows = if self.choices.chance(20) {
            self.saw("INSERT … SELECT");
            let alias = "s".to_owned();
            let source = Relation {
                alias,
                columns: self.columns(),
            };
            let mut values: Vec<String> = given
                .iter()
                .map(|column| match column.0 {
                    "email" => format!("'s{}.' || s.id", self.at),
                    _ => self.value(&[&source], column.1),
                })
                .collect();
            if keyed {
                values.insert(
                    0,
                    format!("s.id + {}", self.choices.pick(&["30", "0", "1"])),
                );
            }
            format!(
                "SELECT {} FROM {} AS s WHERE s.id < {} ORDER BY s.id",
                values.join(", "),
                self.table.name,
                2 + self.choices.below(5)
            )
        } else {
            let count = 1 + self.choices.below(3);
            let rows: Vec<String> = (0..count)
                .map(|_| {
                    let mut values: Vec<String> = given
                        .iter()
                        .map(|column| self.assigned(&[], *column))
                        .collect();
                    if keyed {
                        values.insert(0, (1 + self.choices.below(20)).to_string());
                    }
                    format!("({})", values.join(", "))
                })
                .collect();
            format!("VALUES {}", rows.join(", "))
        };
        let conflict = self.on_conflict(&target);
        let returning = self.returning(&target, None);
        format!(
            "INSERT INTO {into} ({}) {rows}{conflict}{returning}",
            names.join(", ")
        )
    }

    fn on_conflict(&mut self, target: &Relation) -> String {
        let by = self.choices.pick(self.table.targets);
        match self.choices.below(5) {
            0 | 1 => String::new(),
            2 => {
                self.saw("ON CONFLICT DO NOTHING");
                let by = self.choices.pick(&["", by]);
                format!(" ON CONFLICT {by} DO NOTHING")
            }
            _ => {
                self.saw("ON CONFLICT DO UPDATE");
                let alias = "excluded".to_owned();
                let excluded = Relation {
                    alias,
                    columns: self.columns(),
                };
                let sets = self.sets(target, &[target, &excluded], false);
                let condition = if self.choices.chance(30) {
                    format!(" WHERE {}", self.condition(target, &[target, &excluded]))
                } else {
                    String::new()
                };
                format!(" ON CONFLICT {by} DO UPDATE SET {sets}{condition}")
            }
        }
    }

    fn update(&mut self) -> String {
        let (into, target) = self.target();
        if self.choices.chance(50) {
            self.saw("UPDATE … FROM");
            let (from, on, joined) = self.joined(&target);
            let relations = [&target, &joined];
            let sets = self.sets(&target, &relations, true);
            let condition = self.condition(&target, &relations);
            let returning = self.returning(&target, Some(&joined));
            return format!(
                "UPDATE {into} SET {sets} FROM {from} WHERE {on} AND ({condition}){returning}"
            );
        }
        self.saw("UPDATE");
        let sets = self.sets(&target, &[&target], true);
        let condition = self.condition(&target, &[&target]);
        let returning = self.returning(&target, None);
        format!("UPDATE {into} SET {sets} WHERE {condition}{returning}")
    }

    fn delete(&mut self) -> String {
        let (from, target) = self.target();
        if self.choices.chance(50) {
            self.saw("DELETE … USING");
            let (using, on, joined) = self.joined(&target);
            let condition = self.condition(&target, &[&target, &joined]);
            let returning = self.returning(&target, Some(&joined));
            return format!(
                "DELETE FROM {from} USING {using} WHERE {on} AND ({condition}){returning}"
            );
        }
        self.saw("DELETE");
        let condition = self.condition(&target, &[&target]);
        let returning = self.returning(&target, None);
        format!("DELETE FROM {from} WHERE {condition}{returning}")
    }

    fn merge(&mut self) -> String {
        self.saw("MERGE");
        let (into, target) = self.target();
        let alias = "s".to_owned();
        let columns = NOTES.to_vec();
        let source = Relation { alias, columns };
        let both = [&target, &source];
        let mut clauses = String::new();
        let mut queries = false;
        for _ in 0..1 + self.choices.below(2) {
            // PostgreSQL 18 ends at two actions with queries.
            let action = if queries || self.choices.chance(30) {
                self.choices.pick(&["DELETE", "DO NOTHING"]).to_owned()
            } else {
                let sets = self.sets(&target, &both, true);
                queries = sets.contains("(SELECT");
                format!("UPDATE SET {sets}")
            };
            let condition = self.condition(&target, &both);
            clauses += &format!(" WHEN MATCHED AND ({condition}) THEN {action}");
        }
        if self.choices.chance(50) {
            self.saw("MERGE … INSERT");
            let mut names = vec!["id".to_owned()];
            let mut values = vec!["s.id + 300".to_owned()];
            for column in self.table.columns.iter().take(3) {
                names.push(column.0.to_owned());
                values.push(match column.0 {
                    "email" => format!("'m{}.' || s.id", self.at),
                    _ => self.assigned(&[&source], *column),
                });
            }
            clauses += &format!(
                " WHEN NOT MATCHED AND s.n > 20 THEN INSERT ({}) VALUES ({})",
                names.join(", "),
                values.join(", ")
            );
        }
        if self.choices.chance(25) {
            self.saw("MERGE … BY SOURCE");
            let condition = self.condition(&target, &[&target]);
            clauses += &format!(" WHEN NOT MATCHED BY SOURCE AND ({condition}) THEN DELETE");
        }
        let returning = self.returning(&target, Some(&source));
        format!(
            "MERGE INTO {into} USING notes AS s ON s.id = {}.id{clauses}{returning}",
            target.alias
        )
    }
}
