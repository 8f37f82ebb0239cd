"use strict";

// The gallery: filters, cards, pages, and the viewer of one picture.

const PAGE_SIZE = 60;
const gallery = document.querySelector("[data-gallery]");
const fixed = new URLSearchParams(gallery.dataset.fixed); // what this page is about
const cardList = document.getElementById("cards");
const form = document.getElementById("filters");
const viewer = document.getElementById("viewer");
const stage = document.getElementById("view");

let found = []; // what the filters leave: pictures, or lists of the pictures of a sequence
let open = -1; // position of the viewer's picture in `shown`
let shown = []; // the pictures that the viewer moves through

// --- What is asked for: in the address, so that it can be kept and sent ----------------------

function question() {
  return new URLSearchParams(location.hash.slice(1));
}

function ask(changes) {
  const asked = question();
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null) asked.delete(name);
    else asked.set(name, value);
  }
  if (!("page" in changes)) asked.delete("page");
  history.replaceState(null, "", `#${asked}`);
  update();
}

function matcher(asked) {
  const get = (name) => fixed.get(name) ?? asked.get(name);
  const tests = [];
  const number = (name) => (get(name) === null ? null : Number(get(name)));
  const label = get("label");
  if (label) tests.push((p) => keyOf(answerOf(p)) === label);
  const category = get("category");
  if (category) tests.push((p) => categoryOf(p) === category);
  const source = get("source");
  if (source) tests.push((p) => SURVEY.sources[p.source] === source);
  const camera = get("camera");
  if (camera) tests.push((p) => SURVEY.cameras[p.camera].name === camera);
  const check = get("check");
  if (check === "any") tests.push((p) => checksOf(p).length > 0);
  else if (check) tests.push((p) => checksOf(p).includes(check));
  const least = number("min");
  if (least !== null) tests.push((p) => p.score >= least);
  const most = number("max");
  if (most !== null) tests.push((p) => p.score <= most);
  const from = get("from");
  if (from) tests.push((p) => p.taken !== null && p.taken.slice(0, 10) >= from);
  const to = get("to");
  if (to) tests.push((p) => p.taken !== null && p.taken.slice(0, 10) <= to);
  const said = get("said");
  if (said) tests.push((p) => (p.said >= 0) === (said === "yes"));
  const text = (get("text") ?? "").toLowerCase();
  if (text) tests.push((p) => `${pathOf(p)} ${answerText(p)}`.toLowerCase().includes(text));
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
  const asked = question();
  const order = ORDERS[asked.get("sort") ?? gallery.dataset.sort ?? "file"];
  const list = pictures.filter(matcher(asked));
  if (order) list.sort(order);
  const grouped = asked.get("group") === "1";
  found = grouped ? bySequence(list) : list.map((picture) => [picture]);
  if (!viewer.open) shown = found.flat(); // or pictures would be skipped under the reader's eyes
  const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
  const page = Math.min(Math.max(1, Number(asked.get("page")) || 1), pages);
  for (const field of form.elements) if (field.name) fillField(field, asked);
  const focused = document.activeElement.closest?.(".card")?.dataset.position;
  cardList.replaceChildren(
    ...found.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE).map(makeCard),
  );
  if (focused !== undefined) focusCard(focused);
  cardList.classList.toggle("without-boxes", asked.get("boxes") === "0");
  const loading = pictures.length < SURVEY.total ? ` (loading, ${pictures.length} so far)` : "";
  const images = `${list.length.toLocaleString("en")} of ${SURVEY.total.toLocaleString("en")} images`;
  const groups = grouped ? `, ${found.length.toLocaleString("en")} sequences` : "";
  document.getElementById("count").textContent = images + groups + loading;
  document.getElementById("nothing").hidden = list.length > 0 || loading !== "";
  for (const pager of document.querySelectorAll(".pager")) fillPager(pager, page, pages);
  const active = [...asked.keys()].filter((name) => form.elements[name]?.closest(".more"));
  document.getElementById("filters-active").textContent = active.length ? `(${active.length})` : "";
}

function focusCard(position) {
  cardList.querySelector(`[data-position="${position}"]`)?.focus();
}

function fillField(field, asked) {
  const value = asked.get(field.name) ?? "";
  if (field.type === "checkbox") field.checked = value ? value === "1" : field.defaultChecked;
  else if (document.activeElement !== field) field.value = value || (field.defaultValue ?? "");
}

function fillPager(pager, page, pages) {
  const turn = (text, to, name) =>
    make(
      "button",
      { type: "button", disabled: to < 1 || to > pages || to === page, "aria-label": name,
        onclick: () => turnTo(to) },
      text,
    );
  const focused = pager.contains(document.activeElement) && document.activeElement.ariaLabel;
  pager.hidden = pages === 1;
  pager.replaceChildren(
    turn("«", 1, "First page"),
    turn("‹", page - 1, "Previous page"),
    make("span", {}, `Page ${page} of ${pages}`),
    turn("›", page + 1, "Next page"),
    turn("»", pages, "Last page"),
  );
  if (focused) pager.querySelector(`[aria-label="${focused}"]`).focus();
}

