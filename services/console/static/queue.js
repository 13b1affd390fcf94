// The queue: a stream says that something changed, the page asks for its rows again and puts them in
// place by id, so that focus, filter, scroll and open groups stay. Nothing is lost with the stream:
// every reconnection takes a new snapshot.
import { heardTime, keepScroll, root, say, send, tick } from "./live.js";

const list = document.getElementById("rows");
const lost = document.getElementById("lost");
const title = document.title;
const DELAY_MS = 150;
const SAFETY_MS = 30_000;
const RETRY_MS = [300, 700, 1500, 2000];

// --- rows -----------------------------------------------------------------------------------------
let asking = false;
let again = false;
let waiting = 0;
let last = 0;

function refreshSoon() {
  clearTimeout(waiting);
  const since = performance.now() - last;
  waiting = setTimeout(refresh, Math.max(0, DELAY_MS - since));
}

async function refresh() {
  if (asking) { again = true; return true; }
  asking = true;
  last = performance.now();
  try {
    const answer = await fetch(`${root}/queue/rows${location.search}`, {
      headers: { accept: "application/json" }, credentials: "same-origin", cache: "no-store",
    });
    if (answer.status === 401) { location.reload(); return false; }
    if (!answer.ok) return false;
    const fresh = document.createElement("template");
    fresh.innerHTML = await answer.text();
    put(fresh.content);
    return true;
  } catch {
    return false;
  } finally {
    asking = false;
    if (again) { again = false; refreshSoon(); }
  }
}

function rowsOf(scope) {
  return new Map([...scope.querySelectorAll("[data-id]")].map((row) => [row.dataset.id, row]));
}

function put(fresh) {
  const state = fresh.querySelector(".rows-state");
  heardTime(state.dataset.now);
  const before = rowsOf(list);
  const after = rowsOf(fresh);
  const focused = document.activeElement?.closest?.("[data-id]");
  const place = focused ? [...before.keys()].indexOf(focused.dataset.id) : -1;
  const what = focused ? deedOf(document.activeElement) : "";
  const open = [...list.querySelectorAll("details[open]")].map((d) => d.closest("[data-key]").dataset.key);
  const chosen = list.querySelector(".row.here")?.dataset.id;

  for (const [id, row] of after) {
    const old = before.get(id);
    if (!old) row.classList.add("new");
    else if (same(old, row)) row.replaceWith(old); // the very element: focus and selection stay
  }
  for (const item of fresh.querySelectorAll(".group-item")) {
    if (open.includes(item.dataset.key)) item.querySelector("details").open = true;
  }
  list.replaceChildren(fresh);
  if (chosen) list.querySelector(`[data-id="${CSS.escape(chosen)}"]`)?.classList.add("here");
  if (focused && document.activeElement?.closest?.("[data-id]") !== focused) refocus(focused.dataset.id, place, what);
  bind(list);
  tick();
  tellNew(before, after);
  badge(Number(state.dataset.red));
}

function deedOf(element) {
  return element.closest("form")?.dataset.deed || (element.tagName === "A" ? "a" : "");
}

function same(a, b) {
  return a.dataset.version === b.dataset.version && a.dataset.state === b.dataset.state &&
    a.querySelector(".what").textContent === b.querySelector(".what").textContent &&
    a.querySelector("[data-due]")?.dataset.due === b.querySelector("[data-due]")?.dataset.due;
}

function refocus(id, place, what) {
  const rows = [...list.querySelectorAll("[data-id]")];
  const row = rows.find((each) => each.dataset.id === id) || rows[Math.min(place, rows.length - 1)];
  if (!row) { document.getElementById("main").focus(); return; }
  const inner = what === "a" ? row.querySelector("a") : what && row.querySelector(`form[data-deed="${what}"] button`);
  (inner || row).focus({ preventScroll: true });
}

// --- new red: words, sound, title -----------------------------------------------------------------
function tellNew(before, after) {
  const fresh = [...after].filter(([id]) => !before.has(id)).map(([, row]) => row);
  const red = fresh.filter((row) => row.dataset.level === "3" && row.dataset.state === "new");
  if (red.length) {
    say(red.map((row) => row.querySelector("h2").textContent.trim()).join("; "), true);
    beep();
  } else if (fresh.length) {
    say(document.getElementById("count").textContent);
  }
}

function badge(red) {
  document.title = red ? `(${red} ${document.body.dataset.redWord}) ${title}` : title;
}

let audio = null;
const button = document.getElementById("sound");

function beep() {
  if (!audio || audio.state !== "running") return;
  for (const [at, pitch] of [[0, 880], [0.25, 660], [0.5, 880]]) {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, audio.currentTime + at);
    volume.gain.exponentialRampToValueAtTime(0.4, audio.currentTime + at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + at + 0.22);
    tone.connect(volume).connect(audio.destination);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + at + 0.24);
  }
}

