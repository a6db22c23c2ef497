"""Settings: small, frozen, checked; they travel to workers, models never do.

A system's config inherits groups of them, so its settings are one flat list, on the command line
too. Each field's description is also its help there.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pmi_kernel.core.errors import SettingsError
from pmi_kernel.core.text import is_text, shown

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What torch, numpy and a serving engine all take."""


class Settings(BaseModel):
    """Frozen settings that refuse unknown names, numbers that are not finite and half characters.

    Every number has a bound on both sides: far beyond what makes sense, and small enough that it
    fails here and not where memory ends.

    Raises:
        SettingsError: Some are not right: names each, what it may be, and what was given.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        str_max_length=10_000,  # with a bound, lone surrogates are refused too
    )

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise SettingsError(_problems(error.errors(), type(self).model_fields)) from None
        for name, value in self:
            if isinstance(value, Path) and not is_text(str(value)):
                folder = shown(str(value))
                raise SettingsError({name: f"the path is not valid text (given {folder})"})

    def but(self, **changes: Any) -> Self:
        """Return the settings with some of them changed, checked like any others."""
        return type(self)(**{**self.model_dump(), **changes})


class SystemConfig(Settings):
    """What every system's config has; a subclass mixes in what it uses."""

    system: ClassVar[str]
    """Name of the system."""
    main: ClassVar[tuple[str, ...]] = ()
    """The settings that a form shows first."""
    places: ClassVar[frozenset[str]] = frozenset()
    """Settings that say where something is kept, and change no answer."""
    interactive: ClassVar[Mapping[str, object]] = {}
    """Settings that are other where one question after the other is asked by hand."""
    before: ClassVar[Mapping[str, object]] = {}
    """What an old record that lacks a setting was made with, where it is not today's default."""

    seed: Seed = 0
    """Seeds every draw: decoding, LoRA initialisation, random, numpy and torch."""
    unparsed: Literal["unknown", "text"] = "unknown"
    """What an output without a whole answer in its tags counts as: unknown (strict, as the protocol
    has it), or its text. Runs under different rules do not compare."""

    @property
    def serves(self) -> str:
        """What answers, in a word or two for a heading; empty where the system's name says it."""
        return ""

    @property
    def learns(self) -> bool:
        """Whether an episode learns something, in the place of which a control can learn."""
        return False

    def loads(self) -> Mapping[str, object]:
        """Return the settings that decide what is loaded; those of equal ones can share it."""
        return {}

    @classmethod
    def recorded(cls, settings: Mapping[str, Any]) -> Self:
        """Return the settings of a record, which may be older than some of today's.

        A setting that it lacks is at its default, or where that was another then, at `before`.

        Raises:
            ConfigError: A setting is not right, or is none of today's.
        """
        return cls(**{**cls.before, **settings})

    def fingerprint(self, *hashes: str) -> str:
        """Return a short hash of the system's name and every setting that is not at its default.

        So a setting that is added later changes no fingerprint; nor do those of `places`.

        Args:
            hashes: What else decides: of the data, and of what is loaded.
        """
        chosen = self.model_dump(mode="json", exclude_defaults=True, exclude=set(self.places))
        text = json.dumps([{"system": self.system, **chosen}, *hashes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def words(settings: Settings) -> list[str]:
    """Return the settings that are not at their defaults as words of the command line."""
    found: list[str] = []
    for name, value in settings.model_dump(mode="json", exclude_defaults=True).items():
        if isinstance(value, bool):
            found.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, list):
            found += [f"--{name}", *map(str, value)]
        else:
            found += [f"--{name}", str(value)]
    return found


def _problems(errors: Sequence[Mapping[str, Any]], fields: Collection[str]) -> dict[str, str]:
    """What is wrong with each setting.

    What is said of several settings together stands beside the first that it names.
    """
    problems: dict[str, str] = {}
    for error in errors:
        problem = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
        if error["loc"]:
            name = str(error["loc"][0])
            said = _SAID.get(error["type"], f"{problem} (given {shown(error['input'])})")
        else:
            name = next((word for word in re.findall(r"\w+", problem) if word in fields), "")
            said = problem
        problems.setdefault(name, said)  # an item's error comes before its list's
    return problems


_SAID = {"extra_forbidden": "there is no such setting", "missing": "it is needed"}
"""What is said of an error where that is not what pydantic says."""


def stable_seed(*parts: object) -> int:
    """Return a seed in [0, 2**63) that depends on the parts alone, on any machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
