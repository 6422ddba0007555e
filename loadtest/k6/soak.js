// The same load for hours: what grows, slows down, or leaks? The first third of the time and the
// last have rows of their own in the summary, under the same bounds.
import exec from 'k6/execution';
import { given } from './api.js';
import { visit } from './journey.js';
import { closeSale, loginOf, openSale } from './sale.js';
import { optionsOf, summaryOf } from './verdict.js';

const PER_SECOND = given('PER_SECOND', 5);
const DURATION_SECONDS = given('DURATION_SECONDS', 3600);
// Buyers at once. Each has an account, and comes again when done.
const BUYERS = given('BUYERS', 50);
// The share of those who give their tickets back: with it the seats of one event last longer.
const CANCEL = given('CANCEL', 0.5);
const PAYMENT_TOKEN = __ENV.PAYMENT_TOKEN || 'tok_good';
const TICKET_MS = 5000 * given('LATENCY_FACTOR', 1);

const sold = PER_SECOND * DURATION_SECONDS * (1 - CANCEL);
// Chance may keep more; whoever is about to give back still has a seat.
const SEATS = Math.ceil(sold + 5 * Math.sqrt(sold) + 2 * BUYERS);
const SEATS_MAX = 200000;
if (SEATS > SEATS_MAX) throw new Error(`no event has ${SEATS} seats: raise CANCEL`);

export const options = optionsOf({
  executor: 'constant-arrival-rate',
  rate: PER_SECOND,
  timeUnit: '1s',
  duration: `${DURATION_SECONDS}s`,
  preAllocatedVUs: BUYERS,
}, {
  got_ticket: ['rate==1'],
  tickets_kept: ['count>0'],
  'join_to_ticket{part:first}': [`p(95)<${TICKET_MS}`],
  'join_to_ticket{part:last}': [`p(95)<${TICKET_MS}`],
});

export const setup = () => openSale(SEATS, BUYERS, {
  seats_per_account_max: SEATS,
  queue: { rate_per_minute: PER_SECOND * 60 * 4, capacity: 10 * BUYERS },
});

export default function buyer(sale) {
  const { progress } = exec.scenario;
  exec.vu.metrics.tags.part = ['first', 'middle', 'last'][Math.min(Math.floor(progress * 3), 2)];
  const wish = { quantity: 1, givesBack: Math.random() < CANCEL, paymentToken: PAYMENT_TOKEN };
  // One virtual user is in one visit at a time, and so is its account.
  visit(sale, loginOf(sale, exec.vu.idInTest - 1), wish);
}

export const teardown = closeSale;
export const handleSummary = summaryOf('soak');
