//! Our orders and trades as the user channel and the CLOB's `/data` answers tell them, and the facts that follow.
//!
//! Source: the venue's page on the user channel. A trade's outer fields are the taker's; where we rested, what is ours stands
//! in `maker_orders`, and its token may be the other one of the market. A trade is final when CONFIRMED or FAILED.
use super::error::{bad, json, number_text, price, qty, seconds_or_millis};
use super::message::{need, side, text};
use crate::gateway::{
    AccountFact, FillFact, Instruments, Listed, OrderFact, OrderKey, WireError, shortened,
};
use crate::polygon::Address;
use onetape_engine::event::Liquidity;
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::Nanos;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An order of ours, from the channel or from `/data/order`.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnOrder<'a> {
    /// Its hash.
    pub id: &'a str,
    /// The token.
    pub asset_id: &'a str,
    /// LIVE, MATCHED, CANCELED, `CANCELED_...`, INVALID, ...
    pub status: &'a str,
    /// PLACEMENT, UPDATE or CANCELLATION; empty in `/data` answers.
    pub event: &'a str,
    /// Shares ordered.
    pub original_size: &'a str,
    /// Shares matched so far.
    pub size_matched: &'a str,
}

/// How far a trade is. Answers to requests can prefix the words with `TRADE_STATUS_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeStatus {
    /// MATCHED, MATCHED_NOT_BROADCASTED, MINED or RETRYING: it can still fail.
    Provisional,
    /// CONFIRMED.
    Final,
    /// FAILED: it never was.
    Failed,
}

impl TradeStatus {
    fn read(text: &str) -> Result<Self, WireError> {
        Ok(match text.trim_start_matches("TRADE_STATUS_") {
            "MATCHED" | "MATCHED_NOT_BROADCASTED" | "MINED" | "RETRYING" => {
                TradeStatus::Provisional
            }
            "CONFIRMED" => TradeStatus::Final,
            "FAILED" => TradeStatus::Failed,
            _ => {
                return Err(bad(
                    "trade",
                    "status",
                    text,
                    "MATCHED, MINED, CONFIRMED, RETRYING or FAILED",
                ));
            }
        })
    }
}

/// A trade that an order of ours is part of.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnTrade<'a> {
    /// The venue's id.
    pub id: &'a str,
    /// How far it is.
    pub status: TradeStatus,
    /// The taker's order.
    pub taker_order_id: &'a str,
    /// The taker's token.
    pub asset_id: &'a str,
    /// The taker's side.
    pub side: Side,
    /// Shares in all.
    pub size: &'a str,
    /// The taker's price.
    pub price: &'a str,
    /// The API key of the side that is told, where the answer has it.
    pub owner: &'a str,
    /// TAKER or MAKER: which we were; empty where the channel does not say.
    pub trader_side: &'a str,
    /// When it matched.
    pub at: Nanos,
    /// Who rested.
    pub makers: Vec<MakerOrder<'a>>,
}

/// An order that rested, and its part of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakerOrder<'a> {
    /// Its hash.
    pub order_id: &'a str,
    /// Its API key.
    pub owner: &'a str,
    /// Its wallet; empty where the channel does not say.
    pub maker_address: &'a str,
    /// Its token.
    pub asset_id: &'a str,
    /// Its shares in the trade.
    pub matched_amount: &'a str,
    /// Its price.
    pub price: &'a str,
    /// Its side, where it is told.
    pub side: Option<Side>,
}

/// A message of the user channel.
#[derive(Clone, Debug, PartialEq)]
pub enum UserMessage<'a> {
    /// `order`.
    Order(OwnOrder<'a>),
    /// `trade`.
    Trade(OwnTrade<'a>),
    /// The answer to a text `PING`.
    Pong,
}

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    event_type: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    asset_id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow, rename = "type")]
    event: Raw<'a>,
    #[serde(borrow)]
    original_size: Raw<'a>,
    #[serde(borrow)]
    size_matched: Raw<'a>,
    #[serde(borrow)]
    side: Raw<'a>,
    #[serde(borrow)]
    size: Raw<'a>,
    #[serde(borrow)]
    price: Raw<'a>,
    #[serde(borrow)]
    owner: Raw<'a>,
    #[serde(borrow)]
    trade_owner: Raw<'a>,
    #[serde(borrow)]
    trader_side: Raw<'a>,
    #[serde(borrow)]
    taker_order_id: Raw<'a>,
    #[serde(borrow)]
    matchtime: Raw<'a>,
    #[serde(borrow)]
    match_time: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    maker_orders: Option<Vec<RawMaker<'a>>>,
}

