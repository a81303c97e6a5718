use super::*;
use onetape_engine::event::Liquidity;
use onetape_engine::id::OrderId;
use onetape_engine::number::Price;
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_venues::exchange::ExchangeClock;
use onetape_venues::gateway::FillFact;
use std::sync::{Arc, Mutex};

const X: InstrumentId = InstrumentId(0);

/// What the scripted broker was asked, and what it lists.
#[derive(Default)]
struct Script {
    placed: Vec<String>,
    /// Names of the groups of what was placed.
    groups: Vec<String>,
    open: Vec<AccountFact>,
    done: Vec<AccountFact>,
    lists_asked: u32,
}

struct Scripted {
    script: Arc<Mutex<Script>>,
    events: mpsc::UnboundedReceiver<BrokerEvent>,
}

impl Broker for Scripted {
    async fn list(
        &mut self,
        symbol: &str,
        _: InstrumentId,
        _: Nanos,
    ) -> Result<(Listing, Contract), BrokerError> {
        let why = format!("no {symbol}");
        Err(BrokerError::Unavailable { why })
    }

    fn trade(&mut self, _: Contracts) {}

    async fn place(
        &mut self,
        group: &[NewOrder<'_>],
        oca: Oca<'_>,
    ) -> Result<Vec<i32>, BrokerError> {
        let mut script = self.script.lock().unwrap();
        let groups = oca.own.into_iter().chain(oca.children);
        script.groups.extend(groups.map(str::to_owned));
        let placed = &mut script.placed;
        placed.extend(group.iter().map(|order| order.client_id.to_owned()));
        Ok(vec![placed.len() as i32; group.len()])
    }

    async fn cancel(&mut self, _: &KnownOrder<'_>) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn open_orders(&mut self) -> Result<Vec<AccountFact>, BrokerError> {
        let mut script = self.script.lock().unwrap();
        script.lists_asked += 1;
        Ok(script.open.clone())
    }

    async fn executions(&mut self, _: Nanos) -> Result<Vec<AccountFact>, BrokerError> {
        Ok(self.script.lock().unwrap().done.clone())
    }

    async fn positions(&mut self) -> Result<Vec<AccountFact>, BrokerError> {
        Ok(Vec::new())
    }

    async fn cash(&mut self) -> Result<Vec<AccountFact>, BrokerError> {
        Ok(Vec::new())
    }

    async fn next_order_id(&mut self) -> Result<i32, BrokerError> {
        Ok(1)
    }

    async fn next_event(&mut self) -> BrokerEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

struct Rig {
    script: Arc<Mutex<Script>>,
    events: mpsc::UnboundedSender<BrokerEvent>,
    facts: mpsc::UnboundedReceiver<AccountFact>,
    inputs: crossbeam_channel::Receiver<crate::inputs::Input>,
    transport: BrokerTransport,
}

impl Rig {
    async fn new() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let (events, received) = mpsc::unbounded_channel();
        let broker = Scripted {
            script: script.clone(),
            events: received,
        };
        let clock = ExchangeClock {
            wall_origin: Nanos(0),
            origin: Nanos(0),
            speed: 1,
        };
        let (inputs, queue) = Inputs::new(clock);
        let (told, facts) = mpsc::unbounded_channel();
        let rig = Self {
            script,
            events,
            facts,
            inputs: queue,
            transport: {
                let (commands, received) = mpsc::unbounded_channel();
                tokio::spawn(Keeper::new(broker, received).run());
                let connection = Connection {
                    commands,
                    contracts: Vec::new(),
                };
                connection.trade(told, inputs)
            },
        };
        // Answered once the listener is there: what is told before is told to nobody.
        let asked = rig
            .transport
            .request(|answer| Command::Ask(Query::Holdings, answer));
        assert!(asked.await.is_ok());
        rig
    }

    fn tell(&self, event: BrokerEvent) {
        self.events.send(event).unwrap();
    }

    fn script(&self, write: impl FnOnce(&mut Script)) {
        write(&mut self.script.lock().unwrap());
    }

    async fn place(&mut self, client_id: &str) -> PlaceAnswer {
        let sending = self.send(client_id, &Linked::default());
        sending.answer.await
    }

    fn send(&mut self, client_id: &str, linked: &Linked<'_>) -> Sending<PlaceAnswer> {
        let sending = self.transport.place(&order(client_id), linked, Nanos(0));
        sending.unwrap()
    }

    async fn look_up(&mut self, client_id: &str, venue_id: Option<&str>) -> Found {
        let known = KnownOrder {
            order: order(client_id),
            venue_id,
        };
        self.transport.look_up(&known, Nanos(0)).answer.await
    }

    /// Waits until the broker's loss or return is known.
    async fn resync(&mut self) {
        assert_eq!(self.facts.recv().await, Some(AccountFact::Resync));
    }
}

fn order(client_id: &str) -> NewOrder<'_> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: X,
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(100),
        worst_price: Price(100),
        qty: Qty(10),
        decided_at: Nanos(0),
    }
}

