//! Equity over time, for the largest drawdown: sampled at every fill and once a second of event time.
use super::Ledger;
use crate::error::EngineError;
use crate::id::{CurrencyId, StrategyId};
use crate::market::Market;
use crate::number::Money;
use crate::time::{Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};

/// A strategy's equity in a currency: how high it was, and how far it fell from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equity {
    /// Whose.
    pub strategy: StrategyId,
    /// In what.
    pub currency: CurrencyId,
    /// At the last sample.
    pub last: Money,
    /// The highest so far; it starts at zero.
    pub peak: Money,
    /// The largest fall from a peak.
    pub max_drawdown: Money,
}

/// Equity of every strategy and currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performance {
    equity: Vec<Equity>,
    next_sample: Nanos,
}

impl Performance {
    /// When the next sample is due.
    #[inline]
    pub(super) const fn next_sample(&self) -> Nanos {
        self.next_sample
    }

    pub(super) fn sample(
        &mut self,
        now: Nanos,
        ledger: &Ledger,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.next_sample = now.next_multiple(SECOND_NS);
        for cash in ledger.cash() {
            let key = (cash.strategy, cash.currency);
            let place = match self
                .equity
                .binary_search_by_key(&key, |e| (e.strategy, e.currency))
            {
                Ok(place) => place,
                Err(place) => {
                    let (strategy, currency) = key;
                    let zero = Money::ZERO;
                    let new = Equity {
                        strategy,
                        currency,
                        last: zero,
                        peak: zero,
                        max_drawdown: zero,
                    };
                    self.equity.insert(place, new);
                    place
                }
            };
            let last = ledger.equity(cash.strategy, cash.currency, market)?;
            let equity = &mut self.equity[place];
            equity.last = last;
            equity.peak = equity.peak.max(last);
            equity.max_drawdown = equity.max_drawdown.max(equity.peak.sub(last)?);
        }
        Ok(())
    }

    /// By strategy and currency.
    pub fn equity(&self) -> &[Equity] {
        &self.equity
    }
}
