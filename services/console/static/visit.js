// The visit form: kept on the phone while there is no network, sent by itself when there is again.
import { root } from "./live.js";

const form = document.getElementById("visit");
const offline = document.getElementById("offline");
const told = document.getElementById("told");
const send = document.getElementById("send");
const mine = `hw-draft:${document.body.dataset.user}:${form.dataset.draft}`;
const RETRY_MS = 3000;
let retry = 0;

const kept = {
  get: (name) => { try { return localStorage.getItem(`${mine}:${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`${mine}:${name}`, value); } catch { /* full */ } },
  clear: () => { try { ["key", "at", "waits"].forEach((n) => localStorage.removeItem(`${mine}:${n}`)); localStorage.removeItem(mine); } catch { /* none */ } },
};

// One visit is one act, whatever happens to page, phone or network: it keeps its key until taken.
if (kept.get("key")) form.elements.key.value = kept.get("key");
form.addEventListener("input", () => kept.set("key", form.elements.key.value), { once: true });

function fit() {
  const nobody = form.elements.person_seen.value === "nobody";
  for (const part of form.querySelectorAll("[data-when]")) part.hidden = (part.dataset.when === "nobody") !== nobody;
  for (const each of form.querySelectorAll("[name=reason]")) each.required = nobody;
  for (const part of form.querySelectorAll("[data-reason]")) {
    const asked = nobody && form.elements.reason.value === part.dataset.reason;
    part.hidden = !asked;
    for (const each of part.querySelectorAll("input")) each.required = asked;
  }
  for (const each of form.querySelectorAll("[name=worker_level], [name=outcome]")) each.required = !nobody;
}

function tell(text) {
  told.textContent = text;
  told.hidden = !text;
  if (text) told.scrollIntoView({ block: "nearest" });
}

async function take() {
  if (form.dataset.busy) return;
  form.dataset.busy = "yes";
  send.setAttribute("aria-disabled", "true");
  clearTimeout(retry);
  if (!kept.get("at")) kept.set("at", String(Date.now()));
  form.elements.at.value = kept.get("at") || String(Date.now());
  form.elements.sent.value = String(Date.now());
  kept.set("key", form.elements.key.value);
  kept.set("waits", "yes");
  try {
    const answer = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)),
      headers: { accept: "application/json" }, credentials: "same-origin",
    });
    offline.hidden = true;
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) {
      kept.clear();
      form.dispatchEvent(new Event("taken"));
      location.href = said.next;
      return;
    }
    if (answer.status >= 500) { later(); return; }
    try { localStorage.removeItem(`${mine}:waits`); localStorage.removeItem(`${mine}:at`); } catch { /* none */ }
    if (answer.status === 409) { // saved before, saying something else: what is typed now is a visit more
      form.elements.key.value += "-b";
      kept.set("key", form.elements.key.value);
    }
    if (answer.status === 401) logIn(); else tell(said.found || String(answer.status));
  } catch {
    later();
  } finally {
    delete form.dataset.busy;
    send.removeAttribute("aria-disabled");
  }
}

function later() {
  offline.hidden = false;
  offline.scrollIntoView({ block: "nearest" });
  retry = setTimeout(take, RETRY_MS);
}

function logIn() {
  tell("");
  const link = document.createElement("a");
  link.href = `${root}/login?next=${encodeURIComponent(location.pathname.slice(root.length))}`;
  link.textContent = form.dataset.again;
  told.replaceChildren(link);
  told.hidden = false;
  told.scrollIntoView({ block: "nearest" });
}

form.addEventListener("submit", (event) => { event.preventDefault(); tell(""); take(); });
form.addEventListener("change", fit);
addEventListener("online", () => { if (kept.get("waits")) take(); });
fit();
if (kept.get("waits")) take();
