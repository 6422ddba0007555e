//! Joining, claiming, walking in and leaving, and what a loss leaves of them.
use super::*;
use crate::SlotEnder;
use ledger::conformance::sample::{SampleEvent, consumer_config};
use ledger::{Booking, BookingOutcome, BookingStatus, Message};

#[tokio::test]
async fn from_the_door_to_the_shop_and_out() {
    let world = World::new(settings()).await;
    let (token, standing) = world.join_as(Some(&account("a")), None).await;
    assert_eq!((standing.state, standing.ahead), (PlaceState::Ready, Some(0)));
    assert_eq!((token.entry, token.number), (1, Some(1)));
    assert_eq!(world.state(&token).await, PlaceState::Ready);

    let other = world.room.claim(&token, &account("b")).await.unwrap();
    assert!(matches!(other, ClaimAnswer::TokenUsed), "it was joined with a login");
    let pass = world.pass(&token, "a").await;
    assert_eq!(world.pass(&token, "a").await, pass, "the live one again");
    assert!(world.is_live(&pass).await);
    let check = world.room.check_pass(&world.queue, &account("b"), &pass.jwt).await.unwrap();
    assert_eq!(check, PassCheck::Invalid);
    let standing = world.room.standing(&token).await.unwrap();
    assert_eq!((standing.state, standing.session_expires_in), (PlaceState::Admitted, Some(600)));

    let slot = pass.pass.slot.clone();
    let row = world.ledger.books.admissions.admission(&slot).await.unwrap().unwrap();
    assert_eq!((row.at, row.until, row.ended_at), (T0, pass.pass.until, None));
    world.room.leave(&slot).await.unwrap();
    world.room.leave(&slot).await.unwrap();
    let row = world.ledger.books.admissions.admission(&slot).await.unwrap().unwrap();
    assert_eq!(row.ended_at, Some(T0));
    assert!(!world.is_live(&pass).await, "a pass counts only while its slot is live");
    assert_eq!(world.state(&token).await, PlaceState::Done);
    assert!(matches!(world.room.claim(&token, &account("a")).await.unwrap(), ClaimAnswer::Missed));
}

#[tokio::test]
async fn a_live_token_keeps_its_place_and_a_dead_one_gets_a_new_one() {
    let world = World::new(settings()).await;
    let (a, b) = (account("a"), account("b"));
    let join = async |account, shown: Option<&str>| {
        world.room.join(&world.queue, account, shown).await.unwrap()
    };
    let JoinAnswer::Joined { token, .. } = join(None, None).await else { panic!("joined") };
    let again = join(Some(&a), Some(&token)).await;
    assert!(matches!(again, JoinAnswer::Same { token: same, .. } if same == token));
    assert!(matches!(join(None, Some("forged")).await, JoinAnswer::Joined { .. }));
    let slot = SlotRef { queue: world.queue.clone(), number: 1 };
    world.room.leave(&slot).await.unwrap();
    assert!(matches!(join(None, Some(&token)).await, JoinAnswer::Joined { .. }));

    let JoinAnswer::Joined { token, .. } = join(Some(&a), None).await else { panic!("joined") };
    let other = join(Some(&b), Some(&token)).await;
    assert!(matches!(other, JoinAnswer::Joined { .. }), "another account's place is not shared");
    let nobody = world.room.join(&QueueId::parse("none").unwrap(), None, None).await.unwrap();
    assert!(matches!(nobody, JoinAnswer::NoSuchQueue));
}

