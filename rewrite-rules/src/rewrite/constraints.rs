//! SET CONSTRAINTS by the legacy table's names: it reaches what stands for them in unified.
//!
//! ```text
//! SET CONSTRAINTS enhanceduser_technician_fk DEFERRED
//! SET CONSTRAINTS enhanceduser_technician_fk, "public"."customuser_technician_fk" DEFERRED   (both are written)
//! SET CONSTRAINTS "public"."customuser_technician_fk" DEFERRED                    (legacy is left)
//! ```
//!
//! Without this a constraint that the client has deferred would be looked at at once, and one of a table that is
//! gone would not exist. ALL means all constraints of the transaction, and stays as it is.

use super::{Plan, Scope};
use crate::lens::Lens;
use crate::phase::Phase;
use crate::refuse;
use crate::statement::Refusal;
use crate::text::splice::Source;
use crate::text::tree::Tree;

/// A constraint that the statement names, of a legacy table whose unified rows are written.
pub(super) struct NamedConstraint<'a> {
    node: &'a Tree,
    pub lens: &'a Lens,
    phase: Phase,
    standing: String,
}

/// The constraints that a statement names. Of a name without a schema it must be known what it means.
pub(super) fn named<'a>(scope: &Scope<'a>) -> Result<Vec<NamedConstraint<'a>>, Refusal> {
    let mut found = Vec::new();
    if scope.statement.kind() != "ConstraintsSetStmt" {
        return Ok(found);
    }
    let migrations = scope.set.migrations().iter();
    let written = migrations.filter(|migration| migration.phase != Phase::LegacyOnly);
    let lenses: Vec<(Phase, &Lens)> = written
        .flat_map(|migration| migration.left_behind().map(|lens| (migration.phase, lens)))
        .collect();
    for node in scope.statement.list("constraints") {
        for &(phase, lens) in &lenses {
            let Some(standing) = lens.standing_for(node.text("relname")) else {
                continue;
            };
            let means_it = match node.name("schemaname") {
                Some(schema) => schema == lens.legacy.schema,
                None => match scope.set.finds(scope.path, &lens.legacy) {
                    Some(means_it) => means_it,
                    None => return Err(refuse::unknown_search_path(&lens.legacy.name)),
                },
            };
            if means_it {
                found.push(NamedConstraint {
                    node,
                    lens,
                    phase,
                    standing,
                });
                break;
            }
        }
    }
    Ok(found)
}

pub(super) fn plan<'a>(scope: &Scope<'a>, source: &mut Source<'a>) -> Result<Plan, Refusal> {
    let found = named(scope)?;
    for named in &found {
        let Some(range) = scope.tokens.relation(named.node) else {
            return Err(refuse::unsupported(
                "this spelling of the constraint's name",
                &named.lens.legacy.name,
                "Write schema.constraint.",
            ));
        };
        let written = &scope.tokens.text[range.clone()];
        let with = if named.phase.writes_both() {
            format!("{written}, {}", named.standing)
        } else {
            named.standing.clone()
        };
        source.edit(range, with);
    }
    Ok(match found.is_empty() {
        true => Plan::Unchanged,
        false => Plan::Edited { compare: None },
    })
}

#[cfg(test)]
mod tests {
    use crate::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

    const RULES: &str = r#"
[migration]
name = "m"
phase = "dual_write"
[[table]]
legacy = "s.old"
unified = "u.new"
key = ["id"]
columns = """id int, boss int CONSTRAINT boss_fk REFERENCES old DEFERRABLE,
  team int CONSTRAINT "Team fk" REFERENCES teams (id) DEFERRABLE"""
read = "SELECT n.id, n.boss, n.team FROM u.new n"
put = ["INSERT INTO u.new (id, boss, team) SELECT id, boss, team FROM row_image"]
remove = ["DELETE FROM u.new n USING row_image r WHERE n.id = r.id"]
constraints."Team fk" = "new_team"
"#;

    fn rewritten(phase: Phase, sql: &str) -> String {
        let file = SourceFile {
            path: "m.toml".into(),
            text: RULES.to_owned(),
        };
        let rules = RuleSet::compile(vec![file]).expect("the rules of the test are right");
        let rules = rules.with_phase(None, phase);
        match &rules.rewrite(sql, SearchPath::AsDeclared).verdict {
            Verdict::Rewritten(rewritten) => rewritten.sql.clone(),
            Verdict::PassThrough => "as it came".to_owned(),
            Verdict::Refused(refusal) => refusal.message.clone(),
        }
    }

    #[test]
    fn a_constraint_goes_by_its_legacy_name() {
        let set = r#"SET CONSTRAINTS s."Team fk", other /* not ours */ DEFERRED"#;
        assert_eq!(rewritten(Phase::LegacyOnly, set), "as it came");
        for phase in Phase::ALL.into_iter().filter(|phase| phase.writes_both()) {
            assert_eq!(
                rewritten(phase, set),
                r#"SET CONSTRAINTS s."Team fk", "u"."new_team", other /* not ours */ DEFERRED"#,
                "{phase}"
            );
        }
        for phase in [Phase::UnifiedOnly, Phase::Retired] {
            assert_eq!(
                rewritten(phase, set),
                r#"SET CONSTRAINTS "u"."new_team", other /* not ours */ DEFERRED"#
            );
        }
        for others in [
            "SET CONSTRAINTS ALL IMMEDIATE",
            "SET CONSTRAINTS elsewhere.boss_fk IMMEDIATE",
            "SET CONSTRAINTS new_team IMMEDIATE",
        ] {
            assert_eq!(
                rewritten(Phase::UnifiedOnly, others),
                "as it came",
                "{others}"
            );
        }
    }

    #[test]
    fn what_lenses_see_to_has_a_constraint_trigger_of_its_own() {
        let sql = rewritten(Phase::UnifiedOnly, "SET CONSTRAINTS boss_fk IMMEDIATE");
        assert!(sql.starts_with("SET CONSTRAINTS crossfade."), "{sql}");
        assert!(
            sql.contains("key_1_old_") && sql.ends_with(" IMMEDIATE"),
            "{sql}"
        );
    }
}
