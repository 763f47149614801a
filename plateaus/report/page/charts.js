// Draws the charts of a page that can be seen, those nearest to the view first, and zooms in them.

const ZOOMS = { x: ["zoom_t"], y: ["zoom_v", "zoom_f"] }; // the signals of the range that is seen

async function draw(place) {
  place.dataset.begun = "";
  const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  const options = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false };
  const { view } = await vegaEmbed(place, spec, options);
  place.signals = new Set(spec.signals.map((signal) => signal.name));
  place.view = view;
  place.dispatchEvent(new Event("drawn", { bubbles: true }));
}

let drawing = false;

// What is in a closed part has no width to be drawn in; it is drawn when the part is opened.
async function drawAll() {
  if (drawing) return;
  drawing = true;
  const root = document.documentElement;
  root.dataset.drawn = "some";
  const seen = (place) => place.offsetParent && !place.closest("details:not([open])");
  const left = () => [...document.querySelectorAll(".chart:not([data-begun])")].filter(seen);
  const away = (place) => Math.abs(place.getBoundingClientRect().top);
  for (let places = left(); places.length; places = left()) {
    await draw(places.reduce((one, other) => (away(other) < away(one) ? other : one)));
    await new Promise((resolve) => setTimeout(resolve)); // the page answers in between
  }
  drawing = false;
  root.dataset.drawn = "all";
}

function set(place, name, value) {
  if (place.view && place.signals.has(name)) place.view.signal(name, value).runAsync();
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
  if (!place.view) return;
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

function chosen(part, name) {
  const boxes = [...part.querySelectorAll(`input[name="${name}"]`)];
  return boxes.filter((box) => box.checked).map((box) => box.value);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-zoom]");
  if (button) zoom(button.closest("figure").querySelector(".chart"), button.dataset.zoom);
});
document.addEventListener("toggle", drawAll, true); // of a part that is opened; it does not bubble
