//! The rules that a proxy or a command works with: those that the database has in force, and beside them what a directory
//! of rule files says.
//!
//! | a migration | its text | its phase |
//! |---|---|---|
//! | has an epoch in the database | the database's; a file that says something else is a *proposal* | the database's |
//! | has none yet, or nobody can be asked | the file's | the file's |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rewrite_rules::{Held, Migration, Phase, RuleErrors, RuleSet, SourceFile};

use crate::control::epochs::InForce;
use crate::control::phase_file;

/// Rule files with what they were compiled to.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    pub rules: &'a RuleSet,
    pub files: &'a [SourceFile],
}

impl Texts<'_> {
    /// What a migration's rules say, but for their phase.
    #[must_use]
    pub fn text_of(&self, migration: &Migration) -> Option<String> {
        let file = self.files.iter().find(|file| file.path == migration.file)?;
        phase_file::without_phase(&file.text)
    }
}

/// Texts of rules, and how long those of each migration hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    pub files: Vec<SourceFile>,
    held: BTreeMap<String, Held>,
}

impl Sources {
    /// Rule files where the database has no say.
    #[must_use]
    pub fn of_files(files: Vec<SourceFile>) -> Sources {
        Sources {
            files,
            held: BTreeMap::new(),
        }
    }

    /// What the database has in force, and the files of migrations that it does not know yet.
    #[must_use]
    pub fn in_force(rows: &[InForce], dir: Option<&Path>, files: &[SourceFile]) -> Sources {
        let mut sources = Sources::default();
        for row in rows.iter().filter(|row| !row.rules.is_empty()) {
            let file = files.iter().find(|file| is_of(file, row));
            let path = file.map_or_else(|| place(dir, row), |file| file.path.clone());
            sources.files.push(SourceFile {
                path,
                text: phase_file::in_phase(&row.rules, row.phase),
            });
            sources
                .held
                .insert(row.migration.clone(), Held::In(row.epoch));
        }
        let unknown = files
            .iter()
            .filter(|file| !rows.iter().any(|row| is_of(file, row)));
        sources.files.extend(unknown.cloned());
        sources.sort();
        sources
    }

    /// The same, with the texts of these files in place of what is in force of their migrations.
    #[must_use]
    pub fn with(mut self, rows: &[InForce], files: &[SourceFile]) -> Sources {
        for file in files {
            let row = rows.iter().find(|row| is_of(file, row));
            let text = row.map_or_else(
                || file.text.clone(),
                |row| phase_file::in_phase(&file.text, row.phase),
            );
            let of_same = |other: &SourceFile| match row {
                Some(row) => is_of(other, row) || other.path == file.path,
                None => other.path == file.path,
            };
            self.files.retain(|other| !of_same(other));
            self.files.push(SourceFile {
                path: file.path.clone(),
                text,
            });
        }
        self.sort();
        self
    }

    /// These, with what they were compiled to.
    #[must_use]
    pub fn texts<'a>(&'a self, rules: &'a RuleSet) -> Texts<'a> {
        Texts {
            rules,
            files: &self.files,
        }
    }

    /// How long a migration's rules hold.
    #[must_use]
    pub fn held(&self, migration: &str) -> Held {
        self.held.get(migration).copied().unwrap_or_default()
    }

    fn sort(&mut self) {
        self.files.sort_by(|one, other| one.path.cmp(&other.path));
    }

    pub fn compile(&self) -> Result<RuleSet, RuleErrors> {
        if self.files.is_empty() {
            return Ok(RuleSet::empty());
        }
        let rules = RuleSet::compile(self.files.clone())?;
        if self.held.is_empty() {
            return Ok(rules);
        }
        Ok(rules.held(|name| self.held(name)))
    }
}

/// Whether a file is of a migration that is in force.
#[must_use]
pub fn is_of(file: &SourceFile, row: &InForce) -> bool {
    !row.rules.is_empty()
        && phase_file::says(&file.text).is_some_and(|(name, _)| name == row.migration)
}

/// Whether a file says what is in force, but for the phase.
#[must_use]
pub fn says_the_same(file: &SourceFile, row: &InForce) -> bool {
    phase_file::without_phase(&file.text) == phase_file::without_phase(&row.rules)
}

/// A phase in a file is where a migration begins; what to do about one that says another than is in force.
#[must_use]
pub fn another_phase(file: &SourceFile, said: Phase, row: &InForce) -> String {
    format!(
        "{} says {said}, and {} is in {}: a phase is no text that is edited, `crossfade advance` and \
         `crossfade rollback` lead from one to the next",
        file.path.display(),
        row.migration,
        row.phase
    )
}

/// What files say otherwise than what is in force, for whoever looks at them.
#[must_use]
pub fn differences(files: &[SourceFile], rows: &[InForce]) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for file in files {
        let Some(row) = rows.iter().find(|row| is_of(file, row)) else {
            continue;
        };
        let path = file.path.display();
        let name = &row.migration;
        if !says_the_same(file, row) {
            let said = format!(
                "{path} says other rules than those in force (epoch {}): `crossfade apply` puts them in force",
                row.epoch
            );
            told.push((name.clone(), said));
        }
    }
    told
}

fn place(dir: Option<&Path>, row: &InForce) -> PathBuf {
    match dir {
        Some(dir) => dir.join(&row.file),
        None => PathBuf::from(&row.file),
    }
}
