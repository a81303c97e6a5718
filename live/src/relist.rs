//! Venues are asked for their markets again while the daemon runs: what opened since goes onto the tape and is subscribed,
//! and so does what a venue changed about a market that is there. One that a venue lists no more is nothing by itself.
use crate::daemon::{NotListed, read_listing};
use crate::fit::fit;
use crate::gateway::Gateway;
use crate::http_client::HttpClient;
use crate::inputs::Inputs;
use crate::intents::Nameable;
use crate::venues::{OnTape, Venue};
use onetape_engine::event::{
    ContractTerms, Event, FeeSchedule, MarketStatus, RulesText, SessionStart, TradingRules,
    TradingStatus,
};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::sequencer::{NullSink, Sequencer};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_engine::{ENGINE_VERSION, LOGIC_HASH};
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::gateway::{Instruments, Listed, Listing, Listings};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two markets that are asked for, each with a few requests: what a venue allows is for orders first.
const PAUSE: Duration = Duration::from_secs(1);
/// Pages of a series' markets at the most.
const PAGES_MAX: usize = 50;

/// What is known of a market, so that only news go onto the tape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    rules: Option<TradingRules>,
    fees: Option<FeeSchedule>,
    status: TradingStatus,
    terms: Option<ContractTerms>,
    rules_text: Option<RulesText>,
}

impl Known {
    /// As the tape has it. Contracts' facts are not kept there: they are told at every start.
    pub(crate) fn on_tape(instrument: &Instrument, now: Nanos) -> Self {
        Self {
            rules: instrument.rules_at(now).cloned(),
            fees: instrument.fees_at(now).cloned(),
            status: instrument.status,
            terms: None,
            rules_text: None,
        }
    }

    /// As a venue listed it.
    pub(crate) fn of(listing: &Listing) -> Self {
        Self {
            rules: Some(listing.rules.clone()),
            fees: listing.fees.clone(),
            status: listing.status.status,
            terms: listing.terms.clone(),
            rules_text: listing.rules_text.clone(),
        }
    }
}

/// A market as the tape has it, contracts' facts apart; none without trading rules.
pub(crate) fn on_tape(instrument: &Instrument, now: Nanos) -> Option<Listing> {
    Some(Listing {
        definition: instrument.definition.clone(),
        rules: instrument.rules_at(now)?.clone(),
        fees: instrument.fees_at(now).cloned(),
        status: MarketStatus {
            instrument: instrument.id(),
            status: instrument.status,
        },
        terms: None,
        rules_text: None,
    })
}

/// What a listing tells that is not known; an instrument that is not known at all is defined first.
pub(crate) fn news(known: Option<&Known>, listing: &Listing) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    if known.is_none() {
        let definition = Box::new(listing.definition.clone());
        events.push(Event::InstrumentDefined(definition));
    }
    let unknown = Known::default();
    let known = known.unwrap_or(&unknown);
    // From when on they hold is the time at which we asked.
    let same_rules = |rules: &TradingRules| {
        let effective_from = rules.effective_from;
        let as_listed = TradingRules {
            effective_from,
            ..listing.rules.clone()
        };
        *rules == as_listed
    };
    if !known.rules.as_ref().is_some_and(same_rules) {
        events.push(Event::TradingRules(listing.rules.clone()));
    }
    if let Some(fees) = &listing.fees {
        let same_fees = |known: &FeeSchedule| {
            let effective_from = known.effective_from;
            let as_listed = FeeSchedule {
                effective_from,
                ..fees.clone()
            };
            *known == as_listed
        };
        if !known.fees.as_ref().is_some_and(same_fees) {
            events.push(Event::FeeSchedule(Box::new(fees.clone())));
        }
    }
    if known.status != listing.status.status {
        events.push(Event::MarketStatus(listing.status));
    }
    if let Some(terms) = &listing.terms
        && known.terms.as_ref() != Some(terms)
    {
        events.push(Event::ContractTerms(Box::new(terms.clone())));
    }
    if let Some(text) = &listing.rules_text
        && known.rules_text.as_ref() != Some(text)
    {
        events.push(Event::RulesText(Box::new(text.clone())));
    }
    events
}

