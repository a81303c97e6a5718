//! The local exchange as a process: one listener a venue, keys made for the run, the tape played at its pace.
use crate::config::{RateSource, StationConfig, VenueConfig};
use crate::exchange_facts::Facts;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use onetape_engine::event::InstrumentType;
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_venues::binance;
use onetape_venues::exchange as faces;
use onetape_venues::exchange::{
    Cash, Exchange, ExchangeClock, Fault, FaultPlan, Player, Report, wall_now,
};
use onetape_venues::polymarket::WalletKind;
use rust_decimal::Decimal;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to serve.
pub struct HostOptions {
    /// The tape whose market is played.
    pub journal: PathBuf,
    /// Where exchange.toml, exchange.env and facts.toml are written.
    pub out: PathBuf,
    /// Where in the tape's time it begins; at its first event where it is not named.
    pub from: Option<Nanos>,
    /// Seconds of the tape in one second.
    pub speed: u32,
    /// Faults by chance.
    pub faults: FaultPlan,
    /// Cash to begin with, at each venue and in each of its currencies.
    pub cash: Decimal,
}

/// Serves until the process is asked to end; what was true at the end.
///
/// # Errors
/// A text: the journal does not read, or a port can't be had.
pub fn run(options: &HostOptions, said: &mut dyn FnMut(&str)) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(serve(options, said))
}

