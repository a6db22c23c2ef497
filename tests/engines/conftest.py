from collections.abc import Iterator

import pytest

from pmi_kernel.engines.base import Engine
from tests.conftest import build_engine


@pytest.fixture(scope="session")
def reloading(engine_name: str) -> Iterator[Engine]:
    engine = build_engine(engine_name, "merge_reload")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def inplace(engine_name: str) -> Iterator[Engine]:
    engine = build_engine(engine_name, "inplace")
    yield engine
    engine.close()
