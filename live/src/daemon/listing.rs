//! Instruments as their venues list them, put onto the tape before the core begins.
use super::checks::check_clock;
use super::tape::step;
use super::{DaemonError, RunOptions, http_client};
use crate::fit::fit;
use crate::http_client::HttpClient;
use crate::ib;
use crate::probe;
use crate::relist::{self, Known};
use crate::venues::Venue;
use onetape_backtest::JournalSink;
use onetape_engine::event::{Event, InstrumentDefined, InstrumentType};
use onetape_engine::id::{InstrumentId, Sequence};
use onetape_engine::market::Market;
use onetape_engine::number::Decimals;
use onetape_engine::sequencer::Sequencer;
use onetape_engine::time::Nanos;
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::gateway::Listing;
use std::collections::BTreeMap;

/// Brokers' connections by venue.
pub(super) type Brokers = BTreeMap<String, ib::Connection>;

/// Markets by venue and symbol, as they were listed.
pub(super) type Markets = BTreeMap<String, BTreeMap<String, Listing>>;

/// Puts the configured symbols onto the tape as their venues list them, and what changed about those that are there.
/// Returns the connections that were opened for it, and what was listed.
pub(super) async fn list(
    options: &RunOptions,
    venues: &[Venue],
    sequencer: &mut Sequencer<JournalSink>,
    said: &mut dyn FnMut(&str),
) -> Result<(Brokers, Markets), DaemonError> {
    let (mut brokers, mut drifts) = (Brokers::new(), BTreeMap::new());
    let mut markets = Markets::new();
    for venue in venues {
        define_rates(venue, options, sequencer)?;
        let http = http_client(venue, options.clock)?;
        let failed = |why| DaemonError::Venue {
            venue: venue.name().to_owned(),
            why,
        };
        let mut listings = venue.listings();
        let mut gateway = match venue.gateway() {
            Some(config) => Some(ib::Connection::open(config).await.map_err(failed)?),
            None if listings.is_none() => continue,
            None => None,
        };
        if options.session.mode(venue.name()).is_real() && !options.record_only {
            venue.ask_version(&http).await.map_err(failed)?;
        }
        // Those that must be there, and those that may be.
        let mut symbols: Vec<(String, bool)> = Vec::new();
        symbols.extend(venue.symbols().iter().map(|symbol| (symbol.clone(), true)));
        if let Some(listings) = &mut listings {
            for series in venue.series() {
                let open = relist::open_markets(&mut **listings, &http, series).await;
                let open = open.map_err(failed)?;
                symbols.extend(open.into_iter().map(|symbol| (symbol, false)));
            }
        }
        let awaited = venue.awaited().iter();
        symbols.extend(awaited.map(|symbol| (symbol.clone(), false)));
        let listed = markets.entry(venue.name().to_owned()).or_default();
        for (symbol, must_be_there) in symbols {
            if listed.contains_key(&symbol) {
                continue;
            }
            let known = find(sequencer.market(), venue.name(), &symbol);
            let id = known.unwrap_or(InstrumentId(sequencer.market().instruments().len() as u32));
            let listing = match (&mut gateway, &mut listings) {
                (Some(gateway), _) => {
                    let listing = gateway.list(&symbol, id, options.clock.now()).await;
                    listing.map_err(NotListed::from)
                }
                (None, Some(listings)) => {
                    read_listing(&mut **listings, &http, &symbol, id, options.clock).await
                }
                (None, None) => continue,
            };
            let instrument = known.and_then(|id| sequencer.market().instrument(id).ok());
            if let Err(NotListed { why, is_gone: true }) = &listing
                && let Some(last) = instrument.and_then(|i| relist::on_tape(i, options.clock.now()))
            {
                said(&format!("{}: not there any more: {why}", venue.name()));
                listed.insert(symbol, last);
                continue;
            }
            if let Err(why) = &listing
                && !must_be_there
            {
                said(&format!("{}: not there yet: {why}", venue.name()));
                continue;
            }
            if listing.is_err() {
                check_clock(options, http.drift_ms())?;
            }
            let mut listing = listing.map_err(|not| failed(not.why))?;
            listing.rules.allows_short |= venue.sells_inventory();
            if let Some(known) = instrument {
                let rules = known.rules_at(options.clock.now());
                listing = fit(listing, known.decimals(), rules).map_err(failed)?;
            }
            let known = instrument.map(|i| Known::on_tape(i, options.clock.now()));
            for event in relist::news(known.as_ref(), &listing) {
                step(sequencer, options.clock, &event)?;
            }
            listed.insert(symbol, listing);
        }
        said(&format!("{}: {} symbols", venue.name(), listed.len()));
        if let Some(drift_ms) = http.drift_ms() {
            drifts.insert(venue.name().to_owned(), drift_ms);
        }
        if let Some(gateway) = gateway {
            brokers.insert(venue.name().to_owned(), gateway);
        }
    }
    check_clock(options, probe::drift_ms(&drifts))?;
    Ok((brokers, markets))
}

