//! Queries: every kind of item in FROM, of query in an expression, of clause around them.

use super::expression::{Scope, Type};
use super::names::{AGENTS, CLIENTS, REQUESTS, Relation, owned};
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

    /// FROM and its relations.
    fn from(&mut self, outer: &Scope, depth: u32) -> (String, Vec<Relation>) {
        let (mut sql, first) = self.item(depth);
        let mut relations = first;
        let joins = if depth == 0 { 0 } else { self.choices.below(3) };
        for _ in 0..joins {
            (sql, relations) = self.join(&sql, relations, outer, depth - 1);
        }
        (format!(" FROM {sql}"), relations)
    }

    fn join(
        &mut self,
        left: &str,
        relations: Vec<Relation>,
        outer: &Scope,
        depth: u32,
    ) -> (String, Vec<Relation>) {
        let (right, added) = self.item(depth);
        let mut all = relations.clone();
        all.extend(added.clone());
        let kind =
            self.choices
                .pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "INNER JOIN"]);
        let link = |all: &[Relation]| {
            let ids: Vec<String> = all
                .iter()
                .filter_map(|r| {
                    let column = r
                        .columns
                        .iter()
                        .find(|c| c.1 == Type::Id && c.0 != "id")
                        .or_else(|| r.columns.iter().find(|c| c.1 == Type::Id))?;
                    Some(format!("{}.{}", r.name, column.0))
                })
                .collect();
            ids
        };
        let ids = link(&all);
        let sql = match self.choices.below(5) {
            0 | 1 if ids.len() >= 2 => {
                self.saw(match kind {
                    "LEFT JOIN" => "LEFT JOIN",
                    "RIGHT JOIN" => "RIGHT JOIN",
                    "FULL JOIN" => "FULL JOIN",
                    _ => "JOIN ON",
                });
                let link = format!("{} = {}", ids[ids.len() - 2], ids[ids.len() - 1]);
                let more = if kind == "FULL JOIN" || !self.choices.chance(40) {
                    String::new()
                } else {
                    let scope = outer.nested(all.clone());
                    format!(" AND {}", self.condition(&scope, 0))
                };
                format!("{left} {kind} {right} ON {link}{more}")
            }
            2 => {
                self.saw("LATERAL");
                let scope = outer.nested(all.clone());
                let query = self.query(&scope, 0, Some(&[Type::Text, Type::Role]));
                let name = self.alias();
                let relation = Relation {
                    name: name.clone(),
                    columns: query.columns,
                    schema: false,
                };
                // One row, determined: the rest of the query must not multiply.
                let sql = format!(
                    "{left} CROSS JOIN LATERAL (SELECT min(q.{a}) AS {a}, min(q.{b}) AS {b} FROM ({}) AS q) AS {name}",
                    query.sql,
                    a = relation.columns[0].0,
                    b = relation.columns[1].0,
                );
                let mut all = relations;
                all.push(relation);
                return (sql, all);
            }
            3 if self.shared(&all, "email") => {
                self.saw("USING");
                format!("{left} {kind} {right} USING (email)")
            }
            4 if self.shared(&all, "id") => {
                self.saw("NATURAL JOIN");
                format!("{left} NATURAL {kind} {right}")
            }
            _ => {
                self.saw("comma join");
                let name = self.alias();
                let relation = Relation {
                    name: name.clone(),
                    columns: vec![("v".to_owned(), Type::Text)],
                    schema: false,
                };
                let mut all = relations;
                all.push(relation);
                return (
                    format!(
                        "{left} CROSS JOIN (VALUES ('agent.1@example.com'), ('x')) AS {name}(v)"
                    ),
                    all,
                );
            }
        };
        (sql, all)
    }

    /// Whether exactly two relations are there and both are tables with the column.
    fn shared(&mut self, all: &[Relation], column: &str) -> bool {
        all.len() == 2 && all.iter().all(|r| r.columns.iter().any(|c| c.0 == column))
    }

    /// One item of FROM.
    fn item(&mut self, depth: u32) -> (String, Vec<Relation>) {
        match self.choices.below(if depth == 0 { 8 } else { 14 }) {
            0..=4 => self.managed_item(),
            5 => {
                let name = self.alias();
                let columns = owned(CLIENTS);
                (
                    format!("client_profiles AS {name}"),
                    vec![Relation {
                        name,
                        columns,
                        schema: false,
                    }],
                )
            }
            6 => {
                let name = self.alias();
                let columns = owned(REQUESTS);
                (
                    format!("requests {name}"),
                    vec![Relation {
                        name,
                        columns,
                        schema: false,
                    }],
                )
            }
            7 | 8 if !self.with.is_empty() => {
                self.saw("reference to WITH");
                let at = self.choices.below(self.with.len());
                let (query, columns) = self.with[at].clone();
                let name = self.alias();
                (
                    format!("{query} AS {name}"),
                    vec![Relation {
                        name,
                        columns,
                        schema: false,
                    }],
                )
            }
            9 | 10 => {
                self.saw("subquery in FROM");
                let query = self.query(&Scope::of(Vec::new()), depth - 1, None);
                let name = self.alias();
                (
                    format!("({}) AS {name}", query.sql),
                    vec![Relation {
                        name,
                        columns: query.columns,
                        schema: false,
                    }],
                )
            }
            11 => {
                self.saw("alias around a join");
                let (sql, _) = self.managed_item();
                let name = self.alias();
                let agent = self.alias();
                let sql = format!(
                    "({sql} CROSS JOIN (SELECT count(*) AS n FROM iso_agents) AS {agent}) AS {name}"
                );
                (
                    sql,
                    vec![Relation {
                        name,
                        columns: owned(AGENTS),
                        schema: false,
                    }],
                )
            }
            _ => self.managed_item(),
        }
    }

    pub(super) fn managed_item(&mut self) -> (String, Vec<Relation>) {
        let (spelled, schema) = self.managed_name();
        // A WITH query of this name hides the table.
        let spelled = if schema || !self.with.iter().any(|with| with.0 == "iso_agents") {
            spelled
        } else {
            "public.iso_agents"
        };
        let (before, after) = self.choices.pick(&[
            ("", ""),
            ("", ""),
            ("", ""),
            ("ONLY ", ""),
            ("ONLY (", ")"),
            ("", " *"),
        ]);
        self.saw_only(before);
        let table = format!("{before}{spelled}{after}");
        if self.choices.chance(8) {
            self.saw("renamed columns");
            let name = self.alias();
            let columns = [
                ("c1", Type::Id),
                ("c2", Type::Text),
                ("c3", Type::Text),
                ("c4", Type::Text),
                ("c5", Type::Role),
            ];
            return (
                format!("{table} AS {name}(c1, c2, c3, c4, c5)"),
                vec![Relation {
                    name,
                    columns: owned(&columns),
                    schema: false,
                }],
            );
        }
        let name = self.alias();
        match self.choices.below(4) {
            0 | 1 => (
                format!("{table} AS {name}"),
                vec![Relation {
                    name,
                    columns: owned(AGENTS),
                    schema: false,
                }],
            ),
            2 => (
                format!("{table} \"{name}\""),
                vec![Relation {
                    name,
                    columns: owned(AGENTS),
                    schema: false,
                }],
            ),
            _ if self.aliases == 1 => {
                // Under its own name once in a statement: two of them would clash.
                self.saw("no alias");
                let name = "iso_agents".to_owned();
                let three = spelled.contains("iso_agents") && self.with.is_empty();
                (
                    table,
                    vec![Relation {
                        name,
                        columns: owned(AGENTS),
                        schema: three,
                    }],
                )
            }
            _ => (
                format!("{table} {name}"),
                vec![Relation {
                    name,
                    columns: owned(AGENTS),
                    schema: false,
                }],
            ),
        }
    }

    pub(super) fn scalar_subquery(&mut self, kind: Type, scope: &Scope, depth: u32) -> String {
        if matches!(kind, Type::Bool | Type::Json | Type::Id | Type::Margin) {
            return self.constant(kind);
        }
        let query = self.query(scope, depth.min(1), Some(&[kind]));
        let name = self.alias();
        format!(
            "(SELECT max({name}.{}) FROM ({}) AS {name})",
            query.columns[0].0, query.sql
        )
    }

    pub(super) fn column_query(&mut self, kind: Type, scope: &Scope, depth: u32) -> String {
        self.query(scope, depth.min(1), Some(&[kind])).sql
    }

    pub(super) fn exists(&mut self, scope: &Scope, depth: u32) -> String {
        self.saw("EXISTS");
        let query = self.query(scope, depth.min(1), Some(&[Type::Text]));
        format!("EXISTS ({})", query.sql)
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

    fn distinct_on(&mut self) -> Written {
        self.saw("DISTINCT ON");
        let (item, relations) = self.managed_item();
        let scope = Scope::of(relations);
        let name = scope.relations[0].name.clone();
        if scope.relations[0].columns.len() != AGENTS.len() {
            return Written::of(format!("SELECT DISTINCT c5 FROM {item}"));
        }
        let condition = self.condition(&scope, 1);
        Written {
            ordered: true,
            ..Written::of(format!(
                "SELECT DISTINCT ON ({name}.role) {name}.role, {name}.email FROM {item} WHERE {condition} ORDER BY {name}.role DESC, {name}.email"
            ))
        }
    }

    fn recursive(&mut self) -> Written {
        self.saw("WITH RECURSIVE");
        let (item, relations) = self.managed_item();
        let scope = Scope::of(relations);
        let text = self.column(Type::Text, &scope).unwrap_or_default();
        let condition = self.condition(&scope, 1);
        let cte = self.choices.pick(&["r", "iso_agents2", "R"]);
        let main = self.managed_name().0;
        Written::of(format!(
            "WITH RECURSIVE {cte}(n, v) AS (SELECT 1, {text} FROM {item} WHERE {condition} \
             UNION ALL SELECT r2.n + 1, r2.v FROM {cte} AS r2 WHERE r2.n < 3) \
             SELECT n, v, (SELECT count(*) FROM {main}) AS c FROM {cte}"
        ))
    }

    /// Values that are whole rows, and what makes JSON of them.
    fn whole_row(&mut self) -> Written {
        let name = self.managed_name().0;
        let stamps = if self.writes {
            " - 'created_at' - 'updated_at' - 'id'"
        } else {
            ""
        };
        match self.choices.below(9) {
            0 => {
                self.saw("row_to_json");
                Written::of(format!(
                    "SELECT row_to_json(a)::jsonb{stamps} AS j FROM {name} AS a"
                ))
            }
            1 => {
                self.saw("json_agg");
                Written::of(format!(
                    "SELECT json_agg(to_jsonb(a){stamps} ORDER BY a.email) AS j FROM {name} a WHERE a.role = 'admin'"
                ))
            }
            2 => {
                self.saw("whole row");
                Written::of(format!("SELECT count(a), count(a.*) FROM {name} a"))
            }
            3 => {
                self.saw("whole row");
                Written::of(format!(
                    "SELECT (a).email, (a.role)::text AS r FROM {name} AS a WHERE a IS NOT NULL"
                ))
            }
            4 => {
                self.saw("whole row");
                Written::of(format!(
                    "SELECT s.x ->> 'role' AS r FROM (SELECT to_jsonb(a.*) AS x FROM {name} AS a) AS s"
                ))
            }
            5 | 6 if !self.writes => {
                self.saw("whole row as result");
                self.typed_row(name)
            }
            7 => {
                self.saw("type of a whole row");
                let row = self.choices.pick(&["a", "a.*", "coalesce(a, NULL)", "(a)"]);
                Written::of(format!(
                    "SELECT pg_typeof({row}), pg_typeof(array_agg(a)), count({row}) FROM {name} AS a GROUP BY 1"
                ))
            }
            _ => {
                self.saw("whole row compared");
                Written::of(format!(
                    "SELECT a.email FROM {name} a JOIN {name} b ON a = b AND a.role = 'operator'"
                ))
            }
        }
    }

    /// Queries whose results are whole rows, where their type shows.
    fn typed_row(&mut self, name: &str) -> Written {
        let row = self.choices.pick(&["a", "(a)", "a AS r", "a::iso_agents"]);
        Written::of(match self.choices.below(10) {
            0 => format!("SELECT {row} FROM {name} AS a"),
            1 => format!(
                "SELECT a.*, {row}, c.notes FROM client_profiles c LEFT JOIN {name} a ON a.id = c.iso_agent_id AND a.role = 'admin'"
            ),
            2 => format!(
                "SELECT a.role, array_agg(a ORDER BY a.email) FROM {name} a GROUP BY a.role"
            ),
            3 => format!("SELECT s.r, (s.r).email FROM (SELECT a AS r FROM {name} a) s"),
            4 => format!(
                "WITH q AS (SELECT a AS r FROM {name} AS a WHERE a.is_active) SELECT r, (r).role, q.* FROM q"
            ),
            5 => format!(
                "SELECT coalesce(b, a), CASE WHEN b IS NULL THEN a ELSE b END FROM {name} a LEFT JOIN {name} b ON b.id = a.id AND b.role = 'operator'"
            ),
            6 => format!("SELECT DISTINCT {row} FROM {name} a"),
            7 => format!("SELECT a AS r, count(*) FROM {name} a GROUP BY a HAVING a IS NOT NULL"),
            8 => format!(
                "SELECT (SELECT b FROM {name} b WHERE b.id = a.id), ARRAY(SELECT b FROM {name} b WHERE b.id = a.id), row_to_json(x)::text FROM {name} a JOIN {name} AS x (p, q, r) ON x.p = a.id"
            ),
            _ => format!(
                "SELECT {row} FROM {name} a WHERE a = ANY (SELECT b FROM {name} b WHERE b.role = 'admin') UNION ALL SELECT b FROM {name} b WHERE b.role = 'operator'"
            ),
        })
    }

    /// Clauses that appear once in a while.
    fn special_select(&mut self) -> Written {
        let name = self.managed_name().0;
        match self.choices.below(6) {
            0 => {
                self.saw("TABLESAMPLE");
                Written::of(format!(
                    "SELECT count(*) FROM {name} TABLESAMPLE BERNOULLI (100)"
                ))
            }
            1 if !self.binary_results => {
                self.saw("system columns");
                Written::of(format!(
                    "SELECT count(ctid), count(DISTINCT tableoid) FROM {name}"
                ))
            }
            2 => {
                self.saw("VALUES with subqueries");
                Written::of(format!(
                    "VALUES ((SELECT count(*) FROM {name})), ((SELECT count(DISTINCT role) FROM {name}))"
                ))
            }
            3 => {
                self.saw("function in FROM");
                Written::of(format!(
                    "SELECT a.email, k.key FROM {name} a, jsonb_each_text(a.metadata) WITH ORDINALITY AS k(key, value, n) WHERE jsonb_typeof(a.metadata) = 'object'"
                ))
            }
            4 => {
                self.saw("ROWS FROM");
                Written::of(format!(
                    "SELECT g.x FROM ROWS FROM (unnest(ARRAY(SELECT email FROM {name} WHERE role = 'admin'))) AS g(x)"
                ))
            }
            _ => {
                self.saw("ARRAY (query)");
                Written::of(format!(
                    "SELECT ARRAY(SELECT role::text FROM {name} GROUP BY role ORDER BY role) AS roles"
                ))
            }
        }
    }

    fn locking_select(&mut self) -> Written {
        let (item, relations) = self.managed_item();
        let scope = Scope::of(relations);
        let name = scope.relations[0].name.clone();
        let text = self.column(Type::Text, &scope).unwrap_or_default();
        let condition = self.condition(&scope, 0);
        let strength = self.choices.pick(&[
            "FOR UPDATE",
            "FOR SHARE",
            "FOR NO KEY UPDATE",
            "FOR KEY SHARE",
        ]);
        self.saw(strength);
        let of = self
            .choices
            .pick(&["", " OF", " NOWAIT", " SKIP LOCKED", " OF SKIP LOCKED"]);
        self.saw(match of {
            "" => "a lock of all items",
            " OF" => "a lock OF an item",
            " NOWAIT" => "a lock NOWAIT",
            _ => "a lock SKIP LOCKED",
        });
        let of = of.replace(" OF", &format!(" OF {name}"));
        Written::of(format!(
            "SELECT {text} FROM {item} WHERE {condition} {strength}{of}"
        ))
    }

    fn copy_out(&mut self) -> Written {
        if self.parametrised {
            return self.select_statement();
        }
        self.saw("COPY TO");
        let name = self.managed_name().0;
        let format = self
            .choices
            .pick(&["", " (FORMAT csv, HEADER)", " WITH CSV QUOTE AS ''''"]);
        if self.choices.chance(20) {
            self.saw("COPY TO binary");
            return Written::of(format!(
                "COPY (SELECT count(*), max(email), max(role) FROM {name}) TO STDOUT (FORMAT binary)"
            ));
        }
        if self.choices.chance(50) {
            self.saw("COPY of a query TO");
            let query = self.query(&Scope::of(Vec::new()), 1, None);
            return Written::of(format!("COPY ({}) TO STDOUT{format}", query.sql));
        }
        Written::of(format!(
            "COPY {name} (email, role, \"margin_value\") TO STDOUT{format}"
        ))
    }

    /// Mistakes that a client makes: the error and its position are the answer.
    fn failing_read(&mut self) -> Written {
        self.saw("error of a read");
        let name = self.managed_name().0;
        Written::of(match self.choices.below(9) {
            0 => format!("SELECT nothing FROM {name}"),
            1 => format!("SELECT a.email FROM {name} AS b"),
            2 => format!("SELECT email FROM {name} WHERE role = 'nobody'"),
            3 => format!("SELECT 1 / 0 AS x FROM {name}"),
            4 => format!("SELECT email FROM {name} WHERE role = 5"),
            5 => format!("SELECT email FROM {name} GROUP BY role"),
            6 => format!("SELECT email, count(*) FROM {name}"),
            7 => format!("SELECT email FROM {name} a JOIN {name} b ON true"),
            _ => format!("SELECT email FROM {name} WHERE id = 'no uuid'"),
        })
    }
}
