"""Settings as flags in groups, so that a help of many is read from the top down."""

import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import field, make_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import tyro
from pydantic import create_model
from pydantic.fields import FieldInfo
from tyro.constructors import PrimitiveConstructorSpec

from pmi_kernel.cli.parsing import parse
from pmi_kernel.core.errors import SettingsError
from pmi_kernel.core.settings import Settings, SystemConfig

_BRIEF_CHARS = 110
"""Most characters that `--help` tells of a flag."""
_SENTENCE = re.compile(r".+?(?<!e\.g)\.(?= [A-Z`(]|$)|.+")


def parse_settings(
    kinds: Mapping[str, type[Settings]],
    words: Sequence[str],
    prog: str,
    about: str,
    first: Sequence[str] = (),
) -> list[Any]:
    """Parse words into settings of each kind.

    Args:
        kinds: What is set, by the name of its group of flags. What a kind mixes in has a group of
            its own, after it.
        words: The words; `--help` is brief, `--help_all` tells all of each flag.
        prog: The verb.
        about: What it does.
        first: The settings whose flags stand first, in this order; what a kind lacks is left out.

    Raises:
        SettingsError: Some are not right; all kinds' are told at once.
    """
    is_brief = not {"--help_all", "--help-all"} & set(words)
    words = ["--help" if word in ("--help_all", "--help-all") else word for word in words]
    groups: dict[str, dict[str, FieldInfo]] = {}
    abouts: dict[str, str] = {}
    for group, kind in kinds.items():
        groups[group] = {}
        for name, info in kind.model_fields.items():
            home = _home(kind, name)
            title = group if home is kind else home.__name__.removesuffix("Config").lower()
            abouts.setdefault(title, home.__doc__ or "")
            groups.setdefault(title, {})[name] = info
    known = {name: info for fields in groups.values() for name, info in fields.items()}
    top = {name: known[name] for name in first if name in known}
    root: list[Any] = _flags(top, is_brief)
    titles = []
    for title, fields in groups.items():
        if rest := {name: info for name, info in fields.items() if name not in top}:
            part = make_dataclass(title, _flags(rest, is_brief), kw_only=True)
            part.__doc__ = abouts[title].splitlines()[0]
            titles.append(f"of_{title}")
            root.append((titles[-1], Annotated[part, tyro.conf.arg(name=title)]))
    target = make_dataclass("Words", root, kw_only=True)
    target.__doc__ = f"{about} --help_all tells more of each option." if is_brief else about
    given = vars(parse(target, words, prog, takes_none=True))
    values = {name: given[name] for name in top}
    for title in titles:
        values |= vars(given[title])
    return _settings(list(kinds.values()), values)


def with_defaults(kind: type[Settings], values: Mapping[str, Any]) -> type[Settings]:
    """Return the same settings with other defaults, those that it has of `values`."""
    changed: dict[str, Any] = {}
    for name, info in kind.model_fields.items():
        if name in values:
            other = copy(info)
            other.default = values[name]
            changed[name] = (info.annotation, other)
    if not changed:
        return kind
    return create_model(kind.__name__, __base__=kind, __doc__=kind.__doc__, **changed)


def without(kind: type[Settings], names: Collection[str]) -> type[Settings]:
    """Return the same settings without some of them."""
    own: dict[str, Any] = {
        name: (info.annotation, info)
        for name, info in kind.model_fields.items()
        if name not in names
    }
    return create_model(kind.__name__, __base__=Settings, __doc__=kind.__doc__, **own)


def _home(kind: type[Settings], name: str) -> type[Settings]:
    """What a setting was mixed in with; the kind itself where it is its own or every system's."""
    bases = (base for base in reversed(kind.__mro__) if issubclass(base, Settings))
    home = next(base for base in bases if name in base.model_fields)
    is_own = issubclass(home, SystemConfig) or home.__name__ == kind.__name__
    return kind if is_own else home


def _flags(fields: Mapping[str, FieldInfo], is_brief: bool) -> list[tuple[str, Any, Any]]:
    """Return settings as a dataclass has its fields."""
    flags = []
    for name, info in fields.items():
        text = " ".join((info.description or "").split())
        if is_brief and (sentence := _SENTENCE.match(text)):
            text = textwrap.shorten(sentence[0], _BRIEF_CHARS, placeholder=" …")
        shown = tyro.conf.arg(help=text, help_behavior_hint=_default)
        kept = field() if info.is_required() else field(default=info.default)
        read = () if info.annotation is bool else (_reader(info, name),)
        flags.append((name, Annotated[info.annotation, shown, *read], kept))
    return flags


def _reader(info: FieldInfo, name: str) -> PrimitiveConstructorSpec[Any]:
    """How a flag's words are read; what is no number stays a word, for the settings to refuse."""
    kinds = get_args(info.annotation)
    kind, is_many = _innermost(info.annotation), get_origin(info.annotation) is tuple

    def read(word: str) -> object:
        if word == "None" and NoneType in kinds:
            return None
        try:
            return kind(word) if kind in (int, float) else word
        except ValueError:
            return word

    words = {int: "INT", float: "FLOAT", Path: "FOLDER", str: name.rpartition("_")[2].upper()}
    metavar = words.get(kind) or f"{{{','.join(get_args(kind))}}}"
    if NoneType in kinds and info.default is not None:
        metavar += "|None"
    return PrimitiveConstructorSpec(
        nargs="*" if is_many else 1,
        metavar=f"[{metavar} ...]" if is_many else metavar,
        instance_from_str=lambda given: tuple(map(read, given)) if is_many else read(given[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [*map(str, value)] if is_many else [str(value)],
    )


def _innermost(kind: Any) -> Any:
    """The type of a value, or of each of several."""
    parts = [part for part in get_args(kind) if part not in (NoneType, Ellipsis)]
    is_outer = get_origin(kind) in (tuple, Annotated) or NoneType in get_args(kind)
    return _innermost(parts[0]) if is_outer else kind


def _default(shown: str) -> str:
    """What is said of a flag's default; nothing where it is off, or empty."""
    return "" if shown in ("None", "False", "''", "") else f"(default {shown})"


def _settings(kinds: Sequence[type[Settings]], values: Mapping[str, Any]) -> list[Any]:
    made: list[Any] = []
    problems: dict[str, str] = {}
    for kind in kinds:
        try:
            made.append(kind(**{name: values[name] for name in kind.model_fields}))
        except SettingsError as error:
            problems |= error.problems
    if problems:
        raise SettingsError(problems)
    return made
