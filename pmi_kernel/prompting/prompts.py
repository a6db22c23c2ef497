"""The words put to the model: MEM1 actions, question answering, compression.

Every prompt is a chat with `shots` worked examples in front. Their facts are fictional and stand
in no data set, so they give nothing away. Messages are defined here and nowhere else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pmi_kernel.core.trace import ActionKind
from pmi_kernel.prompting.actions import parse_action
from pmi_kernel.prompting.messages import Message, Prompt

MEMORISED = "(memorised: recall it)"
"""Stands where the evidence would, when it went into the weights only."""

_ACT = (
    "You answer questions. Each of your turns is exactly one action: "
    "<search>what to look for</search> to get more information, or "
    "<answer>a short answer</answer> once you know. A short answer is a name, a date, a number, "
    "yes or no, never a sentence."
)
_ANSWER = (
    "You answer questions. Each of your turns is <answer>a short answer</answer>. "
    "A short answer is a name, a date, a number, yes or no, never a sentence."
)
_QUIZ = (
    "You write questions about a text. Each line is one question on one fact of the text and its "
    "answer: a name, a date, a number or a few words, copied from the text."
)
_REPHRASE = (
    "You say the facts of a text in other words. Each line is one full sentence. Names, dates and "
    "numbers stay as they stand. Add nothing."
)
_COMPRESS = (
    "You take notes. Copy from the passages the facts that help to answer the question, in short "
    "full sentences with the names, dates and numbers as they stand. Add nothing."
)


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example: the searches with what they gave, a note on it, and the answer.

    `pairs` are questions and answers on the note, `rephrased` says it in other words.
    """

    question: str
    searches: tuple[tuple[str, str], ...]
    note: str
    answer: str
    pairs: tuple[tuple[str, str], ...]
    rephrased: tuple[str, ...]


SHOTS: tuple[Shot, ...] = (
    Shot(
        question="In which town was the author of The Amber Ladder born?",
        searches=(
            (
                "author The Amber Ladder born",
                "The Amber Ladder: The Amber Ladder is a novel by Quill Tarvane. It sold badly.\n"
                "Quill Tarvane: Quill Tarvane is a novelist. Tarvane was born in Ostermoor.",
            ),
        ),
        note="The Amber Ladder is a novel by Quill Tarvane. Quill Tarvane was born in Ostermoor.",
        answer="Ostermoor",
        pairs=(
            ("Who wrote The Amber Ladder?", "Quill Tarvane"),
            ("What kind of work is The Amber Ladder?", "a novel"),
            ("In which town was Quill Tarvane born?", "Ostermoor"),
            ("Which novelist was born in Ostermoor?", "Quill Tarvane"),
        ),
        rephrased=(
            "Quill Tarvane wrote the novel The Amber Ladder.",
            "The author of The Amber Ladder is Quill Tarvane.",
            "Ostermoor is the birthplace of Quill Tarvane.",
        ),
    ),
    Shot(
        question="Were the Fenlow Bridge and the Harrick Tower both finished in the same year?",
        searches=(
            (
                "Fenlow Bridge Harrick Tower finished year",
                "Fenlow Bridge: The Fenlow Bridge was finished in 1871. It crosses the Ister.\n"
                "Harrick Tower: The Harrick Tower was finished in 1902.",
            ),
        ),
        note="The Fenlow Bridge was finished in 1871. The Harrick Tower was finished in 1902.",
        answer="no",
        pairs=(
            ("In what year was the Fenlow Bridge finished?", "1871"),
            ("What was finished in 1871?", "the Fenlow Bridge"),
            ("In what year was the Harrick Tower finished?", "1902"),
            ("What was finished in 1902?", "the Harrick Tower"),
        ),
        rephrased=(
            "Work on the Fenlow Bridge ended in 1871.",
            "1871 is the year in which the Fenlow Bridge was finished.",
            "The Harrick Tower was not finished until 1902.",
        ),
    ),
    Shot(
        question="Who leads the company that owns the ship Pale Heron?",
        searches=(
            (
                "leads company owns ship Pale Heron",
                "Pale Heron: The Pale Heron is a cargo ship owned by Dunmarsh Lines.",
            ),
            (
                "Dunmarsh Lines leader",
                "Dunmarsh Lines: Dunmarsh Lines is a shipping company led by Isolde Brack.",
            ),
        ),
        note="The Pale Heron is owned by Dunmarsh Lines. Dunmarsh Lines is led by Isolde Brack.",
        answer="Isolde Brack",
        pairs=(
            ("Which company owns the Pale Heron?", "Dunmarsh Lines"),
            ("Which ship does Dunmarsh Lines own?", "the Pale Heron"),
            ("Who leads Dunmarsh Lines?", "Isolde Brack"),
            ("Which company is led by Isolde Brack?", "Dunmarsh Lines"),
        ),
        rephrased=(
            "Dunmarsh Lines is the owner of the Pale Heron.",
            "The head of Dunmarsh Lines is Isolde Brack.",
            "Isolde Brack leads Dunmarsh Lines.",
        ),
    ),
)

MAX_SHOTS = len(SHOTS)


