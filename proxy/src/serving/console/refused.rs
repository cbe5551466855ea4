//! What Crossfade's own work is refused with, in SQL's codes.

use super::line::Refusal;
use crate::control::error::ControlError;
use crate::serving::operate::PauseError;
use crate::steps::site::SiteError;
use crate::steps::walk::WalkError;

/// A word of Crossfade's commands, in SQL's codes.
pub(super) fn by_control(error: ControlError) -> Refusal {
    let sqlstate = match &error {
        ControlError::Unmet(_) | ControlError::Refused(_) | ControlError::NewerSchema { .. } => {
            "55000"
        }
        ControlError::Overtaken(_) | ControlError::EpochOver(_) => "40001",
        ControlError::TimedOut { .. } => "55P03",
        ControlError::Connect(_) => "08006",
        ControlError::Url(_)
        | ControlError::Sql { .. }
        | ControlError::File { .. }
        | ControlError::PhaseLine { .. } => "58000",
    };
    let refusal = Refusal::new(sqlstate, error.to_string());
    match error {
        ControlError::Unmet(_) => {
            refusal.hint("SHOW GATES shows all of them, and what settles each.")
        }
        _ => refusal,
    }
}

pub(super) fn by_site(error: SiteError) -> Refusal {
    match error {
        SiteError::Control(error) => by_control(error),
        SiteError::NoControl
        | SiteError::NoRules
        | SiteError::NoFile(_)
        | SiteError::NothingInForce => Refusal::new("55000", error.to_string()),
        SiteError::Compile { .. } | SiteError::Rules(_) | SiteError::Served(_) => {
            Refusal::new("58000", error.to_string())
        }
    }
}

pub(super) fn by_walk(error: WalkError) -> Refusal {
    match error {
        WalkError::Step(error) => by_control(error),
        WalkError::Site(error) => by_site(error),
        WalkError::Past { .. } => Refusal::new("55000", error.to_string()),
        WalkError::Moved { .. } => Refusal::new("40001", error.to_string()),
    }
}

pub(super) fn by_pause(error: &PauseError) -> Refusal {
    let sqlstate = match error {
        PauseError::Already(_) => "55000",
        PauseError::Over => "57014",
    };
    Refusal::new(sqlstate, error.to_string())
}
