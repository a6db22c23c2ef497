"""The live views without a browser: what a click does, in the view's own thread."""

import re
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from pmi_kernel import PmiConfig
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.progress import Phase, Report
from pmi_kernel.core.records import RecordWriter, read_records
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import System
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, StepKind
from pmi_kernel.engines.base import Adapter, Engine
from pmi_kernel.engines.scripted import ScriptedEngine, first_title
from pmi_kernel.prompting.messages import Message, Prompt
from pmi_kernel.reports.compare import results_frame
from pmi_kernel.reports.recording import Recording
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.studies.recipes import StudySettings, read_study, study_recipes
from pmi_kernel.studies.sweep import compare_recipes
from pmi_kernel.systems import open_system
from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
from tests.waiting import eventually, within
from widgets import (
    CardView,
    CompareView,
    EpisodeView,
    Home,
    InjectionLab,
    JobMonitor,
    Replay,
    RunCharts,
    Setup,
    StudyView,
)
from widgets.figures import ends_figure, episodes_figure, rise_figure, score_figure
from widgets.progress import line, sparkline


class Bench(Setup):
    """A setup whose engine is given."""

    given: Any = None

    def system(self) -> System:
        return open_system(self.config, self.given) if self.given else super().system()


@pytest.fixture
def setup() -> Setup:
    return Setup("sample", engine="scripted", train_mem=True)


def ready(view: EpisodeView) -> EpisodeView:
    view.wait()
    return view


def test_the_buttons_drive_the_episode(setup: Setup) -> None:
    view = ready(EpisodeView(setup))
    view.on_next()
    view.wait()
    assert len(view.traces[0].steps) == 1
    view.on_run_to_injection()
    view.wait()
    assert view.traces[0].steps[-1].kind == StepKind.INJECT
    view.on_run()
    view.wait()
    assert view.status.startswith("Done: ")
    assert not view.is_busy
    view.on_reset()
    view.wait()
    assert view.traces[0].steps == ()


def test_a_fork_form_changes_only_what_was_edited(setup: Setup) -> None:
    view = EpisodeView(setup)
    view.run()
    view.wait()
    original = view.traces[0]
    snippet = original.steps[1].text
    unedited = {"snippet": snippet, "mem_steps": "", "mem_lr": ""}
    view.on_fork({"branch": 0, "step": 1}, {**unedited, "mem_steps": "3"})
    view.wait()
    assert view.traces[1].steps[2].measures["train_steps"] == 3
    assert view.traces[1].steps[1].text == snippet
    view.on_fork({"branch": 0, "step": 1, "no_injection": "1"}, unedited)
    view.wait()
    assert view.traces[2].steps[2].measures["train_steps"] == 0
    view.on_fork({"branch": 0, "step": 1, "wrong_passage": "1"}, unedited)
    view.wait()
    assert view.traces[3].steps[2].text != snippet
    assert view.traces[0] == original


@pytest.mark.parametrize("typed", ["x", "-1", "0"])
def test_a_number_that_is_none_is_told(setup: Setup, typed: str) -> None:
    view = EpisodeView(setup)
    view.next()
    view.wait()
    message = {"action": "fork", "args": {"branch": 0, "step": 0}, "values": {"mem_steps": typed}}
    view._handle_custom_msg(message, [])
    assert view.is_error
    assert "mem_steps" in view.status
    assert view.problems.keys() == {"mem_steps"}
    view._handle_custom_msg({"action": "ping"}, [])
    assert view.problems
    view._handle_custom_msg({**message, "values": {}}, [])
    assert not view.problems


def test_stop_drops_what_runs_and_the_episode_goes_on_from_there(setup: Setup) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(prompt: Prompt, adapter: Adapter | None) -> str:
        entered.set()
        release.wait(within(1))
        return first_title(prompt, adapter)

    bench = Bench("sample", train_mem=True)
    bench.given = ScriptedEngine(slow)
    view = EpisodeView(bench, is_probed=False)
    view.run()
    entered.wait(within(1))
    assert view.is_busy
    view.on_stop()
    release.set()
    view.wait()
    assert view.status.startswith("Stopped")
    assert [step.kind for step in view.traces[0].steps] == [StepKind.SEARCH, StepKind.ANSWER]
    assert view.traces[0].end_reason is EndReason.STOPPED
    assert bench.given.num_attached == 0
    assert "stopped" in view.html()
    view.on_next()
    view.wait()
    assert view.traces[0].steps[-1].kind == StepKind.COMPRESS
    view.on_run()
    view.wait()
    assert view.status.startswith("Done: 4 steps, answered")


