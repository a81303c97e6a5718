use super::*;
use onetape_engine::event::Kind;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Decimals;

const S: u64 = 1_000_000_000;
const OPEN: Nanos = Nanos(1_000 * S);
const CLOSE: Nanos = Nanos(10_000 * S);

fn instruments(count: u32) -> Instruments {
    Instruments::new((0..count).map(|id| Listed {
        instrument: InstrumentId(id),
        symbol: format!("S{id}"),
        decimals: Decimals::new(4, 0).unwrap(),
    }))
}

fn stream(content: Content) -> Stream {
    let config = Config::new(content, vec![OPEN..CLOSE]);
    Stream::new(config, SecretString::from("TOKEN"), &instruments(2)).unwrap()
}

/// What the call led to: frames, then messages, then a wish to reconnect.
fn after(stream: &mut Stream, call: impl FnOnce(&mut Stream, &mut Outbox)) -> Vec<String> {
    let mut out = Outbox::default();
    call(stream, &mut out);
    let frame = |(kind, payload): (Kind, &[u8])| match Event::decode(kind.number(), payload) {
        Ok(Event::FeedState(state)) => format!("{} {:?}", state.instrument.0, state.condition),
        Ok(Event::Quote(quote)) => {
            format!(
                "{} {:?}",
                quote.instrument.0,
                (quote.bid_price.0, quote.ask_price.0)
            )
        }
        Ok(Event::Trade(trade)) => format!("{} {:?}", trade.instrument.0, trade.price.0),
        other => format!("{other:?}"),
    };
    let mut seen: Vec<String> = out.events().map(frame).collect();
    seen.extend(out.messages().iter().cloned());
    seen.extend(out.wants_reconnect().map(str::to_owned));
    seen
}

fn hear(stream: &mut Stream, now: Nanos, text: &str) -> Vec<String> {
    after(stream, |stream, out| {
        stream.message(text.as_bytes(), now, out).unwrap()
    })
}

fn tick(stream: &mut Stream, now: Nanos) -> Vec<String> {
    after(stream, |stream, out| stream.tick(now, out))
}

const AUTHORIZED: &str = r#"{"status_code":200,"message":"Authorized"}"#;
const QUOTE: &str = r#"{"s":"S0","ap":"2.5","as":"200","bp":2.25,"bs":100,"t":1725198451165}"#;

#[test]
fn every_connection_subscribes_once_it_is_authorized() {
    let mut stream = stream(Content::UsQuotes);
    let handshake = stream.handshake(OPEN).unwrap();
    assert_eq!(
        (handshake.base, handshake.target.as_str()),
        ("stream", "/ws/us-quote?api_token=TOKEN")
    );
    let subscription = r#"{"action":"subscribe","symbols":"S0,S1"}"#;
    // The second time the tape still knows that nothing came of the second symbol.
    for lost in [
        &["0 Stale(Disconnected)", "1 Stale(Disconnected)"][..],
        &["0 Stale(Disconnected)"],
    ] {
        assert!(after(&mut stream, |stream, out| stream.opened(OPEN, out)).is_empty());
        assert_eq!(hear(&mut stream, OPEN, AUTHORIZED), [subscription]);
        assert!(hear(&mut stream, OPEN, AUTHORIZED).is_empty());
        assert_eq!(hear(&mut stream, OPEN, QUOTE), ["0 (22500, 25000)"]);
        let gone = after(&mut stream, |stream, out| stream.closed(OPEN, out));
        assert_eq!(gone, lost);
    }
    assert!(after(&mut stream, |stream, out| stream.closed(OPEN, out)).is_empty());
}

#[test]
fn silence_counts_for_each_symbol_and_only_in_market_hours() {
    let mut stream = stream(Content::UsQuotes);
    let before = Nanos(OPEN.0 - 500 * S);
    after(&mut stream, |stream, out| stream.opened(before, out));
    hear(&mut stream, before, AUTHORIZED);
    assert!(tick(&mut stream, Nanos(OPEN.0 - 1)).is_empty());
    assert!(tick(&mut stream, OPEN.after(60 * S)).is_empty());
    hear(&mut stream, OPEN.after(60 * S), QUOTE);
    assert_eq!(tick(&mut stream, OPEN.after(61 * S)), ["1 Stale(Silent)"]);
    assert!(tick(&mut stream, OPEN.after(62 * S)).is_empty());
    assert_eq!(tick(&mut stream, OPEN.after(121 * S)), ["0 Stale(Silent)"]);
    assert_eq!(hear(&mut stream, OPEN.after(122 * S), QUOTE).len(), 1);
    assert_eq!(
        tick(&mut stream, OPEN.after(243 * S)),
        ["0 Stale(Silent)", "no content of any symbol"]
    );
    assert!(tick(&mut stream, CLOSE).is_empty());
}

