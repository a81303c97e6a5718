//! Which of a venue's symbols are on the tape, and with which decimals.
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;
use std::collections::HashMap;
use std::iter::successors;
use std::sync::{Arc, OnceLock};

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

/// A venue's instruments, by symbol and by id. Clones share them: what is added later is known to all.
#[derive(Clone, Debug, Default)]
pub struct Instruments(Arc<Batch>);

/// Those that came together, and what came after them. Nothing is ever taken out, so that looking up takes no lock.
#[derive(Debug, Default)]
struct Batch {
    listed: Vec<Listed>,
    by_symbol: HashMap<String, usize>,
    by_id: HashMap<InstrumentId, usize>,
    later: OnceLock<Instruments>,
}

impl Instruments {
    /// Of these; a symbol that stands twice counts as its last.
    pub fn new(listed: impl IntoIterator<Item = Listed>) -> Self {
        let mut batch = Batch::default();
        for one in listed {
            let place = batch.listed.len();
            batch.by_symbol.insert(one.symbol.clone(), place);
            batch.by_id.insert(one.instrument, place);
            batch.listed.push(one);
        }
        Self(Arc::new(batch))
    }

    /// Adds instruments that are not among them.
    pub fn add(&self, listed: impl IntoIterator<Item = Listed>) {
        let mut later = Self::new(listed);
        let mut last = self;
        while let Err(back) = last.0.later.set(later) {
            later = back;
            // It is there: otherwise it would have been set.
            let Some(next) = last.0.later.get() else {
                return;
            };
            last = next;
        }
    }

    fn batches(&self) -> impl Iterator<Item = &Batch> {
        successors(Some(&*self.0), |batch| {
            batch.later.get().map(|later| &*later.0)
        })
    }

    /// By the venue's symbol.
    #[inline]
    pub fn symbol(&self, symbol: &str) -> Option<&Listed> {
        let place = |batch: &'_ Batch| batch.by_symbol.get(symbol).copied();
        self.batches()
            .find_map(|batch| batch.listed.get(place(batch)?))
    }

    /// By the tape's id.
    pub fn id(&self, id: InstrumentId) -> Option<&Listed> {
        self.batches()
            .find_map(|batch| batch.listed.get(*batch.by_id.get(&id)?))
    }

    /// All of them, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.batches().flat_map(|batch| &batch.listed)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.batches().map(|batch| batch.listed.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(number: u32) -> Listed {
        Listed {
            instrument: InstrumentId(number),
            symbol: format!("X{number}"),
            decimals: Decimals { price: 2, qty: 0 },
        }
    }

    #[test]
    fn what_is_added_later_is_known_to_every_clone() {
        let instruments = Instruments::new([listed(0), listed(1)]);
        let clone = instruments.clone();
        let kept = clone.symbol("X1").unwrap();
        clone.add([listed(2)]);
        instruments.add([listed(3), listed(4)]);
        assert_eq!(kept, &listed(1));
        assert_eq!((clone.len(), instruments.len()), (5, 5));
        for number in 0..5 {
            assert_eq!(clone.symbol(&format!("X{number}")), Some(&listed(number)));
            assert_eq!(instruments.id(InstrumentId(number)), Some(&listed(number)));
        }
        assert_eq!(clone.symbol("X5"), None);
        assert!(instruments.iter().map(|one| one.instrument.0).eq(0..5));
    }
}
