// One honest buyer, many times over: k6 run --no-usage-report -e BASE=http://127.0.0.1:8080 -e EVENT=evt_… -e TOKENS=tokens.txt [-e VUS=200] loadtest/k6/spike.js (TOKENS: what `tidegate account mint --count N` printed)
import http from 'k6/http';
import exec from 'k6/execution';
import { check, fail, sleep } from 'k6';
import { Counter } from 'k6/metrics';
import { SharedArray } from 'k6/data';

const BASE = __ENV.BASE || 'http://127.0.0.1:8080';
const EVENT = __ENV.EVENT;
const tokens = new SharedArray('tokens', () =>
  open(__ENV.TOKENS || 'tokens.txt').split('\n').filter((line) => line !== ''));
const tickets = new Counter('tickets');

export const options = {
  scenarios: {
    buyers: {
      executor: 'shared-iterations',
      vus: Math.min(Number(__ENV.VUS || 200), tokens.length),
      iterations: tokens.length,
      maxDuration: '15m',
    },
  },
  thresholds: { checks: ['rate>0.999'], tickets: ['count>0'] },
};

// The queue's id is the event's, unless the event names another.
export function setup() {
  if (!EVENT) fail('name the event: -e EVENT=evt_…');
  return { queue: http.get(`${BASE}/api/events/${EVENT}`).json('queue_id') };
}

export default function ({ queue }) {
  const login = tokens[exec.scenario.iterationInTest];
  const line = `${BASE}/api/queue/${queue}`;
  const joined = http.post(`${line}/join`, '{}', with_headers(login, {}, 'join'));
  if (!check(joined, { 'joined': (r) => r.status === 201 })) return;
  const place = joined.json();
  if (!wait_to_be_called(line, place)) return;
  const pass = claim(line, login, place.token);
  if (pass) buy(login, pass);
}

function wait_to_be_called(line, place) {
  let wait = place.poll_after_ms;
  let greatest = 0;
  for (let state = place.state; state !== 'ready' && state !== 'returning';) {
    doze(wait);
    const board = http.get(line, { tags: { name: 'watch' } }).json();
    greatest = Math.max(greatest, board.now_serving);
    const ahead = Math.max(0, place.number - greatest);
    if (ahead === 0) return true;
    if (board.state === 'closed') return false;
    if (board.seats_available === 0) {
      const headers = { 'Queue-Token': place.token };
      state = http.get(`${line}/me`, { headers, tags: { name: 'me' } }).json('state');
      if (['sold_out', 'missed', 'done', 'closed'].includes(state)) return false;
    }
    wait = board.poll.find(([bound]) => bound === null || ahead <= bound)[1];
  }
  return true;
}

function claim(line, login, token) {
  for (;;) {
    const answer = http.post(`${line}/pass`, '{}', with_headers(login, { 'Queue-Token': token }, 'claim'));
    if (answer.status === 200) return answer.json('pass');
    if (answer.status !== 202 || answer.json('state') === 'sold_out') {
      check(answer, { 'claimed, or told why not': (r) => [202, 409, 410].includes(r.status) });
      return null;
    }
    doze(answer.json('poll_after_ms'));
  }
}

function buy(login, pass) {
  const wish = JSON.stringify({ event_id: EVENT, best_available: { quantity: 1 } });
  const headers = { 'Admission-Pass': pass };
  const held = http.post(`${BASE}/api/tickets/lock`, wish, with_headers(login, headers, 'lock'));
  check(held, { 'held, or taken': (r) => r.status === 200 || r.status === 409 });
  if (held.status !== 200) return;
  const order = JSON.stringify({ event_id: EVENT, hold_id: held.json('hold_id') });
  const booked = http.post(`${BASE}/api/tickets/book`, order, with_headers(login, {}, 'book'));
  if (!check(booked, { 'booked': (r) => r.status === 202 })) return;
  const url = `${BASE}/api/bookings/${booked.json('booking_id')}?wait=10`;
  let status = 'processing';
  while (status === 'processing') {
    status = http.get(url, with_headers(login, {}, 'booking')).json('status');
  }
  check(status, { 'came to an end': (s) => ['confirmed', 'declined'].includes(s) });
  if (status === 'confirmed') tickets.add(1);
}

function with_headers(login, headers, name) {
  const all = { 'Content-Type': 'application/json', Authorization: `Bearer ${login}`, ...headers };
  return { headers: all, responseCallback: http.expectedStatuses({ min: 200, max: 410 }), tags: { name } };
}

// The server's pace, give or take a fifth, so that people do not move in step.
function doze(ms) {
  sleep((ms * (0.8 + 0.4 * Math.random())) / 1000);
}
