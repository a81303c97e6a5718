//! What can be wrong before anything is opened: the configuration, keys, clocks, ports, another daemon.
use super::{DaemonError, RunOptions, http_client};
use crate::config::{DaemonConfig, VenueConfig};
use crate::env_file::Environment;
use crate::lease::{Lease, state_folder};
use crate::probe;
use crate::venues::{self, Venue};
use onetape_engine::session::VenueMode;
use onetape_venues::gateway::{Instruments, Query};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

/// What the bot's token is called.
pub(super) const TELEGRAM_TOKEN: [&str; 1] = ["TELEGRAM_BOT_TOKEN"];

/// Everything that can be wrong before anything is opened.
pub(super) fn check(options: &RunOptions) -> Result<Environment, DaemonError> {
    let config = |why: String| Err(DaemonError::Config(why));
    let (live, modes) = (&options.live.live, &options.session.modes);
    for venue in options.live.venues.keys() {
        if !venues::NAMES.contains(&venue.as_str()) {
            let known = venues::NAMES.join(", ");
            return config(format!(
                "venue '{venue}' is not known: it must be one of {known}"
            ));
        }
    }
    for (venue, of) in &options.live.venues {
        if !of.series.is_empty() && venue != "kalshi" {
            return config(format!("venues.{venue}.series: only kalshi has series"));
        }
        if !of.rates.is_empty() && venue != "fx" {
            return config(format!("venues.{venue}.rates: only fx has rates"));
        }
        if !of.symbols.is_empty() && venue == "fx" {
            return config(
                "venues.fx.symbols: fx has rates: name each with its source, as in rates = { USDKRW = \"dunamu\" }"
                    .to_owned(),
            );
        }
        let can_wait = matches!(
            venue.as_str(),
            "binance" | "kalshi" | "polymarket" | "upbit"
        );
        if !of.awaited.is_empty() && !can_wait {
            return config(format!(
                "venues.{venue}.awaited: only binance, kalshi, polymarket and upbit can be waited for; name it in symbols once it is there"
            ));
        }
    }
    for (venue, mode) in modes {
        if mode.is_real() && !options.live.venues.contains_key(venue) {
            return config(format!(
                "modes.{venue} is {} and there is no [venues.{venue}] section",
                mode.name()
            ));
        }
    }
    let real_money = modes.values().any(|mode| *mode == VenueMode::Live);
    let demo = modes.values().any(|mode| *mode == VenueMode::Demo);
    if real_money && demo {
        return config("venues in mode live and in mode demo can't share one session".to_owned());
    }
    if real_money {
        let second = std::env::var("ONETAPE_LIVE").is_ok_and(|value| value == "yes");
        if !live.allow_live || !second {
            return config(
                "mode live needs two switches: allow_live = true in [live], and ONETAPE_LIVE=yes in the environment"
                    .to_owned(),
            );
        }
    }
    let strict = real_money || demo;
    let environment = Environment::read(live.env_file.as_deref(), strict)?;
    if live.telegram.chat_id != 0 {
        environment.need("live.telegram", &TELEGRAM_TOKEN)?;
        let address = &live.telegram.address;
        if let Err(why) = venues::check_address(address) {
            return config(format!("live.telegram.address is '{address}': {why}"));
        }
    }
    let token = environment.get(&["ONETAPE_API_TOKEN", "AT_BEARER_TOKEN"]);
    if !live.http.ip().is_loopback() && (token.is_none() || !live.http_behind_tls_proxy) {
        return config(format!(
            "http = \"{}\" can be reached from other machines: it needs ONETAPE_API_TOKEN and http_behind_tls_proxy = true",
            live.http
        ));
    }
    if !(1..=1_024).contains(&live.segment_mib) {
        return config(format!(
            "segment_mib is {}: it must be 1 to 1024",
            live.segment_mib
        ));
    }
    check_bound(live).map_err(DaemonError::Config)?;
    Ok(environment)
}

