"use strict";
// What is drawn: candles with own fills, and curves. The data come as JSON from the page's own server;
// each drawing has its numbers as a table beside it, so nothing is lost where this does not run.

const style = getComputedStyle(document.documentElement);
const probe = document.createElement("canvas").getContext("2d");

/** A token of the style sheet as a colour that a canvas takes. */
function tone(name) {
  const swatch = document.createElement("span");
  swatch.style.color = `var(--${name})`;
  document.body.append(swatch);
  probe.fillStyle = getComputedStyle(swatch).color;
  swatch.remove();
  return probe.fillStyle;
}

const FONT = style.fontFamily || "system-ui, sans-serif";

async function dataOf(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`the data of the chart did not come: ${answer.status}`);
  return answer.json();
}

function failed(place, error) {
  place.textContent = `${error.message}. The numbers are in the table below.`;
  place.classList.add("empty");
}

// --- pictures ------------------------------------------------------------------------------------

const TITLE = 34;
const FOOT = 26;

/** Offers what is drawn in the figure as one PNG, with its title and its footer. */
function offerPicture(place, drawn) {
  const figure = place.closest("figure");
  figure.drawn = [...(figure.drawn ?? []), drawn];
  if (figure.drawn.length > 1) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain small";
  button.textContent = "PNG";
  button.title = "The drawing as a picture, with what it is of and as of when";
  button.addEventListener("click", () => savePicture(figure));
  figure.querySelector("figcaption .files").append(button);
}

function savePicture(figure) {
  const parts = figure.drawn.map((one) => one());
  const [ratio, width] = [devicePixelRatio, Math.max(...parts.map((one) => one.width))];
  const whole = document.createElement("canvas");
  whole.width = width;
  whole.height = parts.reduce((sum, one) => sum + one.height, 0) + (TITLE + FOOT) * ratio;
  const ink = whole.getContext("2d");
  ink.fillStyle = tone("surface");
  ink.fillRect(0, 0, whole.width, whole.height);
  const title = figure.closest(".panel").querySelector("h2").textContent;
  const foot = [...figure.querySelectorAll("figcaption span:not(.files)")].map((one) => one.textContent).join(" · ");
  ink.fillStyle = tone("text");
  ink.font = `600 ${14 * ratio}px ${FONT}`;
  ink.fillText(title, 10 * ratio, 22 * ratio);
  let y = TITLE * ratio;
  for (const one of parts) { ink.drawImage(one, 0, y); y += one.height; }
  ink.fillStyle = tone("quiet");
  ink.font = `${11 * ratio}px ${FONT}`;
  ink.fillText(foot, 10 * ratio, y + 17 * ratio);
  whole.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${title.replace(/[^\w.-]+/g, "-")}-${document.body.dataset.position ?? "past"}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// --- candles -------------------------------------------------------------------------------------

function decimalsOf(candles) {
  const longest = candles.slice(-50).map((one) => String(one.close).split(".")[1]?.length ?? 0);
  return Math.min(Math.max(2, ...longest), 8);
}

async function drawCandles(place) {
  const { candles, fills, lines } = await dataOf(place.dataset.candles);
  if (!candles.length) throw new Error("No price was recorded");
  const { createChart, CandlestickSeries, createSeriesMarkers, LineStyle } = LightweightCharts;
  const [up, down, quiet, line] = ["up-mark", "down-mark", "quiet", "line"].map(tone);
  const chart = createChart(place, {
    autoSize: true,
    layout: { background: { color: tone("surface") }, textColor: quiet, fontFamily: FONT, attributionLogo: false },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line, timeVisible: true, secondsVisible: false },
  });
  const precision = decimalsOf(candles);
  const series = chart.addSeries(CandlestickSeries, {
    upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down,
    priceFormat: { type: "price", precision, minMove: 1 / 10 ** precision },
  });
  series.setData(candles);
  for (const one of lines) {
    series.createPriceLine({
      price: one.price, title: one.label, axisLabelVisible: true, lineWidth: 1,
      color: tone(one.kind === "entry" ? "series-1" : "series-2"),
      lineStyle: one.kind === "entry" ? LineStyle.Solid : LineStyle.Dashed,
    });
  }
  createSeriesMarkers(series, fills.map((one) => ({
    time: one.time, price: one.price, position: "atPriceMiddle",
    shape: one.side === "BUY" ? "arrowUp" : "arrowDown",
    color: one.outside || one.late ? tone("warn") : tone(one.side === "BUY" ? "series-1" : "series-3"),
    text: [one.count > 1 ? String(one.count) : "", one.late ? "late" : ""].filter(Boolean).join(" "),
    id: one.order,
  })));
  chart.subscribeClick((click) => {
    if (typeof click.hoveredObjectId === "string") location.href = click.hoveredObjectId;
  });
  chart.timeScale().fitContent();
  offerPicture(place, () => chart.takeScreenshot());
}

