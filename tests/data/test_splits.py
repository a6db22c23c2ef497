"""What the splits of worlds never share, and what training never sees."""

import re
from itertools import chain

import pytest
from hypothesis import given

from pmi_kernel.core.errors import DataError
from pmi_kernel.data import data_hash, load_examples, load_stream, resolve_source
from pmi_kernel.data.worlds import WorldSettings, WorldStream, generate
from pmi_kernel.data.worlds.splits.grammar import with_article
from pmi_kernel.data.worlds.splits.lists import LISTS
from pmi_kernel.data.worlds.splits.names import names_of
from pmi_kernel.data.worlds.splits.relations import Relation
from pmi_kernel.data.worlds.splits.world import RELATIONS
from tests.data.splits import (
    PARTS,
    all_of,
    many,
    matching,
    names,
    pattern,
    sentences,
    settings,
    wordings,
)

OF_TODAY = {
    "world:": "21784572dfb486ffdbf5e65d628d762878be735a9f1eeca6a644b27c753e99f9",
    "world:hops=2,n=40,seed=3,mentions=paraphrased": (
        "4ae0da56aca3370f8e33ceed24e539939f6726c52c90e5313ae9b77f5df4bce6"
    ),
    "world:hops=3,n=40,seed=5,paragraphs=20": (
        "f158b4e3200d10bb08948cb63f739cb25dd326823aecf2965aa5b46473d17786"
    ),
    "world:hops=4,n=40,mentions=paraphrased,paragraphs=6": (
        "6a5ef1a82db7aa84a7d678e6d73650b74528ffaefcded4ce0d81f1d96c917c36"
    ),
    "world:kind=conflicts,n=60,mentions=paraphrased": (
        "c20135b707437e997fa812e1a93a4a11483c7276a97c60fc3588c78c78646d64"
    ),
    "world:kind=updates,n=60,seed=2": (
        "59dadfbb9d41c7f2496b425fb6a1a1a78b8fdb14c085ebfa0677ff6f0e399072"
    ),
}


@pytest.mark.parametrize("source", OF_TODAY)
def test_what_has_no_split_is_what_it_was_before_there_were_splits(source: str) -> None:
    assert data_hash(source) == OF_TODAY[source] == data_hash(f"{source},split=")
    assert "split" not in resolve_source(source)


@pytest.mark.parametrize(
    ("source", "sha256"),
    [
        (
            "world:split=train,n=50,mentions=paraphrased,unanswerable=0.2",
            "4ddb9d2515e0fdae0448d053bb3618e5af7d810bbf4ddb0b6e74d70bdcd59c36",
        ),
        (
            "world:split=dev,n=50,hops=3,seed=4,wordings=held_out,relations=held_out",
            "a437cb4b81ea9193517e8d294f00d6b9b0e35454b6fb72f2a245d6d965420ab7",
        ),
    ],
)
def test_a_split_is_the_same_on_any_machine(source: str, sha256: str) -> None:
    assert data_hash(source) == sha256 == data_hash(resolve_source(source))


def test_the_splits_share_no_name() -> None:
    train, dev = names(all_of("train")), names(all_of("dev"))
    assert len(train) > 3_000
    assert len(dev) > 3_000
    assert not train & dev
    assert not {name[:3].lower() for name in train} & {name[:3].lower() for name in dev}


@given(settings("train"), settings("dev"))
def test_the_splits_share_no_name_sentence_question_or_id(
    train: WorldSettings, dev: WorldSettings
) -> None:
    ours, theirs = generate(train), generate(dev)
    assert not names(ours) & names(theirs)
    assert not set(sentences(ours)) & set(sentences(theirs))
    assert not {e.task.question for e in ours} & {e.task.question for e in theirs}
    assert not {e.task.id for e in ours} & {e.task.id for e in theirs}


