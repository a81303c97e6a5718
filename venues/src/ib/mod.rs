//! Interactive Brokers through a gateway (TWS or IB Gateway) on this machine: orders of stocks.
//!
//! Source: venues.md, chapter 7; the gateway's protobuf messages of server version 213 and later, which crate `ibapi` speaks.
//! What the gateway says is in [`frame`] and [`proto`], pure, for the stand-in gateway and for tests; orders go through
//! [`Broker`], behind which `ibapi` is hidden. [`Account`] turns what the gateway tells of orders into facts, pure as well.
//!
//! - Executions are the truth: a status may be repeated or left out. A fee comes apart from its execution.
//! - Only the client id that placed an order sees it: one id a process, configured, the same after every restart.
//! - Notices (2103, 2105, 10182, ...) never end a connection; ending it leads to error 326 ("client id in use").
mod account;
mod broker;
pub mod frame;
#[cfg(feature = "ib")]
mod gateway;
mod listing;
pub mod proto;

pub(crate) use account::decimal;
pub use account::{Account, Commission, Execution, OpenOrder, Status};
pub use broker::{
    Broker, BrokerError, BrokerEvent, Config, Contract, Contracts, Mode, Oca, RefusedConfig, orders,
};
#[cfg(feature = "ib")]
pub use gateway::Gateway;
pub use listing::{Details, broker_symbol, list};

/// Where gateways listen on this machine.
pub const PORTS: [(&str, u16); 4] = [
    ("gateway paper", 4002),
    ("gateway live", 4001),
    ("tws paper", 7497),
    ("tws live", 7496),
];

const VENUE: &str = "ib";
