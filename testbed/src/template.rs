//! One `initdb` for many servers: a finished cluster is kept and copied.
//!
//! It knows directories and owners, and nothing of what is in them. Only who asks for it by the
//! environment gets it, so that a demonstration leaves nothing behind.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::binaries::Binaries;

/// Names the directory in which finished clusters are kept, one for each installation.
const VARIABLE: &str = "CROSSFADE_PG_TEMPLATES";

/// Where the cluster of one installation is kept, for the user that we are and the `recipe` by
/// which it is made; `None` where nobody asked for that.
pub fn place(binaries: &Binaries, recipe: &str) -> Option<PathBuf> {
    let root = PathBuf::from(std::env::var_os(VARIABLE)?);
    let program = binaries.program("postgres");
    let found = fs::metadata(&program).ok()?;
    let mut hasher = DefaultHasher::new();
    program.hash(&mut hasher);
    found.len().hash(&mut hasher);
    let modified = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    modified.as_nanos().hash(&mut hasher);
    recipe.hash(&mut hasher);
    Some(root.join(format!("{:016x}", hasher.finish())))
}

/// Copies the cluster that is kept; false where there is none yet.
pub fn take(kept: &Path, data: &Path) -> io::Result<bool> {
    if !kept.is_dir() {
        return Ok(false);
    }
    copy(kept, data)?;
    Ok(true)
}

/// Keeps a cluster that no server uses. Others may be doing the same: the first one stays, and
/// nobody ever sees half of one.
pub fn keep(data: &Path, kept: &Path) -> io::Result<()> {
    let Some(parent) = kept.parent() else {
        return Ok(());
    };
    fs::create_dir_all(parent)?;
    let half = tempfile::Builder::new()
        .prefix("half-")
        .tempdir_in(parent)?;
    let whole = half.path().join("data");
    copy(data, &whole)?;
    match fs::rename(&whole, kept) {
        Err(error) if !kept.is_dir() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Copies a directory with its modes and, where we may, its owners.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            own_alike(&entry.path(), &target)?;
        }
    }
    fs::set_permissions(to, from.metadata()?.permissions())?;
    own_alike(from, to)
}

fn own_alike(from: &Path, to: &Path) -> io::Result<()> {
    let (wanted, found) = (from.metadata()?, to.metadata()?);
    if (wanted.uid(), wanted.gid()) == (found.uid(), found.gid()) {
        return Ok(());
    }
    chown(to, Some(wanted.uid()), Some(wanted.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_whole_and_the_first_one_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let (data, kept) = (dir.path().join("data"), dir.path().join("all/kept"));
        fs::create_dir_all(data.join("base/1")).expect("directories");
        fs::write(data.join("base/1/112"), "a page").expect("a file");
        let copied = dir.path().join("copied");
        assert!(!take(&kept, &copied).expect("nothing is there"));

        keep(&data, &kept).expect("kept");
        fs::write(data.join("base/1/112"), "another").expect("a file");
        keep(&data, &kept).expect("kept again");

        assert!(take(&kept, &copied).expect("copied"));
        let page = fs::read_to_string(copied.join("base/1/112")).expect("the file");
        assert_eq!(page, "a page");
        let left: Vec<_> = kept
            .parent()
            .expect("it has one")
            .read_dir()
            .expect("read")
            .collect();
        assert_eq!(left.len(), 1, "halves are gone: {left:?}");
    }
}
