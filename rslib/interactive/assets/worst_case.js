const root = host("worst_case"), part = finder(root);
const state = JSON.parse(root.dataset.state);
const N = 20, VIEW = 2.7, UNIT = 170 / VIEW;
const edges = [...Array(N + 1).keys()].map(i => quantile(i / N));
const pixels = edges.map(q => clamp(170 + q * UNIT, 0, 340));
// Tile t stands in column t % N and row floor(t / N), counted from the bottom; the oldest is first.
let queue = state.tiles.slice();
const members = new Set(queue);
const column = t => t % N, row = t => Math.floor(t / N);
const middle = i => quantile((i + 0.5) / N);

const slopeOf = counts => counts.reduce(
  (sum, count, i) => sum + count / N * (phi(edges[i]) - phi(edges[i + 1])), 0);
const shifted = (counts, s) => counts.reduce(
  (sum, count, i) => sum + count / N * (Phi(edges[i + 1] - s) - Phi(edges[i] - s)), 0);
const steps = [...Array(81).keys()].map(i => -2 + i / 20);
const curve = of => "M" + steps.map(
  s => `${(184 + 75 * s).toFixed(1)} ${(200 - 188 * of(s)).toFixed(1)}`).join("L");

const say = announcer(part("status"));
let cursor = [10, 10];
const draw = () => {
  const counts = Array(N).fill(0);
  for (const t of queue) counts[column(t)] += 1;
  const p = queue.length / N / N, limit = phi(quantile(p)), slope = slopeOf(counts);
  let filled = "", columns = "";
  for (let r = 0; r < N; r += 1) {
    const top = pixels[N - r - 1], bottom = pixels[N - r];
    for (let c = 0; c < N; c += 1) {
      if (!members.has(r * N + c)) continue;
      let last = c;
      while (last + 1 < N && members.has(r * N + last + 1)) last += 1;
      filled += `M${pixels[c].toFixed(1)} ${top.toFixed(1)}H${pixels[last + 1].toFixed(1)}V${
        bottom.toFixed(1)}H${pixels[c].toFixed(1)}Z`;
      c = last;
    }
  }
  for (let c = 0; c < N; c += 1) {
    if (counts[c]) {
      columns += `M${pixels[c].toFixed(1)} 395V${(395 - 2 * counts[c]).toFixed(1)}H${
        (pixels[c + 1] - 0.8).toFixed(1)}V395Z`;
    }
  }
  set(part("set"), { d: filled });
  set(part("columns"), { d: columns });
  set(part("curve"), { d: curve(s => shifted(counts, s)) });
  set(part("roof"), { d: curve(s => Phi(quantile(p) + s)) });
  set(part("tangent"), { d: `M72 ${200 - 188 * (p - 1.5 * slope)}L296 ${200 - 188 * (p + 1.5 * slope)}` });
  set(part("dot"), { cy: 200 - 188 * p });
  const share = Math.round(100 * slope / limit), percent = `${fixed(share, 0)}%`;
  part("bar").style.width = `${clamp(100 * slope / limit, 0, 100)}%`;
  part("percent").textContent = percent;
  part("slope").textContent = fixed(slope, 4);
  part("limit").textContent = fixed(limit, 4);
  part("p-text").textContent = p.toFixed(2);
  const [c, r] = cursor, spoken = `slope ${fixed(slope, 4)} by sigma, ${percent} of the half-space`;
  const inside = members.has(r * N + c) ? "inside" : "outside";
  set(part("cursor-box"), {
    x: pixels[c], y: pixels[N - r - 1], width: pixels[c + 1] - pixels[c],
    height: pixels[N - r] - pixels[N - r - 1],
  });
  set(part("cursor"), {
    "aria-valuenow": c + 1, "aria-valuetext": `column ${c + 1}, row ${r + 1}, ${inside}; ${spoken}`,
  });
  part("p").setAttribute("aria-valuetext", `${p.toFixed(2)}, ${spoken}`);
  if (!exchange.isOn()) say(`${spoken}.`);
};
const redraw = perFrame(draw);

