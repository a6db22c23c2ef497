"""The model: what is read, where the latents look, and what the decoder sees of them."""

import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file, save_file

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data import load_examples
from pmi_kernel.systems.latent_t5.batches import named, padded, tokens, trimmed
from pmi_kernel.systems.latent_t5.building import Built, Limits, build, load
from pmi_kernel.systems.latent_t5.model import (
    Encoded,
    LatentT5,
    Read,
    Shape,
    coverage_loss,
    support_loss,
    support_mass,
)
from pmi_kernel.systems.latent_t5.reading import read_context
from pmi_kernel.training.bpe import train_tokenizer
from tests.systems.latent_t5.conftest import encoder_of_bert_kind

TEXTS = ["Ada Brook lives in Tonborg.", "Where does Ada Brook live?", "Cole Dunn plays the oboe."]
CONTEXT = (
    Paragraph("Ada", ("Ada was born in 1815.", " She wrote  notes.")),
    Paragraph("", ("A line without a title.",)),
)
CPU = torch.device("cpu")


def built(*, is_asked: bool, gate: float = 1.0) -> Built:
    shape = Shape(num_latents=4, num_heads=4, dropout=0.0, is_asked=is_asked, init_gate=gate)
    made = build("tiny", Limits(16, 64, 8), TEXTS, seed=0, encoder="t5", shape=shape)
    made.model.eval()
    return made


@pytest.fixture(scope="module", params=[False, True], ids=["blind", "asked"])
def made(request: pytest.FixtureRequest) -> Built:
    return built(is_asked=request.param)


def asked(made: Built, *questions: str) -> tuple[torch.Tensor, torch.Tensor]:
    rows, _ = tokens(made.tokenizer, questions, 16)
    return padded(rows, 0, CPU)


def read(made: Built, *texts: str, places: tuple[int, ...] = (0,)) -> Read:
    assert isinstance(made.model, LatentT5)
    found = [read_context(made.tokenizer, [Paragraph("", (text,))], 64).ids for text in texts]
    states = made.model.read(*padded(found, 0, CPU))
    return Read(states.states, states.mask, places)


def encode(made: Built, question: str, text: str | None, **how: float | int | None) -> Encoded:
    assert isinstance(made.model, LatentT5)
    given = None if text is None else read(made, text)
    with torch.no_grad():
        return made.model.encode(*asked(made, question), given, **how)  # type: ignore[arg-type]


def test_support_is_told_token_by_token_and_the_pieces_are_the_lines() -> None:
    tokenizer = train_tokenizer(TEXTS, 2_560, is_ended=True)
    context = read_context(tokenizer, CONTEXT, 1_000)
    assert "".join(context.pieces) == (
        "Ada: Ada was born in 1815.Ada: She wrote notes.A line without a title."
    )
    support = context.support({(0, 1)})
    told = [piece for piece, is_support in zip(context.pieces, support, strict=True) if is_support]
    assert "".join(told) == "Ada: She wrote notes."
    assert len(support) == len(context.ids) == len(context.places)
    assert tokenizer.eos_token_id not in context.ids


def test_what_does_not_fit_is_cut_off_and_counted() -> None:
    tokenizer = train_tokenizer(TEXTS, 2_560, is_ended=True)
    whole, part = (read_context(tokenizer, CONTEXT, most) for most in (1_000, 7))
    assert (len(part.ids), part.cut_tokens) == (7, len(whole.ids) - 7)
    assert whole.cut_tokens == 0
    rows, cut = tokens(tokenizer, ["Ada Brook lives in Tonborg"], 4)
    assert len(rows[0]) == 4
    assert rows[0][-1] == tokenizer.eos_token_id
    assert cut > 0


def test_a_name_is_the_same_tokens_wherever_it_stands_and_digits_stand_alone() -> None:
    tokenizer = train_tokenizer(TEXTS, 2_560, is_ended=True)
    name, line = tokenizer("Tonborg")["input_ids"][:-1], tokenizer("to Tonborg")["input_ids"]
    assert line[-1 - len(name) : -1] == name
    assert [tokenizer.decode([one]) for one in tokenizer("1815")["input_ids"][-5:-1]] == list(
        "1815"
    )


def test_the_attention_of_each_latent_is_a_distribution_over_the_context(made: Built) -> None:
    long, short = "Ada Brook lives in Tonborg.", "Ada"
    assert isinstance(made.model, LatentT5)
    with torch.no_grad():
        given = read(made, long, short, places=(1, 0, 1))
        found = made.model.encode(*asked(made, "Where?", "Who is it?", "Where?"), given)
    weights = found.weights
    assert weights is not None
    assert weights.shape == (3, 4, given.mask.shape[1])
    assert torch.allclose(weights.sum(-1), torch.ones(3, 4), atol=1e-5)
    assert float((weights * ~given.mask[[1, 0, 1]].unsqueeze(1)).abs().max()) == 0
    assert torch.equal(weights[0], weights[2])


