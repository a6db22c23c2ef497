"""What is run, where it goes, and by how many."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import Settings, SystemConfig
from pmi_kernel.data.derived import rows_of


class RunSettings(Settings):
    """What is run and where it goes."""

    data: str = "sample"
    """Questions: sample (embedded), a set (popqa, hotpotqa-train, ...; pmi data list), a file in
    any set's layout, or worlds, e.g. world:hops=3,n=40,seed=1 (see data/README.md)."""
    layout: Annotated[str, Field(max_length=100)] = ""
    """The layout of the data file, or the set that it is of, where its content does not tell."""
    start: Annotated[int | None, Field(ge=0, le=10**9)] = None
    """The first row of the data to take, from 0."""
    end: Annotated[int | None, Field(ge=1, le=10**9)] = None
    """The row of the data to stop before."""
    num_samples: Annotated[int | None, Field(ge=1, le=10**9)] = None
    """Only the first so many questions of the data."""
    shift: bool = False
    """Control: give each question the context of the one before it, in the prompt as well."""
    mixed: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of each context, its last paragraphs, that the next question's first ones replace."""
    out: Path = Path("runs/latest")
    """Run directory; a run that is there already is gone on with."""
    limit: Annotated[int | None, Field(ge=0, le=10**9)] = None
    """Most episodes to run now, counting pending ones only."""
    probe: bool = False
    """Measure around each injection for its report card: answers, gold log-probability,
    rephrasings, unrelated questions, control, drift."""
    verify_restore: bool = False
    """Check after each episode that base scores are bit-equal to those before it."""
    wrong_passage: bool = False
    """Control: inject what another question's first search gave, instead of the episode's own."""
    workers: Annotated[int | None, Field(ge=1, le=1_024)] = None
    """Worker processes; by default one for each device in CUDA_VISIBLE_DEVICES, or one on a CPU."""
    concurrency: Annotated[int, Field(ge=1, le=1_024)] = 1
    """Episodes at once in each worker, each with its own memory in the one engine."""
    launcher: Literal["process", "ray"] = "process"
    """How workers are started: processes of this machine, or actors of a Ray cluster."""

    @field_validator("out", mode="before")
    @classmethod
    def _is_named(cls, out: object) -> object:
        if out == "":
            raise ValueError("an empty path; name a folder")
        return out

    @property
    def source(self) -> str:
        """What is asked, as a data source: the data, arranged as the settings say."""
        source = f"as:{self.layout}:{self.data}" if self.layout else self.data
        source = rows_of(source, self.start, self.end)
        if self.num_samples is not None:
            source = f"first:{self.num_samples}:{source}"
        if self.mixed:
            source = f"mixed:{self.mixed:g}:{source}"
        return f"shift:{source}" if self.shift else source


def check_settings(settings: RunSettings, config: SystemConfig) -> None:
    """Refuse what cannot go together, before anything is loaded.

    Raises:
        ConfigError: `wrong_passage` is asked of a system that learns nothing.
    """
    if settings.wrong_passage and not config.learns:
        raise ConfigError(
            f"wrong_passage is a control of what is learned, and {config.system} learns nothing "
            "with these settings"
        )
