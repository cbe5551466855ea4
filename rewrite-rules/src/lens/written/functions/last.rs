//! `lastval()` behind the steps of a lens: what it was before them.
//!
//! The steps draw ids for the unified rows, from sequences that the client knows nothing of. Its next
//! `SELECT lastval()`, by which some drivers ask for the id of the row that they have just inserted, would
//! tell one of these. Only drawing a number makes it the last one: so a temporary sequence of the session
//! draws the client's own once more. Where there was none, the sequence goes at once, and `lastval()` is not
//! defined, as before.

use super::{Call, Functions};
use crate::lens::{Callers, Function};

/// Nothing has been drawn, or from a sequence of which the role may not know.
const NONE: &str = "object_not_in_prerequisite_state OR insufficient_privilege";

impl Functions<'_> {
    /// Steps, and what keeps `lastval()` from telling of them.
    pub(super) fn keeping_last(&self, declare: &str, steps: &str) -> (String, String) {
        let look = |variable: &str| {
            format!(
                "  BEGIN {variable} := pg_catalog.lastval(); \
                 EXCEPTION WHEN {NONE} THEN {variable} := NULL; END;\n"
            )
        };
        let body = format!(
            "{}{steps}{}  IF cf_now_last IS DISTINCT FROM cf_last THEN PERFORM {}; END IF;\n",
            look("cf_last"),
            look("cf_now_last"),
            self.lens.call(Call::KeepLast, "cf_last"),
        );
        (
            format!("{declare}  cf_last bigint;\n  cf_now_last bigint;\n"),
            body,
        )
    }

    /// With its owner's rights, since the client's role may lack that to make temporary objects. All that
    /// it touches is the session's own.
    pub(super) fn keep_last(&self) -> Function {
        let name = self.lens.named(Call::KeepLast.word());
        let ddl = format!(
            "CREATE OR REPLACE FUNCTION {name}(cf_last bigint) RETURNS boolean\n\
             LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$\n\
             BEGIN\n\
             \x20 IF cf_last IS NULL THEN\n\
             \x20   CREATE TEMPORARY SEQUENCE cf_no_last;\n\
             \x20   PERFORM nextval('pg_temp.cf_no_last');\n\
             \x20   DROP SEQUENCE pg_temp.cf_no_last;\n    RETURN true;\n  END IF;\n\
             \x20 IF to_regclass('pg_temp.cf_last') IS NULL THEN\n\
             \x20   CREATE TEMPORARY SEQUENCE cf_last MINVALUE -9223372036854775808;\n\
             \x20   GRANT ALL ON SEQUENCE pg_temp.cf_last TO PUBLIC;\n  END IF;\n\
             \x20 PERFORM setval('pg_temp.cf_last', cf_last, false);\n\
             \x20 PERFORM nextval('pg_temp.cf_last');\n  RETURN true;\n\
             END\n$crossfade$"
        );
        Function {
            name,
            ddl,
            callers: Callers::Writers,
        }
    }
}
