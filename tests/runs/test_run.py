import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.records import read_records
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.trace import Trace
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.scripted import ScriptedEngine, first_title
from pmi_kernel.jobs import Job
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.reports.summary import render_summary
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems import open_system
from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
from tests.runs.results import same
from tests.runs.scripts import SCRIPTED


def ids(out: Path) -> list[str]:
    return [r.episode_id for r in read_records(EvalResult, out / "eval_results.jsonl")]


def test_two_runs_are_the_same_but_for_time(whole: Path, tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path), SCRIPTED)
    assert same(tmp_path, whole)


def test_every_episode_has_a_sorted_result_and_a_trace(whole: Path) -> None:
    assert ids(whole) == sorted(ids(whole))
    assert len(ids(whole)) == 60
    traces = list(read_records(Trace, whole / "episode_trace.jsonl"))
    assert [trace.task.id for trace in traces] == ids(whole)


def test_the_summary_holds_what_a_reader_needs(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text(encoding="utf-8"))
    assert summary["num_episodes"] == sum(summary["end_reasons"].values()) == 60
    assert 0 <= summary["em"] <= summary["f1"] <= 1
    assert summary["num_injections"] == 60
    assert {"retrieve", "compress", "train", "attach", "act", "detach"} == set(
        summary["seconds_by_stage"]
    )
    assert summary["versions"]["torch"] == version("torch")
    assert len(summary["data"]["sha256"]) == 64
    assert summary["config"]["mem_steps"] == 2
    assert "commit" in summary["git"]


def test_limit_counts_pending_episodes_only(whole: Path, tmp_path: Path) -> None:
    for expected in (25, 50, 60):
        run(RunSettings(out=tmp_path, limit=25), SCRIPTED)
        assert len(ids(tmp_path)) == expected
    assert same(tmp_path, whole)


def test_a_torn_result_is_run_again(whole: Path, tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path, limit=7), SCRIPTED)
    for name in ("eval_results", "episode_trace"):
        (tmp_path / f"{name}.jsonl").unlink()
        path = tmp_path / f"{name}.cpu0.jsonl"
        path.write_bytes(path.read_bytes()[:-30])
    run(RunSettings(out=tmp_path), SCRIPTED)
    assert same(tmp_path, whole)


def test_a_trace_without_its_result_is_replaced(whole: Path, tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path, limit=7), SCRIPTED)
    (tmp_path / "eval_results.jsonl").unlink()
    path = tmp_path / "eval_results.cpu0.jsonl"
    path.write_text(
        "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-2]), encoding="utf-8"
    )
    run(RunSettings(out=tmp_path), SCRIPTED)
    assert same(tmp_path, whole)


@pytest.mark.parametrize("victim_after", [3, 20])
def test_a_killed_run_resumes_to_the_same_result(
    whole: Path, tmp_path: Path, victim_after: int
) -> None:
    out = tmp_path / "run"
    code = (
        "import os, signal; from pathlib import Path;"
        "from pmi_kernel.runs import RunSettings, run;"
        "from tests.runs.scripts import SCRIPTED; n = [0]\n"
        "def kill(_):\n"
        " n[0] += 1\n"
        f" if n[0] == {victim_after}: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"run(RunSettings(out=Path({str(out)!r})), SCRIPTED, on_result=kill)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    run(RunSettings(out=out), SCRIPTED)
    assert same(out, whole)


def test_ctrl_c_keeps_what_is_done(whole: Path, tmp_path: Path) -> None:
    seen: list[EvalResult] = []

    def interrupt(result: EvalResult) -> None:
        seen.append(result)
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = run(RunSettings(out=tmp_path), SCRIPTED, on_result=interrupt)
    assert outcome.is_interrupted
    assert outcome.summary["num_episodes"] == len(ids(tmp_path)) == 4
    run(RunSettings(out=tmp_path), SCRIPTED)
    assert same(tmp_path, whole)


def test_a_stop_with_nothing_left_to_do_is_no_interruption(tmp_path: Path) -> None:
    seen: list[EvalResult] = []

    def stop(result: EvalResult) -> None:
        seen.append(result)
        if len(seen) == 3:
            raise KeyboardInterrupt

    assert run(RunSettings(out=tmp_path, limit=3), SCRIPTED, on_result=stop).is_interrupted
    status = Job(tmp_path).status()
    assert (status["state"], status["done_now"], status["owed"]) == ("done", 3, 0)


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path, limit=1), SCRIPTED)
    other = SCRIPTED.model_copy(update={"mem_lr": 0.5, "topk": 1})
    with pytest.raises(ConfigError, match=r"mem_lr: 0.0003 there, 0.5 here; topk: 3 there, 1 here"):
        run(RunSettings(out=tmp_path), other)


