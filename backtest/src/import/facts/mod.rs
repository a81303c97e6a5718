//! Facts in TOML: instruments, rules, fees, contracts, pairs, forecasts, leaders, calendars, intents.
//!
//! A table a fact, `[[kind]]`, with the fields that the tape has, instruments by name, prices and quantities as decimals,
//! times and dates as TOML writes them. Everything is read and checked before a frame is written.
mod calendar;
mod document;
mod in_place;

use super::error::{ImportError, Reject};
use document::{Document, Row};
use onetape_engine::event::{Event, InstrumentDefined, Kind};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::number::Decimals;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The kinds that a facts file may hold; market data come from recordings.
const KINDS: [Kind; 21] = [
    Kind::InstrumentDefined,
    Kind::TradingRules,
    Kind::FeeSchedule,
    Kind::FeedState,
    Kind::MarketStatus,
    Kind::Resolution,
    Kind::OperatorCommand,
    Kind::ContractTerms,
    Kind::RulesText,
    Kind::PairApproved,
    Kind::PairWithdrawn,
    Kind::Forecast,
    Kind::Observation,
    Kind::LeaderListed,
    Kind::LeaderTrade,
    Kind::LeaderPortfolio,
    Kind::TradingDay,
    Kind::DailyBar,
    Kind::IntentReceived,
    Kind::IntentPromoted,
    Kind::VenueHealth,
];

/// Instruments by name.
pub(super) type Known = BTreeMap<String, KnownInstrument>;

/// What a fact about an instrument is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownInstrument {
    pub(super) id: InstrumentId,
    /// Of its prices and quantities.
    pub(super) decimals: Decimals,
    /// Whether it pays 0 or 1.
    pub(super) is_binary: bool,
}

/// One fact, ready for the tape.
pub(super) struct Fact {
    /// When it became known; `None` for what stands from the start.
    pub(super) at_ns: Option<u64>,
    pub(super) event: Event<'static>,
}

/// A facts file, its rows not resolved yet.
pub(super) struct FactsFile {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) identity: String,
    pub(super) lines: u64,
    rows: Vec<Row>,
}

impl FactsFile {
    pub(super) fn is_one(path: &Path) -> bool {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    }

