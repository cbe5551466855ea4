//! The seven phases as a ladder, and where a migration stands on it.

use maud::{Markup, html};
use rewrite_rules::Phase;

use super::parts::{legacy, unified};

/// A rung, as seen from where the migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Done,
    Here,
    Next,
    Ahead,
}

impl Rung {
    fn of(phase: Phase, at: Phase) -> Rung {
        match phase {
            phase if phase < at => Rung::Done,
            phase if phase == at => Rung::Here,
            phase if Some(phase) == at.next() => Rung::Next,
            _further => Rung::Ahead,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Rung::Done => "done",
            Rung::Here => "here",
            Rung::Next => "next",
            Rung::Ahead => "ahead",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Rung::Done => "left behind",
            Rung::Here => "it stands here",
            Rung::Next => "the next step",
            Rung::Ahead => "to come",
        }
    }
}

/// Which side is read in a phase.
fn reads(phase: Phase) -> Markup {
    html! { @match phase {
        Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead => (legacy()),
        Phase::DualRead => { (unified()) " else " (legacy()) },
        Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => (unified()),
    } }
}

fn writes(phase: Phase) -> Markup {
    html! { @match phase {
        Phase::LegacyOnly => (legacy()),
        Phase::DualWrite | Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead => {
            (legacy()) " " (unified())
        },
        Phase::UnifiedOnly | Phase::Retired => (unified()),
    } }
}

pub(super) fn ladder(at: Phase) -> Markup {
    html! {
        ol.ladder {
            @for (number, phase) in Phase::ALL.into_iter().enumerate() {
                @let rung = Rung::of(phase, at);
                li class=(rung.class()) aria-current=[(rung == Rung::Here).then_some("step")] {
                    span.dot aria-hidden="true" {
                        @if rung == Rung::Done { "✓" } @else { (number + 1) }
                    }
                    span.name { (phase.name()) }
                    span.sr { ", " (rung.words()) }
                    dl {
                        div { dt { "reads" } dd { (reads(phase)) } }
                        div { dt { "writes" } dd { (writes(phase)) } }
                        @if phase == Phase::ShadowRead {
                            div { dt { "compares" } dd { (unified()) } }
                        }
                    }
                }
            }
        }
    }
}

/// The same at a glance, where the words stand beside it.
pub(super) fn mini(at: Phase) -> Markup {
    html! {
        div.mini aria-hidden="true" {
            @for phase in Phase::ALL { span class=(Rung::of(phase, at).class()) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_stands_once_on_its_own_ladder() {
        for at in Phase::ALL {
            let told = ladder(at).into_string();
            assert_eq!(told.matches("aria-current=\"step\"").count(), 1, "{at}");
            assert_eq!(told.matches("class=\"done\"").count(), at as usize, "{at}");
            let next = usize::from(at.next().is_some());
            assert_eq!(told.matches("class=\"next\"").count(), next, "{at}");
            for phase in Phase::ALL {
                assert_eq!(told.matches(&format!(">{phase}<")).count(), 1, "{at}");
            }
        }
    }
}
