"""A data set's gradients, taken ahead: each passage once, killed and gone on with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.task import Task
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Engine, Gradients
from pmi_kernel.engines.proxy import EngineProxy
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.lora.start import Start
from pmi_kernel.retrieval.index.build import build
from pmi_kernel.retrieval.index.settings import IndexSettings
from pmi_kernel.retrieval.index.store import open_index
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.encoding import (
    Encoded,
    encode,
    estimate,
    index_texts,
    question_texts,
)
from pmi_kernel.systems.regrad.prompts import passage_text
from pmi_kernel.systems.regrad.store import StoredGradients
from pmi_kernel.systems.regrad.system import RegradSystem
from tests.retrieval.corpora import made, write_jsonl

DATA = "world:split=dev,n=3,paragraphs=4"


@pytest.fixture
def config(
    tiny: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RegradConfig:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path / "cache"))
    return RegradConfig(
        model=tiny, checkpoint=str(trained), topk=2, answer_tokens=4, store="float32"
    )


def tasks() -> list[Task]:
    return [example.task for example in load_examples(DATA)]


def encoded(config: RegradConfig, engine: Engine, **settings: Any) -> Encoded:
    system = RegradSystem(config, engine)
    return encode(system, question_texts(system, tasks()), **settings)


def test_each_passage_is_taken_once_and_episodes_find_it(
    config: RegradConfig, engine: Engine
) -> None:
    system = RegradSystem(config, engine)
    found = encode(system, question_texts(system, [*tasks(), *tasks()]), batch=3)
    wanted = {text for task in tasks() for text in system.texts(task)}
    assert (found.num_passages, found.num_taken) == (len(wanted), len(wanted))
    assert found.num_bytes > 0
    again = encoded(config, engine)
    assert (again.num_found, again.num_taken) == (len(wanted), 0)
    with Episode(RegradSystem(config, engine), load_examples(DATA)[0]) as episode:
        trace = episode.run()
    (step,) = [step for step in trace.steps if step.kind == "gradients"]
    assert step.measures["gradients_found"] == 2


def test_batched_and_one_by_one_agree(config: RegradConfig, engine: Engine) -> None:
    system = RegradSystem(config, engine)
    texts = [passage_text(one) for one in tasks()[0].context]
    together = engine.gradients(texts, system.start).of
    for text, one in zip(texts, together, strict=True):
        (alone,) = engine.gradients([text], system.start).of
        for name, tensor in alone.tensors.items():
            gap = (tensor - one.tensors[name]).abs().max().item()
            assert gap <= 1e-5 * max(t.abs().max().item() for t in alone.tensors.values())


def test_all_paragraphs_are_taken_where_asked(config: RegradConfig, engine: Engine) -> None:
    system = RegradSystem(config, engine)
    encode(system, question_texts(system, tasks(), is_all=True))
    assert isinstance(system.engine, StoredGradients)
    assert all(passage_text(one) in system.engine.store for task in tasks() for one in task.context)


def test_what_was_taken_before_a_kill_stays(config: RegradConfig, engine: Engine) -> None:
    def after_one(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoded(config, engine, batch=1, on_passages=after_one)
    after = encoded(config, engine, batch=1)
    assert (after.num_found, after.num_taken) == (1, after.num_passages - 1)


def test_what_was_torn_is_taken_again(config: RegradConfig, engine: Engine) -> None:
    system = RegradSystem(config, engine)
    before = encode(system, question_texts(system, tasks()), batch=2)
    assert isinstance(system.engine, StoredGradients)
    torn, gone, *_ = system.engine.store.folder.glob("*.safetensors")
    torn.write_bytes(torn.read_bytes()[:-100])
    gone.unlink()
    after = encoded(config, engine)
    assert (after.num_found, after.num_taken) == (before.num_passages - 4, 4)


def test_a_passage_without_a_gradient_is_told_and_the_others_are_taken(
    config: RegradConfig, engine: Engine
) -> None:
    class Failing(EngineProxy):
        """One passage's loss is not finite."""

        def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
            if bad in texts:
                raise EngineError("a gradient was not finite")
            return super().gradients(texts, start)

    bad = passage_text(tasks()[0].context[1])
    told: list[str] = []
    system = RegradSystem(config, Failing(engine))
    texts = question_texts(system, tasks()[:1], is_all=True)
    found = encode(system, texts, say=told.append)
    assert (found.num_taken, found.num_failed) == (3, 1)
    assert told == ["a gradient was not finite"]


def test_without_a_store_there_is_nothing_to_encode_into(
    config: RegradConfig, engine: Engine
) -> None:
    with pytest.raises(ConfigError, match="needs a store"):
        encoded(config.but(store="none"), engine)


def test_the_verb_encodes_and_says_what_it_did(
    config: RegradConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["encode", "--data", DATA, "--num_samples", "2", "--topk", "2", "--store", "int8"]
    words += ["--model", config.model, "--checkpoint", config.checkpoint]
    for wanted in ("0 were there, 4 taken", "4 were there, 0 taken"):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
        shown = capsys.readouterr().out
        assert wanted in shown
        assert "MB as int8" in shown


@pytest.fixture
def towns(tmp_path: Path, config: RegradConfig) -> str:
    corpus = write_jsonl(tmp_path / "towns.jsonl", made(7))
    build(IndexSettings(name="towns", min_free_gb=0), [corpus])
    return "towns"


def test_a_whole_index_is_encoded_as_a_search_of_it_finds_passages(
    config: RegradConfig, engine: Engine, towns: str
) -> None:
    found = config.but(retriever="corpus", index=towns, topk=3)
    system = RegradSystem(found, engine)
    told = estimate(system, list(index_texts(open_index(towns)))[:4], 7)
    assert told.seconds_s > 0
    encoded = encode(system, index_texts(open_index(towns)))
    assert (encoded.num_found, encoded.num_taken) == (4, 3)
    assert encoded.num_bytes == pytest.approx(told.num_bytes, rel=0.1)
    again = encode(system, question_texts(system, [Task("1", "Where are bridge and river?")]))
    assert again.num_passages == again.num_found > 0


def test_an_index_whose_gradients_do_not_fit_is_not_begun(
    config: RegradConfig, engine: Engine, towns: str
) -> None:
    system = RegradSystem(config, engine)
    with pytest.raises(ConfigError, match=r"GB as float32, .* are free"):
        estimate(system, list(index_texts(open_index(towns))), 10**15)
    assert isinstance(system.engine, StoredGradients)
    assert len(system.engine.store) == 0


def test_the_verb_says_what_an_index_takes_before_it_starts(
    config: RegradConfig, towns: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["encode", "--corpus", towns, "--model", config.model]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--checkpoint", config.checkpoint])
    assert caught.value.code == 0
    said, *_, last = capsys.readouterr().out.splitlines()
    assert said.startswith("towns: 7 passages; their gradients take ")
    assert "GB as bfloat16, and the missing ones 00:" in said
    assert last.startswith("the store has")


def test_a_store_lies_where_it_is_told_to_and_changes_no_fingerprint(
    config: RegradConfig, engine: Engine, tmp_path: Path
) -> None:
    elsewhere = config.but(store_dir=str(tmp_path / "elsewhere"))
    encoded(elsewhere, engine)
    assert list((tmp_path / "elsewhere").glob("*.safetensors"))
    assert elsewhere.fingerprint() == config.fingerprint() != config.but(topk=3).fingerprint()
    with pytest.raises(ConfigError, match="name a format"):
        RegradConfig(store_dir="there")
