//! Whether a leader's buy is copied: every reason not to is a gate, from cheap to dear.
use super::confidence::{Facts, confidence_ppm};
use super::exit::entry_candidate;
use super::mirror::{Group, Mirror, Sum};
use super::params::PPM;
use super::sizing::{affordable, climb, depth, rule_usd, share};
use super::state::{State, tag};
use crate::event::{Level, Liquidity, TradingRules, TradingStatus};
use crate::id::InstrumentId;
use crate::market::Instrument;
use crate::number::{Money, Price, Qty, pow10};
use crate::order::{OrderType, Side, TimeInForce};
use crate::risk::Proposal;
use crate::strategy::{Figure, View, Wishes};
use crate::time::Nanos;
use rust_decimal::Decimal;

/// The fee of taking a quantity at a price; none without a schedule in force.
fn taker_fee(instrument: &Instrument, now: Nanos, price: Price, qty: Qty) -> Option<Money> {
    let fees = instrument.fees_at(now)?;
    let d = instrument.decimals();
    fees.estimate(Liquidity::Taker, d, price, qty).ok()
}

/// The asks that a buy would meet, best first.
fn asks(instrument: &Instrument) -> impl Iterator<Item = Level> + '_ {
    let book = instrument.book();
    let quote = match book {
        Some(_) => None,
        None => instrument.quote().and_then(|top| top.side(Side::Sell)),
    };
    let levels = book
        .into_iter()
        .flat_map(|book| book.side(Side::Sell).levels());
    levels.chain(quote)
}

/// What a price says about the leader's.
struct Prices {
    /// How much worse than the leader's the best ask is, in millionths of his, rounded up.
    slippage_ppm: i128,
    /// The highest price that may be paid, on the grid.
    cap: Price,
}

/// `(ask - leader) / leader`, and the lower of `leader x (1 + slippage)` and `ask x (1 + slippage)`, on the grid and not
/// above the highest price to buy at (requirements, five systems, 6.3.6).
fn prices(
    leader: Sum,
    ask: Price,
    max_slippage_ppm: i64,
    max_ask: Price,
    rules: &TradingRules,
) -> Option<Prices> {
    let (ppm, qty) = (i128::from(PPM), i128::from(leader.qty));
    let worse = i128::from(ask.0)
        .checked_mul(qty)?
        .checked_sub(leader.notional)?;
    let slippage_ppm = -worse
        .checked_mul(ppm)?
        .checked_neg()?
        .checked_div_euclid(leader.notional)?;
    let most = ppm + i128::from(max_slippage_ppm);
    let by_leader = leader
        .notional
        .checked_mul(most)?
        .checked_div(qty.checked_mul(ppm)?)?;
    let by_ask = i128::from(ask.0).checked_mul(most)? / ppm;
    let cap = Price(i64::try_from(by_leader.min(by_ask)).ok()?);
    let cap = cap.min(max_ask).min(rules.max_price);
    Some(Prices {
        slippage_ppm,
        cap: rules.floor_price(cap),
    })
}

/// What may be spent, and why not more.
struct Rooms {
    loss: Money,
    rule: Money,
    position: Money,
    market: Money,
    wallet: Money,
    cash: Money,
    market_cap: Money,
    wallet_cap: Money,
}

/// Cash and equity of the strategy.
struct Account {
    equity: Money,
    cash: Money,
}

impl State {
    fn account(&self, view: &View<'_>) -> Option<Account> {
        let currency = self.currency?;
        let (mut equity, mut cash) = (self.rules.capital, self.rules.capital);
        for position in view.positions() {
            let instrument = view.market.instrument(position.instrument).ok()?;
            if instrument.quote_currency == currency {
                let paid = position.realised.sub(position.fees).ok()?;
                let paid = paid.sub(position.cost).ok()?;
                cash = cash.add(paid).ok()?;
                let value = position.value(instrument).ok()?;
                equity = equity.add(paid).ok()?.add(value).ok()?;
            }
        }
        for (mirror, working) in self.entries() {
            let instrument = view.market.instrument(mirror.token).ok()?;
            let (limit, left) = working;
            cash = cash
                .sub(instrument.decimals().notional(limit, left).ok()?)
                .ok()?;
            cash = cash
                .sub(taker_fee(instrument, view.now, limit, left)?)
                .ok()?;
        }
        Some(Account { equity, cash })
    }

    /// Entries at work: limit and what is left of them.
    fn entries(&self) -> impl Iterator<Item = (&Mirror, (Price, Qty))> {
        let open = self.open.iter().filter_map(|number| self.mirror(*number));
        open.filter_map(|mirror| {
            let note = self.note(mirror.entry?)?;
            Some((mirror, (note.limit, note.left)))
        })
    }

