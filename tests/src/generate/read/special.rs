//! Reads of a form of their own: DISTINCT ON, WITH RECURSIVE, whole rows, locks, COPY, and mistakes.

use crate::generate::expression::{Scope, Type};
use crate::generate::names::AGENTS;
use crate::generate::{Grammar, Written};

impl Grammar<'_> {
    pub(super) fn distinct_on(&mut self) -> Written {
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

    pub(super) fn recursive(&mut self) -> Written {
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
    pub(super) fn whole_row(&mut self) -> Written {
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
    pub(super) fn typed_row(&mut self, name: &str) -> Written {
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
    pub(super) fn special_select(&mut self) -> Written {
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

    pub(super) fn locking_select(&mut self) -> Written {
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

    pub(super) fn copy_out(&mut self) -> Written {
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
    pub(super) fn failing_read(&mut self) -> Written {
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
