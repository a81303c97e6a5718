//! What a tape says that no venue tells, as a facts file to import before a daemon runs on the local exchange: approved pairs,
//! leaders, trading days, and instruments of venues that are not served.
//!
//! A pair names its instruments and the rules that were read as this exchange serves them: a journal has a rule text's hash
//! and not the text, so what is served is another text. Only an approval that fits the tape's own texts is taken over.
use crate::config::{StationConfig, VenueConfig};
use crate::daemon::read_listing;
use crate::env_file::Environment;
use crate::exchange_host::wire_symbol;
use crate::http_client::HttpClient;
use crate::venues::Venue;
use onetape_backtest::describe::Names;
use onetape_engine::event::{Event, InstrumentDefined, LeaderListed, PairApproved, TradingDay};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::session::VenueMode;
use onetape_engine::time::{DAY_NS, Nanos};
use onetape_journal::Reader;
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::gateway::Listing;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

/// Local standard time minus UTC in minutes, of the stations that contracts pay on.
const OFFSETS: [(&str, i32); 10] = [
    ("AUS", -360),
    ("BOS", -300),
    ("DEN", -420),
    ("LAX", -480),
    ("MDW", -360),
    ("MIA", -300),
    ("NYC", -300),
    ("PHL", -300),
    ("SEA", -480),
    ("SFO", -480),
];

/// Fields that are times, in UTC ns on the tape.
const TIMES: [&str; 9] = [
    "at",
    "approved_at",
    "closes_at",
    "cut_off",
    "effective_from",
    "opens_at",
    "settles_at",
    "single_book_settles_at",
    "token_settles_at",
];

/// What stands on a tape at a moment.
#[derive(Default)]
pub(crate) struct Facts {
    names: Names,
    definitions: Vec<InstrumentDefined>,
    /// Rules and fees by instrument, as JSON.
    terms_of_trade: BTreeMap<InstrumentId, Vec<(&'static str, Value)>>,
    rules_hashes: BTreeMap<InstrumentId, String>,
    pairs: BTreeMap<String, PairApproved>,
    leaders: BTreeMap<String, LeaderListed>,
    days: Vec<TradingDay>,
    stations: BTreeSet<String>,
}

impl Facts {
    /// Reads a journal's facts up to a moment.
    ///
    /// # Errors
    /// A text: the journal does not read.
    pub(crate) fn read(journal: &Path, until: Nanos) -> Result<Self, String> {
        let mut reader = Reader::open_whole(journal).map_err(|e| e.to_string())?;
        let mut facts = Self::default();
        while let Some(frame) = reader.next().map_err(|e| e.to_string())? {
            if frame.timestamp_ns > until.0 {
                break;
            }
            if frame.tag.is_derived() {
                continue;
            }
            let event = Event::decode(frame.tag.kind(), frame.payload);
            let event = event.map_err(|e| format!("sequence {}: {e}", frame.sequence))?;
            facts.see(event);
        }
        Ok(facts)
    }

    fn see(&mut self, event: Event<'_>) {
        self.names.learn(&event);
        match event {
            Event::TradingRules(_) | Event::FeeSchedule(_) => {
                if let Some(id) = event.instrument() {
                    let json = self.names.event_json(&event);
                    let known = self.terms_of_trade.entry(id).or_default();
                    known.push((event.kind().name(), json));
                }
            }
            Event::InstrumentDefined(definition) => self.definitions.push(*definition),
            Event::ContractTerms(terms) => {
                let station = terms.temperature.map(|temperature| temperature.station);
                self.stations.extend(station);
                self.rules_hashes.insert(terms.instrument, terms.rules_hash);
            }
            Event::RulesText(text) => {
                self.rules_hashes.insert(text.instrument, text.rules_hash);
            }
            Event::PairApproved(pair) => {
                self.pairs.insert(pair.pair.clone(), *pair);
            }
            Event::PairWithdrawn(withdrawn) => {
                self.pairs.remove(&withdrawn.pair);
            }
            Event::LeaderListed(leader) => {
                self.leaders.insert(leader.wallet.clone(), *leader);
            }
            Event::TradingDay(day) => self.days.push(*day),
            _ => {}
        }
    }

