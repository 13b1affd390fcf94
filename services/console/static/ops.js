// Takes the panels anew every ten seconds while the page can be seen; says when it cannot.
const EVERY_MS = 10_000;
const panels = document.getElementById("panels");
const lost = document.getElementById("ops-lost");

async function again() {
  if (document.hidden) return;
  try {
    const answer = await fetch(panels.dataset.from, { headers: { accept: "application/json" } });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    panels.innerHTML = await answer.text();
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

setInterval(again, EVERY_MS);
document.addEventListener("visibilitychange", again);
