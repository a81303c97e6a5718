//! The venues by name: their addresses, keys, listings, feeds and order interfaces. The one place that knows them all.
use crate::budget::Allowance;
use crate::config::{RateSource, VenueConfig};
use crate::daemon::DaemonError;
use crate::env_file::Environment;
use crate::http_client::HttpClient;
use onetape_engine::event::{InstrumentDefined, InstrumentType, TradingStatus};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use onetape_engine::session::VenueMode;
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{
    Bucket, Feed, Instruments, Listed, Listing, Listings, OrderWire, Poll, Request, WireError,
};
use onetape_venues::polygon::Address;
use onetape_venues::{binance, eodhd, fx, ib, kalshi, polymarket, upbit, weather};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

/// The venues that a configuration may name.
pub const NAMES: [&str; 8] = [
    "binance",
    "eodhd",
    "fx",
    "ib",
    "kalshi",
    "nws",
    "polymarket",
    "upbit",
];

/// How long a signed Binance request is good, in ms.
const RECV_WINDOW_MS: u64 = 5_000;
const MS: u64 = 1_000_000;
/// What EODHD's token is called.
const EODHD_TOKEN: [&str; 2] = ["EODHD_API_TOKEN", "EODHD_API_KEY"];
/// Rates are told with up to six, dollars of the token's trades with up to eight.
const RATE_DECIMALS: Decimals = Decimals { price: 8, qty: 8 };
/// How often a gateway is tried at the start, and the longest wait between two tries: a session that died without a word
/// keeps its client id for some seconds.
const IB_ATTEMPTS: u32 = 8;
const IB_RETRY_MS: u64 = 5_000;

/// A market as it stands on the tape already.
#[derive(Clone, Debug)]
pub struct OnTape {
    /// What was told of it last.
    pub listing: Listing,
    /// It has paid.
    pub is_settled: bool,
}

/// A venue with its addresses and keys.
pub struct Venue {
    name: String,
    config: VenueConfig,
    addresses: BTreeMap<String, String>,
    lost_after_ms: u64,
    keys: Keys,
}

/// What a venue is told who we are with.
#[expect(clippy::large_enum_variant, reason = "there is one a venue")]
enum Keys {
    Binance {
        signer: Option<binance::Signer>,
        pairs: binance::Pairs,
    },
    Kalshi {
        signer: kalshi::Signer,
        key_id: String,
        shards: kalshi::Shards,
    },
    Upbit {
        signer: Option<upbit::Signer>,
        access_key: Option<SecretString>,
    },
    Polymarket {
        tokens: polymarket::Tokens,
        /// Of the exchange's contracts, once the venue has told it.
        version: OnceLock<polymarket::ExchangeVersion>,
        account: Option<(polymarket::Wallet, polymarket::auth::Credentials)>,
    },
    Eodhd {
        token: SecretString,
        /// When the exchange is open, as the tape says.
        hours: OnceLock<Vec<Range<Nanos>>>,
    },
    /// By the name that each rate has on the tape.
    Fx(BTreeMap<String, fx::Source>),
    /// The gateway holds the keys: whoever reaches it trades.
    Ib(Box<ib::Config>),
    Nws,
}

