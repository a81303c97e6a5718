//! A gateway through crate `ibapi`, which is seen nowhere else.
//!
//! The crate keeps the socket: it reconnects on its own, with the same client id, waiting up to 30 s between attempts, and
//! reads the next order id anew each time. Here every new connection is an order to look everything up.
use super::VENUE;
use super::account::{Account, Commission, Execution, OpenOrder, Status, decimal};
use super::broker::{Broker, BrokerError, BrokerEvent, Config, Contract, Contracts, Oca, orders};
use super::listing::{Details, broker_symbol, list};
use super::proto;
use crate::gateway::fields::decimal_from_text;
use crate::gateway::{
    AccountFact, Balance, KnownOrder, Listing, NewOrder, Refusal, WireError, shortened,
};
use futures_util::StreamExt;
use ibapi::accounts::types::AccountGroup;
use ibapi::accounts::{AccountSummaryResult, AccountSummaryTags, PositionUpdate};
use ibapi::contracts::{Contract as IbContract, SecurityType};
use ibapi::orders::{
    Action, CommissionReport, ExecutionData, ExecutionFilter, ExecutionSide, Executions, Liquidity,
    Order, OrderData, OrderStatus, OrderUpdate, Orders, TimeInForce,
};
use ibapi::subscriptions::{NoticeStream, Subscription, SubscriptionItem};
use ibapi::{Client, Error, Notice, RateLimiter};
use onetape_engine::id::InstrumentId;
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Interval, MissedTickBehavior};

/// How often the connection is looked at while nothing comes.
const LOOK: Duration = Duration::from_millis(250);
/// How often a list of executions is asked for again while the fee of one is not there yet, and how long in between.
const FEE_TRIES: u32 = 4;
const FEE_WAIT: Duration = Duration::from_millis(500);
/// A row of the account's summary: cash in one currency. The sum of all is told as currency "BASE".
const CASH: &str = "CashBalance";
const ALL_CURRENCIES: &str = "BASE";
/// Messages a second that a gateway takes.
const MESSAGES_PER_SECOND: u32 = 50;

/// A connection to a gateway.
pub struct Gateway {
    config: Config,
    client: Client,
    notices: NoticeStream,
    updates: Subscription<OrderUpdate>,
    account: Account,
    events: VecDeque<BrokerEvent>,
    /// Goes on while nobody waits for an event.
    look: Interval,
    was_connected: bool,
}

