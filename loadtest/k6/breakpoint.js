// More and more visits a second until a bound is crossed: how much does this sale carry? The queue
// lets everybody in, so that nothing but the servers is in the way.
import exec from 'k6/execution';
import { Gauge } from 'k6/metrics';
import { given } from './api.js';
import { visit } from './journey.js';
import { closeSale, EVENT, loginOf, openSale } from './sale.js';
import { latencyBound, latencyOf, optionsOf, summaryOf } from './verdict.js';

const FROM_PER_SECOND = given('FROM_PER_SECOND', 5);
const TO_PER_SECOND = given('TO_PER_SECOND', 200);
const DURATION_SECONDS = given('DURATION_SECONDS', 300);
// Buyers at once. Each has an account, and comes again when done.
const BUYERS = given('BUYERS', 200);
const PAYMENT_TOKEN = __ENV.PAYMENT_TOKEN || 'tok_good';
const SEATS_MAX = 200000;

const visits = ((FROM_PER_SECOND + TO_PER_SECOND) / 2) * DURATION_SECONDS;
const SEATS = Math.ceil(visits + BUYERS);
if (SEATS > SEATS_MAX) throw new Error(`no event has ${SEATS} seats: shorten DURATION_SECONDS`);

// How many visits a second begin.
const offered = new Gauge('offered_per_second');

export const options = optionsOf({
  executor: 'ramping-arrival-rate',
  startRate: FROM_PER_SECOND,
  timeUnit: '1s',
  stages: [{ target: TO_PER_SECOND, duration: `${DURATION_SECONDS}s` }],
  preAllocatedVUs: BUYERS,
}, {
  ...Object.fromEntries(['join', 'claim', 'lock', 'book'].map((step) => [
    latencyOf(step), [endsTheRun(latencyBound(step))],
  ])),
  // Every buyer is in a visit when the next one is due.
  dropped_iterations: [endsTheRun('count<10')],
  visits_fault: [endsTheRun('count==0')],
  // Visits that the end cuts off may have bought what they did not live to see.
  seats_surplus: EVENT ? [] : ['count<=0'],
  seats_surplus_sum: [],
});

export const setup = () => openSale(SEATS, BUYERS, {
  seats_per_account_max: SEATS,
  queue: { rate_per_minute: TO_PER_SECOND * 60 * 4, capacity: 10 * BUYERS },
});

export default function buyer(sale) {
  const { progress } = exec.scenario;
  offered.add(FROM_PER_SECOND + (TO_PER_SECOND - FROM_PER_SECOND) * progress);
  const wish = { quantity: 1, givesBack: false, paymentToken: PAYMENT_TOKEN };
  // One virtual user is in one visit at a time, and so is its account.
  visit(sale, loginOf(sale, exec.vu.idInTest - 1), wish);
}

function endsTheRun(threshold) {
  return { threshold, abortOnFail: true, delayAbortEval: '5s' };
}

export const teardown = closeSale;
export const handleSummary = summaryOf('breakpoint');
