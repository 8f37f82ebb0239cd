// A new survey: folder, country, model, and the rest with defaults.

import { $, api, attempt, button, bytes, contents, download, make, modelTitle, number, showProblem, t } from "./app.js";
import { browse, choosePath } from "./folders.js";
import { choosePlace } from "./place.js";

let folder = null;
let results = null;
let list = null;
let place = null;

const FILMS = document.querySelectorAll("[data-films]"); // choices that need films

function changed() {
  for (const label of FILMS) label.hidden = !folder?.count?.films;
  const parts = [folder?.count && contents(folder.count), place?.country()?.name];
  if (folder && place?.value()) $(".problems").replaceChildren(); // nothing is missing any more
  $("#chosen").textContent = parts.filter(Boolean).join(" · ");
}

function drawModels(models) {
  const chosen = $("[name=model]:checked")?.value ?? models.find((model) => model.is_default)?.name;
  $("#models").replaceChildren(...models.map((model) =>
    make("label", {},
      make("input", { type: "radio", name: "model", value: model.name, checked: model.name === chosen }),
      make("span", {}, modelTitle(model), " ", make("small", {}, model.on_disk ? `✓ ${t("on_disk")}` : toDownload(model)),
      model.on_disk ? null : button(t("fix_download_model"), () => fetchModel(model.name))))));
}

const toDownload = (model) => t(model.bytes_here ? "to_download_rest" : "to_download_size",
  { size: bytes(model.bytes), here: bytes(model.bytes_here) });

const fetchModel = (name, running = null) => attempt(async () => {
  await download(name, $("#download"), () => fetchModel(name), running);
  drawModels(await api("models"));
}, FIXES);

const FIXES = {
  choose_folder: () => { $("#folders button:not([hidden])").focus(); },
  choose_model: () => { $("[name=model]").focus(); },
  download_model: () => fetchModel($("[name=model]:checked").value),
};

function options() {
  const values = {};
  for (const field of document.querySelectorAll("#more [data-option]")) {
    if (field.disabled || field.closest("[hidden]")) continue;
    const isBox = field.type === "checkbox";
    if (isBox ? field.checked !== field.defaultChecked : !field.selectedOptions[0].defaultSelected)
      values[field.dataset.option] = isBox ? field.checked : field.value;
  }
  return values;
}

$("#choose-results").addEventListener("click", async () => {
  results = (await choosePath(t("results"), { counts: false })) ?? results;
  if (results) $("#results").textContent = results.path;
});

$("#choose-list").addEventListener("click", async () => {
  list = await choosePath(t("species_list"), { files: ".txt,.csv", counts: false });
  $("#species-list").textContent = list?.path ?? t("species_list_none");
});

const frames = [$("[data-option=video_fps]"), $("[data-option=max_frames_per_video]")];
for (const option of frames[0].options) option.textContent = number(Number(option.value), 1);
$("[data-option=videos]").addEventListener("change", (event) => {
  for (const field of frames) field.disabled = event.target.value === "skip";
});

$("#next").addEventListener("click", () => attempt(async () => {
  await Promise.all([places, folders.opened()]); // whoever is faster than the program loses no click
  const missing = !folder ? "choose_folder" : !place?.value() ? "choose_country" : null;
  if (missing)
    return showProblem({ action: { name: missing } }, { ...FIXES, choose_country: () => $("#search").focus() });
  const survey = await api("surveys", {
    folders: [folder.path],
    place: place.value(),
    model: $("[name=model]:checked").value,
    options: options(),
    ...($("#name").value && { name: $("#name").value }),
    ...(list && { species_list: list.path, species_fill: $("#fill").checked }),
    ...(results && { results: results.path }),
  });
  location.href = `/surveys/${survey.id}`;
}, FIXES));

const folders = browse($("#folders"), (found) => {
  folder = found;
  changed();
});
attempt(async () => {
  const models = await api("models");
  drawModels(models);
  const arriving = models.find((model) => model.job);
  if (arriving) fetchModel(arriving.name, { id: arriving.job });
}, FIXES);
const places = attempt(async () => {
  place = await choosePlace(document.documentElement.lang, changed);
  const { surveys } = await api("surveys");
  const last = surveys.find((survey) => survey.place.kind === "country");
  if (last && !$("#search").value && document.activeElement !== $("#search")) place.set(last.place);
});