// ---- shaping the set
const paint = t => {
  if (members.has(t)) queue.splice(queue.indexOf(t), 1);
  else members.delete(queue.shift());
  members.add(t);
  queue.push(t);
};
const take = tiles => {
  queue = tiles;
  members.clear();
  for (const t of tiles) members.add(t);
  redraw();
};
const measures = {
  ball: (a, b) => a * a + b * b,
  strip: a => Math.abs(a),
  tails: a => -Math.abs(a),
  cloud: (a, b) => (a - 0.75) ** 2 + (b - 0.25) ** 2,
};
// The tiles where a measure is least, the outermost first: those are the first to go.
const least = (name, size) => [...Array(N * N).keys()]
  .map(t => [measures[name](middle(column(t)), middle(row(t))), t])
  .sort((one, two) => one[0] - two[0] || one[1] - two[1]).slice(0, size).map(pair => pair[1]).reverse();
const found = point => [
  clamp(pixels.filter(edge => edge <= point[0]).length - 1, 0, N - 1),
  clamp(N - pixels.filter(edge => edge <= point[1]).length, 0, N - 1),
];
let last = null;
const brush = (point, event) => {
  const far = Math.hypot(point[0] - last[0], point[1] - last[1]);
  const wide = event.pointerType === "mouse" ? 3 : 7, count = Math.ceil(far / 4) || 1;
  for (let i = 1; i <= count; i += 1) {
    const [a, b] = [0, 1].map(k => last[k] + (point[k] - last[k]) * i / count);
    for (const [da, db] of [[0, 0], [wide, 0], [-wide, 0], [0, wide], [0, -wide]]) {
      if (a + da < 0 || a + da > 340 || b + db < 0 || b + db > 340) continue;
      const [c, r] = found([a + da, b + db]);
      paint(r * N + c);
    }
  }
  last = point;
  redraw();
};
drag(part("mosaic"), part("plane"), (point, event) => {
  if (exchange.isOn()) exchange.stop();
  last = point;
  brush(point, event);
}, brush);
const fill = () => { paint(cursor[1] * N + cursor[0]); redraw(); };
keys(part("cursor"), (a, b) => {
  cursor = [clamp(cursor[0] + a, 0, N - 1), clamp(cursor[1] + b, 0, N - 1)];
  redraw();
}, { " ": fill, Enter: fill });
part("p").addEventListener("input", event => {
  if (exchange.isOn()) exchange.stop();
  const size = N * Number(event.target.value);
  while (queue.length > size) members.delete(queue.shift());
  if (queue.length < size) {
    const near = [0, 1].map(k => queue.reduce(
      (sum, t) => sum + middle(k ? row(t) : column(t)), 0) / queue.length);
    measures.near = (a, b) => (a - near[0]) ** 2 + (b - near[1]) ** 2;
    const more = least("near", N * N).reverse().filter(t => !members.has(t));
    for (const t of more.slice(0, size - queue.length)) { members.add(t); queue.unshift(t); }
  }
  redraw();
});
for (const button of root.querySelectorAll("[data-shape]")) {
  button.addEventListener("click", () => {
    if (exchange.isOn()) exchange.stop();
    take(least(button.dataset.shape, queue.length));
  });
}

// ---- the exchange: the worst tile inside for the best outside, until there is none
const swap = () => {
  const outside = [...Array(N * N).keys()].filter(t => !members.has(t));
  const worst = queue.reduce((one, two) => column(two) < column(one) ? two : one);
  const best = outside.reduce((one, two) => column(two) > column(one) ? two : one, outside[0]);
  if (column(best) <= column(worst)) return false;
  queue.splice(queue.indexOf(worst), 1);
  members.delete(worst);
  members.add(best);
  queue.push(best);
  return true;
};
const exchange = player(() => {
  const more = swap() && swap();
  draw();
  return more;
}, () => {
  part("exchange").textContent = "▶ exchange bad tiles for good";
  redraw();
});
part("exchange").addEventListener("click", () => {
  if (exchange.isOn()) return exchange.stop();
  if (calm()) {
    while (swap());
    return redraw();
  }
  part("exchange").textContent = "■ stop";
  exchange.start();
});
draw();
