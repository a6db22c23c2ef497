from collections.abc import Iterator

import pytest

from pmi_kernel.engines.base import Engine
from tests.conftest import build_engine


@pytest.fixture(scope="module", params=["inplace", "merge_reload"])
def exclusive(request: pytest.FixtureRequest, engine_name: str) -> Iterator[Engine]:
    """Each strategy that holds one memory; one engine at a time, as each takes its gigabytes."""
    engine = build_engine(engine_name, request.param)
    yield engine
    engine.close()
