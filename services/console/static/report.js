// The report desk by keyboard alone: one press chooses what, then where, who, more, Ctrl+Enter sends.
import { heardTime, say, serverNow, span } from "./live.js";

const form = document.getElementById("report");
const started = form.elements.started;
const elapsed = document.getElementById("elapsed");
const says = document.getElementById("elapsed-says");
const who = document.getElementById("who");
const matters = [...form.querySelectorAll("input[data-press]")];
const field = (target) => target.closest("input:not([type=radio]):not([type=checkbox]), select, textarea");

// --- a call that was broken off, by a crash or a reload, goes on with its own clock -----------------
const keptStart = `hw-draft:${document.body.dataset.user}:report-started`;
const typed = () => matters.some((each) => each.checked) || ["spot", "q", "note", "where"].some((name) => form.elements[name].value);
try {
  if (!started.value && typed()) started.value = localStorage.getItem(keptStart) || "";
  document.getElementById("restored").hidden = !started.value;
} catch { /* nothing was kept */ }
document.getElementById("afresh").addEventListener("click", () => {
  try { localStorage.removeItem(keptStart); localStorage.removeItem(`hw-draft:${document.body.dataset.user}:report`); } catch { /* none */ }
  location.href = location.pathname;
});

// --- the clock: the server says when the first word was typed, so a wrong PC clock cannot lie ------
let asking = null;

let beganAt = 0;

function begin() {
  if (started.value || asking) return;
  beganAt ||= performance.now();
  show();
  asking = fetch(form.dataset.now, { headers: { accept: "text/plain" }, credentials: "same-origin" })
    .then((answer) => (answer.ok ? answer.text() : ""))
    .then((text) => {
      if (!text) return;
      heardTime(text);
      started.value = text;
      try { localStorage.setItem(keptStart, text); } catch { /* private mode */ }
    })
    .catch(() => {})
    .finally(() => { asking = null; });
}

function show() {
  if (!started.value && !beganAt) return;
  const past = started.value ? serverNow() - Date.parse(started.value) : performance.now() - beganAt;
  elapsed.textContent = span(Math.max(0, Math.floor(past / 1000)));
  says.hidden = true;
}

// --- what -----------------------------------------------------------------------------------------
function choose(radio) {
  radio.checked = true;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
  say(radio.closest("label").querySelector("span").textContent);
  document.getElementById("where").focus();
}

function fit() {
  const chosen = matters.find((each) => each.checked);
  const has = chosen ? chosen.dataset.fields.split(" ") : ["note", "anonymous", "ongoing", "urgent"];
  document.getElementById("note-field").hidden = !has.includes("note");
  form.elements.anonymous.closest("label").hidden = !has.includes("anonymous");
  form.elements.ongoing.closest("label").hidden = !has.includes("ongoing") && !has.includes("urgent");
  const more = document.getElementById("more");
  more.hidden = ![...more.querySelectorAll("#note-field, label.check")].some((each) => !each.hidden);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || field(event.target)) return;
  const chosen = matters.find((each) => each.dataset.press === event.key.toLowerCase());
  if (chosen) {
    event.preventDefault();
    begin();
    choose(chosen);
  }
});

// --- who: asked for in the body of a request, so that no name stands in an address ------------------
async function search() {
  const body = new URLSearchParams({ csrf: form.elements.csrf.value, q: form.elements.q.value, where: form.elements.where.value });
  try {
    const answer = await fetch(form.dataset.who, { method: "POST", body, headers: { accept: "application/json" }, credentials: "same-origin" });
    if (answer.ok) {
      who.innerHTML = await answer.text();
      (who.querySelector("input:checked") || who.querySelector("input")).focus();
    } else if (answer.status === 401) {
      form.requestSubmit();
    }
  } catch {
    say(document.body.dataset.lost, true);
  }
}

document.getElementById("search").addEventListener("click", search);
form.elements.q.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.ctrlKey && !event.isComposing) {
    event.preventDefault();
    search();
  }
});

// --- sending: once ----------------------------------------------------------------------------------
form.addEventListener("submit", (event) => {
  if (form.dataset.busy) { event.preventDefault(); return; }
  form.dataset.busy = "yes";
  document.getElementById("send").setAttribute("aria-disabled", "true");
  document.getElementById("send").disabled = true;
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  location.reload(); // a page that came back from the browser's memory has a key that is used up
});

form.addEventListener("input", begin);
form.addEventListener("change", () => { begin(); fit(); });
setInterval(show, 250);
fit();
show();
