//! What both REST and the sockets write: numbers, ids, times, states.
use super::VENUE;
use crate::exchange::{Truth, VenueFill, VenueOrder};
use crate::upbit::{bid_lock, currencies};
use onetape_engine::event::Liquidity;
use onetape_engine::market::Instrument;
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::time::{DAY_NS, Nanos, SECOND_NS};
use rust_decimal::Decimal;

/// A JSON number as the venue prints it: plain from 0.001 to 10 million, otherwise scientific.
pub(super) fn number(value: Decimal) -> String {
    let value = value.normalize();
    let digits = value.mantissa().unsigned_abs().to_string();
    let scale = i64::from(value.scale());
    let exponent = digits.len() as i64 - 1 - scale;
    if value.is_zero() || (-3..7).contains(&exponent) {
        let text = value.to_string();
        return if scale == 0 { text + ".0" } else { text };
    }
    let (first, rest) = digits.split_at(1);
    let rest = rest.trim_end_matches('0');
    let rest = if rest.is_empty() { "0" } else { rest };
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{first}.{rest}E{exponent}")
}

/// Orders and fills have UUIDs there; here they hold the exchange's numbers.
pub(super) fn order_uuid(id: u64) -> String {
    format!("00000000-0000-4000-8000-{id:012x}")
}

pub(super) fn fill_uuid(id: u64) -> String {
    format!("00000000-0000-4000-9000-{id:012x}")
}

pub(super) fn order_id(uuid: &str) -> Option<u64> {
    let hex = uuid.strip_prefix("00000000-0000-4000-8000-")?;
    u64::from_str_radix(hex, 16).ok()
}

/// "2025-07-28T14:04:11+09:00".
pub(super) fn kst(at: Nanos) -> String {
    let local = at.after(9 * 3600 * SECOND_NS);
    // Days since 0000-03-01 in eras of 400 years.
    let days = local.0 / DAY_NS + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let seconds = local.0 % DAY_NS / SECOND_NS;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+09:00")
}

/// A market order to buy: it came as an amount of money.
pub(super) fn is_for_money(order: &VenueOrder) -> bool {
    order.new.order_type == OrderType::Market && order.new.side == Side::Buy
}

pub(super) fn order_type(order: &VenueOrder) -> &'static str {
    match (order.new.order_type, order.new.side) {
        (OrderType::Market, Side::Buy) => "price",
        (OrderType::Market, Side::Sell) => "market",
        _ => "limit",
    }
}

pub(super) fn time_in_force(order: &VenueOrder) -> Option<&'static str> {
    match (order.new.order_type, order.new.time_in_force) {
        (OrderType::Limit, TimeInForce::ImmediateOrCancel) => Some("ioc"),
        (OrderType::Limit, TimeInForce::PostOnly) => Some("post_only"),
        _ => None,
    }
}

pub(super) fn state(order: &VenueOrder) -> &'static str {
    match order.state {
        // What buys no more units is given back, and the order ends so.
        OrderState::Filled if is_for_money(order) => "cancel",
        OrderState::Filled => "done",
        OrderState::Cancelled | OrderState::Expired | OrderState::Rejected => "cancel",
        OrderState::Decided
        | OrderState::Sent
        | OrderState::Acked
        | OrderState::PartiallyFilled
        | OrderState::Unknown => "wait",
    }
}

/// Amounts of an order, as decimals.
pub(super) struct Amounts {
    pub(super) price: Option<Decimal>,
    pub(super) volume: Option<Decimal>,
    pub(super) remaining: Option<Decimal>,
    pub(super) executed: Decimal,
    pub(super) paid_fee: Decimal,
    pub(super) funds: Decimal,
    /// Fee and all that the rest holds back.
    pub(super) reserved_fee: Decimal,
    pub(super) locked: Decimal,
}

