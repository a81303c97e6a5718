//! Signatures: RSA-PSS with SHA-256 and a salt of 32 bytes over `timestamp + method + path` (Kalshi docs, API keys).
use super::fields::VENUE;
use crate::gateway::{Method, WireError};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onetape_engine::time::Nanos;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Header with the id of the key.
pub const KEY_HEADER: &str = "KALSHI-ACCESS-KEY";
/// Header with the moment of signing, Unix ms.
pub const TIMESTAMP_HEADER: &str = "KALSHI-ACCESS-TIMESTAMP";
/// Header with the signature, standard base64.
pub const SIGNATURE_HEADER: &str = "KALSHI-ACCESS-SIGNATURE";

/// Bits of the smallest key that signs.
const MIN_KEY_BITS: usize = 2_048;
/// `rsaEncryption`, 1.2.840.113549.1.1.1, in DER: every PKCS#8 key of RSA names it.
const RSA_OID: [u8; 11] = [6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1];

/// Why a key can't sign. Shows nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block, or one that is cut short or damaged.
    #[error(
        "the Kalshi key is not PEM: expected one block from -----BEGIN RSA PRIVATE KEY----- or -----BEGIN PRIVATE KEY----- to its END line"
    )]
    NotPem,
    /// A public, encrypted or foreign key.
    #[error(
        "the Kalshi key is not a plain RSA private key: expected PKCS#1 (RSA PRIVATE KEY) or unencrypted PKCS#8 (PRIVATE KEY)"
    )]
    NotRsa,
    /// Fewer bits than the venue's algorithm asks for.
    #[error("the Kalshi key is too small: expected an RSA key of 2048 bits or more")]
    TooSmall,
    /// RSA, but its numbers don't make a key.
    #[error("the Kalshi key is damaged: its numbers are not those of an RSA key")]
    Damaged,
}

/// Signs requests and handshakes with the account's key.
#[derive(Clone)]
pub struct Signer {
    key_id: String,
    key: RsaKeyPair,
}

/// Nothing of the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// From the key's id and the key as PEM: PKCS#1, as the venue delivers it, or PKCS#8.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(key_id: impl Into<String>, pem: &SecretString) -> Result<Self, KeyError> {
        let (label, der) = pem_block(pem.expose_secret()).ok_or(KeyError::NotPem)?;
        let key = match label {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
            "PRIVATE KEY" if der.windows(RSA_OID.len()).any(|part| part == RSA_OID) => {
                RsaKeyPair::from_pkcs8(&der)
            }
            _ => return Err(KeyError::NotRsa),
        };
        let key = key.map_err(|rejected| match rejected.description_() {
            "TooSmall" => KeyError::TooSmall,
            _ => KeyError::Damaged,
        })?;
        if key.public_modulus_len() * 8 < MIN_KEY_BITS {
            return Err(KeyError::TooSmall);
        }
        Ok(Self {
            key_id: key_id.into(),
            key,
        })
    }

    /// The headers of a request at `now`. What is signed of `target` is its path; the query is not.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when the system has no randomness.
    pub fn headers(
        &self,
        method: Method,
        target: &str,
        now: Nanos,
    ) -> Result<Vec<(&'static str, String)>, WireError> {
        let timestamp_ms = (now.0 / 1_000_000).to_string();
        let path = target.split('?').next().unwrap_or_default();
        let signature = self.sign(&format!("{timestamp_ms}{}{path}", method.name()))?;
        Ok(vec![
            (KEY_HEADER, self.key_id.clone()),
            (TIMESTAMP_HEADER, timestamp_ms),
            (SIGNATURE_HEADER, signature),
        ])
    }

    fn sign(&self, text: &str) -> Result<String, WireError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PSS_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .map_err(|_| WireError::Malformed {
                venue: VENUE,
                message: "request to sign".to_owned(),
                why: "the signature failed".to_owned(),
            })?;
        Ok(STANDARD.encode(signature))
    }
}

