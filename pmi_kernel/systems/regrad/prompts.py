"""How a question is put where the knowledge is in the weights, and how a passage is written."""

from collections.abc import Sequence

from pmi_kernel.core.answers import FREE, AnswerForm, AnswerKind
from pmi_kernel.core.task import Example, Paragraph, titled
from pmi_kernel.prompting.messages import Message, Prompt, plain

END = "\n"
"""What ends an answer, in training and when it is decoded."""

UNKNOWN_ANSWER = "unknown"
"""What is answered where the memory does not hold the answer."""

_BRIEF = "Answer the question with {}, and nothing else."


def _brief(form: AnswerForm) -> str:
    match form.kind:
        case AnswerKind.FREE:
            return _BRIEF.format("a short phrase or a single word")
        case AnswerKind.CHOICE:
            return _BRIEF.format("the letter of the right option and its text")
        case _:
            return _BRIEF.format(" or ".join(f"'{label}'" for label in form.allowed))


def passage_text(paragraph: Paragraph) -> str:
    """Return a passage as it is learned: `title: text`, without a number.

    A memory must not depend on the passage's place among others, so none is written.
    """
    return titled(paragraph.title, paragraph.text)


def question_prompt(
    question: str, passages: Sequence[str] = (), form: AnswerForm = FREE, *, is_simple: bool
) -> Prompt:
    """Return the prompt that asks a question, with passages in it or without.

    Args:
        question: The question.
        passages: What is shown.
        form: What may be answered; options stand after the question.
        is_simple: As a plain text to be gone on with; else as a chat.
    """
    numbered = "\n".join(f"Passage {place}: {text}" for place, text in enumerate(passages, start=1))
    question = "\n".join((question, *form.allowed)) if form.options else question
    if is_simple:
        context = f"## CONTEXT\n{numbered}\n(CONTEXT END)\n\n" if passages else ""
        return plain(f"{context}Question: {question}\nAnswer:")
    context = f"\n\n## CONTEXT\n{numbered}\n(CONTEXT END)" if passages else ""
    return (Message("system", f"{_brief(form)}{context}"), Message("user", question))


def gold_text(example: Example, *, is_simple: bool) -> str:
    """Return an example's answer as it follows its prompt: the first one accepted."""
    answer = example.task.form.given(example.gold.answers[0])
    return answer_text(answer, is_simple=is_simple)


def answer_text(answer: str, *, is_simple: bool) -> str:
    """Return an answer as it follows its prompt."""
    return f" {answer}{END}" if is_simple else f"{answer}{END}"


_SHOTS = (("What is the capital of Slovakia?", "Bratislava"), ("What colour is a ruby?", "Red"))


def known_prompt(question: str) -> Prompt:
    """Return the prompt that asks a well-known question: two worked examples before it."""
    return plain(f"{_shown()}Question: {question}\nAnswer:")


def known_opening(words: str) -> Prompt:
    """Return a prompt to be gone on with by a question that begins so, and by its answer."""
    return plain(f"{_shown()}Question: {words}")


def _shown() -> str:
    return "".join(f"Question: {asked}\nAnswer: {answer}\n\n" for asked, answer in _SHOTS)
