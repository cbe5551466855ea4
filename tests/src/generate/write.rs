//! Writes of every kind, and the commands around them.

mod special;

use super::expression::{Scope, Type};
use super::names::{AGENTS, Relation, owned};
use super::{Grammar, Written};

/// Columns that an INSERT may leave out.
const OPTIONAL: &[(&str, Type)] = &[
    ("role", Type::Role),
    ("margin_value", Type::Number),
    ("is_active", Type::Bool),
    ("metadata", Type::Json),
    ("margin_type", Type::Margin),
];

const PART: &str = "metadata['part']";

impl Grammar<'_> {
    pub(super) fn write(&mut self) -> Written {
        match self.choices.below(34) {
            0..=6 => {
                let (sql, _) = self.insert();
                Written::of(sql)
            }
            7..=14 => {
                let (sql, _) = self.update();
                Written::of(sql)
            }
            15..=18 => {
                let (sql, _) = self.delete();
                Written::of(sql)
            }
            19..=22 => self.write_in_with(),
            23 | 24 => self.copy_in(),
            25 => self.neighbour(),
            26 | 32 | 33 => self.command(),
            27 => self.key_change(),
            28 | 29 => self.failing_write(),
            _ => {
                let (sql, _) = self.merge();
                Written::of(sql)
            }
        }
    }

    pub(super) fn target(&mut self) -> (String, Relation) {
        let (spelled, schema) = self.managed_name();
        if self.choices.chance(45) {
            let name = self.alias();
            let relation = Relation {
                name: name.clone(),
                columns: owned(AGENTS),
                schema: false,
            };
            return (format!("{spelled} AS {name}"), relation);
        }
        let relation = Relation {
            name: "iso_agents".to_owned(),
            columns: owned(AGENTS),
            schema,
        };
        (spelled.to_owned(), relation)
    }

    /// RETURNING, or nothing; with the types that it returns under the names r1, r2.
    pub(super) fn returning(&mut self, scope: &Scope) -> (String, Vec<(String, Type)>) {
        match self.choices.below(7) {
            0 | 1 => (String::new(), Vec::new()),
            6 => {
                // A trigger gives updated rows the time: of those only the type shows.
                self.saw("RETURNING a whole row");
                let row = &scope.relations[0].name;
                let columns = vec![("r1".to_owned(), Type::Text), ("r2".to_owned(), Type::Role)];
                let list = format!(
                    "({row}).email AS r1, ({row}).role AS r2, pg_typeof({row}) AS r3, CASE WHEN {row}.role IS NULL THEN {row} END AS r4"
                );
                (format!(" RETURNING {list}"), columns)
            }
            2 => {
                self.saw("RETURNING *");
                let star = if scope.relations.len() == 1 {
                    "*".to_owned()
                } else {
                    format!("{}.*", scope.relations[0].name)
                };
                (
                    format!(" RETURNING {star}"),
                    vec![
                        ("email".to_owned(), Type::Text),
                        ("role".to_owned(), Type::Role),
                    ],
                )
            }
            _ => {
                self.saw("RETURNING expressions");
                let (a, b) = (
                    self.value(Type::Text, scope, 1),
                    self.value(Type::Role, scope, 1),
                );
                if scope.relations.len() > 1 && self.choices.chance(25) {
                    self.saw("subquery in RETURNING of a join");
                    let query = self.scalar_subquery(Type::Text, scope, 1);
                    let columns = vec![("r1".to_owned(), Type::Text)];
                    return (format!(" RETURNING {query} AS r1, {b} AS \"r2\""), columns);
                }
                let columns = vec![("r1".to_owned(), Type::Text), ("r2".to_owned(), Type::Role)];
                (format!(" RETURNING {a} AS r1, {b} AS \"r2\""), columns)
            }
        }
    }

    fn new_values(&mut self, columns: &[(&str, Type)]) -> Vec<String> {
        let number = self.choices.below(20);
        columns
            .iter()
            .map(|(name, kind)| match *name {
                "id" => match self.choices.below(3) {
                    0 => format!("'00000000-0000-4000-8000-0000000001{number:02}'"),
                    1 => "DEFAULT".to_owned(),
                    _ => format!("'00000000-0000-4000-8000-0000000001{number:02}'::uuid"),
                },
                "clerk_user_id" => format!("'new_{number}'"),
                "email" => format!("'new.{number}@example.com'"),
                "full_name" => {
                    let scope = Scope::of(Vec::new());
                    self.value(Type::Text, &scope, 1)
                }
                // There is no DEFAULT for it.
                PART => match self.choices.below(3) {
                    0 => "NULL".to_owned(),
                    1 => "'[1, 2]'".to_owned(),
                    _ => self.constant(*kind),
                },
                _ => self.assigned(*kind),
            })
            .collect()
    }

    /// A value whose type its column gives.
    pub(super) fn assigned(&mut self, kind: Type) -> String {
        match self.choices.below(6) {
            0 => self.constant(kind),
            1 => {
                self.saw("DEFAULT as a value");
                "DEFAULT".to_owned()
            }
            2 if kind != Type::Role => "NULL".to_owned(),
            3 if self.parametrised => {
                self.saw("bare parameters");
                let (_, text) = self.literal(kind);
                format!("${}", self.parameter(text, kind))
            }
            4 => {
                let scope = Scope::of(Vec::new());
                self.value(kind, &scope, 1)
            }
            _ => {
                let (_, text) = self.literal(kind);
                if kind == Type::Number && self.choices.chance(50) {
                    return text;
                }
                format!("'{}'", text.replace('\'', "''"))
            }
        }
    }

    fn insert(&mut self) -> (String, Vec<(String, Type)>) {
        let (target, relation) = self.target();
        let mut columns: Vec<(&str, Type)> = vec![
            ("clerk_user_id", Type::Text),
            ("email", Type::Text),
            ("full_name", Type::Text),
        ];
        if self.choices.chance(60) {
            columns.push(("id", Type::Id));
        }
        for column in OPTIONAL {
            if self.choices.chance(35) {
                columns.push(*column);
            }
        }
        if self.choices.chance(12) && !columns.iter().any(|column| column.0 == "metadata") {
            self.saw("INSERT of a part of a column");
            columns.push((PART, Type::Json));
        }
        if self.choices.chance(40) {
            let at = self.choices.below(columns.len());
            columns.rotate_left(at);
        }
        let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
        let overriding = if self.choices.chance(6) {
            self.saw("OVERRIDING");
            self.choices
                .pick(&[" OVERRIDING SYSTEM VALUE", " OVERRIDING USER VALUE"])
        } else {
            ""
        };
        let source = if self.choices.chance(35) {
            self.insert_query(&columns)
        } else {
            self.saw("INSERT VALUES");
            let rows: Vec<String> = (0..1 + self.choices.below(3))
                .map(|_| format!("({})", self.new_values(&columns).join(", ")))
                .collect();
            if rows.len() > 1 {
                self.saw("INSERT of several rows");
            }
            format!("VALUES {}", rows.join(", "))
        };
        let scope = Scope::of(vec![relation]);
        let conflict = self.conflict(&scope);
        let (returning, returned) = self.returning(&scope);
        let sql = format!(
            "INSERT INTO {target} ({}){overriding} {source}{conflict}{returning}",
            names.join(", ")
        );
        (sql, returned)
    }

    fn insert_query(&mut self, columns: &[(&str, Type)]) -> String {
        self.saw("INSERT SELECT");
        let (item, relations) = self.managed_item();
        let scope = Scope::of(relations);
        let name = scope.relations[0].name.clone();
        let (email, clerk) = if scope.relations[0].columns[0].0 == "c1" {
            ("c3", "c2")
        } else {
            ("email", "clerk_user_id")
        };
        let items: Vec<String> = columns
            .iter()
            .map(|(column, kind)| match *column {
                "id" => format!("md5('copy ' || {name}.{email})::uuid"),
                "clerk_user_id" => format!("'copy_' || {name}.{clerk}"),
                "email" => format!("'copy.' || {name}.{email}"),
                _ => match self.choices.below(4) {
                    0 => self.value(*kind, &scope, 1),
                    1 if *kind != Type::Role => "NULL".to_owned(),
                    2 if *kind == Type::Role => "'admin'".to_owned(),
                    _ => self.constant(*kind),
                },
            })
            .collect();
        let condition = self.condition(&scope, 1);
        let select = format!("SELECT {} FROM {item} WHERE {condition}", items.join(", "));
        if self.choices.chance(20) {
            format!("({select})")
        } else {
            select
        }
    }

    fn conflict(&mut self, scope: &Scope) -> String {
        if !self.choices.chance(40) {
            return String::new();
        }
        self.saw("ON CONFLICT");
        let target = match self.choices.below(8) {
            6 => {
                self.saw("ON CONFLICT by an expression");
                self.choices.pick(&[
                    "(lower(email))",
                    "((lower(email)))",
                    "(LOWER(\"email\")) WHERE is_active OR role <> 'admin'",
                    "(upper(email))",
                    "(email COLLATE \"C\")",
                ])
            }
            7 => {
                self.saw("ON CONFLICT with a predicate");
                self.choices.pick(&[
                    "(clerk_user_id text_pattern_ops) WHERE role = 'iso_agent' AND is_active",
                    "(clerk_user_id) WHERE is_active AND role IN ('iso_agent')",
                    "(clerk_user_id text_pattern_ops) WHERE is_active AND role = 'iso_agent' AND margin_value > 1",
                    "(clerk_user_id text_pattern_ops) WHERE is_active",
                    "(id) WHERE email > 'a'",
                ])
            }
            0 | 1 => "(email)",
            2 => "(clerk_user_id)",
            3 => "(id)",
            4 => {
                self.saw("ON CONFLICT ON CONSTRAINT");
                self.choices.pick(&[
                    "ON CONSTRAINT iso_agents_email_key",
                    "ON CONSTRAINT iso_agents_pkey",
                    "ON CONSTRAINT \"iso_agents_clerk_user_id_key\"",
                ])
            }
            _ => "",
        };
        if target.is_empty() || self.choices.chance(30) {
            self.saw("DO NOTHING");
            return format!(" ON CONFLICT {target} DO NOTHING");
        }
        self.saw("DO UPDATE");
        let excluded = Relation {
            name: "excluded".to_owned(),
            columns: owned(AGENTS),
            schema: false,
        };
        let mut both = scope.clone();
        both.relations.push(excluded);
        both.inner = 2;
        let name = if self.choices.chance(25) {
            self.saw("DO UPDATE with a subquery");
            let query = self.scalar_subquery(Type::Text, &both, 1);
            format!("coalesce({query}, excluded.full_name)")
        } else {
            self.value(Type::Text, &both, 1)
        };
        let mut sets = vec![format!("full_name = {name}")];
        if self.choices.chance(50) {
            sets.push(format!("role = {}", self.value(Type::Role, &both, 1)));
        }
        if self.choices.chance(30) {
            let value = self.value(Type::Number, &both, 0);
            sets.push(match self.choices.below(3) {
                0 => format!("(margin_value, is_active) = ({value}, DEFAULT)"),
                1 => {
                    self.saw("DO UPDATE SET = ROW()");
                    format!("(margin_value, is_active) = ROW({value}, excluded.is_active)")
                }
                _ => {
                    self.saw("DO UPDATE SET from a query");
                    let second = self.value(Type::Bool, &both, 1);
                    let rows = self.choices.pick(&["", " WHERE false", " LIMIT 1"]);
                    format!("(margin_value, is_active) = (SELECT {value}, {second}{rows})")
                }
            });
        }
        if self.choices.chance(20) {
            let part = self.part(&both);
            sets.push(part);
        }
        let filter = if self.choices.chance(40) {
            self.saw("DO UPDATE WHERE");
            format!(" WHERE {}", self.condition(&both, 0))
        } else {
            String::new()
        };
        format!(
            " ON CONFLICT {target} DO UPDATE SET {}{filter}",
            sets.join(", ")
        )
    }

    pub(super) fn sets(&mut self, scope: &Scope) -> String {
        let mut sets = Vec::new();
        let columns: Vec<(&str, Type)> = [("full_name", Type::Text)]
            .iter()
            .chain(OPTIONAL)
            .copied()
            .collect();
        let chosen = self.choices.below(columns.len());
        let second = self.choices.below(columns.len());
        let (name, kind) = columns[chosen];
        sets.push(format!("{name} = {}", self.set_value(kind, scope)));
        if second != chosen {
            let (name, kind) = columns[second];
            sets.push(format!("\"{name}\" = {}", self.set_value(kind, scope)));
        }
        let third = columns
            .iter()
            .enumerate()
            .find(|(at, _)| *at != chosen && *at != second);
        if let Some((_, (name, kind))) = third
            && self.choices.chance(25)
        {
            self.saw("multi-column SET");
            let value = self.value(*kind, scope, 1);
            sets.push(match self.choices.below(3) {
                0 => format!("({name}) = ROW({value})"),
                1 => {
                    self.saw("SET from a query");
                    format!("({name}) = (SELECT {value})")
                }
                _ => format!("({name}) = ({value})"),
            });
        }
        if self.choices.chance(15) {
            let part = self.part(scope);
            sets.push(part);
        }
        sets.join(", ")
    }

    /// An assignment to a part of a column.
    fn part(&mut self, scope: &Scope) -> String {
        self.saw("SET of a part of a column");
        let key = match self.choices.below(4) {
            0 => format!("'a'][{}", self.value(Type::Text, scope, 1)),
            1 => self.value(Type::Text, scope, 1),
            _ => "'k'".to_owned(),
        };
        let value = self.value(Type::Text, scope, 1);
        match self.choices.below(6) {
            0 => format!("metadata[{key}] = {}", self.value(Type::Json, scope, 1)),
            1 => format!("metadata[{key}] = '\"bare\"', metadata['second'] = to_jsonb({value})"),
            2 => format!("(metadata[{key}]) = (SELECT to_jsonb({value}))"),
            3 if self.parametrised => {
                let (_, text) = self.literal(Type::Json);
                format!("metadata[{key}] = ${}", self.parameter(text, Type::Json))
            }
            _ => format!("metadata[{key}] = to_jsonb({value})"),
        }
    }

    fn set_value(&mut self, kind: Type, scope: &Scope) -> String {
        if self.choices.chance(50) {
            self.value(kind, scope, 2)
        } else {
            self.assigned(kind)
        }
    }

    /// A neighbour joined by what is unique, so that each target row has one match.
    pub(super) fn joined(&mut self, target: &Relation) -> (String, String, Relation) {
        let name = self.alias();
        match self.choices.below(4) {
            3 => {
                self.saw("write that joins by USING");
                let kind = self.choices.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
                let columns = vec![
                    ("company_name".to_owned(), Type::Text),
                    ("contact_name".to_owned(), Type::Text),
                ];
                (
                    format!(
                        "client_profiles {name} {kind} (VALUES ('Company 1', 1), ('Company 21', 2)) \
                         AS {name}v(company_name, n) USING (company_name)"
                    ),
                    format!("{}.id = {name}.iso_agent_id", target.name),
                    Relation {
                        name,
                        columns,
                        schema: false,
                    },
                )
            }
            0 => {
                let columns = vec![
                    ("email".to_owned(), Type::Text),
                    ("role".to_owned(), Type::Role),
                ];
                (
                    format!("{} AS {name}", "iso_agents"),
                    format!("{name}.id = {}.id", target.name),
                    Relation {
                        name,
                        columns,
                        schema: false,
                    },
                )
            }
            1 => {
                let columns = vec![("company_name".to_owned(), Type::Text)];
                (
                    format!("client_profiles {name}"),
                    format!("{}.id = {name}.iso_agent_id", target.name),
                    Relation {
                        name,
                        columns,
                        schema: false,
                    },
                )
            }
            _ => {
                let columns = vec![("e".to_owned(), Type::Text), ("n".to_owned(), Type::Number)];
                (
                    format!(
                        "(VALUES ('agent.3@example.com', 1), ('fix.2@example.com', 2)) AS {name}(e, n)"
                    ),
                    format!("{}.email = {name}.e", target.name),
                    Relation {
                        name,
                        columns,
                        schema: false,
                    },
                )
            }
        }
    }

    fn update(&mut self) -> (String, Vec<(String, Type)>) {
        self.saw("UPDATE");
        let (target, relation) = self.target();
        let only = if self.choices.chance(10) { "ONLY " } else { "" };
        let mut scope = Scope::of(vec![relation.clone()]);
        let mut from = String::new();
        let mut link = String::new();
        if self.choices.chance(30) {
            self.saw("UPDATE FROM");
            let (item, condition, joined) = self.joined(&relation);
            from = format!(" FROM {item}");
            link = format!("{condition} AND ");
            scope.relations.push(joined);
            scope.inner = 2;
        }
        let sets = self.sets(&scope);
        let condition = self.condition(&scope, 1);
        let (returning, returned) = self.returning(&scope);
        (
            format!("UPDATE {only}{target} SET {sets}{from} WHERE {link}{condition}{returning}"),
            returned,
        )
    }

    fn delete(&mut self) -> (String, Vec<(String, Type)>) {
        self.saw("DELETE");
        let (target, relation) = self.target();
        let mut scope = Scope::of(vec![relation.clone()]);
        let mut using = String::new();
        let mut link = String::new();
        if self.choices.chance(30) {
            self.saw("DELETE USING");
            let (item, condition, joined) = self.joined(&relation);
            using = format!(" USING {item}");
            link = format!("{condition} AND ");
            scope.relations.push(joined);
            scope.inner = 2;
        }
        let condition = self.condition(&scope, 1);
        let (returning, returned) = self.returning(&scope);
        (
            format!("DELETE FROM {target}{using} WHERE {link}{condition}{returning}"),
            returned,
        )
    }
}