impl Venue {
    /// Opens a venue: addresses of its mode with the configuration's over them, and its keys.
    ///
    /// # Errors
    /// [`DaemonError`]: a key is missing or can't be used, or an address is not one.
    pub fn open(
        name: &str,
        config: &VenueConfig,
        mode: VenueMode,
        lost_after_ms: u64,
        environment: &Environment,
    ) -> Result<Self, DaemonError> {
        let keys = match name {
            "binance" => Keys::Binance {
                signer: binance_signer(mode, environment)?,
                pairs: binance::Pairs::default(),
            },
            "kalshi" => {
                let id = ["KALSHI_API_KEY_ID", "KALSHI_KEY_ID"];
                let key_id = environment.need(name, &id)?.expose_secret().to_owned();
                let pem = pem(environment)?;
                let signer = kalshi::Signer::new(key_id.clone(), &pem);
                Keys::Kalshi {
                    signer: signer.map_err(|e| bad_key(name, "KALSHI_PRIVATE_KEY", &e))?,
                    key_id,
                    shards: kalshi::Shards::default(),
                }
            }
            "polymarket" => Keys::Polymarket {
                tokens: polymarket::Tokens::default(),
                version: OnceLock::new(),
                account: polymarket_account(mode, environment)?,
            },
            "eodhd" => {
                let token = environment.need(name, &EODHD_TOKEN)?;
                Keys::Eodhd {
                    token: token.clone(),
                    hours: OnceLock::new(),
                }
            }
            "fx" => Keys::Fx(rate_sources(config, environment)?),
            "ib" => Keys::Ib(Box::new(ib_gateway(config, mode)?)),
            "nws" => Keys::Nws,
            _ => {
                let needed = mode.is_real();
                let names = (["UPBIT_ACCESS_KEY"], ["UPBIT_SECRET_KEY"]);
                let (access, secret) = (environment.get(&names.0), environment.get(&names.1));
                let signer = match (access, secret) {
                    (Some(access), Some(secret)) => {
                        Some(upbit::Signer::new(access.clone(), secret))
                    }
                    _ if needed => {
                        environment.need(name, &names.0)?;
                        environment.need(name, &names.1)?;
                        None
                    }
                    _ => None,
                };
                Keys::Upbit {
                    signer,
                    access_key: access.cloned(),
                }
            }
        };
        Ok(Self {
            name: name.to_owned(),
            addresses: addresses(name, config, mode)?,
            config: config.clone(),
            lost_after_ms,
            keys,
        })
    }

    /// The venue's name on the tape.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The symbols that go onto the tape.
    pub fn symbols(&self) -> &[String] {
        &self.config.symbols
    }

    /// Symbols that go onto the tape once the venue has them.
    pub fn awaited(&self) -> &[String] {
        &self.config.awaited
    }

    /// Series whose markets go onto the tape as they open.
    pub fn series(&self) -> &[String] {
        &self.config.series
    }

    /// Asks the venue for what its orders are signed for: at Polymarket, the version of its contracts.
    ///
    /// # Errors
    /// A text: no answer, or a version that nothing here signs for.
    pub async fn ask_version(&self, http: &HttpClient) -> Result<(), String> {
        let Keys::Polymarket { version, .. } = &self.keys else {
            return Ok(());
        };
        let answer = http.send(polymarket::version_request()).await;
        let answer = answer.ok_or("no answer about the version of its contracts")?;
        let told = polymarket::read_version(&answer.response()).map_err(|e| e.to_string())?;
        // The first word holds: the orders of this process are signed for it.
        let _ = version.set(told);
        Ok(())
    }

    /// The exchange's hours for a data provider, whose silence means something only then.
    pub fn set_hours(&self, of_tape: Vec<Range<Nanos>>) {
        if let Keys::Eodhd { hours, .. } = &self.keys {
            let _ = hours.set(of_tape);
        }
    }

    /// The wallet whose cash lies on a public chain.
    pub fn chain_wallet(&self) -> Option<Address> {
        match &self.keys {
            Keys::Polymarket { account, .. } => account.as_ref().map(|(wallet, _)| wallet.funder),
            _ => None,
        }
    }

    /// Whether what lies there may be sold, too.
    pub const fn sells_inventory(&self) -> bool {
        self.config.inventory
    }

    /// Base addresses by name.
    pub const fn addresses(&self) -> &BTreeMap<String, String> {
        &self.addresses
    }

    /// A name of the account that is no secret by itself.
    pub fn account_name(&self) -> String {
        match &self.keys {
            Keys::Binance { signer, .. } => signer.as_ref().map(|s| s.api_key().to_owned()),
            Keys::Kalshi { key_id, .. } => Some(key_id.clone()),
            Keys::Upbit { access_key, .. } => access_key
                .as_ref()
                .map(|key| key.expose_secret().to_owned()),
            Keys::Polymarket { account, .. } => account
                .as_ref()
                .map(|(wallet, _)| wallet.funder.to_string()),
            Keys::Ib(config) => Some(config.account.clone()),
            Keys::Eodhd { .. } | Keys::Fx(_) | Keys::Nws => None,
        }
        .unwrap_or_default()
    }

