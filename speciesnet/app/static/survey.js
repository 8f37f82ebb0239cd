// One survey: before the start, while it runs, and afterward.

import {
  $, again, api, ask, attempt, bytes, contents, download, duration, follow, make, modelTitle, number, pictureItem, poll, rate, redraw, showProblem, t,
} from "./app.js";
import { exportsOf, optionsOf } from "./exports.js";
import { add, choosePath, forget } from "./folders.js";

const id = $("#survey").dataset.id;
const here = `surveys/${id}`;
const RUNS = ["waiting", "running", "pausing", "stopping"];
let survey = null;
let drawExports = null;

const show = (selector, isShown) => { $(selector).hidden = !isShown; };
const start = () => act(() => api(`${here}/start`, {}));
const act = (action) => attempt(async () => {
  await action();
  await look();
}, FIXES);
const change = (fields) => act(async () => {
  await api(here, fields, "PATCH");
  await api(`${here}/start`, {});
});

const FIXES = {
  go_on: start,
  run_first: start,
  download_model: () => fetchModel(),
  choose_folder: async () => {
    const folder = await choosePath(t("fix_choose_folder"));
    if (folder) change({ folders: [...survey.folders.filter((path) => !survey.missing.includes(path)), folder.path] });
  },
  choose_model: async () => {
    const models = await api("models");
    const select = make("select", { ariaLabel: t("step_model") }, ...models.map((model) => new Option(modelTitle(model), model.name)));
    if (await ask(t("fix_choose_model"), t("choose"), select)) change({ model: select.value });
  },
};

const fetchModel = () => act(async () => {
  const isHere = await download(survey.model, $("#download"), fetchModel);
  if (isHere && survey.state !== "new") {
    await api(`${here}/start`, {});
    $("#download").replaceChildren();
  }
});

async function look() {
  const [next, progress] = await Promise.all([api(here), api(`${here}/progress`)]);
  const isFirst = survey === null;
  survey = next;
  if (isFirst) opened();
  drawFacts();
  drawRun(progress);
  drawLists(progress);
  redraw($("#log"), progress.log, () => [progress.log.join("\n")]);
}

function drawFacts() {
  const { place, model } = survey;
  redraw($("#about"), [survey.state, survey.folders, survey.missing, place, model, countries.length], () => [
    make("span", { className: `badge ${survey.state}` }, t(`state_${survey.state}`)), " ",
    make("span", { className: "path" }, survey.folders.join(" · ")), " · ",
    place.kind === "country" ? countryName(place) : t(`place_${place.kind}`), " · ", t("model", { model }),
    ...survey.missing.map((folder) => make("span", { className: "warning" }, t("folder_missing", { folder }))),
  ]);
  redraw($("#status"), survey.state, () => [t(`state_${survey.state}`)]);
  redraw($("#command"), survey.command, () => [survey.command]);
}

let countries = [];
const countryName = (place) =>
  [countries.find((one) => one.code === place.country)?.name ?? place.country, place.region].filter(Boolean).join(", ");

function drawRun(progress) {
  const { state } = progress;
  const isNew = state === "new";
  const isRunning = RUNS.includes(state);
  show("#before", isNew);
  show("#run", !isNew);
  show("#thresholds", survey.has_thresholds);
  for (const link of document.querySelectorAll("[data-page]")) link.hidden = !survey.pages.includes(link.dataset.page);
  show("#results", survey.has_predictions && !isRunning);
  if (survey.has_predictions) drawExports(isRunning);
  for (const [name, isShown] of [
    ["#go-on", ["paused", "stopped", "failed"].includes(state)], ["#pause", state === "running"],
    ["#stop", ["waiting", "running", "paused"].includes(state)], ["#add", !isRunning], ["#forget", !isRunning],
  ]) show(name, isShown);
  const { download: arriving } = progress;
  const bar = $("#bar");
  bar.hidden = state === "done";
  bar.max = arriving?.total_bytes ?? progress.total ?? survey.counts?.photographs ?? 1;
  if (state === "running" && !progress.done && !arriving) bar.removeAttribute("value");
  else bar.value = arriving?.done_bytes ?? progress.done;
  const facts = [
    arriving && t("downloading", { done: bytes(arriving.done_bytes), total: bytes(arriving.total_bytes) }),
    progress.total ? t("done_of", { done: progress.done, total: progress.total }) : t("images_done", { n: progress.done }),
    isRunning && progress.rate ? t("rate", { rate: rate(progress.rate) }) : null,
    isRunning && progress.seconds_left != null ? t("time_left", { time: duration(progress.seconds_left) }) : null,
    progress.blank ? t("blank", { n: progress.blank }) : null,
    progress.failed ? t("failed", { n: progress.failed }) : null,
  ].filter(Boolean);
  redraw($("#numbers"), facts, () => [facts.join(" · ")]);
  const sentence = state === "done" ? "" : (progress.sentence ?? ""); // the numbers say the same
  redraw($("#sentence"), sentence, () => [sentence]);
  drawFailure(state === "failed" || (progress.action && !isRunning) ? progress : null);
}