function turnTo(page) {
  ask({ page: page === 1 ? "" : page });
  gallery.scrollIntoView();
}

function makeCard(group) {
  const picture = group.reduce((a, b) => ((b.boxes[0]?.[1] ?? 0) > (a.boxes[0]?.[1] ?? 0) ? b : a));
  const together = group.length > 1 && picture.together >= 0;
  const name = together ? nameOf(picture.together) : answerText(picture);
  const score = together ? picture.togetherScore : picture.score;
  const isFailed = categoryOf(picture) === "failed";
  const marks = make("span", { class: "marks" });
  if (group.length > 1) marks.append(make("span", { class: "mark" }, `${group.length} images`));
  if (group.every((one) => one.said >= 0)) marks.append(make("span", { class: "mark said" }, "reviewed"));
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
        picture.said >= 0 || isFailed ? null : make("span", { class: "score" }, score.toFixed(2)),
      ),
      marks,
    ),
  );
}

/** The picture with its boxes over it; `alt` is for those who do not see it. */
function frame(picture, alt) {
  const box = make("span", { class: "frame", style: `--aspect:${picture.aspect}` });
  if (picture.thumb) {
    const image = make("img", { src: `thumbs/${picture.thumb}`, alt, loading: "lazy" });
    image.addEventListener("load", () => {
      picture.aspect = image.naturalWidth / image.naturalHeight;
      box.style.setProperty("--aspect", picture.aspect);
    });
    image.addEventListener("error", () => {
      picture.why = "it cannot be read, or is not where the predictions say";
      image.replaceWith(make("span", { class: "no-picture" }, `No picture: ${picture.why}.`));
    });
    box.append(image);
  } else {
    box.append(make("span", { class: "no-picture" }, `No picture: ${picture.why}.`));
  }
  const least = Number(form.elements.conf.value || form.elements.conf.defaultValue);
  for (const [kind, conf, x, y, w, h] of picture.boxes) {
    if (conf < least) continue;
    const place = [x, y, w, h].map((side) => `${(100 * side).toFixed(2)}%`);
    const style = `left:${place[0]};top:${place[1]};width:${place[2]};height:${place[3]}`;
    const category = SURVEY.categories[kind];
    box.append(
      make("span", { class: `box ${category}`, style },
        make("span", { class: "tag" }, `${category} ${conf.toFixed(2)}`)),
    );
  }
  return box;
}

// --- The viewer ------------------------------------------------------------------------------

function show(position) {
  if (position < 0 || position >= shown.length) return;
  open = position;
  const picture = shown[position];
  const address = photographOf(picture);
  const view = frame(picture, `${answerText(picture)}, ${picture.file}`);
  const image = view.querySelector("img");
  if (image && address) {
    const large = new Image();
    large.onload = () => {
      const isWanted = image.isConnected && !stage.classList.contains("zoomed"); // or it is larger by now
      if (isWanted) image.src = large.src;
    };
    large.src = address;
  }
  stage.classList.remove("zoomed");
  stage.replaceChildren(view);
  document.getElementById("facts").replaceChildren(...factsOf(picture, address));
  document.getElementById("strip").replaceChildren(...stripOf(picture));
  document.getElementById("place").textContent = `${position + 1} of ${shown.length}`;
  document.getElementById("spoken").textContent = answerText(picture); // for those who only hear
  viewer.classList.toggle("without-boxes", question().get("boxes") === "0");
  if (!viewer.open) viewer.showModal();
  document.dispatchEvent(new CustomEvent("picture-shown", { detail: picture }));
}

