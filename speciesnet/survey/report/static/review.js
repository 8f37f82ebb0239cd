"use strict";

// Confirming and correcting. Corrections wait in this browser until the server has saved them.

const STORAGE_KEY = `speciesnet-review ${location.pathname.replace(/[^/]*$/, "")}`;
const MAX_CHOICES = 12;
const MAX_BATCH = 1000; // corrections in one request, the server's limit
const RETRY_MS = 2000;
const POLL_MS = 3000; // between requests for the corrections of other tabs
const TIMEOUT_MS = 10000;

const species = document.getElementById("species");
const choices = document.getElementById("choices");
const whole = document.getElementById("whole");
const saved = document.getElementById("saved");
const confirmButton = document.getElementById("confirm");
const withdrawButton = document.getElementById("withdraw");

let pending = loadStored(); // corrections that the server has not saved yet, oldest first
let batchSize = MAX_BATCH;
let isSending = false;
let canStore = true; // whether this browser stores the pending corrections
let saves = 0; // requests that the server has carried out
let problem = "";
let isRejected = false; // whether the problem is a rejected correction, which is no longer pending
let seen = SURVEY.cursor.count; // the number of the server's changes that this tab has applied
let epoch = SURVEY.cursor.epoch; // identifies the server process; a new one counts from 0
let recent = []; // labels, the most recent first
let current = null; // the picture in the viewer
const NO_CORRECTION = { label: -1, boxes: [], counts: null };
const undoSteps = []; // lists of pairs of a picture and its correction before the step, see correctionOf
let chosen = 0; // the selected choice

const NUMBERS = new Map(SURVEY.labels.map((label, number) => [label.text, number]));

/** The number of a label's text; -1 for null, which withdraws a correction. */
function numberOf(text) {
  return NUMBERS.get(text) ?? -1;
}

// --- Corrections, stored until they are saved ------------------------------------------------

// Each correction has its own entry, because other tabs write at the same time.
function entryOf(item) {
  return `${STORAGE_KEY} ${item.id}`;
}

/** The stored corrections of all tabs, oldest first. */
function loadStored() {
  try {
    const entries = Object.keys(localStorage).filter((key) => key.startsWith(`${STORAGE_KEY} `));
    const items = entries.map((key) => JSON.parse(localStorage.getItem(key))).filter(Boolean);
    return items.sort((a, b) => a.at - b.at || a.count - b.count);
  } catch {
    return [];
  }
}

/** Stores corrections; false if this browser stores nothing, so that only this tab has them. */
function store(items) {
  try {
    for (const item of items) localStorage.setItem(entryOf(item), JSON.stringify(item));
    // An entry that did not arrive would look like one that another tab has saved.
    return items.every((item) => localStorage.getItem(entryOf(item)) !== null);
  } catch {
    return false;
  }
}

/** A correction as the server takes it, with the texts of labels instead of their numbers. */
function asJson({ label, boxes, counts }) {
  const textOf = (number) => SURVEY.labels[number]?.text ?? null;
  const item = { label: textOf(label) };
  if (boxes.length) item.boxes = boxes.map(({ bbox, label }) => ({ bbox, label: textOf(label) }));
  if (counts) item.counts = Object.fromEntries(counts.map(([number, count]) => [textOf(number), count]));
  return item;
}

/** The correction in an item of this page or of the server. */
function fromJson({ label, boxes, counts }) {
  return {
    label: numberOf(label),
    boxes: (boxes ?? []).map(({ bbox, label }) => ({ bbox, label: numberOf(label) })),
    counts: counts ? Object.entries(counts).map(([text, count]) => [numberOf(text), count]) : null,
  };
}

function removeStored(items) {
  for (const item of items) localStorage.removeItem(entryOf(item));
}

function showStatus() {
  const count = pending.length;
  saved.textContent = problem || (count ? `Not saved yet: ${count}` : "All saved");
  saved.className = problem ? "problem" : count ? "waiting" : "";
}

/** Corrects pictures and saves it. Takes pairs of a picture and its correction, see correctionOf. */
function save(changes) {
  const at = Date.now();
  const items = changes.map(([picture, correction], count) => {
    setCorrection(picture, correction);
    const id = `${at}-${Math.random()}`;
    return { position: picture.position, path: pathOf(picture), ...asJson(correction), id, at, count };
  });
  canStore = store(items);
  pending.push(...items);
  problem = "";
  isRejected = false;
  showStatus();
  send();
}