    /// The wallets that are listed.
    pub(crate) fn leaders(&self) -> Vec<String> {
        let active = self.leaders.values().filter(|leader| leader.active);
        active.map(|leader| leader.wallet.clone()).collect()
    }

    /// The stations that contracts pay on. A journal has their names only: their places here are made up.
    pub(crate) fn stations(&self) -> Vec<StationConfig> {
        let known = OFFSETS
            .iter()
            .filter(|(name, _)| self.stations.contains(*name));
        let station = |(place, (name, offset)): (usize, &(&str, i32))| StationConfig {
            name: (*name).to_owned(),
            observations: format!("K{name}"),
            reports: (*name).to_owned(),
            place: (*name).to_owned(),
            latitude: format!("{}.0000", 30 + place),
            longitude: "-100.0000".to_owned(),
            standard_offset_min: *offset,
        };
        known.enumerate().map(station).collect()
    }

    /// The facts file, for a client of these venues. What pairs need to know is asked of the venues themselves.
    ///
    /// # Errors
    /// A text: a venue does not answer.
    pub(crate) async fn toml(
        &self,
        served: &BTreeMap<String, VenueConfig>,
        keys: &Path,
        clock: ExchangeClock,
    ) -> Result<String, String> {
        let mut toml = String::from(
            "# What the tape says that no venue tells. A pair's approval is its approver's own word: read the rules before you import it.\n",
        );
        let listed = self.listed(served, keys, clock).await?;
        for definition in &self.definitions {
            let id = definition.instrument;
            let listing = listed.get(&id);
            if listing.is_none() && served.contains_key(&definition.venue) {
                continue;
            }
            let definition = listing.map_or(definition, |listing| &listing.definition);
            let event = Event::InstrumentDefined(Box::new(definition.clone()));
            self.table(&mut toml, "instrument", &event, None);
            if listing.is_none() {
                for (kind, json) in self.terms_of_trade.get(&id).into_iter().flatten() {
                    write_table(&mut toml, kind, json.clone(), None, &|name| name.to_owned());
                }
            }
        }
        for pair in self.pairs.values().filter(|pair| self.is_in_force(pair)) {
            let hash = |id| {
                listed
                    .get(&id)
                    .and_then(|listing| listing.rules_text.as_ref())
            };
            let (Some(single), Some(token)) = (hash(pair.single_book), hash(pair.yes_token)) else {
                continue;
            };
            let event = Event::PairApproved(Box::new(PairApproved {
                single_book_rules: single.rules_hash.clone(),
                token_rules: token.rules_hash.clone(),
                ..pair.clone()
            }));
            self.table(&mut toml, "pair_approved", &event, Some(clock.origin));
        }
        for leader in self.leaders.values() {
            let event = Event::LeaderListed(Box::new(leader.clone()));
            self.table(&mut toml, "leader_listed", &event, Some(clock.origin));
        }
        for day in &self.days {
            let event = Event::TradingDay(Box::new(day.clone()));
            self.table(&mut toml, "trading_day", &event, Some(clock.origin));
        }
        Ok(toml)
    }

    fn is_in_force(&self, pair: &PairApproved) -> bool {
        let fits = |id, approved: &String| self.rules_hashes.get(&id).is_none_or(|h| h == approved);
        fits(pair.single_book, &pair.single_book_rules)
            && fits(pair.yes_token, &pair.token_rules)
            && fits(pair.no_token, &pair.token_rules)
    }

