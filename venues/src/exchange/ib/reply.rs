//! What the gateway says, in its own messages.
use super::book::{Place, Placed, Stage, clock};
use crate::exchange::{Truth, VenueFill, VenueOrder};
use crate::ib::frame::Reply;
use crate::ib::{broker_symbol, proto};
use onetape_engine::event::Liquidity;
use onetape_engine::number::Qty;
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Added to the exchange's number of an order: the broker's number of it.
const PERM_ID: u64 = 1_000_000_000;

/// An error or notice; `id` is the order's, -1 for none.
pub(super) fn error(id: i32, code: i32, words: &str, at_ms: u64) -> Reply {
    Reply::Error(proto::ErrorMessage {
        id: Some(id),
        error_time: i64::try_from(at_ms).ok(),
        error_code: Some(code),
        error_msg: Some(words.to_owned()),
    })
}

/// The words of an error that is sent on command.
pub(super) const fn words(code: i32) -> &'static str {
    match code {
        326 => {
            "Unable to connect as the client id is already in use. Retry with a unique client id."
        }
        1_100 => "Connectivity between IBKR and Trader Workstation has been lost.",
        1_101 => "Connectivity between IBKR and Trader Workstation has been restored - data lost.",
        1_102 => {
            "Connectivity between IBKR and Trader Workstation has been restored - data maintained."
        }
        2_103 => "Market data farm connection is broken:usfarm",
        2_105 => "HMDS data farm connection is broken:ushmds",
        10_182 => "Failed to request live updates (disconnected).",
        _ => "Injected error",
    }
}

/// A stop waits, like what waits for its parent; the rest works.
fn status_word(placed: &Placed, order: Option<&VenueOrder>) -> &'static str {
    match (placed.stage, order) {
        (Stage::Dropped, _) => "Cancelled",
        (Stage::Held | Stage::Waiting, _) | (Stage::Sent(_), None) => "PreSubmitted",
        (Stage::Sent(_), Some(order)) => match order.state {
            OrderState::Filled => "Filled",
            OrderState::Cancelled | OrderState::Expired => "Cancelled",
            OrderState::Rejected => "Inactive",
            _ if placed.order.order_type.as_deref() == Some("STP") && order.filled.0 == 0 => {
                "PreSubmitted"
            }
            _ => "Submitted",
        },
    }
}

fn perm_id(order: Option<&VenueOrder>) -> Option<i64> {
    let id = order.map(|order| order.id.saturating_add(PERM_ID));
    id.and_then(|id| i64::try_from(id).ok())
}

pub(super) fn status(
    truth: &Truth,
    place: Place,
    placed: &Placed,
    order: Option<&VenueOrder>,
) -> Reply {
    let decimals = truth
        .market()
        .instrument(placed.new.instrument)
        .map(|it| it.decimals());
    let text = |qty: Qty| {
        let number = decimals
            .as_ref()
            .map(|decimals| decimals.qty_decimal(qty).normalize());
        number.map_or_else(|_| "0".to_owned(), |number| number.to_string())
    };
    let filled = order.map_or(Qty(0), |order| order.filled);
    let average = order.filter(|order| order.filled.0 > 0).and_then(|order| {
        let qty = decimals.as_ref().ok()?.qty_decimal(order.filled);
        order
            .filled_notional
            .to_decimal()
            .ok()?
            .checked_div(qty)?
            .to_f64()
    });
    Reply::OrderStatus(proto::OrderStatus {
        order_id: Some(place.1),
        status: Some(status_word(placed, order).to_owned()),
        filled: Some(text(filled)),
        remaining: Some(text(Qty(placed.new.qty.0.saturating_sub(filled.0)))),
        avg_fill_price: Some(average.unwrap_or(0.0)),
        perm_id: perm_id(order),
        parent_id: Some(placed.order.parent_id.unwrap_or(0)),
        last_fill_price: Some(0.0),
        client_id: Some(place.0),
        why_held: None,
    })
}

pub(super) fn open_order(place: Place, placed: &Placed, order: Option<&VenueOrder>) -> Reply {
    Reply::OpenOrder(proto::OpenOrder {
        order_id: Some(place.1),
        contract: Some(placed.contract.clone()),
        order: Some(proto::Order {
            client_id: Some(place.0),
            order_id: Some(place.1),
            perm_id: perm_id(order),
            ..placed.order.clone()
        }),
        order_state: Some(proto::OrderState {
            status: Some(status_word(placed, order).to_owned()),
            reject_reason: None,
        }),
    })
}

fn exec_id(fill: &VenueFill) -> String {
    format!("0000e0d5.{:08x}.01.01", fill.id)
}