def test_a_training_is_followed_and_stopped_within_a_second(
    engine: Engine, sample: list[Example]
) -> None:
    bench = Bench("sample", train_mem=True, mem_steps=1_000_000, snippet_tokens=12, shots=0)
    bench.given = engine
    view = ready(EpisodeView(bench, is_probed=False))
    before = engine.score((Message("user", "Who?"),), "Nobody.")
    shown: list[str] = []
    view.observe(lambda change: shown.append(change["new"]), "progress")
    view.run_to_injection()
    told = re.compile(
        r"training step [1-9]\d* of 1000000, \d+ s, about \d+ s left, loss [\d.]+ [▁-█]+"
    )
    eventually(lambda: any(told.fullmatch(text) for text in shown), "no training was shown")
    began_s = time.monotonic()
    view.on_stop()
    view.wait()
    assert time.monotonic() - began_s < within(1)
    assert view.traces[0].end_reason is EndReason.STOPPED
    assert view.progress == ""
    assert shown[0].startswith("searching")
    assert any(text.startswith("generating token") for text in shown)
    assert engine.score((Message("user", "Who?"),), "Nobody.") == before


def test_a_stop_while_it_measures_keeps_the_step(setup: Setup) -> None:
    view = ready(EpisodeView(setup))
    view.observe(
        lambda change: view.stop() if change["new"].startswith("measuring after") else None,
        "progress",
    )
    view.run()
    view.wait()
    kinds = [StepKind.SEARCH, StepKind.COMPRESS, StepKind.INJECT]
    assert [step.kind for step in view.traces[0].steps] == [*kinds, StepKind.ANSWER]
    assert view.traces[0].probes == ()
    assert "Seconds of measuring" in view.html()
    view.unobserve_all("progress")
    view.next()
    view.wait()
    assert [step.kind for step in view.traces[0].steps] == kinds
    assert len(view.traces[0].probes) == 1
    assert "measured in" in view.html()


def test_a_line_says_how_far_it_is_and_what_is_left() -> None:
    report = Report(Phase.TRAINING, 5, 20, spent_s=10.2, loss_nats=1.0)
    assert line(report, [4.0, 2.0, 1.0]) == (
        "training step 5 of 20, 10 s, about 31 s left, loss 1.00 █▅▃"
    )
    generating = Report(Phase.GENERATING, 4, 8, spent_s=3.0)
    assert line(generating) == "generating token 4 of 8, 3 s, at most 3 s left"
    written = Report(Phase.GENERATING, 4, 8, spent_s=3.0, said="Ada plays\nthe \x1b oboe ")
    assert line(written).splitlines()[1:] == ["Ada plays", "the \\x1b oboe"]
    assert line(Report(Phase.GENERATING, said="a" * 999)).count("a") < 500
    assert line(Report(Phase.LOADING)) == "loading the model, 0 s"
    assert len(sparkline([1.0] * 1_000)) <= 32
    assert sparkline([0.0, float("nan"), float("inf")]) == "▁"


def test_a_reset_while_it_runs_starts_again(setup: Setup) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow(prompt: Prompt, adapter: Adapter | None) -> str:
        entered.set()
        release.wait(within(1))
        return first_title(prompt, adapter)

    bench = Bench("sample", train_mem=True)
    bench.given = ScriptedEngine(slow)
    view = EpisodeView(bench, is_probed=False)
    view.run()
    view.run()  # waits behind the first, and is dropped
    entered.wait(within(1))
    view.on_reset()
    view.on_next()
    release.set()
    view.wait()
    assert view.status == "Ready: 1 step so far."
    assert len(view.traces[0].steps) == 1
    assert bench.given.num_attached == 0


def test_question_and_first_search_show_while_the_model_loads() -> None:
    release = threading.Event()

    class Slow(Bench):
        def system(self) -> System:
            release.wait(within(1))
            return super().system()

    bench = Slow("sample", retriever="bm25")
    bench.given = ScriptedEngine()
    view = EpisodeView(bench, is_probed=False)
    view.next()
    shown = BeautifulSoup(view.html(), "html.parser")
    assert bench.example.task.question in shown.h2.text
    told = shown.select_one(".pmi-foreseen").text
    release.set()
    view.wait()
    (step,) = view.traces[0].steps
    assert step.text in told
    assert step.passages[0].text in told
    assert 'pmi-foreseen"' not in view.html().split("</style>")[1]


