//! What the venue says of our own account: `myOrder` and `myAsset` of the private socket, orders and accounts of REST.
use super::error::{bad_field, number};
use super::message::{NS_PER_MS, price, qty, read, utf8};
use super::number::NumberText;
use super::time::parse_rfc3339;
use super::{VENUE, currencies};
use crate::gateway::{
    AccountFact, Balance, FillFact, Holding, Instruments, Listed, OrderFact, OrderKey, WireError,
    shortened,
};
use onetape_engine::event::Liquidity;
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::borrow::Cow;

/// Decimals of a fee on the tape.
const FEE_DECIMALS: u32 = 18;

/// A `myOrder` frame: an order of ours was placed, traded, or ended.
#[derive(Debug, Deserialize)]
pub struct MyOrder<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    uuid: Cow<'a, str>,
    #[serde(borrow)]
    ask_bid: Cow<'a, str>,
    #[serde(borrow)]
    order_type: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow)]
    trade_uuid: Option<Cow<'a, str>>,
    /// In state `trade` the trade's, otherwise the order's.
    #[serde(borrow)]
    price: Option<NumberText<'a>>,
    /// In state `trade` the trade's, otherwise the order's.
    #[serde(borrow)]
    volume: Option<NumberText<'a>>,
    #[serde(borrow)]
    remaining_volume: Option<NumberText<'a>>,
    #[serde(borrow)]
    executed_volume: NumberText<'a>,
    #[serde(borrow)]
    time_in_force: Option<Cow<'a, str>>,
    #[serde(borrow)]
    trade_fee: Option<NumberText<'a>>,
    is_maker: Option<bool>,
    #[serde(borrow)]
    identifier: Option<Cow<'a, str>>,
    trade_timestamp: Option<u64>,
}

impl MyOrder<'_> {
    /// The fill, where it is one, then the order's state. Nothing for a market that is not on the tape.
    ///
    /// # Errors
    /// [`WireError`] for a value out of its range.
    pub fn facts(
        &self,
        instruments: &Instruments,
        out: &mut Vec<AccountFact>,
    ) -> Result<(), WireError> {
        const NAME: &str = "myOrder";
        let Some(listed) = instruments.symbol(&self.code) else {
            return Ok(());
        };
        let key = OrderKey {
            client_id: self.identifier.as_deref().map(str::to_owned),
            venue_id: Some(self.uuid.as_ref().to_owned()),
        };
        let missing = |field| bad_field(NAME, field, "missing", "a value in state trade");
        if self.state == "trade" {
            let trade = self
                .trade_uuid
                .as_deref()
                .ok_or_else(|| missing("trade_uuid"))?;
            let fee = self.trade_fee;
            out.push(AccountFact::Fill(FillFact {
                key: key.clone(),
                instrument: listed.instrument,
                fill_id: trade.to_owned(),
                side: side(NAME, &self.ask_bid)?,
                price: price(listed, "price", self.price.ok_or_else(|| missing("price"))?)?,
                qty: qty(
                    listed,
                    "volume",
                    self.volume.ok_or_else(|| missing("volume"))?,
                )?,
                fee: fee
                    .map(|fee| amount(&self.code, "trade_fee", fee))
                    .transpose()?,
                liquidity: if self.is_maker == Some(true) {
                    Liquidity::Maker
                } else {
                    Liquidity::Taker
                },
                at: Nanos(self.trade_timestamp.unwrap_or(0).saturating_mul(NS_PER_MS)),
                is_final: true,
            }));
        }
        let remaining = self.remaining_volume;
        let standing = Standing {
            state: &self.state,
            order_type: &self.order_type,
            time_in_force: self.time_in_force.as_deref(),
            executed: qty(listed, "executed_volume", self.executed_volume)?,
            remaining: remaining
                .map(|text| qty(listed, "remaining_volume", text))
                .transpose()?,
        };
        out.push(AccountFact::Order(standing.fact(NAME, listed, key)?));
        Ok(())
    }
}

/// What decides on an order's state.
struct Standing<'a> {
    state: &'a str,
    order_type: &'a str,
    time_in_force: Option<&'a str>,
    executed: Qty,
    remaining: Option<Qty>,
}

