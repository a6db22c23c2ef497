"""What each example of a world with a split is, and how it is made when it is asked for."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data import data_hash, load_examples, load_stream, write_examples
from pmi_kernel.data.worlds import WorldSettings, WorldStream, generate
from pmi_kernel.data.worlds.splits.world import RELATIONS
from tests.data.splits import either, holds, many, matching, paragraph_of, sentences


@given(either)
def test_one_sentence_answers_the_last_supporting_fact(settings: WorldSettings) -> None:
    for example in generate(settings.model_copy(update={"unanswerable": 0.0})):
        (answer,) = example.gold.answers
        told = [
            (p.title, number)
            for p in example.task.context
            for number, sentence in enumerate(p.sentences)
            if holds(sentence, answer)
        ]
        last = example.gold.supporting_facts[-1]
        assert told == [(last.title, last.sentence)]
        assert not any(holds(p.title, answer) for p in example.task.context)
        assert not holds(example.task.question, answer)
        (relation,) = (r for r in RELATIONS if r.name == example.level)
        of_relation = relation.statements.of(settings.wordings)
        said = paragraph_of(example, last.title).sentences
        assert [n for n, s in enumerate(said) if matching([s.strip()], of_relation)] == [
            last.sentence
        ]


def test_an_answer_of_few_is_no_other_fact_of_the_evidence() -> None:
    for example in many("split=train,hops=3,n=1500,paragraphs=3"):
        if example.level in {"instrument", "field", "job"}:
            (answer,) = example.gold.answers
            assert sum(holds(sentence, answer) for sentence in sentences([example])) == 1


@given(either)
def test_each_hop_leads_to_the_next_paragraph(settings: WorldSettings) -> None:
    for example in generate(settings.model_copy(update={"unanswerable": 0.0})):
        facts = example.gold.supporting_facts
        assert len(facts) == settings.hops == len({fact.title for fact in facts})
        assert holds(example.task.question, facts[0].title)
        for before, after in pairwise(facts):
            leading = paragraph_of(example, before.title).sentences[before.sentence]
            assert holds(leading, after.title)
            assert not holds(example.task.question, after.title)
            (relation,) = (
                r
                for r in RELATIONS
                if matching([leading.strip()], r.statements.of(settings.wordings))
            )
            led_to = map(str.strip, paragraph_of(example, after.title).sentences)
            assert not matching(led_to, relation.statements.of(settings.wordings))


@given(either)
def test_paragraphs_have_three_to_six_facts_and_name_their_subject_first(
    settings: WorldSettings,
) -> None:
    for example in generate(settings):
        titles = [paragraph.title for paragraph in example.task.context]
        assert len(titles) == len(set(titles)) == settings.paragraphs
        for paragraph in example.task.context:
            assert 3 <= len(paragraph.sentences) <= 6
            named = [holds(sentence, paragraph.title) for sentence in paragraph.sentences]
            assert all(named) if settings.mentions == "named" else named[0]


def test_paraphrased_paragraphs_mix_names_parts_of_names_descriptions_and_pronouns() -> None:
    examples = many("split=train,n=200,mentions=paraphrased")
    later = [(p.title, s) for e in examples for p in e.task.context for s in p.sentences[1:]]
    num_named = sum(holds(sentence, title) for title, sentence in later)
    assert 0.3 < num_named / len(later) < 0.6
    for mention in ("She", "He", "Her", "her", "It", "Its", "the town", "the book", "the firm"):
        assert any(holds(sentence, mention) for _, sentence in later)


def test_the_order_of_the_facts_varies() -> None:
    last = [e.gold.supporting_facts[-1].sentence for e in many("split=train,n=400")]
    assert {0, 1, 2, 3, 4} <= set(last)
    assert max(map(last.count, set(last))) < 150


@given(either)
def test_a_question_without_an_answer_lacks_the_fact_and_the_answer(
    settings: WorldSettings,
) -> None:
    with_answer = generate(settings.model_copy(update={"unanswerable": 0.0}))
    without = generate(settings.model_copy(update={"unanswerable": 1.0}))
    for one, other in zip(with_answer, without, strict=True):
        assert one.task.question == other.task.question
        assert other.gold.answers == ("unknown",)
        assert other.gold.supporting_facts == ()
        assert (one.type, other.type) == (
            f"{settings.hops}-hop",
            f"{settings.hops}-hop-unanswerable",
        )
        fact = one.gold.supporting_facts[-1]
        texts = [*sentences([other]), *(p.title for p in other.task.context)]
        assert not any(holds(text, one.gold.answers[0]) for text in [*texts, other.task.question])
        assert not any(holds(text, "unknown") for text in texts)
        (relation,) = (r for r in RELATIONS if r.name == one.level)
        for paragraph in other.task.context:
            if paragraph.title == fact.title:
                of_relation = relation.statements.of(settings.wordings)
                assert not matching(map(str.strip, paragraph.sentences), of_relation)


def resembles(paragraph: Paragraph, example: Example, title: str) -> bool:
    """Whether a paragraph tells the fact asked for, of something with a like name."""
    (relation,) = (r for r in RELATIONS if r.name == example.level)
    told = map(str.strip, paragraph.sentences)
    is_like = {
        "person": paragraph.title.split()[-1] == title.split()[-1],
        "company": paragraph.title.split()[0] == title.split()[0],
        "town": paragraph.title[:3] == title[:3],
        "work": bool(set(paragraph.title.split()) & set(title.split()) - {"The", "of", "and"}),
    }[relation.subject]
    return is_like and bool(matching(told, relation.statements.trained))


def test_half_of_the_unanswerable_lack_the_fact_and_half_the_subject() -> None:
    with_answer = many("split=train,n=400,paragraphs=1")
    without = many("split=train,n=400,paragraphs=1,unanswerable=1")
    num_lack_fact = 0
    for one, other in zip(with_answer, without, strict=True):
        (paragraph,), title = other.task.context, one.task.context[0].title
        if paragraph.title == title:
            num_lack_fact += 1
        else:
            assert resembles(paragraph, one, title)
    assert 160 < num_lack_fact < 240


def test_distractors_resemble_the_evidence_first() -> None:
    for example in many("split=train,n=200,paragraphs=2"):
        title = example.gold.supporting_facts[0].title
        (other,) = (p for p in example.task.context if p.title != title)
        assert resembles(other, example, title)


def test_a_greater_share_is_unanswerable_where_a_smaller_one_is_and_the_rest_is_as_it_was() -> None:
    def which(examples: Iterable[Example]) -> set[int]:
        return {n for n, e in enumerate(examples) if e.type.endswith("-unanswerable")}

    none, some, more = (
        many(f"split=dev,n=500,paragraphs=3,unanswerable={share}") for share in (0, 0.2, 0.6)
    )
    assert which(none) == set()
    assert which(some) < which(more)
    assert 60 < len(which(some)) < 140
    assert 250 < len(which(more)) < 350
    for number, (one, other) in enumerate(zip(none, more, strict=True)):
        if number not in which(more):
            assert (one.task.context, one.gold) == (other.task.context, other.gold)
    other_seed = many("split=dev,n=500,paragraphs=3,unanswerable=0.2,seed=1")
    assert which(other_seed) != which(some)


def test_what_is_asked_hardly_repeats() -> None:
    stream = load_stream("world:split=train,n=3000,paragraphs=1")
    examples = list(stream)
    assert len({e.task.question for e in examples}) >= 2_995
    closed = {r.name for r in RELATIONS if not r.is_named}
    answers = [e.gold.answers[0] for e in examples if e.level not in closed]
    assert len(set(answers)) > 0.99 * len(answers)


@given(either, st.data())
def test_a_stream_gives_any_number_as_it_is_generated(
    settings: WorldSettings, data: st.DataObject
) -> None:
    examples, stream = generate(settings), load_stream(settings.source)
    number = data.draw(st.integers(-len(examples), len(examples) - 1))
    assert stream[number] == examples[number]
    assert len(stream) == len(examples)
    assert list(stream) == examples == load_examples(settings.source)
    cut = slice(data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9)))
    assert list(stream[cut]) == examples[cut]
    assert isinstance(stream, WorldStream)
    assert list(stream.questions()) == [(e.task.id, e.task.question) for e in examples]
    with pytest.raises(IndexError):
        stream[len(examples)]


def test_any_source_is_a_stream_and_worlds_of_any_size_at_once() -> None:
    assert list(load_stream("sample")) == load_examples("sample")
    plain = load_stream("world:hops=2,n=7")
    assert list(plain) == load_examples("world:hops=2,n=7")
    assert isinstance(plain, WorldStream)
    assert list(plain.questions()) == [(e.task.id, e.task.question) for e in plain]
    stream = load_stream("world:split=train,n=10000000")
    assert len(stream) == 10_000_000
    assert stream[9_999_999].task.id == "world-train-h1-p10-s0-9999999"
    assert len(stream[::-2]) == 5_000_000


def test_what_is_made_at_once_is_bounded() -> None:
    for use in (load_examples, data_hash):
        with pytest.raises(DataError, match=r"n=100001 is more than the 100000 .*; allowed are"):
            use("world:n=100001")
    with pytest.raises(DataError, match="n=10000001: "):
        load_stream("world:n=10000001")


@given(either, st.integers(1, 3))
def test_fewer_are_the_first_of_more(settings: WorldSettings, k: int) -> None:
    few = settings.model_copy(update={"n": min(k, settings.n)})
    assert generate(few) == generate(settings)[: few.n]


@given(either)
def test_more_paragraphs_leave_question_gold_and_paragraphs_as_they_are(
    settings: WorldSettings,
) -> None:
    more = settings.model_copy(update={"paragraphs": settings.paragraphs + 5})
    for small, large in zip(generate(settings), generate(more), strict=True):
        assert (small.task.question, small.gold) == (large.task.question, large.gold)
        assert set(small.task.context) < set(large.task.context)


def test_a_split_is_read_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("splits") / "made.jsonl"
    examples = load_examples("world:split=dev,n=20,unanswerable=0.5,wordings=held_out")
    write_examples(examples, path)
    assert load_examples(path) == examples
