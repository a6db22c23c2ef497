"""The error model.

A bad episode is data, not a crash: a model that breaks the protocol ends its episode with an
`EndReason`. What the user can mend is a `PmiError`, whose message names the value, where it came
from and what to do; the CLI prints it without a traceback. Wrong arguments from code are
`ValueError`; broken invariants are `assert`.
"""


class PmiError(Exception):
    """Something the user can mend; the message says what and how."""


class DataError(PmiError):
    """A data file that cannot be used; names the file, the record and the field."""


class ConfigError(PmiError):
    """Settings that contradict each other, a run directory, or this machine."""


class EngineError(PmiError):
    """The engine could not do what an episode asked; the episode stays pending."""


class RestoreError(PmiError):
    """Base scores changed over an episode: the engine cannot be trusted any more."""
