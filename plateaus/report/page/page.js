// Draws every chart of the page, one after the other, and lets the controls change its signals.

const ZOOMS = { x: ["zoom_t"], y: ["zoom_v", "zoom_f"] }; // the signals of the range that is seen

async function draw(place) {
  const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  const options = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false };
  const { view } = await vegaEmbed(place, spec, options);
  place.signals = new Set(spec.signals.map((signal) => signal.name));
  place.view = view;
}

function set(place, name, value) {
  if (place.view && place.signals.has(name)) place.view.signal(name, value).runAsync();
}

function chosen(section, name) {
  const boxes = [...section.querySelectorAll(`input[name="${name}"]`)];
  return boxes.filter((box) => box.checked).map((box) => Number(box.value));
}

function update(section) {
  const settings = chosen(section, "settings");
  const seeds = chosen(section, "seeds");
  const measure = section.querySelector("select[name=measure]");
  for (const place of section.querySelectorAll(".chart")) {
    set(place, "settings", settings);
    set(place, "seeds", seeds);
    if (measure) set(place, "measure", Number(measure.value));
  }
  const all = (name) => section.querySelectorAll(`input[name="${name}"]`).length;
  section.querySelector("output").textContent =
    `Shown: ${settings.length} of ${all("settings")} settings, ` +
    `${seeds.length} of ${all("seeds")} seeds.`;
}

// The range of an axis that is seen now, stretched about its middle and shifted along.
function moved([low, high], logarithmic, stretch, shift) {
  const to = logarithmic ? Math.log : (value) => value;
  const back = logarithmic ? Math.exp : (value) => value;
  const [a, b] = [to(low), to(high)];
  const middle = (a + b) / 2 + shift * (b - a);
  const half = ((b - a) / 2) * stretch;
  return [back(middle - half), back(middle + half)];
}

function zoom(place, how) {
  const stretch = { in: 0.5, out: 2 }[how] || 1;
  const shift = { x: { left: -0.25, right: 0.25 }[how] || 0, y: { down: -0.25, up: 0.25 }[how] || 0 };
  for (const axis of ["x", "y"]) {
    const names = ZOOMS[axis].filter((name) => place.signals.has(name));
    const seen = place.view.scale(axis).domain();
    const range = how === "whole" ? null : moved(seen, axis === "x", stretch, shift[axis]);
    for (const name of names) place.view.signal(name, range);
  }
  place.view.runAsync();
}

for (const section of document.querySelectorAll("section.run")) {
  section.addEventListener("change", () => update(section));
  section.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { check, uncheck, zoom: how } = button.dataset;
    if (how) zoom(button.closest("figure").querySelector(".chart"), how);
    const name = check || uncheck;
    if (!name) return;
    for (const box of section.querySelectorAll(`input[name="${name}"]`)) box.checked = !!check;
    update(section);
  });
}

(async () => {
  for (const place of document.querySelectorAll(".chart")) {
    await draw(place);
    await new Promise((resolve) => setTimeout(resolve)); // the page answers in between
  }
  for (const section of document.querySelectorAll("section.run")) {
    if (section.querySelector("output")) update(section); // a browser may keep boxes as they were
  }
  document.documentElement.dataset.drawn = "all";
})();
