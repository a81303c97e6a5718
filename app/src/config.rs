//! Session configurations from TOML: unknown names are errors with line, column and a suggestion.
use crate::failure::{Exit, Failure};
use onetape_engine::risk::RiskConfig;
use onetape_engine::session::{PaperConfig, SessionConfig, StrategyConfig, VenueMode};
use onetape_engine::strategy::{AnyStrategy, StrategyParams};
use onetape_live::config::LiveConfig;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// What only a daemon reads: a backtest with the same file leaves it alone.
const DAEMON_SECTIONS: [&str; 2] = ["live", "venues"];

/// Everything of a session but its strategies, which are read one by one so that each error has its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileConfig {
    seed: u64,
    state_hash_every: u64,
    modes: BTreeMap<String, VenueMode>,
    paper: PaperConfig,
    risk: RiskConfig,
}

impl Default for FileConfig {
    fn default() -> Self {
        let SessionConfig {
            seed,
            state_hash_every,
            modes,
            paper,
            risk,
            ..
        } = SessionConfig::default();
        Self {
            seed,
            state_hash_every,
            modes,
            paper,
            risk,
        }
    }
}

/// Reads a configuration file.
pub(crate) fn from_file(path: &Path) -> Result<SessionConfig, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Exit::Config, format!("could not read {name}: {e}")))?;
    warned(&name, &text)
}

/// Reads a configuration file with the sections of a daemon.
pub(crate) fn for_daemon(path: &Path) -> Result<(SessionConfig, LiveConfig), Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Exit::Config, format!("could not read {name}: {e}")))?;
    let session = warned(&name, &text)?;
    let fail = |e: toml::de::Error| located(&name, &text, e.message(), e.span());
    let mut document = DeTable::parse(&text).map_err(fail)?;
    let keys = document.get_ref().iter().map(|(key, _)| key.get_ref());
    let others = keys.filter(|key| !DAEMON_SECTIONS.contains(&key.as_ref()));
    let others: Vec<String> = others.map(|key| key.to_string()).collect();
    for key in others {
        document.get_mut().remove(key.as_str());
    }
    let live = LiveConfig::deserialize(toml::de::Deserializer::from(document)).map_err(fail)?;
    Ok((session, live))
}

/// A configuration of one strategy with parameters from the command line.
pub(crate) fn from_flags(strategy: Option<&str>, set: &[String]) -> Result<SessionConfig, Failure> {
    let Some(strategy) = strategy else {
        return Ok(SessionConfig::default());
    };
    let mut text = String::new();
    let (session, params) = split_settings(set)?;
    for (key, value) in session {
        let _ = writeln!(text, "{key} = {value}");
    }
    let _ = writeln!(text, "[[strategy]]\nname = {}", quoted(strategy));
    for (key, value) in params {
        let _ = writeln!(text, "params.{key} = {value}");
    }
    warned("command line", &text)
}

/// Reads a configuration and says on standard error what works and is likely not meant.
fn warned(name: &str, text: &str) -> Result<SessionConfig, Failure> {
    let config = from_text(name, text)?;
    for warning in warnings(name, text, &config) {
        eprintln!("warning: {warning}");
    }
    Ok(config)
}

/// What works and is likely not meant, with its place.
fn warnings(name: &str, text: &str, config: &SessionConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    for (place, strategy) in config.strategies.iter().enumerate() {
        // Requirements, five systems, 4.2: a day's loss of at least a position. The sample of AL-06 itself has less, so it starts.
        if let StrategyParams::CrossExchange(params) = &strategy.params
            && params.max_day_loss_usdt < params.max_position_usdt
        {
            let why = format!(
                "strategy '{}': max_day_loss_usdt should be at least max_position_usdt, or one round trip can lose more than \
                 a day may, found {} and {}",
                strategy.id, params.max_day_loss_usdt, params.max_position_usdt
            );
            let place = place.to_string();
            let written = |word| span_of(text, &["strategy", &place, "params", word]);
            let span = written("max_day_loss_usdt").or_else(|| written("max_position_usdt"));
            let span = span.or_else(|| span_of(text, &["strategy", &place]));
            warnings.push(located(name, text, &why, span).to_string());
        }
    }
    warnings
}

