"""A bank of gradients: each passage once, and torn or foreign ones never taken for good."""

import json
import threading
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Engine
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.lora.start import Gradient
from pmi_kernel.systems import open_system
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.store import Format, GradientStore
from pmi_kernel.systems.start import read_start


@pytest.fixture(scope="module")
def gradients(engine: Engine, trained: Path) -> tuple[Gradient, ...]:
    texts = [
        p.text for e in load_examples("world:split=dev,n=2,paragraphs=2") for p in e.task.context
    ]
    return engine.gradients(texts, read_start(str(trained))[0]).of


@pytest.mark.parametrize(("format", "gap"), [("float32", 0), ("bfloat16", 4e-3), ("int8", 1e-2)])
def test_what_was_kept_is_found_as_the_format_rounds_it(
    gradients: tuple[Gradient, ...], tmp_path: Path, format: Format, gap: float
) -> None:
    GradientStore(tmp_path, "abc", format).put(gradients)
    store = GradientStore(tmp_path, "abc", format)
    assert len(store) == len(gradients)
    for gradient in gradients:
        found = store.get(gradient.text)
        assert found is not None
        assert (found.loss_nats, found.num_tokens) == (gradient.loss_nats, gradient.num_tokens)
        assert found.tensors.keys() == gradient.tensors.keys()
        for name, tensor in gradient.tensors.items():
            most = tensor.abs().max().item()
            assert (found.tensors[name] - tensor).abs().max().item() <= gap * most
    assert store.get("another passage") is None
    if format != "float32":
        whole = GradientStore(tmp_path / "whole", "abc", "float32")
        whole.put(gradients)
        assert store.num_bytes < (0.55 if format == "bfloat16" else 0.4) * whole.num_bytes


def test_an_episode_looks_up_what_another_took(
    tiny: str, trained: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path))
    (example,) = load_examples("world:split=dev,n=1,paragraphs=3")
    config = RegradConfig(
        model=tiny, checkpoint=str(trained), topk=2, answer_tokens=6, store="float32"
    )
    traces = []
    for _ in range(2):
        with Episode(open_system(config, engine), example) as episode:
            traces.append(episode.run())
    found = [trace.steps[1].measures["gradients_found"] for trace in traces]
    assert found == [0, 2]
    assert traces[0].prediction == traces[1].prediction
    plain = open_system(config.but(store="none"), engine)
    with Episode(plain, example) as episode:
        assert episode.run().prediction == traces[0].prediction


def test_a_torn_shard_is_counted_and_taken_again(
    gradients: tuple[Gradient, ...], tmp_path: Path
) -> None:
    GradientStore(tmp_path, "abc", "float32").put(gradients[:2])
    (shard,) = tmp_path.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-100])
    store = GradientStore(tmp_path, "abc", "float32")
    assert store.get(gradients[0].text) is None
    assert store.num_torn == 1
    store.put(gradients[:1])
    assert store.get(gradients[0].text) is not None


def test_another_starts_gradients_are_refused(tmp_path: Path) -> None:
    GradientStore(tmp_path, "abc", "float32")
    with pytest.raises(ConfigError, match=r"another checkpoint_sha256 .'abc' there, 'xyz' here"):
        GradientStore(tmp_path, "xyz", "float32")
    with pytest.raises(ConfigError, match="another format"):
        GradientStore(tmp_path, "abc", "int8")
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(ConfigError, match=r"index\.json is damaged"):
        GradientStore(tmp_path, "abc", "float32")


def test_several_may_add_at_once(gradients: tuple[Gradient, ...], tmp_path: Path) -> None:
    def add(one: Gradient) -> None:
        GradientStore(tmp_path, "abc", "int8").put([one])

    threads = [threading.Thread(target=add, args=(one,)) for one in gradients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((tmp_path / "index.json").read_text())) == len(gradients)
    assert not list(tmp_path.glob("*.partial"))
