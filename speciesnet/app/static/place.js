// The country of a survey: found by its name in any language, or by a click on the map.

import { $, api, attempt, button, locale, make, t } from "./app.js";

const MAP = { top: 84, bottom: -56 }; // degrees north; world.svg
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Returns an object with `value()`, the place as sent to the program or null, and `set(place)`. */
export async function choosePlace(language, changed) {
  const countries = await api(`countries?language=${language}`);
  let country = null;
  const search = $("#search");
  const region = $("#region");
  const kind = () => $("[name=kind]:checked").value;

  /** 0 if a name starts with the text, 1 if a word of it does, 2 if it contains it; else 3. */
  const rank = (text) => (one) =>
    Math.min(...[one.name, one.code, ...one.also].map(plain).map((name) =>
      name.startsWith(text) ? 0 : ` ${name}`.includes(` ${text}`) ? 1 : text.length > 2 && name.includes(text) ? 2 : 3));

  function found() {
    const text = plain(search.value.trim());
    if (!text) return [];
    const order = rank(text);
    return countries.map((one) => [order(one), one]).filter(([at]) => at < 3)
      .sort(([a, one], [b, other]) => a - b || one.name.localeCompare(other.name, locale))
      .map(([, one]) => one).slice(0, 8);
  }

  function choose(one, code = null) {
    country = one;
    search.value = one?.name ?? "";
    $("#matches").replaceChildren();
    $("#matched").textContent = one ? `✓ ${one.name}` : "";
    region.hidden = !one?.regions?.length;
    if (!region.hidden)
      $("select", region).replaceChildren(new Option(t("state_any"), ""),
        ...one.regions.map((state) => new Option(state.name, state.code, false, state.code === code)));
    changed();
  }

  search.addEventListener("input", () => {
    country = null;
    region.hidden = true;
    const matches = found();
    $("#matched").textContent = search.value ? t("countries_found", { n: matches.length }) : "";
    $("#matches").replaceChildren(...matches.map((one) =>
      make("li", {}, button(one.name, () => { choose(one); search.focus(); }))));
    changed();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found().length) choose(found()[0]);
  });
  $("#kinds").addEventListener("change", () => {
    $("#country").hidden = kind() !== "country";
    changed();
  });

  async function lookUp(latitude, longitude) {
    if (Number.isNaN(latitude) || Number.isNaN(longitude)) return;
    $("#latitude").value = Math.round(latitude * 100) / 100;
    $("#longitude").value = Math.round(longitude * 100) / 100;
    const pin = $("#pin");
    pin.hidden = false;
    pin.style.left = `${(longitude + 180) / 3.6}%`;
    pin.style.top = `${(100 * (MAP.top - latitude)) / (MAP.top - MAP.bottom)}%`;
    const place = await attempt(() => api(`place?${new URLSearchParams({ latitude, longitude })}`));
    if (!place) return;
    choose(countries.find((one) => one.code === place.country) ?? null, place.region);
    if (!place.country) $("#matched").textContent = t("at_sea");
  }

  const map = $("#map");
  const world = $("div", map);
  world.addEventListener("click", (event) => {
    const box = world.getBoundingClientRect();
    lookUp(MAP.top - ((event.clientY - box.top) / box.height) * (MAP.top - MAP.bottom),
      ((event.clientX - box.left) / box.width) * 360 - 180);
  });
  let zoom = 1;
  function scale(factor) {
    const middle = (map.scrollLeft + map.clientWidth / 2) / zoom;
    const centre = (map.scrollTop + map.clientHeight / 2) / zoom;
    zoom *= factor;
    world.style.width = `${100 * zoom}%`;
    map.scrollTo(middle * zoom - map.clientWidth / 2, centre * zoom - map.clientHeight / 2);
    $("#farther").disabled = zoom <= 1;
    $("#closer").disabled = zoom >= 8;
  }
  $("#closer").addEventListener("click", () => scale(2));
  $("#farther").addEventListener("click", () => scale(1 / 2));
  $("#look-up").addEventListener("click", () => lookUp($("#latitude").valueAsNumber, $("#longitude").valueAsNumber));

  // What a person typed or chose while the list was loading.
  if (search.value) search.dispatchEvent(new Event("input"));
  $("#kinds").dispatchEvent(new Event("change"));
  $("#on-map").inert = false;

  return {
    country: () => country,
    value() {
      if (kind() !== "country") return { kind: kind() };
      return country && { kind: "country", country: country.code, region: $("select", region).value || null };
    },
    set: (place) => {
      const one = countries.find((other) => other.code === place.country);
      if (one) choose(one, place.region);
    },
  };
}
