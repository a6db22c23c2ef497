"""What is shown without a browser: escaping, pages, recordings, the command line."""

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pmi_kernel import Episode, PmiConfig
from pmi_kernel.cli import main
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, Step, StepKind, Trace
from pmi_kernel.core.visible import visible
from pmi_kernel.data import load_examples
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.reports.pages.render import READ_SCRIPT, page
from pmi_kernel.reports.pages.render import page as shown_page
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.reports.recording import Recording
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems import open_system
from tests.widgets.jupyter import HOSTILE, write_hostile_data
from widgets.replay import Replay

CONFIG = PmiConfig(train_mem=True)


@pytest.fixture
def hostile(tmp_path: Path) -> Example:
    write_hostile_data(tmp_path / "hostile.json")
    return load_examples(str(tmp_path / "hostile.json"))[0]


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    out = tmp_path / "run"
    settings = RunSettings(out=out, limit=5, probe=True)
    run(settings, CONFIG, system=open_system(CONFIG, ScriptedEngine()))
    return out


def test_no_text_becomes_markup(hostile: Example) -> None:
    trace = Episode(open_system(CONFIG, ScriptedEngine()), hostile).run()
    steps = [replace(step, text=HOSTILE[0], raw=HOSTILE[1]) for step in trace.steps]
    shown = page(HOSTILE[1], replay_nodes(Trace(trace.task, HOSTILE[0], "f", tuple(steps))))
    assert "<img" not in shown
    assert "<script" not in shown
    for text in HOSTILE:
        assert visible(text) in html.unescape(shown)


