"use strict";

// The pictures of the survey, which arrive in pieces; SURVEY is in data/survey.js.

const pictures = [];
const sequences = new Map(); // the pictures of each that has more than one
const FIELD = Object.fromEntries(SURVEY.fields.map((name, number) => [name, number]));
const CHECK_NAMES = Object.keys(SURVEY.checks);

/** Called by the script of each piece. */
function addPictures(piece, rows) {
  const start = piece * SURVEY.chunkSize;
  rows.forEach((row, i) => {
    const picture = { position: start + i };
    for (const name of SURVEY.fields) picture[name] = row[FIELD[name]];
    pictures[start + i] = picture;
    if (picture.sequence < 0) return;
    if (!sequences.has(picture.sequence)) sequences.set(picture.sequence, []);
    sequences.get(picture.sequence).push(picture);
  });
}

/** Loads one piece after another; `arrived` is called after each. */
async function loadPictures(arrived) {
  for (let piece = 0; piece < SURVEY.chunks; piece++) {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/pictures-${piece}.js`;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${script.src} cannot be loaded`));
      document.head.append(script);
    });
    arrived(pictures.length, SURVEY.total);
  }
}

/** What a person said it is, or else what was predicted; -1 for a failure. */
function answerOf(picture) {
  if (picture.said >= 0) return picture.said;
  return categoryOf(picture) === "failed" ? -1 : picture.label;
}

function categoryOf(picture) {
  if (picture.said >= 0) return SURVEY.labels[picture.said].category;
  return SURVEY.categories[picture.category];
}

/** What stands for a label in an address: its number may be another one in the next report. */
function keyOf(label) {
  return label < 0 ? "" : SURVEY.labels[label].key;
}

function nameOf(label) {
  return label < 0 ? "no answer" : SURVEY.labels[label].name;
}

function answerText(picture) {
  if (categoryOf(picture) === "failed") return "failed";
  const label = answerOf(picture);
  return label < 0 ? categoryOf(picture) : nameOf(label);
}

function checksOf(picture) {
  if (picture.said >= 0) return [];
  return CHECK_NAMES.filter((_, bit) => picture.checks & (1 << bit));
}

function pathOf(picture) {
  const folder = SURVEY.cameras[picture.camera].name;
  return folder ? `${folder}/${picture.file}` : picture.file;
}

/** The pictures of the same sequence, in the order of time. */
function membersOf(picture) {
  return picture.sequence < 0 ? [picture] : sequences.get(picture.sequence).toSorted(byTime);
}

function byTime(a, b) {
  return (a.taken ?? "~").localeCompare(b.taken ?? "~") || a.position - b.position;
}

/** The address of the photograph itself, or null where the page cannot show it. */
function photographOf(picture) {
  if (picture.isPrivate || (picture.why && !picture.thumb)) return null;
  if (SURVEY.mode === "review") return `photo/${picture.position}.jpg`;
  const folder = SURVEY.cameras[picture.camera].url;
  try {
    return folder === null ? null : folder + encodeURIComponent(picture.file);
  } catch {
    return null; // a name that is no valid Unicode
  }
}

/** An element with attributes and children; text is always text, never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
