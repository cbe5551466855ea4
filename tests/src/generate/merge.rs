//! MERGE into the managed table, as far as the server has it.

use super::Grammar;
use super::expression::{Scope, Type};
use super::names::Relation;

/// The first version whose MERGE has RETURNING and WHEN NOT MATCHED BY SOURCE, and may stand in WITH.
pub(super) const RETURNING_SINCE: u32 = 17;

impl Grammar<'_> {
    /// The statement, and what it returns.
    pub(super) fn merge(&mut self) -> (String, Vec<(String, Type)>) {
        self.saw("MERGE");
        let newer = self.choices.server >= RETURNING_SINCE;
        let (target, relation) = self.target();
        let alone = Scope::of(vec![relation.clone()]);
        let (source, condition, joined, new) = self.merge_source(&relation);
        let both = Scope {
            relations: vec![relation, joined.clone()],
            inner: 2,
        };
        let mut clauses = Vec::new();
        if new.is_none() || self.choices.chance(80) {
            for _ in 0..1 + self.choices.below(2) {
                let action = self.merge_action(&both);
                let and = self.and(&both);
                clauses.push(format!("WHEN MATCHED{and} THEN {action}"));
            }
        }
        if let Some((clerk, email)) = new
            && self.choices.chance(70)
        {
            self.saw("MERGE: INSERT");
            let and = self.and(&Scope::of(vec![joined.clone()]));
            let name = self.value(Type::Text, &Scope::of(vec![joined.clone()]), 1);
            let role = self.assigned(Type::Role);
            clauses.push(format!(
                "WHEN NOT MATCHED{and} THEN INSERT (clerk_user_id, email, full_name, role) \
                 VALUES ({clerk}, {email}, {name}, {role})"
            ));
        }
        if newer && (clauses.is_empty() || self.choices.chance(25)) {
            self.saw("MERGE: NOT MATCHED BY SOURCE");
            let action = self.merge_action(&alone);
            let which = self.condition(&alone, 1);
            clauses.push(format!(
                "WHEN NOT MATCHED BY SOURCE AND {which} THEN {action}"
            ));
        }
        if clauses.is_empty() {
            clauses.push("WHEN MATCHED THEN DO NOTHING".to_owned());
        }
        let (mut returning, mut returned) = (String::new(), Vec::new());
        if newer {
            (returning, returned) = self.returning(&both);
            if !returning.is_empty() {
                self.saw("MERGE: RETURNING");
                if self.choices.chance(50) {
                    returning += ", merge_action() AS act";
                }
                if self.choices.chance(30) {
                    returning += &format!(", {}.*", joined.name);
                }
            }
        }
        let sql = format!(
            "MERGE INTO {target} USING {source} ON {condition} {}{returning}",
            clauses.join(" ")
        );
        (sql, returned)
    }

    /// A source that matches a row of the target once at most: the item, the condition, its columns,
    /// and what makes a row of it a new one.
    fn merge_source(
        &mut self,
        target: &Relation,
    ) -> (String, String, Relation, Option<(String, String)>) {
        if self.choices.chance(40) {
            let (item, condition, joined) = self.joined(target);
            return (item, condition, joined, None);
        }
        let name = self.alias();
        let number = self.choices.below(30);
        let columns = vec![("e".to_owned(), Type::Text), ("n".to_owned(), Type::Number)];
        let item = format!(
            "(VALUES ('fix.2@example.com', 1), ('mg.{number}@example.com', 2), \
             ('agent.3@example.com', 3)) AS {name}(e, n)"
        );
        let condition = format!("{}.email = {name}.e", target.name);
        let joined = Relation {
            name: name.clone(),
            columns,
            schema: false,
        };
        let new = (format!("'mg_' || {name}.n"), format!("{name}.e"));
        (item, condition, joined, Some(new))
    }

    fn and(&mut self, scope: &Scope) -> String {
        if self.choices.chance(50) {
            return String::new();
        }
        format!(" AND {}", self.condition(scope, 1))
    }

    fn merge_action(&mut self, scope: &Scope) -> String {
        match self.choices.below(5) {
            0..=2 => format!("UPDATE SET {}", self.sets(scope)),
            3 => {
                self.saw("MERGE: DELETE");
                "DELETE".to_owned()
            }
            _ => {
                self.saw("MERGE: DO NOTHING");
                "DO NOTHING".to_owned()
            }
        }
    }
}