/// Label and bytes of the first PEM block.
fn pem_block(pem: &str) -> Option<(&str, Zeroizing<Vec<u8>>)> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, rest) = rest.split_once("-----END ")?;
    if !rest.starts_with(label) {
        return None;
    }
    let packed: Zeroizing<Vec<u8>> = Zeroizing::new(
        body.bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
    );
    let der = STANDARD.decode(packed.as_slice()).ok()?;
    Some((label, Zeroizing::new(der)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// Signs with a key of this run.
    pub(in crate::kalshi) fn signer() -> Signer {
        static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let der = pair.as_der().unwrap();
            Signer::new("key-1", &pem("PRIVATE KEY", der.as_ref())).unwrap()
        });
        SIGNER.clone()
    }

    fn pem(label: &str, der: &[u8]) -> SecretString {
        let body = STANDARD.encode(der);
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
        .into()
    }

    #[test]
    fn a_request_is_signed_over_its_path_without_the_query_and_the_public_key_verifies_it() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = pair.as_der().unwrap();
        let signer = Signer::new("key-1", &pem("PRIVATE KEY", pkcs8.as_ref())).unwrap();
        let now = Nanos(1_703_123_456_789_999_999);
        let target = "/trade-api/v2/portfolio/orders?limit=5";
        let headers = signer.headers(Method::Get, target, now).unwrap();
        assert_eq!(headers[0], (KEY_HEADER, "key-1".to_owned()));
        assert_eq!(headers[1], (TIMESTAMP_HEADER, "1703123456789".to_owned()));
        let signature = STANDARD.decode(&headers[2].1).unwrap();
        let public = pair.public_key().as_ref();
        let verify = |text: &str| {
            UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public)
                .verify(text.as_bytes(), &signature)
                .is_ok()
        };
        assert!(verify("1703123456789GET/trade-api/v2/portfolio/orders"));
        assert!(!verify(
            "1703123456789GET/trade-api/v2/portfolio/orders?limit=5"
        ));
        assert!(!verify("1703123456789POST/trade-api/v2/portfolio/orders"));
    }

    #[test]
    fn a_wrong_key_is_named_and_not_shown() {
        // The beginning of an elliptic-curve key: its algorithm is another one.
        let ec = [
            0x30, 0x13, 6, 7, 42, 134, 72, 206, 61, 2, 1, 6, 8, 42, 134, 72, 206, 61, 3, 1, 7,
        ];
        for (key, expected) in [
            ("".into(), KeyError::NotPem),
            ("hunter2".into(), KeyError::NotPem),
            (
                "-----BEGIN RSA PRIVATE KEY-----\n!!\n-----END RSA PRIVATE KEY-----".into(),
                KeyError::NotPem,
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE".into(),
                KeyError::NotPem,
            ),
            (pem("PRIVATE KEY", &ec), KeyError::NotRsa),
            (pem("EC PRIVATE KEY", &ec), KeyError::NotRsa),
            (pem("PUBLIC KEY", &RSA_OID), KeyError::NotRsa),
            (pem("ENCRYPTED PRIVATE KEY", &RSA_OID), KeyError::NotRsa),
            (pem("PRIVATE KEY", &RSA_OID), KeyError::Damaged),
            (pem("RSA PRIVATE KEY", &[0x30, 0]), KeyError::Damaged),
        ] {
            let error = Signer::new("id", &key).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_key_of_1024_bits_is_too_small() {
        // Made for this test and used nowhere.
        let key = include_str!("../../tests/data/kalshi_rsa_1024.pem");
        let error = Signer::new("id", &key.into()).unwrap_err();
        assert_eq!(error, KeyError::TooSmall);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_key_panic(text: String, bytes: Vec<u8>) {
            let _ = Signer::new("id", &text.into());
            let _ = Signer::new("id", &pem("RSA PRIVATE KEY", &bytes));
        }
    }
}
