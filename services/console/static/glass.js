// While a glass is open: counts down on every page, and lets nothing of the household stand after.
import { say, serverNow } from "./live.js";

const bar = document.querySelector(".glass-bar");

function shut() {
  for (const line of bar?.querySelectorAll("[data-until]") || []) {
    if (Date.parse(line.dataset.until) > serverNow()) continue;
    if (document.body.dataset.through) return location.replace(location.pathname); // absent from now on
    line.remove();
    if (!bar.querySelector("[data-until]")) bar.remove();
  }
}

// A form that was sent is not sent again by an impatient second press.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.busy) return event.preventDefault();
    form.dataset.busy = "yes";
    const button = form.querySelector("button");
    button.setAttribute("aria-disabled", "true");
    say(button.textContent);
  });
}
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // a page of the browser's memory: its key is used, its time is over
});

// What was typed outlives a crash, but nobody confirms by what an earlier page kept; opened, it is forgotten.
const confirmed = document.querySelector("form[data-draft=glass] input[name=confirm]");
if (confirmed) confirmed.checked = confirmed.hasAttribute("checked");
if (document.body.dataset.opened) {
  try { localStorage.removeItem(`hw-draft:${document.body.dataset.user}:glass`); } catch { /* nothing is kept */ }
}

setInterval(shut, 1000);
