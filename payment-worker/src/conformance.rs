//! The contract of [`PaymentGateway`] as a test suite, for every gateway that there is.
use crate::Config;
use crate::gateway::{
    ChargeAnswer, ChargeRecord, ChargeRequest, GatewayError, PaymentGateway, RefundAnswer,
    RefundRecord, RefundRequest,
};
use ledger::{BookingId, Currency, Cursor, Money, Page, PaymentToken, RefundId};
use std::sync::Arc;

/// Bounds small enough that tests meet them.
pub fn config() -> Config {
    Config {
        inflight_max: 8,
        batch_max: 4,
        window_batches_max: 3,
        settle_batch_max: 4,
        charge_timeout_ms: 5_000,
        drain_timeout_ms: 5_000,
        gateway_key_window_seconds: 86_400,
        gateway_connections_max: 16,
        gateway_connect_timeout_ms: 1_000,
        reconcile_interval_ms: 1,
        reconcile_batch_max: 8,
        resolve_interval_seconds: 15,
        outbox_age_min_ms: 0,
        publish_batch_max: 16,
    }
}

/// Runs the whole suite. Each call of `open` gives a gateway with an empty log that understands
/// the test tokens and, for `tok_default`, captures and delivers every request twice.
pub async fn payment_gateway<F: AsyncFn() -> Arc<dyn PaymentGateway>>(open: F) {
    keys_are_honoured(&*open().await).await;
    a_reused_key_is_refused(&*open().await).await;
    declines_are_final(&*open().await).await;
    a_lost_reply_is_found_by_asking_again(&*open().await).await;
    a_request_that_arrives_twice_is_one_charge(&*open().await).await;
    concurrent_requests_are_one_charge(open().await).await;
    refunds_happen_once(&*open().await).await;
    refunds_never_exceed_the_charge(&*open().await).await;
    the_log_lists_everything_in_order(&*open().await).await;
    an_unknown_mark_is_not_the_end(&*open().await).await;
}

fn request(booking: &str, minor: i64, token: &str) -> ChargeRequest {
    ChargeRequest {
        key: BookingId::parse(booking).expect("an id"),
        amount: eur(minor),
        payment_token: PaymentToken::parse(token).expect("a token"),
    }
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

async fn captured(gateway: &dyn PaymentGateway, request: &ChargeRequest) -> String {
    match gateway.charge(request).await.expect("an answer") {
        ChargeAnswer::Captured { charge_id, amount } if amount == request.amount => charge_id,
        other => panic!("{other:?} is not a capture of {:?}", request.amount),
    }
}

async fn all_charges(gateway: &dyn PaymentGateway) -> Vec<ChargeRecord> {
    let page = gateway.charges(Cursor { after: None, limit: 200 }).await.expect("a page");
    assert_eq!(page.next, None, "one page holds all of this test's charges");
    page.items
}

async fn all_refunds(gateway: &dyn PaymentGateway) -> Vec<RefundRecord> {
    gateway.refunds(Cursor { after: None, limit: 200 }).await.expect("a page").items
}

async fn keys_are_honoured(gateway: &dyn PaymentGateway) {
    let request = request("bkg_1", 4_500, "tok_good");
    assert_eq!(gateway.find(&request.key).await.expect("an answer"), None);
    let charge_id = captured(gateway, &request).await;
    assert_eq!(captured(gateway, &request).await, charge_id, "the same answer again");
    let [only] = &all_charges(gateway).await[..] else { panic!("one charge") };
    let expected = (charge_id, request.key.clone(), request.amount, None);
    let got = (only.id.clone(), only.booking.clone(), only.amount, only.decline_code.clone());
    assert_eq!(got, expected);
    assert_eq!(gateway.find(&request.key).await.expect("an answer").as_ref(), Some(only));
}

async fn a_reused_key_is_refused(gateway: &dyn PaymentGateway) {
    captured(gateway, &request("bkg_1", 4_500, "tok_good")).await;
    let mut other = request("bkg_1", 4_501, "tok_good");
    assert_eq!(gateway.charge(&other).await.expect("an answer"), ChargeAnswer::KeyReused);
    other.amount = Money::new(4_500, Currency::parse("USD").expect("a currency"));
    assert_eq!(gateway.charge(&other).await.expect("an answer"), ChargeAnswer::KeyReused);
    assert_eq!(all_charges(gateway).await.len(), 1);
}

async fn declines_are_final(gateway: &dyn PaymentGateway) {
    let mut request = request("bkg_1", 4_500, "tok_decline");
    let declined = ChargeAnswer::Declined { code: "card_declined".into() };
    assert_eq!(gateway.charge(&request).await.expect("an answer"), declined);
    request.payment_token = PaymentToken::parse("tok_good").expect("a token");
    assert_eq!(gateway.charge(&request).await.expect("an answer"), declined, "the key decides");
    let [only] = &all_charges(gateway).await[..] else { panic!("one charge") };
    assert_eq!(only.decline_code.as_deref(), Some("card_declined"));
}

async fn a_lost_reply_is_found_by_asking_again(gateway: &dyn PaymentGateway) {
    let request = request("bkg_1", 4_500, "tok_unknown");
    let lost = gateway.charge(&request).await;
    assert!(matches!(lost, Err(GatewayError::NoAnswer { .. })), "{lost:?}");
    let found = gateway.find(&request.key).await.expect("an answer").expect("it took effect");
    assert_eq!(captured(gateway, &request).await, found.id);
    assert_eq!(all_charges(gateway).await, [found]);
}

async fn a_request_that_arrives_twice_is_one_charge(gateway: &dyn PaymentGateway) {
    captured(gateway, &request("bkg_1", 4_500, PaymentToken::DEFAULT)).await;
    assert_eq!(all_charges(gateway).await.len(), 1);
}

async fn concurrent_requests_are_one_charge(gateway: Arc<dyn PaymentGateway>) {
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let gateway = gateway.clone();
        let request = request("bkg_1", 4_500, "tok_good");
        racers.spawn(async move { captured(&*gateway, &request).await });
    }
    let mut ids = racers.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1, "everybody is told of the same charge");
    assert_eq!(all_charges(&*gateway).await.len(), 1);
}