/// A recorded configuration with other parameters.
pub(crate) fn with_settings(
    recorded: &SessionConfig,
    set: &[String],
) -> Result<SessionConfig, Failure> {
    let unwritable = |e: toml::ser::Error| {
        Failure::new(Exit::Config, format!("the recorded configuration: {e}"))
    };
    let mut table = toml::Table::try_from(recorded).map_err(unwritable)?;
    let (session, params) = split_settings(set)?;
    let mut overrides = String::new();
    for (key, value) in session {
        let _ = writeln!(overrides, "{key} = {value}");
    }
    merge(&mut table, parse_table(&overrides)?);
    if !params.is_empty() {
        let mut overrides = String::new();
        for (key, value) in params {
            let _ = writeln!(overrides, "{key} = {value}");
        }
        let overrides = parse_table(&overrides)?;
        let strategies = table
            .get_mut("strategy")
            .and_then(toml::Value::as_array_mut);
        let [strategy] = strategies.map(Vec::as_mut_slice).unwrap_or_default() else {
            let what = "--set names a strategy's parameter, and the recorded session does not have exactly one strategy";
            return Err(Failure::new(Exit::Usage, what));
        };
        let params = strategy
            .as_table_mut()
            .and_then(|s| s.get_mut("params"))
            .and_then(toml::Value::as_table_mut);
        if let Some(params) = params {
            merge(params, overrides);
        }
    }
    from_text("recorded configuration with --set", &table.to_string())
}

