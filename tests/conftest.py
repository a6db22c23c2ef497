import os
from pathlib import Path

import pytest
from hypothesis import settings

from pmi_kernel.config import EngineConfig
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Engine
from pmi_kernel.types import Example

os.environ["HF_HUB_OFFLINE"] = "1"
settings.register_profile("workbench", deadline=None, derandomize=True)
settings.load_profile("workbench")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def sample() -> list[Example]:
    return load_examples("sample")


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The embedded model, in the format in which results do not depend on what shares a batch."""
    return EngineConfig(dtype="float32").build_engine()