def test_a_page_asks_the_network_for_nothing(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    episode_id = Recording(finished).ids[0]
    with pytest.raises(SystemExit) as end:
        main(["show", str(finished), episode_id, "--html", str(out)])
    assert end.value.code == 0
    shown = out.read_text()
    assert not re.search(
        r"(src|href)=[\"']?(https?:|//)|url\(|@import|<script [^>]*src|<link", shown
    )
    assert re.search(r"default-src 'none'.*; script-src 'sha256-[\w+/=]+'\">", shown)
    assert "Show the gold answer" in shown
    assert "Inject" in shown


def test_show_prints_an_episode_or_the_list(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = Recording(finished).ids
    with pytest.raises(SystemExit):
        main(["show", str(finished)])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ids
    with pytest.raises(SystemExit):
        main(["show", str(finished), ids[0]])
    shown = capsys.readouterr().out
    assert "1. search" in shown
    assert "gold log-probability" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no/such/run"], "no such file of traces"),
        (["RUN", "no-such-episode"], "no episode 'no-such-episode'"),
        (["RUN", "ID", "--html", "/no/such/folder/x.html"], "x.html: No such file"),
    ],
)
def test_show_says_what_is_wrong(
    finished: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"RUN": str(finished), "ID": Recording(finished).ids[0]}
    with pytest.raises(SystemExit) as end:
        main(["show", *(known.get(word, word) for word in words)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def run_page_of(run: Path, out: Path) -> str:
    """The page of a whole run, as the command writes it."""
    with pytest.raises(SystemExit) as end:
        main(["show", str(run), "--html", str(out)])
    assert end.value.code == 0
    return out.read_text(encoding="utf-8")


def steps_in(shown: str) -> list[str]:
    """The episodes of a run's page, as its script unpacks them."""
    (packed,) = re.findall(r'<script type="application/json" id="pmi-data">(.*?)</script>', shown)
    return [zlib.decompress(base64.b64decode(one)).decode() for one in json.loads(packed)]


def scaled(run: Path, out: Path, num: int) -> Path:
    """A run of `num` episodes: those of another one, over and over, under other ids."""
    shutil.copytree(run, out, ignore=shutil.ignore_patterns("*.jsonl", ".*", "*.lock"))
    for name, place in (("episode_trace", ("task", "id")), ("eval_results", ("episode_id",))):
        lines = (run / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(num):
                record = json.loads(lines[number % len(lines)])
                at = record[place[0]] if len(place) > 1 else record
                at[place[-1]] = f"episode-{number:05}"
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return out


def test_a_run_is_one_page_with_every_episode_and_its_steps(finished: Path, tmp_path: Path) -> None:
    shown = run_page_of(finished, tmp_path / "run.html")
    recording = Recording(finished)
    rows = re.findall(r"<tr data-filters.*?</tr>", shown)
    assert len(rows) == len(recording.ids) == 5
    for row, id_, steps in zip(rows, recording.ids, steps_in(shown), strict=True):
        result, trace = recording.results[id_], recording.trace(id_)
        cells = [html.unescape(re.sub(r"<.*?>", "", cell)) for cell in row.split("<td")]
        assert f"{trace.task.question} {id_}" in cells[1]
        told = [cell.partition(">")[2] for cell in cells[2:]]
        assert told[:3] == [result.answers[0], result.prediction, f"{result.scores['em']:.0f}"]
        assert told[4:7] == ["answered", str(result.num_searches), str(result.num_injections)]
        assert steps == "".join(node.html() for node in recording.nodes(id_))
        assert "Inject" in steps
    assert shown.count('<button type="button" aria-expanded="false">') == 5
    assert re.search(r"EM</th>.*5</bdi></td><td><bdi>[0-9.]+ \[[0-9.]+, [0-9.]+\]", shown, re.S)
    assert "train_mem=True" in shown
    assert "What the injections did" in shown
    assert not re.search(r"(src|href)=[\"']?(https?:|//)|url\(|@import|<link", shown)


def test_only_its_own_script_runs_in_the_page_of_a_run(finished: Path, tmp_path: Path) -> None:
    shown = run_page_of(finished, tmp_path / "run.html")
    (script,) = re.findall(r"<script>(.*?)</script>", shown, re.S)
    (allowed,) = re.findall(r"script-src 'sha256-(.*?)'", shown)
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() == allowed
    assert "unsafe-inline'; img-src" in shown
    assert "script-src 'unsafe-inline'" not in shown


def test_no_text_of_a_run_becomes_markup(tmp_path: Path) -> None:
    write_hostile_data(tmp_path / "hostile.json")
    settings = RunSettings(data=str(tmp_path / "hostile.json"), out=tmp_path / "run", probe=True)
    run(settings, CONFIG, system=open_system(CONFIG, ScriptedEngine()))
    shown = run_page_of(tmp_path / "run", tmp_path / "page.html")
    (steps,) = steps_in(shown)
    assert "<img" not in shown + steps
    assert "<script" not in steps
    assert shown.count("<script") == 2
    assert shown.count("</style>") == 1
    (row,) = re.findall(r"<tr data-filters.*?</tr>", shown)
    for text in HOSTILE:
        assert visible(text) in html.unescape(row + steps)


def test_an_episode_that_cannot_be_read_leaves_the_others_on_the_page(
    finished: Path, tmp_path: Path
) -> None:
    traces = finished / "episode_trace.jsonl"
    lines = traces.read_text(encoding="utf-8").splitlines()
    broken = lines[2].replace('"steps": [', '"steps": [7, ')
    for path in finished.glob("episode_trace.*.jsonl"):
        path.unlink()
    traces.write_text("\n".join([*lines[:2], broken, *lines[3:]]) + "\n", encoding="utf-8")
    shown = run_page_of(finished, tmp_path / "run.html")
    assert len(steps_in(shown)) == 5
    assert shown.count("(its trace cannot be read)") == 1
    assert [steps.startswith('<p class="pmi-warn">') for steps in steps_in(shown)].count(True) == 1


def test_a_file_of_traces_alone_is_a_page_without_scores(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "episode_trace.jsonl", tmp_path / "episode_trace.jsonl")
    shown = run_page_of(tmp_path / "episode_trace.jsonl", tmp_path / "run.html")
    assert len(steps_in(shown)) == 5
    assert "Percent with" not in shown
    assert "Show the gold answer</summary>" not in "".join(steps_in(shown))


def test_a_run_of_a_hundred_recorded_episodes_is_a_page_under_2_mb(
    root: Path, tmp_path: Path
) -> None:
    example = root / "runs" / "example"
    shown = run_page_of(scaled(example, tmp_path / "run", 100), tmp_path / "run.html")
    assert len(steps_in(shown)) == 100
    assert len(shown.encode()) < 2e6
    recording = Recording(example)
    pages = [page("x", recording.nodes(id_)) for id_ in recording.ids]
    assert max(len(one.encode()) for one in pages) < 100_000


def test_a_thousand_episodes_are_one_page_in_seconds(finished: Path, tmp_path: Path) -> None:
    run = scaled(finished, tmp_path / "many", 1000)
    begun_s = time.process_time()
    shown = run_page_of(run, tmp_path / "run.html")
    assert time.process_time() - begun_s < 30
    assert len(re.findall("<tr data-filters", shown)) == 1000
    assert len(shown.encode()) < 20e6


def test_a_recording_without_results_hides_the_gold(finished: Path) -> None:
    for path in finished.glob("eval_results*.jsonl"):
        path.unlink()
    recording = Recording(finished / "episode_trace.jsonl")
    shown = "".join(node.html() for node in recording.nodes(recording.ids[0]))
    assert 'data-key="gold"><summary>Show the gold answer</summary>' not in shown


def test_replay_opens_what_is_clicked(finished: Path) -> None:
    replay = Replay(finished)
    ids = Recording(finished).ids
    assert replay.trace.task.id == ids[0]
    replay.on_choose({"id": ids[2]}, {})
    assert replay.trace.task.id == ids[2]
    assert replay.trace.task.question in html.unescape(replay.html())
    with pytest.raises(DataError):
        replay.open_episode("nothing")
    assert replay.trace.task.id == ids[2]
    replay.on_find({}, {"find": ids[4]})
    assert ids[1] not in json.dumps(replay.nodes[1])


def test_the_committed_example_run_opens(root: Path) -> None:
    recording = Recording(root / "runs" / "example")
    for episode_id in recording.ids:
        assert recording.nodes(episode_id)


def test_an_unfinished_trace_is_shown_as_far_as_it_goes(sample: list[Example]) -> None:
    trace = Trace(sample[0].task, "pmi", "f", (Step(StepKind.SEARCH, "query"),))
    assert "query" in page("x", replay_nodes(trace))


def test_the_lab_leaves_its_settings_in_one_place(tmp_path: Path) -> None:
    cache, temporary = tmp_path / "cache", tmp_path / "tmp"
    temporary.mkdir()
    settings = {"PMI_CACHE": cache, "TMPDIR": temporary}
    environment = os.environ | {name: str(path) for name, path in settings.items()}
    command = [sys.executable, "-m", "pmi_kernel.cli", "lab", "--version"]
    for _ in range(2):
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert sorted(path.name for path in (cache / "lab").iterdir()) == [
        "jupyter_nbconvert_config.json",
        "labconfig",
    ]
    assert list(temporary.iterdir()) == []


def test_a_runs_page_is_sorted_filtered_and_opened_in_a_browser(
    root: Path, tmp_path: Path, page: Page
) -> None:
    page.set_content(run_page_of(root / "runs" / "example", tmp_path / "run.html"))
    table = page.locator("table", has=page.get_by_role("button", name="seconds"))
    rows = table.locator("tbody tr:visible")
    page.get_by_role("button", name="seconds").click()
    page.get_by_role("button", name="seconds").click()
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    seconds = [float(row.split()[-1]) for row in rows.all_inner_texts()]
    assert seconds == sorted(seconds, reverse=True)
    page.get_by_label("Find").fill("Junipergate")
    expect(rows).to_have_count(1)
    rows.get_by_role("button").click()
    expect(page.locator(".pmi-search-step")).to_be_visible()
    expect(page.locator(".pmi-answer-step")).to_contain_text("End: answered")


def test_the_heat_map_follows_the_slider_and_the_keys(page: Page) -> None:
    words, attention = ["Ada:", "Ada", "plays."], [[900, 100, 0], [0, 100, 900]]
    artifacts = {
        "titles": ["Ada"], "lines": [[0, 0, 3]], "words": words, "attention": attention,
    }  # fmt: skip
    measures = {"latents": 2.0, "gate": 0.5, "attached_bytes": 64.0, "attach_s": 0.1}
    example = load_examples("sample")[0]
    steps = (
        Step("select", "", artifacts=artifacts, measures=measures),
        Step(StepKind.ANSWER, "Ada", index=1, end_reason=EndReason.ANSWERED),
    )
    nodes = replay_nodes(Trace(example.task, "latent_t5", "f", steps))
    page.set_content(shown_page("heat", nodes, scripts=[READ_SCRIPT]))
    heats = "[...document.querySelectorAll('.pmi-heat bdi > span')].map(w => w.style.cssText)"
    slider = page.get_by_label("Latent")
    expect(slider).to_have_attribute("aria-valuetext", "all together")
    assert page.evaluate(heats) == ["--heat: 1.0;", "--heat: 0.22;", "--heat: 1.0;"]
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "1 of 2")
    assert page.evaluate(heats) == ["--heat: 1.00;", "--heat: 0.11;", "--heat: 0.00;"]
    page.keyboard.press("End")
    assert page.evaluate(heats) == ["--heat: 0.00;", "--heat: 0.11;", "--heat: 1.00;"]
    page.keyboard.press("Home")
    expect(page.locator(".pmi-heat output")).to_have_text("all together")
    assert page.evaluate(heats) == ["--heat: 1.00;", "--heat: 0.22;", "--heat: 1.00;"]
