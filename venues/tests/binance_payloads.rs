//! Messages as the venue documents them, read in place.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use onetape_engine::event::Aggressor;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Price, Qty};
use onetape_venues::binance::{DecodeError, Ignored, Message, Product, decode};
use proptest::prelude::*;

const SPOT_DEPTH: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1700000000123,"s":"BTCUSDT","U":11,"u":14,"b":[["61737.63000000","0.00000000"]],"a":[["61837.64","1.5"], ["61839.85","0"]]}}"#;
const FUTURES_DEPTH: &str = r#"{"e":"depthUpdate","E":1700000000123,"T":1700000000120,"s":"BTCUSDT","U":11,"u":14,"pu":9,"b":[["58710.20","0.014"]],"a":[]}"#;
const SPOT_TICKER: &str = r#"{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#;
const FUTURES_TICKER: &str = r#"{"stream":"x","data":{"e":"bookTicker","u":7,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}}"#;
const SPOT_TRADE: &str = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782135,"m":true,"M":true}"#;
const FUTURES_TRADE: &str = r#"{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}"#;
const SNAPSHOT: &str = r#"{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}"#;
const ALL: [&str; 7] = [
    SPOT_DEPTH,
    FUTURES_DEPTH,
    SPOT_TICKER,
    FUTURES_TICKER,
    SPOT_TRADE,
    FUTURES_TRADE,
    SNAPSHOT,
];

fn decimals(price: u8, qty: u8) -> Decimals {
    Decimals::new(price, qty).unwrap()
}

#[test]
fn a_wrapped_spot_diff_is_read_exactly() {
    let Message::Depth(depth) = decode(SPOT_DEPTH).unwrap() else {
        panic!("not a depth update")
    };
    let mut levels = Vec::new();
    let diff = depth
        .diff(Product::Spot, decimals(2, 1), &mut levels)
        .unwrap();
    assert_eq!(
        (depth.symbol, diff.first_id, diff.last_id),
        ("BTCUSDT", 11, 14)
    );
    assert_eq!(diff.venue_time_ns, 1_700_000_000_123_000_000);
    assert_eq!(
        (diff.bids[0].price, diff.bids[0].qty),
        (Price(6_173_763), Qty(0))
    );
    assert_eq!((diff.asks.len(), diff.asks[0].qty), (2, Qty(15)));
}

#[test]
fn a_futures_diff_has_its_predecessor_and_the_time_of_the_change() {
    let Message::Depth(depth) = decode(FUTURES_DEPTH).unwrap() else {
        panic!("not a depth update")
    };
    assert_eq!(
        (depth.previous_id, depth.venue_time_ns),
        (Some(9), 1_700_000_000_120_000_000)
    );
    let Message::Depth(spot) = decode(SPOT_DEPTH).unwrap() else {
        panic!("not a depth update")
    };
    let refused = spot
        .diff(Product::UsdMargined, decimals(2, 1), &mut Vec::new())
        .unwrap_err();
    assert!(matches!(refused, DecodeError::Missing { field: "pu", .. }));
}

#[test]
fn tickers_of_both_products_are_read_and_the_spot_has_no_time() {
    let Message::Ticker(spot) = decode(SPOT_TICKER).unwrap() else {
        panic!("not a ticker")
    };
    let quote = spot.quote(InstrumentId(3), decimals(4, 2)).unwrap();
    assert_eq!(
        (
            quote.venue_time_ns,
            quote.update_id,
            quote.bid_price,
            quote.ask_qty
        ),
        (0, 400_900_217, Price(253_519), Qty(4066))
    );
    let Message::Ticker(futures) = decode(FUTURES_TICKER).unwrap() else {
        panic!("not a ticker")
    };
    assert_eq!(
        (futures.venue_time_ns, futures.ask.0),
        (1_723_161_256_313_000_000, "61800.30")
    );
}

#[test]
fn a_buyer_who_was_the_maker_means_that_the_seller_took() {
    let Message::Trade(spot) = decode(SPOT_TRADE).unwrap() else {
        panic!("not a trade")
    };
    assert_eq!((spot.aggressor, spot.trade_id), (Aggressor::Seller, 12345));
    assert_eq!(
        spot.trade(InstrumentId(0), decimals(3, 0)).unwrap().price,
        Price(1)
    );
    let Message::Trade(futures) = decode(FUTURES_TRADE).unwrap() else {
        panic!("not a trade")
    };
    assert_eq!(
        (futures.aggressor, futures.venue_time_ns),
        (Aggressor::Buyer, 1_723_161_256_321_000_000)
    );
}

