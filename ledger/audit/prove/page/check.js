"use strict";
// What a proof or an export is checked by, in a browser: the same walk as check_proof.py and
// ledger/audit/export/verify.py, with the browser's own SHA-256 and Ed25519. No network, no library.
//
//   read      JSON that can be understood in one way only; nothing is taken on trust
//   proof     leaf, path, root, chain of seals, signature, heads that were kept
//   export    files, seals and their keys, heads, events
//   judge     what was dropped, against what the reader has: held, consistent, altered or unjudged

class Fails extends Error {}
class SaysNothing extends Error {}

// --- reading -------------------------------------------------------------------------------------

const DEEPEST = 200;

/** JSON with unique names and integers only; objects as Map. Throws Fails. */
function readJson(text) {
  let at = 0;
  const refuse = (what) => { throw new Fails(`it is not JSON: ${what} at character ${at}`); };
  const blank = () => { while (at < text.length && " \t\n\r".includes(text[at])) at++; };
  function value(depth) {
    if (depth > DEEPEST) throw new Fails("it is nested deeper than any event is");
    blank();
    const first = text[at];
    if (first === "{") return object(depth);
    if (first === "[") return list(depth);
    if (first === '"') return string();
    for (const [word, meant] of [["true", true], ["false", false], ["null", null]]) {
      if (text.startsWith(word, at)) { at += word.length; return meant; }
    }
    return number();
  }
  function object(depth) {
    const found = new Map();
    at++;
    blank();
    if (text[at] === "}") { at++; return found; }
    for (;;) {
      blank();
      if (text[at] !== '"') refuse("a name is missing");
      const name = string();
      if (found.has(name)) throw new Fails("a name appears twice in one object");
      blank();
      if (text[at++] !== ":") refuse("a colon is missing");
      found.set(name, value(depth + 1));
      blank();
      const next = text[at++];
      if (next === "}") return found;
      if (next !== ",") refuse("an object does not end");
    }
  }
  function list(depth) {
    const found = [];
    at++;
    blank();
    if (text[at] === "]") { at++; return found; }
    for (;;) {
      found.push(value(depth + 1));
      blank();
      const next = text[at++];
      if (next === "]") return found;
      if (next !== ",") refuse("a list does not end");
    }
  }
  function string() {
    const begin = at;
    for (at++; text[at] !== '"'; at++) {
      if (at >= text.length) refuse("a text does not end");
      if (text[at] === "\\") at++;
    }
    at++;
    let found;
    try { found = JSON.parse(text.slice(begin, at)); } catch { refuse("a text is not one"); }
    if (/\p{Surrogate}/u.test(found)) throw new Fails("it has half of a character");
    return found;
  }
  function number() {
    const pattern = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) refuse("a value is missing");
    const meant = Number(found[0]) + 0;
    if (found[1] || found[2] || !Number.isSafeInteger(meant)) {
      throw new Fails(`it has the number ${found[0]}: sealed numbers are integers below 2^53`);
    }
    at += found[0].length;
    return meant;
  }
  const found = value(0);
  blank();
  if (at !== text.length) refuse("something follows the end");
  return found;
}

function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Fails("it is not text in UTF-8");
  }
}

