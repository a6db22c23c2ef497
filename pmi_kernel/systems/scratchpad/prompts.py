"""A sample as text: documents, the question before and after them, the evidence, the answer."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pmi_kernel.core.answers import FREE, AnswerForm
from pmi_kernel.core.spans import sentences
from pmi_kernel.core.task import Paragraph

SYSTEM = "Answer the question with what the documents say. Most of them have nothing to do with it."
EVIDENCE, ANSWER = "Evidence:", "Answer:"
"""What stands before what is copied, and before the answer."""
END = "\n"
"""What ends an answer that is asked for alone."""

_HEAD = re.compile(r"Document \[\d+\](?: \(Title: [^\n]*?\))? ")
_QUESTION = "\n\nQuestion: "


def document_line(number: int, document: Paragraph) -> str:
    """Return a document as it is shown and copied: its number from 1, its title, its text."""
    title = f" (Title: {document.title})" if document.title else ""
    return f"Document [{number}]{title} {document.text}"


def asked(question: str, form: AnswerForm = FREE) -> str:
    """Return a question, with what may be answered where that is limited."""
    return "\n".join((f"Question: {question}", *form.allowed))


def question_text(
    question: str,
    documents: Sequence[Paragraph],
    form: AnswerForm = FREE,
    *,
    is_first: bool = True,
) -> str:
    """Return all that stands before the evidence or the answer.

    Args:
        question: The question.
        documents: In the order in which they are shown.
        form: What may be answered.
        is_first: Whether the question stands before the documents too. Without it all but the end
            is the same for every question about these documents, and can be read once.
    """
    shown = [document_line(number, one) for number, one in enumerate(documents, start=1)]
    put = asked(question, form)
    parts = (SYSTEM, *((put,) if is_first else ()), "\n".join(shown), put)
    return "\n\n".join(part for part in parts if part)


def evidence_text(documents: Sequence[Paragraph], places: Sequence[int]) -> str:
    """Return the documents at some places (from 0) as they are copied."""
    return "\n".join(document_line(place + 1, documents[place]) for place in places)


def completed(evidence: str, question: str, form: AnswerForm = FREE) -> str:
    """Return what is written after `Evidence:` up to where the answer begins."""
    return f"\n{evidence}\n\n{asked(question, form)}\n{ANSWER}"


@dataclass(frozen=True, slots=True)
class Written:
    """An output, read.

    Attributes:
        evidence: What was written down.
        answer: The line after the last answer mark; None where none was written.
    """

    evidence: str
    answer: str | None


def read_output(text: str) -> Written:
    """Return what an output that began after `Evidence:` has written down, and its answer."""
    before, mark, after = text.rpartition(ANSWER)
    if not mark:
        return Written(text.strip(), None)
    evidence, again, _ = before.rpartition(_QUESTION)
    answer = after.strip().partition(END)[0].strip()
    return Written((evidence if again else before).strip(), answer)


@dataclass(frozen=True, slots=True)
class Copied:
    """A sentence that was written down, and where it stands.

    Attributes:
        text: The sentence.
        document: Number of the document that has it, from 1; 0 where none has.
        start: Where it begins in the document's text, in characters; -1 where none has it.
    """

    text: str
    document: int
    start: int


def copied(evidence: str, documents: Sequence[Paragraph]) -> tuple[Copied, ...]:
    """Return each sentence of an evidence with the document that it was copied from.

    White space is folded; all else has to be the same. Of several documents the first counts, or
    the one whose number was written before it.
    """
    found: list[Copied] = []
    texts = [document.text for document in documents]
    for line in evidence.splitlines():
        head = _HEAD.match(line)
        said = int(re.findall(r"\[(\d+)\]", head[0])[0]) if head else 0
        order = sorted(range(len(texts)), key=lambda place: place + 1 != said)
        for sentence in sentences(" ".join(line[head.end() if head else 0 :].split())):
            at = next((place for place in order if sentence.text in texts[place]), None)
            if at is None:
                found.append(Copied(sentence.text, 0, -1))
            else:
                found.append(Copied(sentence.text, at + 1, texts[at].index(sentence.text)))
    return tuple(found)
