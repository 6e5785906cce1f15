// One click is one request: the button is disabled while its form is being sent. It is enabled again when the visitor
// returns to a page that the browser kept.
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

// The time left counts from the arrival of the page, so a wrong clock of the visitor does not matter.
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

// The stock: one request at a time. A late request is cancelled before the next begins; a hidden tab sends none.
const stock = document.querySelector("[data-stock^='/']");
if (stock) {
  let previous = null;
  setInterval(async () => {
    if (document.hidden) return;
    if (previous) previous.abort();
    const request = previous = new AbortController();
    try {
      const answer = await fetch(stock.dataset.stock, { signal: request.signal, headers: { Accept: "application/json" } });
      if (!answer.ok || request.signal.aborted) return;
      const { free, held, sold } = await answer.json();
      stock.textContent = free ? `${free} of ${free + held + sold} left`
        : held ? `Sold out. ${held} reserved and not paid yet` : "Sold out";
    } catch (error) {
      if (error.name !== "AbortError") console.info("stock: no answer");
    }
  }, 2000);
}
