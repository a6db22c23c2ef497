// The table of a run's episodes: sorted by a heading, filtered by a form, each row opened in place.
"use strict";
(() => {
  const section = document.querySelector(".pmi-episodes");
  const form = section.querySelector("form");
  const body = section.querySelector("tbody");
  const headings = [...section.querySelectorAll("thead th")];
  const status = section.querySelector("[role=status]");
  const order = new Intl.Collator(undefined, { numeric: true });
  const episodes = [...body.rows].map((row, number) => ({
    number,
    row,
    text: row.textContent.toLowerCase(),
    filters: JSON.parse(row.dataset.filters),
    button: row.querySelector("button"),
    steps: null, // the row below it, once it was opened
  }));
  let packed = null;

  const valueOf = (episode, column) => {
    const cell = episode.row.cells[column];
    return cell.dataset.value ?? cell.textContent;
  };

  // What is missing comes last, whichever way the others are sorted.
  const compare = (one, other, sign) => {
    if (one === "" || other === "") return (one === "") - (other === "");
    return sign * order.compare(one, other);
  };

  const compareNumbers = (one, other, sign) => {
    if (one === "" || other === "") return (one === "") - (other === "");
    return sign * (Number(one) - Number(other));
  };

  const sort = (column) => {
    const heading = headings[column];
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const each of headings) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const values = new Map(episodes.map((episode) => [episode, valueOf(episode, column)]));
    const isNumeric = [...values.values()].every((value) => !Number.isNaN(Number(value)));
    const by = isNumeric ? compareNumbers : compare;
    episodes.sort(
      (one, other) => by(values.get(one), values.get(other), sign) || one.number - other.number,
    );
    const sorted = document.createDocumentFragment();
    for (const { row, steps } of episodes) {
      sorted.append(row);
      if (steps) sorted.append(steps);
    }
    body.append(sorted);
  };

  const filter = () => {
    const words = form.querySelector("input").value.toLowerCase().split(/\s+/);
    const wanted = [...form.querySelectorAll("select")].map((select) => select.value);
    let num = 0;
    for (const { row, steps, button, text, filters } of episodes) {
      const fits =
        words.every((word) => text.includes(word)) &&
        wanted.every((value, place) => value === "" || value === filters[place]);
      row.hidden = !fits;
      if (steps) steps.hidden = !fits || button.getAttribute("aria-expanded") === "false";
      num += fits;
    }
    status.textContent = `${num} of ${episodes.length} episodes`;
  };

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).text();
  };

  const toggle = async (episode) => {
    const isOpen = episode.button.getAttribute("aria-expanded") === "true";
    episode.button.setAttribute("aria-expanded", String(!isOpen));
    if (episode.steps) {
      episode.steps.hidden = isOpen;
      return;
    }
    packed ??= JSON.parse(document.getElementById("pmi-data").textContent);
    episode.steps = document.createElement("tr");
    episode.steps.id = `pmi-steps-${episode.number}`;
    episode.button.setAttribute("aria-controls", episode.steps.id);
    const cell = episode.steps.insertCell();
    cell.colSpan = headings.length;
    episode.row.after(episode.steps);
    try {
      cell.innerHTML = await unpack(packed[episode.number]); // escaped where it was rendered
    } catch (error) {
      cell.textContent = `This browser cannot unpack the episode (${error.message}).`;
    }
  };

  headings.forEach((heading, column) =>
    heading.querySelector("button").addEventListener("click", () => sort(column)),
  );
  for (const episode of episodes) episode.button.addEventListener("click", () => toggle(episode));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
})();
