//! Writes of a form of their own: in WITH, COPY, of a neighbour, commands, changes of the key, and mistakes.

use crate::generate::expression::Scope;
use crate::generate::{Grammar, Written, merge};

impl Grammar<'_> {
    pub(super) fn write_in_with(&mut self) -> Written {
        self.saw("write in WITH");
        if self.choices.chance(25) {
            self.saw("WITH before a write");
            let with = "WITH w AS (SELECT email AS e FROM iso_agents WHERE role = 'operator') ";
            let name = self.managed_name().0;
            return Written::of(match self.choices.below(3) {
                0 => format!(
                    "{with}UPDATE {name} AS a SET full_name = 'w' FROM w WHERE a.email = w.e RETURNING a.email"
                ),
                1 => format!("{with}DELETE FROM {name} USING w WHERE email = w.e"),
                _ => format!(
                    "{with}INSERT INTO {name} (clerk_user_id, email, full_name) SELECT 'c' || e, 'c.' || e, e FROM w"
                ),
            });
        }
        let newer = self.choices.server >= merge::RETURNING_SINCE;
        let (first, returned) = match self.choices.below(if newer { 4 } else { 3 }) {
            0 => self.update(),
            1 => self.insert(),
            2 => self.delete(),
            _ => self.merge(),
        };
        let mut with = format!("WITH w AS ({first})");
        if self.choices.chance(20) {
            self.saw("two writes in WITH");
            // On other rows: two writes of one row in one statement are not determined.
            with.push_str(
                ", w2 AS (UPDATE client_profiles SET notes = 'w2' WHERE is_active RETURNING email)",
            );
        }
        let columns: Vec<&str> = returned.iter().map(|column| column.0.as_str()).collect();
        let main = match (self.choices.below(4), columns.is_empty()) {
            (_, true) => "SELECT 1 AS one".to_owned(),
            (0 | 1, false) => format!("SELECT {} FROM w", columns.join(", ")),
            (2, false) => format!("SELECT count(*), max({}) FROM w", columns[0]),
            (_, false) => {
                self.saw("write fed by a write in WITH");
                format!(
                    "INSERT INTO client_profiles (iso_agent_id, company_name, contact_name, email) \
                     SELECT '00000000-0000-4000-8000-000000000001', {}, 'c', 'c@example.com' FROM w RETURNING company_name",
                    columns[0]
                )
            }
        };
        Written::of(format!("{with} {main}"))
    }

    pub(super) fn copy_in(&mut self) -> Written {
        if self.parametrised {
            let (sql, _) = self.insert();
            return Written::of(sql);
        }
        self.saw("COPY FROM");
        let name = self.managed_name().0;
        let number = self.choices.below(30);
        let (options, separator) = self.choices.pick(&[
            ("", "\t"),
            (" (FORMAT csv)", ","),
            (" WITH (DELIMITER '|', NULL 'nil')", "|"),
        ]);
        let mut rows = Vec::new();
        for at in 0..1 + self.choices.below(3) {
            let role = self
                .choices
                .pick(&["admin", "operator", "iso_agent", "nobody"]);
            let role = if role == "nobody" && self.choices.chance(60) {
                "admin"
            } else {
                role
            };
            let fields = [
                format!("cp_{number}_{at}"),
                format!("cp.{number}.{at}@example.com"),
                format!("C {at}"),
                role.to_owned(),
            ];
            rows.push(fields.join(separator));
        }
        let data = format!("{}\n", rows.join("\n"));
        let sql =
            format!("COPY {name} (clerk_user_id, email, full_name, role) FROM STDIN{options}");
        Written {
            data: Some(data),
            ..Written::of(sql)
        }
    }

    /// A write of an unmanaged table that reads the managed one.
    pub(super) fn neighbour(&mut self) -> Written {
        self.saw("write of a neighbour");
        let (item, relations) = self.managed_item();
        let scope = Scope::of(relations);
        let name = scope.relations[0].name.clone();
        let (id, condition) = if scope.relations[0].columns[0].0 == "c1" {
            ("c1", format!("{name}.c5 = 'admin'"))
        } else {
            ("id", self.condition(&scope, 1))
        };
        Written::of(match self.choices.below(3) {
            0 => format!(
                "UPDATE client_profiles AS c SET notes = 'seen' FROM {item} WHERE c.iso_agent_id = {name}.{id} AND ({condition}) RETURNING c.company_name"
            ),
            1 => format!(
                "DELETE FROM requests AS r USING {item} WHERE r.iso_agent_id = {name}.{id} AND ({condition})"
            ),
            _ => format!(
                "INSERT INTO client_profiles (iso_agent_id, company_name, contact_name, email) \
                 SELECT {name}.{id}, 'n', 'n', 'n@example.com' FROM {item} WHERE {condition}"
            ),
        })
    }

    pub(super) fn command(&mut self) -> Written {
        let name = self.managed_name().0;
        if self.parametrised {
            self.saw("CREATE TABLE AS");
            return Written::of(format!(
                "CREATE TEMP TABLE IF NOT EXISTS made AS SELECT email, role FROM {name}"
            ));
        }
        Written::of(match self.choices.below(10) {
            7 | 8 => {
                self.saw("PREPARE and EXECUTE");
                let (write, _) = match self.choices.below(3) {
                    0 => self.update(),
                    1 => self.insert(),
                    _ => self.delete(),
                };
                format!("PREPARE made_4 AS {write}; EXECUTE made_4; DEALLOCATE made_4")
            }
            9 => {
                self.saw("MERGE of a neighbour");
                format!(
                    "MERGE INTO client_profiles c USING {name} AS a ON c.iso_agent_id = a.id AND a.role = 'admin' \
                     WHEN MATCHED AND a.is_active THEN UPDATE SET notes = a.email \
                     WHEN MATCHED THEN DELETE"
                )
            }
            0 => {
                self.saw("TRUNCATE");
                let words = self
                    .choices
                    .pick(&["TRUNCATE", "TRUNCATE TABLE", "TRUNCATE ONLY"]);
                if self.choices.chance(40) {
                    self.saw("TRUNCATE of several");
                    format!("{words} {name}, requests, client_profiles RESTART IDENTITY")
                } else {
                    format!("{words} {name}")
                }
            }
            1 => {
                self.saw("LOCK TABLE");
                let mode = self
                    .choices
                    .pick(&["", " IN SHARE MODE", " IN ROW EXCLUSIVE MODE"]);
                format!("BEGIN; LOCK TABLE {name}{mode}; COMMIT")
            }
            2 => {
                self.saw("cursor");
                format!(
                    "BEGIN; DECLARE cur CURSOR FOR SELECT email, role FROM {name} ORDER BY email; FETCH 3 FROM cur; CLOSE cur; COMMIT"
                )
            }
            3 => {
                self.saw("CREATE TABLE AS");
                format!(
                    "CREATE TEMP TABLE made2 AS SELECT email, role FROM {name}; SELECT * FROM made2; DROP TABLE made2"
                )
            }
            4 => {
                self.saw("SELECT INTO");
                format!(
                    "SELECT email, role INTO TEMP made3 FROM {name}; SELECT * FROM made3; DROP TABLE made3"
                )
            }
            5 => {
                self.saw("WHERE CURRENT OF");
                format!(
                    "BEGIN; DECLARE cur CURSOR FOR SELECT email FROM {name} WHERE email = 'fix.1@example.com'; FETCH cur; UPDATE {name} SET full_name = 'cur' WHERE CURRENT OF cur; COMMIT"
                )
            }
            _ => self.merge().0,
        })
    }

    pub(super) fn key_change(&mut self) -> Written {
        self.saw("key change");
        let (target, relation) = self.target();
        let number = self.choices.below(9);
        let scope = Scope::of(vec![relation.clone()]);
        let (returning, _) = self.returning(&scope);
        let name = &relation.name;
        Written::of(match self.choices.below(4) {
            0 => format!(
                "UPDATE {target} SET id = '00000000-0000-4000-8000-00000000020{number}' WHERE {name}.email = 'fix.1@example.com'{returning}"
            ),
            1 => format!(
                "UPDATE {target} SET full_name = 'moved', id = md5({name}.email)::uuid WHERE role = 'operator'{returning}"
            ),
            2 => format!(
                "UPDATE {target} SET (id, role) = ('00000000-0000-4000-8000-00000000020{number}', 'admin') WHERE email = 'fix.2@example.com'{returning}"
            ),
            _ => format!(
                "UPDATE {target} SET id = id, email = {name}.email WHERE role = 'admin'{returning}"
            ),
        })
    }

    pub(super) fn failing_write(&mut self) -> Written {
        self.saw("error of a write");
        let name = self.managed_name().0;
        let new = "INSERT INTO";
        Written::of(match self.choices.below(17) {
            0 => format!(
                "{new} {name} (clerk_user_id, email, full_name) VALUES ('e1', 'agent.1@example.com', 'dup')"
            ),
            1 => format!(
                "{new} {name} (clerk_user_id, email, full_name) VALUES ('e2', 'no at sign', 'bad')"
            ),
            2 => format!("{new} {name} (clerk_user_id, email) VALUES ('e3', 'e3@example.com')"),
            3 => format!(
                "{new} {name} (clerk_user_id, email, full_name, margin_value) VALUES ('e4', 'e4@example.com', 'n', -1)"
            ),
            4 => format!(
                "{new} {name} (clerk_user_id, email, full_name, role) VALUES ('e5', 'e5@example.com', 'r', 'nobody')"
            ),
            5 => format!(
                "{new} {name} (clerk_user_id, email, full_name, margin_value) VALUES ('e6', 'e6@example.com', 'n', 123456789012)"
            ),
            6 => format!(
                "{new} {name} (clerk_user_id, email, nothing) VALUES ('e7', 'e7@example.com', 'n')"
            ),
            7 => format!(
                "UPDATE {name} SET email = 'agent.1@example.com' WHERE email = 'agent.2@example.com'"
            ),
            8 => format!("UPDATE {name} SET full_name = NULL WHERE email = 'agent.2@example.com'"),
            9 => format!("UPDATE {name} SET margin_value = 1 / 0"),
            10 => format!("UPDATE {name} SET nothing = 1"),
            11 => format!("UPDATE {name} SET role = 'nobody' WHERE email = 'agent.2@example.com'"),
            12 => format!(
                "UPDATE {name} SET role = 'adm' || 'in' WHERE email = 'agent.2@example.com'"
            ),
            13 => format!("DELETE FROM {name} WHERE nothing = 1"),
            15 => {
                self.saw("INSERT DEFAULT VALUES");
                format!("{new} {name} DEFAULT VALUES")
            }
            14 => format!(
                "{new} {name} (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'a', 'more')"
            ),
            _ => format!("UPDATE {name} SET is_active = 1 WHERE email = 'agent.2@example.com'"),
        })
    }
}
