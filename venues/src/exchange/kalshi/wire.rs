//! What the venue's objects look like: fixed-point strings, both legs' prices, the direction in both vocabularies.
use crate::exchange::{VenueFill, VenueOrder};
use onetape_engine::event::{ContractTerms, Liquidity, Strike, TradingRules, TradingStatus};
use onetape_engine::market::Instrument;
use onetape_engine::number::{Decimals, Price, Qty};
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// Orders, fills and public trades have ids of the UUID's form; the last group is the exchange's own number.
const ORDERS: &str = "00000000-0000-4000-8000-";
const FILLS: &str = "00000000-0000-4000-9000-";
const TRADES: &str = "00000000-0000-4000-a000-";
/// Rate of the general fee table, which a series' multiplier is of.
const GENERAL_RATE: Decimal = Decimal::from_parts(7, 0, 0, false, 2);

/// Dollars with four decimals.
pub(super) fn dollars(d: Decimals, price: Price) -> String {
    format!("{:.4}", d.price_decimal(price))
}

/// Dollars of the NO leg.
pub(super) fn no_dollars(d: Decimals, price: Price) -> String {
    format!("{:.4}", Decimal::ONE - d.price_decimal(price))
}

/// Contracts with two decimals.
pub(super) fn count(d: Decimals, qty: Qty) -> String {
    format!("{:.2}", d.qty_decimal(qty))
}

pub(super) fn order_id(id: u64) -> String {
    format!("{ORDERS}{id:012x}")
}

pub(super) fn fill_id(id: u64) -> String {
    format!("{FILLS}{id:012x}")
}

pub(super) fn trade_id(number: u64) -> String {
    format!("{TRADES}{number:012x}")
}

/// The exchange's number of an order id.
pub(super) fn order_number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix(ORDERS)?, 16).ok()
}

