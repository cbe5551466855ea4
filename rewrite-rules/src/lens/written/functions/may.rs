//! Whether a client may write at all, which PostgreSQL asks before it looks for a row.
//!
//! To the server the statement that calls the lens's functions is a SELECT, and functions that are given no row
//! ask for no right. So this is the condition under which they are called: it is the same for every row, and the
//! server evaluates it before anything else.

use super::{Call, Functions};
use crate::lens::{Function, quote_literal};

impl Functions<'_> {
    /// The rights are those to the legacy table, as the straight statement's, until it is gone; then those to the
    /// first of unified, whose columns nobody knows by legacy names.
    pub(super) fn may_write(&self) -> Function {
        let lens = self.lens;
        let body = format!(
            "  IF current_setting('transaction_read_only')::boolean THEN\n\
             \x20   RAISE EXCEPTION USING ERRCODE = '25006',\n\
             \x20     MESSAGE = format('cannot execute %s in a read-only transaction', cf_command);\n  END IF;\n\
             \x20 IF cf_table IS NULL THEN\n    cf_table := {unified};\n    cf_set := NULL;\n  END IF;\n\
             \x20 FOREACH cf_right IN ARRAY cf_rights LOOP\n\
             \x20   CONTINUE WHEN CASE WHEN cf_right = 'DELETE' THEN has_table_privilege(cf_table, cf_right)\n\
             \x20     WHEN cf_right = 'UPDATE' AND cf_set IS NOT NULL THEN NOT EXISTS (SELECT FROM unnest(cf_set) AS cf_c\n\
             \x20       WHERE NOT has_column_privilege(cf_table, cf_c, cf_right))\n\
             \x20     ELSE has_any_column_privilege(cf_table, cf_right) END;\n\
             \x20   RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = {denied};\n  END LOOP;\n  RETURN true;\n",
            unified = quote_literal(&lens.unified.sql()),
            denied = quote_literal(&format!("permission denied for table {}", lens.legacy.name)),
        );
        let function = self.function(
            lens.named(Call::MayWrite.word()),
            "(cf_command text, cf_rights text[], cf_set text[]) RETURNS boolean",
            &format!(
                "  cf_table regclass := to_regclass({});\n  cf_right text;\n",
                quote_literal(&lens.legacy.sql())
            ),
            &body,
        );
        // A condition that no row changes, and so looked at first.
        let ddl = function
            .ddl
            .replacen("LANGUAGE plpgsql VOLATILE", "LANGUAGE plpgsql STABLE", 1);
        Function { ddl, ..function }
    }
}
