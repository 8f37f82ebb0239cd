// What all pages share: texts, numbers, requests, errors with the button that fixes them, and jobs.

const texts = JSON.parse(document.getElementById("texts").textContent);
const language = document.documentElement.lang;
export const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
const plural = new Intl.PluralRules(language);

export const $ = (selector, root = document) => root.querySelector(selector);
export const number = (value, digits = 0) =>
  new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);

export const rate = (value) => new Intl.NumberFormat(locale, { maximumSignificantDigits: 2 }).format(value);

/** A text from the catalog; values fill its {names}, and `n` also chooses the plural. */
export function t(key, values = {}) {
  const entry = texts[key];
  const text = typeof entry === "string" ? entry : (entry[plural.select(values.n)] ?? entry.other);
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? number(values[name]) : values[name]);
}
export const has = (key) => key in texts;

const unit = (value, name, digits = 0, display = "short") =>
  new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: display, maximumFractionDigits: digits }).format(value);

export function bytes(value) {
  const scale = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), 4);
  return unit(value / 1000 ** step, scale[step], step > 2 ? 1 : 0, step ? "short" : "long");
}

export function duration(seconds) {
  if (seconds < 60) return unit(Math.max(1, Math.round(seconds)), "second", 0, "long");
  const minutes = Math.round(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return unit(hours / 24, "day", 1, "long");
  const parts = [hours && unit(hours, "hour", 0, "long"), minutes % 60 && unit(minutes % 60, "minute", 0, "long")];
  return parts.filter(Boolean).join(" ");
}

export const date = (iso) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));

/** The contents of a folder: "1,204 photographs, 3 films, 5.1 GB". */
export const contents = (count) =>
  new Intl.ListFormat(locale, { type: "unit" }).format([
    t("photographs", { n: count.photographs }),
    ...(count.films ? [t("films", { n: count.films })] : []),
    bytes(count.bytes),
  ]);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child != null));
  return element;
}

/** "SpeciesNet 4.0.0b, for whole photographs". */
export const modelTitle = ({ version, type }) => [version && `SpeciesNet ${version}`, t(`model_${type}`)].filter(Boolean).join(", ");

export const button = (text, onclick, className = "") => make("button", { type: "button", className, onclick }, text);

/** Replaces the children of a part of the page if `state` has changed; the focus stays where it was. */
const drawn = new WeakMap();
export function redraw(root, state, children) {
  const key = JSON.stringify(state);
  if (drawn.get(root) === key) return;
  drawn.set(root, key);
  const focused = root.contains(document.activeElement) ? document.activeElement.id : "";
  root.replaceChildren(...children());
  if (focused) document.getElementById(focused)?.focus();
}

/** A response from the program; throws its error, if it has one. */
export async function api(path, body, method = body === undefined ? "GET" : "POST") {
  const options = { method };
  if (method !== "GET") {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body ?? {});
  }
  const response = await fetch(`/api/${path}`, options);
  lost(false);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), answer);
  return answer;
}

function lost(isLost) {
  const note = $("#lost");
  if (!note || note.hidden === !isLost) return;
  note.hidden = !isLost;
  note.textContent = isLost ? t("lost") : "";
}

/** Calls `look` repeatedly until it returns false; waits while the program is not running. */
export async function poll(look, pause) {
  for (;;) {
    try {
      if ((await look()) === false) return;
    } catch (error) {
      if (!(error instanceof TypeError)) return showProblem(error, {});
      lost(true);
    }
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 4 * pause : pause));
  }
}

/** Does what a button says; an error shows its sentence with a button that fixes it, if `fixes` has one. */
export async function attempt(action, fixes = {}) {
  $(".problems").replaceChildren();
  try {
    return await action();
  } catch (error) {
    if (error instanceof TypeError) lost(true);
    else showProblem(error, { ...again(() => attempt(action, fixes)), ...fixes });
  }
}

/** The fixes of errors that pass by themselves, or once a person has freed space. */
export const again = (action) => ({ wait: action, free_space: action });

const ALWAYS = { show_surveys: () => { location.href = "/"; }, open_again: () => location.reload() };

