"use strict";

// The gallery: filters, cards, pages, and the viewer for one picture.

const PAGE_SIZE = 60;
const gallery = document.querySelector("[data-gallery]");
const fixed = new URLSearchParams(gallery.dataset.fixed); // filters that this page always applies
const cardList = document.getElementById("cards");
const form = document.getElementById("filters");
const viewer = document.getElementById("viewer");
const stage = document.getElementById("view");

let found = []; // the pictures that match, in groups: one picture each, or those of one sequence
let shown = []; // the pictures that the viewer can show
let open = -1; // the position in `shown` of the picture in the viewer

// --- The filters in the address, where they can be bookmarked and sent -----------------------

function currentFilters() {
  return new URLSearchParams(location.hash.slice(1));
}

function setFilters(changes) {
  const filters = currentFilters();
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null) filters.delete(name);
    else filters.set(name, value);
  }
  if (!("page" in changes)) filters.delete("page");
  history.replaceState(null, "", `#${filters}`);
  update();
}

/** A function that returns whether a picture passes the filters. */
function matcher(filters) {
  const get = (name) => fixed.get(name) ?? filters.get(name);
  const tests = [];
  const number = (name) => (get(name) === null ? null : Number(get(name)));
  const label = get("label");
  if (label) tests.push((p) => answersOf(p).some((answer) => keyOf(answer) === label));
  const category = get("category");
  if (category) tests.push((p) => categoriesOf(p).includes(category));
  const source = get("source");
  if (source) tests.push((p) => p.source === source);
  const camera = get("camera");
  if (camera) tests.push((p) => SURVEY.cameras[p.camera].name === camera);
  const check = get("check");
  if (check === "any") tests.push((p) => checksOf(p).length > 0);
  else if (check) tests.push((p) => checksOf(p).includes(check));
  const min = number("min");
  if (min !== null) tests.push((p) => p.score >= min);
  const max = number("max");
  if (max !== null) tests.push((p) => p.score <= max);
  const from = get("from");
  if (from) tests.push((p) => p.taken !== null && p.taken.slice(0, 10) >= from);
  const to = get("to");
  if (to) tests.push((p) => p.taken !== null && p.taken.slice(0, 10) <= to);
  const reviewed = get("said");
  if (reviewed) tests.push((p) => isReviewed(p) === (reviewed === "yes"));
  const cell = get("cell"); // of the confusion matrix of an evaluation
  if (cell) tests.push((p) => p.cell === cell);
  const outcome = get("outcome");
  if (outcome) tests.push((p) => p.outcome === outcome);
  const text = (get("text") ?? "").toLowerCase();
  if (text) tests.push((p) => `${pathOf(p)} ${answersText(p)}`.toLowerCase().includes(text));
  return (picture) => tests.every((test) => test(picture));
}

const ORDERS = {
  file: null,
  time: byTime,
  sure: (a, b) => b.score - a.score || a.position - b.position,
  unsure: (a, b) => a.score - b.score || a.position - b.position,
};

function bySequence(list) {
  const groups = new Map();
  for (const picture of list) {
    const key = picture.sequence < 0 ? `p${picture.position}` : picture.sequence;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(picture);
  }
  for (const group of groups.values()) group.sort(byTime);
  return [...groups.values()];
}

// --- The page of cards -----------------------------------------------------------------------

function update() {
  const filters = currentFilters();
  const order = ORDERS[filters.get("sort") ?? gallery.dataset.sort ?? "file"];
  const list = pictures.filter(matcher(filters));
  if (order) list.sort(order);
  const grouped = filters.get("group") === "1";
  found = grouped ? bySequence(list) : list.map((picture) => [picture]);
  if (!viewer.open) shown = found.flat(); // an open viewer must not skip pictures
  const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
  const page = Math.min(Math.max(1, Number(filters.get("page")) || 1), pages);
  for (const field of form.elements) if (field.name) fillField(field, filters);
  const focused = document.activeElement.closest?.(".card")?.dataset.position;
  cardList.replaceChildren(
    ...found.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE).map(makeCard),
  );
  if (focused !== undefined) focusCard(focused);
  cardList.classList.toggle("without-boxes", filters.get("boxes") === "0");
  const loading = pictures.length < SURVEY.total ? ` (loading, ${pictures.length} so far)` : "";
  const images = `${list.length.toLocaleString("en")} of ${counted(SURVEY.total, "image")}`;
  const groups = grouped ? `, ${counted(found.length, "sequence")}` : "";
  document.getElementById("count").textContent = images + groups + loading;
  document.getElementById("nothing").hidden = list.length > 0 || loading !== "";
  for (const pager of document.querySelectorAll(".pager")) fillPager(pager, page, pages);
  const active = [...filters.keys()].filter((name) => form.elements[name]?.closest(".more"));
  document.getElementById("filters-active").textContent = active.length ? `(${active.length})` : "";
}

