//! The command line.
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

const AFTER: &str = "\
Start here:
  onetape demo                                            a day traded, killed, recovered and verified; no setup
  onetape import --journal days/btc FILE...               put recorded market data on a tape
  onetape backtest days/btc --strategy ema_cross --journal runs/ema
  onetape verify runs/ema                                 prove that the run is what the inputs lead to

Exit codes: 0 ok, 1 failure, 2 usage, 3 config, 4 data, 5 venue, 6 risk halt, 7 not reconciled, 8 verify mismatch, 9 timeout";

/// One tape for live trading, paper trading, backtests and recovery.
#[derive(Debug, Parser)]
#[command(name = "onetape", version, styles = STYLES, after_help = AFTER, propagate_version = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Trade a generated day on paper, kill the process, recover it and verify everything
    Demo(Demo),
    /// Put recorded market data on a tape
    Import(Import),
    /// Put a generated, seeded day on a tape
    Generate(Generate),
    /// Run strategies over a tape with paper fills
    Backtest(Backtest),
    /// Decide everything again and compare it with the tape, byte for byte
    Verify(Verify),
    /// Rebuild the state that a tape leads to, without deciding anything
    Recover(Journal),
    /// Show why something was traded, or was not: every gate with value, limit and distance
    Why(Why),
    /// Show what a tape holds: segments, ranges, counts, gaps, hashes
    Info(Journal),
    /// Show a tape's frames, or follow them as they are written
    Tail(Tail),
    /// Write a tape as Parquet tables
    Export(Export),
    /// Compress a tape's sealed segments
    Archive(Archive),
    /// Trade: gateways, core, order paths, health, until SIGTERM
    Run(Run),
    /// Put venues' feeds onto a tape, without a strategy and without an order
    Record(Record),
    /// Serve venues' wire on this machine from a tape, with faults on demand
    Exchange(Exchange),
    /// Stop new risk of a running daemon; without one, leave a file that stops it
    Halt(Control),
    /// End the operator's halt
    Resume(Control),
    /// Take a venue's word for what is held, after a difference was looked into
    Accept(Accept),
    /// Show a running daemon's state as JSON
    Status(Journal),
    /// Suggest markets of two venues that may ask the same question; it approves nothing
    Match(Match),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Journal {
    /// The journal's directory
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The journal's directory, new or to be continued
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: PathBuf,
    /// Strategies, limits, modes, venues: see docs/live.md
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Ask the daemon that has the journal to hand it over, orders at work included: for updates
    #[arg(long)]
    pub(crate) take_over: bool,
    /// A local exchange's clock, as it prints it
    #[arg(long, value_name = "WALL,ORIGIN,SPEED")]
    pub(crate) clock: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// The journal's directory, new or to be continued
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: PathBuf,
    /// The [venues.*] and [live] sections; strategies are left out
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A local exchange's clock, as it prints it
    #[arg(long, value_name = "WALL,ORIGIN,SPEED")]
    pub(crate) clock: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Exchange {
    /// The tape whose market is played
    pub(crate) dir: PathBuf,
    /// Where addresses, throwaway keys and facts for a daemon are written: exchange.toml, exchange.env, facts.toml
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Where in the tape's time it begins: 2026-01-05T14:25:00Z; what came before is there at once
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<jiff::Timestamp>,
    /// Seconds of the tape in one second
    #[arg(long, default_value_t = 1)]
    pub(crate) speed: u32,
    /// Faults by chance, as TOML: see docs/exchange.md
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Cash to begin with at each venue, in its currencies
    #[arg(long, default_value = "1000000000")]
    pub(crate) cash: rust_decimal::Decimal,
}

#[derive(Debug, Args)]
pub(crate) struct Control {
    /// The journal's directory
    pub(crate) dir: PathBuf,
    /// Why, for the tape
    #[arg(long, default_value = "from the command line")]
    pub(crate) note: String,
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// The journal's directory
    pub(crate) dir: PathBuf,
    /// Which venue
    pub(crate) venue: String,
    /// Why, for the tape
    #[arg(long, default_value = "from the command line")]
    pub(crate) note: String,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the demo keeps its journals; an earlier demo there is replaced
    #[arg(long, default_value = "onetape-demo")]
    pub(crate) dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Recognised by content
    Auto,
    /// Raw Binance websocket recordings: "<local ns> <json>" a line, plain or gzip
    Binance,
    /// Quotes, trades and book levels, see docs/import.md
    Csv,
    /// Tardis incremental_book_L2, quotes or trades
    Tardis,
    /// Normalised JSON lines of best bid, best ask and trades
    Barter,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The journal to write, new or to be continued
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: PathBuf,
    /// How the files are written
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) format: Format,
    /// Count rows that can't be read instead of stopping at the first one
    #[arg(long)]
    pub(crate) lenient: bool,
    /// Fee for providing liquidity, as a fraction of the notional, where the files name none (0.001 is 10 bps)
    #[arg(long = "maker", value_name = "RATE")]
    pub(crate) maker_fee: Option<rust_decimal::Decimal>,
    /// Fee for taking liquidity, as a fraction of the notional
    #[arg(long = "taker", value_name = "RATE")]
    pub(crate) taker_fee: Option<rust_decimal::Decimal>,
    /// The venue's name, where the files do not say it
    #[arg(long)]
    pub(crate) venue: Option<String>,
    /// Names of numbered instruments, in order
    #[arg(long, value_delimiter = ',', value_name = "A,B,...")]
    pub(crate) instruments: Vec<String>,
    /// The files, in the order of time
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The journal to write; it must be new
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: PathBuf,
    /// The same seed gives the same bytes on every machine
    #[arg(long)]
    pub(crate) seed: u64,
    /// How many market events, about
    #[arg(long, default_value_t = 200_000)]
    pub(crate) events: u64,
    /// What kind of day; 'list' shows them
    #[arg(long, default_value = "mixed", value_name = "NAME")]
    pub(crate) scenario: String,
    /// The recorded journal that 'upbit-premium' derives its won venue from; its inputs stay
    #[arg(long, value_name = "DIR", conflicts_with = "events")]
    pub(crate) over: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Backtest {
    /// The journal whose inputs are replayed
    pub(crate) dir: PathBuf,
    /// Strategies, limits and paper venue, as TOML
    #[arg(long, value_name = "FILE", conflicts_with_all = ["strategy", "set"])]
    pub(crate) config: Option<PathBuf>,
    /// One strategy with its defaults
    #[arg(long, value_name = "NAME")]
    pub(crate) strategy: Option<String>,
    /// A parameter of the strategy, or of the session with a dot: fast=12, risk.price_collar_bps=50
    #[arg(long, value_name = "KEY=VALUE", requires = "strategy")]
    pub(crate) set: Vec<String>,
    /// Write every frame here; a run that was killed goes on where it stopped
    #[arg(long, value_name = "OUT")]
    pub(crate) journal: Option<PathBuf>,
    /// Replay no faster than this many inputs a second, to watch it with 'tail --follow'
    #[arg(long, value_name = "INPUTS_PER_SECOND")]
    pub(crate) pace: Option<u64>,
    /// A snapshot of the state after each this many inputs, for a fast recovery; 0 for none
    #[arg(long, default_value_t = 1_000_000, value_name = "INPUTS")]
    pub(crate) snapshot_every: u64,
    /// What a frame survives once it is written
    #[arg(long, value_enum, default_value = "process")]
    pub(crate) durability: DurabilityName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityName {
    /// A crash of the process
    Process,
    /// A power cut, but for the last millisecond or so
    Interval,
    /// A power cut, but for what one flush takes
    Group,
    /// A power cut; each frame waits for the disk
    Each,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The journal
    pub(crate) dir: PathBuf,
    /// Verify with another parameter, to see where the run would first differ
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The journal
    pub(crate) dir: PathBuf,
    /// An order, by the sequence that decided or denied it
    #[arg(long, value_name = "ORDER")]
    pub(crate) order: Option<u64>,
    /// Any frame
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "order")]
    pub(crate) seq: Option<u64>,
    /// What was made of this instrument, with --at
    #[arg(long, value_name = "VENUE:SYMBOL", requires = "at", conflicts_with_all = ["order", "seq"])]
    pub(crate) instrument: Option<String>,
    /// The time of the question: 2026-01-05T14:30:00Z, or UTC ns
    #[arg(long, value_name = "TIME", requires = "instrument")]
    pub(crate) at: Option<String>,
    /// The last candidate that a gate stopped; what is answered when nothing is asked
    #[arg(long, conflicts_with_all = ["order", "seq", "instrument"])]
    pub(crate) last_skipped: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The journal
    pub(crate) dir: PathBuf,
    /// Wait for more frames until the journal is closed
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many of the last frames that fit
    #[arg(long, short = 'n', default_value_t = 20, conflicts_with_all = ["all", "from"])]
    pub(crate) lines: usize,
    /// Every frame that fits
    #[arg(long)]
    pub(crate) all: bool,
    /// From this sequence on
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) from: Option<u64>,
    /// At most this many frames
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
    /// Frames of these kinds only
    #[arg(long, value_delimiter = ',', value_name = "KIND,...")]
    pub(crate) kind: Vec<String>,
    /// Frames about this instrument only
    #[arg(long, value_name = "VENUE:SYMBOL")]
    pub(crate) instrument: Option<String>,
    /// Frames about this order only
    #[arg(long, value_name = "ORDER")]
    pub(crate) order: Option<u64>,
    /// With --follow: give up after this many seconds without a new frame
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    pub(crate) timeout: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The journal
    pub(crate) dir: PathBuf,
    /// Where the tables go; a new or empty directory
    #[arg(long, value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Tables of these kinds only
    #[arg(long, value_delimiter = ',', value_name = "KIND,...")]
    pub(crate) kinds: Vec<String>,
    /// Replace an earlier export
    #[arg(long)]
    pub(crate) overwrite: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Match {
    /// Markets of the venue with one book a market, JSON or JSON lines (Kalshi)
    pub(crate) single_book: PathBuf,
    /// Markets of the venue with one book a token, JSON or JSON lines (Polymarket's Gamma)
    pub(crate) tokens: PathBuf,
    /// Write a draft of facts to be filled in; no importer takes it as it is
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Pairs that score less are left out, 0 to 1
    #[arg(long, default_value_t = 0.25, value_name = "SCORE")]
    pub(crate) min_score: f64,
    /// Pairs that settle further apart are left out
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    pub(crate) days: u32,
    /// At most this many candidates a market
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    pub(crate) most: usize,
    /// The first list's venue, as instruments name it
    #[arg(long, default_value = "kalshi", value_name = "NAME")]
    pub(crate) single_book_venue: String,
    /// The second list's venue, as instruments name it
    #[arg(long, default_value = "polymarket", value_name = "NAME")]
    pub(crate) token_venue: String,
}

#[derive(Debug, Args)]
pub(crate) struct Archive {
    /// The journal
    pub(crate) dir: PathBuf,
    /// Zstandard level, 1 to 22
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) level: i32,
}
