"""Recipes: what a memory is trained on, made of the evidence by the same engine. No gold is seen.

Next-token training on one raw text is the weak recipe; question-answer pairs and paraphrases that
the model itself writes are the strong one (Self-Adapting Language Models, arXiv:2506.10943;
PRAG, arXiv:2501.15915).
"""

import re
import time
from dataclasses import dataclass
from typing import Literal

from pmi_kernel.engines.base import Adapter, Engine, Generation, Lesson, Lessons, Sampling
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.prompting.prompts import REHEARSED, lesson_prompt, quiz_prompt, rephrase_prompt
from pmi_kernel.systems.pmi.cloze import gaps

Recipe = Literal["ntp", "qa", "paraphrase", "mixed", "cloze"]
"""ntp: the text itself. qa: questions on it, each with its answer. paraphrase: the text in other
words. mixed: all three. cloze: its own sentences as questions (`pmi_kernel.systems.pmi.cloze`)."""

_LINE_TOKENS = 40
"""Room for one written line."""

_PAIR = re.compile(r"Q: (.+?\?) A: (.+)")
_SENTENCE = re.compile(r"- (.+)")


@dataclass(frozen=True, slots=True)
class Written:
    """What the engine wrote to train on.

    Attributes:
        lessons: What to train on; the text itself where nothing usable was written.
        outputs: The generations that they come from.
        num_lines: Pairs, sentences and gaps among them.
        seconds_s: Wall time of the call.
    """

    lessons: Lessons
    outputs: tuple[Generation, ...]
    num_lines: int
    seconds_s: float


def write_lessons(
    engine: Engine,
    text: str,
    recipe: Recipe,
    *,
    adapter: Adapter | None = None,
    num_lines: int,
    num_rehearsed: int = 0,
    shots: int,
    is_question_learned: bool = False,
    temperature: float = 0.0,
    seed: int = 0,
) -> Written:
    """Return what to train on under a recipe.

    A pair is a chat as short as can be, the answer within its tags as the episode wants it.

    Args:
        engine: Writes; the engine that will be trained.
        text: The snippet, or the evidence.
        recipe: What to make of it.
        adapter: The memory in force.
        num_lines: Most pairs, most sentences, and most gaps.
        num_rehearsed: Well-known questions with their answers to learn along, so that a memory is
            not the answer to everything (rehearsal, Robins 1995); 0 to `len(REHEARSED)`.
        shots: Worked examples in the prompts that ask for them.
        is_question_learned: Whether the questions carry loss, or their answers only.
        temperature: Of the writing.
        seed: Of the writing.

    Raises:
        EngineError: As `Engine.generate`.
    """
    start = time.perf_counter()

    def write(prompt: Prompt, line: str) -> Generation:
        sampling = Sampling(
            regex=f"({line}\\n){{1,{num_lines}}}",
            max_tokens=_LINE_TOKENS * num_lines,
            temperature=temperature,
            seed=seed,
        )
        return engine.generate(prompt, adapter=adapter, sampling=sampling)

    def pair(question: str, answer: str) -> Lesson:
        return Lesson(
            f"{answer}</answer>",
            lesson_prompt(question),
            opening="<answer>",  # learned, it is soon all that the model says
            is_prompt_learned=is_question_learned,
        )

    outputs: list[Generation] = []
    lessons: list[Lesson] = [Lesson(text)] if recipe in ("ntp", "mixed") else []
    lines: list[Lesson] = []
    if recipe in ("qa", "mixed"):
        output = write(quiz_prompt(text, shots=shots), r"Q: [^\n?]{8,120}\? A: [^\n]{1,60}")
        outputs.append(output)
        pairs = {match[1]: match[2] for match in _lines(_PAIR, output.text)}
        lines += [pair(question, answer.strip()) for question, answer in pairs.items()]
    if recipe in ("paraphrase", "mixed"):
        output = write(rephrase_prompt(text, shots=shots), r"- [^\n]{10,200}")
        outputs.append(output)
        sentences = dict.fromkeys(match[1] for match in _lines(_SENTENCE, output.text))
        lines += [Lesson(sentence) for sentence in sentences]
    if recipe == "cloze":
        found = gaps(engine, text, most=num_lines, adapter=adapter)
        lines += [pair(gap.question, gap.answer) for gap in found]
    lessons += lines
    lessons = lessons or [Lesson(text)]
    lessons += [pair(question, answer) for question, answer in REHEARSED[:num_rehearsed]]
    seconds_s = time.perf_counter() - start
    return Written(tuple(lessons), tuple(outputs), len(lines), seconds_s)


def _lines(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The lines that match; a last line that was cut is left out."""
    whole = text[: text.rfind("\n") + 1]
    return [match for line in whole.splitlines() if (match := pattern.fullmatch(line.strip()))]
