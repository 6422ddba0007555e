// What a run must keep, and what is said of it in the end.
import { given } from './api.js';
import { ENDS } from './journey.js';
import { EVENT } from './sale.js';

// The longest that p99 of each step may be, in milliseconds; LATENCY_FACTOR stretches them all.
const STEPS_MS = {
  join: 2000, watch: 250, me: 250, claim: 1000, lock: 1000, book: 1000, ticket: 500, cancel: 1000,
};
const BOOK_TO_END_MS = 5000;
// The JSON goes there.
const SUMMARY = __ENV.SUMMARY;

// The executor for a crowd of whom each comes once, whatever the server does.
export function arrivals(users, seconds) {
  return {
    executor: 'constant-arrival-rate',
    rate: users,
    timeUnit: `${seconds}s`,
    // The last second is slack for a late clock: who is beyond the last of the users does nothing.
    duration: `${seconds + 1}s`,
    // Who waits in line keeps a virtual user busy; a few more carry the slack.
    preAllocatedVUs: users + 20,
  };
}

// The options of a run of one scenario; `more` are thresholds of its own, which come over these.
export function optionsOf(scenario, more = {}) {
  return {
    scenarios: { buyers: { gracefulStop: '15m', ...scenario } },
    thresholds: { ...thresholds(), ...more },
    summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
    setupTimeout: '15m',
    teardownTimeout: '5m',
  };
}

// The threshold of a step's latency, for a run that ends when it is crossed.
export function latencyBound(step) {
  return `p(99)<${STEPS_MS[step] * given('LATENCY_FACTOR', 1)}`;
}

function thresholds() {
  const all = { checks: ['rate==1'], ...seatThresholds() };
  for (const step of Object.keys(STEPS_MS)) all[latencyOf(step)] = [latencyBound(step)];
  all.book_to_end = [`p(99)<${BOOK_TO_END_MS * given('LATENCY_FACTOR', 1)}`];
  for (const never of ['visits_fault', 'answers_lost', 'dropped_iterations']) {
    all[never] = ['count==0'];
  }
  return all;
}

// One buyer for each sold seat. Whoever shares an event knows only a part of its buyers.
function seatThresholds() {
  if (EVENT) return {};
  return { seats_surplus: ['count==0'], seats_surplus_sum: ['count==0'] };
}

// The metric of how many requests a step sent.
export function requestsOf(step) {
  return `http_reqs{name:${step}}`;
}

// The metric of a step's latency.
export function latencyOf(step) {
  return `http_req_duration{name:${step}}`;
}

// For handleSummary(): a short text, and the JSON where SUMMARY names a file.
export function summaryOf(name) {
  return (data) => {
    const summary = summarize(name, data);
    return written(textOf(summary), summary);
  };
}

// What handleSummary() returns for a text and an object.
export function written(text, summary) {
  const out = { stdout: `${text}\n` };
  if (SUMMARY) out[SUMMARY] = `${JSON.stringify(summary, null, 2)}\n`;
  return out;
}

function summarize(scenario, { metrics, setup_data: sale, state }) {
  const count = (name) => (metrics[name] ? metrics[name].values.count || 0 : 0);
  const value = (name) => (metrics[name] ? metrics[name].values.value : null);
  const counts = (group, names) =>
    Object.fromEntries(names.map((name) => [name, count(`${group}_${name}`)]));
  const failed = failures(metrics);
  return {
    scenario,
    // A run whose setup() failed keeps every promise that nothing was asked of.
    passed: Boolean(sale) && failed.length === 0,
    failed,
    event: sale ? sale.event : null,
    seconds: state.testRunDurationMs / 1000,
    visits: counts('visits', ENDS),
    bookings: counts('bookings', ['confirmed']),
    tickets: counts('tickets', ['bought', 'returned', 'kept']),
    seats: {
      total: value('seats_total'),
      sold: value('seats_sold'),
      sold_sum: value('seats_sold_sum'),
      kept_sum: count('seats_kept_sum'),
      surplus: EVENT ? null : count('seats_surplus'),
    },
    refusals: count('refusals'),
    answers_lost: count('answers_lost'),
    dropped: count('dropped_iterations'),
    offered_per_second: metrics.offered_per_second ? metrics.offered_per_second.values.max : null,
    latency_ms: latencies(metrics),
  };
}

// Each threshold that was crossed, as `metric expression`.
export function failures(metrics) {
  const crossed = Object.entries(metrics).flatMap(([name, { thresholds: all = {} }]) => {
    const expressions = Object.keys(all).filter((expression) => !all[expression].ok);
    return expressions.map((expression) => `${name} ${expression}`);
  });
  return crossed.sort();
}

// By step, in the order of a visit; then what spans several steps.
function latencies(metrics) {
  const spans = Object.keys(metrics).filter((name) => /^(book_to_end|join_to_ticket)/.test(name));
  const named = [
    ...Object.keys(STEPS_MS).map((step) => [step, metrics[latencyOf(step)]]),
    ...spans.sort().map((name) => [name, metrics[name]]),
  ];
  const seen = named.filter(([, metric]) => metric && metric.values.count > 0);
  return Object.fromEntries(seen.map(([name, { values }]) => {
    const { count, med: p50, 'p(95)': p95, 'p(99)': p99, max } = values;
    return [name, { count, p50, p95, p99, max }];
  }));
}

function textOf(summary) {
  const { scenario, passed, seconds, visits, tickets, seats } = summary;
  const ends = Object.entries(visits).filter(([, count]) => count > 0);
  const sold = seats.total === null ? '' : `  seats sold ${seats.sold} of ${seats.total}`;
  const { answers_lost: lost, refusals, dropped } = summary;
  const lines = [
    `${scenario}: ${passed ? 'passed' : 'FAILED'} in ${seconds.toFixed(1)} s`,
    ...summary.failed.map((threshold) => `  crossed: ${threshold}`),
    `event ${summary.event}`,
    `visits ${ends.map(([end, count]) => `${end} ${count}`).join('  ')}`,
    `tickets bought ${tickets.bought}  returned ${tickets.returned}  kept ${tickets.kept}${sold}`,
    `refusals ${refusals}  answers lost ${lost}  dropped ${dropped}`,
  ];
  if (summary.offered_per_second !== null) {
    lines.push(`offered up to ${summary.offered_per_second.toFixed(1)} visits/s`);
  }
  const row = (name, cells) => name.padEnd(28) + cells.map((cell) => cell.padStart(10)).join('');
  lines.push('', row('ms', ['count', 'p50', 'p95', 'p99', 'max']));
  for (const [name, figures] of Object.entries(summary.latency_ms)) {
    const { count, p50, p95, p99, max } = figures;
    lines.push(row(name, [String(count), ...[p50, p95, p99, max].map((ms) => ms.toFixed(1))]));
  }
  return lines.join('\n');
}
