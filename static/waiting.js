// The script of the waiting page: it polls the status document at the appointed times, shows it, and enters once.
//
// Rules: a poll never reaches the server before its appointment, except for the time that the server itself took to
// answer. There are never two polls in flight. The script has no texts of its own; all texts are in the page. The shown
// values do not jump: they are means of the answers of all nodes, and a place grows, or a wait gets longer, only after
// several answers agree.
// Without scripts the page does the same by reloading itself. If this script does not load, a slower reload keeps the
// visitor in line; `window.stop()` cancels that reload when the script runs.
(() => {
  "use strict";

  const REQUEST_TIMEOUT_MS = 10000;
  const SHORTEST_MS = 500; // the shortest time between two polls, for every appointment
  const LONGEST_MS = 2 ** 31 - 1; // the longest time of a timer (25 days); a longer one would fire at once
  const BACK_OFF_FIRST_MS = 2000;
  const BACK_OFF_MOST_MS = 60000; // after a failure the page reconnects within a minute
  const JITTER = 0.03; // a poll is up to 3 % late, so that pages which were opened together drift apart,
  const JITTER_MOST_MS = 250; // but no later than this, because the visitor may be admitted now
  const ALLOWANCE = 0.8; // the part of the fastest recent round trip by which a poll is sent earlier
  const ALLOWANCE_MOST_MS = 2000;
  const FORGETS = 1.02; // growth of the fastest round trip at each poll, so that a slower network is noticed
  const RELOADS_ALLOWED = 3; // within RELOADS_WINDOW_MS; more mean that the shop sends the visitor back
  const RELOADS_WINDOW_MS = 120000;
  const SENT_BACK_PAUSE_MS = 30000;
  const HICCUP_MS = 5000; // a single failure that ends this soon is not shown
  const AGREEING_ANSWERS = 3; // answers in a row that must be worse before the page shows a worse value
  const PLACE_GAIN = 0.3; // the least part of an answer's difference from the expected place that is followed
  const BIAS_GAIN = 0.15; // gain of the two means that distinguish a bias from noise
  const NOISE = 0.1; // first estimate of the noise, as a part of the P90's ratio to the P50 above EXACT_RATIO
  const EXACT_RATIO = 1.08; // the ratio of P90 to P50 of an exact answer
  const SURPRISE = 0.35; // an answer that differs by more means that the line has changed: start again
  const WELL_KNOWN = 2; // after this many answers a far better place is shown only if the next answer confirms it
  const WAIT_GAIN = 0.4; // the part of an answer's difference from the expected wait that is followed
  const ANNOUNCE_EVERY_MS = 60000;
  const LEAST_WAIT_S = 45; // as in texts.py: a shorter wait has one of the short wordings
  const SOLUTIONS_TRIED = 3; // after this many the page explains cookies instead
  const NEAR_S = 60; // with a shorter wait it is nearly the visitor's turn
  const ENDED_VIEWS = { over: "sale_over", left: "left", moved: "moved" }; // as in views.py
  const SHOP_LINK = ["sale_over", "sold_out_final", "closed_final", "left", "moved"];
  const PAUSED_VIEWS = { upstream: "shop_down", nodes: "waiting" }; // as in page.py
  const STATES = ["joining", "waiting", "admitted", "early", "sold_out", "closed"];

  const by = (id) => document.getElementById(id);
  const texts = JSON.parse(by("texts").content.textContent);
  const firstStatus = JSON.parse(by("status").content.textContent);
  const statusUrl = document.body.dataset.statusUrl;
  const formUrl = document.body.dataset.formUrl;
  const titleTail = by("title-tail").content.textContent;
  const language = document.documentElement.lang;
  const locale = navigator.languages.find((tag) => tag.split("-")[0] === language.split("-")[0]) || language; // 5:40 PM or 17:40

  // ---- texts --------------------------------------------------------------------------------------------------------

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const [separator, firstGroup, otherGroups, digits] = texts.numbers;
  const numberingSystem = digits ? undefined : "latn"; // times have the same digits as numbers
  const native = (text) => (digits ? text.replace(/\d/g, (digit) => digits[digit]) : text);
  const number = (n) => {
    let head = String(n);
    let tail = "";
    for (let size = firstGroup; head.length > size; size = otherGroups) {
      tail = separator + head.slice(-size) + tail;
      head = head.slice(0, -size);
    }
    return native(head + tail);
  };
  const steps = texts.waits.steps.map(([seconds]) => seconds);

  /** Returns the index of the step nearest to a wait: -1 below the first, steps.length clearly above the last. */
  const nearestStep = (seconds) => {
    if (seconds < LEAST_WAIT_S) return -1;
    if (seconds > steps[steps.length - 1] * 1.2) return steps.length;
    return steps.findIndex((s, i) => i + 1 === steps.length || seconds < (s + steps[i + 1]) / 2);
  };

  const shorts = texts.waits.short;
  const shortStep = (seconds) => {
    const index = shorts.findIndex(([below]) => seconds < below);
    return index < 0 ? shorts.length - 1 : index;
  };

  /** Returns the wording of a step. short: the index of the short wording, for a step below the first. */
  const waitText = (step, short) => {
    if (step === null) return texts.waits.unknown;
    if (step < 0) return shorts[short][1];
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
    return new Intl.DateTimeFormat(locale, { ...style, numberingSystem }).format(date);
  };

  const placeClass = (text) => (text.length > 7 ? "long" : ""); // as in page.py

  const countdownText = (seconds) => {
    const two = (n) => String(n).padStart(2, "0");
    const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return native(h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`);
  };

  // ---- memory across reloads of this tab ----------------------------------------------------------------------------

  const remember = (key, value) => {
    try {
      sessionStorage.setItem(`stanchion:${firstStatus.room}:${key}`, JSON.stringify(value));
    } catch {
      // Storage is blocked or full. The page works, but after a reload it does not know what it showed before.
    }
  };

  const recall = (key) => {
    try {
      return JSON.parse(sessionStorage.getItem(`stanchion:${firstStatus.room}:${key}`));
    } catch {
      return null;
    }
  };

  // ---- the figures ------------------------------------------------------------------------------------------------

  let serverAheadMs = 0; // the server's clock minus the visitor's clock
  let shown = null; // the values that this visitor (first_seen) has seen; see freshShown

  const freshShown = (firstSeen) => ({
    firstSeen, line: null, place: null, placeWorse: 0, waitS: null, waitAt: 0, step: null, stepWorse: 0, slower: false,
    short: null, shortWorse: 0, progress: 0, isNear: false,
  });
  const serverNow = () => Date.now() + serverAheadMs;

  /**
   * Returns the place, estimated from all answers so far. Nodes that share nothing estimate it from samples, so their
   * answers scatter and the mean is better. But the mean must not lag if visitors leave and places shrink faster than
   * expected. So the place moves on at the speed of the last answer, and it follows an answer more, the more the recent
   * errors have had the same sign (Trigg and Leach, "Exponential smoothing with an adaptive response rate", 1967).
   * A node with few visitors may think that the line is short. A shown place is not taken back, so a far better place
   * must be confirmed by a second answer.
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
      const noise = eta ? NOISE * Math.max(0, eta.p90 / wait - EXACT_RATIO) : 0;
      shown.line = { place, at: now, answers: 1, bias: 0, size: noise, isDoubted: false };
      return place;
    }
    line.isDoubted = false;
    line.answers += 1;
    line.bias += BIAS_GAIN * (error - line.bias);
    line.size += BIAS_GAIN * (Math.abs(error) - line.size);
    const oneSided = line.size > 0 ? (line.bias / line.size) ** 2 : 0;
    const gain = Math.max(PLACE_GAIN + (1 - PLACE_GAIN) * oneSided, 1 / line.answers);
    line.place = expected + gain * (place - expected);
    line.at = now;
    return Math.max(1, Math.round(line.place));
  };

  /** Returns the place to show: it only shrinks, unless several answers in a row agree that it is further back. */
  const steadyPlace = (position, eta) => {
    if (position === null) return null;
    const place = meanPlace(position, eta);
    shown.placeWorse = shown.place !== null && place > shown.place ? shown.placeWorse + 1 : 0;
    if (shown.place === null || place < shown.place || shown.placeWorse >= AGREEING_ANSWERS) {
      shown.place = place;
      shown.placeWorse = 0;
    }
    return shown.place;
  };

  /** Returns the step of the wait to show. It counts down between answers, and grows only if several answers agree. */
  const steadyStep = (seconds) => {
    if (seconds === null) return null;
    const now = Date.now();
    const expected = Math.max(0, shown.waitS - (now - shown.waitAt) / 1000);
    shown.waitS = shown.waitS === null ? seconds : expected + WAIT_GAIN * (seconds - expected);
    shown.waitAt = now;
    const step = nearestStep(shown.waitS);
    // Clearly longer, not just above the limit.
    const isWorse = shown.step !== null && nearestStep(shown.waitS * 0.9) > shown.step;
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

  /** Returns the short wording to show. Like the step it grows only if several answers agree, but without a notice. */
  const steadyShort = () => {
    const short = shown.step === null || shown.step >= 0 ? null : shortStep(shown.waitS);
    const isWorse = short !== null && shown.short !== null && short > shown.short;
    shown.shortWorse = isWorse ? shown.shortWorse + 1 : 0;
    if (!isWorse || shown.shortWorse >= AGREEING_ANSWERS) {
      shown.short = short;
      shown.shortWorse = 0;
    }
    return shown.short;
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
    if (status.confirm) return status.confirm.by ? "turn" : "missed";
    if (status.state === "early" && status.first_seen) return status.draw ? "draw" : "prequeue";
    if (status.state === "closed" && ENDED_VIEWS[status.paused]) return ENDED_VIEWS[status.paused];
    const isFinal = ["sold_out", "closed"].includes(status.state) && status.poll_after_seconds === null;
    if (isFinal) return `${status.state}_final`;
    if (status.state === "sold_out" && status.held > 0) return "all_held";
    if (status.state === "waiting" && status.paused) return PAUSED_VIEWS[status.paused] || "paused";
    return status.state;
  };

  const showView = (view, place) => {
    const viewTexts = texts.views[view];
    show("home", SHOP_LINK.includes(view));
    if (!viewTexts) return; // the page was loaded in this view
    document.body.dataset.view = view;
    put("headline", viewTexts.headline);
    put("next", viewTexts.next);
    show("again", view === "cookies");
    const isPlaceUnknown = view === "waiting" && place === null;
    const title = isPlaceUnknown ? texts.labels.place_unknown : viewTexts.title || viewTexts.headline;
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
    put("wait", waitText(step, steadyShort()));
    put("within", within);
    if (progress !== null) by("progress").value = progress;
    if (status.stock !== null) put("stock", status.stock > 0 ? number(status.stock) : texts.labels.stock_none);
    show("within", within !== "");
    show("progress-box", progress !== null);
    notice(shown.slower ? texts.notices.slower : movedBack);
    if (eta && eta.p50 < NEAR_S && !shown.isNear) {
      shown.isNear = true;
      call(texts.labels.nearly);
    }
    remember("shown", shown);
    return place;
  };

  let movedBack = ""; // this notice is shown until the page is loaded again

  const showStatus = (status) => {
    if (status.moved_back_seconds) {
      const seconds = status.moved_back_seconds;
      movedBack = fill(texts.notices.moved, { wait: waitText(nearestStep(seconds), shortStep(seconds)) });
      say(announced.view, movedBack);
    }
    const view = viewOf(status);
    const isInLine = view === "waiting";
    const isAllHeld = view === "all_held";
    const isPaused = ["shop_down", "paused", "prequeue", "draw"].includes(view); // a place, and no wait
    if (!shown || shown.firstSeen !== status.first_seen) shown = freshShown(status.first_seen);
    for (const id of ["place-box", "progress-box"]) show(id, false);
    show("wait-box", isInLine);
    show("held-box", isAllHeld);
    if (isAllHeld) put("held", number(status.held));
    show("stock-box", isInLine && status.stock !== null);
    show("since", (isInLine || isPaused) && status.first_seen !== null);
    if (status.first_seen) put("since", fill(texts.labels.since, { time: clock(new Date(status.first_seen)) }));
    notice("");
    let place = null;
    if (isInLine) place = showLine(status);
    else if (isAllHeld || isPaused) place = showPlace(status);
    showView(view, place);
    show("acts", status.first_seen !== null && status.poll_after_seconds !== null && !status.confirm
      && !["admitted", "joining"].includes(status.state));
    showTurn(status.confirm ? status.confirm.by : null);
    put("message", status.message || "");
    show("message-box", Boolean(status.message));
    showOpening(status.state === "early" && status.opens_at ? Date.parse(status.opens_at) : null);
    showDraw(status);
    announce(status, place);
  };

  /** Shows the secret number of a draw once it is known. The page has the box only if it was loaded in a sale with one. */
  const showDraw = ({ draw, ticket }) => {
    for (const [id, text] of Object.entries({ ticket, seed: draw && draw.seed })) {
      const element = document.getElementById(id);
      if (element && text) element.textContent = text;
    }
  };

  const showUpdatedAt = (milliseconds) => {
    const time = new Intl.DateTimeFormat(locale, { timeStyle: "medium", numberingSystem }).format(new Date(milliseconds));
    put("updated", fill(texts.labels.updated, { time }));
    show("updated", true);
  };

  /** Shows how long the visitor may still say that they are there. Only a page that was loaded in this view has the box. */
  let turnTimer = 0;
  const showTurn = (until) => {
    clearTimeout(turnTimer);
    const left = document.getElementById("left");
    if (!left || !until) return;
    const seconds = Math.max(0, Math.ceil((Date.parse(until) - serverNow()) / 1000));
    left.textContent = countdownText(seconds);
    if (seconds > 0) turnTimer = setTimeout(showTurn, 1000, until);
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

  // ---- screen readers: a change of state at once, the place once a minute -------------------------------------------

  let announced = { view: viewOf(firstStatus), text: "", at: Date.now() };

  const say = (view, text) => {
    announced = { view, text, at: Date.now() };
    put("live", text);
  };

  /** Returns a figure with its label, as it is read out. */
  const labelled = (id, text) => `${by(`${id}-box`).querySelector("dt").textContent}: ${text}.`;

  const announce = (status, place) => {
    const view = viewOf(status);
    if (view !== announced.view) {
      const held = view === "all_held" ? ` ${labelled("held", number(status.held))}` : "";
      say(view, `${texts.views[view].headline}.${held} ${texts.views[view].next}`);
    } else if (view === "waiting" && Date.now() - announced.at >= ANNOUNCE_EVERY_MS) {
      const wait = labelled("wait", by("wait").textContent);
      const text = place === null ? wait : `${labelled("place", number(place))} ${wait}`;
      if (text !== announced.text) say(view, text);
    }
  };

  // ---- polling ------------------------------------------------------------------------------------------------------

  let timer = 0;
  let action = null; // what the timer does: poll, or reload after admission
  let dueAt = Infinity; // when the timer fires
  let delayMs = 0; // the delay with which the timer was set
  let askedAt = performance.now(); // when the last poll was sent, by the monotonic clock; the load of the page counts
  let notBefore = 0; // the server wants no poll before this time
  let inFlight = null; // the AbortController of the poll in flight
  let failures = 0; // in a row
  let isLost = false; // the page says that the connection is lost
  let isOver = false;
  let firstSeen = firstStatus.first_seen;
  let newArrivals = 0; // answers in a row that were for a new visitor

  const schedule = (afterMs) => {
    clearTimeout(timer);
    delayMs = Math.min(LONGEST_MS, Math.max(0, afterMs));
    dueAt = Date.now() + delayMs;
    timer = setTimeout(() => action(), delayMs);
  };

  let roundTripMs = Infinity; // the fastest recent round trip

  const learnRoundTrip = (milliseconds) => {
    roundTripMs = Math.min(Math.max(milliseconds, 1), FORGETS * roundTripMs);
  };

  /** Schedules the next poll so that it *arrives* at the appointment: the answer and the poll itself take time. */
  const scheduleAppointment = (afterMs) => {
    const earlierMs = Number.isFinite(roundTripMs) ? ALLOWANCE * roundTripMs : 0;
    const leftMs = afterMs - Math.min(earlierMs, afterMs / 2, ALLOWANCE_MOST_MS);
    notBefore = Date.now() + leftMs;
    const pauseMs = leftMs + Math.random() * Math.min(JITTER * afterMs, JITTER_MOST_MS);
    // The last poll may have been parked for a while, so SHORTEST_MS counts from its start.
    schedule(Math.max(SHORTEST_MS - (performance.now() - askedAt), pauseMs));
  };

  const stop = () => {
    isOver = true;
    clearTimeout(timer);
  };

  // A room may ask for a puzzle. Its solution is sent with the next poll; without one the page polls as appointed.
  let solution = "";
  let solutionsSent = 0;
  let worker = null;

  const solve = (challenge) => {
    if (worker) worker.terminate();
    worker = null;
    if (solutionsSent >= SOLUTIONS_TRIED) explainCookies(); // each challenge was for a new visitor
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
    const timeout = setTimeout(() => request.abort(), REQUEST_TIMEOUT_MS);
    askedAt = performance.now();
    try {
      const parameter = solution ? `&altcha=${encodeURIComponent(solution)}` : "";
      solution = "";
      const response = await fetch(statusUrl + parameter, {
        credentials: "same-origin", cache: "no-store", headers: { Accept: "application/json" }, signal: request.signal,
      });
      learnRoundTrip(performance.now() - askedAt);
      const status = await response.json().catch(() => null);
      if (inFlight === request) answered(response, status);
    } catch {
      if (inFlight === request) failed(0);
    } finally {
      clearTimeout(timeout);
      if (inFlight === request) inFlight = null;
    }
  };

  const answered = (response, status) => {
    if (response.status === 404) {
      enter(); // the room was removed, so the address behind it is open
    } else if (!isStatus(status)) {
      failed(1000 * (Number(response.headers.get("Retry-After")) || 0));
    } else {
      const date = Date.parse(response.headers.get("Date"));
      // The header has a resolution of one second.
      if (Math.abs(date - serverNow()) > 2000) serverAheadMs = date - Date.now();
      failures = 0;
      if (isForgotten(status)) explainCookies();
      else act(status);
    }
  };

  const isStatus = (answer) => {
    if (!answer || !STATES.includes(answer.state)) return false;
    return answer.poll_after_seconds === null || answer.poll_after_seconds >= 0;
  };

  /** Returns whether the browser keeps no cookie: two answers in a row were for a new visitor, not only one. */
  const isForgotten = (status) => {
    if (status.first_seen === null) return false;
    newArrivals = firstSeen === null || status.first_seen === firstSeen ? 0 : newArrivals + 1;
    firstSeen = status.first_seen;
    return newArrivals >= 2;
  };

  /** Backs off, and shows it unless it was one short failure, as on a phone that wakes up. */
  const failed = (retryAfterMs) => {
    const backOffMs = Math.min(BACK_OFF_MOST_MS, BACK_OFF_FIRST_MS * 2 ** failures);
    failures += 1;
    notBefore = Date.now() + retryAfterMs;
    schedule(retryAfterMs + backOffMs * (0.5 + Math.random() / 2));
    if (failures < 2 && retryAfterMs < HICCUP_MS) return;
    if (!isLost) sayLost();
    isLost = true;
    notice(texts.notices.lost);
  };

  let lostAt = -Infinity; // when it was last said that the connection is lost
  let isLostSaid = false;

  /** Says that the connection is lost, at most once a minute, so that a bad network does not talk all the time. */
  const sayLost = () => {
    isLostSaid = Date.now() - lostAt >= ANNOUNCE_EVERY_MS;
    if (!isLostSaid) return;
    lostAt = Date.now();
    say(announced.view, texts.notices.lost);
  };

  /** Returns whether only the server can show a view, or take the page out of the one that it was loaded in. */
  const needsLoading = (view) => {
    const current = document.body.dataset.view;
    return view !== current && (!texts.views[view] || !(texts.views[current] || current === "joining"));
  };

  const act = (status) => {
    if (isLost && isLostSaid) say(announced.view, texts.notices.found); // a change of state is announced instead, if there is one
    isLost = false;
    if (needsLoading(viewOf(status))) {
      enter();
      return;
    }
    showUpdatedAt(Date.now());
    showStatus(status);
    if (status.state === "joining" && status.challenge) solve(status.challenge);
    if (isOver) return;
    if (status.state === "admitted") {
      call(texts.views.admitted.headline);
      enter();
    } else if (status.poll_after_seconds === null) stop();
    else scheduleAppointment(1000 * status.poll_after_seconds);
  };

  // ---- entering: this address is the protected one, so loading it again repeats the visitor's own request ----------

  const enter = () => {
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
    // A form that was sent here is kept by the edge, which sends it when this address is opened: no browser has to ask.
    if (formUrl) location.replace(formUrl);
    else {
      if (formUrl === "") notice(texts.notices.form_not_kept); // some browsers ask before they send a form again
      location.reload();
    }
  };

  const explainCookies = () => {
    stop();
    for (const part of document.querySelectorAll("#figures > div, #draw-box, #message-box, #times > p, #acts, #home")) part.hidden = true;
    notice("");
    clearTimeout(countdownTimer);
    showView("cookies", null);
    say("cookies", `${texts.views.cookies.headline}. ${texts.views.cookies.next}`);
  };

  // ---- the visitor's day: notifications on request, and the way back from the buttons ------------------------------

  const bell = by("notify");

  /** Calls back a visitor that looks elsewhere, if they have asked for it: by the tab's icon and a notification. */
  function call(text) {
    const icon = document.querySelector('link[rel="icon"]');
    if (!icon.href.includes("#")) icon.href += "#turn";
    if (!recall("notify") || document.visibilityState === "visible" && document.hasFocus()) return;
    try {
      new Notification(text + titleTail, { tag: "stanchion" });
    } catch {
      if (navigator.vibrate) navigator.vibrate([300, 150, 300]); // browsers of phones show none from a page
    }
  }

  const showBell = () => {
    bell.hidden = !window.isSecureContext || !("Notification" in window) || Notification.permission === "denied";
    bell.setAttribute("aria-pressed", String(Boolean(recall("notify"))));
  };
  bell.addEventListener("click", async () => {
    remember("notify", !recall("notify") && (await Notification.requestPermission()) === "granted");
    showBell();
  });

  document.addEventListener("submit", ({ target }) => {
    target.action += `&back=${encodeURIComponent(formUrl || location.pathname + location.search)}`;
  });

  // ---- sleep: timers stand still in a sleeping tab, appointments do not ---------------------------------------------

  const wake = () => {
    if (isOver || inFlight || document.visibilityState === "hidden") return;
    const leftMs = dueAt - Date.now();
    if (leftMs > delayMs) schedule(0); // more time is left than at the start, so the clock was set back
    else if (failures > 0) schedule(Math.min(leftMs, Math.max(notBefore - Date.now(), 1000 * Math.random())));
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
    for (const tag of document.querySelectorAll('meta[http-equiv="refresh"]')) tag.remove(); // `stop` below cancels it
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
    if (loading && loading.responseStart > loading.requestStart) {
      learnRoundTrip(loading.responseStart - loading.requestStart);
    }
    action = poll;
    showBell();
    if (firstStatus.confirm && firstStatus.confirm.by) call(texts.views.admitted.headline);
    act(firstStatus);
  };

  start();
})();
