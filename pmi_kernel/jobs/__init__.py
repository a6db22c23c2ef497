"""Work in the background: one owner a folder, found again by the folder alone."""

from pmi_kernel.jobs.job import Job, find_jobs, launch

__all__ = ["Job", "find_jobs", "launch"]
