//! Wallets: who holds the money, who signs, and which of the venue's exchanges checks it.
use super::eip712::Signer;
use crate::polygon::{Address, Hash, keccak};

/// How the exchange checks a signature (`signatureType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletKind {
    /// The key's own account.
    Key,
    /// A proxy contract, as made for e-mail log-ins.
    Proxy,
    /// A Safe, as made for browser wallets.
    Safe,
    /// A deposit wallet that checks signatures itself (ERC-1271, wrapped by ERC-7739).
    Deposit,
}

impl WalletKind {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            WalletKind::Key => 0,
            WalletKind::Proxy => 1,
            WalletKind::Safe => 2,
            WalletKind::Deposit => 3,
        }
    }

    /// From the number on the wire.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => WalletKind::Key,
            1 => WalletKind::Proxy,
            2 => WalletKind::Safe,
            3 => WalletKind::Deposit,
            _ => return None,
        })
    }
}

/// Factory of the proxy wallets on Polygon.
pub const PROXY_FACTORY: &str = "0xaB45c5A4B0c941a2F231C04C3f49182e1A254052";
/// Hash of a proxy wallet's code.
pub const PROXY_INIT_CODE_HASH: &str =
    "0xd21df8dc65880a8606f09fe0ce3df9b8869287ab0b058be05aa9e8af6330a00b";
/// Factory of the Safes.
pub const SAFE_FACTORY: &str = "0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b";
/// Hash of a Safe's code.
pub const SAFE_INIT_CODE_HASH: &str =
    "0x2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf";

/// The proxy wallet of a key: its salt is the hash of the 20 bytes.
pub fn proxy_wallet(owner: Address) -> Option<Address> {
    let salt = keccak(&[&owner.0]);
    create2(PROXY_FACTORY, &salt, PROXY_INIT_CODE_HASH)
}

/// The Safe of a key: its salt is the hash of the address as a word.
pub fn safe_wallet(owner: Address) -> Option<Address> {
    let salt = keccak(&[&owner.word().0]);
    create2(SAFE_FACTORY, &salt, SAFE_INIT_CODE_HASH)
}

fn create2(factory: &str, salt: &Hash, code: &str) -> Option<Address> {
    let code: Hash = crate::polygon::unhex(code)?.try_into().ok()?;
    Some(Address::create2(Address::parse(factory)?, salt, &code))
}

/// The key and the wallet that it trades for.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// The key.
    pub signer: Signer,
    /// What kind of wallet.
    pub kind: WalletKind,
    /// Where the money is.
    pub funder: Address,
}

impl Wallet {
    /// Of a key. The funder of a proxy or Safe follows from the key where none is given; a deposit wallet's has to be given.
    pub fn new(signer: Signer, kind: WalletKind, funder: Option<Address>) -> Option<Self> {
        let derived = match kind {
            WalletKind::Key => Some(signer.address()),
            WalletKind::Proxy => proxy_wallet(signer.address()),
            WalletKind::Safe => safe_wallet(signer.address()),
            WalletKind::Deposit => None,
        };
        let funder = match kind {
            // Whatever else is given, the exchange takes the money from the key's account.
            WalletKind::Key if funder.is_some() && funder != derived => return None,
            _ => funder.or(derived)?,
        };
        Some(Self {
            signer,
            kind,
            funder,
        })
    }

    /// `signer` in orders.
    pub const fn order_signer(&self) -> Address {
        match self.kind {
            WalletKind::Deposit => self.funder,
            WalletKind::Key | WalletKind::Proxy | WalletKind::Safe => self.signer.address(),
        }
    }
}

/// Version of the exchange's contracts, as `GET /version` tells it. Version 1 is history and not written any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExchangeVersion {
    /// In force.
    #[default]
    V2,
    /// The next one.
    V3,
}

/// A contract that settles orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its version.
    pub version: ExchangeVersion,
    /// Its chain.
    pub chain_id: u64,
    /// Its address.
    pub contract: Address,
}

impl Exchange {
    /// Which one settles a market: 137 is Polygon, 80002 the Amoy test chain. `None` where none is known: a neg-risk
    /// market in version 3.
    pub fn of(chain_id: u64, version: ExchangeVersion, neg_risk: bool) -> Option<Self> {
        let contract = match (chain_id, version, neg_risk) {
            (137 | 80_002, ExchangeVersion::V2, false) => {
                "0xE111180000d2663C0091e4f400237545B87B996B"
            }
            (137 | 80_002, ExchangeVersion::V2, true) => {
                "0xe2222d279d744050d28e00520010520000310F59"
            }
            (137, ExchangeVersion::V3, false) => "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa",
            (80_002, ExchangeVersion::V3, false) => "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D",
            _ => return None,
        };
        Some(Self {
            version,
            chain_id,
            contract: Address::parse(contract)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn signer() -> Signer {
        let key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        Signer::new(&SecretString::from(key)).unwrap()
    }

    /// The Safe of the public development key (the venue's Rust client, its own test).
    #[test]
    fn a_safe_follows_from_its_key_and_a_deposit_wallet_has_to_be_named() {
        let safe = Wallet::new(signer(), WalletKind::Safe, None).unwrap();
        let expected = "0xd93B25cb943D14d0d34FBaF01Fc93a0f8b5F6E47";
        assert_eq!(safe.funder.to_string(), expected);
        assert_eq!(safe.order_signer(), signer().address());
        assert!(Wallet::new(signer(), WalletKind::Deposit, None).is_none());
        let named = Address([0x11; 20]);
        let deposit = Wallet::new(signer(), WalletKind::Deposit, Some(named)).unwrap();
        assert_eq!((deposit.funder, deposit.order_signer()), (named, named));
        // A proxy of the same key is another wallet.
        let proxy = Wallet::new(signer(), WalletKind::Proxy, None).unwrap();
        assert_ne!(proxy.funder, safe.funder);
    }

    #[test]
    fn a_key_pays_from_its_own_account_only() {
        let other = Some(Address([0x11; 20]));
        assert!(Wallet::new(signer(), WalletKind::Key, other).is_none());
        assert!(Wallet::new(signer(), WalletKind::Key, None).is_some());
    }
}
