//! Frames as people and scripts read them: JSON with names for ids and decimals for mantissas.
use onetape_engine::desk::Desk;
use onetape_engine::event::{Aggressor, BookUpdate, Event, Kind, Level};
use onetape_engine::market::Market;
use onetape_engine::number::{Decimals, Price, Qty};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The names and decimals that frames refer to by number, learnt from the frames that define them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    instruments: Vec<(String, Decimals)>,
    strategies: Vec<String>,
}

/// Whether retention carries frames of this kind over: what later frames name, and what must be known for ever.
pub fn is_carried(kind: u16) -> bool {
    const CARRIED: [Kind; 4] = [
        Kind::DataSource,
        Kind::SessionStart,
        Kind::InstrumentDefined,
        Kind::IntentReceived,
    ];
    CARRIED.iter().any(|carried| carried.number() == kind)
}

impl Names {
    /// The names in a market and a desk.
    pub fn of(market: &Market, desk: &Desk) -> Self {
        Self {
            instruments: market
                .instruments()
                .iter()
                .map(|i| (i.name.clone(), i.decimals()))
                .collect(),
            strategies: desk
                .config()
                .strategies
                .iter()
                .map(|s| s.id.clone())
                .collect(),
        }
    }

    /// The names that retention carried over from frames that it took; none where it took none.
    ///
    /// # Errors
    /// Those of reading what it carried over.
    pub fn carried(journal: &Path) -> Result<Self, onetape_journal::Error> {
        let mut names = Self::default();
        for frame in onetape_journal::retention::carried(journal)? {
            if let Ok(event) = Event::decode(frame.tag.kind(), &frame.payload) {
                names.learn(&event);
            }
        }
        Ok(names)
    }

    /// Learns from a frame, if it defines a name.
    pub fn learn(&mut self, event: &Event<'_>) {
        match event {
            Event::InstrumentDefined(definition) => {
                let name = onetape_engine::market::Instrument::full_name(definition);
                self.instruments.push((name, definition.decimals));
            }
            Event::SessionStart(start) => {
                self.strategies = start
                    .config
                    .strategies
                    .iter()
                    .map(|s| s.id.clone())
                    .collect();
            }
            _ => {}
        }
    }

    /// An instrument's name by its number.
    pub fn instrument(&self, number: u32) -> Option<&str> {
        self.instruments
            .get(number as usize)
            .map(|(name, _)| name.as_str())
    }

    /// An instrument's number by its name.
    pub fn find_instrument(&self, name: &str) -> Option<u32> {
        self.instruments
            .iter()
            .position(|(known, _)| known == name)
            .and_then(|place| u32::try_from(place).ok())
    }

    /// Names of all instruments, by number.
    pub fn instruments(&self) -> impl Iterator<Item = &str> {
        self.instruments.iter().map(|(name, _)| name.as_str())
    }

    /// A strategy's id by its number.
    pub fn strategy(&self, number: u16) -> Option<&str> {
        self.strategies.get(usize::from(number)).map(String::as_str)
    }

    /// A payload as JSON; bytes that do not read become an `unreadable` field that says why.
    pub fn payload_json(&self, kind: u16, payload: &[u8]) -> Value {
        // A frame in a buffer of its own need not be aligned as on the tape.
        let mut aligned = vec![0u64; payload.len().div_ceil(8)];
        let bytes = as_bytes_mut(&mut aligned);
        let Some(bytes) = bytes.get_mut(..payload.len()) else {
            return Value::Null;
        };
        bytes.copy_from_slice(payload);
        match Event::decode(kind, bytes) {
            Ok(event) => self.event_json(&event),
            Err(e) => json!({ "unreadable": e.to_string() }),
        }
    }

    /// An event as JSON, without its kind, sequence and stamp.
    pub fn event_json(&self, event: &Event<'_>) -> Value {
        let mut value = match event {
            Event::Quote(q) => json!({
                "instrument": q.instrument, "bid_price": q.bid_price, "bid_qty": q.bid_qty, "ask_price": q.ask_price,
                "ask_qty": q.ask_qty, "venue_time_ns": q.venue_time_ns, "update_id": q.update_id,
            }),
            Event::Trade(t) => json!({
                "instrument": t.instrument, "price": t.price, "qty": t.qty,
                "aggressor": match t.aggressor() {
                    Aggressor::Buyer => "buyer",
                    Aggressor::Seller => "seller",
                    Aggressor::Unknown => "unknown",
                },
                "venue_time_ns": t.venue_time_ns, "trade_id": t.trade_id,
            }),
            Event::BookSnapshot(update) | Event::BookDelta(update) => self.book_json(update),
            Event::SessionStart(e) => plain(e),
            Event::SessionEnd(e) => plain(e),
            Event::DataSource(e) => plain(e),
            Event::InstrumentDefined(e) => plain(e),
            Event::TradingRules(e) => plain(e),
            Event::FeeSchedule(e) => plain(e),
            Event::FeedState(e) => plain(e),
            Event::MarketStatus(e) => plain(e),
            Event::Resolution(e) => plain(e),
            Event::Heartbeat(e) => plain(e),
            Event::OperatorCommand(e) => plain(e),
            Event::ExecutionReport(e) => plain(e),
            Event::TimerFired(e) => plain(e),
            Event::BarClosed(e) => plain(e),
            Event::OrderDecided(e) => plain(e),
            Event::CancelDecided(e) => plain(e),
            Event::OrderDenied(e) => plain(e),
            Event::TimerSet(e) => plain(e),
            Event::HaltChanged(e) => plain(e),
            Event::StateHash(e) => plain(e),
            Event::StepClosed(e) => plain(e),
            Event::ContractTerms(e) => plain(e),
            Event::RulesText(e) => plain(e),
            Event::PairApproved(e) => plain(e),
            Event::PairWithdrawn(e) => plain(e),
            Event::Forecast(e) => plain(e),
            Event::Observation(e) => plain(e),
            Event::LeaderListed(e) => plain(e),
            Event::LeaderTrade(e) => plain(e),
            Event::LeaderPortfolio(e) => plain(e),
            Event::TradingDay(e) => plain(e),
            Event::DailyBar(e) => plain(e),
            Event::IntentReceived(e) => plain(e),
            Event::IntentPromoted(e) => plain(e),
            Event::VenueHealth(e) => plain(e),
            Event::ClockDrift(e) => plain(e),
            Event::AccountLost(e) => plain(e),
            Event::AccountReport(e) => plain(e),
            Event::ConnectionChanged(e) => plain(e),
            Event::FillReversed(e) => plain(e),
            Event::GateChanged(e) => plain(e),
            Event::ParentChanged(e) => plain(e),
            Event::AlarmRaised(e) => plain(e),
            Event::LimitWarned(e) => plain(e),
            Event::DayRolled(e) => plain(e),
            Event::SignalRaised(e) => plain(e),
            Event::IntentChanged(e) => plain(e),
        };
        let decimals = event
            .instrument()
            .and_then(|id| self.instruments.get(id.index()))
            .map(|(_, d)| *d);
        if let Value::Object(fields) = &mut value {
            self.name_fields(fields, decimals);
        }
        value
    }

