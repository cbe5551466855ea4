//! Every name that we give to something in SQL of ours begins with `cf_`, so that none is a client's or an
//! operator's. This is what they mean; a number behind one tells several apart. A test finds a name that is not told
//! here.
//!
//! # Relations, in whatever statement
//!
//! | name | what it is |
//! |---|---|
//! | `cf_u` | a unified row ([`Lens::ROW`](crate::Lens::ROW)) |
//! | `cf_n` | a legacy row image ([`Lens::IMAGE`](crate::Lens::IMAGE)); elsewhere a number of rows, or the new row |
//! | `cf_t` | the table that is written or locked; in a lens's functions, what a statement touches there |
//! | `cf_l`, `cf_m` | a legacy row beside the unified one (`cf_m`) that it may lack; of `cf_found` and `cf_pairs` the row under its locks |
//! | `cf_s` | the source of an INSERT, a query that sets columns, or the source of a MERGE |
//! | `cf_f` | what has been found, before it is looked at again under its locks |
//! | `cf_all` | the rows of the answer, over which the client's list stands |
//! | `cf_x` | what the client names without a table; an element of an array |
//! | `cf_i` | an image; in functions a number |
//! | `cf_a`, `cf_b`, `cf_c`, `cf_d`, `cf_e`, `cf_g`, `cf_k`, `cf_o`, `cf_p`, `cf_q`, `cf_r`, `cf_v`, `cf_w` | a relation of the one query that it stands in; `cf_k` of keys, `cf_p` of `pg_class`, `cf_q` of a query of the client's, `cf_v` of values, `cf_w` of a row each |
//! | `cf_j` | all items of FROM beside the target as one row, where USING or NATURAL merged columns of theirs |
//! | `cf_one` | one row without columns |
//! | `cf_copy` | the staging table of a COPY |
//!
//! # Columns that one query hands to another
//!
//! | name | what it is |
//! |---|---|
//! | `cf_k1`, … | the parts of a legacy key |
//! | `cf_v1`, … | values that are to be set, computed where the client's names mean what they meant |
//! | `cf_s1_1`, … | subscripts of what is to be set |
//! | `cf_c1`, … | columns of a query of the client's; what RETURNING takes of joined tables |
//! | `cf_e1`, … | parts of columns that an INSERT gives |
//! | `cf_r1`, … | rows of joined tables or of a MERGE's source, whole |
//! | `cf_w1`, … | the row that a function in FROM is given |
//! | `cf_q1`, … | queries that set columns |
//! | `cf_o1`, `cf_n1`, … | a legacy key before and after |
//! | `cf_row` | a written row, whole |
//! | `cf_o`, `cf_n` | images of a row before and after |
//! | `cf_action`, `cf_number`, `cf_do`, `cf_at`, `cf_set` | of a MERGE: what was done to a row, the number of the source's row, the arm, the order, the columns that are set |
//! | `cf_was_there` | whether the row was there before an INSERT |
//! | `cf_shown` | whether legacy readers saw it |
//! | `cf_images`, `cf_each`, `cf_done`, `cf_there` | of ON CONFLICT, row by row: the images given, the round, what was written, whether the row was there |
//!
//! # Parameters and variables of functions
//!
//! | name | what it is |
//! |---|---|
//! | `cf_image`, `cf_images`, `cf_olds`, `cf_news`, `cf_old`, `cf_new`, `cf_now` | images: one, several, as they were, as they shall be; the row as it is now |
//! | `cf_given`, `cf_wases`, `cf_ares`, `cf_came`, `cf_moved`, `cf_left`, `cf_had` | rows as they were given, were, are, came to be, moved, were left; whether one was |
//! | `cf_set`, `cf_sets`, `cf_columns`, `cf_values` | the columns that are set, or differ, and values |
//! | `cf_key`, `cf_keys`, `cf_froms`, `cf_tos`, `cf_from`, `cf_to` | keys, and before and after a move |
//! | `cf_mirror`, `cf_record`, `cf_excuse`, `cf_makes`, `cf_gone`, `cf_held`, `cf_strict`, `cf_waits`, `cf_restart`, `cf_cascade` | whether legacy follows, failures are recorded, stale legacy is excused, a row may come or has gone, rows are locked already, must be as they were found, a reference waits; TRUNCATE's options |
//! | `cf_arbiter`, `cf_names`, `cf_constraint`, `cf_skip`, `cf_broken` | what ON CONFLICT goes by and what errors call it; a constraint that was met, is passed over, does not hold |
//! | `cf_tries`, `cf_since`, `cf_own`, `cf_patience`, `cf_behind`, `cf_for`, `cf_waited`, `cf_told` | rounds, and how long is waited for whom; the setting that says so |
//! | `cf_child`, `cf_children`, `cf_with`, `cf_is`, `cf_be`, `cf_hid`, `cf_held`, `cf_fit` | rows that refer to others, as they are and shall be, whether hidden; a value that was made to fit |
//! | `cf_last`, `cf_now_last`, `cf_no_last`, `cf_asks` | what `lastval()` says, and shall say again; whether anybody asks |
//! | `cf_step`, `cf_rows`, `cf_count`, `cf_locked` | a step of a lens, and how many rows; those that it may delete |
//! | `cf_row`, `cf_said` | a row, and as the document that said it |
//! | `cf_command`, `cf_right`, `cf_rights` | the client's command, and the rights that it needs |
//! | `cf_updated`, `cf_unsure` | how many rows this transaction has updated so far; whether a row could not be looked for |
//! | `cf_looks`, `cf_others`, `cf_before` | whether what is deferred is looked at behind some work, and which constraints are so by the client's wish; what is looked at before it |
//! | `cf_refer`, `cf_tables` | tables that may refer to one which is emptied, by declaration and by the server's catalog |
//! | `cf_reason`, `cf_sqlstate`, `cf_in_the_way`, `cf_entered`, `cf_deferred`, `cf_of`, `cf_table`, `cf_acts` | what failed and how; what stands in the way, was entered, is deferred; of which table; what a MERGE does |
//! | `cf_here`, `cf_group`, `cf_groups`, `cf_hash`, `cf_sample`, `cf_lossy`, `cf_pairs`, `cf_legacy`, `cf_settled`, `cf_due`, `cf_touched`, `cf_put` | of comparing and copying: presence on a side, ranges of keys and their hashes, samples, rows that do not survive, pairs of keys, rows of legacy, settled, due, touched, put |

