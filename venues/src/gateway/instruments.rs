//! Which of a venue's symbols are on the tape, and with which decimals.
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use std::collections::HashMap;

/// One instrument as codecs need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its index on the tape.
    pub instrument: InstrumentId,
    /// The venue's symbol.
    pub symbol: String,
    /// Decimals of its mantissas.
    pub decimals: Decimals,
}

/// A venue's instruments, by symbol and by id.
#[derive(Clone, Debug, Default)]
pub struct Instruments {
    listed: Vec<Listed>,
    by_symbol: HashMap<String, usize>,
    by_id: HashMap<InstrumentId, usize>,
}

impl Instruments {
    /// Of these; a symbol that stands twice counts as its last.
    pub fn new(listed: impl IntoIterator<Item = Listed>) -> Self {
        let mut instruments = Self::default();
        for one in listed {
            let place = instruments.listed.len();
            instruments.by_symbol.insert(one.symbol.clone(), place);
            instruments.by_id.insert(one.instrument, place);
            instruments.listed.push(one);
        }
        instruments
    }

    /// By the venue's symbol.
    #[inline]
    pub fn symbol(&self, symbol: &str) -> Option<&Listed> {
        self.by_symbol.get(symbol).map(|place| &self.listed[*place])
    }

    /// By the tape's id.
    pub fn id(&self, id: InstrumentId) -> Option<&Listed> {
        self.by_id.get(&id).map(|place| &self.listed[*place])
    }

    /// All of them, in the order given.
    pub fn iter(&self) -> core::slice::Iter<'_, Listed> {
        self.listed.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}
