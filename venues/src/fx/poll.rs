//! One source of one rate, asked on schedule.
use super::VENUE;
use super::rate::Rate;
use super::source::Source;
use crate::eodhd::one_unit;
use crate::gateway::fields::Reading;
use crate::gateway::{Listed, Outbox, Pace, Poll, Request, Response, WireError};
use onetape_engine::event::{Event, Feed, FeedCondition, FeedState, StaleReason, Trade};
use onetape_engine::time::Nanos;

/// How a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Between answers, in ms.
    pub period_ms: u64,
    /// A source is asked again after this long at the latest, whatever it promised or however often it failed, in ms.
    pub longest_ms: u64,
    /// A rate whose own stamp is older than this is marked stale, in ms.
    pub max_age_ms: u64,
}

impl Config {
    /// Every minute, stale after ten; once an hour and two days for the source that is made once a day.
    pub const fn of(source: &Source) -> Self {
        match source {
            Source::OpenEr => Self {
                period_ms: 3_600_000,
                longest_ms: 6 * 3_600_000,
                max_age_ms: 48 * 3_600_000,
            },
            Source::Dunamu(_) | Source::Eodhd(..) | Source::Upbit(_) => Self {
                period_ms: 60_000,
                longest_ms: 600_000,
                max_age_ms: 600_000,
            },
        }
    }
}

/// Asks one source and passes its rates on as trades of one instrument, each once.
///
/// A rate that nobody traded at is a trade of one unit. A rate that was passed on before is not passed on again: it is the
/// same rate, however often its source repeats it.
pub struct RatePoll {
    name: String,
    source: Source,
    listed: Listed,
    max_age_ns: u64,
    pace: Pace,
    last: Option<Rate>,
    /// The tape knows that the last rate is too old.
    is_stale: bool,
}

impl RatePoll {
    /// Of a source, for an instrument.
    pub fn new(source: Source, listed: Listed, config: Config) -> Self {
        Self {
            name: format!("{} {}", source.name(), listed.symbol),
            source,
            listed,
            max_age_ns: config.max_age_ms.saturating_mul(1_000_000),
            pace: Pace::new(config.period_ms, config.longest_ms),
            last: None,
            is_stale: false,
        }
    }

    /// The last rate, with its own stamp.
    pub const fn last(&self) -> Option<Rate> {
        self.last
    }

    fn trade(&self, rate: &Rate) -> Result<Trade, WireError> {
        let reading = Reading {
            venue: VENUE,
            message: "rate",
        };
        let decimals = self.listed.decimals;
        let price = decimals.price_from(rate.price);
        let price = reading.fits("price", &rate.price.to_string(), &self.listed, price)?;
        let qty = match rate.traded {
            Some(traded) => {
                let qty = decimals.qty_from(traded);
                reading.fits("qty", &traded.to_string(), &self.listed, qty)?
            }
            None => one_unit(&self.listed),
        };
        Ok(Trade {
            instrument: self.listed.instrument,
            aggressor: rate.aggressor.byte(),
            venue_time_ns: rate.at.0,
            price,
            qty,
            ..Trade::default()
        })
    }

    /// Takes an answer's rate; one that is not newer than the last is the last again.
    fn take(&mut self, rate: Rate, out: &mut Outbox) -> Result<(), WireError> {
        if self
            .last
            .is_some_and(|last| rate == last || rate.at < last.at)
        {
            return Ok(());
        }
        out.event(&Event::Trade(&self.trade(&rate)?));
        self.last = Some(rate);
        self.is_stale = false;
        Ok(())
    }

    fn mark(&mut self, now: Nanos, out: &mut Outbox) {
        let is_old = self
            .last
            .is_none_or(|last| now.since(last.at) > self.max_age_ns);
        if is_old && !self.is_stale {
            self.is_stale = true;
            out.event(&Event::FeedState(Box::new(FeedState {
                instrument: self.listed.instrument,
                feed: Feed::Trades,
                condition: FeedCondition::Stale(StaleReason::Silent),
            })));
        }
    }
}

impl Poll for RatePoll {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_due(&self) -> Nanos {
        self.pace.due()
    }

    fn request(&mut self, _: Nanos) -> Request {
        self.source.request()
    }

