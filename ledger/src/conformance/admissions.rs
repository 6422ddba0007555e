//! The contract of [`Admissions`]: numbers are leased once, older generations are refused, the
//! facts of an admission stand.
use super::events::new_queue;
use crate::admission::{Admission, AdmissionSource, SlotRef};
use crate::books::{Admitted, Books, Leased, QueueRecord, QueueStep, Raised, StepCommitted};
use crate::clock::Timestamp;
use crate::ids::{AccountId, QueueId};
use futures_util::future::join_all;

/// Writers that compete in each contention check.
const RIVALS: u64 = 16;

/// Runs the whole contract; every check makes a queue of its own.
pub async fn check_all(books: &Books) {
    let queue = || new_queue(books);
    a_new_queue_has_no_past(books, &queue().await).await;
    leases_are_disjoint(books, &queue().await).await;
    one_raise_wins(books, &queue().await).await;
    older_generations_are_refused(books, &queue().await).await;
    the_greatest_step_wins(books, &queue().await).await;
    steps_are_read_from_a_moment(books, &queue().await).await;
    a_number_is_admitted_once(books, &queue().await).await;
    a_slot_ends_once(books, &queue().await).await;
    queues_do_not_mix(books, [queue().await, queue().await]).await;
}

/// Writes something of everything; [`check_survived`] finds it in a store opened again.
pub async fn leave_traces(books: &Books, queue: &QueueId) {
    let leased = books.queue_progress.lease(queue, 1, 40).await.expect("a lease");
    assert_eq!(leased, Leased::Numbers { first: 1, last: 40 });
    books.queue_progress.step(queue, 1, step(7, 70)).await.expect("a step");
    let rows = [row(queue, 3, "a"), row(queue, 5, "b")];
    let admitted = books.admissions.admit(queue, 1, &rows).await.expect("admissions");
    assert_eq!(admitted, [Admitted::Done, Admitted::Done]);
    assert!(books.admissions.end(&slot(queue, 3), at(900)).await.expect("an end"));
    let raised = books.queue_progress.raise_generation(queue, 1).await.expect("a raise");
    assert_eq!(raised, Raised::Won(2));
}

/// What [`leave_traces`] wrote is all there.
pub async fn check_survived(books: &Books, queue: &QueueId) {
    let record = QueueRecord {
        generation: 2,
        leased_to: 40,
        lease_start: 1,
        now_serving: 7,
        admitted_max: 5,
    };
    assert_eq!(books.queue_progress.record(queue).await.expect("a record"), Some(record));
    assert_eq!(books.queue_progress.steps(queue, 0).await.expect("steps"), [step(7, 70)]);
    let ended = Admission { ended_at: Some(at(900)), ..row(queue, 3, "a") };
    let all = books.admissions.admissions(queue).await.expect("admissions");
    assert_eq!(all, [ended, row(queue, 5, "b")]);
    let leased = books.queue_progress.lease(queue, 2, 1).await.expect("a lease");
    assert_eq!(leased, Leased::Numbers { first: 41, last: 41 });
}

async fn a_new_queue_has_no_past(books: &Books, queue: &QueueId) {
    let fresh = QueueRecord {
        generation: 1,
        leased_to: 0,
        lease_start: 0,
        now_serving: 0,
        admitted_max: 0,
    };
    assert_eq!(books.queue_progress.record(queue).await.expect("a record"), Some(fresh));
    assert_eq!(books.queue_progress.steps(queue, 0).await.expect("steps"), []);
    assert_eq!(books.admissions.admissions(queue).await.expect("admissions"), []);
    assert_eq!(books.admissions.admission(&slot(queue, 1)).await.expect("an answer"), None);
    let absent = QueueId::parse("no-such-queue").expect("an id");
    assert_eq!(books.queue_progress.record(&absent).await.expect("an answer"), None);
    assert_eq!(books.queue_progress.lease(&absent, 1, 1).await.expect("an answer"), Leased::Stale);
    assert!(books.queue_progress.raise_generation(&absent, 1).await.is_err());
}