    /// How many requests the venue takes: the configuration's word, or the venue's lowest tier.
    pub fn allowance(&self) -> Allowance {
        // Binance: 50 orders in 10 s, weight 6,000 a minute. Kalshi: 100 write and 200 read tokens a second, 10 a call.
        // Upbit: 12 orders and 30 other requests a second. Polymarket: 500 orders a second, 150 books. Interactive Brokers:
        // 50 messages a second.
        let (write, read) = match self.keys {
            Keys::Binance { .. } => (5, 100),
            Keys::Kalshi { .. } => (100, 200),
            Keys::Upbit { .. } => (12, 30),
            Keys::Polymarket { .. } => (200, 100),
            Keys::Ib(_) => (35, 15),
            Keys::Eodhd { .. } | Keys::Fx(_) | Keys::Nws => (1, 10),
        };
        let stated = |stated: u32, known: u32| if stated == 0 { known } else { stated };
        Allowance {
            write_per_s: stated(self.config.write_per_s, write),
            read_per_s: stated(self.config.read_per_s, read),
        }
    }

    /// How the venue is asked for its markets; a data provider has none of its own.
    pub fn listings(&self) -> Option<Box<dyn Listings>> {
        Some(match &self.keys {
            Keys::Binance { signer, .. } => {
                Box::new(binance::Markets::new(signer.clone(), RECV_WINDOW_MS))
            }
            Keys::Kalshi { shards, .. } => {
                let membership = kalshi::Membership::default();
                Box::new(kalshi::KalshiListings::new(membership, shards.clone()))
            }
            Keys::Upbit { signer, .. } => {
                let signer = signer.clone().map(|signer| (signer, nonces(0)));
                Box::new(upbit::Markets::new(signer))
            }
            Keys::Polymarket { tokens, .. } => {
                let config = polymarket::ListingConfig::default();
                Box::new(polymarket::Markets::new(config, [], tokens.clone()))
            }
            Keys::Ib(_) | Keys::Eodhd { .. } | Keys::Fx(_) | Keys::Nws => return None,
        })
    }

    /// Instruments that are ours to define, since their source lists none: rates, which nobody trades here. Their numbers
    /// are for the tape to give.
    pub fn rates(&self) -> Vec<InstrumentDefined> {
        let Keys::Fx(sources) = &self.keys else {
            return Vec::new();
        };
        let define = |(symbol, source): (&String, &fx::Source)| InstrumentDefined {
            instrument: InstrumentId(0),
            venue: self.name.clone(),
            symbol: symbol.clone(),
            instrument_type: InstrumentType::Spot,
            base: source.base().to_owned(),
            quote: "KRW".to_owned(),
            decimals: RATE_DECIMALS,
        };
        sources.iter().map(define).collect()
    }

    /// The gateway of a broker, which is asked and told over a connection of its own; the venues over HTTP have none.
    pub fn gateway(&self) -> Option<ib::Config> {
        match &self.keys {
            Keys::Ib(config) => Some((**config).clone()),
            _ => None,
        }
    }

    /// Whose instruments the venue's content is about.
    pub fn instruments_of(&self) -> &str {
        match self.keys {
            Keys::Eodhd { .. } if !self.config.instruments_of.is_empty() => {
                &self.config.instruments_of
            }
            _ => &self.name,
        }
    }

    /// A cheap public request, by which the tape learns how the venue answers; a data provider is asked nothing.
    pub fn probe(&self) -> Option<Request> {
        let symbol = self.config.symbols.first()?;
        let target = match &self.keys {
            Keys::Binance { .. } => "/api/v3/ping".to_owned(),
            Keys::Kalshi { .. } => format!("/trade-api/v2/markets/{symbol}"),
            Keys::Upbit { .. } => format!("/v1/orderbook/instruments?markets={symbol}"),
            Keys::Polymarket { .. } => "/time".to_owned(),
            Keys::Eodhd { .. } | Keys::Fx(_) | Keys::Nws | Keys::Ib(_) => return None,
        };
        Some(Request::get("rest", target, Bucket::Public))
    }