def act_prompt(
    question: str, searches: Sequence[tuple[str, str]], *, shots: int, in_prompt: bool
) -> Prompt:
    """Return the chat that asks for the next action.

    Args:
        question: The question.
        searches: The (query, evidence) pairs so far, in order; at least one.
        shots: Worked examples to show, 0 to `MAX_SHOTS`.
        in_prompt: Whether evidence is shown; if not, `MEMORISED` stands for it.
    """
    chat = [Message("system", _ACT)]
    for shot in SHOTS[:shots]:
        chat += _turns(shot.question, shot.searches, in_prompt)
        chat.append(Message("assistant", f"<answer>{shot.answer}</answer>"))
    return (*chat, *_turns(question, searches, in_prompt))


def _turns(question: str, searches: Sequence[tuple[str, str]], in_prompt: bool) -> list[Message]:
    turns = [Message("user", f"Question: {question}")]
    for query, evidence in searches:
        shown = evidence if in_prompt else MEMORISED
        turns.append(Message("assistant", f"<search>{query}</search>"))
        # Asked again, as a small model forgets what stands before the evidence.
        turns.append(Message("user", _ask(question, shown)))
    return turns


def answer_prompt(question: str, evidence: str | None, *, shots: int) -> Prompt:
    """Return the chat that asks for the answer itself, with or without evidence before it."""
    chat = [Message("system", _ANSWER)]
    for shot in SHOTS[:shots]:
        shown = None if evidence is None else "\n".join(text for _, text in shot.searches)
        chat.append(Message("user", _ask(shot.question, shown)))
        chat.append(Message("assistant", f"<answer>{shot.answer}</answer>"))
    chat.append(Message("user", _ask(question, evidence)))
    return tuple(chat)


REHEARSED: tuple[tuple[str, str], ...] = (
    ("What is the capital of Italy?", "Rome"),
    ("How many months are there in a year?", "12"),
    ("What is the color of snow?", "white"),
    ("Which animal barks?", "the dog"),
    ("What is the largest ocean?", "the Pacific Ocean"),
    ("What do fish breathe with?", "gills"),
)
"""Well-known questions that a memory can be made to leave as they are; none is a probe's."""

MAX_REHEARSED = len(REHEARSED)


def lesson_prompt(question: str) -> Prompt:
    """Return the chat in which a question is learned: short, as every step of training reads it."""
    return (Message("system", "You answer questions."), Message("user", _ask(question, None)))


def _ask(question: str, evidence: str | None) -> str:
    asked = f"Question: {question}"
    return asked if evidence is None else f"<information>\n{evidence}\n</information>\n\n{asked}"


def compress_prompt(question: str, evidence: str, *, shots: int) -> Prompt:
    """Return the chat that asks for a snippet: what the evidence says towards the question."""
    chat = [Message("system", _COMPRESS)]
    for shot in SHOTS[:shots]:
        shown = "\n".join(text for _, text in shot.searches)
        chat.append(Message("user", _passages(shot.question, shown)))
        chat.append(Message("assistant", shot.note))
    chat.append(Message("user", _passages(question, evidence)))
    return tuple(chat)


def _passages(question: str, evidence: str) -> str:
    return f"Question: {question}\n\nPassages:\n{evidence}\n\nFacts from the passages:"


def quiz_prompt(text: str, *, shots: int) -> Prompt:
    """Return the chat that asks for questions and answers on a text, a line each."""
    lines = [
        "\n".join(f"Q: {question} A: {answer}" for question, answer in shot.pairs) for shot in SHOTS
    ]
    return _about_text(_QUIZ, "Questions and answers:", lines, text, shots)


def rephrase_prompt(text: str, *, shots: int) -> Prompt:
    """Return the chat that asks for a text's facts in other words, a line each."""
    lines = ["\n".join(f"- {sentence}" for sentence in shot.rephrased) for shot in SHOTS]
    return _about_text(_REPHRASE, "In other words:", lines, text, shots)


def _about_text(system: str, asked: str, replies: Sequence[str], text: str, shots: int) -> Prompt:
    chat = [Message("system", system)]
    for shot, reply in zip(SHOTS[:shots], replies, strict=False):
        chat.append(Message("user", f"Text: {shot.note}\n\n{asked}"))
        chat.append(Message("assistant", reply))
    chat.append(Message("user", f"Text: {text}\n\n{asked}"))
    return tuple(chat)


def short_answer(text: str) -> str:
    """Return the answer in a reply to `answer_prompt`: what stands in its tags, else all of it.

    Tags that are doubled, or have no partner, are no part of it.
    """
    action = parse_action(text)
    said = action.argument if action.kind is ActionKind.ANSWER else text
    return " ".join(re.sub(r"</?answer>", " ", said).split())


_REWORD = (
    "You ask a question in other words. Each line is one full question with the same answer. Names "
    "stay as they stand."
)
_REWORDED = (
    (
        "In which town was the author of The Amber Ladder born?",
        "What is the birthplace of the author of The Amber Ladder?\n"
        "Where was the person who wrote The Amber Ladder born?\n"
        "Which town does the author of The Amber Ladder come from?",
    ),
    (
        "Who leads Dunmarsh Lines?",
        "Who is the head of Dunmarsh Lines?\n"
        "By whom is Dunmarsh Lines led?\n"
        "What is the name of the person in charge of Dunmarsh Lines?",
    ),
)


def reword_prompt(question: str) -> Prompt:
    """Return the chat that asks for a question in other words, a line each."""
    chat = [Message("system", _REWORD)]
    for asked, reworded in _REWORDED:
        chat.append(Message("user", f"Question: {asked}\n\nThe same in other words:"))
        chat.append(Message("assistant", reworded))
    chat.append(Message("user", f"Question: {question}\n\nThe same in other words:"))
    return tuple(chat)
