// Everybody comes at once for too few seats: a line forms, every seat is sold once, and whoever
// finds nothing hears it.
import exec from 'k6/execution';
import { given } from './api.js';
import { visit } from './journey.js';
import { closeSale, EVENT, loginOf, openSale } from './sale.js';
import { arrivals, optionsOf, requestsOf, summaryOf } from './verdict.js';

const USERS = given('USERS', 200);
const SEATS = given('SEATS', 60);
const ARRIVE_SECONDS = given('ARRIVE_SECONDS', 10);
// The share of those who give their tickets back. They come first, so that others get the seats.
const CANCEL = given('CANCEL', 0.05);
const QUANTITY_MAX = given('QUANTITY_MAX', 2);
const PAYMENT_TOKEN = __ENV.PAYMENT_TOKEN || 'tok_good';
// Lets in half of those who come while they come.
const PER_SECOND = Math.min(Math.max(USERS / ARRIVE_SECONDS / 2, 5), 300);

export const options = optionsOf(arrivals(USERS, ARRIVE_SECONDS), EVENT ? {} : {
  // Some wait in line, and every seat is sold.
  [requestsOf('watch')]: ['count>0'],
  tickets_kept: [USERS * (1 - CANCEL) < SEATS ? 'count>0' : `count==${SEATS}`],
});

export const setup = () => openSale(SEATS, USERS, {
  queue: {
    rate_per_minute: Math.ceil(PER_SECOND * 60),
    capacity: Math.ceil(Math.min(Math.max(PER_SECOND * 30, 50), 10000)),
  },
});

export default function buyer(sale) {
  const index = exec.scenario.iterationInTest;
  if (index >= USERS) return;
  const quantity = 1 + (index % QUANTITY_MAX);
  const wish = { quantity, givesBack: index < USERS * CANCEL, paymentToken: PAYMENT_TOKEN };
  visit(sale, loginOf(sale, index), wish);
}

export const teardown = closeSale;
export const handleSummary = summaryOf('spike');
