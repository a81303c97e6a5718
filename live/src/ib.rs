//! Interactive Brokers in the daemon: one task keeps the connection, the order path asks it.
//!
//! A broker is no HTTP venue: an order's answer is the first word that the gateway tells of it, and what became of it is
//! found in the lists of all orders at work and all executions. While the way to the broker is lost nothing is sent and
//! nothing is asked: the gateway would answer with what it knew before.
use crate::inputs::Inputs;
use crate::transport::{Found, Kept, Linked, Sending, Transport};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use onetape_engine::event::{ConnectionChanged, Event, OperatorAction, OperatorCommand};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::Qty;
use onetape_engine::order::OrderState;
use onetape_engine::time::Nanos;
use onetape_venues::gateway::{
    AccountFact, CancelAnswer, KnownOrder, Listing, NewOrder, OrderFact, OrderKey, PlaceAnswer,
    Query, Refusal,
};
use onetape_venues::ib::{Broker, BrokerError, BrokerEvent, Config, Contract, Contracts, Oca};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The venue's name.
pub const VENUE: &str = "ib";
/// How long the gateway may say nothing of an order before its outcome is unknown.
const WORD_WITHIN: Duration = Duration::from_secs(5);
/// How often overdue words are looked for.
const LOOK: Duration = Duration::from_millis(250);
/// A look-up is two lists: orders at work, executions.
const LOOK_UP_WEIGHT: u32 = 2;

/// A connection, and the stocks that were listed through it.
pub struct Connection {
    commands: mpsc::UnboundedSender<Command>,
    contracts: Vec<Contract>,
}

impl Connection {
    /// Connects. A gateway that is not there, or has our client id in use, is asked again a few times.
    ///
    /// # Errors
    /// What is wrong and what to do.
    #[cfg(feature = "ib")]
    pub async fn open(config: Config) -> Result<Self, String> {
        let address = format!("{}:{}", config.host, config.port);
        let (commands, received) = mpsc::unbounded_channel();
        let (opened, outcome) = oneshot::channel();
        // A thread of its own: it ends after the order path, which waits for the last answers.
        let keep = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(opened.send(Err(error.to_string()))),
            };
            runtime.block_on(async move {
                let connected = onetape_venues::ib::Gateway::connect(config, Contracts::default());
                match connected.await {
                    Ok(gateway) => {
                        if opened.send(Ok(())).is_ok() {
                            Keeper::new(gateway, received).run().await;
                        }
                    }
                    Err(error @ BrokerError::Unavailable { .. }) => drop(opened.send(Err(format!(
                        "{error}: is TWS or the gateway up at {address}, and its API enabled for this machine?"
                    )))),
                    Err(error) => drop(opened.send(Err(error.to_string()))),
                }
            });
        };
        let spawned = std::thread::Builder::new()
            .name(VENUE.to_owned())
            .spawn(keep);
        spawned.map_err(|error| format!("could not start a thread: {error}"))?;
        let ended = |_| "the connection's thread ended".to_owned();
        outcome.await.map_err(ended)??;
        Ok(Self {
            commands,
            contracts: Vec::new(),
        })
    }

    /// Without the crate that speaks to gateways there is no connection.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "ib"))]
    pub async fn open(config: Config) -> Result<Self, String> {
        let _ = config;
        Err(
            "this onetape was built without Interactive Brokers: build it with '--features ib'"
                .to_owned(),
        )
    }

    /// What the broker says of a stock, which may be traded then.
    ///
    /// # Errors
    /// There is no such stock, or no answer.
    pub async fn list(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        now: Nanos,
    ) -> Result<Listing, String> {
        let (answer, told) = oneshot::channel();
        let ended = || format!("'{symbol}': the connection ended");
        let command = Command::List(symbol.to_owned(), instrument, now, answer);
        self.commands.send(command).map_err(|_| ended())?;
        let (listing, contract) = told.await.map_err(|_| ended())??;
        self.contracts.push(contract);
        Ok(listing)
    }

    /// Trades what was listed: what the broker tells goes to the order path from here on.
    pub fn trade(
        self,
        facts: mpsc::UnboundedSender<AccountFact>,
        inputs: Inputs,
    ) -> BrokerTransport {
        let contracts = Contracts::new(self.contracts);
        // A connection that has ended is found out by the first thing that is asked of it.
        let _ = self
            .commands
            .send(Command::Trade(contracts, Listener { facts, inputs }));
        BrokerTransport {
            commands: self.commands,
        }
    }
}

