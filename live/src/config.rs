//! What the daemon is told beside the session: venues' addresses and symbols, where it listens, how it waits and stops.
use crate::core::Wait;
use onetape_venues::weather::Station;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The `[live]` and `[venues.*]` sections of a configuration. Keys never stand here: they come from the environment or
/// from an env file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// The daemon.
    pub live: DaemonConfig,
    /// By venue name.
    pub venues: BTreeMap<String, VenueConfig>,
}

/// The `[live]` section.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DaemonConfig {
    /// The first of the two switches that real money needs; the other is the environment's ONETAPE_LIVE=yes.
    pub allow_live: bool,
    /// What a frame survives before an order leaves.
    pub durability: DurabilityMode,
    /// What the core does while there is nothing to do.
    pub wait: Wait,
    /// The processor, from 0, that the core has to itself; the daemon's other threads stay on the others.
    pub pin_core_to_cpu: Option<usize>,
    /// A snapshot is written this often, in seconds; 0 for none.
    pub snapshot_every_s: u64,
    /// Snapshots that are kept.
    pub snapshots_kept: usize,
    /// Whether every decision is made a second time, behind the core, which halts when one comes out otherwise.
    pub verify: bool,
    /// Size of a journal segment in MiB, 1 to 1024.
    pub segment_mib: u64,
    /// Whether segments before the newest snapshot are compressed.
    pub archive: bool,
    /// What the journal may take on disk, in MiB, before its oldest segments go; 0 keeps everything.
    pub journal_max_mib: u64,
    /// Less room than this on the journal's disk, in MiB, halts new risk; 0 for never.
    pub min_free_mib: u64,
    /// Logs go to this file instead of standard error.
    pub log_file: Option<PathBuf>,
    /// Size of a log file in MiB, after which the next one begins.
    pub log_max_mib: u64,
    /// Log files that are kept, the one being written included.
    pub log_files: usize,
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Addresses beyond this machine need this as well: that a proxy before it speaks TLS.
    pub http_behind_tls_proxy: bool,
    /// File of KEY=VALUE lines with keys; readable by its owner only.
    pub env_file: Option<PathBuf>,
    /// While this file exists the daemon is halted; beside the journal where it is not named.
    pub halt_file: Option<PathBuf>,
    /// What happens to resting orders when the daemon is asked to stop.
    pub on_stop: OnStop,
    /// Venue and journal are compared this often, in seconds.
    pub reconcile_every_s: u64,
    /// An order that a venue does not know is lost this long after it was sent, in milliseconds.
    pub lost_after_ms: u64,
    /// Venues are asked for their markets again this often, in seconds; 0 for at the start only.
    pub relist_every_s: u64,
    /// Where alarms go.
    pub telegram: TelegramConfig,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self {
            allow_live: false,
            durability: DurabilityMode::Process,
            wait: Wait::Park,
            pin_core_to_cpu: None,
            snapshot_every_s: 60,
            snapshots_kept: 3,
            verify: false,
            segment_mib: 64,
            archive: true,
            journal_max_mib: 0,
            min_free_mib: 512,
            log_file: None,
            log_max_mib: 100,
            log_files: 7,
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            http_behind_tls_proxy: false,
            env_file: None,
            halt_file: None,
            on_stop: OnStop::Cancel,
            reconcile_every_s: 60,
            lost_after_ms: 6_000,
            relist_every_s: 300,
            telegram: TelegramConfig::default(),
        }
    }
}

/// The `[live.telegram]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelegramConfig {
    /// The chat that alarms go to, negative for groups; none where it is 0.
    pub chat_id: i64,
    /// Where the service is.
    pub address: String,
    /// The same alarm is said again after this, in seconds.
    pub repeat_after_s: u64,
}

impl Default for TelegramConfig {
    fn default() -> Self {
        Self {
            chat_id: 0,
            address: "https://api.telegram.org".to_owned(),
            repeat_after_s: 600,
        }
    }
}

/// What a frame survives before an order leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurabilityMode {
    /// The death of the process.
    #[default]
    Process,
    /// Power loss: an order leaves only once its frame is on the disk.
    Power,
}

/// What happens to resting orders when the daemon is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStop {
    /// They are cancelled, and the daemon waits for it.
    #[default]
    Cancel,
    /// They stay at the venues.
    Keep,
}

/// A `[venues.NAME]` section.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VenueConfig {
    /// The venue's symbols that go onto the tape.
    pub symbols: Vec<String>,
    /// Symbols that go onto the tape once the venue has them (Binance, Kalshi, Polymarket, Upbit).
    pub awaited: Vec<String>,
    /// Series whose markets go onto the tape as they open (Kalshi).
    pub series: Vec<String>,
    /// Base addresses by name; those of the venue's mode where one is not named.
    pub addresses: BTreeMap<String, String>,
    /// Weight a second for orders and cancels; the venue's lowest tier where it is 0.
    pub write_per_s: u32,
    /// Weight a second for everything else; the venue's lowest tier where it is 0.
    pub read_per_s: u32,
    /// Nothing of a feed's content for this long makes it stale, in milliseconds; the venue's own default where it is 0.
    pub silence_ms: u64,
    /// What lies at a spot venue may be sold. Our ledger begins at nothing and goes below it then; without this only what our
    /// own orders bought is sold.
    pub inventory: bool,
    /// Wallets whose trades go onto the tape (Polymarket).
    pub leaders: Vec<String>,
    /// The venue whose instruments a data provider's content is about (EODHD: "ib").
    pub instruments_of: String,
    /// The account that orders are for (Interactive Brokers): "U1234567", a paper account begins with D.
    pub account: String,
    /// Our number among the gateway's clients, above 0 and the same for ever (Interactive Brokers).
    pub client_id: i32,
    /// Won rates by the name that they have on the tape, and where each comes from (FX).
    pub rates: BTreeMap<String, RateSource>,
    /// Weather stations (NWS).
    pub stations: Vec<StationConfig>,
    /// Whom the weather services may write to.
    pub contact: String,
}

/// Where a rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateSource {
    /// A bank's won for a dollar, as Dunamu passes it on.
    Dunamu,
    /// EODHD's delayed won for a dollar.
    Eodhd,
    /// Won for a dollar, made once a day.
    OpenErApi,
    /// Upbit's last trade of the dollar token.
    Upbit,
}

impl RateSource {
    /// As the configuration has it.
    pub const fn name(self) -> &'static str {
        match self {
            RateSource::Dunamu => "dunamu",
            RateSource::Eodhd => "eodhd",
            RateSource::OpenErApi => "open-er-api",
            RateSource::Upbit => "upbit",
        }
    }
}

/// A weather station.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationConfig {
    /// Its name in contracts and on the tape: "NYC".
    pub name: String,
    /// Its name in observations: "KNYC".
    pub observations: String,
    /// The location whose climate reports settle it: "NYC".
    pub reports: String,
    /// What those reports call the place: "CENTRAL PARK".
    pub place: String,
    /// Degrees north: "40.7829".
    pub latitude: String,
    /// Degrees east: "-73.9654".
    pub longitude: String,
    /// Local standard time minus UTC in minutes, the same all year.
    pub standard_offset_min: i32,
}

impl StationConfig {
    /// As the services' protocols know it.
    pub fn station(&self) -> Station {
        Station {
            name: self.name.clone(),
            observations: self.observations.clone(),
            reports: self.reports.clone(),
            place: self.place.clone(),
            latitude: self.latitude.clone(),
            longitude: self.longitude.clone(),
            standard_offset_min: self.standard_offset_min,
        }
    }
}
