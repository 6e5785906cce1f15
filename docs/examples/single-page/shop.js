// Buys, and waits in line if the edge says so. Nothing else of the page has to know that there is a line.
const shop = document.body.dataset.shop || location.origin;
const { lineFetch, LineError } = await import(`${shop}/_stanchion/static/stanchion-client.js`);

const by = (id) => document.getElementById(id);
const ENDS = {
  over: "Everything is sold, or the sale is over.",
  cookies: "Please allow cookies: your place in line is kept in one.",
  sent_back: "The shop sent you back into the line. Please try again.",
};
let waiting = null; // the AbortController of the order in line

const showPlace = ({ state, position, eta_seconds: eta, opens_at: opensAt, message }, { isLost }) => {
  const isWaiting = state !== "admitted";
  by("line").hidden = !isWaiting;
  by("message").textContent = isLost ? "The connection is lost. Your place is kept." : message || "";
  if (!isWaiting) return;
  if (state === "early" && opensAt) by("place").textContent = `The sale opens at ${new Date(opensAt).toLocaleString()}.`;
  else if (position === null) by("place").textContent = "Your place is not known yet.";
  else if (eta === null) by("place").textContent = `Your place: ${position}. The line stands still at the moment.`;
  else by("place").textContent = `Your place: ${position}, about ${Math.ceil(eta.p50 / 60)} min.`;
};

const fetchInLine = lineFetch({ onStatus: showPlace });

const say = (text) => {
  by("line").hidden = true;
  by("result").textContent = text;
};

by("leave").addEventListener("click", () => waiting?.abort());

by("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (waiting) return; // it is in line already
  waiting = new AbortController();
  by("result").textContent = "";
  try {
    const body = new URLSearchParams(new FormData(event.target));
    const answer = await fetchInLine(`${shop}/checkout/order`, { method: "POST", body, signal: waiting.signal });
    say(answer.ok ? await answer.text() : `The shop answered ${answer.status}.`);
  } catch (fault) {
    if (fault.name === "AbortError") say("You stopped waiting. Your place is kept for a while.");
    else if (fault instanceof LineError) say(ENDS[fault.reason]);
    else say("The shop cannot be reached. Please try again.");
  } finally {
    waiting = null;
  }
});
