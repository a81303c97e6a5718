//! The daemon: gateways feed the sequencer, the order path reads its journal, and whatever dies is found out.
#![forbid(unsafe_code)]

pub mod budget;
pub mod client_id;
pub mod core;
pub mod gateway;
pub mod http_client;
pub mod inputs;
pub mod tracker;