impl Gateway {
    /// Connects. While the gateway is not there, or keeps our client id for a session that ended (326), it tries again with
    /// the same id, ever later.
    ///
    /// # Errors
    /// [`BrokerError::Config`] and [`BrokerError::WrongAccount`] at once; [`BrokerError::ClientIdInUse`] and
    /// [`BrokerError::Unavailable`] after the last attempt.
    pub async fn connect(config: Config, contracts: Contracts) -> Result<Self, BrokerError> {
        config.check()?;
        let mut attempt = 0;
        let (client, notices) = loop {
            match open(&config).await {
                Ok(opened) => break opened,
                Err(Error::ClientIdInUse { client_id }) if attempt + 1 >= config.attempts => {
                    let (host, port) = (config.host, config.port);
                    return Err(BrokerError::ClientIdInUse {
                        host,
                        port,
                        client_id,
                    });
                }
                Err(error) if attempt + 1 >= config.attempts => return Err(unavailable(&error)),
                Err(error) => {
                    tracing::warn!(venue = VENUE, %error, attempt, "not connected");
                    tokio::time::sleep(Duration::from_millis(config.wait_ms(attempt))).await;
                    attempt += 1;
                }
            }
        };
        if let Err(wrong) = config.check_accounts(client.handshake_managed_accounts()) {
            client.disconnect().await;
            return Err(wrong);
        }
        let updates = client
            .order_update_stream()
            .await
            .map_err(|e| unavailable(&e))?;
        let connected = BrokerEvent::Connected {
            next_order_id: peek_order_id(&client).await.map_err(|e| unavailable(&e))?,
        };
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            look,
            config,
            client,
            notices,
            updates,
            account: Account::new(contracts),
            events: VecDeque::from([connected, BrokerEvent::Fact(AccountFact::Resync)]),
            was_connected: true,
        })
    }

    /// Ends the connection.
    pub async fn disconnect(&self) {
        self.client.disconnect().await;
    }

    fn answer_within(&self) -> Duration {
        Duration::from_millis(self.config.answer_ms)
    }

    fn facts(&mut self, take: impl FnOnce(&mut Account, &mut Vec<AccountFact>)) {
        let mut facts = Vec::new();
        take(&mut self.account, &mut facts);
        self.events.extend(facts.into_iter().map(BrokerEvent::Fact));
    }

    fn update(&mut self, update: OrderUpdate) {
        match update {
            OrderUpdate::OrderStatus(status) => {
                if let Some(status) = of_status(&status) {
                    self.facts(|account, out| account.status(&status, out));
                }
            }
            OrderUpdate::OpenOrder(order) => {
                if let Some(order) = of_open_order(&order) {
                    self.facts(|account, out| account.open_order(&order, out));
                }
            }
            OrderUpdate::ExecutionData(execution) => {
                let mut facts = Vec::new();
                let taken = match of_execution(&execution) {
                    Some(execution) => self.account.execution(&execution, now(), &mut facts),
                    None => Err(unreadable(&execution)),
                };
                if let Err(error) = taken {
                    let why = error.to_string();
                    self.events.push_back(BrokerEvent::Unreadable { why });
                }
                self.events.extend(facts.into_iter().map(BrokerEvent::Fact));
            }
            OrderUpdate::CommissionReport(report) => {
                let commission = of_commission(&report);
                self.facts(|account, out| account.commission(&commission, out));
            }
            OrderUpdate::OrderBound(_) => {}
        }
    }

    async fn notice(&mut self, notice: Notice) {
        match notice.code {
            ibapi::TRANSPORT_RECONNECT_CODE => self.reconnected().await,
            ibapi::SUBSCRIPTION_LAG_CODE | ibapi::NOTICE_STREAM_LAG_CODE => {
                self.events
                    .push_back(BrokerEvent::Fact(AccountFact::Resync));
            }
            code => {
                let mut events = Vec::new();
                self.account
                    .notice(notice.request_id, code, &notice.message, &mut events);
                self.events.extend(events);
            }
        }
    }

    async fn reconnected(&mut self) {
        self.was_connected = true;
        match peek_order_id(&self.client).await {
            Ok(next_order_id) => self
                .events
                .push_back(BrokerEvent::Connected { next_order_id }),
            Err(error) => self.events.push_back(BrokerEvent::Notice {
                code: 0,
                message: shortened(&error.to_string()),
            }),
        }
        self.events
            .push_back(BrokerEvent::Fact(AccountFact::Resync));
    }

    /// The stream of updates ended with an error: another one, and whatever was missed is looked up.
    async fn renew_updates(&mut self) {
        match self.client.order_update_stream().await {
            Ok(updates) => {
                self.updates = updates;
                self.events
                    .push_back(BrokerEvent::Fact(AccountFact::Resync));
            }
            Err(error) => {
                let why = shortened(&error.to_string());
                self.events.push_back(BrokerEvent::Lost { why });
                tokio::time::sleep(Duration::from_millis(self.config.retry_ms.min(1_000))).await;
            }
        }
    }

    /// Our executions of the last week, and fees as far as they are known.
    async fn listed_executions(
        &mut self,
    ) -> Result<(Vec<Execution>, Vec<Commission>), BrokerError> {
        let filter = ExecutionFilter {
            client_id: Some(self.config.client_id),
            last_n_days: 7,
            ..ExecutionFilter::default()
        };
        let mut answer = self
            .client
            .executions(filter)
            .await
            .map_err(|e| unavailable(&e))?;
        let listed = answer.collect_to_end_within(self.answer_within()).await;
        let (mut executions, mut commissions) = (Vec::new(), Vec::new());
        for item in listed.map_err(|e| unavailable(&e))? {
            match item {
                Executions::ExecutionData(data) => {
                    let execution = of_execution(&data).ok_or_else(|| unreadable(&data));
                    executions.push(execution.map_err(|e| unusable(&e))?);
                }
                Executions::CommissionReport(report) => commissions.push(of_commission(&report)),
            }
        }
        Ok((executions, commissions))
    }

    fn look(&mut self) {
        let is_connected = self.client.is_connected();
        if self.was_connected && !is_connected {
            let why = "the socket to the gateway is gone".to_owned();
            self.events.push_back(BrokerEvent::Lost { why });
        }
        if !is_connected {
            self.was_connected = false;
        }
        self.facts(|account, out| account.tick(now(), out));
    }
}

