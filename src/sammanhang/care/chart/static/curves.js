// Curves of measured values, drawn from the table beside them: the table is the truth, the curve a view of it.
"use strict";
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = (holder) => {
    const rows = [...document.querySelectorAll(`#${holder.dataset.curve} [data-value]`)].reverse();
    const box = holder.querySelector(".plot");
    const at = rows.map((row) => Number(row.dataset.at));
    const first = rows.map((row) => Number(row.dataset.value));
    const second = rows.map((row) => (row.dataset.second ? Number(row.dataset.second) : null));
    const low = holder.dataset.low === "" ? null : Number(holder.dataset.low);
    const high = holder.dataset.high === "" ? null : Number(holder.dataset.high);
    const language = document.documentElement.lang === "sv" ? "sv-SE" : "en-GB";
    const number = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
    const day = (seconds) => new Date(seconds * 1000).toLocaleDateString("sv-SE", { timeZone: "Europe/Stockholm" });
    const line = { stroke: colour("--accent"), width: 2, points: { size: 6, fill: colour("--surface") }, value: (_, v) => (v === null ? "" : number.format(v)) };
    const pair = second.some((v) => v !== null);
    const series = [{ label: holder.dataset.unit, value: (_, v) => (v ? day(v) : "") }, { ...line, label: holder.dataset.name }];
    if (pair) series.push({ ...line, label: "", stroke: colour("--info") });
    const axis = { stroke: colour("--ink-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px Inter Variable" };
    const band = (u) => {
      if (low === null && high === null) return;
      const top = u.valToPos(high ?? u.scales.y.max, "y", true), bottom = u.valToPos(low ?? u.scales.y.min, "y", true);
      const upper = Math.max(top, u.bbox.top), lower = Math.min(bottom, u.bbox.top + u.bbox.height);
      u.ctx.fillStyle = colour("--done-soft");
      if (lower > upper) u.ctx.fillRect(u.bbox.left, upper, u.bbox.width, lower - upper);
    };
    // The nearest limit is always in the picture: how far out is what one wants to see.
    const range = (u, min, max) => {
      const near = [min, max, ...(low !== null && low > min ? [low] : []), ...(high !== null && high < max ? [high] : []), ...(high !== null && min > (low ?? -Infinity) ? [Math.min(high, max * 1.5)] : [])];
      const bottom = Math.min(...near), top = Math.max(...near), edge = (top - bottom || 1) * 0.12;
      return [bottom >= 0 ? Math.max(0, bottom - edge) : bottom - edge, top + edge];
    };
    box.replaceChildren();
    const plot = new window.uPlot({
      width: box.clientWidth, height: 240, legend: { show: false }, series,
      scales: { y: { range } },
      cursor: { drag: { x: true, y: false } },
      axes: [{ ...axis, values: (_, times) => times.map((t) => day(t).slice(0, 7)), space: 70 }, { ...axis, values: (_, all) => all.map((v) => number.format(v)), size: 46 }],
      hooks: { drawClear: [band] },
    }, pair ? [at, first, second] : [at, first], box);
    return plot;
  };
  const start = () => {
    for (const holder of document.querySelectorAll("[data-curve]")) {
      let plot = draw(holder);
      new ResizeObserver(() => plot.setSize({ width: holder.querySelector(".plot").clientWidth, height: 240 })).observe(holder);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plot.destroy(); plot = draw(holder); });
    }
  };
  if (window.uPlot) start();
})();