#[derive(Deserialize)]
struct RawMaker<'a> {
    #[serde(borrow)]
    order_id: Raw<'a>,
    #[serde(borrow)]
    owner: Raw<'a>,
    #[serde(borrow)]
    maker_address: Raw<'a>,
    #[serde(borrow)]
    asset_id: Raw<'a>,
    #[serde(borrow)]
    matched_amount: Raw<'a>,
    #[serde(borrow)]
    price: Raw<'a>,
    #[serde(borrow)]
    side: Raw<'a>,
}

/// Reads one frame of the user channel: one message or a list.
///
/// # Errors
/// [`WireError`]; never a panic, whatever the bytes.
pub fn decode_user(bytes: &[u8]) -> Result<Vec<UserMessage<'_>>, WireError> {
    const NAME: &str = "user message";
    let text = text(NAME, bytes)?;
    let all: Vec<Fields<'_>> = match text.as_bytes().first() {
        Some(b'{') => vec![json(NAME, text.as_bytes())?],
        Some(b'[') => json(NAME, text.as_bytes())?,
        _ if text == "PONG" => return Ok(vec![UserMessage::Pong]),
        _ => return Err(bad(NAME, "frame", text, "an object, a list or PONG")),
    };
    all.iter().map(user_message).collect()
}

fn user_message<'a>(f: &Fields<'a>) -> Result<UserMessage<'a>, WireError> {
    const NAME: &str = "user message";
    match need(NAME, "event_type", f.event_type)? {
        "order" => order(f).map(UserMessage::Order),
        "trade" => trade(f).map(UserMessage::Trade),
        other => Err(bad(NAME, "event_type", other, "order or trade")),
    }
}

/// Reads an order of a `/data` answer.
pub(super) fn data_order(raw: &RawValue) -> Result<OwnOrder<'_>, WireError> {
    order(&json("/data/order", raw.get().as_bytes())?)
}

/// Reads a trade of a `/data/trades` answer.
pub(super) fn data_trade(raw: &RawValue) -> Result<OwnTrade<'_>, WireError> {
    trade(&json("/data/trades", raw.get().as_bytes())?)
}

fn order<'a>(f: &Fields<'a>) -> Result<OwnOrder<'a>, WireError> {
    const NAME: &str = "order";
    Ok(OwnOrder {
        id: need(NAME, "id", f.id)?,
        asset_id: need(NAME, "asset_id", f.asset_id)?,
        status: f.status.map(number_text).unwrap_or_default(),
        event: f.event.map(number_text).unwrap_or_default(),
        original_size: need(NAME, "original_size", f.original_size)?,
        size_matched: need(NAME, "size_matched", f.size_matched)?,
    })
}

fn trade<'a>(f: &Fields<'a>) -> Result<OwnTrade<'a>, WireError> {
    const NAME: &str = "trade";
    let optional = |raw: Raw<'a>| raw.map(number_text).unwrap_or_default();
    let at = f.matchtime.or(f.match_time).or(f.timestamp);
    let maker = |m: &RawMaker<'a>| {
        const NAME: &str = "maker order";
        let told = optional(m.side);
        Ok(MakerOrder {
            order_id: need(NAME, "order_id", m.order_id)?,
            owner: optional(m.owner),
            maker_address: optional(m.maker_address),
            asset_id: need(NAME, "asset_id", m.asset_id)?,
            matched_amount: need(NAME, "matched_amount", m.matched_amount)?,
            price: need(NAME, "price", m.price)?,
            side: (!told.is_empty()).then(|| side(NAME, told)).transpose()?,
        })
    };
    let makers = f.maker_orders.as_deref().unwrap_or_default().iter();
    Ok(OwnTrade {
        id: need(NAME, "id", f.id)?,
        status: TradeStatus::read(need(NAME, "status", f.status)?)?,
        taker_order_id: optional(f.taker_order_id),
        asset_id: need(NAME, "asset_id", f.asset_id)?,
        side: side(NAME, need(NAME, "side", f.side)?)?,
        size: need(NAME, "size", f.size)?,
        price: need(NAME, "price", f.price)?,
        owner: f
            .trade_owner
            .or(f.owner)
            .map(number_text)
            .unwrap_or_default(),
        trader_side: optional(f.trader_side),
        at: seconds_or_millis(NAME, "match_time", need(NAME, "match_time", at)?)?,
        makers: makers.map(maker).collect::<Result<_, WireError>>()?,
    })
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) api_key: String,
    pub(super) funder: Address,
}

impl Owner {
    fn made(&self, maker: &MakerOrder<'_>) -> bool {
        maker.owner == self.api_key || Address::parse(maker.maker_address) == Some(self.funder)
    }
}

fn by_hash(id: &str) -> OrderKey {
    OrderKey {
        client_id: None,
        venue_id: Some(id.to_owned()),
    }
}

