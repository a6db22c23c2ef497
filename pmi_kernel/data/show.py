"""One question as text: what is asked, what may be answered, what is right, what it comes with."""

from textwrap import fill

from pmi_kernel.core.task import Example
from pmi_kernel.core.visible import visible_line

_WIDTH = 100
_MOST_PARAGRAPHS = 10
_MOST_CHARS = 400


def render_example(example: Example) -> str:
    """Return a question as lines of text; long paragraphs are cut."""
    task, gold = example.task, example.gold.passages
    lines = [
        visible_line(task.id),
        _line("question", task.question),
        *(_line("option", option) for option in task.form.allowed),
        _line("answer", " / ".join(map(task.form.given, example.gold.answers))),
        *(
            _line("gold" if one.title in gold else "passage", f"{one.title}: {one.text}")
            for one in task.context[:_MOST_PARAGRAPHS]
        ),
    ]
    if (more := len(task.context) - _MOST_PARAGRAPHS) > 0:
        lines.append(f"  and {more} more paragraphs")
    return "\n".join(lines)


def _line(name: str, text: str) -> str:
    told = visible_line(text)
    told = told if len(told) <= _MOST_CHARS else f"{told[: _MOST_CHARS - 1]}…"
    return fill(told, _WIDTH, initial_indent=f"  {name:8}  ", subsequent_indent=" " * 12)
