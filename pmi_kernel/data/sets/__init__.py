"""The registry of data sets, an entry each, by domain."""

from collections.abc import Mapping

from pmi_kernel.core.errors import DataError
from pmi_kernel.data.sets.dataset import SPLITS, DataSet, Split
from pmi_kernel.data.sets.general import GENERAL
from pmi_kernel.data.sets.law import LAW
from pmi_kernel.data.sets.medicine import MEDICINE

__all__ = ["SETS", "DataSet", "Split", "split_named"]

SETS: Mapping[str, DataSet] = {entry.name: entry for entry in (*GENERAL, *MEDICINE, *LAW)}
"""Every public data set by name."""


def split_named(name: str) -> tuple[DataSet, str] | None:
    """Return the set and the split that a name stands for; None where it stands for none.

    `popqa` and `popqa-dev` are the dev split, `hotpotqa-train` is another.

    Raises:
        DataError: The set has no such split.
    """
    for split in SPLITS:
        base = name.removesuffix(f"-{split}")
        if base != name and base in SETS:
            if split not in SETS[base].splits:
                there = ", ".join(SETS[base].splits)
                raise DataError(f"{name}: {base} has no split {split}; it has {there}")
            return SETS[base], split
    return (SETS[name], "dev") if name in SETS else None
