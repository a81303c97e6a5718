//! Our ids at venues: a function of the journal, so a replay has the same ones and a restart recognises its own.
use onetape_engine::id::OrderId;
use onetape_engine::order::OrderType;

/// Names the orders of one journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdScheme {
    prefix: String,
}

impl ClientIdScheme {
    /// Of a journal: the first 32 bits of its id tell its orders from those of another journal on the same account.
    pub fn new(journal_id: u128) -> Self {
        let prefix = format!("ot{:08x}-", journal_id >> 96);
        Self { prefix }
    }

    /// The id of an order: letters, digits and '-', at most 31 characters.
    pub fn client_id(&self, order: OrderId) -> String {
        format!("{}{}", self.prefix, order.0)
    }

    /// The name of the group of alternatives that begins with an order: no two groups have the same, ever.
    pub fn group(&self, first: OrderId) -> String {
        format!("{}{}-g", self.prefix, first.0)
    }

    /// The id of an exit that goes to the venue with its entry, before any order on the tape is that exit.
    pub fn exit(&self, entry: OrderId, order_type: OrderType) -> String {
        let exit = if order_type == OrderType::Stop {
            's'
        } else {
            't'
        };
        format!("{}{}-{exit}", self.prefix, entry.0)
    }

    /// The name of the group of the exits that go with an entry.
    pub fn exits(&self, entry: OrderId) -> String {
        format!("{}{}-x", self.prefix, entry.0)
    }

    /// Whether a client id is of an exit that went with an entry of this journal.
    pub fn is_exit(&self, client_id: &str) -> bool {
        let entry = client_id
            .strip_suffix("-s")
            .or(client_id.strip_suffix("-t"));
        entry.is_some_and(|entry| self.order(entry).is_some())
    }

    /// The order of a client id, where it is one of this journal.
    pub fn order(&self, client_id: &str) -> Option<OrderId> {
        let number = client_id.strip_prefix(&self.prefix)?;
        let plain = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| number.parse().ok().map(OrderId)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_order_and_no_other_text_does() {
        let scheme = ClientIdScheme::new(0xdead_beef_0000_0000_0000_0000_0000_0001);
        let id = scheme.client_id(OrderId(u64::MAX));
        assert_eq!(id, "otdeadbeef-18446744073709551615");
        assert!(id.len() <= 34, "with what is said of exits at most 36");
        let exit = scheme.exit(OrderId(u64::MAX), OrderType::Stop);
        assert!(scheme.is_exit(&exit) && scheme.is_exit("otdeadbeef-7-t"));
        assert!(!scheme.is_exit(&id) && !scheme.is_exit("otdeadbee0-7-t"));
        assert_eq!(scheme.order(&exit), None);
        assert_eq!(scheme.order(&id), Some(OrderId(u64::MAX)));
        for other in [
            "otdeadbeef-",
            "otdeadbeef-01",
            "otdeadbeef-1x",
            "otdeadbee0-1",
            "web_1",
        ] {
            assert_eq!(scheme.order(other), None, "{other}");
        }
    }
}