def test_branches_share_an_engine_that_holds_one_memory() -> None:
    bench = Bench("sample", train_mem=True)
    bench.given = ScriptedEngine(is_exclusive=True)
    view = EpisodeView(bench)
    view.run_to_injection()
    view.wait()
    view.fork(1, snippet="other words here")
    view.wait()
    assert view.traces[1].steps[-1].end_reason is not None
    view.run()
    view.wait()
    assert not view.is_error, view.status
    assert view.status.startswith("Done: ")
    assert bench.given.num_attached == 0


def test_an_engine_that_fails_says_so_and_the_view_lives_on(setup: Setup) -> None:
    bench = Bench("sample", train_mem=True)
    bench.given = ScriptedEngine([])
    view = EpisodeView(bench)
    view.run()
    view.wait()
    assert view.is_error
    assert "no output left" in view.status
    bench.given = ScriptedEngine()
    view.reset()
    view.run()
    view.wait()
    assert view.status.startswith("Done: ")


def test_a_system_without_an_engine_is_stepped_probed_and_forked() -> None:
    setup = Setup("sample", system="lexical", retriever="bm25")
    view = EpisodeView(setup)
    view.run_to_injection()
    view.wait()
    assert view.traces[0].steps[-1].kind == "remember"
    assert view.traces[0].probes[0].control is None
    view.run()
    view.wait()
    assert view.status.startswith("Done: 3 steps")
    shown = view.html()
    assert "remember" in shown.lower()
    assert "Report card" in shown
    view.on_fork({"branch": 0, "step": 1, "wrong_passage": "1"}, {})
    view.wait()
    view.on_fork({"branch": 0, "step": 0}, {"query": "lighthouse"})
    view.wait()
    assert not view.is_error
    assert "Branch 1: wrong passage kept" in view.html()
    assert view.traces[2].steps[0].text == "lighthouse"
    with pytest.raises(ValueError, match="no engine"):
        InjectionLab(setup, view)._sweep("words", [])
    setup.configure("closed_book", engine="scripted")
    view.wait()
    view.run()
    view.wait()
    assert view.status.startswith("Done: 1 step")


def test_the_lab_sweeps_the_episodes_snippet(setup: Setup) -> None:
    view = EpisodeView(setup)
    lab = InjectionLab(setup, view)
    with pytest.raises(ValueError, match="no snippet yet"):
        lab.on_take()
    view.run()
    view.wait()
    lab.on_take()
    values = {"snippet": "some words"}
    values |= {"mem_steps": "1, 2", "mem_lr": "1e-3", "mem_rank": "4 8"}
    lab.on_sweep({}, values)
    lab.wait()
    loras = [(point.lora.steps, point.lora.rank) for point in lab.points]
    assert loras == [(1, 4), (2, 4), (1, 8), (2, 8)]
    for wrong in (
        {"mem_steps": "x"},
        {"mem_steps": ""},
        {"mem_lr": "0"},
        {"mem_rank": "1.5"},
        {"mem_steps": "inf"},
        {"mem_lr": "nan"},
        {"mem_lr": "inf"},
        {"mem_rank": "100000"},
        {"snippet": " "},
    ):
        with pytest.raises((ValueError, ConfigError), match=r"mem_|snippet"):
            lab.on_sweep({}, {**values, **wrong})


def test_settings_are_checked_and_kept_between_systems(setup: Setup) -> None:
    setup.configure(topk=5)
    setup.configure("in_context")
    assert setup.config.system == "in_context"
    assert setup.config.model_dump()["topk"] == 5
    with pytest.raises(ConfigError, match="topk"):
        setup.on_apply({}, {"topk": "0"})
    setup.on_apply({}, {"topk": "2", "first_query": ""})
    assert setup.config.model_dump()["topk"] == 2
    assert setup.config.model_dump()["first_query"] is None
    with pytest.raises(ValueError, match="no question"):
        setup.choose("nothing")


