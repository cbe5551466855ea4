//! The directory of rule files, as it is read.

use std::path::{Path, PathBuf};

use rewrite_rules::{RuleErrors, RuleSet, SourceFile};

use crate::generation::InstallError;
use crate::served::ServedError;

/// A rule file is written by hand; more than this is not one.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error("cannot read {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{path} has {bytes} bytes; a rule file may have {FILE_BYTES_MAX}")]
    TooLong { path: PathBuf, bytes: u64 },
    #[error("{0}")]
    Rules(#[from] RuleErrors),
    #[error(transparent)]
    Step(#[from] InstallError),
    #[error(transparent)]
    Served(#[from] ServedError),
}

/// Reads the `*.toml` files of a directory, in the order of their names. One that does not exist
/// is an error: a name mistyped must not mean that everything passes through.
pub fn read(dir: &Path) -> Result<Vec<SourceFile>, RulesError> {
    let mut files = Vec::new();
    for path in paths(dir)? {
        let failed = |error| RulesError::Read {
            path: path.clone(),
            error,
        };
        let bytes = std::fs::metadata(&path).map_err(failed)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(RulesError::TooLong { path, bytes });
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        files.push(SourceFile { path, text });
    }
    Ok(files)
}

fn paths(dir: &Path) -> Result<Vec<PathBuf>, RulesError> {
    let failed = |error| RulesError::Read {
        path: dir.to_owned(),
        error,
    };
    let entries = std::fs::read_dir(dir).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads and compiles a directory's rules.
pub fn load(dir: &Path) -> Result<RuleSet, RulesError> {
    Ok(RuleSet::compile(read(dir)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_the_order_of_their_names_and_others_ignored() {
        let dir = tempfile::tempdir().expect("temporary directory");
        for name in ["b.toml", "a.toml", "a.toml~", "readme"] {
            std::fs::write(dir.path().join(name), name).expect("write");
        }
        let files = read(dir.path()).expect("readable");
        let texts: Vec<_> = files.iter().map(|file| file.text.as_str()).collect();
        assert_eq!(texts, ["a.toml", "b.toml"]);
    }

    #[test]
    fn a_directory_that_does_not_exist_is_an_error_that_names_it() {
        let error = read(Path::new("/nonexistent/rules")).expect_err("no such directory");
        assert!(error.to_string().contains("/nonexistent/rules"), "{error}");
    }
}
