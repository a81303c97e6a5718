//! What contracts are made of: 256-bit words, addresses, hashes, and their hex.
use crate::gateway;
use sha3::{Digest, Keccak256};
use std::fmt;

/// A Keccak-256 hash.
pub type Hash = [u8; 32];

/// Keccak-256 of parts, one after the other.
pub fn keccak(parts: &[&[u8]]) -> Hash {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Lower-case hex with `0x`.
pub fn hex(bytes: &[u8]) -> String {
    format!("0x{}", gateway::hex(bytes))
}

/// The bytes of hex with `0x`, upper or lower case; `None` where it is none.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(nibble(*high)? * 16 + nibble(*low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

/// An account or contract. Compared by its bytes: upper and lower case of its hex mean nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// From 40 hex digits with `0x`, whatever their case.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text)?.try_into().ok().map(Self)
    }

    /// As a word, zeros first.
    pub fn word(self) -> Word {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&self.0);
        Word(word)
    }

    /// Where CREATE2 puts a contract (EIP-1014): the last 20 bytes of the hash of 0xff, factory, salt and code's hash.
    pub fn create2(factory: Address, salt: &Hash, init_code_hash: &Hash) -> Self {
        Self::of_hash(&keccak(&[&[0xff], &factory.0, salt, init_code_hash]))
    }

    /// The last 20 bytes of a hash.
    pub(crate) fn of_hash(hash: &Hash) -> Self {
        let mut address = [0; 20];
        address.copy_from_slice(&hash[12..]);
        Self(address)
    }

    /// Lower-case hex, as the data API and wallets on the tape have it.
    pub fn lower(self) -> String {
        hex(&self.0)
    }
}

/// With the checksum of EIP-55 in the case of its letters.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = self.lower();
        let digits = lower.trim_start_matches("0x");
        let hash = keccak(&[digits.as_bytes()]);
        f.write_str("0x")?;
        for (place, digit) in digits.chars().enumerate() {
            let nibble = hash[place / 2] >> (4 * (1 - place % 2)) & 15;
            let digit = if nibble >= 8 {
                digit.to_ascii_uppercase()
            } else {
                digit
            };
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A 256-bit unsigned integer or any other 32 bytes, highest byte first.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(pub [u8; 32]);

impl Word {
    /// From plain decimal digits; `None` where there is another character or no room.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let mut word = [0u8; 32];
        for digit in text.bytes() {
            let mut carry = u32::from(digit.is_ascii_digit().then(|| digit - b'0')?);
            for byte in word.iter_mut().rev() {
                let value = u32::from(*byte) * 10 + carry;
                *byte = (value & 255) as u8;
                carry = value >> 8;
            }
            if carry != 0 {
                return None;
            }
        }
        Some(Self(word))
    }

    /// From a JSON-RPC quantity ("0x8ac7") or word: 1 to 64 hex digits. An empty `0x` is none.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x")?;
        if digits.is_empty() || digits.len() > 64 {
            return None;
        }
        let bytes = unhex(&format!("0x{digits:0>64}"))?;
        bytes.try_into().ok().map(Self)
    }

    /// As an integer, where it fits.
    pub fn to_u128(self) -> Option<u128> {
        let (high, low) = self.0.split_at(16);
        if high.iter().any(|byte| *byte != 0) {
            return None;
        }
        low.try_into().ok().map(u128::from_be_bytes)
    }
}

impl From<u64> for Word {
    fn from(value: u64) -> Self {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.to_be_bytes());
        Self(word)
    }
}

/// Decimal.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        let mut digits = Vec::new();
        while left.iter().any(|byte| *byte != 0) {
            let mut rest = 0u32;
            for byte in &mut left {
                let value = rest << 8 | u32::from(*byte);
                *byte = (value / 10) as u8;
                rest = value % 10;
            }
            digits.push(b'0' + rest as u8);
        }
        if digits.is_empty() {
            digits.push(b'0');
        }
        let text: String = digits
            .iter()
            .rev()
            .map(|digit| char::from(*digit))
            .collect();
        f.write_str(&text)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_word_is_read_and_the_next_one_is_not() {
        let max = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(Word::parse(max), Some(Word([255; 32])));
        assert_eq!(Word([255; 32]).to_string(), max);
        let next = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        assert_eq!(Word::parse(next), None);
        for bad in ["", "-1", "1.0", "0x1", " 1"] {
            assert_eq!(Word::parse(bad), None, "{bad}");
        }
    }

    /// EIP-55's own examples.
    #[test]
    fn addresses_are_written_with_their_checksum() {
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let lower = Address::parse(&text.to_lowercase()).unwrap();
            assert_eq!(lower.to_string(), text);
            assert_eq!(Address::parse(text), Some(lower));
        }
    }

    proptest! {
        #[test]
        fn words_round_trip(bytes: [u8; 32]) {
            let word = Word(bytes);
            prop_assert_eq!(Word::parse(&word.to_string()), Some(word));
            prop_assert_eq!(Word::from_hex(&hex(&bytes)), Some(word));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in "(0x)?[0-9a-zA-Z.\u{e9}]{0,80}") {
            let _ = (Word::parse(&text), Word::from_hex(&text), Address::parse(&text), unhex(&text));
        }
    }
}
