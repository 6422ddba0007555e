//! What people do that must not work: sharing, clicking twice, paying late.
use super::line::{Pass, Place};
use super::person::{Person, Step, read};
use super::seats::Hold;
use crate::history::End;
use crate::http::{Answer, Request};
use crate::latency::Route;
use ledger::audit::Invariant;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// After that a hold that is over must have given its seats back.
const FREED_WITHIN: Duration = Duration::from_secs(5);

impl Person {
    /// A friend tries the token and the pass of somebody admitted; then the pass is altered.
    pub(super) async fn share(&mut self, place: &Place, pass: &Pass) -> Step<()> {
        let Some(friend) = self.friend.clone() else { return Ok(()) };
        let answer = self.claim_as(&friend, &place.token).await?;
        self.refused(Invariant::I12, "claim with another's token", "409 token_used", &answer);

        let body = json!({"event_id": self.sale.event, "best_available": {"quantity": 1}});
        let lock = Request::post("/api/tickets/lock", &body);
        let stolen = lock.clone().login(&friend).with("admission-pass", &pass.jwt);
        let answer = self.call(Route::Lock, &stolen).await?;
        self.refused(Invariant::I12, "lock with another's pass", "403 pass_invalid", &answer);

        let altered = lock.login(&self.login).with("admission-pass", &altered(&pass.jwt));
        let answer = self.call(Route::Lock, &altered).await?;
        self.refused(Invariant::I12, "lock with an altered pass", "403 pass_invalid", &answer);
        Ok(())
    }

    /// Sends a keyed lock twice at once, and then the key once more with another wish.
    pub(super) async fn lock_twice(
        &mut self,
        pass: &Pass,
        key: &str,
        body: &Value,
    ) -> Step<Answer> {
        let request = self.lock_request(pass, key, body);
        let [one, two] = self.call_twice(Route::Lock, &request).await?;
        if one.status != 200 || two.status != 200 {
            // Refusals are not kept: the seats may have become free between the two.
            return Ok(if one.status == 200 { one } else { two });
        }
        for answer in [&one, &two] {
            self.history.keyed(key, hold_of(answer)?);
        }
        let other = json!({"event_id": self.sale.event, "seat_number": 1});
        let answer = self.call(Route::Lock, &self.lock_request(pass, key, &other)).await?;
        self.refused(Invariant::I7, "one key, another body", "422 idempotency_mismatch", &answer);
        Ok(one)
    }

    /// Watches the hold live and die, and pays when it is too late.
    pub(super) async fn pay_late(&mut self, pass: &Pass, hold: &Hold) -> Step<End> {
        let half = (hold.expires - Instant::now()) / 2;
        self.sleep_till(Instant::now() + half).await;
        if let Some(number) = hold.picked {
            let map = self.map().await?;
            // An answer that came after the hold's time says nothing about the hold.
            if !self.is_over(hold) {
                let seat = map.0.get(number - 1..number).unwrap_or("?").to_owned();
                self.history.sample(Invariant::I17, "a held seat on the map", "h", seat);
            }
        }
        self.sleep_till(hold.expires + Duration::from_secs(1)).await;
        let answer = self.call(Route::Book, &self.book_request(hold, "late", "tok_good")).await?;
        self.refused(Invariant::I17, "pay for an expired hold", "410 hold_expired", &answer);

        self.sleep_till(hold.expires + FREED_WITHIN).await;
        let asked = self.sale.now();
        let request = self.lock_request(pass, "too-late", &hold.body);
        let answer = self.call(Route::Lock, &request).await?;
        let again = if answer.status == 200 { hold_of(&answer)? } else { String::new() };
        let got = if again == hold.id { "the old hold" } else { "freed" };
        self.history.sample(Invariant::I17, "seats 5 s after their hold", "freed", got);
        if answer.status == 200 && again != hold.id {
            let new = self.take_hold(&answer, hold.body.clone(), hold.picked, asked)?;
            self.release(&new).await?;
        }
        Ok(End::Refused)
    }

    fn refused(
        &mut self,
        invariant: Invariant,
        question: &'static str,
        expected: &'static str,
        answer: &Answer,
    ) {
        self.history.sample(invariant, question, expected, answer.summary());
    }
}

fn hold_of(answer: &Answer) -> Step<String> {
    #[derive(Deserialize)]
    struct Held {
        hold_id: String,
    }
    read(Route::Lock, answer).map(|held: Held| held.hold_id)
}

/// The pass with one character of its signature changed.
fn altered(jwt: &str) -> String {
    let at = jwt.rfind('.').map_or(0, |dot| dot + 1);
    let (head, signature) = jwt.split_at(at);
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{head}{other}{}", signature.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_pass_differs_in_one_character() {
        for (jwt, expected) in [("h.c.xyz", "h.c.Ayz"), ("h.c.Ayz", "h.c.Byz"), ("none", "Aone")] {
            assert_eq!(altered(jwt), expected);
        }
    }
}
