//! Reading feeds out of turn, for somebody who waits for it.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;

use crate::{
    api::wire,
    daemon::{Error, Shared},
};

/// How long somebody waits for feeds. Pages of a large one may take longer; it
/// then still says that it is being read.
const WAITING: Duration = Duration::from_secs(100);

/// Reads one feed, or all that are not switched off, and says how they are
/// doing then.
///
/// # Errors
/// There is no such feed, or it is switched off.
pub async fn refresh(shared: &Shared, name: Option<String>) -> Result<wire::Feeds, Error> {
    let feeds = shared.daemon().await.feeds();
    let names: BTreeSet<String> = match name {
        None => {
            let on = feeds.iter().filter(|feed| feed.settings.enabled);
            on.map(|feed| feed.name.clone()).collect()
        }
        Some(name) => match feeds.iter().find(|feed| feed.name == name) {
            None => return Err(Error::NoFeed(name)),
            Some(feed) if !feed.settings.enabled => return Err(Error::FeedIsOff(name)),
            Some(_) => BTreeSet::from([name]),
        },
    };
    let read = shared.feeds().ask(names);
    // Whether it took too long or went badly, the states say.
    let _ = timeout(WAITING, read).await;
    Ok(shared.daemon().await.feeds_wire())
}
