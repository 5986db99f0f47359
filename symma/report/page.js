// Draws the page's charts from the JSON in #data. Every <canvas data-chart="kind"> has a function of that name below,
// which gives a Chart.js configuration. Colours come from the style sheet, so light, dark and print share one code.
(function () {
"use strict";
const root = document.documentElement;
window.addEventListener("error", e => { root.dataset.error = String(e.message); });
const data = JSON.parse(document.getElementById("data").textContent);
const color = name => getComputedStyle(root).getPropertyValue("--" + name).trim();
const fade = (hex, share) => hex + Math.round(255 * share).toString(16).padStart(2, "0");
// Eight colours of the style sheet, then hues a golden angle apart, made dark or light until they stand out from the card.
function luminance(r, g, b) {
  const f = c => c <= 0.03928 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4);
  return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
}
const parts = hex => [1, 3, 5].map(k => parseInt(hex.slice(k, k + 2), 16) / 255);
function agentColor(i) {
  if (i < 8) return color("c" + i);
  const paper = luminance(...parts(color("card"))), dark = paper < 0.2;
  const hue = (25 + 137.508 * i) % 360;
  for (let light = dark ? 62 : 44; light > 0 && light < 100; light += dark ? 3 : -3) {
    const a = 0.62 * Math.min(light, 100 - light) / 100;
    const rgb = [0, 8, 4].map(n => { const k = (n + hue / 30) % 12; return light / 100 - a * Math.max(-1, Math.min(k - 3, 9 - k, 1)); });
    const own = luminance(...rgb);
    if ((Math.max(own, paper) + 0.05) / (Math.min(own, paper) + 0.05) >= 3.2)
      return "#" + rgb.map(c => Math.round(255 * c).toString(16).padStart(2, "0")).join("");
  }
  return color("ink");
}
const dash = i => [[], [7, 4], [2, 3], [9, 3, 2, 3]][Math.floor(i / 8) % 4];

function short(x) {
  if (x === null || !Number.isFinite(x)) return "not finite";
  const a = Math.abs(x);
  if (a === 0) return "0";
  return a < 1e-3 || a >= 1e6 ? x.toExponential(2) : a >= 100 ? x.toFixed(a >= 1e4 ? 0 : 1) : x.toPrecision(3);
}
const percentText = x => x === null ? "not finite" : (100 * x).toFixed(1) + " %";
const shown = percent => percent ? percentText : short;
function amount(x, units, base) {
  let u = 0;
  while (u + 1 < units.length && x >= base) { x /= base; ++u; }
  return +x.toPrecision(3) + " " + units[u];
}
const axes = {
  round: { title: "round", text: x => Number(x).toLocaleString("en") },
  seconds: { title: "time", text: x => x < 120 ? +Number(x).toPrecision(3) + " s" : x < 7200 ? +(x / 60).toPrecision(3) + " min" : +(x / 3600).toPrecision(3) + " h" },
  env_steps: { title: "an agent's steps in its worlds", text: x => Number(x).toLocaleString("en") },
  bits: { title: "sent by all agents", text: x => amount(x, ["bit", "kbit", "Mbit", "Gbit", "Tbit"], 1000) },
};
const zip = (xs, ys) => xs.map((x, i) => ({ x, y: ys[i] }));

// The height, at each row, of the line of least squares through the rows around it, a fortieth of the run to either
// side. In the middle that is their mean; at the ends it is one line through the last twentieth, so it neither lags nor ends
// in a single row's noise. Never outside of the rows that it is made of. Rows that are not finite stay gaps and count for nothing.
function running(ys, xs) {
  // A row is a mean over the rounds since the one before, and counts by how many these are: the last may be of few.
  const place = i => xs ? xs[i] : i;
  const weight = i => xs && xs.length > 1 ? Math.max(1, xs[Math.max(1, i)] - xs[Math.max(1, i) - 1]) : 1;
  const reach = Math.round(ys.length / 40);
  return ys.map((y, i) => {
    if (y === null) return null;
    let n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, lo = Infinity, hi = -Infinity;
    const from = Math.max(0, Math.min(i - reach, ys.length - 1 - 2 * reach)), to = Math.min(ys.length - 1, from + 2 * reach);
    for (let k = from; k <= to; ++k) {
      if (ys[k] === null) continue;
      const x = place(k) - place(i), w = weight(k);
      n += w; sx += w * x; sy += w * ys[k]; sxx += w * x * x; sxy += w * x * ys[k];
      lo = Math.min(lo, ys[k]); hi = Math.max(hi, ys[k]);
    }
    const spread = n * sxx - sx * sx;
    const at = spread > 0 ? (sy * sxx - sx * sxy) / spread : sy / n;
    return Math.min(hi, Math.max(lo, at));
  });
}
window.symmaRunning = running;

function scale(title, options) {
  const o = options || {};
  const s = {
    type: o.log ? "logarithmic" : "linear",
    title: { display: !!title, text: title, color: color("muted") },
    grid: { color: color("grid"), borderColor: color("line"), tickColor: color("line") },
    ticks: { color: color("muted"), maxRotation: 0, autoSkipPadding: 14 },
  };
  if (o.text) s.ticks.callback = v => o.text(v);
  if (o.ticks) { s.afterBuildTicks = axis => { axis.ticks = o.ticks.map(value => ({ value })); }; s.ticks.autoSkip = o.ticks.length > 12; }
  if (o.log) {
    const wide = o.decades > 2.5;
    // A run that diverged spans dozens of decades: a line for every few of them, or the axis is a smear.
    if (o.decades > 8) {
      const every = Math.ceil(o.decades / 6), first = Math.ceil(Math.log10(o.min) - 1e-9);
      s.afterBuildTicks = axis => { axis.ticks = []; for (let e = first; e <= Math.log10(o.max) + 1e-9; e += every) axis.ticks.push({ value: Number("1e" + e) }); };
    }
    s.ticks.autoSkip = false;
    s.ticks.callback = v => {
      const m = Math.round(v / Math.pow(10, Math.floor(Math.log10(v) + 1e-9)));
      return m === 1 || (!wide && (m === 2 || m === 5)) ? String(v < 1e-3 || v >= 1e5 ? v.toExponential(0) : +v.toPrecision(1)) : "";
    };
  }
  if (o.min !== undefined) s.min = o.min;
  if (o.max !== undefined) s.max = o.max;
  return s;
}

// A logarithmic axis ends at whole steps below and above the positive values, and says how many decades it spans.
function logRange(datasets, except) {
  let lo = Infinity, hi = 0;
  for (const d of datasets) {
    if (except && except(d)) continue;
    for (const p of d.data) if (p.y !== null && p.y > 0) { lo = Math.min(lo, p.y); hi = Math.max(hi, p.y); }
  }
  if (hi === 0) return { log: false };
  const step = (x, up) => {
    const base = Math.pow(10, Math.floor(Math.log10(x)));
    const steps = up ? [1, 2, 5, 10] : [10, 5, 2, 1];
    return base * steps.find(m => up ? m * base >= x * 0.999 : m * base <= x * 1.001);
  };
  const min = step(lo, false), max = step(hi, true);
  return { log: true, min: min, max: max > min ? max : 10 * min, decades: Math.log10(max / min) };
}

function lines(datasets, x, y, tooltip) {
  if (y.log) for (const d of datasets) {
    // The lower edge of an interval may fall below zero: there the band reaches down to the axis.
    if (d.band) for (const p of d.data) if (p.y !== null && p.y < y.min) p.y = y.min;
    if (!d.band) for (const p of d.data) if (p.y !== null && p.y <= 0) p.y = null;
  }
  return {
    type: "line",
    data: { datasets },
    options: {
      responsive: true, maintainAspectRatio: false, animation: false, normalized: true,
      interaction: { mode: "index", axis: "x", intersect: false },
      elements: { point: { radius: 0, hitRadius: 6 }, line: { borderWidth: 2.2, tension: 0 } },
      scales: { x: scale(x.title, Object.assign({ min: x.min, max: x.max }, x)), y: scale(y.title, y) },
      plugins: {
        legend: { display: false },
        tooltip: {
          filter: item => !item.dataset.quiet,
          callbacks: Object.assign({
            title: items => items.length ? (x.tip || x.text || String)(items[0].parsed.x) + (x.unit || "") : "",
            label: item => " " + item.dataset.label + ": " + (item.raw.words || (y.text || short)(item.parsed.y)),
          }, tooltip || {}),
        },
      },
    },
  };
}

const line = (label, points, stroke, more) => Object.assign({ label, data: points, borderColor: stroke, backgroundColor: stroke, pointBackgroundColor: stroke, clip: 8 }, more || {});
// Two quiet datasets with the space between them filled.
const band = (xs, low, high, fill) => [
  { label: "", data: zip(xs, low), quiet: true, band: true, borderWidth: 0, borderColor: "transparent" },
  { label: "", data: zip(xs, high), quiet: true, band: true, borderWidth: 0, borderColor: "transparent", backgroundColor: fill, fill: "-1" },
];

function stepAxis(steps) {
  return { title: "steps of adaptation", min: steps[0], max: steps[steps.length - 1], ticks: steps, tip: s => "after " + s + (s === 1 ? " step" : " steps") };
}
// From the tenth below the least share to the tenth above the greatest.
function shareRange(datasets) {
  const all = datasets.flatMap(d => d.data.map(p => p.y)).filter(y => y !== null);
  const lo = Math.max(0, Math.floor(10 * Math.min(...all) + 1e-9) / 10), hi = Math.min(1, Math.ceil(10 * Math.max(...all) - 1e-9) / 10);
  return all.length && lo < hi ? { min: lo, max: hi } : { min: 0, max: 1 };
}
function scoreAxis(metric, percent, log, datasets) {
  if (percent) return Object.assign({ title: metric, text: v => Math.round(1000 * v) / 10 + " %" }, shareRange(datasets));
  return log ? Object.assign({ title: metric }, logRange(datasets, d => d.band && d.interval)) : { title: metric };
}
function meanPoints(e) {
  const text = shown(e.percent);
  return e.steps.map((x, i) => ({ x, y: e.mean[i], words: text(e.mean[i]) + (e.ci95[i] === null ? "" : " ± " + text(e.ci95[i])) }));
}
const intervalBand = (e, fill) => band(e.steps, e.lower, e.upper, fill).map(d => Object.assign(d, { interval: true }));

// Level lines: what simple rules reach on the same tasks, and guessing.
function levels(e) {
  const all = e.rules.map((r, i) => [r.name, r.mean, color("c" + (i + 2) % 8)]);
  const ends = [e.steps[0], e.steps[e.steps.length - 1]];
  return guessing(e.chance, ends).concat(all.filter(([, y]) => y !== null).map(([name, y, c]) => line(name, ends.map(x => ({ x, y })), c, { borderDash: [2, 4], borderWidth: 1.4 })));
}

function adaptation(e) {
  if (!e) return null;
  const main = color("c0"), second = color("c1"), text = shown(e.percent);
  const medians = e.steps.map((x, i) => ({ x, y: e.median[i], words: text(e.median[i]) + " (" + text(e.q1[i]) + " – " + text(e.q3[i]) + ")" }));
  const sets = [
    line("mean", meanPoints(e), main, { pointRadius: 3.5, borderWidth: 2.6 }),
    line("median (quartiles)", medians, second, { pointRadius: 2.5, borderDash: [6, 4], borderWidth: 1.8 }),
    ...intervalBand(e, fade(main, 0.28)),
    ...band(e.steps, e.q1, e.q3, fade(second, 0.12)),
    ...levels(e),
  ];
  return lines(sets, stepAxis(e.steps), scoreAxis(e.metric, e.percent, e.log, sets));
}

function xAxis(kind) {
  return Object.assign({}, axes[kind], { tip: x => (kind === "round" ? "round " : "") + axes[kind].text(x) });
}
function lossAxis(title, log, sets) { return log ? Object.assign({ title }, logRange(sets)) : { title }; }

const kinds = {
  eval: i => adaptation(data.runs[i].eval),
  ood: i => adaptation(data.runs[i].ood),
  loss(i, axis) {
    const t = data.runs[i].training, c = color("c0");
    const sets = [
      line("running mean", zip(t[axis], running(t.loss, t.round)), c),
      line("as recorded", zip(t[axis], t.loss), fade(c, 0.45), { borderWidth: 1 }),
    ];
    return lines(sets, xAxis(axis), lossAxis("loss", t.log, sets));
  },
  validation(i, axis) {
    const v = data.runs[i].validation;
    const sets = v.steps.map((s, k) => line(s === 1 ? "1 step" : s + " steps", zip(v[axis], v.mean[k]), agentColor(k), { pointRadius: v.round.length < 40 ? 2.5 : 0 }));
    if (v.spread) {
      const c = agentColor(v.steps.length - 1);
      sets.push(line("interquartile mean over " + data.runs[i].one + "s (95 %)", zip(v[axis], v.spread.iqm), c, { borderDash: [6, 4], borderWidth: 1.6 }));
      sets.push(...band(v[axis], v.spread.lower, v.spread.upper, fade(c, 0.18)));
    }
    const ends = v[axis].filter(x => x !== null), e = data.runs[i].eval;
    if (v.percent && e && ends.length) sets.push(...guessing(e.chance, [Math.min(...ends), Math.max(...ends)]));
    return lines(sets, xAxis(axis), scoreAxis(v.metric, v.percent, v.log, sets));
  },
  // What a team earned while it learned, against its steps: the chart of every paper on it.
  returns(i, axis) {
    const t = data.runs[i].training;
    const sets = Object.keys(t.scores).flatMap((name, k) => [
      line(name, zip(t[axis], running(t.scores[name], t.round)), agentColor(k)),
      line(name + ", as recorded", zip(t[axis], t.scores[name]), fade(agentColor(k), 0.4), { borderWidth: 1, quiet: true }),
    ]);
    return lines(sets, xAxis(axis), { title: Object.keys(t.scores).length === 1 ? Object.keys(t.scores)[0] : "" });
  },
  compare_returns(_, axis) {
    const sets = data.runs.flatMap((r, i) => Object.keys(r.training.scores).slice(0, 1).map(name =>
      line(r.name, zip(r.training[axis], running(r.training.scores[name], r.training.round)), agentColor(i), { borderDash: dash(i) })));
    return overlaid(sets, axis, { title: "return" });
  },
  arms_eval() {
    const arms = data.arms, steps = [...new Set(arms.flatMap(a => a.steps))].sort((a, b) => a - b);
    const top = arms.map((a, i) => line(a.label, meanPoints(a), agentColor(i), { pointRadius: 3, borderDash: dash(i), key: i }));
    const below = arms.flatMap((a, i) => intervalBand(a, fade(agentColor(i), 0.16)).map(d => Object.assign(d, { key: i })));
    const sets = [...top, ...below, ...guessing(arms[0].chance, [steps[0], steps[steps.length - 1]])];
    return lines(sets, stepAxis(steps), scoreAxis(arms[0].metric, arms[0].percent, wideRange(sets), sets));
  },
  arms_validation(_, axis) {
    const arms = data.arms;
    const sets = arms.flatMap((a, i) => armLines(a, i, axis, 0.14));
    return overlaid(sets, axis, scoreAxis(arms[0].metric, arms[0].percent, wideRange(sets), sets));
  },
  arm_validation(i, axis) {
    const all = data.arms.flatMap((a, k) => armLines(a, k, axis, 0.14)), sets = armLines(data.arms[i], i, axis, 0.25);
    return overlaid(sets, axis, scoreAxis("", data.arms[i].percent, wideRange(all), all));
  },
  disagreement(i, axis) {
    const t = data.runs[i].training;
    const sets = [line("disagreement", zip(t[axis], t.disagreement), color("c2"))];
    return lines(sets, xAxis(axis), Object.assign({ title: "disagreement" }, logRange(sets)));
  },
  epsilon(i, axis) {
    const t = data.runs[i].training;
    return lines([line("epsilon", zip(t[axis], t.epsilon), color("c3"))], xAxis(axis), { title: "epsilon", min: 0 });
  },
  // The last score of each run against all that it sent.
  compare_cost(g) {
    const group = data.groups[g], first = data.runs[group.runs[0]].eval;
    const sets = group.runs.filter(i => data.runs[i].sent > 0).map(i => {
      const e = data.runs[i].eval, k = e.mean.length - 1, text = shown(e.percent);
      return line(data.runs[i].name, [{ x: data.runs[i].sent, y: e.mean[k], words: text(e.mean[k]) + " for " + axes.bits.text(data.runs[i].sent) }],
        agentColor(i), { showLine: false, pointRadius: 6, pointStyle: ["circle", "rectRot", "triangle", "rect", "star"][Math.floor(i / 8) % 5] });
    });
    const config = lines(sets, Object.assign({ tip: axes.bits.text }, axes.bits), scoreAxis(group.metric, first.percent, group.log, sets));
    config.options.interaction = { mode: "nearest", axis: "xy", intersect: false };
    config.options.scales.x.type = "logarithmic";
    config.options.scales.x.ticks.callback = v => Math.abs(Math.log10(v) % 1) < 1e-6 ? axes.bits.text(v) : "";
    config.options.scales.x.ticks.autoSkip = false;
    return config;
  },
  agents_loss(i, axis) {
    const t = data.runs[i].training;
    let sets;
    if (t.loss_per_agent) sets = t.loss_per_agent.map((ys, a) => line(data.runs[i].one + " " + a, zip(t[axis], running(ys, t.round)), agentColor(a), { borderWidth: 1.6, borderDash: dash(a) }));
    else sets = [line("median " + data.runs[i].one, zip(t[axis], running(t.loss_spread.median, t.round)), color("c0")), ...band(t[axis], t.loss_spread.least, t.loss_spread.most, fade(color("c0"), 0.18))];
    return lines(sets, xAxis(axis), lossAxis("loss", t.log, sets));
  },
  agents(i) {
    const e = data.runs[i].eval, one = data.runs[i].one, n = e.per_agent.length, many = n > 40, text = shown(e.percent);
    const sets = e.steps.map((s, k) => {
      let values = e.per_agent.map((row, a) => ({ a, v: row[k] }));
      if (many) values = values.filter(p => p.v !== null).sort((p, q) => p.v - q.v);
      return line(s === 1 ? "1 step" : s + " steps", values.map((p, r) => ({ x: many ? r + 1 : p.a, y: p.v, words: text(p.v) })), agentColor(k),
        { showLine: many, pointRadius: many ? 0 : 5, pointStyle: ["circle", "rectRot", "triangle", "rect", "star"][k % 5] });
    });
    const ids = many ? undefined : e.per_agent.map((_, a) => a);
    const x = { title: many ? one + "s, sorted by score" : one, min: many ? 1 : -0.5, max: many ? n : n - 0.5, ticks: ids, tip: a => (many ? "rank " : one + " ") + a };
    const y = scoreAxis(e.metric, e.percent, e.log_agents, sets);
    const config = lines(sets, x, y);
    return config;
  },
  compare(g) { return compared(g, false); },
  compare_median(g) { return compared(g, true); },
  compare_loss(_, axis) {
    const sets = data.runs.map((r, i) => line(r.name, zip(r.training[axis], running(r.training.loss, r.training.round)), agentColor(i), { borderDash: dash(i) }));
    return overlaid(sets, axis, lossAxis("loss", data.runs.some(r => r.training.log), sets));
  },
  compare_validation(_, axis) {
    const withScores = data.runs.map((r, i) => [r, i]).filter(([r]) => r.validation.round.length);
    const first = withScores[0][0].validation;
    const same = withScores.filter(([r]) => r.validation.metric === first.metric);
    const sets = same.map(([r, i]) => line(r.name, zip(r.validation[axis], r.validation.mean[r.validation.mean.length - 1]), agentColor(i), { borderDash: dash(i), pointRadius: 2 }));
    const y = scoreAxis(first.metric, first.percent, same.some(([r]) => r.validation.log), sets);
    return overlaid(sets, axis, y);
  },
  compare_disagreement(_, axis) {
    const sets = data.runs.map((r, i) => line(r.name, zip(r.training[axis], r.training.disagreement), agentColor(i), { borderDash: dash(i) }))
      .filter(s => s.data.some(p => p.y !== null));
    return overlaid(sets, axis, Object.assign({ title: "disagreement" }, logRange(sets)));
  },
};

function armLines(a, i, axis, share) {
  const v = a.validation, c = agentColor(i);
  return [line(a.label, zip(v[axis], v.mean), c, { borderDash: dash(i), key: i }),
    ...band(v[axis], v.lower, v.upper, fade(c, share)).map(d => Object.assign(d, { interval: true, key: i }))];
}
function wideRange(sets) {
  const ys = sets.filter(d => !d.band).flatMap(d => d.data.map(p => p.y)).filter(y => y !== null);
  return ys.length > 0 && Math.min(...ys) > 0 && Math.max(...ys) > 8 * Math.min(...ys);
}
function guessing(chance, xs) {
  return chance === null || chance === undefined ? [] : [line("guessing", xs.map(x => ({ x, y: chance })), color("muted"), { borderDash: [2, 4], borderWidth: 1.4 })];
}

function compared(g, median) {
  const group = data.groups[g];
  const steps = [...new Set(group.runs.flatMap(i => data.runs[i].eval.steps))].sort((a, b) => a - b);
  const top = [], below = [];
  for (const i of group.runs) {
    const e = data.runs[i].eval, c = agentColor(i), text = shown(e.percent);
    const points = median ? e.steps.map((x, k) => ({ x, y: e.median[k], words: text(e.median[k]) + " (" + text(e.q1[k]) + " – " + text(e.q3[k]) + ")" })) : meanPoints(e);
    top.push(line(data.runs[i].name, points, c, { pointRadius: 3, borderDash: dash(i) }));
    below.push(...(median ? band(e.steps, e.q1, e.q3, fade(c, 0.1)) : intervalBand(e, fade(c, 0.2))));
  }
  const first = data.runs[group.runs[0]].eval;
  const sets = [...top, ...below, ...guessing(first.chance, [steps[0], steps[steps.length - 1]])];
  return lines(sets, stepAxis(steps), scoreAxis(group.metric, first.percent, group.log, sets));
}
// Runs of unequal length share no index: the nearest point of each line is shown.
function overlaid(sets, axis, y) {
  const config = lines(sets, xAxis(axis), y);
  config.options.interaction = { mode: "nearest", axis: "xy", intersect: false };
  config.options.scales.x.min = 0;
  return config;
}

function drawImages() {
  for (const canvas of document.querySelectorAll("canvas[data-pixels]")) {
    const bytes = atob(canvas.dataset.pixels), ctx = canvas.getContext("2d");
    const image = ctx.createImageData(canvas.width, canvas.height);
    const from = parts(color("card")), to = parts(color("ink"));
    for (let i = 0; i < canvas.width * canvas.height; ++i) {
      const ink = bytes.charCodeAt(i) / 255;
      for (let k = 0; k < 3; ++k) image.data[4 * i + k] = Math.round(255 * (from[k] + ink * (to[k] - from[k])));
      image.data[4 * i + 3] = 255;
    }
    ctx.putImageData(image, 0, 0);
  }
}

// An episode's pictures, one at a time: play, or drag.
function playEpisodes() {
  for (const box of document.querySelectorAll(".playback")) {
    const frames = JSON.parse(box.querySelector("script").textContent);
    const picture = box.querySelector("img"), slider = box.querySelector("input"), button = box.querySelector("button"), note = box.querySelector("output");
    const show = i => {
      picture.src = "data:image/svg+xml," + encodeURIComponent(frames[i].svg);
      slider.value = i;
      note.textContent = "step " + frames[i].step + " of " + frames[frames.length - 1].step + ", earned " + short(frames[i].earned);
    };
    let timer = null;
    const stop = () => { clearInterval(timer); timer = null; button.textContent = "play"; };
    button.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(slider.value) + 1 >= frames.length) show(0);
      button.textContent = "stop";
      timer = setInterval(() => { const next = Number(slider.value) + 1; if (next < frames.length) show(next); else stop(); }, 250);
    });
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
    show(0);
  }
}

