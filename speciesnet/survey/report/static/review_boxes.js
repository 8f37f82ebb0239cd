"use strict";

// Correcting individual boxes and counts: the answer for a box, a missed animal, a false box, a number.

const MIN_SIDE = 0.01; // of an added box, relative to the picture
const STEP = 0.01; // by which a key moves or resizes it
const DRAG_PIXELS = 5; // a shorter mouse movement is a click
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const addButton = document.getElementById("add-box");
const removeButton = document.getElementById("remove-box");
const countFields = document.getElementById("count-fields");
const countBoxesButton = document.getElementById("count-boxes");

let selected = null; // the number of the selected box
let draft = null; // the sides of a box that is being added: left, top, width, height
let drag = null; // where the mouse was pressed, and whether it has moved since

// --- Changing the boxes of a picture ---------------------------------------------------------

/** Whether an answer is for a box: the selected one, or the one that is being added. */
function hasTarget() {
  return draft !== null || selectedBox() !== undefined;
}

function selectedBox() {
  return current && boxesOf(current).find((box) => box.number === selected);
}

/** Whether a box is the most confident one of the detector; of added boxes alone, the first one. */
function isMain(box) {
  const boxes = boxesOf(current);
  return box === (boxes.find(({ number }) => number <= current.boxes.length) ?? boxes[0]);
}

/** The corrections of a picture's boxes plus one, which replaces an earlier one of the same box. */
function withBox(boxes, bbox, label) {
  return [...boxes.filter((other) => !isSameBox(other.bbox, bbox)), { bbox, label }];
}

/** Numbers by label after individuals of one label turned out to be of another. */
function recounted(counts, from, to, moved = Infinity) {
  if (counts === null || from === to) return counts;
  const before = new Map(counts);
  const count = Math.min(before.get(from) ?? 0, moved);
  if (count === 0) return counts;
  before.set(from, before.get(from) - count);
  before.set(to, (before.get(to) ?? 0) + count);
  return [...before].filter(([, number]) => number > 0);
}

/** The correction of a picture after its answer changed: boxes with the old answer follow it. */
function withAnswer(picture, label) {
  const { boxes, counts } = correctionOf(picture);
  const old = answerOf(picture);
  if (label === old) return { label, boxes, counts };
  if (SURVEY.labels[label].category === "blank") {
    return { label, boxes: boxes.filter((box) => box.label < 0), counts: null };
  }
  const follow = (box) => (box.label === old && old >= 0 ? { ...box, label } : box);
  return { label, boxes: boxes.map(follow), counts: recounted(counts, old, label) };
}

/** Answers for the selected box, or for the one that is being added. */
function answerBox(label) {
  if (SURVEY.labels[label].category === "blank") {
    if (draft) cancelBox();
    else removeBox();
    return;
  }
  remember(label);
  if (draft) addBox(label);
  else relabel(selectedBox(), label);
}

function relabel(box, label) {
  const { label: answer, boxes, counts } = correctionOf(current);
  const old = labelOfBox(current, box);
  const isNewAnswer = isMain(box) && old === answerOf(current) && label !== old;
  edit({
    label: isNewAnswer ? label : answer,
    boxes: withBox(isNewAnswer ? pinned(boxes, box) : boxes, box.bbox, label),
    counts: recounted(counts, old, label, 1),
  });
}

/** Corrections that keep the answers of all other boxes, which would follow that of the picture. */
function pinned(boxes, box = null) {
  const old = answerOf(current);
  const isCounted = (one) => one.label < 0 && one.conf >= COUNTED_FROM && labelOfBox(current, one) === old;
  const follows = (one) => one !== box && old >= 0 && (one.label === old || isCounted(one));
  return boxesOf(current).filter(follows).reduce((found, one) => withBox(found, one.bbox, old), boxes);
}

function addBox(label) {
  const bbox = draft.map((side) => Number(side.toFixed(4)));
  const { label: answer, boxes, counts } = correctionOf(current);
  const isBlank = answerOf(current) < 0 || categoryOf(current) === "blank";
  leaveBox();
  edit({
    label: isBlank ? label : answer,
    boxes: withBox(isBlank ? pinned(boxes) : boxes, bbox, label),
    counts,
  });
  selectBox(boxesOf(current).find((box) => isSameBox(box.bbox, bbox))?.number ?? null);
}

