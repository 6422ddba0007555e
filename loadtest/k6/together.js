// Several k6 processes bought the seats of one event: what all of them kept must be what is sold.
// EVENT names it, SUMMARIES the JSON of the processes, by commas.
import { Counter } from 'k6/metrics';
import { read } from './api.js';
import { EVENT } from './sale.js';
import { readSoldSeats, settleAccount } from './seats.js';
import { failures, written } from './verdict.js';

const parts = (__ENV.SUMMARIES || '').split(',').map((path) => JSON.parse(read(path)));
const keptOfAll = {
  count: parts.reduce((count, part) => count + part.tickets.kept, 0),
  sum: parts.reduce((sum, part) => sum + part.seats.kept_sum, 0),
};
const partsFailed = new Counter('parts_failed');

export const options = {
  thresholds: {
    parts_failed: ['count==0'], seats_surplus: ['count==0'], seats_surplus_sum: ['count==0'],
  },
};

// Here and not in an iteration: an error ends the run.
export function setup() {
  if (parts.some(({ event }) => event !== EVENT)) throw new Error(`not all are about ${EVENT}`);
  partsFailed.add(parts.filter(({ passed }) => !passed).length);
  const seats = readSoldSeats(EVENT);
  settleAccount(seats, keptOfAll);
  return seats;
}

export default function nothing() {}

export function handleSummary({ metrics, setup_data: seats }) {
  const failed = failures(metrics);
  const passed = Boolean(seats) && failed.length === 0;
  const summary = {
    scenario: 'together', passed, failed, event: EVENT, processes: parts.length,
    tickets: { kept: keptOfAll.count }, seats,
  };
  const lines = [
    `together: ${passed ? 'passed' : 'FAILED'}, ${parts.length} processes`,
    ...failed.map((threshold) => `  crossed: ${threshold}`),
    `event ${EVENT}  tickets kept ${keptOfAll.count}  seats sold ${seats ? seats.sold : '?'}`,
  ];
  return written(lines.join('\n'), summary);
}
