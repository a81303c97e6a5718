//! The venue's JSON, made of what the truth has.
use super::lifecycle::Stage;
use super::{Face, condition_id, other_token, token_id};
use crate::exchange::{VenueFill, VenueOrder};
use onetape_engine::event::{FeeSchedule, Liquidity, TradingRules};
use onetape_engine::fees::FeeFormula;
use onetape_engine::market::Instrument;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::{Nanos, SECOND_NS};
use serde_json::{Value, json};

pub(super) fn price_text(instrument: &Instrument, price: Price) -> String {
    instrument
        .decimals()
        .price_decimal(price)
        .normalize()
        .to_string()
}

pub(super) fn qty_text(instrument: &Instrument, qty: Qty) -> String {
    instrument
        .decimals()
        .qty_decimal(qty)
        .normalize()
        .to_string()
}

pub(super) fn millis(at: Nanos) -> String {
    (at.0 / 1_000_000).to_string()
}

/// A JSON number of plain decimal text.
pub(super) fn number(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or_default()
}

/// A time in ISO 8601, UTC, to the second.
pub(super) fn iso(at: Nanos) -> String {
    let (day, second) = (at.utc_day(), at.0 / SECOND_NS % 86_400);
    // H. Hinnant, civil_from_days.
    let days = day + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let part = (5 * of_year + 2) / 153;
    let date = of_year - (153 * part + 2) / 5 + 1;
    let month = if part < 10 { part + 3 } else { part - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{:02}Z",
        second % 60
    )
}

fn seconds(at: Nanos) -> u64 {
    at.0 / SECOND_NS
}

