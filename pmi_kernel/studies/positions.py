"""The position curve: the same questions with the gold document at one place after the other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems import open_system

PLACES: Mapping[int, tuple[int, ...]] = {
    5: (0, 2, 4),
    10: (0, 4, 9),
    20: (0, 4, 9, 14, 19),
    30: (0, 4, 9, 14, 19, 24, 29),
}
"""Places of the gold document that are usual among so many (Liu et al. 2023, for 10, 20 and 30)."""


def places_of(num_docs: int) -> tuple[int, ...]:
    """Return places of the gold document among so many, the first and the last among them."""
    return PLACES.get(num_docs) or tuple(sorted({0, num_docs // 2, num_docs - 1}))


def run_positions(
    configs: Mapping[str, SystemConfig],
    source: str,
    out: Path,
    *,
    num_docs: Sequence[int],
    places: Sequence[int] = (),
) -> Iterator[Path]:
    """Run each system over the questions with the gold document at each place; yield each run.

    What was run is gone on with: a run that is whole costs nothing. What loads the same is loaded
    once.

    Args:
        configs: Systems, by what their runs are called.
        source: Questions with gold documents, at least as many documents as the most of `num_docs`.
        out: Folder of the runs.
        num_docs: Documents of each question.
        places: Places of the gold document, from 0; by default the usual ones of each number.

    Raises:
        ConfigError: A place is not among the documents, or as `run`.
        DataError: As `run`.
    """
    for count in num_docs:
        if wrong := [place for place in places if not 0 <= place < count]:
            raise ConfigError(f"place {wrong[0]}: of {count} documents the last is {count - 1}")
    loaded: object = None
    before: SystemConfig | None = None
    for name, config in configs.items():
        is_same = before is not None and config.loads() == before.loads()
        system = open_system(config, loaded if is_same else None)
        before, loaded = config, system.loaded
        for count in num_docs:
            for place in places or places_of(count):
                folder = out / f"{name}-{count}-{place}"
                settings = RunSettings(data=f"placed:{count}@{place}:{source}", out=folder)
                run(settings, config, system=system)
                yield folder
