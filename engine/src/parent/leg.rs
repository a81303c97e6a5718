//! What the orders of one role have come to.
use crate::error::EngineError;
use crate::event::{ExecutionReport, Fill};
use crate::id::OrderId;
use crate::market::Instrument;
use crate::number::{Money, NumberError, Qty};
use crate::order::OrderState;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// The orders of one role, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fills {
    /// Every order that went out, oldest first.
    pub(super) orders: Vec<OrderId>,
    /// The one that is not final yet.
    pub(super) working: Option<OrderId>,
    /// Since when it is under way.
    pub(super) sent_at: Nanos,
    /// Whether its outcome is not known.
    pub(super) is_unknown: bool,
    /// How often an order was asked for, denied ones included.
    pub(super) attempts: u32,
    /// Shares.
    pub(super) qty: Qty,
    /// Price times shares.
    pub(super) notional: Money,
    /// Fees.
    pub(super) fees: Money,
}

impl Fills {
    pub(super) fn sent(&mut self, order: OrderId, now: Nanos) {
        self.orders.push(order);
        self.working = Some(order);
        self.sent_at = now;
        self.is_unknown = false;
        self.attempts = self.attempts.saturating_add(1);
    }

    pub(super) const fn denied(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Folds a report on one of the orders. A fill that comes after its order ended counts like any other.
    pub(super) fn report(
        &mut self,
        report: &ExecutionReport,
        instrument: &Instrument,
    ) -> Result<(), EngineError> {
        if let Some(fill) = &report.fill {
            self.fill(fill, instrument)?;
        }
        if self.working == Some(report.order) {
            self.is_unknown = report.state == OrderState::Unknown;
            if report.state.is_final() {
                self.working = None;
            }
        }
        Ok(())
    }

    fn fill(&mut self, fill: &Fill, instrument: &Instrument) -> Result<(), EngineError> {
        const OVERFLOW: NumberError = NumberError::Overflow { what: "parent" };
        let notional = instrument.decimals().notional(fill.price, fill.qty)?;
        self.qty = Qty(self.qty.0.checked_add(fill.qty.0).ok_or(OVERFLOW)?);
        self.notional = self.notional.add(notional)?;
        self.fees = self.fees.add(fill.fee)?;
        Ok(())
    }
}

/// `amount x part / whole` rounded towards zero; `None` on overflow or for a whole of zero. Parts are 64-bit quantities.
pub(super) fn share(amount: Money, part: i64, whole: i64) -> Option<Money> {
    let (part, whole) = (i128::from(part), i128::from(whole));
    let quotient = amount.0.checked_div(whole)?;
    let rest = amount.0.checked_rem(whole)?;
    let rest = rest.checked_mul(part)? / whole;
    Some(Money(quotient.checked_mul(part)?.checked_add(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_where_it_divides_and_never_divides_by_nothing() {
        assert_eq!(share(Money(90), 2, 3), Some(Money(60)));
        assert_eq!(share(Money(-100), 1, 3), Some(Money(-33)));
        assert_eq!(share(Money(1), 1, 0), None);
        assert_eq!(share(Money(i128::MAX), 7, 7), Some(Money(i128::MAX)));
    }
}
