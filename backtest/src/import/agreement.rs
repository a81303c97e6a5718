//! Whether the best prices of the L2 book equal the best bid and ask that the venue sent.
//!
//! Both streams carry the venue's update id. The venue sends a ticker for every change of the best bid or ask, so
//! between two tickers nothing changes there. A book state with id `n` is compared with the last ticker whose id is not
//! above `n`: *exact* where the ids are equal, *bracketed* where a ticker with an id above `n` is known as well. Tickers
//! often arrive before the batch of book updates that contains their id, and books before their ticker, so both wait for
//! each other in bounded queues.
use super::report::{AgreementReport, Disagreement};
use onetape_engine::event::{Level, Quote};
use onetape_engine::market::Top;
use onetape_engine::number::Decimals;
use rust_decimal::Decimal;
use std::collections::VecDeque;

/// The most that waits, on each side.
const WAITING_MAX: usize = 65_536;
const EXAMPLES_MAX: usize = 5;

#[derive(Clone, Copy)]
struct State {
    id: u64,
    bid: Level,
    ask: Level,
}

#[derive(Default)]
pub(super) struct Agreement {
    tickers: VecDeque<State>,
    /// The newest ticker that is not above any book that still waits.
    latest: Option<State>,
    newest_ticker: u64,
    books: VecDeque<State>,
    exact: [u64; 2],
    bracketed: [u64; 2],
    prices_agreed: u64,
    not_comparable: u64,
    differences: Vec<(State, State)>,
}

impl Agreement {
    pub(super) fn ticker(&mut self, quote: &Quote) {
        if quote.update_id <= self.newest_ticker {
            return;
        }
        self.newest_ticker = quote.update_id;
        self.tickers.push_back(State {
            id: quote.update_id,
            bid: Level {
                price: quote.bid_price,
                qty: quote.bid_qty,
            },
            ask: Level {
                price: quote.ask_price,
                qty: quote.ask_qty,
            },
        });
        self.settle();
        if self.tickers.len() > WAITING_MAX {
            self.latest = self.tickers.pop_front();
        }
    }

    pub(super) fn book(&mut self, id: u64, top: Top) {
        if id == 0 || self.books.back().is_some_and(|last| id <= last.id) {
            return;
        }
        self.books.push_back(State {
            id,
            bid: top.bid,
            ask: top.ask,
        });
        self.settle();
        if self.books.len() > WAITING_MAX {
            self.books.pop_front();
            self.not_comparable += 1;
        }
    }

    /// Compares every book for which the ticker is certain.
    fn settle(&mut self) {
        while let Some(book) = self.books.front().copied() {
            if self.newest_ticker < book.id {
                return;
            }
            while let Some(ticker) = self.tickers.front().filter(|ticker| ticker.id <= book.id) {
                self.latest = Some(*ticker);
                self.tickers.pop_front();
            }
            self.books.pop_front();
            match self.latest.filter(|ticker| ticker.id <= book.id) {
                Some(ticker) => self.compare(book, ticker),
                None => self.not_comparable += 1,
            }
        }
    }

    fn compare(&mut self, book: State, ticker: State) {
        let agrees = book.bid == ticker.bid && book.ask == ticker.ask;
        let [compared, agreed] = if book.id == ticker.id {
            &mut self.exact
        } else {
            &mut self.bracketed
        };
        *compared += 1;
        *agreed += u64::from(agrees);
        let prices_agree = book.bid.price == ticker.bid.price && book.ask.price == ticker.ask.price;
        self.prices_agreed += u64::from(prices_agree);
        if !agrees && self.differences.len() < EXAMPLES_MAX {
            self.differences.push((book, ticker));
        }
    }

    pub(super) fn report(&self, decimals: Decimals) -> AgreementReport {
        let ([exact, exact_agreed], [bracketed, bracketed_agreed]) = (self.exact, self.bracketed);
        let (compared, agreed) = (exact + bracketed, exact_agreed + bracketed_agreed);
        let share = match compared {
            0 => String::new(),
            _ => Decimal::new(
                (u128::from(agreed) * 1_000_000 / u128::from(compared)) as i64,
                6,
            )
            .to_string(),
        };
        let shown = |state: &State| {
            let level = |l: Level| {
                (
                    decimals.price_decimal(l.price).to_string(),
                    decimals.qty_decimal(l.qty).to_string(),
                )
            };
            let ((bid, bid_qty), (ask, ask_qty)) = (level(state.bid), level(state.ask));
            [bid, bid_qty, ask, ask_qty]
        };
        AgreementReport {
            compared,
            agreed,
            fraction: format!("{agreed}/{compared}"),
            share,
            exact,
            exact_agreed,
            bracketed,
            bracketed_agreed,
            prices_agreed: self.prices_agreed,
            not_comparable: self.not_comparable + self.books.len() as u64,
            first_differences: self
                .differences
                .iter()
                .map(|(book, ticker)| Disagreement {
                    book_id: book.id,
                    ticker_id: ticker.id,
                    book: shown(book),
                    ticker: shown(ticker),
                })
                .collect(),
        }
    }
}
