//! Price grid, least total and fees of a market: /v1/orderbook/instruments, /v1/orderbook, and with a key /v1/orders/chance.
use super::auth::{Nonces, Signer};
use super::error::{bad_field, malformed, number};
use super::message::{OrderBook, read, utf8};
use super::number::NumberText;
use super::ticks::{DECIMALS, KRW_TICKS, minimum_total};
use super::{ApiError, VENUE, currencies};
use crate::gateway::{Bucket, Listed, Listing, Listings, Request, Response, WireError, shortened};
use onetape_engine::event::{
    FeeSchedule, InstrumentDefined, InstrumentType, MarketStatus, TickBand, TradingRules,
    TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::borrow::Cow;

/// 0.05 %: the published rate of KRW markets, where no key tells the account's own.
const ASSUMED_FEE: Decimal = Decimal::from_parts(5, 0, 0, false, 4);

/// How the venue's markets are asked for.
#[derive(Debug)]
pub struct Markets {
    signer: Option<(Signer, Nonces)>,
}

impl Markets {
    /// With a signer, fees and state are those of the account; without one fees are the published ones ("assumed").
    pub const fn new(signer: Option<(Signer, Nonces)>) -> Self {
        Self { signer }
    }
}

#[derive(Deserialize)]
struct Grid<'a> {
    #[serde(borrow)]
    market: Cow<'a, str>,
    #[serde(borrow)]
    tick_size: NumberText<'a>,
}

/// The answer of /v1/orders/chance, as far as it is read.
#[derive(Deserialize)]
struct Chance<'a> {
    #[serde(borrow)]
    bid_fee: NumberText<'a>,
    #[serde(borrow)]
    ask_fee: NumberText<'a>,
    #[serde(borrow)]
    maker_bid_fee: Option<NumberText<'a>>,
    #[serde(borrow)]
    maker_ask_fee: Option<NumberText<'a>>,
    #[serde(borrow)]
    market: ChanceMarket<'a>,
}

#[derive(Deserialize)]
struct ChanceMarket<'a> {
    #[serde(borrow)]
    bid: ChanceSide<'a>,
    #[serde(borrow)]
    state: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ChanceSide<'a> {
    #[serde(borrow)]
    min_total: NumberText<'a>,
}

fn amount(symbol: &str, field: &'static str, text: NumberText<'_>) -> Result<Decimal, WireError> {
    let read = text.number().and_then(|number| number.decimal());
    read.map_err(|why| number(symbol, field, text.text(), why))
}

fn body<'a>(message: &str, response: Option<&Response<'a>>) -> Result<&'a [u8], WireError> {
    match response {
        Some(response) if response.status == 200 => Ok(response.body),
        Some(response) => Err(match ApiError::read(response.body) {
            Some(error) => error.refused(),
            None => WireError::Refused {
                venue: VENUE,
                code: response.status.to_string(),
                message: shortened(message),
            },
        }),
        None => Err(malformed(message, "no answer")),
    }
}

/// The table in mantissas: the tick below the first band, and the bands.
fn krw_bands() -> Result<(Price, Vec<TickBand>), WireError> {
    let price = |text: &str| {
        let read = DECIMALS.parse_price(text);
        read.map_err(|why| number("KRW", "tick", text, why))
    };
    let mut bands = Vec::with_capacity(KRW_TICKS.len());
    for (from, tick) in KRW_TICKS {
        bands.push(TickBand {
            from: price(from)?,
            tick: price(tick)?,
        });
    }
    let lowest = bands.remove(0).tick;
    Ok((lowest, bands))
}

/// The grid of a KRW market. The venue gives some markets ticks of their own: its word at the price of now wins over the
/// table in the band of that price.
fn krw_grid(tick: Price, at: Option<Price>) -> Result<(Price, Vec<TickBand>), WireError> {
    let (mut lowest, mut bands) = krw_bands()?;
    let Some(at) = at else {
        return Ok((lowest, bands));
    };
    match bands.iter_mut().rev().find(|band| band.from <= at) {
        Some(band) if band.from.0 % tick.0 == 0 => band.tick = tick,
        None => lowest = tick,
        Some(band) => {
            let from = DECIMALS.price_decimal(band.from).to_string();
            return Err(bad_field(
                "instruments",
                "tick_size",
                &from,
                "a tick that divides its band",
            ));
        }
    }
    Ok((lowest, bands))
}