pub(super) fn amounts(order: &VenueOrder, one: &Instrument, now: Nanos) -> Amounts {
    let d = one.decimals();
    let is_market = order.new.order_type == OrderType::Market;
    let (price, volume) = (
        d.price_decimal(order.new.price),
        d.qty_decimal(order.new.qty),
    );
    let remaining = d.qty_decimal(order.remaining());
    let rate = one
        .fees_at(now)
        .map_or(Decimal::ZERO, |fees| fees.formula(Liquidity::Taker).rate());
    let (reserved_fee, locked) = match (order.is_open(), order.new.side) {
        (true, Side::Buy) => bid_lock(price, remaining, rate)
            .map_or((Decimal::ZERO, Decimal::ZERO), |lock| {
                (lock.fee, lock.locked)
            }),
        (true, Side::Sell) => (Decimal::ZERO, remaining),
        (false, _) => (Decimal::ZERO, Decimal::ZERO),
    };
    let money = |money: onetape_engine::number::Money| money.to_decimal().unwrap_or_default();
    Amounts {
        price: (!is_market).then_some(price),
        volume: (!is_for_money(order)).then_some(volume),
        remaining: (!is_for_money(order)).then_some(remaining),
        executed: d.qty_decimal(order.filled),
        paid_fee: money(order.fees),
        funds: money(order.filled_notional),
        reserved_fee,
        locked,
    }
}

/// Bid or ask, in the sockets' capitals.
pub(super) fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "BID",
        Side::Sell => "ASK",
    }
}

/// Free and locked by currency; `only` those where it is not empty.
pub(super) fn balances(
    truth: &Truth,
    only: &[&str],
    now: Nanos,
) -> Vec<(String, Decimal, Decimal)> {
    let mut all = Vec::new();
    let locked_by = |buys: bool, currency: &str| -> Decimal {
        let orders = truth.open_orders(VENUE);
        let locks = orders.filter_map(|order| {
            let one = truth.market().instrument(order.new.instrument).ok()?;
            let (base, quote) = currencies(&one.definition.symbol)?;
            let of = if buys { quote } else { base };
            let is = of == currency && (order.new.side == Side::Buy) == buys;
            is.then(|| amounts(order, one, now).locked)
        });
        locks.sum()
    };
    for (currency, total, _) in truth.cash(VENUE) {
        let locked = locked_by(true, &currency);
        all.push((currency, total - locked, locked));
    }
    for one in truth.instruments(VENUE) {
        let held = one.decimals().qty_decimal(truth.holding(one.id()));
        let base = &one.definition.base;
        if !all.iter().any(|(currency, _, _)| currency == base) {
            let locked = locked_by(false, base);
            all.push((base.clone(), held - locked, locked));
        }
    }
    all.retain(|(currency, _, _)| only.is_empty() || only.contains(&currency.as_str()));
    all
}

/// The fills of an order, oldest first.
pub(super) fn fills<'a>(
    truth: &'a Truth,
    order: &'a VenueOrder,
) -> impl Iterator<Item = &'a VenueFill> {
    truth.fills(VENUE).filter(|fill| fill.order == order.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upbit::{Number, parse_rfc3339};

    #[test]
    fn numbers_are_printed_as_the_venue_does() {
        let printed = |text: &str| number(Decimal::from_str_exact(text).unwrap());
        for (value, text) in [
            ("116539000", "1.16539E8"),
            ("0.00008428", "8.428E-5"),
            ("37625", "37625.0"),
            ("0.02054761", "0.02054761"),
            ("10000000", "1.0E7"),
            ("9999999.5", "9999999.5"),
            ("0", "0.0"),
            ("-0.0005", "-5.0E-4"),
        ] {
            assert_eq!(printed(value), text);
            let read = Number::parse(text).unwrap().decimal().unwrap();
            assert_eq!(read, Decimal::from_str_exact(value).unwrap());
        }
    }

    #[test]
    fn times_read_back() {
        for seconds in [0, 951_782_400, 1_546_577_289, 1_709_164_800, 4_102_444_799] {
            let at = Nanos(seconds * SECOND_NS);
            assert_eq!(parse_rfc3339(&kst(at)), Some(at), "{}", kst(at));
        }
        assert_eq!(
            kst(Nanos(1_546_577_289 * SECOND_NS)),
            "2019-01-04T13:48:09+09:00"
        );
    }

    #[test]
    fn a_uuid_is_its_number() {
        assert_eq!(order_id(&order_uuid(77)), Some(77));
        assert_eq!(order_id(&fill_uuid(77)), None);
    }
}
