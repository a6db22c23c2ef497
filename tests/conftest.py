import os
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from hypothesis import settings

from pmi_kernel.core.task import Example
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Engine
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.engines.models import EMBEDDED
from tests.processes import ending_what_starts

os.environ["HF_HUB_OFFLINE"] = "1"
# Threads that spin for work take it from the others on a busy machine: four times the CPU time.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
settings.register_profile("workbench", deadline=None, derandomize=True)
settings.load_profile("workbench")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _session_ends_what_it_started() -> Iterator[None]:
    resource_tracker.ensure_running()  # it is everybody's, so no test's
    with ending_what_starts():
        yield


@pytest.fixture(autouse=True)
def _test_ends_what_it_started() -> Iterator[None]:
    with ending_what_starts():
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("PMI_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            f"samples of real sets are not at {folder} ($PMI_TEST_DATA names another folder)"
        )
    return folder


@pytest.fixture(scope="session")
def sample() -> list[Example]:
    return load_examples("sample")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", default="hf", choices=["hf", "vllm"], help="what serves the model")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--engine") == "vllm":  # it and what it imports warn a lot
        config.addinivalue_line("filterwarnings", "ignore")


@pytest.fixture(scope="session")
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--engine"))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A checkpoint of each system that cannot be opened without one; it has learned nothing."""
    from tests.systems.hmst.conftest import trained_in as hmst_in
    from tests.systems.latent_t5.conftest import ASKED, BASELINE, trained_in

    folder = tmp_path_factory.mktemp("checkpoints")
    learners = {"latent_t5": ASKED, "baseline_t5": BASELINE}
    found = {name: trained_in(folder / name, learner) for name, learner in learners.items()}
    return {**found, "hmst": hmst_in(folder / "hmst")}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model for where the model is not the point; see `tests.tiny`."""
    from tests.tiny import write_tiny_model  # with torch, which most tests do without

    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def trained(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short meta-training of the tiny model."""
    from tests.regrad import train_start  # with torch

    return train_start(tiny, tmp_path_factory.mktemp("trained") / "regrad")


@pytest.fixture(scope="session")
def engine(engine_name: str, tiny: str) -> Iterator[Engine]:
    """The tiny model, in the format in which results do not depend on what shares a batch."""
    engine = build_engine(engine_name, tiny)
    yield engine
    engine.close()


def build_engine(
    name: str, model: str = EMBEDDED, strategy: str = "hot", max_batch: int = 16
) -> Engine:
    """An engine that leaves room for others beside it."""
    return EngineConfig(
        engine=name,  # type: ignore[arg-type]
        model=model,
        strategy=strategy,  # type: ignore[arg-type]
        dtype="float32",
        max_batch=max_batch,
        max_rank=16,
        kv_cache_gib=0.5,
    ).build_engine()
