// The sale of one run: its event, its accounts, and what is left of it at the end.
import { SharedArray } from 'k6/data';
import { ask, read } from './api.js';
import { readSoldSeats, settleAccount } from './seats.js';

// An event made by somebody else, whose buyers other processes may share.
export const EVENT = __ENV.EVENT;
// What `tidegate account mint` printed. All virtual users share one copy.
const TOKENS = __ENV.TOKENS;
const minted = new SharedArray('tokens', () => {
  const lines = TOKENS ? read(TOKENS).split('\n') : [];
  return lines.filter((line) => line !== '');
});
// Every virtual user keeps a copy of what setup() returns.
const ACCOUNTS_MADE_MAX = 1000;
const PASSWORD = 'correct horse';
const ROW_SEATS = 20;
const ROWS_MAX = 1500;

// For setup(): makes the event and the accounts, or takes those that are named. `terms` is what
// POST /api/events takes, besides the seats.
export function openSale(seats, accounts, terms) {
  if (TOKENS && minted.length < accounts) {
    throw new Error(`${TOKENS} has ${minted.length} tokens, and ${accounts} are needed`);
  }
  if (EVENT && !TOKENS) throw new Error('whoever names an EVENT names the buyers\' TOKENS too');
  const event = EVENT ? lookAtEvent() : makeEvent(seats, terms);
  const logins = TOKENS ? [] : makeAccounts(accounts, event.id);
  return { event: event.id, queue: event.queue_id, logins };
}

// For teardown(): sets what buyers kept against what is sold, and leaves no queue open.
export function closeSale({ event }) {
  if (EVENT) return;
  settleAccount(readSoldSeats(event));
  const path = `/api/events/${event}/queue`;
  ask('close', 'PATCH', path, { login: adminLogin(), body: { state: 'closed' } });
}

// The login token of account `index`, counted from 0.
export function loginOf({ logins }, index) {
  const login = TOKENS ? minted[index] : logins[index];
  if (!login) throw new Error(`there is no account ${index}`);
  return login;
}

function adminLogin() {
  const username = __ENV.TIDEGATE_ADMIN_USERNAME;
  const password = __ENV.TIDEGATE_ADMIN_PASSWORD;
  if (!username || !password) {
    throw new Error('TIDEGATE_ADMIN_USERNAME and TIDEGATE_ADMIN_PASSWORD are not set');
  }
  const body = { username, password };
  return ask('login', 'POST', '/api/auth/login', { body }).json('token');
}

function lookAtEvent() {
  return ask('event', 'GET', `/api/events/${EVENT}`).json();
}

function makeEvent(seats, terms) {
  const rowSeats = Math.max(ROW_SEATS, Math.ceil(seats / ROWS_MAX));
  const rows = [];
  for (let left = seats; left > 0; left -= rowSeats) {
    rows.push({ name: `R${rows.length + 1}`, seats: Math.min(rowSeats, left) });
  }
  const price = { minor: 4500, currency: 'EUR' };
  const sections = [{ id: 'stalls', name: 'Stalls', price, rows }];
  const body = { name: 'k6', date: '2030-06-01', venue: 'The load test', sections, ...terms };
  const request = { login: adminLogin(), body, expected: [201] };
  return ask('event', 'POST', '/api/events', request).json();
}

// New names for each event; the server hashes passwords at its own pace.
function makeAccounts(count, event) {
  if (count > ACCOUNTS_MADE_MAX) {
    throw new Error(`more than ${ACCOUNTS_MADE_MAX} accounts are minted before: see TOKENS`);
  }
  const tail = event.replace(/[^A-Za-z0-9]/g, '').slice(-10).toLowerCase();
  return Array.from({ length: count }, (_, index) => {
    const body = { username: `k6-${tail}-${index}`, password: PASSWORD };
    ask('register', 'POST', '/api/auth/register', { body, expected: [201] });
    return ask('login', 'POST', '/api/auth/login', { body }).json('token');
  });
}
