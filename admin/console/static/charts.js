// Draws the lines of each chart from the table behind it.
"use strict";
{
  const numbers = (rows, column) =>
    rows.map((row) => (row.cells[column].dataset.v === "" ? null : Number(row.cells[column].dataset.v)));
  const draw = (place) => {
    const table = document.getElementById(place.dataset.table);
    if (!table || place.firstChild) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells].slice(1);
    const language = document.documentElement.lang;
    const times = { timeZone: place.dataset.zone, ...(place.dataset.step === "hour" ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" }) };
    const moment = new Intl.DateTimeFormat(language, times);
    // As many decimals as tell the lines of the grid apart: an hour's spending may be a tenth of a grosz.
    const short = (splits) => {
      const decimals = Math.min(8, Math.max(2, Math.ceil(-Math.log10(splits[1] - splits[0] || 1))));
      return new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: decimals });
    };
    const font = `12px ${getComputedStyle(place).fontFamily}`;
    const axis = { font, stroke: colour("--pico-muted-color"), grid: { stroke: colour("--pico-muted-border-color"), width: 1 }, ticks: { show: false } };
    const shape = {
      width: place.clientWidth,
      height: 200,
      legend: { show: heads.length > 1, live: false, markers: { width: 3 } },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, space: 75, values: (_plot, splits) => splits.map((at) => moment.format(at * 1000)) },
        { ...axis, size: 60, values: (_plot, splits) => splits.map(short(splits).format) },
      ],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), place.dataset.zone),
      series: [
        {},
        ...heads.map((head, at) => ({
          label: head.textContent,
          stroke: colour(`--line-${at + 1}`),
          width: 2,
          fill: heads.length === 1 ? colour("--line-fill") : undefined,
          points: { show: rows.length < 3 },
        })),
      ],
    };
    const plot = new uPlot(shape, [numbers(rows, 0), ...heads.map((_head, at) => numbers(rows, at + 1))], place);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 200 })).observe(place);
  };
  const all = () => document.querySelectorAll(".plot").forEach(draw);
  document.addEventListener("htmx:afterSettle", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.querySelectorAll(".plot").forEach((place) => place.replaceChildren());
    all();
  });
  all();
}
