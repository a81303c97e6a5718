//! How requests are signed: level 1 with the key (to make or find API credentials), level 2 with the credentials.
//!
//! Source: the venue's authentication page. Level 2 signs `timestamp + method + path + body`, without the query; the body
//! that is signed is byte for byte the one that is sent.
use super::eip712::{Domain, Signer, digest, hash_struct, text_word};
use crate::gateway::Method;
use crate::polygon::{Address, Word, hex};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_PAD_INDIFFERENT};
use onetape_engine::time::{Nanos, SECOND_NS};
use secrecy::{ExposeSecret, SecretString};

const CLOB_AUTH_TYPE: &str =
    "ClobAuth(address address,string timestamp,uint256 nonce,string message)";
const CLOB_AUTH_MESSAGE: &str = "This message attests that I control the given wallet";

/// API credentials.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The API key; names the owner in orders and trades.
    pub key: String,
    /// Base64, url-safe or not, with or without padding.
    pub secret: SecretString,
    /// Goes along with every request.
    pub passphrase: SecretString,
}

/// Headers, names and values.
pub type Headers = Vec<(&'static str, String)>;

/// What a wallet signs to get its API credentials: the digest of level 1.
pub fn level1_digest(address: Address, chain_id: u64, timestamp: &str, nonce: u64) -> [u8; 32] {
    let domain = Domain {
        name: "ClobAuthDomain",
        version: "1",
        chain_id,
        contract: None,
    };
    let attested = hash_struct(
        CLOB_AUTH_TYPE,
        &[
            address.word(),
            text_word(timestamp),
            Word::from(nonce),
            text_word(CLOB_AUTH_MESSAGE),
        ],
    );
    digest(&domain.separator(), &attested)
}

/// The headers of level 1.
pub fn level1(signer: &Signer, chain_id: u64, now: Nanos, nonce: u64) -> Headers {
    let timestamp = seconds(now);
    let digest = level1_digest(signer.address(), chain_id, &timestamp, nonce);
    vec![
        ("POLY_ADDRESS", signer.address().to_string()),
        ("POLY_SIGNATURE", hex(&signer.sign(&digest))),
        ("POLY_TIMESTAMP", timestamp),
        ("POLY_NONCE", nonce.to_string()),
    ]
}

/// The signature of level 2; `None` where the secret is no base64.
pub fn level2_signature(
    secret: &SecretString,
    timestamp: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Option<String> {
    // Some secrets are written in the other alphabet.
    let text = secret.expose_secret().replace('+', "-").replace('/', "_");
    let key = URL_SAFE_PAD_INDIFFERENT.decode(text.trim()).ok()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let mut context = hmac::Context::with_key(&key);
    for part in [timestamp, method, path, body] {
        context.update(part.as_bytes());
    }
    Some(URL_SAFE.encode(context.sign()))
}

/// The headers of level 2. `target` may have a query: it is not signed. `None` where the secret is no base64.
pub fn level2(
    credentials: &Credentials,
    address: Address,
    method: Method,
    target: &str,
    body: &str,
    now: Nanos,
) -> Option<Headers> {
    let timestamp = seconds(now);
    let path = target.split('?').next().unwrap_or_default();
    let signature = level2_signature(&credentials.secret, &timestamp, method.name(), path, body)?;
    Some(vec![
        ("POLY_ADDRESS", address.to_string()),
        ("POLY_API_KEY", credentials.key.clone()),
        (
            "POLY_PASSPHRASE",
            credentials.passphrase.expose_secret().to_owned(),
        ),
        ("POLY_SIGNATURE", signature),
        ("POLY_TIMESTAMP", timestamp),
    ])
}

fn seconds(now: Nanos) -> String {
    (now.0 / SECOND_NS).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(secret: &str) -> Option<String> {
        level2_signature(&SecretString::from(secret), "1", "GET", "/", "")
    }

    /// The venue's Rust client, its own test.
    #[test]
    fn a_secret_is_read_with_and_without_padding_and_in_both_alphabets() {
        let expected = "eHaylCwqRSOa2LFD77Nt_SaTpbsxzN8eTEI3LryhEj4=";
        assert_eq!(
            sign("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap(),
            expected
        );
        assert_eq!(
            sign("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap(),
            expected
        );
        assert_eq!(sign("_-8="), sign("/+8="));
        assert_eq!(sign("not base64!"), None);
    }

    #[test]
    fn secrets_are_not_shown_and_the_query_is_not_signed() {
        let credentials = Credentials {
            key: "k".to_owned(),
            secret: SecretString::from("c2VjcmV0"),
            passphrase: SecretString::from("phrase"),
        };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("c2Vj") && !shown.contains("phrase\""));
        let sign = |target| {
            let now = Nanos(1_795_253_400 * SECOND_NS + 7);
            level2(&credentials, Address([1; 20]), Method::Get, target, "", now).unwrap()
        };
        assert_eq!(sign("/data/orders?next_cursor=MA=="), sign("/data/orders"));
        assert!(sign("/data/orders").contains(&("POLY_TIMESTAMP", "1795253400".to_owned())));
    }
}