    /// What the entries at work in a token may still cost.
    fn working(&self, token: InstrumentId) -> Option<Money> {
        let mut sum = Money::ZERO;
        for mirror in self.open_in(token).iter().filter_map(|n| self.mirror(*n)) {
            sum = sum.add(self.entry_usd(mirror)?).ok()?;
        }
        Some(sum)
    }

    fn entry_usd(&self, mirror: &Mirror) -> Option<Money> {
        match mirror.entry.and_then(|id| self.note(id)) {
            Some(note) => note.decimals.notional(note.limit, note.left).ok(),
            None => Some(Money::ZERO),
        }
    }

    /// What some of the copies cost, entries at work included.
    fn committed(&self, counts: impl Fn(&Mirror) -> bool) -> Option<Money> {
        let mut sum = Money::ZERO;
        let open = self.open.iter().filter_map(|number| self.mirror(*number));
        for mirror in open.filter(|mirror| counts(mirror)) {
            sum = sum.add(mirror.cost).ok()?;
            sum = sum.add(self.entry_usd(mirror)?).ok()?;
        }
        Some(sum)
    }

    fn rooms(
        &self,
        mirror: &Mirror,
        leader_usd: Money,
        ask: Price,
        cap: Price,
        view: &View<'_>,
    ) -> Option<Rooms> {
        let rules = &self.rules;
        let account = self.account(view)?;
        let portfolio = self.leaders.get(mirror.leader)?.portfolio?.value;
        let instrument = view.market.instrument(mirror.token).ok()?;
        let lot = instrument.rules_at(view.now)?.lot_size;
        let event = self.token(mirror.token)?.event.as_deref();
        let is_same_market = |other: &Mirror| {
            other.token == mirror.token
                || event.is_some()
                    && event == self.token(other.token).and_then(|t| t.event.as_deref())
        };
        let room = |limit: Money, used: Option<Money>| limit.sub(used?).ok();
        // The ledger averages over all leaders: the larger of both ways to say what a position cost.
        let in_ledger = view.position_in(mirror.token).map(|held| held.cost);
        let working = self.working(mirror.token)?;
        let position = self
            .committed(|other| other.token == mirror.token)
            .map(|ours| ours.max(in_ledger.unwrap_or_default().add(working).unwrap_or(ours)));
        // The fee of all that the cash could buy, at the dearer of both ends: what it leaves can be spent.
        let most = affordable(account.cash, ask, lot, instrument.decimals())?;
        let fee = taker_fee(instrument, view.now, ask, most)?;
        let fee = fee.max(taker_fee(instrument, view.now, cap, most)?);
        let market_cap = share(account.equity, rules.max_market_ppm)?;
        let wallet_cap = share(account.equity, rules.max_wallet_ppm)?;
        Some(Rooms {
            loss: view.day_profit(self.currency?).ok()?.negated(),
            rule: rule_usd(rules.size, leader_usd, portfolio, account.equity)?,
            position: room(rules.max_position, position)?,
            market: room(market_cap, self.committed(is_same_market))?,
            wallet: room(
                wallet_cap,
                self.committed(|other| other.leader == mirror.leader),
            )?,
            market_cap,
            wallet_cap,
            cash: account.cash.sub(fee).ok()?,
        })
    }

