// The script of the dashboard: once a second it asks for the overview, and shows it. A change is confirmed, sent with the
// version that the operator saw, and refused by the edge if somebody else changed the room meanwhile.
(() => {
  "use strict";

  const EVERY_MS = 1000;
  const PLOTS_EVERY_MS = { 5: 1000, 30: 10000, 180: 30000 };
  const TIMEOUT_MS = 5000;
  const LOST_AFTER = 3; // failures in a row
  const MODES = {
    open: ["Open", "Visitors are admitted in order."],
    hold: ["On hold", "Nobody is admitted. Visitors get and keep their places."],
    drain: ["Draining", "Those in line are admitted. First visitors are told that the room is closed."],
    closed: ["Closed", "Nobody is admitted, and passes are not renewed. Those in line keep their places."],
    shadow: ["Shadow", "Everybody passes. Nothing protects the shop."],
  };

  const by = (id) => document.getElementById(id);
  const number = (n) => (n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en"));
  const rate = (n) => (n >= 100 ? number(n) : Number(n.toFixed(1)).toLocaleString("en"));
  const put = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    const s = Math.round(seconds);
    if (s < 90) return `${s} s`;
    if (s < 5400) return `${Math.round(s / 60)} min`;
    return `${Math.floor(s / 3600)} h ${String(Math.round(s / 60) % 60).padStart(2, "0")} min`;
  };
  const clock = (text) => new Date(text).toLocaleTimeString("en-GB");
  const moment = (text) => {
    const date = new Date(text);
    const isToday = date.toDateString() === new Date().toDateString();
    return isToday ? clock(text) : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  };

  let session = { role: "view", csrf: "" };
  let failures = 0;
  let timer = 0;
  const cards = new Map(); // room -> {element, room, minutes, plottedAt}
  const say = (text) => put(by("live"), text);

  // ---- asking the edge ----------------------------------------------------------------------------------------------

  class Refused extends Error {
    constructor(status, detail) {
      super(detail);
      this.status = status;
    }
  }

  const ask = async (path, options = {}) => {
    const headers = { ...options.headers };
    if (session.csrf) headers["X-CSRF-Token"] = session.csrf;
    if (options.body !== undefined) headers["Content-Type"] = "application/json";
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(path, { cache: "no-store", ...options, headers, signal });
    if (answer.status === 204) return null;
    const document_ = await answer.json();
    if (!answer.ok) throw new Refused(answer.status, document_.detail || answer.statusText);
    return document_;
  };

  // ---- signing in -----------------------------------------------------------------------------------------------------

  const showLogin = (isShown) => {
    by("login").hidden = !isShown;
    by("board").hidden = isShown;
    if (isShown) {
      by("who").hidden = true;
      by("token").focus();
    }
  };

  const begin = (known) => {
    session = known;
    put(by("who-name"), `${known.name} (${known.role})`);
    by("who").hidden = !known.is_needed;
    showLogin(false);
    refresh();
  };

  by("login-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    put(by("login-error"), "");
    try {
      const known = await ask("/v1/session", { method: "POST", body: JSON.stringify({ token: by("token").value }) });
      by("token").value = "";
      begin(known);
    } catch (fault) {
      put(by("login-error"), fault.status === 401 ? "This token does not count." : `Not signed in: ${fault.message}`);
    }
  });

  by("sign-out").addEventListener("click", async () => {
    await ask("/v1/session", { method: "DELETE" }).catch(() => {});
    session = { role: "view", csrf: "" };
    showLogin(true);
  });

  // ---- changing a room ------------------------------------------------------------------------------------------------

  /** Asks the operator. Returns {reason, until}, or null if they cancel. */
  const confirmed = (title, text, label, withFields) =>
    new Promise((resolve) => {
      const dialog = by("confirm");
      put(by("confirm-title"), title);
      put(by("confirm-text"), text);
      put(by("confirm-go"), label);
      by("confirm-fields").hidden = !withFields;
      by("confirm-reason").value = "";
      by("confirm-until").value = "";
      dialog.returnValue = "cancel";
      dialog.addEventListener(
        "close",
        () => {
          if (dialog.returnValue !== "go") return resolve(null);
          const until = by("confirm-until").value;
          resolve({ reason: by("confirm-reason").value || null, until: until ? new Date(until).toISOString() : null });
        },
        { once: true },
      );
      dialog.showModal();
    });

  const send = async (room, method, path, change) => {
    const body = change === undefined ? undefined : JSON.stringify(change);
    try {
      await ask(path, { method, body, headers: { "If-Match": `"${room.version}"` } });
      say(`${room.room}: done`);
      await refresh();
    } catch (fault) {
      const isOld = fault.status === 412;
      const text = isOld ? "Somebody else changed this room meanwhile. Look at it again, then repeat." : fault.message;
      await refresh();
      await confirmed("Nothing was changed", text, "OK", false);
    }
  };

  const patch = (room, change) => send(room, "PATCH", `/v1/rooms/${room.room}`, change);

  const changeMode = async (room, mode) => {
    const [name, text] = MODES[mode];
    const chosen = await confirmed(`${name}: ${room.room}?`, text, `Set to ${name.toLowerCase()}`, mode !== "open");
    if (chosen) await patch(room, { mode, ...chosen });
  };

  const changeFigure = async (room, what, shown, change) => {
    const chosen = await confirmed(`Change ${room.room}?`, `${what}: ${shown}`, "Change", false);
    if (chosen) await patch(room, change);
  };

  const reset = async (room) => {
    const text = "Mode, capacity, limit and message are those of the settings file again.";
    const chosen = await confirmed(`Back to the settings file: ${room.room}?`, text, "Take all changes back", false);
    if (chosen) await send(room, "DELETE", `/v1/rooms/${room.room}/overrides`);
  };

  // ---- scheduling ---------------------------------------------------------------------------------------------------

  const sendSale = (room, sale) => send({ ...room, version: room.sales_version }, "POST", `/v1/rooms/${room.room}/sales`, sale);

  /** Returns what the API takes of a sale. */
  const taken = ({ name, prequeue_at, opens_at, closes_at, order, suspended, admissions_per_second, total_active_users, message }) => ({
    name, prequeue_at, opens_at, closes_at, order, suspended, admissions_per_second, total_active_users, message,
  });

  const suspend = async (room) => {
    const { name, suspended } = room.sale;
    const text = suspended
      ? "The sale goes on by its times. If it should have opened already, it opens now."
      : "Nobody is admitted until you resume it. Visitors in line keep their places and are told no time.";
    const word = suspended ? "Resume" : "Suspend";
    if (await confirmed(`${word} ${name}?`, text, word, false)) await sendSale(room, { ...taken(room.sale), suspended: !suspended });
  };

  /** Ends a sale that is open. Removes one that is not. */
  const finish = async (room) => {
    const { name, phase } = room.sale;
    if (phase === "open") {
      const text = "Visitors in line are told that the sale is over. The room stays closed until the sale is removed.";
      if (await confirmed(`End ${name}?`, text, "End now", false)) await sendSale(room, { ...taken(room.sale), closes_at: room.time });
      return;
    }
    const text = "The room does again what its mode says. If visitors wait, they keep their places.";
    if (!(await confirmed(`Remove ${name}?`, text, "Remove", false))) return;
    await send({ ...room, version: room.sales_version }, "DELETE", `/v1/rooms/${room.room}/sales/${name}`);
  };

  const schedule = async (room, form) => {
    const opens = new Date(form.elements.opens.value);
    const prequeue = new Date(opens.getTime() - 60000 * Number(form.elements.prequeue.value));
    const isDrawn = form.elements.draw.checked;
    const name = form.elements.sale.value;
    const order = isDrawn ? "Places are drawn at the opening." : "Visitors are admitted in order of arrival.";
    const closes = form.elements.closes.value ? new Date(form.elements.closes.value) : null;
    const end = closes ? `It ends at ${moment(closes)}.` : "It has no end.";
    const text = `The pre-queue begins at ${moment(prequeue)}, and the sale opens at ${moment(opens)}. ${end} ${order} Until the pre-queue begins, the room admits nobody unless outside_sales is open.`;
    if (!(await confirmed(`Schedule ${name} in ${room.room}?`, text, "Schedule", false))) return;
    const sale = {
      name,
      prequeue_at: prequeue.toISOString(),
      opens_at: opens.toISOString(),
      closes_at: closes && closes.toISOString(),
      order: isDrawn ? "draw" : "arrival",
    };
    await sendSale(room, sale);
  };

  // ---- the cards ------------------------------------------------------------------------------------------------------

  const makeCard = (name) => {
    const element = by("room-template").content.firstElementChild.cloneNode(true);
    const card = { element, room: null, minutes: 5, plottedAt: 0, values: null };
    const find = (selector) => element.querySelector(selector);
    find(".name").textContent = name;
    find(".name").id = `room-${name}`;
    find(".report").href = `/v1/rooms/${name}/report`;
    find(".report").setAttribute("aria-label", `Report of ${name}`);
    element.setAttribute("aria-labelledby", `room-${name}`);
    for (const button of element.querySelectorAll("[data-mode]")) {
      button.addEventListener("click", () => changeMode(card.room, button.dataset.mode));
    }
    for (const button of element.querySelectorAll("[data-minutes]")) {
      button.addEventListener("click", () => {
        card.minutes = Number(button.dataset.minutes);
        card.plottedAt = 0;
        for (const each of element.querySelectorAll("[data-minutes]")) {
          each.setAttribute("aria-pressed", String(each === button));
        }
        plot(card);
      });
    }
    const onSubmit = (selector, act) =>
      find(selector).addEventListener("submit", (event) => {
        event.preventDefault();
        act(event.target.querySelector("input").value);
      });
    onSubmit(".capacity", (text) => {
      const wanted = Number(text);
      changeFigure(card.room, "Capacity", `${text} admissions a second`, { admissions_per_second: wanted });
    });
    onSubmit(".active-users", (text) => {
      const wanted = text === "" ? null : Number(text);
      changeFigure(card.room, "Visitors in the room", text || "as in the settings file", { total_active_users: wanted });
    });
    onSubmit(".message", (text) => changeFigure(card.room, "Message", text || "none", { message: text }));
    find(".suspend").addEventListener("click", () => suspend(card.room));
    find(".finish").addEventListener("click", () => finish(card.room));
    find(".schedule").addEventListener("submit", (event) => {
      event.preventDefault();
      schedule(card.room, event.target);
    });
    find(".reset").addEventListener("click", () => reset(card.room));
    return card;
  };

  const fillNotices = (list, notices) => {
    const key = JSON.stringify(notices);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    const words = { error: "Fault:", warning: "Warning:", info: "Note:" };
    list.replaceChildren(
      ...notices.map(({ level, text }) => {
        const item = document.createElement("li");
        item.dataset.level = level;
        const word = document.createElement("b");
        word.textContent = words[level];
        item.append(word, text);
        return item;
      }),
    );
    const errors = notices.filter((each) => each.level === "error").map((each) => each.text);
    if (errors.length) say(errors.join(" "));
  };

  const left = (seconds) => {
    const s = Math.max(0, Math.ceil(seconds));
    const two = (n) => String(n).padStart(2, "0");
    if (s >= 86400) return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
    return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
  };

  /** Returns what a sale does now, and what comes after. */
  const saleWords = (sale, now) => {
    const until = (moment) => left((Date.parse(moment) - now) / 1000);
    const opens = `opens at ${moment(sale.opens_at)}`;
    const states = {
      scheduled: [`pre-queue begins in ${until(sale.prequeue_at)}`, opens],
      before: [`pre-queue begins in ${until(sale.prequeue_at)}`, opens],
      prequeue: [`opens in ${until(sale.opens_at)}`, opens],
      open: ["is open", sale.closes_at ? `closes in ${until(sale.closes_at)}` : "no end is set"],
      over: ["is over", "the room stays closed until the sale is removed"],
    };
    return states[sale.phase];
  };

  const showSale = (card, sale, now, mayChange) => {
    const set = (selector, text) => put(card.element.querySelector(selector), text);
    card.element.querySelector(".sale").hidden = !sale;
    if (!sale) return;
    const [state, more] = saleWords(sale, now);
    const order = sale.order === "draw" ? ", places are drawn" : "";
    set(".sale-name", sale.name);
    set(".sale-state", sale.suspended ? "is suspended" : state);
    set(".sale-more", `${more}${order}`);
    const button = card.element.querySelector(".suspend");
    put(button, sale.suspended ? "Resume" : "Suspend");
    button.hidden = !mayChange || sale.phase === "over";
    const last = card.element.querySelector(".finish");
    put(last, sale.phase === "open" ? "End now" : "Remove");
    last.hidden = !mayChange;
  };

  const fillInput = (input, value) => {
    if (document.activeElement !== input && input.dataset.shown !== String(value)) {
      input.value = value ?? "";
      input.dataset.shown = String(value);
    }
  };

  const showRoom = (card, room, now) => {
    card.room = room;
    const { element } = card;
    const { figures } = room;
    const set = (selector, text) => put(element.querySelector(selector), text);
    element.dataset.mode = room.mode;
    element.querySelector(".report").hidden = !room.has_record;
    set(".mode", MODES[room.mode][0]);
    const left = room.until ? (Date.parse(room.until) - now) / 1000 : null;
    set(".countdown", left !== null && left > 0 ? `for another ${duration(left)}` : "");
    fillNotices(element.querySelector(".notices"), room.notices);

    const elsewhere = room.other_nodes.reduce((sum, node) => sum + (node.silent ? 0 : node.waiting), 0);
    set(".waiting", number(figures.waiting + elsewhere));
    const lanes = figures.lanes.map((lane) => `${lane.lane} ${number(lane.waiting)}`).join(", ");
    const here = elsewhere ? `${number(figures.waiting)} at this machine` : "";
    set(".waiting-more", [here, lanes].filter(Boolean).join("; "));
    set(".admitted", rate(figures.admitted_per_s));
    const capacity = figures.admissions_per_second;
    set(".of-capacity", `of ${rate(capacity)}${elsewhere || room.other_nodes.length ? " at this machine" : ""}`);
    const used = capacity > 0 ? Math.min(1, figures.admitted_per_s / capacity) : 0;
    element.querySelector(".meter span").style.width = `${(100 * used).toFixed(0)}%`;
    set(".lag", duration(figures.lag_s));
    set(".eta", figures.waiting > 0 ? `the last in line: ${duration(figures.eta_last_s)}` : "nobody waits");
    set(".active", number(figures.active));
    set(".active-limit", room.total_active_users === null ? "no limit" : `of ${number(room.total_active_users)}`);
    set(".stock", figures.sold_out ? "sold out" : number(figures.stock));
    set(".held", figures.held ? `${number(figures.held)} not paid yet` : figures.stock === null ? "not reported" : "");
    set(".polls", rate(figures.polls_per_s));
    set(".arrivals", `${rate(figures.arrivals_per_s)} first visits`);
    if (figures.shadow) {
      const { queued, visitors, longest_s: longest } = figures.shadow;
      set(".waiting", number(figures.shadow.waiting));
      set(".waiting-more", `would wait now; ${number(queued)} of ${number(visitors)} would have waited, at most ${duration(longest)}`);
    }

    const mayChange = session.role !== "view";
    for (const button of element.querySelectorAll("[data-mode]")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === room.mode));
      button.disabled = !mayChange || button.dataset.mode === room.mode;
    }
    for (const control of element.querySelectorAll(".controls form button, .controls form input")) {
      control.disabled = !mayChange;
    }
    showSale(card, room.sale, now, mayChange);
    fillInput(element.querySelector("[name=capacity]"), room.admissions_per_second);
    fillInput(element.querySelector("[name=users]"), room.total_active_users);
    fillInput(element.querySelector("[name=message]"), room.message);
    const isChanged = room.changed.length > 0;
    const names = { mode: "mode", admissions_per_second: "capacity", total_active_users: "limit", message: "message" };
    const what = room.changed.map((key) => names[key]).join(", ");
    set(".overrides", isChanged ? `Changed while it runs: ${what}. By ${room.changed_by}, ${clock(room.changed_at)}.` : "");
    element.querySelector(".reset").hidden = !isChanged || !mayChange;
    plot(card);
  };

  const plot = async (card) => {
    const now = Date.now();
    if (now - card.plottedAt < PLOTS_EVERY_MS[card.minutes] - 50 || document.hidden) return;
    card.plottedAt = now;
    const { minutes } = card;
    const history = await ask(`/v1/rooms/${card.room.room}/history?minutes=${minutes}`).catch(() => null);
    if (history === null || minutes !== card.minutes) return;
    const { series, step_seconds: step } = history;
    const common = { minutes, step };
    drawPlot(card.element.querySelector(".plot-line"), {
      ...common, values: series.waiting, label: "In line", isArea: true, number,
    });
    drawPlot(card.element.querySelector(".plot-rate"), {
      ...common, values: series.admitted_per_s, limit: series.admissions_per_second,
      label: "Admitted a second", isArea: false, number: rate,
    });
  };

  // ---- the rest of the page -------------------------------------------------------------------------------------------

  const rows = (table, lines) =>
    table.tBodies[0].replaceChildren(
      ...lines.map((cells) => {
        const row = document.createElement("tr");
        row.append(
          ...cells.map((text, at) => {
            const cell = document.createElement(at ? "td" : "th");
            if (!at) cell.scope = "row";
            cell.textContent = text;
            return cell;
          }),
        );
        return row;
      }),
    );

  const showNodes = (overview) => {
    const own = overview.workers.map((node) => [
      `this machine, worker ${node.node}`,
      node.ready ? "serves" : "does not serve",
      node.report_age_seconds === null ? "–" : `${node.report_age_seconds.toFixed(1)} s ago`,
      String(node.restarts),
    ]);
    const others = new Map(overview.rooms.flatMap((room) => room.other_nodes.map((node) => [node.node, node])));
    const elsewhere = [...others.values()].map((node) => [
      `another machine, ${node.node}`, node.silent ? "silent" : "serves", `${node.heard_seconds_ago.toFixed(1)} s ago`, "–",
    ]);
    rows(by("nodes"), [...own, ...elsewhere]);
  };

  const worded = (entry) => {
    const before = entry.before || {};
    const after = entry.after || {};
    const keys = Object.keys(after).filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
    const shown = (value) => (value === null || value === undefined ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value));
    const changes = keys.map((key) => `${key}: ${shown(before[key])} → ${shown(after[key])}`).join("; ");
    return `${entry.actor}: ${entry.action}${changes ? ` (${changes})` : ""}: ${entry.result}`;
  };

  let auditKey = "";
  const showAudit = ({ entries }) => {
    const key = JSON.stringify(entries[0] || null) + entries.length;
    if (key === auditKey) return;
    auditKey = key;
    by("audit-empty").hidden = entries.length > 0;
    by("audit").replaceChildren(
      ...entries.map((entry) => {
        const item = document.createElement("li");
        const time = document.createElement("time");
        time.dateTime = entry.time;
        time.textContent = clock(entry.time);
        item.append(time, worded(entry));
        return item;
      }),
    );
  };

  const connection = (state, text) => {
    by("connection").dataset.state = state;
    put(by("connection-text"), text);
  };

  const show = (overview, audit) => {
    const now = Date.parse(overview.time);
    const machine = `${overview.workers.length} worker${overview.workers.length > 1 ? "s" : ""}`;
    const joined = overview.redis === "unused" ? "" : `, Redis ${overview.redis}`;
    put(by("machine"), `${machine}${joined}, version ${overview.version}`);
    session.role = overview.role;
    fillNotices(by("machine-notices"), overview.notices);
    const names = overview.rooms.map((room) => room.room);
    for (const [name, card] of cards) {
      if (!names.includes(name)) {
        card.element.remove();
        cards.delete(name);
      }
    }
    for (const room of overview.rooms) {
      if (!cards.has(room.room)) {
        cards.set(room.room, makeCard(room.room));
        by("rooms").append(cards.get(room.room).element);
      }
      showRoom(cards.get(room.room), room, now);
    }
    const waiting = overview.rooms.reduce((sum, room) => sum + room.figures.waiting, 0);
    document.title = `${number(waiting)} in line – Stanchion`;
    showNodes(overview);
    showAudit(audit);
  };

  const refresh = async () => {
    clearTimeout(timer);
    try {
      const [overview, audit] = await Promise.all([ask("/v1/overview"), ask("/v1/audit")]);
      failures = 0;
      connection("live", `Live, ${clock(overview.time)}`);
      show(overview, audit);
    } catch (fault) {
      if (fault.status === 401) {
        showLogin(true);
        return;
      }
      failures += 1;
      if (failures >= LOST_AFTER) connection("lost", "The edge does not answer. What is shown is old.");
    }
    timer = setTimeout(refresh, EVERY_MS);
  };

  const start = async () => {
    try {
      begin(await ask("/v1/session"));
    } catch (fault) {
      if (fault.status === 401) showLogin(true);
      else {
        connection("lost", "The edge does not answer.");
        setTimeout(start, 2000);
      }
    }
  };

  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  window.addEventListener("resize", () => cards.forEach((card) => ((card.plottedAt = 0), card.room && plot(card))));
  start();
})();
