//! A Telegram chat that alarms go to: a short queue, the service's rates, and no harm done when it does not answer.
use crate::alarms::Said;
use crate::config::TelegramConfig;
use crate::http_client::{Answer, HttpClient};
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::telegram::{
    Answer as Became, Format, Message, PER_MINUTE_AND_GROUP, PER_SECOND_AND_CHAT, TEXT_MAX, parts,
    read, send_message,
};
use secrecy::SecretString;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Lines that wait at the most; above it the oldest is lost, and the next message says how many were.
const WAITING_MAX: usize = 100;
/// Characters of a line; longer ones are cut.
const LINE_MAX: usize = 500;
/// Keys that are remembered; a daemon that says more different things than that repeats itself.
const KEYS_MAX: usize = 1_000;
/// A message that nobody answered is sent so often, ever later; then it is lost.
const TRIES: u32 = 10;
const SLOWEST: Duration = Duration::from_secs(60);

/// The chat.
pub(crate) struct Chat {
    http: HttpClient,
    token: SecretString,
    chat_id: i64,
    /// What every message begins with.
    title: String,
    repeat_after: Duration,
    waiting: VecDeque<String>,
    lost: u64,
    /// By key: when it was last said, and how often it came again since.
    told: BTreeMap<String, (Instant, u64)>,
    /// The message under way, and how often it was tried.
    message: Option<(String, u32)>,
    answer: Option<JoinHandle<Option<Answer>>>,
    not_before: Option<Instant>,
}

impl Chat {
    /// # Errors
    /// A text when TLS can't be set up.
    pub(crate) fn new(
        config: &TelegramConfig,
        token: SecretString,
        title: String,
        clock: ExchangeClock,
    ) -> Result<Self, String> {
        let bases = BTreeMap::from([("rest".to_owned(), config.address.clone())]);
        Ok(Self {
            http: HttpClient::new(bases, clock)?,
            token,
            chat_id: config.chat_id,
            title,
            repeat_after: Duration::from_secs(config.repeat_after_s),
            waiting: VecDeque::new(),
            lost: 0,
            told: BTreeMap::new(),
            message: None,
            answer: None,
            not_before: None,
        })
    }

    /// Puts a line into the queue, unless the same was said lately.
    pub(crate) fn say(&mut self, said: Said, now: Instant) {
        let Said { key, mut text } = said;
        tracing::warn!(alarm = text, "somebody is called");
        if let Some((at, again)) = self.told.get_mut(&key) {
            if now.duration_since(*at) < self.repeat_after {
                *again += 1;
                return;
            }
            if *again > 0 {
                text += &format!(" (and {again} times since it was last said)");
            }
        }
        if self.told.len() >= KEYS_MAX {
            self.told.clear();
        }
        self.told.insert(key, (now, 0));
        if let Some((end, _)) = text.char_indices().nth(LINE_MAX) {
            text.truncate(end);
        }
        self.waiting.push_back(text);
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
    }

    /// Sends what may be sent, for this long.
    pub(crate) async fn send_for(&mut self, rest: Duration) {
        self.begin(Instant::now());
        match &mut self.answer {
            None => tokio::time::sleep(rest).await,
            Some(answer) => {
                let answered = tokio::time::timeout(rest, answer).await;
                if let Ok(answered) = answered {
                    self.answer = None;
                    self.answered(answered.ok().flatten(), Instant::now());
                }
            }
        }
    }

    /// Sends what is left, within a time.
    pub(crate) async fn finish(&mut self, within: Duration) {
        let until = Instant::now() + within;
        while !(self.waiting.is_empty() && self.message.is_none()) && Instant::now() < until {
            self.send_for(Duration::from_millis(20)).await;
        }
    }

    /// Starts a message, where there is something to say and it may be said now.
    fn begin(&mut self, now: Instant) {
        if self.answer.is_some() || self.not_before.is_some_and(|at| now < at) {
            return;
        }
        if self.message.is_none() {
            self.message = self.gather().map(|text| (text, 0));
        }
        let Some((text, tries)) = &mut self.message else {
            return;
        };
        *tries += 1;
        let message = Message {
            chat_id: self.chat_id,
            text,
            format: Format::Plain,
            is_silent: false,
        };
        let (http, request) = (self.http.clone(), send_message(&self.token, &message));
        self.answer = Some(tokio::spawn(async move { http.send(request).await }));
    }

    /// As many waiting lines as one message takes.
    fn gather(&mut self) -> Option<String> {
        let mut text = self.waiting.front().map(|_| self.title.clone())?;
        if self.lost > 0 {
            text += &format!("\n({} alarms were lost)", self.lost);
            self.lost = 0;
        }
        while let Some(line) = self.waiting.pop_front() {
            let longer = format!("{text}\n{line}");
            if longer.encode_utf16().count() > TEXT_MAX {
                self.waiting.push_front(line);
                break;
            }
            text = longer;
        }
        parts(&text).next().map(str::to_owned)
    }

