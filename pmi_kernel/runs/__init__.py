"""Batch evaluation: a run directory that can be stopped anywhere and gone on with."""

from pmi_kernel.runs.background import launch
from pmi_kernel.runs.merge import read_results
from pmi_kernel.runs.run import RunOutcome
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.runs.supervise import run, supervise

__all__ = ["RunOutcome", "RunSettings", "launch", "read_results", "run", "supervise"]