fn key(client_id: &str) -> OrderKey {
    OrderKey {
        client_id: Some(client_id.to_owned()),
        venue_id: Some("1".to_owned()),
    }
}

fn state(client_id: &str, state: OrderState) -> AccountFact {
    AccountFact::Order(OrderFact {
        key: key(client_id),
        instrument: X,
        state,
        filled: None,
        why: "201 no margin".to_owned(),
    })
}

fn fill(client_id: &str, qty: i64) -> AccountFact {
    AccountFact::Fill(FillFact {
        key: key(client_id),
        instrument: X,
        fill_id: format!("{client_id}.01"),
        side: Side::Buy,
        price: Price(100),
        qty: Qty(qty),
        fee: None,
        liquidity: Liquidity::Taker,
        at: Nanos(0),
        is_final: true,
    })
}

fn lost() -> BrokerEvent {
    BrokerEvent::Lost {
        why: "1100".to_owned(),
    }
}

#[tokio::test]
async fn the_gateways_first_word_of_an_order_is_the_answer_to_placing_it() {
    let mut rig = Rig::new().await;
    for (told, is_accepted) in [
        (state("a", OrderState::Acked), true),
        (fill("a", 4), true),
        (state("a", OrderState::Rejected), false),
    ] {
        rig.tell(BrokerEvent::Fact(state("b", OrderState::Acked)));
        let (placed, ()) = tokio::join!(
            rig.transport
                .place(&order("a"), &Linked::default(), Nanos(0))
                .map(|sending| sending.answer)
                .unwrap(),
            async {
                while rig.script.lock().unwrap().placed.is_empty() {
                    tokio::task::yield_now().await;
                }
                rig.events.send(BrokerEvent::Fact(told.clone())).unwrap();
            }
        );
        let expected = if is_accepted {
            PlaceAnswer::Accepted {
                venue_id: "1".to_owned(),
                facts: vec![told],
            }
        } else {
            PlaceAnswer::Rejected {
                why: "201 no margin".to_owned(),
            }
        };
        assert_eq!(placed, expected);
        // Another order's news are not taken for it.
        let other = rig.facts.recv().await;
        assert_eq!(other, Some(state("b", OrderState::Acked)));
        rig.script(|script| script.placed.clear());
    }
}