# -- batches ----------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    for name, config in (("closed", ClosedBookConfig()), ("context", InContextConfig())):
        settings = RunSettings(out=tmp_path / name, limit=8)
        run(settings, config, system=open_system(config, ScriptedEngine()))
    return tmp_path


def test_a_win_opens_in_both_runs(finished: Path) -> None:
    path = finished / "context" / "eval_results.jsonl"
    results = list(read_records(EvalResult, path))
    for file in (path, finished / "context" / "eval_results.cpu0.jsonl"):
        file.unlink()
        with RecordWriter(file) as writer:
            for place, result in enumerate(results):
                writer.write(replace(result, scores={**result.scores, "f1": float(place == 2)}))
    view = CompareView([finished / "closed", finished / "context"])
    (difference,) = view.comparison.differences
    assert difference.wins == (results[2].episode_id,)
    view.on_choose({"id": f"context\x1f{difference.wins[0]}"}, {})
    shown = view.html()
    assert shown.count('class="pmi-branch"') == 2
    assert results[2].episode_id in shown


def test_a_run_with_a_damaged_line_is_shown(finished: Path) -> None:
    folder = finished / "context"
    for name in ("eval_results.cpu0.jsonl", "episode_trace.cpu0.jsonl"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join([lines[0][:200] + "\n", *lines[1:]]))
    replay = Replay(folder)
    assert "8 of 8 episodes" in replay.html()
    assert "cannot be read: 1, the first eval_results.cpu0.jsonl:1" in replay.html()
    assert replay.trace.steps


def test_the_monitor_shows_a_run_that_ended_and_goes_on_with_it(finished: Path) -> None:
    monitor = JobMonitor(finished / "closed")
    try:
        shown = monitor.html()
        assert "EM so far" in shown
        assert "cpu0" in shown  # the one worker, which was in this process
    finally:
        monitor.close()


def test_the_monitor_says_what_a_stopped_run_kept_and_how_to_go_on(tmp_path: Path) -> None:
    seen: list[EvalResult] = []

    def stop(result: EvalResult) -> None:
        seen.append(result)
        if len(seen) == 2:
            raise KeyboardInterrupt

    run(RunSettings(out=tmp_path, limit=5), ClosedBookConfig(engine="scripted"), on_result=stop)
    monitor = JobMonitor(tmp_path)
    kept = "interrupted, 2 of 5 episodes done and kept, 3 owed; Resume goes on with what is owed"
    assert monitor.status == f"{tmp_path}: {kept}"
    monitor.close()


