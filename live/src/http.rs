//! Health and control on one listener. Health means that the core's loop advanced; what is not known is a failure.
use crate::core::CoreStatus;
use crate::disk::DiskStatus;
use crate::inputs::Inputs;
use crate::intents::{IntentRequest, Nameable};
use crate::order_path::OrderPathStatus;
use crate::replica::Window;
use crate::sources::ChainBalances;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use onetape_engine::event::{Event, IntentPromoted, OperatorAction, OperatorCommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The loop must have turned within this.
const TURNS_WITHIN: Duration = Duration::from_secs(2);

/// What the listener shows and takes.
pub struct Api {
    core: Arc<CoreStatus>,
    window: Window,
    verified: Option<Arc<AtomicU64>>,
    order_paths: BTreeMap<String, Arc<OrderPathStatus>>,
    disk: Arc<DiskStatus>,
    inputs: Inputs,
    token: Option<SecretString>,
    nameable: Nameable,
    keys: Mutex<BTreeSet<String>>,
    turned: Mutex<(u64, Instant)>,
    chain: ChainBalances,
    journal_id: String,
}

impl Api {
    /// Over a daemon's parts. `nameable` are the instruments that intents may name, `keys` the intents on the tape.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the daemon")]
    pub(crate) fn new(
        core: Arc<CoreStatus>,
        window: Window,
        verified: Option<Arc<AtomicU64>>,
        order_paths: BTreeMap<String, Arc<OrderPathStatus>>,
        disk: Arc<DiskStatus>,
        inputs: Inputs,
        token: Option<SecretString>,
        nameable: Nameable,
        keys: BTreeSet<String>,
        chain: ChainBalances,
        journal_id: u128,
    ) -> Arc<Self> {
        Arc::new(Self {
            core,
            window,
            verified,
            order_paths,
            disk,
            inputs,
            token,
            nameable,
            keys: Mutex::new(keys),
            turned: Mutex::new((0, Instant::now())),
            chain,
            journal_id: format!("{journal_id:032x}"),
        })
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/api/health", get(api_health))
            .route("/v1/health", get(alive))
            .route("/health", get(alive))
            .route("/_stcore/health", get(plain))
            .route("/api/v1/orderintents", post(intent))
            .route("/intents", get(intents))
            .route("/intents/{key}/promote", post(promote))
            .route("/api/v1/halt", post(halt))
            .route("/api/v1/resume", post(resume))
            .with_state(self)
    }

    /// Whether the core's loop turned lately.
    fn is_alive(&self) -> bool {
        let turns = self.core.turns.load(Ordering::Acquire);
        let mut turned = self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        if turned.0 != turns {
            *turned = (turns, Instant::now());
        }
        turns > 0 && !self.core.ended.load(Ordering::Acquire) && turned.1.elapsed() < TURNS_WITHIN
    }

    /// What is not as it should be.
    fn not_ready(&self) -> Vec<String> {
        let shown = self.window.look();
        let mut why = Vec::new();
        if !self.is_alive() {
            why.push("the core's loop does not turn".to_owned());
        }
        for (venue, path) in &self.order_paths {
            if !path.reconciled.load(Ordering::Acquire) {
                why.push(format!("{venue} is not reconciled"));
            }
        }
        why.extend(shown.halts.iter().map(|halt| format!("halted: {halt}")));
        let stale = shown.feeds.iter().filter(|(_, heard)| **heard == 0);
        why.extend(stale.map(|(name, _)| format!("no market of {name}")));
        if shown.feeds.is_empty() {
            why.push("no market at all".to_owned());
        }
        why
    }

    fn health(&self) -> Value {
        let shown = self.window.look();
        json!({
            "ok": self.is_alive(),
            "status": if self.is_alive() { "healthy" } else { "failed" },
            "journal": self.journal_id,
            "sequence": self.core.next_sequence.load(Ordering::Acquire).saturating_sub(1),
            "shown_sequence": shown.sequence,
            "verified_sequence": self.verified.as_ref().map(|last| last.load(Ordering::Acquire)),
            "timestamp_ns": self.core.last_stamp_ns.load(Ordering::Acquire),
            "inputs_waiting": self.core.waiting.load(Ordering::Acquire),
            "open_orders": shown.open_orders,
            "unknown_orders": shown.unknown_orders,
            "halts": shown.halts,
            "modes": shown.mode,
            "feeds_heard_ns": shown.feeds,
            "positions": shown.positions,
            "last_snapshot": shown.last_snapshot,
            "disk_free_bytes": self.disk.free.load(Ordering::Acquire),
            "journal_bytes": self.disk.journal.load(Ordering::Acquire),
            "journal_first_sequence": self.disk.first_sequence.load(Ordering::Acquire),
            "chain_balances": self.chain.look(),
            "not_ready": self.not_ready(),
        })
    }

    /// Whether the request has our token; without a token nobody has.
    fn refuses(&self, headers: &HeaderMap) -> Option<Response> {
        let Some(token) = &self.token else {
            let why = "no token is configured: set ONETAPE_API_TOKEN and start again";
            return Some(failure(StatusCode::FORBIDDEN, why));
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok());
        let given = given
            .and_then(|v| v.strip_prefix("Bearer "))
            .unwrap_or_default();
        // Hashed first: comparing takes the same time however much of it is right.
        let same = blake3::hash(given.as_bytes()) == blake3::hash(token.expose_secret().as_bytes());
        (!same).then(|| failure(StatusCode::UNAUTHORIZED, "a bearer token is needed"))
    }

    fn operator(&self, action: OperatorAction, note: &str) -> Response {
        let command = OperatorCommand {
            action,
            note: note.to_owned(),
        };
        if self
            .inputs
            .event(&Event::OperatorCommand(Box::new(command)))
        {
            Json(json!({"ok": true})).into_response()
        } else {
            failure(StatusCode::SERVICE_UNAVAILABLE, "the core has ended")
        }
    }
}

fn failure(code: StatusCode, why: &str) -> Response {
    (code, Json(json!({"ok": false, "error": why}))).into_response()
}

async fn alive(State(api): State<Arc<Api>>) -> Response {
    let code = if api.is_alive() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(api.health())).into_response()
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    let why = api.not_ready();
    let code = if why.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        code,
        Json(json!({"ready": why.is_empty(), "not_ready": why})),
    )
        .into_response()
}

