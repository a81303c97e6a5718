//! The price grid of KRW markets ("KRW market price unit", in force since 2025-07-31) and the least totals of orders.
use onetape_engine::number::Decimals;

/// Decimals of every instrument: the finest tick and the finest volume are 0.00000001.
pub const DECIMALS: Decimals = Decimals { price: 8, qty: 8 };

/// From which price on which tick holds, ascending.
pub const KRW_TICKS: [(&str, &str); 16] = [
    ("0", "0.00000001"),
    ("0.00001", "0.0000001"),
    ("0.0001", "0.000001"),
    ("0.001", "0.00001"),
    ("0.01", "0.0001"),
    ("0.1", "0.001"),
    ("1", "0.01"),
    ("10", "0.1"),
    ("100", "1"),
    ("1000", "1"),
    ("5000", "5"),
    ("10000", "10"),
    ("50000", "50"),
    ("100000", "100"),
    ("500000", "500"),
    ("1000000", "1000"),
];

/// The tick of a KRW market at a price, by the table; `None` for a price that is no number.
pub fn krw_tick(price: &str) -> Option<&'static str> {
    let at = DECIMALS.parse_price(price).ok()?;
    let mut ticks = KRW_TICKS.iter().rev();
    ticks
        .find(|(from, _)| DECIMALS.parse_price(from).is_ok_and(|from| from <= at))
        .map(|(_, tick)| *tick)
}

/// The least total of an order in a quote currency; `None` where the documents name none.
pub fn minimum_total(quote: &str) -> Option<&'static str> {
    match quote {
        "KRW" => Some("5000"),
        "BTC" => Some("0.00005"),
        "USDT" => Some("0.5"),
        _ => None,
    }
}
