// The live picture of one camera: boxes, words and meters always belong to the very picture that is drawn.
const STATES = { correct: "✓", incorrect: "!", none: "✗", uncertain: "?", static: "▢" }, JUDGED = ["correct", "incorrect", "none"];
const MOUTH_OPEN = 0.25;
const PACE_MS = 100, RETRY_MS = 1000, SVG = "http://www.w3.org/2000/svg";

const root = document.getElementById("live");
const at = (id) => document.getElementById(id);
const words = JSON.parse(at("words").textContent);
const canvas = at("picture"), boxes = at("boxes"), gone = at("gone"), age = at("age"), list = at("faces");
const stallMs = Number(root.dataset.stallMs), oldMs = Number(root.dataset.oldMs);
// One who looks stays one when the page is loaded anew: a camera has two places.
const viewer = (sessionStorage.viewer ||= Math.random().toString(36).slice(2, 12));
let after = "", faces = [], sight = {}, size = [16, 9], madeAt = null, trouble = "", drawing = null;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const shown = () => new Promise((done) => {
  const look = () => document.hidden || (document.removeEventListener("visibilitychange", look), done());
  document.addEventListener("visibilitychange", look);
  look();
});

// ---- the picture

async function take() {
  const response = await fetch(`${root.dataset.url}?viewer=${viewer}&after=${after}&clear=${root.dataset.clear}`, { cache: "no-store" });
  if (response.status === 401 || response.status === 403) return location.reload();
  if (response.status === 410) return location.assign(location.pathname);
  if (response.status >= 400) throw new Error((await response.json()).error);
  const camera = JSON.parse(response.headers.get("X-Camera") || "{}");
  trouble = camera.state && camera.state !== "online" ? camera.reason || camera.state : "";
  after = response.headers.get("X-Frame-Id") || after;
  if (response.status !== 200) return;
  const bitmap = await createImageBitmap(await response.blob());
  madeAt = performance.now() - Number(response.headers.get("X-Frame-Age-Ms"));
  faces = JSON.parse(response.headers.get("X-Dets"));
  sight = JSON.parse(response.headers.get("X-Sight"));
  size = [bitmap.width, bitmap.height];
  [canvas.width, canvas.height] = size;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  root.dataset.ageMs = Math.round(performance.now() - madeAt);
  root.dataset.frames = Number(root.dataset.frames || 0) + 1;
  drawFaces();
  tell();
}

async function follow() {
  for (;;) {
    if (document.hidden) { root.dataset.paused = "1"; await shown(); delete root.dataset.paused; }
    const asked = performance.now();
    try {
      await take();
      await sleep(Math.max(0, PACE_MS - (performance.now() - asked)));
    } catch (error) {
      trouble = error instanceof TypeError ? words.no_console : error.message;
      await sleep(RETRY_MS);
    }
  }
}

function tell() {
  const ms = madeAt === null ? Infinity : performance.now() - madeAt;
  const late = ms > oldMs, lost = ms > Math.max(stallMs, oldMs);
  root.classList.toggle("old", late);
  root.dataset.state = lost ? "gone" : late ? "old" : "live";
  gone.hidden = !lost;
  at("why").textContent = trouble || words.waiting;
  at("since").textContent = madeAt === null ? "" : words.since.replace("%", Math.round(ms / 1000));
  const text = madeAt === null ? words.waiting : late ? words.frozen.replace("%", Math.round(ms / 1000)) : words.age.replace("%", (ms / 1000).toFixed(1));
  if (age.textContent !== text) age.textContent = text;
  if (lost && faces.length) { faces = []; drawFaces(); }
}

// ---- what was seen in it

const setting = (name) => { const input = at(name); return input ? Number(input.value) : null; };

function judged(face) {
  const smallest = setting("smallest_face"), enter = setting("enter_score"), side = face.side_px ?? face.width_px;
  if (face.state === "static" || !face.state) return [face.state, null];
  if (smallest !== null && side < smallest) return ["uncertain", "small"];
  if (enter !== null && face.state !== "uncertain" && face.score < enter) return ["uncertain", "weak"];
  // Not yet a verdict, which takes longer than a picture: with these thresholds it would become one.
  const best = face.mask ? face.mask.indexOf(Math.max(...face.mask)) : -1;
  if (enter !== null && face.state === "uncertain" && best >= 0 && face.mask[best] >= enter) return [JUDGED[best], "soon"];
  return [face.state, face.state === "uncertain" ? face.why_not_judged : null];
}

// Where masks are not followed: attention, and how awake somebody is.
function attention(face) {
  const icon = { true: "✓", false: "!", null: "?" }[face.attentive];
  return [`${icon} ${words.attention[face.attentive]}`, words.drowsiness[face.drowsiness]].filter(Boolean).join(", ");
}

function add(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return parent.appendChild(made);
}