function focusCard(position) {
  cardList.querySelector(`[data-position="${position}"]`)?.focus();
}

function fillField(field, filters) {
  const value = filters.get(field.name) ?? "";
  if (field.type === "checkbox") field.checked = value ? value === "1" : field.defaultChecked;
  else if (document.activeElement !== field) field.value = value || (field.defaultValue ?? "");
}

function fillPager(pager, page, pages) {
  const button = (text, to, name) =>
    make(
      "button",
      { type: "button", disabled: to < 1 || to > pages || to === page, "aria-label": name,
        onclick: () => goToPage(to) },
      text,
    );
  const focused = pager.contains(document.activeElement) && document.activeElement.ariaLabel;
  pager.hidden = pages === 1;
  pager.replaceChildren(
    button("«", 1, "First page"),
    button("‹", page - 1, "Previous page"),
    make("span", {}, `Page ${page} of ${pages}`),
    button("›", page + 1, "Next page"),
    button("»", pages, "Last page"),
  );
  if (focused) pager.querySelector(`[aria-label="${focused}"]`).focus();
}

function goToPage(page) {
  setFilters({ page: page === 1 ? "" : page });
  gallery.scrollIntoView();
}

function makeCard(group) {
  const picture = group.reduce((a, b) => ((b.boxes[0]?.[1] ?? 0) > (a.boxes[0]?.[1] ?? 0) ? b : a));
  const isSequence = group.length > 1 && picture.sequenceLabel >= 0;
  const name = isSequence ? nameOf(picture.sequenceLabel) : answersText(picture);
  const score = isSequence ? picture.sequenceScore : picture.score;
  const hasScore = picture.correction < 0 && categoryOf(picture) !== "failed";
  const marks = make("span", { class: "marks" });
  if (group.length > 1) marks.append(make("span", { class: "mark" }, `${group.length} images`));
  if (group.every(isReviewed)) marks.append(make("span", { class: "mark reviewed" }, "reviewed"));
  else if (group.some((one) => checksOf(one).length)) marks.append(make("span", { class: "mark check" }, "check"));
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: `card${group.length > 1 ? " stack" : ""}`, title: pathOf(picture),
        "data-position": picture.position, onclick: () => show(shown.indexOf(picture)) },
      frame(picture, ""),
      make(
        "span",
        { class: "caption" },
        make("span", { class: `dot ${categoryOf(picture)}` }),
        make("span", { class: "name" }, name),
        hasScore ? make("span", { class: "score" }, score.toFixed(2)) : null,
      ),
      marks,
    ),
  );
}

/** The picture with its boxes; `alt` is its text for screen readers. */
function frame(picture, alt) {
  const box = make("span", { class: "frame", style: `--aspect:${picture.aspect}` });
  const noPicture = () => make("span", { class: "no-picture" }, `No picture: ${picture.problem}.`);
  if (picture.thumbnail) {
    const image = make("img", { src: `thumbs/${picture.thumbnail}`, alt, loading: "lazy" });
    image.addEventListener("load", () => {
      picture.aspect = image.naturalWidth / image.naturalHeight;
      box.style.setProperty("--aspect", picture.aspect);
    });
    image.addEventListener("error", () => {
      picture.problem = "the photograph is missing or cannot be read";
      image.replaceWith(noPicture());
    });
    box.append(image);
  } else {
    box.append(noPicture());
  }
  box.append(...shownBoxes(picture).map(drawnBox));
  return box;
}

