// My visits: telephone numbers and addresses only when asked for, and never in an address of a page.
import { say, tick } from "./live.js";

async function numbers(button) {
  const list = button.closest("[data-visit]").querySelector(".numbers");
  const body = new URLSearchParams({ csrf: button.dataset.csrf });
  try {
    const answer = await fetch(button.dataset.call, {
      method: "POST", body, headers: { accept: "application/json" }, credentials: "same-origin",
    });
    if (answer.status === 401) return location.reload();
    const found = answer.ok ? await answer.json() : [];
    list.replaceChildren(...(found.length ? found.map(line) : [text(button.dataset.none)]));
    list.querySelector("a")?.focus();
  } catch {
    list.replaceChildren(text(document.body.dataset.lost));
  }
}

function line({ who, phone, told }) {
  if (!phone) return text(`${who} ${told}`);
  const link = document.createElement("a");
  link.className = "button big";
  link.href = `tel:${phone.replace(/[^\d+]/g, "")}`;
  link.textContent = `${who} ${phone}`;
  return link;
}

function text(said) {
  const p = document.createElement("p");
  p.className = "banner warn";
  p.textContent = said;
  return p;
}

for (const button of document.querySelectorAll("[data-call]")) {
  button.hidden = false;
  button.addEventListener("click", () => numbers(button));
}
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.closest("[data-visit]").querySelector(".address").textContent.trim());
    say(button.dataset.copy);
    button.textContent = button.dataset.copy;
  });
}
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.busy) event.preventDefault();
    form.dataset.busy = "yes";
  });
}
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
tick();