impl Standing<'_> {
    fn fact(self, message: &str, listed: &Listed, key: OrderKey) -> Result<OrderFact, WireError> {
        let is_filled = self.executed > Qty(0);
        let takes_only = matches!(self.time_in_force, Some("ioc" | "fok"));
        let state = match self.state {
            // `prevented`: a part met an order of our own; what becomes of the order follows.
            "wait" | "watch" | "prevented" if is_filled => OrderState::PartiallyFilled,
            "wait" | "watch" | "prevented" => OrderState::Acked,
            "trade" if self.remaining == Some(Qty(0)) => OrderState::Filled,
            "trade" => OrderState::PartiallyFilled,
            "done" => OrderState::Filled,
            // An order for an amount of money ends so when it is filled: what buys no more units is given back.
            "cancel" if is_filled && matches!(self.order_type, "price" | "best") => {
                OrderState::Filled
            }
            "cancel" if is_filled && self.remaining == Some(Qty(0)) => OrderState::Filled,
            "cancel" if takes_only || matches!(self.order_type, "price" | "market" | "best") => {
                OrderState::Expired
            }
            "cancel" => OrderState::Cancelled,
            other => {
                return Err(bad_field(
                    message,
                    "state",
                    other,
                    "a state of the documents",
                ));
            }
        };
        Ok(OrderFact {
            key,
            instrument: listed.instrument,
            state,
            filled: Some(self.executed),
            why: String::new(),
        })
    }
}

fn side(message: &str, text: &str) -> Result<Side, WireError> {
    match text {
        "BID" | "bid" => Ok(Side::Buy),
        "ASK" | "ask" => Ok(Side::Sell),
        other => Err(bad_field(message, "side", other, "bid or ask")),
    }
}

fn amount(symbol: &str, field: &'static str, text: NumberText<'_>) -> Result<Decimal, WireError> {
    let read = text.number().and_then(|number| number.decimal());
    read.map_err(|why| number(symbol, field, text.text(), why))
}

/// A `myAsset` frame.
#[derive(Debug, Deserialize)]
pub struct MyAsset<'a> {
    #[serde(borrow)]
    assets: Vec<AccountRow<'a>>,
}

impl MyAsset<'_> {
    /// The balances.
    ///
    /// # Errors
    /// [`WireError`] for an amount that is no number.
    pub fn facts(&self, out: &mut Vec<AccountFact>) -> Result<(), WireError> {
        for row in &self.assets {
            out.push(AccountFact::Balance(row.balance()?));
        }
        Ok(())
    }
}

/// A balance, in `myAsset` and in the answer to GET /v1/accounts.
#[derive(Debug, Deserialize)]
pub struct AccountRow<'a> {
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow)]
    balance: NumberText<'a>,
    #[serde(borrow)]
    locked: NumberText<'a>,
}

impl<'a> AccountRow<'a> {
    /// The rows of a REST answer.
    ///
    /// # Errors
    /// [`WireError::Malformed`].
    pub fn list(body: &'a [u8]) -> Result<Vec<Self>, WireError> {
        read("accounts", utf8("accounts", body)?)
    }

    /// The balance; `balance` is what is free.
    ///
    /// # Errors
    /// [`WireError`] for an amount that is no number.
    pub fn balance(&self) -> Result<Balance, WireError> {
        Ok(Balance {
            currency: self.currency.to_uppercase(),
            free: amount(&self.currency, "balance", self.balance)?,
            locked: amount(&self.currency, "locked", self.locked)?,
        })
    }

    /// The balance as a position in the first market that trades the currency. What is below the instrument's decimals is
    /// dust that can't be traded.
    ///
    /// # Errors
    /// [`WireError`] for an amount that is no number or too large.
    pub fn holding(&self, instruments: &Instruments) -> Result<Option<Holding>, WireError> {
        let balance = self.balance()?;
        let trades = |listed: &&Listed| {
            currencies(&listed.symbol).is_some_and(|(base, _)| base == balance.currency)
        };
        let Some(listed) = instruments.iter().find(trades) else {
            return Ok(None);
        };
        let decimals = listed.decimals;
        let total = (balance.free + balance.locked).trunc_with_scale(decimals.qty.into());
        let qty = decimals
            .qty_from(total)
            .map_err(|why| number(&listed.symbol, "balance", &total.to_string(), why))?;
        Ok(Some(Holding {
            instrument: listed.instrument,
            qty,
        }))
    }
}

/// An order in REST answers. Lists leave out the trades.
#[derive(Debug, Deserialize)]
pub struct OrderAnswer<'a> {
    /// The venue's id.
    #[serde(borrow)]
    pub uuid: Cow<'a, str>,
    /// Its market.
    #[serde(borrow)]
    pub market: Cow<'a, str>,
    /// Our id; orders placed elsewhere have none.
    #[serde(borrow)]
    pub identifier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    ord_type: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    remaining_volume: Option<NumberText<'a>>,
    #[serde(borrow)]
    executed_volume: NumberText<'a>,
    #[serde(borrow)]
    paid_fee: NumberText<'a>,
    #[serde(borrow)]
    time_in_force: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    trades: Vec<OrderTrade<'a>>,
}

