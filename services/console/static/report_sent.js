// What became of a report: asked for every second until its alert is there, then now and then.
import { heardTime, serverNow, span, tick } from "./live.js";

const sent = document.getElementById("sent");
const state = document.getElementById("state");
const SOON_MS = 700;
const LATER_MS = 5000;
let found = 0;

try { // taken: the draft of the form is not needed any more
  const mine = `hw-draft:${document.body.dataset.user}:report`;
  [mine, `${mine}-started`].forEach((key) => localStorage.removeItem(key));
} catch { /* nothing was kept */ }

function show() {
  for (const each of state.querySelectorAll("[data-since]")) {
    const past = Math.floor((serverNow() - Date.parse(each.dataset.since)) / 1000);
    each.textContent = span(Math.max(0, past));
  }
}

async function again() {
  try {
    const answer = await fetch(sent.dataset.from, { headers: { accept: "application/json" }, credentials: "same-origin" });
    if (answer.status === 401) return location.reload();
    if (answer.ok) {
      const focused = state.contains(document.activeElement);
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      const data = fresh.content.querySelector("[data-found]").dataset;
      heardTime(data.now);
      found = Number(data.found);
      state.replaceChildren(fresh.content);
      if (focused) state.querySelector("[data-alert]")?.focus();
      tick();
      show();
    }
  } catch { /* asked again below */ }
  setTimeout(again, found ? LATER_MS : SOON_MS);
}

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "n" && !event.ctrlKey && !event.metaKey && !event.altKey) {
    document.getElementById("again").click();
  }
});
setInterval(show, 500);
show();
again();
