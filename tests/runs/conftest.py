from pathlib import Path

import pytest

from pmi_kernel.runs import RunSettings, run
from tests.runs.scripts import SCRIPTED


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the engine without a model that nothing disturbed, in one process."""
    out = tmp_path_factory.mktemp("whole")
    run(RunSettings(out=out), SCRIPTED)
    return out
