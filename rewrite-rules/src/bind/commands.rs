//! Which names in a command are tables', and what the command does with them.
//!
//! PostgreSQL's grammar names a relation by a `RangeVar` or by a list of `String` nodes; a bare text in
//! a node is the name of something else (a column, a savepoint, a role) or of what is to be made. So
//! each field of each kind of node that may hold one of the two stands in one table, here. What stands
//! in none is taken for a table's name, with the strictest use.

use pg_query::protobuf::{ObjectType, ReindexObjectType};

use super::tables::WrittenName;
use crate::text::tree::Tree;

/// What a command does with a table that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandUse {
    /// COPY, LOCK, TRUNCATE: these have a rewriting of their own.
    Own,
    /// A relation of this name is to be made.
    Made,
    /// Another kind of relation takes the name, or a temporary one, in a schema of the session's own.
    Taken,
    /// `LIKE t`: its columns are copied, once.
    Copied,
    /// REFERENCES: what the table refuses depends on another one from now on.
    Referred,
    /// COMMENT, SECURITY LABEL.
    Described,
    /// GRANT and REVOKE.
    Granted,
    /// VACUUM, ANALYZE, CLUSTER, REINDEX, statistics, an index that refuses no row.
    Maintained,
    /// An index or a constraint that refuses rows.
    Limited,
    /// Its row type, as that of a column, an argument or a result.
    Typed,
    /// In the query of a view, a rule, a policy or a function, which runs where no proxy sees it.
    Stored,
    /// Anything else: ALTER, DROP, triggers, rules, policies, partitions, publications.
    Changed,
}

impl CommandUse {
    #[cfg(test)]
    pub const ALL: [CommandUse; 12] = [
        CommandUse::Own,
        CommandUse::Made,
        CommandUse::Taken,
        CommandUse::Copied,
        CommandUse::Referred,
        CommandUse::Described,
        CommandUse::Granted,
        CommandUse::Maintained,
        CommandUse::Limited,
        CommandUse::Typed,
        CommandUse::Stored,
        CommandUse::Changed,
    ];
}

/// What a field of a node holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'t> {
    /// More of the statement. A table's name right below is used so.
    Below(CommandUse),
    /// Names of other objects.
    Others,
    /// Lists of names: a table's, and behind it as many of other objects.
    Tables { used: CommandUse, behind: usize },
    /// The name of what is to be made, or how something is to be called.
    NewName(CommandUse, WrittenName<'t>),
}

