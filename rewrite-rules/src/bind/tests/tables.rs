//! No miss: the walker's tables against an independent reader's (libpg_query's own summary, in C),
//! over the statements below and over a directory of SQL files if `CROSSFADE_SQL_CORPUS` names one
//! (PostgreSQL's `src/test/regress/sql`, for instance).

use std::collections::BTreeSet;

use pg_query::protobuf::{ObjectType, ReindexObjectType};

use crate::bind::{CommandUse, NamedIn, table_refs};
use crate::text::tree::Tree;
use crate::{Phase, RuleSet, SearchPath, SourceFile, Verdict};

const RULES: &str = r#"
[migration]
name = "m"
phase = "dual_write"

[[table]]
legacy = "s.managed_one"
unified = "s.managed_two"
key = ["id"]

[table.columns]
id = { type = "int" }
"#;

/// One for each place where SQL may name a table.
const STATEMENTS: &[&str] = &[
    "SELECT 1 FROM a",
    "SELECT (SELECT x FROM a) FROM b WHERE EXISTS (SELECT FROM c) GROUP BY (SELECT 1 FROM d) HAVING (SELECT true FROM e) ORDER BY (SELECT 1 FROM f) LIMIT (SELECT 1 FROM g) OFFSET (SELECT 1 FROM h)",
    "SELECT sum(x) FILTER (WHERE x IN (SELECT y FROM a)) OVER (PARTITION BY (SELECT 1 FROM b) ORDER BY (SELECT 1 FROM c)) FROM d WINDOW w AS (ORDER BY (SELECT 2 FROM e))",
    "SELECT DISTINCT ON ((SELECT 1 FROM a)) 1 FROM b",
    "SELECT * FROM a JOIN b ON (SELECT true FROM c) LEFT JOIN (d CROSS JOIN e) USING (x), LATERAL (SELECT FROM f) AS g",
    "SELECT * FROM ROWS FROM (generate_series(1, (SELECT 1 FROM a)), f((SELECT 2 FROM b)))",
    "SELECT * FROM a TABLESAMPLE bernoulli ((SELECT 1 FROM b)) REPEATABLE ((SELECT 2 FROM c))",
    "SELECT * FROM XMLTABLE('/r' PASSING (SELECT x FROM a) COLUMNS n int PATH 'n' DEFAULT (SELECT 1 FROM b))",
    "SELECT CASE (SELECT 1 FROM a) WHEN (SELECT 1 FROM b) THEN (SELECT 1 FROM c) ELSE (SELECT 1 FROM d) END",
    "SELECT ARRAY[(SELECT 1 FROM a)], ROW((SELECT 1 FROM b)), ARRAY(SELECT 1 FROM c), (SELECT x FROM d)::text, COALESCE((SELECT 1 FROM e), 2), GREATEST((SELECT 1 FROM f)), xmlelement(name n, (SELECT 1 FROM g)), (SELECT x FROM h) COLLATE \"C\", (SELECT x FROM i)[(SELECT 1 FROM j)], f(n => (SELECT 1 FROM k)), string_agg(x, '' ORDER BY (SELECT 1 FROM l))",
    "SELECT 1 FROM a UNION SELECT 2 FROM b INTERSECT (SELECT 3 FROM c EXCEPT SELECT 4 FROM d)",
    "VALUES ((SELECT 1 FROM a)), ((SELECT 2 FROM b))",
    "TABLE a",
    "WITH x AS (SELECT FROM a), y AS MATERIALIZED (SELECT FROM x, b) SELECT FROM x, y, c",
    "WITH RECURSIVE x(n) AS (SELECT 1 FROM a UNION ALL SELECT n FROM x, b) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING p SELECT FROM x",
    "INSERT INTO a VALUES ((SELECT 1 FROM b))",
    "INSERT INTO a (x) SELECT x FROM b ON CONFLICT ((f(x))) WHERE (SELECT true FROM c) DO UPDATE SET x = (SELECT 1 FROM d) WHERE (SELECT true FROM e) RETURNING (SELECT 1 FROM f)",
    "WITH w AS (INSERT INTO a TABLE b RETURNING *) UPDATE c SET x = (SELECT 1 FROM w), (y, z) = (SELECT 1, 2 FROM d) FROM e JOIN f ON true WHERE (SELECT true FROM g) RETURNING (SELECT 1 FROM h)",
    "WITH w AS (DELETE FROM a RETURNING *) DELETE FROM b USING c, (SELECT FROM d) AS q WHERE x = ANY (SELECT 1 FROM e) RETURNING (SELECT 1 FROM w)",
    "MERGE INTO a USING b ON (SELECT true FROM c) WHEN MATCHED AND (SELECT true FROM d) THEN UPDATE SET x = (SELECT 1 FROM e) WHEN NOT MATCHED THEN INSERT VALUES ((SELECT 1 FROM f))",
    "EXPLAIN ANALYZE SELECT FROM a",
    "DECLARE c CURSOR FOR SELECT FROM a FOR UPDATE",
    "PREPARE p AS UPDATE a SET x = (SELECT 1 FROM b)",
    "COPY a (x) FROM STDIN WHERE x > 1",
    "COPY (SELECT FROM a) TO STDOUT",
    "CREATE TABLE a AS SELECT FROM b",
    "SELECT 1 INTO a FROM b",
    "CREATE VIEW a AS SELECT FROM b",
    "CREATE MATERIALIZED VIEW a AS SELECT FROM b",
    "REFRESH MATERIALIZED VIEW a",
    "CREATE TABLE a (LIKE b, c int REFERENCES c, FOREIGN KEY (c) REFERENCES d) INHERITS (e)",
    "CREATE TABLE a PARTITION OF b FOR VALUES IN (1)",
    "ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES b",
    "ALTER TABLE a ATTACH PARTITION b DEFAULT",
    "CREATE INDEX i ON a ((f(x))) WHERE x > 1",
    "CREATE RULE r AS ON INSERT TO a DO INSTEAD INSERT INTO b SELECT FROM c",
    "CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE POLICY p ON a USING (EXISTS (SELECT FROM b)) WITH CHECK (EXISTS (SELECT FROM c))",
    "CREATE SEQUENCE a",
    "GRANT SELECT ON a, b TO r",
    "LOCK TABLE a, ONLY b",
    "TRUNCATE a, b",
    "VACUUM a, b",
    "ANALYZE a",
    "CLUSTER a",
    "REINDEX TABLE a",
    "COMMENT ON TABLE s.a IS 'x'",
    "DROP TABLE a, s.b",
    "CREATE STATISTICS st ON x, y FROM a",
    "CREATE PUBLICATION p FOR TABLE a, b",
    "SELECT FROM a FOR UPDATE OF a",
    "SELECT FROM \"A\", s.\"a b\", ONLY (b), c *, U&\"\\0064\"",
];