fn parse_table(text: &str) -> Result<toml::Table, Failure> {
    text.parse()
        .map_err(|e: toml::de::Error| located("command line", text, e.message(), e.span()))
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(known)), toml::Value::Table(new)) => merge(known, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

type Settings = Vec<(String, String)>;

/// Splits `--set` values into those of the session (with a dot) and those of the strategy.
fn split_settings(set: &[String]) -> Result<(Settings, Settings), Failure> {
    let (mut session, mut params) = (Vec::new(), Vec::new());
    for setting in set {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(Failure::new(
                Exit::Usage,
                format!("--set {setting}: expected KEY=VALUE, as in --set fast=12"),
            ));
        };
        let (key, value) = (key.trim(), value.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
        if key.is_empty() || !key.chars().all(plain) {
            return Err(Failure::new(
                Exit::Usage,
                format!("--set {setting}: '{key}' can't be a parameter's name"),
            ));
        }
        // What does not read as a TOML value is meant as text: instrument=binance:BTCUSDT.
        let value = if ValueDeserializer::parse(value).is_ok() {
            value.to_owned()
        } else {
            quoted(value)
        };
        let is_session = key.contains('.') || matches!(key, "seed" | "state_hash_every");
        if is_session {
            &mut session
        } else {
            &mut params
        }
        .push((key.to_owned(), value));
    }
    Ok((session, params))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Reads a configuration from text; `name` is what errors call it.
pub(crate) fn from_text(name: &str, text: &str) -> Result<SessionConfig, Failure> {
    let fail = |e: toml::de::Error| located(name, text, e.message(), e.span());
    let mut document = DeTable::parse(text).map_err(fail)?;
    let strategies = document.get_mut().remove("strategy");
    for section in DAEMON_SECTIONS {
        document.get_mut().remove(section);
    }
    let file = FileConfig::deserialize(toml::de::Deserializer::from(document)).map_err(fail)?;
    let mut config = SessionConfig {
        seed: file.seed,
        state_hash_every: file.state_hash_every,
        modes: file.modes,
        paper: file.paper,
        risk: file.risk,
        strategies: Vec::new(),
    };
    if let Some(strategies) = strategies {
        let span = strategies.span();
        let DeValue::Array(entries) = strategies.into_inner() else {
            return Err(located(
                name,
                text,
                "strategies are written as [[strategy]]",
                Some(span),
            ));
        };
        for entry in entries {
            let strategy = read_strategy(name, text, entry)?;
            if config
                .strategies
                .iter()
                .any(|known| known.id == strategy.id)
            {
                let why = format!(
                    "two strategies have the id '{}'; give each its own",
                    strategy.id
                );
                return Err(located(name, text, &why, Some(span)));
            }
            config.strategies.push(strategy);
        }
    }
    check(name, text, &config)?;
    Ok(config)
}

/// What can be said without any data: parameters that their strategy refuses, and limits that limit nothing or everything.
fn check(name: &str, text: &str, config: &SessionConfig) -> Result<(), Failure> {
    let fail = |path: &[&str], why: &str| Err(located(name, text, why, span_of(text, path)));
    for (place, strategy) in config.strategies.iter().enumerate() {
        let Err(why) = AnyStrategy::new(&strategy.params) else {
            continue;
        };
        let place = place.to_string();
        // The parameter that is named first among those that are written.
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut words = why.split(|c| !is_word(c)).filter(|word| !word.is_empty());
        let written = |word: &&str| span_of(text, &["strategy", &place, "params", word]).is_some();
        let why = format!("strategy '{}': {why}", strategy.id);
        return match words.find(written) {
            Some(word) => fail(&["strategy", &place, "params", word], &why),
            None => fail(&["strategy", &place], &why),
        };
    }
    let risk = &config.risk;
    let mut scopes = vec![
        (vec!["risk", "total"], &risk.total),
        (vec!["risk", "each_strategy"], &risk.each_strategy),
    ];
    for (table, by_name) in [
        ("strategies", &risk.strategies),
        ("venues", &risk.venues),
        ("instruments", &risk.instruments),
    ] {
        let limits = by_name.iter();
        scopes.extend(limits.map(|(key, limits)| (vec!["risk", table, key.as_str()], limits)));
    }
    for (mut path, limits) in scopes {
        let known = |id: &str| config.strategies.iter().any(|s| s.id == id);
        match path[..] {
            [_, "strategies", id] if !known(id) => {
                let why =
                    format!("risk.strategies names '{id}', which must be the id of a strategy");
                return fail(&path, &why);
            }
            [_, "instruments", id] if !id.contains(':') => {
                let why = format!("risk.instruments names '{id}', which must be \"venue:symbol\"");
                return fail(&path, &why);
            }
            _ => {}
        }
        for (limit, value) in [
            ("max_order_qty", limits.max_order_qty),
            ("max_order_notional", limits.max_order_notional),
            ("max_position", limits.max_position),
            ("max_gross_notional", limits.max_gross_notional),
            ("max_daily_loss", limits.max_daily_loss),
        ] {
            if let Some(value) = value.filter(|value| value.is_sign_negative()) {
                path.push(limit);
                let why = format!("{limit} must not be negative, found {value}");
                return fail(&path, &why);
            }
        }
    }
    Ok(())
}

/// Where a key stands; a number in the path counts the tables of a list.
fn span_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    fn within(value: &DeValue<'_>, path: &[&str], at: Range<usize>) -> Option<Range<usize>> {
        let Some((first, rest)) = path.split_first() else {
            return Some(at);
        };
        match value {
            DeValue::Table(table) => {
                let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
                within(value.get_ref(), rest, key.span())
            }
            DeValue::Array(items) => {
                let item = items.get(first.parse::<usize>().ok()?)?;
                within(item.get_ref(), rest, item.span())
            }
            _ => None,
        }
    }
    let document = DeTable::parse(text).ok()?;
    within(&DeValue::Table(document.into_inner()), path, 0..0)
}

fn read_strategy(
    name: &str,
    text: &str,
    entry: Spanned<DeValue<'_>>,
) -> Result<StrategyConfig, Failure> {
    let fail = |why: &str, span: Range<usize>| located(name, text, why, Some(span));
    let entry_span = entry.span();
    let DeValue::Table(mut table) = entry.into_inner() else {
        return Err(fail(
            "a strategy is a table: [[strategy]] with a name",
            entry_span,
        ));
    };
    let mut take = |key: &str| table.remove(key);
    let (strategy, id, params) = (take("name"), take("id"), take("params"));
    if let Some((key, _)) = table.iter().next() {
        let why = format!(
            "unknown field `{}`, expected one of `name`, `id`, `params`",
            key.get_ref()
        );
        return Err(fail(&why, key.span()));
    }
    let Some(strategy) = strategy else {
        return Err(fail("a strategy needs a name", entry_span));
    };
    let as_text = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(str::to_owned);
    let strategy_span = strategy.span();
    let Some(strategy) = as_text(&strategy) else {
        return Err(fail("a strategy's name is text", strategy_span));
    };
    let id = match id {
        None => strategy.clone(),
        Some(value) => {
            as_text(&value).ok_or_else(|| fail("a strategy's id is text", value.span()))?
        }
    };
    let read = match params {
        Some(params) => StrategyParams::read(&strategy, ValueDeserializer::from(params)),
        None => Ok(StrategyParams::named(&strategy)),
    };
    match read {
        Ok(Some(params)) => Ok(StrategyConfig { id, params }),
        Ok(None) => {
            let names: Vec<String> = StrategyParams::NAMES
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            let why = format!(
                "unknown strategy `{strategy}`, expected one of {}",
                names.join(", ")
            );
            Err(fail(&why, strategy_span))
        }
        Err(e) => Err(located(name, text, e.message(), e.span())),
    }
}

/// An error with its line and column, and the nearest known name where an unknown one was found.
fn located(name: &str, text: &str, why: &str, span: Option<Range<usize>>) -> Failure {
    let place = span.as_ref().map_or_else(String::new, |span| {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |last| last.chars().count())
            + 1;
        format!(":{line}:{column}")
    });
    let failure = Failure::new(Exit::Config, format!("{name}{place}: {why}")).at(name, text, span);
    match suggestion(why) {
        Some(nearest) => failure.help(format!("did you mean '{nearest}'?")),
        None => failure,
    }
}