def test_a_question_answered_in_a_batch_sees_what_it_sees_alone(made: Built) -> None:
    assert isinstance(made.model, LatentT5)
    texts = ("Ada Brook lives in Tonborg.", "Cole Dunn plays the oboe.")
    with torch.no_grad():
        both = made.model.encode(*asked(made, "Where?", "What?"), read(made, *texts, places=(0, 1)))
    for at, (question, text) in enumerate(zip(("Where?", "What?"), texts, strict=True)):
        alone = encode(made, question, text)
        assert torch.allclose(both.states[at, -4:], alone.states[0, -4:], atol=1e-4)


def test_only_asked_latents_depend_on_the_question() -> None:
    for is_asked in (False, True):
        made = built(is_asked=is_asked)
        one, other = (encode(made, question, TEXTS[0]) for question in ("Where?", "Who plays?"))
        assert torch.equal(one.states[:, -4:], other.states[:, -4:]) is not is_asked


def test_with_the_gate_closed_nothing_of_the_context_is_seen(made: Built) -> None:
    none = encode(made, "Where?", None)
    for text in TEXTS:
        closed = encode(made, "Where?", text, gate=0.0)
        assert torch.equal(closed.states, none.states)
        assert torch.equal(closed.mask, none.mask)
    assert not torch.equal(encode(made, "Where?", TEXTS[0]).states, none.states)


def test_the_gate_begins_closed_and_what_is_learned_opens_it() -> None:
    made = built(is_asked=False, gate=Shape().init_gate)
    assert isinstance(made.model, LatentT5)
    assert made.model.gate == 0
    found = made.model.encode(*asked(made, "Where?"), read(made, TEXTS[0]))
    labels = torch.tensor([[5, 1]])
    made.model.decode(found, labels).logsumexp(-1).sum().backward()
    gradient = made.model.latent_gate.grad
    assert gradient is not None
    assert float(gradient) != 0


def test_fewer_latents_are_the_first_ones(made: Built) -> None:
    whole, few = encode(made, "Where?", TEXTS[0]), encode(made, "Where?", TEXTS[0], num_used=2)
    assert torch.allclose(few.states, whole.states[:, : few.states.shape[1]], atol=1e-5)
    assert few.mask.shape[1] == whole.mask.shape[1] - 2


def test_what_is_generated_is_likeliest_under_the_states_that_are_trained(made: Built) -> None:
    encoded = encode(made, "Where does Ada Brook live?", TEXTS[0])
    ids = made.model.generate(encoded, 6)[:, 1:]
    with torch.no_grad():
        likeliest = made.model.decode(encoded, ids).argmax(-1)
    assert torch.equal(likeliest, ids)


def test_the_support_loss_is_minus_log_of_the_mass_and_always_a_number() -> None:
    weights = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.9, 0.0]]])
    support = torch.tensor([[True, False, False]])
    assert float(support_mass(weights, support)) == pytest.approx(0.3)
    assert float(support_loss(weights, support)) == pytest.approx(-math.log(0.3))
    nowhere = torch.tensor([[[0.0, 1.0, 0.0]] * 2], requires_grad=True)
    loss = support_loss(nowhere, support)
    loss.backward()
    assert loss.item() == pytest.approx(13.8, abs=0.1)
    assert nowhere.grad is not None
    assert torch.isfinite(nowhere.grad).all()
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    assert float(support_loss(weights, nothing)) == 0
    both = support_loss(weights.expand(2, -1, -1), torch.cat([support, nothing]))
    assert float(both) == pytest.approx(-math.log(0.3))


def test_the_coverage_loss_wants_all_of_the_support_and_nothing_else() -> None:
    support = torch.tensor([[True, True, False, False], [False] * 4])
    even = torch.tensor([[[0.5, 0.5, 0.0, 0.0]], [[1.0, 0.0, 0.0, 0.0]]])
    apart = torch.tensor(
        [[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]], even[1].expand(2, 4).tolist()]
    )
    assert coverage_loss(even, support).item() == pytest.approx(0.0, abs=1e-6)
    assert coverage_loss(apart, support).item() == pytest.approx(0.0, abs=1e-6)
    half = torch.tensor([[[0.25, 0.25, 0.25, 0.25]], [[0.25] * 4]])
    assert coverage_loss(half, support).item() == pytest.approx(math.log(2), abs=1e-6)
    one = torch.tensor([[[1.0, 0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0, 0.0]]])
    assert coverage_loss(one, support).item() > 3
    assert coverage_loss(one, torch.zeros_like(support)).item() == 0


