// Which claims are shown, by their papers and verdicts; a link to a claim opens it.

const claims = [...document.querySelectorAll("details.claim")];
const controls = document.querySelector("form.controls");

function update() {
  const papers = new Set(chosen(controls, "papers"));
  const words = new Set(chosen(controls, "words"));
  const shown = claims.filter((claim) => {
    claim.hidden = !(papers.has(claim.dataset.paper) && words.has(claim.dataset.word));
    return !claim.hidden;
  });
  for (const paper of document.querySelectorAll("section.paper")) {
    paper.hidden = !paper.querySelector("details.claim:not([hidden])");
  }
  controls.querySelector("output").textContent =
    `Shown: ${shown.length} of ${claims.length} claims and parts of claims.`;
}

function follow() {
  const claim = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!claim || !claim.matches("details.claim")) return;
  claim.closest("section.paper").hidden = claim.hidden = false;
  claim.open = true;
  claim.scrollIntoView();
}

controls.addEventListener("change", update);
controls.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { words, opened } = button.dataset;
  if (words) {
    const wanted = new Set(JSON.parse(words));
    for (const box of controls.querySelectorAll("input[name=words]")) {
      box.checked = wanted.has(box.value);
    }
    update();
  }
  if (opened) for (const claim of claims) claim.open = opened === "all" && !claim.hidden;
});
for (const select of document.querySelectorAll("select[name=measure]")) {
  const place = select.closest("figure").querySelector(".chart");
  const show = () => set(place, "measure", Number(select.value));
  select.addEventListener("change", show);
  place.addEventListener("drawn", show);
}
window.addEventListener("hashchange", follow);

update();
follow();
drawAll();
