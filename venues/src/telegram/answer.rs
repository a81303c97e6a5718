//! What the API says to a message.
use super::VENUE;
use crate::gateway::fields::{Raw, Reading, present};
use crate::gateway::{Response, WireError, shortened};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stands in the chat.
    Sent {
        /// Its number there.
        message_id: u64,
    },
    /// Too many: nothing may be sent for so long.
    Wait {
        /// Seconds.
        retry_after_s: u64,
    },
    /// The group became a supergroup: send there from now on.
    Moved {
        /// Its new id.
        chat_id: i64,
    },
    /// The markup does not read: send it again as plain text.
    SendPlain,
    /// Not taken: bad token, chat unknown, bot blocked.
    Refused {
        /// `error_code`.
        code: u64,
        /// `description`, shortened.
        why: String,
    },
}

const READING: Reading = Reading {
    venue: VENUE,
    message: "answer",
};

#[derive(Deserialize)]
struct Fields<'a> {
    ok: bool,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    error_code: Raw<'a>,
    #[serde(borrow)]
    description: Raw<'a>,
    #[serde(borrow)]
    parameters: Raw<'a>,
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    message_id: Raw<'a>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow)]
    retry_after: Raw<'a>,
    #[serde(borrow)]
    migrate_to_chat_id: Raw<'a>,
}

/// Reads the answer to a message.
///
/// # Errors
/// [`WireError`] for an answer that the API does not have (a proxy's page, a 5xx): whether the message arrived is unknown.
pub fn read(response: &Response<'_>) -> Result<Answer, WireError> {
    let f: Fields<'_> = READING.object(response.body)?;
    if f.ok {
        let result = READING.need("result", f.result)?;
        let sent: Sent<'_> = READING.object(result.get().as_bytes())?;
        let id = READING.need("message_id", sent.message_id)?;
        let message_id = READING.integer("message_id", id)?;
        return Ok(Answer::Sent { message_id });
    }
    if let Some(raw) = present(f.parameters) {
        let parameters: Parameters<'_> = READING.object(raw.get().as_bytes())?;
        if let Some(raw) = present(parameters.migrate_to_chat_id) {
            let chat_id = raw.get().parse();
            let bad = |_| READING.bad("migrate_to_chat_id", raw.get(), "a chat's number");
            return Ok(Answer::Moved {
                chat_id: chat_id.map_err(bad)?,
            });
        }
        if let Some(raw) = present(parameters.retry_after) {
            let retry_after_s = READING.integer("retry_after", raw)?;
            return Ok(Answer::Wait { retry_after_s });
        }
    }
    let code = READING.integer("error_code", READING.need("error_code", f.error_code)?)?;
    let why = description(f.description)?;
    // "Bad Request: can't parse entities: Character '.' is reserved ..."
    if code == 400 && why.contains("can't parse entities") {
        return Ok(Answer::SendPlain);
    }
    Ok(Answer::Refused { code, why })
}

/// The API's own words; they may hold escapes.
fn description(raw: Raw<'_>) -> Result<String, WireError> {
    let text = present(raw).map_or("\"\"", RawValue::get);
    let words: String =
        serde_json::from_str(text).map_err(|_| READING.bad("description", text, "a string"))?;
    Ok(shortened(&words))
}