// --- curves --------------------------------------------------------------------------------------

/** Keeps the first, the last, the least and the greatest of each pixel, so that no peak is lost. */
function thinned(columns, pixels) {
  const count = columns[0].length;
  if (count <= pixels * 4) return columns;
  const kept = new Set([0, count - 1]);
  const size = count / pixels;
  for (let bin = 0; bin < pixels; bin++) {
    const [begin, end] = [Math.floor(bin * size), Math.floor((bin + 1) * size)];
    for (const column of columns.slice(1)) {
      let [least, most] = [begin, begin];
      for (let at = begin; at < end; at++) {
        if (column[at] < column[least]) least = at;
        if (column[at] > column[most]) most = at;
      }
      kept.add(least).add(most);
    }
  }
  const order = [...kept].sort((one, other) => one - other);
  return columns.map((column) => order.map((at) => column[at]));
}

const twoDigits = (number) => String(number).padStart(2, "0");

/** A time in UTC: the day where it is midnight or the ticks are days, else the hour. */
function shownTime(seconds, whole) {
  const time = new Date(seconds * 1e3);
  const day = `${time.getUTCFullYear()}-${twoDigits(time.getUTCMonth() + 1)}-${twoDigits(time.getUTCDate())}`;
  const hour = `${twoDigits(time.getUTCHours())}:${twoDigits(time.getUTCMinutes())}`;
  if (whole) return `${day} ${hour}`;
  return hour === "00:00" ? day.slice(5) : hour;
}

const shownValue = (digits) => (_, value) => (value == null ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "\u2212"));

/** Pixels of the values beside a curve: as many for each, so that curves above each other have one time axis. */
const LEAST_AXIS = 110;

async function drawCurves(place) {
  const { times, curves, flows } = await dataOf(place.dataset.curves);
  if (times.length < 2) throw new Error("There are fewer than two points");
  const [quiet, line] = ["quiet", "line"].map(tone);
  const colours = ["series-1", "series-2", "series-3"].map(tone);
  const columns = thinned([times, ...curves.map((one) => one.values)], place.clientWidth);
  const digits = place.dataset.digits ? Number(place.dataset.digits) : 2;
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: `12px ${FONT}` };
  const filled = place.dataset.fill === "below";
  const options = {
    width: place.clientWidth, height: place.clientHeight - 34, cursor: { sync: { key: "curves" } },
    tzDate: (time) => uPlot.tzDate(new Date(time * 1e3), "UTC"),
    axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => shownTime(tick, false)) }, { ...axis, size: (_, ticks) => Math.max(LEAST_AXIS, ...(ticks ?? [""]).map((tick) => tick.length * 7.5 + 20)), values: (_, ticks) => ticks.map((tick) => shownValue(digits)(null, tick)) }],
    series: [{ label: "Time (UTC)", value: (_, time) => (time == null ? "–" : shownTime(time, true)) }, ...curves.map((one, at) => ({
      label: one.label, stroke: filled ? tone("down-mark") : colours[at], width: 1.5, value: shownValue(digits), points: { show: false },
      dash: one.dotted ? [2, 3] : undefined, fill: filled ? `${tone("down-mark")}33` : undefined,
      paths: one.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
    }))],
    hooks: { draw: [(plot) => drawFlows(plot, flows ?? [], tone("series-2"))] },
  };
  const plot = new uPlot(options, columns, place);
  offerPicture(place, () => plot.ctx.canvas);
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: place.clientHeight - 34 })).observe(place);
}

/** Deposits and withdrawals as ticks on the axis: they are no result. */
function drawFlows(plot, flows, colour) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2 * devicePixelRatio;
  for (const time of flows) {
    const x = plot.valToPos(time, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x, bbox.top + bbox.height - 8 * devicePixelRatio);
    ctx.stroke();
  }
  ctx.restore();
}

for (const place of document.querySelectorAll("[data-candles]")) drawCandles(place).catch((error) => failed(place, error));
for (const place of document.querySelectorAll("[data-curves]")) drawCurves(place).catch((error) => failed(place, error));
