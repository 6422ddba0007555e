//! Generations beside transactions that have not ended: who decided under an older one waits for
//! the one who raises it, and is refused.
use super::Rival;
use crate::testing::{TestPostgres, postgres};
use crate::{PgAdmissions, PgEvents, PgStore};
use ledger::books::{
    Admissions, Admitted, Events, Leased, QueueProgress, QueueStep, Raised, StepCommitted,
};
use ledger::conformance::events::sample_event;
use ledger::conformance::sample::NOW;
use ledger::{AccountId, Admission, AdmissionSource, QueueId, QueueSettings, SlotRef};

async fn queue() -> (TestPostgres, PgStore, PgAdmissions, QueueId) {
    let schema = postgres().await;
    let store = schema.store().await;
    let event = sample_event();
    let events = PgEvents::new(store.clone());
    events.create(&event, Some(QueueSettings::default())).await.unwrap();
    (schema, store.clone(), PgAdmissions::new(store), event.queue_id)
}

/// What `late` says that began while somebody raised the generation.
async fn behind_a_raise<T>(schema: &TestPostgres, late: impl Future<Output = T>) -> T {
    let raise = "UPDATE queue_generations SET generation = generation + 1";
    let mut rival = Rival::does(schema, raise).await;
    let mut late = std::pin::pin!(late);
    tokio::select! {
        _ = &mut late => panic!("it did not wait for who raises the generation"),
        _ = rival.awaited() => {}
    }
    rival.end("COMMIT").await;
    late.await
}

#[tokio::test]
async fn what_was_decided_before_a_loss_is_refused_behind_it() {
    let (schema, store, admissions, queue) = queue().await;
    let leased = behind_a_raise(&schema, admissions.lease(&queue, 1, 10)).await;
    assert_eq!(leased.unwrap(), Leased::Stale);
    let step = QueueStep { now_serving: 7, at: NOW, granting_millis: 70 };
    let stepped = behind_a_raise(&schema, admissions.step(&queue, 2, step)).await;
    assert_eq!(stepped.unwrap(), StepCommitted::Stale);
    let row = [Admission {
        slot: SlotRef { queue: queue.clone(), number: 1 },
        account: AccountId::parse("acc_1").unwrap(),
        at: NOW,
        until: NOW.plus_seconds(600),
        ended_at: None,
        source: AdmissionSource::Line,
    }];
    let admitted = behind_a_raise(&schema, admissions.admit(&queue, 3, &row)).await;
    assert_eq!(admitted.unwrap(), [Admitted::Stale]);
    // Two who raise it: the second one finds it raised.
    let raised = behind_a_raise(&schema, admissions.raise_generation(&queue, 4)).await;
    assert_eq!(raised.unwrap(), Raised::Lost(5));
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_raise_waits_for_what_was_decided_and_nobody_else_does() {
    let (schema, store, admissions, queue) = queue().await;
    let hold = "SELECT FROM queue_generations FOR SHARE";
    let mut rival = Rival::does(&schema, hold).await;
    let leased = admissions.lease(&queue, 1, 10).await.unwrap();
    assert_eq!(leased, Leased::Numbers { first: 1, last: 10 });
    let mut raise = std::pin::pin!(admissions.raise_generation(&queue, 1));
    tokio::select! {
        _ = &mut raise => panic!("it did not wait for what was decided before"),
        _ = rival.awaited() => {}
    }
    rival.end("COMMIT").await;
    assert_eq!(raise.await.unwrap(), Raised::Won(2));
    store.close().await;
    schema.drop_schema().await;
}