export function problem(error, given) {
  const name = error.action?.name;
  const fixes = { ...ALWAYS, ...given };
  const known = [`error_${error.code}`, `error_${name}`].find(has) ?? "error";
  return make("div", { className: "problem", role: "alert" },
    make("p", {}, make("strong", {}, t(known))),
    error.message && make("p", { lang: "en", className: "note" }, error.message),
    fixes[name] && button(t(`fix_${name}`), fixes[name], "primary"));
}

export function showProblem(error, fixes) {
  const place = $(".problems");
  place.replaceChildren(problem(error, fixes));
  place.scrollIntoView({ block: "nearest" });
}

/** Asks in a dialog; resolves to whether the answer is yes. */
export function ask(title, yes, ...content) {
  const dialog = make("dialog", { ariaLabel: title }, make("h2", {}, title), ...content,
    make("p", { className: "buttons" },
      button(yes, () => dialog.close("yes"), "primary"), button(t("cancel"), () => dialog.close(""))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/** Shows a job in `place` until it has ended, and returns it; calls `meanwhile` at every look. */
export async function follow(job, place, fixes = {}, done = () => "", meanwhile = () => {}) {
  await poll(async () => {
    job = await api(`jobs/${job.id}`);
    await meanwhile();
    showJob(job, place, fixes, done);
    return job.state === "running";
  }, 500);
  return job;
}

export function showJob(job, place, fixes = {}, done = () => "") {
  const last = job.log.at(-1) ?? "";
  const isRunning = job.state === "running";
  redraw(place, [job.id, job.state, isRunning ? "" : last], () => {
    if (isRunning)
      return [make("p", {}, make("progress", { ariaLabel: t("working") }), " ", make("span", { role: "status" }, t("working")), " ",
        make("span", { className: "size" }), " ", button(t("stop"), () => attempt(() => api(`jobs/${job.id}/stop`, {})))),
        make("p", { className: "note last", lang: "en" })];
    if (job.state === "failed") return [problem({ message: job.error ?? last, action: job.action }, fixes)];
    if (job.state === "stopped") return [make("p", { role: "status" }, t("job_stopped"))];
    const said = done(job) || t("job_done");
    return [make("p", { role: "status", className: "done" }, `✓ ${said}`),
      ...job.written.filter((file) => !said.includes(file.path)).map((file) => make("p", {}, t("written"), " ", make("code", {}, file.path), ` (${bytes(file.bytes)})`)),
      make("details", {}, make("summary", {}, t("details")),
        make("pre", { tabIndex: 0 }, [`$ ${job.command}`, ...job.log].join("\n")))];
  });
  if (!isRunning) return;
  const { done_bytes: here, total_bytes: total } = job.values;
  if (here < total) Object.assign($("progress", place), { max: total, value: here });
  else $("progress", place).removeAttribute("value"); // what has arrived is being prepared
  $(".size", place).textContent = here < total ? t("download_of", { done: bytes(here), total: bytes(total) }) : "";
  $(".last", place).textContent = last;
}

/** Downloads a model, with progress; resolves to whether it is on disk now. `retry` does the same again, `running` is a job that does it. */
export async function download(model, place, retry, running = null) {
  const job = await follow(running ?? await api("models/download", { model }), place, { download_model: retry, ...again(retry) });
  return job.state === "done";
}

export const pictureItem = (picture) => {
  const score = picture.score == null ? "" : new Intl.NumberFormat(locale, { style: "percent" }).format(picture.score);
  return make("li", {}, make("figure", {},
    make("img", { src: picture.thumb, alt: "", loading: "lazy", onerror: (event) => event.target.classList.add("gone") }),
    make("figcaption", { title: picture.path }, make("b", {}, picture.failed ? t("unreadable") : picture.answer), " ", make("small", {}, score),
      make("i", {}, picture.latin), make("small", {}, picture.name))));
};

$("#language").addEventListener("change", (event) => {
  document.cookie = `speciesnet_language=${event.target.value}; path=/; max-age=31536000; SameSite=Strict`;
  location.reload();
});

$("#quit")?.addEventListener("click", async () => {
  if (!(await ask(t("quit"), t("quit"), make("p", {}, t("quit_how"))))) return;
  attempt(async () => {
    await api("quit", {});
    $("#main").replaceChildren(make("h1", { role: "status" }, t("ended")));
  });
});
