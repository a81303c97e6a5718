//! Closing: a position is held to settlement unless the market pays more for it than it is worth.
//!
//! No gate of opening stands in its way: no hours, pauses, losses, spreads or caps.
use super::contract::Contract;
use super::entry::ask;
use super::sizing::floor_lot;
use super::{EXIT, MS_NS, State, candidate};
use crate::number::Qty;
use crate::order::{OrderType, Side, TimeInForce};
use crate::risk::Proposal;
use crate::strategy::{Figure, Gates, View, Wishes};

impl State {
    /// Closes what it can of a position; returns whether an order was asked for.
    pub(super) fn exit(
        &self,
        place: u32,
        contract: &Contract,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) -> bool {
        let mut gates = wishes.gates(candidate(place, contract, true));
        let Some(proposal) = self.closing(&mut gates, contract, view) else {
            let _ = gates.holds("figures", false);
            return false;
        };
        let passed = gates.passed();
        if passed {
            wishes.order(proposal);
        }
        passed
    }

    fn closing(
        &self,
        gates: &mut Gates<'_>,
        contract: &Contract,
        view: &View<'_>,
    ) -> Option<Proposal> {
        let sight = self.model(gates, contract, view)?;
        let wait_ms = contract.exit_quiet_until.since(view.now).div_ceil(MS_NS);
        ask!(gates.at_most("exit_retry_ms", wait_ms, 0));
        let held = contract.held;
        let side = if held.0 > 0 { Side::Sell } else { Side::Buy };
        let touch = sight.top.side(side.opposite());
        ask!(gates.holds("exit_side", touch.is_some()));
        let touch = touch?;
        let bet = sight.bet(side, touch.price);
        let lot = sight.rules.lot_size;
        let qty = floor_lot(held.abs().min(touch.qty).0, lot);
        let least = sight.rules.min_qty.max(lot);
        let figure = |qty: Qty| Figure::new(qty.0.into(), bet.d.qty.into());
        ask!(gates.at_least("exit_qty", figure(qty), figure(least)));
        let edge = bet.net_edge(qty)?;
        ask!(gates.at_least("exit_edge_usd", edge, self.settings.exit_edge));
        Some(Proposal {
            instrument: contract.instrument,
            side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::ImmediateOrCancel,
            price: touch.price,
            qty,
            tag: EXIT,
            hedges: None,
            one_of: None,
            protect: None,
        })
    }
}
