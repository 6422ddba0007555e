//! The contracts of [`Accounts`] and [`Requests`].
use crate::account::{Account, Role};
use crate::books::{AccountCreated, Accounts, RequestAnswer, RequestBegun, RequestKey, Requests};
use crate::clock::Timestamp;
use crate::ids::{AccountId, IdSource};
use futures_util::future::join_all;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(5_000_000);
const HASH: [u8; 32] = [7; 32];
const OTHER_HASH: [u8; 32] = [8; 32];

/// Runs the whole contract of accounts.
pub async fn check_accounts(accounts: Arc<dyn Accounts>) {
    let accounts = accounts.as_ref();
    an_account_comes_back_whole(accounts).await;
    a_name_is_taken_once(accounts).await;
    a_batch_is_answered_in_order(accounts).await;
    roles_change_by_name(accounts).await;
}

/// Runs the whole contract of keyed requests.
pub async fn check_requests(requests: Arc<dyn Requests>) {
    let requests = requests.as_ref();
    a_request_is_carried_out_once(requests).await;
    one_of_many_begins(requests).await;
    another_body_is_a_mismatch(requests).await;
    a_lost_lease_begins_again(requests).await;
    an_abandoned_key_is_free(requests).await;
    the_first_answer_stands(requests).await;
    old_keys_expire(requests).await;
}

async fn an_account_comes_back_whole(accounts: &dyn Accounts) {
    let with_password = Account { password_hash: Some("$argon2id$x".into()), ..account() };
    let without = Account { role: Role::Gate, ..account() };
    for account in [with_password, without] {
        let created = accounts.create(std::slice::from_ref(&account)).await.expect("an answer");
        assert_eq!(created, [AccountCreated::Created]);
        let by_id = accounts.by_id(&account.id).await.expect("an answer");
        let by_name = accounts.by_name(&account.username).await.expect("an answer");
        assert_eq!((by_id.as_ref(), by_name.as_ref()), (Some(&account), Some(&account)));
    }
    let absent = AccountId::parse("no-such-account").expect("an id");
    assert_eq!(accounts.by_id(&absent).await.expect("an answer"), None);
    assert_eq!(accounts.by_name("no such name").await.expect("an answer"), None);
}

async fn a_name_is_taken_once(accounts: &dyn Accounts) {
    let name = account().username;
    let rivals: Vec<[Account; 1]> =
        (0..16).map(|_| [Account { username: name.clone(), ..account() }]).collect();
    let answers = join_all(rivals.iter().map(|rival| accounts.create(rival))).await;
    let answers: Vec<_> = answers.into_iter().map(|a| a.expect("an answer")).collect();
    let created = |answer: &Vec<AccountCreated>| *answer == [AccountCreated::Created];
    let winner = answers.iter().position(created).expect("a winner");
    assert_eq!(answers.iter().filter(|answer| created(answer)).count(), 1);
    let kept = accounts.by_name(&name).await.expect("an answer").expect("the account");
    assert_eq!(kept, rivals[winner][0]);
    let again = accounts.create(&rivals[winner]).await.expect("an answer");
    assert_eq!(again, [AccountCreated::Created], "the same account again: a reply was lost");
}

async fn a_batch_is_answered_in_order(accounts: &dyn Accounts) {
    let [one, two] = [account(), account()];
    let twin = Account { username: one.username.clone(), ..account() };
    let batch = [one, twin, two.clone()];
    let answers = accounts.create(&batch).await.expect("an answer");
    use AccountCreated::{Created, Taken};
    assert_eq!(answers, [Created, Taken, Created]);
    assert_eq!(accounts.by_id(&two.id).await.expect("an answer"), Some(two));
    assert_eq!(accounts.by_id(&batch[1].id).await.expect("an answer"), None);
}

async fn roles_change_by_name(accounts: &dyn Accounts) {
    let account = account();
    accounts.create(std::slice::from_ref(&account)).await.expect("an answer");
    assert!(accounts.set_role(&account.username, Role::Admin).await.expect("an answer"));
    let kept = accounts.by_id(&account.id).await.expect("an answer").expect("the account");
    assert_eq!(kept.role, Role::Admin);
    let admin = accounts.any_of(Role::Admin).await.expect("an answer").expect("an admin");
    assert_eq!(admin.role, Role::Admin);
    assert!(!accounts.set_role("no such name", Role::Admin).await.expect("an answer"));
}

async fn a_request_is_carried_out_once(requests: &dyn Requests) {
    let key = key();
    assert_eq!(begin(requests, &key, HASH, NOW).await, RequestBegun::New);
    assert_eq!(begin(requests, &key, HASH, NOW).await, RequestBegun::Running);
    requests.finish(&key, &answer(201)).await.expect("an answer kept");
    let replay = RequestBegun::Replay(answer(201));
    assert_eq!(begin(requests, &key, HASH, NOW).await, replay);
    let next_day = NOW.plus_seconds(86_400);
    assert_eq!(begin(requests, &key, HASH, next_day).await, replay, "until it is expired");
    let elsewhere = [
        RequestKey { account: "another".into(), ..key.clone() },
        RequestKey { route: "DELETE /x".into(), ..key.clone() },
        RequestKey { key: format!("{}!", key.key), ..key },
    ];
    for other in elsewhere {
        assert_eq!(begin(requests, &other, OTHER_HASH, NOW).await, RequestBegun::New);
    }
}

