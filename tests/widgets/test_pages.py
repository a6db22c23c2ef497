"""What is shown without a browser: escaping, pages, recordings, the command line."""

import html
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pmi_kernel import Episode, PmiConfig
from pmi_kernel.cli import main
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import Step, StepKind, Trace
from pmi_kernel.core.visible import visible
from pmi_kernel.data import load_examples
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.reports.pages.render import page
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
    assert not re.search(r"(src|href)=[\"']?(https?:|//)|url\(|@import|<script|<link", shown)
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