/** Shows why the run has ended, until it continues, in whichever window. */
let failure = null;
function drawFailure(progress) {
  const sentence = progress?.sentence ?? null;
  if (failure === sentence) return;
  failure = sentence;
  if (progress) showProblem({ message: sentence, action: progress.action ?? { name: "go_on" } }, { ...FIXES, ...again(start) });
  else $(".problems").replaceChildren();
}

function drawLists(progress) {
  show("#latest", progress.latest.length);
  redraw($("#latest ul"), progress.latest.map((one) => one.thumb), () => progress.latest.map(pictureItem));
  show("#counted", progress.species.length);
  redraw($("#counted tbody"), progress.species, () => progress.species.map((one) =>
    make("tr", {}, make("td", {}, one.name, " ", make("i", {}, one.latin)), make("td", { className: "n" }, number(one.count)))));
  show("#skipped", progress.skipped.length);
  redraw($("#skipped ul"), progress.skipped, () => progress.skipped.map((one) =>
    make("li", {}, `${number(one.count)} × `, make("span", { lang: "en" }, one.reason),
      make("details", {}, make("summary", {}, t("examples")), ...one.examples.map((path) => make("p", { className: "path" }, path))))));
}

/** Sets up the page once it knows the survey. */
function opened() {
  document.title = `${survey.name} – SpeciesNet`;
  $("#heading").textContent = survey.name;
  drawExports = exportsOf(here, survey, FIXES);
  api(`countries?language=${document.documentElement.lang}`).then((found) => { countries = found; });
  if (survey.state !== "new") return;
  attempt(plan, FIXES);
  attempt(async () => {
    const job = (await api(`${here}/jobs`)).find((one) => one.state === "running" && ["trial", "estimate"].includes(one.kind));
    if (job) await watch(job);
  }, FIXES);
}

const tile = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));

function drawPlan(count, values = {}) {
  redraw($("#plan"), [count, values], () => [
    tile(t("found"), (count.limited ? t("more_than", { what: contents(count) }) : contents(count)) + (count.done ? "" : " …")),
    values.done_before ? tile(t("finished"), number(values.done_before)) : null,
    values.seconds == null ? null : tile(t("takes"), `${duration(values.seconds)} (${t("rate", { rate: rate(values.images_per_second) })})`),
    values.disk_needed == null ? null : tile(t("disk"), t("disk_of", { needed: bytes(values.disk_needed), free: bytes(values.disk_free) })),
    tile(t("results"), survey.results),
  ].filter(Boolean));
}

let count = { photographs: 0, films: 0, bytes: 0, done: false };

async function plan() {
  const query = survey.folders.map((path) => `path=${encodeURIComponent(path)}`).join("&");
  const { free_bytes } = await api("surveys");
  await poll(async () => {
    count = await api(`count?${query}`);
    // A record is 1 to 2 kB; the rest are thumbnails and exports.
    drawPlan(count, { disk_needed: 2000 * (count.photographs + count.films), disk_free: free_bytes });
    return !count.done;
  }, 500);
}

const measure = async (kind) => watch(await api(`${here}/jobs`, { kind, options: {} }));

/** Shows an estimate or a trial until it has ended. */
async function watch(job) {
  const isTrial = job.kind === "trial";
  const retry = again(() => attempt(() => measure(job.kind), FIXES));
  const ended = await follow(job, $("#measured"), { ...FIXES, ...retry },
    ({ values }) => (isTrial ? t("tried", { n: values.images }) : t("estimated", { time: duration(values.seconds) })),
    isTrial ? drawTrial : undefined);
  if (!isTrial && ended.state === "done") drawPlan(count, ended.values);
}

async function drawTrial() {
  const { pictures } = await api(`${here}/trial`);
  redraw($("#trial"), pictures.map((one) => one.thumb), () => pictures.map(pictureItem));
}

const report = () => attempt(async () => {
  const options = optionsOf($("#thresholds"));
  const job = await follow(await api(`${here}/jobs`, { kind: "report", options }), $("#report-job"), { ...FIXES, ...again(report) });
  if (job.state === "done") location.href = `/${here}/report/index.html`;
}, FIXES);

for (const [selector, action] of [
  ["#start", start], ["#go-on", start],
  ["#pause", () => act(() => api(`${here}/pause`, {}))],
  ["#stop", () => act(() => api(`${here}/stop`, {}))],
  ["#estimate", () => attempt(() => measure("estimate"), FIXES)],
  ["#try", () => attempt(() => measure("trial"), FIXES)],
  ["#add", () => attempt(() => add(survey), FIXES)],
  ["#forget", () => attempt(async () => { if (await forget(survey)) location.href = "/"; })],
  ["#open-review", () => attempt(async () => { location.href = (await api(`${here}/review`, {})).address; }, FIXES)],
  ["#report", report],
]) $(selector).addEventListener("click", action);

poll(look, 1000);
