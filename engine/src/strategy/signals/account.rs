//! What every entry has to pass whatever proposed it: halts, a market that can be traded, losses, and room under the caps.
use super::Symbol;
use super::params::{Params, money};
use super::sizing::{Allowed, Budget, allowed, part, qty_of};
use crate::event::{TradingRules, TradingStatus};
use crate::id::InstrumentId;
use crate::market::Instrument;
use crate::number::{Money, Price, Qty};
use crate::order::{OrderType, Side};
use crate::strategy::{Figure, Gates, View};

/// What an entry may rely on once the gates let it pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account<'a> {
    /// The instrument.
    pub instrument: &'a Instrument,
    /// Its rules in force.
    pub rules: &'a TradingRules,
    /// What the strategy is worth.
    pub equity: Money,
    /// What of it is cash.
    pub cash: Money,
    /// What is left of the gross cap.
    pub gross_room: Money,
    /// What is left of the symbol's cap.
    pub qty_room: Qty,
}

/// Asks the gates of the account, with what fills brought and cost and the highest that it was; `None` when the candidate is done with.
pub(super) fn gates<'a>(
    params: &Params,
    (cash, peak): (Money, Money),
    symbol: &Symbol,
    view: &View<'a>,
    gates: &mut Gates<'_>,
) -> Option<Account<'a>> {
    if !gates.at_most("halted", u8::from(view.is_halted()), 0u8) {
        return None;
    }
    let instrument = view.market.instrument(symbol.id).ok()?;
    let rules = instrument.rules_at(view.now);
    if !gates.holds("market_open", instrument.status == TradingStatus::Open)
        || !gates.holds("trading_rules", rules.is_some())
        || !gates.holds("fee_schedule", instrument.fees_at(view.now).is_some())
        || !gates.holds("live_market", instrument.top().is_some())
    {
        return None;
    }
    let currency = instrument.quote_currency;
    let profit = view.profit(currency).ok();
    let day = view.day_profit(currency).ok();
    let gross = gross(view);
    // A sum that does not fit is no sum to trade on.
    let known = profit.zip(day).zip(gross);
    if !gates.holds("profit_known", known.is_some()) {
        return None;
    }
    let ((profit, day), gross) = known?;
    let drawdown = Money(peak.0.saturating_sub(profit.0));
    if !gates.at_most("max_day_loss_usd", day.negated(), params.max_day_loss_usd)
        || !gates.at_most("max_drawdown_usd", drawdown, params.max_drawdown_usd)
    {
        return None;
    }
    gates.uses(
        "max_day_loss_usd",
        None,
        day.negated(),
        params.max_day_loss_usd,
    );
    gates.uses("max_drawdown_usd", None, drawdown, params.max_drawdown_usd);
    let equity = money(params.equity_usd).add(profit).ok();
    let cap = qty_of(params.max_qty, instrument.decimals());
    Some(Account {
        instrument,
        rules: rules?,
        equity: equity?,
        cash: money(params.equity_usd).add(cash).ok()?,
        gross_room: money(params.max_gross_usd).sub(gross).ok()?,
        qty_room: Qty(cap.0.saturating_sub(worst_qty(view, symbol.id))),
    })
}