/// The order path's end of a connection.
pub struct BrokerTransport {
    commands: mpsc::UnboundedSender<Command>,
}

impl BrokerTransport {
    /// Has something done and waits for what comes of it; `Err(true)` where it was taken and no answer came.
    fn request<T: 'static>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command + 'static,
    ) -> LocalBoxFuture<'static, Result<T, bool>> {
        let commands = self.commands.clone();
        let answer = async move {
            let (answer, told) = oneshot::channel();
            commands.send(command(answer)).map_err(|_| false)?;
            told.await.map_err(|_| true)
        };
        answer.boxed_local()
    }
}

const ENDED: &str = "the connection to the gateway ended";

impl Transport for BrokerTransport {
    fn place(
        &mut self,
        order: &NewOrder<'_>,
        linked: &Linked<'_>,
        _: Nanos,
    ) -> Result<Sending<PlaceAnswer>, Refusal> {
        let placing = ToPlace {
            order: Kept::new(order, None),
            group: linked.group.map(str::to_owned),
            exits: linked
                .exits
                .iter()
                .map(|exit| Kept::new(exit, None))
                .collect(),
            exits_group: linked.exits_group.map(str::to_owned),
        };
        let asked = self.request(|answer| Command::Place(placing, answer));
        let answer = asked.map(|answered| match answered {
            Ok(answer) => answer,
            Err(true) => PlaceAnswer::Unknown { why: ENDED.into() },
            Err(false) => PlaceAnswer::Rejected { why: ENDED.into() },
        });
        Ok(Sending {
            weight: 1 + linked.exits.len() as u32,
            answer: answer.boxed_local(),
        })
    }

    fn cancel(
        &mut self,
        order: &KnownOrder<'_>,
        _: Nanos,
    ) -> Result<Sending<CancelAnswer>, Refusal> {
        let kept = Kept::new(&order.order, order.venue_id);
        let asked = self.request(|answer| Command::Cancel(kept, answer));
        let unknown = |_| CancelAnswer::Unknown { why: ENDED.into() };
        Ok(Sending {
            weight: 1,
            answer: asked
                .map(move |answered| answered.unwrap_or_else(unknown))
                .boxed_local(),
        })
    }

    fn look_up(&mut self, order: &KnownOrder<'_>, _: Nanos) -> Sending<Found> {
        let kept = Kept::new(&order.order, order.venue_id);
        let asked = self.request(|answer| Command::LookUp(kept, answer));
        Sending {
            weight: LOOK_UP_WEIGHT,
            answer: asked
                .map(|answered| answered.unwrap_or_default())
                .boxed_local(),
        }
    }

    fn ask(&mut self, query: Query) -> LocalBoxFuture<'static, Result<Vec<AccountFact>, String>> {
        let asked = self.request(|answer| Command::Ask(query, answer));
        asked
            .map(|answered| answered.unwrap_or_else(|_| Err(ENDED.to_owned())))
            .boxed_local()
    }
}

/// What the task that keeps a connection is asked to do.
enum Command {
    List(
        String,
        InstrumentId,
        Nanos,
        oneshot::Sender<Result<(Listing, Contract), String>>,
    ),
    Trade(Contracts, Listener),
    Place(ToPlace, oneshot::Sender<PlaceAnswer>),
    Cancel(Kept, oneshot::Sender<CancelAnswer>),
    LookUp(Kept, oneshot::Sender<Found>),
    Ask(Query, oneshot::Sender<Result<Vec<AccountFact>, String>>),
}

/// An order to place, with its exits and the names of the one-cancels-all groups of both.
struct ToPlace {
    order: Kept,
    group: Option<String>,
    exits: Vec<Kept>,
    exits_group: Option<String>,
}

