//! A name in every spelling that PostgreSQL takes for it, and its like that are none.

use super::{Language, TableName, mentions, name};

const BODY: Language = Language::Sql { strings: false };

fn names(text: &str, language: Language) -> bool {
    let found = mentions(text, language);
    found.iter().any(|mention| {
        mention.name == "iso_agents"
            && mention
                .schema
                .as_ref()
                .is_none_or(|schema| schema == "public")
    })
}

#[test]
fn a_name_is_found_in_every_spelling_that_postgresql_takes_for_it() {
    for text in [
        "UPDATE iso_agents SET x = 1",
        "UPDATE ISO_AGENTS SET x = 1",
        "UPDATE Public.Iso_Agents SET x = 1",
        "UPDATE db.public . iso_agents SET x = 1",
        "UPDATE \"public\".\"iso_agents\"SET x = 1",
        "UPDATE U&\"iso\\005fagents\" SET x = 1",
        "UPDATE u&\"iso!+00005fagents\" UESCAPE '!' SET x = 1",
        "UPDATE/* a comment /* in one */ */iso_agents/**/SET x = 1",
        "SELECT 'it''s'; DELETE FROM iso_agents",
        "SELECT E'it\\'s'; DELETE FROM iso_agents",
        "SELECT 'it\\'; DELETE FROM iso_agents; --'",
        "SELECT 'it\\''; DELETE FROM iso_agents; --'",
        "SELECT $a$ ' $a$; DELETE FROM iso_agents",
        "EXECUTE 'UPDATE iso_agents SET x = ''y'''",
        "EXECUTE 'UPDATE public.' || 'ISO_AGENTS'",
        "EXECUTE E'UPDATE iso\\x5fagents'",
        "EXECUTE E'UPDATE iso\\137agents'",
        "EXECUTE E'UPDATE iso\\u005fagents'",
        "EXECUTE U&'UPDATE iso\\005fagents'",
        "EXECUTE U&'UPDATE iso#005fagents' UESCAPE '#'",
        "EXECUTE 'UPDATE iso'\n  '_agents SET x = 1'",
        "EXECUTE 'UPDATE iso' -- '\n  '_agents SET x = 1'",
        "EXECUTE E'UPDATE iso\\x5f'\n '\\x61gents SET x = 1'",
        "EXECUTE U&'UPDATE iso!00'\n '5fagents' UESCAPE '!'",
        "EXECUTE U&'UPDATE iso!005fagents' /* */ uescape -- '\n'!'",
        "UPDATE U&\"iso!005fagents\"/**/UESCAPE/**/'!' SET x = 1",
        "EXECUTE N'UPDATE iso_agents'",
        "EXECUTE $q$UPDATE iso_agents$q$",
        "EXECUTE $$ DO 'BEGIN EXECUTE ''UPDATE \"iso_agents\"''; END' $$",
        "EXECUTE format('UPDATE %I', 'iso_agents')",
        "PERFORM query_to_xml('TABLE iso_agents', true, true, '')",
        "EXECUTE 'UPDATE \"iso_agents SET'",
        "r iso_agents%ROWTYPE",
    ] {
        assert!(names(text, BODY), "{text}");
    }
}

#[test]
fn what_is_another_name_or_no_name_at_all_is_not_taken_for_it() {
    for text in [
        "UPDATE iso_agents_2 SET x = 1",
        "UPDATE my_iso_agents SET x = 1",
        "UPDATE iso_agents$ SET x = 1",
        "UPDATE \"ISO_AGENTS\" SET x = 1",
        "UPDATE \"iso_agents \" SET x = 1",
        "UPDATE other.iso_agents SET x = 1",
        "new.iso_agents := 1",
        "-- iso_agents\nSELECT 1",
        "/* iso_agents */ SELECT 1",
        // Nothing here runs a string.
        "RAISE NOTICE 'iso_agents'",
        "INSERT INTO log VALUES ($$ iso_agents $$)",
    ] {
        assert!(!names(text, BODY), "{text}");
    }
}

#[test]
fn a_name_that_is_put_behind_a_schema_counts_whatever_it_means_by_itself() {
    let table = TableName {
        schema: "public".to_owned(),
        name: "iso_agents".to_owned(),
    };
    for (text, counts) in [
        ("EXECUTE format('UPDATE public.%I', 'iso_agents')", true),
        (
            "EXECUTE 'UPDATE ' || quote_ident('public') || '.' || quote_ident('iso_agents')",
            true,
        ),
        ("EXECUTE 'UPDATE iso_agents SET x = 1'", false),
        ("EXECUTE 'UPDATE other.iso_agents SET x = 1'", false),
    ] {
        assert_eq!(name(&mentions(text, BODY), &table, false), counts, "{text}");
        assert!(
            name(&mentions(text, BODY), &table, true) || !counts,
            "{text}"
        );
    }
}

#[test]
fn in_other_languages_every_word_counts() {
    for text in [
        "plpy.execute(\"update ISO_agents set x = 1\")",
        "spi_exec \"DELETE FROM public.iso_agents\"",
    ] {
        assert!(names(text, Language::Other), "{text}");
    }
    assert!(!names("plpy.execute('iso_agents_2')", Language::Other));
}

#[test]
fn strings_of_any_shape_are_read_in_time_that_their_length_bounds() {
    let deep = "'".repeat(100_000);
    let dollars = "$a$".repeat(50_001);
    let comments = "/*".repeat(50_000);
    let tags: String = (0..50_000).map(|number| format!("$t{number}$")).collect();
    for text in [deep, dollars, comments, tags, "$".repeat(100_000)] {
        assert!(!names(&text, Language::Sql { strings: true }));
    }
}
