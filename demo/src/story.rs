//! The demo's steps, in order. The table below is the whole plot; `demo` plays it.

use rewrite_rules::Phase;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `crossfade` with these words.
    Command(&'static [&'static str]),
    /// `crossfade advance iso_agents`, after which the phase must be this one.
    Advance(Phase),
    /// `crossfade rollback iso_agents`, likewise.
    Rollback(Phase),
    /// The application's new version joins the old one.
    StartNewVersion,
    /// The demo's own comparison of both tables.
    CompareSides,
    /// The dependents' foreign keys turn to the unified table.
    ReferToUnified,
    /// The legacy table's name is taken away.
    PutLegacyAway,
    /// The application just runs for a while.
    Live,
}

pub const STORY: &[(Act, &str)] = &[
    (
        Act::Live,
        "The application runs through Crossfade, which stands by.",
    ),
    (
        Act::Command(&["prepare"]),
        "Crossfade's own schema is created in the database.",
    ),
    (
        Act::Advance(Phase::DualWrite),
        "From here on every write reaches both tables in one transaction.",
    ),
    (Act::Live, ""),
    (
        Act::Command(&["backfill", "iso_agents"]),
        "The rows that were there before are copied, under the live writes.",
    ),
    (
        Act::Command(&["verify", "iso_agents"]),
        "Both tables are compared in one snapshot.",
    ),
    (
        Act::Advance(Phase::ShadowRead),
        "A sample of the reads also runs on users and is compared.",
    ),
    (Act::Live, ""),
    (
        Act::Advance(Phase::DualRead),
        "Reads of iso_agents are answered from users; what users lacks comes from iso_agents.",
    ),
    (
        Act::StartNewVersion,
        "The new version of the application is deployed beside the old one.",
    ),
    (Act::Live, ""),
    (Act::Command(&["verify", "iso_agents"]), ""),
    (
        Act::Advance(Phase::UnifiedRead),
        "The direction turns: users is written first and answers alone.",
    ),
    (Act::Live, ""),
    (
        Act::CompareSides,
        "The demo compares both tables by its own SQL.",
    ),
    (
        Act::Rollback(Phase::DualRead),
        "A way back at every step: one step back, under load.",
    ),
    (Act::Live, ""),
    (Act::Command(&["verify", "iso_agents"]), ""),
    (Act::Advance(Phase::UnifiedRead), "And forward again."),
    (Act::Live, ""),
    (
        Act::ReferToUnified,
        "The operator turns the dependents' foreign keys to users.",
    ),
    (Act::Command(&["verify", "iso_agents"]), ""),
    (
        Act::CompareSides,
        "Once more before iso_agents is left behind.",
    ),
    (
        Act::Advance(Phase::UnifiedOnly),
        "iso_agents is no longer written.",
    ),
    (Act::Live, ""),
    (
        Act::Advance(Phase::Retired),
        "Nothing needs iso_agents any more.",
    ),
    (
        Act::PutLegacyAway,
        "The operator renames it away. The old version still runs, without its table.",
    ),
    (Act::Live, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_visits_every_phase_one_step_at_a_time_and_goes_back_once() {
        let mut phase = Phase::LegacyOnly;
        let mut visited = vec![phase];
        let mut steps_back = 0;
        for (act, _) in STORY {
            match act {
                Act::Advance(to) => {
                    assert_eq!(phase.next(), Some(*to));
                    phase = *to;
                }
                Act::Rollback(to) => {
                    assert_eq!(phase.previous(), Some(*to));
                    phase = *to;
                    steps_back += 1;
                }
                Act::Command(_)
                | Act::StartNewVersion
                | Act::CompareSides
                | Act::ReferToUnified
                | Act::PutLegacyAway
                | Act::Live => {}
            }
            visited.push(phase);
        }
        assert!(Phase::ALL.iter().all(|phase| visited.contains(phase)));
        assert_eq!(steps_back, 1);
        assert_eq!(phase, Phase::Retired);
    }
}
