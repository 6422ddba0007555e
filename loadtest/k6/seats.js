// The account of seats: what buyers hold tickets for must be what the server shows as sold. k6's
// virtual users share nothing but metrics, so each seat is counted, and summed up by a number that
// follows from its id: one seat sold to two buyers shows in the count, and in the sum even where
// another seat was sold to nobody.
import { sleep } from 'k6';
import { Counter, Gauge } from 'k6/metrics';
import { ask } from './api.js';

const keptSum = new Counter('seats_kept_sum');
const soldSum = new Gauge('seats_sold_sum');
const sold = new Gauge('seats_sold');
const total = new Gauge('seats_total');
// What buyers kept beyond what is sold; 0 where every seat has one buyer.
const surplus = new Counter('seats_surplus');
const surplusSum = new Counter('seats_surplus_sum');

// The map may be a second old: one that stays the same for longer than that is the last.
const SETTLED_AFTER_SECONDS = 2;
const LOOKS_MAX = 60;

// A buyer got these seats (1) or gave them back (-1).
export function seatsChangedHands(ids, sign) {
  const sum = sumOf(ids) * sign;
  keptSum.add(sum);
  surplus.add(ids.length * sign);
  surplusSum.add(sum);
}

// Reads which seats the server shows as sold, once no payment is under way and nothing changes.
export function readSoldSeats(event) {
  const map = settledMap(event);
  const { sections } = ask('layout', 'GET', `/api/events/${event}/layout`).json();
  const ids = [];
  let count = 0;
  for (const section of sections) {
    const seats = section.rows.flatMap((row) => row.seats.filter((seat) => seat !== null));
    const shown = map[section.id];
    seats.forEach(({ id }, at) => { if (shown[at] === 's') ids.push(id); });
    count += seats.length;
  }
  return { total: count, sold: ids.length, sum: sumOf(ids) };
}

// What is sold, set against what buyers kept: `kept` is {count, sum} of other processes, if any.
export function settleAccount(seats, kept = { count: 0, sum: 0 }) {
  total.add(seats.total);
  sold.add(seats.sold);
  soldSum.add(seats.sum);
  surplus.add(kept.count - seats.sold);
  surplusSum.add(kept.sum - seats.sum);
}

function settledMap(event) {
  let before = null;
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const map = ask('map', 'GET', `/api/events/${event}/seats`).json();
    const paying = Object.values(map.sections).some((shown) => shown.includes('p'));
    if (!paying && before && map.version === before.version) return map.sections;
    before = map;
    sleep(SETTLED_AFTER_SECONDS);
  }
  throw new Error(`the seat map of ${event} does not settle`);
}

// Sums of 32-bit numbers: exact for more seats than an event can have.
function sumOf(ids) {
  return ids.reduce((sum, id) => sum + fnv1a(id), 0);
}

function fnv1a(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}
