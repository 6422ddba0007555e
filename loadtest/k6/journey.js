// One visit: join, watch, claim, lock, book, ticket, and perhaps give the tickets back.
import { check } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';
import { ask, codeOf, doze } from './api.js';
import { seatsChangedHands } from './seats.js';

// How visits ended. Whoever gave tickets back had bought them.
export const ENDS = ['bought', 'gave_back', 'declined', 'sold_out', 'missed', 'closed', 'fault'];
const visits = Object.fromEntries(ENDS.map((end) => [end, new Counter(`visits_${end}`)]));
const gotTicket = new Rate('got_ticket');
const joinToTicket = new Trend('join_to_ticket', true);
const bookToEnd = new Trend('book_to_end', true);
const ticketsBought = new Counter('tickets_bought');
const ticketsReturned = new Counter('tickets_returned');
const ticketsKept = new Counter('tickets_kept');
const bookingsConfirmed = new Counter('bookings_confirmed');

// What the queue says to those it lets in no more, and how their visit ends.
const REFUSED = {
  sold_out: 'sold_out', missed: 'missed', done: 'missed', closed: 'closed', queue_closed: 'closed',
};
// The longest between two looks at a map without free seats.
const LOOK_AGAIN_MAX_MS = 8000;
// How long an accepted booking may take to its end.
const BOOKING_PATIENCE_MS = 150000;

// `sale` is {event, queue}, `wish` is {quantity, givesBack, paymentToken}.
export function visit(sale, login, wish) {
  let end = 'fault';
  try {
    end = tryToBuy(sale, login, wish);
  } catch (error) {
    console.error(error.message);
  }
  visits[end].add(1);
  gotTicket.add(end === 'bought' || end === 'gave_back');
}

function tryToBuy(sale, login, wish) {
  const started = Date.now();
  const line = `/api/queue/${sale.queue}`;
  const joined = ask('join', 'POST', `${line}/join`, { body: {}, expected: [201, 409] });
  if (joined.status === 409) return endOf(codeOf(joined));
  const place = joined.json();
  const called = waitToBeCalled(line, place);
  if (called !== 'called') return called;
  const claimed = claim(line, login, place.token);
  if (!claimed.pass) return claimed.end;
  const end = shop(sale, login, claimed, wish, started);
  // A confirmed booking ends the stay in the shop by itself; everybody else says goodbye.
  if (end !== 'bought' && end !== 'gave_back') {
    const headers = { 'Admission-Pass': claimed.pass };
    ask('leave', 'DELETE', `${line}/me`, { headers, expected: [204] });
  }
  return end;
}

// Watches the public status of the queue, which costs the server next to nothing. Whoever must know
// more (no number is drawn yet, or no seat is free but some may come back) asks for the own place.
// Each answer says when to look again.
function waitToBeCalled(line, place) {
  const headers = { 'Queue-Token': place.token };
  let { state, poll_after_ms: wait } = place;
  let nowServing = 0;
  while (!['ready', 'returning', 'admitted'].includes(state)) {
    if (REFUSED[state]) return REFUSED[state];
    doze(wait);
    const status = ask('watch', 'GET', line).json();
    nowServing = Math.max(nowServing, status.now_serving);
    if (place.number === null || status.seats_available === 0 || status.state === 'closed') {
      ({ state, poll_after_ms: wait } = ask('me', 'GET', `${line}/me`, { headers }).json());
    } else if (place.number <= nowServing) {
      return 'called';
    } else {
      wait = intervalFor(status.poll, place.number - nowServing - 1);
    }
  }
  return 'called';
}

function intervalFor(poll, ahead) {
  const row = poll.find(([bound]) => bound === null || ahead <= bound) || poll[poll.length - 1];
  return row[1];
}

function claim(line, login, token) {
  const request = {
    login, body: {}, headers: { 'Queue-Token': token }, expected: [200, 202, 409, 410],
  };
  for (;;) {
    const answer = ask('claim', 'POST', `${line}/pass`, request);
    if (answer.status === 200) {
      return { pass: answer.json('pass'), until: Date.now() + answer.json('expires_in') * 1000 };
    }
    if (answer.status !== 202) return { end: endOf(codeOf(answer)) };
    const { state, poll_after_ms: wait } = answer.json();
    if (REFUSED[state]) return { end: REFUSED[state] };
    doze(wait);
  }
}

// How a visit ends that the queue refuses, by the state or the code it gave.
function endOf(reason) {
  const end = REFUSED[reason];
  if (!end) throw new Error(`refused as ${reason}`);
  return end;
}

