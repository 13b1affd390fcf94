// The case page: acts by fetch, so that what is typed stays whatever happens to the server.
import { keepScroll, say, send } from "./live.js";

// The answer to "who keeps the key" is never asked for again by itself: each look is logged.
const page = location.pathname.replace(/\/key-holder$/, "");
const again = () => (page === location.pathname ? location.reload() : location.replace(page));
const told = document.getElementById("told");

for (const form of document.querySelectorAll("form[data-deed]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await send(form);
    if (!answer) return;
    if (answer.ok) {
      form.dispatchEvent(new Event("taken"));
      again();
      return;
    }
    if (answer.status === 401) {
      form.submit(); // the log-in page keeps the form
      return;
    }
    told.textContent = answer.told.found ? `${answer.told.found} ${answer.status === 409 || answer.status === 412 ? "" : answer.told.remedy || ""}` : document.body.dataset.lost;
    if (answer.status === 409 || answer.status === 412) { // what is typed is kept over the reload
      const look = document.createElement("a");
      look.href = page;
      look.textContent = told.dataset.look;
      told.append(" ", look);
    }
    told.hidden = false;
    say(told.textContent, true);
    told.scrollIntoView({ block: "nearest" });
  });
}
keepScroll();