async fn open(config: &Config) -> Result<(Client, NoticeStream), Error> {
    Client::builder()
        .address(format!("{}:{}", config.host, config.port))
        .client_id(config.client_id)
        .reconnect_forever()
        .rate_limiter(RateLimiter::per_second(MESSAGES_PER_SECOND))
        .one_shot_timeout(Duration::from_millis(config.answer_ms.max(1)))
        .connect_with_notice_stream()
        .await
}

async fn peek_order_id(client: &Client) -> Result<i32, Error> {
    client.next_valid_order_id().await
}

fn unavailable(error: &Error) -> BrokerError {
    BrokerError::Unavailable {
        why: shortened(&error.to_string()),
    }
}

fn unusable(error: &WireError) -> BrokerError {
    BrokerError::Unavailable {
        why: error.to_string(),
    }
}

fn unreadable(data: &ExecutionData) -> WireError {
    WireError::Malformed {
        venue: VENUE,
        message: format!("execution {}", shortened(&data.execution.execution_id)),
        why: "price or quantity is no number".to_owned(),
    }
}

fn unknown(error: &Error) -> BrokerError {
    BrokerError::Unknown {
        why: shortened(&error.to_string()),
    }
}

fn now() -> Nanos {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

impl Broker for Gateway {
    async fn list(
        &mut self,
        symbol: &str,
        instrument: InstrumentId,
        now: Nanos,
    ) -> Result<(Listing, Contract), BrokerError> {
        let wanted = IbContract {
            symbol: broker_symbol(symbol).as_str().into(),
            security_type: SecurityType::Stock,
            exchange: "SMART".into(),
            currency: "USD".into(),
            ..IbContract::default()
        };
        let asked = self.client.contract_details_stream(&wanted).subscribe();
        let mut answer = asked.await.map_err(|e| unavailable(&e))?;
        let found = answer.collect_to_end_within(self.answer_within()).await;
        let found: Vec<Details> = found
            .map_err(|e| unavailable(&e))?
            .into_iter()
            .map(|it| Details {
                symbol: it.contract.symbol.0,
                currency: it.contract.currency.0,
                primary_exchange: it.contract.primary_exchange.0,
                min_tick: decimal(it.min_tick),
            })
            .collect();
        list(symbol, instrument, &found, now).map_err(|e| unusable(&e))
    }

    fn trade(&mut self, contracts: Contracts) {
        self.account = Account::new(contracts);
    }

    async fn place(
        &mut self,
        group: &[NewOrder<'_>],
        oca: Oca<'_>,
    ) -> Result<Vec<i32>, BrokerError> {
        let own = self.config.account.as_str();
        // All of it is checked before an id is taken.
        orders(group, oca, self.account.contracts(), own, 1)?;
        let ids: Vec<i32> = group.iter().map(|_| self.client.next_order_id()).collect();
        let first = ids.first().copied().unwrap_or_default();
        let requests = orders(group, oca, self.account.contracts(), own, first)?;
        for (order, id) in group.iter().zip(&ids) {
            self.account.placing(*id, order);
        }
        for (request, id) in requests.iter().zip(&ids) {
            let (contract, order) = to_ib(request);
            let sent = self.client.submit_order(*id, &contract, &order).await;
            sent.map_err(|e| unknown(&e))?;
        }
        Ok(ids)
    }

    async fn cancel(&mut self, order: &KnownOrder<'_>) -> Result<(), BrokerError> {
        let told = order.venue_id.and_then(|id| id.parse().ok());
        let id = told.or_else(|| self.account.order_id(order.order.client_id));
        let id: i32 = id.ok_or_else(|| Refusal {
            venue: VENUE,
            why: "the order has no id here yet".to_owned(),
        })?;
        let sent = self.client.cancel_order(id, "").await;
        sent.map(|_| ()).map_err(|e| unknown(&e))
    }

    async fn open_orders(&mut self) -> Result<Vec<AccountFact>, BrokerError> {
        let mut answer = self
            .client
            .open_orders()
            .await
            .map_err(|e| unavailable(&e))?;
        let listed = answer.collect_to_end_within(self.answer_within()).await;
        let open: Vec<OpenOrder> = listed
            .map_err(|e| unavailable(&e))?
            .iter()
            .filter_map(|item| match item {
                Orders::OrderData(order) => of_open_order(order),
                Orders::OrderStatus(_) => None,
            })
            .collect();
        let mut facts = Vec::new();
        self.account.open_orders(&open, &mut facts);
        Ok(facts)
    }

    async fn executions(&mut self, since: Nanos) -> Result<Vec<AccountFact>, BrokerError> {
        let mut listed = self.listed_executions().await?;
        // A fee comes a moment after its execution, and a fill without one is booked at what it is reckoned to cost.
        for _ in 1..FEE_TRIES {
            let (executions, commissions) = &listed;
            let has_fee = |it: &Execution| commissions.iter().any(|fee| fee.exec_id == it.exec_id);
            if executions.iter().all(has_fee) {
                break;
            }
            tokio::time::sleep(FEE_WAIT).await;
            listed = self.listed_executions().await?;
        }
        let (executions, commissions) = listed;
        let mut facts = Vec::new();
        let told = self
            .account
            .fills(&executions, &commissions, now(), &mut facts);
        told.map_err(|e| unusable(&e))?;
        facts.retain(|fact| !matches!(fact, AccountFact::Fill(fill) if fill.at < since));
        Ok(facts)
    }

    async fn positions(&mut self) -> Result<Vec<AccountFact>, BrokerError> {
        let mut answer = self.client.positions().await.map_err(|e| unavailable(&e))?;
        let mut found = Vec::new();
        let all = async {
            while let Some(item) = answer.next().await {
                match item? {
                    SubscriptionItem::Data(PositionUpdate::Position(position)) => {
                        if position.account == self.config.account
                            && position.contract.security_type == SecurityType::Stock
                            && let Some(qty) = decimal(position.position)
                        {
                            let contract = position.contract;
                            found.push((contract.symbol.0, contract.currency.0, qty));
                        }
                    }
                    SubscriptionItem::Data(PositionUpdate::PositionEnd) => return Ok(()),
                    SubscriptionItem::Notice(_) => {}
                }
            }
            Err(Error::UnexpectedEndOfStream)
        };
        let done = tokio::time::timeout(self.answer_within(), all).await;
        done.unwrap_or(Err(Error::Timeout))
            .map_err(|e| unavailable(&e))?;
        let mut facts = Vec::new();
        let told = self.account.positions(&found, &mut facts);
        told.map_err(|e| unusable(&e))?;
        Ok(facts)
    }

    async fn cash(&mut self) -> Result<Vec<AccountFact>, BrokerError> {
        let all = AccountGroup("All".to_owned());
        let tags = [AccountSummaryTags::LEDGER_ALL];
        let asked = self.client.account_summary(&all, &tags).await;
        let mut answer = asked.map_err(|e| unavailable(&e))?;
        let mut facts = Vec::new();
        let rows = async {
            while let Some(item) = answer.next().await {
                match item? {
                    SubscriptionItem::Data(AccountSummaryResult::Summary(row)) => {
                        let is_ours = row.account == self.config.account && row.tag == CASH;
                        if is_ours
                            && row.currency != ALL_CURRENCIES
                            && let Some(free) = decimal_from_text(&row.value)
                        {
                            facts.push(AccountFact::Balance(Balance {
                                currency: row.currency,
                                free,
                                locked: Decimal::ZERO,
                            }));
                        }
                    }
                    SubscriptionItem::Data(AccountSummaryResult::End) => return Ok(()),
                    SubscriptionItem::Notice(_) => {}
                }
            }
            Err(Error::UnexpectedEndOfStream)
        };
        let done = tokio::time::timeout(self.answer_within(), rows).await;
        done.unwrap_or(Err(Error::Timeout))
            .map_err(|e| unavailable(&e))?;
        Ok(facts)
    }

    async fn next_order_id(&mut self) -> Result<i32, BrokerError> {
        peek_order_id(&self.client)
            .await
            .map_err(|e| unavailable(&e))
    }

    async fn next_event(&mut self) -> BrokerEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            tokio::select! {
                update = self.updates.next() => match update {
                    Some(Ok(SubscriptionItem::Data(update))) => self.update(update),
                    Some(Ok(SubscriptionItem::Notice(notice))) => self.notice(notice).await,
                    Some(Err(_)) | None => self.renew_updates().await,
                },
                Some(notice) = self.notices.next() => self.notice(notice).await,
                _ = self.look.tick() => self.look(),
            }
        }
    }
}

