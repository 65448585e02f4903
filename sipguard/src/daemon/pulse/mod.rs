//! What happens now, second by second, for everybody who watches: people at a
//! terminal or a page, alerts, and the history.

mod board;
mod rates;
mod readings;
mod sources;
mod task;

pub use self::board::{KEPT, Pulses};
pub(super) use self::{
    readings::{Held, Readings},
    task::beat,
};