#[tokio::test]
async fn joins_that_come_together_get_numbers_of_their_own_in_order() {
    let world = World::new(settings()).await;
    let mut joins = JoinSet::new();
    for _ in 0..300 {
        let (room, queue) = (world.room.clone(), world.queue.clone());
        joins.spawn(async move { room.join(&queue, None, None).await.unwrap() });
    }
    let mut numbers: Vec<u64> = Vec::new();
    while let Some(answer) = joins.join_next().await {
        let JoinAnswer::Joined { standing, .. } = answer.unwrap() else { panic!("joined") };
        numbers.push(standing.number.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
    let (first, _) = world.join().await;
    let (second, _) = world.join().await;
    assert!(first.number < second.number);
    let record = world.ledger.books.queue_progress.record(&world.queue).await.unwrap().unwrap();
    assert!(record.leased_to >= 302);
    let steps = world.ledger.books.queue_progress.steps(&world.queue, 0).await.unwrap();
    assert!(steps.len() < 50, "steps are shared as well: {}", steps.len());
    assert_eq!(record.now_serving, 50, "as many as there is room for");
}

#[tokio::test]
async fn walk_ins_are_admitted_until_there_is_no_room_and_then_sent_to_the_line() {
    let world = World::new(settings()).await;
    let mut walk_ins = JoinSet::new();
    for n in 0..80 {
        let (room, queue) = (world.room.clone(), world.queue.clone());
        walk_ins.spawn(async move {
            let walked = room.walk_in(&queue, &account(&format!("acc_{}", n % 60))).await;
            matches!(walked.unwrap(), WalkIn::Admitted(_))
        });
    }
    walk_ins.join_all().await;
    let rows = world.ledger.books.admissions.admissions(&world.queue).await.unwrap();
    let accounts: std::collections::HashSet<_> = rows.iter().map(|row| &row.account).collect();
    assert_eq!((rows.len(), accounts.len()), (50, 50), "capacity is 50, one slot an account");
    let record = world.ledger.books.queue_progress.record(&world.queue).await.unwrap().unwrap();
    assert_eq!(record.now_serving, 50);
    assert_eq!(record.leased_to, 64, "however many ask, leases are taken one at a time");
    let again = world.room.walk_in(&world.queue, &rows[0].account).await.unwrap();
    assert!(matches!(again, WalkIn::Admitted(pass) if pass.pass.slot == rows[0].slot));
    let late = world.room.walk_in(&world.queue, &account("late")).await.unwrap();
    assert!(matches!(late, WalkIn::QueueRequired));
    let (_, standing) = world.join().await;
    assert_eq!((standing.state, standing.ahead), (PlaceState::Waiting, Some(0)));
    world.room.leave(&rows[0].slot).await.unwrap();
    let late = world.room.walk_in(&world.queue, &account("late")).await.unwrap();
    assert!(matches!(late, WalkIn::QueueRequired), "somebody waits");
}

#[tokio::test]
async fn a_killed_process_loses_no_slot_and_repeats_no_number() {
    let mut world = World::new(QueueSettings { capacity: 2, ..settings() }).await;
    let (first, _) = world.join().await;
    let pass = world.pass(&first, "a").await;
    let (second, _) = world.join().await;
    let gone = world.pass(&second, "b").await;
    world.room.leave(&gone.pass.slot).await.unwrap();
    let mut last = second;
    for _ in 0..20 {
        last = world.join().await.0;
    }
    let WalkIn::QueueRequired = world.room.walk_in(&world.queue, &account("w")).await.unwrap()
    else {
        panic!("others wait")
    };

    world.restart();
    assert!(world.is_live(&pass).await, "live slots come back");
    assert_eq!(world.pass(&first, "a").await, pass);
    assert!(!world.is_live(&gone).await);
    assert_eq!(world.state(&last).await, PlaceState::Waiting);
    let (new, _) = world.join().await;
    let leased = world.ledger.books.queue_progress.record(&world.queue).await.unwrap().unwrap();
    assert!(new.number > last.number);
    assert!(new.number.unwrap() > 32, "above the old mark: {leased:?}");
    assert_eq!(leased.generation, 3, "once at first touch, once after the loss");

    // The bucket starts empty: whoever was called waits for a token.
    let third = QueueToken { number: Some(3), entry: 3, ..first.clone() };
    let ClaimAnswer::NotYet(_) = world.room.claim(&third, &account("c")).await.unwrap() else {
        panic!("the bucket starts empty")
    };
    world.wait(10);
    assert_eq!(world.pass(&third, "c").await.pass.slot.number, 3);
}

#[tokio::test]
async fn nobody_waits_behind_numbers_that_nobody_may_have() {
    let mut world = World::new(settings()).await;
    world.turn(QueueState::PreQueue).await;
    let (first, _) = world.join().await;
    world.restart();
    let (next, _) = world.join().await;
    assert_eq!((first.number, next.number), (Some(1), Some(17)));
    world.turn(QueueState::Open).await;
    world.wait(1_000);
    world.pace().await;
    assert_eq!(world.state(&first).await, PlaceState::Ready);
    assert_eq!(world.state(&next).await, PlaceState::Ready);
    let walked = world.room.walk_in(&world.queue, &account("w")).await.unwrap();
    assert!(matches!(walked, WalkIn::Admitted(_)), "2 to 16 hold no room and nobody up");
    let doubtful = QueueToken { number: Some(5), entry: 5, ..first };
    assert_eq!(world.pass(&doubtful, "d").await.pass.slot.number, 5, "if it exists it claims");
}

#[tokio::test]
async fn a_wiped_store_is_rebuilt_under_the_feet_of_those_inside() {
    let world = World::new(settings()).await;
    let (token, _) = world.join().await;
    let pass = world.pass(&token, "a").await;
    for touch in 0..5 {
        world.store.forget(&world.queue);
        match touch {
            0 => assert!(world.is_live(&pass).await),
            1 => assert_eq!(world.pass(&token, "a").await, pass),
            2 => assert_eq!(world.state(&token).await, PlaceState::Admitted),
            3 => assert!(world.join().await.0.number > token.number),
            _ => {
                world.room.leave(&pass.pass.slot).await.unwrap();
                assert!(!world.is_live(&pass).await);
            }
        }
    }
    let record = world.ledger.books.queue_progress.record(&world.queue).await.unwrap().unwrap();
    assert_eq!(record.generation, 7, "once at first touch, and once a loss");
}

#[tokio::test]
async fn the_windows_of_those_who_were_called_pass_and_their_places_with_them() {
    let world = World::new(settings()).await;
    let (token, standing) = world.join().await;
    assert_eq!((standing.ready_expires_in, standing.return_expires_in), (Some(30), Some(90)));
    world.wait(30_100);
    assert_eq!(world.state(&token).await, PlaceState::Returning);
    world.wait(60_000);
    assert_eq!(world.state(&token).await, PlaceState::Missed);
    let answer = world.room.claim(&token, &account("a")).await.unwrap();
    assert!(matches!(answer, ClaimAnswer::Missed));
}

#[tokio::test]
async fn a_confirmed_booking_ends_its_own_slot_only() {
    let world = World::new(settings()).await;
    let (first, _) = world.join().await;
    let (second, _) = world.join().await;
    let sold = world.pass(&first, "a").await;
    let other = world.pass(&second, "b").await;
    let sample = SampleEvent::default();
    let outcome = |status, slot: &SlotRef| {
        let booking = Booking::placed(&sample.place(&["main-A-1"]));
        let booking = Booking { status, version: 2, ..booking };
        Message::Outcome(Box::new(BookingOutcome { booking, slot: Some(slot.clone()) }))
    };
    let waiting = SlotRef { queue: world.queue.clone(), number: 999 };
    let outcomes = vec![
        outcome(BookingStatus::Declined, &other.pass.slot),
        outcome(BookingStatus::Confirmed, &waiting),
        outcome(BookingStatus::Confirmed, &sold.pass.slot),
        outcome(BookingStatus::Confirmed, &sold.pass.slot),
    ];
    world.ledger.log.append(outcomes).await.unwrap();
    let stop = CancellationToken::new();
    let ender = SlotEnder::new(world.room.clone(), world.ledger.log.clone(), consumer_config());
    let mut running = JoinSet::new();
    running.spawn(ender.run(stop.clone()));
    while world.is_live(&sold).await {
        tokio::task::yield_now().await;
    }
    while world.ledger.log.backlog(ledger::Group::SlotEnder).await.unwrap().messages > 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.join_all().await;
    assert!(world.is_live(&other).await, "a decline ends nothing");
}