/** The RFC 8785 text of a value. */
function canonical(value) {
  if (value instanceof Map) {
    const names = [...value.keys()].sort();
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value.get(name))}`).join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  return JSON.stringify(value);
}

function fieldsOf(value, names, what, optional = []) {
  const whole = value instanceof Map && names.every((name) => value.has(name)) &&
    [...value.keys()].every((name) => names.includes(name) || optional.includes(name));
  if (!whole) throw new Fails(`${what} does not have exactly its fields`);
  return value;
}

function listOf(value, what) {
  if (!Array.isArray(value)) throw new Fails(`${what} is not a list`);
  return value;
}

function wholeOf(value, what) {
  if (!Number.isSafeInteger(value)) throw new Fails(`${what} is not an integer`);
  return value;
}

function hexOf(value, length) {
  if (typeof value !== "string" || !/^[0-9a-f]*$/.test(value) || value.length !== 2 * length) {
    throw new Fails(`${JSON.stringify(value)} is not ${length} bytes in lower-case hexadecimal digits`);
  }
  return Uint8Array.from(value.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

const inHex = (bytes) => Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
const utf8 = (text) => new TextEncoder().encode(text);

// --- hashes and signatures ------------------------------------------------------------------------

async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const leafOf = (event) => sha256(LEAF, utf8(canonical(event)));
const hashOf = async (seal) => inHex(await sha256(utf8(canonical(seal))));

async function isSigned(seal, signature, key) {
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", hexOf(key, 32), "Ed25519", false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") {
      throw new SaysNothing("this browser cannot check Ed25519: use a newer one, or ledgerctl audit check-proof");
    }
    return false;
  }
  return crypto.subtle.verify("Ed25519", imported, hexOf(signature, 64), utf8(canonical(seal)));
}

/** The root over leaf hashes, as in RFC 6962. */
async function rootOf(leaves) {
  if (leaves.length === 0) return sha256();
  let level = leaves;
  while (level.length > 1) {
    const above = [];
    for (let at = 0; at + 1 < level.length; at += 2) above.push(sha256(NODE, level[at], level[at + 1]));
    if (level.length % 2) above.push(level[level.length - 1]);
    level = await Promise.all(above);
  }
  return level[0];
}

// --- a proof --------------------------------------------------------------------------------------

const OLDER_FIELDS = ["format", "event", "path", "seal", "signature", "chain"];
const PROOF_FIELDS = [...OLDER_FIELDS, "leads_to"];
const SEAL_FORMAT = "ledger-seal/1";
const SEAL_FIELDS = ["first_position", "format", "last_position", "number", "previous_hash",
  "public_key", "root", "sealed_at"];
const OPTIONAL_SEAL_FIELDS = ["change", "previous_key", "reason", "journal_last", "journal_root"];
const EVENT_FIELDS = ["position", "id", "stream_id", "stream_type", "event_type", "event_version",
  "event_data", "metadata", "correlation_id", "causation_id", "user_id", "occurred_at", "recorded_at"];

/** What the proof is worth to who has these keys (in hex) and heads. Throws Fails, SaysNothing. */
async function checkProof(document, keys, heads) {
  const older = document instanceof Map && document.get("format") === "ledger-proof/1";
  fieldsOf(document, older ? OLDER_FIELDS : PROOF_FIELDS, "the proof");
  if (!older && document.get("format") !== "ledger-proof/2") throw new Fails("its format is not ledger-proof/2");
  const event = fieldsOf(document.get("event"), EVENT_FIELDS, "the event");
  const seal = fieldsOf(document.get("seal"), SEAL_FIELDS, "the seal", OPTIONAL_SEAL_FIELDS);
  const path = listOf(document.get("path"), "path").map((node) => hexOf(node, 32));
  if (inHex(await walk(event, seal, path)) !== inHex(hexOf(seal.get("root"), 32))) {
    throw new Fails("the event does not hash to the root of the seal: one of them was changed");
  }
  const chain = listOf(document.get("chain"), "chain");
  const hashes = await follow(seal, chain);
  if (!older && inHex(hexOf(document.get("leads_to"), 32)) !== hashes[hashes.length - 1]) {
    throw new Fails("it does not lead to the seal that it says it leads to");
  }
  const signed = chain.length && !older ? chain[chain.length - 1] : seal;
  const signature = document.get("signature");
  if (keys.length || signature !== null) await checkSignature(signed, signature, keys);
  const held = await Promise.all(heads.map(headOf));
  if (held.length) checkHeads(held, seal.get("number"), hashes);
  return {
    kind: "proof", event, seal, chain, signed, headsMet: held,
    key: keys.length ? signed.get("public_key") : null,
    verdict: keys.length || held.length ? "held" : "consistent",
  };
}

/** What event and path hash to (RFC 9162, 2.1.3.2, is the same walk). */
async function walk(event, seal, path) {
  const position = wholeOf(event.get("position"), "a position");
  const first = wholeOf(seal.get("first_position"), "a position");
  const last = wholeOf(seal.get("last_position"), "a position");
  if (position < first || last < position) throw new Fails("the position of the event is not in the block of the seal");
  let index = position - first;
  let end = last - first;
  let node = await leafOf(event);
  for (const sibling of path) {
    if (end === 0) throw new Fails("the path is longer than the tree is high");
    if (index % 2 === 1 || index === end) {
      node = await sha256(NODE, sibling, node);
      while (index % 2 === 0) {  // the last node of a level is moved up as it is
        index = Math.floor(index / 2);
        end = Math.floor(end / 2);
      }
    } else {
      node = await sha256(NODE, node, sibling);
    }
    index = Math.floor(index / 2);
    end = Math.floor(end / 2);
  }
  if (end !== 0) throw new Fails("the path is shorter than the tree is high");
  return node;
}

/** The hashes of the seal and of those that follow it. */
async function follow(seal, chain) {
  const hashes = [await hashOf(seal)];
  let number = wholeOf(seal.get("number"), "the number of the seal");
  for (const following of chain) {
    fieldsOf(following, SEAL_FIELDS, "a seal of the chain", OPTIONAL_SEAL_FIELDS);
    if (following.get("number") !== number + 1) throw new Fails("a seal of the chain is missing");
    if (inHex(hexOf(following.get("previous_hash"), 32)) !== hashes[hashes.length - 1]) {
      throw new Fails("a seal of the chain does not follow the one before");
    }
    hashes.push(await hashOf(following));
    number += 1;
  }
  return hashes;
}

async function checkSignature(seal, signature, keys) {
  if (seal.get("format") !== SEAL_FORMAT) throw new Fails(`the format of its seal is not ${SEAL_FORMAT}`);
  const key = seal.get("public_key");
  if (signature === null || key === null) {
    throw new Fails("its seal is not signed: it can only be checked with a head kept");
  }
  hexOf(key, 32);
  hexOf(signature, 64);
  if (keys.length && !keys.includes(key)) throw new Fails(`its seal was signed with another key, ${key}`);
  if (!await isSigned(seal, signature, key)) throw new Fails("the signature is not that of its seal");
}

/** A head that was kept: {seal, hash}. Throws SaysNothing. */
async function headOf(document) {
  try {
    const seal = fieldsOf(document instanceof Map && document.get("seal"), SEAL_FIELDS, "its seal", OPTIONAL_SEAL_FIELDS);
    wholeOf(seal.get("number"), "its number");
    const hash = await hashOf(seal);
    if (hash !== document.get("hash")) throw new Fails("its hash is not that of its seal");
    return { seal, hash };
  } catch (error) {
    if (!(error instanceof Fails)) throw error;
    throw new SaysNothing(`the head that was kept is none: ${error.message}`);
  }
}

/** That the heads are among the seals of the proof, whose numbers begin with `number`. */
function checkHeads(heads, number, hashes) {
  const last = number + hashes.length - 1;
  const within = heads.filter((head) => number <= head.seal.get("number") && head.seal.get("number") <= last);
  if (within.some((head) => !hashes.includes(head.hash))) throw new Fails("it does not lead to the head that was kept");
  if (within.length) return;
  const kept = heads[heads.length - 1].seal;
  if (kept.get("number") < number) {
    throw new SaysNothing(`the head that was kept, seal ${kept.get("number")} up to position ` +
      `${kept.get("last_position")}, is older than the event, which is under seal ${number}: give one that was kept later`);
  }
  throw new SaysNothing(`the proof ends at seal ${last}, and the head that was kept is seal ${kept.get("number")}: ` +
    "ask for a proof that leads to it (ledgerctl audit prove --to-head)");
}

// --- an export ------------------------------------------------------------------------------------

const NO_HASH = "0".repeat(64);
const MANIFEST_FIELDS = ["format", "tool", "exported_at", "file_format", "first_position",
  "last_position", "events", "unsealed_events", "files", "opening", "blocks"];
const BLOCK_FIELDS = ["seal", "hash", "signature", "leaves_before", "leaves_after"];

/** What the export is worth: `files` by name. Throws Fails, SaysNothing. */
async function checkExport(manifest, files, keys, heads) {
  fieldsOf(manifest, MANIFEST_FIELDS, "the manifest");
  if (manifest.get("format") !== "ledger-export/1") throw new SaysNothing("its format is not ledger-export/1");
  const kind = manifest.get("file_format");
  if (!["jsonl", "csv", "beancount"].includes(kind)) {
    throw new SaysNothing(`a browser does not read ${kind}: use ledgerctl audit verify --export, or export as jsonl`);
  }
  const first = wholeOf(manifest.get("first_position"), "the first position");
  const last = wholeOf(manifest.get("last_position"), "the last position");
  const blocks = await Promise.all(listOf(manifest.get("blocks"), "blocks").map(blockOf));
  const found = [];
  const kept = await Promise.all(heads.map(headOf));
  const newest = againstHeads(kept, blocks, first, last, found);
  const signedTo = Math.min(await checkSeals(blocks, keys, newest, found), last);
  checkCounts(manifest, blocks, first, last, found);
  const name = `events.${kind === "beancount" ? "jsonl" : kind}`;
  const damaged = await checkFiles(manifest, files, name, first, found);
  let events = 0;
  if (!damaged || files.has(name)) events = await checkEvents(files.get(name), kind, blocks, first, last, found);
  found.sort((one, other) => one.position - other.position);
  const heldTo = Math.max(signedTo, newest ? newest.seal.get("last_position") : 0);
  const verdict = found.length ? "altered" : heldTo >= Math.max(first, 1) ? "held" : "consistent";
  return {
    kind: "export", manifest, verdict, findings: found, events, first, last, newest,
    heldTo: Math.min(heldTo, last), key: signedTo >= Math.max(first, 1) ? lastKey(blocks) : null,
    head: blocks.length ? blocks[blocks.length - 1] : null,
    losses: blocks.filter((block) => block.seal.get("change") === "lost"),
    books: kind === "beancount",
  };
}

const lastKey = (blocks) => blocks[blocks.length - 1].seal.get("public_key");

async function blockOf(document) {
  fieldsOf(document, BLOCK_FIELDS, "a block of the manifest", ["previous_signature"]);
  const seal = fieldsOf(document.get("seal"), SEAL_FIELDS, "a seal", OPTIONAL_SEAL_FIELDS);
  for (const name of ["number", "first_position", "last_position"]) wholeOf(seal.get(name), name);
  for (const name of ["root", "previous_hash"]) hexOf(seal.get(name), 32);
  const hash = await hashOf(seal);
  if (hash !== document.get("hash")) {
    throw new Fails(`the hash of seal ${seal.get("number")} is not that of its content: the manifest was changed`);
  }
  const leaves = (name) => listOf(document.get(name), name).map((leaf) => hexOf(leaf, 32));
  return {
    seal, hash, signature: document.get("signature"),
    previousSignature: document.get("previous_signature") ?? null,
    before: leaves("leaves_before"), after: leaves("leaves_after"),
    events: seal.get("last_position") - seal.get("first_position") + 1,
  };
}

/** The newest head that is one of the seals; what does not fit is found. */
function againstHeads(kept, blocks, first, last, found) {
  if (!kept.length) return null;
  const hashes = new Map(blocks.map((block) => [block.seal.get("number"), block.hash]));
  const end = blocks.length ? blocks[blocks.length - 1].seal.get("last_position") : -1;
  const matching = kept.filter(({ seal }) => hashes.has(seal.get("number")) ||
    (first <= seal.get("last_position") && seal.get("last_position") <= end));
  if (!matching.length) {
    const { seal } = kept[kept.length - 1];
    throw new SaysNothing(`no head that was kept is in the export; the newest is seal ${seal.get("number")} ` +
      `up to position ${seal.get("last_position")}. Export a range with that position`);
  }
  let newest = null;
  for (const head of matching) {
    if (hashes.get(head.seal.get("number")) === head.hash) { newest = head; continue; }
    const agreed = newest ? newest.seal.get("last_position") : 0;
    found.push({
      position: Math.max(agreed + 1, first), kind: "re-sealed",
      what: `seal ${head.seal.get("number")} up to position ${head.seal.get("last_position")} is not the one that was kept outside`,
    });
    break;
  }
  return newest;
}

/** Checks each seal, its place and its key; returns the last position that a key vouches for. */
async function checkSeals(blocks, keys, kept, found) {
  const known = new Set(keys);
  const met = new Set();
  const inForce = [];
  let [signedTo, unknown, journal, before] = [0, null, 0, null];
  const say = (block, kind, what) => found.push({
    position: block.seal.get("first_position"), kind, what: `seal ${block.seal.get("number")} ${what}`,
  });
  for (const block of blocks) {
    const { seal } = block;
    checkPlace(block, before, say);
    if (seal.has("journal_last")) {
      if (seal.get("journal_last") < journal) say(block, "re-sealed", "stands for fewer records than the ones before did");
      journal = Math.max(journal, seal.get("journal_last") ?? 0);
    }
    await checkKey(block, { known, met, inForce, whole: blocks[0].seal.get("number") === 1 }, say);
    const key = seal.get("public_key");
    if (keys.length && key !== null) {
      if (known.has(key)) [signedTo, unknown] = [seal.get("last_position"), null];
      else unknown ??= block;
      if (kept && block.hash === kept.hash) {
        known.add(key);
        met.add(key);
        [signedTo, unknown] = [seal.get("last_position"), null];
      }
    }
    before = block;
  }
  if (keys.length && blocks.length) {
    if (before.seal.get("public_key") === null) say(before, "re-sealed", "is not signed, though a public key was given");
    else if (unknown) say(unknown, "re-sealed", unknown.seal.get("change") === "lost"
      ? `states that key ${unknown.seal.get("previous_key")} was lost; nobody vouches for the one that follows`
      : `is signed with key ${unknown.seal.get("public_key")}, not with one that was given`);
    for (const key of keys) {
      if (!met.has(key)) say(blocks[0], "re-sealed", `and those after it should be signed with key ${key}, which signs none of them`);
    }
  }
  return signedTo;
}

function checkPlace(block, before, say) {
  const { seal } = block;
  const number = seal.get("number");
  if (before === null) {
    if (number === 1 && (seal.get("previous_hash") !== NO_HASH || seal.get("first_position") !== 1)) {
      say(block, "re-sealed", "is not the first of a log");
    }
  } else if (number !== before.seal.get("number") + 1) {
    say(block, "removed", `follows seal ${before.seal.get("number")}: one is missing`);
  } else if (seal.get("first_position") !== before.seal.get("last_position") + 1) {
    say(block, "changed", `does not begin after position ${before.seal.get("last_position")}`);
  } else if (seal.get("previous_hash") !== before.hash) {
    say(before, "re-sealed", "is not the one that the next seal was made upon");
  }
  if (seal.get("format") !== SEAL_FORMAT) say(block, "changed", "has another format");
  if (block.events < 0 || (seal.has("change") && block.events)) {
    say(block, "changed", "has a number of events that it cannot have");
  }
}

async function checkKey(block, { known, met, inForce, whole }, say) {
  const { seal, signature, previousSignature } = block;
  const key = seal.get("public_key");
  const holds = key === null || signature === null
    ? key === null && signature === null : await isSigned(seal, signature, key);
  if (!holds) say(block, "re-sealed", "has a signature that is not its key's");
  let before = inForce.length ? inForce[inForce.length - 1] : null;
  if (seal.has("change")) {
    const previous = seal.get("previous_key");
    if (before === null && !whole) before = previous;
    if (previous === null || previous !== before) say(block, "re-sealed", "states a change from a key that was not in force");
    if (key === null || key === before || inForce.includes(key)) {
      say(block, "re-sealed", "states a change to a key that was in force before");
    }
    const rotated = seal.get("change") === "rotated" && previous !== null &&
      previousSignature !== null && await isSigned(seal, previousSignature, previous);
    if (seal.get("change") !== "lost" && !rotated) say(block, "re-sealed", "states a change of keys that the key before did not sign");
    else if (rotated && known.has(before)) known.add(key);
    if (before !== null) met.add(before);
  } else if (key === null) {
    if (before !== null) say(block, "re-sealed", "is not signed, though earlier ones are");
  } else if (before !== null && key !== before) {
    say(block, "re-sealed", `is signed with key ${key}, though ${before} was in force and no seal states a change`);
  }
  if (key !== null) {
    met.add(key);
    if (!inForce.includes(key)) inForce.push(key);
  }
}

function checkCounts(manifest, blocks, first, last, found) {
  const end = blocks.length ? Math.min(blocks[blocks.length - 1].seal.get("last_position"), last) : first - 1;
  const begin = blocks.length ? blocks[0].seal : null;
  const fits = manifest.get("events") === last - first + 1 && manifest.get("unsealed_events") === last - end &&
    (!begin || (begin.get("first_position") <= first && first <= begin.get("last_position")));
  if (!fits) found.push({ position: first, kind: "changed", what: "positions and counts of the manifest do not fit its seals" });
}

/** Whether a file of the manifest is missing or another one. */
async function checkFiles(manifest, files, name, first, found) {
  const listed = listOf(manifest.get("files"), "files");
  const expected = manifest.get("file_format") === "beancount" ? [name, "ledger.beancount"] : [name];
  if (listed.map((file) => file.get("name")).join() !== expected.join()) {
    throw new Fails(`the manifest names other files than ${expected.join(" and ")}`);
  }
  let damaged = false;
  for (const file of listed) {
    const given = files.get(file.get("name"));
    if (!given) throw new SaysNothing(`${file.get("name")} is missing: drop all files of the export together`);
    const bytes = new Uint8Array(await given.arrayBuffer());
    if (bytes.length !== file.get("bytes") || inHex(await sha256(bytes)) !== file.get("sha256")) {
      damaged = true;
      found.push({ position: first, kind: "changed", what: `${file.get("name")} is not the file of the manifest: its size or hash differs` });
    }
  }
  return damaged;
}

async function checkEvents(file, kind, blocks, first, last, found) {
  const pending = blocks.filter((block) => block.events > 0);
  let block = pending.shift() ?? null;
  let leaves = block ? [...block.before] : [];
  let expected = first;
  for await (const event of kind === "csv" ? eventsOfCsv(file) : eventsOfLines(file)) {
    fieldsOf(event, EVENT_FIELDS, "an event of the file");
    const position = wholeOf(event.get("position"), "a position");
    if (position !== expected) {
      found.push(position > expected
        ? { position: expected, kind: "removed", what: `position ${position} follows ${expected - 1}` }
        : { position: expected, kind: "inserted", what: `position ${position} comes again after ${expected - 1}` });
      return expected - first;
    }
    expected++;
    if (block === null) continue;
    leaves.push(leafOf(event));
    if (position === block.seal.get("last_position") || position === last) {
      if (inHex(await rootOf(await Promise.all([...leaves, ...block.after]))) !== block.seal.get("root")) {
        const begin = Math.max(block.seal.get("first_position"), first);
        found.push({ position: begin, kind: "changed", what: `the events ${begin}-${position} do not hash to the root of seal ${block.seal.get("number")}` });
      }
      block = pending.shift() ?? null;
      leaves = [];
    }
  }
  if (expected <= last) found.push({ position: expected, kind: "truncated", what: `the file ends before position ${expected}, the manifest at ${last}` });
  else if (expected > last + 1) found.push({ position: last + 1, kind: "inserted", what: "the file has more events than the manifest says" });
  return expected - first;
}

async function* eventsOfLines(file) {
  const reader = file.stream().pipeThrough(new TextDecoderStream("utf-8", { fatal: true, ignoreBOM: true })).getReader();
  let rest = "";
  for (;;) {
    let part;
    try { part = await reader.read(); } catch { throw new Fails("the events are not text in UTF-8"); }
    const lines = (rest + (part.value ?? "")).split("\n");
    rest = lines.pop();
    for (const line of lines) yield readJson(line);
    if (part.done) break;
  }
  if (rest) yield readJson(rest);
}

async function* eventsOfCsv(file) {
  const text = textOf(new Uint8Array(await file.arrayBuffer()));
  let header = null;
  for (const row of rowsOfCsv(text)) {
    if (header === null) { header = row; continue; }
    if (row.length !== header.length) throw new Fails("a row of the CSV has another number of cells");
    yield new Map(header.map((name, at) => [name, ofCell(name, row[at])]));
  }
}

function ofCell(name, text) {
  if (name === "event_data" || name === "metadata") return readJson(text);
  if (name !== "position" && name !== "event_version") return text || null;
  if (!/^-?[0-9]+$/.test(text)) throw new Fails(`${name} is ${JSON.stringify(text)}, which is no integer`);
  return Number(text);
}

function* rowsOfCsv(text) {
  let [row, at] = [[], 0];
  while (at < text.length) {
    let cell = "";
    if (text[at] === '"') {
      for (at++; ; at += 2) {
        const end = text.indexOf('"', at);
        if (end < 0) throw new Fails("a cell of the CSV does not end");
        cell += text.slice(at, end);
        at = end;
        if (text[at + 1] !== '"') break;
        cell += '"';
      }
      at++;
    } else {
      const bare = /[^,\n]*/y;
      bare.lastIndex = at;
      cell = bare.exec(text)[0];
      at += cell.length;
    }
    row.push(cell);
    if (text[at] === ",") { at++; continue; }
    if (at < text.length && text[at] !== "\n") throw new Fails("a row of the CSV does not end");
    at++;
    yield row;
    row = [];
  }
}

// --- the verdict ----------------------------------------------------------------------------------

/** What was dropped, judged by keys (hex) and heads (documents). Never throws for what is in it. */
async function judge(files, keys, heads) {
  try {
    const byName = new Map(files.map((file) => [file.name, file]));
    const manifest = byName.get("manifest.json");
    if (manifest) {
      const document = readJson(textOf(new Uint8Array(await manifest.arrayBuffer())));
      return await checkExport(document, byName, keys, heads);
    }
    if (files.length !== 1) throw new SaysNothing("drop one proof, or all files of one export");
    const document = readJson(textOf(new Uint8Array(await files[0].arrayBuffer())));
    return { findings: [], ...await checkProof(document, keys, heads) };
  } catch (error) {
    if (error instanceof Fails) return { verdict: "altered", findings: [], reason: error.message };
    if (error instanceof SaysNothing) return { verdict: "unjudged", findings: [], reason: error.message };
    throw error;
  }
}
