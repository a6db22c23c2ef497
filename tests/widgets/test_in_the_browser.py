"""The first notebook in the real JupyterLab, as a researcher sees it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from pmi_kernel.core.visible import visible
from tests.waiting import eventually, within
from tests.widgets.jupyter import HOSTILE, Lab, Watch

IGNORED = re.compile("favicon|ResizeObserver|WebGL")
"""Errors of the browser and of JupyterLab itself."""


class Notebook:
    """A notebook open in JupyterLab, all its cells run."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        page.goto(lab.address(name))
        self.expect_kernel()

    def expect_kernel(self) -> None:
        # The indicator says idle before a kernel is there: wait for one with a name.
        self.page.wait_for_function(
            "document.querySelector('#jp-main-statusbar')?.innerText.includes('ipykernel) | Idle')"
        )

    def command(self, menu: str, command: str) -> None:
        self.page.locator(".lm-MenuBar-item", has_text=menu).first.click()
        self.page.locator(f".lm-Menu [data-command='{command}']").first.click()

    def run_all(self) -> None:
        self.command("Run", "runmenu:run-all")

    def kill_kernel(self) -> None:
        """Kill the kernel's process, as a machine out of memory does."""
        ids = self.page.evaluate(
            "fetch('/api/sessions').then((r) => r.json()).then((all) => all.filter((one) => "
            "one.path.endsWith(location.pathname.split('/').at(-1))).map((one) => one.kernel.id))"
        )
        [kernel] = [
            process
            for process in psutil.process_iter()
            if any(f"kernel-{ids[0]}.json" in word for word in process.cmdline())
        ]
        kernel.kill()

    @property
    def episode(self) -> Locator:
        """The live view."""
        return self.page.locator(".pmi", has=self.page.get_by_role("button", name="Next"))

    def button(self, name: str) -> Locator:
        return self.episode.get_by_role("button", name=name, exact=True)

    def expect_status(self, text: str | re.Pattern[str]) -> None:
        expect(self.episode.locator("> .pmi-status")).to_have_text(text)

    def expect_idle(self) -> None:
        expect(self.episode).to_have_attribute("aria-busy", "false")

    def steps(self, branch: int = 0) -> Locator:
        return self.episode.locator(".pmi-branch").nth(branch).locator(".pmi-step")


@pytest.fixture
def scripted(page: Page, lab: Lab) -> Notebook:
    notebook = Notebook(page, lab, "scripted.ipynb")
    notebook.run_all()
    notebook.expect_status("Ready: 1 step so far.")
    return notebook


def expect_clean(watch: Watch) -> None:
    assert watch.off_loopback == []
    assert [error for error in watch.errors if not IGNORED.search(error)] == []


def test_next_to_the_end_then_fork_and_replay(
    scripted: Notebook, page: Page, watch: Watch, pictures: Path
) -> None:
    for number in (2, 3):
        scripted.button("Next").click()
        scripted.expect_status(f"Ready: {number} steps so far.")
    scripted.button("Next").click()
    scripted.expect_status("Done: 4 steps, answered.")
    expect(scripted.button("Next")).to_have_attribute("aria-disabled", "true")
    kept = scripted.steps(0).all_inner_texts()
    assert len(kept) == 4

    compress = scripted.steps(0).nth(1)
    compress.get_by_text("What if…").click()
    compress.get_by_label("Inject this snippet instead").fill("My own words, nobody else's.")
    compress.get_by_role("button", name="Run this branch").click()
    expect(scripted.steps(1)).to_have_count(4)
    scripted.expect_idle()
    expect(scripted.steps(1).nth(1)).to_contain_text("My own words, nobody else's.")
    expect(scripted.steps(1).nth(1)).to_contain_text("not in the evidence")

    compress.get_by_role("button", name="…with the wrong passage").click()
    expect(scripted.episode.locator(".pmi-branch").nth(2)).to_contain_text("wrong passage injected")
    expect(scripted.steps(2)).to_have_count(4)
    scripted.expect_idle()
    assert [text.replace("What if…", "") for text in kept][2:] == [
        text.replace("What if…", "") for text in scripted.steps(0).all_inner_texts()
    ][2:]

    scripted.episode.locator(".pmi-branch").nth(2).get_by_role("button", name="Remove").click()
    expect(scripted.episode.locator(".pmi-branch")).to_have_count(2)

    gold = scripted.episode.get_by_text("Show the gold answer", exact=True)
    expect(scripted.episode.get_by_text("Gold:")).to_be_hidden()
    gold.click()
    expect(scripted.episode.get_by_text("Gold:")).to_be_visible()
    page.screenshot(path=pictures / "fork.png")
    expect_clean(watch)


