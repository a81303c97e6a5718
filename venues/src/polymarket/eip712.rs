//! Typed data as contracts hash it (EIP-712), the order that the exchange signs, and signatures.
//!
//! Sources: EIP-712; the exchange's order of versions 2 and 3; ERC-7739 for wallets that are contracts. The hash of an
//! order is its id at the venue, so it is known before anything is sent.
use super::wallet::{Exchange, ExchangeVersion, WalletKind};
use crate::polygon::{Address, Hash, Word, hex, keccak, unhex};
use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use onetape_engine::order::Side;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// The order's type, versions 2 and 3. What expires an order is sent beside it and is not signed.
pub const ORDER_TYPE: &str = "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)";
const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const DOMAIN_TYPE_WITHOUT_CONTRACT: &str =
    "EIP712Domain(string name,string version,uint256 chainId)";
const WALLET_ENVELOPE: &str = "TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)";

/// The hash of a struct: its type's hash and its members, each one word (texts as their hashes).
pub fn hash_struct(type_text: &str, members: &[Word]) -> Hash {
    let type_hash = keccak(&[type_text.as_bytes()]);
    let mut parts: Vec<&[u8]> = vec![&type_hash];
    parts.extend(members.iter().map(|member| member.0.as_slice()));
    keccak(&parts)
}

/// A text as a member of a struct.
pub fn text_word(text: &str) -> Word {
    Word(keccak(&[text.as_bytes()]))
}

/// For whom a signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain<'a> {
    /// The application.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The chain: 137 is Polygon.
    pub chain_id: u64,
    /// The contract that checks the signature, where one does.
    pub contract: Option<Address>,
}

impl<'a> Domain<'a> {
    /// The exchange's.
    pub const fn exchange(exchange: &'a Exchange) -> Self {
        Self {
            name: "Polymarket CTF Exchange",
            version: exchange.version.name(),
            chain_id: exchange.chain_id,
            contract: Some(exchange.contract),
        }
    }

    /// Its hash.
    pub fn separator(&self) -> Hash {
        let mut members = vec![
            text_word(self.name),
            text_word(self.version),
            Word::from(self.chain_id),
        ];
        let Some(contract) = self.contract else {
            return hash_struct(DOMAIN_TYPE_WITHOUT_CONTRACT, &members);
        };
        members.push(contract.word());
        hash_struct(DOMAIN_TYPE, &members)
    }
}

/// What is signed: a struct for a domain.
pub fn digest(separator: &Hash, struct_hash: &Hash) -> Hash {
    keccak(&[&[0x19, 0x01], separator, struct_hash])
}

/// An order as the exchange's contract knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Makes equal orders different; below 2^53, since it travels as a JSON number.
    pub salt: u64,
    /// Whose money: the wallet's address.
    pub maker: Address,
    /// Who signs: the key's address, or the wallet's where it is a contract that checks signatures itself.
    pub signer: Address,
    /// The token.
    pub token_id: Word,
    /// What the maker gives, in units of 1e-6.
    pub maker_amount: u64,
    /// What the maker takes, in units of 1e-6.
    pub taker_amount: u64,
    /// Buy: gives collateral, takes tokens.
    pub side: Side,
    /// How the signature is checked.
    pub wallet: WalletKind,
    /// When it was made, in ms.
    pub timestamp_ms: u64,
    /// Free; zero.
    pub metadata: Word,
    /// The builder whose order it is; zero for none.
    pub builder: Word,
}

impl Order {
    /// Its struct hash.
    pub fn struct_hash(&self) -> Hash {
        let side = match self.side {
            Side::Buy => 0,
            Side::Sell => 1,
        };
        hash_struct(
            ORDER_TYPE,
            &[
                Word::from(self.salt),
                self.maker.word(),
                self.signer.word(),
                self.token_id,
                Word::from(self.maker_amount),
                Word::from(self.taker_amount),
                Word::from(side),
                Word::from(u64::from(self.wallet.number())),
                Word::from(self.timestamp_ms),
                self.metadata,
                self.builder,
            ],
        )
    }

    /// Its hash in an exchange: the venue's order id.
    pub fn hash(&self, exchange: &Exchange) -> Hash {
        digest(&Domain::exchange(exchange).separator(), &self.struct_hash())
    }

    /// What the key signs: the order's hash, or for a deposit wallet the envelope in its own domain (ERC-7739).
    pub fn signed_digest(&self, exchange: &Exchange) -> Hash {
        if self.wallet != WalletKind::Deposit {
            return self.hash(exchange);
        }
        let envelope = hash_struct(
            &format!("{WALLET_ENVELOPE}{ORDER_TYPE}"),
            &[
                Word(self.struct_hash()),
                text_word("DepositWallet"),
                text_word("1"),
                Word::from(exchange.chain_id),
                self.signer.word(),
                Word::default(),
            ],
        );
        digest(&Domain::exchange(exchange).separator(), &envelope)
    }

    /// The signature as it is sent, in hex.
    pub fn sign(&self, exchange: &Exchange, signer: &Signer) -> String {
        let mut bytes = signer.sign(&self.signed_digest(exchange)).to_vec();
        if self.wallet == WalletKind::Deposit {
            bytes.extend_from_slice(&Domain::exchange(exchange).separator());
            bytes.extend_from_slice(&self.struct_hash());
            bytes.extend_from_slice(ORDER_TYPE.as_bytes());
            bytes.extend_from_slice(&(ORDER_TYPE.len() as u16).to_be_bytes());
        }
        hex(&bytes)
    }