async fn one_of_many_begins(requests: &dyn Requests) {
    let key = key();
    let begun = join_all((0..16).map(|_| begin(requests, &key, HASH, NOW))).await;
    assert_eq!(begun.iter().filter(|begun| **begun == RequestBegun::New).count(), 1);
    assert_eq!(begun.iter().filter(|begun| **begun == RequestBegun::Running).count(), 15);
}

async fn another_body_is_a_mismatch(requests: &dyn Requests) {
    let key = key();
    begin(requests, &key, HASH, NOW).await;
    assert_eq!(begin(requests, &key, OTHER_HASH, NOW).await, RequestBegun::Mismatch, "running");
    let late = NOW.plus_seconds(31);
    assert_eq!(begin(requests, &key, OTHER_HASH, late).await, RequestBegun::Mismatch, "lapsed");
    requests.finish(&key, &answer(200)).await.expect("an answer kept");
    assert_eq!(begin(requests, &key, OTHER_HASH, NOW).await, RequestBegun::Mismatch, "answered");
}

async fn a_lost_lease_begins_again(requests: &dyn Requests) {
    let key = key();
    assert_eq!(begin(requests, &key, HASH, NOW).await, RequestBegun::New);
    let last = NOW.plus_millis(29_999);
    assert_eq!(begin(requests, &key, HASH, last).await, RequestBegun::Running);
    let lapsed = NOW.plus_seconds(30);
    assert_eq!(begin(requests, &key, HASH, lapsed).await, RequestBegun::New);
    let second = lapsed.plus_millis(29_999);
    assert_eq!(begin(requests, &key, HASH, second).await, RequestBegun::Running, "a new lease");
    requests.abandon(&key, NOW).await.expect("the first one's, which is over");
    assert_eq!(begin(requests, &key, HASH, second).await, RequestBegun::Running, "not its own");
}

async fn an_abandoned_key_is_free(requests: &dyn Requests) {
    let key = key();
    begin(requests, &key, HASH, NOW).await;
    requests.abandon(&key, NOW).await.expect("a key forgotten");
    assert_eq!(begin(requests, &key, OTHER_HASH, NOW).await, RequestBegun::New);
    requests.finish(&key, &answer(201)).await.expect("an answer kept");
    requests.abandon(&key, NOW).await.expect("nothing to forget");
    let replay = begin(requests, &key, OTHER_HASH, NOW).await;
    assert_eq!(replay, RequestBegun::Replay(answer(201)), "an answer is not abandoned");
}

async fn the_first_answer_stands(requests: &dyn Requests) {
    let key = key();
    begin(requests, &key, HASH, NOW).await;
    requests.finish(&key, &answer(201)).await.expect("an answer kept");
    requests.finish(&key, &answer(409)).await.expect("a late answer is no mistake");
    assert_eq!(begin(requests, &key, HASH, NOW).await, RequestBegun::Replay(answer(201)));
    requests.finish(&self::key(), &answer(200)).await.expect("a key that expired meanwhile");
}

async fn old_keys_expire(requests: &dyn Requests) {
    let [old, young] = [key(), key()];
    // Far in the past, so that a shared store loses no other check's keys.
    let (long_ago, border) = (Timestamp::from_millis(1_000), Timestamp::from_millis(2_000));
    begin(requests, &old, HASH, long_ago).await;
    begin(requests, &young, HASH, border).await;
    requests.finish(&young, &answer(200)).await.expect("an answer kept");
    assert_eq!(requests.expire(border).await.expect("a count"), 1);
    assert_eq!(begin(requests, &old, OTHER_HASH, NOW).await, RequestBegun::New);
    let kept = begin(requests, &young, HASH, NOW).await;
    assert_eq!(kept, RequestBegun::Replay(answer(200)));
}

async fn begin(
    requests: &dyn Requests,
    key: &RequestKey,
    hash: [u8; 32],
    now: Timestamp,
) -> RequestBegun {
    requests.begin(key, hash, now).await.expect("an answer")
}

fn account() -> Account {
    let id = IdSource::system().account(NOW);
    Account {
        username: format!("name-of-{id}"),
        id,
        password_hash: None,
        role: Role::User,
        created_at: NOW,
    }
}

fn key() -> RequestKey {
    let key = IdSource::system().account(NOW).to_string();
    RequestKey { account: "acc_1".into(), route: "POST /api/events".into(), key }
}

fn answer(status: u16) -> RequestAnswer {
    RequestAnswer {
        status,
        content_type: "application/json".into(),
        headers: vec![("location".into(), "/x".into()), ("location".into(), "/y".into())],
        body: vec![0, 255, b'{'],
    }
}