def test_the_splits_share_no_sentence_and_no_question() -> None:
    train, dev = set(sentences(all_of("train"))), set(sentences(all_of("dev")))
    assert len(train) > 5_000
    assert not train & dev
    assert not {e.task.question for e in all_of("train")} & {e.task.question for e in all_of("dev")}


def asked(source: str) -> set[str]:
    """A few thousand questions of one hop."""
    stream = load_stream(f"world:n=2500,{source}")
    assert isinstance(stream, WorldStream)
    return {question for _, question in stream.questions()}


def test_training_tells_nothing_in_held_out_words_and_nothing_of_held_out_relations() -> None:
    for texts, of in (
        (set(sentences(all_of("train"))), "statements"),
        (asked("split=train"), "questions"),
    ):
        assert not matching(texts, wordings("held_out", of=of))
        assert not matching(texts, wordings("trained", of=of, is_held_out=True))
        trained = wordings("trained", of=of, is_held_out=False)
        assert matching(texts, trained) == set(trained)
    held_out = {relation.name for relation in RELATIONS if relation.is_held_out}
    assert not held_out & {example.level for example in all_of("train")}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("relations", PARTS)
def test_dev_tells_and_asks_in_the_words_and_of_the_relations_that_are_set(
    part: str, relations: str
) -> None:
    source = f"split=dev,wordings={part},relations={relations}"
    examples = many(f"{source},n=150,paragraphs=6")
    other = PARTS[1 - PARTS.index(part)]
    is_held_out = relations == "held_out"
    for texts, of in (
        (set(sentences(examples)), "statements"),
        (asked(source), "questions"),
    ):
        assert not matching(texts, wordings(other, of=of))
        own = wordings(part, of=of, is_held_out=is_held_out)
        assert matching(texts, own) == set(own)
        if not is_held_out:
            assert not matching(texts, wordings(part, of=of, is_held_out=True))
    assert {e.level for e in examples} == {
        relation.name for relation in RELATIONS if relation.is_held_out == is_held_out
    }


def test_other_words_ask_for_the_same_facts() -> None:
    trained, held_out = (many(f"split=dev,n=50,hops=2,wordings={part}") for part in PARTS)
    for one, other in zip(trained, held_out, strict=True):
        assert one.gold.answers == other.gold.answers
        assert {p.title for p in one.task.context} == {p.title for p in other.task.context}
        assert one.task.question != other.task.question


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_a_relation_has_enough_wordings_each_said_of_its_subject(relation: Relation) -> None:
    for said in (relation.statements, relation.questions):
        assert len(said.trained) >= 4
        assert len(said.held_out) >= 2
        assert len({*said.trained, *said.held_out}) >= 6
    for statement in (*relation.statements.trained, *relation.statements.held_out):
        assert len(re.findall(r"\{(?:value|a)\}", statement)) == 1
        assert re.search(r"\{(?:It|it|him|Its|its)\}", statement)
        assert re.fullmatch(r"[A-Z{].*\.", statement)
        assert not statement.startswith(("{it", "{him"))
        assert relation.is_named or not statement.startswith("{value}")
    for part in (relation.questions.trained, relation.questions.held_out):
        assert any("{its}" not in question for question in part)
        assert all(re.fullmatch(r"[A-Z].*\?", question) for question in part)


def test_each_kind_of_entity_has_relations_in_training_and_held_out() -> None:
    for kind in ("person", "town", "work", "company"):
        held_out = [r.is_held_out for r in RELATIONS if r.subject == kind]
        assert held_out.count(True) >= 1
        assert held_out.count(False) >= 7
    assert sum(relation.is_held_out for relation in RELATIONS) >= 4


@pytest.mark.parametrize("name", LISTS)
def test_a_closed_list_is_long_enough_and_dev_has_words_of_its_own(name: str) -> None:
    train, dev = (names_of(split).lists[name] for split in ("train", "dev"))
    assert len(set(LISTS[name])) == len(LISTS[name]) == len(dev)
    assert len(train) >= 60
    assert set(train) < set(dev)
    assert len(dev) - len(train) >= 20