const drawn = new Map(), hidden = new Set();
const shared = canvas => canvas.closest("[data-shared]");
const keyOf = (canvas, d) => (shared(canvas) ? "all" : canvas.dataset.chart + canvas.dataset.index) + ":" + (d.key === undefined ? d.label : d.key);

// Buttons, one for each line, that wrap as text does and hide or show their line, in all charts of a section that shares one legend.
function legendOf(canvas, chart, box) {
  box.textContent = "";
  const sets = chart.data.datasets.filter(d => !d.quiet);
  if (sets.length < 2) return;
  for (const d of sets) {
    const item = document.createElement("button"), swatch = document.createElement("i");
    item.type = "button";
    item.dataset.key = keyOf(canvas, d);
    item.setAttribute("aria-pressed", String(!hidden.has(item.dataset.key)));
    swatch.style.borderTopColor = d.borderColor;
    swatch.style.borderTopStyle = d.borderDash && d.borderDash.length ? "dashed" : "solid";
    item.append(swatch, document.createTextNode(d.label));
    box.append(item);
  }
}
function applyHidden(canvas, chart) {
  chart.data.datasets.forEach((d, i) => chart.setDatasetVisibility(i, !hidden.has(keyOf(canvas, d))));
  chart.update("none");
}

function draw(canvas) {
  if (drawn.has(canvas)) drawn.get(canvas).destroy();
  drawn.delete(canvas);
  const section = canvas.closest("section.training");
  const config = kinds[canvas.dataset.chart](Number(canvas.dataset.index), (section && section.dataset.axis) || "round");
  if (!config) return;
  const chart = new Chart(canvas, config);
  drawn.set(canvas, chart);
  let box = shared(canvas) ? shared(canvas).querySelector(".legend.shared") : canvas.parentNode.nextElementSibling;
  if (!shared(canvas) && !(box && box.classList.contains("legend"))) {
    box = document.createElement("div");
    box.className = "legend";
    canvas.parentNode.after(box);
  }
  if (!shared(canvas) || !box.children.length) legendOf(canvas, chart, box);
  if (hidden.size) applyHidden(canvas, chart);
  const card = canvas.closest(".card");
  if (!card.querySelector(".save")) {
    const save = document.createElement("div");
    save.className = "save choice";
    save.innerHTML = "save <button type=\"button\" data-save=\"svg\">SVG</button> <button type=\"button\" data-save=\"csv\">CSV</button>";
    card.append(save);
  }
}
function drawAll() {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;
  document.querySelectorAll(".legend.shared").forEach(box => { box.textContent = ""; });
  document.querySelectorAll("canvas[data-chart]").forEach(draw);
  root.dataset.charts = drawn.size;
}

