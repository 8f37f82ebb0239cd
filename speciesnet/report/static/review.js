"use strict";

// Confirming and correcting. What a person says waits in this browser until the server has it.

const WAITING = `speciesnet-review ${location.pathname.replace(/[^/]*$/, "")}`;
const MAX_CHOICES = 12;
const MAX_BATCH = 1000; // what the server takes at once
const RETRY_MS = 2000;
const NEWS_MS = 3000; // how often to ask what other tabs have said
const TIMEOUT_MS = 10000;

const species = document.getElementById("species");
const choices = document.getElementById("choices");
const whole = document.getElementById("whole");
const saved = document.getElementById("saved");
const confirmButton = document.getElementById("confirm");

let waiting = load(); // what the server does not have yet, in order
let most = MAX_BATCH; // of them in one request
let isSending = false;
let canKeep = true; // whether this browser keeps what waits
let saves = 0; // requests that the server has carried out
let problem = "";
let refused = false; // whether the problem is of an answer that no longer waits
let heard = SURVEY.news.count; // how many of the server's news this tab has
let epoch = SURVEY.news.epoch; // of the server; another one has its news from the start
let recent = []; // labels, the last one first
let current = null; // the picture in the viewer
const undone = []; // what each thing that was said replaced: pairs of picture and label
let chosen = 0; // of the choices

const NUMBERS = new Map(SURVEY.labels.map((label, number) => [label.text, number]));

// --- What was said, kept until it is saved ---------------------------------------------------

// Each answer has an entry of its own: other tabs write at the same time.
function entryOf(item) {
  return `${WAITING} ${item.id}`;
}

/** What waits in this browser, of all tabs, in the order in which it was said. */
function load() {
  try {
    const entries = Object.keys(localStorage).filter((key) => key.startsWith(`${WAITING} `));
    const items = entries.map((key) => JSON.parse(localStorage.getItem(key))).filter(Boolean);
    return items.sort((a, b) => a.at - b.at || a.count - b.count);
  } catch {
    return [];
  }
}

/** Writes down what is said; false where this browser keeps nothing, and it is in this tab only. */
function keep(items) {
  try {
    for (const item of items) localStorage.setItem(entryOf(item), JSON.stringify(item));
    return true;
  } catch {
    return false;
  }
}

function forget(items) {
  for (const item of items) localStorage.removeItem(entryOf(item));
}

function tell() {
  const count = waiting.length;
  saved.textContent = problem || (count ? `Not saved yet: ${count}` : "All saved");
  saved.className = problem ? "problem" : count ? "waiting" : "";
}

/** Says what pictures show, by pairs of picture and label; -1 takes back. */
function say(changes) {
  const at = Date.now();
  const items = changes.map(([picture, label], count) => {
    picture.said = label;
    const text = label < 0 ? null : SURVEY.labels[label].text;
    const id = `${at}-${Math.random()}`;
    return { position: picture.position, path: pathOf(picture), label: text, id, at, count };
  });
  canKeep = keep(items);
  waiting.push(...items);
  problem = "";
  refused = false;
  tell();
  send();
}

async function send() {
  if (isSending) return;
  // What another tab has saved meanwhile is not said once more: something later may have been.
  if (canKeep) waiting = waiting.filter((item) => localStorage.getItem(entryOf(item)) !== null);
  if (!waiting.length) {
    if (!refused) problem = "";
    tell();
    return;
  }
  isSending = true;
  const batch = waiting.slice(0, most);
  let done = [];
  let isSoon = true; // whether to go on at once
  try {
    const answer = await fetch("corrections", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ items: batch }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (answer.ok) {
      done = batch;
      saves += 1;
      if (!refused) problem = "";
    } else {
      const { error } = await answer.json().catch(() => ({ error: `error ${answer.status}` }));
      problem = `Not saved: ${error}`;
      if (answer.status === 400 && batch.length > 1) most = 1; // one of them will never be taken
      else if (answer.status === 400) {
        done = batch;
        refused = true;
        heard = 0; // what the server holds instead
      } else isSoon = false;
    }
  } catch {
    isSoon = false;
    problem = `No connection; not saved yet: ${waiting.length}. Trying again…`;
  }
  isSending = false;
  waiting = waiting.slice(done.length);
  if (!waiting.length) most = MAX_BATCH;
  if (canKeep) forget(done);
  tell();
  if (waiting.length) setTimeout(send, isSoon ? 0 : RETRY_MS);
}

