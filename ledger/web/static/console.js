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

const LIVE_MILLISECONDS = 400;
let wanted = false;
let busy = false;

async function refresh() {
  if (busy || document.hidden || drawer.hasChildNodes() || $("[data-live]:hover, tr.at")) return;
  busy = true;
  wanted = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } finally {
    busy = false;
  }
}

function replaceParts(fresh) {
  const parts = [".standing", ".tiles", "[data-live]"];
  for (const part of parts) {
    const [old, made] = [$$(part), $$(part, fresh)];
    if (old.length !== made.length) continue;
    old.forEach((one, at) => { if (!one.isEqualNode(made[at])) mark(one, made[at]); });
  }
}

function mark(old, made) {
  const before = new Map($$("td, .value", old).map((one, at) => [at, one.textContent]));
  const fresh = document.importNode(made, true);
  $$("td, .value", fresh).forEach((one, at) => { if (before.get(at) !== one.textContent) one.classList.add("changed"); });
  old.replaceWith(fresh);
}

/** Told of each event's position as it is recorded; goes on where it was when the line breaks. */
async function listen(after, told, ended) {
  let last = after;
  for (let pause = 1_000; !ended.aborted; pause = Math.min(pause * 2, 30_000)) {
    try {
      const answer = await fetch(`/api/v1/stream?after=${last}`, { signal: ended });
      if ([401, 403, 404].includes(answer.status)) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          if (!line.startsWith("id:")) continue;
          last = line.slice(3).trim();
          pause = 1_000;
          told();
        }
      }
    } catch {
      if (ended.aborted) return;
    }
    await new Promise((done) => { setTimeout(done, pause); });
  }
}

function follow() {
  const position = document.body.dataset.position;
  if (position === undefined || !$("[data-live], .tiles, #live")) return;
  const ending = new AbortController();
  let count = 0;
  listen(position, () => {
    wanted = true;
    count += 1;
    const waiting = $("#waiting");
    if (!waiting) return;
    waiting.textContent = `${count.toLocaleString("en")} new`;
    waiting.hidden = false;
    if ($("#live").getAttribute("aria-pressed") === "true" && scrollY < 40) location.reload();
  }, ending.signal);
  setInterval(() => { if (wanted) refresh(); }, LIVE_MILLISECONDS);
  addEventListener("pagehide", () => ending.abort());
}

const live = $("#live");
if (live) {
  live.hidden = false;
  live.addEventListener("click", () => live.setAttribute("aria-pressed", String(live.getAttribute("aria-pressed") !== "true")));
}
if (matchMedia("(max-width: 800px)").matches) $(".menu")?.removeAttribute("open");
follow();
