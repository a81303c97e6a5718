//! What a strategy may look at, and how it says what it wants.
use crate::desk::{Decision, Desk};
use crate::id::{InstrumentId, OrderId, Sequence, StrategyId};
use crate::market::Market;
use crate::number::Qty;
use crate::order::Order;
use crate::risk::Proposal;
use crate::time::Nanos;

/// The market and the strategy's own side of the desk, read-only.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(crate) strategy: StrategyId,
    /// The frame that is being decided on.
    pub sequence: Sequence,
    /// Its stamp: the only time there is.
    pub now: Nanos,
    /// The market.
    pub market: &'a Market,
    pub(crate) desk: &'a Desk,
}

impl<'a> View<'a> {
    /// What the strategy holds, signed.
    #[inline]
    pub fn position(&self, instrument: InstrumentId) -> Qty {
        self.desk
            .ledger()
            .position(self.strategy, instrument)
            .map_or(Qty(0), |position| position.qty)
    }

    /// The strategy's orders at work, oldest first.
    pub fn orders(&self) -> impl Iterator<Item = &'a Order> + use<'a> {
        let strategy = self.strategy;
        self.desk
            .orders()
            .iter()
            .filter(move |order| order.strategy == strategy)
    }
}

/// What a strategy wants, in order.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    wishes: Vec<Wish>,
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Order(Proposal),
    Cancel(OrderId),
    Timer(Nanos, u64),
}

impl Wishes {
    /// An order. The risk gate has the last word.
    pub fn order(&mut self, proposal: Proposal) {
        self.wishes.push(Wish::Order(proposal));
    }

    /// A cancel of one of the strategy's orders.
    pub fn cancel(&mut self, order: OrderId) {
        self.wishes.push(Wish::Cancel(order));
    }

    /// A timer; `token` comes back with it.
    pub fn timer(&mut self, due: Nanos, token: u64) {
        self.wishes.push(Wish::Timer(due, token));
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    #[inline]
    pub(crate) fn drain(&mut self, strategy: StrategyId) -> impl Iterator<Item = Decision> + '_ {
        self.wishes.drain(..).map(move |wish| match wish {
            Wish::Order(proposal) => Decision::Order(strategy, proposal),
            Wish::Cancel(order) => Decision::Cancel(strategy, order),
            Wish::Timer(due, token) => Decision::Timer(strategy, due, token),
        })
    }
}
