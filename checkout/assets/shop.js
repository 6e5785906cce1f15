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
