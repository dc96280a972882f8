const root = host("bent_scale"), part = finder(root);
const state = JSON.parse(root.dataset.state);
const across = t => 184 + 50 * t, height = p => 226.5 - 200 * p, bentHeight = F => 126.5 - 100 / 3 * F;
const steps = [...Array(121).keys()].map(i => -3 + i / 20);
const line = (xs, ys) => "M" + xs.map((x, i) => `${x.toFixed(1)} ${ys[i].toFixed(1)}`).join("L");

// ---- f is 0 at first and changes at every jump. Sums of positive terms keep their digits.
const pieces = t => {
  const u = [-Infinity, ...state.jumps.map(e => (e - t) / state.sigma), Infinity], share = [0, 0];
  for (let j = 0; j + 1 < u.length; j += 1) {
    const [a, b] = [u[j], u[j + 1]];
    share[j % 2] += a > 0 ? upper(a) - upper(b) : b < 0 ? Phi(b) - Phi(a) : 1 - upper(b) - Phi(a);
  }
  return share;
};
const bent = t => {
  const [zero, one] = pieces(t);
  return one < zero ? quantile(one) : -quantile(zero);
};
const slopeAt = t => state.jumps.reduce(
  (sum, e, j) => sum + (j % 2 ? -1 : 1) * phi((t - e) / state.sigma), 0) / state.sigma;

// ---- the pictures
const say = announcer(part("status"));
let handles = [];
const draw = () => {
  const { x, sigma, jumps } = state, F = bent(x), p = pieces(x)[1];
  const roof = phi(F) / sigma, slope = slopeAt(x), xs = steps.map(across);
  const low = steps.map(t => height(Phi(F - Math.abs(t - x) / sigma)));
  const high = steps.map(t => height(Phi(F + Math.abs(t - x) / sigma)));
  const band = line([...xs, ...xs.slice().reverse()], [...low, ...high.slice().reverse()]);
  let ones = "";
  for (let j = 0; j < jumps.length; j += 2) {
    ones += `M${across(jumps[j]).toFixed(1)} 26.5H${
      across(j + 1 < jumps.length ? jumps[j + 1] : 3).toFixed(1)}V226.5H${
      across(jumps[j]).toFixed(1)}Z`;
  }
  const fan = (y, rise) => [[-3, -1], [-3, 1], [3, -1], [3, 1]].map(([t, sign]) =>
    `M${across(x).toFixed(1)} ${y(0).toFixed(1)}L${across(t).toFixed(1)} ${
      y(sign * rise * Math.abs(t - x)).toFixed(1)}`).join("");
  const bentAt = steps.map(t => bentHeight(clamp(bent(t), -50, 50)));
  set(part("ones"), { d: ones });
  set(part("range"), { d: `${band}Z` });
  set(part("false-cone"), { d: fan(v => height(p + v), roof) });
  set(part("curve"), { d: line(xs, steps.map(t => height(pieces(t)[1]))) });
  const sides = fan(v => bentHeight(F + v), 1 / sigma);
  set(part("sides"), { d: sides });
  const wedge = t => `M${across(x).toFixed(1)} ${bentHeight(F).toFixed(1)}L${across(t)} ${
    bentHeight(F - Math.abs(t - x) / sigma).toFixed(1)}V${
    bentHeight(F + Math.abs(t - x) / sigma).toFixed(1)}Z`;
  set(part("cone"), { d: wedge(-3) + wedge(3) });
  set(part("bent"), { d: line(xs, bentAt) });
  set(part("handle"), { transform: `translate(${across(x)} ${height(p)})` });
  const seen = Math.abs(F) <= 3;
  set(part("twin"), {
    transform: `translate(${across(x)} ${bentHeight(clamp(F, -3, 3))})`, opacity: seen ? 1 : 0.45,
  });
  const bentSlope = slope / phi(F);
  part("value").textContent = p.toFixed(4);
  part("bent-value").textContent = fixed(F, 3);
  part("slope").textContent = fixed(slope, 4);
  part("bent-slope").textContent = fixed(bentSlope, 3);
  part("limit").textContent = roof.toFixed(4);
  part("bent-limit").textContent = (1 / sigma).toFixed(3);
  part("sigma-text").textContent = sigma.toFixed(2);
  const spoken = `value ${p.toFixed(4)}, on the bent scale ${fixed(F, 3)} with slope ${
    fixed(bentSlope, 3)}, of at most ${(1 / sigma).toFixed(3)}`;
  set(part("handle"), {
    "aria-valuenow": x.toFixed(2), "aria-valuetext": `x = ${fixed(x, 2)}, ${spoken}`,
  });
  part("sigma").setAttribute("aria-valuetext", `${sigma.toFixed(2)}, ${spoken}`);
  handles.forEach((handle, j) => set(handle, {
    transform: `translate(${across(jumps[j])} 226.5)`, "aria-valuenow": jumps[j].toFixed(2),
    "aria-valuetext": `jump at ${fixed(jumps[j], 2)}; ${spoken}`,
  }));
  say(`x = ${fixed(x, 2)}: ${spoken}.`);
};
const redraw = perFrame(draw);

// ---- handles
const moveTo = x => { state.x = clamp(x, -3, 3); redraw(); };
const sideways = (element, picture, now, to) => {
  let from = null;
  drag(element, picture, ([a]) => { from = a / 50 - now(); }, ([a]) => to(a / 50 - from));
};
sideways(part("handle"), part("left"), () => state.x, moveTo);
sideways(part("twin"), part("right"), () => state.x, moveTo);
keys(part("handle"), (a, b) => moveTo(state.x + 0.05 * (a + b)));
for (const picture of [part("left"), part("right")]) {
  picture.addEventListener("click", event => {
    if (!event.target.closest(".rsi-handle")) moveTo((place(picture, event)[0] - 184) / 50);
  });
}
const moveJump = (j, value) => {
  const before = j ? state.jumps[j - 1] + 0.05 : -2.9;
  const after = j + 1 < state.jumps.length ? state.jumps[j + 1] - 0.05 : 2.9;
  state.jumps[j] = clamp(value, before, after);
  redraw();
};
const makeHandles = () => {
  const model = part("jumps").firstElementChild;
  handles = state.jumps.map((_, j) => {
    const handle = model.cloneNode(true);
    handle.setAttribute("aria-label", `Jump ${j + 1} of f: arrow keys move it`);
    sideways(handle, part("left"), () => state.jumps[j], value => moveJump(j, value));
    keys(handle, (a, b) => moveJump(j, state.jumps[j] + 0.05 * (a + b)));
    return handle;
  });
  part("jumps").replaceChildren(...handles);
};
part("sigma").addEventListener("input", event => {
  state.sigma = Number(event.target.value);
  redraw();
});
for (const button of root.querySelectorAll("[data-jumps]")) {
  button.addEventListener("click", () => {
    state.jumps = JSON.parse(button.dataset.jumps);
    makeHandles();
    redraw();
  });
}
makeHandles();
draw();