async fn leases_are_disjoint(books: &Books, queue: &QueueId) {
    let leases =
        join_all((1..=RIVALS).map(|count| books.queue_progress.lease(queue, 1, count))).await;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (leased, wanted) in leases.into_iter().zip(1..) {
        let Leased::Numbers { first, last } = leased.expect("a lease") else {
            panic!("a lease under the current generation was stale");
        };
        assert_eq!(last.saturating_sub(first).saturating_add(1), wanted);
        ranges.push((first, last));
    }
    ranges.sort_unstable();
    let mut mark = 0u64;
    for (first, last) in &ranges {
        assert_eq!(*first, mark.saturating_add(1), "leases touch and never overlap");
        mark = *last;
    }
    let record = books.queue_progress.record(queue).await.expect("a record").expect("the queue");
    assert_eq!(record.leased_to, mark);
    assert_eq!(Some(record.lease_start), ranges.last().map(|range| range.0));
    assert!(
        books.queue_progress.lease(queue, 1, 0).await.is_err(),
        "a lease of nothing is a mistake"
    );
}

async fn one_raise_wins(books: &Books, queue: &QueueId) {
    let raises =
        join_all((0..RIVALS).map(|_| books.queue_progress.raise_generation(queue, 1))).await;
    let raises: Vec<Raised> = raises.into_iter().map(|r| r.expect("an answer")).collect();
    let won = raises.iter().filter(|raised| **raised == Raised::Won(2)).count();
    let lost = raises.iter().filter(|raised| **raised == Raised::Lost(2)).count();
    assert_eq!((won, lost), (1, raises.len().saturating_sub(1)), "{raises:?}");
}

async fn older_generations_are_refused(books: &Books, queue: &QueueId) {
    let first = [row(queue, 1, "a")];
    books.admissions.admit(queue, 1, &first).await.expect("an admission");
    books.queue_progress.raise_generation(queue, 1).await.expect("a raise");
    let before = books.queue_progress.record(queue).await.expect("a record");
    for generation in [0, 1, 3] {
        let leased = books.queue_progress.lease(queue, generation, 5).await.expect("an answer");
        assert_eq!(leased, Leased::Stale, "generation {generation}");
        let stepped =
            books.queue_progress.step(queue, generation, step(9, 9)).await.expect("an answer");
        assert_eq!(stepped, StepCommitted::Stale, "generation {generation}");
        let rows = [row(queue, 1, "a"), row(queue, 2, "b")];
        let admitted = books.admissions.admit(queue, generation, &rows).await.expect("an answer");
        assert_eq!(admitted, [Admitted::Stale, Admitted::Stale], "generation {generation}");
    }
    assert_eq!(books.queue_progress.record(queue).await.expect("a record"), before);
    let again = books.admissions.admit(queue, 2, &first).await.expect("an answer");
    assert_eq!(again, [Admitted::Exists(first[0].clone())]);
}

async fn the_greatest_step_wins(books: &Books, queue: &QueueId) {
    let steps = (1..=RIVALS).map(|n| books.queue_progress.step(queue, 1, step(n, 100)));
    for (committed, proposed) in join_all(steps).await.into_iter().zip(1..) {
        match committed.expect("an answer") {
            StepCommitted::Greatest(greatest) => assert!(greatest >= proposed),
            StepCommitted::Stale => panic!("a step under the current generation was stale"),
        }
    }
    let back = books.queue_progress.step(queue, 1, step(2, 200)).await.expect("an answer");
    assert_eq!(back, StepCommitted::Greatest(RIVALS), "now_serving never goes back");
    let record = books.queue_progress.record(queue).await.expect("a record").expect("the queue");
    assert_eq!(record.now_serving, RIVALS);
    let kept = books.queue_progress.steps(queue, 0).await.expect("steps");
    assert!(kept.is_sorted_by(|a, b| a.now_serving < b.now_serving), "{kept:?}");
}

