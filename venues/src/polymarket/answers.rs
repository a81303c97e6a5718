//! What the CLOB answers to orders and cancels.
//!
//! Source: the venue's pages on orders, their errors and restarts of the matching engine. Errors come in three spellings
//! (`error`, `errorMsg`, `error_msg`), amounts that there are not as empty texts, and an order of a batch that was refused can
//! be a success without an id.
use super::error::shortened_body;
use crate::gateway::{CancelAnswer, Response, shortened};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// How long the venue is left alone where it does not say: 425 while the engine restarts, 429, cancel-only.
const RETRY_AFTER_MS: u64 = 2_000;

/// What the venue does with an order it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostStatus {
    /// It rests.
    Live,
    /// It met others.
    Matched,
    /// It would take, and has to wait first.
    Delayed,
    /// It would take, and could not be delayed.
    Unmatched,
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostAnswer {
    /// Taken.
    Taken {
        /// Its hash by the venue.
        order_id: String,
        /// What became of it.
        status: PostStatus,
        /// What it gave so far, in whole units.
        making: Decimal,
        /// What it got.
        taking: Decimal,
    },
    /// Known already.
    Duplicate,
    /// The exchange's contracts have another version than the order.
    OtherVersion(String),
    /// It would have had to rest or to take, and could not: the order ended on arrival, as its kind asks for.
    Ended(String),
    /// Refused.
    Refused(String),
    /// Not now.
    Busy {
        /// For so long.
        retry_after_ms: u64,
        /// The venue's words.
        why: String,
    },
    /// Nobody knows.
    Unknown(String),
}

#[derive(Deserialize, Default)]
struct Body<'a> {
    success: Option<bool>,
    #[serde(rename = "orderID")]
    order_id: Option<String>,
    status: Option<String>,
    #[serde(borrow, rename = "makingAmount")]
    making: Option<&'a RawValue>,
    #[serde(borrow, rename = "takingAmount")]
    taking: Option<&'a RawValue>,
    #[serde(rename = "errorMsg", alias = "error_msg", alias = "error")]
    error: Option<String>,
    code: Option<String>,
    retry_after_seconds: Option<u64>,
}

impl PostAnswer {
    /// Reads an answer of `POST /order`.
    pub fn read(response: &Response<'_>) -> Self {
        let body: Result<Body<'_>, _> = serde_json::from_slice(response.body);
        if let Some(busy) = busy(response, body.as_ref().ok()) {
            return busy;
        }
        let body = match (response.status, body) {
            (200..=299, Ok(body)) => return Self::taken(body),
            (400..=499, Ok(body)) => body,
            (400..=499, Err(_)) => Body::default(),
            (status, _) => {
                let words = shortened_body(response);
                return PostAnswer::Unknown(format!("{status}: {words}"));
            }
        };
        let words = body.error.unwrap_or_else(|| shortened_body(response));
        Self::refused(format!("{}: {}", response.status, shortened(&words)))
    }

    fn taken(body: Body<'_>) -> Self {
        let error = shortened(&body.error.unwrap_or_default());
        let order_id = body.order_id.unwrap_or_default();
        if !error.is_empty() {
            return Self::refused(error);
        }
        if body.success == Some(false) {
            return PostAnswer::Refused("success is false, without a reason".to_owned());
        }
        let status = match body.status.as_deref().unwrap_or_default() {
            "live" => PostStatus::Live,
            "matched" => PostStatus::Matched,
            "delayed" => PostStatus::Delayed,
            "unmatched" => PostStatus::Unmatched,
            other => return PostAnswer::Unknown(format!("status '{}'", shortened(other))),
        };
        let amount = |raw: Option<&RawValue>| {
            let text = raw.map_or("", |raw| raw.get().trim_matches('"'));
            if text.is_empty() || text == "null" {
                return Some(Decimal::ZERO);
            }
            text.parse().ok()
        };
        match (amount(body.making), amount(body.taking)) {
            (Some(making), Some(taking)) if !order_id.is_empty() => PostAnswer::Taken {
                order_id,
                status,
                making,
                taking,
            },
            (Some(_), Some(_)) => PostAnswer::Unknown("a success without an order id".to_owned()),
            _ => PostAnswer::Unknown("amounts that are no numbers".to_owned()),
        }
    }

    fn refused(why: String) -> Self {
        let lower = why.to_ascii_lowercase();
        let says = |words: &str| lower.contains(words);
        if says("duplicated") {
            PostAnswer::Duplicate
        } else if says("order_version_mismatch") {
            PostAnswer::OtherVersion(why)
        } else if says("no orders found to match") || says("crosses") {
            PostAnswer::Ended(why)
        } else {
            PostAnswer::Refused(why)
        }
    }
}

/// 425 while the engine restarts, 429, and the 503 of the minutes after a restart in which only resting orders, or only
/// cancels, are taken. None of them is an order; every other 5xx may be one.
fn busy(response: &Response<'_>, body: Option<&Body<'_>>) -> Option<PostAnswer> {
    let (retry_after_ms, why) = quiet(response, body)?;
    Some(PostAnswer::Busy {
        retry_after_ms,
        why,
    })
}

