//! The demo's steps, in order. The table below is the whole plot, whichever migration is played; `demo`
//! plays it. Words in braces are the migration's.

use rewrite_rules::Phase;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `crossfade` with these words.
    Command(&'static [&'static str]),
    /// `crossfade advance`, after which the phase must be this one.
    Advance(Phase),
    /// `crossfade rollback`, likewise.
    Rollback(Phase),
    /// The application's new version joins the old one, where there is one.
    StartNewVersion,
    /// The demo's own comparison.
    CompareSides,
    /// The dependents' foreign keys turn to the unified tables, where there are any.
    ReferToUnified,
    /// The legacy tables are taken away.
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
        "From here on every write reaches both sides in one transaction.",
    ),
    (Act::Live, ""),
    (
        Act::Command(&["backfill", "{migration}"]),
        "The rows that were there before are copied, under the live writes.",
    ),
    (
        Act::Command(&["verify", "{migration}"]),
        "Both sides are compared in one snapshot.",
    ),
    (
        Act::Advance(Phase::ShadowRead),
        "A sample of the reads also runs on {to} and is compared.",
    ),
    (Act::Live, ""),
    (
        Act::Advance(Phase::DualRead),
        "Reads of {from} are answered from {to}; what those lack comes from where it was.",
    ),
    (
        Act::StartNewVersion,
        "The new version of the application is deployed beside the old one.",
    ),
    (Act::Live, ""),
    (Act::Command(&["verify", "{migration}"]), ""),
    (
        Act::Advance(Phase::UnifiedRead),
        "The direction turns: {to} are written first and answer alone.",
    ),
    (Act::Live, ""),
    (Act::CompareSides, "The demo compares by its own SQL."),
    (
        Act::Rollback(Phase::DualRead),
        "A way back at every step: one step back, under load.",
    ),
    (Act::Live, ""),
    (Act::Command(&["verify", "{migration}"]), ""),
    (Act::Advance(Phase::UnifiedRead), "And forward again."),
    (Act::Live, ""),
    (
        Act::ReferToUnified,
        "The operator turns foreign keys to {to}.",
    ),
    (Act::Command(&["verify", "{migration}"]), ""),
    (
        Act::CompareSides,
        "Once more before {from} are left behind.",
    ),
    (
        Act::Advance(Phase::UnifiedOnly),
        "{from} are no longer written.",
    ),
    (Act::Live, ""),
    (
        Act::Advance(Phase::Retired),
        "Nothing needs {from} any more.",
    ),
    (
        Act::PutLegacyAway,
        "The operator takes them away. The old version still runs, without its tables.",
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
