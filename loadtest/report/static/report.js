const WIDTH = Math.min(960, document.body.clientWidth);
const line = (label, stroke, more = {}) => ({ label, stroke, width: 1.5, ...more });
REPORT.latency.push(REPORT.tmax);
const chart = (id, unit, series, options = {}, x = "second") => new uPlot(
  { width: WIDTH, height: 260, scales: { x: { time: false } }, axes: [{ label: x + "s" }, { label: unit, size: 70 }],
    series: [{ label: x }, ...series], ...options },
  REPORT[id], document.getElementById(id));
chart("rates", "requests a second",
  [line("offered/s", "#8794a6"), line("answered/s", "#1f6feb"), line("with a bid/s", "#2da44e")]);
chart("latency", "ms",
  [line("p50 ms", "#2da44e"), line("p99 ms", "#d29922"), line("p99.9 ms", "#cf222e"),
   line("tmax ms", "#57606a", { dash: [6, 4] })],
  { scales: { x: { time: false }, y: { distr: 3 } } });
chart("histogram", "answers",
  [{ label: "answers", stroke: "#1f6feb", fill: "#1f6feb55", paths: uPlot.paths.bars({ size: [0.9] }) }],
  { scales: { x: { time: false, distr: 3 }, y: { distr: 3 } }, axes: [{ label: "ms" }, { label: "answers", size: 70 }] },
  "from ms");
chart("spend", REPORT.currency, [line(`won, ${REPORT.currency}`, "#1f6feb"), line(`billed, ${REPORT.currency}`, "#2da44e")]);
chart("pacing", "% of the run", [line("requests so far, %", "#8794a6"), line("spent so far, %", "#1f6feb")]);
chart("generator", "% of a core", [line("of a core, %", "#8250df")], { scales: { x: { time: false }, y: { range: [0, 100] } } });