function shop(sale, login, claimed, wish, started) {
  const hold = findSeats(sale, login, claimed, wish.quantity);
  if (!hold) return Date.now() < claimed.until ? 'sold_out' : 'missed';
  const asked = Date.now();
  const body = {
    event_id: sale.event, hold_id: hold.hold_id, payment_token: wish.paymentToken,
  };
  const headers = { 'Idempotency-Key': `book-${hold.hold_id}` };
  const request = { login, body, headers, expected: [202, 410] };
  const accepted = ask('book', 'POST', '/api/tickets/book', request);
  if (accepted.status === 410) return 'missed';
  const booking = follow(login, accepted.json('booking_id'), ['processing']);
  bookToEnd.add(Date.now() - asked);
  if (booking.status === 'declined') {
    release(login, hold);
    return 'declined';
  }
  if (booking.status !== 'confirmed') throw new Error(`the booking ended ${booking.status}`);
  bookingsConfirmed.add(1);
  take(booking, ticketsBought, 1);
  lookAtTickets(login, booking);
  joinToTicket.add(Date.now() - started);
  return wish.givesBack ? giveBack(login, booking) : 'bought';
}

// The best seats there are, fewer and fewer, until some are held or none can become free.
function findSeats(sale, login, claimed, wanted) {
  let quantity = wanted;
  for (let wait = 500; Date.now() < claimed.until; wait = Math.min(2 * wait, LOOK_AGAIN_MAX_MS)) {
    const answer = lock(sale, login, claimed.pass, quantity);
    if (answer.status === 200) {
      const hold = answer.json();
      check(hold, { 'holds what was asked for': ({ seats }) => seats.length === quantity });
      return hold;
    }
    if (answer.status === 403) return null;
    if (quantity > 1) {
      quantity = Math.floor(quantity / 2);
      continue;
    }
    const shown = () => Object.values(ask('map', 'GET', `/api/events/${sale.event}/seats`)
      .json('sections')).join('');
    let map = shown();
    while (!map.includes('.') && /[hp]/.test(map) && Date.now() < claimed.until) {
      doze(wait);
      map = shown();
    }
    if (!/[.hp]/.test(map)) return null;
  }
  return null;
}

function lock(sale, login, pass, quantity) {
  const headers = { 'Admission-Pass': pass, 'Idempotency-Key': `lock-${uniqueKey()}` };
  const body = { event_id: sale.event, best_available: { quantity } };
  const expected = [200, 403, 409];
  const answer = ask('lock', 'POST', '/api/tickets/lock', { login, headers, body, expected });
  const allowed = ['', 'pass_invalid', 'seat_taken', 'sold_out'];
  if (!allowed.includes(codeOf(answer))) throw new Error(`lock: ${answer.body}`);
  return answer;
}

function uniqueKey() {
  return `${Date.now()}-${Math.random().toString(36).slice(2)}`;
}

// Follows a booking by long polls for as long as it is in one of these states.
function follow(login, id, passing) {
  for (const until = Date.now() + BOOKING_PATIENCE_MS; Date.now() < until; doze(200)) {
    const booking = ask('booking', 'GET', `/api/bookings/${id}?wait=20`, { login }).json();
    if (!passing.includes(booking.status)) return booking;
  }
  throw new Error(`the booking ${id} comes to no end`);
}

function lookAtTickets(login, booking) {
  const same = booking.tickets.length === booking.seats.length;
  check(booking, { 'a ticket for each seat': () => same });
  for (const { url, seat } of booking.tickets) {
    const ticket = ask('ticket', 'GET', url, { login }).json();
    check(ticket, {
      'the ticket is valid, and for its seat': (t) => t.status === 'valid' && t.seat === seat,
    });
  }
}

function giveBack(login, booking) {
  const path = `/api/bookings/${booking.id}/cancel`;
  const headers = { 'Idempotency-Key': `cancel-${booking.id}` };
  ask('cancel', 'POST', path, { login, headers, body: {}, expected: [202] });
  const passing = ['confirmed', 'cancelled', 'refund_pending'];
  const { status } = follow(login, booking.id, passing);
  if (status !== 'refunded') throw new Error(`the cancelled booking ended ${status}`);
  take(booking, ticketsReturned, -1);
  return 'gave_back';
}

function take({ seats }, counter, sign) {
  counter.add(seats.length);
  ticketsKept.add(sign * seats.length);
  seatsChangedHands(seats, sign);
}

// The seats may hear of a decline a little later than the buyer, and the hold may be over by then.
function release(login, hold) {
  const expected = [204, 404, 409, 410];
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const answer = ask('release', 'DELETE', `/api/tickets/lock/${hold.hold_id}`, {
      login, expected,
    });
    if (answer.status !== 409) return;
    doze(500);
  }
}