/// An RFC 3339 time with microseconds.
pub(super) fn rfc3339(at: Nanos) -> String {
    let (seconds, micros) = (at.0 / 1_000_000_000, at.0 % 1_000_000_000 / 1_000);
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

const fn sides(side: Side) -> (&'static str, &'static str, &'static str) {
    match side {
        Side::Buy => ("bid", "yes", "buy"),
        Side::Sell => ("ask", "no", "sell"),
    }
}

/// An order as REST and the user channel give it.
pub(super) fn order(instrument: &Instrument, order: &VenueOrder) -> Value {
    let d = instrument.decimals();
    let (book_side, outcome_side, action) = sides(order.new.side);
    let (status, rest) = match order.state {
        OrderState::Filled => ("executed", Qty(0)),
        OrderState::Cancelled | OrderState::Expired => ("canceled", Qty(0)),
        _ => ("resting", order.remaining()),
    };
    json!({
        "order_id": order_id(order.id),
        "user_id": "local",
        "client_order_id": order.new.client_id,
        "ticker": instrument.definition.symbol,
        "side": "yes",
        "action": action,
        "is_yes": true,
        "outcome_side": outcome_side,
        "book_side": book_side,
        "type": "limit",
        "status": status,
        "yes_price_dollars": dollars(d, order.new.price),
        "no_price_dollars": no_dollars(d, order.new.price),
        "fill_count_fp": count(d, order.filled),
        "remaining_count_fp": count(d, rest),
        "initial_count_fp": count(d, order.new.qty),
        "created_time": rfc3339(order.placed_at),
        "last_update_time": rfc3339(order.updated_at),
        "expiration_time": null,
        "self_trade_prevention_type": "taker_at_cross",
        "order_group_id": null,
        "subaccount_number": 0,
        "exchange_index": 0,
    })
}

/// A fill as REST gives it.
pub(super) fn fill(instrument: &Instrument, fill: &VenueFill) -> Value {
    let d = instrument.decimals();
    let (book_side, outcome_side, action) = sides(fill.side);
    json!({
        "fill_id": fill_id(fill.id),
        "trade_id": fill_id(fill.id),
        "order_id": order_id(fill.order),
        "ticker": instrument.definition.symbol,
        "market_ticker": instrument.definition.symbol,
        "side": "yes",
        "action": action,
        "outcome_side": outcome_side,
        "book_side": book_side,
        "count_fp": count(d, fill.qty),
        "yes_price_dollars": dollars(d, fill.price),
        "no_price_dollars": no_dollars(d, fill.price),
        "is_taker": fill.liquidity == Liquidity::Taker,
        "created_time": rfc3339(fill.at),
        "fee_cost": fill.fee.to_string(),
        "subaccount_number": 0,
        "exchange_index": 0,
        "ts": fill.at.0 / 1_000_000_000,
    })
}

/// The price bands of a grid, which ends at a dollar.
pub(super) fn price_ranges(d: Decimals, rules: &TradingRules) -> Value {
    let mut starts = vec![(Price(0), rules.tick_size)];
    starts.extend(rules.bands.iter().map(|band| (band.from, band.tick)));
    let ends = starts.iter().skip(1).map(|(from, _)| dollars(d, *from));
    let ends: Vec<String> = ends.chain(["1.0000".to_owned()]).collect();
    let range = |((from, tick), end): (&(Price, Price), &String)| json!({"start": dollars(d, *from), "end": end, "step": dollars(d, *tick)});
    starts.iter().zip(&ends).map(range).collect()
}

/// An event's ticker: the market's without its last part.
pub(super) fn event_of(ticker: &str) -> &str {
    ticker.rsplit_once('-').map_or(ticker, |(event, _)| event)
}

/// A series' ticker: the market's first part.
pub(super) fn series_of(ticker: &str) -> &str {
    ticker.split('-').next().unwrap_or(ticker)
}

/// A market.
pub(super) fn market(instrument: &Instrument, terms: Option<&ContractTerms>, now: Nanos) -> Value {
    let d = instrument.decimals();
    let ticker = &instrument.definition.symbol;
    let status = match (instrument.settled_at, instrument.status) {
        (Some(_), _) => "finalized",
        (None, TradingStatus::Open) => "active",
        (None, TradingStatus::Halted) => "inactive",
        (None, TradingStatus::Closed) => "closed",
    };
    // A journal that tells no terms tells no close: a day away.
    let far = now.after(onetape_engine::time::DAY_NS);
    let closes_at = terms.map_or(far, |terms| terms.closes_at);
    let settles_at = terms.map_or(far, |terms| terms.settles_at);
    let rules_hash = terms.map_or("unknown", |terms| terms.rules_hash.as_str());
    let rules = instrument.rules_at(now);
    let mut fields = Map::new();
    for (name, value) in [
        ("ticker", json!(ticker)),
        ("event_ticker", json!(event_of(ticker))),
        ("market_type", json!("binary")),
        ("status", json!(status)),
        ("open_time", json!(rfc3339(Nanos(0)))),
        ("close_time", json!(rfc3339(closes_at))),
        ("expected_expiration_time", json!(rfc3339(settles_at))),
        ("latest_expiration_time", json!(rfc3339(settles_at))),
        ("settlement_timer_seconds", json!(0)),
        ("notional_value_dollars", json!("1.0000")),
        ("result", json!(result(d, instrument.settled_at))),
        ("rules_primary", json!(format!("{ticker}: {rules_hash}"))),
        ("rules_secondary", json!("")),
        ("price_level_structure", json!("local")),
        (
            "price_ranges",
            rules.map_or(json!([]), |rules| price_ranges(d, rules)),
        ),
        ("exchange_index", json!(0)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    if let Some(value) = instrument.settled_at {
        fields.insert(
            "settlement_value_dollars".to_owned(),
            json!(dollars(d, value)),
        );
    }
    if let Some(temperature) = terms.and_then(|terms| terms.temperature.as_ref()) {
        let (kind, floor, cap) = match temperature.strike {
            Strike::Greater { floor } => ("greater", Some(floor), None),
            Strike::Less { cap } => ("less", None, Some(cap)),
            Strike::Between { floor, cap } => ("between", Some(floor), Some(cap)),
        };
        fields.insert("strike_type".to_owned(), json!(kind));
        fields.insert("floor_strike".to_owned(), json!(floor));
        fields.insert("cap_strike".to_owned(), json!(cap));
    }
    Value::Object(fields)
}

/// How a contract was decided, by what a YES pays.
pub(super) fn result(d: Decimals, settled_at: Option<Price>) -> &'static str {
    match settled_at.map(|price| d.price_decimal(price)) {
        None => "",
        Some(price) if price == Decimal::ONE => "yes",
        Some(price) if price.is_zero() => "no",
        Some(_) => "scalar",
    }
}

/// A series, with the fees of one of its markets.
pub(super) fn series(instrument: &Instrument, now: Nanos) -> Value {
    let fees = instrument.fees_at(now);
    let taker = fees.map_or(GENERAL_RATE, |fees| fees.taker.rate());
    let has_maker_fees = fees.is_some_and(|fees| !fees.maker.rate().is_zero());
    let multiplier = taker / GENERAL_RATE;
    // The document says a number, not a string; an integer or a short decimal is the same text either way.
    let multiplier: Value = serde_json::from_str(&multiplier.round_dp(6).normalize().to_string())
        .unwrap_or_else(|_| json!(1));
    json!({
        "ticker": series_of(&instrument.definition.symbol),
        "frequency": "daily",
        "title": "",
        "category": "Local",
        "tags": [],
        "fee_type": if has_maker_fees { "quadratic_with_maker_fees" } else { "quadratic" },
        "fee_multiplier": multiplier,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ids_have_the_venues_form() {
        assert_eq!(
            rfc3339(Nanos(1_787_234_400_123_456_789)),
            "2026-08-20T14:00:00.123456Z"
        );
        assert_eq!(rfc3339(Nanos(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            rfc3339(Nanos(951_782_400_000_000_000)),
            "2000-02-29T00:00:00.000000Z"
        );
        assert_eq!(order_number(&order_id(77)), Some(77));
        assert_eq!(order_number(&fill_id(77)), None);
        assert_eq!((event_of("A-B-C"), series_of("A-B-C")), ("A-B", "A"));
    }
}
