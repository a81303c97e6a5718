//! What is asked beside venues' markets and orders: a chain about the cash that lies on it, and the tape about an exchange's
//! hours.
use crate::alarms::Caller;
use crate::daemon::DaemonError;
use crate::http_client::HttpClient;
use crate::inputs::Inputs;
use crate::venues::Venue;
use onetape_engine::event::{Event, Kind};
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_journal::Reader;
use onetape_venues::gateway::{AccountFact, OrderWire, Query};
use onetape_venues::polygon::{Address, Call, Token, Word, chain_id};
use onetape_venues::polymarket::{AMOUNT_DECIMALS, COLLATERAL};
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks at the chain, on the daemon's clock; however fast that is, one a second.
const EVERY_NS: u64 = 60 * SECOND_NS;
const PAUSE: Duration = Duration::from_secs(1);
/// Venue and chain may differ by a trade that is on its way: so many looks in a row are more than that.
const LOOKS: u32 = 3;
/// What may differ: a cent.
const TOLERANCE: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
/// Calendars that US stocks trade by.
const US_CALENDARS: [&str; 2] = ["XNYS", "XNAS"];

/// Cash at a venue and on the chain where it lies, at the last look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Compared {
    /// What the venue says.
    venue: Decimal,
    /// What the chain says.
    chain: Decimal,
    /// They have differed for longer than a trade takes to settle.
    differs: bool,
    /// When, UTC ns.
    at_ns: u64,
}

/// By venue.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainBalances(Arc<Mutex<BTreeMap<String, Compared>>>);

impl ChainBalances {
    /// As they were last seen.
    pub(crate) fn look(&self) -> BTreeMap<String, Compared> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    fn show(&self, venue: &str, compared: Compared) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(venue.to_owned(), compared);
    }
}

/// Holds what a venue says of our cash against the chain's word. It watches only: nothing here stops an order.
pub(crate) struct ChainWatch {
    pub(crate) venue: String,
    pub(crate) wallet: Address,
    /// For its question about balances.
    pub(crate) wire: Box<dyn OrderWire>,
    pub(crate) http: HttpClient,
    pub(crate) inputs: Inputs,
    pub(crate) balances: ChainBalances,
    pub(crate) caller: Caller,
}