    /// Sources that are asked again and again.
    pub fn polls(&self, instruments: &Instruments) -> Vec<Box<dyn Poll>> {
        match &self.keys {
            Keys::Fx(sources) => self.rate_polls(sources, instruments),
            Keys::Nws => self.weather_polls(),
            _ => Vec::new(),
        }
    }

    fn rate_polls(
        &self,
        sources: &BTreeMap<String, fx::Source>,
        instruments: &Instruments,
    ) -> Vec<Box<dyn Poll>> {
        let mut polls: Vec<Box<dyn Poll>> = Vec::new();
        for (symbol, source) in sources {
            let mut config = fx::Config::of(source);
            if self.config.silence_ms != 0 {
                config.max_age_ms = self.config.silence_ms;
            }
            if let Some(listed) = instruments.symbol(symbol) {
                let poll = fx::RatePoll::new(source.clone(), listed.clone(), config);
                polls.push(Box::new(poll));
            }
        }
        polls
    }

    fn weather_polls(&self) -> Vec<Box<dyn Poll>> {
        let mut polls: Vec<Box<dyn Poll>> = Vec::new();
        for config in &self.config.stations {
            let station = config.station();
            let agent = weather::Agent::new(&self.config.contact);
            polls.push(Box::new(weather::ForecastPoll::new(
                station.clone(),
                agent.clone(),
            )));
            polls.push(Box::new(weather::ObservationPoll::new(
                station.clone(),
                agent.clone(),
            )));
            polls.push(Box::new(weather::OpenMeteoPoll::new(
                station.clone(),
                agent.clone(),
            )));
            polls.push(Box::new(weather::ReportPoll::new(station, agent)));
        }
        polls
    }

