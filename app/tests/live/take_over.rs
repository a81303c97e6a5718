//! An update: another process, with another configuration, goes on where the one before is.
use super::*;
use onetape_engine::event::{Kind, OperatorAction};

#[test]
fn an_update_takes_over_with_orders_at_work_and_another_configuration() {
    let rig = Rig::new("11", "20", "");
    rig.configure(&market_makers());
    let mut first = rig.daemon();
    rig.until("it quotes everywhere", |status| {
        status["open_orders"].as_u64() >= Some(6)
    });
    // A parameter that changes is refused, and the daemon before goes on.
    rig.configure(&market_makers().replace("qty = \"0.001\"", "qty = \"0.002\""));
    let mut command = rig.command();
    let refused = command.arg("--take-over").stderr(Stdio::piped());
    let refused = refused.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(
        said.contains("keep their order, ids and parameters"),
        "{said}"
    );
    assert!(first.0.try_wait().unwrap().is_none(), "the first has ended");

    let added = "[[strategy]]\nname = \"ema_cross\"\nid = \"added\"\n[strategy.params]\ninstrument = \"binance:BTCUSDT\"\nqty = \"0.0001\"\n[risk.total]\nmax_open_orders = 50\n";
    rig.configure(&(market_makers() + added));
    let mut second = Process(rig.command().arg("--take-over").spawn().unwrap());
    let began = Instant::now();
    let ended = loop {
        if let Some(status) = first.0.try_wait().unwrap() {
            break status;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it was not handed over"
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(0));
    rig.until("the added one trades", |status| {
        let held = status["positions"].as_object();
        held.is_some_and(|held| held.keys().any(|name| name.starts_with("added ")))
    });
    assert_eq!(second.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    holds_the_truth(&journal, &truth);

    let mut reader = Reader::open(&journal).unwrap();
    let (mut sessions, mut left) = (0, 0);
    while let Some(frame) = reader.next().unwrap() {
        sessions += u64::from(frame.tag.kind() == Kind::SessionStart.number());
        if let Ok(Event::OperatorCommand(command)) = Event::decode(frame.tag.kind(), frame.payload)
        {
            left += u64::from(command.action == OperatorAction::Stop { cancel: false });
        }
    }
    assert_eq!((sessions, left), (2, 1));
}
