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
let saves = 0; // requests that the server has carried out
let problem = "";
let refused = false; // whether the problem is of an answer that no longer waits
let heard = 0; // how many of the server's news this tab has
let epoch = null; // of the server; another one has its news from the start
let recent = []; // labels, the last one first
let current = null; // the picture in the viewer
let last = []; // the pictures that something was said of last
let chosen = 0; // of the choices

const NUMBERS = new Map(SURVEY.labels.map((label, number) => [label.text, number]));

// --- What was said, kept until it is saved ---------------------------------------------------

function load() {
  try {
    return JSON.parse(localStorage.getItem(WAITING)) ?? [];
  } catch {
    return [];
  }
}

/** Writes down what waits, beside what waits in other tabs; `done` waits no longer. */
function keep(done = []) {
  const own = new Set([...waiting, ...done].map((item) => item.id));
  try {
    const others = load().filter((item) => !own.has(item.id));
    localStorage.setItem(WAITING, JSON.stringify([...others, ...waiting]));
  } catch {
    // it is still in this tab
  }
  const count = waiting.length;
  saved.textContent = problem || (count ? `Not saved yet: ${count}` : "All saved");
  saved.className = problem ? "problem" : count ? "waiting" : "";
}

/** Says that pictures show a label; null takes back. */
function say(members, label) {
  const text = label === null ? null : SURVEY.labels[label].text;
  for (const picture of members) {
    picture.said = label ?? -1;
    const id = `${Date.now()}-${Math.random()}`;
    waiting.push({ position: picture.position, file: picture.file, label: text, id });
  }
  problem = "";
  refused = false;
  keep();
  send();
}

async function send() {
  if (isSending || !waiting.length) return;
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
      } else isSoon = false;
    }
  } catch {
    isSoon = false;
    problem = `No connection; not saved yet: ${waiting.length}. Trying again…`;
  }
  isSending = false;
  waiting = waiting.slice(done.length);
  if (!waiting.length) most = MAX_BATCH;
  keep(done);
  if (waiting.length) setTimeout(send, isSoon ? 0 : RETRY_MS);
}

async function hearNews() {
  const before = saves;
  try {
    const answer = await fetch(`corrections?after=${heard}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) return;
    const news = await answer.json();
    if (saves !== before) return; // they may be older than what was saved meanwhile
    if (epoch !== null && news.epoch !== epoch) heard = 0; // the server began anew: hear all again
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
    for (const member of membersIn(sequence)) {
      member.together = NUMBERS.get(together) ?? -1;
      member.togetherScore = score;
    }
  }
  heard = news.count;
  if (!isNew) return;
  if (viewer.open) refresh();
  else update();
}

function membersIn(sequence) {
  return sequence < 0 ? [] : pictures.filter((picture) => picture.sequence === sequence);
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
  const count = targets().length;
  confirmButton.disabled = label < 0;
  const many = count > 1 ? `all ${count}: ` : "";
  confirmButton.textContent = label < 0 ? "Nothing to confirm" : `✓ ${many}${nameOf(label)}`;
  const isSaid = (picture) => picture.said >= 0;
  document.getElementById("take-back").disabled = ![...targets(), ...last].some(isSaid);
  whole.closest("label").hidden = membersOf(current).length < 2;
  document.getElementById("recent").replaceChildren(
    ...recent.map((number, i) =>
      make("li", {}, make("button", { type: "button", onclick: () => decide(number) }, make("kbd", {}, i + 1), ` ${nameOf(number)}`)),
    ),
  );
}

function decide(label) {
  recent = [label, ...recent.filter((other) => other !== label)].slice(0, 9);
  const members = targets();
  say(members, label);
  last = members;
  goOn(members);
}

function goOn(members) {
  const done = new Set(members);
  let next = open + 1;
  while (next < shown.length && done.has(shown[next])) next++;
  if (next < shown.length) show(next);
  else refresh();
}

/** Takes back what is said of this picture, or else what was said last, and goes there. */
function takeBack() {
  let members = targets().filter((picture) => picture.said >= 0);
  if (!members.length) members = last.filter((picture) => picture.said >= 0);
  if (!members.length) return;
  say(members, null);
  last = [];
  if (members.includes(current)) refresh();
  else show(shown.indexOf(members[0]));
}

document.addEventListener("picture-shown", (event) => {
  current = event.detail;
  closeChoices();
  if (membersOf(current).length < 2) whole.checked = false;
  refresh();
});
document.addEventListener("pictures-loaded", () => {
  for (const item of waiting) {
    const picture = pictures[item.position];
    if (picture) picture.said = item.label === null ? -1 : (NUMBERS.get(item.label) ?? -1);
  }
});
confirmButton.addEventListener("click", () => decide(answerToConfirm()));
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
  decide(Number(option.dataset.label));
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
  if (key === "Enter" && !event.target.closest("button, a, summary")) confirmButton.click();
  else if (key === "c") species.focus();
  else if (key === "u") takeBack();
  else if (key === "s" && !whole.closest("label").hidden) whole.click();
  else if (/^[1-9]$/.test(key) && recent[key - 1] !== undefined) decide(recent[key - 1]);
  else return;
  event.preventDefault();
});
addEventListener("beforeunload", (event) => {
  if (waiting.length) event.preventDefault();
});

keep();
send();
hearNews();
setInterval(hearNews, NEWS_MS);
