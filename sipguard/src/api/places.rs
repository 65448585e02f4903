//! Who may be connected to the control socket at once, and how much of the
//! daemon's time a user may take: nobody who may ask can keep others from it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

/// Connections at once of one user.
pub(super) const EACH: usize = 64;

/// The same of all users but root, who always gets in.
pub(super) const OTHERS: usize = 128;

/// Requests of one user that are worked on at once; the next ones wait.
const WORK: usize = 8;

const ROOT: u32 = 0;

#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<u32, User>>>);

#[derive(Debug)]
struct User {
    connections: usize,
    work: Arc<Semaphore>,
}

impl Places {
    /// A place for a connection of this user, if there is one.
    pub(super) fn take(&self, uid: u32) -> Option<Place> {
        let mut users = self.lock();
        let others: usize =
            users.iter().filter(|(uid, _)| **uid != ROOT).map(|(_, user)| user.connections).sum();
        if uid != ROOT && others >= OTHERS {
            return None;
        }
        let user = users
            .entry(uid)
            .or_insert_with(|| User { connections: 0, work: Arc::new(Semaphore::new(WORK)) });
        if user.connections >= EACH {
            return None;
        }
        user.connections += 1;
        let work = Arc::clone(&user.work);
        Some(Place { places: self.clone(), uid, work })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    uid: u32,
    work: Arc<Semaphore>,
}

impl Place {
    /// What a request waits for before it is worked on.
    pub(super) fn work(&self) -> Arc<Semaphore> {
        Arc::clone(&self.work)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.places.lock();
        if let Some(user) = users.get_mut(&self.uid) {
            user.connections -= 1;
            if user.connections == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_places_and_root_always_has_his() {
        let places = Places::default();
        let mut first: Vec<Place> = (0..EACH).map(|_| places.take(7).unwrap()).collect();
        assert!(places.take(7).is_none());
        let second: Vec<Place> = (0..OTHERS - EACH).map(|_| places.take(8).unwrap()).collect();
        // All places of others are taken, by whomever.
        assert!(places.take(9).is_none());
        let roots: Vec<Place> = (0..EACH).map(|_| places.take(ROOT).unwrap()).collect();
        assert!(places.take(ROOT).is_none());
        first.pop();
        let third = places.take(9).unwrap();
        drop((first, second, third, roots));
        assert!(places.lock().is_empty());
    }
}
