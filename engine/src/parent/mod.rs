//! Multi-leg orders: two legs of equal shares with one state machine.
//!
//! A strategy opens one with [`Parents::open`]; its [`Plan`] stands on the tape in the first [`ParentChanged`] frame, and
//! every state that it moves to in another one. [`Parents::evolve`] folds frames, [`Parents::decide`] says what to do
//! next, and both only ever look at frames: a recovered run stands where the uninterrupted one does.
//!
//! ```text
//! None -> Leg1Sent -> Leg1Filled -> Leg2Sent -> Hedged
//!   leg 1 found nothing: Closed        short, denied, late: SingleLeg -> Unwinding -> Closed or Hedged
//!   outcome not known in time, or it does not add up: Reconcile
//! ```
//!
//! [`ParentChanged`]: crate::event::ParentChanged
pub(crate) mod depth;
mod leg;
mod machine;
mod parents;
mod plan;
mod state;

pub use machine::Parent;
pub use parents::Parents;
pub use plan::{Leg, LegSide, Plan, Remedy, Role, UnwindRule};
pub use state::ParentState;
