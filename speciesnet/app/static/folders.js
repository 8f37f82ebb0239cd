// Browses the folders of this computer: only those that the program lists.

import { api, ask, attempt, button, contents, make, poll, t } from "./app.js";

/**
 * A browser of folders in `root`; calls `changed(folder)` with each folder that is opened, null for the places.
 * Returns an object with `opened()`, a promise kept once the folder that was clicked last is open.
 */
export function browse(root, changed, { files = "", counts = true, path = null } = {}) {
  let current = null;
  let chosen = null;
  let asked = 0;
  let opening = null;
  const here = make("h3", { tabIndex: -1 });
  const up = button(t("up"), () => open(current.parent));
  const list = make("ul", { className: "folders" });
  const status = make("p", { className: "count", role: "status" });
  root.classList.add("browser");
  root.replaceChildren(make("div", { className: "here" }, up, here), status, list);

  const item = (text, onclick, kind, title) =>
    make("li", {}, make("button", { type: "button", className: `entry ${kind === "file" ? kind : ""}`, onclick, title }, text));

  const open = (folder, isByHand = true) => (opening = load(folder, isByHand));

  async function load(folder, isByHand) {
    const query = new URLSearchParams({ ...(folder && { path: folder }), ...(files && { files }) });
    const mine = ++asked;
    const found = await attempt(() => api(`folders?${query}`), { choose_folder: () => open(null) });
    if (!found || mine !== asked) return;  // another folder has been opened since
    current = found;
    up.hidden = found.path === null;
    here.textContent = found.path ?? t("places");
    const entries = found.folders.map((entry) =>
      item(has(entry), () => open(entry.path), entry.kind, entry.path));
    const names = (found.files ?? []).map((entry) => item(entry.name, () => choose(entry), "file", entry.path));
    list.replaceChildren(...entries, ...names);
    if (found.cut) list.append(make("li", { className: "note" }, t("folders_cut")));
    status.textContent = entries.length + names.length ? "" : t("folders_none");
    if (isByHand) here.focus();
    changed(files ? null : found.path === null ? null : found);
    if (counts && found.path !== null) count(found);
  }

  const has = (entry) => (["home", "pictures", "documents", "desktop"].includes(entry.kind) ? t(`place_${entry.kind}`) : entry.name);

  function choose(file) {
    chosen = file;
    for (const entry of list.querySelectorAll(".file")) entry.ariaPressed = String(entry.title === file.path);
    changed(chosen);
  }

  function count(folder) {
    status.textContent = t("counting");
    poll(async () => {
      if (current !== folder || !root.isConnected) return false;
      const found = await api(`count?${new URLSearchParams({ path: folder.path })}`);
      if (current !== folder) return false;
      status.textContent = found.error ?? (found.limited ? t("more_than", { what: contents(found) }) : contents(found)) + (found.done ? "" : " …");
      folder.count = found;
      if (found.done) changed(folder);
      return !found.done;
    }, 300);
  }

  open(path, false);
  return { opened: () => opening };
}

/** Asks for a folder, or a file if `files` names endings, in a dialog; resolves to null if none was chosen. */
export async function choosePath(title, options) {
  const root = make("div");
  let chosen = null;
  const yes = t(options?.files ? "choose_file" : "choose_folder");
  const answer = ask(title, yes, root);
  const accept = root.parentElement.querySelector(".buttons .primary");
  accept.disabled = true;
  browse(root, (found) => {
    chosen = found;
    accept.disabled = !found;
  }, options);
  return (await answer) ? chosen : null;
}

/** Adds a folder of photographs to a survey and continues its run. */
export async function add(survey) {
  const folder = await choosePath(t("add_photographs"));
  if (!folder) return;
  await api(`surveys/${survey.id}`, { folders: [...new Set([...survey.folders, folder.path])] }, "PATCH");
  await api(`surveys/${survey.id}/start`, {});
  location.href = `/surveys/${survey.id}`;
}

/** Removes a survey from the list if the answer is yes; resolves to whether it was removed. */
export async function forget(survey) {
  if (!(await ask(t("forget_sure", { name: survey.name }), t("forget"), make("p", {}, t("forget_how"))))) return false;
  await api(`surveys/${survey.id}`, {}, "DELETE");
  return true;
}