impl ChainWatch {
    /// Looks until the daemon ends.
    pub(crate) async fn run(mut self) {
        let (mut is_chain, mut differed) = (false, 0);
        loop {
            let asked_at = self.inputs.now();
            match self.look(&mut is_chain).await {
                Ok((venue, chain)) => {
                    let differs = (venue - chain).abs() > TOLERANCE;
                    differed = if differs { differed + 1 } else { 0 };
                    let differs = differed >= LOOKS;
                    if differs {
                        let text = format!(
                            "warning: {} says that we have {venue}, the chain says {chain}",
                            self.venue
                        );
                        tracing::warn!("{text}");
                        self.caller.say("chain balance", text);
                    }
                    let compared = Compared {
                        venue,
                        chain,
                        differs,
                        at_ns: self.inputs.now().0,
                    };
                    self.balances.show(&self.venue, compared);
                }
                Err(why) => tracing::warn!(venue = self.venue, why, "no word of the chain"),
            }
            tokio::time::sleep(PAUSE).await;
            while self.inputs.now().since(asked_at) < EVERY_NS {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Our cash, as the venue and as the chain says.
    async fn look(&mut self, is_chain: &mut bool) -> Result<(Decimal, Decimal), String> {
        if !*is_chain {
            let answer = call(&self.http, Call::ChainId).await?;
            chain_id(answer).map_err(|e| e.to_string())?;
            *is_chain = true;
        }
        let request = self.wire.ask(&Query::Balances, None, self.inputs.now());
        let answer = self
            .http
            .send(request)
            .await
            .ok_or("the venue does not answer")?;
        let mut facts = Vec::new();
        let read = self
            .wire
            .answer(&Query::Balances, &answer.response(), &mut facts);
        read.map_err(|e| e.to_string())?;
        let balances = facts.iter().filter_map(|fact| match fact {
            AccountFact::Balance(balance) => Some(balance.free + balance.locked),
            _ => None,
        });
        let said: Decimal = balances.sum();
        let collateral =
            Address::parse(COLLATERAL).ok_or("the collateral's address does not read")?;
        let balance = Call::Balance {
            token: Token::Erc20(collateral),
            owner: self.wallet,
        };
        let units = call(&self.http, balance).await?.to_u128();
        let units = units.and_then(|units| i128::try_from(units).ok());
        let chain = units.and_then(|u| Decimal::try_from_i128_with_scale(u, AMOUNT_DECIMALS).ok());
        let chain = chain.ok_or("the chain's balance is out of range")?;
        Ok((said.normalize(), chain.normalize()))
    }
}

async fn call(http: &HttpClient, call: Call) -> Result<Word, String> {
    const ID: u64 = 1;
    let answer = http.send(call.request("rpc", ID)).await;
    let answer = answer.ok_or("the chain's provider does not answer")?;
    call.read(ID, &answer.response()).map_err(|e| e.to_string())
}

/// Tells the provider of stocks' prices when their exchange is open, as far as the tape has its days: outside them nobody
/// trades, and silence is no fault.
pub(crate) fn tell_hours(venues: &[Venue], journal: &Path) -> Result<(), DaemonError> {
    if let Some(provider) = venues.iter().find(|venue| venue.name() == "eodhd") {
        provider.set_hours(us_hours(journal)?);
    }
    Ok(())
}

/// When US stocks trade, ascending, by the tape's calendars.
fn us_hours(journal: &Path) -> Result<Vec<Range<Nanos>>, onetape_journal::Error> {
    let mut reader = Reader::open(journal)?;
    let mut hours: Vec<Range<Nanos>> = Vec::new();
    let kind = Kind::TradingDay.number();
    while let Some(frame) = reader.next()? {
        if frame.tag.kind() == kind
            && let Ok(Event::TradingDay(day)) = Event::decode(kind, frame.payload)
            && US_CALENDARS.contains(&day.calendar.as_str())
        {
            hours.push(day.opens_at..day.closes_at);
        }
    }
    // Facts before a session are told again behind its start.
    hours.sort_by_key(|hours| hours.start);
    hours.dedup();
    Ok(hours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use onetape_engine::event::TradingDay;
    use onetape_journal::{Options, Tag, Writer};
    use onetape_venues::exchange::{ExchangeClock, polymarket::Keys, wall_now};
    use onetape_venues::gateway::Instruments;
    use onetape_venues::polymarket::{OrderConfig, Orders, Tokens, WalletKind};
    use serde_json::{Value, json};

    /// A venue that says so much, and a chain that says 2.50.
    async fn watch(
        said: &'static str,
        speed: u32,
    ) -> (ChainWatch, crossbeam_channel::Receiver<crate::alarms::Said>) {
        let balance = move || async move { Json(json!({"balance": said, "allowances": {}})) };
        let rpc = |Json(call): Json<Value>| async move {
            let result = match call["method"].as_str() {
                Some("eth_chainId") => "0x89".to_owned(),
                _ => format!("0x{:064x}", 2_500_000),
            };
            Json(json!({"jsonrpc": "2.0", "id": call["id"], "result": result}))
        };
        let router = Router::new()
            .route("/balance-allowance", get(balance))
            .route("/", post(rpc));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let clock = ExchangeClock {
            wall_origin: wall_now(),
            origin: wall_now(),
            speed,
        };
        let bases = ["rest", "rpc"].map(|base| (base.to_owned(), address.clone()));
        let keys = Keys::generate(WalletKind::Key).unwrap();
        let wallet = keys.wallet.funder;
        let wire = Orders::new(
            OrderConfig::default(),
            Instruments::default(),
            Tokens::default(),
            keys.wallet,
            keys.credentials,
        );
        let (inputs, queue) = Inputs::new(clock);
        // Kept for as long as the test runs.
        Box::leak(Box::new(queue));
        let (caller, heard) = Caller::heard();
        let watch = ChainWatch {
            venue: "polymarket".to_owned(),
            wallet,
            wire: Box::new(wire),
            http: HttpClient::new(BTreeMap::from(bases), clock).unwrap(),
            inputs,
            balances: ChainBalances::default(),
            caller,
        };
        (watch, heard)
    }

    #[tokio::test]
    async fn a_venue_that_differs_from_the_chain_for_long_is_said() {
        let (watch, heard) = watch("1000000", 1_000).await;
        let balances = watch.balances.clone();
        let task = tokio::spawn(watch.run());
        let said = tokio::task::spawn_blocking(move || heard.recv_timeout(Duration::from_secs(30)));
        let said = said.await.unwrap().unwrap();
        assert_eq!(
            said.text,
            "warning: polymarket says that we have 1, the chain says 2.5"
        );
        let seen = balances.look();
        assert!(seen["polymarket"].differs);
        task.abort();
    }

    #[tokio::test]
    async fn a_venue_that_agrees_with_the_chain_is_shown_and_nobody_is_called() {
        let (mut watch, heard) = watch("2500000", 1).await;
        let both = watch.look(&mut false).await.unwrap();
        let half = Decimal::new(25, 1);
        assert_eq!(both, (half, half));
        assert!(heard.is_empty());
    }

    #[test]
    fn hours_are_those_of_us_exchanges_on_the_tape_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("journal");
        let mut writer = Writer::create(&journal, Options::default()).unwrap();
        for (calendar, opens) in [("XNYS", 200), ("XNYS", 100), ("XKRX", 150), ("XNYS", 200)] {
            let day = Event::TradingDay(Box::new(TradingDay {
                calendar: calendar.to_owned(),
                day: 1,
                utc_offset_s: 0,
                opens_at: Nanos(opens),
                closes_at: Nanos(opens + 10),
            }));
            let mut payload = Vec::new();
            day.encode(&mut payload);
            let tag = Tag::input(day.kind().number()).with_step_end(true);
            writer.append(tag, 1, &payload).unwrap();
        }
        writer.close().unwrap();
        let hours = us_hours(&journal).unwrap();
        assert_eq!(hours, [Nanos(100)..Nanos(110), Nanos(200)..Nanos(210)]);
    }
}
