"""Recipes: what a memory is trained on, made of the evidence by the same engine. No gold is seen.

Next-token training on one raw text is the weak recipe; question-answer pairs and paraphrases that
the model itself writes are the strong one (Self-Adapting Language Models, arXiv:2506.10943;
PRAG, arXiv:2501.15915).
"""

import re
from dataclasses import dataclass
from typing import Literal

from pmi_kernel.engines.base import Adapter, Engine, Generation, Lesson, Lessons, Prompt, Sampling
from pmi_kernel.prompts import answer_prompt, quiz_prompt, rephrase_prompt

Recipe = Literal["ntp", "qa", "paraphrase", "mixed"]
"""ntp: the text itself. qa: questions on it, each with its answer. paraphrase: the text in other
words. mixed: all three."""

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
        num_lines: Pairs and sentences among them.
    """

    lessons: Lessons
    outputs: tuple[Generation, ...]
    num_lines: int


def write_lessons(
    engine: Engine,
    text: str,
    recipe: Recipe,
    *,
    adapter: Adapter | None = None,
    num_lines: int,
    shots: int,
    is_question_learned: bool = False,
    temperature: float = 0.0,
    seed: int = 0,
) -> Written:
    """Return what to train on under a recipe.

    A pair is put as the episode would put the question: the same chat, the answer within its tags.

    Args:
        engine: Writes; the engine that will be trained.
        text: The snippet, or the evidence.
        recipe: What to make of it.
        adapter: The memory in force.
        num_lines: Most pairs, and most sentences.
        shots: Worked examples in the prompts that ask for them.
        is_question_learned: Whether the questions carry loss, or their answers only.
        temperature: Of the writing.
        seed: Of the writing.

    Raises:
        EngineError: As `Engine.generate`.
    """

    def write(prompt: Prompt, line: str) -> Generation:
        sampling = Sampling(
            regex=f"({line}\\n){{1,{num_lines}}}",
            max_tokens=_LINE_TOKENS * num_lines,
            temperature=temperature,
            seed=seed,
        )
        return engine.generate(prompt, adapter=adapter, sampling=sampling)

    outputs: list[Generation] = []
    lessons: list[Lesson] = [Lesson(text)] if recipe in ("ntp", "mixed") else []
    lines: list[Lesson] = []
    if recipe in ("qa", "mixed"):
        output = write(quiz_prompt(text, shots=shots), r"Q: [^\n?]{8,120}\? A: [^\n]{1,60}")
        outputs.append(output)
        pairs = {match[1]: match[2] for match in _lines(_PAIR, output.text)}
        lines += [
            Lesson(
                f"<answer>{answer.strip()}</answer>",
                answer_prompt(question, None, shots=0),
                is_prompt_learned=is_question_learned,
            )
            for question, answer in pairs.items()
        ]
    if recipe in ("paraphrase", "mixed"):
        output = write(rephrase_prompt(text, shots=shots), r"- [^\n]{10,200}")
        outputs.append(output)
        sentences = dict.fromkeys(match[1] for match in _lines(_SENTENCE, output.text))
        lines += [Lesson(sentence) for sentence in sentences]
    lessons += lines
    return Written(tuple(lessons) or (Lesson(text),), tuple(outputs), len(lines))


def _lines(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The lines that match; a last line that was cut is left out."""
    whole = text[: text.rfind("\n") + 1]
    return [match for line in whole.splitlines() if (match := pattern.fullmatch(line.strip()))]