/// Puts a venue's rates onto the tape. They have no trading rules: nothing of them can be ordered.
fn define_rates(
    venue: &Venue,
    options: &RunOptions,
    sequencer: &mut Sequencer<JournalSink>,
) -> Result<(), DaemonError> {
    for mut rate in venue.rates() {
        let market = sequencer.market();
        if let Some(id) = find(market, venue.name(), &rate.symbol) {
            let known = market.instrument(id).map(|known| &known.definition);
            if known.is_ok_and(|known| known.base != rate.base) {
                return Err(DaemonError::Config(format!(
                    "venues.fx.rates.{}: on the tape it is no price of {}: give this rate another name",
                    rate.symbol, rate.base
                )));
            }
            continue;
        }
        rate.instrument = InstrumentId(market.instruments().len() as u32);
        let defined = Event::InstrumentDefined(Box::new(rate));
        step(sequencer, options.clock, &defined)?;
    }
    Ok(())
}

/// The market with what is awaited in it, for names that the configuration may use already.
pub(super) fn with_awaited(venues: &[Venue], market: &Market) -> Market {
    let mut market = market.clone();
    for venue in venues {
        for symbol in venue.awaited() {
            let definition = InstrumentDefined {
                instrument: InstrumentId(market.instruments().len() as u32),
                venue: venue.name().to_owned(),
                symbol: symbol.clone(),
                instrument_type: InstrumentType::Binary,
                base: String::new(),
                quote: String::new(),
                decimals: Decimals { price: 0, qty: 0 },
            };
            let event = Event::InstrumentDefined(Box::new(definition));
            // One that is there already is refused, and that is as well.
            let _ = market.evolve(Sequence(0), Nanos(0), &event);
        }
    }
    market
}

/// Why a symbol has no listing.
#[derive(Debug)]
pub(crate) struct NotListed {
    /// Why, in words.
    pub(crate) why: String,
    /// The venue says that it has no such market.
    pub(crate) is_gone: bool,
}

impl From<String> for NotListed {
    fn from(why: String) -> Self {
        Self {
            why,
            is_gone: false,
        }
    }
}

impl std::fmt::Display for NotListed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

/// A symbol as its venue lists it. Where a first answer only tells what to ask for, it is asked a second time.
pub(crate) async fn read_listing(
    listings: &mut dyn onetape_venues::gateway::Listings,
    http: &HttpClient,
    symbol: &str,
    id: InstrumentId,
    clock: ExchangeClock,
) -> Result<Listing, NotListed> {
    let mut last = NotListed::from(String::new());
    for _ in 0..2 {
        let mut answers = Vec::new();
        for request in listings.requests(symbol, clock.now()) {
            let answer = http.send(request).await;
            answers.push(answer.ok_or_else(|| {
                format!("no answer about '{symbol}': is the address right, and the venue up?")
            })?);
        }
        let responses: Vec<_> = answers.iter().map(|answer| answer.response()).collect();
        match listings.read(symbol, id, &responses, clock.now()) {
            Ok(listing) => return Ok(listing),
            Err(error) => {
                last = NotListed {
                    why: format!("'{symbol}': {error}"),
                    is_gone: listings.is_gone(&error),
                }
            }
        }
    }
    Err(last)
}

pub(super) fn find(market: &Market, venue: &str, symbol: &str) -> Option<InstrumentId> {
    let mut instruments = market.instruments().iter();
    let found = instruments.find(|i| i.definition.venue == venue && i.definition.symbol == symbol);
    found.map(|instrument| instrument.id())
}
