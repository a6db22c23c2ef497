"""Which other question's passage is the wrong one: one that does not tell the answer by chance."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.task import Example, Paragraph, Task
from pmi_kernel.data import Examples
from pmi_kernel.retrieval import make_step0_query
from pmi_kernel.retrieval.config import RetrievalConfig

_MOST_LOOKED_AT = 1_000
_LABELS = {"", "yes", "no", "maybe"}


@dataclass(frozen=True, slots=True)
class Control:
    """The question whose passage stands for the wrong one.

    Attributes:
        task: None where there is none.
        num_passed_over: Questions before it whose context tells the answer.
    """

    task: Task | None
    num_passed_over: int


class Controls:
    """Chooses controls among the questions of a data set.

    Args:
        examples: All of them.
        config: Of the system: where it searches a corpus, what its first search finds there for a
            question is that one's context.
    """

    def __init__(self, examples: Iterable[Example], config: SystemConfig | None = None) -> None:
        self._examples = Examples.of(examples)
        self._passages = _searched(config) or (lambda task: task.context)
        self._ids = sorted(self._examples.ids)

    def of(self, example: Example) -> Control:
        """Return the next question, by id, that has none of the example's answers in its context.

        All of the context counts, not only what a search would find, so the choice depends on the
        data alone: every system and setting is compared with the same passage. (Of a corpus, what
        the first search finds counts.) Answers are compared
        in whole words, as the metrics normalise them. Yes, no and maybe are in any text and tell
        nothing.
        A thousand questions are looked at.
        """
        gold = {normalize_answer(answer) for answer in example.gold.answers} - _LABELS
        ids, id_ = self._ids, example.task.id
        start = bisect_right(ids, id_)
        turns = (ids[(start + turn) % len(ids)] for turn in range(len(ids)))
        num_passed_over = 0
        for other in islice((one for one in turns if one != id_), _MOST_LOOKED_AT):
            task = self._examples.by_id(other).task
            if not _tells(self._passages(task), gold):
                return Control(task, num_passed_over)
            num_passed_over += 1
        return Control(None, num_passed_over)


def _searched(config: SystemConfig | None) -> Callable[[Task], Sequence[Paragraph]] | None:
    """What a search of a corpus finds for a task; None where none is searched."""
    if not isinstance(config, RetrievalConfig) or config.needs_context:
        return None
    retriever, first, topk = config.build_retriever(), config.first_query, config.topk

    def found(task: Task) -> list[Paragraph]:
        query = first or make_step0_query(task.question)
        return [one.paragraph for one in retriever.search(query, (), topk)]

    return found


def _tells(passages: Sequence[Paragraph], gold: set[str]) -> bool:
    texts = (f" {normalize_answer(f'{p.title} {p.text}')} " for p in passages)
    return any(f" {answer} " in text for text in texts for answer in gold)
