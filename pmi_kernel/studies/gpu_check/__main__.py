"""`python -m pmi_kernel.studies.gpu_check`: needs no more than torch and transformers."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pmi_kernel.studies.gpu_check.report import make_report, verdict, write_report
from pmi_kernel.studies.gpu_check.supervise import Outcome, Result, Supervisor
from pmi_kernel.studies.gpu_check.table import CHECKS, ENGINE, MACHINE, Setting

_STATUS = {"passed": 0, "failed": 1, "nothing run": 2}


def main(words: Sequence[str] | None = None) -> int:
    """Make the checks; returns 0 where all passed, 1 where one did not, 2 where none could be made.

    Checks that are skipped, each with its reason, count neither way.
    """
    arguments = _parse(words)
    missing = [name for name in ENGINE if find_spec(name) is None]
    if missing:
        print(f"gpu-check: nothing can be run; missing: pip install {' '.join(missing)}")
        return _STATUS["nothing run"]
    checks = [CHECKS[name] for name in arguments.only or CHECKS]
    optional = sorted({name for check in checks for name in check.needs if not find_spec(name)})
    if optional:
        print(f"gpu-check: not installed, so some checks are skipped: {', '.join(optional)}")
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    device = "cpu" if arguments.dry else arguments.device
    date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    facts: dict[str, Any] = {"device": device, "date": date}
    results: list[Result] = []

    def note(result: Result) -> None:
        results.append(result)
        results.sort(key=lambda one: [MACHINE, *checks].index(one.check))
        print(f"{result.check.name:18} {result.outcome:10} {result.reason}"[:200], flush=True)
        write_report(make_report(facts, results, num_checks=len(checks)), out)

    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        setting = Setting(device, "", device == "cpu", folder)
        first: list[Result] = []
        Supervisor(setting, budget_s=arguments.budget_s).run([MACHINE], first.append)
        if first[0].outcome is not Outcome.PASSED:
            note(replace(first[0], outcome=Outcome.SKIPPED))
            print(f"gpu-check: nothing can be run; {first[0].reason}")
            return _STATUS["nothing run"]
        facts |= first[0].measures
        setting = replace(setting, model=facts.pop("model"))
        left_s = arguments.budget_s - (time.monotonic() - start)
        Supervisor(setting, budget_s=left_s).run(checks, note)
    found = verdict(results)
    print(f"gpu-check: {found}, in {time.monotonic() - start:.0f} s; see {out}/gpu_check.html")
    return _STATUS[found]


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu-check", description="Every CUDA path against the CPU, and the benchmarks."
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="what is checked")
    parser.add_argument("--dry", action="store_true", help="the CPU, a tiny model, small sizes")
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), help="these checks alone")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu_check"), help="JSON and page")
    parser.add_argument("--budget_s", type=float, default=570.0, help="for all checks together")
    return parser.parse_args(words)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