fn to_ib(request: &proto::PlaceOrderRequest) -> (IbContract, Order) {
    let contract = request.contract.clone().unwrap_or_default();
    let order = request.order.clone().unwrap_or_default();
    let text = Option::<String>::unwrap_or_default;
    let ib_contract = IbContract {
        symbol: text(contract.symbol).as_str().into(),
        security_type: SecurityType::Stock,
        exchange: text(contract.exchange).as_str().into(),
        primary_exchange: text(contract.primary_exch).as_str().into(),
        currency: text(contract.currency).as_str().into(),
        ..IbContract::default()
    };
    let ib_order = Order {
        order_id: request.order_id.unwrap_or_default(),
        action: match order.action.as_deref() {
            Some("SELL") => Action::Sell,
            _ => Action::Buy,
        },
        total_quantity: text(order.total_quantity).parse().unwrap_or_default(),
        order_type: text(order.order_type),
        limit_price: order.lmt_price,
        aux_price: order.aux_price,
        tif: match order.tif.as_deref() {
            Some("IOC") => TimeInForce::ImmediateOrCancel,
            _ => TimeInForce::GoodTillCanceled,
        },
        account: text(order.account),
        order_ref: text(order.order_ref),
        oca_group: text(order.oca_group),
        oca_type: order.oca_type.unwrap_or_default().into(),
        parent_id: order.parent_id.unwrap_or_default(),
        transmit: order.transmit.unwrap_or_default(),
        ..Order::default()
    };
    (ib_contract, ib_order)
}

