"""Runs the checks in child processes, so that none can take the others with it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pmi_kernel
from pmi_kernel.studies.gpu_check.table import Check, Setting

_EXIT_S = 20.0
"""So long may a child take to end once its last check is made."""
_TAIL_CHARS = 4000


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a check.

    Attributes:
        check: Which.
        outcome: How it ended.
        reason: Why, where it did not pass; one line.
        measures: What it measured; null where a number was not finite.
        seconds_s: Its time, without that of starting its process.
        peak_cuda_bytes: Most GPU memory that its process had allocated through torch.
        peak_rss_bytes: Most main memory of its process, or of one that this had started.
        log: The end of what it printed, where it did not pass.
    """

    check: Check
    outcome: Outcome
    reason: str = ""
    measures: Mapping[str, Any] = field(default_factory=dict)
    seconds_s: float = 0.0
    peak_cuda_bytes: int = 0
    peak_rss_bytes: int = 0
    log: str = ""


class Supervisor:
    """Makes checks one after the other, each within its time and all within the budget.

    Args:
        setting: Given to every check.
        budget_s: For all checks together.
    """

    def __init__(self, setting: Setting, *, budget_s: float) -> None:
        self._setting = setting
        self._end = time.monotonic() + budget_s
        self._folder = Path(setting.folder)
        (self._folder / "setting.json").write_text(json.dumps(asdict(setting)), "utf-8")

    def run(self, checks: Sequence[Check], on_result: Callable[[Result], object]) -> None:
        """Make the checks in their order and hand on what became of each."""
        waiting: list[Check] = []
        for check in checks:
            if missing := [name for name in check.needs if find_spec(name) is None]:
                on_result(Result(check, Outcome.SKIPPED, f"needs {', '.join(missing)}"))
            else:
                waiting.append(check)
        # On the CPU checks share a process, as starting one takes longer than many a check; after
        # one that crashed or hung, another process goes on. A GPU's memory and errors outlive them.
        most = len(waiting) if self._setting.device == "cpu" else 1
        while waiting:
            waiting = waiting[self._serve(waiting[:most], on_result) :]

    def _serve(self, checks: Sequence[Check], on_result: Callable[[Result], object]) -> int:
        """Make checks in one process until one ends it; returns how many are dealt with."""
        if self._left_s <= 0:
            on_result(Result(checks[0], Outcome.SKIPPED, "no time was left"))
            return 1
        log = self._folder / f"{checks[0].name}.log"
        life_s = str(int(self._left_s + _EXIT_S) + 1)
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.child", life_s, str(self._folder)]
                + [f"{check.name}={check.function}" for check in checks],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            for number, check in enumerate(checks, start=1):
                result = self._wait(child, check, log)
                on_result(result)
                if result.outcome in (Outcome.CRASHED, Outcome.TIMED_OUT) or self._left_s <= 0:
                    return number
            with suppress(subprocess.TimeoutExpired):
                child.wait(_EXIT_S)
            return len(checks)
        finally:
            _end_session(child)

    def _wait(self, child: "subprocess.Popen[bytes]", check: Check, log: Path) -> Result:
        path, begin = self._folder / f"{check.name}.json", time.monotonic()
        limit_s = min(check.limit_s, self._left_s)
        while time.monotonic() - begin < limit_s:
            is_over = child.poll() is not None
            if path.exists():
                return _judged(check, json.loads(path.read_text(encoding="utf-8")), log)
            if is_over:
                reason = f"its process ended by itself: {_how(child.returncode)}"
                return Result(check, Outcome.CRASHED, reason, log=_tail(log))
            time.sleep(0.05)
        seconds_s = time.monotonic() - begin
        if limit_s < check.limit_s:
            reason = f"cut off after {seconds_s:.0f} s: no time was left"
            return Result(check, Outcome.SKIPPED, reason, seconds_s=seconds_s)
        reason = f"ended after {limit_s:.0f} s, its limit"
        return Result(check, Outcome.TIMED_OUT, reason, seconds_s=seconds_s, log=_tail(log))

    @property
    def _left_s(self) -> float:
        return self._end - time.monotonic()

    def _environment(self) -> dict[str, str]:
        home = str(Path(pmi_kernel.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
        changed = {
            "PYTHONPATH": path,  # the checkout need not be installed
            "PYTHONFAULTHANDLER": "1",
            "HF_HUB_OFFLINE": "1",
            # float32 is to mean float32, whatever the machine's image says.
            "NVIDIA_TF32_OVERRIDE": "0",
            "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "0",
        }
        if self._setting.device == "cpu":
            changed["CUDA_VISIBLE_DEVICES"] = ""
        return os.environ | changed


def _judged(check: Check, found: Mapping[str, Any], log: Path) -> Result:
    measures = found["measures"]
    over = [
        f"{name} is {measures.get(name)}, at most {most} was expected"
        for name, most in check.bounds.items()
        if measures.get(name) is None or not measures[name] <= most
    ]
    if found["skipped"] is not None:
        outcome, reason = Outcome.SKIPPED, found["skipped"]
    elif found["error"] is not None:
        outcome, reason = Outcome.FAILED, found["error"]
    elif over:
        outcome, reason = Outcome.FAILED, "; ".join(over)
    else:
        outcome, reason = Outcome.PASSED, ""
    return Result(
        check,
        outcome,
        reason,
        measures,
        found["seconds_s"],
        found.get("peak_cuda_bytes", 0),
        found["peak_rss_bytes"],
        _tail(log) if outcome is Outcome.FAILED else "",
    )


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _tail(log: Path) -> str:
    return log.read_bytes().decode("utf-8", "replace")[-_TAIL_CHARS:]


def _end_session(child: "subprocess.Popen[bytes]") -> None:
    """End a child and all that it started: workers have process groups of their own."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(entry.name)) == child.pid:
                os.kill(int(entry.name), signal.SIGKILL)
    with suppress(OSError):
        child.kill()
    child.wait()
