//! The thread of each venue's order path.
use super::running::Before;
use super::threads::{Thread, spawn};
use super::{DaemonError, RunOptions};
use crate::budget::{Allowance, Budget};
use crate::config::DurabilityMode;
use crate::core;
use crate::inputs::Inputs;
use crate::order_path::{OrderPath, OrderPathOptions, OrderPathStart, OrderPathStatus};
use crate::transport::Transport;
use onetape_venues::gateway::AccountFact;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What an order path's thread is made of.
pub(super) struct OrderPathThread {
    pub(super) journal: PathBuf,
    pub(super) inputs: Inputs,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) options: OrderPathOptions,
    pub(super) allowance: Allowance,
}

/// Makes the transport on the order path's own thread, which it does not leave.
pub(super) type MakeTransport = Box<dyn FnOnce(Rc<RefCell<Budget>>) -> Box<dyn Transport> + Send>;

impl OrderPathThread {
    pub(super) fn spawn(
        self,
        venue: &str,
        transport: MakeTransport,
        told: mpsc::UnboundedReceiver<AccountFact>,
        status: Arc<OrderPathStatus>,
        before: &Before,
    ) -> Result<Thread, DaemonError> {
        let (venue, market, orders) = (
            venue.to_owned(),
            before.market.clone(),
            before.orders.clone(),
        );
        let first_own = before.first_own;
        spawn("an order path", move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| e.to_string())?;
            let start = OrderPathStart {
                venue: &venue,
                journal: &self.journal,
                market: &market,
                orders: &orders,
                first_own,
            };
            let budget = Budget::new(self.allowance, Instant::now());
            let budget = Rc::new(RefCell::new(budget));
            let path = OrderPath::new(
                &start,
                transport(budget.clone()),
                budget,
                self.inputs,
                told,
                self.options,
                status,
            );
            let path = path.map_err(|e| e.to_string())?;
            let local = tokio::task::LocalSet::new();
            let ran = runtime.block_on(local.run_until(path.run(&self.stop)));
            ran.map_err(|e| e.to_string())
        })
    }
}

pub(super) fn order_path_options(options: &RunOptions) -> OrderPathOptions {
    let live = &options.live.live;
    OrderPathOptions {
        lost_after: Duration::from_millis(live.lost_after_ms),
        reconcile_every: Duration::from_secs(live.reconcile_every_s.max(1)),
        only_durable: live.durability == DurabilityMode::Power,
        eager: live.wait != core::Wait::Park,
    }
}
