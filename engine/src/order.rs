//! Orders: their attributes, their states and the table of legal moves.
use crate::fees::OrderFees;
use crate::id::{InstrumentId, OrderId, StrategyId};
use crate::number::{Price, Qty};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
}

impl Side {
    /// +1 for a buy, -1 for a sell.
    pub const fn sign(self) -> i64 {
        match self {
            Side::Buy => 1,
            Side::Sell => -1,
        }
    }

    /// The other side.
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// Whether an order of this side at `limit` takes what stands on the other side at `price`.
    pub const fn crosses(self, limit: Price, price: Price) -> bool {
        match self {
            Side::Buy => price.0 <= limit.0,
            Side::Sell => price.0 >= limit.0,
        }
    }
}

/// Limit or market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    /// At the limit price or better.
    Limit,
    /// At what the book gives; the rest expires.
    Market,
    /// Waits until the market trades at or through its price (the trigger), then takes what the book gives.
    Stop,
}

/// How long an order stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeInForce {
    /// Until filled or cancelled.
    GoodTillCancel,
    /// Takes what it can on arrival; the rest expires.
    ImmediateOrCancel,
    /// Rests; expires on arrival if it would take.
    PostOnly,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// On the tape; no socket has seen it.
    Decided,
    /// Handed to the venue's socket.
    Sent,
    /// The venue has it.
    Acked,
    /// Some of it is filled.
    PartiallyFilled,
    /// All of it is filled.
    Filled,
    /// Taken back.
    Cancelled,
    /// The venue did not take it.
    Rejected,
    /// Ended by its time in force.
    Expired,
    /// Outcome not known: worst case counts until the venue proves otherwise.
    Unknown,
}

impl OrderState {
    /// Every state.
    pub const ALL: [OrderState; 9] = {
        use OrderState::*;
        [
            Decided,
            Sent,
            Acked,
            PartiallyFilled,
            Filled,
            Cancelled,
            Rejected,
            Expired,
            Unknown,
        ]
    };

    /// Whether nothing can follow but late fills of a cancel that lost the race.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            OrderState::Filled | OrderState::Cancelled | OrderState::Rejected | OrderState::Expired
        )
    }

    /// The table of legal moves. A fill implies the acknowledgement that a venue may leave out.
    pub const fn can_become(self, next: OrderState) -> bool {
        use OrderState::*;
        match self {
            Decided => matches!(
                next,
                Sent | Acked | PartiallyFilled | Filled | Cancelled | Rejected | Expired | Unknown
            ),
            Sent => matches!(
                next,
                Acked | PartiallyFilled | Filled | Cancelled | Rejected | Expired | Unknown
            ),
            Acked => matches!(
                next,
                PartiallyFilled | Filled | Cancelled | Expired | Unknown
            ),
            PartiallyFilled => matches!(
                next,
                PartiallyFilled | Filled | Cancelled | Expired | Unknown
            ),
            Unknown => matches!(
                next,
                Acked | PartiallyFilled | Filled | Cancelled | Rejected | Expired
            ),
            Filled | Cancelled | Rejected | Expired => false,
        }
    }

    /// The name on the tape.
    pub const fn name(self) -> &'static str {
        match self {
            OrderState::Decided => "decided",
            OrderState::Sent => "sent",
            OrderState::Acked => "acked",
            OrderState::PartiallyFilled => "partially_filled",
            OrderState::Filled => "filled",
            OrderState::Cancelled => "cancelled",
            OrderState::Rejected => "rejected",
            OrderState::Expired => "expired",
            OrderState::Unknown => "unknown",
        }
    }
}

/// Which of several alternatives an order is: the owner cancels the others when one of them fills (a stop-loss and its
/// target, two entries). What they come to is the largest alternative, not their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OneOf {
    /// The owner's number of the group.
    pub group: u64,
    /// Which alternative; several orders can make up one.
    pub alternative: u8,
}

/// Exits that go to the venue with an entry and work once it fills; one that fills ends the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protect {
    /// The stop-loss's trigger.
    pub stop: Option<Price>,
    /// The target's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Price>,
}

