"use strict";
// What pages can do more with a script: why in a drawer, keys, exact values in the clipboard, live rows.
// All of it is there without one, too: each of these is a link or a form.

const $ = (selector, inside = document) => inside.querySelector(selector);
const $$ = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const drawer = $("#drawer");

// --- why -----------------------------------------------------------------------------------------

let cameFrom = null;

async function openWhy(href) {
  cameFrom ??= document.activeElement;
  await htmx.ajax("GET", href, { target: "#drawer", swap: "innerHTML" });
  drawer.focus();
}

function closeWhy() {
  drawer.replaceChildren();
  cameFrom?.focus();
  cameFrom = null;
}

document.addEventListener("click", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
  const link = event.target.closest("a.why, #drawer a.deeper");
  if (link && plain && link.getAttribute("href").startsWith("/why/")) {
    event.preventDefault();
    openWhy(link.getAttribute("href"));
  } else if (event.target.closest("[data-close]")) {
    closeWhy();
  }
});

// A tree opens where it stands.
document.addEventListener("toggle", (event) => {
  const inside = $(".opens[data-why]", event.target);
  if (!event.target.open || !inside) return;
  const href = inside.dataset.why;
  delete inside.dataset.why;
  htmx.ajax("GET", href, { target: inside, swap: "afterbegin" });
}, true);

// --- the clipboard: exact values, tab by tab ------------------------------------------------------

document.addEventListener("copy", (event) => {
  const selection = getSelection();
  if (selection.isCollapsed) return;
  const copied = document.createElement("div");
  copied.append(selection.getRangeAt(0).cloneContents());
  for (const one of $$("data[value]", copied)) one.textContent = one.value;
  for (const one of $$("time[datetime]", copied)) one.textContent = one.dateTime;
  for (const one of $$(".id[title], .instrument[title]", copied)) one.textContent = one.title;
  const rows = $$("tr", copied);
  const text = rows.length
    ? rows.map((row) => $$("th, td", row).map((cell) => cell.textContent.trim()).join("\t")).join("\n")
    : copied.textContent;
  event.clipboardData.setData("text/plain", text);
  event.preventDefault();
});

// --- keys ----------------------------------------------------------------------------------------

const PLACES = { h: "/", o: "/orders", p: "/positions", l: "/log", r: "/risk", k: "/kill", v: "/overview" };
let going = false;

function rowsOfPage() { return $$("tbody tr[data-href], #main tbody tr:not(.detail)").filter((row, at, all) => all.indexOf(row) === at); }

function moveRow(by) {
  const rows = rowsOfPage();
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  rows[at]?.classList.remove("at");
  next.classList.add("at");
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const atRow = () => $("tr.at");

const ACTS = {
  "/": () => ($("#search") ?? $("#known_at")).focus(),
  g: () => { going = true; setTimeout(() => { going = false; }, 1500); },
  j: () => moveRow(1),
  k: () => moveRow(-1),
  e: () => $("a.expand", atRow() ?? document)?.click(),
  w: () => (document.activeElement.closest?.("a.why") ?? $("a.why", atRow() ?? document))?.click(),
  "?": () => $("#keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && drawer.hasChildNodes()) { closeWhy(); return; }
  const writes = event.target.closest("input, textarea, select, [contenteditable]");
  if (writes || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (going) {
    going = false;
    const place = $$("nav a").find((one) => new URL(one.href).pathname === PLACES[event.key]);
    if (place) { event.preventDefault(); place.click(); }
    return;
  }
  if (event.key === "Enter" && atRow()?.dataset.href && !event.target.closest("a, button")) {
    location.href = atRow().dataset.href;
    return;
  }
  const act = ACTS[event.key];
  if (act) { event.preventDefault(); act(); }
});

// --- live: tables follow the log, and hold still under the pointer --------------------------------

const AGAIN_MILLISECONDS = 200;
const HELD_MILLISECONDS = 400;
const THERE = document.body.dataset.position;
let last = Number(THERE);
let wanted = false;
let busy = false;

const isLive = () => $("#live")?.getAttribute("aria-pressed") === "true" && scrollY < 40;

/** The parts of the page that follow the log, as they are at the position that we were told of. */
async function refresh() {
  if (busy || !wanted || document.hidden || drawer.hasChildNodes() || $("[data-live]:hover, tr.at")) return;
  busy = true;
  wanted = false;
  try {
    const page = encodeURIComponent(location.pathname + location.search);
    const answer = await fetch(`/live?page=${page}&at=${last}`);
    if (!answer.ok) return;
    replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
    if (answer.headers.get("Ledger-Behind")) setTimeout(() => { wanted = true; refresh(); }, AGAIN_MILLISECONDS);
  } finally {
    busy = false;
  }
  refresh();
}

function replaceParts(fresh) {
  const parts = [".standing", ".tiles", "[data-live]", ...(isLive() ? ["[data-live-log]"] : [])];
  for (const part of parts) {
    const [old, made] = [$$(part), $$(part, fresh)];
    if (old.length !== made.length) continue;
    old.forEach((one, at) => { if (!one.isEqualNode(made[at])) mark(one, made[at]); });
  }
}

/** Cells and tiles by the row that they are in, wherever it stands now. */
function cellsOf(part) {
  const named = (one, at) => one.closest("tr")?.dataset.href ?? one.closest("a.tile")?.href ?? at;
  const found = $$("tr, .tile", part).flatMap((row, at) => $$("td, .value", row).map((cell, place) => [`${named(row, at)} ${place}`, cell]));
  return new Map(found);
}

function mark(old, made) {
  const before = cellsOf(old);
  const fresh = document.importNode(made, true);
  for (const [place, cell] of cellsOf(fresh)) {
    if (before.has(place) && before.get(place).textContent !== cell.textContent) cell.classList.add("changed");
  }
  old.replaceWith(fresh);
}

/** Told how far the log is when it has moved; goes on where it was when the line breaks. */
async function listen(told, ended) {
  for (let pause = 1_000; !ended.aborted; pause = Math.min(pause * 2, 30_000)) {
    try {
      const answer = await fetch(`/moved?after=${last}`, { signal: ended });
      if ([401, 403, 404].includes(answer.status)) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        const position = Number(lines.findLast((line) => line.startsWith("id:"))?.slice(3) ?? 0);
        if (position <= last) continue;
        last = position;
        pause = 1_000;
        told();
      }
    } catch {
      if (ended.aborted) return;
    }
    await new Promise((done) => { setTimeout(done, pause); });
  }
}

function follow() {
  if (THERE === undefined || !$("[data-live], .tiles, #live")) return;
  const ending = new AbortController();
  listen(() => {
    wanted = true;
    refresh();
    const waiting = $("#waiting");
    if (!waiting) return;
    waiting.textContent = `${(last - Number(THERE)).toLocaleString("en")} new`;
    waiting.hidden = isLive();
  }, ending.signal);
  setInterval(refresh, HELD_MILLISECONDS); // what was held while it was looked at
  addEventListener("pagehide", () => ending.abort());
}

const live = $("#live");
if (live) {
  live.hidden = false;
  live.addEventListener("click", () => {
    live.setAttribute("aria-pressed", String(live.getAttribute("aria-pressed") !== "true"));
    wanted = true;
    refresh();
  });
}
if (matchMedia("(max-width: 800px)").matches) $(".menu")?.removeAttribute("open");
follow();
