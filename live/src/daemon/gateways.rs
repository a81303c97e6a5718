//! The thread of all gateways: feeds and order paths. They share one because a tick and the order that follows from it
//! meet there, and because as many threads that wait by looking again would take the processors from each other.
use super::running::Before;
use super::threads::{Thread, spawn};
use super::{DaemonError, LOOK_EVERY, RunOptions};
use crate::budget::{Allowance, Budget};
use crate::config::DurabilityMode;
use crate::core;
use crate::gateway::Gateway;
use crate::inputs::Inputs;
use crate::order_path::{OrderPath, OrderPathOptions, OrderPathStart, OrderPathStatus};
use crate::transport::Transport;
use onetape_venues::gateway::AccountFact;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

/// Makes the transport on the gateways' thread, which it does not leave.
pub(super) type MakeTransport = Box<dyn FnOnce(Rc<RefCell<Budget>>) -> Box<dyn Transport> + Send>;

/// What one venue's order path is made of.
pub(super) struct OrderPathParts {
    pub(super) venue: String,
    pub(super) transport: MakeTransport,
    pub(super) allowance: Allowance,
    pub(super) facts: mpsc::UnboundedReceiver<AccountFact>,
    pub(super) status: Arc<OrderPathStatus>,
}

impl OrderPathParts {
    fn assemble(
        self,
        journal: &Path,
        inputs: &Inputs,
        options: OrderPathOptions,
        before: &Before,
    ) -> Result<OrderPath, onetape_journal::Error> {
        let start = OrderPathStart {
            venue: &self.venue,
            journal,
            market: &before.market,
            orders: &before.orders,
            first_own: before.first_own,
        };
        let budget = Budget::new(self.allowance, Instant::now());
        let budget = Rc::new(RefCell::new(budget));
        OrderPath::new(
            &start,
            (self.transport)(budget.clone()),
            budget,
            inputs.clone(),
            self.facts,
            options,
            self.status,
        )
    }
}

/// What the gateways' thread is made of.
pub(super) struct Gateways {
    pub(super) feeds: Vec<Gateway>,
    pub(super) order_paths: Vec<OrderPathParts>,
    pub(super) journal: PathBuf,
    pub(super) inputs: Inputs,
    pub(super) options: OrderPathOptions,
    pub(super) before: Before,
}

impl Gateways {
    pub(super) fn spawn(self, stop: Arc<AtomicBool>) -> Result<Thread, DaemonError> {
        spawn("gateways", move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| e.to_string())?;
            runtime.block_on(LocalSet::new().run_until(self.run(stop)))
        })
    }

    /// Until `stop`: the feeds end first, so that nothing new comes in, then the order paths, which still report. One that
    /// panics before ends the daemon: a feed that is gone would not even say that it is silent.
    async fn run(self, stop: Arc<AtomicBool>) -> Result<(), String> {
        let mut order_paths = JoinSet::new();
        for parts in self.order_paths {
            let path = parts.assemble(&self.journal, &self.inputs, self.options, &self.before);
            let path = path.map_err(|e| e.to_string())?;
            let stop = stop.clone();
            order_paths.spawn_local(async move { path.run(&stop).await });
        }
        let mut feeds = JoinSet::new();
        for feed in self.feeds {
            feeds.spawn_local(feed.run());
        }
        let until_stopped = async {
            while !stop.load(Ordering::Acquire) {
                tokio::time::sleep(LOOK_EVERY).await;
                if let Some(Err(panicked)) = feeds.try_join_next() {
                    return Err(format!("a feed: {panicked}"));
                }
            }
            feeds.shutdown().await;
            Ok(())
        };
        let until_reported = async {
            while let Some(ended) = order_paths.join_next().await {
                let ended = ended.map_err(|panicked| format!("an order path: {panicked}"))?;
                ended.map_err(|e| e.to_string())?;
            }
            Ok(())
        };
        tokio::try_join!(until_stopped, until_reported)?;
        Ok(())
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
