//! Alarms in a chat: a stand-in for Telegram hears them, and one that is not there harms nothing.
use super::*;
use axum::extract::{Path as Method, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

const TOKEN: &str = "123456:not-to-be-seen";

type Heard = Arc<Mutex<Vec<String>>>;

/// The Bot API's `sendMessage`. Its first answer is that there were too many.
async fn send(
    State(heard): State<(Heard, Arc<Mutex<bool>>)>,
    Method(bot): Method<String>,
    Json(message): Json<Value>,
) -> Json<Value> {
    let (heard, has_refused) = heard;
    if bot != format!("bot{TOKEN}") || message["chat_id"] != -77 {
        return Json(json!({"ok": false, "error_code": 401, "description": "Unauthorized"}));
    }
    if !std::mem::replace(&mut *has_refused.lock().unwrap(), true) {
        return Json(
            json!({"ok": false, "error_code": 429, "description": "Too Many Requests: retry after 1",
            "parameters": {"retry_after": 1}}),
        );
    }
    heard
        .lock()
        .unwrap()
        .push(message["text"].as_str().unwrap().to_owned());
    Json(json!({"ok": true, "result": {"message_id": 1, "chat": {"id": -77}}}))
}

fn service() -> (Runtime, String, Heard) {
    let runtime = Runtime::new().unwrap();
    let heard = Heard::default();
    let router = Router::new()
        .route("/{bot}/sendMessage", post(send))
        .with_state((heard.clone(), Arc::default()));
    let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)));
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(async move { axum::serve(listener, router).await });
    (runtime, address, heard)
}

fn until_heard(heard: &Heard, text: &str) {
    let began = Instant::now();
    while !heard.lock().unwrap().iter().any(|said| said.contains(text)) {
        let so_far = heard.lock().unwrap().clone();
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{text}: {so_far:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn halts_and_alarms_are_heard_in_the_chat_and_a_chat_that_is_gone_harms_nothing() {
    let (runtime, address, heard) = service();
    let rig = legs::rig(legs::REJECTED, "");
    let text = std::fs::read_to_string(rig.at("run.toml")).unwrap();
    let chat = format!("[live.telegram]\nchat_id = -77\naddress = \"http://{address}\"\n");
    let http = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let text = text.replace("127.0.0.1:0", &http);
    std::fs::write(rig.at("run.toml"), format!("{text}\n{chat}")).unwrap();
    let without = rig.command().arg("--json").output().unwrap();
    let complaint = String::from_utf8_lossy(&without.stderr);
    assert!(complaint.contains("TELEGRAM_BOT_TOKEN"), "{complaint}");
    let env = std::fs::OpenOptions::new()
        .append(true)
        .open(rig.at("exchange/exchange.env"));
    writeln!(env.unwrap(), "TELEGRAM_BOT_TOKEN={TOKEN}").unwrap();

    let log = rig.at("log");
    let start = || {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log);
        let mut command = rig.command();
        command.env("RUST_LOG", "debug").stderr(file.unwrap());
        Process(command.spawn().unwrap())
    };
    let journal = rig.at("journal");
    let mut daemon = start();
    until_heard(&heard, "started at frame");
    ok(&["halt", arg(&journal), "--note", "news"]);
    until_heard(&heard, "HALTED: an operator said so (news)");
    ok(&["resume", arg(&journal)]);
    until_heard(&heard, "halt ended: an operator said so");
    until_heard(
        &heard,
        "ALARM: one leg is filled and the other is not: two_legs",
    );
    // Cash at Polymarket lies on a chain, which says the same.
    let health = request(&http, "GET /api/health", "", "");
    let (_, body) = health.split_once("\r\n\r\n").unwrap();
    let health: Value = serde_json::from_str(body).unwrap();
    let cash = &health["data"]["chain_balances"]["polymarket"];
    assert_eq!(cash["differs"], false, "{health}");
    assert!(cash["venue"].is_string(), "{health}");
    assert_eq!(daemon.terminate(), Some(0));
    until_heard(&heard, "stopping: orders at work are taken back");
    let said = heard.lock().unwrap().clone();
    assert!(
        said.iter()
            .all(|text| text.starts_with("onetape journal\n")),
        "{said:?}"
    );

    // Nobody answers any more.
    drop(runtime);
    let mut daemon = start();
    rig.until("it has begun", |status| {
        status["sequence"].as_u64() > Some(0)
    });
    ok(&["halt", arg(&journal), "--note", "again"]);
    rig.until("it is halted", |status| {
        status["halts"] == json!(["Operator"])
    });
    let before = rig.status().unwrap()["sequence"].as_u64();
    rig.until("it goes on", |status| status["sequence"].as_u64() > before);
    assert_eq!(daemon.terminate(), Some(0));
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("somebody is called"), "{log}");
    assert!(!log.contains("not-to-be-seen"));
}
