// The controls of each run folder: which settings and seeds its charts show, and which measure.

function update(section) {
  const settings = chosen(section, "settings").map(Number);
  const seeds = chosen(section, "seeds").map(Number);
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

for (const section of document.querySelectorAll("section.run")) {
  if (!section.querySelector("output")) continue; // nothing to draw
  section.addEventListener("change", () => update(section));
  section.addEventListener("drawn", () => update(section)); // boxes may be as they were before
  section.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const name = button && (button.dataset.check || button.dataset.uncheck);
    if (!name) return;
    const checked = Boolean(button.dataset.check);
    for (const box of section.querySelectorAll(`input[name="${name}"]`)) box.checked = checked;
    update(section);
  });
}

drawAll();
