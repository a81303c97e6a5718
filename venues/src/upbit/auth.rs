//! Tokens ("Authentication"): a JWT signed with HS512, with a SHA-512 of the parameters in the order sent.
//!
//! The documents disagree on whether a query is hashed encoded or not, so every value that this module's callers send is
//! free of characters that would need it; brackets of arrays (`states[]=wait`) stay as they are in both readings.
use crate::gateway::hex;
use aws_lc_rs::{digest, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use onetape_engine::time::Nanos;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// An access key and what signs for it.
#[derive(Clone)]
pub struct Signer {
    access_key: SecretString,
    key: hmac::Key,
}

impl Signer {
    /// With an access key and its secret, whose text is the key as it is.
    pub fn new(access_key: SecretString, secret: &SecretString) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA512, secret.expose_secret().as_bytes());
        Self { access_key, key }
    }

    /// The token of a request with the parameters `query`, empty where there are none. The venue takes a nonce once.
    pub fn token(&self, query: &str, nonce: &str) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let mut claims = format!(
            r#"{{"access_key":{},"nonce":{}"#,
            text(self.access_key.expose_secret()),
            text(nonce)
        );
        if !query.is_empty() {
            let hash = query_hash(query);
            claims.push_str(&format!(
                r#","query_hash":"{hash}","query_hash_alg":"SHA512""#
            ));
        }
        claims.push('}');
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!(
            "{}.{}",
            encode(br#"{"alg":"HS512","typ":"JWT"}"#),
            encode(claims.as_bytes())
        );
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    /// The Authorization header's value.
    pub fn bearer(&self, query: &str, nonce: &str) -> String {
        format!("Bearer {}", self.token(query, nonce))
    }
}

/// Nothing of the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(HS512)")
    }
}

/// SHA-512 of a query in hex.
pub(super) fn query_hash(query: &str) -> String {
    let hash = digest::digest(&digest::SHA512, query.as_bytes());
    hex(hash.as_ref())
}

/// Nonces in the form of UUIDs, from a seed of the operating system's generator: one a run and interface.
#[derive(Clone, Debug)]
pub struct Nonces {
    seed: [u8; 16],
    count: u64,
}

impl Nonces {
    /// From a seed that no other has.
    pub const fn new(seed: [u8; 16]) -> Self {
        Self { seed, count: 0 }
    }

    /// The next nonce.
    pub fn next(&mut self, now: Nanos) -> String {
        let nonce = self.peek(now);
        self.count = self.count.wrapping_add(1);
        nonce
    }

    /// The nonce that comes next.
    pub fn peek(&self, now: Nanos) -> String {
        let mut input = self.seed.to_vec();
        input.extend_from_slice(&self.count.to_le_bytes());
        input.extend_from_slice(&now.0.to_le_bytes());
        let hash = digest::digest(&digest::SHA256, &input);
        let mut hex: Vec<char> = hash
            .as_ref()
            .iter()
            .take(16)
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|nibble| char::from_digit(nibble.into(), 16))
            .collect();
        // Version 4, variant 1 (RFC 9562).
        if let [
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            version,
            _,
            _,
            _,
            variant,
            ..,
        ] = &mut hex[..]
        {
            (*version, *variant) = ('4', 'a');
        }
        let text: String = hex.into_iter().collect();
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        [
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32),
        ]
        .join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nonces_are_uuids_and_never_the_same() {
        let mut nonces = Nonces::new([7; 16]);
        let same_time: HashSet<String> = (0..1000).map(|_| nonces.next(Nanos(5))).collect();
        assert_eq!(same_time.len(), 1000);
        let one = nonces.next(Nanos(5));
        assert_eq!((one.len(), &one[14..15], &one[19..20]), (36, "4", "a"));
        assert!(!same_time.contains(&one));
        let other_run = Nonces::new([7; 16]).next(Nanos(6));
        assert!(!same_time.contains(&other_run), "the time is in it");
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let signer = Signer::new("access".into(), &"secret".into());
        assert_eq!(format!("{signer:?}"), "Signer(HS512)");
    }
}