/// What may stay unfilled of an order that is filled: less than a hundredth of a share.
pub(super) fn dust(listed: &Listed) -> i64 {
    let decimals = u32::from(listed.decimals.qty).saturating_sub(2);
    10i64.saturating_pow(decimals)
}

/// The order's state; `None` for a token that is not on the tape.
pub(super) fn order_fact(
    order: &OwnOrder<'_>,
    instruments: &Instruments,
) -> Result<Option<OrderFact>, WireError> {
    let Some(listed) = instruments.symbol(order.asset_id) else {
        return Ok(None);
    };
    let original = qty(listed, "original_size", order.original_size)?;
    let filled = qty(listed, "size_matched", order.size_matched)?;
    let status = order.status.trim_start_matches("ORDER_STATUS_");
    let is_filled = original.0 > 0 && original.0.saturating_sub(filled.0) < dust(listed);
    let ended = order.event == "CANCELLATION" || status.starts_with("CANCEL");
    let state = match status {
        // Whatever else is said: all of it is filled.
        _ if is_filled => OrderState::Filled,
        _ if ended => OrderState::Cancelled,
        "INVALID" => OrderState::Rejected,
        // MATCHED comes for parts, too.
        "LIVE" | "MATCHED" | "DELAYED" | "UNMATCHED" | "" if filled == Qty(0) => OrderState::Acked,
        "LIVE" | "MATCHED" | "DELAYED" | "UNMATCHED" | "" => OrderState::PartiallyFilled,
        other => {
            return Err(bad(
                "order",
                "status",
                other,
                "LIVE, MATCHED, CANCELED or INVALID",
            ));
        }
    };
    let told = matches!(status, "LIVE" | "MATCHED" | "");
    Ok(Some(OrderFact {
        key: by_hash(order.id),
        instrument: listed.instrument,
        state,
        filled: Some(filled),
        why: if told {
            String::new()
        } else {
            shortened(status)
        },
    }))
}

/// Our part of a trade: fills, or their reversal. Tokens that are not on the tape are left out.
pub(super) fn fill_facts(
    trade: &OwnTrade<'_>,
    instruments: &Instruments,
    owner: &Owner,
    out: &mut Vec<AccountFact>,
) -> Result<(), WireError> {
    let ours = || trade.makers.iter().filter(|maker| owner.made(maker));
    let rested = match trade.trader_side {
        "MAKER" => true,
        "TAKER" => false,
        // The channel need not say which we were. Where one key stands on both sides, what took is found by a look-up.
        _ => ours().next().is_some(),
    };
    if rested {
        if ours().next().is_none() {
            return Err(bad("trade", "maker_orders", trade.id, "an order of ours"));
        }
        for maker in ours() {
            // The other token was bought as well: both together are a whole pair, newly made.
            let same_token = maker.asset_id == trade.asset_id;
            let implied = if same_token {
                trade.side.opposite()
            } else {
                trade.side
            };
            let part = Part {
                order: maker.order_id,
                asset_id: maker.asset_id,
                fill_id: format!("{}:{}", trade.id, maker.order_id),
                side: maker.side.unwrap_or(implied),
                price: maker.price,
                size: maker.matched_amount,
                liquidity: Liquidity::Maker,
            };
            part.fact(trade, instruments, out)?;
        }
        return Ok(());
    }
    if !trade.owner.is_empty() && trade.owner != owner.api_key {
        return Err(bad("trade", "owner", trade.id, "our API key on one side"));
    }
    let part = Part {
        order: trade.taker_order_id,
        asset_id: trade.asset_id,
        fill_id: trade.id.to_owned(),
        side: trade.side,
        price: trade.price,
        size: trade.size,
        liquidity: Liquidity::Taker,
    };
    part.fact(trade, instruments, out)
}

/// One order's part of a trade.
struct Part<'a> {
    order: &'a str,
    asset_id: &'a str,
    fill_id: String,
    side: Side,
    price: &'a str,
    size: &'a str,
    liquidity: Liquidity,
}

impl Part<'_> {
    fn fact(
        self,
        trade: &OwnTrade<'_>,
        instruments: &Instruments,
        out: &mut Vec<AccountFact>,
    ) -> Result<(), WireError> {
        let Some(listed) = instruments.symbol(self.asset_id) else {
            return Ok(());
        };
        out.push(match trade.status {
            TradeStatus::Failed => AccountFact::FillReversed {
                instrument: listed.instrument,
                fill_id: self.fill_id,
            },
            status => AccountFact::Fill(FillFact {
                key: by_hash(self.order),
                instrument: listed.instrument,
                fill_id: self.fill_id,
                side: self.side,
                price: price(listed, "price", self.price)?,
                qty: qty(listed, "size", self.size)?,
                fee: None,
                liquidity: self.liquidity,
                at: trade.at,
                is_final: status == TradeStatus::Final,
            }),
        });
        Ok(())
    }
}
