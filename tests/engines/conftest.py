from collections.abc import Iterator

import pytest

from pmi_kernel.config import EngineConfig
from pmi_kernel.engines.base import Engine


@pytest.fixture(scope="session")
def reloading(engine_name: str) -> Iterator[Engine]:
    engine = build(engine_name, "merge_reload")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def inplace(engine_name: str) -> Iterator[Engine]:
    engine = build(engine_name, "inplace")
    yield engine
    engine.close()


def build(engine: str, strategy: str) -> Engine:
    return EngineConfig(engine=engine, dtype="float32", strategy=strategy).build_engine()  # type: ignore[arg-type]
