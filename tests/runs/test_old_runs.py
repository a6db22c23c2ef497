"""Runs that were recorded by an earlier workbench open, and are gone on with."""

import json
import shutil
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.reports.cards import read_cards
from pmi_kernel.runs import RunSettings, read_results, run, supervise
from pmi_kernel.runs.request import request_of
from pmi_kernel.studies.recipes import StudySettings, read_study, study_recipes
from pmi_kernel.systems.baselines.config import ClosedBookConfig
from pmi_kernel.systems.pmi.config import PmiConfig


@pytest.fixture
def example(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root / "runs" / "example", tmp_path / "example"))


def test_the_example_run_is_gone_on_with(example: Path) -> None:
    before = read_results(example)
    config, settings = request_of(example, limit=0)
    outcome = supervise(settings, config)
    assert (outcome.num_run, outcome.summary["num_episodes"]) == (0, len(before))
    assert read_results(example) == before
    assert len(read_cards(example)) > 10
    assert json.loads((example / "config.json").read_text())["config"]["mem_steps"] == 20


def test_another_setting_than_the_examples_is_refused_by_name(example: Path) -> None:
    config, settings = request_of(example, limit=0)
    with pytest.raises(ConfigError, match=r"\(mem_recipe: 'ntp' there, 'qa' here\)"):
        supervise(settings, config.but(mem_recipe="qa"))


def test_the_example_study_is_gone_on_with(root: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(root / "runs" / "example_study", tmp_path / "study"))
    record = json.loads((out / "study.json").read_text())
    before = read_study(out)
    settings = StudySettings(**{**record["settings"], "out": out})
    num_run: list[int] = []
    found = study_recipes(
        settings,
        PmiConfig.recorded(record["config"]),
        run_cell=lambda target, cell: num_run.append(supervise(target, cell).num_run),
    )
    assert num_run == [0] * 5
    assert found.cells == before.cells


def test_a_baseline_of_old_goes_on_under_the_rule_of_then(tmp_path: Path) -> None:
    settings = RunSettings(out=tmp_path, limit=2)
    lenient = ClosedBookConfig(engine="scripted", unparsed="text")
    run(settings, lenient)
    (tmp_path / "request.json").unlink()
    record = json.loads((tmp_path / "config.json").read_text())
    del record["config"]["unparsed"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert request_of(tmp_path)[0] == lenient
    assert run(settings, lenient).num_run == 2
    with pytest.raises(ConfigError, match="unparsed: 'text' there, 'unknown' here"):
        run(settings, ClosedBookConfig(engine="scripted"))
