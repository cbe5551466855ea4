//! The rules of the measured migration.

use rewrite_rules::Phase;

/// The shipped rules with the phase replaced.
pub fn rules_in(phase: Phase) -> String {
    const RULES: &str = include_str!("../../rewrite-rules/rules/iso_agents.toml");
    RULES
        .lines()
        .map(|line| match line.split_once('=') {
            Some((key, _)) if key.trim() == "phase" => format!("phase = \"{}\"\n", phase.name()),
            Some(_) | None => format!("{line}\n"),
        })
        .collect()
}

/// The phases that proxies are held to by a database.
pub const HELD: [Phase; 3] = [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead];

/// The database that holds proxies to a phase.
pub fn held_in(phase: Phase) -> String {
    format!("held_{}", phase.name())
}
