//! Taking a lock: one way for all crates, also after a panic of somebody who held it.
//!
//! A panic ends the task it happens in and no other. What a lock guards here is either replaced
//! whole or can be read from the record again, so whoever comes next goes on with what is there.
//! Where a half-made change could matter, the owner asks `is_poisoned` and starts afresh.
use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the lock back until `condition` is notified, and takes it again.
pub fn wait<'m, T>(condition: &Condvar, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

pub fn read_lock<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub fn write_lock<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_outlives_the_panic_of_whoever_held_it() {
        let (mutex, shared) = (Mutex::new(1), RwLock::new(1));
        let panicked = std::thread::scope(|scope| {
            let holder = || {
                let (mut one, mut other) = (lock(&mutex), write_lock(&shared));
                (*one, *other) = (2, 2);
                panic!("while both are held");
            };
            scope.spawn(holder).join().is_err()
        });
        assert!(panicked && mutex.is_poisoned() && shared.is_poisoned());
        assert_eq!((*lock(&mutex), *read_lock(&shared)), (2, 2));
        *write_lock(&shared) = 3;
        assert_eq!(*read_lock(&shared), 3);
    }
}
