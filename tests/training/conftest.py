import os
import textwrap
from pathlib import Path

import pytest

from pmi_kernel.systems import SYSTEMS, Entry

LEARNING = '''
from typing import Annotated

from pydantic import Field

from pmi_kernel.core.settings import Seed, Settings
from tests.training.regression import Regression


class RegressionConfig(Settings):
    """What a regression learns."""

    data: str = ""
    """Questions to learn from."""
    eval_data: str = ""
    """Questions to measure on."""
    width: Annotated[int, Field(ge=1, le=100)] = 16
    """How wide it is."""
    seed: Seed = 0
    """Seeds it."""
    slow_s: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Seconds that an update takes longer."""


def open_learner(config):
    learner = Regression()
    learner.slow_s = config.slow_s
    return learner
'''

PLACES = (
    "none:None", "none:None",
    "regression_learning:open_learner", "regression_learning:RegressionConfig",
)  # fmt: skip

REGISTER = """
from pmi_kernel.systems import SYSTEMS, Entry

SYSTEMS["regression"] = Entry({places})
"""


@pytest.fixture
def added(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that is trained, `regression`, in the registry of this process and its children."""
    folder = tmp_path_factory.mktemp("added")
    (folder / "regression_learning.py").write_text(textwrap.dedent(LEARNING))
    (folder / "sitecustomize.py").write_text(REGISTER.format(places=", ".join(map(repr, PLACES))))
    monkeypatch.syspath_prepend(folder)
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (folder, root))))
    monkeypatch.setitem(SYSTEMS, "regression", Entry(*PLACES))
