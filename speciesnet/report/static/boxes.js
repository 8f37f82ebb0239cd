"use strict";

// The boxes of a picture with their answers, and how many individuals it shows, after a review. The
// rules are those of box_corrections.py, corrections.py and counts.py in speciesnet/survey.

const COUNTED_FROM = 0.2; // the lowest confidence of boxes that count
const SAME_BOX = 1e-4; // sides that differ by less are the same
const KINDS = ["animal", "human", "vehicle"];
const kindLabels = new Map();

/** The correction of a picture: the label of its answer (-1: as predicted), its boxes and its counts. */
function correctionOf({ correction, boxAnswers, counts }) {
  return { label: correction, boxes: boxAnswers, counts };
}

function setCorrection(picture, { label, boxes, counts }) {
  picture.correction = label;
  picture.boxAnswers = boxes;
  picture.counts = counts;
  picture.derived = null;
}

/** What follows from the predictions and the correction of a picture, computed once. */
function derivedOf(picture) {
  if (!picture.derived) {
    const boxes = deriveBoxes(picture);
    const counts = deriveCounts(picture, boxes);
    const hasOwn = picture.counts !== null || boxes.some((box) => box.label >= 0);
    const answers = new Set([answerOf(picture), ...(hasOwn ? counts.keys() : [])]);
    picture.derived = { boxes, counts, answers: [...answers] };
  }
  return picture.derived;
}

/** The boxes: `number` (from 1), `kind`, `conf`, `bbox`, `label` (-1: no answer of its own), `score`. */
function boxesOf(picture) {
  return derivedOf(picture).boxes;
}

/** The number of individuals by label, the largest first. */
function countsOf(picture) {
  return derivedOf(picture).counts;
}

/** The answer of a picture, and those of its boxes if they have answers of their own. */
function answersOf(picture) {
  const isPlain = picture.boxAnswers.length === 0 && picture.counts === null;
  // Most surveys have no answers of boxes, and a filter asks for every picture.
  if (isPlain && picture.boxes.every((box) => box.length < 8)) return [answerOf(picture)];
  return derivedOf(picture).answers;
}

/** The categories of all answers of a picture. */
function categoriesOf(picture) {
  const others = answersOf(picture).slice(1).map(categoryOfLabel);
  return [...new Set([categoryOf(picture), ...others])];
}

/** The names of all answers of a picture. */
function answersText(picture) {
  return [answerText(picture), ...answersOf(picture).slice(1).map(nameOf)].join(", ");
}

function countsText(picture) {
  return [...countsOf(picture)].map(([label, count]) => `${count} × ${nameOf(label)}`).join(", ");
}

/** The label that a box counts for: its own, or that of the picture if it is about boxes of this kind. */
function labelOfBox(picture, box) {
  if (box.label >= 0) {
    return SURVEY.labels[box.label].category === "unknown" ? labelOfKind(box.kind) : box.label;
  }
  const answer = answerOf(picture);
  return answer >= 0 && isAbout(picture, box.kind) ? answer : labelOfKind(box.kind);
}

/** Whether the answer of a picture is about boxes of a kind that have no answer of their own. */
function isAbout(picture, kind) {
  const category = categoryOfLabel(answerOf(picture));
  if (category === "blank" && picture.correction >= 0) return true;
  if (hasPredictedAnswers(picture)) return false;
  if (category === kind || kind !== "animal") return category === kind;
  if (category === "blank") return true;
  const isSuchBox = (box) => box.kind === category && box.conf >= COUNTED_FROM;
  return ["human", "vehicle"].includes(category) && !deriveBoxes(picture).some(isSuchBox);
}

function hasPredictedAnswers(picture) {
  return picture.boxes.some((box) => box.length > 6);
}

function isSameBox(one, other) {
  return one.every((side, i) => Math.abs(side - other[i]) <= SAME_BOX);
}

/** The number of the label of a kind; the kind itself if the survey has no such label. */
function labelOfKind(kind) {
  if (!kindLabels.has(kind)) {
    const isOfKind = ({ text, category }) =>
      category === kind && (kind !== "animal" || /^[^;]*;;;;;;animal$/.test(text));
    const number = SURVEY.labels.findIndex(isOfKind);
    kindLabels.set(kind, number < 0 ? kind : number);
  }
  return kindLabels.get(kind);
}

/** The category of the number of a label, or of a kind. */
function categoryOfLabel(label) {
  return typeof label === "string" ? label : SURVEY.labels[label].category;
}

function deriveBoxes(picture) {
  const boxes = picture.boxes.map(([kind, conf, x, y, w, h, label = -1, score = 0], i) => {
    const box = { number: i + 1, kind, conf, bbox: [x, y, w, h], label, score };
    return label >= 0 && followsAnswer(picture, label)
      ? { ...box, label: picture.correction, score: 1 }
      : box;
  });
  for (const { bbox, label } of picture.boxAnswers) {
    const at = boxes.findIndex((box) => isSameBox(box.bbox, bbox));
    const isNothing = label < 0 || SURVEY.labels[label].category === "blank";
    if (isNothing && at >= 0) boxes.splice(at, 1);
    if (isNothing) continue;
    const category = SURVEY.labels[label].category;
    const kind = KINDS.includes(category) ? category : "animal";
    const last = boxes.at(-1)?.number ?? 0;
    const number = at < 0 ? Math.max(last, picture.boxes.length) + 1 : boxes[at].number;
    const answered = { number, bbox, conf: boxes[at]?.conf ?? 1, kind, label, score: 1 };
    boxes.splice(at < 0 ? boxes.length : at, 1, answered);
  }
  return boxes;
}

/** Whether a box with an answer of its own follows the correction of its picture. */
function followsAnswer(picture, label) {
  if (picture.correction < 0) return false;
  return label === picture.label || SURVEY.labels[picture.correction].category === "blank";
}

function deriveCounts(picture, boxes) {
  const counts = new Map();
  const add = (label, count) => counts.set(label, (counts.get(label) ?? 0) + count);
  if (picture.counts !== null) {
    for (const [label, count] of picture.counts) if (count > 0) add(label, count);
  } else {
    for (const box of boxes) {
      if (box.conf < COUNTED_FROM) continue;
      const label = labelOfBox(picture, box);
      if (KINDS.includes(categoryOfLabel(label))) add(label, 1);
    }
    const answer = answerOf(picture);
    const category = answer < 0 ? null : categoryOfLabel(answer);
    const isCounted = [...counts.keys()].some((label) => categoryOfLabel(label) === category);
    if (KINDS.includes(category) && !isCounted) add(answer, 1);
  }
  return new Map([...counts].sort((a, b) => b[1] - a[1]));
}