def test_charts_of_a_run_without_results_wait_for_them(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")
    charts = RunCharts(tmp_path, Replay(tmp_path))
    assert "No episode is done yet" in charts.status


def test_every_chart_is_drawn_of_a_run(root: Path) -> None:
    recording = Recording(root / "runs" / "example")
    frame = results_frame(recording.results.values())
    probes = [(id_, probe) for id_ in recording.ids for probe in recording.trace(id_).probes]
    assert len(score_figure(frame).data) == 2
    assert len(ends_figure(frame).data) == 2
    points = sum(len(trace.x) for trace in episodes_figure(frame, "view").data)
    assert points == len(frame)
    assert len(rise_figure(probes, "view").data[1].x) == len(probes) > 0


def test_the_table_is_narrowed_down_by_choices_and_words(root: Path) -> None:
    replay = Replay(root / "runs" / "example")
    everything = dict.fromkeys(("answer", "type", "level", "end"), "all")
    replay.on_find({}, {**everything, "find": "", "type": "comparison"})
    assert "3 of 16 episodes" in replay.html()
    replay.on_find({}, {**everything, "find": "nothing has this", "type": "comparison"})
    assert "0 of 16 episodes" in replay.html()


def test_cards_stand_side_by_side() -> None:
    examples = list(Setup("world:kind=conflicts,n=2").examples.values())
    config = PmiConfig(train_mem=True, max_steps=2)
    cards = dict(
        compare_recipes(
            config, ScriptedEngine(), examples[0], ["ntp", "qa"], control=examples[1].task
        )
    )
    shown = CardView(cards).html()
    assert re.search(r"<th scope=\"col\">ntp</th><th scope=\"col\">qa</th>", shown)
    rise = cards["qa"].gold_nats
    assert f"{rise.before:.2f} → {rise.after:.2f} ({rise.wrong:.2f})" in shown
    assert "the known answer (%)" in shown
    assert "bit-equal" in shown
    never = ScriptedEngine(lambda prompt, adapter: "" if adapter is None else "x")
    with pytest.raises(ValueError, match="nothing was injected"):
        dict(compare_recipes(config, never, examples[0], ["ntp"]))


def test_a_study_is_shown_as_far_as_it_is_there(tmp_path: Path) -> None:
    settings = StudySettings(
        data=("world:n=2",), out=tmp_path, questions=2, recipes=("ntp", "qa"), steps=(2,)
    )
    num_run = [0]

    def run_first(target: RunSettings, config: SystemConfig) -> None:
        num_run[0] += 1
        if num_run[0] == 2:
            raise KeyboardInterrupt
        run(target, config, system=open_system(config, ScriptedEngine()))

    with pytest.raises(KeyboardInterrupt):
        study_recipes(settings, PmiConfig(max_steps=2), run_cell=run_first)
    view = StudyView(read_study(tmp_path))
    assert view.status == "1 of 2 cells have results."
    assert "pmi study recipes --data world:n=2" in view.html()


def test_home_lists_what_was_run_and_opens_it(tmp_path: Path, root: Path) -> None:
    shutil.copytree(root / "runs" / "example", tmp_path / "example")
    shutil.copytree(root / "runs" / "example_study", tmp_path / "example_study")
    run(RunSettings(out=tmp_path / "new", limit=2), PmiConfig(engine="scripted"))
    home = Home(tmp_path)
    tables = {node.key: node.data for node in home._tree if "choices" in node.data}
    assert tables.keys() == {"run", "study"}
    rows = {choice["text"]: choice["cells"] for choice in tables["run"]["choices"]}
    assert rows["new"][:2] == ("done", "2 of 2")
    assert rows["example"][:2] == ("stopped", "16 of 60")
    home.on_choose({"id": str(tmp_path / "new")}, {})
    assert isinstance(home.opened[0], RunCharts)
    assert isinstance(home.opened[1], Replay)
    (study,) = home.open_job(tmp_path / "example_study")
    assert isinstance(study, StudyView)
    with pytest.raises(ConfigError, match="holds no run"):
        home.open_job(tmp_path)


def test_home_says_where_nothing_was_run(tmp_path: Path) -> None:
    home = Home(tmp_path / "nowhere")
    assert home.status == f"Nothing was run in {tmp_path / 'nowhere'} yet."


def test_other_settings_begin_an_episode_beside_the_one_that_is_there(setup: Setup) -> None:
    view = ready(EpisodeView(setup))
    view.run()
    view.wait()
    view.fork(1, mem_steps=3)
    view.wait()
    before = view.traces
    setup.configure(mem_steps=7)
    view.wait()
    assert [len(trace.steps) for trace in view.traces] == [0]
    setup.configure(mem_steps=9)  # nothing was done under the settings before: they leave no tab
    view.next()
    view.wait()
    tabs = BeautifulSoup(view.html(), "html.parser").select(".pmi-sittings > span")
    assert len(tabs) == 2
    assert "mem_steps 9" in tabs[1].get_text()
    assert "1 step so far" in tabs[1].get_text()
    assert before[0].prediction in tabs[0].get_text()
    view.on_show({"episode": "0"}, {})
    assert view.traces == before
    view.fork(1, mem_steps=4)  # goes on where it was shown
    view.wait()
    assert len(view.traces) == 3
    view.on_close({"episode": "0"}, {})
    view.wait()
    assert [len(trace.steps) for trace in view.traces] == [1]
    assert not BeautifulSoup(view.html(), "html.parser").select(".pmi-sittings")
    view.on_close({"episode": "0"}, {})
    view.wait()
    assert "cannot be closed" in view.status


def test_an_episode_whose_model_is_gone_can_still_be_read(tiny: str) -> None:
    setup = Setup("sample", system="closed_book", engine="scripted")
    view = ready(EpisodeView(setup, is_probed=False))
    view.run()
    view.wait()
    setup.configure(model=tiny, engine="hf", answer_tokens=2)
    view.wait()
    view.next()
    view.wait()
    view.show_episode(0)
    assert view.traces[0].steps
    view.on_fork({"branch": "0", "step": "0"}, {})
    view.wait()
    assert "no longer loaded" in view.status
