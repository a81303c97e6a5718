//! What the strategy holds and how its week and month go, folded from its own fills and from resolutions.
//!
//! The desk's ledger is the truth that reports show; this is the same ledger fed with the same frames, because losses are
//! remembered when state changes, and only `decide` may look at the desk.
use super::calendar::{week, year_and_month};
use crate::desk::{Ledger, Position};
use crate::error::EngineError;
use crate::event::Fill;
use crate::id::{CurrencyId, InstrumentId, StrategyId};
use crate::market::{Instrument, Market};
use crate::number::{Money, Price};
use crate::order::Side;
use serde::{Deserialize, Serialize};

/// The one owner in this ledger.
const ME: StrategyId = StrategyId(0);

/// A week or a month: how much was lost since it began, and how much at the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Period {
    start: Money,
    worst: Money,
}

impl Period {
    fn begin(&mut self, equity: Money) {
        *self = Self {
            start: equity,
            worst: Money::ZERO,
        };
    }

    fn loss(&self, equity: Money) -> Result<Money, EngineError> {
        Ok(self.start.sub(equity)?.max(self.worst))
    }
}

/// Positions, and the losses of the week and the month. Both begin with the session, and anew as days turn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Account {
    ledger: Ledger,
    week: Period,
    month: Period,
    last_day: Option<u32>,
}

impl Account {
    pub(super) fn fill(
        &mut self,
        instrument: &Instrument,
        side: Side,
        fill: &Fill,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.ledger.fill(ME, instrument, side, fill)?;
        self.remember(instrument.quote_currency, market)
    }

    pub(super) fn settle(
        &mut self,
        instrument: &Instrument,
        price: Price,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.ledger.settle(instrument, price)?;
        self.remember(instrument.quote_currency, market)
    }

    /// Notes a loss that is larger than any of its week or month so far.
    fn remember(&mut self, currency: CurrencyId, market: &Market) -> Result<(), EngineError> {
        let equity = self.ledger.equity(ME, currency, market)?;
        for period in [&mut self.week, &mut self.month] {
            period.worst = period.loss(equity)?;
        }
        Ok(())
    }

    /// A UTC day began: its opening equity is the close of the day before.
    pub(super) fn roll(
        &mut self,
        day: u32,
        currency: CurrencyId,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.remember(currency, market)?;
        let last = i64::from(self.last_day.unwrap_or_else(|| day.saturating_sub(1)));
        let equity = self.ledger.equity(ME, currency, market)?;
        if week(last) != week(day.into()) {
            self.week.begin(equity);
        }
        if year_and_month(last) != year_and_month(day.into()) {
            self.month.begin(equity);
        }
        self.last_day = Some(day);
        Ok(())
    }

    /// What is held in an instrument, once it was traded.
    pub(super) fn position(&self, instrument: InstrumentId) -> Option<&Position> {
        self.ledger.position(ME, instrument)
    }

    /// The largest loss of the week, now included.
    pub(super) fn week_loss(&self, equity: Money) -> Result<Money, EngineError> {
        self.week.loss(equity)
    }

    /// The largest loss of the month, now included.
    pub(super) fn month_loss(&self, equity: Money) -> Result<Money, EngineError> {
        self.month.loss(equity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, InstrumentDefined, InstrumentType, Liquidity};
    use crate::id::Sequence;
    use crate::number::{Decimals, Qty};
    use crate::time::Nanos;

    fn usd(usd: i128) -> Money {
        Money(usd * 1_000_000_000_000_000_000)
    }

    /// By hand: 100 bought at .40 that pay nothing lose 40; the week ends on Sunday (day 20002), the month with day 20027.
    #[test]
    fn a_loss_is_remembered_until_its_week_and_month_end() {
        let mut market = Market::default();
        let definition = InstrumentDefined {
            instrument: InstrumentId(0),
            venue: "kalshi".into(),
            symbol: "KXHIGHNY-24OCT04-B84.5".into(),
            instrument_type: InstrumentType::Binary,
            base: "YES".into(),
            quote: "USD".into(),
            decimals: Decimals { price: 2, qty: 0 },
        };
        let defined = Event::InstrumentDefined(Box::new(definition));
        market.evolve(Sequence(1), Nanos(0), &defined).unwrap();
        let instrument = market.instruments()[0].clone();
        let mut account = Account::default();
        let fill = Fill {
            fill_id: 1,
            price: Price(40),
            qty: Qty(100),
            fee: Money::ZERO,
            liquidity: Liquidity::Taker,
        };
        account
            .fill(&instrument, Side::Buy, &fill, &market)
            .unwrap();
        account.settle(&instrument, Price(0), &market).unwrap();
        // A later gain of 60 does not undo it.
        let equity = usd(20);
        assert_eq!(account.week_loss(equity).unwrap(), usd(40));
        let usd_id = instrument.quote_currency;
        account.roll(20_002, usd_id, &market).unwrap();
        assert_eq!(account.week_loss(equity).unwrap(), usd(40));
        account.roll(20_003, usd_id, &market).unwrap();
        assert_eq!(account.week_loss(usd(-41)).unwrap(), usd(1));
        assert_eq!(account.month_loss(equity).unwrap(), usd(40));
        account.roll(20_028, usd_id, &market).unwrap();
        assert_eq!(account.month_loss(usd(-43)).unwrap(), usd(3));
    }
}
