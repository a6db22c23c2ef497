"""What the recipes write with: lines on a text that the engine is asked for, and pairs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pmi_kernel.engines.base import Adapter, Engine, Generation, Lesson, Sampling
from pmi_kernel.prompting.answer import pose
from pmi_kernel.prompting.messages import Message, Prompt
from pmi_kernel.prompting.shots import SHOTS, few_shot

_LINE_TOKENS = 40
"""Room for one written line."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes for one memory.

    Attributes:
        engine: Writes.
        adapter: The memory in force.
        num_lines: Most pairs, most sentences, and most gaps.
        shots: Worked examples in the prompts that ask for them.
        is_question_learned: Whether the questions carry loss, or their answers only.
        temperature: Of the writing.
        seed: Of the writing.
        outputs: What the engine has said.
    """

    engine: Engine
    adapter: Adapter | None = None
    num_lines: int = 6
    shots: int = 3
    is_question_learned: bool = False
    temperature: float = 0.0
    seed: int = 0
    outputs: list[Generation] = field(default_factory=list)

    def write(self, prompt: Prompt, line: str, wanted: re.Pattern[str]) -> list[re.Match[str]]:
        """Return the lines of a reply that are as wanted; a last line that was cut is left out.

        Args:
            prompt: Asks for lines.
            line: A regex of one line, by which decoding is guided.
            wanted: Matches a line without the blanks around it, with its parts as groups.

        Raises:
            EngineError: As `Engine.generate`.
        """
        sampling = Sampling(
            regex=f"({line}\\n){{1,{self.num_lines}}}",
            max_tokens=_LINE_TOKENS * self.num_lines,
            temperature=self.temperature,
            seed=self.seed,
        )
        output = self.engine.generate(prompt, adapter=self.adapter, sampling=sampling)
        self.outputs.append(output)
        whole = output.text[: output.text.rfind("\n") + 1]
        return [found for line in whole.splitlines() if (found := wanted.fullmatch(line.strip()))]

    def pair(self, question: str, answer: str) -> Lesson:
        """Return a chat as short as can be, the answer within its tags as the episode wants it."""
        return Lesson(
            f"{answer}</answer>",
            lesson_prompt(question),
            opening="<answer>",  # learned, it is soon all that the model says
            is_prompt_learned=self.is_question_learned,
        )


def lesson_prompt(question: str) -> Prompt:
    """Return the chat in which a question is learned: short, as every step of training reads it."""
    return (Message("system", "You answer questions."), Message("user", pose(question)))


def text_prompt(system: str, asked: str, replies: Iterable[str], text: str, shots: int) -> Prompt:
    """Return the chat that asks for lines on a text, `replies` being those on the shots' notes."""

    def about(text: str) -> str:
        return f"Text: {text}\n\n{asked}"

    shown = [(about(shot.note), reply) for shot, reply in zip(SHOTS, replies, strict=True)]
    return few_shot(system, shown[:shots], about(text))