/// Whom the broker's news go to.
struct Listener {
    facts: mpsc::UnboundedSender<AccountFact>,
    inputs: Inputs,
}

/// An order of which the gateway has said nothing yet.
struct Placing {
    answer: oneshot::Sender<PlaceAnswer>,
    venue_id: String,
    until: Instant,
}

/// Keeps a connection: does what it is asked to, one after the other, and hands on what the broker tells.
struct Keeper<B> {
    broker: B,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Taken out of the queue, and not done yet.
    waiting: VecDeque<Command>,
    listener: Option<Listener>,
    is_lost: bool,
    /// By our name for the order.
    placing: BTreeMap<String, Placing>,
    /// Orders that the broker had and that the last look-up did not find at work.
    gone: BTreeSet<String>,
}

#[cfg_attr(
    not(any(feature = "ib", test)),
    expect(dead_code, reason = "nothing to keep without the feature")
)]
impl<B: Broker> Keeper<B> {
    const fn new(broker: B, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            broker,
            commands,
            waiting: VecDeque::new(),
            listener: None,
            is_lost: false,
            placing: BTreeMap::new(),
            gone: BTreeSet::new(),
        }
    }

    /// Until nobody asks any more; the connection ends with it.
    async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Some(command) = self.waiting.pop_front() {
                self.obey(command).await;
                continue;
            }
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                event = self.broker.next_event() => self.event(event),
                _ = look.tick() => self.expire(Instant::now()),
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        // Whoever asked may be gone by the time of the answer.
        match command {
            Command::List(symbol, instrument, now, answer) => {
                let listed = self.broker.list(&symbol, instrument, now).await;
                let _ = answer.send(listed.map_err(|error| format!("'{symbol}': {error}")));
            }
            Command::Trade(contracts, listener) => {
                self.broker.trade(contracts);
                self.listener = Some(listener);
            }
            Command::Place(order, answer) => self.place(&order, answer).await,
            Command::Cancel(order, answer) => {
                let _ = answer.send(self.cancel(&order).await);
            }
            Command::LookUp(order, answer) => self.look_up((order, answer)).await,
            Command::Ask(query, answer) => {
                let _ = answer.send(self.ask(&query).await);
            }
        }
    }

    async fn place(&mut self, placing: &ToPlace, answer: oneshot::Sender<PlaceAnswer>) {
        let known = placing.order.known();
        let oca = Oca {
            own: placing.group.as_deref(),
            children: placing.exits_group.as_deref(),
        };
        let outcome = if self.is_lost {
            PlaceAnswer::Rejected {
                why: "not sent: the way to the broker is lost".to_owned(),
            }
        } else {
            let exits: Vec<_> = placing.exits.iter().map(Kept::known).collect();
            let group = core::iter::once(&known).chain(&exits);
            let group: Vec<_> = group.map(|known| known.order.clone()).collect();
            match self.broker.place(&group, oca).await {
                Ok(ids) => {
                    let venue_id = ids.first().map(ToString::to_string);
                    let placing = Placing {
                        answer,
                        venue_id: venue_id.unwrap_or_default(),
                        until: Instant::now() + WORD_WITHIN,
                    };
                    self.placing
                        .insert(known.order.client_id.to_owned(), placing);
                    return;
                }
                Err(BrokerError::Refused(refusal)) => PlaceAnswer::Rejected {
                    why: refusal.to_string(),
                },
                Err(error) => PlaceAnswer::Unknown {
                    why: error.to_string(),
                },
            }
        };
        let _ = answer.send(outcome);
    }

    async fn cancel(&mut self, order: &Kept) -> CancelAnswer {
        if self.is_lost {
            let why = "the way to the broker is lost".to_owned();
            return CancelAnswer::Unknown { why };
        }
        match self.broker.cancel(&order.known()).await {
            Ok(()) => CancelAnswer::Accepted,
            Err(error) => CancelAnswer::Unknown {
                why: error.to_string(),
            },
        }
    }

    /// Looks up an order, and with it all others that wait to be: the lists are the same.
    async fn look_up(&mut self, first: (Kept, oneshot::Sender<Found>)) {
        let mut asked = vec![first];
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::LookUp(order, answer) => asked.push((order, answer)),
                other => self.waiting.push_back(other),
            }
        }
        let lists = self.lists().await;
        if let Err(why) = &lists {
            tracing::warn!(venue = VENUE, why, "look-up failed");
        }
        let ours: BTreeSet<String> = asked
            .iter()
            .map(|(order, _)| order.known().order.client_id.to_owned())
            .collect();
        let answers: Vec<_> = asked
            .into_iter()
            .map(|(order, answer)| match &lists {
                Ok((open, done)) => (answer, self.found(&order.known(), open, done)),
                Err(_) => (answer, Found::default()),
            })
            .collect();
        // The lists tell of other orders as well, and nobody tells that a second time. Their fills come before the answers:
        // that an order is over may mean that its alternative has filled.
        let (open, done) = lists.unwrap_or_default();
        let is_alone = answers.len() == 1;
        for fact in open.into_iter().chain(done) {
            let is_answer = match &fact {
                AccountFact::Order(_) => true,
                AccountFact::Fill(_) => is_alone,
                _ => false,
            };
            if !(is_answer && client_id(&fact).is_some_and(|id| ours.contains(id))) {
                self.fact(fact);
            }
        }
        for (answer, found) in answers {
            let _ = answer.send(found);
        }
    }

    /// Orders at work first: what was filled in between is in the second list then.
    async fn lists(&mut self) -> Result<(Vec<AccountFact>, Vec<AccountFact>), String> {
        if self.is_lost {
            return Err("the way to the broker is lost".to_owned());
        }
        let open = self.broker.open_orders().await;
        let open = open.map_err(|error| error.to_string())?;
        let done = self.broker.executions(Nanos(0)).await;
        Ok((open, done.map_err(|error| error.to_string())?))
    }

    fn found(
        &mut self,
        order: &KnownOrder<'_>,
        open: &[AccountFact],
        done: &[AccountFact],
    ) -> Found {
        let name = order.order.client_id;
        let of = |facts: &[AccountFact]| -> Vec<AccountFact> {
            let ours = facts.iter().filter(|fact| client_id(fact) == Some(name));
            ours.cloned().collect()
        };
        let (listed, mut facts) = (of(open), of(done));
        let is_at_work = !listed.is_empty();
        facts.extend(listed);
        let filled = facts.iter().map(|fact| match fact {
            AccountFact::Fill(fill) => fill.qty.0,
            _ => 0,
        });
        let filled = Qty(filled.sum());
        if is_at_work || filled >= order.order.qty {
            self.gone.remove(name);
            return Found {
                facts,
                known: Some(true),
            };
        }
        // A broker lists no orders that are over: one that it never spoke of may never have arrived.
        if facts.is_empty() && order.venue_id.is_none() {
            return Found {
                facts,
                known: Some(false),
            };
        }
        // One that it had is over, once it is not there a second time: a list may be older than the other by a moment.
        if self.gone.insert(name.to_owned()) {
            return Found { facts, known: None };
        }
        self.gone.remove(name);
        facts.push(AccountFact::Order(OrderFact {
            key: OrderKey {
                client_id: Some(name.to_owned()),
                venue_id: order.venue_id.map(str::to_owned),
            },
            instrument: order.order.instrument,
            state: OrderState::Cancelled,
            filled: Some(filled),
            why: "it is no longer at work".to_owned(),
        }));
        Found {
            facts,
            known: Some(true),
        }
    }

    async fn ask(&mut self, query: &Query) -> Result<Vec<AccountFact>, String> {
        if self.is_lost {
            return Err("the way to the broker is lost".to_owned());
        }
        let answer = match query {
            Query::Fills { since, .. } => self.broker.executions(*since).await,
            Query::OpenOrders => self.broker.open_orders().await,
            Query::Holdings => self.broker.positions().await,
            Query::Balances => self.broker.cash().await,
        };
        let facts = answer.map_err(|error| format!("{query:?}: {error}"))?;
        // What is no answer to the question is news: a corrected execution, an order that filled, a word that is waited for.
        let (answers, news): (Vec<_>, Vec<_>) = facts.into_iter().partition(|fact| match fact {
            AccountFact::Order(order) => {
                let is_waited_for = |id: &String| self.placing.contains_key(id);
                *query == Query::OpenOrders
                    && !order.key.client_id.as_ref().is_some_and(is_waited_for)
            }
            AccountFact::FillReversed { .. } => false,
            _ => true,
        });
        news.into_iter().for_each(|fact| self.fact(fact));
        Ok(answers)
    }

    fn event(&mut self, event: BrokerEvent) {
        match event {
            BrokerEvent::Fact(fact) => self.fact(fact),
            BrokerEvent::Connected { next_order_id } => {
                tracing::info!(venue = VENUE, next_order_id, "connected");
                self.is_lost = false;
                self.say(true, "");
            }
            BrokerEvent::Restored { keeps_data } => {
                tracing::info!(venue = VENUE, keeps_data, "the way to the broker is back");
                self.is_lost = false;
                self.say(true, "");
            }
            BrokerEvent::Lost { why } => {
                tracing::warn!(venue = VENUE, why, "the way to the broker is lost");
                self.is_lost = true;
                self.say(false, &why);
                for (_, placing) in core::mem::take(&mut self.placing) {
                    let _ = placing
                        .answer
                        .send(PlaceAnswer::Unknown { why: why.clone() });
                }
                self.fact(AccountFact::Resync);
            }
            BrokerEvent::Unreadable { why } => {
                tracing::error!(venue = VENUE, why, "a fill does not read: halted");
                let halt = OperatorCommand {
                    action: OperatorAction::Halt,
                    note: format!(
                        "{VENUE}: a fill does not read, what is held is not known: {why}"
                    ),
                };
                if let Some(listener) = &self.listener {
                    let halt = Event::OperatorCommand(Box::new(halt));
                    listener.inputs.event(&halt);
                }
                self.fact(AccountFact::Resync);
            }
            BrokerEvent::Notice { code, message } => {
                tracing::info!(venue = VENUE, code, message, "notice");
            }
        }
    }

    /// Hands a fact on. The first one of an order that was just placed is the answer to that.
    fn fact(&mut self, fact: AccountFact) {
        let placing = client_id(&fact).and_then(|id| self.placing.remove(id));
        let Some(placing) = placing else {
            if let Some(listener) = &self.listener {
                // The order path ends with the daemon only.
                let _ = listener.facts.send(fact);
            }
            return;
        };
        let answer = match &fact {
            AccountFact::Order(order) if order.state == OrderState::Rejected => {
                let why = order.why.clone();
                PlaceAnswer::Rejected { why }
            }
            _ => PlaceAnswer::Accepted {
                venue_id: placing.venue_id,
                facts: vec![fact],
            },
        };
        let _ = placing.answer.send(answer);
    }

    fn expire(&mut self, now: Instant) {
        let overdue = self
            .placing
            .extract_if(.., |_, placing| placing.until <= now);
        for (_, placing) in overdue {
            let why = format!("no word of it within {} s", WORD_WITHIN.as_secs());
            let _ = placing.answer.send(PlaceAnswer::Unknown { why });
        }
    }

    fn say(&self, up: bool, why: &str) {
        let Some(listener) = &self.listener else {
            return;
        };
        let changed = ConnectionChanged {
            venue: VENUE.to_owned(),
            connection: "gateway".to_owned(),
            up,
            why: why.to_owned(),
        };
        let changed = Event::ConnectionChanged(Box::new(changed));
        listener.inputs.event(&changed);
    }
}

/// Our name for the order that a fact is about.
fn client_id(fact: &AccountFact) -> Option<&str> {
    match fact {
        AccountFact::Order(order) => order.key.client_id.as_deref(),
        AccountFact::Fill(fill) => fill.key.client_id.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
