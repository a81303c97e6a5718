//! What signing needs to know of tokens: learnt by the listing, kept up by the market channel.
use rust_decimal::Decimal;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its market's condition id.
    pub condition_id: String,
    /// The tick in force.
    pub tick: Decimal,
    /// Whether the neg-risk exchange settles it.
    pub neg_risk: bool,
}

/// All known tokens. Clones share them: the listing writes, the market feed changes ticks, the order interface reads.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<RwLock<HashMap<String, Token>>>);

impl Tokens {
    /// A token by its id.
    pub fn get(&self, token_id: &str) -> Option<Token> {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token_id).cloned()
    }

    /// Learns or replaces a token.
    pub fn insert(&self, token_id: &str, token: Token) {
        let mut tokens = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(token_id.to_owned(), token);
    }

    /// Another tick is in force.
    pub fn set_tick(&self, token_id: &str, tick: Decimal) {
        let mut tokens = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get_mut(token_id) {
            token.tick = tick;
        }
    }
}