    /// Whose key made a signature of this order; `None` where it is none, or of another order's form.
    pub fn signed_by(&self, exchange: &Exchange, signature: &str) -> Option<Address> {
        let bytes = unhex(signature)?;
        let (inner, rest) = bytes.split_at_checked(65)?;
        let mut expected = Vec::new();
        if self.wallet == WalletKind::Deposit {
            expected.extend_from_slice(&Domain::exchange(exchange).separator());
            expected.extend_from_slice(&self.struct_hash());
            expected.extend_from_slice(ORDER_TYPE.as_bytes());
            expected.extend_from_slice(&(ORDER_TYPE.len() as u16).to_be_bytes());
        }
        if rest != expected {
            return None;
        }
        recover(&self.signed_digest(exchange), inner.try_into().ok()?)
    }
}

/// A key that can't be used; says nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the private key is not 32 bytes in hex, or no key of secp256k1")]
pub struct BadKey;

/// A private key of secp256k1 and the address that follows from it.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    address: Address,
}

impl Signer {
    /// From 64 hex digits, with or without `0x`.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn new(secret: &SecretString) -> Result<Self, BadKey> {
        let text = secret.expose_secret().trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        // Exactly 32 bytes: the parser would fill a shorter key up with zeros, and that is another account.
        let bytes: Option<[u8; 32]> =
            unhex(&format!("0x{digits}")).and_then(|bytes| bytes.try_into().ok());
        let key = SigningKey::from_slice(&bytes.ok_or(BadKey)?).map_err(|_| BadKey)?;
        let address = address_of(key.verifying_key());
        Ok(Self { key, address })
    }

    /// The key's own address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a digest: r, s and 27 or 28. The same digest gives the same signature (RFC 6979).
    pub fn sign(&self, digest: &Hash) -> [u8; 65] {
        let (signature, recovery) = self.key.sign_prehash_recoverable(digest);
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + recovery.to_byte();
        bytes
    }
}

/// The address only.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.address)
    }
}

/// Whose key made a signature; `None` where it is none.
pub fn recover(digest: &Hash, signature: &[u8; 65]) -> Option<Address> {
    let (rs, v) = signature.split_at(64);
    let recovery = RecoveryId::from_byte(v[0].checked_sub(27)?)?;
    let signature = Signature::from_slice(rs).ok()?;
    let key = VerifyingKey::recover_from_prehash(digest, &signature, recovery).ok()?;
    Some(address_of(&key))
}

fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false);
    // The first byte says that the point is not compressed.
    Address::of_hash(&keccak(&[point.as_bytes().get(1..).unwrap_or_default()]))
}

impl ExchangeVersion {
    /// The version in the domain.
    pub const fn name(self) -> &'static str {
        match self {
            ExchangeVersion::V2 => "2",
            ExchangeVersion::V3 => "3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The development key that every chain simulator publishes as its first (Anvil, Hardhat).
    const PUBLIC_KEY_0: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    fn signer() -> Signer {
        Signer::new(&SecretString::from(PUBLIC_KEY_0)).unwrap()
    }

    #[test]
    fn a_keys_address_follows_from_it_and_the_key_is_never_shown() {
        let shown = format!("{:?}", signer());
        assert_eq!(shown, "Signer(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)");
        for bad in ["", "0x00", &PUBLIC_KEY_0[..60], &"0".repeat(64)] {
            assert_eq!(Signer::new(&SecretString::from(bad)).unwrap_err(), BadKey);
        }
    }

    fn order(wallet: WalletKind) -> Order {
        Order {
            salt: 7,
            maker: signer().address(),
            signer: signer().address(),
            token_id: Word::from(1234),
            maker_amount: 5_000_000,
            taker_amount: 10_000_000,
            side: Side::Buy,
            wallet,
            timestamp_ms: 1_780_449_126_930,
            metadata: Word::default(),
            builder: Word::default(),
        }
    }

    #[test]
    fn a_signature_proves_its_order_in_its_exchange_and_no_other() {
        let normal = Exchange::of(137, ExchangeVersion::V2, false).unwrap();
        let neg_risk = Exchange::of(137, ExchangeVersion::V2, true).unwrap();
        for wallet in [WalletKind::Key, WalletKind::Safe, WalletKind::Deposit] {
            let order = order(wallet);
            let signature = order.sign(&normal, &signer());
            assert_eq!(
                order.signed_by(&normal, &signature),
                Some(signer().address())
            );
            assert_ne!(
                order.signed_by(&neg_risk, &signature),
                Some(signer().address())
            );
            let mut other = order.clone();
            other.taker_amount += 1;
            assert_ne!(
                other.signed_by(&normal, &signature),
                Some(signer().address())
            );
            assert_ne!(order.hash(&normal), order.hash(&neg_risk));
        }
    }

    proptest! {
        #[test]
        fn no_signature_makes_recovery_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), digest: [u8; 32]) {
            let exchange = Exchange::of(137, ExchangeVersion::V2, false).unwrap();
            let _ = order(WalletKind::Key).signed_by(&exchange, &hex(&bytes));
            if let Ok(signature) = bytes.get(..65).unwrap_or_default().try_into() {
                let _ = recover(&digest, signature);
            }
        }

        #[test]
        fn what_is_signed_is_recovered(digest: [u8; 32]) {
            prop_assert_eq!(recover(&digest, &signer().sign(&digest)), Some(signer().address()));
        }
    }
}
