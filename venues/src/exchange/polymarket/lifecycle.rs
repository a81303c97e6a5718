//! What goes on by itself: trades on their way to the chain, orders without heartbeats, and what the journal tells of
//! contracts and wallets.
use super::{Face, LEADER_ROWS_MAX, wire};
use crate::exchange::{Published, VenueFill, VenueOrder, What};
use crate::polymarket::VENUE;
use onetape_engine::event::{Aggressor, Event, Kind, LeaderTrade, Liquidity, Trade};
use onetape_engine::order::{OrderState, Side};
use onetape_engine::time::Nanos;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// From a match to its block.
const MINED_AFTER: Duration = Duration::from_millis(150);
/// From its block to its confirmation, or to its failure.
const CONFIRMED_AFTER: Duration = Duration::from_millis(150);
/// Silence that takes back every order, once there were heartbeats: 10 s, and 5 s more.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(15);

/// How far a trade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Matched; nothing is on the chain.
    Matched,
    /// In a block.
    Mined,
    /// Final.
    Confirmed,
    /// It never was.
    Failed,
}

impl Stage {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Stage::Matched => "MATCHED",
            Stage::Mined => "MINED",
            Stage::Confirmed => "CONFIRMED",
            Stage::Failed => "FAILED",
        }
    }
}

/// Starts what goes on by itself. It ends with the face.
pub(super) fn spawn(face: &Arc<Face>) {
    let mut published = face.exchange.subscribe();
    let weak = Arc::downgrade(face);
    tokio::spawn(async move {
        loop {
            let next = published.recv().await;
            let Some(face) = weak.upgrade() else { return };
            match next {
                Ok(published) => take(&face, &published),
                // Messages are lost, as they are; trades go on.
                Err(RecvError::Lagged(_)) => catch_up(&face),
                Err(RecvError::Closed) => return,
            }
        }
    });
    let weak = Arc::downgrade(face);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let Some(face) = weak.upgrade() else { return };
            let silent = {
                let mut kept = face.kept();
                let silent = kept
                    .heartbeat
                    .as_ref()
                    .is_some_and(|(_, at)| at.elapsed() >= HEARTBEAT_LIMIT);
                if silent {
                    kept.heartbeat = None;
                }
                silent
            };
            if silent {
                cancel_all(&face, |_| true);
            }
        }
    });
}

/// Takes back the orders at work that are meant; their hashes.
pub(super) fn cancel_all(face: &Face, meant: impl Fn(&VenueOrder) -> bool) -> Vec<String> {
    let now = face.exchange.now();
    face.exchange.with(|truth| {
        let open = truth.open_orders(VENUE).filter(|order| meant(order));
        let ids: Vec<u64> = open.map(|order| order.id).collect();
        let cancelled = ids.into_iter().filter_map(|id| truth.cancel(id, now));
        cancelled.map(|order| order.new.client_id).collect()
    })
}

fn take(face: &Arc<Face>, published: &Published) {
    match &published.what {
        What::Market(kind, payload) => learn(face, *kind, payload),
        What::Order(order) => tell_order(face, order),
        What::Fill(fill) => begin(face, fill),
        // Told as a failed trade by the one who took it back.
        What::Reversed(_) => {}
    }
}

/// Begins with the fills that nobody was told of.
fn catch_up(face: &Arc<Face>) {
    let known = face.kept().stages.clone();
    let fills: Vec<VenueFill> = face.exchange.with(|truth| {
        let missed = truth
            .fills(VENUE)
            .filter(|fill| !known.contains_key(&fill.id));
        missed.cloned().collect()
    });
    for fill in &fills {
        begin(face, fill);
    }
}

