//! JSON-RPC calls that read, and their answers (Ethereum JSON-RPC specification; ERC-20 and ERC-1155 ABIs).
use super::{Address, CHAIN_ID, VENUE, Word, hex};
use crate::gateway::{Bucket, Method, Request, Response, WireError, shortened};
use serde::Deserialize;
use serde_json::json;

/// Whose balance is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// POL; 18 decimals.
    Native,
    /// An ERC-20 contract's own units: pUSD has 6 decimals.
    Erc20(Address),
    /// One id of an ERC-1155 contract: an outcome token, 6 decimals.
    Erc1155(Address, Word),
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Which chain the provider serves.
    ChainId,
    /// How much an account has.
    Balance {
        /// Of what.
        token: Token,
        /// Whose.
        owner: Address,
    },
    /// How much of an ERC-20 a spender may take.
    Allowance {
        /// Of what.
        token: Address,
        /// Whose.
        owner: Address,
        /// By whom.
        spender: Address,
    },
}

const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
const BALANCE_OF_ID: [u8; 4] = [0x00, 0xfd, 0xd5, 0x8e];
const ALLOWANCE: [u8; 4] = [0xdd, 0x62, 0xed, 0x3e];

impl Call {
    /// Contract and calldata, for what is asked of a contract.
    pub fn calldata(&self) -> Option<(Address, String)> {
        let data = |selector: [u8; 4], words: &[Word]| {
            let mut bytes = selector.to_vec();
            for word in words {
                bytes.extend_from_slice(&word.0);
            }
            hex(&bytes)
        };
        match *self {
            Call::ChainId
            | Call::Balance {
                token: Token::Native,
                ..
            } => None,
            Call::Balance {
                token: Token::Erc20(contract),
                owner,
            } => Some((contract, data(BALANCE_OF, &[owner.word()]))),
            Call::Balance {
                token: Token::Erc1155(contract, id),
                owner,
            } => Some((contract, data(BALANCE_OF_ID, &[owner.word(), id]))),
            Call::Allowance {
                token,
                owner,
                spender,
            } => Some((token, data(ALLOWANCE, &[owner.word(), spender.word()]))),
        }
    }

    /// The request's body.
    pub fn body(&self, id: u64) -> String {
        let (method, params) = match (*self, self.calldata()) {
            (_, Some((contract, data))) => (
                "eth_call",
                json!([{ "to": contract.to_string(), "data": data }, "latest"]),
            ),
            (Call::Balance { owner, .. }, None) => {
                ("eth_getBalance", json!([owner.lower(), "latest"]))
            }
            (_, None) => ("eth_chainId", json!([])),
        };
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
    }

    /// The request to one of the providers: "rpc" or "rpc2".
    pub fn request(&self, base: &'static str, id: u64) -> Request {
        Request {
            method: Method::Post,
            base,
            target: "/".to_owned(),
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: self.body(id),
            bucket: Bucket::Public,
            weight: 1,
        }
    }

    /// Reads the answer to the request of that id.
    ///
    /// # Errors
    /// [`WireError::Refused`] with the provider's code (-32005: too many requests, 3: reverted), or "no contract" for an
    /// answer of `0x`; other variants for what is no answer.
    pub fn read(&self, id: u64, response: &Response<'_>) -> Result<Word, WireError> {
        let name = self.name();
        if response.status != 200 {
            return Err(refused(
                response.status.to_string(),
                &String::from_utf8_lossy(response.body),
            ));
        }
        let answer: Answer =
            serde_json::from_slice(response.body).map_err(|why| WireError::Malformed {
                venue: VENUE,
                message: name.to_owned(),
                why: why.to_string(),
            })?;
        let bad = |field, value: String, expected| WireError::BadField {
            venue: VENUE,
            message: name.to_owned(),
            field,
            value,
            expected,
        };
        if let Some(error) = answer.error {
            return Err(refused(error.code.to_string(), &error.message));
        }
        if answer.id != Some(id) {
            let found = answer.id.map_or("missing".to_owned(), |id| id.to_string());
            return Err(bad("id", found, "the request's id"));
        }
        let result = answer.result.unwrap_or_default();
        if result == "0x" {
            return Err(refused(
                "no contract".to_owned(),
                "the address holds no code, so this is no balance",
            ));
        }
        // A contract answers in words, the node itself in quantities.
        let is_word = self.calldata().is_none() || result.len() == 66;
        Word::from_hex(&result)
            .filter(|_| is_word)
            .ok_or_else(|| bad("result", shortened(&result), "a number in hex"))
    }