/// The field's meaning. `node` is any node of a statement, queries' included.
pub(super) fn field<'t>(node: &'t Tree, name: &str) -> Field<'t> {
    match (node.kind(), name) {
        ("IntoClause", "rel")
        | ("CreateStmt", "relation")
        | ("ViewStmt", "view")
        | ("ImportForeignSchemaStmt", "table_list") => Field::Below(CommandUse::Made),
        ("CreateSeqStmt", "sequence") | ("CompositeTypeStmt", "typevar") => {
            Field::Below(CommandUse::Taken)
        }
        ("IndexStmt", "idxname") => Field::NewName(
            CommandUse::Taken,
            WrittenName {
                schema: node.get("relation").name("schemaname"),
                table: node.text("idxname"),
            },
        ),
        ("CopyStmt", "relation") | ("LockStmt" | "TruncateStmt", "relations") => {
            Field::Below(CommandUse::Own)
        }
        ("TableLikeClause", "relation") => Field::Below(CommandUse::Copied),
        ("Constraint", "pktable") => Field::Below(CommandUse::Referred),
        ("VacuumRelation" | "ClusterStmt" | "RefreshMatViewStmt", "relation") | ("CreateStatsStmt", "relations") => {
            Field::Below(CommandUse::Maintained)
        }
        ("IndexStmt", "relation") if node.flag("unique") => Field::Below(CommandUse::Limited),
        ("IndexStmt", "relation") => Field::Below(CommandUse::Maintained),
        ("ReindexStmt", "relation") if is_reindex_of_index(node) => Field::Others,
        ("ReindexStmt", "relation") => Field::Below(CommandUse::Maintained),
        ("GrantStmt", "objects") if object_is(node, "objtype", &[ObjectType::ObjectTable]) => {
            Field::Below(CommandUse::Granted)
        }
        // Sequences are no managed tables.
        ("AlterSeqStmt", "sequence")
        // RangeVars that name constraints.
        | ("ConstraintsSetStmt", "constraints")
        | ("GrantStmt", "objects") => Field::Others,
        ("AlterTableStmt", "relation") => of_relation(node, "objtype"),
        ("RenameStmt", "relation") => of_relation(node, "rename_type"),
        ("AlterObjectSchemaStmt" | "AlterObjectDependsStmt", "relation") => {
            of_relation(node, "object_type")
        }
        ("RenameStmt", "newname") if object_is(node, "rename_type", &RELATIONS) => {
            let name = WrittenName {
                schema: node.get("relation").name("schemaname"),
                table: node.text("newname"),
            };
            Field::NewName(renamed_to(node, "rename_type"), name)
        }
        ("AlterObjectSchemaStmt", "newschema") if object_is(node, "object_type", &RELATIONS) => {
            let name = WrittenName {
                schema: node.name("newschema"),
                table: node.get("relation").text("relname"),
            };
            Field::NewName(renamed_to(node, "object_type"), name)
        }
        ("DropStmt", "objects") => of_objects(node, "remove_type", CommandUse::Changed),
        ("RenameStmt", "object") => of_objects(node, "rename_type", CommandUse::Changed),
        (
            "AlterOwnerStmt" | "AlterObjectSchemaStmt" | "AlterObjectDependsStmt",
            "object",
        ) => of_objects(node, "object_type", CommandUse::Changed),
        ("CommentStmt" | "SecLabelStmt", "object") => of_objects(node, "objtype", CommandUse::Described),
        ("DefElem", "arg") if node.text("defname") == "owned_by" => Field::Tables {
            used: CommandUse::Changed,
            behind: 1,
        },
        (kind, name) if OTHERS.iter().any(|&(k, n)| (k, n) == (kind, name)) => Field::Others,
        _ => Field::Below(CommandUse::Changed),
    }
}

/// Relations of one namespace: what takes the name of one takes it from all.
const RELATIONS: [ObjectType; 6] = [
    ObjectType::ObjectTable,
    ObjectType::ObjectView,
    ObjectType::ObjectMatview,
    ObjectType::ObjectForeignTable,
    ObjectType::ObjectSequence,
    ObjectType::ObjectIndex,
];

/// Objects whose name may be a managed table's.
const TABLES: [ObjectType; 4] = [
    ObjectType::ObjectTable,
    ObjectType::ObjectView,
    ObjectType::ObjectMatview,
    ObjectType::ObjectForeignTable,
];

/// Objects of a table: its name stands before theirs.
const PARTS: [ObjectType; 5] = [
    ObjectType::ObjectColumn,
    ObjectType::ObjectTabconstraint,
    ObjectType::ObjectTrigger,
    ObjectType::ObjectRule,
    ObjectType::ObjectPolicy,
];

fn object_is(node: &Tree, field: &str, kinds: &[ObjectType]) -> bool {
    let kind = node.int(field);
    kinds.iter().any(|known| i64::from(*known as i32) == kind)
}

/// What a new name is for.
fn renamed_to(node: &Tree, field: &str) -> CommandUse {
    if object_is(node, field, &TABLES) {
        CommandUse::Made
    } else {
        CommandUse::Taken
    }
}

fn is_reindex_of_index(node: &Tree) -> bool {
    node.int("kind") == i64::from(ReindexObjectType::ReindexObjectIndex as i32)
}

