//! Rule files, lenses and the rewriting of SQL statements.
//!
//! This library knows SQL and rule files. It never touches a socket, a clock, a file or a log:
//! it is handed texts and gives back values.

mod bind;
mod by_key;
mod calls;
mod comments;
mod constants;
mod cost;
mod executing;
mod failure;
pub mod fence;
mod hidden;
pub mod keeping;
mod legend;
pub mod lens;
mod meaning;
mod mention;
mod namesakes;
mod parse;
pub mod phase;
mod preparable;
mod reading;
mod refuse;
mod rewrite;
mod rule_file;
pub mod rule_set;
mod rule_sql;
mod search_path;
mod shapes;
pub mod statement;
pub mod strings;
mod template;
mod text;
mod text_functions;

#[doc(hidden)]
pub use bind::NamedColumns;
pub use calls::{TIMES, Tally};
pub use comments::Bare;
pub use executing::Executed;
pub use failure::Failure;
pub use fence::{Epoch, Held};
pub use lens::{LegacyColumn, Lens, TableName, Tenant};
pub use meaning::Touch;
pub use mention::Body;
pub use namesakes::{Namesake, Namesakes};
pub use phase::Phase;
pub use preparable::{Parameter, Preparable};
pub use rule_file::schema::schema;
pub use rule_set::{
    ListedBy, Migration, NoTenant, OnUnifiedError, RuleErrors, RuleSet, SourceFile, WritersAround,
};
pub use search_path::Meaning;
pub use shapes::{CountedShape, shape, shape_of_beginning, statements};
pub use statement::{
    Answer, Around, Does, Foreign, Mapped, Named, Names, Needs, OnPrepared, Reading, Refusal,
    Rename, Rewritten, SearchPath, ServerVersion, SessionEffects, ShadowPair, TagVerb, TenantId,
    Try, Verdict, Within,
};
pub use strings::Strings;
