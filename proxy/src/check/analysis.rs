//! The lens's own SQL, read by the server and not run: what it names is there, and of types that go
//! together.

use rewrite_rules::Lens;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::Findings;
use crate::control::ControlError;

/// `false` where the server does not understand it.
pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<bool, ControlError> {
    let mut understood = true;
    for table in lens.crosswalk() {
        if !crate::control::schema::table_exists(client, &table.sql()).await? {
            findings.note(format!(
                "its SQL was not tried: `crossfade prepare` creates {}",
                crate::control::shown(&table.sql())
            ));
            return Ok(false);
        }
    }
    for analysed in lens.analysed() {
        let Err(error) = client.prepare(&analysed.sql).await else {
            continue;
        };
        let Some(said) = error.as_db_error() else {
            return Err(ControlError::sql("reading of a lens's SQL")(error));
        };
        if *said.code() == SqlState::INDETERMINATE_DATATYPE {
            continue; // of a NULL that stands alone: at run time it is text
        }
        understood = false;
        findings.error(
            format!(
                "its `{}` is not understood: {}",
                analysed.part,
                said.message()
            ),
            "correct it in the rule file, or create what it names",
        );
    }
    Ok(understood)
}
