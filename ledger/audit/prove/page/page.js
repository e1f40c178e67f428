// What the page shows of it. Texts of the files are set as text, with what nobody sees written out.

const byId = (id) => document.getElementById(id);
const shown = (text) => String(text).replace(
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (one) => (one === "\n" ? one : `\\u{${one.codePointAt(0).toString(16)}}`));
const PINNED = document.querySelector("meta[name=pinned-keys]").content.split(" ").filter(Boolean);
const PEM_HEAD = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];  // an Ed25519 key in DER
let dropped = [];
let asked = 0;

/** The keys of a text: hexadecimal digits or PEM. Throws SaysNothing. */
function keysIn(text) {
  const keys = [];
  const rest = text.replace(/-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----/g, (_, inner) => {
    const bytes = Uint8Array.from(atob(inner.replace(/\s/g, "")), (one) => one.charCodeAt(0));
    if (bytes.length !== 44 || PEM_HEAD.some((one, at) => bytes[at] !== one)) {
      throw new SaysNothing("the public key is not an Ed25519 key");
    }
    keys.push(inHex(bytes.slice(12)));
    return "";
  });
  for (const word of rest.split(/[\s,]+/).filter(Boolean)) {
    if (!/^[0-9a-fA-F]{64}$/.test(word)) throw new SaysNothing("the public key is neither 64 hexadecimal digits nor PEM");
    keys.push(word.toLowerCase());
  }
  return keys;
}

/** The heads of a text: one JSON object, or one a line. Throws SaysNothing. */
function headsIn(text) {
  if (!text.trim()) return [];
  try {
    return [readJson(text)];
  } catch {
    try {
      return text.split("\n").filter((line) => line.trim()).map(readJson);
    } catch (error) {
      throw new SaysNothing(`the head that was kept is none: ${error.message}`);
    }
  }
}

async function check() {
  const turn = ++asked;
  byId("dropped").replaceChildren(...dropped.map((file) => element("li", shown(file.name))));
  if (!dropped.length) return;
  show({ verdict: "none", findings: [] }, "Checking …");
  let outcome;
  try {
    const keys = [...PINNED, ...keysIn(byId("keys").value)];
    outcome = await judge(dropped, keys, headsIn(byId("heads").value));
  } catch (error) {
    outcome = { verdict: "unjudged", findings: [], reason: error.message };
  }
  if (turn === asked) show(outcome, WORDS[outcome.verdict](outcome));
}

const WORDS = {
  held: (one) => one.kind === "proof"
    ? `Held: ${one.event.get("event_type")} was sealed at position ${one.event.get("position")}, with this content`
    : `Held: nothing was altered in positions ${one.first}–${one.heldTo}`,
  consistent: () => "Consistent in itself; nothing from outside shows who sealed it",
  altered: (one) => one.kind === "export" ? "Altered: the export does not hold" : "Altered: it does not hold",
  unjudged: () => "It cannot be judged",
};

function show(outcome, word) {
  const box = byId("verdict");
  box.className = `verdict ${outcome.verdict}`;
  const parts = [element("p", shown(word), "word")];
  if (outcome.reason) parts.push(element("p", shown(`${outcome.reason}.`)));
  if (outcome.verdict === "consistent") {
    parts.push(element("p", "Give a public key or a head that you have from elsewhere, above."));
  }
  if (outcome.findings.length) {
    const list = element("ul");
    list.append(...outcome.findings.slice(0, 20).map((one) => element("li", shown(`position ${one.position}, ${one.kind}: ${one.what}`))));
    parts.push(list);
  }
  box.replaceChildren(...parts);
  byId("facts").replaceChildren(...factsOf(outcome).flatMap(([name, value]) => [element("dt", name), element("dd", shown(value))]));
  byId("content").hidden = !outcome.event;
  byId("event").textContent = outcome.event ? shown(pretty(outcome.event)) : "";
}

function factsOf(outcome) {
  const facts = [];
  if (outcome.key) facts.push(["on the word of key", outcome.key + (PINNED.includes(outcome.key) ? " (pinned in this page)" : "")]);
  for (const head of outcome.headsMet ?? (outcome.newest ? [outcome.newest] : [])) {
    facts.push(["on the word of head", `seal ${head.seal.get("number")} up to position ${head.seal.get("last_position")}, hash ${head.hash}`]);
  }
  if (outcome.kind === "proof") {
    facts.push(["event", outcome.event.get("id")], ["position", outcome.event.get("position")],
      ["recorded", outcome.event.get("recorded_at")], ["sealed", `${outcome.seal.get("sealed_at")}, seal ${outcome.seal.get("number")}`],
      ["leads to", `seal ${outcome.signed.get("number")}`],
      ["seal signed with", outcome.signed.get("public_key") ?? "nothing"]);
    for (const lost of outcome.chain.filter((one) => one.get("change") === "lost")) facts.push(["key lost", `${lost.get("previous_key")}, it says: ${lost.get("reason")}`]);
  } else if (outcome.kind === "export") {
    facts.push(["events checked", `${outcome.events}, positions ${outcome.first}–${outcome.last}`],
      ["not sealed", outcome.manifest.get("unsealed_events")],
      ["newest seal", outcome.head ? `${outcome.head.seal.get("number")}, up to position ${outcome.head.seal.get("last_position")}` : "none"],
      ["seal signed with", outcome.head?.seal.get("public_key") ?? "nothing"]);
    for (const block of outcome.losses) facts.push(["key lost", `${block.seal.get("previous_key")}, it says: ${block.seal.get("reason")}`]);
    if (outcome.books) facts.push(["ledger.beancount", "is the file of the manifest; whether it says what the events say, ledgerctl audit verify --export checks"]);
  }
  return facts;
}

function pretty(value, indent = "") {
  const inner = `${indent}  `;
  if (value instanceof Map && value.size) {
    return `{\n${[...value].map(([name, one]) => `${inner}${JSON.stringify(name)}: ${pretty(one, inner)}`).join(",\n")}\n${indent}}`;
  }
  if (Array.isArray(value) && value.length) return `[\n${value.map((one) => inner + pretty(one, inner)).join(",\n")}\n${indent}]`;
  return value instanceof Map ? "{}" : JSON.stringify(value);
}

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** All files of what was dropped: of a directory, those that lie in it. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  for (const entry of entries) {
    const inside = entry.isDirectory
      ? await new Promise((done, failed) => entry.createReader().readEntries(done, failed)) : [entry];
    for (const one of inside.filter((each) => each.isFile)) {
      found.push(await new Promise((done, failed) => one.file(done, failed)));
    }
  }
  return found;
}

const drop = byId("drop");
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
  });
}
drop.addEventListener("drop", async (event) => { dropped = await filesOf(event.dataTransfer); await check(); });
byId("files").addEventListener("change", (event) => { dropped = [...event.target.files]; check(); });
byId("files").addEventListener("click", (event) => { event.target.value = ""; });  // the same file again is a change
for (const id of ["keys", "heads"]) byId(id).addEventListener("input", check);
if (PINNED.length) {
  byId("pinned").textContent = `Pinned when this page was made: ${PINNED.join(", ")}. It is worth as much as whoever gave you the page.`;
  byId("pinned").hidden = false;
}
