"""The same worker as Ray actors, on a local Ray of two CPU workers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pmi_kernel.runs import RunSettings, run, supervise
from pmi_kernel.systems.pmi.config import PmiConfig
from tests.runs.results import same

pytestmark = pytest.mark.filterwarnings("ignore")

CONFIG = PmiConfig(engine="scripted", train_mem=True, mem_steps=2)


@pytest.fixture
def ray() -> Iterator[Any]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield ray
    ray.shutdown()


def test_actors_give_what_processes_give(ray: Any, tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path / "whole"), CONFIG)
    out = tmp_path / "ray"
    outcome = supervise(RunSettings(out=out, workers=2, launcher="ray", limit=20), CONFIG)
    assert outcome.num_run == 20
    assert len(list(out.glob("eval_results.ray-cpu*.jsonl"))) == 2
    supervise(RunSettings(out=out, workers=1), CONFIG)  # any launcher may go on
    assert same(out, tmp_path / "whole")