def test_other_data_is_refused(tmp_path: Path, root: Path) -> None:
    run(RunSettings(out=tmp_path / "run", limit=1), SCRIPTED)
    data = tmp_path / "data.json"
    data.write_text(
        (root / "data" / "sample" / "fictional_60.json").read_text(encoding="utf-8") + "\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="sha256"):
        run(RunSettings(out=tmp_path / "run", data=str(data)), SCRIPTED)


def failing(is_bad: Callable[[str], bool]) -> ScriptedEngine:
    def script(prompt: Prompt, adapter: Adapter | None) -> str:
        if is_bad(prompt[-1].content):
            raise EngineError("the engine broke")
        return first_title(prompt, adapter)

    return ScriptedEngine(script)


def test_a_poisoned_episode_stays_pending_and_the_rest_goes_on(tmp_path: Path) -> None:
    engine = failing(lambda text: "Brindlegate" in text)
    outcome = run(RunSettings(out=tmp_path), SCRIPTED, system=open_system(SCRIPTED, engine))
    errors = [
        json.loads(li)
        for li in (tmp_path / "errors.cpu0.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    bad = {error["episode_id"] for error in errors}
    assert outcome.summary["num_errors"] == len(errors) >= 1
    assert bad.isdisjoint(ids(tmp_path))
    assert len(ids(tmp_path)) + len(bad) == 60
    assert engine.num_attached == 0
    run(RunSettings(out=tmp_path), SCRIPTED)
    assert len(ids(tmp_path)) == 60


def test_three_errors_in_a_row_stop_the_run_and_keep_what_is_done(tmp_path: Path) -> None:
    calls: list[str] = []

    def is_bad(text: str) -> bool:
        calls.append(text)
        return len(calls) > 6

    engine = failing(is_bad)
    with pytest.raises(EngineError, match="3 episodes in a row"):
        run(RunSettings(out=tmp_path), SCRIPTED, system=open_system(SCRIPTED, engine))
    assert len(ids(tmp_path)) == 3


def test_a_run_has_one_owner(tmp_path: Path) -> None:
    def again(_: EvalResult) -> None:
        with pytest.raises(ConfigError, match="another process"):
            run(RunSettings(out=tmp_path), SCRIPTED)

    run(RunSettings(out=tmp_path, limit=1), SCRIPTED, on_result=again)


def test_probes_are_off_unless_asked_for_and_change_no_step(whole: Path, tmp_path: Path) -> None:
    outcome = run(RunSettings(out=tmp_path, probe=True, verify_restore=True), SCRIPTED)
    assert outcome.summary["probes"]["num_probed"] == 60
    assert outcome.summary["probes"]["share_risen"] == 1.0
    assert outcome.summary["probes"]["probe_s"] > 0
    assert "probe" not in outcome.summary["seconds_by_stage"]
    assert "measuring, apart from these: " in render_summary(outcome.summary, tmp_path)
    assert json.loads((whole / "summary.json").read_text(encoding="utf-8"))["probes"] is None
    for one, other in zip(
        read_records(Trace, whole / "episode_trace.jsonl"),
        read_records(Trace, tmp_path / "episode_trace.jsonl"),
        strict=True,
    ):
        assert [(s.kind, s.text, s.raw) for s in one.steps] == [
            (s.kind, s.text, s.raw) for s in other.steps
        ]
        assert len(other.probes) == 1
        assert other.probes[0].control_episode_id not in (None, other.task.id)


def test_questions_without_paragraphs_are_refused_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    data = tmp_path / "plain.jsonl"
    data.write_text('{"question": "Where?", "answer": "Here"}\n', encoding="utf-8")
    settings = RunSettings(data=str(data), out=tmp_path / "run")
    with pytest.raises(ConfigError, match=r"have no paragraphs, so that --retriever bm25 has noth"):
        run(settings, InContextConfig(model="nowhere/to/be/found", retriever="bm25"))
    closed = ClosedBookConfig(engine="scripted")
    assert run(settings, closed).summary["num_episodes"] == 1


def test_rows_and_a_layout_are_asked_as_the_settings_say(tmp_path: Path) -> None:
    data = tmp_path / "labels.jsonl"
    lines = [{"test_id": n, "question": f"Q{n}?", "answer": "Yes"} for n in range(6)]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    settings = RunSettings(data=str(data), layout="lhf", start=2, end=5, out=tmp_path / "run")
    assert settings.source == f"rows:2-5:as:lhf:{data}"
    summary = run(settings, ClosedBookConfig(engine="scripted")).summary
    assert ids(tmp_path / "run") == ["2", "3", "4"]
    assert summary["metrics"] == {"labels": 3}
    assert summary["data_source"] == f"rows:2-5:as:lhf:{data.resolve()}"
