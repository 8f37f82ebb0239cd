"use strict";

// Sends dropped photographs and films to the server one by one and draws the answers over them.

const MAX_REQUESTS = 2; // in parallel
const ATTEMPTS = 5; // per request, while the server is busy
const CATEGORIES = { 1: "animal", 2: "human", 3: "vehicle" };
const api = document.documentElement.dataset.api;
const form = document.getElementById("place");
const drop = document.getElementById("drop");
const chooser = document.getElementById("files");
const cards = document.getElementById("cards");
const status = document.getElementById("status");

const waiting = [];
let running = 0;
let done = 0;
let total = 0;

/** Creates an element with attributes and children; strings become text, never HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// --- Requests ---------------------------------------------------------------------------------

function add(files) {
  const list = [...files];
  if (!list.length) return;
  total += list.length;
  const pictures = list.map((file) => {
    const picture = { file, card: make("li", { class: "waiting" }), address: URL.createObjectURL(file) };
    picture.card.append(frameOf(picture), answer("file", file.name, "waiting ...", ""));
    return picture;
  });
  cards.prepend(...pictures.map((picture) => picture.card));
  waiting.push(...pictures);
  sendNext();
}

function sendNext() {
  while (running < MAX_REQUESTS && waiting.length) {
    running++;
    const picture = waiting.shift();
    predict(picture.file)
      .then((record) => show(picture, record), (error) => showProblem(picture, error.message))
      .finally(() => {
        running--;
        done++;
        sendNext();
      });
  }
  status.textContent = total ? `${done} of ${total} files done.` : "";
}

async function predict(file) {
  const body = new FormData();
  body.append("files", file, file.name);
  for (const name of ["country", "admin1_region"]) {
    const value = form.elements[name].value.trim().toUpperCase();
    if (value) body.append(name, value);
  }
  const key = form.elements.key.value.trim();
  for (let attempt = 1; ; attempt++) {
    let response;
    try {
      response = await fetch(api, { method: "POST", body, headers: key ? { "X-API-Key": key } : {} });
    } catch {
      throw new Error("The server cannot be reached.");
    }
    if (response.ok) return (await response.json()).predictions[0];
    if (response.status === 503 && attempt < ATTEMPTS) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      continue;
    }
    if (response.status === 401) document.getElementById("key").hidden = false;
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.error ?? `The server answered with status ${response.status}.`);
  }
}

// --- Results ----------------------------------------------------------------------------------

function show(picture, record) {
  picture.record = record;
  picture.card.classList.remove("waiting");
  if (!record.prediction) {
    showProblem(picture, "This file is not a readable photograph or film.");
    return;
  }
  const parts = record.prediction.split(";");
  const name = parts[6] || "no answer";
  const scientific = [parts[4], parts[5]].filter(Boolean).join(" ") || parts.slice(1, 4).filter(Boolean).at(-1) || "";
  const category = { blank: "blank", human: "human", vehicle: "vehicle", "no cv result": "unknown" }[name] ?? "animal";
  const text = answer(category, name, scientific === name ? "" : scientific, record.prediction_score.toFixed(2));
  const source = record.prediction_source ? ` (${record.prediction_source})` : "";
  text.append(make("p", {}, `${picture.file.name}${source}`));
  picture.card.replaceChildren(frameOf(picture), text);
}

function showProblem(picture, problem) {
  picture.card.classList.remove("waiting");
  const text = answer("failed file", picture.file.name, "", "");
  text.append(make("p", { class: "problem" }, problem));
  picture.card.replaceChildren(frameOf(picture), text);
}

function answer(category, name, line, score) {
  return make(
    "div",
    { class: "answer" },
    make("h2", {}, make("span", { class: `dot ${category}` }), make("span", { class: "name" }, name),
      make("span", { class: "score" }, score)),
    make("p", {}, line),
  );
}

/** Creates the photograph, or the frame that represents the film, with its boxes. */
function frameOf(picture) {
  const frame = make("div", { class: "frame" });
  frame.style.setProperty("--aspect", picture.aspect ?? 4 / 3);
  const isFilm = picture.file.type.startsWith("video/");
  const shown = picture.record?.frame;
  const image = isFilm
    ? make("video", { "aria-label": picture.file.name, muted: "", src: `${picture.address}#t=${shown?.timestamp ?? 0}` })
    : make("img", { alt: picture.file.name, src: picture.address });
  image.addEventListener(isFilm ? "loadedmetadata" : "load", () => {
    picture.aspect = isFilm ? image.videoWidth / image.videoHeight : image.naturalWidth / image.naturalHeight;
    frame.style.setProperty("--aspect", picture.aspect);
  });
  image.addEventListener("error", () => {
    image.replaceWith(make("span", { class: "no-picture" }, "This browser cannot show the file."));
  });
  frame.append(image);
  const minimum = Number(form.elements.conf.value || form.elements.conf.defaultValue);
  for (const found of picture.record?.detections ?? []) {
    if (found.conf < minimum) break; // sorted by confidence
    if (found.frame_number !== shown?.frame_number) continue;
    const category = CATEGORIES[found.category];
    const box = make("span", { class: `box ${category}` },
      make("span", { class: "tag" }, `${category} ${found.conf.toFixed(2)}`));
    ["left", "top", "width", "height"].forEach((side, i) => {
      box.style[side] = `${(100 * found.bbox[i]).toFixed(2)}%`;
    });
    frame.append(box);
  }
  picture.card.picture = picture;
  return frame;
}

// --- Input ------------------------------------------------------------------------------------

chooser.addEventListener("change", () => {
  add(chooser.files);
  chooser.value = "";
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.elements.conf.addEventListener("change", () => {
  for (const { picture } of cards.children) {
    if (picture.record) picture.card.firstChild.replaceWith(frameOf(picture));
  }
});