    /// Asks every gate about the buys of a window, and orders when all of them pass.
    pub(super) fn consider(
        &self,
        number: u32,
        group: &Group,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) {
        let (rules, now) = (&self.rules, view.now);
        let (Some(mirror), Some(leader)) = (
            self.mirror(number),
            self.mirror(number).and_then(|m| self.leaders.get(m.leader)),
        ) else {
            return;
        };
        let (Some(token), Ok(instrument)) = (
            self.token(mirror.token),
            view.market.instrument(mirror.token),
        ) else {
            return;
        };
        let d = instrument.decimals();
        let leader_usd = group.sum.usd(d).unwrap_or(Money(i128::MAX));
        let mut gates = wishes.gates(entry_candidate(number, mirror.token));

        // The leader and his trade.
        if !gates.holds("leader_listed", leader.active) {
            return;
        }
        let age_ms = now.since(group.oldest) / 1_000_000;
        if !gates.at_most("trade_age_ms", age_ms, rules.max_age_ms) {
            return;
        }
        if !gates.at_least("leader_usd", leader_usd, rules.min_leader) {
            return;
        }
        // Who sells within the window what he buys in it makes a market, or sets a bait.
        let sold = self.seen.since(number, Side::Sell, group.oldest);
        if !gates.at_most("leader_sold", Figure::new(sold.into(), d.qty.into()), 0) {
            return;
        }
        let portfolio_ms = leader.portfolio.map(|p| now.since(p.taken_at) / 1_000_000);
        if !gates.holds("portfolio_known", portfolio_ms.is_some()) {
            return;
        }
        let portfolio_ms = portfolio_ms.unwrap_or(u64::MAX);
        if !gates.at_most("portfolio_age_ms", portfolio_ms, rules.max_portfolio_age_ms) {
            return;
        }

        // Our own state.
        if !gates.holds("halted", !view.is_halted()) {
            return;
        }
        if !gates.at_most("breaker_ms", self.brakes.open_ms(now), 0) {
            return;
        }
        if !gates.at_most("entries_working", u32::from(mirror.entry.is_some()), 0) {
            return;
        }
        let gap_ms = leader
            .copied_at
            .map_or(u64::MAX, |at| now.since(at) / 1_000_000);
        if !gates.at_least("wallet_gap_ms", gap_ms, rules.wallet_gap_ms) {
            return;
        }
        let copies = self.brakes.copies(rules, now);
        if !gates.at_most("copies_before", copies, rules.max_copies - 1) {
            return;
        }
        let others = self.open.len() - usize::from(self.open.binary_search(&number).is_ok());
        if !gates.at_most("open_copies", others, rules.max_open_copies - 1) {
            return;
        }

        // The market.
        let is_open = instrument.status == TradingStatus::Open && instrument.settled_at.is_none();
        if !gates.holds("market_open", is_open) {
            return;
        }
        let grid = instrument.rules_at(now);
        if !gates.holds("rules_known", grid.is_some()) {
            return;
        }
        if !gates.holds("fees_known", instrument.fees_at(now).is_some()) {
            return;
        }
        let ask = instrument.top().and_then(|top| top.side(Side::Sell));
        if !gates.holds("ask_known", ask.is_some()) {
            return;
        }
        let quote_ms = now.since(instrument.top_received_at()) / 1_000_000;
        if !gates.at_most("quote_age_ms", quote_ms, rules.max_quote_age_ms) {
            return;
        }
        let (Some(grid), Some(ask)) = (grid, ask) else {
            return;
        };
        // What is owed and can be sold is on its way out: nothing is bought on top of it.
        let dust = (grid.min_qty.0 - 1).max(0);
        if !gates.at_most("exit_owed", mirror.owed.0, dust) {
            return;
        }
        if !gates.at_most("ask", d.price_decimal(ask.price), rules.max_ask) {
            return;
        }
        let scale = Decimal::from(pow10(d.price.into()).unwrap_or(1));
        let max_ask = (rules.max_ask * scale).floor().mantissa();
        let max_ask = Price(i64::try_from(max_ask).unwrap_or(i64::MAX));
        let prices = prices(group.sum, ask.price, rules.max_slippage_ppm, max_ask, grid);
        let depth = prices
            .as_ref()
            .and_then(|prices| depth(asks(instrument), prices.cap, d));
        let rooms = prices
            .as_ref()
            .and_then(|prices| self.rooms(mirror, leader_usd, ask.price, prices.cap, view));
        let fits = depth.is_some() && rooms.is_some();
        let (Some(prices), Some(depth), Some(rooms)) = (prices, depth, rooms) else {
            let _ = gates.holds("numbers_fit", fits);
            return;
        };
        let slippage = Figure::new(prices.slippage_ppm, 6);
        if !gates.at_most(
            "slippage",
            slippage,
            Figure::new(rules.max_slippage_ppm.into(), 6),
        ) {
            return;
        }
        let confidence = confidence_ppm(&Facts {
            sample: leader.sample,
            wins: leader.wins,
            profit: leader.profit,
            typical: leader.typical,
            trade: leader_usd,
            depth,
            liquid: rules.liquid,
            to_resolution_ms: token.settles_at.map(|at| at.since(now) / 1_000_000),
        });
        let least = Figure::new(rules.min_confidence_ppm.into(), 6);
        if !gates.at_least("confidence", Figure::new(confidence.into(), 6), least) {
            return;
        }
        if !gates.at_most("day_loss_usd", rooms.loss, rules.max_day_loss) {
            return;
        }

        // The size: each of its bounds has to leave room for the venue's smallest order.
        let smallest = d.notional(ask.price, Qty(grid.min_qty.0.max(grid.lot_size.0)));
        let smallest = smallest.map_or(Money(i128::MAX), |usd| usd.max(grid.min_notional));
        let bounds = [
            ("rule_usd", rooms.rule),
            ("position_room_usd", rooms.position),
            ("market_room_usd", rooms.market),
            ("wallet_room_usd", rooms.wallet),
            ("cash_usd", rooms.cash),
            ("depth_usd", depth),
        ];
        let mut budget = Money(i128::MAX);
        for (gate, room) in bounds {
            if !gates.at_least(gate, room, smallest) {
                return;
            }
            budget = budget.min(room);
        }
        let climbed = climb(asks(instrument), prices.cap, budget, grid.lot_size, d);
        let (limit, qty) = climbed.unwrap_or((ask.price, Qty(0)));
        if !gates.at_least("order_qty", qty.0, grid.min_qty.0.max(1)) {
            return;
        }
        let notional = d.notional(limit, qty).unwrap_or(Money(i128::MAX));
        if !gates.at_least("order_usd", notional, grid.min_notional) {
            return;
        }
        let gain = self.gain(instrument, now, limit, qty);
        if !gates.at_least(
            "gain_after_fee_usd",
            gain.unwrap_or(Money(i128::MIN)),
            rules.min_gain,
        ) {
            return;
        }
        let market = token.event.as_deref().unwrap_or(&instrument.name);
        for (limit, of, cap, room) in [
            (
                "max_position_usd",
                instrument.name.as_str(),
                rules.max_position,
                rooms.position,
            ),
            ("max_market_pct", market, rooms.market_cap, rooms.market),
            (
                "max_wallet_pct",
                &leader.wallet,
                rooms.wallet_cap,
                rooms.wallet,
            ),
        ] {
            let used = cap.0.saturating_sub(room.0).saturating_add(notional.0);
            gates.uses(limit, Some(of), Money(used), cap);
        }
        gates.uses("max_copies", None, copies + 1, rules.max_copies);
        gates.uses("max_open_copies", None, others + 1, rules.max_open_copies);
        gates.uses("max_day_loss_usd", None, rooms.loss, rules.max_day_loss);
        let failures = self.brakes.failures();
        gates.uses("breaker_failures", None, failures, rules.breaker_failures);
        if gates.passed() {
            wishes.order(Proposal {
                instrument: mirror.token,
                side: Side::Buy,
                order_type: OrderType::Limit,
                time_in_force: if rules.entry_rest_ns > 0 {
                    TimeInForce::GoodTillCancel
                } else {
                    TimeInForce::ImmediateOrCancel
                },
                price: limit,
                qty,
                tag: tag(number, true),
                hedges: None,
                one_of: None,
                protect: None,
            });
        }
    }