impl Account<'_> {
    /// What the size rule and each cap allow for an entry; nothing where a number does not fit.
    pub(super) fn allowed(
        &self,
        params: &Params,
        entry: Price,
        stop_loss: Option<Price>,
    ) -> Vec<Allowed> {
        let d = self.instrument.decimals();
        let budget = Budget {
            sizing: params.sizing,
            qty: qty_of(params.qty, d),
            equity: self.equity,
            cash: self.cash,
            equity_pct: params.equity_pct,
            risk_pct: params.risk_pct,
            max_position_pct: params.max_position_pct,
            max_loss_pct: params.max_position_loss_pct,
            qty_room: self.qty_room,
            gross_room: self.gross_room,
        };
        allowed(&budget, d, self.rules.lot_size, entry, stop_loss)
            .unwrap_or_else(|_| vec![("size", Qty(0))])
    }

    /// How much of each cap is used up with an entry of that size.
    pub(super) fn uses(
        &self,
        params: &Params,
        entry: Price,
        stop_loss: Option<Price>,
        qty: Qty,
        gates: &mut Gates<'_>,
    ) {
        let d = self.instrument.decimals();
        let symbol = Some(self.instrument.name.as_str());
        let Ok(value) = d.notional(entry, qty) else {
            return;
        };
        let with = |used: i128, more: i128| used.saturating_add(more);
        let gross = money(params.max_gross_usd);
        let in_use = gross.0.saturating_sub(self.gross_room.0);
        gates.uses("max_gross_usd", None, Money(with(in_use, value.0)), gross);
        let cap = qty_of(params.max_qty, d);
        let in_use = i128::from(cap.0) - i128::from(self.qty_room.0);
        let used = Figure::new(with(in_use, qty.0.into()), d.qty.into());
        gates.uses("max_qty", symbol, used, self.qty(cap));
        let cap = |pct| part(self.equity, pct);
        if let Ok(cap) = cap(params.max_position_pct) {
            gates.uses("max_position_pct", symbol, value, cap);
        }
        let distance = |stop: Price| i64::try_from(entry.0.abs_diff(stop.0)).ok();
        let risk = stop_loss.and_then(distance);
        let risk = risk.and_then(|distance| d.notional(Price(distance), qty).ok());
        if let (Some(risk), Ok(cap)) = (risk, cap(params.max_position_loss_pct)) {
            gates.uses("max_position_loss_pct", symbol, risk, cap);
        }
    }

    /// The least order there is.
    pub(super) fn least_order(&self) -> Qty {
        self.rules.min_qty.max(self.rules.lot_size)
    }

    /// A quantity for a gate.
    pub(super) fn qty(&self, qty: Qty) -> Figure {
        Figure::new(qty.0.into(), self.instrument.decimals().qty.into())
    }
}

/// The most that may be held of an instrument, either way, if what works were filled; unsigned.
fn worst_qty(view: &View<'_>, id: InstrumentId) -> i64 {
    let held = i128::from(view.position(id).0);
    let (mut long, mut short) = (held, held);
    for order in view.orders().filter(|order| order.instrument == id) {
        match order.side {
            Side::Buy => long += i128::from(order.remaining().0),
            Side::Sell => short -= i128::from(order.remaining().0),
        }
    }
    i64::try_from(long.abs().max(short.abs())).unwrap_or(i64::MAX)
}

/// The value of all positions at the mark, and of what works at its price where that makes them larger: of the two entries
/// of a pair only one fills, so the larger side of each instrument counts. Real prices, not a price per share assumed.
pub(super) fn gross(view: &View<'_>) -> Option<Money> {
    let mut sides: Vec<(InstrumentId, i128, i128)> = Vec::new();
    let mut add = |id: InstrumentId, long: i128, short: i128| {
        let place = sides.iter().position(|(known, ..)| *known == id);
        let place = place.unwrap_or_else(|| {
            sides.push((id, 0, 0));
            sides.len() - 1
        });
        let entry = &mut sides[place];
        entry.1 = entry.1.checked_add(long)?;
        entry.2 = entry.2.checked_add(short)?;
        Some(())
    };
    for position in view.positions().filter(|position| position.qty.0 != 0) {
        let instrument = view.market.instrument(position.instrument).ok()?;
        let value = position.value(instrument).ok()?.0;
        add(position.instrument, value, value)?;
    }
    for order in view.orders() {
        let instrument = view.market.instrument(order.instrument).ok()?;
        let price = match order.order_type {
            OrderType::Limit | OrderType::Stop => order.price,
            OrderType::Market => instrument.mark(order.side).unwrap_or_default(),
        };
        let value = instrument.decimals().notional(price, order.remaining());
        let value = value.ok()?.0;
        match order.side {
            Side::Buy => add(order.instrument, value, 0)?,
            Side::Sell => add(order.instrument, 0, value.checked_neg()?)?,
        }
    }
    let worst = |sum: i128, (_, long, short): &(InstrumentId, i128, i128)| {
        sum.checked_add(long.checked_abs()?.max(short.checked_abs()?))
    };
    sides.iter().try_fold(0, worst).map(Money)
}