async fn steps_are_read_from_a_moment(books: &Books, queue: &QueueId) {
    for (serving, granting) in [(10, 100), (20, 200), (30, 300)] {
        books.queue_progress.step(queue, 1, step(serving, granting)).await.expect("a step");
    }
    let table: [(i64, &[u64]); 5] = [
        (0, &[10, 20, 30]),
        (100, &[10, 20, 30]),
        (101, &[10, 20, 30]),
        (201, &[20, 30]),
        (301, &[30]),
    ];
    for (since, expected) in table {
        let steps = books.queue_progress.steps(queue, since).await.expect("steps");
        let serving: Vec<u64> = steps.iter().map(|step| step.now_serving).collect();
        assert_eq!(serving, expected, "since {since}");
    }
}

async fn a_number_is_admitted_once(books: &Books, queue: &QueueId) {
    let rival = |n: u64| [row(queue, 4, &format!("rival-{n}"))];
    let rows: Vec<[Admission; 1]> = (0..RIVALS).map(rival).collect();
    let answers = join_all(rows.iter().map(|row| books.admissions.admit(queue, 1, row))).await;
    let answers: Vec<Vec<Admitted>> = answers.into_iter().map(|a| a.expect("answers")).collect();
    let winner = answers.iter().position(|answer| *answer == [Admitted::Done]).expect("a winner");
    for (rival, answer) in answers.iter().enumerate().filter(|(rival, _)| *rival != winner) {
        assert_eq!(*answer, [Admitted::Exists(rows[winner][0].clone())], "rival {rival}");
    }
    let kept = books.admissions.admission(&slot(queue, 4)).await.expect("an answer");
    assert_eq!(kept.as_ref(), Some(&rows[winner][0]));

    let batch = [row(queue, 9, "x"), row(queue, 4, "y"), row(queue, 8, "z"), row(queue, 8, "w")];
    let answers = books.admissions.admit(queue, 1, &batch).await.expect("answers");
    let exists = |row: &Admission| Admitted::Exists(row.clone());
    let expected = [Admitted::Done, exists(&rows[winner][0]), Admitted::Done, exists(&batch[2])];
    assert_eq!(answers, expected, "answers stand in the order of the rows");
    let record = books.queue_progress.record(queue).await.expect("a record").expect("the queue");
    assert_eq!(record.admitted_max, 9);
}

async fn a_slot_ends_once(books: &Books, queue: &QueueId) {
    let [first, second] = [row(queue, 1, "a"), row(queue, 2, "b")];
    let rows = [first.clone(), second.clone()];
    books.admissions.admit(queue, 1, &rows).await.expect("admissions");
    let ends = join_all((0..RIVALS).map(|_| books.admissions.end(&first.slot, at(500)))).await;
    let ended = ends.into_iter().filter(|end| *end.as_ref().expect("an answer")).count();
    assert_eq!(ended, 1);
    assert!(!books.admissions.end(&first.slot, at(900)).await.expect("an answer"));
    assert!(!books.admissions.end(&slot(queue, 77), at(900)).await.expect("an answer"));
    let kept = books.admissions.admissions(queue).await.expect("admissions");
    assert_eq!(kept, [Admission { ended_at: Some(at(500)), ..first }, second]);
}

async fn queues_do_not_mix(books: &Books, [one, other]: [QueueId; 2]) {
    books.queue_progress.lease(&one, 1, 10).await.expect("a lease");
    books.queue_progress.step(&one, 1, step(5, 5)).await.expect("a step");
    books.admissions.admit(&one, 1, &[row(&one, 1, "a")]).await.expect("an admission");
    a_new_queue_has_no_past(books, &other).await;
    let astray = [row(&one, 2, "a")];
    assert!(books.admissions.admit(&other, 1, &astray).await.is_err(), "rows name their queue");
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn slot(queue: &QueueId, number: u64) -> SlotRef {
    SlotRef { queue: queue.clone(), number }
}

fn step(now_serving: u64, granting_millis: i64) -> QueueStep {
    QueueStep { now_serving, at: at(1_000), granting_millis }
}

fn row(queue: &QueueId, number: u64, account: &str) -> Admission {
    Admission {
        slot: slot(queue, number),
        account: AccountId::parse(account).expect("an id"),
        at: at(100),
        until: at(10_100),
        ended_at: None,
        source: AdmissionSource::Line,
    }
}