async fn plain(State(api): State<Arc<Api>>) -> Response {
    if api.is_alive() {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failed").into_response()
    }
}

async fn api_health(State(api): State<Arc<Api>>) -> Response {
    let at = api.core.last_stamp_ns.load(Ordering::Acquire);
    let code = if api.is_alive() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({"data": api.health(), "timestamp": at.to_string()});
    (code, Json(body)).into_response()
}

/// Prometheus text format, version 0.0.4.
async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let shown = api.window.look();
    let core = &api.core;
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, values: &[(String, u64)]| {
        let _ = writeln!(
            text,
            "# HELP onetape_{name} {help}\n# TYPE onetape_{name} gauge"
        );
        for (labels, value) in values {
            let _ = writeln!(text, "onetape_{name}{labels} {value}");
        }
    };
    let sequence = core.next_sequence.load(Ordering::Acquire).saturating_sub(1);
    for (name, help, value) in [
        ("up", "1 while the core's loop turns", api.is_alive().into()),
        ("sequence", "last frame", sequence),
        (
            "core_turns",
            "times round the core's loop",
            core.turns.load(Ordering::Acquire),
        ),
        (
            "inputs_waiting",
            "inputs in the core's queue",
            core.waiting.load(Ordering::Acquire),
        ),
        ("open_orders", "orders at work", shown.open_orders as u64),
        (
            "unknown_orders",
            "orders whose outcome is unknown",
            shown.unknown_orders as u64,
        ),
        (
            "halts",
            "reasons to halt in force",
            shown.halts.len() as u64,
        ),
        (
            "disk_free_bytes",
            "room on the journal's disk",
            api.disk.free.load(Ordering::Acquire),
        ),
        (
            "journal_bytes",
            "what the journal takes on disk",
            api.disk.journal.load(Ordering::Acquire),
        ),
        (
            "journal_first_sequence",
            "first frame that retention has left",
            api.disk.first_sequence.load(Ordering::Acquire),
        ),
    ] {
        gauge(name, help, &[(String::new(), value)]);
    }
    if let Some(verified) = &api.verified {
        let value = verified.load(Ordering::Acquire);
        gauge(
            "verified_sequence",
            "last frame that was decided twice",
            &[(String::new(), value)],
        );
    }
    let by_venue = |value: fn(&OrderPathStatus) -> u64| -> Vec<_> {
        let paths = api.order_paths.iter();
        paths
            .map(|(venue, path)| (format!("{{venue=\"{venue}\"}}"), value(path)))
            .collect()
    };
    let reconciled = by_venue(|path| path.reconciled.load(Ordering::Acquire).into());
    let sent = by_venue(|path| path.sent.load(Ordering::Acquire));
    gauge("reconciled", "1 while venue and journal agree", &reconciled);
    gauge("orders_sent", "orders sent by this process", &sent);
    text.push_str("# HELP onetape_order_latency_seconds tick bytes in to signed order bytes out\n");
    text.push_str("# TYPE onetape_order_latency_seconds summary\n");
    for (venue, path) in &api.order_paths {
        let said = path.latency.quantiles();
        let seconds = |ns: u64| ns as f64 / 1e9;
        for (quantile, ns) in [
            ("0.5", said.p50_ns),
            ("0.99", said.p99_ns),
            ("0.999", said.p999_ns),
        ] {
            let _ = writeln!(
                text,
                "onetape_order_latency_seconds{{venue=\"{venue}\",quantile=\"{quantile}\"}} {}",
                seconds(ns)
            );
        }
        let _ = writeln!(
            text,
            "onetape_order_latency_seconds_sum{{venue=\"{venue}\"}} {}\nonetape_order_latency_seconds_count{{venue=\"{venue}\"}} {}",
            seconds(said.sum_ns),
            said.count
        );
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn intent(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    if let Some(refusal) = api.refuses(&headers) {
        return refusal;
    }
    let Some(key) = headers.get("idempotency-key").and_then(|v| v.to_str().ok()) else {
        return failure(
            StatusCode::BAD_REQUEST,
            "an Idempotency-Key header is needed",
        );
    };
    let request: IntentRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return failure(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let event = match api.nameable.event(&request, key) {
        Ok(event) => Event::IntentReceived(Box::new(event)),
        Err(bad) => return failure(StatusCode::UNPROCESSABLE_ENTITY, &bad.to_string()),
    };
    if let Err(bad) = event.check() {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, &bad.to_string());
    }
    {
        let mut keys = api.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.to_owned()) {
            // The sender's repeat is a success that happened before.
            let body = json!({"ok": true, "duplicate": true, "key": key});
            return (StatusCode::CONFLICT, Json(body)).into_response();
        }
    }
    if !api.inputs.event(&event) {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "the core has ended");
    }
    (StatusCode::CREATED, Json(json!({"ok": true, "key": key}))).into_response()
}

async fn intents(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = api.refuses(&headers) {
        return refusal;
    }
    Json(json!({"intents": api.window.look().intents})).into_response()
}

async fn promote(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Path(key): Path<String>,
) -> Response {
    if let Some(refusal) = api.refuses(&headers) {
        return refusal;
    }
    let known = api
        .keys
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(&key);
    if !known {
        return failure(StatusCode::NOT_FOUND, "no such intent");
    }
    let promoted = IntentPromoted {
        key,
        operator: "http".to_owned(),
    };
    if api.inputs.event(&Event::IntentPromoted(Box::new(promoted))) {
        Json(json!({"ok": true})).into_response()
    } else {
        failure(StatusCode::SERVICE_UNAVAILABLE, "the core has ended")
    }
}

async fn halt(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let refusal = api.refuses(&headers);
    refusal.unwrap_or_else(|| api.operator(OperatorAction::Halt, "over http"))
}

async fn resume(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let refusal = api.refuses(&headers);
    refusal.unwrap_or_else(|| api.operator(OperatorAction::Resume, "over http"))
}
