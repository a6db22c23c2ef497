"""The error model.

A bad episode is data, not a crash: a model that breaks the protocol ends its episode with an
`EndReason`. What the user can mend is a `PmiError`, whose message names the value, where it came
from and what to do; the CLI prints it without a traceback. Wrong arguments from code are
`ValueError`; broken invariants are `assert`.
"""

from collections.abc import Mapping


class PmiError(Exception):
    """Something the user can mend; the message says what and how."""


class DataError(PmiError):
    """A data file that cannot be used; names the file, the record and the field."""


class ConfigError(PmiError):
    """Settings that contradict each other, a run directory, or this machine."""


class SettingsError(ConfigError):
    """Settings of which some are not right; its text has a line for each.

    Args:
        problems: What is wrong, by the name of its setting; an empty name for what has none.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def lines(self, mark: str = "") -> list[str]:
        """Return a line for each setting, its name after the mark, e.g. `--`."""
        return [
            f"{mark}{name}: {problem}" if name else problem
            for name, problem in self.problems.items()
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


class EngineError(PmiError):
    """The engine could not do what an episode asked; the episode stays pending."""


class RestoreError(PmiError):
    """Base scores changed over an episode: the engine cannot be trusted any more."""
