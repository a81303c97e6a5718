//! What a venue says of a market before it trades: the frames that introduce an instrument.
use super::{Request, Response, WireError};
use onetape_engine::event::{
    ContractTerms, FeeSchedule, InstrumentDefined, MarketStatus, RulesText, TradingRules,
};
use onetape_engine::id::InstrumentId;
use onetape_engine::time::Nanos;

/// An instrument as the venue lists it. `instrument` is set in every part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What it is.
    pub definition: InstrumentDefined,
    /// Its grid.
    pub rules: TradingRules,
    /// Its fees, where the venue tells them.
    pub fees: Option<FeeSchedule>,
    /// Whether it takes orders.
    pub status: MarketStatus,
    /// What it pays on, for contracts.
    pub terms: Option<ContractTerms>,
    /// Its rule text's hash, for contracts.
    pub rules_text: Option<RulesText>,
}

/// How a venue is asked for its markets.
pub trait Listings: Send {
    /// The venue: "kalshi".
    fn venue(&self) -> &'static str;

    /// The requests whose answers together list a symbol.
    fn requests(&mut self, symbol: &str, now: Nanos) -> Vec<Request>;

    /// Reads the answers to them.
    ///
    /// # Errors
    /// [`WireError`]: the symbol is not there, or its numbers don't fit.
    fn read(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        responses: &[Response<'_>],
        now: Nanos,
    ) -> Result<Listing, WireError>;

    /// Whether what [`read`](Self::read) failed with is the venue's word that it has no such market, now or any more.
    fn is_gone(&self, _error: &WireError) -> bool {
        false
    }

    /// The request for the open markets of a series, from a page's cursor on; `None` where the venue has no series.
    fn series_request(&self, _series: &str, _cursor: &str) -> Option<Request> {
        None
    }

    /// Reads a page of them: their symbols, and the next page's cursor, empty behind the last.
    ///
    /// # Errors
    /// [`WireError`] for an answer that is no page.
    fn read_series(&self, _response: &Response<'_>) -> Result<(Vec<String>, String), WireError> {
        Ok((Vec::new(), String::new()))
    }
}