#[test]
fn a_trade_outside_the_order_book_is_ignored() {
    let text = FUTURES_TRADE.replace("MARKET", "INSURANCE_FUND");
    assert!(matches!(
        decode(&text),
        Ok(Message::Ignored(Ignored::OffBookTrade))
    ));
    assert!(matches!(
        decode(&FUTURES_TRADE.replace("MARKET", "NA")),
        Ok(Message::Ignored(_))
    ));
}

#[test]
fn a_snapshot_is_read() {
    let Message::Snapshot(snapshot) = decode(SNAPSHOT).unwrap() else {
        panic!("not a snapshot")
    };
    let mut levels = Vec::new();
    let (bids, asks) = snapshot.sides(decimals(6, 0), &mut levels).unwrap();
    assert_eq!(
        (snapshot.last_id, bids[0].qty, asks[0].price),
        (1_027_024, Qty(431), Price(4_000_002))
    );
}

#[test]
fn refusals_name_field_and_value() {
    let text = |e: DecodeError| e.to_string();
    assert!(
        text(decode(r#"{"stream":"btcusdt@kline_1m","data":{"e":"kline"}}"#).unwrap_err())
            .contains("'kline'")
    );
    assert!(
        text(decode(r#"{"stream":"btcusdt@miniTicker","data":{}}"#).unwrap_err())
            .contains("btcusdt@miniTicker")
    );
    assert!(
        text(decode(&SPOT_DEPTH.replace("\"u\":14", "\"u\":-4")).unwrap_err())
            .contains("'u' is -4")
    );
    assert!(
        text(decode(&SPOT_DEPTH.replace("\"u\":14", "\"u\":10")).unwrap_err())
            .contains("'U' is 11")
    );
    assert!(
        text(decode(&SPOT_TRADE.replace("\"t\":12345,", "")).unwrap_err())
            .contains("without field 't'")
    );
    assert!(text(decode(&SPOT_TRADE.replace("true,", "1,")).unwrap_err()).contains("'m' is 1"));
    assert!(matches!(decode("[1,2]"), Err(DecodeError::NotJson(_))));
    let Message::Depth(depth) = decode(SPOT_DEPTH).unwrap() else {
        panic!("not a depth update")
    };
    let finer = depth
        .diff(Product::Spot, decimals(1, 1), &mut Vec::new())
        .unwrap_err();
    assert!(
        finer.to_string().contains("61737.63")
            && finer.to_string().contains("more than 1 decimals"),
        "{finer}"
    );
    let negative = SPOT_DEPTH.replace("\"1.5\"", "\"-1.5\"");
    let Message::Depth(depth) = decode(&negative).unwrap() else {
        panic!("not a depth update")
    };
    assert!(
        text(
            depth
                .diff(Product::Spot, decimals(2, 1), &mut Vec::new())
                .unwrap_err()
        )
        .contains("-1.5")
    );
}

/// Reads a message with everything in it; what it says does not matter here.
fn read_all(text: &str) {
    let mut levels = Vec::new();
    let d = decimals(8, 8);
    match decode(text) {
        Ok(Message::Depth(depth)) => drop(depth.diff(Product::Spot, d, &mut levels)),
        Ok(Message::Snapshot(snapshot)) => drop(snapshot.sides(d, &mut levels)),
        Ok(Message::Ticker(ticker)) => drop(ticker.quote(InstrumentId(0), d)),
        Ok(Message::Trade(trade)) => drop(trade.trade(InstrumentId(0), d)),
        Ok(Message::Ignored(_)) | Err(_) => {}
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_mutated_payload_never_panics(
        which in 0..ALL.len(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..8),
    ) {
        let mut bytes = ALL[which].as_bytes().to_vec();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { if bytes.len() > 1 { bytes.remove(at); } }
            }
        }
        read_all(&String::from_utf8_lossy(&bytes));
    }
}
