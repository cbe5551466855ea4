//! TEMPORARY until the console's user file is merged.
use std::path::PathBuf;

use super::password::Verifier;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsersError(String);

#[derive(Debug)]
pub struct Users(PathBuf);

pub struct Known {
    pub verifier: Verifier,
    pub may_operate: bool,
}

impl Users {
    pub fn read(path: PathBuf) -> Result<Users, UsersError> {
        std::fs::read_to_string(&path).map_err(|error| UsersError(error.to_string()))?;
        Ok(Users(path))
    }

    pub fn find(&self, name: &str) -> Option<Known> {
        let text = std::fs::read_to_string(&self.0).ok()?;
        text.lines().find_map(|line| {
            let parts: Vec<&str> = line.split('"').collect();
            (*parts.get(1)? == name).then_some(())?;
            Some(Known {
                verifier: Verifier::read(parts.get(3)?)?,
                may_operate: parts.get(4)?.trim() == "operate",
            })
        })
    }
}