async function send() {
  if (isSending) return;
  // Do not repeat what another tab has saved: a later correction may have followed it.
  if (canStore) pending = pending.filter((item) => localStorage.getItem(entryOf(item)) !== null);
  if (!pending.length) {
    if (!isRejected) problem = "";
    showStatus();
    return;
  }
  isSending = true;
  const batch = pending.slice(0, batchSize);
  let done = [];
  let delay = 0; // before the next request
  try {
    const response = await fetch("corrections", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ items: batch }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.ok) {
      done = batch;
      saves += 1;
      if (!isRejected) problem = "";
    } else {
      const { error } = await response.json().catch(() => ({ error: `error ${response.status}` }));
      problem = `Not saved: ${error}`;
      if (response.status !== 400) delay = RETRY_MS;
      else if (batch.length > 1) batchSize = 1; // to find the one that is invalid
      else {
        done = batch;
        isRejected = true;
        seen = 0; // load what the server has instead
      }
    }
  } catch {
    delay = RETRY_MS;
    problem = `No connection. Not saved yet: ${pending.length}. Trying again…`;
  }
  isSending = false;
  pending = pending.slice(done.length);
  if (!pending.length) batchSize = MAX_BATCH;
  if (canStore) removeStored(done);
  showStatus();
  if (pending.length) setTimeout(send, delay);
}

