// What the figures share. Every figure carries its own copy inside its own function: nothing
// here is global. The numbers are those of rslib: tests compare them over a grid.

// ---- the normal distribution
const phi = t => Math.exp(-t * t / 2) / Math.sqrt(2 * Math.PI);
// P(z > t) for t >= 0: a series of positive terms, far out Laplace's continued fraction.
const tailFrom = t => {
  if (t < 2.5) {
    let term = t, sum = t;
    for (let k = 3; term > sum * 1e-17; k += 2) sum += term *= t * t / k;
    return 0.5 - phi(t) * sum;
  }
  let fraction = t;
  for (let k = 80; k > 0; k -= 1) fraction = t + k / fraction;
  return phi(t) / fraction;
};
const upper = t => t < 0 ? 1 - tailFrom(-t) : tailFrom(t);
const Phi = t => upper(-t);
// The inverse of Phi: a rough start (Abramowitz and Stegun, 26.2.23), then Halley's steps.
const quantile = p => {
  if (p > 0.5) return -quantile(1 - p);
  if (p <= 0) return -Infinity;
  const s = Math.sqrt(-2 * Math.log(p));
  let t = (2.515517 + s * (0.802853 + s * 0.010328))
    / (1 + s * (1.432788 + s * (0.189269 + s * 0.001308))) - s;
  for (let k = 0; k < 3; k += 1) {
    const error = (Phi(t) - p) / phi(t);
    t -= error / (1 + t * error / 2);
  }
  return t;
};

// ---- Clopper-Pearson bounds by the incomplete beta function
const logGamma = a => {
  // Stirling's series, from 12 on.
  let shift = 0;
  for (; a < 12; a += 1) shift -= Math.log(a);
  const u = 1 / (a * a);
  return shift + (a - 0.5) * Math.log(a) - a + Math.log(2 * Math.PI) / 2
    + (1 / 12 - u * (1 / 360 - u * (1 / 1260 - u * (1 / 1680 - u / 1188)))) / a;
};
const betaTail = (a, b, x) => {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - betaTail(b, a, 1 - x);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b)
    + a * Math.log(x) + b * Math.log1p(-x)) / a;
  // The continued fraction, from its front, by Lentz's method.
  let c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), value = d;
  for (let m = 1; m < 1000; m += 1) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    let change = 1;
    for (const part of [even, odd]) {
      d = 1 / (1 + part * d);
      c = 1 + part / c;
      value *= change = c * d;
    }
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return front * value;
};
const lowerBound = (k, n, alpha) => {
  if (k === 0) return 0;
  let low = 0, high = 1;
  while (high - low > 1e-15) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (betaTail(k, n - k + 1, middle) < alpha) low = middle; else high = middle;
  }
  return low;
};
const upperBound = (k, n, alpha) => 1 - lowerBound(n - k, n, alpha);
const radiusOf = (lower, rival, sigma) =>
  sigma / 2 * (quantile(lower) - quantile(Math.min(rival, 1 - lower)));

// ---- noise: a counter, scrambled as MurmurHash3 ends (Appleby), two words a pair of normals
const word = (seed, i) => {
  let h = (seed + Math.imul(i, 0x9e3779b9)) | 0;
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return (h ^ h >>> 16) >>> 0;
};
const normals = (seed, count) => {
  const a = new Float64Array(count), b = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    const r = Math.sqrt(-2 * Math.log((word(seed, 2 * i) + 0.5) / 2 ** 32));
    const angle = 2 * Math.PI * (word(seed, 2 * i + 1) / 2 ** 32);
    a[i] = r * Math.cos(angle);
    b[i] = r * Math.sin(angle);
  }
  return [a, b];
};

// ---- the page
const host = name => {
  const root = document.currentScript?.closest("figure")
    ?? document.querySelector(`figure.rsi[data-figure="${name}"]:not([data-live])`);
  root.dataset.live = "";
  for (const one of root.querySelectorAll("[hidden]")) one.hidden = false;
  for (const one of root.querySelectorAll("[disabled]")) one.disabled = false;
  return root;
};
const finder = root => name => root.querySelector(`[data-part="${name}"]`);
const set = (element, values) => {
  for (const key in values) element.setAttribute(key, values[key]);
};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const fixed = (value, digits) => {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
};
const down = (value, digits) => fixed(Math.floor(value * 10 ** digits) / 10 ** digits, digits);
const up = (value, digits) => fixed(Math.ceil(value * 10 ** digits) / 10 ** digits, digits);
const whole = n => n.toLocaleString("en-US");
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
// At most one drawing a frame, however fast the pointer is.
const perFrame = draw => {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
};
// A screen reader hears where things have come to rest, not every step, nor the start.
const announcer = element => {
  let timer = 0, isFirst = true;
  return text => {
    clearTimeout(timer);
    if (isFirst) { isFirst = false; return; }
    timer = setTimeout(() => {
      if (element.textContent !== text) element.textContent = text;
    }, 900);
  };
};
// Where the pointer is, in the units of the picture.
const place = (picture, event) => {
  const box = picture.getBoundingClientRect(), view = picture.viewBox.baseVal;
  return [(event.clientX - box.left) * view.width / box.width,
    (event.clientY - box.top) * view.height / box.height];
};
const drag = (element, picture, begin, move, end = () => {}) => {
  let pointer = null;
  element.addEventListener("pointerdown", event => {
    if (pointer !== null || event.button > 0) return;
    if (begin(place(picture, event), event) === false) return;
    pointer = event.pointerId;
    element.setPointerCapture(pointer);
    event.stopPropagation();
  });
  // A finger that drags does not scroll: touch-action alone does not reach parts of an SVG.
  element.addEventListener("touchstart", event => {
    if (pointer !== null) event.preventDefault();
  }, { passive: false });
  element.addEventListener("pointermove", event => {
    if (event.pointerId === pointer) move(place(picture, event), event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    element.addEventListener(name, event => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      end(name === "pointerup");
    });
  }
};
// Arrow keys as steps to the right and up; with shift ten times as far.
const keys = (element, step, others = {}) => {
  element.addEventListener("keydown", event => {
    const far = event.shiftKey ? 10 : 1;
    const arrows = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const arrow = arrows[event.key], other = others[event.key];
    if (!arrow && !other) return;
    event.preventDefault();
    event.stopPropagation();
    if (arrow) step(far * arrow[0], far * arrow[1]); else other();
  });
};
// Frames one after another until one says that it was the last; a second call stops them.
const player = (frame, ended) => {
  let running = 0;
  const stop = () => { cancelAnimationFrame(running); running = 0; ended(); };
  const next = () => { if (frame()) running = requestAnimationFrame(next); else stop(); };
  return { start: () => { running = requestAnimationFrame(next); }, stop, isOn: () => running > 0 };
};
