//! What becomes of statements: the same answers as PostgreSQL's, whatever was rewritten.

mod both_names;
mod cache_same_answers;
mod commands;
mod comments;
mod copy_prepared;
mod functions;
mod hidden;
mod kept_queries;
mod keys;
mod meaning;
mod merge;
mod orms;
mod parts;
mod prepared;
mod same_answers;
mod search_path;
mod strings;
mod subqueries;
mod templates;
mod tries;
