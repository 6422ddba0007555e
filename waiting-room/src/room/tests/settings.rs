//! Queue states, settings, pressure, the pacer and the status.
use super::*;
use ledger::books::Patched;

#[tokio::test]
async fn a_closed_queue_takes_nobody_and_those_inside_go_on() {
    let world = World::new(settings()).await;
    let (token, _) = world.join().await;
    let (other, _) = world.join().await;
    let pass = world.pass(&token, "a").await;
    world.turn(QueueState::Closed).await;
    let joined = world.room.join(&world.queue, None, None).await.unwrap();
    assert!(matches!(joined, JoinAnswer::Closed));
    let claimed = world.room.claim(&other, &account("b")).await.unwrap();
    assert!(matches!(claimed, ClaimAnswer::Closed));
    let walked = world.room.walk_in(&world.queue, &account("c")).await.unwrap();
    assert!(matches!(walked, WalkIn::Closed));
    assert_eq!(world.state(&other).await, PlaceState::Closed);
    assert_eq!(world.state(&token).await, PlaceState::Admitted);
    assert!(world.is_live(&pass).await);
    assert_eq!(world.pass(&token, "a").await, pass);
}

#[tokio::test]
async fn a_paused_queue_calls_and_admits_nobody() {
    let world = World::new(settings()).await;
    let (token, _) = world.join().await;
    world.turn(QueueState::Paused).await;
    let ClaimAnswer::NotYet(standing) = world.room.claim(&token, &account("a")).await.unwrap()
    else {
        panic!("paused")
    };
    assert_eq!((standing.state, standing.paused), (PlaceState::Ready, true));
    let (waiting, standing) = world.join().await;
    assert_eq!((standing.state, standing.paused), (PlaceState::Waiting, true));
    assert_eq!(standing.eta_seconds, None);
    world.pace().await;
    assert_eq!(world.state(&waiting).await, PlaceState::Waiting);
    let walked = world.room.walk_in(&world.queue, &account("w")).await.unwrap();
    assert!(matches!(walked, WalkIn::QueueRequired));
    world.turn(QueueState::Open).await;
    world.pace().await;
    assert_eq!(world.state(&waiting).await, PlaceState::Ready);
    assert_eq!(world.pass(&token, "a").await.pass.slot.number, 1);
}

#[tokio::test]
async fn nobody_is_moved_back_by_a_queue_that_closes_and_opens_or_by_a_look_that_ends_late() {
    let world = World::new(QueueSettings { capacity: 1, ..settings() }).await;
    let (_called, _) = world.join().await;
    let (_waiting, _) = world.join().await;
    let (token, _) = world.join().await;
    let ahead = async || world.room.standing(&token).await.unwrap().ahead;
    assert_eq!(ahead().await, Some(1));
    world.turn(QueueState::Closed).await;
    assert_eq!(ahead().await, Some(1), "it may open again");
    world.turn(QueueState::Open).await;
    assert_eq!(ahead().await, Some(1));

    let status = world.handle().await.status.clone();
    let late = status.seen().snapshot;
    world.patch(QueuePatch { capacity: Some(2), ..QueuePatch::default() }).await;
    world.pace().await;
    assert_eq!(ahead().await, Some(0));
    status.show_late(late);
    assert_eq!(status.seen().status.now_serving, 2, "what everybody watches does not go back");
    assert_eq!(ahead().await, Some(0));
}

#[tokio::test]
async fn a_place_that_was_left_is_nobodys_and_not_ahead_of_anybody() {
    let world = World::new(QueueSettings { capacity: 1, ..settings() }).await;
    let (_called, _) = world.join().await;
    let mut waiting = Vec::new();
    for _ in 0..9 {
        waiting.push(world.join().await.0);
    }
    let last = waiting.pop().unwrap();
    assert_eq!(world.room.standing(&last).await.unwrap().ahead, Some(8));
    for (token, left) in waiting.iter().zip(1..) {
        let slot = SlotRef { queue: world.queue.clone(), number: token.number.unwrap() };
        world.room.leave(&slot).await.unwrap();
        // At once, as from a client that sends both together.
        let signed = token.sign(&world.keys, T0).unwrap();
        let (again, _) = world.join_as(None, Some(&signed)).await;
        assert!(again.number > last.number, "a new place, not {token:?}");
        assert_eq!(world.state(token).await, PlaceState::Done);
        assert_eq!(world.room.standing(&last).await.unwrap().ahead, Some(8 - left));
    }
}

