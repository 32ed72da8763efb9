// Whatever page is open: within half a minute it says that faces are shown unhidden somewhere, and no more that they are.
const EVERY_MS = 30000, told = document.getElementById("unhidden");
const line = (text) => Object.assign(document.createElement("p"), { className: "banner problem", textContent: text });
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch("/unhidden", { cache: "no-store", redirect: "error" });
    if (answer.ok) told.replaceChildren(...(await answer.json()).map(line));
  } catch { /* the console is away for a moment: try again */ }
}, EVERY_MS);