fn learn(face: &Face, kind: Kind, payload: &[u8]) {
    if !matches!(
        kind,
        Kind::ContractTerms | Kind::LeaderTrade | Kind::LeaderPortfolio | Kind::Trade
    ) {
        return;
    }
    match Event::decode(kind.number(), payload) {
        Ok(Event::ContractTerms(terms)) => {
            face.kept().terms.insert(terms.instrument, *terms);
        }
        Ok(Event::Trade(trade)) => tell_row(face, &strangers(trade)),
        Ok(Event::LeaderTrade(trade)) => {
            tell_row(face, &trade);
            let mut kept = face.kept();
            kept.leader_trades.push_back(*trade);
            if kept.leader_trades.len() > LEADER_ROWS_MAX {
                kept.leader_trades.pop_front();
            }
        }
        Ok(Event::LeaderPortfolio(portfolio)) => {
            let wallet = portfolio.wallet.clone();
            face.kept().portfolios.insert(wallet, *portfolio);
        }
        _ => {}
    }
}

/// A row of the stream of everybody's trades.
fn tell_row(face: &Face, trade: &LeaderTrade) {
    let row = face
        .exchange
        .with(|truth| super::data::leader_row(truth, trade));
    if let Some(row) = row {
        let message = json!({ "topic": "activity", "type": "trades", "payload": row });
        let _ = face.rows.send(message.to_string().into());
    }
}

/// A trade of the market as that of a wallet that nobody follows.
fn strangers(trade: &Trade) -> LeaderTrade {
    LeaderTrade {
        wallet: wire::STRANGER.to_owned(),
        instrument: trade.instrument,
        side: match trade.aggressor() {
            Aggressor::Seller => Side::Sell,
            Aggressor::Buyer | Aggressor::Unknown => Side::Buy,
        },
        price: trade.price,
        qty: trade.qty,
        transaction: format!("0x{:064x}", trade.trade_id),
        liquidity: Liquidity::Taker,
        traded_at: Nanos(trade.venue_time_ns),
        occurrence: 0,
    }
}

fn tell_order(face: &Face, order: &VenueOrder) {
    let told = face.exchange.with(|truth| {
        let instrument = truth.market().instrument(order.new.instrument).ok()?;
        let ours = instrument.definition.venue == VENUE;
        ours.then(|| wire::order(face, instrument, order))
    });
    let Some(mut message) = told else { return };
    let event = match order.state {
        OrderState::Acked => "PLACEMENT",
        OrderState::Cancelled | OrderState::Expired => "CANCELLATION",
        _ => "UPDATE",
    };
    message["event_type"] = json!("order");
    message["type"] = json!(event);
    tell(face, &message);
}

fn tell(face: &Face, message: &Value) {
    let _ = face.told.send(message.to_string().into());
}

/// A fill's way: matched, mined, and confirmed or failed.
fn begin(face: &Arc<Face>, fill: &VenueFill) {
    if !tell_trade(face, fill, Stage::Matched) {
        return;
    }
    let fails = face.exchange.faults().trade_fails(VENUE);
    let (weak, fill) = (Arc::downgrade(face), fill.clone());
    tokio::spawn(async move {
        tokio::time::sleep(MINED_AFTER).await;
        let Some(face) = weak.upgrade() else { return };
        tell_trade(&face, &fill, Stage::Mined);
        tokio::time::sleep(CONFIRMED_AFTER).await;
        let stage = if fails {
            Stage::Failed
        } else {
            Stage::Confirmed
        };
        if fails {
            let now = face.exchange.now();
            face.exchange.with(|truth| truth.reverse(fill.id, now));
        }
        tell_trade(&face, &fill, stage);
    });
}

/// False for a fill of another venue.
fn tell_trade(face: &Face, fill: &VenueFill, stage: Stage) -> bool {
    let told = face.exchange.with(|truth| {
        let instrument = truth.market().instrument(fill.instrument).ok()?;
        let ours = instrument.definition.venue == VENUE;
        ours.then(|| wire::trade(face, instrument, fill, stage))
    });
    let Some(mut message) = told else {
        return false;
    };
    face.kept().stages.insert(fill.id, stage);
    message["event_type"] = json!("trade");
    tell(face, &message);
    true
}
