const root = host("vote"), part = finder(root);
const state = JSON.parse(root.dataset.state);
const { alpha, most, reach, selection, shown } = state;
const plane = part("plane"), world = part("world"), handle = part("handle");
const names = ["blue", "orange", "green"];
let mode = -1, z = normals(state.seed, most + selection), polygons = [];
const original = world.innerHTML;
const labels = new Uint8Array(most + selection);
let known = 0;

// ---- the classifier: the last region that contains a point, and blue where there is none
const readRegions = () => {
  polygons = [...world.querySelectorAll("path")].map(path => {
    const numbers = path.getAttribute("d").match(/-?[\d.]+/g).map(Number);
    const xs = numbers.filter((_, i) => i % 2 === 0), ys = numbers.filter((_, i) => i % 2 === 1);
    const box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    return { xs, ys, box, label: Number(path.dataset.class) };
  });
  known = 0;
};
const contains = ({ xs, ys, box }, a, b) => {
  if (a < box[0] || a > box[1] || b < box[2] || b > box[3]) return false;
  let odd = false;
  for (let i = 0, j = xs.length - 1; i < xs.length; j = i, i += 1) {
    if ((ys[i] > b) !== (ys[j] > b)
      && a < (xs[j] - xs[i]) * (b - ys[i]) / (ys[j] - ys[i]) + xs[i]) odd = !odd;
  }
  return odd;
};
const classify = (a, b) => {
  for (let i = polygons.length - 1; i >= 0; i -= 1) {
    if (contains(polygons[i], a, b)) return polygons[i].label;
  }
  return 0;
};
const ask = i => {
  labels[i] = classify(state.x[0] + state.sigma * z[0][i], state.x[1] + state.sigma * z[1][i]);
};
const count = (from, to) => {
  const counts = [0, 0, 0];
  for (let i = from; i < to; i += 1) counts[labels[i]] += 1;
  return counts;
};
const certify = () => {
  if (known === 0) for (let i = most; i < most + selection; i += 1) ask(i);
  for (; known < state.n; known += 1) ask(known);
  const selected = count(most, most + selection);
  const top = selected.indexOf(Math.max(...selected));
  const counts = count(0, state.n);
  const rival = Math.max(...counts.filter((_, c) => c !== top));
  const lower = lowerBound(counts[top], state.n, alpha / 2);
  const upper = upperBound(rival, state.n, alpha / 2);
  return { counts, top, lower, upper, radius: radiusOf(lower, upper, state.sigma) };
};

// ---- the picture
let scale = 1;
const say = announcer(part("status"));
const draw = () => {
  const { counts, top, lower, upper, radius } = certify();
  const { x, sigma, n } = state, sure = radius > 0;
  // The disc never leaves the picture: where it would, the picture shows more of the plane.
  const needed = Math.max(Math.abs(x[0]), Math.abs(x[1])) + 1.06 * Math.max(0, radius);
  scale = 170 / Math.max(1.5 + sigma, needed);
  const [cx, cy] = [170 + x[0] * scale, 170 - x[1] * scale];
  set(world, { transform: `translate(170 170) scale(${scale} ${-scale})` });
  set(part("disc"), { cx, cy, r: sure ? radius * scale : 0 });
  set(part("spoke"), { d: sure ? `M${cx} ${cy}l${radius * scale * 0.8} ${radius * scale * 0.6}` : "" });
  set(part("unit"), { d: `M12 331v-5m0 2.5h${scale.toFixed(1)}m0 2.5v-5` });
  const dots = ["", "", ""];
  for (let i = 0; i < Math.min(n, shown); i += 1) {
    dots[labels[i]] += `M${Math.round(cx + z[0][i] * sigma * scale)} ${
      Math.round(cy - z[1][i] * sigma * scale)}h0`;
  }
  const text = `x = (${fixed(x[0], 2)}, ${fixed(x[1], 2)})`;
  set(handle, { transform: `translate(${cx} ${cy})`, "aria-valuenow": x[0].toFixed(2) });
  for (let c = 0; c < 3; c += 1) {
    const share = counts[c] / n, bound = c === top ? lower : upper;
    const from = Math.min(share, bound), span = Math.abs(share - bound);
    set(part(`dots-${c}`), { d: dots[c] });
    set(part(`share-${c}`), { width: 220 * share });
    set(part(`doubt-${c}`), { x: 64 + 220 * from, width: 220 * span });
    set(part(`bound-${c}`), {
      d: `M${64 + 220 * bound} ${2 + 36 * c}v26`, "stroke-dasharray": c === top ? "5 3" : "1 3.5",
    });
    part(`count-${c}`).textContent = whole(counts[c]);
  }
  part("lower").textContent = down(lower, 4);
  part("upper").textContent = up(upper, 4);
  part("radius").textContent = sure ? `R = ${down(radius, 3)}` : "abstain";
  part("meaning").textContent = sure
    ? `Inside the circle the vote stays ${names[top]}.`
    : "The two bounds do not separate.";
  part("sigma-text").textContent = sigma.toFixed(2);
  part("n-text").textContent = whole(n);
  const spoken = `${names[top]} has ${whole(counts[top])} of ${whole(n)} votes; ${
    sure ? `certified radius ${down(radius, 3)}` : "abstain"}`;
  handle.setAttribute("aria-valuetext", `${text}, ${spoken}`);
  part("sigma").setAttribute("aria-valuetext", `${sigma.toFixed(2)}, ${spoken}`);
  part("n").setAttribute("aria-valuetext", `${whole(n)} votes, ${spoken}`);
  if (!playing.isOn()) say(`${text}: ${spoken}.`);
};
const redraw = perFrame(draw);
const moveTo = (a, b) => {
  state.x = [clamp(a, -reach, reach), clamp(b, -reach, reach)];
  known = 0;
  redraw();
};

