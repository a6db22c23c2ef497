"""Batch evaluation: a run directory that can be stopped anywhere and gone on with."""

from pmi_kernel.batch.merge import read_results
from pmi_kernel.batch.run import RunOutcome, RunSettings, run

__all__ = ["RunOutcome", "RunSettings", "read_results", "run"]
