// Loads the rows of a walk test again while it goes on; without scripts the whole page does so by itself.
const part = document.getElementById("again"), EVERY_MS = 1500;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
while (part.dataset.live) {
  await sleep(EVERY_MS);
  if (document.hidden) continue;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const now = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = now.getElementById("again");
    if (!fresh) { location.reload(); break; }
    if (fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
    part.dataset.live = fresh.dataset.live;
    document.getElementById("finish").hidden = now.getElementById("finish").hidden;
  } catch { /* the console is away for a moment: try again */ }
}
