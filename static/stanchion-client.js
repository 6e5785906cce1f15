// Wraps `fetch` for single-page shops: waits in line and repeats the request after admission. See docs/apps.md.
//
// Rules: an answer that is not from the line is returned as it is. Requests that meet one line share one loop of polls.
// A poll is never earlier than its appointment. A request is repeated once; one that may change something only if the
// answer says that the shop did not get it.

const STATUS = "/_stanchion/status?room=";
const SAFE = ["GET", "HEAD", "OPTIONS"];
const TIMEOUT_MS = 15000; // a parked poll is answered within 5 s
const SHORTEST_MS = 500; // between the starts of two polls
const LONGEST_MS = 2 ** 31 - 1; // the longest time of a timer
const JITTER = 0.03; // a poll is up to 3 % late, but no more than JITTER_MOST_MS
const JITTER_MOST_MS = 250;
const BACK_OFF_FIRST_MS = 2000;
const BACK_OFF_MOST_MS = 60000;
const HASHES_AT_ONCE = 256;
const SOLUTIONS_MOST = 3;

/** `reason`: "over" (sold out or closed for good), "cookies" (they are not kept) or "sent_back" (met the line again). */
export class LineError extends Error {
  constructor(reason, status) {
    super(`no admission: ${reason}`);
    Object.assign(this, { name: "LineError", reason, status });
  }
}

const lines = new Map(); // by the address of the status

const wakeAll = () => {
  if (globalThis.document?.visibilityState !== "hidden") for (const line of lines.values()) line.wake();
};
globalThis.document?.addEventListener("visibilitychange", wakeAll);
for (const event of ["online", "pageshow"]) globalThis.addEventListener?.(event, wakeAll);

/** Finds n with SHA-256(salt + n) = challenge (ALTCHA). */
const solve = async (line, { algorithm, challenge, maxnumber, salt, signature }) => {
  const hex = (hash) => Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
  for (let first = 0; globalThis.crypto?.subtle && first <= maxnumber && !line.isOver; first += HASHES_AT_ONCE) {
    const hash = (_, at) => crypto.subtle.digest(algorithm, new TextEncoder().encode(salt + (first + at)));
    const found = (await Promise.all(Array.from({ length: HASHES_AT_ONCE }, hash))).findIndex((h) => hex(h) === challenge);
    if (found >= 0) return btoa(JSON.stringify({ algorithm, challenge, number: first + found, salt, signature }));
  }
  return "";
};

/** Timers stand still in a sleeping tab, appointments do not. After a failure a wake-up comes early. */
const pause = (line, milliseconds, earliestMs) =>
  new Promise((resolve) => {
    const due = Date.now() + milliseconds;
    const earliest = Date.now() + earliestMs;
    let timer = 0;
    const set = (at) => {
      clearTimeout(timer);
      timer = setTimeout(resolve, Math.min(LONGEST_MS, Math.max(0, at - Date.now())));
    };
    line.wake = () => {
      if (line.isOver) resolve();
      const latest = Math.min(due, Date.now() + milliseconds); // the clock may have been set back
      set(line.failures ? Math.min(latest, Math.max(earliest, Date.now() + 1000 * Math.random())) : latest);
    };
    set(due);
  });

const tell = (line) => {
  for (const onStatus of new Set(Array.from(line.watchers, ([each]) => each))) {
    onStatus(line.status, { isLost: line.failures > 1 });
  }
};

/** Returns the least pause after a failure in milliseconds. */
const poll = async (line, url) => {
  line.request = new AbortController();
  const timer = setTimeout(() => line.request.abort(), TIMEOUT_MS);
  try {
    const answer = await fetch(url, {
      credentials: "include", cache: "no-store", headers: { Accept: "application/json" }, signal: line.request.signal,
    });
    if (answer.status === 404) line.status = { state: "admitted", poll_after_seconds: null }; // the room was removed
    else if (answer.headers.get("Stanchion-State")) line.status = await answer.json();
    else throw Number(answer.headers.get("Retry-After")) || 0;
    line.failures = 0;
    return 0;
  } catch (fault) {
    line.failures += 1;
    return fault > 0 ? 1000 * fault : 0;
  } finally {
    clearTimeout(timer);
  }
};

const follow = async (line, url) => {
  let strangers = 0; // answers in a row that were for a new visitor
  let solutions = 0;
  let firstSeen = null;
  let asked = Date.now();
  let leastMs = 0;
  while (!line.isOver) {
    const { state, first_seen, challenge, poll_after_seconds } = line.status;
    const appointmentMs = 1000 * poll_after_seconds;
    let solution = "";
    tell(line);
    if (line.failures) {
      const backOffMs = Math.min(BACK_OFF_MOST_MS, BACK_OFF_FIRST_MS * 2 ** (line.failures - 1));
      await pause(line, leastMs + backOffMs * (0.5 + Math.random() / 2), leastMs);
    } else {
      if (state === "admitted") return;
      if (poll_after_seconds === null) throw new LineError("over", line.status);
      if (first_seen) {
        strangers = firstSeen && first_seen !== firstSeen ? strangers + 1 : 0;
        firstSeen = first_seen;
      }
      if (challenge && solutions++ < SOLUTIONS_MOST) solution = await solve(line, challenge);
      if (strangers > 1 || solutions > SOLUTIONS_MOST) throw new LineError("cookies", line.status);
      const afterMs = appointmentMs + Math.random() * Math.min(JITTER * appointmentMs, JITTER_MOST_MS);
      if (!solution) await pause(line, Math.max(afterMs, SHORTEST_MS - (Date.now() - asked)), afterMs);
    }
    if (line.isOver) return;
    asked = Date.now();
    leastMs = await poll(line, solution ? `${url}&altcha=${encodeURIComponent(solution)}` : url);
  }
};

const wait = async (url, status, onStatus, signal) => {
  let line = lines.get(url);
  if (!line) {
    line = { status, watchers: new Set(), failures: 0, isOver: false, request: null, wake: () => {} };
    lines.set(url, line);
  } else onStatus(line.status, { isLost: line.failures > 1 });
  const watcher = [onStatus];
  line.watchers.add(watcher);
  line.end ??= follow(line, url);
  try {
    await new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason);
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort);
      line.end.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  } finally {
    line.watchers.delete(watcher);
    if (!line.watchers.size) {
      line.isOver = true;
      line.request?.abort();
      line.wake();
      if (lines.get(url) === line) lines.delete(url);
    }
  }
};

/**
 * Returns a `fetch` that waits in line. onStatus(status, { isLost }) gets every status document; isLost: the edge does
 * not answer. room: for requests that accept a page rather than JSON.
 */
export const lineFetch = ({ onStatus = () => {}, room = "" } = {}) => async (input, init) => {
  const request = new Request(input, input instanceof Request ? init : { credentials: "include", ...init });
  const copy = request.clone();
  const isSafe = SAFE.includes(request.method);
  const meetsLine = (answer) => {
    const state = answer.headers.get("Stanchion-State");
    return state && state !== "admitted" && (isSafe || (answer.status === 503 && !answer.redirected));
  };
  const answer = await fetch(request);
  if (!meetsLine(answer)) return answer;
  const status = await answer.clone().json().catch(() => null);
  const name = status ? status.room : isSafe && room;
  if (!name) return answer;
  const first = status || { state: "waiting", room, poll_after_seconds: 0 };
  await wait(new URL(STATUS + encodeURIComponent(name), answer.url).href, first, onStatus, request.signal);
  const again = await fetch(copy);
  if (meetsLine(again)) throw new LineError("sent_back", first);
  return again;
};
