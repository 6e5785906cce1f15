// The script of an error page that answers a navigation (GET): it loads the address again until the shop answers.
//
// Rules: the pauses grow, and differ from visitor to visitor, so that a shop that comes back is not met by all at once.
// Before each try it asks for a small file of the edge: if the visitor's own network is gone, loading the address would
// replace this page by the browser's, which tries nothing. A response to a form has no script, so no form is sent again.
(() => {
  "use strict";

  const GROWTH = 1.6;
  const LONGEST_S = 60;
  const FORGET_MS = 600000; // after this time without a failure the pauses start again
  const LEAST_PART = 0.75; // a pause is this part of the full one at least
  const REQUEST_TIMEOUT_MS = 5000;

  const body = document.body;
  const next = document.getElementById("next");
  const again = document.getElementById("again");
  const firstS = Number(body.dataset.after);
  const key = `stanchion:failed:${location.pathname}`;

  const recall = () => {
    try {
      const tries = JSON.parse(sessionStorage.getItem(key));
      return tries && Date.now() - tries.at < FORGET_MS ? tries.count : 0;
    } catch {
      return 0;
    }
  };

  const remember = (count) => {
    try {
      sessionStorage.setItem(key, JSON.stringify({ count, at: Date.now() }));
    } catch {
      // Storage is blocked or full: every pause is the first one, which the server chooses.
    }
  };

  const count = recall();
  let dueAt = 0;
  let timer = 0;
  let isTrying = false;

  const schedule = (seconds) => {
    const fullS = Math.min(LONGEST_S, seconds);
    dueAt = Date.now() + 1000 * fullS * (LEAST_PART + (1 - LEAST_PART) * Math.random());
    tick();
  };

  const tick = () => {
    clearTimeout(timer);
    const left = Math.ceil((dueAt - Date.now()) / 1000);
    if (left <= 0) {
      attempt();
      return;
    }
    next.textContent = body.dataset.countdown.replace("{seconds}", left);
    timer = setTimeout(tick, Math.min(1000, dueAt - Date.now()));
  };

  const attempt = async () => {
    if (isTrying) return;
    isTrying = true;
    clearTimeout(timer);
    next.textContent = body.dataset.trying;
    const request = new AbortController();
    const timeout = setTimeout(() => request.abort(), REQUEST_TIMEOUT_MS);
    try {
      await fetch(body.dataset.probe, { method: "HEAD", cache: "no-store", signal: request.signal });
      remember(count + 1);
      location.reload();
    } catch {
      isTrying = false;
      schedule(firstS);
    } finally {
      clearTimeout(timeout);
    }
  };

  // The tags that reload the page without this script have to be stopped.
  for (const tag of document.querySelectorAll('meta[http-equiv="refresh"]')) tag.remove();
  if (document.readyState === "complete") window.stop();
  else window.addEventListener("load", () => window.stop());
  window.addEventListener("online", () => attempt());
  window.addEventListener("pageshow", (event) => event.persisted && attempt());
  again.addEventListener("click", (event) => {
    event.preventDefault();
    attempt();
  });
  schedule(firstS * GROWTH ** count);
})();
