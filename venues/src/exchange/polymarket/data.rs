//! The data API and the chain: whose trades and holdings are public.
use super::account::{cash, units};
use super::requests::{Asked, PAGE, Shared, answer, bad};
use super::{Face, condition_id, token_id, wire};
use crate::exchange::Truth;
use crate::polygon::CHAIN_ID;
use crate::polymarket::VENUE;
use axum::extract::{Query, State};
use axum::response::Response;
use onetape_engine::event::{LeaderTrade, Liquidity};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Qty;
use onetape_engine::order::Side;
use onetape_engine::time::SECOND_NS;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

/// A row of `/trades` and of the stream.
pub(super) fn leader_row(truth: &Truth, trade: &LeaderTrade) -> Option<Value> {
    let instrument = truth.market().instrument(trade.instrument).ok()?;
    if instrument.definition.venue != VENUE {
        return None;
    }
    let token = token_id(&instrument.definition.symbol);
    Some(json!({
        "proxyWallet": trade.wallet, "side": wire::side_word(trade.side), "asset": token,
        "conditionId": condition_id(&token), "size": wire::number(wire::qty_text(instrument, trade.qty)),
        "price": wire::number(wire::price_text(instrument, trade.price)), "timestamp": trade.traded_at.0 / SECOND_NS,
        "title": instrument.definition.symbol, "outcome": "Yes", "outcomeIndex": 0, "transactionHash": trade.transaction,
    }))
}

pub(super) async fn trades(State(face): Shared, Query(asked): Asked) -> Response {
    let user = asked.get("user").map(|user| user.to_ascii_lowercase());
    let user = user.unwrap_or_default();
    let taker_only = asked.get("takerOnly").is_none_or(|only| only != "false");
    let limit = asked
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(PAGE);
    let of_user: Vec<LeaderTrade> = {
        let kept = face.kept();
        let of = |trade: &&LeaderTrade| trade.wallet == user;
        kept.leader_trades
            .iter()
            .rev()
            .filter(of)
            .cloned()
            .collect()
    };
    // A journal with both views of a match has its shares twice; all of a wallet's trades have them once.
    let both_views = |row: &LeaderTrade| {
        row.liquidity == Liquidity::Taker
            && of_user.iter().any(|other| {
                other.liquidity == Liquidity::Maker
                    && other.transaction == row.transaction
                    && (other.instrument, other.side) == (row.instrument, row.side)
            })
    };
    let meant = |row: &&LeaderTrade| {
        if taker_only {
            row.liquidity == Liquidity::Taker
        } else {
            !both_views(row)
        }
    };
    let rows = face.exchange.with(|truth| {
        let rows = of_user.iter().filter(meant).take(limit);
        rows.filter_map(|row| leader_row(truth, row)).collect()
    });
    answer(Value::Array(rows))
}

/// What a wallet holds: ours by the truth, a leader's by the journal.
fn held(face: &Face, truth: &Truth, user: &str) -> Vec<(Decimal, Value)> {
    let holdings: Vec<_> = if user == face.keys.wallet.funder.lower() {
        let of = truth
            .instruments(VENUE)
            .map(|i| (i.id(), truth.holding(i.id())));
        of.collect()
    } else {
        let kept = face.kept();
        let of = kept
            .portfolios
            .get(user)
            .into_iter()
            .flat_map(|p| &p.holdings);
        of.map(|holding| (holding.instrument, holding.qty))
            .collect()
    };
    let row = |(id, qty): (InstrumentId, Qty)| {
        let instrument = truth.market().instrument(id).ok()?;
        let d = instrument.decimals();
        let price = instrument.mark(Side::Sell).unwrap_or_default();
        let value = d.price_decimal(price) * d.qty_decimal(qty);
        let token = token_id(&instrument.definition.symbol);
        let row = json!({
            "proxyWallet": user, "asset": token, "conditionId": condition_id(&token),
            "size": wire::number(wire::qty_text(instrument, qty)),
            "curPrice": wire::number(wire::price_text(instrument, price)),
            "currentValue": wire::number(value.normalize().to_string()),
        });
        (qty.0 > 0).then_some((value, row))
    };
    holdings.into_iter().filter_map(row).collect()
}

pub(super) async fn positions(State(face): Shared, Query(asked): Asked) -> Response {
    let user = asked.get("user").map(|user| user.to_ascii_lowercase());
    let user = user.unwrap_or_default();
    let number = |name: &str| asked.get(name).and_then(|n| n.parse::<usize>().ok());
    let (offset, limit) = (
        number("offset").unwrap_or(0),
        number("limit").unwrap_or(PAGE),
    );
    let rows = face.exchange.with(|truth| held(&face, truth, &user));
    let rows = rows
        .into_iter()
        .skip(offset)
        .take(limit)
        .map(|(_, row)| row);
    answer(Value::Array(rows.collect()))
}

/// The chain: which one it is, and how much collateral a wallet has.
pub(super) async fn rpc(State(face): Shared, body: String) -> Response {
    #[derive(Deserialize)]
    struct Call {
        id: u64,
        method: String,
        params: Value,
    }
    let Ok(call) = serde_json::from_str::<Call>(&body) else {
        return bad("parse error");
    };
    let data = call.params[0]["data"].as_str().unwrap_or_default();
    let result = match call.method.as_str() {
        "eth_chainId" => format!("0x{CHAIN_ID:x}"),
        "eth_getBalance" => format!("0x{:x}", 10u128.pow(19)),
        "eth_call" if data.starts_with("0x70a08231") && data.len() == 74 => {
            let user = format!("0x{}", data.get(34..).unwrap_or_default());
            format!("0x{:064x}", units(collateral(&face, &user)))
        }
        _ => "0x".to_owned(),
    };
    answer(json!({ "jsonrpc": "2.0", "id": call.id, "result": result }))
}

fn collateral(face: &Face, user: &str) -> Decimal {
    let worth = face.kept().portfolios.get(user).map(|p| p.value_usd);
    face.exchange.with(|truth| match worth {
        Some(worth) => {
            let held: Decimal = held(face, truth, user).into_iter().map(|(v, _)| v).sum();
            worth - held
        }
        None if user == face.keys.wallet.funder.lower() => cash(truth),
        None => Decimal::ZERO,
    })
}
