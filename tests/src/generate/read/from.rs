//! FROM: its items, and how they are joined.

use crate::generate::Grammar;
use crate::generate::expression::{Scope, Type};
use crate::generate::names::{AGENTS, CLIENTS, REQUESTS, Relation, owned};

impl Grammar<'_> {
    /// FROM and its relations.
    pub(super) fn from(&mut self, outer: &Scope, depth: u32) -> (String, Vec<Relation>) {
        let (mut sql, first) = self.item(depth);
        let mut relations = first;
        let joins = if depth == 0 { 0 } else { self.choices.below(3) };
        for _ in 0..joins {
            (sql, relations) = self.join(&sql, relations, outer, depth - 1);
        }
        (format!(" FROM {sql}"), relations)
    }

    pub(super) fn join(
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
    pub(super) fn shared(&mut self, all: &[Relation], column: &str) -> bool {
        all.len() == 2 && all.iter().all(|r| r.columns.iter().any(|c| c.0 == column))
    }

    /// One item of FROM.
    pub(super) fn item(&mut self, depth: u32) -> (String, Vec<Relation>) {
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

    pub(in crate::generate) fn managed_item(&mut self) -> (String, Vec<Relation>) {
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

    pub(in crate::generate) fn scalar_subquery(
        &mut self,
        kind: Type,
        scope: &Scope,
        depth: u32,
    ) -> String {
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

    pub(in crate::generate) fn column_query(
        &mut self,
        kind: Type,
        scope: &Scope,
        depth: u32,
    ) -> String {
        self.query(scope, depth.min(1), Some(&[kind])).sql
    }

    pub(in crate::generate) fn exists(&mut self, scope: &Scope, depth: u32) -> String {
        self.saw("EXISTS");
        let query = self.query(scope, depth.min(1), Some(&[Type::Text]));
        format!("EXISTS ({})", query.sql)
    }
}
