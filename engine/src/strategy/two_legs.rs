//! One two-legged order, once: the spread that the parameters name, as soon as both markets are live.
//!
//! It decides nothing by itself. It is for opening or closing a spread by hand, and for trying out a pair of venues.
use super::{Candidate, Strategy, View, Wishes};
use crate::error::EngineError;
use crate::event::Event;
use crate::id::{InstrumentId, Sequence};
use crate::market::{BarRequest, Instrument, Market};
use crate::number::{Money, Price, Qty};
use crate::order::Side;
use crate::parent::{Leg, Parents, Plan, Remedy, UnwindRule};
use crate::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

const MS: u64 = SECOND_NS / 1_000;

/// One leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LegParams {
    /// "venue:symbol".
    pub instrument: String,
    /// Buy or sell.
    pub side: Side,
    /// Worst price.
    pub limit: Decimal,
}

impl Default for LegParams {
    fn default() -> Self {
        Self {
            instrument: String::new(),
            side: Side::Buy,
            limit: Decimal::ZERO,
        }
    }
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The leg that goes first.
    pub first: LegParams,
    /// The leg that follows, for what the first one filled.
    pub second: LegParams,
    /// Shares of each leg.
    pub qty: Decimal,
    /// How long a leg may be under way.
    pub deadline_ms: u64,
    /// How often the second leg is sent again within its limit.
    pub retries: u32,
    /// Least time between two attempts.
    pub retry_gap_ms: u64,
    /// Whether shares without a counterpart are got rid of in the end.
    pub unwind: bool,
    /// How: "unwind" trades the longer leg back, "complete" fills the shorter one at what its book gives.
    pub remedy: Remedy,
    /// How long they stay without a counterpart first.
    pub unwind_after_ms: u64,
    /// The largest loss that getting rid of them may cost, in either leg's quote currency.
    pub unwind_loss_cap: Decimal,
    /// How often somebody is called while the legs do not match.
    pub alarm_every_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            first: LegParams::default(),
            second: LegParams::default(),
            qty: Decimal::ZERO,
            deadline_ms: 5_000,
            retries: 0,
            retry_gap_ms: 200,
            unwind: false,
            remedy: Remedy::Unwind,
            unwind_after_ms: 2_000,
            unwind_loss_cap: Decimal::ZERO,
            alarm_every_ms: 60_000,
        }
    }
}

impl Params {
    pub(super) fn instruments(&self) -> Vec<&str> {
        vec![&self.first.instrument, &self.second.instrument]
    }

    pub(super) const fn bars(&self) -> Vec<BarRequest> {
        Vec::new()
    }
}

/// A leg, once its instrument is defined.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Bound {
    instrument: InstrumentId,
    limit: Price,
    qty: Qty,
}

/// State.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    params: Params,
    loss_cap: Money,
    legs: [Option<Bound>; 2],
    parents: Parents,
}

impl State {
    pub(super) fn new(params: &Params) -> Result<Self, String> {
        if params.first.instrument == params.second.instrument {
            return Err(format!(
                "first.instrument and second.instrument must differ, found {:?} twice",
                params.first.instrument
            ));
        }
        if params.qty <= Decimal::ZERO {
            return Err(format!("qty must be positive, found {}", params.qty));
        }
        if params.unwind_loss_cap < Decimal::ZERO {
            return Err(format!(
                "unwind_loss_cap must not be negative, found {}",
                params.unwind_loss_cap
            ));
        }
        Ok(Self {
            params: params.clone(),
            loss_cap: Money::from_decimal(params.unwind_loss_cap)
                .map_err(|e| format!("unwind_loss_cap: {e}"))?,
            legs: [None; 2],
            parents: Parents::default(),
        })
    }

    fn plan(&self) -> Option<Plan> {
        let params = &self.params;
        let leg = |bound: Option<Bound>, params: &LegParams| {
            bound.map(|bound| Leg {
                instrument: bound.instrument,
                side: params.side,
                limit: bound.limit,
                qty: bound.qty,
            })
        };
        Some(Plan {
            legs: [
                leg(self.legs[0], &params.first)?,
                leg(self.legs[1], &params.second)?,
            ],
            deadline_ns: params.deadline_ms.saturating_mul(MS),
            retries: params.retries,
            retry_gap_ns: params.retry_gap_ms.saturating_mul(MS),
            unwind: UnwindRule {
                on: params.unwind,
                remedy: params.remedy,
                after_ns: params.unwind_after_ms.saturating_mul(MS),
                loss_caps: [self.loss_cap; 2],
            },
            alarm_every_ns: params.alarm_every_ms.saturating_mul(MS),
        })
    }
}

impl Strategy for State {
    fn bind(&mut self, instrument: &Instrument) -> Result<bool, String> {
        let mut wanted = false;
        for (leg, params) in self
            .legs
            .iter_mut()
            .zip([&self.params.first, &self.params.second])
        {
            if params.instrument == instrument.name {
                let decimals = instrument.decimals();
                *leg = Some(Bound {
                    instrument: instrument.id(),
                    limit: decimals
                        .price_from(params.limit)
                        .map_err(|e| format!("limit: {e}"))?,
                    qty: decimals
                        .qty_from(self.params.qty)
                        .map_err(|e| format!("qty: {e}"))?,
                });
                wanted = true;
            }
        }
        Ok(wanted)
    }

    #[inline]
    fn evolve(
        &mut self,
        sequence: Sequence,
        now: Nanos,
        event: &Event<'_>,
        market: &Market,
    ) -> Result<(), EngineError> {
        self.parents.evolve(sequence, now, event, market)
    }

    #[inline(never)]
    fn decide(&self, event: &Event<'_>, view: &View<'_>, wishes: &mut Wishes) {
        self.parents.decide(event, view, wishes);
        let is_market = matches!(
            event,
            Event::Quote(_) | Event::BookDelta(_) | Event::BookSnapshot(_)
        );
        if !is_market || self.parents.next_number() > 1 {
            return;
        }
        let Some(plan) = self.plan() else { return };
        let mut gates = wishes.gates(Candidate {
            number: 0,
            instrument: plan.legs[0].instrument,
        });
        let live = |leg: &Leg| {
            let instrument = view.market.instrument(leg.instrument);
            instrument.is_ok_and(|instrument| instrument.top().is_some())
        };
        if !gates.holds("both_live", plan.legs.iter().all(live)) {
            return;
        }
        if gates.passed() {
            self.parents.open(plan, wishes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_can_not_work_are_refused() {
        let good = Params {
            first: LegParams {
                instrument: "a:X".into(),
                ..LegParams::default()
            },
            qty: Decimal::ONE,
            ..Params::default()
        };
        assert!(State::new(&good).is_ok());
        assert!(State::new(&Params::default()).is_err());
        let nothing = Params {
            qty: Decimal::ZERO,
            ..good.clone()
        };
        assert!(State::new(&nothing).is_err());
        let negative = Params {
            unwind_loss_cap: Decimal::NEGATIVE_ONE,
            ..good
        };
        assert!(State::new(&negative).is_err());
    }
}