BROKEN_WORDS = """(view) => [...view.querySelectorAll("td, th, button, summary, h3, h4")]
  .filter((cell) => cell.checkVisibility() && /^[\\w-]{2,14}$/.test(cell.textContent.trim()))
  .filter((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1;
  })
  .map((cell) => cell.textContent.trim())"""
"""Words that stand alone in a cell, or on a button, and on more than one line."""

OFF_SCREEN = """(view) => [...view.querySelectorAll("*")]
  .filter((e) => e.checkVisibility() && !e.closest(".pmi-wide"))
  .filter((e) => e.getBoundingClientRect().right > view.getBoundingClientRect().right + 1)
  .map((e) => `${e.tagName} ${e.className}`)"""
"""What reaches beyond the view, but for wide tables, which scroll."""


@pytest.mark.parametrize("width", [1024, 1280, 1920])
def test_branches_have_room_or_fold_to_tabs(
    scripted: Notebook, page: Page, watch: Watch, pictures: Path, width: int
) -> None:
    scripted.button("Run to end").click()
    scripted.expect_status("Done: 4 steps, answered.")
    compress = scripted.steps(0).nth(1)
    compress.get_by_text("What if…").click()
    compress.get_by_role("button", name="…with the wrong passage").click()
    expect(scripted.episode.locator(".pmi-branch")).to_have_count(2)
    scripted.expect_idle()

    page.set_viewport_size({"width": width, "height": 900})
    view = scripted.episode
    tabs, branches = view.locator(".pmi-tabs > button"), view.locator(".pmi-branch")
    if width < 1920:
        expect(tabs).to_have_text([re.compile("Episode"), re.compile("wrong passage injected")])
        expect(branches.nth(0)).to_be_hidden()
        expect(branches.nth(1)).to_be_visible()
        tabs.nth(0).press("Enter")
        expect(tabs.nth(0)).to_have_attribute("aria-pressed", "true")
        expect(branches.nth(0)).to_be_visible()
        expect(branches.nth(1)).to_be_hidden()
    else:
        expect(tabs.first).to_be_hidden()
        expect(branches.nth(0)).to_be_visible()
        expect(branches.nth(1)).to_be_visible()
    assert view.evaluate(BROKEN_WORDS) == []
    assert view.evaluate(OFF_SCREEN) == []
    page.screenshot(path=pictures / f"branches_{width}.png")
    expect_clean(watch)


def test_what_is_open_and_typed_stays_when_a_step_is_added(scripted: Notebook) -> None:
    search = scripted.steps(0).nth(0)
    search.get_by_text("paragraphs left out").click()
    search.get_by_text("What if…").click()
    box = search.get_by_label("Search for this instead")
    box.fill("another query")
    scripted.button("Next").click()
    scripted.expect_status("Ready: 2 steps so far.")
    scripted.expect_idle()
    expect(box).to_be_visible()
    expect(box).to_have_value("another query")
    expect(search.locator("details[data-key=left-out]")).to_have_attribute("open", "")
    expect(scripted.button("Next")).to_be_focused()


def test_the_first_search_is_shown_before_a_step(scripted: Notebook) -> None:
    expect(scripted.episode.get_by_label("To come")).to_have_count(0)
    scripted.button("Reset").click()
    scripted.expect_status("Ready: 0 steps so far.")
    expect(scripted.episode.get_by_label("To come")).to_contain_text("town author Gilded Window")