/** Removes the selected box. If it had the picture's answer, that of the next box, or blank, replaces it. */
function removeBox() {
  const box = selectedBox();
  if (!box) return;
  let { label, boxes, counts } = correctionOf(current);
  const others = boxesOf(current).filter(({ number, conf }) => number !== box.number && conf >= COUNTED_FROM);
  if (answerOf(current) >= 0 && labelOfBox(current, box) === answerOf(current)) {
    const left = others
      .map((other) => labelOfBox(current, other))
      .filter((answer) => KINDS.includes(categoryOfLabel(answer)));
    const blank = SURVEY.labels.findIndex(({ category }) => category === "blank");
    if (!left.length) label = blank < 0 ? label : blank;
    else if (!left.includes(answerOf(current)) && typeof left[0] === "number") label = left[0];
  }
  const isAdded = box.number > current.boxes.length;
  boxes = isAdded ? boxes.filter((other) => !isSameBox(other.bbox, box.bbox)) : withBox(boxes, box.bbox, -1);
  leaveBox();
  edit({ label, boxes, counts });
}

function setCounts(counts) {
  edit({ ...correctionOf(current), counts });
}

/** Saves a correction of the picture, which stays in the viewer. */
function edit(correction) {
  change([[current, correction]]);
  refresh();
}

// --- Showing them ----------------------------------------------------------------------------

function leaveBox() {
  selected = null;
  draft = null;
  drag = null;
}

function selectBox(number) {
  selected = number;
  draft = null;
  refreshBoxes();
}

function cancelBox() {
  leaveBox();
  refreshBoxes();
}

function selectNext(step) {
  const numbers = shownBoxes(current).map((box) => box.number);
  if (!numbers.length) return;
  const at = numbers.indexOf(selected);
  const next = at < 0 ? (step > 0 ? 0 : numbers.length - 1) : at + step;
  selectBox(numbers[(next + numbers.length) % numbers.length]);
}

/** Starts to add a box, in the middle of the picture. */
function startBox(bbox = [0.35, 0.35, 0.3, 0.3]) {
  selected = null;
  draft = bbox;
  refreshBoxes();
}

function refreshBoxes() {
  if (!current) return;
  if (selected !== null && !selectedBox()) selected = null;
  const view = stage.querySelector(".frame");
  for (const old of view?.querySelectorAll(".box") ?? []) old.remove();
  view?.append(...shownBoxes(current).map(drawnBox));
  if (draft) view?.append(make("span", { class: "box draft", style: placeOf(draft) }));
  view?.querySelector(`[data-number="${selected}"]`)?.classList.add("selected");
  stage.classList.toggle("drawing", draft !== null);
  fillBoxList();
  fillCounts();
  removeButton.disabled = !selectedBox();
  addButton.disabled = !view?.querySelector("img");
  const target = draft ? "the new box" : `box ${selected}`;
  document.getElementById("box-hint").textContent = hintText();
  species.placeholder = hasTarget() ? `Name ${target} ( c )` : "Correct: type a name ( c )";
  species.setAttribute("aria-label", hasTarget() ? `Species in ${target}` : "Species");
}

function hintText() {
  if (draft) return "New box: move it with the arrows, resize it with Shift and arrows; then Enter and its name. Esc cancels.";
  const box = selectedBox();
  return box ? `Box ${box.number}: ${tagOf(box)}. Press c or a digit to name it, Esc to deselect it.` : "";
}

function fillBoxList() {
  const focused = document.activeElement.closest?.("#box-list button")?.dataset.number;
  const list = document.getElementById("box-list");
  list.replaceChildren(
    ...shownBoxes(current).map((box) =>
      make(
        "li",
        {},
        make(
          "button",
          { type: "button", "data-number": box.number, "aria-pressed": String(box.number === selected),
            onclick: () => selectBox(box.number === selected ? null : box.number) },
          make("span", { class: `dot ${box.kind}` }),
          `${box.number} ${box.label < 0 ? box.kind : nameOf(box.label)}`,
          make("span", { class: "score" }, box.conf.toFixed(2)),
        ),
      ),
    ),
  );
  if (focused) list.querySelector(`[data-number="${focused}"]`)?.focus();
}

function fillCounts() {
  if (countFields.contains(document.activeElement)) return; // someone is typing
  const counts = [...countsOf(current)].filter(([label]) => typeof label === "number");
  document.getElementById("counts").hidden = !counts.length && current.counts === null;
  countBoxesButton.hidden = current.counts === null;
  countFields.replaceChildren(
    ...counts.map(([label, count]) =>
      make(
        "label",
        {},
        make("input", { type: "number", min: 0, max: 1000000, step: 1, value: count, inputmode: "numeric",
          "data-label": label, "aria-label": `Number of ${nameOf(label)}` }),
        `× ${nameOf(label)}`,
      ),
    ),
  );
}

