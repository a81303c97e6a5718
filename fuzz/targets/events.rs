//! The tape's own encoding: what decodes encodes to something that decodes to the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onetape_engine::event::{Event, Kind};

fuzz_target!(|data: &[u8]| {
    let Some((kind, payload)) = data.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()].number();
    let Ok(event) = Event::decode(kind, payload) else {
        return;
    };
    let _ = event.check();
    let mut once = Vec::new();
    event.encode(&mut once);
    let again = Event::decode(kind, &once).expect("what was encoded decodes");
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(once, twice);
});
