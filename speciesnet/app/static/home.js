// The list of surveys.

import { $, api, attempt, button, date, make, poll, redraw, t } from "./app.js";
import { add, choosePath, forget } from "./folders.js";

const RESTS = ["new", "paused", "stopped", "failed", "done"];

async function look() {
  const { surveys, queue, held } = await api("surveys");
  $("#welcome").hidden = surveys.length > 0;
  $("#held").hidden = !held;
  const running = surveys.find((survey) => survey.state === "running");
  redraw($("#status"), [running?.id], () => [running ? t("now_running", { name: running.name }) : ""]);
  redraw($("#surveys"), [surveys, queue], () => surveys.map((survey) => row(survey, queue.indexOf(survey.id))));
}

function row(survey, place) {
  const again = (action) => () => attempt(async () => {
    await action();
    await look();
  });
  const total = survey.counts ? survey.counts.photographs + survey.counts.films : null;
  return make("li", {},
    make("h2", {}, make("a", { href: `/surveys/${survey.id}`, id: `open-${survey.id}` }, survey.name), " ",
      make("span", { className: `badge ${survey.state}` }, t(`state_${survey.state}`))),
    make("p", { className: "note path" }, survey.folders.join(" · ")),
    survey.missing.length ? make("p", { className: "warning" }, t("folder_missing", { folder: survey.missing[0] })) : null,
    make("p", {}, total ? t("done_of", { done: survey.done, total }) : t("images_done", { n: survey.done }), " · ", date(survey.changed),
      survey.state === "waiting" && place > 0 ? ` · ${t("in_queue", { n: place + 1 })}` : ""),
    make("p", { className: "buttons" },
      make("a", { className: "button primary", href: `/surveys/${survey.id}` }, t("open"), make("span", { className: "unseen" }, ` ${survey.name}`)),
      ["paused", "stopped", "failed"].includes(survey.state)
        ? named(t("go_on"), survey, again(() => api(`surveys/${survey.id}/start`, {}))) : null,
      RESTS.includes(survey.state) ? named(t("add_photographs"), survey, again(() => add(survey))) : null,
      RESTS.includes(survey.state) ? named(t("forget"), survey, again(() => forget(survey)))
        : named(t("stop"), survey, again(() => api(`surveys/${survey.id}/stop`, {})))));
}

/** A button whose name for screen readers contains the survey; its id keeps the focus. */
function named(text, survey, action) {
  const made = button(text, action);
  made.id = `${text}-${survey.id}`;
  made.append(make("span", { className: "unseen" }, ` ${survey.name}`));
  return made;
}

$("#open").addEventListener("click", () => attempt(async () => {
  const file = await choosePath(t("open_file"), { files: ".json,.jsonl", counts: false });
  if (file) location.href = `/surveys/${(await api("surveys", { predictions: file.path })).id}`;
}));
poll(look, 2000);