/// An execution; `request` is whose answer it is, -1 for none. `cumulative` is what its order had filled with it.
pub(super) fn execution(
    truth: &Truth,
    request: i32,
    place: Place,
    placed: &Placed,
    fill: &VenueFill,
    account: &str,
) -> Option<Reply> {
    let decimals = truth.market().instrument(fill.instrument).ok()?.decimals();
    let order = truth.order(fill.order)?;
    let until = truth
        .fills(super::VENUE)
        .filter(|it| it.order == fill.order && it.id <= fill.id);
    let cumulative = Qty(until.map(|it| it.qty.0).sum());
    let price = decimals.price_decimal(fill.price).to_f64()?;
    Some(Reply::Execution(proto::ExecutionDetails {
        req_id: Some(request),
        contract: Some(placed.contract.clone()),
        execution: Some(proto::Execution {
            order_id: Some(place.1),
            exec_id: Some(exec_id(fill)),
            time: Some(clock(fill.at)),
            acct_number: Some(account.to_owned()),
            exchange: Some("SMART".to_owned()),
            side: Some(match fill.side {
                Side::Buy => "BOT".to_owned(),
                Side::Sell => "SLD".to_owned(),
            }),
            shares: Some(decimals.qty_decimal(fill.qty).normalize().to_string()),
            price: Some(price),
            perm_id: perm_id(Some(order)),
            client_id: Some(place.0),
            cum_qty: Some(decimals.qty_decimal(cumulative).normalize().to_string()),
            avg_price: Some(price),
            order_ref: placed.order.order_ref.clone(),
            last_liquidity: Some(match fill.liquidity {
                Liquidity::Maker => 1,
                Liquidity::Taker => 2,
            }),
        }),
    }))
}

pub(super) fn commission(truth: &Truth, fill: &VenueFill) -> Option<Reply> {
    let instrument = truth.market().instrument(fill.instrument).ok()?;
    Some(Reply::Commission(proto::CommissionReport {
        exec_id: Some(exec_id(fill)),
        commission: fill.fee.to_decimal().ok()?.to_f64(),
        currency: Some(instrument.definition.quote.clone()),
    }))
}

/// What a stock is; error 200 where there is none.
pub(super) fn contract(
    truth: &Truth,
    request: &proto::ContractDataRequest,
    now: Nanos,
) -> Vec<Reply> {
    let id = request.req_id;
    let wanted = request.contract.clone().unwrap_or_default();
    let symbol = wanted.symbol.unwrap_or_default();
    let found = truth
        .instruments(super::VENUE)
        .find(|instrument| broker_symbol(&instrument.definition.symbol) == symbol);
    let Some(instrument) = found else {
        let words = "No security definition has been found for the request";
        return vec![error(id.unwrap_or(-1), 200, words, now.0 / 1_000_000)];
    };
    let tick = instrument.rules_at(now).map(|rules| {
        let tick = instrument.decimals().price_decimal(rules.tick_size);
        tick.normalize().to_string()
    });
    let data = Reply::ContractData(proto::ContractData {
        req_id: id,
        contract: Some(proto::Contract {
            symbol: Some(symbol),
            sec_type: Some("STK".to_owned()),
            exchange: Some("SMART".to_owned()),
            primary_exch: Some("NASDAQ".to_owned()),
            currency: Some(instrument.definition.quote.clone()),
            ..proto::Contract::default()
        }),
        contract_details: Some(proto::ContractDetails { min_tick: tick }),
    });
    let end = Reply::ContractDataEnd(proto::RequestId { req_id: id });
    vec![data, end]
}

/// Cash by currency.
pub(super) fn cash(
    truth: &Truth,
    request: &proto::AccountSummaryRequest,
    account: &str,
) -> Vec<Reply> {
    let id = request.req_id;
    let row = |(currency, all, _): (String, Decimal, Decimal)| {
        Reply::AccountSummary(proto::AccountSummary {
            req_id: id,
            account: Some(account.to_owned()),
            tag: Some("CashBalance".to_owned()),
            value: Some(all.normalize().to_string()),
            currency: Some(currency),
        })
    };
    let rows = truth.cash(super::VENUE).into_iter().map(row);
    let end = Reply::AccountSummaryEnd(proto::RequestId { req_id: id });
    rows.chain([end]).collect()
}

pub(super) fn positions(truth: &Truth, account: &str) -> Vec<Reply> {
    let held = truth.instruments(super::VENUE).filter_map(|instrument| {
        let qty = truth.holding(instrument.id());
        let text = instrument
            .decimals()
            .qty_decimal(qty)
            .normalize()
            .to_string();
        (qty.0 != 0).then(|| {
            Reply::Position(proto::Position {
                account: Some(account.to_owned()),
                contract: Some(proto::Contract {
                    symbol: Some(instrument.definition.symbol.clone()),
                    sec_type: Some("STK".to_owned()),
                    exchange: Some("SMART".to_owned()),
                    currency: Some(instrument.definition.quote.clone()),
                    ..proto::Contract::default()
                }),
                position: Some(text),
                avg_cost: Some(0.0),
            })
        })
    });
    held.chain([Reply::PositionEnd(proto::Empty {})]).collect()
}
