"""Questions made of other questions: the first ones, several files' in turn, others' contexts.

- `first:N:SOURCE`: the first N questions.
- `only:ID:SOURCE`: the question of this id; `%3A` stands for a colon in it.
- `mix:FILE,FILE,...`: a question of each in turn, its id behind the file's folder and name.
- `shift:SOURCE`: each question with the context of the one before it, the first with the last's.
- `mixed:SHARE:SOURCE`: the next question's first paragraphs in place of the last SHARE of each
  context.

They can be nested: `shift:first:300:FILE`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example

Load = Callable[[str], Sequence[Example]]

_NAMES = ("first", "only", "mix", "shift", "mixed")


def is_derived(source: str) -> bool:
    """Return whether a data source is made of others."""
    return source.partition(":")[0] in _NAMES and ":" in source


def derive(source: str, load: Load) -> list[Example]:
    """Return the questions of a derived source.

    Args:
        source: What they are made of.
        load: Returns the questions of another source.

    Raises:
        DataError: The source is not of its form, or what it is made of cannot be read.
    """
    name, setting, parts = _parsed(source)
    if name == "mix":
        return _mix(parts, load)
    examples = list(load(parts[0]))
    if name == "first":
        return examples[: int(setting)]
    if name == "only":
        found = [example for example in examples if example.task.id == unquote(setting)]
        if not found:
            raise DataError(f"{source}: none of {len(examples)} questions has the id {setting}")
        return found
    if len(examples) < 2:
        raise DataError(f"{source}: one question has no neighbour; two or more are needed")
    if name == "shift":
        return [
            _with_context_of(example, other, len(other.task.context))
            for example, other in zip(examples, [examples[-1], *examples[:-1]], strict=True)
        ]
    share = float(setting)
    return [
        _with_context_of(example, other, round(share * len(example.task.context)))
        for example, other in zip(examples, [*examples[1:], examples[0]], strict=True)
    ]


def only(id_: str, source: str) -> str:
    """Return the source that is one question of another, by its id."""
    name = id_.replace("%", "%25").replace(":", "%3A")
    return f"only:{name}:{source}"


def resolved(source: str, resolve: Callable[[str], str]) -> str:
    """Return a derived source that means the same in any folder; `resolve` does the others.

    Raises:
        DataError: As `derive`, as far as it is known without reading.
    """
    name, setting, parts = _parsed(source)
    return ":".join(filter(None, (name, setting, ",".join(map(resolve, parts)))))


def _parsed(source: str) -> tuple[str, str, list[str]]:
    """The name, the setting (empty where it has none) and the sources that it is made of."""
    name, _, rest = source.partition(":")
    if name == "mix":
        parts = rest.split(",")
        if len(parts) < 2 or not all(parts) or any(":" in part for part in parts):
            raise DataError(f"{source}: expected mix:FILE,FILE,... (names or paths, two or more)")
        return name, "", parts
    if name == "shift":
        if not rest:
            raise DataError(f"{source}: expected shift:SOURCE")
        return name, "", [rest]
    setting, _, rest = rest.partition(":")
    if name == "only":
        if not setting or not rest:
            raise DataError(f"{source}: expected only:ID:SOURCE")
        return name, setting, [rest]
    try:
        value = int(setting) if name == "first" else float(setting)
    except ValueError:
        value = -1
    if not rest or not (value >= 1 if name == "first" else 0 <= value <= 1):
        wanted = (
            "first:N:SOURCE, N of 1 or more" if name == "first" else "mixed:SHARE:SOURCE, 0 to 1"
        )
        raise DataError(f"{source}: expected {wanted}")
    return name, setting, [rest]


def _mix(parts: Sequence[str], load: Load) -> list[Example]:
    """A question of each source in turn, while they last."""
    labels = [_label(part) for part in parts]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise DataError(f"mix: two sources are called {min(twice)!r}; their questions' ids collide")
    named = [
        [replace(one, task=replace(one.task, id=f"{label}/{one.task.id}")) for one in load(part)]
        for label, part in zip(labels, parts, strict=True)
    ]
    return [example for turn in zip_longest(*named) for example in turn if example is not None]


def _label(source: str) -> str:
    """What a source's questions are called by: a file's folder and name, without its ending."""
    path = Path(source)
    return "/".join(part for part in (path.parent.name, path.name.partition(".")[0]) if part)


def _with_context_of(example: Example, other: Example, count: int) -> Example:
    """The same question with another's first paragraphs in place of its own last ones."""
    kept = example.task.context[: max(0, len(example.task.context) - count)]
    context = (*kept, *other.task.context[:count])
    titles = {paragraph.title for paragraph in kept}
    facts = tuple(fact for fact in example.gold.supporting_facts if fact.title in titles)
    return replace(
        example,
        task=replace(example.task, context=context),
        gold=replace(example.gold, supporting_facts=facts),
    )
