"""A question on a world, and the example that it becomes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pmi_kernel.core.task import Example, Gold, Paragraph, SupportingFact, Task
from pmi_kernel.data.worlds.world import Entity


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on a world.

    Attributes:
        question: Its text.
        answer: The one right answer.
        evidence: (entity, relation) pairs that give it: the supporting facts, in order.
        near: Entities that make good distractors, as they resemble the evidence; best first.
            They may be made as they are taken, by the world's generator.
        level: What a table of results may be split by.
        known: As `Gold.known`.
    """

    question: str
    answer: str
    evidence: tuple[tuple[Entity, str], ...]
    near: Iterable[Entity]
    level: str = ""
    known: str = ""

    @property
    def gold(self) -> list[Entity]:
        """The entities of the evidence, each once."""
        return list(dict.fromkeys(entity for entity, _ in self.evidence))

    def example(
        self,
        id_: str,
        rendered: Mapping[Entity, tuple[Paragraph, Mapping[str, int]]],
        *,
        type: str,
        level: str,
    ) -> Example:
        """Return the example.

        Args:
            id_: Its id.
            rendered: The context in order: each entity's paragraph, and which sentence tells what.
            type: Its question type.
            level: Its level.
        """
        context = tuple(paragraph for paragraph, _ in rendered.values())
        assert len({paragraph.title for paragraph in context}) == len(context), "names collide"
        facts = tuple(
            SupportingFact(entity.title, rendered[entity][1][relation])
            for entity, relation in self.evidence
        )
        gold = Gold((self.answer,), facts, self.known)
        return Example(Task(id_, self.question, context), gold, type=type, level=level)
