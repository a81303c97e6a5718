//! A rate and its age, and what one price is above another.
use onetape_engine::event::Aggressor;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// What one unit of a currency cost, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Won for one dollar.
    pub price: Decimal,
    /// When it was made, by its source's own stamp.
    pub at: Nanos,
    /// Traded at it, in dollars; none where it is no trade.
    pub traded: Option<Decimal>,
    /// Who took, for a trade.
    pub aggressor: Aggressor,
}

impl Rate {
    /// A rate that nobody traded at.
    pub const fn quoted(price: Decimal, at: Nanos) -> Self {
        Self {
            price,
            at,
            traded: None,
            aggressor: Aggressor::Unknown,
        }
    }
}

/// A rate that can't be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// None was seen yet.
    #[error("no rate yet")]
    Missing,
    /// It is older than its limit: outside bank hours, or its source is silent.
    #[error("the rate is {age_s} s old: the limit is {limit_s} s")]
    TooOld {
        /// Its age.
        age_s: u64,
        /// The limit.
        limit_s: u64,
    },
}

/// The last rate of each kind. One never stands in for the other: the difference between them is the token's premium.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    bank: Option<Rate>,
    usdt: Option<Rate>,
}

impl Rates {
    /// Takes a bank's rate; an older one than the last changes nothing.
    pub fn see_bank(&mut self, rate: Rate) {
        see(&mut self.bank, rate);
    }

    /// Takes the token's rate; an older one than the last changes nothing.
    pub fn see_usdt(&mut self, rate: Rate) {
        see(&mut self.usdt, rate);
    }

    /// The bank's rate.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn bank(&self, now: Nanos, limit_ms: u64) -> Result<Rate, Stale> {
        fresh(self.bank, now, limit_ms)
    }

    /// The token's rate.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn usdt(&self, now: Nanos, limit_ms: u64) -> Result<Rate, Stale> {
        fresh(self.usdt, now, limit_ms)
    }
}

fn see(last: &mut Option<Rate>, rate: Rate) {
    if last.is_none_or(|last| last.at <= rate.at) {
        *last = Some(rate);
    }
}

fn fresh(rate: Option<Rate>, now: Nanos, limit_ms: u64) -> Result<Rate, Stale> {
    let rate = rate.ok_or(Stale::Missing)?;
    let age_ns = now.since(rate.at);
    if age_ns > limit_ms.saturating_mul(1_000_000) {
        return Err(Stale::TooOld {
            age_s: age_ns / 1_000_000_000,
            limit_s: limit_ms / 1_000,
        });
    }
    Ok(rate)
}

/// How far a price is above what it is measured against, as a fraction: 0.01 is one percent. `None` without a positive
/// reference.
pub fn premium(price: Decimal, reference: Decimal) -> Option<Decimal> {
    if reference <= Decimal::ZERO {
        return None;
    }
    price.checked_div(reference)?.checked_sub(Decimal::ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 3_600_000_000_000;

    #[test]
    fn a_rate_that_stands_still_grows_old_and_the_other_kind_does_not_replace_it() {
        let mut rates = Rates::default();
        assert_eq!(rates.bank(Nanos(0), 1), Err(Stale::Missing));
        let friday = Nanos(100 * HOUR_NS);
        rates.see_bank(Rate::quoted(Decimal::from(1458), friday));
        rates.see_bank(Rate::quoted(Decimal::from(1), Nanos(99 * HOUR_NS)));
        rates.see_usdt(Rate::quoted(
            Decimal::from(1466),
            friday.after(30 * HOUR_NS),
        ));
        let saturday = friday.after(30 * HOUR_NS);
        let day_ms = 86_400_000;
        assert_eq!(
            rates.bank(saturday, day_ms),
            Err(Stale::TooOld {
                age_s: 108_000,
                limit_s: 86_400
            })
        );
        let bank = rates.bank(friday.after(HOUR_NS), day_ms).unwrap();
        assert_eq!((bank.price, bank.at), (Decimal::from(1458), friday));
        assert_eq!(
            rates.usdt(saturday, day_ms).unwrap().price,
            Decimal::from(1466)
        );
    }
}
