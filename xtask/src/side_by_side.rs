//! Long work of which a machine can do two at a time.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many are done at once: each keeps about one processor busy.
const AT_ONCE: usize = 2;

/// Does the work for each of these, a few at a time. The results come in the order
/// of `inputs`.
pub(crate) fn side_by_side<I: Copy + Sync, O: Send>(
    inputs: &[I],
    work: impl Fn(I) -> O + Sync,
) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(number) else { return };
                    let result = work(*input);
                    lock(&results).push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::side_by_side;

    #[test]
    fn results_come_in_the_order_of_the_inputs() {
        assert_eq!(side_by_side(&[5, 1, 4, 2], |number| number * 2), [10, 2, 8, 4]);
        assert!(side_by_side(&[], |number: u8| number).is_empty());
    }
}
