//! The lists, whole or what somebody looks for in them.

use axum::extract::{Query, State, rejection::QueryRejection};
use serde::Deserialize;

use super::{
    caller::Caller,
    failure::ApiError,
    json::Json,
    wire::{Banned, Kind, Listed, Lists, Origin, Verified},
};
use crate::daemon::{self, Shared};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListsQuery {
    kind: Option<Kind>,
    /// What stands in an entry's target, or in what is said of it.
    search: Option<String>,
    /// How many of each list at most; operators' entries come first then.
    limit: Option<usize>,
}

pub(super) async fn lists(
    _: Caller,
    State(shared): State<Shared>,
    query: Result<Query<ListsQuery>, QueryRejection>,
) -> Result<Json<Lists>, ApiError> {
    let Query(query) = query.map_err(|rejection| {
        let hint = "ask for ?kind=blocked, ?kind=trusted, ?kind=banned, ?kind=verified, or none; \
                    ?search= and ?limit= narrow them";
        ApiError::bad_request(rejection.body_text(), Some(hint.to_owned()))
    })?;
    // Large maps are walked for it.
    let work = move || {
        let lists = shared.blocking_daemon().lists(query.kind)?;
        Ok::<_, daemon::Error>(query.narrow(lists))
    };
    let lists = tokio::task::spawn_blocking(work).await;
    Ok(Json(lists.map_err(|error| daemon::Error::Host(std::io::Error::other(error)))??))
}

impl ListsQuery {
    fn narrow(&self, lists: Lists) -> Lists {
        let Lists { blocked, trusted, banned, verified } = lists;
        Lists {
            blocked: blocked.map(|list| self.narrowed(by_operators_first(list, self.limit))),
            trusted: trusted.map(|list| self.narrowed(by_operators_first(list, self.limit))),
            banned: banned.map(|list| self.narrowed(list)),
            verified: verified.map(|list| self.narrowed(list)),
        }
    }

    fn narrowed<T: Searched>(&self, mut list: Vec<T>) -> Vec<T> {
        if let Some(search) = self.search.as_deref().map(str::to_lowercase) {
            list.retain(|entry| entry.words().iter().any(|it| it.to_lowercase().contains(&search)));
        }
        list.truncate(self.limit.unwrap_or(usize::MAX));
        list
    }
}

/// Files and feeds may have a million entries, before which nobody would find his own.
fn by_operators_first(mut list: Vec<Listed>, limit: Option<usize>) -> Vec<Listed> {
    if limit.is_some() {
        list.sort_by_key(|entry| entry.origin != Origin::Operator);
    }
    list
}

/// What an entry is found by.
trait Searched {
    fn words(&self) -> Vec<String>;
}

impl Searched for Listed {
    fn words(&self) -> Vec<String> {
        let words = [Some(&self.target), self.name.as_ref(), self.reason.as_ref()];
        words.into_iter().flatten().cloned().collect()
    }
}

impl Searched for Banned {
    fn words(&self) -> Vec<String> {
        let words = [Some(&self.source), Some(&self.rule), self.signature.as_ref()];
        words.into_iter().flatten().cloned().collect()
    }
}

impl Searched for Verified {
    fn words(&self) -> Vec<String> {
        vec![format!("{} {}", self.address, self.port), self.how.clone()]
    }
}