def test_an_episode_is_searched_and_copied_while_it_grows(
    scripted: Notebook, page: Page, watch: Watch
) -> None:
    scripted.button("Run to next injection").click()
    scripted.expect_status("Ready: 3 steps so far.")
    labels = scripted.episode.locator("svg text")
    expect(labels.first).to_have_attribute("text-anchor", re.compile("end|start|middle"))
    tops = {label.bounding_box()["y"] for label in labels.all()}  # type: ignore[index]
    assert len(tops) > 1

    find = scripted.episode.get_by_label("Find in the episode")
    status = scripted.episode.locator(".pmi-find [role=status]")
    find.fill("the")
    expect(status).to_have_text(re.compile(r"\d+ found"))
    find.press("Enter")
    expect(status).to_have_text(re.compile(r"1 of \d+"))
    scripted.button("Next").click()
    scripted.expect_status("Done: 4 steps, answered.")
    expect(find).to_have_value("the")

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = scripted.steps(0).nth(3)
    answer.get_by_role("button", name="prompt").click()
    expect(answer.get_by_role("button", name="copied")).to_be_visible()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied[-1]["role"] == "user"
    answer.get_by_role("button", name="cell").click()
    code = page.evaluate("navigator.clipboard.readText()")
    assert "range(4)" in code
    assert "load_examples('only:" in code
    expect_clean(watch)


def test_run_stop_and_reset(scripted: Notebook) -> None:
    scripted.button("Run to next injection").click()
    scripted.expect_status("Ready: 3 steps so far.")
    scripted.button("Run to end").click()
    scripted.expect_status("Done: 4 steps, answered.")
    scripted.button("Reset").click()
    scripted.expect_status("Ready: 0 steps so far.")
    expect(scripted.steps(0)).to_have_count(0)


def test_another_question_and_other_settings_begin_an_episode_beside(
    scripted: Notebook, page: Page
) -> None:
    first = scripted.episode.locator("h2").inner_text()
    setup = page.locator(".pmi", has=page.get_by_role("button", name="Load data"))
    setup.get_by_role("searchbox").fill("comparison town")
    expect(setup.locator(".pmi-choices tbody tr")).not_to_have_count(60)
    choice = setup.locator(".pmi-choices tbody button").first
    question = choice.inner_text()
    choice.click()
    expect(scripted.episode.locator("h2")).to_have_text(question)
    setup.get_by_label("system").select_option("in_context")
    expect(scripted.episode.locator(".pmi-head")).to_contain_text("in_context")
    scripted.button("Run to end").click()
    scripted.expect_status("Done: 2 steps, answered.")
    tabs = scripted.episode.get_by_role("group", name="Episodes")
    expect(tabs.locator("> span")).to_have_count(2)
    expect(tabs.locator("> span").nth(1)).to_contain_text("system in_context")
    tabs.get_by_role("button").first.click()
    expect(scripted.episode.locator("h2")).to_have_text(first)
    expect(scripted.steps()).to_have_count(1)
    tabs.get_by_role("button", name="Close episode 1").click()
    expect(scripted.episode.locator("h2")).to_have_text(question)
    setup.get_by_label("topk").fill("0")
    setup.get_by_role("button", name="Apply settings").click()
    expect(setup.locator("> .pmi-status")).to_contain_text("topk: should be greater than")
    beside = setup.locator("[name=topk] + .pmi-problem")
    expect(beside).to_contain_text("should be greater than")
    expect(setup.get_by_label("topk")).to_have_value("0")
    expect(setup.get_by_label("topk")).to_have_attribute("aria-invalid", "true")
    setup.get_by_label("Data file").fill("no/such/file.json")
    setup.get_by_role("button", name="Load data").click()
    expect(setup.locator("> .pmi-status")).to_contain_text("no/such/file.json")
    expect(setup.locator(".pmi-problem")).to_have_count(0)


def test_the_keyboard_alone(scripted: Notebook, page: Page, lab: Lab) -> None:
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    scripted.button("Next").focus()
    page.keyboard.press("ArrowRight")
    expect(scripted.button("Run to next injection")).to_be_focused()
    page.keyboard.press("End")
    expect(scripted.button("Reset")).to_be_focused()
    page.keyboard.press("Home")
    for key in ("b", "a", "x", "d", "d"):  # JupyterLab's keys for inserting and deleting cells
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    page.keyboard.press("Enter")
    scripted.expect_status("Ready: 2 steps so far.")
    expect(scripted.button("Next")).to_be_focused()
    saved = lab.root / "notebooks" / "scripted.ipynb"
    before = saved.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    page.wait_for_function(
        "!document.querySelector('#jp-main-dock-panel .lm-mod-current.jp-mod-dirty')"
    )
    expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
    assert saved.stat().st_mtime_ns > before


