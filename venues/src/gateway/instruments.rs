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

impl AsRef<Listed> for Listed {
    fn as_ref(&self) -> &Listed {
        self
    }
}

/// A venue's instruments.
pub type Instruments = Growing<Listed>;

/// What a codec has to know of each instrument, by symbol and by id. Clones share it: what is added later is known to all.
#[derive(Clone, Debug)]
pub struct Growing<T>(Arc<Batch<T>>);

/// Those that came together, and what came after them. Nothing is ever taken out, so that looking up takes no lock.
#[derive(Debug)]
struct Batch<T> {
    listed: Vec<T>,
    by_symbol: HashMap<String, usize>,
    by_id: HashMap<InstrumentId, usize>,
    later: OnceLock<Growing<T>>,
}

impl<T: AsRef<Listed>> Default for Growing<T> {
    fn default() -> Self {
        Self::new([])
    }
}

impl<T: AsRef<Listed>> Growing<T> {
    /// Of these; a symbol that stands twice counts as its last.
    pub fn new(listed: impl IntoIterator<Item = T>) -> Self {
        let listed: Vec<T> = listed.into_iter().collect();
        let places = || listed.iter().map(AsRef::as_ref).enumerate();
        Self(Arc::new(Batch {
            by_symbol: places()
                .map(|(place, one)| (one.symbol.clone(), place))
                .collect(),
            by_id: places()
                .map(|(place, one)| (one.instrument, place))
                .collect(),
            later: OnceLock::new(),
            listed,
        }))
    }

    /// Adds some that are not among them.
    pub fn add(&self, listed: impl IntoIterator<Item = T>) {
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

    fn batches(&self) -> impl Iterator<Item = &Batch<T>> {
        successors(Some(&*self.0), |batch| {
            batch.later.get().map(|later| &*later.0)
        })
    }

    /// By the venue's symbol.
    #[inline]
    pub fn symbol(&self, symbol: &str) -> Option<&T> {
        let place = |batch: &'_ Batch<T>| batch.by_symbol.get(symbol).copied();
        self.batches()
            .find_map(|batch| batch.listed.get(place(batch)?))
    }

    /// By the tape's id.
    pub fn id(&self, id: InstrumentId) -> Option<&T> {
        self.batches()
            .find_map(|batch| batch.listed.get(*batch.by_id.get(&id)?))
    }

    /// All of them, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
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
