//! Queries: of every kind, with every clause around them.

mod from;
mod special;

use super::expression::{Scope, Type};
use super::{Grammar, Written};

/// A query without ORDER BY, and its result columns.
pub(super) struct Query {
    pub sql: String,
    pub columns: Vec<(String, Type)>,
}

const TYPES: [Type; 5] = [Type::Text, Type::Role, Type::Number, Type::Bool, Type::Id];

impl Grammar<'_> {
    /// A statement that reads.
    pub(super) fn read(&mut self) -> Written {
        match self.choices.below(24) {
            0..=14 => self.select_statement(),
            15 => self.special_select(),
            16 => self.locking_select(),
            17 => self.copy_out(),
            18 => self.failing_read(),
            19 => {
                self.saw("TABLE t");
                let name = self.managed_name().0;
                Written::of(format!("TABLE {name}"))
            }
            20 => self.distinct_on(),
            21 => self.recursive(),
            22 => self.whole_row(),
            _ => {
                self.saw("SELECT *");
                let (name, _) = self.managed_name();
                let only = self.choices.pick(&["", "ONLY ", "ONLY ("]);
                let close = if only.ends_with('(') { ")" } else { "" };
                let star = self.choices.pick(&["*", "t.*", "t.*, t.role"]);
                self.saw_only(only);
                Written::of(format!("SELECT {star} FROM {only}{name}{close} AS t"))
            }
        }
    }

    fn saw_only(&mut self, only: &str) {
        if !only.is_empty() {
            self.saw("ONLY");
        }
    }

    /// A query with WITH before it and ORDER BY behind it.
    pub(super) fn select_statement(&mut self) -> Written {
        let with = self.with_clause(2);
        let query = self.query(&Scope::of(Vec::new()), 2, None);
        self.with.clear();
        let mut sql = format!("{with}{}", query.sql);
        let mut ordered = false;
        let sortable = query.columns.iter().all(|column| column.1 != Type::Json);
        if sortable && self.choices.chance(60) {
            ordered = true;
            let ordinals: Vec<String> = (1..=query.columns.len())
                .map(|at| {
                    let name = &query.columns[at - 1].0;
                    let key = match self.choices.below(3) {
                        1 if query
                            .columns
                            .iter()
                            .filter(|other| other.0 == *name)
                            .count()
                            == 1 =>
                        {
                            self.saw("ORDER BY alias");
                            name.clone()
                        }
                        _ => {
                            self.saw("ORDER BY ordinal");
                            at.to_string()
                        }
                    };
                    format!(
                        "{key}{}",
                        self.choices.pick(&["", " DESC", " ASC NULLS FIRST"])
                    )
                })
                .collect();
            sql = format!("{sql} ORDER BY {}", ordinals.join(", "));
            if self.choices.chance(40) {
                self.saw("LIMIT");
                sql.push_str(self.choices.pick(&[
                    " LIMIT 5",
                    " OFFSET 2 LIMIT 3",
                    " FETCH FIRST 4 ROWS ONLY",
                ]));
            }
        }
        Written {
            ordered,
            ..Written::of(sql)
        }
    }

    /// WITH queries, one of which may hide the managed table.
    pub(super) fn with_clause(&mut self, depth: u32) -> String {
        if !self.choices.chance(25) {
            return String::new();
        }
        self.saw("WITH");
        let mut queries = Vec::new();
        for _ in 0..1 + self.choices.below(2) {
            let query = self.query(&Scope::of(Vec::new()), depth.saturating_sub(1), None);
            let name = if self.choices.chance(20) && !self.with.iter().any(|w| w.0 == "iso_agents")
            {
                self.saw("WITH of the same name");
                "iso_agents".to_owned()
            } else {
                self.alias()
            };
            let columns: Vec<(String, Type)> = query
                .columns
                .iter()
                .enumerate()
                .map(|(at, column)| (format!("w{}", at + 1), column.1))
                .collect();
            let list: Vec<&str> = columns.iter().map(|column| column.0.as_str()).collect();
            let how = self
                .choices
                .pick(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
            queries.push(format!(
                "{name}({}) AS {how}({})",
                list.join(", "),
                query.sql
            ));
            self.with.push((name, columns));
        }
        format!("WITH {} ", queries.join(", "))
    }

    /// A query; `wanted` gives the types of its columns.
    pub(super) fn query(&mut self, outer: &Scope, depth: u32, wanted: Option<&[Type]>) -> Query {
        if depth > 0 && self.choices.chance(15) {
            return self.set_operation(outer, depth - 1, wanted);
        }
        let (from, relations) = self.from(outer, depth);
        let scope = outer.nested(relations);
        let condition = self
            .choices
            .chance(65)
            .then(|| self.condition(&scope, depth));
        let filter = condition.map_or_else(String::new, |condition| format!(" WHERE {condition}"));
        match (wanted, self.choices.below(10)) {
            (None, 7) => self.grouped(&from, &filter, &scope),
            (None, 8) => self.aggregated(&from, &filter, &scope, depth),
            (None, 9) => self.windowed(&from, &filter, &scope),
            (_, kind) => {
                let types: Vec<Type> = match wanted {
                    Some(types) => types.to_vec(),
                    None => (0..=self.choices.below(3))
                        .map(|_| self.choices.pick(&TYPES))
                        .collect(),
                };
                let values: Vec<String> = types
                    .iter()
                    .map(|kind| self.value(*kind, &scope, depth.min(1)))
                    .collect();
                let columns: Vec<(String, Type)> =
                    types.iter().map(|kind| (self.alias(), *kind)).collect();
                let items: Vec<String> = values
                    .iter()
                    .zip(&columns)
                    .map(|(value, column)| format!("{value} AS {}", column.0))
                    .collect();
                let distinct = if kind == 6 {
                    self.saw("DISTINCT");
                    "DISTINCT "
                } else {
                    ""
                };
                Query {
                    sql: format!("SELECT {distinct}{}{from}{filter}", items.join(", ")),
                    columns,
                }
            }
        }
    }

    fn set_operation(&mut self, outer: &Scope, depth: u32, wanted: Option<&[Type]>) -> Query {
        self.saw("set operation");
        let types: Vec<Type> = match wanted {
            Some(types) => types.to_vec(),
            None => vec![self.choices.pick(&TYPES), self.choices.pick(&TYPES)],
        };
        let left = self.query(outer, depth, Some(&types));
        let right = self.query(outer, depth, Some(&types));
        let word = self
            .choices
            .pick(&["UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
        Query {
            sql: format!("({}) {word} ({})", left.sql, right.sql),
            columns: left.columns,
        }
    }

    fn grouped(&mut self, from: &str, filter: &str, scope: &Scope) -> Query {
        let own = Scope {
            relations: scope.relations[..scope.inner].to_vec(),
            inner: scope.inner,
        };
        let keys: Vec<Type> = vec![
            Type::Role,
            self.choices.pick(&[Type::Bool, Type::Number, Type::Text]),
        ];
        let values: Vec<String> = keys.iter().map(|kind| self.value(*kind, &own, 0)).collect();
        // GROUP BY takes a bare number for an ordinal and refuses other constants.
        let is_column = |value: &String| {
            value.contains('.')
                && !value.contains('\'')
                && !value.contains('$')
                && !value.starts_with(|c: char| c.is_ascii_digit())
        };
        if !values.iter().all(is_column) {
            self.saw("GROUP BY");
            let columns = vec![(self.alias(), Type::Number)];
            return Query {
                sql: format!("SELECT count(*) AS {}{from}{filter}", columns[0].0),
                columns,
            };
        }
        let (a, b) = (&values[0], &values[1]);
        let group = match self.choices.below(5) {
            0 => {
                self.saw("GROUP BY");
                format!("{a}, {b}")
            }
            1 => {
                self.saw("GROUPING SETS");
                format!("GROUPING SETS (({a}, {b}), ({b}), ())")
            }
            2 => {
                self.saw("ROLLUP");
                format!("ROLLUP ({a}, {b})")
            }
            3 => {
                self.saw("CUBE");
                format!("CUBE ({a}, {b})")
            }
            _ => {
                self.saw("GROUP BY");
                format!("{b}, {a} HAVING count(*) > 1")
            }
        };
        let columns = vec![
            (self.alias(), keys[0]),
            (self.alias(), keys[1]),
            (self.alias(), Type::Number),
        ];
        let sql = format!(
            "SELECT {a} AS {}, {b} AS {}, count(*) AS {}{from}{filter} GROUP BY {group}",
            columns[0].0, columns[1].0, columns[2].0
        );
        Query { sql, columns }
    }

    fn aggregated(&mut self, from: &str, filter: &str, scope: &Scope, depth: u32) -> Query {
        self.saw("aggregates");
        let own = Scope {
            relations: scope.relations[..scope.inner].to_vec(),
            inner: scope.inner,
        };
        let text = self.value(Type::Text, &own, 0);
        let number = self.value(Type::Number, &own, 0);
        let role = self.value(Type::Role, &own, 0);
        let condition = self.condition(&own, depth.min(1));
        let (sql, kind) = match self.choices.below(8) {
            0 => (format!("min({text})"), Type::Text),
            1 => (
                format!("sum({number}) FILTER (WHERE {condition})"),
                Type::Number,
            ),
            2 => (
                format!("string_agg({text}, ',' ORDER BY {text})"),
                Type::Text,
            ),
            3 => (format!("max({role})"), Type::Role),
            4 => (format!("count(DISTINCT {role})"), Type::Number),
            5 => (
                format!("array_agg({role} ORDER BY {role})::text"),
                Type::Text,
            ),
            6 => (format!("bool_or({condition})"), Type::Bool),
            _ => (
                format!("percentile_disc(0.5) WITHIN GROUP (ORDER BY {number})"),
                Type::Number,
            ),
        };
        let columns = vec![(self.alias(), kind)];
        Query {
            sql: format!("SELECT {sql} AS {}{from}{filter}", columns[0].0),
            columns,
        }
    }

    fn windowed(&mut self, from: &str, filter: &str, scope: &Scope) -> Query {
        self.saw("window");
        let own = Scope {
            relations: scope.relations[..scope.inner].to_vec(),
            inner: scope.inner,
        };
        let (text, role) = (
            self.value(Type::Text, &own, 0),
            self.value(Type::Role, &own, 0),
        );
        // Peers get equal values, so that ties do not show.
        let (call, kind) = self.choices.pick(&[
            ("rank()", Type::Number),
            ("dense_rank()", Type::Number),
            ("count(*)", Type::Number),
            ("cume_dist()", Type::Number),
        ]);
        let over = match self.choices.below(3) {
            0 => format!("OVER (PARTITION BY {role} ORDER BY {text})"),
            1 => {
                format!("OVER (ORDER BY {text} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)")
            }
            _ => {
                self.saw("WINDOW clause");
                let columns = vec![(self.alias(), Type::Text), (self.alias(), kind)];
                let sql = format!(
                    "SELECT {text} AS {}, {call} OVER w AS {}{from}{filter} WINDOW w AS (PARTITION BY {role} ORDER BY {text} DESC)",
                    columns[0].0, columns[1].0
                );
                return Query { sql, columns };
            }
        };
        let columns = vec![(self.alias(), Type::Role), (self.alias(), kind)];
        let sql = format!(
            "SELECT {role} AS {}, {call} {over} AS {}{from}{filter}",
            columns[0].0, columns[1].0
        );
        Query { sql, columns }
    }
}
