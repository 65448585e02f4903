//! Bans that the kernel program makes: who hears of them, and how long they
//! last for those who do it again.

mod minute;
mod offence;
mod pump;
mod words;

pub(super) use self::{
    minute::Minute,
    offence::{Terms, repeated},
    pump::pump,
    words::{reason, times},
};