/// A refund of `minor` for `bkg_1`, numbered so.
fn refund(charge_id: &str, ordinal: u32, minor: i64) -> RefundRequest {
    let booking = BookingId::parse("bkg_1").expect("an id");
    let key = RefundId::of(&booking, ordinal);
    RefundRequest { key, booking, charge_id: charge_id.into(), amount: eur(minor) }
}

async fn refunds_happen_once(gateway: &dyn PaymentGateway) {
    let charge_id = captured(gateway, &request("bkg_1", 4_500, "tok_good")).await;
    let whole = refund(&charge_id, 1, 4_500);
    for _ in 0..3 {
        assert_eq!(gateway.refund(&whole).await.expect("an answer"), RefundAnswer::Done);
    }
    let [only] = &all_refunds(gateway).await[..] else { panic!("one refund") };
    let got = (&only.key, &only.booking, &only.charge_id, only.amount);
    assert_eq!(got, (&whole.key, &whole.booking, &whole.charge_id, whole.amount));
    assert_refused(gateway, &RefundRequest { amount: eur(1), ..whole }).await;
}

async fn refunds_never_exceed_the_charge(gateway: &dyn PaymentGateway) {
    let charge_id = captured(gateway, &request("bkg_1", 4_500, "tok_good")).await;
    assert_refused(gateway, &refund("ch_nobody", 1, 1)).await;
    assert_refused(gateway, &refund(&charge_id, 1, 4_501)).await;
    let part = refund(&charge_id, 2, 4_000);
    assert_eq!(gateway.refund(&part).await.expect("an answer"), RefundAnswer::Done);
    assert_refused(gateway, &refund(&charge_id, 3, 501)).await;
    let rest = refund(&charge_id, 4, 500);
    assert_eq!(gateway.refund(&rest).await.expect("an answer"), RefundAnswer::Done);
    assert_eq!(all_refunds(gateway).await.len(), 2);
    let stranger = BookingId::parse("bkg_2").expect("an id");
    assert_refused(gateway, &RefundRequest { booking: stranger, ..refund(&charge_id, 5, 1) }).await;
}

async fn assert_refused(gateway: &dyn PaymentGateway, request: &RefundRequest) {
    let answer = gateway.refund(request).await.expect("an answer");
    assert!(matches!(answer, RefundAnswer::Refused { .. }), "{request:?} got {answer:?}");
}

async fn the_log_lists_everything_in_order(gateway: &dyn PaymentGateway) {
    let bookings: Vec<String> = (0..7).map(|n| format!("bkg_{n}")).collect();
    for booking in &bookings {
        captured(gateway, &request(booking, 100, "tok_good")).await;
    }
    let mut listed = Vec::new();
    let mut cursor = Cursor { after: None, limit: 3 };
    loop {
        let Page { items, next } = gateway.charges(cursor.clone()).await.expect("a page");
        assert!((1..=3).contains(&items.len()), "no page is empty or too long");
        listed.extend(items.into_iter().map(|charge| charge.booking.to_string()));
        let Some(next) = next else { break };
        cursor.after = Some(next);
    }
    assert_eq!(listed, bookings);
}

async fn an_unknown_mark_is_not_the_end(gateway: &dyn PaymentGateway) {
    let nowhere = Cursor { after: Some("ch_nowhere".into()), limit: 3 };
    assert!(gateway.charges(nowhere.clone()).await.is_err());
    assert!(gateway.refunds(nowhere).await.is_err());
}
