//! Rows of leaders' trades, each counted once.
//!
//! A row is known by transaction, wallet, token, side, price, size and role, and by its number among equal rows of a page:
//! pages repeat, overlap and come again after a restart. All rows of one transaction, wallet, token and side are one
//! [`Match`], with a sum for each role: one match shows as a row of the taker with the whole of it and as rows of the
//! makers with its parts. On one side of one token a wallet is either the taker or a maker of a match; where rows of both
//! roles are there, they are two views of the same shares. So the larger sum counts and never both: whichever view a page
//! cut short, the other one is whole.
use super::mirror::Sum;
use crate::event::{LeaderTrade, Liquidity};
use crate::number::{Price, Qty};
use crate::order::Side;
use crate::time::{Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Matches are kept for longer than rows are listened to: two feeds may stamp one trade a little differently.
const SLACK_NS: u64 = 600 * SECOND_NS;
/// With more matches than this the older half is forgotten, and rows as old as those are ignored from then on.
const MOST_MATCHES: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Match {
    traded_at: Nanos,
    rows: Vec<(Price, Qty, Liquidity, u32)>,
    taken: Sum,
    made: Sum,
}

impl Match {
    /// The larger view; the taker's when they are equal, since its price is that of the whole.
    const fn counted(&self) -> Sum {
        if self.made.qty > self.taken.qty {
            self.made
        } else {
            self.taken
        }
    }
}

/// What a row adds to what was counted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Nothing: it is known, too old to tell, or no trade at all.
    Known,
    /// This.
    Adds(Sum),
}

/// The rows that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// By mirror (leader and token), side and transaction.
    matches: BTreeMap<(u32, Side, String), Match>,
    /// Rows of trades before this are ignored: nobody could tell any more whether they are known.
    listens_from: Nanos,
    /// When old matches were last dropped.
    swept_at: Nanos,
}

impl Seen {
    /// Counts a row.
    pub(super) fn take(&mut self, mirror: u32, now: Nanos, keep_ns: u64, row: &LeaderTrade) -> Row {
        self.sweep(now, keep_ns);
        if row.qty.0 <= 0 || row.price.0 <= 0 || row.traded_at < self.listens_from {
            return Row::Known;
        }
        let key = (mirror, row.side, row.transaction.clone());
        let entry = self.matches.entry(key).or_insert_with(|| Match {
            traded_at: row.traded_at,
            rows: Vec::new(),
            taken: Sum::default(),
            made: Sum::default(),
        });
        let identity = (row.price, row.qty, row.liquidity, row.occurrence);
        if entry.rows.contains(&identity) {
            return Row::Known;
        }
        entry.rows.push(identity);
        let before = entry.counted();
        let whole = Sum::of(row.price, row.qty);
        match row.liquidity {
            Liquidity::Taker => entry.taken.add(whole),
            Liquidity::Maker => entry.made.add(whole),
        }
        let after = entry.counted();
        let more = after.qty - before.qty;
        if more <= 0 {
            return Row::Known;
        }
        // The views may differ in price: where what is left over makes no sense, it is taken at the row's own.
        let notional = after.notional - before.notional;
        Row::Adds(if notional > 0 {
            Sum {
                qty: more,
                notional,
            }
        } else {
            Sum::of(row.price, Qty(more))
        })
    }

    fn sweep(&mut self, now: Nanos, keep_ns: u64) {
        let oldest = Nanos(now.0.saturating_sub(keep_ns));
        self.listens_from = self.listens_from.max(oldest);
        if self.matches.len() > MOST_MATCHES {
            let mut times: Vec<Nanos> = self.matches.values().map(|m| m.traded_at).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.listens_from = self.listens_from.max(middle.after(SLACK_NS));
            self.matches.retain(|_, m| m.traded_at >= middle);
        } else if now.since(self.swept_at) >= SLACK_NS {
            self.swept_at = now;
            let oldest = Nanos(self.listens_from.0.saturating_sub(SLACK_NS));
            self.matches.retain(|_, m| m.traded_at >= oldest);
        }
    }