fn quiet(response: &Response<'_>, body: Option<&Body<'_>>) -> Option<(u64, String)> {
    let mode = |body: &Body<'_>| {
        let code = body.code.as_deref().unwrap_or_default();
        code.ends_with("_mode") || body.retry_after_seconds.is_some()
    };
    let applies = match response.status {
        425 | 429 => true,
        503 => body.is_some_and(mode),
        _ => false,
    };
    if !applies {
        return None;
    }
    let header = response.header("retry-after").and_then(|s| s.parse().ok());
    let seconds: Option<u64> = body.and_then(|body| body.retry_after_seconds).or(header);
    let ms = seconds.map_or(RETRY_AFTER_MS, |seconds| seconds.saturating_mul(1_000));
    let words = body.and_then(|body| body.error.clone().or_else(|| body.code.clone()));
    let words = words.unwrap_or_else(|| shortened_body(response));
    Some((ms, format!("{}: {}", response.status, shortened(&words))))
}

#[derive(Deserialize)]
struct Cancelled {
    #[serde(default)]
    canceled: Vec<String>,
    #[serde(default, rename = "notCanceled", alias = "not_canceled")]
    not_canceled: HashMap<String, String>,
}

/// Reads an answer of `DELETE /order`.
pub(super) fn cancel_answer(order_id: &str, response: Option<&Response<'_>>) -> CancelAnswer {
    let unknown = |why: String| CancelAnswer::Unknown { why };
    let Some(response) = response else {
        return unknown("no answer".to_owned());
    };
    let body: Option<Body<'_>> = serde_json::from_slice(response.body).ok();
    if let Some((retry_after_ms, why)) = quiet(response, body.as_ref()) {
        return CancelAnswer::Busy {
            retry_after_ms,
            why,
        };
    }
    if response.status == 404 {
        return CancelAnswer::Gone;
    }
    let read: Result<Cancelled, _> = serde_json::from_slice(response.body);
    let Ok(answer) = read.map_err(|_| ()).and_then(|answer| {
        let ok = (200..=299).contains(&response.status);
        ok.then_some(answer).ok_or(())
    }) else {
        return unknown(format!("{}: {}", response.status, shortened_body(response)));
    };
    let ours = |id: &String| id.eq_ignore_ascii_case(order_id);
    if answer.canceled.iter().any(ours) {
        return CancelAnswer::Cancelled(Vec::new());
    }
    if answer.not_canceled.keys().any(ours) {
        return CancelAnswer::Gone;
    }
    unknown("the answer does not name the order".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn post(status: u16, body: &str) -> PostAnswer {
        PostAnswer::read(&Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        })
    }

    #[test]
    fn a_restart_is_busy_and_any_other_failure_of_theirs_is_unknown() {
        let restart = post(425, r#"{"error":"service not ready"}"#);
        assert!(matches!(
            restart,
            PostAnswer::Busy {
                retry_after_ms: 2_000,
                ..
            }
        ));
        let post_only = post(503, r#"{"code":"post_only_mode","retry_after_seconds":90}"#);
        assert!(matches!(
            post_only,
            PostAnswer::Busy {
                retry_after_ms: 90_000,
                ..
            }
        ));
        for (status, body) in [
            (500, r#"{"error":"order timed out"}"#),
            (503, "<html>"),
            (502, ""),
            (200, "{}"),
            (200, "not json"),
            (302, ""),
        ] {
            assert!(
                matches!(post(status, body), PostAnswer::Unknown(_)),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn all_spellings_of_an_error_are_read() {
        for field in ["error", "errorMsg", "error_msg"] {
            for status in [200, 400] {
                let body =
                    format!(r#"{{"{field}":"not enough balance / allowance","success":false}}"#);
                let PostAnswer::Refused(why) = post(status, &body) else {
                    panic!("{field}")
                };
                assert!(why.contains("not enough balance"), "{why}");
            }
        }
        let quirk = post(
            200,
            r#"{"success":true,"orderID":"","errorMsg":"invalid signature","status":""}"#,
        );
        assert_eq!(quirk, PostAnswer::Refused("invalid signature".to_owned()));
        let silent = post(200, r#"{"success":true,"orderID":"","status":"live"}"#);
        assert!(matches!(silent, PostAnswer::Unknown(_)));
        // Refused without words that read.
        assert!(matches!(post(403, "<html>blocked"), PostAnswer::Refused(_)));
    }

    #[test]
    fn a_cancel_is_believed_of_the_order_that_it_names_only() {
        let answer = |status, body: &'static str| {
            let response = Response {
                status,
                headers: &[],
                body: body.as_bytes(),
            };
            cancel_answer("0xAb", Some(&response))
        };
        assert_eq!(
            answer(200, r#"{"canceled":["0xab"],"not_canceled":{}}"#),
            CancelAnswer::Cancelled(Vec::new())
        );
        for field in ["notCanceled", "not_canceled"] {
            let body = format!(r#"{{"canceled":[],"{field}":{{"0xab":"matched"}}}}"#);
            assert_eq!(answer(200, body.leak()), CancelAnswer::Gone);
        }
        let other = answer(200, r#"{"canceled":["0xcd"],"not_canceled":{}}"#);
        assert!(matches!(other, CancelAnswer::Unknown { .. }));
        assert!(matches!(answer(500, "{}"), CancelAnswer::Unknown { .. }));
        assert!(matches!(answer(425, "{}"), CancelAnswer::Busy { .. }));
        assert!(matches!(
            cancel_answer("0xab", None),
            CancelAnswer::Unknown { .. }
        ));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_readers_panic(status: u16, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let response = Response { status, headers: &[], body: &body };
            let _ = (PostAnswer::read(&response), cancel_answer("0xab", Some(&response)));
        }
    }
}
