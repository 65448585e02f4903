//! A local API of CrowdSec: its decisions read, and bans told to it. Nothing
//! here knows the daemon or waits for it, and every clock is handed in.

mod book;
mod decision;
mod error;
mod go_duration;
mod kept;
mod lapi;
mod login;
mod modest;
mod outbox;
mod report;
mod schedule;
mod usage;
mod words;

pub use self::{
    book::{Book, Change, Held, Page, Terms},
    decision::{Answer, LeftOut, Named, read},
    error::{CrowdsecError, Reach},
    kept::{FOLDER, Kept, KeptDecision, Writer},
    lapi::{Lapi, Token},
    login::{Login, read_key},
    outbox::Outbox,
    report::{Report, SCENARIOS, Subject},
    schedule::Schedule,
    usage::{Tally, Usage, usage},
    words::{Words, WordsId},
};
