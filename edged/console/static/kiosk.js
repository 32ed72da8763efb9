// The sign at the door follows whoever stands there; without a look at the door that is new enough it says that it is blind.
const sign = document.getElementById("sign"), RETRY_MS = 500, PACE_MS = 100, EXPLAIN_MS = 2000, DAY_MS = 86400000;
const { signs, icons, order } = JSON.parse(document.getElementById("words").textContent);
const text = (id, value) => { const part = document.getElementById(id); if (part.textContent !== value) part.textContent = value; };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const viewer = Math.random().toString(36).slice(2, 12);
const unseeing = (page) => {
  const state = page.getElementById("sign").className.slice(5);
  return ["paused", "blind"].includes(state) ? [state, page.getElementById("more").textContent] : null;
};
let after = "", states = [sign.className.slice(5)], told = unseeing(document), madeAt = told ? -Infinity : performance.now();
let asking = false, askedAt = performance.now();

function put(state, more) {
  if (sign.className !== `sign ${state}`) sign.className = `sign ${state}`;
  text("icon", icons[state]);
  text("word", signs[state]);
  text("more", more);
}

function show() {
  if (performance.now() - madeAt > Number(sign.dataset.oldMs)) return explain();
  told = null;
  put(order.find((state) => states.includes(state)) || "nobody", states.length > 1 ? signs.several.replace("%", states.length) : "");
}

// Why nobody can be seen, and until when, says the server, which knows it: as in the page itself, in this sign's language.
async function explain() {
  put(...(told || ["blind", signs.blind_help]));
  if (asking || performance.now() - askedAt < EXPLAIN_MS) return;
  [asking, askedAt] = [true, performance.now()];
  try {
    const page = new DOMParser().parseFromString(await (await fetch(location.href, { cache: "no-store", redirect: "error" })).text(), "text/html");
    told = unseeing(page);
    sign.dataset.oldMs = page.getElementById("sign").dataset.oldMs;
  } catch { told = null; } finally { asking = false; }
}

async function take() {
  const response = await fetch(`${sign.dataset.url}?viewer=${viewer}&after=${after}`, { cache: "no-store" });
  if (response.status === 401 || response.status === 403) return location.reload();
  if (!response.ok) throw new Error(response.status);
  const seen = await response.json();
  if (seen.camera_state !== "online") { madeAt = -Infinity; return sleep(RETRY_MS); }
  if (seen.frame_id === null || String(seen.frame_id) === after) return sleep(PACE_MS);
  after = String(seen.frame_id);
  madeAt = performance.now() - seen.age_ms;
  states = seen.faces.map((face) => face.state).filter((state) => order.includes(state));
}

(async () => {
  for (;;) {
    try { await take(); } catch { await sleep(RETRY_MS); }
    show();
    await sleep(PACE_MS);
  }
})();
setInterval(show, 250);
// Each page renews the screen's cookie, which browsers drop at some time, and the sign itself never loads one.
setInterval(() => fetch(location.href, { cache: "no-store", redirect: "error" }).catch(() => {}), DAY_MS);