#[test]
fn a_subscription_that_is_refused_is_not_asked_for_again_and_again() {
    let mut stream = stream(Content::UsQuotes);
    after(&mut stream, |stream, out| stream.opened(OPEN, out));
    hear(&mut stream, OPEN, AUTHORIZED);
    let mut out = Outbox::default();
    let limit = br#"{"status_code":422,"message":"Symbols limit reached"}"#;
    let refused = stream.message(limit, OPEN, &mut out).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "eodhd refused: 422: Symbols limit reached"
    );
    // Silent like everything that does not come, and no reconnection.
    let seen = tick(&mut stream, OPEN.after(500 * S));
    assert_eq!(seen, ["0 Stale(Silent)", "1 Stale(Silent)"]);
    let config = Config::new(Content::UsQuotes, Vec::new());
    let many = Stream::new(config, SecretString::from("T"), &instruments(51));
    assert_eq!(many.err(), Some(TooManySymbols { found: 51, max: 50 }));
}

#[test]
fn a_connection_without_authorization_is_made_anew() {
    let mut stream = stream(Content::Forex);
    after(&mut stream, |stream, out| stream.opened(Nanos(5 * S), out));
    assert!(tick(&mut stream, Nanos(15 * S)).is_empty());
    assert_eq!(tick(&mut stream, Nanos(15 * S + 1)), ["no authorization"]);
}

#[test]
fn prints_that_move_nothing_stay_off_the_tape_and_break_the_silence() {
    let mut stream = stream(Content::UsTrades);
    after(&mut stream, |stream, out| stream.opened(OPEN, out));
    hear(&mut stream, OPEN, AUTHORIZED);
    let print = |condition: &str, dark: bool| {
        format!(
            r#"{{"s":"S0","p":"227.31","v":100,"c":{condition},"dp":{dark},"ms":"open","t":1}}"#
        )
    };
    let later = OPEN.after(100 * S);
    for (condition, dark, is_taken) in [
        ("0", false, true),
        ("[0,37]", false, false),
        ("[0, 1]", false, true),
        ("null", false, true),
        ("12", false, false),
        ("38", false, false),
        ("0", true, false),
    ] {
        let seen = hear(&mut stream, later, &print(condition, dark));
        assert_eq!(seen.len(), usize::from(is_taken), "{condition} {dark}");
    }
    assert_eq!(stream.ignored(), 4);
    assert_eq!(tick(&mut stream, OPEN.after(121 * S)), ["1 Stale(Silent)"]);
}

#[test]
fn a_frame_that_can_not_be_used_names_its_field_and_refreshes_nothing() {
    let mut stream = stream(Content::UsQuotes);
    after(&mut stream, |stream, out| stream.opened(OPEN, out));
    hear(&mut stream, OPEN, AUTHORIZED);
    for (text, field) in [
        (r#"{"s":"X","ap":1,"as":1,"t":1}"#, "'s'"),
        (r#"{"s":"S0","ap":1.00001,"as":1,"t":1}"#, "'ap'"),
        (r#"{"s":"S0","ap":"abc","as":1,"t":1}"#, "'ap'"),
        (
            r#"{"s":"S0","ap":1,"as":1,"t":99999999999999999999}"#,
            "'t'",
        ),
        (r#"{"s":"S0","t":1}"#, "neither"),
        (r#"["S0",1,2]"#, "not a json object"),
    ] {
        let mut out = Outbox::default();
        let error = stream.message(text.as_bytes(), OPEN, &mut out).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
        assert_eq!(out.events().count(), 0);
    }
    assert_eq!(tick(&mut stream, OPEN.after(61 * S)).len(), 2);
}

#[test]
fn a_pair_of_currencies_has_one_unit_on_each_side() {
    let mut stream = stream(Content::Forex);
    after(&mut stream, |stream, out| stream.opened(OPEN, out));
    let both = r#"{"s":"S1","a":"1.0899","b":"1.0898","dc":"0.1","dd":"0.001","ppms":false,"t":1}"#;
    assert_eq!(hear(&mut stream, OPEN, both), ["1 (10898, 10899)"]);
    let none = r#"{"s":"S1","a":null,"b":1.0898,"t":1}"#;
    assert_eq!(hear(&mut stream, OPEN, none), ["1 (10898, 0)"]);
}
