"""Benchmarks of what is shown."""

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pmi_kernel.core.records import encode
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.trace import Trace
from pmi_kernel.core.traces import TraceFile
from pmi_kernel.data import load_examples
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.reports.pages.render import page
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.reports.recording import Recording
from pmi_kernel.studies.bench.figures import show_figures
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig


def views(steps: int = 200, episodes: int = 10_000, out: Path | None = None) -> dict[str, float]:
    """Time to show a long trace, and to open one episode of a large run.

    Args:
        steps: Steps of the long trace.
        episodes: Episodes of the large run.
        out: Write the figures here too, as JSON.
    """
    trace = _trace(PmiConfig(engine="scripted", train_mem=True))
    long = [replace(trace.steps[i % len(trace.steps)], index=i) for i in range(steps)]
    shown = replace(trace, steps=tuple(long))
    start = time.perf_counter()
    nodes = replay_nodes(shown)
    state = [node.state() for node in nodes]
    render_s = time.perf_counter() - start
    html = page("long", nodes)
    figures = {
        "steps": float(steps),
        "render_s": render_s,
        "state_mb": len(str(state)) / 1e6,
        **_in_browser(html),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "episode_trace.jsonl"
        line = encode(trace)
        with path.open("w", encoding="utf-8") as file:
            for number in range(episodes):
                file.write(line.replace(trace.task.id, f"episode-{number:06d}") + "\n")
        start = time.perf_counter()
        TraceFile(path)
        index_s = time.perf_counter() - start
        start = time.perf_counter()
        Recording(path).nodes(f"episode-{episodes // 2:06d}")
        open_s = time.perf_counter() - start
        figures |= {
            "episodes": float(episodes),
            "file_mb": path.stat().st_size / 1e6,
            "index_once_s": index_s,
            "open_s": open_s,
        }
    return show_figures(figures, out)


def _trace(config: SystemConfig) -> Trace:
    return Episode(open_system(config), load_examples("sample")[0]).run()


def _in_browser(html: str) -> dict[str, float]:
    """Seconds until Chromium has the page laid out; nothing where there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if chromium is None:
        return {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=False, args=["--disable-gpu"]
        )
        tab = browser.new_page()
        tab.set_content("<p>warm</p>")
        start = time.perf_counter()
        tab.set_content(html)
        tab.evaluate("document.body.getBoundingClientRect().height")
        seconds = time.perf_counter() - start
        browser.close()
    return {"browser_s": seconds}
