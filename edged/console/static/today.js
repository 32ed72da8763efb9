// Keeps the first page fresh: the figures twice a minute, each camera's picture once a second, and its age always.
const FRESH_MS = 30000, PICTURE_MS = 1000, RETRY_MS = 5000, CLOCKS_MS = 120000;
// One who looks stays one when the page is loaded anew: a camera has two places.
const viewer = (sessionStorage.viewer ||= Math.random().toString(36).slice(2, 12));
const fresh = document.getElementById("fresh");
const pictures = new Map();

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const shown = () => new Promise((done) => {
  const look = () => document.hidden || (document.removeEventListener("visibilitychange", look), done());
  document.addEventListener("visibilitychange", look);
  look();
});

document.getElementById("clocks").hidden = Math.abs(Date.now() - Number(fresh.dataset.now)) < CLOCKS_MS;

async function follow(camera) {
  const known = pictures.get(camera);
  for (;;) {
    await shown();
    try {
      const response = await fetch(`/live/${camera}/frame.jpg?viewer=${viewer}&after=${known.after}`, { cache: "no-store" });
      if (response.status === 401) return location.reload();
      known.after = response.headers.get("X-Frame-Id") || known.after;
      if (response.status === 200) {
        draw(known.canvas, await createImageBitmap(await response.blob()));
        known.made = performance.now() - Number(response.headers.get("X-Frame-Age-Ms"));
        known.why = "";
      } else if (response.status >= 400) known.why = (await response.json()).error;
    } catch { known.why = "The console does not answer."; }
    tell(camera);
    await sleep(known.why ? RETRY_MS : PICTURE_MS);
  }
}

// On a canvas: an img keeps every picture that it has shown until memory is short, 45 MB an hour.
function draw(canvas, bitmap) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

// Until there is a picture, and without scripts, the page has an img.
function place(tile) {
  const known = pictures.get(tile.dataset.camera), img = tile.querySelector("img");
  if (!img || !known || known.made === null) return;
  known.canvas.setAttribute("role", "img");
  known.canvas.setAttribute("aria-label", img.alt);
  img.replaceWith(known.canvas);
}

function tell(camera) {
  const known = pictures.get(camera);
  for (const tile of document.querySelectorAll(`.picture[data-camera="${CSS.escape(camera)}"]`)) {
    place(tile);
    const age = tile.querySelector(".age");
    if (!age) continue;
    const ms = known.made === null ? null : performance.now() - known.made;
    tile.classList.toggle("old", ms === null || ms > Number(tile.dataset.oldMs) + PICTURE_MS);
    age.textContent = known.why || (ms === null ? "" : `${Math.max(0, Math.round(ms / 1000))} s old`);
  }
}

// The new figures, whatever has the focus, which goes to the same link, button or table as before: a click leaves it there.
function replace(part) {
  const name = (one) => ["tagName", "href", "value", "id"].map((key) => one[key]).concat(one.getAttribute("aria-labelledby")).join();
  const focused = fresh.contains(document.activeElement) && name(document.activeElement);
  document.getElementById("clocks").hidden || part.querySelector("#clocks").removeAttribute("hidden");
  fresh.replaceChildren(...part.childNodes);
  if (focused) [...fresh.querySelectorAll("a, button, [tabindex]")].find((one) => name(one) === focused)?.focus({ preventScroll: true });
}

async function renew() {
  for (;;) {
    await sleep(FRESH_MS);
    await shown();
    try {
      const answer = await fetch("/", { cache: "no-store", redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html"), part = page.getElementById("fresh");
      for (const tile of part.querySelectorAll(".picture")) place(tile);
      replace(part);
      watch();
    } catch { document.querySelector(".lead")?.classList.add("stale"); }
  }
}

function watch() {
  for (const { dataset: { camera } } of document.querySelectorAll(".picture")) {
    if (!pictures.has(camera)) {
      pictures.set(camera, { after: "", canvas: document.createElement("canvas"), made: null, why: "" });
      follow(camera);
    }
  }
}

watch();
renew();
setInterval(() => { for (const camera of pictures.keys()) tell(camera); }, 1000);
