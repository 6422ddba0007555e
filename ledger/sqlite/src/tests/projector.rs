//! The projector over an embedded ledger: what it shows, whom it wakes, and how it fails and ends.
use crate::testing::sqlite_ledger;
use async_trait::async_trait;
use ledger::books::Settlement;
use ledger::conformance::TestLedger;
use ledger::conformance::sample::{NOW, SampleEvent, cancel_of, consumer_config};
use ledger::projector::{Projector, rebuild};
use ledger::purchase::ChargeResult;
use ledger::{AccountId, BookingId, BookingStatus, Page, PlaceBooking, TicketId};
use ledger::{Booking, BookingChanges, BookingCommand, Cursor, Group, Message, StoreError, Views};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Views that fail the first `failures` puts and let each other one through by a permit.
struct Gated {
    views: Arc<dyn Views>,
    failures: AtomicU32,
    entered: Semaphore,
    permits: Semaphore,
}

impl Gated {
    fn new(views: Arc<dyn Views>, failures: u32, permits: usize) -> Arc<Self> {
        let (entered, permits) = (Semaphore::new(0), Semaphore::new(permits));
        Arc::new(Self { views, failures: AtomicU32::new(failures), entered, permits })
    }
}

#[async_trait]
impl Views for Gated {
    async fn put(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        let fail = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail).is_ok() {
            return Err(StoreError::unavailable("putting", "a planted failure"));
        }
        self.entered.add_permits(1);
        self.permits.acquire().await.expect("never closed").forget();
        self.views.put(bookings).await
    }

    async fn rewrite(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        self.views.rewrite(bookings).await
    }

    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, StoreError> {
        self.views.booking(id).await
    }

    async fn bookings_of(&self, of: &AccountId, at: Cursor) -> Result<Page<Booking>, StoreError> {
        self.views.bookings_of(of, at).await
    }

    async fn booking_of_ticket(&self, ticket: &TicketId) -> Result<Option<Booking>, StoreError> {
        self.views.booking_of_ticket(ticket).await
    }
}

/// A running projector.
struct Running {
    changes: BookingChanges,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

fn start(ledger: &TestLedger, views: Arc<dyn Views>) -> Running {
    let projector = Projector::new(ledger.log.clone(), views, consumer_config());
    let (changes, shutdown) = (projector.changes(), CancellationToken::new());
    let tasks = TaskTracker::new();
    tasks.spawn(projector.run(shutdown.clone()));
    tasks.close();
    Running { changes, shutdown, tasks }
}

impl Running {
    /// Waits, as a long-poll does, until the booking's view is of this status.
    async fn wait_for(&self, views: &dyn Views, id: &BookingId, status: BookingStatus) -> Booking {
        let mut watch = self.changes.subscribe(id);
        loop {
            match views.booking(id).await.unwrap() {
                Some(booking) if booking.status == status => return booking,
                _ => watch.changed().await,
            }
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.wait().await;
    }
}

fn placed(command: &PlaceBooking) -> Message {
    Message::Command(BookingCommand::Place(command.clone()))
}

/// Sells a booking in the books; its outcome.
async fn sell(ledger: &TestLedger, command: &PlaceBooking) -> Message {
    let books = &ledger.books.purchases;
    books.begin(std::slice::from_ref(command), NOW).await.unwrap();
    let result = ChargeResult::Captured { charge_id: "ch_1".into(), amount: command.total };
    let settlement = Settlement { booking_id: command.booking_id.clone(), result };
    let outcome = books.settle(&[settlement], NOW).await.unwrap().remove(0);
    Message::Outcome(Box::new(outcome))
}

#[tokio::test]
async fn commands_and_outcomes_reach_the_views_and_those_who_wait() {
    let ledger = sqlite_ledger().await;
    let running = start(&ledger, ledger.views.clone());
    let command = SampleEvent::default().place(&["a-1"]);
    let views = ledger.views.as_ref();
    ledger.log.append(vec![placed(&command)]).await.unwrap();
    let seen = running.wait_for(views, &command.booking_id, BookingStatus::Processing).await;
    assert_eq!(seen, Booking::placed(&command));
    let sold = sell(&ledger, &command).await;
    // A cancel alone shows nothing, and an old command after the outcome takes nothing back.
    let cancel = Message::Command(BookingCommand::Cancel(cancel_of(&command)));
    ledger.log.append(vec![sold, cancel, placed(&command)]).await.unwrap();
    let seen = running.wait_for(views, &command.booking_id, BookingStatus::Confirmed).await;
    assert_eq!(seen.version, 2);
    running.stop().await;
    assert_eq!(ledger.views.booking(&seen.id).await.unwrap(), Some(seen));
}

#[tokio::test]
async fn a_store_that_fails_is_tried_again_and_nothing_is_lost() {
    let ledger = sqlite_ledger().await;
    let event = SampleEvent::default();
    let commands = ["a-1", "a-2", "a-3"].map(|place| event.place(&[place]));
    ledger.log.append(commands.iter().map(placed).collect()).await.unwrap();
    let running = start(&ledger, Gated::new(ledger.views.clone(), 5, 100));
    for command in &commands {
        let id = &command.booking_id;
        running.wait_for(ledger.views.as_ref(), id, BookingStatus::Processing).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn the_batch_in_hand_is_finished_before_the_end() {
    let ledger = sqlite_ledger().await;
    let command = SampleEvent::default().place(&["a-1"]);
    ledger.log.append(vec![placed(&command)]).await.unwrap();
    let gated = Gated::new(ledger.views.clone(), 0, 0);
    let running = start(&ledger, gated.clone());
    gated.entered.acquire().await.unwrap().forget();
    running.shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(!running.tasks.is_empty());
    gated.permits.add_permits(1);
    running.tasks.wait().await;
    assert_eq!(ledger.log.backlog(Group::Projector).await.unwrap().messages, 0);
    assert!(ledger.views.booking(&command.booking_id).await.unwrap().is_some());
}

#[tokio::test]
async fn the_views_are_rebuilt_from_the_books() {
    let ledger = sqlite_ledger().await;
    let event = SampleEvent::default();
    let commands: Vec<_> = (0..450).map(|n| event.place(&[format!("a-{n}").as_str()])).collect();
    ledger.books.purchases.begin(&commands, NOW).await.unwrap();
    sell(&ledger, &commands[7]).await;
    let views = ledger.views.as_ref();
    let done = rebuild(ledger.books.purchase_reads.as_ref(), views).await.unwrap();
    assert_eq!(done, 450);
    for (n, command) in commands.iter().enumerate() {
        let booking = views.booking(&command.booking_id).await.unwrap().expect("a view");
        assert_eq!(booking.status == BookingStatus::Confirmed, n == 7);
    }
}