/// What they all begin with.
pub(crate) const PREFIX: &str = "cf_";

/// The queries in WITH, by the word behind `cf_`. A number behind tells those of several writes apart.
pub(crate) mod query {
    /// What holds the epoch open that the statement was rewritten in.
    pub const FENCE: &str = "fence";
    /// Whatever the write has written: its rows, or what was done to each.
    pub const NEW: &str = "new";
    /// The rows to write, locked, with what is to be set beside them.
    pub const OLD: &str = "old";
    /// The keys of the legacy rows that may be written.
    pub const KEYS: &str = "keys";
    /// Their locks.
    pub const LOCK: &str = "lock";
    /// Those of several legacy tables.
    pub const LOCKS: &str = "locks";
    /// The images of what was written.
    pub const IMG: &str = "img";
    /// The other side's rows that come, or follow whole.
    pub const PUT: &str = "put";
    /// The other side's rows of which some columns follow.
    pub const UPD: &str = "upd";
    /// The rows of an INSERT that tells which of them were there.
    pub const UPS: &str = "ups";
    /// The rows under their locks, before they are written.
    pub const WAS: &str = "was";
    /// The rows that legacy readers see for the first time.
    pub const SHOWN: &str = "shown";
    /// The legacy keys that rows have a part in, before they are written.
    pub const BEFORE: &str = "before";
    /// The legacy keys that changed.
    pub const MOVED: &str = "moved";
    /// The images that an INSERT gives.
    pub const GIVEN: &str = "given";
    /// What the statement finds, each row under its locks.
    pub const FOUND: &str = "found";
    /// What nobody runs: values are judged as an assignment judges them.
    pub const TYPES: &str = "types";
    /// The same of how many columns a query gives.
    pub const COUNTED: &str = "counted";
    /// The same of what ON CONFLICT DO UPDATE sets.
    pub const SETS: &str = "sets";
    /// The same of a condition, which gives parameters their types.
    pub const TYPED: &str = "typed";
    /// The same of an ON CONFLICT's predicate.
    pub const TARGET: &str = "target";
    /// The rows of a MERGE's source.
    pub const SRC: &str = "src";
    /// The pairs that a MERGE's condition makes.
    pub const PAIRS: &str = "pairs";
    /// The rows of the source that met none.
    pub const WHICH: &str = "which";
    /// The rows of the target that met none, locked.
    pub const LEFT: &str = "left";
    /// What is written of these, or how they were found.
    pub const REST: &str = "rest";
    /// What a MERGE inserts by an arm.
    pub const INS: &str = "ins";
    /// All that a MERGE is to do.
    pub const ACTS: &str = "acts";
    /// What it did.
    pub const DID: &str = "did";
    /// A mistake of the client's, for the server to tell.
    pub const NO: &str = "no";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// The names in a text, without the numbers behind them.
    fn names(text: &str) -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let names = words.filter(|word| word.starts_with("cf_"));
        let bare = |name: &str| {
            name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_')
                .to_owned()
        };
        names.map(bare).filter(|name| name.len() > 3).collect()
    }

    /// The sources of the crate that are no tests.
    fn sources(directory: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(directory).expect("it is a directory") {
            let path = entry.expect("it is there").path();
            if path.is_dir() && !path.ends_with("tests") {
                sources(&path, all);
            } else if path.extension().is_some() && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("it can be read");
                let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                all.push(text[..end].to_owned());
            }
        }
    }

    #[test]
    fn every_name_of_ours_is_told_and_no_other() {
        let legend = include_str!("legend.rs");
        let legend = &legend[..legend
            .find("#[cfg(test)]")
            .expect("the tests are behind it")];
        let told = names(legend);
        let words = legend.split("&str = \"").skip(1);
        let words = words.filter_map(|word| Some(format!("cf_{}", word.split('"').next()?)));
        let words: BTreeSet<String> = words.collect();
        let mut all = Vec::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        sources(&root.join("src"), &mut all);
        sources(&root.join("templates"), &mut all);
        let used = all.iter().filter(|text| text.trim() != legend.trim());
        let used: BTreeSet<String> = used.flat_map(|text| names(text)).collect();
        let untold: Vec<&String> = used.iter().filter(|name| !told.contains(*name)).collect();
        let untold: Vec<_> = untold
            .iter()
            .filter(|name| !words.contains(**name))
            .collect();
        assert!(untold.is_empty(), "the legend does not tell {untold:?}");
        let unused: Vec<&String> = told.difference(&used).collect();
        assert!(unused.is_empty(), "nothing is called {unused:?}");
    }
}