#[derive(Debug, Deserialize)]
struct OrderTrade<'a> {
    #[serde(borrow)]
    uuid: Cow<'a, str>,
    #[serde(borrow)]
    price: NumberText<'a>,
    #[serde(borrow)]
    volume: NumberText<'a>,
    #[serde(borrow)]
    funds: NumberText<'a>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
}

impl<'a> OrderAnswer<'a> {
    /// One order.
    ///
    /// # Errors
    /// [`WireError::Malformed`].
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        read("order", utf8("order", body)?)
    }

    /// A list of orders.
    ///
    /// # Errors
    /// [`WireError::Malformed`].
    pub fn list(body: &'a [u8]) -> Result<Vec<Self>, WireError> {
        read("orders", utf8("orders", body)?)
    }

    /// When it was placed.
    ///
    /// # Errors
    /// [`WireError::BadField`].
    pub fn created_at(&self) -> Result<Nanos, WireError> {
        read_time(&self.created_at)
    }

    /// How much of it was filled.
    ///
    /// # Errors
    /// [`WireError`] when that is no number, or finer than the market's quantities.
    pub fn executed(&self, listed: &Listed) -> Result<Qty, WireError> {
        qty(listed, "executed_volume", self.executed_volume)
    }

    fn key(&self) -> OrderKey {
        OrderKey {
            client_id: self.identifier.as_deref().map(str::to_owned),
            venue_id: Some(self.uuid.as_ref().to_owned()),
        }
    }

    /// How the order stands.
    ///
    /// # Errors
    /// [`WireError`] for a value out of its range.
    pub fn state(&self, listed: &Listed) -> Result<OrderFact, WireError> {
        let remaining = self.remaining_volume;
        let standing = Standing {
            state: &self.state,
            order_type: &self.ord_type,
            time_in_force: self.time_in_force.as_deref(),
            executed: self.executed(listed)?,
            remaining: remaining
                .map(|text| qty(listed, "remaining_volume", text))
                .transpose()?,
        };
        standing.fact("order", listed, self.key())
    }

    /// Its fills, which must add up to what is executed: a list that lags behind is not the truth yet.
    ///
    /// The answer has one fee for the order; a fill's is its part by funds, for the rate is the same for all. Whether a
    /// fill rested is not said either: one in the second of the order's creation took.
    ///
    /// # Errors
    /// [`WireError`] for a value out of its range, or fills that don't add up.
    pub fn fills(&self, listed: &Listed) -> Result<Vec<FillFact>, WireError> {
        const NAME: &str = "order";
        let created_at = self.created_at()?;
        let paid = amount(&self.market, "paid_fee", self.paid_fee)?;
        let mut funds = Vec::with_capacity(self.trades.len());
        for trade in &self.trades {
            funds.push(amount(&self.market, "funds", trade.funds)?);
        }
        let total: Decimal = funds.iter().sum();
        let mut sum = Qty(0);
        let mut fills = Vec::with_capacity(self.trades.len());
        for (trade, funds) in self.trades.iter().zip(funds) {
            let volume = qty(listed, "volume", trade.volume)?;
            sum = Qty(sum.0.saturating_add(volume.0));
            let at = read_time(&trade.created_at)?;
            let fee = paid
                .checked_mul(funds)
                .and_then(|part| part.checked_div(total))
                .map(|fee| fee.round_dp(FEE_DECIMALS).normalize());
            fills.push(FillFact {
                key: self.key(),
                instrument: listed.instrument,
                fill_id: trade.uuid.as_ref().to_owned(),
                side: side(NAME, &self.side)?,
                price: price(listed, "price", trade.price)?,
                qty: volume,
                fee,
                liquidity: if at == created_at {
                    Liquidity::Taker
                } else {
                    Liquidity::Maker
                },
                at,
                is_final: true,
            });
        }
        if sum != self.executed(listed)? {
            let text = self.executed_volume.text();
            return Err(bad_field(
                NAME,
                "executed_volume",
                text,
                "the sum of the trades",
            ));
        }
        Ok(fills)
    }
}

fn read_time(text: &str) -> Result<Nanos, WireError> {
    parse_rfc3339(text).ok_or_else(|| WireError::BadField {
        venue: VENUE,
        message: "order".to_owned(),
        field: "created_at",
        value: shortened(text),
        expected: "a time such as 2019-01-04T13:48:09+09:00",
    })
}