def test_a_small_model_hears_what_is_near_from_the_start() -> None:
    made = built(is_asked=True)
    word, other = "Ada Brook lives in Tonborg", "Cole Dunn"
    near, far = (f"{other} {word}", f"{other} {'and so on ' * 20} {word}")
    with torch.no_grad():
        alone, beside, away = (
            made.model.t5.encoder(input_ids=ids).last_hidden_state[0, -3]
            for ids in (
                torch.tensor(made.tokenizer([text])["input_ids"]) for text in (word, near, far)
            )
        )
        name = made.model.t5.shared.weight[made.tokenizer(other)["input_ids"][0]]
    likeness = [torch.cosine_similarity(one, name, dim=0).item() for one in (alone, beside, away)]
    assert likeness[1] > max(likeness[0], likeness[2]) + 0.02


def test_a_trimmed_context_keeps_what_supports() -> None:
    for example in load_examples("world:split=dev,n=4,paragraphs=5,hops=2"):
        for most in (1, 2, 3, 5):
            kept = trimmed(example, most)
            assert len(kept) == max(2, most)
            assert example.gold.passages <= {one.title for one in kept}
            assert [one for one in example.task.context if one in kept] == list(kept)
        assert trimmed(example, None) == example.task.context


def test_a_named_paragraph_stands_among_others_of_like_names() -> None:
    sizes = set[int]()
    for number, example in enumerate(load_examples("world:split=train,n=12,paragraphs=10")):
        found = named(example, Random(number))
        assert found is not None
        wanted, context = found
        sizes.add(len(context))
        assert len({one.title for one in context}) == len(context)
        assert wanted in context
        whole = {one.title: one.text for one in example.task.context}
        assert all("".join(one.sentences).strip() in whole[one.title] for one in context)
        assert all(1 <= len(one.sentences) <= 2 for one in context)
    assert sizes == {1, 2, 3}
    none = replace(example, task=replace(example.task, context=()))
    assert named(none, Random(0)) is None


def test_a_trimmed_context_is_a_confusing_one() -> None:
    [example] = load_examples("world:split=dev,n=1,paragraphs=10")
    root = example.task.question.removesuffix("?").split()[-1]
    kept = trimmed(example, 3)
    assert all(root in paragraph.title for paragraph in kept)
    assert not all(root in paragraph.title for paragraph in example.task.context)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path, made: Built) -> None:
    made.save(tmp_path)
    again = load(tmp_path)
    one, other = (encode(of, "Where?", TEXTS[0]).states for of in (made, again))
    assert torch.equal(one, other)
    assert again.limits == made.limits
    assert again.names == made.names
    assert isinstance(again.model, LatentT5)
    assert again.model.encoder is again.model.t5.encoder


def test_other_encoders_have_a_limit_and_a_tokenizer_of_their_own(tmp_path: Path) -> None:
    name = encoder_of_bert_kind(tmp_path / "encoder", TEXTS)
    shape = Shape(num_latents=4, num_heads=2)
    made = build("tiny", Limits(16, 768, 8), TEXTS, seed=0, encoder=name, shape=shape)
    assert made.limits.context == 40
    assert made.encoder_tokenizer is not made.tokenizer
    made.save(tmp_path)
    assert load(tmp_path).limits.context == 40
    with pytest.raises(ConfigError, match="num_latent_heads 5 does not divide"):
        build("tiny", Limits(16, 768, 8), TEXTS, seed=0, encoder=name, shape=Shape(num_heads=5))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"t5": "/nowhere/t5"}, "/nowhere/t5"),
        ({"t5": "tiny", "encoder": "/nowhere/bert"}, "/nowhere/bert"),
    ],
)
def test_a_model_that_is_not_there_is_named(names: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build(**names, limits=Limits(8, 8, 8), texts=TEXTS, seed=0, shape=Shape(num_heads=4))  # type: ignore[arg-type]


def test_a_question_without_a_context_can_be_read(made: Built, sample: list[Example]) -> None:
    assert read_context(made.tokenizer, (), 8).ids == ()
    assert read_context(made.tokenizer, sample[0].task.context, 8).ids


def test_only_a_t5_whose_weights_are_all_there_is_taken(tmp_path: Path) -> None:
    shape, limits = Shape(num_latents=4, num_heads=4), Limits(16, 64, 8)
    other = encoder_of_bert_kind(tmp_path / "other", TEXTS)
    with pytest.raises(ConfigError, match="of kind distilbert, not a T5"):
        build(other, limits, TEXTS, seed=0, encoder="t5", shape=shape)
    made = built(is_asked=False)
    folder = tmp_path / "t5"
    made.model.t5.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    again = build(str(folder), limits, TEXTS, seed=1, encoder="t5", shape=shape)
    assert torch.equal(again.model.t5.shared.weight, made.model.t5.shared.weight)
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.final_layer_norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks decoder\.final_layer_norm\.weight"):
        build(str(folder), limits, TEXTS, seed=1, encoder="t5", shape=shape)
