//! Pages of account queries: orders, trades, positions, cash.
use super::error::{answer, bad, decimal, number_text, qty, refused, shortened_body};
use super::trades::{data_order, order_fact};
use super::{AMOUNT_DECIMALS, CURRENCY};
use crate::gateway::{AccountFact, Balance, Holding, Instruments, OrderFact, Response, WireError};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Positions of one page of the data API.
pub(super) const HOLDINGS_PAGE: u64 = 500;
/// The data API pages no further.
const HOLDINGS_OFFSET_MAX: u64 = 10_000;
/// The cursor that ends a query.
const LAST_CURSOR: &str = "LTE=";

#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) data: Vec<&'a RawValue>,
    next_cursor: Option<String>,
}

impl Page<'_> {
    /// The cursor of the page after it.
    pub(super) fn next(self) -> Option<String> {
        let next = self.next_cursor;
        next.filter(|cursor| !cursor.is_empty() && cursor != LAST_CURSOR)
    }
}

/// A query's path with the page's cursor, whose padding and joints mean other things in a query.
pub(super) fn paged(path: &str, cursor: Option<&str>) -> String {
    let mut target = path.to_owned();
    let Some(cursor) = cursor else {
        return target;
    };
    target.push(if path.contains('?') { '&' } else { '?' });
    target.push_str("next_cursor=");
    for byte in cursor.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

/// The order while it is at work; the answer of one that is not is 404, `null` or empty.
pub(super) fn order_at_work(
    response: &Response<'_>,
    id: &str,
    instruments: &Instruments,
) -> Result<Option<OrderFact>, WireError> {
    const NAME: &str = "/data/order";
    if response.status == 404 {
        return Ok(None);
    }
    if response.status != 200 {
        return Err(refused(response.status, &shortened_body(response)));
    }
    let body = response.body.trim_ascii();
    if body.is_empty() || body == b"null" {
        return Ok(None);
    }
    let raw: &RawValue = answer(NAME, response)?;
    let order = data_order(raw)?;
    if !order.id.eq_ignore_ascii_case(id) {
        return Err(bad(NAME, "id", order.id, "the order asked for"));
    }
    order_fact(&order, instruments)
}

/// A page of the data API's positions, from an offset on; the next page's offset where there may be one.
pub(super) fn holdings(
    response: &Response<'_>,
    instruments: &Instruments,
    offset: u64,
    out: &mut Vec<AccountFact>,
) -> Result<Option<String>, WireError> {
    const NAME: &str = "/positions";
    #[derive(Deserialize)]
    struct Position<'a> {
        asset: &'a str,
        #[serde(borrow)]
        size: &'a RawValue,
    }
    let positions: Vec<Position<'_>> = answer(NAME, response)?;
    for position in &positions {
        if let Some(listed) = instruments.symbol(position.asset) {
            let size = decimal(NAME, "size", position.size)?;
            // A float's digits beyond the token's own are noise.
            let kept = size.trunc_with_scale(listed.decimals.qty.into());
            out.push(AccountFact::Holding(Holding {
                instrument: listed.instrument,
                qty: qty(listed, "size", &kept.to_string())?,
            }));
        }
    }
    if (positions.len() as u64) < HOLDINGS_PAGE {
        return Ok(None);
    }
    let next = offset.saturating_add(HOLDINGS_PAGE);
    if next > HOLDINGS_OFFSET_MAX {
        return Err(refused(
            "too many positions",
            "the data API pages no further",
        ));
    }
    Ok(Some(next.to_string()))
}

/// The collateral. What resting buys will need is part of it: the venue does not tell that apart.
pub(super) fn balance(response: &Response<'_>) -> Result<Balance, WireError> {
    const NAME: &str = "/balance-allowance";
    #[derive(Deserialize)]
    struct Collateral<'a> {
        #[serde(borrow)]
        balance: &'a RawValue,
    }
    let collateral: Collateral<'_> = answer(NAME, response)?;
    let units = decimal(NAME, "balance", collateral.balance)?;
    let free = units.checked_mul(Decimal::new(1, AMOUNT_DECIMALS));
    let free = free.filter(|_| units.normalize().scale() == 0 && !units.is_sign_negative());
    Ok(Balance {
        currency: CURRENCY.to_owned(),
        free: free.ok_or_else(|| {
            let text = number_text(collateral.balance);
            bad(NAME, "balance", text, "a whole number of units of 1e-6")
        })?,
        locked: Decimal::ZERO,
    })
}
