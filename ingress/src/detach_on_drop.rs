//! Work that outlives its client.
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A future that, dropped before it is done, goes on as a task of its own. hyper drops a
/// handler's future when the client disconnects; half a booking must not be left behind. While
/// the client waits, no task is needed.
pub(crate) struct DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + Unpin + 'static,
{
    work: Option<F>,
    tasks: TaskTracker,
}

impl<F> DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + Unpin + 'static,
{
    pub(crate) fn new(work: F, tasks: &TaskTracker) -> Self {
        Self { work: Some(work), tasks: tasks.clone() }
    }
}

impl<F> Future for DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + Unpin + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = Pin::new(work).poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F> Drop for DetachOnDrop<F>
where
    F: Future<Output: Send + 'static> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        // Without a runtime the process is ending, and recovery takes over.
        if Handle::try_current().is_ok() {
            self.tasks.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn dropped_work_is_finished() {
        let tasks = TaskTracker::new();
        let (go, wait) = oneshot::channel();
        let (done, seen) = oneshot::channel();
        let work = Box::pin(async move {
            wait.await.unwrap();
            done.send("done").unwrap();
        });
        let mut detach_on_drop = DetachOnDrop::new(work, &tasks);
        assert!(futures_util::poll!(&mut detach_on_drop).is_pending());
        drop(detach_on_drop);
        go.send(()).unwrap();
        assert_eq!(seen.await, Ok("done"));
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn finished_work_is_not_begun_again() {
        let tasks = TaskTracker::new();
        let mut detach_on_drop = DetachOnDrop::new(Box::pin(async { 7 }), &tasks);
        assert_eq!((&mut detach_on_drop).await, 7);
        drop(detach_on_drop);
        assert!(tasks.is_empty());
    }
}
