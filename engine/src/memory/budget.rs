//! Budgets: the right to hold bytes is taken before the bytes are read.
//!
//! A budget is a number, not memory. First come, first served: a large request at the front is not
//! overtaken by small ones, so it cannot starve.

use std::fmt;

use crate::rt::sync::Semaphore;

/// So many bytes may be held at once. Cloning gives another handle to the same budget.
#[derive(Clone)]
pub struct Budget {
    bytes: Semaphore,
    limit_bytes: usize,
}

/// More was asked for than the budget holds when it is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// Bytes asked for.
    pub wanted_bytes: usize,
    /// The whole budget.
    pub limit_bytes: usize,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted_bytes, limit_bytes } = self;
        write!(
            f,
            "{wanted_bytes} bytes asked of a budget of {limit_bytes}: refuse the request, or raise the limit"
        )
    }
}

impl std::error::Error for OverBudget {}

impl Budget {
    /// A budget of `limit_bytes`, nothing reserved.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { bytes: Semaphore::new(limit_bytes), limit_bytes }
    }

    /// Reserves `bytes`, waiting in line until they are free. Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`OverBudget`] at once when `bytes` is more than the whole budget.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation, OverBudget> {
        self.fits(bytes)?;
        self.bytes.take(bytes).await;
        Ok(Reservation { budget: self.clone(), bytes })
    }

    /// Reserves `bytes` if they are free now and nobody waits; `None` otherwise.
    #[must_use]
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        self.bytes.try_take(bytes).then(|| Reservation { budget: self.clone(), bytes })
    }

    /// Bytes that are free now.
    #[must_use]
    pub fn free_bytes(&self) -> usize {
        self.bytes.available()
    }

    /// The whole budget in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// How many wait in line.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.bytes.waiters()
    }

    fn fits(&self, bytes: usize) -> Result<(), OverBudget> {
        let limit_bytes = self.limit_bytes;
        if bytes > limit_bytes {
            return Err(OverBudget { wanted_bytes: bytes, limit_bytes });
        }
        Ok(())
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {} bytes free)", self.free_bytes(), self.limit_bytes)
    }
}

/// Bytes reserved from a [`Budget`]; they go back when this is dropped.
pub struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Reservation {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back all but `bytes`; does nothing when fewer are held.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.budget.bytes.give(surplus);
    }

    /// Splits off `bytes` into a reservation of its own.
    ///
    /// # Panics
    /// If fewer are held.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        assert!(bytes <= self.bytes, "split {bytes} off a reservation of {}", self.bytes);
        self.bytes -= bytes;
        Self { budget: self.budget.clone(), bytes }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.bytes.give(self.bytes);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({} bytes)", self.bytes)
    }
}
