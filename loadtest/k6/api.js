// One request to the sale, as a well-behaved client sends it.
import http from 'k6/http';
import exec from 'k6/execution';
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';

// One address, or those of several nodes of one sale.
const BASES = (__ENV.BASE || 'http://127.0.0.1:8080').split(',');
const ATTEMPTS_MAX = 6;
// Longer than the longest wait for a booking.
const TIMEOUT = '60s';

// Answers 429 and 503, which say when to come again.
const refusals = new Counter('refusals');
// Requests without an answer.
const answersLost = new Counter('answers_lost');

// Sends a request, again where the answer is lost or says "later". Any status that is not expected
// is the server's fault and ends the visit.
export function ask(step, method, path, { login, headers = {}, body, expected = [200] } = {}) {
  const all = { ...headers };
  if (body !== undefined) all['Content-Type'] = 'application/json';
  if (login) all.Authorization = `Bearer ${login}`;
  const params = {
    headers: all,
    responseCallback: http.expectedStatuses(...expected),
    tags: { name: step },
    timeout: TIMEOUT,
  };
  const url = BASES[exec.vu.idInTest % BASES.length] + path;
  const text = body === undefined ? null : JSON.stringify(body);
  for (let attempt = 1; ; attempt += 1) {
    const answer = http.request(method, url, text, params);
    if (expected.includes(answer.status)) return answer;
    const later = [0, 429, 503].includes(answer.status);
    if (later) (answer.status === 0 ? answersLost : refusals).add(1);
    if (!later || attempt === ATTEMPTS_MAX) {
      const said = answer.error || String(answer.body).slice(0, 200);
      throw new Error(`${step}: unexpected ${answer.status} ${said}`);
    }
    sleep(Number(answer.headers['Retry-After'] || 1));
  }
}

// Reads a file, named from the folder that k6 was started in.
export function read(path) {
  return open(path.startsWith('/') ? path : `${__ENV.PWD}/${path}`);
}

// A number given by the environment.
export function given(name, otherwise) {
  const text = __ENV[name];
  const number = text === undefined ? otherwise : Number(text);
  if (!(number >= 0)) throw new Error(`${name}=${text} is no number`);
  return number;
}

// The code of a refusal.
export function codeOf(answer) {
  return answer.status < 400 ? '' : answer.json('code');
}

// The server's pace, give or take a fifth, so that people do not move in step.
export function doze(ms) {
  sleep((ms * (0.8 + 0.4 * Math.random())) / 1000);
}