fn corpus() -> Vec<String> {
    let mut statements: Vec<String> = STATEMENTS.iter().map(|sql| (*sql).to_owned()).collect();
    let Some(dir) = std::env::var_os("CROSSFADE_SQL_CORPUS") else {
        return statements;
    };
    for entry in std::fs::read_dir(dir).expect("the corpus is a directory") {
        let path = entry.expect("the corpus can be listed").path();
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let sql: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('\\'))
            .collect();
        statements.extend(sql.join("\n").split(";\n").map(str::to_owned));
    }
    statements
}

/// Whether a statement names an index, a sequence, a type or a constraint: of that name a table may be as well, and is not
/// meant.
fn names_no_table(statement: &Tree) -> bool {
    let object = |field| {
        let of = [
            ObjectType::ObjectIndex,
            ObjectType::ObjectSequence,
            ObjectType::ObjectType,
        ];
        of.iter().any(|kind| statement.int(field) == *kind as i64)
    };
    match statement.kind() {
        "AlterSeqStmt" | "ConstraintsSetStmt" => true,
        "AlterTableStmt" => object("objtype"),
        "ReindexStmt" => statement.int("kind") == ReindexObjectType::ReindexObjectIndex as i64,
        _ => false,
    }
}

/// Names as `schema.table`, without those that a WITH query has anywhere in the statement: the
/// other reader does not scope them.
fn walked(tree: &Tree, with: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for raw in tree.list("stmts") {
        for found in table_refs(raw.get("stmt")) {
            if found.place == NamedIn::Locked {
                continue;
            }
            let name = match (found.node.name("catalogname"), found.schema()) {
                (Some(catalog), Some(schema)) => format!("{catalog}.{schema}.{}", found.table()),
                (_, Some(schema)) => format!("{schema}.{}", found.table()),
                (_, None) => found.table().to_owned(),
            };
            names.insert(name);
        }
    }
    names.retain(|name| !with.contains(name));
    names
}

