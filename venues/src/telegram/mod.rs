//! Telegram's Bot API, as far as messages to a chat go. Pure: [`send_message`] makes the request, [`read`] its answer.
//!
//! Source: venues.md, chapter 8; core.telegram.org/bots/api. The bot's token stands in the path of every request; nothing in
//! here prints it. Messages must never block trading: the queue that drops the oldest is the sender's matter, and so are the
//! rates below.
mod answer;
mod text;

pub use answer::{Answer, read};
pub use text::{TEXT_MAX, escape_markdown_v2, parts};

use crate::gateway::{Bucket, Method, Request};
use secrecy::{ExposeSecret, SecretString};

/// Where the venue is, by the name of its base address.
pub const BASES: [(&str, &str); 1] = [("rest", "https://api.telegram.org")];
/// Messages a second to all chats together.
pub const PER_SECOND: u32 = 30;
/// Messages a second to one chat.
pub const PER_SECOND_AND_CHAT: u32 = 1;
/// Messages a minute to one group.
pub const PER_MINUTE_AND_GROUP: u32 = 20;

const VENUE: &str = "telegram";

/// How a message's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As it stands.
    Plain,
    /// MarkdownV2: what is not markup is escaped ([`escape_markdown_v2`]).
    MarkdownV2,
}

/// A message to a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The chat: negative for groups and channels.
    pub chat_id: i64,
    /// 1 to [`TEXT_MAX`] characters: longer texts go in [`parts`].
    pub text: &'a str,
    /// How it is read.
    pub format: Format,
    /// Arrives without a sound.
    pub is_silent: bool,
}

/// The request that sends a message.
pub fn send_message(token: &SecretString, message: &Message<'_>) -> Request {
    let mut body = serde_json::json!({
        "chat_id": message.chat_id,
        "text": message.text,
        "disable_notification": message.is_silent,
        "link_preview_options": {"is_disabled": true},
    });
    if message.format == Format::MarkdownV2 {
        body["parse_mode"] = "MarkdownV2".into();
    }
    Request {
        method: Method::Post,
        base: "rest",
        target: format!("/bot{}/sendMessage", token.expose_secret()),
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string(),
        bucket: Bucket::Public,
        weight: 1,
    }
}