    /// The instruments of pairs as their venues list them.
    async fn listed(
        &self,
        served: &BTreeMap<String, VenueConfig>,
        keys: &Path,
        clock: ExchangeClock,
    ) -> Result<BTreeMap<InstrumentId, Listing>, String> {
        let environment = Environment::read(Some(keys), false).map_err(|e| e.to_string())?;
        let legs = self.pairs.values();
        let legs = legs.flat_map(|pair| [pair.single_book, pair.yes_token, pair.no_token]);
        let mut listed = BTreeMap::new();
        for id in legs.collect::<BTreeSet<_>>() {
            let Some(definition) = self.definitions.iter().find(|d| d.instrument == id) else {
                continue;
            };
            let name = &definition.venue;
            let Some(config) = served.get(name) else {
                continue;
            };
            let venue = Venue::open(name, config, VenueMode::Paper, 0, &environment);
            let venue = venue.map_err(|e| e.to_string())?;
            let http = HttpClient::new(venue.addresses().clone(), clock)?;
            let Some(mut listings) = venue.listings() else {
                continue;
            };
            let symbol = wire_symbol(name, &definition.symbol);
            let listing = read_listing(&mut *listings, &http, &symbol, id, clock).await;
            listed.insert(id, listing.map_err(|why| format!("{name}: {why}"))?);
        }
        Ok(listed)
    }

    fn table(&self, toml: &mut String, kind: &str, event: &Event<'_>, at: Option<Nanos>) {
        let on_the_wire = |name: &str| {
            let mut definitions = self.definitions.iter();
            let is = |definition: &&InstrumentDefined| Instrument::full_name(definition) == name;
            match definitions.find(is) {
                Some(d) => format!("{}:{}", d.venue, wire_symbol(&d.venue, &d.symbol)),
                None => name.to_owned(),
            }
        };
        write_table(toml, kind, self.names.event_json(event), at, &on_the_wire);
    }
}

/// A table of facts out of an event's JSON; `rename` is asked for every text.
fn write_table(
    toml: &mut String,
    kind: &str,
    json: Value,
    at: Option<Nanos>,
    rename: &dyn Fn(&str) -> String,
) {
    let Value::Object(mut fields) = json else {
        return;
    };
    if kind == "instrument" {
        // Which number it has is the journal's matter.
        fields.remove("instrument");
    }
    if let Some(at) = at {
        fields.insert("at".to_owned(), at.0.into());
    }
    let _ = writeln!(toml, "\n[[{kind}]]");
    for (name, value) in &fields {
        if let Some(value) = value_text(name, value, rename) {
            let _ = writeln!(toml, "{name} = {value}");
        }
    }
}

fn value_text(name: &str, value: &Value, rename: &dyn Fn(&str) -> String) -> Option<String> {
    let inner = |fields: &Map<String, Value>| {
        let one = |(name, value): (&String, &Value)| {
            let text = value_text(name, value, rename)?;
            Some(format!("{name} = {text}"))
        };
        fields.iter().filter_map(one).collect::<Vec<_>>().join(", ")
    };
    Some(match value {
        Value::Null => return None,
        Value::String(text) => Value::String(rename(text)).to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_u64() {
            // Zero is no time: from the start.
            Some(ns) if ns > 0 && TIMES.contains(&name) => time_text(Nanos(ns))?,
            Some(days) if name == "day" => {
                let start = time_text(Nanos(days.checked_mul(DAY_NS)?))?;
                start.split('T').next()?.to_owned()
            }
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items = items
                .iter()
                .filter_map(|item| value_text(name, item, rename));
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => format!("{{ {} }}", inner(fields)),
    })
}

fn time_text(at: Nanos) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(at.0.into()).ok()?;
    Some(time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_reads_as_a_table_of_facts() {
        let mut toml = String::new();
        let json = json!({
            "pair": "a", "cut_off": 1_767_571_200_500_000_000u64, "yes_token": "polymarket:yes", "inverted": false,
            "fee": {"notional": {"rate": "0.1"}}, "day": 20_458, "bands": [], "none": null,
        });
        let rename = |text: &str| text.replace(":yes", ":77");
        write_table(
            &mut toml,
            "pair_approved",
            json,
            Some(Nanos(1_767_571_200_000_000_000)),
            &rename,
        );
        assert_eq!(
            toml,
            "\n[[pair_approved]]\nat = 2026-01-05T00:00:00Z\nbands = []\ncut_off = 2026-01-05T00:00:00.5Z\nday = 2026-01-05\n\
             fee = { notional = { rate = \"0.1\" } }\ninverted = false\npair = \"a\"\nyes_token = \"polymarket:77\"\n"
        );
    }
}
