// Finding one's way in a trace, and copying of it: the same in a page of its own and in a live view.
"use strict";
var pmiReading = (root) => {
  const BLOCKS = "p, li, td, th, dd, dt, pre, summary, h2, h3, h4, figcaption, caption";
  const isSlow = () => !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const hits = new WeakMap(); // of a form: what was looked for, the ranges, and which one is shown

  const scopeOf = (form) => form.parentElement;
  const say = (form, text) => { form.querySelector("[role=status]").textContent = text; };

  /** The texts of a scope, block by block, with where each text node begins in them. */
  const blocksOf = (scope) => {
    const steps = scope.querySelector(".pmi-branches") ?? scope;
    const walker = document.createTreeWalker(steps, NodeFilter.SHOW_TEXT);
    const blocks = new Map();
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const block = node.parentElement.closest(BLOCKS);
      if (!block || node.parentElement.closest(".pmi-copy, .pmi-whatif")) continue;
      if (!blocks.has(block)) blocks.set(block, { text: "", nodes: [] });
      const found = blocks.get(block);
      found.nodes.push([found.text.length, node]);
      found.text += node.data;
    }
    return [...blocks.values()];
  };

  const rangesOf = (scope, words) => {
    const pattern = words.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+");
    if (!pattern) return [];
    const ranges = [];
    for (const { text, nodes } of blocksOf(scope)) {
      const place = (at) => {
        const [start, node] = nodes.findLast(([begins]) => begins <= at);
        return [node, at - start];
      };
      for (const match of text.matchAll(new RegExp(pattern, "giu"))) {
        const range = document.createRange();
        range.setStart(...place(match.index));
        const [node, last] = place(match.index + match[0].length - 1);
        range.setEnd(node, last + 1);
        ranges.push(range);
      }
    }
    return ranges;
  };

  /** Where there is no room for all branches, the one that is picked. */
  const pick = (branched, at) => {
    branched.dataset.shown = at;
    for (const tab of branched.querySelectorAll(":scope > .pmi-tabs > button")) {
      tab.setAttribute("aria-pressed", tab.dataset.at === String(at));
    }
  };

  const reveal = (element) => {
    const branch = element.closest(".pmi-branch");
    const branched = branch?.closest(".pmi-branched[data-shown]");
    if (branched) pick(branched, [...branch.parentElement.children].indexOf(branch));
    const inside = element.closest("summary")?.parentElement.parentElement ?? element;
    for (let e = inside.closest("details"); e; e = e.parentElement.closest("details")) e.open = true;
    element.scrollIntoView({ block: "center", behavior: isSlow() ? "smooth" : "auto" });
  };

  const paint = (name, ranges) => {
    if (!window.CSS?.highlights) return;
    if (ranges.length) CSS.highlights.set(name, new Highlight(...ranges));
    else CSS.highlights.delete(name);
  };

  const look = (form) => {
    const words = form.elements.within.value;
    const ranges = rangesOf(scopeOf(form), words);
    hits.set(form, { words, ranges, at: -1 });
    paint("pmi-hits", ranges);
    paint("pmi-hit", []);
    say(form, words.trim() ? `${ranges.length} found` : "");
  };

  const step = (form, by) => {
    const before = hits.get(form);
    const isFresh = before?.words === form.elements.within.value
      && before.ranges.every((range) => range.startContainer.isConnected && !range.collapsed);
    if (!isFresh) look(form);
    const found = hits.get(form);
    if (!found.ranges.length) return;
    found.at = (found.at + by + found.ranges.length + (found.at < 0 && by < 0)) % found.ranges.length;
    const range = found.ranges[found.at];
    paint("pmi-hit", [range]);
    reveal(range.startContainer.parentElement);
    say(form, `${found.at + 1} of ${found.ranges.length}`);
  };

  const golden = (form) => {
    const scope = scopeOf(form);
    const sentences = [...scope.querySelectorAll(".pmi-gold")];
    if (!sentences.length) {
      say(form, "none of the gold sentences was found by these searches");
      return;
    }
    const at = scope.dataset.gold === undefined ? 0 : (Number(scope.dataset.gold) + 1) % sentences.length;
    scope.dataset.gold = at;
    reveal(sentences[at]);
    say(form, `gold sentence ${at + 1} of ${sentences.length}`);
  };

  const fold = (form, isOpen) => {
    const parts = scopeOf(form).querySelectorAll(".pmi-step details:not(.pmi-whatif)");
    for (const details of parts) details.open = isOpen;
  };

  const textToCopy = (button) => {
    const wanted = `[data-copied="${button.dataset.what}"]`;
    let near = button;
    while (!near.querySelector(wanted)) near = near.parentElement; // several may be on the page
    const copied = near.querySelector(wanted).cloneNode(true);
    const count = copied.querySelector("[data-count]");
    if (count) count.textContent = button.dataset.steps;
    return copied.textContent;
  };

  const copy = async (button) => {
    const text = textToCopy(button);
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no permission, or no secure context: the old way
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const { textContent } = button;
    if (textContent === "copied") return;
    button.textContent = "copied";
    button.setAttribute("aria-live", "polite");
    setTimeout(() => { button.textContent = textContent; }, 1500);
  };

  /** Shows where one latent looked, or all of them together; the darkest word is the most looked at. */
  const heat = (slider) => {
    const map = slider.closest("[data-heat]");
    const all = JSON.parse(map.dataset.heat), at = slider.valueAsNumber;
    const each = at ? all[at - 1] : all.reduce((sums, row) => sums.map((sum, i) => sum + row[i]));
    const most = Math.max(...each) || 1;
    map.querySelectorAll("bdi > span").forEach((word, i) => {
      word.style.setProperty("--heat", (each[i] / most).toFixed(2));
    });
    slider.ariaValueText = map.querySelector("output").textContent = at ? `${at} of ${all.length}` : "all together";
  };

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-read]");
    if (!button) return;
    const form = button.closest("form");
    const { read } = button.dataset;
    if (read === "copy") copy(button);
    else if (read === "branch") pick(button.closest(".pmi-branched"), button.dataset.at);
    else if (read === "gold") golden(form);
    else if (read === "fold" || read === "unfold") fold(form, read === "unfold");
    else step(form, read === "next" ? 1 : -1);
  });
  root.addEventListener("input", (event) => {
    const form = event.target.closest(".pmi-find");
    if (form) look(form);
    else if (event.target.dataset.read) heat(event.target);
  });
  root.addEventListener("submit", (event) => {
    if (event.target.matches(".pmi-find")) event.preventDefault();
  }, true);
  root.addEventListener("keydown", (event) => {
    const form = event.target.closest(".pmi-find");
    if (!form || !event.target.matches("input")) return;
    if (event.key === "Enter") {
      event.preventDefault();
      step(form, event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape" && event.target.value) {
      event.target.value = "";
      look(form);
      event.stopPropagation();
    }
  });
  root.dataset.reading = "";
};
if (document.currentScript) pmiReading(document.querySelector("main")); // a page of its own