// ---- votes
const votes = place => Math.round(10 * 10 ** (place / 100));
const playing = player(() => {
  state.n = Math.min(most, Math.max(state.n + 1, Math.round(state.n * 1.03)));
  part("n").value = 100 * Math.log10(state.n / 10);
  draw();
  return state.n < most;
}, () => {
  part("play").textContent = "▶ vote up to 10,000";
  redraw();
});
part("play").addEventListener("click", () => {
  if (playing.isOn()) return playing.stop();
  if (calm()) {
    state.n = most;
    part("n").value = 300;
    return redraw();
  }
  if (state.n === most) state.n = 9;
  part("play").textContent = "■ stop";
  playing.start();
});
part("noise").addEventListener("click", () => {
  state.seed += 1000003;
  z = normals(state.seed, most + selection);
  known = 0;
  redraw();
});
part("n").addEventListener("input", event => {
  if (playing.isOn()) playing.stop();
  state.n = votes(Number(event.target.value));
  redraw();
});
part("sigma").addEventListener("input", event => {
  state.sigma = Number(event.target.value);
  known = 0;
  redraw();
});

// ---- x, and regions drawn by hand
let grabbed = null;
const grab = ([a, b]) => { grabbed = [a, b, ...state.x, scale]; };
const pull = ([a, b]) => {
  const [a0, b0, x0, y0, s] = grabbed;
  moveTo(x0 + (a - a0) / s, y0 - (b - b0) / s);
};
drag(handle, plane, point => { if (mode >= 0) return false; grab(point); }, pull);
keys(handle, (a, b) => moveTo(state.x[0] + 0.02 * a, state.x[1] + 0.02 * b), {
  Enter: () => { if (mode >= 0) paintAround(); },
  " ": () => { if (mode >= 0) paintAround(); },
});
const add = label => {
  const path = document.createElementNS(plane.namespaceURI, "path");
  set(path, { class: `rsi-fill rsi-c${label}`, "data-class": label });
  world.append(path);
  return path;
};
const closed = points => `M${points.map(p => p.map(v => v.toFixed(3)).join(" ")).join("L")}Z`;
const changed = () => { readRegions(); redraw(); };
const paintAround = () => {
  const circle = [...Array(32).keys()].map(k => k * Math.PI / 16);
  const points = circle.map(t => [state.x[0] + 0.4 * Math.cos(t), state.x[1] + 0.4 * Math.sin(t)]);
  add(mode).setAttribute("d", closed(points));
  changed();
};
let line = null;
const toWorld = ([a, b]) => [(a - 170) / scale, (170 - b) / scale];
drag(plane, plane, (point, event) => {
  if (mode < 0) {
    // A finger that touches the plane may be about to scroll: it moves x when it taps.
    if (event.pointerType !== "mouse") return false;
    const [a, b] = toWorld(point);
    moveTo(a, b);
    grabbed = [...point, clamp(a, -reach, reach), clamp(b, -reach, reach), scale];
    return true;
  }
  line = { points: [toWorld(point)], last: point, path: add(mode) };
}, (point, event) => {
  if (mode < 0 || !line) return grabbed && mode < 0 && pull(point, event);
  if (Math.hypot(point[0] - line.last[0], point[1] - line.last[1]) < 2.5) return;
  line.points.push(toWorld(point));
  line.last = point;
  line.path.setAttribute("d", closed(line.points));
}, kept => {
  if (!line) return;
  if (!kept || line.points.length < 4) line.path.remove();
  line = null;
  changed();
});
plane.addEventListener("click", event => {
  if (mode >= 0 || event.pointerType === "mouse" || event.target.closest(".rsi-handle")) return;
  moveTo(...toWorld(place(plane, event)));
});
for (const button of root.querySelectorAll("[data-mode]")) {
  button.addEventListener("click", () => {
    mode = Number(button.dataset.mode);
    for (const other of root.querySelectorAll("[data-mode]")) {
      other.setAttribute("aria-pressed", other === button);
    }
    plane.style.cursor = mode < 0 ? "" : "crosshair";
    plane.style.touchAction = mode < 0 ? "" : "none";
    if (mode >= 0) say(`Draw a ${names[mode]} region in the plane; on x, Enter paints a disc.`);
  });
}
part("clear").addEventListener("click", () => { world.replaceChildren(); changed(); });
part("reset").addEventListener("click", () => { world.innerHTML = original; changed(); });
readRegions();
draw();
