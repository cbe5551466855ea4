//! Shipped and written lenses under the statements of their applications.

mod carried;
mod deadlocks;
mod enhanced_user;
mod estate;
mod generated;
mod in_place;
mod iso_agents;
mod joined;
mod keys;
mod locked;
mod lossy;
mod lost;
mod merge;
mod merged;
mod passed_over;
mod people;
mod references;
mod rekey;
mod steps;
mod studio_customers;
mod tenants;
mod types;
mod upsert;
mod user_settings;
mod waits;
