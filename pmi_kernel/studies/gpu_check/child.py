"""Makes checks in a process of their own, one after the other.

`python -m pmi_kernel.studies.gpu_check.child SECONDS FOLDER NAME=MODULE:FUNCTION...`; each check
leaves FOLDER/NAME.json when it is over, whole or not at all, and after so many seconds the process
ends.
"""

import json
import math
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pmi_kernel.engines.models import write_whole
from pmi_kernel.studies.gpu_check.table import Setting, SkippedError


def main(folder: Path, checks: list[str]) -> None:
    """Make the checks."""
    setting = Setting(**json.loads((folder / "setting.json").read_text(encoding="utf-8")))
    for check in checks:
        name, function = check.split("=")
        print(f"--- {name}", flush=True)
        found = made(function, setting)
        write_whole(folder / f"{name}.json", json.dumps(found))


def made(function: str, setting: Setting) -> dict[str, Any]:
    """Return what a function found or why it failed, and the time and memory that it took."""
    found: dict[str, Any] = {"measures": {}, "error": None, "skipped": None}
    start = time.perf_counter()
    try:
        measures = resolve_name(function)(setting)
        found["measures"] = {name: _finite(value) for name, value in measures.items()}
    except SkippedError as skipped:
        found["skipped"] = str(skipped)
    except Exception as error:
        traceback.print_exc()
        found["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    found["seconds_s"] = time.perf_counter() - start
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        found["peak_cuda_bytes"] = sum(
            torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count())
        )
    # Of this process since it began, and of the largest of those that it started.
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    found["peak_rss_bytes"] = max(one.ru_maxrss for one in usage) * 1024
    return found


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    life_s, home, *asked = sys.argv[1:]
    signal.alarm(int(life_s))  # should nobody be left to end it
    main(Path(home), asked)