impl Listings for Markets {
    fn venue(&self) -> &'static str {
        VENUE
    }

    fn requests(&mut self, symbol: &str, now: Nanos) -> Vec<Request> {
        let public =
            |path: &str| Request::get("rest", format!("{path}?markets={symbol}"), Bucket::Public);
        let mut requests = vec![public("/v1/orderbook/instruments"), public("/v1/orderbook")];
        if let Some((signer, nonces)) = &mut self.signer {
            let query = format!("market={symbol}");
            let token = signer.bearer(&query, &nonces.next(now));
            requests.push(Request {
                headers: vec![("Authorization", token)],
                ..Request::get("rest", format!("/v1/orders/chance?{query}"), Bucket::Read)
            });
        }
        requests
    }

    fn read(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        responses: &[Response<'_>],
        now: Nanos,
    ) -> Result<Listing, WireError> {
        const NAME: &str = "instruments";
        let listed = Listed {
            instrument,
            symbol: symbol.to_owned(),
            decimals: DECIMALS,
        };
        let (base, quote) = currencies(symbol)
            .ok_or_else(|| bad_field(NAME, "market", symbol, "a code such as KRW-BTC"))?;
        let text = utf8(NAME, body(NAME, responses.first())?)?;
        let grids: Vec<Grid<'_>> = read(NAME, text)?;
        let grid = grids.iter().find(|grid| grid.market == symbol);
        let grid = grid.ok_or_else(|| bad_field(NAME, "market", symbol, "the market asked for"))?;
        let tick = super::message::price(&listed, "tick_size", grid.tick_size)?;
        if tick <= Price(0) {
            return Err(bad_field(
                NAME,
                "tick_size",
                grid.tick_size.text(),
                "a positive tick",
            ));
        }
        let books = OrderBook::list(body("orderbook", responses.get(1))?)?;
        let mut levels = Vec::new();
        let best_bid = match books.iter().find(|book| book.code == symbol) {
            Some(book) => book.sides(&listed, &mut levels)?.0.first().map(|l| l.price),
            None => None,
        };
        let (tick_size, bands) = match quote {
            "KRW" => krw_grid(tick, best_bid)?,
            _ => (tick, Vec::new()),
        };
        let mut minimum = minimum_total(quote).map_or(Ok(Decimal::ZERO), |text| {
            Decimal::from_str_exact(text).map_err(|_| malformed("least total", text))
        })?;
        let (mut maker, mut taker, mut source) = (ASSUMED_FEE, ASSUMED_FEE, "assumed");
        let mut status = TradingStatus::Open;
        if self.signer.is_some() {
            let text = utf8("chance", body("chance", responses.get(2))?)?;
            let chance: Chance<'_> = read("chance", text)?;
            let bid = amount(symbol, "bid_fee", chance.bid_fee)?;
            let ask = amount(symbol, "ask_fee", chance.ask_fee)?;
            let or = |field, text: Option<NumberText<'_>>, taken| {
                text.map_or(Ok(taken), |text| amount(symbol, field, text))
            };
            let maker_bid = or("maker_bid_fee", chance.maker_bid_fee, bid)?;
            let maker_ask = or("maker_ask_fee", chance.maker_ask_fee, ask)?;
            // The dearer of buying and selling.
            (maker, taker, source) = (maker_bid.max(maker_ask), bid.max(ask), "venue");
            minimum = amount(symbol, "min_total", chance.market.bid.min_total)?;
            if chance.market.state != "active" {
                status = TradingStatus::Halted;
            }
        }
        let money = Money::from_decimal(minimum)
            .map_err(|why| number(symbol, "min_total", &minimum.to_string(), why))?;
        Ok(Listing {
            definition: InstrumentDefined {
                instrument,
                venue: VENUE.to_owned(),
                symbol: symbol.to_owned(),
                instrument_type: InstrumentType::Spot,
                base: base.to_owned(),
                quote: quote.to_owned(),
                decimals: DECIMALS,
            },
            rules: TradingRules {
                instrument,
                effective_from: now,
                tick_size,
                lot_size: Qty(1),
                min_qty: Qty(1),
                min_notional: money,
                min_price: tick_size,
                max_price: Price(i64::MAX),
                bands,
                allows_short: false,
            },
            fees: Some(FeeSchedule {
                instrument,
                effective_from: now,
                maker: FeeFormula::notional(maker.normalize()),
                taker: FeeFormula::notional(taker.normalize()),
                rounding: Rounding {
                    decimals: 18,
                    mode: RoundingMode::Up,
                },
                source: source.to_owned(),
                accrual: FeeAccrual::PerFill,
            }),
            status: MarketStatus { instrument, status },
            terms: None,
            rules_text: None,
        })
    }
}