async fn serve(options: &HostOptions, said: &mut dyn FnMut(&str)) -> Result<Report, String> {
    let first = Player::first_time(&options.journal).map_err(|e| e.to_string())?;
    let clock = ExchangeClock {
        wall_origin: wall_now(),
        origin: options.from.map_or(first, |from| from.max(first)),
        speed: options.speed,
    };
    let facts = Facts::read(&options.journal, clock.origin)?;
    let mut player = Player::open(&options.journal).map_err(|e| e.to_string())?;
    let exchange = Exchange::new(clock, Cash::new(), options.faults.clone());
    let faces = faces(&exchange, &facts)?;
    // What stands at the beginning is there before the first client, and every face knows of it.
    exchange.with(|truth| truth.set_quiet(true));
    let mut until = first;
    loop {
        let played = player.play_until(&exchange, until);
        played.map_err(|e| e.to_string())?;
        while exchange.unheard() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if until >= clock.origin {
            break;
        }
        until = until.after(60 * SECOND_NS).min(clock.origin);
    }
    exchange.with(|truth| {
        truth.set_quiet(false);
        truth.endow(options.cash);
    });
    exchange.begin();
    let clock = exchange.clock();
    let mut env =
        String::from("# Throwaway keys of a local exchange: worth nothing anywhere else.\n");
    let (mut toml, mut served) = (String::new(), BTreeMap::new());
    for Face {
        venue,
        router,
        bases,
        keys,
    } in faces
    {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.map_err(|e| format!("{venue}: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        let of =
            |(base, scheme): &(&str, &str)| ((*base).to_owned(), format!("{scheme}://{address}"));
        let config = VenueConfig {
            addresses: bases.iter().map(of).collect(),
            ..venue_config(venue, &exchange, &facts)
        };
        toml += &section(venue, &config);
        served.insert(venue.to_owned(), config);
        for (name, value) in keys {
            let _ = writeln!(env, "{name}=\"{}\"", value.replace('\n', "\\n"));
        }
        said(&format!("{venue} at {address}"));
    }
    serve_ib(&exchange, &mut toml, said).await?;
    write(options, "exchange.toml", &toml, 0o644)?;
    write(options, "exchange.env", &env, 0o600)?;
    let keys = options.out.join("exchange.env");
    let facts = facts.toml(&served, &keys, clock).await?;
    write(options, "facts.toml", &facts, 0o644)?;
    let admin = Router::new()
        .route("/truth", get(truth))
        .route("/faults", post(fault))
        .with_state(exchange.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    tokio::spawn(async move { axum::serve(listener, admin).await });
    said(&format!("truth and faults at http://{address}"));
    said(&format!(
        "--clock {},{},{}",
        clock.wall_origin.0, clock.origin.0, clock.speed
    ));
    said("ready");
    let played = Arc::new(AtomicBool::new(false));
    let playing = tokio::spawn({
        let (exchange, played) = (exchange.clone(), played.clone());
        async move {
            let result = player.run(exchange).await;
            played.store(true, Ordering::Release);
            result
        }
    });
    asked_to_end().await;
    if played.load(Ordering::Acquire) {
        let result = playing.await.map_err(|e| e.to_string())?;
        result.map_err(|e| e.to_string())?;
    }
    Ok(exchange.with(|truth| truth.report()))
}

/// A gateway of Interactive Brokers: TCP, and a login instead of keys. Only where the daemon could connect to it.
async fn serve_ib(
    exchange: &Arc<Exchange>,
    toml: &mut String,
    said: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let symbols: Vec<String> = exchange.with(|truth| {
        let of = truth.instruments("ib");
        of.map(|i| i.definition.symbol.clone()).collect()
    });
    if !cfg!(feature = "ib") || symbols.is_empty() {
        return Ok(());
    }
    let keys = faces::ib::Keys {
        account: "DU1234567".to_owned(),
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|e| format!("ib: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let _ = writeln!(
        toml,
        "[venues.ib]\nread_per_s = 2000\nwrite_per_s = 200\nsymbols = {symbols:?}\naccount = \"{}\"\nclient_id = 1",
        keys.account
    );
    let _ = writeln!(toml, "[venues.ib.addresses]\ntws = \"{address}\"\n");
    tokio::spawn(faces::ib::serve(exchange.clone(), keys, listener));
    said(&format!("ib at {address}"));
    Ok(())
}

/// One venue's wire.
struct Face {
    venue: &'static str,
    router: Router,
    /// Which base addresses of the venue's client it serves, with their schemes.
    bases: &'static [(&'static str, &'static str)],
    /// What a client needs in its environment.
    keys: Vec<(&'static str, String)>,
}

/// What a daemon's configuration says of a venue, but for its addresses.
fn venue_config(venue: &str, exchange: &Exchange, facts: &Facts) -> VenueConfig {
    let symbols = exchange.with(|truth| {
        let of = truth.instruments(venue);
        of.map(|i| wire_symbol(venue, &i.definition.symbol))
            .collect()
    });
    // It has no limits of its own; a client that keeps to a venue's would be slow to reconcile at this speed.
    let config = VenueConfig {
        symbols,
        read_per_s: 2_000,
        write_per_s: 200,
        ..VenueConfig::default()
    };
    match venue {
        // A data provider: its content is about stocks that are traded elsewhere.
        "eodhd" => VenueConfig {
            symbols: Vec::new(),
            instruments_of: "ib".to_owned(),
            ..config
        },
        "polymarket" => VenueConfig {
            leaders: facts.leaders(),
            ..config
        },
        "fx" => VenueConfig {
            symbols: Vec::new(),
            rates: exchange.with(|truth| {
                let source = |base: &str| match base {
                    "USDT" => RateSource::Upbit,
                    _ => RateSource::Dunamu,
                };
                let of = truth.instruments(venue).map(|i| &i.definition);
                of.map(|d| (d.symbol.clone(), source(&d.base))).collect()
            }),
            ..config
        },
        "nws" => VenueConfig {
            stations: facts.stations(),
            contact: "nobody@localhost".to_owned(),
            ..config
        },
        _ => {
            let inventory = exchange.with(|truth| {
                let now = exchange.now();
                truth.instruments(venue).any(|instrument| {
                    instrument.definition.instrument_type == InstrumentType::Spot
                        && instrument
                            .rules_at(now)
                            .is_some_and(|rules| rules.allows_short)
                })
            });
            VenueConfig {
                inventory,
                ..config
            }
        }
    }
}

/// The same as a section of TOML.
fn section(venue: &str, config: &VenueConfig) -> String {
    let mut toml = format!(
        "[venues.{venue}]\nread_per_s = {}\nwrite_per_s = {}\n",
        config.read_per_s, config.write_per_s
    );
    if config.inventory {
        toml.push_str("inventory = true\n");
    }
    for (name, list) in [("symbols", &config.symbols), ("leaders", &config.leaders)] {
        if !list.is_empty() {
            let _ = writeln!(toml, "{name} = {list:?}");
        }
    }
    for (name, text) in [
        ("instruments_of", &config.instruments_of),
        ("contact", &config.contact),
    ] {
        if !text.is_empty() {
            let _ = writeln!(toml, "{name} = {text:?}");
        }
    }
    let _ = writeln!(toml, "[venues.{venue}.addresses]");
    for (base, address) in &config.addresses {
        let _ = writeln!(toml, "{base} = {address:?}");
    }
    if !config.rates.is_empty() {
        let _ = writeln!(toml, "[venues.{venue}.rates]");
    }
    for (symbol, source) in &config.rates {
        let _ = writeln!(toml, "{symbol:?} = {:?}", source.name());
    }
    for station in &config.stations {
        let StationConfig {
            name,
            observations,
            reports,
            place,
            latitude,
            longitude,
            standard_offset_min,
        } = station;
        let _ = writeln!(
            toml,
            "[[venues.{venue}.stations]]\nname = {name:?}\nobservations = {observations:?}\nreports = {reports:?}\n\
             place = {place:?}\nlatitude = {latitude:?}\nlongitude = {longitude:?}\nstandard_offset_min = {standard_offset_min}"
        );
    }
    toml.push('\n');
    toml
}

/// The venues that are served. Made before the tape is played: they listen for its facts.
fn faces(exchange: &Arc<Exchange>, facts: &Facts) -> Result<Vec<Face>, String> {
    let failed = |what: &str| format!("could not make {what}: the system has no random numbers");
    let (key, secret) = (throwaway("binance key"), throwaway("binance secret"));
    let signer = binance::Signer::hmac(key.clone().into(), &secret.clone().into());
    let binance = Face {
        venue: "binance",
        router: faces::binance::router(exchange.clone(), faces::binance::Keys::new(signer)),
        bases: &[("rest", "http"), ("stream", "ws"), ("ws_api", "ws")],
        keys: vec![("BINANCE_API_KEY", key), ("BINANCE_SECRET_KEY", secret)],
    };
    let keys = faces::kalshi::Keys::generate().map_err(|_| failed("an RSA key"))?;
    let pem = keys.private_pem().map_err(|_| failed("an RSA key"))?;
    let env = vec![
        ("KALSHI_API_KEY_ID", keys.id().to_owned()),
        ("KALSHI_PRIVATE_KEY", pem.expose_secret().to_owned()),
    ];
    let kalshi = Face {
        venue: "kalshi",
        router: faces::kalshi::router(exchange.clone(), keys),
        bases: &[("rest", "http"), ("stream", "ws")],
        keys: env,
    };
    let (key, secret) = (throwaway("upbit key"), throwaway("upbit secret"));
    let keys = faces::upbit::Keys::new(key.clone().into(), &secret.clone().into());
    let upbit = Face {
        venue: "upbit",
        router: faces::upbit::router(exchange.clone(), keys),
        bases: &[("rest", "http"), ("stream", "ws")],
        keys: vec![("UPBIT_ACCESS_KEY", key), ("UPBIT_SECRET_KEY", secret)],
    };
    let token = throwaway("eodhd token");
    let keys = faces::eodhd::Keys {
        token: token.clone().into(),
    };
    let fx = Face {
        venue: "fx",
        router: faces::fx::router(
            exchange.clone(),
            faces::fx::Keys {
                token: token.clone().into(),
            },
        ),
        bases: &[
            ("dunamu", "http"),
            ("eodhd", "http"),
            ("open-er-api", "http"),
            ("upbit", "http"),
        ],
        keys: Vec::new(),
    };
    let eodhd = Face {
        venue: "eodhd",
        router: faces::eodhd::router(exchange.clone(), keys),
        bases: &[("stream", "ws")],
        keys: vec![("EODHD_API_TOKEN", token)],
    };
    let keys = faces::polymarket::Keys::generate(WalletKind::Key);
    let keys = keys.ok_or_else(|| failed("a wallet"))?;
    let env = vec![
        (
            "POLYMARKET_PRIVATE_KEY",
            keys.private_key.expose_secret().to_owned(),
        ),
        ("POLYMARKET_API_KEY", keys.credentials.key.clone()),
        (
            "POLYMARKET_API_SECRET",
            keys.credentials.secret.expose_secret().to_owned(),
        ),
        (
            "POLYMARKET_API_PASSPHRASE",
            keys.credentials.passphrase.expose_secret().to_owned(),
        ),
    ];
    let polymarket = Face {
        venue: "polymarket",
        router: faces::polymarket::router(exchange.clone(), keys),
        bases: &[
            ("rest", "http"),
            ("gamma", "http"),
            ("data", "http"),
            ("stream", "ws"),
            ("rtds", "ws"),
            ("rpc", "http"),
        ],
        keys: env,
    };
    let stations = facts.stations();
    let keys = faces::weather::Keys {
        stations: stations.iter().map(StationConfig::station).collect(),
    };
    let nws = Face {
        venue: "nws",
        router: faces::weather::router(exchange.clone(), keys),
        bases: &[("nws", "http"), ("open-meteo", "http")],
        keys: Vec::new(),
    };
    Ok(vec![binance, kalshi, upbit, eodhd, fx, polymarket, nws])
}

/// An instrument's name on the venue's wire, where the tape has another one.
pub(crate) fn wire_symbol(venue: &str, symbol: &str) -> String {
    match venue {
        "polymarket" => faces::polymarket::token_id(symbol),
        _ => symbol.to_owned(),
    }
}

/// A text that nobody else has, good for this run.
fn throwaway(what: &str) -> String {
    let seed = format!("{what} {} {}", wall_now().0, std::process::id());
    blake3::hash(seed.as_bytes()).to_hex().to_string()
}

async fn truth(State(exchange): State<Arc<Exchange>>) -> Json<Report> {
    Json(exchange.with(|truth| truth.report()))
}

async fn fault(State(exchange): State<Arc<Exchange>>, Json(fault): Json<Fault>) -> &'static str {
    exchange.faults().command(fault);
    "ok"
}

fn write(options: &HostOptions, name: &str, text: &str, mode: u32) -> Result<(), String> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = options.out.join(name);
    let failed = |e: std::io::Error| format!("could not write {}: {e}", path.display());
    std::fs::create_dir_all(&options.out).map_err(failed)?;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&path);
    std::io::Write::write_all(&mut file.map_err(failed)?, text.as_bytes()).map_err(failed)
}

async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending::<()>().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
        () = tokio::time::sleep(Duration::from_secs(7 * 24 * 3_600)) => {}
    }
}