    /// Learns of instruments that are new on the tape; other venues' are none of it. What the venue's feeds and orders know
    /// grows with it.
    pub fn learn<'a>(&self, definitions: impl IntoIterator<Item = &'a InstrumentDefined>) {
        if let Keys::Binance { pairs, .. } = &self.keys {
            let own = definitions.into_iter().filter(|d| d.venue == self.name);
            pairs.add(own);
        }
    }

    /// The venue's connections: market data, our own account where `account` says so, and wallets that are followed.
    ///
    /// # Errors
    /// [`DaemonError`] when there are more symbols than a connection takes.
    pub fn feeds(
        &self,
        instruments: &Instruments,
        known: &[OnTape],
        account: bool,
    ) -> Result<Vec<Box<dyn Feed>>, DaemonError> {
        let mut feeds = self.market_feeds(instruments, known, account)?;
        match &self.keys {
            Keys::Binance {
                signer: Some(signer),
                pairs,
            } if account => {
                let config = binance::UserConfig::default();
                let user = binance::UserFeed::new(config, signer.clone(), pairs.clone());
                feeds.push(Box::new(user));
            }
            Keys::Upbit {
                signer: Some(signer),
                ..
            } if account => {
                let config = upbit::UserConfig::default();
                let (signer, instruments) = (signer.clone(), instruments.clone());
                let user = upbit::UserFeed::new(config, signer, nonces(1), instruments);
                feeds.push(Box::new(user));
            }
            Keys::Polymarket { account: known, .. } => {
                if let Some((wallet, credentials)) = known.clone().filter(|_| account) {
                    let config = polymarket::UserFeedConfig::default();
                    let instruments = instruments.clone();
                    feeds.push(Box::new(polymarket::UserFeed::new(
                        config,
                        instruments,
                        credentials,
                        wallet.funder,
                    )));
                }
                let wallets = self.leaders()?;
                if !wallets.is_empty() {
                    let config = polymarket::LeaderFeedConfig::default();
                    let instruments = instruments.clone();
                    let leaders = polymarket::LeaderFeed::new(config, instruments, &wallets);
                    feeds.push(Box::new(leaders));
                }
            }
            _ => {}
        }
        Ok(feeds)
    }

    /// Connections for the market data of some instruments, of which `known` is on the tape. Kalshi tells of our account on
    /// the same one, where `account` says so.
    ///
    /// # Errors
    /// [`DaemonError`] when there are more symbols than a connection takes.
    pub fn market_feeds(
        &self,
        instruments: &Instruments,
        known: &[OnTape],
        account: bool,
    ) -> Result<Vec<Box<dyn Feed>>, DaemonError> {
        let silence_ns = self.config.silence_ms * MS;
        let silence = |default: u64| if silence_ns == 0 { default } else { silence_ns };
        let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
        match &self.keys {
            Keys::Binance { .. } => {
                let mut config = binance::FeedConfig::new(binance::Product::Spot);
                config.book_silence_ns = silence(config.book_silence_ns);
                config.quote_silence_ns = silence(config.quote_silence_ns);
                config.reconnect_after_ns = silence(config.reconnect_after_ns);
                // One that was taken off would be silent for ever.
                let is_closed = |listed: &&Listed| {
                    known.iter().map(|known| &known.listing).any(|listing| {
                        listing.definition.instrument == listed.instrument
                            && listing.status.status == TradingStatus::Closed
                    })
                };
                let open = instruments.iter().filter(|listed| !is_closed(listed));
                let open = Instruments::new(open.cloned());
                if !open.is_empty() {
                    let feed = binance::MarketFeed::new(config, &open);
                    feeds.push(Box::new(feed.map_err(|e| self.refused(&e))?));
                }
            }
            Keys::Kalshi { signer, .. } => {
                let mut config = kalshi::FeedConfig {
                    account,
                    ..kalshi::FeedConfig::default()
                };
                if self.config.silence_ms != 0 {
                    config.silent_after_ms = self.config.silence_ms;
                }
                let mut feed = kalshi::KalshiFeed::new(signer.clone(), instruments.clone(), config);
                for known in known {
                    feed.known(&known.listing, known.is_settled);
                }
                feeds.push(Box::new(feed));
            }
            Keys::Upbit { .. } => {
                let mut config = upbit::FeedConfig::default();
                config.book_silence_ns = silence(config.book_silence_ns);
                config.reconnect_after_ns = silence(config.reconnect_after_ns);
                feeds.push(Box::new(upbit::MarketFeed::new(config, instruments)));
            }
            Keys::Polymarket { tokens, .. } => {
                let mut config = polymarket::MarketFeedConfig::default();
                config.silence_ns = silence(config.silence_ns);
                let rules: Vec<_> = known.iter().map(|k| k.listing.rules.clone()).collect();
                let feed = polymarket::MarketFeed::new(config, instruments, &rules, tokens.clone());
                feeds.push(Box::new(feed.map_err(|e| self.refused(&e))?));
            }
            Keys::Eodhd { .. } if instruments.is_empty() => {}
            Keys::Eodhd { token, hours } => {
                for content in [eodhd::Content::UsTrades, eodhd::Content::UsQuotes] {
                    let hours = hours.get().cloned().unwrap_or_default();
                    let mut config = eodhd::Config::new(content, hours);
                    if self.config.silence_ms != 0 {
                        config.silence_ms = self.config.silence_ms;
                        config.reconnect_ms = self.config.silence_ms;
                    }
                    let stream = eodhd::Stream::new(config, token.clone(), instruments);
                    feeds.push(Box::new(stream.map_err(|e| DaemonError::Venue {
                        venue: self.name.clone(),
                        why: e.to_string(),
                    })?));
                }
            }
            Keys::Ib(_) | Keys::Fx(_) | Keys::Nws => {}
        }
        Ok(feeds)
    }

    /// The venue's order interface.
    ///
    /// # Errors
    /// [`DaemonError`] when there is no key.
    pub fn orders(&self, instruments: &Instruments) -> Result<Box<dyn OrderWire>, DaemonError> {
        let lost_after_ns = self.lost_after_ms * MS;
        let no_key = || DaemonError::Venue {
            venue: self.name.clone(),
            why: "orders need a key".to_owned(),
        };
        Ok(match &self.keys {
            Keys::Binance { signer, pairs } => {
                let signer = signer.clone().ok_or_else(no_key)?;
                let config = binance::OrdersConfig {
                    lost_after_ns,
                    ..binance::OrdersConfig::default()
                };
                Box::new(binance::Orders::new(config, signer, pairs.clone()))
            }
            Keys::Kalshi { signer, shards, .. } => {
                let config = kalshi::OrderConfig::default();
                let (signer, instruments) = (signer.clone(), instruments.clone());
                Box::new(kalshi::KalshiOrders::new(
                    signer,
                    instruments,
                    shards.clone(),
                    config,
                ))
            }
            Keys::Upbit { signer, .. } => {
                let signer = signer.clone().ok_or_else(no_key)?;
                let config = upbit::OrdersConfig {
                    lost_after_ns,
                    ..upbit::OrdersConfig::default()
                };
                Box::new(upbit::Orders::new(
                    config,
                    signer,
                    nonces(2),
                    instruments.clone(),
                ))
            }
            Keys::Polymarket {
                tokens,
                account,
                version,
            } => {
                let (wallet, credentials) = account.clone().ok_or_else(no_key)?;
                let known = polymarket::OrderConfig::default();
                let config = polymarket::OrderConfig {
                    lost_after_ms: self.lost_after_ms,
                    version: version.get().copied().unwrap_or(known.version),
                    ..known
                };
                let (instruments, tokens) = (instruments.clone(), tokens.clone());
                let orders =
                    polymarket::Orders::new(config, instruments, tokens, wallet, credentials);
                Box::new(orders)
            }
            Keys::Ib(_) | Keys::Eodhd { .. } | Keys::Fx(_) | Keys::Nws => return Err(no_key()),
        })
    }

    fn leaders(&self) -> Result<Vec<Address>, DaemonError> {
        let address = |text: &String| {
            Address::parse(text).ok_or_else(|| {
                DaemonError::Config(format!(
                    "venues.{}.leaders: '{text}' is no address: expected 0x and 40 hex digits",
                    self.name
                ))
            })
        };
        self.config.leaders.iter().map(address).collect()
    }

    fn refused(&self, error: &WireError) -> DaemonError {
        DaemonError::Venue {
            venue: self.name.clone(),
            why: error.to_string(),
        }
    }
}

