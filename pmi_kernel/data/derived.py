"""Questions made of other questions: some rows, several files' in turn, others' contexts.

- `first:N:SOURCE`: the first N questions.
- `rows:A-B:SOURCE`: those from row A (0 for the first) to before row B; to the end without B.
- `only:ID:SOURCE`: the question of this id; `%3A` stands for a colon in it.
- `gold:SOURCE`: each question with its gold paragraphs alone.
- `mix:SOURCE,SOURCE,...`: a question of each in turn, its id behind the file's folder and name.
- `regrad:DOMAIN:NAME`: the mixture of a domain that retrievable gradients' authors train on, of the
  files `data_aug/SET/NAME.json` (train, if no name is told).
- `placed:N@P:SOURCE`: N paragraphs of each context (all, of a shorter one), its gold ones together
  from place P on (0 is the first); `placed:N~SEED:SOURCE`: N in an order that a seed draws.
- `shift:SOURCE`: each question with the context of the one before it, the first with the last's.
- `mixed:SHARE:SOURCE`: the next question's first paragraphs in place of the last SHARE of each
  context.

They can be nested: `shift:first:300:FILE`. None reads a question before it is asked for.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.data.examples import Examples
from pmi_kernel.data.placing import placed, shuffled

Load = Callable[[str], Examples]

_MIX, _REGRAD = "mix", "regrad"

DOMAINS: Mapping[str, tuple[str, ...]] = {
    "general": ("2wikimultihopqa", "complexwebquestions", "hotpotqa", "popqa"),
    "med": ("medqa", "pubmedqa", "bioasq"),
    "law": ("casehold", "lhf", "housingqa"),
}
"""The data sets of each domain of retrievable gradients' authors, in their order."""


@dataclass(frozen=True, slots=True)
class _Arranged:
    """One way to arrange a source's questions anew.

    Attributes:
        form: How it is spelled, for messages.
        setting: What its setting has to match; None where it has none.
        arrange: Returns the questions of a source, arranged by the setting.
    """

    form: str
    setting: re.Pattern[str] | None
    arrange: Callable[[str, Examples], Examples]


def is_derived(source: str) -> bool:
    """Return whether a data source is made of others."""
    name, colon, _ = source.partition(":")
    return bool(colon) and (name in _ARRANGED or name in (_MIX, _REGRAD))


def rows_of(source: str, start: int | None, end: int | None) -> str:
    """Return the source of a source's rows from `start` (0 by default) to before `end`."""
    if start is None and end is None:
        return source
    return f"rows:{start or 0}-{'' if end is None else end}:{source}"


def domain_files(domain: str, name: str, folder: str = "data_aug") -> list[str]:
    """Return the files of a domain's data sets, as their authors name them."""
    return [f"{folder}/{one}/{name}.json" for one in DOMAINS[domain]]


def derive(source: str, load: Load) -> Examples:
    """Return the questions of a derived source.

    Args:
        source: What they are made of.
        load: Returns the questions of another source.

    Raises:
        DataError: The source is not of its form, or what it is made of cannot be read.
    """
    name, setting, parts = _parsed(source)
    if name == _MIX:
        return _mix(parts, load)
    try:
        return _ARRANGED[name].arrange(setting, load(parts[0]))
    except ValueError as error:
        raise DataError(f"{source}: {error}") from None


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
    if name == _REGRAD:
        domain, _, file = rest.partition(":")
        if domain not in DOMAINS or "/" in file or "," in file:
            raise DataError(
                f"{source}: expected regrad:DOMAIN or regrad:DOMAIN:NAME, of a domain "
                f"{', '.join(DOMAINS)}"
            )
        return _MIX, "", domain_files(domain, file or "train")
    if name == _MIX:
        parts = rest.split(",")
        if len(parts) < 2 or not all(parts) or any(map(_is_alone, parts)):
            raise DataError(
                f"{source}: expected mix:SOURCE,SOURCE,... (two or more, and no world or mix)"
            )
        return name, "", parts
    kind, setting = _ARRANGED[name], ""
    if kind.setting is not None:
        setting, _, rest = rest.partition(":")
    if not rest or (kind.setting and not kind.setting.fullmatch(setting)):
        raise DataError(f"{source}: expected {kind.form}")
    return name, setting, [rest]


