// Export buttons: each is one command of the program.

import { $, again, api, attempt, follow, showJob, t } from "./app.js";
import { choosePath } from "./folders.js";

/** Sets the buttons up; returns a function that disables them while the run writes. */
export function exportsOf(here, survey, shared) {
  const fixes = { ...shared, choose_positions: showCameras };
  $("#timezones").append(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => new Option(zone)));
  cameras(survey.cameras);
  fileField("labels", t("labels"), ".csv,.json");
  for (const option of document.querySelectorAll("[data-share]"))
    option.textContent = Number(option.value).toLocaleString(document.documentElement.lang, { style: "percent" });
  const items = [...document.querySelectorAll("#exports > li")];
  for (const item of items) {
    const kind = item.dataset.kind;
    const fixesOf = (retry) => ({ ...fixes, ...again(retry) });
    const run = (kind, extra) => attempt(async () => {
      const common = ["cameras", "thresholds"].filter((name) => name in item.dataset).map((name) => optionsOf($(`#${name}`)));
      const job = await api(`${here}/jobs`, { kind, options: Object.assign(optionsOf(item), ...common, extra) });
      disable(item, true);
      await follow(job, $(".job", item), fixesOf(() => run(kind, extra)), told);
      disable(item, false);
    }, fixesOf(() => run(kind, extra)));
    $(".write", item).addEventListener("click", () => { if (isComplete(item)) run(kind, {}); });
    $(".dry", item)?.addEventListener("click", () => run(kind, { dry_run: true }));
    const undo = () => attempt(async () => {
      const job = await api(`${here}/jobs`, { kind: "undo", options: {} });
      await follow(job, $(".job", item), fixesOf(undo), told);
    }, fixesOf(undo));
    $(".undo", item)?.addEventListener("click", undo);
  }
  const title = $("[data-option=title]");
  title.value ||= survey.name;
  api(`${here}/jobs`).then((jobs) => {
    for (const item of items) {
      const last = jobs.find((job) => job.kind === item.dataset.kind);
      if (last?.state === "running") follow(last, $(".job", item), fixes, told);
      else if (last) showJob(last, $(".job", item), fixes, told);
    }
  });
  return (isRunning) => items.forEach((item) => disable(item, isRunning || $(".job progress", item) !== null));
}

/** The last line of a command reports what it did; commands that write one file only name it. */
const told = (job) => (["table", "timelapse"].includes(job.kind) || !job.said ? "" : `${t("job_done")} ${job.said}`);

const disable = (item, isDisabled) => {
  for (const button of item.querySelectorAll(":scope > .buttons button")) button.disabled = isDisabled;
};

function showCameras() {
  $("#cameras").open = true;
  $("#choose-deployments").focus();
}

/** Sets up the fields that say where the cameras were, with what was sent last. */
function cameras(last) {
  for (const name of ["latitude", "longitude", "timezone"]) $(`#cameras [data-option=${name}]`).value ||= last[name] ?? "";
  fileField("deployments", t("deployments"), ".csv", last.deployments, (path) => {
    for (const name of ["latitude", "longitude"]) {
      const field = $(`#cameras [data-option=${name}]`);
      field.disabled = Boolean(path); // the table has the positions
      if (path) field.value = "";
    }
  });
}

/** Sets up an output that names a file, and the buttons that choose one and remove it again. */
function fileField(name, title, files, path = null, changed = () => {}) {
  const [shown, chooser, remover] = [$(`#${name}`), $(`#choose-${name}`), $(`#no-${name}`)];
  const empty = shown.value;
  const choose = (path) => {
    shown.value = path ?? empty;
    shown.dataset.path = path ?? "";
    remover.hidden = !path;
    changed(path);
  };
  choose(path);
  chooser.addEventListener("click", async () => {
    const file = await choosePath(title, { files, counts: false });
    if (file) choose(file.path);
  });
  remover.addEventListener("click", () => {
    choose(null);
    chooser.focus();
  });
}

function isComplete(item) {
  const wrong = "cameras" in item.dataset && $("#cameras :invalid");
  if (wrong) {
    $("#cameras").open = true;
    wrong.reportValidity();
    return false;
  }
  const empty = [...item.querySelectorAll("[required]")].find((field) => !field.value.trim());
  if (!empty) return true;
  empty.closest("details").open = true;
  empty.focus();
  empty.reportValidity();
  return false;
}

export function optionsOf(item) {
  const options = {};
  for (const field of item.querySelectorAll("[data-option]")) {
    const { option } = field.dataset;
    const value = field.dataset.path ?? (field.type === "checkbox" ? field.checked : field.value.trim());
    if (value) options[option] = option === "contributor" ? [value] : value;
  }
  return options;
}