def test_hostile_text_stays_text(page: Page, lab: Lab, watch: Watch, pictures: Path) -> None:
    notebook = Notebook(page, lab, "hostile.ipynb")
    notebook.run_all()
    notebook.expect_status("Ready: 1 step so far.")
    notebook.button("Run to end").click()
    notebook.expect_status(re.compile("Done: "))
    assert page.evaluate("window.hacked") is None
    assert page.locator(".pmi img, .pmi script").count() == 0
    shown = notebook.episode.inner_text()
    for text in HOSTILE:
        assert visible(text) in shown
    box = notebook.episode.bounding_box()
    wide = notebook.episode.evaluate("e => e.scrollWidth - e.clientWidth")
    assert box is not None
    assert wide <= 1  # fifty thousand letters without a blank do not widen the page
    page.screenshot(path=pictures / "hostile.png")
    expect_clean(watch)


@pytest.mark.parametrize("how", ["restarted", "shut down", "killed"])
def test_a_view_whose_kernel_is_gone_says_so_and_takes_no_click(
    how: str, scripted: Notebook, page: Page, lab: Lab
) -> None:
    if how == "killed":
        scripted.kill_kernel()
    elif how == "shut down":
        scripted.command("Kernel", "kernelmenu:shutdown")
    else:
        scripted.command("Kernel", "kernelmenu:restart")
        page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(scripted.episode.get_by_role("alert")).to_contain_text(
        "the one that made this view is gone"
    )
    scripted.expect_idle()
    for name in ("Next", "Stop", "Reset"):
        expect(scripted.button(name)).to_have_attribute("aria-disabled", "true")
    setup = page.locator(".pmi", has=page.get_by_role("button", name="Load data"))
    expect(setup.get_by_label("topk")).to_be_disabled()
    find = scripted.episode.get_by_label("Find in the episode")
    find.fill("the")  # it can be read as before
    expect(scripted.episode.locator(".pmi-find [role=status]")).to_have_text(
        re.compile(r"\d+ found")
    )
    if how == "restarted":
        scripted.expect_kernel()
        scripted.run_all()
        scripted.expect_status("Ready: 1 step so far.")
        expect(scripted.episode.get_by_role("alert")).to_be_hidden()
        expect(scripted.button("Next")).to_have_attribute("aria-disabled", "false")


def test_a_page_loaded_anew_after_its_kernel_was_restarted_is_not_connected(
    scripted: Notebook, page: Page, lab: Lab
) -> None:
    scripted.command("File", "docmanager:save")
    expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
    scripted.kill_kernel()
    page.goto(lab.address("scripted.ipynb"))
    expect(scripted.episode.get_by_role("alert")).to_contain_text(
        "the one that made this view is gone"
    )
    expect(scripted.button("Next")).to_have_attribute("aria-disabled", "true")


def test_a_saved_notebook_stays_readable(
    scripted: Notebook, page: Page, lab: Lab, watch: Watch, tmp_path: Path
) -> None:
    scripted.button("Run to end").click()
    scripted.expect_status("Done: 4 steps, answered.")
    scripted.expect_idle()
    scripted.command("File", "docmanager:save")
    expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)

    page.goto(lab.address("scripted.ipynb"))  # trusted, with its state: the views are back
    expect(page.locator(".pmi").last).to_be_visible()
    expect(page.locator(".pmi-answer-step").last).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("Error displaying widget")

    saved = nbformat.read(lab.root / "notebooks" / "scripted.ipynb", as_version=4)
    untrusted = lab.root / "notebooks" / "untrusted.ipynb"
    for cell in saved.cells:
        cell.metadata.pop("trusted", None)
        if cell.cell_type == "code":
            cell.source += "\n# another notebook to the one that signs them"
    nbformat.write(saved, untrusted)
    page.goto(lab.address("untrusted.ipynb"))
    expect(page.locator(".jp-OutputArea").get_by_text("End: answered").last).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("Error displaying widget")

    out = tmp_path / "page.html"
    command = [sys.executable, "-m", "pmi_kernel.cli", "export", str(untrusted), "--html", str(out)]
    subprocess.run(command, check=True)
    page.goto("about:blank")
    page.set_content(out.read_text())
    expect(page.get_by_text("End: answered").last).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("Error displaying widget")
    assert watch.off_loopback == []


