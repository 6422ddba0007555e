//! Tables: histories that keep a promise and histories that break it.
use super::*;
use crate::history::{BookingSeen, HoldSeen, Joined, Keyed, Sighting};
use crate::people::plans;
use crate::scenario::Wanted;
use std::time::Duration;

fn person(index: u32) -> History {
    History { end: End::Left, ..History::new(index) }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn booked(index: u32, status: &str, seats: &[&str]) -> History {
    let mut history = person(index);
    history.bookings.push(BookingSeen {
        booking: format!("bkg_{index}"),
        seats: texts(seats),
        status: status.to_owned(),
        tickets: seats.len(),
    });
    history
}

fn held(index: u32, seat: &str, from: u64, until: u64) -> History {
    let mut history = person(index);
    let (hold, seats) = (format!("hld_{index}"), texts(&[seat]));
    history.holds.push(HoldSeen { hold, seats, asked: from - 1, from, until });
    history
}

fn joined(index: u32, number: u64, started: u64, ended: u64) -> History {
    let joined = Some(Joined { entry: number, number: Some(number), started, ended });
    History { joined, ..person(index) }
}

fn seen(mut history: History, number: u64, aheads: &[u64]) -> History {
    history.sightings.extend(aheads.iter().map(|&ahead| told(number, ahead, number)));
    history
}

fn told(number: u64, ahead: u64, at_most: u64) -> Sighting {
    let (ahead, at_most) = (Some(ahead), Some(at_most));
    Sighting { entry: number, number: Some(number), ahead, at_most }
}

fn check(verdict: &Verdict, breaches: &[&str], case: &str) {
    assert_eq!(verdict.breaches, texts(breaches), "{case}");
}

#[test]
fn i1_a_seat_is_confirmed_for_one_booking() {
    for (case, histories, breaches) in [
        (
            "different seats",
            vec![booked(1, "confirmed", &["a"]), booked(2, "confirmed", &["b"])],
            vec![],
        ),
        (
            "declined first",
            vec![booked(1, "declined", &["a"]), booked(2, "confirmed", &["a"])],
            vec![],
        ),
        (
            "sold twice",
            vec![booked(1, "confirmed", &["a", "b"]), booked(2, "confirmed", &["b"])],
            vec!["seat b confirmed for people 1 and 2"],
        ),
    ] {
        check(&one_owner(&histories), &breaches, case);
        assert_eq!(oversold(&histories), breaches.len() as u64, "{case}");
    }
}

#[test]
fn i4_every_booking_ends() {
    for (status, breaches) in [
        ("confirmed", vec![]),
        ("declined", vec![]),
        ("processing", vec!["booking bkg_1 is still processing"]),
        ("refund_pending", vec!["booking bkg_1 is still refund_pending"]),
    ] {
        check(&bookings_end(&[booked(1, status, &["a"])]), &breaches, status);
    }
}

#[test]
fn i7_one_key_has_one_answer() {
    let keyed = |index: u32, answers: &[(&str, &str)]| {
        let mut history = person(index);
        let keyed =
            |&(key, answer): &(&str, &str)| Keyed { key: key.into(), answer: answer.into() };
        history.keyed.extend(answers.iter().map(keyed));
        history
    };
    for (case, histories, breaches) in [
        ("same", vec![keyed(1, &[("k", "x"), ("k", "x")])], vec![]),
        ("two keys", vec![keyed(1, &[("k", "x"), ("l", "y")])], vec![]),
        ("two people", vec![keyed(1, &[("k", "x")]), keyed(2, &[("k", "y")])], vec![]),
        ("different", vec![keyed(1, &[("k", "x"), ("k", "y")])], vec!["key k: x and y"]),
    ] {
        check(&same_key_same_answer(&histories), &breaches, case);
    }
}

#[test]
fn i8_places_and_tickets_are_there() {
    let bought = |seats: &[&str], tickets: usize| {
        let mut history = booked(1, "confirmed", &["a", "b"]);
        history.bookings[0].tickets = tickets;
        let (hold, seats) = ("hld".to_owned(), texts(seats));
        history.holds.push(HoldSeen { hold, seats, asked: 0, from: 1, until: 9 });
        history
    };
    let twice = |id: &str| {
        let mut history = booked(1, "declined", &["a"]);
        let again = booked(1, "declined", &["a"]).bookings.remove(0);
        history.bookings.push(BookingSeen { booking: id.to_owned(), ..again });
        history
    };
    let wrong = r#"booking bkg_1: 2 tickets for ["a", "b"]"#;
    let one = r#"booking bkg_1: 1 tickets for ["a", "b"]"#;
    let moved = "person 1: (7, Some(7)) became \
        Sighting { entry: 8, number: Some(8), ahead: Some(0), at_most: Some(8) }";
    for (case, history, breaches) in [
        ("all there", bought(&["b", "a"], 2), vec![]),
        ("another seat", bought(&["a", "c"], 2), vec![wrong]),
        ("a ticket missing", bought(&["a", "b"], 1), vec![one]),
        ("a new attempt", twice("bkg_2"), vec![]),
        ("an old one", twice("bkg_1"), vec!["booking bkg_1: a new attempt got the old one"]),
        ("same place", seen(joined(1, 7, 0, 1), 7, &[3, 0]), vec![]),
        ("another place", seen(joined(1, 7, 0, 1), 8, &[0]), vec![moved]),
    ] {
        check(&kept_promises(&[history]), &breaches, case);
    }
}

#[test]
fn i9_numbers_are_given_once_and_in_order() {
    for (case, one_node, histories, breaches) in [
        ("in order", true, vec![joined(1, 1, 0, 5), joined(2, 2, 6, 9)], vec![]),
        ("at the same time", true, vec![joined(1, 2, 0, 5), joined(2, 1, 5, 9)], vec![]),
        (
            "overtaken",
            true,
            vec![joined(1, 2, 0, 5), joined(2, 1, 6, 9)],
            vec!["number 1 was given after 2"],
        ),
        ("overtaken on two nodes", false, vec![joined(1, 2, 0, 5), joined(2, 1, 6, 9)], vec![]),
        (
            "twice",
            true,
            vec![joined(1, 1, 0, 5), joined(2, 1, 0, 5)],
            vec!["entry 1 was given twice", "number Some(1) was given twice"],
        ),
        ("moving up", true, vec![seen(joined(1, 9, 0, 1), 9, &[8, 8, 2, 0])], vec![]),
        (
            "moved back",
            true,
            vec![seen(joined(1, 9, 0, 1), 9, &[8, 2, 3])],
            vec!["person 1: 2 ahead grew to 3"],
        ),
        (
            "fewer than by number: some have left",
            true,
            vec![History {
                sightings: vec![told(9, 5, 8), told(9, 5, 7), told(9, 2, 2)],
                ..joined(1, 9, 0, 1)
            }],
            vec![],
        ),
        (
            "more than the public status leaves",
            true,
            vec![History { sightings: vec![told(140, 138, 137)], ..joined(1, 140, 0, 1) }],
            vec!["person 1: 137 ahead grew to 138"],
        ),
    ] {
        check(&fair_order(&histories, one_node), &breaches, case);
    }
}

#[test]
fn i17_a_seat_has_one_holder_at_a_time() {
    for (case, histories, breaches) in [
        ("one after the other", vec![held(1, "a", 1, 5), held(2, "a", 5, 9)], vec![]),
        ("different seats", vec![held(1, "a", 1, 5), held(2, "b", 2, 9)], vec![]),
        (
            "too early",
            vec![held(2, "a", 4, 9), held(1, "a", 1, 5)],
            vec!["seat a: hld_2 held while hld_1 lived"],
        ),
    ] {
        check(&exclusive_holds(&histories), &breaches, case);
    }
}

fn small(users: u32, seats: u32) -> Scenario {
    let arrive = Duration::from_secs(2);
    let (rate_per_minute, capacity) = (None, None);
    Scenario::new(Wanted { users, seats, arrive, rate_per_minute, capacity, seed: 1 })
}

#[test]
fn i22_a_run_where_nothing_happened_has_failed() {
    let scenario = small(200, 50);
    let people = plans(&scenario);
    let idle: Vec<History> = (0..200).map(person).collect();
    let verdict = progress(&scenario, &people, &idle);
    let breaches = ["0 seats sold, at least 49 must be", "nobody's booking was confirmed"];
    check(&verdict, &breaches, "idle");

    let names: Vec<String> = (0..50).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut sold = idle;
    sold[0] = booked(0, "confirmed", &names);
    check(&progress(&scenario, &people, &sold), &[], "sold out");

    let decliner = people.iter().position(|plan| plan.persona == Persona::Decliner).unwrap();
    let index = u32::try_from(decliner).unwrap();
    sold[decliner] = held(index, "x", 1, 2);
    let verdict = progress(&scenario, &people, &sold);
    check(&verdict, &["nobody's payment was declined"], "a card that must not work worked");
}

#[test]
fn what_must_be_sold_follows_from_who_pays() {
    for (users, seats, least, most) in
        [(200, 50, 49, 49), (2_000, 500, 490, 490), (30, 500, 10, 40)]
    {
        let scenario = small(users, seats);
        let must = must_sell(&scenario, &plans(&scenario));
        assert!((least..=most).contains(&must), "{users} for {seats}: {must}");
    }
}

#[test]
fn samples_count_for_their_invariant() {
    let scenario = small(20, 5);
    let people = plans(&scenario);
    let mut history = person(0);
    history.sample(Invariant::I12, "asked well", "409 token_used", "409 token_used");
    history.sample(Invariant::I12, "claim with another's token", "409 token_used", "200");
    let verdicts = judge(&scenario, &people, &[history], true);
    assert_eq!(verdicts[&Invariant::I12].checked, 2);
    let breach = "claim with another's token: 200 instead of 409 token_used";
    check(&verdicts[&Invariant::I12], &[breach], "I12");
}
