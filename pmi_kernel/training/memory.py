"""Memory that is freed is kept for the next step."""

import ctypes
import logging
import platform

log = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt` (malloc.h)."""
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for the life of this process; return whether it does.

    glibc gives large blocks back to the system at once and takes them anew, page by page, at every
    step: of a step on a CPU that can be half of the time. Elsewhere nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    is_kept = bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
    if not is_kept:
        log.warning("the C library takes no advice on memory; steps on a CPU may be slower")
    return is_kept