impl Protect {
    /// The price of the exit of an order type; none for one that is not there.
    pub const fn price(&self, order_type: OrderType) -> Option<Price> {
        match order_type {
            OrderType::Stop => self.stop,
            OrderType::Limit => self.target,
            OrderType::Market => None,
        }
    }

    /// What is left without the exit of an order type.
    pub fn without(self, order_type: OrderType) -> Option<Self> {
        let left = match order_type {
            OrderType::Stop => Self { stop: None, ..self },
            OrderType::Limit => Self {
                target: None,
                ..self
            },
            OrderType::Market => self,
        };
        (left.stop.is_some() || left.target.is_some()).then_some(left)
    }
}

/// An order that is not final yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Whose.
    pub strategy: StrategyId,
    /// In what.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Limit or market.
    pub order_type: OrderType,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Limit price, or a stop's trigger; zero for a market order.
    pub price: Price,
    /// Ordered quantity.
    pub qty: Qty,
    /// Filled so far.
    pub filled: Qty,
    /// Where it stands.
    pub state: OrderState,
    /// When it was decided.
    pub decided_at: Nanos,
    /// Whether a cancel is under way.
    pub cancelling: bool,
    /// What the strategy calls it.
    #[serde(default)]
    pub tag: u64,
    /// Which of several alternatives it is.
    #[serde(default)]
    pub one_of: Option<OneOf>,
    /// Exits that went to the venue with it, without those that orders on the tape have taken over.
    #[serde(default)]
    pub protect: Option<Protect>,
    /// Whether other exits were decided instead of them.
    #[serde(default)]
    pub exits_replaced: bool,
    /// The entry with which it went to the venue.
    #[serde(default)]
    pub attached_to: Option<OrderId>,
    /// What its fills cost so far, where the fee schedule looks at orders as a whole.
    #[serde(default, skip_serializing_if = "OrderFees::is_nothing")]
    pub fees: OrderFees,
}

impl Order {
    /// Whether what an order does not take on arrival stays in the book.
    pub const fn rests(&self) -> bool {
        matches!(self.order_type, OrderType::Limit)
            && !matches!(self.time_in_force, TimeInForce::ImmediateOrCancel)
    }

    /// What is not filled yet.
    pub const fn remaining(&self) -> Qty {
        Qty(self.qty.0 - self.filled.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_final_state_and_every_other_state_can_become_unknown() {
        for from in OrderState::ALL {
            for to in OrderState::ALL {
                if from.is_final() {
                    assert!(!from.can_become(to), "{from:?} -> {to:?}");
                }
            }
            assert_eq!(
                from.can_become(OrderState::Unknown),
                !from.is_final() && from != OrderState::Unknown
            );
            assert!(!from.can_become(OrderState::Decided), "{from:?} -> Decided");
        }
    }

    #[test]
    fn an_order_is_read_from_a_snapshot_as_it_was_written() {
        let plain = Order {
            id: OrderId(7),
            strategy: StrategyId(0),
            instrument: InstrumentId(0),
            side: Side::Buy,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            price: Price(100),
            qty: Qty(10),
            filled: Qty(0),
            state: OrderState::Acked,
            decided_at: Nanos(0),
            cancelling: false,
            tag: 0,
            one_of: None,
            protect: None,
            exits_replaced: false,
            attached_to: None,
            fees: OrderFees::default(),
        };
        let exits = |target| {
            let stop = Some(Price(90));
            Some(Protect { stop, target })
        };
        for (protect, attached_to) in [
            (None, None),
            (exits(None), None),
            (exits(Some(Price(120))), None),
            (None, Some(OrderId(3))),
        ] {
            let order = Order {
                protect,
                attached_to,
                ..plain
            };
            // By position, as snapshots are written.
            let bytes = rmp_serde::to_vec(&order).unwrap();
            assert_eq!(rmp_serde::from_slice::<Order>(&bytes).unwrap(), order);
        }
    }

    #[test]
    fn only_an_order_that_the_venue_never_took_can_be_rejected() {
        let can_be_rejected = OrderState::ALL
            .into_iter()
            .filter(|s| s.can_become(OrderState::Rejected));
        assert!(can_be_rejected.eq([OrderState::Decided, OrderState::Sent, OrderState::Unknown]));
    }
}