    /// Shares bought or sold on that side since a time, that instant included.
    pub(super) fn since(&self, mirror: u32, side: Side, from: Nanos) -> i64 {
        let first = (mirror, side, String::new());
        let mirrors = self.matches.range(first..);
        mirrors
            .take_while(|((m, s, _), _)| (*m, *s) == (mirror, side))
            .filter(|(_, entry)| entry.traded_at >= from)
            .fold(0, |sum: i64, (_, entry)| {
                sum.saturating_add(entry.counted().qty)
            })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.matches.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::InstrumentId;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600 * SECOND_NS;

    fn row(tx: &str, price: i64, qty: i64, liquidity: Liquidity, occurrence: u32) -> LeaderTrade {
        LeaderTrade {
            wallet: "0xab".into(),
            instrument: InstrumentId(0),
            side: Side::Buy,
            price: Price(price),
            qty: Qty(qty),
            transaction: tx.into(),
            liquidity,
            traded_at: Nanos(HOUR),
            occurrence,
        }
    }

    fn take(seen: &mut Seen, row: &LeaderTrade) -> i64 {
        match seen.take(0, Nanos(HOUR), HOUR, row) {
            Row::Known => 0,
            Row::Adds(sum) => sum.qty,
        }
    }

    #[test]
    fn equal_rows_count_as_often_as_a_page_shows_them_and_a_repeated_page_not_at_all() {
        let mut seen = Seen::default();
        let page = [
            row("a", 400, 100, Liquidity::Taker, 0),
            row("a", 400, 100, Liquidity::Taker, 1),
            row("b", 400, 100, Liquidity::Taker, 0),
        ];
        let counted: Vec<i64> = page
            .iter()
            .chain(&page)
            .map(|row| take(&mut seen, row))
            .collect();
        assert_eq!(counted, [100, 100, 100, 0, 0, 0]);
    }

    /// The makers' parts 60 and 40 are the taker's 100: counted once, in either order, and a page that lost a part or
    /// the whole changes nothing.
    #[test]
    fn the_two_views_of_a_match_are_never_added() {
        let parts = [
            row("a", 400, 60, Liquidity::Maker, 0),
            row("a", 410, 40, Liquidity::Maker, 0),
        ];
        let whole = row("a", 404, 100, Liquidity::Taker, 0);
        let mut seen = Seen::default();
        let counted: Vec<i64> = [&parts[0], &parts[1], &whole]
            .map(|row| take(&mut seen, row))
            .into();
        assert_eq!(counted, [60, 40, 0]);
        let mut seen = Seen::default();
        let counted: Vec<i64> = [&whole, &parts[0], &parts[1]]
            .map(|row| take(&mut seen, row))
            .into();
        assert_eq!(counted, [100, 0, 0]);
        let mut seen = Seen::default();
        let counted: Vec<i64> = [&parts[1], &whole].map(|row| take(&mut seen, row)).into();
        assert_eq!(counted, [40, 60]);
    }

    #[test]
    fn a_leader_who_only_rests_orders_is_seen() {
        let mut seen = Seen::default();
        assert_eq!(take(&mut seen, &row("a", 400, 60, Liquidity::Maker, 0)), 60);
    }

    #[test]
    fn what_is_forgotten_is_too_old_to_be_listened_to() {
        let mut seen = Seen::default();
        let old = row("a", 400, 100, Liquidity::Taker, 0);
        assert_eq!(take(&mut seen, &old), 100);
        let mut now = HOUR;
        while seen.len() > 0 {
            now += SLACK_NS / 3;
            let repeated = seen.take(0, Nanos(now), HOUR, &old);
            assert_eq!(repeated, Row::Known, "{now}");
        }
        assert!(now > 2 * HOUR);
        assert_eq!(seen.take(0, Nanos(now), HOUR, &old), Row::Known);
    }

    #[test]
    fn memory_is_bounded_and_what_it_drops_is_not_counted_again() {
        let mut seen = Seen::default();
        let at = |n: u64| LeaderTrade {
            traded_at: Nanos(HOUR + n * SECOND_NS),
            ..row(&n.to_string(), 400, 1, Liquidity::Taker, 0)
        };
        let now = Nanos(400_000 * SECOND_NS);
        for n in 0..MOST_MATCHES as u64 + 2 {
            seen.take(0, now, u64::MAX, &at(n));
        }
        assert!(seen.len() <= MOST_MATCHES);
        for n in [0, 1_000, 49_000, 50_100, 100_001] {
            assert_eq!(seen.take(0, now, u64::MAX, &at(n)), Row::Known, "{n}");
        }
    }

    fn rows() -> impl Strategy<Value = Vec<LeaderTrade>> {
        let one = (0usize..3, 395i64..405, 1i64..4, any::<bool>(), 0u32..3).prop_map(
            |(tx, price, qty, maker, occurrence)| {
                let liquidity = if maker {
                    Liquidity::Maker
                } else {
                    Liquidity::Taker
                };
                row(["a", "b", "c"][tx], price, qty, liquidity, occurrence)
            },
        );
        prop::collection::vec(one, 1..12)
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_count_the_same_shares(
            rows in rows(), again in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let total = |rows: &mut dyn Iterator<Item = &LeaderTrade>| {
                let mut seen = Seen::default();
                rows.map(|row| take(&mut seen, row)).sum::<i64>()
            };
            let straight = total(&mut rows.iter());
            let picked: Vec<&LeaderTrade> = again.iter().map(|index| index.get(&rows)).collect();
            let mut shuffled = picked.into_iter().chain(rows.iter().rev()).chain(rows.iter());
            prop_assert_eq!(total(&mut shuffled), straight);
        }
    }
}