#[tokio::test]
async fn pressure_tells_who_waits_in_vain_and_stops_the_calling() {
    let world = World::new(settings()).await;
    let (inside, _) = world.join().await;
    world.pass(&inside, "a").await;
    let (ready, _) = world.join().await;
    world.feel(Pressure { slow: true, ..Pressure::default() });
    let (waiting, standing) = world.join().await;
    assert_eq!(standing.state, PlaceState::Waiting, "nobody goes straight through");
    world.pace().await;
    assert_eq!(world.state(&waiting).await, PlaceState::Waiting);
    let walked = world.room.walk_in(&world.queue, &account("w")).await.unwrap();
    assert!(matches!(walked, WalkIn::QueueRequired));
    let walked = world.room.walk_in(&world.queue, &account("a")).await.unwrap();
    assert!(matches!(walked, WalkIn::Admitted(_)), "whoever is inside stays inside");

    world.feel(Pressure { sold_out: true, ..Pressure::default() });
    assert_eq!(world.state(&inside).await, PlaceState::Admitted);
    assert_eq!(world.state(&ready).await, PlaceState::SoldOut);
    assert_eq!(world.state(&waiting).await, PlaceState::SoldOut);
    let ClaimAnswer::NotYet(standing) = world.room.claim(&ready, &account("b")).await.unwrap()
    else {
        panic!("sold out")
    };
    assert_eq!(standing.state, PlaceState::SoldOut);
    world.pass(&inside, "a").await;
    world.feel(Pressure::default());
    world.pass(&ready, "b").await;
}

#[tokio::test]
async fn the_pacer_opens_a_pre_queue_when_its_time_comes() {
    let opens_at = T0.plus_seconds(60);
    let world =
        World::opening(QueueSettings { state: QueueState::PreQueue, ..settings() }, opens_at).await;
    let (token, standing) = world.join().await;
    assert_eq!((standing.state, standing.ahead), (PlaceState::PreQueue, Some(0)));
    assert_eq!(standing.eta_seconds.map(|eta| eta.min), Some(60));
    let claimed = world.room.claim(&token, &account("a")).await.unwrap();
    assert!(matches!(claimed, ClaimAnswer::NotYet(_)));
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(Pacer::new(world.room.clone()).run(stop.clone()));
    let mut changes = world.room.changes(&world.queue).await.unwrap().unwrap();
    world.wait(60_000);
    while world.state(&token).await != PlaceState::Ready {
        changes.changed().await.unwrap();
    }
    let history = world.ledger.books.queues.limits(&world.queue).await.unwrap();
    assert_eq!(
        history.last().map(|c| (c.at, c.settings.state)),
        Some((opens_at, QueueState::Open))
    );
    world.pass(&token, "a").await;

    // Somebody who makes it a pre-queue again means it.
    world.turn(QueueState::PreQueue).await;
    let queue = world.ledger.books.queues.queue(&world.queue).await.unwrap().unwrap();
    assert!(is_due(&queue, world.clock.now()));
    assert!(!world.handle().await.settings.open_due(&queue).await.unwrap());
    stop.cancel();
    running.join_all().await;
}

#[tokio::test]
async fn opening_on_time_never_overwrites_what_an_admin_said_meanwhile() {
    for state in [QueueState::Paused, QueueState::Closed] {
        let opens_at = T0.plus_seconds(60);
        let pre_queue = QueueSettings { state: QueueState::PreQueue, ..settings() };
        let world = World::opening(pre_queue, opens_at).await;
        let queue = async || world.ledger.books.queues.queue(&world.queue).await.unwrap().unwrap();
        let seen = queue().await;
        world.wait(60_000);
        assert!(is_due(&seen, world.clock.now()));
        let handle = world.handle().await;
        let settings = &handle.settings;
        // The admin has the turn; the pacer comes while it lasts, and waits.
        let turn = settings.turn().await;
        let mut opening = Box::pin(settings.open_due(&seen));
        let waits = tokio::time::timeout(std::time::Duration::from_millis(1), &mut opening).await;
        assert!(waits.is_err(), "nothing is decided before its turn");
        let patch = QueuePatch { state: Some(state), ..QueuePatch::default() };
        let now = world.clock.now();
        let queues = &world.ledger.books.queues;
        let patched = queues.patch_queue(&world.queue, seen.revision, patch, now).await.unwrap();
        assert!(matches!(patched, Patched::Done(_)));
        drop(turn);
        assert!(!opening.await.unwrap());
        assert_eq!(queue().await.settings.state, state);
        assert!(!settings.open_due(&seen).await.unwrap(), "nor later");
        assert_eq!(queue().await.settings.state, state);
    }
}