/// The addresses of the venue's mode, with the configuration's over them.
fn addresses(
    name: &str,
    config: &VenueConfig,
    mode: VenueMode,
) -> Result<BTreeMap<String, String>, DaemonError> {
    if name == "ib" {
        // No web address: ib_gateway reads it.
        return Ok(BTreeMap::new());
    }
    let demo = mode == VenueMode::Demo;
    let known: &[(&str, &str)] = match name {
        "binance" if demo => &binance::TESTNET,
        "binance" => &binance::PRODUCTION,
        "kalshi" if demo => &kalshi::DEMO,
        "kalshi" => &kalshi::PRODUCTION,
        "polymarket" => &polymarket::PRODUCTION,
        "eodhd" => &eodhd::PRODUCTION,
        "fx" => &fx::PRODUCTION,
        "nws" => &weather::PRODUCTION,
        _ => &upbit::PRODUCTION,
    };
    let owned = |(name, address): &(&str, &str)| ((*name).to_owned(), (*address).to_owned());
    let mut addresses: BTreeMap<String, String> = known.iter().map(owned).collect();
    for (base, address) in &config.addresses {
        let bad = |why: &str| {
            DaemonError::Config(format!(
                "venues.{name}.addresses.{base} is '{address}': {why}"
            ))
        };
        if !known.iter().any(|(known, _)| known == base) {
            let known: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
            return Err(bad(&format!(
                "the venue's addresses are {}",
                known.join(", ")
            )));
        }
        check_address(address).map_err(bad)?;
        addresses.insert(base.clone(), address.trim_end_matches('/').to_owned());
    }
    let has_demo = matches!(name, "binance" | "kalshi");
    if demo && !has_demo && !config.addresses.contains_key("rest") {
        return Err(DaemonError::Config(format!(
            "{name} has no test environment: mode demo needs venues.{name}.addresses"
        )));
    }
    Ok(addresses)
}

