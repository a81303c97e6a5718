//! This project's own CSV: one row a quote, a trade or a book level. The columns are in docs/import.md.
use super::columns::{TimeUnit, id, split};
use super::error::Fault;
use super::row::{Content, FrameKey, Row};
use onetape_engine::event::Aggressor;
use onetape_engine::order::Side;

const TIMES: [(&str, TimeUnit); 4] = [
    ("ts_ns", TimeUnit::Nanoseconds),
    ("ts_us", TimeUnit::Microseconds),
    ("ts_ms", TimeUnit::Milliseconds),
    ("ts", TimeUnit::Text),
];
const NAMES: [&str; 12] = [
    "type",
    "venue",
    "symbol",
    "id",
    "previous_id",
    "side",
    "price",
    "qty",
    "bid_price",
    "bid_qty",
    "ask_price",
    "ask_qty",
];
// Places in NAMES.
const TYPE: usize = 0;
const VENUE: usize = 1;
const SYMBOL: usize = 2;
const ID: usize = 3;
const PREVIOUS_ID: usize = 4;
const SIDE: usize = 5;
const PRICE: usize = 6;
const QTY: usize = 7;
const BID_PRICE: usize = 8;
const BID_QTY: usize = 9;
const ASK_PRICE: usize = 10;
const ASK_QTY: usize = 11;

/// Where each column stands.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    time: (usize, TimeUnit),
    time_name: &'static str,
    places: [Option<usize>; NAMES.len()],
    count: usize,
}

/// Whether a first line is this format's header.
pub(super) fn is_header(line: &str) -> bool {
    let has = |name| {
        line.split(',')
            .any(|column| column.trim().trim_matches('"') == name)
    };
    has("type") && has("venue") && has("symbol")
}

/// A column, and why the header can't have it.
pub(super) fn read_header(line: &str) -> Result<Columns, (String, &'static str)> {
    let mut fields = Vec::new();
    split(line, &mut fields)
        .map_err(|_| (line.chars().take(60).collect(), "does not read as a header"))?;
    let mut columns = Columns {
        time: (0, TimeUnit::Text),
        time_name: "",
        places: [None; NAMES.len()],
        count: fields.len(),
    };
    for (place, field) in fields.iter().enumerate() {
        if let Some((name, unit)) = TIMES.iter().find(|(name, _)| name == field) {
            if !columns.time_name.is_empty() {
                return Err(((*field).to_owned(), "is a second time"));
            }
            (columns.time, columns.time_name) = ((place, *unit), name);
        } else if let Some(slot) = NAMES
            .iter()
            .position(|name| name == field)
            .and_then(|known| columns.places.get_mut(known))
        {
            if slot.replace(place).is_some() {
                return Err(((*field).to_owned(), "stands twice"));
            }
        } else {
            return Err(((*field).to_owned(), "is not one of this format"));
        }
    }
    if columns.time_name.is_empty() {
        return Err(("ts_ns, ts_us, ts_ms or ts".to_owned(), "is missing"));
    }
    for required in [TYPE, VENUE, SYMBOL] {
        if columns.places.get(required).copied().flatten().is_none() {
            return Err((
                NAMES.get(required).copied().unwrap_or_default().to_owned(),
                "is missing",
            ));
        }
    }
    Ok(columns)
}

impl Columns {
    pub(super) fn stamp(&self, line: &str) -> Option<u64> {
        let mut fields = Vec::new();
        split(line, &mut fields).ok()?;
        self.time
            .1
            .read(self.time_name, fields.get(self.time.0)?)
            .ok()
    }

    pub(super) fn row<'a>(&self, venue: Option<&'a str>, line: &'a str) -> Result<Row<'a>, Fault> {
        let mut fields = Vec::with_capacity(self.count);
        split(line, &mut fields)?;
        if fields.len() != self.count {
            return Err(Fault::new(
                "line",
                line,
                format!(
                    "{} fields where the header has {}",
                    fields.len(),
                    self.count
                ),
            ));
        }
        let get = |name: usize| {
            self.places
                .get(name)
                .copied()
                .flatten()
                .and_then(|place| fields.get(place).copied())
                .unwrap_or("")
        };
        let need = |name: usize| match get(name) {
            "" => Err(Fault::new(
                NAMES.get(name).copied().unwrap_or_default(),
                "",
                "expected a value",
            )),
            value => Ok(value),
        };
        let stamp_ns = self.time.1.read(
            self.time_name,
            fields.get(self.time.0).copied().unwrap_or(""),
        )?;
        let own_id = id("id", get(ID))?;
        let content = match need(TYPE)? {
            "quote" => Content::Quote {
                venue_time_ns: 0,
                update_id: own_id,
                bid: (get(BID_PRICE), get(BID_QTY)),
                ask: (get(ASK_PRICE), get(ASK_QTY)),
            },
            "trade" => Content::Trade {
                venue_time_ns: 0,
                trade_id: own_id,
                price: need(PRICE)?,
                qty: need(QTY)?,
                aggressor: match get(SIDE) {
                    "buy" => Aggressor::Buyer,
                    "sell" => Aggressor::Seller,
                    "" => Aggressor::Unknown,
                    other => {
                        return Err(Fault::new(
                            "side",
                            other,
                            "expected buy, sell or nothing for a trade",
                        ));
                    }
                },
            },
            kind @ ("book" | "book_snapshot") => Content::Level {
                key: FrameKey {
                    snapshot: kind == "book_snapshot",
                    stamp_ns,
                    venue_time_ns: 0,
                    id: own_id,
                    previous_id: id("previous_id", get(PREVIOUS_ID))?,
                },
                side: match need(SIDE)? {
                    "bid" => Side::Buy,
                    "ask" => Side::Sell,
                    other => {
                        return Err(Fault::new(
                            "side",
                            other,
                            "expected bid or ask for a book level",
                        ));
                    }
                },
                price: need(PRICE)?,
                qty: need(QTY)?,
            },
            other => {
                return Err(Fault::new(
                    "type",
                    other,
                    "expected quote, trade, book_snapshot or book",
                ));
            }
        };
        Ok(Row {
            stamp_ns,
            venue: venue.map_or_else(|| need(VENUE), Ok)?,
            symbol: Some(need(SYMBOL)?),
            content,
        })
    }
}
