//! The line `phase = "…"` of a rule file, edited in place.
//!
//! Whoever is killed here leaves the whole old file or the whole new one: the new text is written
//! beside the file, made durable, and renamed over it. Comments and formatting stay.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rewrite_rules::Phase;
use toml_edit::{DocumentMut, Item, Value};

use super::error::ControlError;
use crate::fault;

/// The phase that the file says now.
pub fn read(path: &Path) -> Result<Phase, ControlError> {
    let document = document(path)?;
    document
        .get("migration")
        .and_then(|migration| migration.get("phase"))
        .and_then(Item::as_str)
        .ok_or_else(|| wrong(path, "expected phase = \"…\" in [migration]; found none"))?
        .parse()
        .map_err(|said: String| wrong(path, &said))
}

/// Replaces the phase.
pub fn write(path: &Path, to: Phase) -> Result<(), ControlError> {
    let mut document = document(path)?;
    set(&mut document, to)
        .ok_or_else(|| wrong(path, "expected phase = \"…\" in [migration]; found none"))?;
    replace(path, &document.to_string())
}

/// What a rule file says but for its phase, to be compared. One that cannot be read is like no other.
#[must_use]
pub fn without_phase(text: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let migration = document.get_mut("migration")?.as_table_like_mut()?;
    migration.remove("phase")?;
    Some(document.to_string())
}

/// What rules do, of whatever phase: neither comments nor the order of keys is of it. One that cannot be read is like no other.
#[must_use]
pub fn does(text: &str) -> Option<toml::Table> {
    let mut table: toml::Table = text.parse().ok()?;
    table
        .get_mut("migration")?
        .as_table_mut()?
        .remove("phase")?;
    Some(table)
}

/// A rule file's text in another phase. One that cannot be read stays as it is, for whoever compiles it to tell why.
#[must_use]
pub fn in_phase(text: &str, phase: Phase) -> String {
    let said = || {
        let mut document: DocumentMut = text.parse().ok()?;
        set(&mut document, phase)?;
        Some(document.to_string())
    };
    said().unwrap_or_else(|| text.to_owned())
}

/// The migration that a rule file is of, and the phase that it says.
#[must_use]
pub fn says(text: &str) -> Option<(String, Phase)> {
    let document: DocumentMut = text.parse().ok()?;
    let migration = document.get("migration")?;
    let name = migration.get("name")?.as_str()?.to_owned();
    Some((name, migration.get("phase")?.as_str()?.parse().ok()?))
}

fn set(document: &mut DocumentMut, to: Phase) -> Option<()> {
    let migration = document.get_mut("migration")?;
    let item = migration.get_mut("phase")?.as_value_mut()?;
    // The decor is the white space before the value and the comment after it.
    let decor = item.decor().clone();
    *item = Value::from(to.name());
    *item.decor_mut() = decor;
    Some(())
}

fn document(path: &Path) -> Result<DocumentMut, ControlError> {
    let text = fs::read_to_string(path).map_err(|source| ControlError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })?;
    text.parse()
        .map_err(|error: toml_edit::TomlError| wrong(path, &error.to_string()))
}

fn wrong(path: &Path, said: &str) -> ControlError {
    ControlError::PhaseLine {
        path: path.to_owned(),
        said: said.to_owned(),
    }
}

fn replace(path: &Path, text: &str) -> Result<(), ControlError> {
    // A link's target is replaced, not the link.
    let failed = |source| ControlError::File {
        doing: "replace",
        path: path.to_owned(),
        source,
    };
    let target = fs::canonicalize(path).map_err(failed)?;
    let directory = target.parent().unwrap_or(Path::new("/"));
    // A name that no rules directory takes for a rule file.
    let mut temporary = tempfile::Builder::new()
        .prefix(".crossfade-")
        .suffix(".tmp")
        .tempfile_in(directory)
        .map_err(failed)?;
    temporary.write_all(text.as_bytes()).map_err(failed)?;
    let permissions = fs::metadata(&target).map_err(failed)?.permissions();
    temporary
        .as_file()
        .set_permissions(permissions)
        .map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    fault::point("file: written");
    temporary
        .persist(&target)
        .map_err(|error| failed(error.error))?;
    fault::point("file: replaced");
    // The rename itself is durable only with its directory.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# top\n[migration]   # m\nname  = \"a\"\n\n# why\nphase =   \"dual_write\"   # here\n\n[[table]]\nlegacy='x'\n";

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn only_the_phase_changes_and_every_other_byte_stays() {
        let (directory, path) = file(BEFORE);
        write(&path, Phase::ShadowRead).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            BEFORE.replace("\"dual_write\"", "\"shadow_read\"")
        );
        assert_eq!(read(&path).unwrap(), Phase::ShadowRead);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn rules_do_the_same_whatever_their_comments_and_their_phase() {
        let other =
            "# other\n[migration]\nphase = 'retired'\nname = 'a'\n[[table]]\nlegacy = \"x\"";
        assert!(does(BEFORE).is_some() && does(BEFORE) == does(other));
        assert_ne!(does(BEFORE), does(&BEFORE.replace("'x'", "'y'")));
        assert_eq!(does("[migration"), None);
    }

    #[test]
    fn the_permissions_of_the_file_stay() {
        use std::os::unix::fs::PermissionsExt;
        let (_directory, path) = file(BEFORE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, Phase::LegacyOnly).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }
}
