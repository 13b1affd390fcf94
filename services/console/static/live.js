// What live pages share: the server's time, countdowns, telling people, drafts that outlive a crash.

const body = document.body;
export const root = body.dataset.root;

// --- the server's time: this machine's clock may be wrong, and a demo's runs faster ---------------
let base = Date.parse(isoOf(body.dataset.now));
let baseAt = performance.now();
let rate = 1;
let sample = { now: base, at: baseAt };

function isoOf(value) {
  return /^\d+$/.test(value) ? new Date(Number(value) / 1000).toISOString() : value;
}

export function heardTime(value) {
  const now = Date.parse(isoOf(value));
  const at = performance.now();
  if (Number.isNaN(now)) return;
  if (at - sample.at > 2000) {
    const seen = (now - sample.now) / (at - sample.at);
    rate = Math.abs(seen - 1) < 0.2 ? 1 : Math.max(0, seen);
    sample = { now, at };
  }
  base = now;
  baseAt = at;
}

export function serverNow() {
  return base + (performance.now() - baseAt) * rate;
}

// --- countdowns -----------------------------------------------------------------------------------
const two = (n) => String(n).padStart(2, "0");

export function span(seconds) {
  const sign = seconds < 0 ? "-" : "";
  let rest = Math.abs(Math.trunc(seconds));
  const days = Math.floor(rest / 86400);
  const hours = Math.floor((rest % 86400) / 3600);
  const minutes = Math.floor((rest % 3600) / 60);
  rest %= 60;
  if (days && document.body.dataset.lang === "zh") return `${sign}${days} 天 ${hours} 小时`;
  if (days) return `${sign}${days} d ${two(hours)} h`;
  if (hours) return `${sign}${hours}:${two(minutes)}:${two(rest)}`;
  return `${sign}${two(minutes)}:${two(rest)}`;
}

export function tick() {
  const now = serverNow();
  for (const each of document.querySelectorAll("[data-due]")) {
    const left = Math.floor((Date.parse(each.dataset.due) - now) / 1000);
    const shown = each.querySelector("[data-left]");
    const text = span(left);
    if (shown && shown.textContent !== text) shown.textContent = text;
    each.classList.toggle("late", left < 0);
  }
}

// --- telling --------------------------------------------------------------------------------------
export function say(text, alarm = false) {
  const where = document.getElementById(alarm ? "alarm" : "live");
  if (where) where.textContent = text;
}

// --- acts: one request however often the button is pressed -----------------------------------------
export async function send(form) {
  if (form.dataset.busy) return null;
  form.dataset.busy = "yes";
  const buttons = form.querySelectorAll("button");
  buttons.forEach((b) => b.setAttribute("aria-disabled", "true"));
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { accept: "application/json" },
      credentials: "same-origin",
    });
    const told = await answer.json().catch(() => ({}));
    return { ok: answer.ok, status: answer.status, told };
  } catch {
    return { ok: false, status: 0, told: {} };
  } finally {
    delete form.dataset.busy;
    buttons.forEach((b) => b.removeAttribute("aria-disabled"));
  }
}

// --- drafts: text typed into a form with data-draft is kept until it was taken ----------------------
function store() {
  try { return window.localStorage; } catch { return null; }
}

export function keepDrafts(scope = document) {
  const kept = store();
  if (!kept) return;
  const user = "hw-draft:" + (body.dataset.user || "");
  for (const form of scope.querySelectorAll("form[data-draft]")) {
    if (form.dataset.kept) continue;
    form.dataset.kept = "yes";
    const key = `${user}:${form.dataset.draft}`;
    const fields = () => [...form.elements].filter((e) => e.name && !["hidden", "file", "password"].includes(e.type));
    try {
      const found = JSON.parse(kept.getItem(key) || "{}");
      for (const each of fields()) {
        if (!(each.name in found)) continue;
        if (each.type === "checkbox" || each.type === "radio") each.checked = [].concat(found[each.name]).includes(each.value);
        else if (!each.value) each.value = found[each.name];
      }
    } catch { kept.removeItem(key); }
    const save = () => {
      const now = {};
      for (const each of fields()) {
        if (each.type === "checkbox" || each.type === "radio") {
          if (each.checked) (now[each.name] ||= []).push(each.value);
        } else if (each.value) now[each.name] = each.value;
      }
      if (Object.keys(now).length) kept.setItem(key, JSON.stringify(now)); else kept.removeItem(key);
    };
    form.addEventListener("input", save);
    form.addEventListener("change", save);
    form.addEventListener("taken", () => { kept.removeItem(key); });
  }
}

export function forgetDrafts() {
  const kept = store();
  if (!kept) return;
  Object.keys(kept).filter((key) => key.startsWith("hw-draft:")).forEach((key) => kept.removeItem(key));
}

document.querySelector("form[data-logout]")?.addEventListener("submit", forgetDrafts);

// --- where the page was scrolled to, for a reload after the server came back -------------------------
export function keepScroll() {
  const key = "hw-scroll:" + location.pathname + location.search;
  try {
    const y = Number(sessionStorage.getItem(key));
    if (y) window.scrollTo(0, y);
    let waiting = 0;
    addEventListener("scroll", () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => sessionStorage.setItem(key, String(Math.round(scrollY))));
    }, { passive: true });
  } catch { /* private mode: the browser keeps what it can */ }
}

setInterval(tick, 500);
tick();
keepDrafts();