/// Plain text goes to this machine only.
pub(crate) fn check_address(address: &str) -> Result<(), &'static str> {
    let (scheme, rest) = address.split_once("://").unwrap_or_default();
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let local = host == "127.0.0.1" || host == "localhost";
    match scheme {
        "https" | "wss" => Ok(()),
        "http" | "ws" if local => Ok(()),
        "http" | "ws" => Err("without TLS it must be on this machine"),
        _ => Err("it must begin with https:// or wss://"),
    }
}

/// Where the gateway listens, and as whom we call.
fn ib_gateway(config: &VenueConfig, mode: VenueMode) -> Result<ib::Config, DaemonError> {
    let wrong = |what: String| DaemonError::Config(format!("venues.ib.{what}"));
    if let Some(other) = config.addresses.keys().find(|name| *name != "tws") {
        return Err(wrong(format!(
            "addresses.{other}: the only address here is tws"
        )));
    }
    let port = |name: &str| {
        ib::PORTS
            .iter()
            .find(|(of, _)| *of == name)
            .map(|(_, p)| *p)
    };
    let (host, port) = match config.addresses.get("tws") {
        Some(address) => {
            let parts = address.rsplit_once(':');
            let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
            parts.filter(|(host, _)| !host.is_empty() && !host.contains('/')).ok_or_else(|| {
                wrong(format!(
                    "addresses.tws is '{address}': expected HOST:PORT, such as 127.0.0.1:7497 (TWS on paper) or 127.0.0.1:4001 (the gateway with real money)"
                ))
            })?
        }
        None if mode == VenueMode::Live => ("127.0.0.1", port("tws live").unwrap_or_default()),
        None => ("127.0.0.1", port("tws paper").unwrap_or_default()),
    };
    if config.account.is_empty() {
        return Err(wrong(
            "account is missing: the account's name as TWS shows it, such as DU1234567".to_owned(),
        ));
    }
    if config.client_id <= 0 {
        return Err(wrong(format!(
            "client_id is {}: it must be a number above 0 that no other program uses, the same after every restart",
            config.client_id
        )));
    }
    let trades_on_paper = matches!(port, 4002 | 7497);
    let is_gateways = ib::PORTS.iter().any(|(_, known)| *known == port);
    let gateway = ib::Config {
        host: host.to_owned(),
        port,
        mode: match mode {
            VenueMode::Demo if !is_gateways => ib::Mode::StandIn,
            VenueMode::Demo => ib::Mode::Paper,
            // In the other modes it is only asked what a stock is, and either login can tell.
            VenueMode::Shadow | VenueMode::Paper if trades_on_paper => ib::Mode::Paper,
            _ => ib::Mode::Live,
        },
        attempts: IB_ATTEMPTS,
        retry_ms: IB_RETRY_MS,
        ..ib::Config::paper(&config.account, config.client_id)
    };
    let refused = gateway.check();
    refused.map_err(|error| wrong(format!("addresses.tws: {error} (mode {})", mode.name())))?;
    Ok(gateway)
}

/// Where rates come from; EODHD's needs its token.
fn rate_sources(
    config: &VenueConfig,
    environment: &Environment,
) -> Result<BTreeMap<String, fx::Source>, DaemonError> {
    let mut sources = BTreeMap::new();
    for (symbol, source) in &config.rates {
        let source = match source {
            RateSource::Dunamu => fx::Source::Dunamu("FRX.KRWUSD".to_owned()),
            RateSource::Eodhd => {
                let token = environment.need("fx", &EODHD_TOKEN)?;
                fx::Source::Eodhd("USDKRW.FOREX".to_owned(), token.clone())
            }
            RateSource::OpenErApi => fx::Source::OpenEr,
            RateSource::Upbit => fx::Source::Upbit("KRW-USDT".to_owned()),
        };
        sources.insert(symbol.clone(), source);
    }
    Ok(sources)
}