// The numbers of a chart, a row for each point.
function csvOf(chart) {
  const cell = x => /[",\n]/.test(x) ? "\"" + x.replace(/"/g, "\"\"") + "\"" : x;
  const s = chart.options.scales, rows = [["series", s.x.title.text || "x", s.y.title.text || "y"].map(cell).join(",")];
  const bands = chart.data.datasets.filter(d => d.band);
  chart.data.datasets.forEach(d => { if (!d.band) for (const p of d.data) rows.push([cell(String(d.label)), p.x, p.y === null ? "" : p.y].join(",")); });
  bands.forEach((d, i) => { for (const p of d.data) rows.push(["band " + (1 + (i >> 1)) + (i % 2 ? " upper" : " lower"), p.x, p.y === null ? "" : p.y].join(",")); });
  return rows.join("\n") + "\n";
}
// The chart as it stands, in lines and text that any program edits.
function svgOf(chart) {
  const esc = t => String(t).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;" })[c]);
  const a = chart.chartArea, w = chart.width, n = x => +x.toFixed(2), sets = chart.data.datasets;
  const named = sets.map((d, i) => [d, i]).filter(([d, i]) => !d.quiet && chart.isDatasetVisible(i));
  const h = chart.height + 8 + 18 * (named.length > 1 ? named.length : 0);
  const out = ["<svg xmlns=\"http:" + "//www.w3.org/2000/svg\" viewBox=\"0 0 " + n(w) + " " + n(h) + "\" font-family=\"sans-serif\" font-size=\"12\">",
    "<rect width=\"100%\" height=\"100%\" fill=\"" + color("card") + "\"/>",
    "<clipPath id=\"area\"><rect x=\"" + n(a.left - 6) + "\" y=\"" + n(a.top - 6) + "\" width=\"" + n(a.right - a.left + 12) + "\" height=\"" + n(a.bottom - a.top + 12) + "\"/></clipPath>"];
  for (const [name, axis] of Object.entries(chart.scales)) {
    axis.ticks.forEach((t, i) => {
      const at = n(axis.getPixelForTick(i)), label = esc(t.label === undefined ? "" : t.label), up = name === "x";
      out.push("<path stroke=\"" + color("grid") + "\" d=\"" + (up ? "M" + at + "," + n(a.top) + "V" + n(a.bottom) : "M" + n(a.left) + "," + at + "H" + n(a.right)) + "\"/>");
      out.push("<text fill=\"" + color("muted") + "\" " + (up ? "x=\"" + at + "\" y=\"" + n(a.bottom + 16) + "\" text-anchor=\"middle\"" : "x=\"" + n(a.left - 6) + "\" y=\"" + (at + 4) + "\" text-anchor=\"end\"") + ">" + label + "</text>");
    });
    const title = esc(axis.options.title.text || ""), y = n((a.top + a.bottom) / 2);
    out.push(name === "x" ? "<text fill=\"" + color("muted") + "\" x=\"" + n((a.left + a.right) / 2) + "\" y=\"" + n(chart.height - 4) + "\" text-anchor=\"middle\">" + title + "</text>"
      : "<text fill=\"" + color("muted") + "\" transform=\"translate(12," + y + ") rotate(-90)\" text-anchor=\"middle\">" + title + "</text>");
  }
  out.push("<g clip-path=\"url(#area)\">");
  const path = i => {
    let pen = false;
    return chart.getDatasetMeta(i).data.map((p, k) => {
      if (sets[i].data[k].y === null || !Number.isFinite(p.y)) { pen = false; return ""; }
      const word = (pen ? "L" : "M") + n(p.x) + "," + n(p.y);
      pen = true;
      return word;
    }).join("");
  };
  sets.forEach((d, i) => {
    if (!chart.isDatasetVisible(i)) return;
    if (d.band) {
      if (!d.fill) return;
      const low = chart.getDatasetMeta(i - 1).data.filter((_, k) => sets[i - 1].data[k].y !== null).map(p => "L" + n(p.x) + "," + n(p.y)).reverse().join("");
      out.push("<path fill=\"" + d.backgroundColor.slice(0, 7) + "\" fill-opacity=\"" + n(parseInt(d.backgroundColor.slice(7), 16) / 255) + "\" d=\"" + path(i) + low + "Z\"/>");
      return;
    }
    if (d.showLine !== false) out.push("<path fill=\"none\" stroke=\"" + d.borderColor.slice(0, 7) + "\" stroke-width=\"" + (d.borderWidth || 2.2) + "\" stroke-dasharray=\"" + (d.borderDash || []).join(" ") + "\" stroke-opacity=\"" + (d.borderColor.length > 7 ? n(parseInt(d.borderColor.slice(7), 16) / 255) : 1) + "\" d=\"" + path(i) + "\"/>");
    if (d.pointRadius) chart.getDatasetMeta(i).data.forEach((p, k) => { if (d.data[k].y !== null) out.push("<circle fill=\"" + d.borderColor.slice(0, 7) + "\" cx=\"" + n(p.x) + "\" cy=\"" + n(p.y) + "\" r=\"" + d.pointRadius + "\"/>"); });
  });
  out.push("</g>");
  if (named.length > 1) named.forEach(([d], k) => out.push("<path stroke=\"" + d.borderColor.slice(0, 7) + "\" stroke-width=\"3\" stroke-dasharray=\"" + (d.borderDash || []).join(" ") + "\" d=\"M12," + n(chart.height + 12 + 18 * k) + "h24\"/><text fill=\"" + color("ink") + "\" x=\"44\" y=\"" + n(chart.height + 16 + 18 * k) + "\">" + esc(d.label) + "</text>"));
  return out.join("\n") + "\n</svg>\n";
}
window.symmaSaved = (canvas, kind) => kind === "csv" ? csvOf(drawn.get(canvas)) : svgOf(drawn.get(canvas));
function save(name, kind, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv" : "image/svg+xml" }));
  link.download = name + "." + kind;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

document.addEventListener("click", e => {
  const item = e.target.closest(".legend button");
  if (item) {
    const key = item.dataset.key, show = hidden.has(key);
    if (show) hidden.delete(key); else hidden.add(key);
    document.querySelectorAll(".legend button").forEach(b => { if (b.dataset.key === key) b.setAttribute("aria-pressed", String(show)); });
    drawn.forEach((chart, canvas) => applyHidden(canvas, chart));
    return;
  }
  const kept = e.target.closest("button[data-save]");
  if (kept) {
    const canvas = kept.closest(".card").querySelector("canvas[data-chart]");
    return save(canvas.dataset.chart, kept.dataset.save, window.symmaSaved(canvas, kept.dataset.save));
  }
  const button = e.target.closest("button[data-axis]");
  if (!button) return;
  const section = button.closest("section");
  section.dataset.axis = button.dataset.axis;
  section.querySelectorAll("button[data-axis]").forEach(b => b.setAttribute("aria-pressed", String(b === button)));
  section.querySelectorAll("canvas[data-chart]").forEach(draw);
});
window.symmaUpdate = fresh => { Object.assign(data, fresh); drawAll(); };
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawAll(); drawImages(); });
// Paper is white whatever the screen's theme.
window.addEventListener("beforeprint", () => { root.classList.add("print"); drawAll(); });
window.addEventListener("afterprint", () => { root.classList.remove("print"); drawAll(); });
drawAll();
drawImages();
playEpisodes();
})();