    const fn name(&self) -> &'static str {
        match self {
            Call::ChainId => "eth_chainId",
            Call::Balance {
                token: Token::Native,
                ..
            } => "eth_getBalance",
            Call::Balance { .. } => "balanceOf",
            Call::Allowance { .. } => "allowance",
        }
    }
}

/// Checks the answer to [`Call::ChainId`]: every chain but Polygon's is refused, or balances would be those of another one.
///
/// # Errors
/// [`WireError::BadField`] for another chain.
pub fn chain_id(answer: Word) -> Result<(), WireError> {
    if answer == Word::from(CHAIN_ID) {
        return Ok(());
    }
    Err(WireError::BadField {
        venue: VENUE,
        message: "eth_chainId".to_owned(),
        field: "result",
        value: answer.to_string(),
        expected: "137, Polygon's chain",
    })
}

fn refused(code: String, message: &str) -> WireError {
    WireError::Refused {
        venue: VENUE,
        code,
        message: shortened(message),
    }
}

#[derive(Deserialize)]
struct Answer {
    id: Option<u64>,
    result: Option<String>,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    #[serde(default)]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(body: &str) -> Response<'_> {
        Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        }
    }

    fn balance() -> Call {
        Call::Balance {
            token: Token::Erc20(Address([1; 20])),
            owner: Address([2; 20]),
        }
    }

    #[test]
    fn no_contract_is_not_a_balance_of_zero() {
        let none = balance().read(1, &answer(r#"{"jsonrpc":"2.0","id":1,"result":"0x"}"#));
        assert!(matches!(none, Err(WireError::Refused { code, .. }) if code == "no contract"));
        let zero = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, hex(&[0; 32]));
        assert_eq!(balance().read(1, &answer(&zero)), Ok(Word::default()));
        // A short word is no answer of a contract.
        let short = balance().read(1, &answer(r#"{"id":1,"result":"0x0"}"#));
        assert!(matches!(
            short,
            Err(WireError::BadField {
                field: "result",
                ..
            })
        ));
    }

    #[test]
    fn errors_keep_the_providers_code() {
        let body = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}"#;
        let refused = balance().read(1, &answer(body)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "polygon refused: -32005: limit exceeded"
        );
    }

    #[test]
    fn an_answer_to_another_request_is_refused() {
        let other = Call::ChainId.read(1, &answer(r#"{"id":2,"result":"0x89"}"#));
        assert!(matches!(
            other,
            Err(WireError::BadField { field: "id", .. })
        ));
    }

    #[test]
    fn another_chain_is_refused() {
        assert_eq!(chain_id(Word::from(137)), Ok(()));
        assert!(chain_id(Word::from(80_002)).is_err());
    }

    #[test]
    fn allowances_and_ids_have_their_selectors() {
        let [owner, spender] = [Address([2; 20]), Address([3; 20])];
        let call = Call::Allowance {
            token: Address([1; 20]),
            owner,
            spender,
        };
        let (to, data) = call.calldata().unwrap();
        assert_eq!(to, Address([1; 20]));
        assert!(data.starts_with("0xdd62ed3e0000") && data.len() == 2 + 8 + 128);
        let call = Call::Balance {
            token: Token::Erc1155(Address([1; 20]), Word::from(7)),
            owner,
        };
        let (_, data) = call.calldata().unwrap();
        assert!(data.starts_with("0x00fdd58e0000") && data.ends_with("0007"));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200), status: u16) {
            let _ = balance().read(1, &Response { status, headers: &[], body: &body });
        }
    }
}
