"""What training and evaluation examples share is found, and refused."""

import tracemalloc
from dataclasses import replace
from itertools import islice

import pytest

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.data import load_examples, load_stream
from pmi_kernel.data.overlap import Overlap, find_overlap, refuse_overlap


def with_question(example: Example, question: str, *, id_: str = "other") -> Example:
    return replace(example, task=replace(example.task, id=id_, question=question))


def test_shared_ids_and_questions_are_counted_and_the_first_few_named() -> None:
    training, evaluation = load_examples("world:n=30"), load_examples("world:n=12,seed=1")
    assert not find_overlap(training, evaluation)
    overlap = find_overlap(training, training[5:12] + evaluation)
    assert overlap
    assert (overlap.num_ids, overlap.num_questions) == (7, 7)
    assert overlap.ids == tuple(f"world-h1-p10-s0-0000{number}" for number in (5, 6, 7))
    assert overlap.questions == tuple(e.task.question.lower() for e in training[5:8])


def test_a_question_is_the_same_in_other_case_and_with_other_white_space() -> None:
    (example,) = load_examples("world:n=1")
    question = "  WHO\tIS\n the Straße of the  Mayor? "
    training = [with_question(example, question, id_="a")]
    evaluation = [with_question(example, "who is the STRASSE of the mayor?", id_="b")]
    assert find_overlap(training, evaluation) == Overlap(
        num_questions=1, questions=("who is the strasse of the mayor?",)
    )
    assert not find_overlap(training, [with_question(example, "Who is the mayor?", id_="b")])


def test_what_comes_again_counts_once() -> None:
    examples = load_examples("world:n=2")
    overlap = find_overlap(examples * 3, examples * 2)
    assert (overlap.num_ids, overlap.num_questions) == (2, 2)


def test_other_contexts_of_the_same_questions_are_found_in_a_stream() -> None:
    training = load_stream("world:split=train,n=300")
    other = "world:split=train,n=20,paragraphs=3,unanswerable=0.5"
    for evaluation in (load_stream(other), load_examples(other)):
        overlap = find_overlap(training, evaluation)
        assert (overlap.num_ids, overlap.num_questions) == (0, 20)
    assert not find_overlap(training[20:], load_examples("world:split=train,n=20"))


def test_worlds_of_different_splits_are_not_read() -> None:
    train = load_stream("world:split=train,n=10000000")  # would take hours
    dev = load_stream("world:split=dev,n=10000000,wordings=held_out")
    assert find_overlap(train, dev) == find_overlap(dev, train) == Overlap()


def test_training_is_not_held() -> None:
    (example,) = load_examples("world:n=1")
    training = (with_question(example, f"{n} {'x' * 1000}", id_=str(n)) for n in range(5_000))
    next(training)
    tracemalloc.start()
    try:
        assert not find_overlap(training, [example])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 500_000


def test_an_overlap_is_refused_with_the_sources_the_counts_and_examples() -> None:
    sources = ("world:n=30", "world:n=12")
    training, evaluation = map(load_stream, sources)
    with pytest.raises(DataError) as caught:
        refuse_overlap(training, evaluation, sources)
    message = str(caught.value)
    assert message.startswith(
        "trained on world:n=30 and evaluated on world:n=12, which share "
        "12 ids ('world-h1-p10-s0-00000', 'world-h1-p10-s0-00001', 'world-h1-p10-s0-00002', ...) "
        "and 12 questions ('"
    )
    assert evaluation[0].task.question.lower() in message
    assert "\n" not in message
    refuse_overlap(training, islice(load_stream("world:seed=1"), 12), sources)


def test_only_what_is_shared_is_spoken_of() -> None:
    first, second = load_examples("world:n=2")
    evaluation = [with_question(first, "Why?", id_=second.task.id)]
    with pytest.raises(DataError, match=r"which share 1 id \('world-h1-p10-s0-00001'\)$"):
        refuse_overlap([first, second], evaluation, ("a", "b"))