/// A `RangeVar` that may name an index, a sequence or a type.
fn of_relation<'t>(node: &Tree, field: &str) -> Field<'t> {
    let others = [
        ObjectType::ObjectIndex,
        ObjectType::ObjectSequence,
        ObjectType::ObjectType,
    ];
    if object_is(node, field, &others) {
        Field::Others
    } else {
        Field::Below(CommandUse::Changed)
    }
}

fn of_objects<'t>(node: &Tree, field: &str, used: CommandUse) -> Field<'t> {
    if object_is(node, field, &TABLES) {
        Field::Tables { used, behind: 0 }
    } else if object_is(node, field, &PARTS) {
        Field::Tables { used, behind: 1 }
    } else {
        Field::Others
    }
}

/// Lists of names that are no table's.
const OTHERS: &[(&str, &str)] = &[
    ("AConst", "val"),
    ("AExpr", "name"),
    ("AIndirection", "indirection"),
    ("AccessPriv", "cols"),
    ("Alias", "colnames"),
    ("AlterCollationStmt", "collname"),
    ("AlterDomainStmt", "type_name"),
    ("AlterEnumStmt", "type_name"),
    ("AlterOpFamilyStmt", "opfamilyname"),
    ("AlterStatsStmt", "defnames"),
    ("AlterSubscriptionStmt", "publication"),
    ("AlterTSConfigurationStmt", "cfgname"),
    ("AlterTSConfigurationStmt", "dicts"),
    ("AlterTSConfigurationStmt", "tokentype"),
    ("AlterTSDictionaryStmt", "dictname"),
    ("AlterTypeStmt", "type_name"),
    ("CollateClause", "collname"),
    ("ColumnRef", "fields"),
    ("CommonTableExpr", "aliascolnames"),
    ("Constraint", "exclusions"),
    ("Constraint", "fk_attrs"),
    ("Constraint", "fk_del_set_cols"),
    ("Constraint", "including"),
    ("Constraint", "keys"),
    ("Constraint", "pk_attrs"),
    ("CopyStmt", "attlist"),
    ("CreateAmStmt", "handler_name"),
    ("CreateConversionStmt", "conversion_name"),
    ("CreateConversionStmt", "func_name"),
    ("CreateDomainStmt", "domainname"),
    ("CreateEnumStmt", "type_name"),
    ("CreateEnumStmt", "vals"),
    ("CreateEventTrigStmt", "funcname"),
    ("CreateFunctionStmt", "funcname"),
    ("CreateOpClassStmt", "opclassname"),
    ("CreateOpClassStmt", "opfamilyname"),
    ("CreateOpClassItem", "order_family"),
    ("CreateOpFamilyStmt", "opfamilyname"),
    ("CreatePLangStmt", "plhandler"),
    ("CreatePLangStmt", "plinline"),
    ("CreatePLangStmt", "plvalidator"),
    ("CreateRangeStmt", "type_name"),
    ("CreateStatsStmt", "defnames"),
    ("CreateStatsStmt", "stat_types"),
    ("CreateSubscriptionStmt", "publication"),
    ("CreateTrigStmt", "args"),
    ("CreateTrigStmt", "columns"),
    ("CreateTrigStmt", "funcname"),
    ("DefElem", "arg"),
    ("DefineStmt", "defnames"),
    ("FuncCall", "funcname"),
    ("IndexElem", "collation"),
    ("IndexElem", "opclass"),
    ("IndexStmt", "exclude_op_names"),
    ("InferClause", "conname"),
    ("IntoClause", "col_names"),
    ("ObjectWithArgs", "objargs"),
    ("ObjectWithArgs", "objfuncargs"),
    ("ObjectWithArgs", "objname"),
    ("PartitionElem", "collation"),
    ("PartitionElem", "opclass"),
    ("PublicationTable", "columns"),
    ("ResTarget", "indirection"),
    ("SortBy", "use_op"),
    ("SubLink", "oper_name"),
    ("ViewStmt", "aliases"),
];