/// A listing with another number.
fn numbered(mut listing: Listing, id: InstrumentId) -> Listing {
    listing.definition.instrument = id;
    listing.rules.instrument = id;
    listing.status = MarketStatus {
        instrument: id,
        ..listing.status
    };
    if let Some(fees) = &mut listing.fees {
        fees.instrument = id;
    }
    if let Some(terms) = &mut listing.terms {
        terms.instrument = id;
    }
    if let Some(text) = &mut listing.rules_text {
        text.instrument = id;
    }
    listing
}

/// Whether a session takes a listing. An input that the core can't take ends it, and no listing may do that.
fn is_taken(session: &SessionConfig, listing: &Listing, now: Nanos) -> Result<(), String> {
    let mut trial = Sequencer::new(NullSink);
    let mut events = vec![Event::SessionStart(Box::new(SessionStart {
        engine_version: ENGINE_VERSION.to_owned(),
        logic_hash: LOGIC_HASH.to_owned(),
        config: session.clone(),
    }))];
    events.extend(news(None, &numbered(listing.clone(), InstrumentId(0))));
    for event in events {
        event.check().map_err(|e| e.to_string())?;
        let mut payload = Vec::new();
        event.encode(&mut payload);
        let taken = trial.step(now, event.kind().number(), &payload);
        taken.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The markets of a venue's series that are open now.
///
/// # Errors
/// A text: no answer, or one that does not read.
pub(crate) async fn open_markets(
    listings: &mut dyn Listings,
    http: &HttpClient,
    series: &str,
) -> Result<Vec<String>, String> {
    let (mut symbols, mut cursor) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let Some(request) = listings.series_request(series, &cursor) else {
            return Err("the venue has no series".to_owned());
        };
        let answer = http.send(request).await;
        let answer = answer.ok_or_else(|| format!("no answer about the series '{series}'"))?;
        let page = listings.read_series(&answer.response());
        let (more, next) = page.map_err(|error| format!("series '{series}': {error}"))?;
        symbols.extend(more);
        if next.is_empty() {
            return Ok(symbols);
        }
        cursor = next;
    }
    Err(format!("series '{series}': more than {PAGES_MAX} pages"))
}

/// One venue's markets.
pub(crate) struct VenueMarkets {
    pub(crate) venue: Venue,
    pub(crate) listings: Box<dyn Listings>,
    pub(crate) http: HttpClient,
    /// Those on the tape, shared with the venue's order path.
    pub(crate) instruments: Instruments,
    /// What each was last listed as.
    pub(crate) known: BTreeMap<String, Listing>,
    /// Symbols that could not be read the last time.
    pub(crate) unread: BTreeSet<String>,
}

/// Asks all of them again and again.
pub(crate) struct Relist {
    pub(crate) every_s: u64,
    pub(crate) clock: ExchangeClock,
    pub(crate) inputs: Inputs,
    pub(crate) session: SessionConfig,
    pub(crate) venues: Vec<VenueMarkets>,
    /// What order intents may name.
    pub(crate) nameable: Nameable,
    /// The number of the next instrument: nobody else defines any while the daemon runs.
    pub(crate) next: InstrumentId,
}

/// The core has ended.
struct CoreGone;

impl Relist {
    /// Asks until the core is gone.
    pub(crate) async fn run(mut self) {
        loop {
            let due = self.inputs.now().after(self.every_s * SECOND_NS);
            while self.inputs.now() < due {
                let left = due.since(self.inputs.now()) / u64::from(self.inputs.speed());
                // The daemon's clock is looked at again every second.
                let rest = Duration::from_nanos(left).min(Duration::from_secs(1));
                tokio::time::sleep(rest.max(Duration::from_millis(1))).await;
            }
            for place in 0..self.venues.len() {
                if self.look(place).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn look(&mut self, place: usize) -> Result<(), CoreGone> {
        let Some(markets) = self.venues.get_mut(place) else {
            return Ok(());
        };
        let mut symbols: BTreeSet<String> = markets.known.keys().cloned().collect();
        symbols.extend(markets.venue.awaited().iter().cloned());
        for series in markets.venue.series().to_vec() {
            match open_markets(&mut *markets.listings, &markets.http, &series).await {
                Ok(open) => symbols.extend(open),
                Err(why) => tracing::warn!(venue = markets.venue.name(), why, "not listed"),
            }
        }
        // What closed for good is asked for no more.
        let known = &markets.known;
        symbols.retain(|symbol| {
            let closed = |known: &Listing| known.status.status == TradingStatus::Closed;
            !known.get(symbol).is_some_and(closed)
        });
        let mut opened = Vec::new();
        for symbol in symbols {
            tokio::time::sleep(PAUSE / self.clock.speed.clamp(1, 20)).await;
            if let Some(listing) = self.ask(place, &symbol).await? {
                opened.push(listing);
            }
        }
        if !opened.is_empty() {
            self.subscribe(place, &opened);
        }
        Ok(())
    }

    /// Asks for one market and tells the tape what is new; the listing where the market itself is.
    async fn ask(&mut self, place: usize, symbol: &str) -> Result<Option<Listing>, CoreGone> {
        let Some(markets) = self.venues.get_mut(place) else {
            return Ok(None);
        };
        let before = markets.known.get(symbol);
        let id = before.map_or(self.next, |known| known.definition.instrument);
        let listings = &mut *markets.listings;
        let read = read_listing(listings, &markets.http, symbol, id, self.clock).await;
        let read = read.and_then(|mut listing| {
            listing.rules.allows_short |= markets.venue.sells_inventory();
            let fitted = match before {
                Some(known) => fit(listing, known.definition.decimals, Some(&known.rules)),
                None => Ok(listing),
            };
            let taken = fitted.and_then(|listing| {
                is_taken(&self.session, &listing, self.inputs.now()).map(|()| listing)
            });
            Ok(taken?)
        });
        let listing = match read {
            Ok(listing) => listing,
            Err(NotListed { why, is_gone }) => {
                // One that is awaited is not there for a long time; that is said once.
                let is_first = markets.unread.insert(symbol.to_owned());
                if is_first {
                    tracing::warn!(venue = markets.venue.name(), why, "not listed");
                }
                return match before {
                    // What the venue denied twice in a row is over.
                    Some(known) if is_gone && !is_first => {
                        let mut closed = known.clone();
                        closed.status.status = TradingStatus::Closed;
                        self.tell(place, symbol, closed).map(|()| None)
                    }
                    _ => Ok(None),
                };
            }
        };
        markets.unread.remove(symbol);
        let is_new = before.is_none();
        self.tell(place, symbol, listing.clone())?;
        if is_new {
            self.next = InstrumentId(id.0 + 1);
        }
        Ok(is_new.then_some(listing))
    }

    /// Tells the tape what is new about a market.
    fn tell(&mut self, place: usize, symbol: &str, listing: Listing) -> Result<(), CoreGone> {
        let Some(markets) = self.venues.get_mut(place) else {
            return Ok(());
        };
        let known = markets.known.get(symbol).map(Known::of);
        for event in news(known.as_ref(), &listing) {
            tracing::info!(
                venue = markets.venue.name(),
                symbol,
                kind = event.kind().name(),
                "listed anew"
            );
            if !self.inputs.event(&event) {
                return Err(CoreGone);
            }
        }
        // Whoever names it from here on comes behind its definition.
        if known.is_none() {
            self.nameable.add(&listing.definition);
        }
        markets.known.insert(symbol.to_owned(), listing);
        Ok(())
    }

    /// Connects to what opened. It gets connections of its own: those that are at work miss nothing.
    fn subscribe(&self, place: usize, opened: &[Listing]) {
        let Some(markets) = self.venues.get(place) else {
            return;
        };
        let listed = || {
            opened.iter().map(|listing| Listed {
                instrument: listing.definition.instrument,
                symbol: listing.definition.symbol.clone(),
                decimals: listing.definition.decimals,
            })
        };
        // The definitions are on their way to the core, so whatever the account says of them comes after.
        markets.instruments.add(listed());
        let definitions = opened.iter().map(|listing| &listing.definition);
        markets.venue.learn(definitions);
        let known = opened.iter().cloned().map(|listing| OnTape {
            listing,
            is_settled: false,
        });
        let known: Vec<OnTape> = known.collect();
        let venue = &markets.venue;
        let feeds = venue.market_feeds(&Instruments::new(listed()), &known, false);
        let feeds = match feeds {
            Ok(feeds) => feeds,
            Err(error) => {
                tracing::error!(%error, "what opened is not subscribed: start again");
                return;
            }
        };
        for feed in feeds {
            let gateway = Gateway {
                venue: venue.name().to_owned(),
                feed,
                sockets: venue.addresses().clone(),
                http: markets.http.clone(),
                inputs: self.inputs.clone(),
                account: None,
            };
            tokio::spawn(gateway.run());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::event::{InstrumentDefined, InstrumentType, Kind};
    use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
    use onetape_engine::number::{Decimals, Money, Price, Qty};
    use rust_decimal::Decimal;

    fn listing() -> Listing {
        let instrument = InstrumentId(3);
        let free = FeeFormula::probability(Decimal::ZERO);
        Listing {
            definition: InstrumentDefined {
                instrument,
                venue: "kalshi".to_owned(),
                symbol: "KXA-B-C".to_owned(),
                instrument_type: InstrumentType::Binary,
                base: "YES".to_owned(),
                quote: "USD".to_owned(),
                decimals: Decimals::new(4, 2).unwrap(),
            },
            rules: TradingRules {
                instrument,
                effective_from: Nanos(7),
                tick_size: Price(100),
                lot_size: Qty(1),
                min_qty: Qty(1),
                min_notional: Money::ZERO,
                min_price: Price(100),
                max_price: Price(9_900),
                bands: Vec::new(),
                allows_short: true,
            },
            fees: Some(FeeSchedule {
                instrument,
                effective_from: Nanos(7),
                maker: free,
                taker: free,
                rounding: Rounding {
                    decimals: 4,
                    mode: RoundingMode::Up,
                },
                source: "venue".to_owned(),
                accrual: FeeAccrual::PerFill,
            }),
            status: MarketStatus {
                instrument,
                status: TradingStatus::Open,
            },
            terms: Some(ContractTerms {
                instrument,
                event: "KXA-B".to_owned(),
                cluster: "x".to_owned(),
                closes_at: Nanos(9),
                settles_at: Nanos(10),
                rules_hash: "h".to_owned(),
                temperature: None,
            }),
            rules_text: Some(RulesText {
                instrument,
                rules_hash: "h".to_owned(),
            }),
        }
    }

    fn kinds(known: Option<&Known>, listing: &Listing) -> Vec<Kind> {
        let events = news(known, listing);
        events.iter().map(Event::kind).collect()
    }

    #[test]
    fn only_what_changed_goes_onto_the_tape() {
        let first = listing();
        assert_eq!(
            kinds(None, &first),
            [
                Kind::InstrumentDefined,
                Kind::TradingRules,
                Kind::FeeSchedule,
                Kind::ContractTerms,
                Kind::RulesText
            ]
        );
        let known = Known::of(&first);
        let mut again = listing();
        again.rules.effective_from = Nanos(8);
        assert_eq!(kinds(Some(&known), &again), []);
        again.rules.tick_size = Price(10);
        again.status.status = TradingStatus::Halted;
        assert_eq!(
            kinds(Some(&known), &again),
            [Kind::TradingRules, Kind::MarketStatus]
        );
        let mut other = listing();
        other.fees.as_mut().unwrap().source = "other".to_owned();
        other.terms.as_mut().unwrap().closes_at = Nanos(8);
        other.rules_text.as_mut().unwrap().rules_hash = "i".to_owned();
        let changed = [Kind::FeeSchedule, Kind::ContractTerms, Kind::RulesText];
        assert_eq!(kinds(Some(&known), &other), changed);
    }

    #[test]
    fn a_listing_that_the_core_can_not_take_is_found_out_before() {
        let session = SessionConfig::default();
        assert_eq!(is_taken(&session, &listing(), Nanos(7)), Ok(()));
        let mut bad = listing();
        bad.rules.tick_size = Price(0);
        assert!(is_taken(&session, &bad, Nanos(7)).is_err());
    }
}