#[tokio::test]
async fn while_the_way_is_lost_nothing_is_sent_and_nothing_is_believed() {
    let mut rig = Rig::new().await;
    rig.tell(lost());
    rig.resync().await;
    assert!(matches!(rig.place("a").await, PlaceAnswer::Rejected { .. }));
    assert!(rig.transport.ask_holdings().await.is_err());
    assert_eq!(rig.look_up("a", None).await.known, None);
    rig.script(|script| {
        assert!(script.placed.is_empty());
        assert_eq!(script.lists_asked, 0);
    });
    rig.tell(BrokerEvent::Restored { keeps_data: false });
    rig.tell(BrokerEvent::Fact(AccountFact::Resync));
    rig.resync().await;
    assert!(rig.transport.ask_holdings().await.is_ok());
    let changes = rig.inputs.try_iter().map(|input| {
        match Event::decode(input.kind.number(), &input.payload).unwrap() {
            Event::ConnectionChanged(changed) => changed.up,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(changes.collect::<Vec<_>>(), [false, true]);
}

impl BrokerTransport {
    async fn ask_holdings(&mut self) -> Result<Vec<AccountFact>, String> {
        Transport::ask(self, Query::Holdings).await
    }
}

#[tokio::test]
async fn an_order_under_way_when_the_way_is_lost_is_unknown_and_is_not_sent_again() {
    let mut rig = Rig::new().await;
    let script = rig.script.clone();
    let events = rig.events.clone();
    let (placed, ()) = tokio::join!(rig.place("a"), async {
        while script.lock().unwrap().placed.is_empty() {
            tokio::task::yield_now().await;
        }
        events.send(lost()).unwrap();
    });
    assert!(matches!(placed, PlaceAnswer::Unknown { .. }));
    assert_eq!(script.lock().unwrap().placed, ["a"]);
}

#[tokio::test]
async fn an_order_without_a_word_is_unknown_in_time() {
    let (_, events) = mpsc::unbounded_channel();
    let broker = Scripted {
        script: Arc::default(),
        events,
    };
    let (_, commands) = mpsc::unbounded_channel();
    let mut keeper = Keeper::new(broker, commands);
    let (answer, mut told) = oneshot::channel();
    let placing = ToPlace {
        order: Kept::new(&order("a"), None),
        group: None,
        exits: Vec::new(),
        exits_group: None,
    };
    keeper.place(&placing, answer).await;
    keeper.expire(Instant::now());
    assert!(told.try_recv().is_err());
    keeper.expire(Instant::now() + WORD_WITHIN);
    assert!(matches!(told.try_recv(), Ok(PlaceAnswer::Unknown { .. })));
}

#[tokio::test]
async fn an_order_is_over_when_it_was_there_and_is_not_listed_twice() {
    let mut rig = Rig::new().await;
    rig.script(|script| script.open = vec![state("a", OrderState::Acked)]);
    assert_eq!(rig.look_up("a", None).await.known, Some(true));
    // Never heard of: perhaps it never arrived.
    assert_eq!(rig.look_up("b", None).await.known, Some(false));
    // Gone, with a part of it filled.
    rig.script(|script| {
        script.open.clear();
        script.done = vec![fill("a", 4)];
    });
    assert_eq!(rig.look_up("a", Some("1")).await.known, None);
    let found = rig.look_up("a", Some("1")).await;
    assert_eq!(found.known, Some(true));
    let [AccountFact::Fill(_), AccountFact::Order(over)] = &found.facts[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (over.state, over.filled),
        (OrderState::Cancelled, Some(Qty(4)))
    );
    // All of it filled: nothing to wait for.
    rig.script(|script| script.done = vec![fill("c", 10)]);
    let found = rig.look_up("c", None).await;
    assert_eq!((found.known, found.facts.len()), (Some(true), 1));
}

#[tokio::test]
async fn a_list_that_tells_of_other_orders_loses_nothing_of_them() {
    let mut rig = Rig::new().await;
    rig.script(|script| script.done = vec![fill("a", 10), fill("b", 3)]);
    let found = rig.look_up("a", None).await;
    assert_eq!(found.facts, [fill("a", 10)]);
    assert_eq!(rig.facts.recv().await, Some(fill("b", 3)));
}

#[tokio::test]
async fn of_orders_looked_up_together_the_fills_are_told_before_any_is_over() {
    let mut rig = Rig::new().await;
    rig.script(|script| script.done = vec![fill("b", 10)]);
    // The second look at "a" finds it gone; the fill of "b", its alternative, must be known by then.
    assert_eq!(rig.look_up("a", Some("1")).await.known, None);
    assert_eq!(rig.facts.recv().await, Some(fill("b", 10)));
    let known = |client_id| KnownOrder {
        order: order(client_id),
        venue_id: Some("1"),
    };
    let first = rig.transport.look_up(&known("a"), Nanos(0)).answer;
    let second = rig.transport.look_up(&known("b"), Nanos(0)).answer;
    let first_told = async {
        let found = first.await;
        (found, rig.facts.try_recv().ok())
    };
    let ((found, told), _) = tokio::join!(first_told, second);
    assert_eq!(told, Some(fill("b", 10)));
    assert!(
        matches!(&found.facts[..], [AccountFact::Order(over)] if over.state == OrderState::Cancelled)
    );
}

#[tokio::test]
async fn an_entry_goes_to_the_broker_with_its_exits_and_groups_by_their_names() {
    let mut rig = Rig::new().await;
    let exits = [order("a-s"), order("a-t")];
    let linked = Linked {
        group: Some("ot-1-g"),
        exits: &exits,
        exits_group: Some("ot-1-x"),
    };
    let sending = rig.send("a", &linked);
    let (placed, ()) = tokio::join!(sending.answer, async {
        while rig.script.lock().unwrap().placed.is_empty() {
            tokio::task::yield_now().await;
        }
        rig.tell(BrokerEvent::Fact(state("a", OrderState::Acked)));
    });
    assert!(matches!(placed, PlaceAnswer::Accepted { .. }));
    rig.script(|script| {
        assert_eq!(script.placed, ["a", "a-s", "a-t"]);
        assert_eq!(script.groups, ["ot-1-g", "ot-1-x"]);
    });
    // What is told of the exits is no answer.
    rig.tell(BrokerEvent::Fact(state("a-s", OrderState::Acked)));
    assert_eq!(
        rig.facts.recv().await,
        Some(state("a-s", OrderState::Acked))
    );
}

#[tokio::test]
async fn a_fill_that_does_not_read_halts() {
    let mut rig = Rig::new().await;
    rig.tell(BrokerEvent::Unreadable {
        why: "price".to_owned(),
    });
    rig.resync().await;
    let input = rig.inputs.try_recv().unwrap();
    let Event::OperatorCommand(command) =
        Event::decode(input.kind.number(), &input.payload).unwrap()
    else {
        panic!("{input:?}");
    };
    assert_eq!(command.action, OperatorAction::Halt);
}