/** The boxes with enough confidence to be shown. */
function shownBoxes(picture) {
  const minConfidence = Number(form.elements.conf.value || form.elements.conf.defaultValue);
  return boxesOf(picture).filter((box) => box.conf >= minConfidence);
}

function drawnBox(box) {
  const [x, y, w] = box.bbox;
  // The name of a box stays inside the picture.
  const sides = `${x + w / 2 > 0.5 ? " right" : ""}${y < 0.06 ? " inside" : ""}`;
  return make(
    "span",
    { class: `box ${box.kind}${sides}`, style: placeOf(box.bbox), "data-number": box.number },
    make("span", { class: "tag" }, tagOf(box)),
  );
}

function placeOf(bbox) {
  const [left, top, width, height] = bbox.map((side) => `${(100 * side).toFixed(2)}%`);
  return `left:${left};top:${top};width:${width};height:${height}`;
}

/** "red fox 0.91"; without a score after a review; "animal 0.90" without its own answer. */
function tagOf({ kind, conf, label, score }) {
  if (label < 0) return `${kind} ${conf.toFixed(2)}`;
  return score === 1 ? nameOf(label) : `${nameOf(label)} ${score.toFixed(2)}`;
}

// --- The viewer ------------------------------------------------------------------------------

function show(position) {
  if (position < 0 || position >= shown.length) return;
  open = position;
  const picture = shown[position];
  const address = photographOf(picture);
  const view = frame(picture, `${answerText(picture)}, ${picture.file}`);
  const image = view.querySelector("img");
  const film = filmOf(picture);
  if (image && address && (film === null || SURVEY.mode === "review")) {
    const large = new Image();
    large.onload = () => {
      // A zoomed picture has loaded an even larger one by now.
      if (image.isConnected && !stage.classList.contains("zoomed")) image.src = large.src;
    };
    large.src = address;
  }
  stage.classList.remove("zoomed");
  stage.classList.toggle("film", film !== null);
  stage.replaceChildren(view, ...(film === null ? [] : [player(picture, film)]));
  document.getElementById("facts").replaceChildren(...factsOf(picture, address));
  document.getElementById("strip").replaceChildren(...stripOf(picture));
  document.getElementById("place").textContent = `${position + 1} of ${shown.length}`;
  document.getElementById("spoken").textContent = answersText(picture); // for screen readers
  viewer.classList.toggle("without-boxes", currentFilters().get("boxes") === "0");
  if (!viewer.open) viewer.showModal();
  document.dispatchEvent(new CustomEvent("picture-shown", { detail: picture }));
}

/** A player below the picture of a film; it starts at the frame of the picture. */
function player(picture, address) {
  const video = make("video", { controls: true, preload: "metadata", "aria-label": picture.file });
  video.addEventListener("click", (event) => event.stopPropagation()); // which would zoom the picture
  video.addEventListener("loadedmetadata", () => { video.currentTime = picture.film; }, { once: true });
  video.addEventListener("error", () => {
    video.replaceWith(make("p", {}, "This browser cannot play the film; open the file in a player."));
  });
  video.src = address;
  return video;
}

