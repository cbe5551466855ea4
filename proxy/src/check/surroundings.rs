//! What stands around the tables and no proxy can see: it acts inside the server, on the legacy
//! table alone. The gates look at the same things; here each is told with what it says.

use rewrite_rules::Lens;
use rewrite_rules::lens::TRIGGER;
use tokio_postgres::Client;

use super::{About, Findings};
use crate::control::neighbours::{self, Dependent, DependentKind};
use crate::control::{ControlError, rights, shown};

const FOREIGN_KEY: &str = "point it to the unified table before unified_only: new rows no longer reach the legacy one then. \
    What it does on DELETE and UPDATE it does from dual_write on by itself, where no proxy sees it: of a table that is \
    migrated as well the unified rows stay as they are";

const WHEN_HIDDEN: &str = "say when_hidden = \"keep\" (the row stays, its key enters the ledger), \"remove\" \
    (it goes, and with it what these foreign keys say) or \"refuse\"";

const COMES_BACK: &str = "it runs when the row image is made, and its function names the table: what it writes there \
    reaches legacy alone. Let a BEFORE trigger set the row's own columns";

/// Whether it is an AFTER trigger whose function names the table.
fn comes_back(trigger: &Dependent, all: &[Dependent]) -> bool {
    let says = trigger.definition.as_deref().unwrap_or_default();
    let runs = |function: &Dependent| {
        let name = function.name.split('(').next().unwrap_or_default();
        function.kind == DependentKind::Function
            && says.contains(&format!(" EXECUTE FUNCTION {name}("))
    };
    says.contains(" AFTER ") && all.iter().any(runs)
}

/// Enough to see which they are, on a few lines.
const SHOWN_MAX: usize = 20;

fn meaning(kind: DependentKind) -> &'static str {
    match kind {
        DependentKind::View => "define it over the unified table before unified_only",
        DependentKind::Rule => {
            "what it does there never passes the proxy: give it a counterpart over the unified table"
        }
        DependentKind::Policy => {
            "it asks the legacy table: define it over the unified one before unified_only"
        }
        DependentKind::Function => {
            "its statements never pass the proxy: give it a counterpart over the unified table"
        }
        DependentKind::Trigger => {
            "what a BEFORE trigger makes of the row is in the row image; what it does elsewhere, and all that an AFTER \
             trigger does, is done in the dual phases only, and reaches legacy alone"
        }
        DependentKind::Child => "writers that name it directly are not seen",
    }
}

pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    if lens.is_one_table() {
        // The table stays: nothing that names it means another one.
        return fires_always(client, lens, findings).await;
    }
    let own = [lens.legacy.sql()];
    let keys = neighbours::foreign_keys_to(client, lens, &own).await?;
    if !keys.is_empty() && lens.when_hidden.is_none() {
        findings.warning(
            format!(
                "foreign keys refer to {}, and the rule file does not say what becomes of a row there \
                 whose unified row the new application hides or deletes",
                shown(&own[0])
            ),
            WHEN_HIDDEN,
        );
    }
    for key in keys {
        let (name, table, says) = (key.name, key.table, in_a_line(&key.definition));
        findings.warning(
            format!("foreign key {name} on {table}: {says}"),
            FOREIGN_KEY,
        );
    }
    let dependents = neighbours::dependents(client, lens).await?;
    for dependent in &dependents {
        let mut text = format!("{} {}", dependent.kind.name(), dependent.name);
        if let Some(definition) = &dependent.definition {
            text += &format!(": {}", in_a_line(definition));
        }
        let means = meaning(dependent.kind);
        match dependent.kind {
            DependentKind::Trigger if comes_back(dependent, &dependents) => {
                findings.warning(text, COMES_BACK)
            }
            DependentKind::Trigger => findings.note(format!("{text} ({means})")),
            DependentKind::View
            | DependentKind::Rule
            | DependentKind::Policy
            | DependentKind::Function
            | DependentKind::Child => {
                findings.warning(text, means);
            }
        }
    }
    let computing = neighbours::computing(client, lens).await?;
    if !computing.is_empty() {
        findings.note(format!(
            "functions that put SQL together, and may so name the table unseen: {}",
            listed(&computing)
        ));
    }
    findings.about(About::Roles);
    for sides in rights::sides(lens) {
        rights(client, &sides, findings).await?;
    }
    lacking(rights::missing_sequences(client, lens).await?, findings);
    Ok(())
}

/// The trigger that sets both columns must do so of what replication writes as well, which takes the table's owner
/// to say.
async fn fires_always(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let table = lens.legacy.sql();
    let only = client
        .query_opt(
            "SELECT FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = $2 AND tgenabled <> 'A'",
            &[&table, &TRIGGER],
        )
        .await
        .map_err(ControlError::sql("look at the trigger of columns that move"))?;
    if only.is_some() {
        findings.warning(
            format!("trigger {TRIGGER} does not fire under session_replication_role = replica"),
            &format!("as the owner: ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER}"),
        );
    }
    Ok(())
}

async fn rights(
    client: &Client,
    sides: &rights::WrittenPair,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    lacking(rights::missing(client, sides).await?, findings);
    let (legacy, unified) = rights::row_security(client, sides).await?;
    for (on, table) in [(legacy, &sides.legacy), (unified, &sides.unified)] {
        if on {
            findings.warning(
                format!("row-level security is on for {}", shown(table)),
                "see that its policies let a role read back what it writes, on both tables alike",
            );
        }
    }
    Ok(())
}

fn lacking(all: Vec<rights::Missing>, findings: &mut Findings) {
    for missing in all {
        let uses = if missing.writes { "write" } else { "read" };
        findings.error(
            format!(
                "role {} may {uses} the legacy table but lacks {} on {}",
                missing.role,
                missing.needed,
                shown(&missing.on)
            ),
            "grant it: a dual write reads its row image back and writes both tables as the client's role",
        );
    }
}

/// The first of them, and how many there are.
fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(String::as_str).collect();
    match names.len().checked_sub(SHOWN_MAX) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        Some(0) | None => shown.join(", "),
    }
}

fn in_a_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
