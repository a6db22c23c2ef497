"""The hierarchy as a whole: what is told is found again, and each decision acts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.systems.hmst import BaseMoEModel, HMSTInferenceEngine, SemanticMemory
from pmi_kernel.systems.hmst.config import Asking
from pmi_kernel.systems.hmst.engine import UNKNOWN
from pmi_kernel.systems.hmst.model.hierarchy import Hierarchy, HierarchyShape, load, make
from pmi_kernel.systems.hmst.model.sizes import HMSTConfig
from pmi_kernel.training.bpe import train_tokenizer

TOLD = (
    "Ada Brook played the oboe.",
    "Cole Dunn lives in Tonborg.",
    "The head office of Buttova Traders is in Nautburg.",
)
QUESTION = "What did Ada Brook play?"
SHAPE = HierarchyShape("micro", state=16, dimension=32, entries=(0, 1, 2))


def made(seed: int = 0) -> Hierarchy:
    torch.manual_seed(seed)
    tokenizer = train_tokenizer([*TOLD, QUESTION], 400)
    size = HMSTConfig(32, 4, 4, 2, 48, vocab_size=400, max_position_embeddings=256)
    return Hierarchy(SHAPE, BaseMoEModel(size), tokenizer).eval()


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    return made()


@pytest.fixture
def engine(hierarchy: Hierarchy) -> Iterator[HMSTInferenceEngine]:
    engine = HMSTInferenceEngine(hierarchy, config=Asking(decide="always", max_new_tokens=4))
    for text in TOLD:
        engine.tell(text)
    yield engine
    engine.close()


def forced(**changes: Any) -> dict[str, Any]:
    return {"verify": False, **changes}


def test_what_was_told_is_read_with_the_question(engine: HMSTInferenceEngine) -> None:
    first = engine.ask(QUESTION, forced(num_entries=0)).attempts[0]
    assert {one.tier for one in first.fetched} == {"episodic"}
    assert all(f"- {one.text}\n" in first.prompt for one in first.fetched)
    assert first.prompt.endswith(f"question: {QUESTION}\nanswer:")
    assert first.memory_calls == 1
    engine.consolidator.consolidate()
    assert len(engine.episodic) == 0
    assert len(engine.semantic) == 3
    after = engine.ask(QUESTION, forced()).attempts[0]
    assert [one.tier for one in after.fetched] == ["semantic", "semantic"]
    assert after.memory_calls == 2
    nothing = engine.ask(QUESTION, forced(episodic=False, num_entries=0)).attempts[0]
    assert nothing.fetched == ()
    assert nothing.memory_calls == 0


def test_each_decision_costs_what_it_does(engine: HMSTInferenceEngine) -> None:
    whole = engine.ask(QUESTION, forced())
    shallow = engine.ask(QUESTION, forced(num_layers=2))
    assert shallow.attempts[0].flops < 0.7 * whole.attempts[0].flops
    less = engine.ask(QUESTION, forced(episodic=False, num_entries=0))
    assert less.attempts[0].flops < whole.attempts[0].flops
    checked = engine.ask(QUESTION, {"verify": True})
    assert checked.attempts[0].flops > whole.attempts[0].flops
    assert checked.attempts[0].probability is not None
    assert whole.attempts[0].probability is None


def test_closed_experts_are_not_run_for_an_answer(engine: HMSTInferenceEngine) -> None:
    how = forced(experts=(3, 6), num_entries=0, episodic=False, num_layers=3)
    [attempt] = engine.ask(QUESTION, how).attempts
    *run, left_out = attempt.experts
    assert sum(left_out) == 0
    for block in run:
        assert {number for number, count in enumerate(block) if count} <= {3, 6}
        assert sum(block) == 2 * (len(engine.hierarchy.ids([attempt.prompt])[0]) + 3)


@pytest.mark.parametrize(
    ("after_no", "attempts", "is_unknown"),
    [("unknown", 1, True), ("keep", 1, False), ("retry", 2, True)],
)
def test_what_the_critic_refuses(after_no: str, attempts: int, *, is_unknown: bool) -> None:
    hierarchy = made()
    with torch.no_grad():
        hierarchy.critic.logical.bias.fill_(-30.0)
    config = Asking(decide="always", max_new_tokens=4).but(after_no=after_no)
    engine = HMSTInferenceEngine(hierarchy, config=config)
    found = engine.ask(QUESTION)
    assert len(found.attempts) == attempts
    assert (found.text == UNKNOWN) is is_unknown
    assert found.attempts[0].probability == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        hierarchy.critic.logical.bias.fill_(30.0)
        hierarchy.critic.factual.bias.fill_(30.0)
    content = engine.ask(QUESTION)
    assert len(content.attempts) == 1
    assert content.text == content.attempts[0].text
    engine.close()


def test_who_decides(hierarchy: Hierarchy) -> None:
    found = {}
    for decide in ("controller", "always", "never"):
        engine = HMSTInferenceEngine(hierarchy, config=Asking(decide=decide, max_new_tokens=2))
        engine.tell(TOLD[0])
        found[decide] = engine.ask(QUESTION).decisions
        engine.close()
    assert found["always"].episodic
    assert found["always"].num_entries == 2
    assert not found["never"].episodic
    assert found["never"].num_entries == 0
    assert not found["never"].verify
    assert set(found["controller"].chances) == {
        "layers",
        "entries",
        "episodic",
        "verify",
        "experts",
    }


def test_engines_do_not_know_each_other(hierarchy: Hierarchy) -> None:
    one, other = (HMSTInferenceEngine(hierarchy, config=Asking(decide="always")) for _ in range(2))
    one.tell(TOLD[0])
    assert len(other.episodic) == 0
    assert other.ask(QUESTION, forced()).attempts[0].fetched == ()
    one.close()
    other.close()


def test_a_store_that_is_given_is_used_though_it_is_empty(hierarchy: Hierarchy) -> None:
    with SemanticMemory(SHAPE.dimension) as semantic:
        engine = HMSTInferenceEngine(hierarchy, semantic)
        engine.tell(TOLD[0])
        engine.consolidator.consolidate()
        assert len(semantic) == 1


def test_the_log_sums_up(engine: HMSTInferenceEngine) -> None:
    engine.ask(QUESTION, forced())
    engine.ask(QUESTION, forced(episodic=False, num_layers=2))
    costs = engine.costs
    assert (costs.told, costs.asked, costs.memory_calls) == (3, 2, 3)
    assert costs.decided["episodic"] == 1
    assert costs.decided["early_exit"] == 1
    assert costs.flops > 0 < costs.seconds_s


def test_the_unexpected_is_important(engine: HMSTInferenceEngine) -> None:
    weights = {one.text: one.importance for one, _ in engine.episodic.weighed()}
    assert all(value > 0 for value in weights.values())
    engine.tell("said on purpose", importance=99.0)
    assert engine.episodic.weighed()[0][0].text == "said on purpose"


@pytest.mark.parametrize("text", ["", "word " * 400])
def test_what_cannot_be_read_is_refused(engine: HMSTInferenceEngine, text: str) -> None:
    with pytest.raises(EngineError, match=r"empty|takes 256"):
        engine.tell(text)
    with pytest.raises(EngineError, match=r"empty|takes 256"):
        engine.ask(text)
    assert len(engine.episodic) == 3


def test_what_does_not_fit_beside_the_question_is_left_out(engine: HMSTInferenceEngine) -> None:
    engine.tell("Ada Brook " * 60)
    engine.tell("Cole Dunn " * 60)
    [attempt] = engine.ask(QUESTION, forced(num_entries=0)).attempts
    assert attempt.left_out == 2 - len(attempt.fetched)
    assert len(engine.hierarchy.ids([attempt.prompt])[0]) <= 256 - 4


# -- what is saved --------------------------------------------------------------------------------


def small_checkpoint(folder: Path) -> Hierarchy:
    whole = make(HierarchyShape("micro", state=16, dimension=32), [*TOLD, QUESTION]).eval()
    folder.mkdir()
    whole.save(folder)
    return whole


def test_a_checkpoint_is_the_same_again(tmp_path: Path) -> None:
    whole = small_checkpoint(tmp_path / "a")
    again = load(tmp_path / "a")
    with torch.inference_mode():
        one, other = whole.encode(TOLD), again.encode(TOLD)
        assert torch.equal(one.hidden, other.hidden)
        assert torch.equal(whole.summarised(one), again.summarised(other))
        assert torch.equal(whole.entries(one), again.entries(other))


def test_an_upcycled_one_keeps_what_it_learned(tmp_path: Path) -> None:
    shape = HierarchyShape("upcycled:smollm2-135m", rank=4)
    whole = make(shape).eval()
    block = whole.base.lm.model.layers[3].mlp
    torch.nn.init.normal_(block.b["down"], std=0.1)
    tmp_path.joinpath("a").mkdir()
    whole.save(tmp_path / "a")
    size = sum(path.stat().st_size for path in (tmp_path / "a").glob("*.safetensors"))
    assert size < 4 * 25e6
    again = load(tmp_path / "a")
    with torch.inference_mode():
        assert torch.equal(whole.encode(TOLD).hidden, again.encode(TOLD).hidden)


@pytest.mark.parametrize("harm", ["weights", "shape", "gone"])
def test_a_torn_checkpoint_is_refused(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "a"
    small_checkpoint(folder)
    match harm:
        case "weights":
            path = folder / "weights.safetensors"
            path.write_bytes(path.read_bytes()[:1_000])
        case "shape":
            (folder / "hierarchy.json").write_text("{}")
        case "gone":
            (folder / "tokenizer/tokenizer.json").unlink()
            (folder / "tokenizer/tokenizer_config.json").unlink()
    with pytest.raises(ConfigError):
        load(folder)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no text to train"):
        make(HierarchyShape("micro"))
    with pytest.raises(ConfigError, match="expected micro"):
        make(HierarchyShape("gigantic"), TOLD)
    with pytest.raises(ConfigError, match="has a tokenizer"):
        make(HierarchyShape("upcycled:smollm2-135m"), tokenizer_path="smollm2-135m")
    train_tokenizer([chr(0x4E00 + n) * 2 for n in range(9_000)], 9_000).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="takes 8192"):
        make(HierarchyShape("micro"), tokenizer_path=str(tmp_path))
