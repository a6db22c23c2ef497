// Shows a tree of nodes that Python rendered and escaped, and tells Python what was clicked.
// A node whose HTML did not change is left alone: what is open, typed or in focus stays so.

const FOCUSABLE = "button, input, select, textarea, summary, a[href], [tabindex]";
const KEPT = /^(data-|aria-)|^(class|id|href|title|style|type|name|value|placeholder|for|role|rows|min|max|step|list|tabindex|open|checked|selected|disabled|scope|colspan|lang|dir|width|height|viewBox|x|y|text-anchor|d|fill|stroke|stroke-width|autocomplete|spellcheck)$/;
const TYPED = "input[name]:not([type=checkbox]), textarea[name]";
const DROPPED = "script, style, iframe, object, embed, link, meta, base, template";

/** Parse one node's HTML into an inert element: Python escapes, and this lets nothing active by. */
function parse(html) {
  const element = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  element.querySelectorAll(DROPPED).forEach((child) => child.remove());
  for (const child of [element, ...element.querySelectorAll("*")]) {
    for (const { name, value } of [...child.attributes]) {
      const isLink = name === "href" && !value.startsWith("#");
      if (!KEPT.test(name) || isLink) child.removeAttribute(name);
    }
    // On a parent this has no effect: without it JupyterLab takes letter keys as its shortcuts.
    if (child.matches(FOCUSABLE)) child.dataset.lmSuppressShortcuts = "true";
  }
  return document.importNode(element, true);
}

/** Where an element is: the keys of the nodes around it. */
function placeOf(element) {
  const keys = [];
  for (let e = element.closest("[data-node]"); e; e = e.parentElement.closest("[data-node]")) keys.unshift(e.dataset.node);
  return keys.join("/");
}

const slotOf = (element) =>
  element.matches("[data-slot]") ? element : element.querySelector("[data-slot]");

/** Carry over what the reader did to a node that is being replaced. */
function keepState(old, fresh) {
  for (const details of old.querySelectorAll("details[data-key]")) {
    const twin = fresh.querySelector(`details[data-key="${details.dataset.key}"]`);
    if (twin) twin.open = details.open;
  }
  for (const field of old.querySelectorAll(TYPED)) {
    const twin = fresh.querySelector(`[name="${field.name}"]`);
    // What Python changed itself wins over what was typed before.
    if (twin && twin.defaultValue === field.defaultValue) twin.value = field.value;
  }
}

function replace(old, fresh, hasChildren) {
  keepState(old, fresh);
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  const path = active && describe(active);
  const [from, to] = hasChildren ? [slotOf(old), slotOf(fresh)] : [null, null];
  if (from && to) to.append(...from.childNodes);
  old.replaceWith(fresh);
  if (!active) return;
  if (fresh.contains(active)) active.focus({ preventScroll: true });
  else find(fresh, path)?.focus({ preventScroll: true });
  if (active.selectionStart != null && document.activeElement?.setSelectionRange) {
    try {
      document.activeElement.setSelectionRange(active.selectionStart, active.selectionEnd);
    } catch { /* number fields have no selection */ }
  }
}

/** What finds a control again after its node was replaced. */
function describe(control) {
  if (control.name) return `[name="${control.name}"]`;
  if (control.matches("summary")) return `details[data-key="${control.parentElement.dataset.key}"] > summary`;
  const { action, id } = control.dataset;
  return action ? `[data-action="${action}"]${id ? `[data-id="${CSS.escape(id)}"]` : ""}` : null;
}
const find = (root, selector) => (selector ? root.querySelector(selector) : null);

/** Make the children of `parent` those of `nodes`, touching only what differs. */
function sync(parent, nodes) {
  const old = new Map([...parent.children].map((child) => [child.dataset.node, child]));
  nodes.forEach((node, place) => {
    let element = old.get(node.key);
    old.delete(node.key);
    if (!element || element.shown !== node.html) {
      const fresh = parse(node.html);
      fresh.shown = node.html;
      fresh.dataset.node = node.key;
      if (element) replace(element, fresh, node.children.length > 0);
      element = fresh;
    }
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place] ?? null);
    const slot = node.children.length || element.querySelector("[data-slot] > [data-node]") ? slotOf(element) : null;
    if (slot) sync(slot, node.children);
  });
  old.forEach((element) => element.remove());
}

