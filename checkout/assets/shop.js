// One click is one request: the button is disabled as soon as its form is on the way, and usable again when the
// visitor comes back to a page the browser kept.
"use strict";
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    const button = form.querySelector("button");
    if (button.disabled) { event.preventDefault(); return; }
    button.disabled = true;
    button.dataset.label = button.textContent;
    button.textContent = "One moment …";
  });
}
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("form[data-once] button[disabled]")) {
    button.disabled = false;
    button.textContent = button.dataset.label;
  }
});

// Time left: counted from when the page arrived, so a wrong clock on the visitor's side does not matter.
const arrived = performance.now();
for (const element of document.querySelectorAll("[data-left-ms]")) {
  const total = Number(element.dataset.leftMs);
  if (total <= 0) continue;
  const timer = setInterval(() => {
    const left = Math.max(0, Math.ceil((total - (performance.now() - arrived)) / 1000));
    const words = left >= 60 ? `${Math.floor(left / 60)} min ${String(left % 60).padStart(2, "0")} s` : `${left} s`;
    element.textContent = "reload" in element.dataset ? `Opens in ${words}` : words;
    if (left === 0) { clearInterval(timer); location.reload(); }
  }, 500);
}

// What is left: one request at a time; a late one is cancelled before the next begins, and none runs in a hidden tab.
const stock = document.querySelector("[data-stock^='/']");
if (stock) {
  let late = null;
  setInterval(async () => {
    if (document.hidden) return;
    if (late) late.abort();
    const request = late = new AbortController();
    try {
      const answer = await fetch(stock.dataset.stock, { signal: request.signal, headers: { Accept: "application/json" } });
      if (!answer.ok || request.signal.aborted) return;
      const { free, held, sold } = await answer.json();
      stock.textContent = free ? `${free} of ${free + held + sold} left`
        : held ? `Sold out; ${held} are still paying` : "Sold out";
    } catch (error) {
      if (error.name !== "AbortError") console.info("stock: not now");
    }
  }, 2000);
}
