//! Values of each type, and conditions. The column with mapped values gets every comparison.

use super::names::Relation;
use super::{Grammar, Parameter};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Number,
    Bool,
    Role,
    Margin,
    Json,
    Id,
}

/// What an expression may refer to; the first `inner` relations are its own query's.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub relations: Vec<Relation>,
    pub inner: usize,
}

const ROLES: [&str; 4] = ["admin", "operator", "iso_agent", "sales_rep"];

impl Scope {
    pub(super) fn of(relations: Vec<Relation>) -> Scope {
        Scope {
            inner: relations.len(),
            relations,
        }
    }

    /// A nested query's scope: its own relations, and what it can reach around it.
    pub(super) fn nested(&self, inner: Vec<Relation>) -> Scope {
        let count = inner.len();
        Scope {
            relations: inner.into_iter().chain(self.relations.clone()).collect(),
            inner: count,
        }
    }
}

impl Grammar<'_> {
    /// A column of the type, if there is one in scope.
    pub(super) fn column(&mut self, kind: Type, scope: &Scope) -> Option<String> {
        let candidates: Vec<(usize, String)> = scope
            .relations
            .iter()
            .enumerate()
            .flat_map(|(index, relation)| {
                let of_kind = relation.columns.iter().filter(|column| column.1 == kind);
                of_kind.map(move |column| (index, column.0.clone()))
            })
            .collect();
        if candidates.is_empty() {
            return None;
        }
        let (index, name) = candidates[self.choices.below(candidates.len())].clone();
        let relation = scope.relations[index].clone();
        Some(self.column_name(&relation, &name, scope.inner == 1 && index == 0))
    }

    pub(super) fn value(&mut self, kind: Type, scope: &Scope, depth: u32) -> String {
        if (depth == 0 || self.choices.chance(55))
            && let Some(column) = self.column(kind, scope)
        {
            return column;
        }
        if depth == 0 {
            return self.constant(kind);
        }
        let depth = depth - 1;
        match self.choices.below(6) {
            0 | 1 => self.constant(kind),
            2 => {
                self.saw("CASE");
                let (condition, yes) =
                    (self.condition(scope, depth), self.value(kind, scope, depth));
                let no = self.value(kind, scope, depth);
                format!("CASE WHEN {condition} THEN {yes} ELSE {no} END")
            }
            3 => {
                self.saw("scalar subquery");
                self.scalar_subquery(kind, scope, depth)
            }
            4 => {
                let (a, b) = (
                    self.value(kind, scope, depth),
                    self.value(kind, scope, depth),
                );
                format!("coalesce({a}, {b})")
            }
            _ => self.computed(kind, scope, depth),
        }
    }

    fn computed(&mut self, kind: Type, scope: &Scope, depth: u32) -> String {
        match kind {
            Type::Text => match self.choices.below(4) {
                0 => format!("upper({})", self.value(kind, scope, depth)),
                1 => {
                    let (a, b) = (
                        self.value(kind, scope, depth),
                        self.value(kind, scope, depth),
                    );
                    format!("({a} || {b})")
                }
                2 => {
                    self.saw("role::text");
                    format!("({})::text", self.value(Type::Role, scope, depth))
                }
                _ => format!("({} ->> 'timezone')", self.value(Type::Json, scope, depth)),
            },
            Type::Number => match self.choices.below(3) {
                0 => format!("({} + 1.5)", self.value(kind, scope, depth)),
                1 => format!("length({})", self.value(Type::Text, scope, depth)),
                _ => format!("round({} * 2, 1)", self.value(kind, scope, depth)),
            },
            Type::Bool => format!("({})", self.condition(scope, depth)),
            Type::Role => {
                let text = self.value(Type::Role, scope, depth);
                format!("CAST(({text})::text AS public.user_role)")
            }
            Type::Margin => format!("({}::text::margin_type)", self.value(kind, scope, depth)),
            Type::Json => {
                let text = self.value(Type::Text, scope, depth);
                format!("jsonb_build_object('phone', left({text}, 9))")
            }
            Type::Id => format!("({})::uuid", self.value(kind, scope, depth)),
        }
    }

    /// A constant, or a parameter with its type in sight.
    pub(super) fn constant(&mut self, kind: Type) -> String {
        let (literal, text) = self.literal(kind);
        if !self.parametrised || !self.choices.chance(35) {
            return literal;
        }
        self.saw("parameters");
        let number = self.parameter(text, kind);
        match kind {
            Type::Text => format!("${number}::text"),
            Type::Number => format!("${number}::numeric"),
            Type::Bool => format!("${number}::boolean"),
            Type::Role => format!("${number}::user_role"),
            Type::Margin => format!("${number}::margin_type"),
            Type::Json => format!("${number}::jsonb"),
            Type::Id => format!("${number}::uuid"),
        }
    }

    /// Adds a parameter; its number.
    pub(super) fn parameter(&mut self, text: String, kind: Type) -> usize {
        // Text and enum values look the same in both formats; a uuid is 16 bytes.
        let (value, binary) = match kind {
            Type::Text | Type::Role | Type::Margin => (text.into_bytes(), self.choices.chance(50)),
            Type::Bool if self.choices.chance(50) => (vec![u8::from(text == "true")], true),
            Type::Id if self.choices.chance(50) => (uuid_bytes(&text), true),
            Type::Number | Type::Json | Type::Bool | Type::Id => (text.into_bytes(), false),
        };
        if binary {
            self.saw("binary parameters");
        }
        let null = self.choices.chance(4);
        self.parameters.push(Parameter {
            value: (!null).then_some(value),
            binary,
        });
        self.parameters.len()
    }

    /// A literal with a type of its own or the place's, and its plain text.
    pub(super) fn literal(&mut self, kind: Type) -> (String, String) {
        let number = 1 + self.choices.below(9);
        let text = match kind {
            Type::Text => match self.choices.below(4) {
                0 => format!("agent.{number}@example.com"),
                1 => format!("Agent {number}"),
                2 => format!("fix.{number}@example.com"),
                _ => format!("it''s {number}"),
            },
            Type::Number => ["0", "1", "2.5", "12.345", "70"][number % 5].to_owned(),
            Type::Bool => ["true", "false"][number % 2].to_owned(),
            Type::Role => self.choices.pick(&ROLES[..3]).to_owned(),
            Type::Margin => ["percentage", "fixed"][number % 2].to_owned(),
            Type::Json => match self.choices.below(3) {
                0 => "{}".to_owned(),
                1 => format!("{{\"phone\": \"+{number}\"}}"),
                _ => "{\"timezone\": \"Europe/Berlin\", \"a\": [1, null]}".to_owned(),
            },
            Type::Id => format!("00000000-0000-4000-8000-00000000000{number}"),
        };
        let plain = text.replace("''", "'");
        let literal = match kind {
            Type::Number => text,
            Type::Bool => text,
            Type::Text => match self.choices.below(6) {
                0..=3 => format!("'{text}'"),
                4 => format!("E'{}'", text.replace('@', "\\x40")),
                _ => format!("'{text}'::text"),
            },
            Type::Role => match self.choices.below(3) {
                0 => format!("'{text}'::user_role"),
                1 => format!("public.user_role '{text}'"),
                _ => format!("CAST('{text}' AS user_role)"),
            },
            Type::Margin => format!("'{text}'::margin_type"),
            Type::Json => format!("'{text}'::jsonb"),
            Type::Id => format!("'{text}'::uuid"),
        };
        (literal, plain)
    }

    pub(super) fn condition(&mut self, scope: &Scope, depth: u32) -> String {
        if depth == 0 || self.choices.chance(50) {
            return self.comparison(scope);
        }
        let depth = depth - 1;
        match self.choices.below(9) {
            0 | 1 => self.both(scope, depth, "AND"),
            2 => self.both(scope, depth, "OR"),
            3 => format!("NOT ({})", self.condition(scope, depth)),
            4 => self.exists(scope, depth),
            5 => {
                self.saw("IN (query)");
                let not = self.choices.pick(&["", "NOT "]);
                let (value, query) = self.with_query_of(scope, depth);
                format!("{value} {not}IN ({query})")
            }
            6 => {
                self.saw("ANY (query)");
                let operator = self.choices.pick(&["= ANY", "<> ALL", "= SOME"]);
                let (value, query) = self.with_query_of(scope, depth);
                format!("{value} {operator} ({query})")
            }
            7 => format!("({}) IS NOT TRUE", self.condition(scope, depth)),
            _ => {
                let (a, b) = (
                    self.value(Type::Text, scope, depth),
                    self.value(Type::Text, scope, depth),
                );
                format!("{a} IS DISTINCT FROM {b}")
            }
        }
    }

    fn both(&mut self, scope: &Scope, depth: u32, word: &str) -> String {
        let (a, b) = (self.condition(scope, depth), self.condition(scope, depth));
        if word == "OR" {
            format!("({a} OR {b})")
        } else {
            format!("{a} AND {b}")
        }
    }

    fn with_query_of(&mut self, scope: &Scope, depth: u32) -> (String, String) {
        let kind = self.choices.pick(&[Type::Text, Type::Role, Type::Id]);
        let value = self.value(kind, scope, depth);
        (value, self.column_query(kind, scope, depth))
    }

    fn comparison(&mut self, scope: &Scope) -> String {
        if self.choices.chance(45)
            && let Some(role) = self.column(Type::Role, scope)
        {
            return self.role_comparison(&role, scope);
        }
        match self.choices.below(8) {
            0 => {
                let (column, value) = (self.value(Type::Text, scope, 0), self.constant(Type::Text));
                format!("{column} = {value}")
            }
            1 => format!(
                "{} LIKE '%{}%'",
                self.value(Type::Text, scope, 0),
                self.choices.below(9)
            ),
            2 => format!(
                "{} > {}",
                self.value(Type::Number, scope, 0),
                self.constant(Type::Number)
            ),
            3 => format!("{} IS NULL", self.value(Type::Number, scope, 0)),
            4 => format!("{} IS NOT FALSE", self.value(Type::Bool, scope, 0)),
            5 => format!(
                "{} ->> 'timezone' = 'Europe/Berlin'",
                self.value(Type::Json, scope, 0)
            ),
            6 => format!(
                "{} = {}",
                self.value(Type::Id, scope, 0),
                self.constant(Type::Id)
            ),
            _ => {
                let (a, b) = (
                    self.value(Type::Text, scope, 0),
                    self.value(Type::Text, scope, 0),
                );
                format!("{a} <= {b}")
            }
        }
    }

    fn role_comparison(&mut self, role: &str, scope: &Scope) -> String {
        let (one, other) = (self.choices.pick(&ROLES), self.choices.pick(&ROLES));
        match self.choices.below(16) {
            0 | 1 => format!("{role} = '{one}'"),
            2 => {
                self.saw("role IN");
                format!("{role} IN ('{one}', '{other}')")
            }
            3 => {
                self.saw("role NOT IN");
                format!("{role} NOT IN ('{one}', '{other}')")
            }
            4 => {
                self.saw("role = ANY (array)");
                format!("{role} = ANY ('{{{one},{other}}}')")
            }
            5 => {
                self.saw("role = ANY (array)");
                format!("{role} = ANY (ARRAY['{one}', '{other}']::user_role[])")
            }
            6 => {
                self.saw("role with NULL");
                format!("{role} IN ('{one}', NULL)")
            }
            7 => {
                self.saw("role with NULL");
                let word = self
                    .choices
                    .pick(&["= NULL", "IS NULL", "IS NOT NULL", "= ANY (NULL)"]);
                format!("{role} {word}")
            }
            8 => format!("'{one}' = {role}"),
            9 => {
                self.saw("role compared otherwise");
                let operator = self.choices.pick(&["<>", "<", ">=", "IS DISTINCT FROM"]);
                format!("{role} {operator} '{one}'")
            }
            10 => format!("{role}::text LIKE '%{}%'", &one[..2]),
            11 => {
                self.saw("role = CASE");
                format!("{role} = CASE WHEN true THEN '{one}' ELSE '{other}' END::user_role")
            }
            12 => {
                self.saw("role in a row");
                format!("({role}, 1) = ('{one}', 1)")
            }
            13 => format!("{role} BETWEEN '{one}' AND '{other}'"),
            14 if self.parametrised => {
                self.saw("role = parameter");
                let number = self.parameter(one.to_owned(), Type::Role);
                format!("{role} = ${number}")
            }
            _ => {
                let value = self.value(Type::Role, scope, 1);
                format!("{role} = {value}")
            }
        }
    }
}

fn uuid_bytes(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    (0..digits.len() / 2)
        .filter_map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).ok())
        .collect()
}