/// What a bounded journal needs: snapshots to begin with once its first frames are gone, and room to work in.
pub(super) fn check_bound(live: &DaemonConfig) -> Result<(), String> {
    const SEGMENTS: u64 = 8;
    let (max, least) = (live.journal_max_mib, SEGMENTS * live.segment_mib);
    if max == 0 {
        return Ok(());
    }
    if max < least {
        return Err(format!(
            "journal_max_mib is {max}: it must be 0 for no bound, or at least {least}, {SEGMENTS} segments of segment_mib"
        ));
    }
    if live.snapshot_every_s == 0 || live.snapshots_kept < 2 {
        return Err(
            "journal_max_mib needs snapshots, from which a journal without its first frames is recovered: \
             snapshot_every_s above 0, and snapshots_kept of at least 2"
                .to_owned(),
        );
    }
    Ok(())
}

/// The venues of the configuration, with their addresses and keys.
pub(super) fn open_venues(
    options: &RunOptions,
    environment: &Environment,
) -> Result<Vec<Venue>, DaemonError> {
    let open = |(name, config): (&String, &VenueConfig)| {
        let mode = options.session.mode(name);
        let mode = if options.record_only {
            VenueMode::Shadow
        } else {
            mode
        };
        Venue::open(
            name,
            config,
            mode,
            options.live.live.lost_after_ms,
            environment,
        )
    };
    options.live.venues.iter().map(open).collect()
}

/// One daemon an account.
pub(super) fn leases(options: &RunOptions, venues: &[Venue]) -> Result<Vec<Lease>, DaemonError> {
    let real = venues
        .iter()
        .filter(|v| options.session.mode(v.name()).is_real());
    let take = |venue: &Venue| {
        Ok(Lease::take(
            &state_folder(),
            venue.name(),
            &venue.account_name(),
        )?)
    };
    real.map(take).collect()
}

/// The listener of the daemon's own HTTP: had before anything is asked of a venue.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, DaemonError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| not_listening(address, source))
}

pub(super) fn not_listening(address: SocketAddr, source: std::io::Error) -> DaemonError {
    DaemonError::System {
        what: format!("http = \"{address}\" in [live]: could not listen there"),
        source,
    }
}

/// Refuses to trade with a clock that is off by the core's limit or more.
pub(super) fn check_clock(options: &RunOptions, drift_ms: Option<i64>) -> Result<(), DaemonError> {
    let limit_ms = options.session.risk.max_clock_drift_ms;
    match drift_ms {
        Some(drift_ms) if drift_ms.unsigned_abs() >= limit_ms => {
            Err(DaemonError::Clock { drift_ms, limit_ms })
        }
        _ => Ok(()),
    }
}

/// Asks each venue that gets orders about our account: a key that it refuses, and a clock that is off, are found before
/// anything is opened. No answer, or a venue in trouble, is no word on the key.
pub(super) async fn check_keys(options: &RunOptions, venues: &[Venue]) -> Result<(), DaemonError> {
    let mut drifts = BTreeMap::new();
    for venue in venues {
        let mode = options.session.mode(venue.name());
        if !mode.is_real() || options.record_only || venue.gateway().is_some() {
            continue;
        }
        let mut wire = venue.orders(&Instruments::default())?;
        let http = http_client(venue, options.clock)?;
        let request = wire.ask(&Query::Balances, None, options.clock.now());
        let Some(answer) = http.send(request).await else {
            continue;
        };
        if let Some(drift_ms) = http.drift_ms() {
            drifts.insert(venue.name().to_owned(), drift_ms);
        }
        let response = answer.response();
        if !(400..=403).contains(&response.status) {
            continue;
        }
        // What is signed with a wrong time is refused, too.
        check_clock(options, http.drift_ms())?;
        let read = wire.answer(&Query::Balances, &response, &mut Vec::new());
        let said = read
            .err()
            .map_or(String::new(), |error| format!(": {error}"));
        return Err(DaemonError::Venue {
            venue: venue.name().to_owned(),
            why: format!(
                "it refuses our key (HTTP {}{said}); is it the key of the venue's {} side, may it trade, and from this address?",
                response.status,
                mode.name()
            ),
        });
    }
    check_clock(options, probe::drift_ms(&drifts))
}
