"""Batch evaluation: a run directory that can be stopped anywhere and gone on with."""

from pmi_kernel.runs.merge import read_results
from pmi_kernel.runs.run import RunOutcome, run
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.runs.supervise import supervise

__all__ = ["RunOutcome", "RunSettings", "read_results", "run", "supervise"]