/// From "unknown field `x`, expected one of `a`, `b`": the one that is most like it.
fn suggestion(why: &str) -> Option<String> {
    let mut quoted = why.split('`').skip(1).step_by(2);
    let found = quoted.next().filter(|_| why.starts_with("unknown "))?;
    let nearest = quoted.map(|known| (strsim::jaro_winkler(found, known), known));
    let best = nearest
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.7)?;
    Some(best.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_an_error_with_its_place_and_a_suggestion() {
        let text = "seed = 3\n[[strategy]]\nname = \"ema_cross\"\n[strategy.params]\nfsat = 12\n";
        let failure = from_text("my.toml", text).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(
            failure
                .to_string()
                .starts_with("my.toml:5:1: unknown field `fsat`"),
            "{failure}"
        );
        let help = miette::Diagnostic::help(&failure).map(|h| h.to_string());
        assert_eq!(help.as_deref(), Some("did you mean 'fast'?"));
    }

    #[test]
    fn an_unknown_strategy_and_an_unknown_limit_are_named() {
        let unknown = from_text("c", "[[strategy]]\nname = \"ema_cros\"\n").unwrap_err();
        assert!(
            unknown
                .to_string()
                .contains("c:2:8: unknown strategy `ema_cros`"),
            "{unknown}"
        );
        let limit = from_text("c", "[risk.total]\nmax_positon = \"5\"\n").unwrap_err();
        assert!(
            limit
                .to_string()
                .contains("c:2:1: unknown field `max_positon`"),
            "{limit}"
        );
    }

    #[test]
    fn a_value_that_can_not_work_is_named_with_file_line_field_value_and_rule() {
        let strategy = "[[strategy]]\nname = \"weather\"\n[strategy.params]\nkelly_pct = 25\n";
        for (text, expected) in [
            (
                "max_trade_pct = 101\n",
                "c.toml:5:1: strategy 'weather': max_trade_pct must be",
            ),
            (
                "open_hour = 12\nclose_hour = 9\n",
                "c.toml:5:1: strategy 'weather': open_hour must be before close_hour, found 12 and 9",
            ),
            (
                "[risk.total]\nmax_daily_loss = \"-1\"\n",
                "c.toml:6:1: max_daily_loss must not be negative, found -1",
            ),
            (
                "[risk.strategies.wether]\nmax_position = \"1\"\n",
                "c.toml:5:18: risk.strategies names 'wether', which must be the id of a strategy",
            ),
            (
                "[risk.instruments.BTC]\nmax_position = \"1\"\n",
                "c.toml:5:19: risk.instruments names 'BTC', which must be \"venue:symbol\"",
            ),
            ("kelly_pct = 26\n", "c.toml:5:1: duplicate key"),
            ("max_trade_pct = \"two\"\n", "c.toml:5:17: "),
        ] {
            let failure = from_text("c.toml", &format!("{strategy}{text}")).unwrap_err();
            let failure = failure.to_string();
            assert!(
                failure.starts_with(expected),
                "{failure}\n  expected: {expected}"
            );
        }
        // What is not written has the place of its strategy.
        let unwritten = from_text("c", "[[strategy]]\nname = \"signals\"\n").unwrap_err();
        let expected = "c:1:1: strategy 'signals': symbols must name at least one";
        assert!(unwritten.to_string().starts_with(expected), "{unwritten}");
    }

    /// The seed's own sample, which must start: a day's loss of 500 below a position of 1000.
    #[test]
    fn a_daily_loss_below_a_position_is_warned_of_with_its_place() {
        let strategy = "[[strategy]]\nname = \"cross_exchange\"\n";
        for (params, place) in [
            ("", Some("c.toml:1:1: strategy 'cross_exchange': ")),
            (
                "[strategy.params]\nmax_position_usdt = 501\n",
                Some("c.toml:4:1: "),
            ),
            (
                "[strategy.params]\nmax_position_usdt = 2000\nmax_day_loss_usdt = 999\n",
                Some("c.toml:5:1: "),
            ),
            ("[strategy.params]\nmax_position_usdt = 500\n", None),
        ] {
            let text = format!("{strategy}{params}");
            let config = from_text("c.toml", &text).unwrap();
            let warnings = warnings("c.toml", &text, &config);
            match place {
                None => assert!(warnings.is_empty(), "{warnings:?}"),
                Some(place) => {
                    assert!(warnings[0].starts_with(place), "{warnings:?}");
                    assert!(
                        warnings[0]
                            .contains("max_day_loss_usdt should be at least max_position_usdt")
                    );
                }
            }
        }
    }

    #[test]
    fn the_examples_load_as_a_daemon_reads_them() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let mut rates = 0;
        for entry in std::fs::read_dir(examples).unwrap() {
            let (_, live) = for_daemon(&entry.unwrap().path()).unwrap();
            rates += live.venues.get("fx").map_or(0, |fx| fx.rates.len());
        }
        assert_eq!(rates, 2);
        let unknown = "[venues.fx.rates]\nUSDKRW = \"a bank\"\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), unknown).unwrap();
        let failure = for_daemon(file.path()).unwrap_err().to_string();
        assert!(failure.contains("unknown variant `a bank`"), "{failure}");
    }

    #[test]
    fn flags_read_like_a_file() {
        let set = [
            "fast=12",
            "instrument=binance:BTCUSDT",
            "risk.price_collar_bps=50",
            "qty=\"0.5\"",
        ]
        .map(String::from);
        let config = from_flags(Some("ema_cross"), &set).unwrap();
        assert_eq!(config.risk.price_collar_bps, 50);
        let StrategyParams::EmaCross(params) = &config.strategies[0].params else {
            panic!("another strategy")
        };
        assert_eq!(
            (params.fast, params.instrument.as_deref()),
            (12, Some("binance:BTCUSDT"))
        );
        assert!(from_flags(Some("ema_cross"), &["fast".into()]).is_err());
    }

    #[test]
    fn a_recorded_configuration_takes_another_parameter() {
        let recorded = from_flags(Some("ema_cross"), &["fast=12".into()]).unwrap();
        let changed = with_settings(&recorded, &["slow=40".into(), "seed=9".into()]).unwrap();
        let StrategyParams::EmaCross(params) = &changed.strategies[0].params else {
            panic!("another strategy")
        };
        assert_eq!((params.fast, params.slow, changed.seed), (12, 40, 9));
    }
}
