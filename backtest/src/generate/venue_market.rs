//! One generated market: an instrument with its rules and fees, its book, trades and best quotes.
use super::ladder::Ladder;
use super::rng::Rng;
use onetape_engine::event::{
    Aggressor, BookHeader, BookUpdate, Event, FeeSchedule, Feed, FeedCondition, FeedState,
    InstrumentDefined, InstrumentType, Level, MarketStatus, Quote, Resolution, StaleReason, Trade,
    TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// What a generated market is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) venue: &'static str,
    pub(super) symbol: &'static str,
    pub(super) instrument_type: InstrumentType,
    pub(super) base: &'static str,
    pub(super) quote: &'static str,
    pub(super) decimals: (u8, u8),
    pub(super) tick: i64,
    /// Distance of the generated levels, a multiple of the tick.
    pub(super) step: i64,
    pub(super) lot: i64,
    pub(super) start: i64,
    pub(super) bounds: (i64, i64),
    /// Largest quantity of a level, in lots.
    pub(super) largest: i64,
    pub(super) levels: usize,
    pub(super) fee: FeeFormula,
    pub(super) maker_fee: FeeFormula,
    pub(super) rounding: (u8, RoundingMode),
    /// Whether the venue also sends its best bid and ask.
    pub(super) quotes: bool,
}

/// A generated market.
pub(super) struct VenueMarket {
    id: InstrumentId,
    spec: Spec,
    ladder: Ladder,
    update_id: u64,
    trade_id: u64,
    shown: (Level, Level),
    /// Events left until a broken feed is back.
    silent_for: u64,
    halted: bool,
}