fn binance_signer(
    mode: VenueMode,
    environment: &Environment,
) -> Result<Option<binance::Signer>, DaemonError> {
    let key = environment.get(&["BINANCE_API_KEY"]);
    let Some(key) = key else {
        if mode.is_real() {
            environment.need("binance", &["BINANCE_API_KEY"])?;
        }
        return Ok(None);
    };
    if let Some(pem) = environment.get(&["BINANCE_ED25519_KEY"]) {
        let signer = binance::Signer::ed25519(key.clone(), pem);
        return Ok(Some(
            signer.map_err(|e| bad_key("binance", "BINANCE_ED25519_KEY", &e))?,
        ));
    }
    let secret = environment.need("binance", &["BINANCE_SECRET_KEY", "BINANCE_API_SECRET"])?;
    Ok(Some(binance::Signer::hmac(key.clone(), secret)))
}

/// Polymarket's key, wallet and API credentials.
fn polymarket_account(
    mode: VenueMode,
    environment: &Environment,
) -> Result<Option<(polymarket::Wallet, polymarket::auth::Credentials)>, DaemonError> {
    let name = "polymarket";
    let key = ["POLYMARKET_PRIVATE_KEY", "PRIVATE_KEY"];
    let Some(secret) = environment.get(&key) else {
        if mode.is_real() {
            environment.need(name, &key)?;
        }
        return Ok(None);
    };
    let signer = polymarket::eip712::Signer::new(secret);
    let signer = signer.map_err(|e| bad_key(name, "POLYMARKET_PRIVATE_KEY", &e))?;
    let kind = environment
        .get(&["POLYMARKET_WALLET"])
        .map(|kind| kind.expose_secret().to_owned());
    let kind = match kind.as_deref() {
        None | Some("key") => polymarket::WalletKind::Key,
        Some("proxy") => polymarket::WalletKind::Proxy,
        Some("safe") => polymarket::WalletKind::Safe,
        Some("deposit") => polymarket::WalletKind::Deposit,
        Some(_) => {
            let why = "it must be key, proxy, safe or deposit".to_owned();
            return Err(bad_key(name, "POLYMARKET_WALLET", &why));
        }
    };
    let funder = environment.get(&["POLYMARKET_FUNDER"]);
    let funder = funder.and_then(|funder| Address::parse(funder.expose_secret()));
    let wallet = polymarket::Wallet::new(signer, kind, funder).ok_or_else(|| {
        bad_key(
            name,
            "POLYMARKET_FUNDER",
            &"it does not fit the key and the kind of wallet",
        )
    })?;
    let credentials = polymarket::auth::Credentials {
        key: environment
            .need(name, &["POLYMARKET_API_KEY"])?
            .expose_secret()
            .to_owned(),
        secret: environment.need(name, &["POLYMARKET_API_SECRET"])?.clone(),
        passphrase: environment
            .need(name, &["POLYMARKET_API_PASSPHRASE"])?
            .clone(),
    };
    Ok(Some((wallet, credentials)))
}

/// Kalshi's key: the text itself, or the path of a file with it.
fn pem(environment: &Environment) -> Result<SecretString, DaemonError> {
    if let Some(path) = environment.get(&["KALSHI_PRIVATE_KEY_PATH"]) {
        let path = path.expose_secret();
        let read = std::fs::read_to_string(path);
        return Ok(read
            .map_err(|source| DaemonError::System {
                what: format!("KALSHI_PRIVATE_KEY_PATH: could not read {path}"),
                source,
            })?
            .into());
    }
    Ok(environment.need("kalshi", &["KALSHI_PRIVATE_KEY"])?.clone())
}

fn bad_key(venue: &str, name: &str, error: &impl ToString) -> DaemonError {
    DaemonError::Venue {
        venue: venue.to_owned(),
        why: format!("{name}: {}", error.to_string()),
    }
}

/// Nonces that no other user of the same key has: the process's start and what uses them.
fn nonces(user: u8) -> upbit::Nonces {
    let mut seed = [0; 16];
    let now = onetape_venues::exchange::wall_now().0.to_le_bytes();
    seed[..8].copy_from_slice(&now);
    seed[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    seed[12] = user;
    upbit::Nonces::new(seed)
}
