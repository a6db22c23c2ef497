"""What training and evaluation examples share, which no score should rest on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown
from pmi_kernel.data.worlds import WorldStream

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two sets of examples share; false if nothing.

    Attributes:
        num_ids: Ids that both have.
        num_questions: Question texts that both have, but for case and white space.
        ids: The first few of these ids, in the order of training.
        questions: The first few of these texts, in lower case.
    """

    num_ids: int = 0
    num_questions: int = 0
    ids: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.num_ids + self.num_questions > 0


def find_overlap(training: Iterable[Example], evaluation: Iterable[Example]) -> Overlap:
    """Return what training and evaluation examples share.

    Only the evaluation's ids and questions are held, so training may be a stream of millions. Of a
    `WorldStream` no context is made. Two of different splits are not read at all: they share
    nothing by how they are made.
    """
    if isinstance(training, WorldStream) and isinstance(evaluation, WorldStream):
        splits = {training.settings.split, evaluation.settings.split}
        if splits == {"train", "dev"}:
            return Overlap()
    ids, questions = set[str](), set[str]()
    for id_, question in _questions(evaluation):
        ids.add(id_)
        questions.add(_normalized(question))
    shared_ids, shared_questions = dict[str, None](), dict[str, None]()  # as sets, in order
    for id_, question in _questions(training):
        if id_ in ids:
            shared_ids[id_] = None
        if (text := _normalized(question)) in questions:
            shared_questions[text] = None
    return Overlap(
        len(shared_ids),
        len(shared_questions),
        tuple(shared_ids)[:_NAMED],
        tuple(shared_questions)[:_NAMED],
    )


def refuse_overlap(
    training: Iterable[Example], evaluation: Iterable[Example], sources: tuple[str, str]
) -> None:
    """Do nothing where training and evaluation examples share nothing.

    Args:
        training: As `find_overlap`.
        evaluation: As `find_overlap`.
        sources: What the two are called.

    Raises:
        DataError: They share ids or questions; names the sources, how many, and the first few.
    """
    overlap = find_overlap(training, evaluation)
    if not overlap:
        return
    shared = [
        f"{number:,} {what}{'s' if number > 1 else ''} "
        f"({', '.join(map(shown, first))}{', ...' if number > _NAMED else ''})"
        for number, what, first in (
            (overlap.num_ids, "id", overlap.ids),
            (overlap.num_questions, "question", overlap.questions),
        )
        if number
    ]
    raise DataError(
        f"trained on {sources[0]} and evaluated on {sources[1]}, which share {' and '.join(shared)}"
    )


def _questions(examples: Iterable[Example]) -> Iterator[tuple[str, str]]:
    if isinstance(examples, WorldStream):
        return examples.questions()
    return ((example.task.id, example.task.question) for example in examples)


def _normalized(question: str) -> str:
    return " ".join(question.casefold().split())
