//! Before → after, for each rewrite and phase, over a lens small enough to read.

mod commands;
mod grouped;
mod merges;
mod reads;
mod shadow;
mod tenants;
mod told;
mod whole_rows;
mod words;
mod writes;

use crate::lens::Work;
use crate::{Lens, Phase, RuleSet, SearchPath, SourceFile, Verdict};

const RULES: &str = r#"
[migration]
name = "m"
phase = "dual_write"
on_unified_error = "refuse"

[[table]]
legacy = "s.old"
unified = "s.new"
key = ["id"]
visible = "kind <> 'z'"

[table.columns]
id = { type = "int" }
role = { type = "text NOT NULL", unified = "kind", default = "'x'", values = { x = "y" } }

[table.constants]
extra = "upper(role)"
"#;

fn rules(phase: Phase) -> RuleSet {
    let file = SourceFile {
        path: "m.toml".into(),
        text: RULES.to_owned(),
    };
    RuleSet::compile(vec![file])
        .expect("the rules of the tests are right")
        .with_phase(None, phase)
}

/// The rewritten text. `{read}`, `{put}` and their like in the expectation stand for the lens's
/// own SQL, which `lens::tests` spells out.
fn check(phase: Phase, before: &str, after: &str) {
    let rules = rules(phase);
    let lens = &rules.migrations()[0].tables[0];
    let reading = rules.rewrite(before, SearchPath::AsDeclared);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!(
            "{phase}: {before}\nexpected a rewrite, got {:?}",
            reading.verdict
        );
    };
    assert_eq!(rewritten.sql, expand(after, lens), "{phase}: {before}");
    for kept in &rewritten.kept {
        assert_eq!(
            rewritten.original[kept.original..kept.original + kept.length],
            rewritten.sql[kept.rewritten..kept.rewritten + kept.length]
        );
    }
    assert!(
        pg_query::parse(&rewritten.sql, pg_query::ParserOptions::DEFAULT).is_ok(),
        "{}",
        rewritten.sql
    );
}

fn expand(text: &str, lens: &Lens) -> String {
    let searched = format!(
        "cf_u.\"kind\" = {}",
        lens.columns[1].search_value("'x'::text").sql
    );
    let name = |work| lens.function_name(work);
    text.replace("{read}", &lens.read())
        .replace("{read where x}", &lens.read_where(&[searched.into()]).sql)
        .replace("{read or fall back}", &lens.read_with_fallback())
        .replace("{put cf_new}", &lens.put_from("cf_new"))
        .replace("{put cf_new_1}", &lens.put_from("cf_new_1"))
        .replace("{images of cf_new}", &lens.read_from("cf_new"))
        .replace(
            "{mapped cf_old.cf_v1}",
            &lens.columns[1].put_value("cf_old.cf_v1"),
        )
        .replace(
            "{mapped cf_old.cf_v1_1}",
            &lens.columns[1].put_value("cf_old.cf_v1_1"),
        )
        .replace(
            "{mapped cf_v.cf_v}",
            &lens.columns[1].put_value("cf_v.cf_v"),
        )
        .replace(
            "{mapped cf_q.cf_c1}",
            &lens.columns[1].put_value("cf_q.cf_c1"),
        )
        .replace(
            "{in conflict}",
            &["excluded", "\"old\""]
                .map(|row| {
                    let kind = format!("{row}.\"kind\"");
                    let role = lens.columns[1].read_value(&kind);
                    format!("(SELECT {row}.\"id\" AS \"id\", {role} AS \"role\") AS {row}")
                })
                .join(" CROSS JOIN "),
        )
        .replace(
            "{visible or error}",
            &format!(
                "CASE WHEN {} THEN true ELSE ('duplicate key value: the row in conflict is not one that is \
                 read under this name' || (ROW(\"old\".\"id\") IS NULL)::text)::boolean END",
                lens.visible_condition("\"old\"").unwrap_or_default()
            ),
        )
        .replace("{remove}", &name(Work::Remove))
        .replace("{remove_legacy}", &name(Work::RemoveLegacy))
        .replace("{put}", &name(Work::Put))
        .replace(
            "{put merged}",
            &lens.put_from("(SELECT (cf_row).* FROM cf_new WHERE cf_action <> 'DELETE')"),
        )
        .replace(
            "{image of cf_row}",
            &lens.read_from("(SELECT (cf_all.cf_row).*)"),
        )
        .replace("{mapped cf_n}", &lens.columns[1].put_value("cf_n.\"role\""))
        .replace("{extra}", &lens.constants()[0].sql)
}

fn passes(phase: Phase, text: &str) {
    let reading = rules(phase).rewrite(text, SearchPath::AsDeclared);
    assert!(
        matches!(reading.verdict, Verdict::PassThrough),
        "{phase}: {text}: {:?}",
        reading.verdict
    );
}

fn refused(phase: Phase, text: &str, says: &str) {
    let reading = rules(phase).rewrite(text, SearchPath::AsDeclared);
    let Verdict::Refused(refusal) = &reading.verdict else {
        panic!(
            "{phase}: {text}\nexpected a refusal, got {:?}",
            reading.verdict
        );
    };
    assert!(
        refusal.message.contains(says),
        "{phase}: {text}: {refusal:?}"
    );
}