    /// What selling at the target brings after the fees of both ways. A target above 1 is the payout, which costs nothing.
    fn gain(&self, instrument: &Instrument, now: Nanos, limit: Price, qty: Qty) -> Option<Money> {
        let d = instrument.decimals();
        let one = i64::try_from(pow10(d.price.into())?).ok()?;
        let target =
            i128::from(limit.0) * i128::from(PPM + self.rules.target_ppm) / i128::from(PPM);
        let target = i64::try_from(target).unwrap_or(one).min(one);
        let bought = taker_fee(instrument, now, limit, qty)?;
        let sold = match target {
            target if target == one => Money::ZERO,
            target => taker_fee(instrument, now, Price(target), qty)?,
        };
        let gross = d.notional(Price(target - limit.0), qty).ok()?;
        gross.sub(bought).ok()?.sub(sold).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(tick: i64) -> TradingRules {
        TradingRules {
            instrument: InstrumentId(0),
            effective_from: Nanos(0),
            tick_size: Price(tick),
            lot_size: Qty(1),
            min_qty: Qty(1),
            min_notional: Money::ZERO,
            min_price: Price(tick),
            max_price: Price(1_000 - tick),
            bands: Vec::new(),
            allows_short: false,
        }
    }

    fn slip(leader: i64, ask: i64, tick: i64) -> (i128, i64) {
        let sum = Sum::of(Price(leader), Qty(20_000));
        let prices = prices(sum, Price(ask), 20_000, Price(970), &grid(tick)).unwrap();
        (prices.slippage_ppm, prices.cap.0)
    }

    /// The golden numbers of the requirements, five systems, 6.3: .405 against .40 slips 1.25 %, .41 slips 2.5 %.
    #[test]
    fn slippage_is_exact_and_rounded_against_us() {
        assert_eq!(slip(400, 405, 1), (12_500, 408));
        assert_eq!(slip(400, 410, 10).0, 25_000);
        assert_eq!(slip(400, 408, 1).0, 20_000);
        assert_eq!(slip(300, 301, 1).0, 3_334, "a third of a percent and a bit");
        assert_eq!(
            slip(400, 390, 1),
            (-25_000, 397),
            "the cap follows a better ask down"
        );
    }

    /// Near 0 and 1 the tick is .001: .030 x 1.02 = .0306 allows .030 and not .031; .960 x 1.02 is cut at .970.
    #[test]
    fn caps_near_0_and_1_stay_on_the_grid() {
        assert_eq!(slip(30, 30, 1), (0, 30));
        assert_eq!(slip(30, 31, 1).0, 33_334);
        assert_eq!(slip(30, 30, 10), (0, 30));
        assert_eq!(slip(960, 965, 1).1, 970);
    }
}
