// A few buyers and every step: is this sale in order? Everybody gets tickets, some give them back.
import exec from 'k6/execution';
import { given } from './api.js';
import { visit } from './journey.js';
import { closeSale, loginOf, openSale } from './sale.js';
import { arrivals, optionsOf, requestsOf, summaryOf } from './verdict.js';

const USERS = given('USERS', 20);
const ARRIVE_SECONDS = given('ARRIVE_SECONDS', 4);
const QUANTITY = 2;
// Slower than they come, so that some wait in line.
const RATE_PER_MINUTE = Math.ceil((USERS / ARRIVE_SECONDS / 2) * 60);

export const options = optionsOf(arrivals(USERS, ARRIVE_SECONDS), {
  got_ticket: ['rate==1'],
  tickets_kept: ['count>0'],
  tickets_returned: ['count>0'],
  [requestsOf('watch')]: ['count>0'],
});

export const setup = () => openSale(USERS * QUANTITY, USERS, {
  queue: { rate_per_minute: RATE_PER_MINUTE, capacity: 1000 },
});

export default function buyer(sale) {
  const index = exec.scenario.iterationInTest;
  if (index >= USERS) return;
  const wish = { quantity: 1 + (index % QUANTITY), givesBack: index % 5 === 0 };
  visit(sale, loginOf(sale, index), { ...wish, paymentToken: 'tok_good' });
}

export const teardown = closeSale;
export const handleSummary = summaryOf('smoke');