function drawFaces() {
  const [width, height] = size, letter = Math.max(width / 40, (13 * width) / (canvas.clientWidth || width));
  boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
  boxes.replaceChildren();
  const lines = [];
  for (const face of faces) {
    const [state, why] = root.dataset.masks ? judged(face) : [face.state === "static" ? "static" : face.state && "followed", null];
    const [x1, y1, x2, y2] = face.box;
    const group = add(boxes, "g", { class: `face ${state || "weak"}` });
    add(group, "rect", { x: x1 * width, y: y1 * height, width: (x2 - x1) * width, height: (y2 - y1) * height });
    if (typeof face.yaw === "number" && typeof face.pitch === "number") {
      const [x, y] = [((x1 + x2) / 2) * width, ((y1 + y2) / 2) * height], long = (x2 - x1) * width * 0.8, turn = Math.PI / 180;
      add(group, "line", { x1: x, y1: y, x2: x - long * Math.sin(face.yaw * turn), y2: y - long * Math.sin(face.pitch * turn) });
    }
    const eyes = typeof face.eyes === "number" ? (face.eyes < 0.5 ? "closed" : "open") : "";
    const mouth = typeof face.mouth === "number" ? (face.mouth < MOUTH_OPEN ? "closed" : "open") : "";
    (face.points || []).forEach(([x, y], number, all) => {
      const part = eyes && all.length === 68 && number >= 36 && number < 48 ? `eye ${eyes}` : "";
      add(group, "circle", { cx: x * width, cy: y * height, r: letter / 10, class: part });
    });
    if (mouth && face.points?.length === 68) {
      const lips = face.points.slice(60).map(([x, y]) => `${x * width},${y * height}`).join(" ");
      add(group, "polygon", { points: lips, class: `mouth ${mouth}` });
    }
    if (!state) continue;
    const text = state === "followed" ? attention(face) : `${STATES[state]} ${words.states[state]}`;
    add(group, "text", { x: x1 * width, y: Math.max(letter, y1 * height - letter / 3), "font-size": letter }, text);
    const more = [`${Math.round(face.width_px)} px`];
    if (state !== "followed" && typeof face.score === "number") more.unshift(face.score.toFixed(2));
    if (eyes) more.push(words[`eyes_${eyes}`]);
    if (mouth) more.push(words[`mouth_${mouth}`]);
    if (why) more.push(words.why[why] ?? why);
    lines.push([state, `${text}: ${more.filter(Boolean).join(", ")}`]);
  }
  list.replaceChildren(...lines.map(([state, text]) => {
    const item = document.createElement("li");
    item.className = state;
    item.textContent = text;
    return item;
  }));
  const largest = faces.filter((face) => face.state).reduce((one, other) => (!one || other.width_px > one.width_px ? other : one), null);
  meter("width", largest && largest.width_px, (px) => `${Math.round(px)} px`);
  meter("yaw", largest && largest.yaw, (degrees) => `${Math.round(Math.abs(degrees))}°`);
  meter("pitch", largest && largest.pitch, (degrees) => `${Math.round(Math.abs(degrees))}°`);
  meter("sharpness", sight.sharpness, (value) => value.toFixed(0));
  meter("backlight", largest && sight.backlight, (times) => `${times.toFixed(1)} times`);
  meter("brightness", sight.brightness, (value) => value.toFixed(0));
}

function meter(name, value, format) {
  const bar = at(`m-${name}`), told = at(`t-${name}`), known = typeof value === "number";
  bar.hidden = !known;
  if (!known) { told.textContent = faces.length ? words.unmeasured : words.nobody; return; }
  bar.value = Math.abs(value);
  const part = (level) => (level < bar.low ? 0 : level > bar.high ? 2 : 1);
  const verdict = words.verdicts[Math.abs(part(bar.value) - part(bar.optimum))];
  told.textContent = `${format(value)} ${verdict}`;
}

// ---- settings: sliders colour at once, the region is drawn on the picture

for (const slider of document.querySelectorAll("input[type=range][data-for]")) {
  const field = at(slider.dataset.for);
  slider.hidden = false;
  slider.value = field.value;
  slider.addEventListener("input", () => { field.value = slider.value; drawFaces(); });
  field.addEventListener("input", () => { slider.value = field.value; drawFaces(); });
}

const sides = ["left", "top", "right", "bottom"].map(at);
if (sides[0]) {
  const stage = at("stage"), button = at("draw"), [left, top, right, bottom] = JSON.parse(stage.dataset.region);
  button.hidden = false;
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    stage.classList.toggle("drawing", on);
  });
  const place = (event) => {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((part) => Math.min(1, Math.max(0, part)));
  };
  const outline = () => {
    at("outline")?.remove();
    // The picture is what is watched now; the numbers are shares of the camera's whole picture.
    const [l, t, r, b] = sides.map((side) => Number(side.value) / 100);
    const x = (l - left) / (right - left), y = (t - top) / (bottom - top), [width, height] = size;
    add(at("marks"), "rect", { id: "outline", x: x * 1000, y: y * 1000, width: ((r - l) / (right - left)) * 1000, height: ((b - t) / (bottom - top)) * 1000 });
  };
  stage.addEventListener("pointerdown", (event) => {
    if (button.getAttribute("aria-pressed") !== "true") return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    drawing = place(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    const now = place(event), low = now.map((part, k) => Math.min(part, drawing[k])), high = now.map((part, k) => Math.max(part, drawing[k]));
    const whole = [left + low[0] * (right - left), top + low[1] * (bottom - top), left + high[0] * (right - left), top + high[1] * (bottom - top)];
    sides.forEach((side, k) => { side.value = (whole[k] * 100).toFixed(0); });
    outline();
  });
  stage.addEventListener("pointerup", () => { drawing = null; });
  sides.forEach((side) => side.addEventListener("input", outline));
}

setInterval(tell, 250);
follow();