/** Asks the server for the corrections of other tabs. */
async function poll() {
  const before = saves;
  try {
    const response = await fetch(`corrections?after=${seen}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) return;
    const changes = await response.json();
    if (saves !== before) return; // the response may be older than the corrections saved meanwhile
    if (changes.epoch !== epoch) seen = 0; // the server has restarted: load all again
    else apply(changes);
    epoch = changes.epoch;
  } catch {
    // the next request may succeed
  }
}

function apply(changes) {
  if (pictures.length < SURVEY.total) return; // the pictures are still loading
  const unsent = new Set(pending.map((item) => item.position));
  let isNew = changes.items.length > 0;
  // The first response contains every correction: others have been withdrawn.
  for (const picture of seen === 0 ? pictures : []) {
    if (!isReviewed(picture) || unsent.has(picture.position)) continue;
    setCorrection(picture, NO_CORRECTION);
    isNew = true;
  }
  for (const item of changes.items) {
    const { position, sequence, sequenceLabel, sequenceScore } = item;
    if (!unsent.has(position)) setCorrection(pictures[position], fromJson(item));
    for (const member of sequences.get(sequence) ?? []) {
      member.sequenceLabel = numberOf(sequenceLabel);
      member.sequenceScore = sequenceScore;
    }
  }
  seen = changes.count;
  if (!isNew) return;
  if (viewer.open) refresh();
  else update();
}

// --- The panel next to the picture -----------------------------------------------------------

function targets() {
  return whole.checked ? membersOf(current) : [current];
}

function answerToConfirm() {
  return whole.checked && current.sequenceLabel >= 0 ? current.sequenceLabel : answerOf(current);
}

function refresh() {
  if (!current) return;
  document.getElementById("facts").replaceChildren(...factsOf(current, photographOf(current)));
  refreshBoxes();
  const label = answerToConfirm();
  confirmButton.disabled = label < 0;
  confirmButton.textContent = label < 0 ? "Nothing to confirm" : `✓ ${confirmText(confirmations())}`;
  withdrawButton.disabled = !targets().some(isReviewed);
  whole.closest("label").hidden = membersOf(current).length < 2;
  document.getElementById("recent").replaceChildren(
    ...recent.map((number, i) =>
      make("li", {}, make("button", { type: "button", onclick: () => give(number) }, make("kbd", {}, i + 1), ` ${nameOf(number)}`)),
    ),
  );
}

/** The changes that confirming makes; in a sequence, blank images stay blank. */
function confirmations() {
  const label = answerToConfirm();
  const isBlank = (picture) => categoryOf(picture) === "blank" && answerOf(picture) >= 0;
  return targets().map((picture) => [picture, isBlank(picture) ? answerOf(picture) : label]);
}

function confirmText(changes) {
  if (changes.length === 1) return nameOf(changes[0][1]);
  const counts = new Map();
  for (const [, label] of changes) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (counts.size === 1) return `all ${changes.length}: ${nameOf(changes[0][1])}`;
  return [...counts].map(([label, count]) => `${count} ${nameOf(label)}`).join(", ");
}

/** Saves changes in a way that can be undone. */
function change(changes) {
  undoSteps.push(changes.map(([picture]) => [picture, correctionOf(picture)]));
  save(changes);
}

/** Keeps a label for the digit keys. */
function remember(label) {
  recent = [label, ...recent.filter((other) => other !== label)].slice(0, 9);
}

/** Saves pairs of a picture and its answer, and shows the next picture. */
function answer(changes, label) {
  remember(label);
  change(changes.map(([picture, label]) => [picture, withAnswer(picture, label)]));
  moveOn(changes.map(([picture]) => picture));
}

/** Gives a label to the box that is selected or being added, otherwise to the picture or its sequence. */
function give(label) {
  if (hasTarget()) answerBox(label);
  else answer(targets().map((picture) => [picture, label]), label);
}

function moveOn(members) {
  const done = new Set(members);
  let next = open + 1;
  while (next < shown.length && done.has(shown[next])) next++;
  if (next < shown.length) show(next);
  else refresh();
}

function withdraw() {
  change(targets().filter(isReviewed).map((picture) => [picture, NO_CORRECTION]));
  refresh();
}

/** Undoes the last change and shows its first picture. */
function undo() {
  const changes = undoSteps.pop();
  if (!changes) return;
  save(changes);
  const position = shown.indexOf(changes[0][0]);
  if (position >= 0) show(position);
  else refresh();
}

document.addEventListener("picture-shown", (event) => {
  current = event.detail;
  leaveBox();
  closeChoices();
  refresh();
});
cardList.addEventListener("click", () => {
  if (currentFilters().get("group") === "1") whole.checked = true; // the card is a sequence
  refresh();
});
document.addEventListener("pictures-loaded", () => {
  for (const item of pending) {
    if (pictures[item.position]) setCorrection(pictures[item.position], fromJson(item));
  }
});
confirmButton.addEventListener("click", () => answer(confirmations(), answerToConfirm()));
withdrawButton.addEventListener("click", withdraw);
whole.addEventListener("change", refresh);

// --- Finding a species -----------------------------------------------------------------------

/** The rank of a label among the search results, from 0; Infinity if it does not match. */
function rank(label, words) {
  const name = plain(label.name);
  const scientific = plain(label.scientific);
  const all = `${name} ${scientific} ${plain(label.taxa)}`;
  if (!words.every((word) => all.includes(word))) return Infinity;
  const [first] = words;
  if (name === words.join(" ")) return 0;
  if (name.startsWith(first)) return 1;
  if (scientific.startsWith(first)) return 2;
  if (name.split(/[\s-]/).some((part) => part.startsWith(first))) return 3;
  return name.includes(first) || scientific.includes(first) ? 4 : 5;
}

/** A text in lower case and without accents, which not every keyboard has. */
function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function search(text) {
  const words = plain(text).split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return SURVEY.labels
    .map((label, number) => ({ number, rank: rank(label, words), length: label.name.length }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank || a.length - b.length)
    .slice(0, MAX_CHOICES)
    .map(({ number }) => number);
}

function openChoices() {
  const numbers = search(species.value);
  chosen = 0;
  choices.replaceChildren(
    ...numbers.map((number, i) =>
      make(
        "li",
        { role: "option", id: `choice-${i}`, "data-label": number,
          onmousedown: (event) => { event.preventDefault(); choose(i); } },
        nameOf(number),
        make("i", {}, ` ${SURVEY.labels[number].scientific}`),
        make("small", {}, SURVEY.labels[number].taxa),
      ),
    ),
  );
  if (species.value && !numbers.length) choices.append(make("li", { class: "none" }, "No label matches."));
  choices.hidden = !species.value;
  species.setAttribute("aria-expanded", String(!choices.hidden));
  highlight();
}

function closeChoices() {
  species.value = "";
  choices.hidden = true;
  species.setAttribute("aria-expanded", "false");
}

function highlight() {
  const options = [...choices.querySelectorAll("[role=option]")];
  options.forEach((option, i) => option.setAttribute("aria-selected", String(i === chosen)));
  species.setAttribute("aria-activedescendant", options.length ? `choice-${chosen}` : "");
  options[chosen]?.scrollIntoView({ block: "nearest" });
}

function choose(i) {
  const option = document.getElementById(`choice-${i}`);
  if (!option || choices.hidden) return;
  species.blur();
  give(Number(option.dataset.label));
}

species.addEventListener("input", openChoices);
species.addEventListener("blur", closeChoices);
species.addEventListener("keydown", (event) => {
  const count = choices.querySelectorAll("[role=option]").length;
  if (event.key === "ArrowDown" && count) chosen = (chosen + 1) % count;
  else if (event.key === "ArrowUp" && count) chosen = (chosen + count - 1) % count;
  else if (event.key === "Enter") choose(chosen);
  else if (event.key === "Escape") species.blur();
  else return;
  event.preventDefault();
  event.stopPropagation();
  highlight();
});

document.addEventListener("keydown", (event) => {
  if (!viewer.open || isTyping(event) || help.open) return;
  const key = event.key;
  if (key === "Enter" && !event.target.closest("#review button, #close, a")) confirmButton.click();
  else if (key === "c") species.focus();
  else if (key === "u") undo();
  else if (key === "s" && !whole.closest("label").hidden) whole.click();
  else if (/^[1-9]$/.test(key) && recent[key - 1] !== undefined) give(recent[key - 1]);
  else return;
  event.preventDefault();
});
addEventListener("beforeunload", (event) => {
  if (pending.length) event.preventDefault();
});

showStatus();
send();
poll();
setInterval(poll, POLL_MS);