def _is_alone(source: str) -> bool:
    """Whether a source cannot be part of a mix: commas stand in it, or in what it stands for."""
    name, colon, _ = source.partition(":")
    return bool(colon) and name in (_MIX, _REGRAD, "world")


def _first(setting: str, examples: Examples) -> Examples:
    return examples[: int(setting)]


def _rows(setting: str, examples: Examples) -> Examples:
    start, _, end = setting.partition("-")
    found = examples[int(start) : int(end) if end else None]
    if not found:
        raise ValueError(f"there are {len(examples)} questions, so these rows hold none")
    return found


def _only(setting: str, examples: Examples) -> Examples:
    id_ = unquote(setting)
    if id_ not in examples.ids:
        raise ValueError(f"none of {len(examples)} questions has the id {setting}")
    place = list(examples.ids).index(id_)
    return examples[place : place + 1]


def _gold(setting: str, examples: Examples) -> Examples:
    def at(place: int) -> Example:
        one = examples[place]
        titles = one.gold.passages
        context = tuple(paragraph for paragraph in one.task.context if paragraph.title in titles)
        return replace(one, task=replace(one.task, context=context))

    return Examples(examples.ids, at)


def _placed(setting: str, examples: Examples) -> Examples:
    found = _PLACED.fullmatch(setting)
    assert found
    count, is_drawn, number = int(found[1]), found[2] == "~", int(found[3])
    if not is_drawn and number >= count:
        raise ValueError(f"of {count} paragraphs the last place is {count - 1}")

    def at(row: int) -> Example:
        if is_drawn:
            return shuffled(examples[row], count, number)
        return placed(examples[row], count, number)

    return Examples(examples.ids, at)


def _shift(setting: str, examples: Examples) -> Examples:
    _check_neighbours(examples)

    def at(place: int) -> Example:
        other = examples[place - 1]  # -1 is the last
        return _with_context_of(examples[place], other, len(other.task.context))

    return Examples(examples.ids, at)


def _mixed(setting: str, examples: Examples) -> Examples:
    _check_neighbours(examples)
    share = float(setting)

    def at(place: int) -> Example:
        own, other = examples[place], examples[(place + 1) % len(examples)]
        return _with_context_of(own, other, round(share * len(own.task.context)))

    return Examples(examples.ids, at)


def _check_neighbours(examples: Examples) -> None:
    if len(examples) < 2:
        raise ValueError("one question has no neighbour; two or more are needed")


_COUNT = re.compile(r"0*[1-9]\d{0,17}", re.ASCII)
_ROWS = re.compile(r"\d{1,18}-(\d{1,18})?", re.ASCII)
_PLACED = re.compile(r"(0*[1-9]\d{0,5})([@~])(\d{1,18})", re.ASCII)
_SHARE = re.compile(r"0*(0|0?\.\d+|0\.|1(\.0*)?)", re.ASCII)

_ARRANGED: Mapping[str, _Arranged] = {
    "first": _Arranged("first:N:SOURCE, N of 1 or more", _COUNT, _first),
    "rows": _Arranged("rows:A-B:SOURCE, from row A (0 is the first) to before B", _ROWS, _rows),
    "only": _Arranged("only:ID:SOURCE", re.compile(".+", re.DOTALL), _only),
    "gold": _Arranged("gold:SOURCE", None, _gold),
    "placed": _Arranged(
        "placed:N@P:SOURCE (N paragraphs, gold from place P on) or placed:N~SEED:SOURCE",
        _PLACED,
        _placed,
    ),
    "shift": _Arranged("shift:SOURCE", None, _shift),
    "mixed": _Arranged("mixed:SHARE:SOURCE, 0 to 1", _SHARE, _mixed),
}


def _mix(parts: Sequence[str], load: Load) -> Examples:
    """A question of each source in turn, while they last."""
    labels = [_label(part) for part in parts]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise DataError(f"mix: two sources are called {min(twice)!r}; their questions' ids collide")
    loaded = [load(part) for part in parts]
    columns = [[(source, row) for row in range(len(one))] for source, one in enumerate(loaded)]
    order = [place for turn in zip_longest(*columns) for place in turn if place is not None]
    ids = [f"{labels[source]}/{loaded[source].ids[row]}" for source, row in order]

    def at(place: int) -> Example:
        source, row = order[place]
        one = loaded[source][row]
        return replace(one, task=replace(one.task, id=ids[place]))

    return Examples(ids, at)


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