    /// # Errors
    /// [`ImportError::Read`], or [`ImportError::Fact`] with the place.
    pub(super) fn read(path: &Path) -> Result<Self, ImportError> {
        let failed = |source| ImportError::Read {
            path: path.to_path_buf(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let rows = Document::new(&name, &text).rows(&KINDS)?;
        if rows.is_empty() {
            return Err(ImportError::Empty {
                path: path.to_path_buf(),
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            name,
            identity: blake3::hash(text.as_bytes()).to_hex().to_string(),
            lines: text.lines().count() as u64,
            rows,
        })
    }

    /// When the first dated fact became known.
    pub(super) fn first_ns(&self) -> Option<u64> {
        self.rows.iter().filter_map(|row| row.at_ns).min()
    }

    /// The instruments that the file defines, numbered from `next`.
    pub(super) fn definitions(
        &self,
        next: u32,
        known: &Known,
    ) -> Result<Vec<InstrumentDefined>, ImportError> {
        let mut definitions: Vec<InstrumentDefined> = Vec::new();
        for row in self.rows.iter().filter(|row| row.is_definition()) {
            let mut fields = row.fields.clone();
            let number = next + definitions.len() as u32;
            fields.insert("instrument".to_owned(), number.into());
            let definition: InstrumentDefined = row.read(fields)?;
            let bad = |field, value: &str, why: &str| row.fault(field, value, why);
            Decimals::new(definition.decimals.price, definition.decimals.qty)
                .map_err(|e| bad("decimals", "", &e.to_string()))?;
            let full = Instrument::full_name(&definition);
            let twice = known.contains_key(&full)
                || definitions
                    .iter()
                    .any(|other| Instrument::full_name(other) == full);
            if twice {
                return Err(bad("symbol", &full, "this instrument is defined already"));
            }
            definitions.push(definition);
        }
        Ok(definitions)
    }

    /// The facts in the order of the file, definitions left out.
    pub(super) fn resolve(&self, known: &Known) -> Result<Vec<Fact>, ImportError> {
        let mut facts = Vec::new();
        let mut seen: Vec<(String, &Row)> = Vec::new();
        let mut pairs = in_place::Pairs::default();
        for row in self.rows.iter().filter(|row| !row.is_definition()) {
            let mut fields = row.fields.clone();
            name_instruments(&mut fields, "", None, known, row)?;
            let event = event_of(row, fields)?;
            event
                .check()
                .map_err(|bad| row.fault(bad.field, &bad.value, bad.rule))?;
            in_place::check(&event, row, known)?;
            if let Some((field, key)) = unique_key(&event, row.at_ns) {
                let key = format!("{} {key}", event.kind().name());
                if let Some((_, first)) = seen.iter().find(|(known, _)| *known == key) {
                    let why = format!("line {} says this already", first.line);
                    return Err(row.fault(field, "", &why));
                }
                seen.push((key, row));
            }
            pairs.see(&event, row)?;
            facts.push(Fact {
                at_ns: row.at_ns,
                event,
            });
        }
        Ok(facts)
    }
}

/// What two facts of one kind can't both say, and the field that names it. What may change is said once for each time.
fn unique_key(event: &Event<'_>, at_ns: Option<u64>) -> Option<(&'static str, String)> {
    Some(match event {
        Event::TradingRules(e) => {
            let key = format!("{} {}", e.instrument.0, e.effective_from.0);
            ("effective_from", key)
        }
        Event::FeeSchedule(e) => {
            let key = format!("{} {}", e.instrument.0, e.effective_from.0);
            ("effective_from", key)
        }
        Event::ContractTerms(e) => ("instrument", format!("{at_ns:?} {}", e.instrument.0)),
        Event::PairApproved(e) => ("pair", format!("{at_ns:?} {}", e.pair)),
        Event::Forecast(e) => {
            let key = format!("{} {} {} {}", e.station, e.day, e.issued_at.0, e.source);
            ("issued_at", format!("{at_ns:?} {key}"))
        }
        Event::LeaderListed(e) => ("wallet", format!("{at_ns:?} {}", e.wallet)),
        Event::LeaderTrade(e) => {
            let key = format!(
                "{at_ns:?} {} {} {} {:?} {} {} {}",
                e.wallet, e.transaction, e.instrument.0, e.side, e.price.0, e.qty.0, e.occurrence
            );
            ("occurrence", key)
        }
        Event::TradingDay(e) => ("day", format!("{at_ns:?} {} {}", e.calendar, e.day)),
        Event::DailyBar(e) => ("day", format!("{at_ns:?} {} {}", e.instrument.0, e.day)),
        // A contract pays once.
        Event::Resolution(e) => ("instrument", e.instrument.0.to_string()),
        _ => return None,
    })
}

fn event_of(row: &Row, fields: Map<String, Value>) -> Result<Event<'static>, ImportError> {
    Ok(match row.kind {
        Kind::TradingRules => Event::TradingRules(row.read(fields)?),
        Kind::FeeSchedule => Event::FeeSchedule(row.read(fields)?),
        Kind::FeedState => Event::FeedState(row.read(fields)?),
        Kind::MarketStatus => Event::MarketStatus(row.read(fields)?),
        Kind::Resolution => Event::Resolution(row.read(fields)?),
        Kind::OperatorCommand => Event::OperatorCommand(row.read(fields)?),
        Kind::ContractTerms => Event::ContractTerms(row.read(fields)?),
        Kind::RulesText => Event::RulesText(row.read(fields)?),
        Kind::PairApproved => Event::PairApproved(row.read(fields)?),
        Kind::PairWithdrawn => Event::PairWithdrawn(row.read(fields)?),
        Kind::Forecast => Event::Forecast(row.read(fields)?),
        Kind::Observation => Event::Observation(row.read(fields)?),
        Kind::LeaderListed => Event::LeaderListed(row.read(fields)?),
        Kind::LeaderTrade => Event::LeaderTrade(row.read(fields)?),
        Kind::LeaderPortfolio => Event::LeaderPortfolio(row.read(fields)?),
        Kind::TradingDay => Event::TradingDay(row.read(fields)?),
        Kind::DailyBar => Event::DailyBar(row.read(fields)?),
        Kind::IntentReceived => Event::IntentReceived(row.read(fields)?),
        Kind::IntentPromoted => Event::IntentPromoted(row.read(fields)?),
        Kind::VenueHealth => Event::VenueHealth(row.read(fields)?),
        other => return Err(row.fault(other.name(), "", "this kind can't stand in a facts file")),
    })
}

/// Puts numbers in the place of instruments' names and mantissas in the place of their prices and quantities.
fn name_instruments(
    fields: &mut Map<String, Value>,
    path: &str,
    outer: Option<Decimals>,
    known: &Known,
    row: &Row,
) -> Result<(), ImportError> {
    const INSTRUMENTS: [&str; 4] = ["instrument", "single_book", "yes_token", "no_token"];
    const PRICES: [&str; 13] = [
        "price",
        "tick_size",
        "min_price",
        "max_price",
        "settlement_price",
        "open",
        "high",
        "low",
        "close",
        "stop_loss",
        "target",
        "from",
        "tick",
    ];
    const QTYS: [&str; 4] = ["qty", "lot_size", "min_qty", "volume"];
    let mut decimals = outer;
    for name in INSTRUMENTS {
        let Some(value) = fields.get_mut(name) else {
            continue;
        };
        let text = value.as_str().unwrap_or_default().to_owned();
        let Some(instrument) = known.get(&text) else {
            let why =
                "no such instrument: define it, or give the file that shows it in the same command";
            return Err(row.fault(&join(path, name), &text, why));
        };
        *value = instrument.id.0.into();
        if name == "instrument" {
            decimals = Some(instrument.decimals);
        }
    }
    for (name, value) in fields.iter_mut() {
        let here = join(path, name);
        match value {
            Value::Object(inner) => name_instruments(inner, &here, decimals, known, row)?,
            Value::Array(items) => {
                for (place, item) in items.iter_mut().enumerate() {
                    if let Value::Object(inner) = item {
                        let here = format!("{here}[{place}]");
                        name_instruments(inner, &here, decimals, known, row)?;
                    }
                }
            }
            plain => {
                let (is_price, is_qty) = (
                    PRICES.contains(&name.as_str()),
                    QTYS.contains(&name.as_str()),
                );
                let Some(d) = decimals.filter(|_| is_price || is_qty) else {
                    continue;
                };
                let text = match &*plain {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let mantissa = if is_price {
                    d.parse_price(&text).map(|price| price.0)
                } else {
                    d.parse_qty(&text).map(|qty| qty.0)
                };
                *plain = mantissa
                    .map_err(|e| row.fault(&here, &text, &e.to_string()))?
                    .into();
            }
        }
    }
    Ok(())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl From<Reject> for ImportError {
    fn from(reject: Reject) -> Self {
        ImportError::Fact(reject)
    }
}
