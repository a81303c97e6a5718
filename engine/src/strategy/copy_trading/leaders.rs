//! The wallets that are followed: the facts they were listed with, what they are worth and what they hold.
use crate::event::{LeaderListed, LeaderPortfolio};
use crate::id::InstrumentId;
use crate::number::{Money, Qty};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A leader's portfolio as it was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Portfolio {
    /// Cash and positions; positive.
    pub(super) value: Money,
    /// When the snapshot was taken.
    pub(super) taken_at: Nanos,
}

/// One wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leader {
    /// Lower case.
    pub(super) wallet: String,
    /// Whether new trades of it are copied.
    pub(super) active: bool,
    /// Resolved trades that the facts below are taken from.
    pub(super) sample: u32,
    /// Of them, those that gained.
    pub(super) wins: u32,
    /// Their profit in USD.
    pub(super) profit: Money,
    /// Typical buy in USD.
    pub(super) typical: Money,
    /// None until a snapshot with a positive value came.
    pub(super) portfolio: Option<Portfolio>,
    /// Tokens held, positive quantities only.
    holdings: BTreeMap<InstrumentId, i64>,
    /// When a copy of it was last decided.
    pub(super) copied_at: Option<Nanos>,
}

impl Leader {
    fn new(wallet: String) -> Self {
        Self {
            wallet,
            active: false,
            sample: 0,
            wins: 0,
            profit: Money::ZERO,
            typical: Money::ZERO,
            portfolio: None,
            holdings: BTreeMap::new(),
            copied_at: None,
        }
    }

    fn list(&mut self, listed: &LeaderListed) {
        self.active = listed.active;
        self.sample = listed.sample_trades;
        self.wins = listed.winning_trades;
        // What does not fit counts as nothing, and nothing gains no confidence.
        self.profit = Money::from_decimal(listed.profit_usd).unwrap_or_default();
        self.typical = Money::from_decimal(listed.typical_usd).unwrap_or_default();
    }

    /// Shares held of a token.
    pub(super) fn held(&self, token: InstrumentId) -> i64 {
        self.holdings.get(&token).copied().unwrap_or(0)
    }

    /// Adds shares bought, or takes shares sold off; never below none.
    pub(super) fn traded(&mut self, token: InstrumentId, change: i64) {
        let held = self.held(token).saturating_add(change);
        if held > 0 {
            self.holdings.insert(token, held);
        } else {
            self.holdings.remove(&token);
        }
    }

    /// Whether the holdings, as last told, know of a trade of that time already.
    pub(super) fn knows(&self, traded_at: Nanos) -> bool {
        self.portfolio
            .is_some_and(|portfolio| traded_at <= portfolio.taken_at)
    }

    /// Takes a snapshot, unless a later one came before it; returns whether it did.
    pub(super) fn take_portfolio(&mut self, told: &LeaderPortfolio) -> bool {
        if self
            .portfolio
            .is_some_and(|known| told.taken_at < known.taken_at)
        {
            return false;
        }
        let value = Money::from_decimal(told.value_usd).unwrap_or_default();
        self.portfolio = (value > Money::ZERO).then_some(Portfolio {
            value,
            taken_at: told.taken_at,
        });
        let positive = told.holdings.iter().filter(|holding| holding.qty > Qty(0));
        self.holdings = positive.map(|h| (h.instrument, h.qty.0)).collect();
        true
    }
}

/// All wallets that were ever named, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leaders {
    all: Vec<Leader>,
    by_wallet: BTreeMap<String, u32>,
}

impl Leaders {
    /// The number of a wallet; one that nobody listed gets one too, and is not active.
    pub(super) fn number(&mut self, wallet: &str) -> u32 {
        let wallet = wallet.to_ascii_lowercase();
        if let Some(number) = self.by_wallet.get(&wallet) {
            return *number;
        }
        let number = self.all.len() as u32;
        self.by_wallet.insert(wallet.clone(), number);
        self.all.push(Leader::new(wallet));
        number
    }

    /// Takes a listing; returns whose.
    pub(super) fn list(&mut self, listed: &LeaderListed) -> u32 {
        let number = self.number(&listed.wallet);
        if let Some(leader) = self.get_mut(number) {
            leader.list(listed);
        }
        number
    }

    /// The leader of that number.
    pub(super) fn get(&self, number: u32) -> Option<&Leader> {
        self.all.get(number as usize)
    }

    /// The same, to change.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Leader> {
        self.all.get_mut(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Holding;
    use rust_decimal::Decimal;

    fn portfolio(usd: i64, at: u64, holdings: &[(u32, i64)]) -> LeaderPortfolio {
        let holding = |(token, qty): &(u32, i64)| Holding {
            instrument: InstrumentId(*token),
            qty: Qty(*qty),
        };
        LeaderPortfolio {
            wallet: "0xab".into(),
            value_usd: Decimal::new(usd, 0),
            holdings: holdings.iter().map(holding).collect(),
            taken_at: Nanos(at),
        }
    }

    #[test]
    fn a_snapshot_replaces_what_was_held_and_an_older_one_changes_nothing() {
        let mut leader = Leader::new("0xab".into());
        leader.traded(InstrumentId(1), 500);
        assert!(leader.take_portfolio(&portfolio(100, 10, &[(2, 7), (3, 0)])));
        assert_eq!([1, 2, 3].map(|t| leader.held(InstrumentId(t))), [0, 7, 0]);
        assert!(!leader.take_portfolio(&portfolio(100, 9, &[(1, 1)])));
        assert!(leader.knows(Nanos(10)) && !leader.knows(Nanos(11)));
        leader.traded(InstrumentId(2), -9);
        assert_eq!(leader.held(InstrumentId(2)), 0);
    }

    #[test]
    fn a_portfolio_that_is_worth_nothing_gives_no_share() {
        let mut leader = Leader::new("0xab".into());
        leader.take_portfolio(&portfolio(0, 1, &[]));
        assert_eq!(leader.portfolio, None);
    }

    #[test]
    fn wallets_are_the_same_whatever_the_case_of_their_letters() {
        let mut leaders = Leaders::default();
        assert_eq!(leaders.number("0xAB"), leaders.number("0xab"));
        assert!(!leaders.get(0).unwrap().active, "nobody listed it");
    }
}
