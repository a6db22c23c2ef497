"""Settings: finite, bounded, text; refused in one line before anything is loaded."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import Settings
from pmi_kernel.data.worlds import WorldSettings
from pmi_kernel.runs import RunSettings
from pmi_kernel.studies.accumulation import AccumulationSettings
from pmi_kernel.studies.demo import DemoSettings
from pmi_kernel.studies.grid import GridSettings
from pmi_kernel.studies.recipes import StudySettings
from pmi_kernel.systems import SYSTEMS, config_class
from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
from pmi_kernel.systems.pmi.config import PmiConfig

RUNS = Path(__file__).parents[2] / "runs"
KINDS: list[type[BaseModel]] = [
    *map(config_class, SYSTEMS),
    RunSettings,
    GridSettings,
    StudySettings,
    AccumulationSettings,
    DemoSettings,
    WorldSettings,
]


def numbers(kind: Any, metadata: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The bounds of every number in a type."""
    if get_origin(kind) is Annotated:
        kind, *inner = get_args(kind)
        metadata = (*metadata, *(m for i in inner for m in getattr(i, "metadata", [i])))
    if kind in (int, float):
        yield metadata
    for part in get_args(kind):
        yield from numbers(part, metadata)


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_is_bounded_on_both_sides(kind: type[BaseModel]) -> None:
    for name, field in kind.model_fields.items():
        for metadata in numbers(field.annotation, tuple(field.metadata)):
            below, above = (
                any(isinstance(m, bounds) for m in metadata)
                for bounds in (
                    (annotated_types.Ge, annotated_types.Gt),
                    (annotated_types.Le, annotated_types.Lt),
                )
            )
            assert (below, above) == (True, True), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mem_lr", float("inf")),
        ("temperature", float("nan")),
        ("mem_alpha", "inf"),
        ("seed", 10**23),
        ("seed", -1),
        ("mem_rank", 100_000),
        ("first_query", "\ud800"),
        ("model", "x" * 20_000),
        ("mem_targets", ("q_proj", "\ud800")),
        ("no_such_setting", 1),
    ],
)
def test_a_setting_that_is_not_right_is_one_line(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        PmiConfig(**{name: value})
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 300
    assert message.encode()


def test_a_folder_whose_name_is_not_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"out: .*not valid text \(given 'a.udcff'\)"):
        RunSettings(out=Path(os.fsdecode(b"a\xff")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--mem_lr inf", "--mem_lr: should be a finite number (given inf)"),
        ("--temperature nan", "--temperature: should be a finite number (given nan)"),
        ("--seed 100000000000000000000000", "less than 9223372036854775808"),
        ("--mem_rank 100000", "--mem_rank: should be less than or equal to 512 (given 100000)"),
        ("--evidence weights", "--evidence: evidence=weights needs train_mem"),
    ],
)
def test_the_command_line_names_setting_value_and_bound(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", *words.split()])
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("path", sorted(RUNS.rglob("config.json")), ids=lambda p: p.parent.name)
def test_the_settings_of_recorded_runs_are_still_taken(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(config_class(record["system"])(**record["config"]), Settings)


def test_the_settings_of_the_recorded_study_are_still_taken() -> None:
    record = json.loads((RUNS / "example_study" / "study.json").read_text(encoding="utf-8"))
    assert StudySettings(**record["settings"])
    assert PmiConfig(**record["config"])


def test_a_setting_at_its_default_is_in_no_fingerprint() -> None:
    assert PmiConfig().fingerprint() == PmiConfig(mem_lr=3e-4, topk=3).fingerprint()
    assert PmiConfig().fingerprint() != PmiConfig(mem_lr=1e-3).fingerprint()
    assert PmiConfig().fingerprint() != PmiConfig().fingerprint("another file")
    assert ClosedBookConfig().fingerprint() != InContextConfig().fingerprint()