/// Where events go.
pub(super) type Out<'a, E> = &'a mut dyn FnMut(u64, &Event<'_>) -> Result<(), E>;

impl VenueMarket {
    pub(super) fn new(id: u32, spec: Spec, rng: &mut Rng) -> Self {
        let binary = spec.instrument_type == InstrumentType::Binary;
        let bounds = binary.then_some(spec.bounds);
        let ladder = Ladder::new(
            rng,
            spec.start,
            spec.step,
            bounds,
            spec.levels,
            spec.lot,
            spec.largest,
        );
        let shown = (Level::default(), Level::default());
        Self {
            id: InstrumentId(id),
            spec,
            ladder,
            update_id: 1_000,
            trade_id: 0,
            shown,
            silent_for: 0,
            halted: false,
        }
    }

    pub(super) const fn mid(&self) -> i64 {
        self.ladder.mid()
    }

    pub(super) const fn is_halted(&self) -> bool {
        self.halted
    }

    /// Definition, rules, fees and the first book.
    pub(super) fn open<E>(&mut self, at_ns: u64, out: Out<'_, E>) -> Result<(), E> {
        let (id, spec) = (self.id, self.spec);
        let from = Nanos(0);
        out(
            at_ns,
            &Event::InstrumentDefined(Box::new(InstrumentDefined {
                instrument: id,
                venue: spec.venue.to_owned(),
                symbol: spec.symbol.to_owned(),
                instrument_type: spec.instrument_type,
                base: spec.base.to_owned(),
                quote: spec.quote.to_owned(),
                decimals: Decimals {
                    price: spec.decimals.0,
                    qty: spec.decimals.1,
                },
            })),
        )?;
        out(
            at_ns,
            &Event::TradingRules(TradingRules {
                instrument: id,
                effective_from: from,
                tick_size: Price(spec.tick),
                lot_size: Qty(spec.lot),
                min_qty: Qty(spec.lot),
                min_notional: Money::ZERO,
                min_price: Price(spec.tick),
                max_price: Price(if spec.instrument_type == InstrumentType::Binary {
                    spec.bounds.1
                } else {
                    i64::MAX / 4
                }),
                bands: Vec::new(),
                allows_short: true,
            }),
        )?;
        let (decimals, mode) = spec.rounding;
        out(
            at_ns,
            &Event::FeeSchedule(Box::new(FeeSchedule {
                instrument: id,
                effective_from: from,
                maker: spec.maker_fee,
                taker: spec.fee,
                rounding: Rounding { decimals, mode },
                source: "generated".to_owned(),
                accrual: FeeAccrual::PerFill,
            })),
        )?;
        if spec.levels > 0 {
            self.snapshot(at_ns, out)
        } else {
            Ok(())
        }
    }

    fn snapshot<E>(&mut self, at_ns: u64, out: Out<'_, E>) -> Result<(), E> {
        let (bids, asks) = (
            self.ladder.levels(Side::Buy),
            self.ladder.levels(Side::Sell),
        );
        let header = BookHeader {
            instrument: self.id,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            venue_time_ns: at_ns,
            first_id: self.update_id,
            last_id: self.update_id,
            ..BookHeader::default()
        };
        out(
            at_ns,
            &Event::BookSnapshot(BookUpdate {
                header: &header,
                bids: &bids,
                asks: &asks,
            }),
        )
    }

    fn delta<E>(&mut self, at_ns: u64, side: Side, level: Level, out: Out<'_, E>) -> Result<(), E> {
        let previous_id = self.update_id;
        self.update_id += 1;
        let levels = [level];
        let (bids, asks): (&[Level], &[Level]) = match side {
            Side::Buy => (&levels, &[]),
            Side::Sell => (&[], &levels),
        };
        let header = BookHeader {
            instrument: self.id,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            flags: 0,
            venue_time_ns: at_ns,
            first_id: self.update_id,
            last_id: self.update_id,
            previous_id,
        };
        out(
            at_ns,
            &Event::BookDelta(BookUpdate {
                header: &header,
                bids,
                asks,
            }),
        )
    }

    /// One market event, or two where a trade also changes the book; returns how many.
    pub(super) fn tick<E>(
        &mut self,
        rng: &mut Rng,
        at_ns: u64,
        target: i64,
        out: Out<'_, E>,
    ) -> Result<u64, E> {
        if self.silent_for > 0 {
            self.silent_for -= 1;
            // The market goes on while we see nothing of it.
            let _ = self.ladder.change(rng, target);
            if self.silent_for > 0 {
                return Ok(0);
            }
            self.update_id += 1_000;
            let condition = FeedCondition::Snapshotting;
            out(
                at_ns,
                &Event::FeedState(Box::new(FeedState {
                    instrument: self.id,
                    feed: Feed::Book,
                    condition,
                })),
            )?;
            self.snapshot(at_ns, out)?;
            return Ok(2 + self.show_best(at_ns, out)?);
        }
        let mut events = 0;
        if !self.halted && rng.once_in(5) {
            let (side, aggressor) = if rng.once_in(2) {
                (Side::Buy, Aggressor::Seller)
            } else {
                (Side::Sell, Aggressor::Buyer)
            };
            if let Some((price, qty, level)) = self.ladder.take(rng, side) {
                self.trade_id += 1;
                let trade = Trade {
                    instrument: self.id,
                    aggressor: aggressor.byte(),
                    reserved: [0; 3],
                    venue_time_ns: at_ns,
                    trade_id: self.trade_id,
                    price,
                    qty,
                };
                out(at_ns, &Event::Trade(&trade))?;
                self.delta(at_ns, side, level, out)?;
                events = 2;
            }
        }
        if events == 0 {
            let (side, level) = self.ladder.change(rng, target);
            self.delta(at_ns, side, level, out)?;
            events = 1;
        }
        Ok(events + self.show_best(at_ns, out)?)
    }

    fn show_best<E>(&mut self, at_ns: u64, out: Out<'_, E>) -> Result<u64, E> {
        if !self.spec.quotes {
            return Ok(0);
        }
        let best = (self.ladder.best(Side::Buy), self.ladder.best(Side::Sell));
        if best == self.shown {
            return Ok(0);
        }
        self.shown = best;
        let quote = Quote {
            instrument: self.id,
            flags: 0,
            venue_time_ns: at_ns,
            update_id: self.update_id,
            bid_price: best.0.price,
            bid_qty: best.0.qty,
            ask_price: best.1.price,
            ask_qty: best.1.qty,
        };
        out(at_ns, &Event::Quote(&quote))?;
        Ok(1)
    }

    /// The feed breaks for `events` events: a gap in its ids, or silence.
    pub(super) fn break_feed<E>(
        &mut self,
        rng: &mut Rng,
        at_ns: u64,
        events: u64,
        out: Out<'_, E>,
    ) -> Result<u64, E> {
        if self.silent_for > 0 {
            return Ok(0);
        }
        self.silent_for = events.max(1);
        let reason = if rng.once_in(2) {
            StaleReason::Gap {
                expected: self.update_id,
                found: self.update_id + rng.below(50) + 1,
            }
        } else {
            StaleReason::Disconnected
        };
        let feeds: &[Feed] = if self.spec.quotes {
            &[Feed::Book, Feed::Quotes]
        } else {
            &[Feed::Book]
        };
        for feed in feeds {
            let condition = FeedCondition::Stale(reason.clone());
            out(
                at_ns,
                &Event::FeedState(Box::new(FeedState {
                    instrument: self.id,
                    feed: *feed,
                    condition,
                })),
            )?;
        }
        self.shown = (Level::default(), Level::default());
        Ok(feeds.len() as u64)
    }

    pub(super) fn set_status<E>(
        &mut self,
        at_ns: u64,
        status: TradingStatus,
        out: Out<'_, E>,
    ) -> Result<u64, E> {
        self.halted = status != TradingStatus::Open;
        out(
            at_ns,
            &Event::MarketStatus(MarketStatus {
                instrument: self.id,
                status,
            }),
        )?;
        Ok(1)
    }

    /// The contract pays `settlement_price`.
    pub(super) fn resolve<E>(
        &mut self,
        at_ns: u64,
        settlement_price: i64,
        out: Out<'_, E>,
    ) -> Result<u64, E> {
        self.set_status(at_ns, TradingStatus::Closed, out)?;
        let settlement_price = Price(settlement_price);
        out(
            at_ns,
            &Event::Resolution(Resolution {
                instrument: self.id,
                settlement_price,
            }),
        )?;
        Ok(2)
    }
}

/// A rate as a decimal: 7 at 2 is 0.07.
pub(super) const fn rate(mantissa: i64, scale: u32) -> Decimal {
    // Five digits below the point are all that fee rates have.
    Decimal::from_parts(mantissa as u32, 0, 0, false, scale)
}