pub(super) const fn side_word(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// One level of a book.
pub(super) type Shown = (Price, Qty);

/// The book that is shown: the L2 book, or the quote where there is none. Bids ascend and asks descend, the best last.
pub(super) fn shown(instrument: &Instrument) -> (Vec<Shown>, Vec<Shown>) {
    let mut sides = match instrument.book() {
        Some(book) => {
            let side = |side| book.side(side).levels().map(|l| (l.price, l.qty)).collect();
            (side(Side::Buy), side(Side::Sell))
        }
        None => {
            let top = instrument.quote().unwrap_or_default();
            let side = |side| {
                top.side(side)
                    .map(|l| (l.price, l.qty))
                    .into_iter()
                    .collect()
            };
            (side(Side::Buy), side(Side::Sell))
        }
    };
    let (bids, asks): (&mut Vec<Shown>, &mut Vec<Shown>) = (&mut sides.0, &mut sides.1);
    bids.reverse();
    asks.reverse();
    sides
}

fn level(instrument: &Instrument, (price, qty): &Shown) -> Value {
    json!({ "price": price_text(instrument, *price), "size": qty_text(instrument, *qty) })
}

/// A `book` message of the market channel.
pub(super) fn book(
    instrument: &Instrument,
    (bids, asks): &(Vec<Shown>, Vec<Shown>),
    at: Nanos,
) -> Value {
    let token = token_id(&instrument.definition.symbol);
    let levels = |side: &[Shown]| -> Vec<Value> {
        side.iter().map(|shown| level(instrument, shown)).collect()
    };
    json!({
        "event_type": "book", "market": condition_id(&token), "asset_id": token, "timestamp": millis(at), "hash": "",
        "bids": levels(bids), "asks": levels(asks),
    })
}

/// The answer of `/book`.
pub(super) fn rest_book(instrument: &Instrument, rules: &TradingRules) -> Value {
    let mut book = book(instrument, &shown(instrument), instrument.top_received_at());
    if let Value::Object(fields) = &mut book {
        fields.remove("event_type");
        let last = instrument
            .last_trade
            .map(|price| price_text(instrument, price));
        fields.insert(
            "min_order_size".into(),
            qty_text(instrument, rules.min_qty).into(),
        );
        fields.insert(
            "tick_size".into(),
            price_text(instrument, rules.tick_size).into(),
        );
        fields.insert("neg_risk".into(), false.into());
        fields.insert("last_trade_price".into(), last.unwrap_or_default().into());
    }
    book
}

/// The answer of `/clob-markets`, with its short names.
pub(super) fn clob_market(
    instrument: &Instrument,
    rules: &TradingRules,
    fees: Option<&FeeSchedule>,
) -> Value {
    let token = token_id(&instrument.definition.symbol);
    let mut market = json!({
        "c": condition_id(&token),
        "t": [{ "t": token, "o": "Yes" }, { "t": other_token(&token), "o": "No" }],
        "mos": number(qty_text(instrument, rules.min_qty)),
        "mts": number(price_text(instrument, rules.tick_size)),
        "mbf": 0, "tbf": 0,
    });
    if let Some(FeeFormula::Probability { rate, exponent }) = fees.map(|fees| fees.taker) {
        let details = json!({ "r": number(rate.to_string()), "e": exponent, "to": true });
        market["fd"] = details;
    }
    market
}

/// How an order stands, in the words of the user channel and of `/data/order`.
pub(super) fn order(face: &Face, instrument: &Instrument, order: &VenueOrder) -> Value {
    let token = token_id(&instrument.definition.symbol);
    let status = match order.state {
        OrderState::Filled => "MATCHED",
        OrderState::Cancelled | OrderState::Expired => "CANCELED",
        _ => "LIVE",
    };
    json!({
        "id": order.new.client_id, "status": status, "owner": face.keys.credentials.key,
        "order_owner": face.keys.credentials.key, "maker_address": face.keys.wallet.funder.to_string(),
        "market": condition_id(&token), "asset_id": token, "side": side_word(order.new.side),
        "original_size": qty_text(instrument, order.new.qty), "size_matched": qty_text(instrument, order.filled),
        "price": price_text(instrument, order.new.price), "associate_trades": null, "outcome": "Yes",
        "created_at": seconds(order.placed_at), "expiration": "0", "order_type": "GTC",
        "timestamp": millis(order.updated_at),
    })
}

/// Somebody else.
pub(super) const STRANGER: &str = "0x000000000000000000000000000000000000dead";

/// A fill as the venue tells it: the outer fields are the taker's, who may be a stranger.
pub(super) fn trade(face: &Face, instrument: &Instrument, fill: &VenueFill, stage: Stage) -> Value {
    let token = token_id(&instrument.definition.symbol);
    let (price, size) = (
        price_text(instrument, fill.price),
        qty_text(instrument, fill.qty),
    );
    let (key, funder) = (
        &face.keys.credentials.key,
        face.keys.wallet.funder.to_string(),
    );
    let took = fill.liquidity == Liquidity::Taker;
    let stranger = |id: &str| format!("0x{id:0>64}");
    let (maker_order, maker_key, maker, taker_order, taker_key) = if took {
        let other = stranger(&format!("a{}", fill.id));
        (
            other,
            "a-stranger",
            STRANGER,
            fill.client_id.clone(),
            key.as_str(),
        )
    } else {
        let other = stranger(&format!("b{}", fill.id));
        (
            fill.client_id.clone(),
            key.as_str(),
            funder.as_str(),
            other,
            "a-stranger",
        )
    };
    let taker_side = if took {
        fill.side
    } else {
        fill.side.opposite()
    };
    json!({
        "id": format!("trade-{}", fill.id), "status": stage.name(), "type": "TRADE", "market": condition_id(&token),
        "asset_id": token, "side": side_word(taker_side), "size": size, "price": price, "outcome": "Yes",
        "taker_order_id": taker_order, "owner": taker_key, "trade_owner": taker_key, "fee_rate_bps": "",
        "trader_side": if took { "TAKER" } else { "MAKER" },
        "match_time": seconds(fill.at).to_string(), "last_update": seconds(fill.at).to_string(),
        "timestamp": millis(fill.at),
        "maker_orders": [{
            "order_id": maker_order, "owner": maker_key, "maker_address": maker, "asset_id": token,
            "matched_amount": size, "price": price, "side": side_word(taker_side.opposite()), "outcome": "Yes",
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_read_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_773_307_500, "2026-03-12T09:25:00Z"),
        ] {
            assert_eq!(iso(Nanos(seconds * SECOND_NS)), text);
        }
    }
}
