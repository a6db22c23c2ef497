from collections.abc import Iterator

import pytest

from pmi_kernel.engines.base import Engine
from tests.conftest import build_engine


@pytest.fixture(scope="module", params=["inplace", "merge_reload"])
def exclusive(request: pytest.FixtureRequest, engine_name: str, tiny: str) -> Iterator[Engine]:
    """Each strategy that holds one memory; one engine at a time, as each takes its gigabytes."""
    engine = build_engine(engine_name, tiny, request.param)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def embedded(engine_name: str) -> Iterator[Engine]:
    """The embedded model, for what is known of it."""
    engine = build_engine(engine_name, max_batch=4)
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def _test_ends_what_it_started() -> None:
    """Not here: an engine of several tests starts a process when one of them attaches a memory."""
