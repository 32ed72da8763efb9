// The sign at the door follows whoever stands there; without a look at the door that is new enough it says that it is blind.
const sign = document.getElementById("sign"), RETRY_MS = 500, PACE_MS = 100, OLD_MS = 2000;
const { signs, icons, order } = JSON.parse(document.getElementById("words").textContent);
const text = (id, value) => { const part = document.getElementById(id); if (part.textContent !== value) part.textContent = value; };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const viewer = Math.random().toString(36).slice(2, 12);
let after = "", madeAt = -Infinity, states = [];

function show() {
  const blind = performance.now() - madeAt > OLD_MS;
  const now = blind ? "blind" : order.find((state) => states.includes(state)) || "nobody";
  sign.className = `sign ${now}`;
  text("icon", icons[now]);
  text("word", signs[now]);
  text("more", blind ? signs.blind_help : states.length > 1 ? signs.several.replace("%", states.length) : "");
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