fn of_status(status: &OrderStatus) -> Option<Status> {
    Some(Status {
        order_id: status.order_id,
        status: status.status.as_str().to_owned(),
        filled: decimal(status.filled)?,
    })
}

fn of_open_order(order: &OrderData) -> Option<OpenOrder> {
    Some(OpenOrder {
        order_id: order.order_id,
        order_ref: order.order.order_ref.clone(),
        symbol: order.contract.symbol.0.clone(),
        currency: order.contract.currency.0.clone(),
        qty: decimal(order.order.total_quantity)?,
        status: order.order_state.status.as_str().to_owned(),
        why: order.order_state.reject_reason.clone(),
    })
}

fn of_execution(data: &ExecutionData) -> Option<Execution> {
    let execution = &data.execution;
    Some(Execution {
        order_id: execution.order_id,
        order_ref: execution.order_reference.clone(),
        exec_id: execution.execution_id.clone(),
        symbol: data.contract.symbol.0.clone(),
        currency: data.contract.currency.0.clone(),
        side: match execution.side {
            ExecutionSide::Bought => Side::Buy,
            ExecutionSide::Sold => Side::Sell,
        },
        price: decimal(execution.price)?,
        qty: decimal(execution.shares)?,
        cumulative: decimal(execution.cumulative_quantity)?,
        liquidity: i32::from(execution.last_liquidity == Liquidity::AddedLiquidity),
        time: execution.time.clone(),
    })
}

fn of_commission(report: &CommissionReport) -> Commission {
    Commission {
        exec_id: report.execution_id.clone(),
        fee: decimal(report.commission),
        currency: report.currency.clone(),
    }
}