def test_no_wording_could_be_taken_for_one_of_another_relation_or_part() -> None:
    said = [
        (of, relation.name, part, wording)
        for of in ("statements", "questions")
        for relation in RELATIONS
        for part in PARTS
        for wording in getattr(relation, of).of(part)
    ]
    for of, *whose, wording in said:
        text = re.sub(r"\{\w+\}", "Xx", wording)
        for other_of, *other, other_wording in said:
            if of == other_of and whose != other:
                assert not pattern(other_wording).fullmatch(text), (wording, other_wording)


def test_no_wording_has_a_closed_answer_in_it() -> None:
    wordings_ = [
        w for part in PARTS for of in ("statements", "questions") for w in wordings(part, of=of)
    ]
    words = f" {re.sub(r'[^a-z]+', ' ', ' '.join(wordings_).lower())} "
    assert not [item for item in chain.from_iterable(LISTS.values()) if f" {item} " in words]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("baker", "a baker"),
        ("engineer", "an engineer"),
        ("usher", "an usher"),
        ("unicorn", "a unicorn"),
        ("utopia", "a utopia"),
        ("unfinished map", "an unfinished map"),
        ("umbrella dealer", "an umbrella dealer"),
        ("epic poem", "an epic poem"),
        ("heroic poem", "a heroic poem"),
        ("owl", "an owl"),
        ("yak", "a yak"),
    ],
)
def test_an_article_goes_by_how_a_word_is_spoken(words: str, expected: str) -> None:
    assert any(words in items for items in LISTS.values())
    assert with_article(words) == expected


def test_articles_are_right_wherever_they_are_told() -> None:
    for text in [*sentences(all_of("train")), *sentences(all_of("dev"))]:
        assert not re.search(r"\b[Aa] [aeio]|\b[Aa]n [^aeiou]|\b([Tt]he|[Aa]n?) (the|an?)\b", text)


def test_ids_differ_between_settings() -> None:
    sources = [
        "split=train",
        "split=train,mentions=paraphrased",
        "split=train,unanswerable=0.25",
        "split=train,unanswerable=0.5",
        "split=dev",
        "split=dev,wordings=held_out",
        "split=dev,relations=held_out",
        "split=dev,relations=held_out,wordings=held_out",
        "",
    ]
    ids = [e.task.id for source in sources for e in load_examples(f"world:n=20,{source}")]
    assert len(set(ids)) == len(ids) == 20 * len(sources)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("split=test", "split=test: Input should be '', 'train' or 'dev'"),
        ("split=train,kind=conflicts", "kind=conflicts has no split"),
        ("split=dev,kind=updates", "kind=updates has no split"),
        ("split=train,wordings=held_out", "wordings=held_out needs split=dev"),
        ("wordings=held_out", "wordings=held_out needs split=dev"),
        ("split=train,relations=held_out", "relations=held_out needs split=dev"),
        ("split=dev,relations=new", "relations=new: Input should be 'trained' or 'held_out'"),
        ("unanswerable=0.5", "unanswerable=0.5 needs split=train or split=dev"),
        ("split=dev,unanswerable=1.5", "unanswerable=1.5: "),
        ("split=dev,unanswerable=nan", "unanswerable=nan: "),
        ("split=dev,hops=2,paragraphs=1", "paragraphs is 1, and the facts alone take 2"),
    ],
)
def test_bad_settings_are_refused_with_what_is_allowed(settings: str, problem: str) -> None:
    for use in (load_examples, load_stream, data_hash, resolve_source):
        with pytest.raises(DataError) as caught:
            use(f"world:{settings}")
        message = str(caught.value)
        assert message.startswith(f"world:{settings}: {problem}")
        for name in WorldSettings.model_fields:
            assert f" {name} (" in message
