//! What is played unless somebody names a migration: a broker's agents move to `users`, under two
//! versions of the application that know what every row must be. The tables' half of it; what the
//! versions do is theirs.

use rewrite_rules::Phase;
use tokio_postgres::Client;

use crossfade_testbed::iso_agents;

pub const MIGRATION: &str = "iso_agents";

/// Client profiles and requests refer to agents. Before legacy goes stale they must refer to
/// the unified rows, which have the same ids.
pub const REFER_TO_UNIFIED: &str = "\
ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey,
    ADD CONSTRAINT client_profiles_user_id_fkey
        FOREIGN KEY (iso_agent_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey,
    ADD CONSTRAINT requests_user_id_fkey
        FOREIGN KEY (iso_agent_id) REFERENCES users ON DELETE CASCADE;";

/// Not dropped yet: a name that is gone is what `retired` needs, a copy is what operators like.
pub const PUT_AWAY: &str = "ALTER TABLE iso_agents RENAME TO iso_agents_until_yesterday;";

/// The tables of both sides, and rows in legacy's.
pub async fn fill(owner: &Client, rows: u32) -> anyhow::Result<()> {
    iso_agents::install(owner).await?;
    iso_agents::fill(owner, &iso_agents::Rows::agents(rows)).await?;
    Ok(())
}

/// The rule file as it is shipped, but for what this application means by a deleted agent.
pub fn rules(shipped: &str) -> anyhow::Result<String> {
    let mut file = begin(shipped)?;
    // The new version deletes agents before unified leads, and means it.
    file["table"][0]["when_hidden"] = toml_edit::value("remove");
    Ok(file.to_string())
}

/// A rule file in the first phase.
pub fn begin(shipped: &str) -> anyhow::Result<toml_edit::DocumentMut> {
    let mut file: toml_edit::DocumentMut = shipped.parse()?;
    file["migration"]["phase"] = toml_edit::value(Phase::LegacyOnly.name());
    Ok(file)
}
