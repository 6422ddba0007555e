//! Faults on purpose: a call that fails or never returns, before or after its effect.
use ledger::StoreError;
use payment_worker::gateway::GatewayError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies.
    CrashBefore,
    CrashAfter,
    /// The call answers with an error, and the process goes on.
    FailBefore,
    FailAfter,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] =
        [Self::CrashBefore, Self::CrashAfter, Self::FailBefore, Self::FailAfter];

    /// As it is for calls whose failure must leave everything as it was.
    fn harmless(self) -> Self {
        if self == Self::FailAfter { Self::FailBefore } else { self }
    }
}

/// Asked at every call that has an effect.
type Plan = Box<dyn FnMut() -> Option<Fault> + Send>;

/// Decides which calls go wrong; clones share the decision.
#[derive(Clone)]
pub(crate) struct Faults {
    plan: Arc<Mutex<Plan>>,
    crashed: Arc<Notify>,
    /// From a crash until the loops are dropped: whatever a dead process still asks for, it must
    /// not get. A loop that drops the call that crashed would go on otherwise.
    dead: Arc<AtomicBool>,
}

impl Faults {
    pub(crate) fn new(plan: impl FnMut() -> Option<Fault> + Send + 'static) -> Self {
        let plan: Plan = Box::new(plan);
        Self { plan: Arc::new(Mutex::new(plan)), crashed: Arc::default(), dead: Arc::default() }
    }

    pub(crate) fn none() -> Self {
        Self::new(|| None)
    }

    /// Returns once a call crashed: whoever runs the loops drops them then.
    pub(crate) async fn crashed(&self) {
        self.crashed.notified().await;
        self.dead.store(false, Ordering::Release);
    }

    /// What goes wrong with the next call, unless the process is dead.
    async fn next(&self) -> Option<Fault> {
        if self.dead.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        (self.plan.lock().unwrap())()
    }

    async fn crash<T>(&self) -> T {
        self.dead.store(true, Ordering::Release);
        self.crashed.notify_one();
        std::future::pending().await
    }

    /// Makes a call with whatever goes wrong with it.
    pub(crate) async fn around<T, E: Faulty>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let fault = self.next().await;
        self.strike(fault, call).await
    }

    /// As [`Self::around`], for calls whose failure must leave everything as it was.
    pub(crate) async fn around_harmless<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = self.next().await;
        self.strike(fault.map(Fault::harmless), call).await
    }

    /// For calls that look for work: only those that find some count, and those go wrong after.
    pub(crate) async fn behind<T: Looked>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let found = call.await?;
        if !found.is_empty() && self.next().await.is_some() {
            return self.crash().await;
        }
        Ok(found)
    }

    async fn strike<T, E: Faulty>(
        &self,
        fault: Option<Fault>,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match fault {
            None => call.await,
            Some(Fault::CrashBefore) => self.crash().await,
            Some(Fault::FailBefore) => Err(E::before()),
            Some(Fault::CrashAfter) => {
                let _ = call.await;
                self.crash().await
            }
            Some(Fault::FailAfter) => {
                call.await?;
                Err(E::after())
            }
        }
    }
}

/// An error made on purpose.
pub(crate) trait Faulty {
    fn before() -> Self;
    fn after() -> Self;
}

impl Faulty for StoreError {
    fn before() -> Self {
        Self::unavailable("testing", "a fault on purpose")
    }

    fn after() -> Self {
        Self::unknown("testing", "a fault on purpose")
    }
}

impl Faulty for GatewayError {
    fn before() -> Self {
        Self::no_answer("testing", "a fault on purpose")
    }

    fn after() -> Self {
        Self::no_answer("testing", "a fault on purpose")
    }
}

/// An answer that may hold nothing.
pub(crate) trait Looked {
    fn is_empty(&self) -> bool;
}

impl<T> Looked for Vec<T> {
    fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}
