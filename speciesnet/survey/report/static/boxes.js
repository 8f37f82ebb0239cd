"use strict";

// The boxes of a picture with their answers, and how many individuals it shows, after a review. The
// rules are those of box_corrections.py, corrections.py and counts.py in speciesnet/survey.

const COUNTED_FROM = 0.2; // the lowest confidence of boxes that count
const SAME_INDIVIDUAL = 0.45; // boxes that overlap more are one individual: IOU_THRESHOLD
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

/** The boxes: `number` (from 1), `kind`, `conf`, `bbox`, `label` (-1: without its own answer), `score`. */
function boxesOf(picture) {
  return derivedOf(picture).boxes;
}

/** The number of individuals by label, the largest first. */
function countsOf(picture) {
  return derivedOf(picture).counts;
}

/** The answer of a picture, and those of its boxes if they have their own. */
function answersOf(picture) {
  const isPlain = picture.boxAnswers.length === 0 && picture.counts === null;
  // Most surveys have no answers for boxes, and a filter calls this for every picture.
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

/** Whether the answer of a picture is about boxes of a kind without their own answers. */
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
  const boxes = picture.boxes.map(([kind, conf, x, y, w, h, label = -1, score = 0, isSmoothed], i) => {
    const box = { number: i + 1, kind, conf, bbox: [x, y, w, h], label, score, isReviewed: false };
    return label >= 0 && !isSmoothed && followsAnswer(picture, label)
      ? { ...box, label: picture.correction, score: 1, isReviewed: true }
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
    const conf = boxes[at]?.conf ?? 1;
    const answered = { number, bbox, conf, kind, label, score: 1, isReviewed: true };
    boxes.splice(at < 0 ? boxes.length : at, 1, answered);
  }
  return boxes;
}

/** Whether a box with its own answer follows the correction of its picture. */
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
    const counting = boxes
      .filter((box) => box.conf >= COUNTED_FROM)
      .map((box) => ({ box, label: labelOfBox(picture, box) }))
      .filter(({ label }) => KINDS.includes(categoryOfLabel(label)));
    for (const { label } of distinctBoxes(counting)) add(label, 1);
    const answer = answerOf(picture);
    const category = answer < 0 ? null : categoryOfLabel(answer);
    const isCounted = counting.some(({ label }) => categoryOfLabel(label) === category);
    if (KINDS.includes(category) && !isCounted) add(answer, 1);
  }
  return new Map([...counts].sort((a, b) => b[1] - a[1]));
}

/** The boxes without those that show the same individual as a better one; see distinct_boxes. */
function distinctBoxes(counting) {
  const kept = [];
  for (const one of counting.toSorted(byCertainty)) {
    if (one.box.isReviewed || !kept.some((other) => areSame(one, other))) kept.push(one);
  }
  return counting.filter((one) => kept.includes(one));
}

/** A person's answer first, then the more specific label, then the higher score. */
function byCertainty(a, b) {
  return (
    b.box.isReviewed - a.box.isReviewed ||
    specificityOf(b.label) - specificityOf(a.label) ||
    certaintyOf(b) - certaintyOf(a) ||
    b.box.conf - a.box.conf
  );
}

function certaintyOf({ box, label }) {
  return box.label === label ? box.score : box.conf;
}

/** How many of the five taxa from class to species a label has; people and vehicles have all. */
function specificityOf(label) {
  const category = categoryOfLabel(label);
  if (category === "human" || category === "vehicle") return 5;
  if (typeof label === "string") return 0;
  const parts = SURVEY.labels[label].text.split(";");
  return parts.length === 7 ? parts.slice(1, 6).filter(Boolean).length : 0;
}

function areSame(one, other) {
  const kinds = [one, other].map(({ label }) => categoryOfLabel(label));
  if (kinds.includes("human") && kinds.includes("vehicle")) return false; // the person may be in it
  return overlap(one.box.bbox, other.box.bbox) > SAME_INDIVIDUAL;
}

/** The intersection over union of two boxes. */
function overlap([x, y, w, h], [x2, y2, w2, h2]) {
  const width = Math.min(x + w, x2 + w2) - Math.max(x, x2);
  const height = Math.min(y + h, y2 + h2) - Math.max(y, y2);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (w * h + w2 * h2 - width * height);
}