function factsOf(picture, address) {
  const rows = [];
  const row = (name, ...value) => rows.push(make("dt", {}, name), make("dd", {}, ...value));
  const label = answerOf(picture);
  const scientific = label < 0 ? "" : SURVEY.labels[label].scientific;
  row("Answer", make("strong", {}, answerText(picture)), scientific ? make("i", {}, ` ${scientific}`) : "");
  if (label >= 0 && SURVEY.labels[label].taxa) row("Taxa", SURVEY.labels[label].taxa);
  if (picture.said >= 0) row("Predicted", `${nameOf(picture.label)}, ${picture.score.toFixed(3)}`);
  else if (picture.label >= 0) row("Score", picture.score.toFixed(3));
  if (picture.source >= 0) row("Rule", SURVEY.sources[picture.source]);
  if (picture.why) row(categoryOf(picture) === "failed" ? "Failed" : "No picture", `${picture.why}.`);
  for (const name of checksOf(picture)) row("Check", SURVEY.checks[name]);
  if (picture.classes.length) {
    const list = picture.classes.map(([name, score]) => `${nameOf(name)} ${score.toFixed(3)}`);
    row("Classifier", list.join(", "));
  }
  if (picture.together >= 0 && picture.sequence >= 0) {
    row("Sequence", `${nameOf(picture.together)}, ${picture.togetherScore.toFixed(3)} together`);
  }
  if (picture.taken) row("Taken", picture.taken.replace("T", " "));
  const path = pathOf(picture);
  const whole = address && SURVEY.mode === "review" ? `${address}?whole` : address;
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
    if (member.thumb) button.append(make("img", { src: `thumbs/${member.thumb}`, alt: member.file }));
    else button.append(member.file);
    return button;
  });
}

/** Shows a picture that the filters leave out, such as another one of the same sequence. */
function showAlone(picture) {
  shown = [...shown.slice(0, open + 1), picture, ...shown.slice(open + 1)];
  show(open + 1);
}

viewer.addEventListener("close", () => {
  const last = shown[open];
  open = -1;
  offerAll(); // a review may have changed the answers
  update();
  if (last) focusCard(last.position);
});
document.getElementById("close").addEventListener("click", () => viewer.close());
document.getElementById("previous").addEventListener("click", () => show(open - 1));
document.getElementById("next").addEventListener("click", () => show(open + 1));

/** Shows the photograph at its full size, around the point that was clicked; or all of it again. */
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
    touchedAt = isPlain && !stage.classList.contains("zoomed") ? event.touches[0] : null;
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
  else if (key === "x") switchBoxes();
  else if (viewer.open && key === "z") zoom();
  else if (viewer.open && key === "ArrowRight") show(open + 1);
  else if (viewer.open && key === "ArrowLeft") show(open - 1);
  else if (viewer.open) return;
  else if (key === "n") document.querySelector(".pager [aria-label='Next page']:enabled")?.click();
  else if (key === "p") document.querySelector(".pager [aria-label='Previous page']:enabled")?.click();
  else if (key === "g") ask({ group: question().get("group") === "1" ? "" : "1" });
  else if (key === "/") form.elements.text.focus();
  else return;
  event.preventDefault();
});

function switchBoxes() {
  ask({ boxes: question().get("boxes") === "0" ? "" : "0", page: question().get("page") });
  viewer.classList.toggle("without-boxes", question().get("boxes") === "0");
}

// --- The filters -----------------------------------------------------------------------------

function offer(name, options) {
  const field = form.elements[name];
  const chosen = question().get(name) ?? "";
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

function offerAll() {
  const counted = (counts, name) =>
    [...counts]
      .filter(([value]) => value !== -1)
      .sort((a, b) => b[1] - a[1])
      .map(([value, count]) => [value, `${name(value)} (${count.toLocaleString("en")})`]);
  const keyed = (counts, key) => counts.map(([value, text]) => [key(value), text]);
  if (!fixed.has("label")) offer("label", keyed(counted(countBy(answerOf), nameOf), keyOf));
  offer("category", counted(countBy(categoryOf), (name) => name));
  const rule = (number) => SURVEY.sources[number];
  offer("source", keyed(counted(countBy((p) => p.source), rule), rule));
  const folder = (number) => SURVEY.cameras[number].name || "(no folder)";
  const shared = commonStart(SURVEY.cameras.map((camera) => camera.name));
  const short = (number) => folder(number).slice(shared) || folder(number);
  const cameras = counted(countBy((p) => p.camera), short);
  cameras.sort((a, b) => a[1].localeCompare(b[1], "en", { numeric: true }));
  offer("camera", keyed(cameras, (number) => SURVEY.cameras[number].name));
  const checks = countBy(checksOf);
  const named = CHECK_NAMES.filter((name) => checks.has(name));
  offer("check", [
    ["any", "any reason"],
    ...named.map((name) => [name, `${SURVEY.checks[name]} (${checks.get(name)})`]),
  ]);
}

/** How many characters all names share, up to a slash. */
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
  if (field.name === "boxes") ask({ boxes: field.checked ? "" : "0" });
  else if (field.name === "conf") ask({ conf: field.value === field.defaultValue ? "" : field.value });
  else ask({ [field.name]: value });
});
form.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("show-all").addEventListener("click", () => {
  form.reset();
  history.replaceState(null, "", "#");
  update();
});
window.addEventListener("hashchange", update);

loadPictures(() => {
  offerAll();
  update();
  document.dispatchEvent(new CustomEvent("pictures-loaded"));
}).catch((error) => {
  document.getElementById("count").textContent = `${error.message}; make the report again.`;
});
