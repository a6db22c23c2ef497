"""How much is read of a data file: enough for any corpus we know of, and not what fills a disk."""

import os
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pmi_kernel.core.errors import ConfigError

_PREFIX = "PMI_DATA_MAX_"


class DataLimits(BaseModel):
    """The most that is read of a data file; `$PMI_DATA_MAX_MB` and so on raise them.

    They are no flags: they change no result, hold for notebooks and workers alike, and have no
    place in a run's record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    mb: Annotated[int, Field(ge=1)] = 1_024
    """Size of the file, unpacked, in 10^6 bytes (HotpotQA's train file has 566)."""
    records: Annotated[int, Field(ge=1)] = 1_000_000
    """Records of the file (HotpotQA's train file has 90,447)."""
    record_mb: Annotated[int, Field(ge=1)] = 16
    """Size of one record, in 10^6 bytes."""
    paragraphs: Annotated[int, Field(ge=1)] = 2_000
    """Paragraphs of one record."""
    sentences: Annotated[int, Field(ge=1)] = 100_000
    """Sentences of one record's paragraphs together."""

    @classmethod
    def from_environment(cls) -> Self:
        """Return the limits, each as its environment variable has it, or as by default.

        Raises:
            ConfigError: A variable is not a number of 1 or more.
        """
        names = {name: _PREFIX + name.upper() for name in cls.model_fields}
        given = {field: os.environ[name] for field, name in names.items() if name in os.environ}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0])
            raise ConfigError(f"${names[field]} is {given[field]!r}: {first['msg']}") from None

    def over(self, field: str) -> str:
        """Return what to say where a limit is passed: what it is, and how to raise it."""
        value = getattr(self, field)
        return f"more than {value:,} {_UNITS[field]}; ${_PREFIX}{field.upper()} raises the limit"


_UNITS = {
    "mb": "MB unpacked",
    "records": "records",
    "record_mb": "MB in one record",
    "paragraphs": "paragraphs in one record",
    "sentences": "sentences in one record",
}