function factsOf(picture, address) {
  const rows = [];
  const row = (name, ...value) => rows.push(make("dt", {}, name), make("dd", {}, ...value));
  const label = answerOf(picture);
  const scientific = label < 0 ? "" : SURVEY.labels[label].scientific;
  row("Answer", make("strong", {}, answerText(picture)), scientific ? make("i", {}, ` ${scientific}`) : "");
  if (picture.truth) row("Label", make("strong", {}, picture.truth), ` (the answer: ${picture.outcome})`);
  if (label >= 0 && SURVEY.labels[label].taxa) row("Taxonomy", SURVEY.labels[label].taxa);
  if (picture.correction >= 0) row("Predicted", `${nameOf(picture.label)}, ${picture.score.toFixed(3)}`);
  else if (picture.label >= 0) row("Score", picture.score.toFixed(3));
  if (countsOf(picture).size) {
    row("Individuals", countsText(picture), picture.counts === null ? "" : " (counted by a reviewer)");
  }
  if (picture.source !== null) row("Rule", picture.source);
  if (picture.problem) row(categoryOf(picture) === "failed" ? "Failed" : "No picture", `${picture.problem}.`);
  for (const name of checksOf(picture)) row("Check", SURVEY.checks[name]);
  if (picture.classes.length) {
    const list = picture.classes.map(([name, score]) => `${nameOf(name)} ${score.toFixed(3)}`);
    row("Classifier", list.join(", "));
  }
  if (picture.sequenceLabel >= 0 && picture.sequence >= 0) {
    row("Sequence", `${nameOf(picture.sequenceLabel)}, ${picture.sequenceScore.toFixed(3)}`);
  }
  if (filmOf(picture) !== null) row("Frame", `at ${picture.film.toFixed(2)} s of the film`);
  if (picture.taken) row("Taken", picture.taken.replace("T", " "));
  const path = pathOf(picture);
  const whole = address && SURVEY.mode === "review" ? filmOf(picture) ?? `${address}?whole` : address;
  row("File", whole ? make("a", { href: whole, target: "_blank", rel: "noopener" }, path) : path);
  return rows;
}

function stripOf(picture) {
  const members = membersOf(picture);
  if (members.length < 2) return [];
  return members.map((member) => {
    const position = shown.indexOf(member);
    const button = make(
      "button",
      { type: "button", "aria-current": member === picture ? "true" : null,
        title: `${answerText(member)}, ${member.file}`,
        onclick: () => (position < 0 ? showAlone(member) : show(position)) },
    );
    if (member.thumbnail) button.append(make("img", { src: `thumbs/${member.thumbnail}`, alt: member.file }));
    else button.append(member.file);
    return button;
  });
}

/** Shows a picture of the same sequence that does not match the filters. */
function showAlone(picture) {
  shown = [...shown.slice(0, open + 1), picture, ...shown.slice(open + 1)];
  show(open + 1);
}

viewer.addEventListener("close", () => {
  const last = shown[open];
  open = -1;
  fillAllOptions(); // a review may have changed the answers
  update();
  if (last) focusCard(last.position);
});
document.getElementById("close").addEventListener("click", () => viewer.close());
document.getElementById("previous").addEventListener("click", () => show(open - 1));
document.getElementById("next").addEventListener("click", () => show(open + 1));

/** Zooms into the photograph, around the point that was clicked, or out again. */
function zoom(event) {
  const view = stage.querySelector(".frame");
  const image = stage.querySelector("img");
  if (!view || !image) return;
  const before = view.getBoundingClientRect();
  const isZoomed = stage.classList.toggle("zoomed");
  const address = photographOf(shown[open]);
  if (isZoomed && address && SURVEY.mode === "review") image.src = `${address}?whole`;
  const x = event ? (event.clientX - before.left) / before.width : 0.5;
  const y = event ? (event.clientY - before.top) / before.height : 0.5;
  stage.scrollTo(x * view.offsetWidth - stage.clientWidth / 2, y * view.offsetHeight - stage.clientHeight / 2);
}

stage.addEventListener("click", zoom);

let touchedAt = null;
stage.addEventListener(
  "touchstart",
  (event) => {
    const isPlain = event.touches.length === 1 && (visualViewport?.scale ?? 1) === 1;
    touchedAt = isPlain && !stage.matches(".zoomed, .drawing") ? event.touches[0] : null;
  },
  { passive: true },
);
stage.addEventListener("touchend", (event) => {
  if (touchedAt === null) return;
  const dx = event.changedTouches[0].clientX - touchedAt.clientX;
  const dy = event.changedTouches[0].clientY - touchedAt.clientY;
  touchedAt = null;
  if (Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) show(open + (dx < 0 ? 1 : -1));
});

function isTyping(event) {
  const field = event.target.closest("input:not([type='checkbox']), select, textarea");
  return field || event.ctrlKey || event.metaKey || event.altKey;
}