    fn answered(&mut self, answer: Option<Answer>, now: Instant) {
        let read = answer.map(|answer| read(&answer.response()));
        let mut pause = if self.chat_id < 0 {
            Duration::from_secs(60) / PER_MINUTE_AND_GROUP
        } else {
            Duration::from_secs(1) / PER_SECOND_AND_CHAT
        };
        match read {
            Some(Ok(Became::Sent { .. })) => self.message = None,
            Some(Ok(Became::Wait { retry_after_s })) => {
                pause = pause.max(Duration::from_secs(retry_after_s));
            }
            Some(Ok(Became::Moved { chat_id })) => {
                tracing::warn!(chat_id, "the group has another id: set chat_id to it");
                self.chat_id = chat_id;
            }
            Some(Ok(Became::SendPlain)) => self.message = None,
            Some(Ok(Became::Refused { code, why })) => {
                tracing::error!(
                    code,
                    why,
                    "telegram refuses: is the token right, and the chat_id?"
                );
                self.message = None;
                self.lost += 1;
                pause = SLOWEST;
            }
            // It may have arrived: said twice is better than not at all.
            None | Some(Err(_)) => match self.message.take() {
                Some((text, tries)) if tries < TRIES => {
                    pause = pause
                        .max(Duration::from_secs(1 << tries.min(6)))
                        .min(SLOWEST);
                    self.message = Some((text, tries));
                }
                _ => self.lost += 1,
            },
        }
        self.not_before = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::{Path, State};
    use axum::routing::post;
    use axum::{Json, Router};
    use onetape_engine::time::Nanos;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    type Heard = Arc<Mutex<Vec<(i64, String)>>>;

    /// What the service answers, message by message; then it takes everything.
    #[derive(Clone)]
    struct Service {
        heard: Heard,
        answers: Arc<Mutex<VecDeque<Value>>>,
    }

    async fn send(
        State(service): State<Service>,
        Path(method): Path<String>,
        Json(body): Json<Value>,
    ) -> Json<Value> {
        assert_eq!(method, "bot7:secret");
        let answer = service.answers.lock().unwrap().pop_front();
        let answer = answer.unwrap_or(json!({"ok": true, "result": {"message_id": 1}}));
        if answer["ok"] == true {
            let text = body["text"].as_str().unwrap().to_owned();
            let id = body["chat_id"].as_i64().unwrap();
            service.heard.lock().unwrap().push((id, text));
        }
        Json(answer)
    }

    async fn chat(answers: &[Value], repeat_after_s: u64) -> (Chat, Heard) {
        let service = Service {
            heard: Heard::default(),
            answers: Arc::new(Mutex::new(answers.iter().cloned().collect())),
        };
        let heard = service.heard.clone();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/{method}/sendMessage", post(send))
            .with_state(service);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = TelegramConfig {
            chat_id: 5,
            address: format!("http://{address}"),
            repeat_after_s,
        };
        let clock = ExchangeClock {
            wall_origin: Nanos(0),
            origin: Nanos(0),
            speed: 1,
        };
        let chat = Chat::new(&config, "7:secret".into(), "t:".to_owned(), clock);
        (chat.unwrap(), heard)
    }

    fn heard(of: &Heard) -> Vec<(i64, String)> {
        of.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn lines_go_out_together_and_the_same_one_is_said_once() {
        let (mut chat, of) = chat(&[], 600).await;
        let now = Instant::now();
        for key in ["a", "b", "a", "a"] {
            chat.say(Said::new(key, format!("line {key}")), now);
        }
        chat.finish(Duration::from_secs(5)).await;
        assert_eq!(heard(&of), [(5, "t:\nline a\nline b".to_owned())]);
        let later = now + Duration::from_secs(601);
        chat.say(Said::new("a", "line a"), later);
        chat.finish(Duration::from_secs(5)).await;
        let again = "t:\nline a (and 2 times since it was last said)";
        assert_eq!(heard(&of)[1].1, again);
    }

    #[tokio::test]
    async fn it_waits_as_it_is_told_and_follows_a_group_that_moved() {
        let wait = json!({"ok": false, "error_code": 429, "description": "Too Many Requests: retry after 1",
            "parameters": {"retry_after": 1}});
        let moved = json!({"ok": false, "error_code": 400, "description": "Bad Request: group chat was upgraded",
            "parameters": {"migrate_to_chat_id": -1009}});
        let (mut chat, of) = chat(&[wait, moved], 600).await;
        let began = Instant::now();
        chat.say(Said::new("a", "line"), began);
        chat.finish(Duration::from_secs(10)).await;
        assert_eq!(heard(&of), [(-1009, "t:\nline".to_owned())]);
        assert!(began.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_full_queue_loses_its_oldest_lines_and_says_so() {
        let refused = json!({"ok": false, "error_code": 401, "description": "Unauthorized"});
        let (mut chat, of) = chat(&[], 600).await;
        for n in 0..WAITING_MAX + 3 {
            chat.say(
                Said::new(n.to_string(), format!("line {n}")),
                Instant::now(),
            );
        }
        chat.finish(Duration::from_secs(5)).await;
        let text = heard(&of)[0].1.clone();
        assert!(
            text.starts_with("t:\n(3 alarms were lost)\nline 3\n"),
            "{text}"
        );
        // One that is refused is given up: no later one waits for it.
        let (mut chat, of) = super::tests::chat(&[refused], 600).await;
        chat.say(Said::new("a", "line"), Instant::now());
        chat.finish(Duration::from_millis(500)).await;
        assert!(chat.message.is_none() && chat.waiting.is_empty() && heard(&of).is_empty());
    }

    #[tokio::test]
    async fn nobody_there_costs_nothing_but_the_message() {
        let (mut chat, _) = chat(&[], 600).await;
        let bases = BTreeMap::from([("rest".to_owned(), "http://127.0.0.1:9".to_owned())]);
        chat.http = HttpClient::new(
            bases,
            ExchangeClock {
                wall_origin: Nanos(0),
                origin: Nanos(0),
                speed: 1,
            },
        )
        .unwrap();
        chat.say(Said::new("a", "line"), Instant::now());
        let began = Instant::now();
        chat.finish(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_secs(3));
        assert!(chat.message.is_some());
    }
}
