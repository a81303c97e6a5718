//! Polymarket's face: CLOB, Gamma, data API and both channels, from one address.
//!
//! Written from the venue's documents, not from the code that talks to it, but for what both sides have to compute alike:
//! the order's hash, whose signature is checked by recovering its key, and the signature of a request.
//!
//! What it takes: GTC and FAK orders of the wallet in [`Keys`], version 2 of the exchange. GTD and FOK are refused by name.
//! A FAK buy takes the shares that its dollars buy at the limit; the venue itself may give more where its book is better.
//! A fill is a trade that is MATCHED at once, MINED and CONFIRMED a little later, or FAILED, when the truth takes it back.
//! Every token is a market of its own; the other outcome of it has an id and no book.
mod account;
mod data;
mod lifecycle;
mod markets;
mod orders;
mod requests;
mod sockets;
mod wire;

use super::{Exchange, Truth, with_clock, with_faults};
use crate::polygon::{Address, Word, hex, keccak, unhex};
use crate::polymarket::auth::Credentials;
use crate::polymarket::eip712::Signer;
use crate::polymarket::{VENUE, Wallet, WalletKind};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use lifecycle::Stage;
use onetape_engine::event::{ContractTerms, LeaderPortfolio, LeaderTrade};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::time::Nanos;
use secrecy::SecretString;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::broadcast;

/// What the one account of the venue signs with.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The private key, as a configuration has it.
    pub private_key: SecretString,
    /// The wallet.
    pub wallet: Wallet,
    /// For requests and the user channel.
    pub credentials: Credentials,
}

impl Keys {
    /// New ones, for this run alone; `None` where the system has no random numbers.
    pub fn generate(kind: WalletKind) -> Option<Self> {
        let random = SystemRandom::new();
        let bytes = || {
            let mut bytes = [0u8; 32];
            random.fill(&mut bytes).ok().map(|()| bytes)
        };
        let private_key = SecretString::from(hex(&bytes()?));
        let signer = Signer::new(&private_key).ok()?;
        // A deposit wallet's address follows from its factory, which nobody asks here.
        let deposit = Address::of_hash(&keccak(&[b"deposit", &signer.address().0]));
        let funder = (kind == WalletKind::Deposit).then_some(deposit);
        let id = hex(&bytes()?);
        let id = id.trim_start_matches("0x");
        Some(Self {
            private_key,
            wallet: Wallet::new(signer, kind, funder)?,
            credentials: Credentials {
                key: format!("{}-{}", id.get(..8)?, id.get(8..12)?),
                secret: SecretString::from(URL_SAFE.encode(bytes()?)),
                passphrase: SecretString::from(hex(&bytes()?)),
            },
        })
    }
}

/// The id of an instrument's token: its symbol where that is one, otherwise a number made of it, for journals that name
/// their tokens.
pub fn token_id(symbol: &str) -> String {
    match Word::parse(symbol) {
        Some(_) => symbol.to_owned(),
        None => Word(keccak(&[symbol.as_bytes()])).to_string(),
    }
}

/// The other outcome of a token's market.
fn other_token(token: &str) -> String {
    Word(keccak(&[b"not", token.as_bytes()])).to_string()
}

/// The id of a token's market.
fn condition_id(token: &str) -> String {
    hex(&keccak(&[b"condition", token.as_bytes()]))
}

/// A rule text. A journal has the hash of the true one only, so what is served names that: contracts of one rule have one
/// text, and its own hash is another one.
pub fn rules_text(rules_hash: &str) -> String {
    format!("The rules '{rules_hash}' on the local exchange.")
}

/// Trades of a wallet that are remembered, all wallets together.
const LEADER_ROWS_MAX: usize = 100_000;

/// What the truth does not keep.
#[derive(Debug, Default)]
struct Kept {
    /// How far each fill's trade is.
    stages: BTreeMap<u64, Stage>,
    terms: BTreeMap<InstrumentId, ContractTerms>,
    leader_trades: VecDeque<LeaderTrade>,
    portfolios: BTreeMap<String, LeaderPortfolio>,
    /// The heartbeat that the next one has to name, and when it came.
    heartbeat: Option<(String, Instant)>,
    heartbeats: u64,
}

#[derive(Debug)]
struct Face {
    exchange: Arc<Exchange>,
    keys: Keys,
    kept: Mutex<Kept>,
    /// Messages of the user channel.
    told: broadcast::Sender<Arc<str>>,
    /// Rows of the stream of all trades.
    rows: broadcast::Sender<Arc<str>>,
}

impl Face {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What is kept is changed in one step each time.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The venue's clock.
    fn now(&self) -> Nanos {
        let skew = self.exchange.faults().clock_skew_ms(VENUE);
        let now = self.exchange.now().0.cast_signed();
        Nanos(
            now.saturating_add(skew.saturating_mul(1_000_000))
                .max(0)
                .cast_unsigned(),
        )
    }

    fn token<'a>(truth: &'a Truth, token: &str) -> Option<&'a Instrument> {
        let of = |instrument: &&Instrument| token_id(&instrument.definition.symbol) == token;
        truth.instruments(VENUE).find(of)
    }

    fn condition<'a>(truth: &'a Truth, condition: &str) -> Option<&'a Instrument> {
        let of = |instrument: &&Instrument| {
            condition_id(&token_id(&instrument.definition.symbol)) == condition
        };
        truth.instruments(VENUE).find(of)
    }
}

/// Messages that a slow client of a channel may fall behind.
const BEHIND_MAX: usize = 4_096;

/// The face. Has to be made inside a runtime: what becomes of trades, and of orders without heartbeats, goes on by itself.
pub fn router(exchange: Arc<Exchange>, keys: Keys) -> Router {
    let face = Arc::new(Face {
        exchange: Arc::clone(&exchange),
        keys,
        kept: Mutex::new(Kept::default()),
        told: broadcast::channel(BEHIND_MAX).0,
        rows: broadcast::channel(BEHIND_MAX).0,
    });
    lifecycle::spawn(&face);
    Router::new()
        .route("/order", post(orders::place).delete(orders::cancel))
        .route("/orders", delete(orders::cancel_many))
        .route("/cancel-all", delete(orders::cancel_everything))
        .route("/cancel-market-orders", delete(orders::cancel_market))
        .route("/data/order/{id}", get(account::order))
        .route("/data/orders", get(account::orders))
        .route("/data/trades", get(account::trades))
        .route("/balance-allowance", get(account::balance))
        .route("/v1/heartbeats", post(account::heartbeat))
        .route("/book", get(markets::book))
        .route("/clob-markets/{condition}", get(markets::clob_market))
        .route("/markets-by-token/{token}", get(markets::market_by_token))
        .route("/version", get(markets::version))
        .route("/time", get(markets::time))
        .route("/markets", get(markets::gamma))
        .route("/trades", get(data::trades))
        .route("/positions", get(data::positions))
        .route("/ws/market", get(sockets::market))
        .route("/ws/user", get(sockets::user))
        .route("/", get(sockets::stream).post(data::rpc))
        .with_state(face)
        .layer(from_fn_with_state((exchange.clone(), VENUE), with_faults))
        .layer(from_fn_with_state((exchange, VENUE), with_clock))
}

/// A key's bytes out of hex, for what only compares.
fn same_hex(a: &str, b: &str) -> bool {
    unhex(a).is_some_and(|a| unhex(b) == Some(a))
}