function showSound(on) {
  button.setAttribute("aria-pressed", String(on));
  button.textContent = on ? button.dataset.on : button.dataset.off;
}

async function setSound(on) {
  if (on) {
    audio ||= new AudioContext();
    await audio.resume();
  } else if (audio) await audio.suspend();
  showSound(on);
  document.body.dataset.sound = on ? "yes" : "no";
}

if (window.AudioContext) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await setSound(button.getAttribute("aria-pressed") !== "true");
    beep();
    const csrf = document.querySelector("form[data-logout] input[name=csrf]").value;
    const on = button.getAttribute("aria-pressed") === "true" ? "yes" : "no";
    await fetch(`${root}/account/sound`, {
      method: "POST", body: new URLSearchParams({ csrf, on, next: "/queue" }),
      credentials: "same-origin", redirect: "manual",
    }).catch(() => {});
  });
  // A browser plays nothing before the first touch of the page: then take up what was wished before.
  if (document.body.dataset.sound === "yes") {
    addEventListener("pointerdown", () => setSound(true), { once: true });
    addEventListener("keydown", () => setSound(true), { once: true });
  }
}

// --- acts -----------------------------------------------------------------------------------------
function bind(scope) {
  for (const form of scope.querySelectorAll("form[data-deed]")) {
    if (form.dataset.bound) continue;
    form.dataset.bound = "yes";
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const answer = await send(form);
      if (!answer) return;
      if (answer.status === 401) { form.submit(); return; }
      if (!answer.ok) tellRefusal(form, answer);
      await refresh();
    });
  }
}

function tellRefusal(form, answer) {
  const text = answer.told.found || lost.textContent;
  const row = form.closest("[data-id]");
  const note = document.createElement("p");
  note.className = "banner warn told";
  note.setAttribute("role", "alert");
  note.textContent = text;
  document.querySelectorAll(".told").forEach((each) => each.remove());
  list.before(note);
  row?.classList.remove("here");
  say(text, true);
}

// --- keyboard -------------------------------------------------------------------------------------
const keys = document.getElementById("keys");
const visible = () => [...list.querySelectorAll("[data-id]")].filter((row) => row.offsetParent !== null);

function move(by) {
  const rows = visible();
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.classList.contains("here") || row.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, now < 0 ? 0 : now + by))];
  rows.forEach((row) => row.classList.toggle("here", row === next));
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function press(name) {
  const row = list.querySelector(".row.here");
  if (!row) { move(1); return; } // nothing chosen yet: the first press shows which one it would be
  row.querySelector(`form[data-deed="${name}"] button`)?.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, select, textarea, dialog")) return;
  const done = {
    j: () => move(1), k: () => move(-1), a: () => press("acknowledge"), t: () => press("take"),
    "?": () => keys.showModal(),
    Enter: () => {
      if (event.target.closest("button, a, summary")) return false;
      const link = list.querySelector(".row.here a");
      if (link) link.click(); else move(1);
      return true;
    },
  }[event.key];
  if (done && done() !== false) event.preventDefault();
});
const help = document.getElementById("help");
help.hidden = false;
help.addEventListener("click", () => keys.showModal());

// --- filters in the address -----------------------------------------------------------------------
const filters = document.getElementById("filters");
filters.addEventListener("change", () => {
  const asked = new URLSearchParams([...new FormData(filters)].filter(([name, value]) => value && !(name === "state" && value === "open")));
  const text = asked.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  refresh();
});

// --- the stream -----------------------------------------------------------------------------------
let stream = null;
let lastId = "";
let tries = 0;

function listen() {
  stream?.close();
  stream = new EventSource(`${root}/stream${lastId ? `?last=${encodeURIComponent(lastId)}` : ""}`);
  stream.onopen = () => { tries = 0; lost.hidden = true; };
  for (const kind of ["changed", "snapshot", "ping"]) {
    stream.addEventListener(kind, (event) => {
      if (event.lastEventId) lastId = event.lastEventId;
      heardTime(JSON.parse(event.data).now);
      if (kind !== "ping") refreshSoon();
      silence();
    });
  }
  stream.onerror = () => {
    lost.hidden = false;
    stream.close();
    const pause = RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)];
    setTimeout(async () => { if (await refresh() || tries < 3) listen(); else stream.onerror(); }, pause);
  };
}

// A stream that says nothing for twice its ping is dead, whatever the browser thinks.
let quiet = 0;
function silence() {
  clearTimeout(quiet);
  quiet = setTimeout(() => stream.onerror(), 25_000);
}

setInterval(refresh, SAFETY_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted) { refresh(); listen(); } });
bind(list);
badge(Number(list.querySelector(".rows-state").dataset.red));
keepScroll();
listen();