    fn read(
        &mut self,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let read = response.map(|response| {
            let rate = self.source.read(response)?;
            self.take(rate, out)?;
            self.pace.answered(now, response);
            Ok(())
        });
        self.mark(now, out);
        let done = read.unwrap_or(Ok(()));
        if response.is_none() || done.is_err() {
            self.pace.failed(now, response);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::event::Kind;
    use onetape_engine::id::InstrumentId;
    use onetape_engine::number::Decimals;
    use secrecy::SecretString;

    const MINUTE_NS: u64 = 60_000_000_000;
    const MADE: Nanos = Nanos(1_628_852_510_337_000_000);

    fn dunamu() -> RatePoll {
        let source = Source::Dunamu("FRX.KRWUSD".into());
        let config = Config::of(&source);
        let listed = Listed {
            instrument: InstrumentId(5),
            symbol: "USDKRW".into(),
            decimals: Decimals::new(2, 2).unwrap(),
        };
        RatePoll::new(source, listed, config)
    }

    fn answer(price: &str, made_ms: u64) -> String {
        format!(
            r#"[{{"code":"FRX.KRWUSD","basePrice":{price},"currencyUnit":1,"timestamp":{made_ms}}}]"#
        )
    }

    fn read(
        poll: &mut RatePoll,
        status: u16,
        body: Option<&str>,
        now: Nanos,
    ) -> (Vec<String>, bool) {
        let mut out = Outbox::default();
        let response = body.map(|body| Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        });
        let done = poll.read(response.as_ref(), now, &mut out);
        let frame = |(kind, payload): (Kind, &[u8])| match Event::decode(kind.number(), payload) {
            Ok(Event::Trade(trade)) => {
                format!(
                    "{} x {} at {}",
                    trade.price.0, trade.qty.0, trade.venue_time_ns
                )
            }
            Ok(Event::FeedState(state)) => format!("{:?} {:?}", state.feed, state.condition),
            other => format!("{other:?}"),
        };
        (out.events().map(frame).collect(), done.is_ok())
    }

    #[test]
    fn a_rate_is_passed_on_once_with_its_own_stamp_and_marked_when_it_stands_still() {
        let mut poll = dunamu();
        let request = poll.request(MADE);
        assert_eq!(
            (request.base, request.target.as_str()),
            ("dunamu", "/v1/forex/recent?codes=FRX.KRWUSD")
        );
        let body = answer("1169.0", MADE.0 / 1_000_000);
        let soon = MADE.after(MINUTE_NS);
        let passed = vec![format!("116900 x 100 at {}", MADE.0)];
        assert_eq!(
            read(&mut poll, 200, Some(&body), soon),
            (passed.clone(), true)
        );
        assert_eq!(poll.next_due(), soon.after(MINUTE_NS));
        assert_eq!(
            read(&mut poll, 200, Some(&body), soon.after(MINUTE_NS)),
            (vec![], true)
        );
        let frozen = vec!["Trades Stale(Silent)".to_owned()];
        let late = MADE.after(11 * MINUTE_NS);
        assert_eq!(
            read(&mut poll, 200, Some(&body), late),
            (frozen.clone(), true)
        );
        assert_eq!(read(&mut poll, 200, Some(&body), late), (vec![], true));
        // An older answer out of a cache is none.
        let older = answer("1.0", MADE.0 / 1_000_000 - 1);
        assert_eq!(read(&mut poll, 200, Some(&older), late), (vec![], true));
        let monday = MADE.after(3_000 * MINUTE_NS);
        let fresh = answer("1170.25", monday.0 / 1_000_000);
        let (frames, _) = read(&mut poll, 200, Some(&fresh), monday);
        assert_eq!(frames.len(), 1);
        assert_eq!(
            poll.last().unwrap().at,
            Nanos(monday.0 / 1_000_000 * 1_000_000)
        );
        // What was frozen before we came is passed on with its stamp, and marked in the same breath.
        let mut poll = dunamu();
        let both = [passed, frozen].concat();
        assert_eq!(read(&mut poll, 200, Some(&body), late), (both, true));
    }

    #[test]
    fn a_source_that_fails_is_asked_later_and_marked_once() {
        let mut poll = dunamu();
        let now = MADE;
        let frozen = vec!["Trades Stale(Silent)".to_owned()];
        assert_eq!(read(&mut poll, 200, None, now), (frozen, true));
        assert_eq!(poll.next_due(), now.after(MINUTE_NS));
        assert_eq!(read(&mut poll, 503, Some("down"), now), (vec![], false));
        assert_eq!(poll.next_due(), now.after(2 * MINUTE_NS));
        for bad in [
            "[]",
            "{}",
            &answer("\"NA\"", 1),
            &answer("-1", 1),
            &answer("1169.123", 1),
        ] {
            assert_eq!(
                read(&mut poll, 200, Some(bad), now),
                (vec![], false),
                "{bad}"
            );
        }
        assert_eq!(poll.next_due(), now.after(10 * MINUTE_NS));
    }

    #[test]
    fn every_source_is_asked_by_its_own_path_and_reads_its_own_answer() {
        let listed = Listed {
            instrument: InstrumentId(5),
            symbol: "USDKRW".into(),
            decimals: Decimals::new(2, 2).unwrap(),
        };
        let token = SecretString::from("T");
        for (source, target, body) in [
            (
                Source::OpenEr,
                "open-er-api /v6/latest/USD",
                r#"{"result":"success","base_code":"USD","time_last_update_unix":9,"rates":{"KRW":1458.05}}"#,
            ),
            (
                Source::Eodhd("USDKRW.FOREX".into(), token),
                "eodhd /api/real-time/USDKRW.FOREX?api_token=T&fmt=json",
                r#"{"code":"USDKRW.FOREX","timestamp":9,"close":1458.05}"#,
            ),
            (
                Source::Upbit("KRW-USDT".into()),
                "upbit /v1/ticker?markets=KRW-USDT",
                r#"[{"market":"KRW-USDT","trade_price":1458.05,"trade_volume":1,"trade_timestamp":9000}]"#,
            ),
        ] {
            let config = Config::of(&source);
            let mut poll = RatePoll::new(source, listed.clone(), config);
            let request = poll.request(Nanos(0));
            assert_eq!(format!("{} {}", request.base, request.target), target);
            let (frames, is_read) = read(&mut poll, 200, Some(body), Nanos(9_000_000_000));
            assert_eq!(
                (frames, is_read),
                (vec!["145805 x 100 at 9000000000".to_owned()], true)
            );
        }
    }
}