def test_the_dark_theme_is_readable(scripted: Notebook, page: Page, pictures: Path) -> None:
    scripted.button("Run to end").click()
    scripted.expect_status("Done: 4 steps, answered.")
    scripted.episode.get_by_role("toolbar").scroll_into_view_if_needed()
    page.screenshot(path=pictures / "light.png")
    page.keyboard.press("Control+Shift+c")
    page.locator(".lm-CommandPalette-input").fill("Use Theme: JupyterLab Dark")
    page.keyboard.press("Enter")
    page.wait_for_function("document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    contrast = scripted.episode.evaluate(CONTRAST)
    page.screenshot(path=pictures / "dark.png")
    assert contrast == []


CONTRAST = """(root) => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255, 255];
  };
  const bad = [];
  for (const e of root.querySelectorAll("p, li, td, th, h2, h3, h4, summary, button, bdi, span")) {
    const holdsText = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!holdsText || !e.checkVisibility()) continue;
    if (e.closest("[aria-disabled=true], .pmi-norms")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const name = `${e.tagName}.${e.className} ${e.textContent.slice(0, 30)}`;
    if (ratio < 4) bad.push(`${ratio.toFixed(1)} ${name}`);
  }
  return bad;
}"""


def test_the_page_reads_well_to_a_screen_reader(scripted: Notebook, pictures: Path) -> None:
    scripted.button("Run to end").click()
    scripted.expect_status("Done: 4 steps, answered.")
    snapshot = scripted.episode.aria_snapshot()
    settled = re.sub(r"[\d.]+ (ms|s)\b", "TIME", snapshot) + "\n"
    (pictures / "episode.aria.txt").write_text(settled)
    assert settled == Path(__file__).with_name("episode.aria.txt").read_text()


def test_a_sweep_draws_its_charts_and_can_be_cancelled(
    scripted: Notebook, page: Page, lab: Lab, watch: Watch
) -> None:
    bench = page.locator(".pmi", has=page.get_by_role("button", name="Run the sweep"))
    bench.get_by_role("button", name="Run the sweep").click()
    expect(bench.locator("> .pmi-status")).to_contain_text("snippet: there is none")
    bench.get_by_label("Snippet to inject").fill("Some words to learn.")
    bench.get_by_role("button", name="Run the sweep").click()
    expect(bench.locator("> .pmi-status")).to_have_text("9 of 9 LoRA configs measured.")
    expect(bench.locator("tbody tr")).to_have_count(9)
    expect(page.locator(".plot-container")).to_have_count(2)
    expect(page.locator(".jp-OutputArea .legend").first).to_contain_text("lr 0.001, rank 8")
    bench.get_by_role("button", name="Cancel").click()

    # The page loaded anew, on the same kernel: the charts are back, and drawn in again.
    scripted.command("File", "docmanager:save")
    expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
    page.goto(lab.address("scripted.ipynb"))
    expect(page.locator(".plot-container")).to_have_count(2)
    bench.get_by_label("Snippet to inject").fill("Other words to learn.")
    bench.get_by_label("mem_rank").fill("4")
    bench.get_by_role("button", name="Run the sweep").click()
    expect(page.locator(".jp-OutputArea .legend").first).to_contain_text("lr 0.001, rank 4")
    expect(page.locator(".plot-container")).to_have_count(2)
    expect_clean(watch)


class Batch(Notebook):
    """The batch notebook."""

    @property
    def monitor(self) -> Locator:
        return self.page.locator(".pmi", has=self.page.get_by_role("button", name="Stop at once"))

    @property
    def replay(self) -> Locator:
        return self.page.locator(".pmi", has=self.page.get_by_text("Find an episode"))

    def fact(self, name: str) -> str:
        names = self.monitor.locator("dt").all_inner_texts()
        return self.monitor.locator("dd").nth(names.index(name)).inner_text()

    def expect_state(self, state: str) -> None:
        expect(self.monitor.locator("dd").first).to_have_text(state, timeout=1000 * within(20))

    def num_done(self) -> int:
        return int(self.fact("done").split()[0])

    def expect_more_than(self, done: int) -> None:
        self.page.wait_for_function(
            "(least) => [...document.querySelectorAll('.pmi dl')].some((list) => "
            "[...list.querySelectorAll('dt')].some((dt) => dt.textContent === 'done' && "
            "parseInt(dt.nextElementSibling.textContent) > least))",
            arg=done,
        )


LAST_POINT = """() => {
  const charts = [...document.querySelectorAll(".jp-RenderedPlotly")];
  const chart = charts.find((c) => c.textContent.includes("click a point to open it"));
  if (!chart) return null;
  chart.scrollIntoView({ block: "center" });
  const point = [...chart.querySelectorAll(".points path")].at(-1);
  if (!point) return null;
  const box = point.getBoundingClientRect();
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}"""
"""Bring the chart whose points open episodes into view; say where its last point is, if drawn."""


def test_a_batch_is_launched_watched_cancelled_and_gone_on_with(
    page: Page, lab: Lab, watch: Watch, pictures: Path
) -> None:
    notebook = Batch(page, lab, "slow_batch.ipynb")
    notebook.run_all()
    notebook.expect_state("running")
    notebook.expect_more_than(2)
    owner = json.loads((lab.root / "runs" / "batch" / "owner.json").read_text())["pid"]

    before = notebook.num_done()
    notebook.command("Kernel", "kernelmenu:restart")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    notebook.expect_kernel()
    gone = notebook.monitor.get_by_role("alert")
    expect(gone).to_contain_text("The kernel does not answer")
    expect(notebook.monitor).to_have_attribute("data-stale", "")
    notebook.run_all()  # the job lived on, and is found again
    notebook.expect_more_than(before)  # the view of the kernel before stands still
    assert json.loads((lab.root / "runs" / "batch" / "owner.json").read_text())["pid"] == owner

    notebook.monitor.get_by_role("button", name="Cancel").click()
    notebook.expect_state("cancelled")
    assert 2 < notebook.num_done() < 60
    page.screenshot(path=pictures / "batch.png")
    notebook.monitor.get_by_role("button", name="Resume").click()
    notebook.expect_state("done")
    assert notebook.num_done() == 60
    assert notebook.fact("F1 so far").endswith("%")

    charts = page.locator(".pmi", has=page.get_by_text("with 95 % intervals"))
    charts.get_by_role("button", name="Refresh").click()
    expect(charts).to_contain_text("60 episodes")
    expect(page.locator(".jp-RenderedPlotly")).to_have_count(4)
    opened = notebook.replay.locator("h2")
    before_click = opened.inner_text()

    def is_opened_by_a_click() -> bool:
        place = page.evaluate(LAST_POINT)
        if place is not None:
            page.mouse.move(place["x"] + 1, place["y"])
            page.mouse.move(place["x"], place["y"])
            page.mouse.down()
            page.mouse.up()
        page.wait_for_timeout(500)
        return opened.inner_text() != before_click

    # The charts are drawn anew, and the view listens to new ones in a while.
    eventually(is_opened_by_a_click, "a click on a chart's point opened nothing", idle_s=5)

    row = notebook.replay.locator(".pmi-choices tbody button").nth(3)
    episode_id = row.inner_text()
    row.click()
    expect(notebook.replay.locator(".pmi-head")).to_contain_text(episode_id)
    notebook.replay.locator("select[name=answer]").select_option("right")
    expect(notebook.replay.locator(".pmi-choices tbody tr")).not_to_have_count(60)
    page.evaluate(LAST_POINT)
    page.screenshot(path=pictures / "charts.png")
    expect_clean(watch)
