"use strict";

// The pictures of the survey, loaded in chunks. SURVEY is defined in data/survey.js.

const pictures = [];
const sequences = new Map(); // the pictures of each sequence that has more than one, by number

/** Adds the pictures of one chunk; the chunk's script calls it. */
function addPictures(chunk, columns, rows) {
  const start = chunk * SURVEY.chunkSize;
  rows.forEach((row, i) => {
    const picture = { position: start + i };
    columns.forEach((name, column) => (picture[name] = row[column]));
    const boxes = picture.corrected?.boxes ?? []; // most surveys have no such column
    picture.boxAnswers = boxes.map(([x, y, w, h, label]) => ({ bbox: [x, y, w, h], label }));
    picture.counts = picture.corrected?.counts ?? null;
    pictures[start + i] = picture;
    if (picture.sequence < 0) return;
    if (!sequences.has(picture.sequence)) sequences.set(picture.sequence, []);
    sequences.get(picture.sequence).push(picture);
  });
}

/** Loads one chunk after another and calls `onChunk` after each. */
async function loadPictures(onChunk) {
  for (let chunk = 0; chunk < SURVEY.chunks; chunk++) {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/pictures-${chunk}.js`;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${script.src} cannot be loaded`));
      document.head.append(script);
    });
    onChunk();
  }
}

/** The number of the corrected label, otherwise of the predicted one; -1 for a failure. */
function answerOf(picture) {
  if (picture.correction >= 0) return picture.correction;
  return picture.category === "failed" ? -1 : picture.label;
}

function isReviewed(picture) {
  return picture.correction >= 0 || picture.boxAnswers.length > 0 || picture.counts !== null;
}

function categoryOf(picture) {
  return picture.correction >= 0 ? SURVEY.labels[picture.correction].category : picture.category;
}

/** What identifies a label in an address; its number may differ in the next report. */
function keyOf(label) {
  if (typeof label === "string") return label;
  return label < 0 ? "" : SURVEY.labels[label].key;
}

function nameOf(label) {
  if (typeof label === "string") return label; // a kind without a label, see labelOfKind
  return label < 0 ? "no answer" : SURVEY.labels[label].name;
}

function answerText(picture) {
  const label = answerOf(picture);
  return label < 0 ? categoryOf(picture) : nameOf(label);
}

/** The names of the reasons to check a picture; none once it is reviewed. */
function checksOf(picture) {
  return isReviewed(picture) ? [] : picture.checks;
}

function pathOf(picture) {
  const folder = SURVEY.cameras[picture.camera].name;
  return folder ? `${folder}/${picture.file}` : picture.file;
}

/** The pictures of the same sequence, in chronological order. */
function membersOf(picture) {
  return picture.sequence < 0 ? [picture] : sequences.get(picture.sequence).toSorted(byTime);
}

function byTime(a, b) {
  return (a.taken ?? "~").localeCompare(b.taken ?? "~") || a.position - b.position;
}

/** The address of the photograph, or null if the page cannot show it. */
function photographOf(picture) {
  if (picture.isPrivate || (picture.problem && !picture.thumbnail)) return null;
  if (SURVEY.mode === "review") return `photo/${picture.position}.jpg`;
  const folder = SURVEY.cameras[picture.camera].url;
  try {
    return folder === null ? null : folder + encodeURIComponent(picture.file);
  } catch {
    return null; // the file name is not valid Unicode
  }
}

/** The address of a film, or null for a photograph and where the page cannot show it. */
function filmOf(picture) {
  if ((picture.film ?? null) === null) return null; // most surveys have no such column
  const address = photographOf(picture);
  return address && SURVEY.mode === "review" ? `film/${picture.position}` : address;
}

/** "1 image", "1,234 images". */
function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** Creates an element with attributes and children; strings become text, never HTML. */
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