// --- Counts ----------------------------------------------------------------------------------

countFields.addEventListener("change", (event) => {
  const field = event.target;
  if (field.value !== "" && !field.checkValidity()) {
    field.value = field.defaultValue;
    return;
  }
  const counts = new Map([...countsOf(current)].filter(([label]) => typeof label === "number"));
  counts.set(Number(field.dataset.label), Number(field.value));
  field.blur();
  setCounts(field.value === "" ? null : [...counts].filter(([, count]) => count > 0));
});
countFields.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key === "Escape") field.value = field.defaultValue;
  else if (event.key !== "Enter") return;
  event.preventDefault();
  event.stopPropagation();
  field.blur(); // which saves a change
});
countFields.addEventListener("focusout", () => setTimeout(() => viewer.open && refreshBoxes()));
countBoxesButton.addEventListener("click", () => setCounts(null));
addButton.addEventListener("click", () => startBox());
removeButton.addEventListener("click", removeBox);

// --- Drawing with the mouse ------------------------------------------------------------------

/** Where the mouse is, relative to the picture. */
function pointOf(event) {
  const area = stage.querySelector(".frame").getBoundingClientRect();
  const within = (value) => Math.min(Math.max(value, 0), 1);
  return [within((event.clientX - area.left) / area.width), within((event.clientY - area.top) / area.height)];
}

stage.addEventListener("pointerdown", (event) => {
  drag = null;
  const canDraw = event.pointerType !== "touch" || draft !== null;
  if (!canDraw || event.button !== 0 || !event.target.closest(".frame") || !stage.querySelector("img")) return;
  drag = { from: pointOf(event), x: event.clientX, y: event.clientY, isMoving: false };
});
addEventListener("pointermove", (event) => {
  if (!drag) return;
  const way = Math.max(Math.abs(event.clientX - drag.x), Math.abs(event.clientY - drag.y));
  if (!drag.isMoving && way < DRAG_PIXELS) return;
  drag.isMoving = true;
  const to = pointOf(event);
  const [left, top] = drag.from.map((value, i) => Math.min(value, to[i]));
  const [right, bottom] = drag.from.map((value, i) => Math.max(value, to[i]));
  startBox([left, top, right - left, bottom - top]);
});
addEventListener("pointerup", () => {
  if (!drag?.isMoving || !draft) return;
  if (draft[2] < MIN_SIDE || draft[3] < MIN_SIDE) selectBox(null);
  else species.focus();
});
addEventListener("pointercancel", () => {
  drag = null;
});
stage.addEventListener("dragstart", (event) => event.preventDefault());
// Before the listener that zooms.
stage.addEventListener(
  "click",
  (event) => {
    const box = event.target.closest(".tag")?.closest(".box[data-number]");
    const hasDrawn = drag?.isMoving ?? false;
    drag = null;
    if (!hasDrawn && !draft && !box) return;
    event.stopImmediatePropagation();
    if (!hasDrawn && box && !draft) selectBox(Number(box.dataset.number));
  },
  true,
);

// --- The keyboard ----------------------------------------------------------------------------

/** Moves the box that is being added, or resizes it. */
function nudge([dx, dy], isResized) {
  let [x, y, w, h] = draft;
  const within = (value, least, most) => Math.min(Math.max(value, least), most);
  if (isResized) {
    w = within(w + dx * STEP, MIN_SIDE, 1 - x);
    h = within(h + dy * STEP, MIN_SIDE, 1 - y);
  } else {
    x = within(x + dx * STEP, 0, 1 - w);
    y = within(y + dy * STEP, 0, 1 - h);
  }
  startBox([x, y, w, h]);
}

function focusCounts() {
  const field = countFields.querySelector("input");
  field?.focus();
  field?.select();
}

/** Returns whether a key concerned a box. */
function handleKey(event) {
  const { key } = event;
  const isOnButton = event.target.closest("button, a");
  if (draft && key in ARROWS) nudge(ARROWS[key], event.shiftKey);
  else if (draft && key === "Enter" && !isOnButton) species.focus();
  else if (hasTarget() && key === "Escape") cancelBox();
  else if (key === "b") selectNext(1);
  else if (key === "B") selectNext(-1);
  else if (key === "a" && !addButton.disabled) startBox();
  else if ((key === "Delete" || key === "Backspace") && selectedBox()) removeBox();
  else if (key === "n") focusCounts();
  else return false;
  return true;
}

// Before the listeners of the gallery and of the answers.
document.addEventListener(
  "keydown",
  (event) => {
    if (!viewer.open || help.open || isTyping(event) || !handleKey(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);
viewer.classList.add("reviewing");
