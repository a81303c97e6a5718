//! Polygon: the words and addresses of its contracts, and the JSON-RPC calls that watch a wallet.
//!
//! Nothing here signs or sends a transaction. [`Call`] gives a request's body, [`Call::read`] its answer; an answer of
//! `0x` means that there is no contract at the address, which is never a balance of zero.
mod rpc;
mod word;

pub use rpc::{Call, Token, chain_id};
pub use word::{Address, Hash, Word, hex, keccak, unhex};

/// Polygon's main network.
pub const CHAIN_ID: u64 = 137;
/// Decimals of POL, the currency that fees are paid in.
pub const POL_DECIMALS: u32 = 18;
/// Base addresses of public providers; two of them, so that one's word is not enough for an alarm.
pub const PRODUCTION: [(&str, &str); 2] = [
    ("rpc", "https://polygon-rpc.com"),
    ("rpc2", "https://polygon-bor-rpc.publicnode.com"),
];

pub(crate) const VENUE: &str = "polygon";
