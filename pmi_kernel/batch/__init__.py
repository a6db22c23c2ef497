"""Batch evaluation: a run directory that can be stopped anywhere and gone on with."""

from pmi_kernel.batch.merge import read_results
from pmi_kernel.batch.run import RunOutcome, run
from pmi_kernel.batch.settings import RunSettings
from pmi_kernel.batch.supervise import supervise

__all__ = ["RunOutcome", "RunSettings", "read_results", "run", "supervise"]