function formValues(control) {
  const form = control.closest("form");
  if (!form) return {};
  const values = {};
  for (const field of form.elements) {
    if (!field.name) continue;
    values[field.name] = field.type === "checkbox" ? field.checked : field.value;
  }
  return values;
}

const GONE = ["dead", "terminating", "restarting", "autorestarting"];

/** Tell when the kernel that made a model does not serve it any more; it never does again. */
function watchKernel(model, el, onGone) {
  const manager = model.widget_manager;
  const kernel = manager?.kernel;  // of JupyterLab; elsewhere its widgets alone tell
  const isGone = () => el.closest(".jupyter-widgets-disconnected")
    || (kernel && (manager.kernel?.id !== kernel.id || GONE.includes(kernel.status)));
  const look = () => { if (isGone()) { stop(); onGone(); } };
  const looking = setInterval(look, 500);
  kernel?.statusChanged?.connect(look);  // a restart may be over before one looks again
  const stop = () => { clearInterval(looking); kernel?.statusChanged?.disconnect(look); };
  look();
  return stop;
}

const ANSWERED_MS = 8000; // a kernel that is idle answers at once

export default () => {
  // One closure a model: a view that JupyterLab makes anew finds what was open and in focus.
  const memory = { open: new Set(), typed: new Map(), focus: null };

  function render({ model, el }) {
    const root = document.createElement("div");
    root.className = "pmi";
    const status = document.createElement("p");
    status.className = "pmi-status";
    status.setAttribute("role", "status");
    status.setAttribute("aria-live", "polite");
    const progress = document.createElement("p");
    progress.className = "pmi-now";
    const view = document.createElement("div");
    const stale = document.createElement("p");
    stale.className = "pmi-warn";
    stale.setAttribute("role", "alert");
    stale.hidden = true;
    root.append(stale, status, progress, view);
    el.append(root);
    pmiReading(view);

    let sent = null;  // the form that was sent last
    let clicked = null, since = 0, ticker = null, isGone = false;

    const showStatus = () => {
      if (isGone) return;
      const isBusy = model.get("is_busy") || clicked !== null;
      root.setAttribute("aria-busy", String(isBusy));
      if (isBusy && !since) since = performance.now();
      if (!isBusy) since = 0;
      const spent = since ? Math.floor((performance.now() - since) / 1000) : 0;
      const text = model.get("is_busy") ? model.get("status") : clicked ?? model.get("status");
      status.textContent = isBusy && spent > 0 ? `${text} ${spent} s` : text;
      status.classList.toggle("pmi-error", model.get("is_error"));
      if (isBusy && !ticker) ticker = setInterval(showStatus, 1000);
      if (!isBusy && ticker) { clearInterval(ticker); ticker = null; }
    };
    // Told several times a second: not by the status, which is read out.
    const showProgress = () => {
      progress.textContent = model.get("progress");
      progress.hidden = !progress.textContent;
    };
    const showNodes = () => {
      sync(view, model.get("nodes"));
      setTabStops();
    };
    const showProblems = () => {
      for (const told of root.querySelectorAll(".pmi-problem")) {
        told.previousElementSibling.removeAttribute("aria-invalid");
        told.remove();
      }
      for (const [name, problem] of Object.entries(model.get("problems"))) {
        const field = sent?.elements.namedItem(name);
        if (!field) continue;
        const told = document.createElement("small");
        told.className = "pmi-problem";
        told.textContent = problem;
        field.setAttribute("aria-invalid", "true");
        field.after(told);
      }
    };
    let asked = 0, heard = -Infinity;
    const setStale = (isStale) => {
      if (isGone || stale.hidden !== isStale) return;
      stale.hidden = !isStale;
      stale.textContent = isStale
        ? "The kernel does not answer: it is busy, or it is gone and this is what was saved. Buttons do nothing until it answers." : "";
      root.toggleAttribute("data-stale", isStale);
    };
    const onHeard = () => { asked = 0; heard = performance.now(); setStale(false); };
    const ask = () => {
      if (asked || performance.now() - heard < ANSWERED_MS) return;
      const mine = asked = performance.now();
      try {
        model.send({ action: "ping", args: {}, values: {} });
      } catch { // the way to the kernel is closed already
        asked = 0;
        setStale(true);
        return;
      }
      setTimeout(() => { if (asked === mine) { asked = 0; setStale(true); } }, ANSWERED_MS);
    };
    const onLost = () => { heard = -Infinity; ask(); };
    const onShown = () => { if (!document.hidden) ask(); };
    const onChange = () => { clicked = null; showStatus(); };
    const setTabStops = () => {
      for (const bar of root.querySelectorAll("[role=toolbar]")) {
        const buttons = [...bar.querySelectorAll("button")];
        const current = buttons.find((b) => b.tabIndex === 0 && b.dataset.stop) ?? buttons[0];
        buttons.forEach((b) => { b.tabIndex = b === current ? 0 : -1; b.dataset.stop = "1"; });
      }
    };

    const showGone = () => {
      setStale(true);
      isGone = true;
      stale.textContent = "The kernel does not answer: the one that made this view is gone, "
        + "and the view stands as it was then. Run its cell again.";
      clearInterval(ticker);
      progress.hidden = true;
      root.setAttribute("aria-busy", "false");
      for (const control of root.querySelectorAll("[data-action]")) control.setAttribute("aria-disabled", "true");
      const fields = "form:not(.pmi-find) :is(input, select, textarea)";
      for (const field of root.querySelectorAll(fields)) field.disabled = true;
    };

    const act = (control, action) => {
      if (control.getAttribute("aria-disabled") === "true") return;
      if (!stale.hidden) { ask(); return; }
      const form = sent = control.closest("form");
      const args = { ...JSON.parse(form?.dataset.args ?? "{}"), ...control.dataset };
      clicked = "Working…";
      showStatus();
      const mine = performance.now();
      root.dataset.clicked = String(mine);
      model.send({ action, args, values: formValues(control) });
      setTimeout(() => {
        if (clicked === null || root.dataset.clicked !== String(mine)) return;
        clicked = null;
        showStatus();
        setStale(true);
      }, ANSWERED_MS);
    };

    root.addEventListener("click", (event) => {
      const link = event.target.closest("[data-goto]");
      if (link) {
        event.preventDefault();
        const target = root.querySelector(`#${CSS.escape(link.dataset.goto)}`);
        for (let e = target?.closest("details"); e; e = e.parentElement.closest("details")) e.open = true;
        target?.querySelector("details")?.setAttribute("open", "");
        target?.scrollIntoView({ block: "center" });
        target?.classList.remove("pmi-flash");
        void target?.offsetWidth;
        target?.classList.add("pmi-flash");
        return;
      }
      const control = event.target.closest("[data-action]");
      if (control && control.type !== "submit") act(control, control.dataset.action);
    });
    root.addEventListener("submit", (event) => {
      event.preventDefault();
      const button = event.submitter ?? event.target.querySelector("[type=submit]");
      if (button) act(button, button.dataset.action);
    });
    let typing = null;
    root.addEventListener("input", (event) => {
      if (event.target.matches(TYPED)) {
        const { name, value, defaultValue } = event.target;
        memory.typed.set(`${placeOf(event.target)}/${name}`, { value, defaultValue });
      }
      const { live } = event.target.dataset;
      if (!live || event.target.matches("select")) return;
      clearTimeout(typing);
      typing = setTimeout(() => model.send({ action: live, args: {}, values: formValues(event.target) }), 150);
    });
    root.addEventListener("change", (event) => {
      const { live } = event.target.dataset;
      if (live && event.target.matches("select")) act(event.target, live);
    });
    root.addEventListener("toggle", (event) => {
      const name = `${placeOf(event.target)}/${event.target.dataset.key}`;
      if (event.target.open) memory.open.add(name); else memory.open.delete(name);
    }, true);
    root.addEventListener("keydown", (event) => {
      const bar = event.target.closest("[role=toolbar]");
      const move = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
      if (bar && move !== undefined) {
        const buttons = [...bar.querySelectorAll("button")];
        const place = buttons.indexOf(event.target);
        const next = Math.max(0, Math.min(buttons.length - 1, place + move));
        buttons.forEach((b, i) => { b.tabIndex = i === next ? 0 : -1; });
        buttons[next].focus();
        event.preventDefault();
      }
      // With its shortcuts suppressed here, JupyterLab would not see Ctrl+S either.
      if ((event.ctrlKey || event.metaKey) && !event.target.closest("input, textarea")
          || ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s")) {
        const notebook = root.closest(".jp-Notebook");
        if (!notebook) return;
        const { key, code, keyCode, ctrlKey, metaKey, shiftKey, altKey } = event;
        notebook.dispatchEvent(new KeyboardEvent("keydown",
          { key, code, keyCode, ctrlKey, metaKey, shiftKey, altKey, bubbles: true, cancelable: true }));
        if (key.toLowerCase() === "s") event.preventDefault();
      }
    });
    root.addEventListener("focusin", (event) => {
      memory.focus = [placeOf(event.target), describe(event.target)];
    });
    root.addEventListener("focusout", (event) => {
      // Without a relatedTarget the view itself may have been taken away, to be made anew.
      if (event.relatedTarget && !root.contains(event.relatedTarget)) memory.focus = null;
    });
    const onPointer = (event) => { if (!root.contains(event.target)) memory.focus = null; };
    document.addEventListener("pointerdown", onPointer, true);

    // Points of a chart that names this view open what they stand for.
    const onPoint = (event) => {
      const id = event.points[0]?.customdata;
      if (id !== undefined && !isGone) model.send({ action: "choose", args: { id: String(id) }, values: {} });
    };
    const listening = new WeakSet();
    const charts = setInterval(() => {
      const view = model.get("view_id");
      for (const chart of view ? document.querySelectorAll(".js-plotly-plot") : []) {
        if (chart.layout?.meta?.view !== view || listening.has(chart)) continue;
        listening.add(chart);
        chart.on("plotly_click", onPoint);
      }
    }, 500);

    model.on("change", onHeard);
    model.on("comm_live_update", onLost);
    document.addEventListener("visibilitychange", onShown);
    root.addEventListener("pointerenter", onShown);
    model.on("change:nodes", showNodes);
    model.on("change:status", onChange);
    model.on("change:progress", showProgress);
    model.on("change:is_busy", onChange);
    model.on("change:is_error", showStatus);
    model.on("change:problems", showProblems);
    model.on("change:num_replies", onChange);
    showNodes();
    showStatus();
    showProgress();
    for (const details of root.querySelectorAll("details[data-key]")) {
      if (memory.open.has(`${placeOf(details)}/${details.dataset.key}`)) details.open = true;
    }
    for (const field of root.querySelectorAll(TYPED)) {
      const typed = memory.typed.get(`${placeOf(field)}/${field.name}`);
      if (typed?.defaultValue === field.defaultValue) field.value = typed.value;
    }
    const refocus = (framesLeft) => {
      if (!memory.focus?.[1] || !framesLeft) return;
      if (!root.isConnected) { requestAnimationFrame(() => refocus(framesLeft - 1)); return; }
      const [place, control] = memory.focus;
      const found = [...root.querySelectorAll(control)].find((e) => placeOf(e) === place);
      if (document.activeElement.contains(root)) found?.focus({ preventScroll: true });
    };
    refocus(30);
    ask();
    const unwatch = watchKernel(model, el, showGone);
    return () => {
      unwatch();
      clearInterval(ticker);
      clearInterval(charts);
      document.removeEventListener("pointerdown", onPointer, true);
      document.removeEventListener("visibilitychange", onShown);
      model.off("change", onHeard);
      model.off("comm_live_update", onLost);
      model.off("change:nodes", showNodes);
      model.off("change:status", onChange);
      model.off("change:progress", showProgress);
      model.off("change:is_busy", onChange);
      model.off("change:is_error", showStatus);
      model.off("change:problems", showProblems);
      model.off("change:num_replies", onChange);
    };
  }
  return { render };
};