const help = document.getElementById("help");
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const key = event.key;
  if (key === "?") help.open ? help.close() : help.showModal();
  else if (help.open) return;
  else if (key === "x") toggleBoxes();
  else if (viewer.open && key === "z") zoom();
  else if (viewer.open && key === "ArrowRight") show(open + 1);
  else if (viewer.open && key === "ArrowLeft") show(open - 1);
  else if (viewer.open) return;
  else if (key === "n") document.querySelector(".pager [aria-label='Next page']:enabled")?.click();
  else if (key === "p") document.querySelector(".pager [aria-label='Previous page']:enabled")?.click();
  else if (key === "g") setFilters({ group: currentFilters().get("group") === "1" ? "" : "1" });
  else if (key === "/") form.elements.text.focus();
  else return;
  event.preventDefault();
});

function toggleBoxes() {
  setFilters({ boxes: currentFilters().get("boxes") === "0" ? "" : "0", page: currentFilters().get("page") });
  viewer.classList.toggle("without-boxes", currentFilters().get("boxes") === "0");
}

// --- The filters -----------------------------------------------------------------------------

function fillOptions(name, options) {
  const field = form.elements[name];
  const chosen = currentFilters().get(name) ?? "";
  field.replaceChildren(
    ...[["", field.dataset.all], ...options].map(([value, text]) => make("option", { value }, text)),
  );
  field.value = chosen;
}

function countBy(key) {
  const counts = new Map();
  for (const picture of pictures) {
    for (const value of [key(picture)].flat()) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
}

function fillAllOptions() {
  const withCounts = (counts, name) =>
    [...counts]
      .filter(([value]) => value !== -1 && value !== null)
      .sort((a, b) => b[1] - a[1])
      .map(([value, count]) => [value, `${name(value)} (${count.toLocaleString("en")})`]);
  const byKey = (options, key) => options.map(([value, text]) => [key(value), text]);
  if (!fixed.has("label")) fillOptions("label", byKey(withCounts(countBy(answersOf), nameOf), keyOf));
  fillOptions("category", withCounts(countBy(categoriesOf), (name) => name));
  fillOptions("source", withCounts(countBy((p) => p.source), (rule) => rule));
  const folder = (number) => SURVEY.cameras[number].name || "(no folder)";
  const shared = commonStart(SURVEY.cameras.map((camera) => camera.name));
  const short = (number) => folder(number).slice(shared) || folder(number);
  const cameras = withCounts(countBy((p) => p.camera), short);
  cameras.sort((a, b) => a[1].localeCompare(b[1], "en", { numeric: true }));
  fillOptions("camera", byKey(cameras, (number) => SURVEY.cameras[number].name));
  const checks = countBy(checksOf);
  const present = Object.keys(SURVEY.checks).filter((name) => checks.has(name));
  fillOptions("check", [
    ["any", "any reason"],
    ...present.map((name) => [name, `${SURVEY.checks[name]} (${checks.get(name)})`]),
  ]);
}

/** The number of characters that all names share, up to a slash. */
function commonStart(names) {
  if (names.length < 2) return 0;
  const [first, last] = [names.reduce((a, b) => (a < b ? a : b)), names.reduce((a, b) => (a > b ? a : b))];
  let length = 0;
  while (length < first.length && first[length] === last[length]) length++;
  if (length === 0) return 0;
  return first.lastIndexOf("/", length - 1) + 1;
}

form.addEventListener("input", (event) => {
  const field = event.target;
  const value = field.type === "checkbox" ? (field.checked ? "1" : "") : field.value;
  if (field.name === "boxes") setFilters({ boxes: field.checked ? "" : "0" });
  else if (field.name === "conf") setFilters({ conf: field.value === field.defaultValue ? "" : field.value });
  else setFilters({ [field.name]: value });
});
form.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("clear-filters").addEventListener("click", () => {
  form.reset();
  history.replaceState(null, "", "#");
  update();
});
window.addEventListener("hashchange", update);

loadPictures(() => {
  fillAllOptions();
  update();
  document.dispatchEvent(new CustomEvent("pictures-loaded"));
}).catch((error) => {
  document.getElementById("count").textContent = `${error.message}. Reload the page, or make the report again.`;
});
