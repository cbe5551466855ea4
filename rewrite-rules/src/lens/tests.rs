//! What lenses of every kind have installed in the database: each function whole, as a file that is read as SQL
//! (`tests/…`). `UPDATE_EXPECT=1` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;

use super::Lens;
use crate::rule_set::{RuleSet, SourceFile};

const COLUMNS: &str = include_str!("../../rules/iso_agents.toml");
const STEPS: &str = include_str!("../../rules/user_settings.toml");
/// Houses, and tenants and staff that refer to them.
const REFERENCES: &str = include_str!("../../../tests/data/estate/by_steps.toml");
const IN_PLACE: &str = include_str!("../../rules/iso_agents_dependents.toml");

fn lenses(text: &str) -> Vec<Lens> {
    let file = SourceFile {
        path: "rules/x.toml".into(),
        text: text.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).unwrap_or_else(|errors| panic!("{errors}"));
    rules.migrations()[0].tables.clone()
}

/// Compares the functions of a lens with the files of a directory, one for each by the word in its name. In names
/// zeros stand for what depends on the rule file's text.
fn check(dir: &str, lenses: &[Lens], lens: &Lens, shown: impl Fn(&str) -> bool) {
    let hashes: Vec<String> = lenses.iter().map(|l| format!("{:08x}", l.hash())).collect();
    let behind = format!("_{}_{:08x}\"", lens.legacy.name, lens.hash());
    let mut files = BTreeSet::new();
    for function in lens.functions() {
        let word = function.name.trim_start_matches("crossfade.\"");
        let word = word.trim_end_matches(&behind);
        if !shown(word) {
            continue;
        }
        let ddl = hashes
            .iter()
            .fold(function.ddl, |ddl, hash| ddl.replace(hash, "00000000"));
        expect_file![format!("tests/{dir}/{word}.sql")].assert_eq(&format!("{ddl};\n"));
        files.insert(format!("{word}.sql"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/lens/tests")
        .join(dir);
    let there = fs::read_dir(path).expect("the directory");
    let there = there.map(|file| file.expect("a file").file_name());
    let there: BTreeSet<String> = there.filter_map(|name| name.into_string().ok()).collect();
    assert_eq!(there, files, "files without a function");
}

#[test]
fn a_lens_by_columns_is_shown_whole() {
    let lenses = lenses(COLUMNS);
    check("columns", &lenses, &lenses[0], |_| true);
}

#[test]
fn a_lens_by_columns_under_row_policies_puts_in_two_statements() {
    let lenses = lenses(&COLUMNS.replace("# row_security = true", "row_security = true"));
    let puts = ["put", "put_legacy", "rekey_legacy"];
    check("row_security", &lenses, &lenses[0], |word| {
        puts.contains(&word)
    });
}

#[test]
fn a_lens_by_steps_is_shown_whole() {
    let lenses = lenses(STEPS);
    check("steps", &lenses, &lenses[0], |_| true);
}

#[test]
fn what_foreign_keys_add_to_lenses_by_steps_is_shown() {
    let lenses = lenses(REFERENCES);
    let of = |table: &str| lenses.iter().find(|lens| lens.legacy.name == table);
    // The first key that refers to houses cascades, and the second sets NULL.
    let referred = ["left", "came", "gone", "hidden", "settle", "carry"];
    let referred = referred.map(|word| [format!("{word}_1"), format!("{word}_2")]);
    let houses = of("houses").expect("a lens");
    check("references/referred", &lenses, houses, |word| {
        referred.as_flattened().iter().any(|known| known == word)
    });
    let refers = ["key_1", "refers", "forgets", "said"];
    let staff = of("staff").expect("a lens");
    check("references/refers", &lenses, staff, |word| {
        refers.contains(&word)
    });
}

#[test]
fn a_lens_of_one_table_is_shown_whole() {
    let lenses = lenses(IN_PLACE);
    check("in_place", &lenses, &lenses[0], |_| true);
}

#[test]
fn lenses_of_the_three_kinds_differ_as_the_table_says() {
    let told = |lens: &Lens| {
        [
            lens.is_row_for_row(),
            lens.pairs_rows(),
            lens.is_one_table(),
            lens.has_own_images(),
            lens.puts_at_once(),
            lens.moves_keys(),
        ]
    };
    let of = |text: &str| lenses(text).swap_remove(0);
    let (columns, steps, in_place) = (of(COLUMNS), of(STEPS), of(IN_PLACE));
    assert_eq!(told(&columns), [true, true, false, false, true, true]);
    assert_eq!(told(&steps), [false, false, false, true, false, true]);
    assert_eq!(told(&in_place), [true, false, true, false, true, true]);
    let policies = of(&COLUMNS.replace("# row_security = true", "row_security = true"));
    assert_eq!(told(&policies), [true, true, false, false, false, true]);
}

#[test]
fn a_lens_names_every_table_that_it_writes() {
    let of = |text: &str| lenses(text).swap_remove(0);
    let names = |lens: &Lens| -> Vec<String> {
        let tables = lens.unified_side().into_iter();
        tables.map(|table| table.name.clone()).collect()
    };
    assert_eq!(names(&of(COLUMNS)), ["users"]);
    let steps = ["settings", "user", "org", "org_user", "user_settings_apart"];
    assert_eq!(names(&of(STEPS)), steps);
    assert_eq!(names(&of(IN_PLACE)), ["client_profiles"]);
}

/// All files below a directory, with their texts.
fn texts(directory: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(directory).expect("the directory");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let texts = paths.flat_map(|path| match path.is_dir() {
        true => texts(&path),
        false => vec![(path.clone(), fs::read_to_string(&path).expect("its text"))],
    });
    texts.collect()
}

#[test]
fn every_template_becomes_a_function() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let templates = texts(&root.join("templates"));
    let sources = texts(&root.join("src/lens"));
    for (path, _) in &templates {
        let name = path.strip_prefix(root.join("templates")).expect("below it");
        let named = format!("\"{}\"", name.display());
        let mut all = templates.iter().chain(&sources);
        assert!(all.any(|(_, text)| text.contains(&named)), "{named}");
    }
}
