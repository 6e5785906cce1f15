// The waiting page's script: asks for the status document when told to, shows it, and goes in once.
//
// Rules: never at the server earlier than told, but for the time that it took itself to answer; never two polls in
// flight; no word of its own (all words come with the page); and what is shown does not jump: it is a mean of what the
// nodes have answered, and a place grows, or a wait gets longer, only after several answers have said so.
// Without this script the page does the same by reloading itself; should the script not arrive, a slower reload rescues
// the visitor, which `window.stop()` calls off when the script is there.
(() => {
  "use strict";

  const REQUEST_TIMEOUT_MS = 10000;
  const SHORTEST_MS = 500; // from one poll to the next, whatever we are told: we do not hammer
  const LONGEST_MS = 2 ** 31 - 1; // a timer cannot be set for longer (25 days): it would fire at once
  const BACK_OFF_FIRST_MS = 2000;
  const BACK_OFF_MOST_MS = 60000; // nobody waits longer than a minute to be found again
  const JITTER = 0.03; // an appointment is kept up to 3 % late, so that pages opened together drift apart,
  const JITTER_MOST_MS = 250; // but no later than this: it is somebody's turn
  const ALLOWANCE = 0.8; // of the quickest way there and back of late: what is on the way is not waited for twice
  const ALLOWANCE_MOST_MS = 2000;
  const FORGETS = 1.02; // a way that has become slower is believed after a while, a server that is slow now is not
  const RELOADS_ALLOWED = 3; // within RELOADS_WINDOW_MS; more mean that the shop sends us back
  const RELOADS_WINDOW_MS = 120000;
  const SENT_BACK_PAUSE_MS = 30000;
  const HICCUP_MS = 5000; // a single failure that is over so soon is not worth a word
  const AGREEING_ANSWERS = 3; // so many answers in a row must say "worse" before the page does
  const FOLLOWS = 0.3; // by so much, at least, the place follows an answer that differs from what was expected
  const NOTICES = 0.15; // gain of the two means that tell a bias from noise
  const NOISE = 0.1; // of what a P90 leaves open beyond KNOWN: how noisy answers are until more is known
  const KNOWN = 1.08;
  const SURPRISE = 0.35; // an answer that is off by so much tells of something else: start anew
  const WELL_KNOWN = 2; // after so many answers a far better place is shown only if the next answer says so too
  const WAIT_FOLLOWS = 0.4;
  const ANNOUNCE_EVERY_MS = 60000;
  const LEAST_WAIT_S = 45; // as in texts.py
  const SOLUTIONS_TRIED = 3; // then it is left to waiting, or to cookies
  const STATES = ["joining", "waiting", "admitted", "early", "sold_out", "closed"];

  const by = (id) => document.getElementById(id);
  const texts = JSON.parse(by("texts").content.textContent);
  const firstStatus = JSON.parse(by("status").content.textContent);
  const statusUrl = document.body.dataset.statusUrl;
  const titleTail = by("title-tail").content.textContent;
  const language = document.documentElement.lang;
  const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) || language; // 5:40 PM or 17:40

  // ---- words --------------------------------------------------------------------------------------------------------

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const number = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, texts.thousands);
  const steps = texts.waits.steps.map(([seconds]) => seconds);

  /** The index of the step nearest to a wait: -1 below the first, steps.length clearly beyond the last. */
  const nearestStep = (seconds) => {
    if (seconds < LEAST_WAIT_S) return -1;
    if (seconds > steps[steps.length - 1] * 1.2) return steps.length;
    return steps.findIndex((s, i) => i + 1 === steps.length || seconds < (s + steps[i + 1]) / 2);
  };

  const waitText = (step) => {
    if (step === null) return texts.waits.unknown;
    if (step < 0) return texts.waits.least;
    if (step === steps.length) return texts.waits.most;
    return fill(texts.waits.about, { wait: texts.waits.steps[step][1] });
  };

  const withinText = (seconds, aboutStep) => {
    const bound = steps.findIndex((s) => s >= seconds);
    if (bound < 0 || bound <= Math.max(0, aboutStep)) return "";
    return fill(texts.waits.within, { wait: texts.waits.steps[bound][1] });
  };

  const clock = (date) => {
    const sameDay = date.toDateString() === new Date().toDateString();
    const style = sameDay ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
    return new Intl.DateTimeFormat(locale, style).format(date);
  };

  const placeClass = (text) => (text.length > 7 ? "long" : ""); // as in page.py

  const countdownText = (seconds) => {
    const two = (n) => String(n).padStart(2, "0");
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  };

  // ---- memory over reloads of this tab ------------------------------------------------------------------------------

  const remember = (key, value) => {
    try {
      sessionStorage.setItem(`stanchion:${firstStatus.room}:${key}`, JSON.stringify(value));
    } catch {
      // Storage is blocked or full: the page works, it only forgets what it showed before a reload.
    }
  };

  const recall = (key) => {
    try {
      return JSON.parse(sessionStorage.getItem(`stanchion:${firstStatus.room}:${key}`));
    } catch {
      return null;
    }
  };

  // ---- what is shown ------------------------------------------------------------------------------------------------

  let serverAheadMs = 0; // the server's clock minus ours
  let shown = null; // what this visitor (first_seen) has been shown, see freshShown

  const freshShown = (firstSeen) => ({
    firstSeen, line: null, place: null, placeWorse: 0, waitS: null, waitAt: 0, step: null, stepWorse: 0, slower: false,
    progress: 0,
  });
  const serverNow = () => Date.now() + serverAheadMs;

  /**
   * The place of the line as all answers together know it. Nodes that share nothing know it from samples, so answers
   * scatter, and their mean is better; but it must not lag where people leave and places shrink faster than expected.
   * So the place moves on at the pace of the last answer, and follows each the more, the more the errors have had one
   * sign of late (Trigg and Leach, "Exponential smoothing with an adaptive response rate", 1967).
   * A node that few come to takes the line to be short, and a place once shown is not taken back: so one that is far
   * better waits for a second answer.
   */
  const meanPlace = (place, eta) => {
    const line = shown.line;
    const now = Date.now();
    const wait = eta ? Math.max(eta.p50, 1e-6) : Infinity;
    const expected = line && Math.max(0, line.place - (Math.max(0, now - line.at) / 1000) * (place / wait));
    const error = line && (place - expected) / Math.max(expected, place, 1);
    if (line && error < -SURPRISE && line.answers >= WELL_KNOWN && !line.isDoubted) {
      Object.assign(line, { place: expected, at: now, isDoubted: true });
      return Math.max(1, Math.round(expected));
    }
    if (!line || Math.abs(error) > SURPRISE) {
      const noise = eta ? NOISE * Math.max(0, eta.p90 / wait - KNOWN) : 0;
      shown.line = { place, at: now, answers: 1, bias: 0, size: noise, isDoubted: false };
      return place;
    }
    line.isDoubted = false;
    line.answers += 1;
    line.bias += NOTICES * (error - line.bias);
    line.size += NOTICES * (Math.abs(error) - line.size);
    const oneSided = line.size > 0 ? (line.bias / line.size) ** 2 : 0;
    const follows = Math.max(FOLLOWS + (1 - FOLLOWS) * oneSided, 1 / line.answers);
    line.place = expected + follows * (place - expected);
    line.at = now;
    return Math.max(1, Math.round(line.place));
  };

  /** The place only shrinks, unless several answers in a row agree that it is further back. */
  const steadyPlace = (told, eta) => {
    if (told === null) return null;
    const place = meanPlace(told, eta);
    shown.placeWorse = shown.place !== null && place > shown.place ? shown.placeWorse + 1 : 0;
    if (shown.place === null || place < shown.place || shown.placeWorse >= AGREEING_ANSWERS) {
      shown.place = place;
      shown.placeWorse = 0;
    }
    return shown.place;
  };

  /** The step of a wait that counts down between answers and follows them by WAIT_FOLLOWS; longer only when several agree. */
  const steadyStep = (seconds) => {
    if (seconds === null) return null;
    const now = Date.now();
    const expected = Math.max(0, shown.waitS - (now - shown.waitAt) / 1000);
    shown.waitS = shown.waitS === null ? seconds : expected + WAIT_FOLLOWS * (seconds - expected);
    shown.waitAt = now;
    const step = nearestStep(shown.waitS);
    const isWorse = shown.step !== null && nearestStep(shown.waitS * 0.9) > shown.step; // clearly, not at the brink
    shown.stepWorse = isWorse ? shown.stepWorse + 1 : 0;
    if (shown.step === null || step < shown.step) {
      shown.slower = false;
      shown.step = step;
    } else if (shown.stepWorse >= AGREEING_ANSWERS) {
      shown.slower = true;
      shown.step = step;
      shown.stepWorse = 0;
    }
    return shown.step;
  };

  const steadyProgress = (status) => {
    if (!status.first_seen || shown.waitS === null) return null;
    const waited = Math.max(0, (serverNow() - Date.parse(status.first_seen)) / 1000);
    const whole = waited + shown.waitS;
    shown.progress = Math.max(shown.progress, Math.min(99, whole > 0 ? (100 * waited) / whole : 99));
    return shown.progress;
  };

  const put = (id, text) => {
    const element = by(id);
    if (element.textContent !== text) element.textContent = text;
  };
  const show = (id, isShown) => {
    by(id).hidden = !isShown;
  };
  const notice = (text) => {
    put("notice", text);
    show("notice", text !== "");
  };

  const viewOf = (status) => {
    const isFinal = ["sold_out", "closed"].includes(status.state) && status.poll_after_seconds === null;
    if (isFinal) return `${status.state}_final`;
    return status.state === "sold_out" && status.held > 0 ? "all_held" : status.state;
  };

  const showView = (view, place) => {
    const words = texts.views[view];
    document.body.dataset.view = view;
    put("headline", words.headline);
    put("next", words.next);
    show("again", view === "cookies");
    const isPlaceUnknown = view === "waiting" && place === null;
    const title = isPlaceUnknown ? texts.labels.place_unknown : words.title;
    document.title = fill(title, { place: place === null ? "" : number(place) }) + titleTail;
  };

  const showPlace = (status) => {
    const place = steadyPlace(status.position, status.eta_seconds);
    put("place", place === null ? "" : number(place));
    by("place").className = placeClass(by("place").textContent);
    show("place-box", place !== null);
    return place;
  };

  const showLine = (status) => {
    const eta = status.eta_seconds;
    const place = showPlace(status);
    const step = steadyStep(eta ? eta.p50 : null);
    const within = eta && step !== null ? withinText(Math.max(eta.p90, shown.waitS), step) : "";
    const progress = steadyProgress(status);
    put("wait", waitText(step));
    put("within", within);
    if (progress !== null) by("progress").value = progress;
    if (status.stock !== null) put("stock", status.stock > 0 ? number(status.stock) : texts.labels.stock_none);
    show("within", within !== "");
    show("progress-box", progress !== null);
    notice(shown.slower ? texts.notices.slower : movedBack);
    remember("shown", shown);
    return place;
  };

  let movedBack = ""; // said until the page is loaded again

  const showStatus = (status) => {
    if (status.moved_back_seconds) {
      movedBack = fill(texts.notices.moved, { wait: waitText(nearestStep(status.moved_back_seconds)) });
      say(announced.view, movedBack);
    }
    const isInLine = status.state === "waiting";
    const isAllHeld = viewOf(status) === "all_held";
    if (!shown || shown.firstSeen !== status.first_seen) shown = freshShown(status.first_seen);
    for (const id of ["place-box", "progress-box"]) show(id, false);
    show("wait-box", isInLine);
    show("held-box", isAllHeld);
    if (isAllHeld) put("held", number(status.held));
    show("stock-box", isInLine && status.stock !== null);
    show("since", isInLine && status.first_seen !== null);
    if (status.first_seen) put("since", fill(texts.labels.since, { time: clock(new Date(status.first_seen)) }));
    notice("");
    let place = null;
    if (isInLine) place = showLine(status);
    else if (isAllHeld) place = showPlace(status);
    showView(viewOf(status), place);
    put("message", status.message || "");
    show("message-box", Boolean(status.message));
    showOpening(status.state === "early" && status.opens_at ? Date.parse(status.opens_at) : null);
    announce(status, place);
  };

  const showHeardAt = (milliseconds) => {
    const time = new Intl.DateTimeFormat(locale, { timeStyle: "medium" }).format(new Date(milliseconds));
    put("updated", fill(texts.labels.updated, { time }));
    show("updated", true);
  };

  let countdownTimer = 0;
  const showOpening = (opensAt) => {
    clearTimeout(countdownTimer);
    show("opens-box", opensAt !== null);
    if (opensAt === null) return;
    const seconds = Math.ceil((opensAt - serverNow()) / 1000);
    put("opens", clock(new Date(opensAt)));
    const countdown = countdownText(Math.max(0, seconds));
    put("countdown", seconds > 0 ? fill(texts.labels.opens_in, { countdown }) : texts.labels.opens_now);
    show("countdown", seconds < 86400);
    if (seconds > 0) countdownTimer = setTimeout(showOpening, 1000, opensAt);
  };

  // ---- screen readers: a change of state at once, the place now and then --------------------------------------------

  let announced = { view: viewOf(firstStatus), text: "", at: Date.now() };

  const say = (view, text) => {
    announced = { view, text, at: Date.now() };
    put("live", text);
  };

  const announce = (status, place) => {
    const view = viewOf(status);
    if (view !== announced.view) {
      const held = view === "all_held" ? ` ${fill(texts.announcements.held, { held: number(status.held) })}` : "";
      say(view, `${texts.views[view].headline}.${held} ${texts.views[view].next}`);
    } else if (view === "waiting" && Date.now() - announced.at >= ANNOUNCE_EVERY_MS) {
      const words = place === null ? texts.announcements.wait : texts.announcements.place;
      const text = fill(words, { place: place === null ? "" : number(place), wait: by("wait").textContent });
      if (text !== announced.text) say(view, text);
    }
  };

  // ---- asking -------------------------------------------------------------------------------------------------------

  let timer = 0;
  let action = null; // what the timer does: poll, or reload when admitted
  let dueAt = Infinity; // when it does it
  let delayMs = 0; // how long that was away when it was set
  let askedAt = performance.now(); // when the last poll went out, by the clock that nobody sets; the page was one
  let toldAt = 0; // before that the server does not want to hear from us
  let inFlight = null; // the AbortController of the poll under way
  let failures = 0; // in a row
  let isLost = false; // the page says that the connection is lost
  let isOver = false;
  let firstSeen = firstStatus.first_seen;
  let strangers = 0; // answers in a row that took us for somebody new

  const schedule = (afterMs) => {
    clearTimeout(timer);
    delayMs = Math.min(LONGEST_MS, Math.max(0, afterMs));
    dueAt = Date.now() + delayMs;
    timer = setTimeout(() => action(), delayMs);
  };

  let quickestMs = Infinity; // there and back, of late

  const learnWay = (milliseconds) => {
    quickestMs = Math.min(Math.max(milliseconds, 1), FORGETS * quickestMs);
  };

  /** So that we are *there* when told: the answer was on the way to us, and the next request will be on the way back. */
  const scheduleTold = (afterMs) => {
    const onTheWayMs = Number.isFinite(quickestMs) ? ALLOWANCE * quickestMs : 0;
    const leftMs = afterMs - Math.min(onTheWayMs, afterMs / 2, ALLOWANCE_MOST_MS);
    toldAt = Date.now() + leftMs;
    const pauseMs = leftMs + Math.random() * Math.min(JITTER * afterMs, JITTER_MOST_MS);
    schedule(Math.max(SHORTEST_MS - (performance.now() - askedAt), pauseMs)); // an answer may have been held for a while
  };

  const stop = () => {
    isOver = true;
    clearTimeout(timer);
  };

  // A place in line may cost a puzzle. Its solution goes with the next poll; without one we wait as told.
  let solution = "";
  let solutionsSent = 0;
  let worker = null;

  const solve = (challenge) => {
    if (worker) worker.terminate();
    worker = null;
    if (solutionsSent >= SOLUTIONS_TRIED) explainCookies(); // it was for somebody else each time
    else if (window.isSecureContext) {
      worker = new Worker(document.body.dataset.worker);
      worker.onmessage = ({ data }) => {
        worker.terminate();
        worker = null;
        if (!data || isOver || inFlight) return;
        solution = data;
        solutionsSent += 1;
        schedule(0);
      };
      worker.postMessage(challenge);
    }
  };

  const poll = async () => {
    const request = new AbortController();
    inFlight = request;
    const tooLate = setTimeout(() => request.abort(), REQUEST_TIMEOUT_MS);
    askedAt = performance.now();
    try {
      const solved = solution ? `&altcha=${encodeURIComponent(solution)}` : "";
      solution = "";
      const response = await fetch(statusUrl + solved, {
        credentials: "same-origin", cache: "no-store", headers: { Accept: "application/json" }, signal: request.signal,
      });
      learnWay(performance.now() - askedAt);
      const status = await response.json().catch(() => null);
      if (inFlight === request) answered(response, status);
    } catch {
      if (inFlight === request) failed(0);
    } finally {
      clearTimeout(tooLate);
      if (inFlight === request) inFlight = null;
    }
  };

  const answered = (response, status) => {
    if (response.status === 404) {
      goIn(); // the room is gone, so nothing keeps us from what is behind it
    } else if (!isStatus(status)) {
      failed(1000 * (Number(response.headers.get("Retry-After")) || 0));
    } else {
      const date = Date.parse(response.headers.get("Date"));
      if (Math.abs(date - serverNow()) > 2000) serverAheadMs = date - Date.now(); // the header has whole seconds
      failures = 0;
      if (isForgotten(status)) explainCookies();
      else act(status);
    }
  };

  const isStatus = (answer) => {
    if (!answer || !STATES.includes(answer.state)) return false;
    return answer.poll_after_seconds === null || answer.poll_after_seconds >= 0;
  };

  /** Without a cookie every answer is for a newcomer: believed at the second in a row, as one may be a coincidence. */
  const isForgotten = (status) => {
    if (status.first_seen === null) return false;
    strangers = firstSeen === null || status.first_seen === firstSeen ? 0 : strangers + 1;
    firstSeen = status.first_seen;
    return strangers >= 2;
  };

  /** Tries again later and later, and says so unless it was a mere hiccup, as a phone has whenever it wakes up. */
  const failed = (retryAfterMs) => {
    const backOffMs = Math.min(BACK_OFF_MOST_MS, BACK_OFF_FIRST_MS * 2 ** failures);
    failures += 1;
    toldAt = Date.now() + retryAfterMs;
    schedule(retryAfterMs + backOffMs * (0.5 + Math.random() / 2));
    if (failures < 2 && retryAfterMs < HICCUP_MS) return;
    if (!isLost) say(announced.view, texts.notices.lost);
    isLost = true;
    notice(texts.notices.lost);
  };

  const act = (status) => {
    if (isLost) say(announced.view, texts.notices.found); // a change of state, if any, is said instead
    isLost = false;
    showHeardAt(Date.now());
    showStatus(status);
    if (status.state === "joining" && status.challenge) solve(status.challenge);
    if (isOver) return;
    if (status.state === "admitted") goIn();
    else if (status.poll_after_seconds === null) stop();
    else scheduleTold(1000 * status.poll_after_seconds);
  };

  // ---- going in: this very address is the protected one, so loading it again repeats the visitor's own request ------

  const goIn = () => {
    const now = Date.now();
    const recent = (recall("reloads") || []).filter((at) => now - at < RELOADS_WINDOW_MS);
    const isSentBack = recent.length >= RELOADS_ALLOWED;
    if (isSentBack) {
      show("next", false);
      notice(texts.notices.sent_back);
      say(announced.view, texts.notices.sent_back);
    }
    action = reload;
    schedule(isSentBack ? SENT_BACK_PAUSE_MS : 0);
  };

  const reload = () => {
    remember("reloads", [...(recall("reloads") || []).slice(-RELOADS_ALLOWED), Date.now()]);
    location.reload();
  };

  const explainCookies = () => {
    stop();
    for (const part of document.querySelectorAll("dl > div, .message, footer > p")) part.hidden = true;
    notice("");
    clearTimeout(countdownTimer);
    showView("cookies", null);
    say("cookies", `${texts.views.cookies.headline}. ${texts.views.cookies.next}`);
  };

  // ---- sleeping and waking: timers stand still in a sleeping tab, appointments do not -------------------------------

  const wake = () => {
    if (isOver || inFlight || document.visibilityState === "hidden") return;
    const leftMs = dueAt - Date.now();
    if (leftMs > delayMs) schedule(0); // more is left than there ever was: the clock was set back
    else if (failures > 0) schedule(Math.min(leftMs, Math.max(toldAt - Date.now(), 1000 * Math.random())));
    else schedule(leftMs);
  };

  document.addEventListener("visibilitychange", wake);
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", (event) => event.persisted && wake());
  window.addEventListener("pagehide", () => {
    clearTimeout(timer);
    if (inFlight) inFlight.abort();
    inFlight = null;
  });

  // ---- start --------------------------------------------------------------------------------------------------------

  const start = () => {
    if (document.readyState === "complete") window.stop();
    else window.addEventListener("load", () => window.stop());
    const pageDate = Date.parse(document.body.dataset.now);
    if (pageDate) serverAheadMs = pageDate - Date.now();
    if (document.body.dataset.view === "cookies" || !navigator.cookieEnabled) {
      explainCookies();
      return;
    }
    const before = recall("shown");
    if (before && before.firstSeen === firstStatus.first_seen) shown = before;
    const loading = performance.getEntriesByType("navigation")[0];
    if (loading && loading.responseStart > loading.requestStart) learnWay(loading.responseStart - loading.requestStart);
    action = poll;
    act(firstStatus);
  };

  start();
})();