#[test]
fn the_walker_misses_no_table_that_another_reader_finds() {
    let (mut read, mut tables, mut missed) = (0, 0, Vec::new());
    for sql in corpus() {
        let (Ok(parsed), Ok(summary)) = (
            pg_query::parse(&sql, pg_query::ParserOptions::DEFAULT),
            pg_query::summary(&sql, pg_query::ParserOptions::DEFAULT, -1),
        ) else {
            continue;
        };
        read += 1;
        let tree = Tree::of(&parsed.protobuf).expect("every parse tree can be taken over");
        let mut statements = tree.list("stmts").iter().map(|raw| raw.get("stmt"));
        if statements.any(names_no_table) {
            continue;
        }
        let ours = walked(&tree, &summary.cte_names);
        let theirs: BTreeSet<String> = summary
            .tables
            .iter()
            .map(|table| table.name.replace('"', ""))
            .filter(|name| !summary.cte_names.contains(name))
            .collect();
        tables += theirs.len();
        if !theirs.is_subset(&ours) {
            missed.push(format!("{sql}\n  ours {ours:?}\n  theirs {theirs:?}"));
        }
        // Every RangeVar of the tree as its Debug form shows it, which no walker of ours made.
        let shown = format!("{:?}", parsed.protobuf)
            .matches("RangeVar {")
            .count();
        let mut ours = 0;
        tree.each(&mut |node| ours += usize::from(node.is("RangeVar")));
        if shown != ours {
            missed.push(format!(
                "{sql}\n  {ours} of {shown} table names in our tree"
            ));
        }
    }
    println!(
        "{read} statements read, {tables} tables found by the other reader, {} missed",
        missed.len()
    );
    assert!(read >= STATEMENTS.len(), "{read} statements could be read");
    assert!(missed.is_empty(), "of {read}:\n{}", missed.join("\n"));
}

/// Puts the managed name in place of one name at a time.
#[test]
fn a_managed_table_is_noticed_wherever_it_stands() {
    let file = SourceFile {
        path: "m.toml".into(),
        text: RULES.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the rules of the tests are right");
    let phases = [Phase::DualWrite, Phase::UnifiedRead, Phase::UnifiedOnly]
        .map(|phase| rules.with_phase(None, phase));
    let (mut tried, mut passed) = (0, Vec::new());
    for sql in corpus() {
        let Ok(parsed) = pg_query::parse(&sql, pg_query::ParserOptions::DEFAULT) else {
            continue;
        };
        let tree = Tree::of(&parsed.protobuf).expect("every parse tree can be taken over");
        let mut statements = tree.list("stmts").iter().map(|raw| raw.get("stmt"));
        if statements.any(names_no_table) {
            continue;
        }
        let mut places = Vec::new();
        tree.each(&mut |node| {
            if node.is("RangeVar") && node.name("schemaname").is_none() {
                places.extend(
                    node.location()
                        .map(|at| (at, node.text("relname").to_owned())),
                );
            }
        });
        for (at, name) in places {
            let end = at + name.len();
            if sql.get(at..end) != Some(name.as_str()) {
                continue;
            }
            let text = format!("{}s.managed_one{}", &sql[..at], &sql[end..]);
            let Ok(again) = pg_query::parse(&text, pg_query::ParserOptions::DEFAULT) else {
                continue;
            };
            let again = Tree::of(&again.protobuf).expect("every parse tree can be taken over");
            // What FOR UPDATE OF may not name passes.
            if again.find("LockingClause").is_some() {
                continue;
            }
            tried += 1;
            let written = again.list("stmts").iter().any(|raw| {
                table_refs(raw.get("stmt")).iter().any(|found| {
                    found.table() == "managed_one"
                        && matches!(found.place, NamedIn::Target | NamedIn::WithTarget)
                })
            });
            // What each use of a command comes to is another test's.
            let commands = again.list("stmts").iter().any(|raw| {
                table_refs(raw.get("stmt")).iter().any(|found| {
                    found.table() == "managed_one"
                        && match found.place {
                            NamedIn::Command(used) => {
                                used != CommandUse::Changed && used != CommandUse::Stored
                            }
                            NamedIn::Read | NamedIn::Target | NamedIn::WithTarget => false,
                            NamedIn::Sampled | NamedIn::Locked => false,
                        }
                })
            });
            for rules in &phases {
                let reading = rules.rewrite(&text, SearchPath::AsDeclared);
                let phase = rules.migrations()[0].phase;
                let may_pass = phase == Phase::DualWrite && !written || commands;
                if matches!(reading.verdict, Verdict::PassThrough) && !may_pass {
                    passed.push(format!("{phase}: {text}"));
                }
                if let Verdict::Refused(refusal) = &reading.verdict
                    && refusal.sqlstate == "XX000"
                {
                    passed.push(format!("{phase}: {text}\n  {refusal:?}"));
                }
            }
            assert!(rules.must_read(text.as_bytes()), "the scan misses {text}");
        }
    }
    println!(
        "{tried} names replaced by a managed one, {} passed by",
        passed.len()
    );
    assert!(tried > 80, "{tried} names could be replaced");
    assert!(passed.is_empty(), "of {tried}:\n{}", passed.join("\n"));
}
