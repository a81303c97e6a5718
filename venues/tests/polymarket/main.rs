//! Polymarket's protocols as state machines: what a feed does with gaps, silence and reconnects, what the order interface makes
//! of every answer, and that no bytes break a reader.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests fail as tests do
mod any_bytes;
mod leaders;
mod market;
mod orders;
mod user;

use onetape_engine::event::{BookUpdate, Event, Kind, Level};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use onetape_venues::gateway::{Instruments, Listed, Outbox, Response};
use onetape_venues::polymarket::auth::Credentials;
use secrecy::SecretString;

const DECIMALS: Decimals = Decimals { price: 4, qty: 6 };

fn instruments(symbols: &[&str]) -> Instruments {
    let all = symbols.iter().enumerate();
    Instruments::new(all.map(|(id, symbol)| Listed {
        instrument: InstrumentId(id as u32),
        symbol: (*symbol).to_owned(),
        decimals: DECIMALS,
    }))
}

fn credentials() -> Credentials {
    Credentials {
        key: "our-key".to_owned(),
        secret: SecretString::from("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        passphrase: SecretString::from("a"),
    }
}

fn ok(body: &str) -> Response<'_> {
    answer(200, body)
}

fn answer(status: u16, body: &str) -> Response<'_> {
    Response {
        status,
        headers: &[],
        body: body.as_bytes(),
    }
}

/// The inputs, short.
fn events(out: &Outbox) -> Vec<String> {
    let show = |(kind, payload): (Kind, &[u8])| {
        // Hot events are read in place and want the tape's alignment.
        let mut words = vec![0u64; payload.len().div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(payload.chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(eight);
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        match Event::decode(kind.number(), &bytes[..payload.len()]).unwrap() {
            Event::BookSnapshot(book) => {
                format!("{} book {}", book.header.instrument.0, sides(&book))
            }
            Event::BookDelta(book) => {
                format!("{} delta {}", book.header.instrument.0, sides(&book))
            }
            Event::FeedState(state) => format!("{} {:?}", state.instrument.0, state.condition),
            Event::Trade(trade) => format!("{} trade {}", trade.instrument.0, trade.price.0),
            Event::TradingRules(rules) => {
                format!("{} tick {}", rules.instrument.0, rules.tick_size.0)
            }
            Event::Resolution(r) => format!("{} pays {}", r.instrument.0, r.settlement_price.0),
            other => format!("{other:?}"),
        }
    };
    out.events().map(show).collect()
}

fn sides(book: &BookUpdate<'_>) -> String {
    let side = |levels: &[Level]| {
        let levels: Vec<String> = levels
            .iter()
            .map(|level| format!("{}x{}", level.price.0, level.qty.0 / 1_000_000))
            .collect();
        levels.join(" ")
    };
    format!("{} | {}", side(book.bids), side(book.asks))
}