#[tokio::test]
async fn the_pacer_uses_a_slot_that_comes_free() {
    let world = World::new(QueueSettings { capacity: 1, ..settings() }).await;
    let (first, _) = world.join().await;
    let pass = world.pass(&first, "a").await;
    let (second, standing) = world.join().await;
    assert_eq!(standing.state, PlaceState::Waiting);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(Pacer::new(world.room.clone()).run(stop.clone()));
    let mut changes = world.room.changes(&world.queue).await.unwrap().unwrap();
    world.wait(20);
    world.room.leave(&pass.pass.slot).await.unwrap();
    while world.state(&second).await != PlaceState::Ready {
        changes.changed().await.unwrap();
    }
    stop.cancel();
    running.join_all().await;
}

#[tokio::test]
async fn what_is_raised_is_recorded_first_and_what_is_lowered_last() {
    let world = World::new(QueueSettings { capacity: 2, ..settings() }).await;
    let (first, _) = world.join().await;
    world.pass(&first, "a").await;
    world.patch(QueuePatch { capacity: Some(1), ..QueuePatch::default() }).await;
    let (second, standing) = world.join().await;
    assert_eq!(standing.state, PlaceState::Waiting);
    world.patch(QueuePatch { capacity: Some(3), ..QueuePatch::default() }).await;
    world.pace().await;
    let pass = world.pass(&second, "b").await;
    let history = world.ledger.books.queues.limits(&world.queue).await.unwrap();
    let kept: Vec<_> =
        history.iter().map(|c| (c.at.millis_since(T0), c.settings.capacity)).collect();
    assert_eq!(kept, [(0, 2), (1, 1), (0, 3)]);
    assert_eq!(pass.pass.slot.number, 2);
    assert!(
        world
            .room
            .configure(&QueueId::parse("none").unwrap(), QueuePatch::default())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn settings_that_another_node_changed_are_taken_over() {
    let world = World::new(settings()).await;
    let (token, _) = world.join().await;
    let patch = QueuePatch { state: Some(QueueState::Paused), ..QueuePatch::default() };
    let queues = &world.ledger.books.queues;
    let patched = queues.patch_queue(&world.queue, 1, patch, T0).await.unwrap();
    let Patched::Done(queue) = patched else { panic!("not changed: {patched:?}") };
    world.handle().await.settings.catch_up(&queue).await.unwrap();
    assert!(world.room.standing(&token).await.unwrap().paused);
}

#[tokio::test]
async fn the_status_is_served_from_memory_and_follows_the_queue() {
    let world = World::new(settings()).await;
    assert!(world.room.status(&QueueId::parse("none").unwrap()).await.unwrap().is_none());
    let status = world.room.status(&world.queue).await.unwrap().unwrap();
    let again = world.room.status(&world.queue).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&status, &again));
    let mut changes = world.room.changes(&world.queue).await.unwrap().unwrap();
    changes.mark_unchanged();
    world.feel(Pressure { seats_available: 7, ..Pressure::default() });
    world.join().await;
    let json = loop {
        changes.changed().await.unwrap();
        let status = world.room.status(&world.queue).await.unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
        if status.now_serving == 1 {
            break json;
        }
    };
    assert_eq!((&json["joined"], &json["seats_available"]), (&1.into(), &7.into()));
    world.wait(1_000);
    while world.room.status(&world.queue).await.unwrap().unwrap().body == again.body {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_crowd_that_only_polls_keeps_the_status_fresh() {
    let world = World::new(settings()).await;
    let queue = world.queue.as_str();
    assert!(world.room.status_now(queue).is_none(), "nobody has asked yet");
    world.room.status(&world.queue).await.unwrap().unwrap();
    let status = &world.handle().await.status;
    status.forget_asked();
    assert!(world.room.status_now(queue).is_some());
    assert!(status.is_asked(), "its keeper knows that somebody asks");
    status.set_idle();
    assert!(world.room.status_now(queue).is_none(), "it may be old: it is looked at first");
    world.room.status(&world.queue).await.unwrap().unwrap();
    assert!(world.room.status_now(queue).is_some());
}
