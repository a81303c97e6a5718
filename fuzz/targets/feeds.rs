//! Every venue's stream: messages, divided by a zero byte, in front of every feed. None panics, and the core takes whatever
//! a feed makes of them.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onetape_engine::time::SECOND_NS;
use onetape_fuzz::{Core, START, definitions, listed, rules};
use onetape_venues::exchange;
use onetape_venues::gateway::{Feed, Outbox, Response};
use onetape_venues::polygon::Address;
use onetape_venues::{binance, eodhd, kalshi, polymarket, upbit};
use secrecy::SecretString;
use std::sync::OnceLock;

/// Made once: an RSA key takes a while, to make and to read.
fn kalshi_signer() -> kalshi::Signer {
    static SIGNER: OnceLock<kalshi::Signer> = OnceLock::new();
    let make = || {
        let keys = exchange::kalshi::Keys::generate().expect("a key");
        let pem = keys.private_pem().expect("a key's text");
        kalshi::Signer::new(keys.id(), &pem).expect("a key that reads")
    };
    SIGNER.get_or_init(make).clone()
}

fn polymarket_keys() -> &'static exchange::polymarket::Keys {
    static KEYS: OnceLock<exchange::polymarket::Keys> = OnceLock::new();
    let make = || exchange::polymarket::Keys::generate(polymarket::WalletKind::Key);
    KEYS.get_or_init(|| make().expect("a wallet"))
}

fn feeds() -> Vec<Box<dyn Feed>> {
    let secret = || SecretString::from("secret");
    let pairs = definitions()
        .into_iter()
        .filter(|one| one.venue == "binance");
    let pairs = binance::Pairs::new(&pairs.collect::<Vec<_>>());
    let market = binance::MarketFeed::new(
        binance::FeedConfig::new(binance::Product::Spot),
        &listed("binance"),
    );
    let tokens = definitions()
        .into_iter()
        .filter(|one| one.venue == "polymarket");
    let tokens: Vec<_> = tokens.map(|one| rules(&one)).collect();
    let keys = polymarket_keys();
    let mut feeds: Vec<Box<dyn Feed>> = vec![
        Box::new(market.expect("few symbols")),
        Box::new(binance::UserFeed::new(
            binance::UserConfig::default(),
            binance::Signer::hmac("key".into(), &secret()),
            pairs,
        )),
        Box::new(kalshi::KalshiFeed::new(
            kalshi_signer(),
            listed("kalshi"),
            kalshi::FeedConfig::default(),
        )),
        Box::new(upbit::MarketFeed::new(
            upbit::FeedConfig::default(),
            &listed("upbit"),
        )),
        Box::new(upbit::UserFeed::new(
            upbit::UserConfig::default(),
            upbit::Signer::new("key".into(), &secret()),
            upbit::Nonces::new([0; 16]),
            listed("upbit"),
        )),
        Box::new(
            polymarket::MarketFeed::new(
                polymarket::MarketFeedConfig::default(),
                &listed("polymarket"),
                &tokens,
                polymarket::Tokens::default(),
            )
            .expect("few tokens"),
        ),
        Box::new(polymarket::UserFeed::new(
            polymarket::UserFeedConfig::default(),
            listed("polymarket"),
            keys.credentials.clone(),
            keys.wallet.funder,
        )),
        Box::new(polymarket::LeaderFeed::new(
            polymarket::LeaderFeedConfig::default(),
            listed("polymarket"),
            &[Address([0xab; 20])],
        )),
    ];
    for content in [
        eodhd::Content::UsTrades,
        eodhd::Content::UsQuotes,
        eodhd::Content::Forex,
    ] {
        let of = match content {
            eodhd::Content::Forex => listed("fx"),
            _ => listed("ib"),
        };
        let config = eodhd::Config::new(content, Vec::new());
        let stream = eodhd::Stream::new(config, secret(), &of);
        feeds.push(Box::new(stream.expect("few symbols")));
    }
    feeds
}

fuzz_target!(|data: &[u8]| {
    for mut feed in feeds() {
        let (mut core, mut out, mut now) = (Core::default(), Outbox::default(), START);
        feed.opened(now, &mut out);
        core.take(now, &mut out);
        for bytes in data.split(|byte| *byte == 0) {
            now = now.after(SECOND_NS / 4);
            let _ = feed.message(bytes, now, &mut out);
            // Whatever it asked for may be answered by the same bytes.
            let asked: Vec<u32> = out.requests().iter().map(|(tag, _)| *tag).collect();
            core.take(now, &mut out);
            let response = Response {
                status: 200,
                headers: &[],
                body: bytes,
            };
            for tag in asked.into_iter().chain(0..3) {
                let _ = feed.response(tag, Some(&response), now, &mut out);
            }
            core.take(now, &mut out);
            feed.tick(now, &mut out);
            core.take(now, &mut out);
        }
        feed.closed(now, &mut out);
        core.take(now, &mut out);
    }
});