async function hearNews() {
  const before = saves;
  try {
    const answer = await fetch(`corrections?after=${heard}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) return;
    const news = await answer.json();
    if (saves !== before) return; // they may be older than what was saved meanwhile
    if (news.epoch !== epoch) heard = 0; // the server began anew: hear all again
    else take(news);
    epoch = news.epoch;
  } catch {
    // the next time
  }
}

function take(news) {
  if (pictures.length < SURVEY.total) return; // the pictures are still loading
  const unsent = new Set(waiting.map((item) => item.position));
  let isNew = news.items.length > 0;
  // The first news tell of all that was ever said: what is not among it has been taken back.
  for (const picture of heard === 0 ? pictures : []) {
    if (picture.said < 0 || unsent.has(picture.position)) continue;
    picture.said = -1;
    isNew = true;
  }
  for (const { position, label, sequence, together, score } of news.items) {
    const picture = pictures[position];
    if (!unsent.has(position)) picture.said = label === null ? -1 : (NUMBERS.get(label) ?? -1);
    for (const member of sequences.get(sequence) ?? []) {
      member.together = NUMBERS.get(together) ?? -1;
      member.togetherScore = score;
    }
  }
  heard = news.count;
  if (!isNew) return;
  if (viewer.open) refresh();
  else update();
}

// --- The panel beside the picture ------------------------------------------------------------

function targets() {
  return whole.checked ? membersOf(current) : [current];
}

function answerToConfirm() {
  return whole.checked && current.together >= 0 ? current.together : answerOf(current);
}

function refresh() {
  if (!current) return;
  document.getElementById("facts").replaceChildren(...factsOf(current, photographOf(current)));
  const label = answerToConfirm();
  confirmButton.disabled = label < 0;
  confirmButton.textContent = label < 0 ? "Nothing to confirm" : `✓ ${confirmText(confirmations())}`;
  document.getElementById("take-back").disabled = targets().every((picture) => picture.said < 0);
  whole.closest("label").hidden = membersOf(current).length < 2;
  document.getElementById("recent").replaceChildren(
    ...recent.map((number, i) =>
      make("li", {}, make("button", { type: "button", onclick: () => correct(number) }, make("kbd", {}, i + 1), ` ${nameOf(number)}`)),
    ),
  );
}

/** What confirming says: in a sequence, images that are answered blank stay so. */
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

function decide(changes, label) {
  recent = [label, ...recent.filter((other) => other !== label)].slice(0, 9);
  undone.push(changes.map(([picture]) => [picture, picture.said]));
  say(changes);
  goOn(changes.map(([picture]) => picture));
}

function correct(label) {
  decide(targets().map((picture) => [picture, label]), label);
}

function goOn(members) {
  const done = new Set(members);
  let next = open + 1;
  while (next < shown.length && done.has(shown[next])) next++;
  if (next < shown.length) show(next);
  else refresh();
}

/** Takes back what is said of these pictures. */
function takeBack() {
  const changes = targets().filter((picture) => picture.said >= 0).map((picture) => [picture, -1]);
  undone.push(changes.map(([picture]) => [picture, picture.said]));
  say(changes);
  refresh();
}

/** Undoes what was said last, and goes there. */
function undo() {
  const changes = undone.pop();
  if (!changes) return;
  say(changes);
  const position = shown.indexOf(changes[0][0]);
  if (position >= 0) show(position);
  else refresh();
}

document.addEventListener("picture-shown", (event) => {
  current = event.detail;
  closeChoices();
  refresh();
});
cardList.addEventListener("click", () => {
  if (question().get("group") === "1") whole.checked = true; // what was opened is a sequence
  refresh();
});
document.addEventListener("pictures-loaded", () => {
  for (const item of waiting) {
    const picture = pictures[item.position];
    if (picture) picture.said = item.label === null ? -1 : (NUMBERS.get(item.label) ?? -1);
  }
});
confirmButton.addEventListener("click", () => decide(confirmations(), answerToConfirm()));
document.getElementById("take-back").addEventListener("click", takeBack);
whole.addEventListener("change", refresh);

// --- Finding a species -----------------------------------------------------------------------

/** How well a label fits what was typed: less is better, Infinity is not at all. */
function fit(label, words) {
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

/** Without accents, which not every keyboard has. */
function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function search(text) {
  const words = plain(text).split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return SURVEY.labels
    .map((label, number) => ({ number, how: fit(label, words), length: label.name.length }))
    .filter(({ how }) => how < Infinity)
    .sort((a, b) => a.how - b.how || a.length - b.length)
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
  if (species.value && !numbers.length) choices.append(make("li", { class: "none" }, "The model knows no such name."));
  choices.hidden = !species.value;
  species.setAttribute("aria-expanded", String(!choices.hidden));
  mark();
}

function closeChoices() {
  species.value = "";
  choices.hidden = true;
  species.setAttribute("aria-expanded", "false");
}

function mark() {
  const options = [...choices.querySelectorAll("[role=option]")];
  options.forEach((option, i) => option.setAttribute("aria-selected", String(i === chosen)));
  species.setAttribute("aria-activedescendant", options.length ? `choice-${chosen}` : "");
  options[chosen]?.scrollIntoView({ block: "nearest" });
}

function choose(i) {
  const option = document.getElementById(`choice-${i}`);
  if (!option || choices.hidden) return;
  species.blur();
  correct(Number(option.dataset.label));
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
  mark();
});

document.addEventListener("keydown", (event) => {
  if (!viewer.open || isTyping(event) || help.open) return;
  const key = event.key;
  if (key === "Enter" && !event.target.closest("#review button, #close, a")) confirmButton.click();
  else if (key === "c") species.focus();
  else if (key === "u") undo();
  else if (key === "s" && !whole.closest("label").hidden) whole.click();
  else if (/^[1-9]$/.test(key) && recent[key - 1] !== undefined) correct(recent[key - 1]);
  else return;
  event.preventDefault();
});
addEventListener("beforeunload", (event) => {
  if (waiting.length) event.preventDefault();
});

tell();
send();
hearNews();
setInterval(hearNews, NEWS_MS);
