//! The daemon: gateways feed the sequencer, the order path reads its journal, and whatever dies is found out.
#![forbid(unsafe_code)]

mod alarms;
pub mod budget;
pub mod client_id;
pub mod clock_offset;
pub mod config;
pub mod control;
pub mod core;
pub mod daemon;
pub mod disk;
pub mod env_file;
mod exchange_facts;
pub mod exchange_host;
mod fit;
pub mod gateway;
pub mod http;
pub mod http_client;
pub mod ib;
pub mod inputs;
pub mod intents;
pub mod keeper;
pub mod latency;
pub mod lease;
pub mod order_path;
mod probe;
mod processor;
mod rehearsal;
mod relist;
pub mod replica;
mod sources;
mod telegram;
pub mod tracker;
pub mod transport;
pub mod venues;
pub mod verifier;
