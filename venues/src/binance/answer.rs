//! REST answers about orders, trades and the account ("Public API Definitions", rest-api.md), and what a status means.
use super::error::{bad_field, malformed};
use super::pairs::{Pair, Pairs, decimal};
use crate::gateway::{
    AccountFact, Balance, FillFact, OrderFact, OrderKey, Response, WireError, shortened,
};
use onetape_engine::event::Liquidity;
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::{Nanos, SECOND_NS};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What the venue says when it refuses: `{"code":-1121,"msg":"Invalid symbol."}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{code}: {msg}")]
pub struct ApiError {
    /// The venue's code ("Error codes", errors.md), negative.
    pub code: i64,
    /// Its words.
    pub msg: String,
}

impl ApiError {
    /// The error in a body.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when there is none.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        read("error", body)
    }

    pub(super) fn words(&self) -> String {
        shortened(&self.to_string())
    }
}

/// What an answer to a signed request amounts to.
#[derive(Debug)]
pub(super) enum Judged<'a> {
    /// The venue did it.
    Done(&'a [u8]),
    /// The venue did not do it, and says why.
    Refused(ApiError),
    /// It did not take the request for now.
    Busy { retry_after_ms: u64, why: String },
    /// Nobody knows whether it did: no answer, 5xx, or one of the codes that say so.
    Unknown(String),
}

/// Judges an answer by status and code. "HTTP Return Codes": 5xx is not a failure, the execution status is unknown.
pub(super) fn judged<'a>(response: Option<&Response<'a>>) -> Judged<'a> {
    let Some(response) = response else {
        return Judged::Unknown("no answer".to_owned());
    };
    let error = ApiError::read(response.body);
    let words = || match &error {
        Ok(error) => error.words(),
        Err(_) => format!("http {}", response.status),
    };
    let busy = |default_s: u64| {
        let asked = response.header("retry-after");
        let seconds = asked.and_then(|text| text.parse().ok());
        Judged::Busy {
            retry_after_ms: seconds.unwrap_or(default_s).saturating_mul(1000),
            why: words(),
        }
    };
    match (response.status, &error) {
        (200..=299, _) => Judged::Done(response.body),
        // A ban begins at two minutes ("IP Limits").
        (418, _) => busy(120),
        (429, _) | (_, Ok(ApiError { code: -1003, .. })) => busy(60),
        (_, Ok(ApiError { code: -1015, .. })) => busy(10),
        // The firewall's page, not the exchange's answer.
        (403, Err(_)) => busy(60),
        (500.., _) | (_, Err(_)) => Judged::Unknown(words()),
        // UNKNOWN, DISCONNECTED, UNEXPECTED_RESP, TIMEOUT: "execution status unknown".
        (_, Ok(error)) if matches!(error.code, -1007 | -1006 | -1001 | -1000) => {
            Judged::Unknown(words())
        }
        (_, Ok(error)) => Judged::Refused(error.clone()),
    }
}

/// The body of a query that has to succeed.
pub(super) fn body<'a>(response: &Response<'a>) -> Result<&'a [u8], WireError> {
    let refused = |code: String, message: String| WireError::Refused {
        venue: super::VENUE,
        code,
        message,
    };
    match judged(Some(response)) {
        Judged::Done(body) => Ok(body),
        Judged::Refused(error) => Err(refused(error.code.to_string(), shortened(&error.msg))),
        Judged::Busy { why, .. } | Judged::Unknown(why) => {
            Err(refused(response.status.to_string(), why))
        }
    }
}

/// Reads JSON; the error names the message.
pub(super) fn read<'a, T: Deserialize<'a>>(message: &str, body: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|e| malformed(message, &e.to_string()))
}

/// `status` of an order ("ENUM definitions").
pub(super) fn order_state(message: &str, status: &str) -> Result<OrderState, WireError> {
    Ok(match status {
        "NEW" | "PENDING_NEW" | "PENDING_CANCEL" => OrderState::Acked,
        "PARTIALLY_FILLED" => OrderState::PartiallyFilled,
        "FILLED" => OrderState::Filled,
        "CANCELED" => OrderState::Cancelled,
        "REJECTED" => OrderState::Rejected,
        "EXPIRED" | "EXPIRED_IN_MATCH" => OrderState::Expired,
        other => {
            return Err(bad_field(
                message,
                "status",
                other,
                "a status of the documents",
            ));
        }
    })
}

/// Milliseconds of the venue.
pub(super) const fn from_ms(ms: u64) -> Nanos {
    Nanos(ms.saturating_mul(1_000_000))
}

/// Milliseconds for the venue.
pub(super) const fn to_ms(time: Nanos) -> u64 {
    time.0 / (SECOND_NS / 1000)
}

/// An order in the answers to POST, DELETE, GET order and openOrders; each leaves out some fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderAnswer<'a> {
    #[serde(borrow)]
    pub(super) symbol: Cow<'a, str>,
    pub(super) order_id: u64,
    #[serde(borrow)]
    client_order_id: Cow<'a, str>,
    /// In a cancel's answer our id; `client_order_id` is the cancel's own there.
    #[serde(borrow)]
    orig_client_order_id: Option<Cow<'a, str>>,
    transact_time: Option<u64>,
    #[serde(borrow)]
    pub(super) executed_qty: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    side: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reject_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    expiry_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fills: Vec<OrderFill<'a>>,
}

/// A fill in the FULL answer to POST.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderFill<'a> {
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    qty: Cow<'a, str>,
    #[serde(borrow)]
    commission: Cow<'a, str>,
    #[serde(borrow)]
    commission_asset: Cow<'a, str>,
    trade_id: u64,
}

impl OrderAnswer<'_> {
    /// Our id of the order.
    pub(super) fn client_id(&self) -> &str {
        self.orig_client_order_id
            .as_ref()
            .unwrap_or(&self.client_order_id)
    }

    fn key(&self) -> OrderKey {
        OrderKey {
            client_id: Some(self.client_id().to_owned()),
            venue_id: Some(self.order_id.to_string()),
        }
    }

    /// The fills that the answer lists (what is filled on arrival took), then the state; nothing for an ACK.
    pub(super) fn facts(&self, pair: &Pair, out: &mut Vec<AccountFact>) -> Result<(), WireError> {
        const NAME: &str = "order";
        for fill in &self.fills {
            let price = pair.price("price", &fill.price)?;
            let commission = decimal(NAME, "commission", &fill.commission)?;
            let side = self.side.as_deref().unwrap_or_default();
            out.push(AccountFact::Fill(FillFact {
                key: self.key(),
                instrument: pair.listed.instrument,
                fill_id: fill.trade_id.to_string(),
                side: read_side(NAME, side)?,
                price,
                qty: pair.qty("qty", &fill.qty)?,
                fee: pair.fee_in_quote(commission, &fill.commission_asset, price),
                liquidity: Liquidity::Taker,
                at: from_ms(self.transact_time.unwrap_or(0)),
                is_final: true,
            }));
        }
        let Some(status) = &self.status else {
            return Ok(());
        };
        let filled = self.executed_qty.as_deref();
        let reason = self.expiry_reason.map(|raw| raw.get().trim_matches('"'));
        let why = self.reject_reason.as_deref().or(reason).unwrap_or_default();
        out.push(AccountFact::Order(OrderFact {
            key: self.key(),
            instrument: pair.listed.instrument,
            state: order_state(NAME, status)?,
            filled: filled
                .map(|text| pair.qty("executedQty", text))
                .transpose()?,
            why: shortened(why),
        }));
        Ok(())
    }
}

/// BUY or SELL.
pub(super) fn read_side(message: &str, text: &str) -> Result<Side, WireError> {
    match text {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        other => Err(bad_field(message, "side", other, "BUY or SELL")),
    }
}

/// A row of myTrades.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TradeRow<'a> {
    #[serde(borrow)]
    pub(super) symbol: Cow<'a, str>,
    pub(super) id: u64,
    pub(super) order_id: u64,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    qty: Cow<'a, str>,
    #[serde(borrow)]
    commission: Cow<'a, str>,
    #[serde(borrow)]
    commission_asset: Cow<'a, str>,
    time: u64,
    is_buyer: bool,
    is_maker: bool,
}

impl TradeRow<'_> {
    /// The fill; rows name the venue's order id only.
    pub(super) fn fill(&self, pair: &Pair, client_id: Option<&str>) -> Result<FillFact, WireError> {
        let price = pair.price("price", &self.price)?;
        let commission = decimal("myTrades", "commission", &self.commission)?;
        Ok(FillFact {
            key: OrderKey {
                client_id: client_id.map(str::to_owned),
                venue_id: Some(self.order_id.to_string()),
            },
            instrument: pair.listed.instrument,
            fill_id: self.id.to_string(),
            side: if self.is_buyer { Side::Buy } else { Side::Sell },
            price,
            qty: pair.qty("qty", &self.qty)?,
            fee: pair.fee_in_quote(commission, &self.commission_asset, price),
            liquidity: if self.is_maker {
                Liquidity::Maker
            } else {
                Liquidity::Taker
            },
            at: from_ms(self.time),
            is_final: true,
        })
    }
}

/// GET account, as far as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Account<'a> {
    #[serde(borrow)]
    pub(super) balances: Vec<AssetBalance<'a>>,
}

/// A balance of GET account.
#[derive(Debug, Deserialize)]
pub(super) struct AssetBalance<'a> {
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    free: Cow<'a, str>,
    #[serde(borrow)]
    locked: Cow<'a, str>,
}

impl AssetBalance<'_> {
    pub(super) fn balance(&self) -> Result<Balance, WireError> {
        Ok(Balance {
            currency: self.asset.to_uppercase(),
            free: decimal("account", "free", &self.free)?,
            locked: decimal("account", "locked", &self.locked)?,
        })
    }
}

/// GET time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerTime {
    pub(super) server_time: u64,
}

/// The pair of a symbol that must be ours.
pub(super) fn pair_of<'a>(
    pairs: &'a Pairs,
    message: &str,
    symbol: &str,
) -> Result<&'a Pair, WireError> {
    pairs
        .symbol(symbol)
        .ok_or_else(|| bad_field(message, "symbol", symbol, "a symbol on the tape"))
}