    fn book_json(&self, update: &BookUpdate<'_>) -> Value {
        let header = update.header;
        let decimals = self
            .instruments
            .get(header.instrument.index())
            .map(|(_, d)| *d);
        let levels = |levels: &[Level]| -> Vec<[String; 2]> {
            levels
                .iter()
                .map(|level| {
                    [
                        price_text(level.price.0, decimals),
                        qty_text(level.qty.0, decimals),
                    ]
                })
                .collect()
        };
        json!({
            "instrument": header.instrument, "bids": levels(update.bids), "asks": levels(update.asks),
            "venue_time_ns": header.venue_time_ns, "first_id": header.first_id, "last_id": header.last_id,
            "previous_id": header.previous_id,
        })
    }

    fn name_fields(&self, fields: &mut Map<String, Value>, decimals: Option<Decimals>) {
        const PRICES: [&str; 16] = [
            "stop_loss",
            "target",
            "entry",
            "price",
            "bid_price",
            "ask_price",
            "open",
            "high",
            "low",
            "close",
            "tick_size",
            "min_price",
            "max_price",
            "settlement_price",
            "from",
            "tick",
        ];
        const QTYS: [&str; 6] = ["qty", "bid_qty", "ask_qty", "volume", "lot_size", "min_qty"];
        for (key, value) in fields.iter_mut() {
            match (key.as_str(), &mut *value) {
                (
                    "instrument" | "single_book" | "yes_token" | "no_token",
                    Value::Number(number),
                ) => {
                    let name = number
                        .as_u64()
                        .and_then(|n| self.instrument(u32::try_from(n).ok()?));
                    if let Some(name) = name {
                        *value = Value::String(name.to_owned());
                    }
                }
                ("strategy", Value::Number(number)) => {
                    let id = number
                        .as_u64()
                        .and_then(|n| self.strategy(u16::try_from(n).ok()?));
                    if let Some(id) = id {
                        *value = Value::String(id.to_owned());
                    }
                }
                (name, Value::Number(number)) if PRICES.contains(&name) => {
                    if let Some(mantissa) = number.as_i64() {
                        *value = Value::String(price_text(mantissa, decimals));
                    }
                }
                (name, Value::Number(number)) if QTYS.contains(&name) => {
                    if let Some(mantissa) = number.as_i64() {
                        *value = Value::String(qty_text(mantissa, decimals));
                    }
                }
                ("bands", Value::Array(bands)) => {
                    let bands = bands.iter_mut().filter_map(Value::as_object_mut);
                    bands.for_each(|band| self.name_fields(band, decimals));
                }
                ("fill", Value::Object(fill)) => self.name_fields(fill, decimals),
                _ => {}
            }
        }
    }

    /// A whole frame as one JSON object.
    pub fn frame_json(
        &self,
        sequence: u64,
        at_ns: u64,
        kind: Kind,
        derived: bool,
        ends_step: bool,
        event: &Event<'_>,
    ) -> Value {
        let mut frame = json!({
            "sequence": sequence, "at_ns": at_ns, "kind": kind.name(), "derived": derived, "ends_step": ends_step,
        });
        if let (Value::Object(frame), Value::Object(fields)) = (&mut frame, self.event_json(event))
        {
            frame.extend(fields);
        }
        frame
    }
}

fn as_bytes_mut(words: &mut [u64]) -> &mut [u8] {
    zerocopy::IntoBytes::as_mut_bytes(words)
}

fn plain<T: Serialize>(event: &T) -> Value {
    serde_json::to_value(event).unwrap_or_else(|e| json!({ "unreadable": e.to_string() }))
}

fn price_text(mantissa: i64, decimals: Option<Decimals>) -> String {
    decimals.map_or_else(
        || mantissa.to_string(),
        |d| d.price_decimal(Price(mantissa)).to_string(),
    )
}

fn qty_text(mantissa: i64, decimals: Option<Decimals>) -> String {
    decimals.map_or_else(
        || mantissa.to_string(),
        |d| d.qty_decimal(Qty(mantissa)).to_string(),
    )
}
