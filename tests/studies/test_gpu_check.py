import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from pmi_kernel.studies.gpu_check.report import make_report, verdict, write_report
from pmi_kernel.studies.gpu_check.supervise import Outcome, Result, Supervisor
from pmi_kernel.studies.gpu_check.table import CHECKS, Check, Setting

FAULTY = "tests.faulty_checks"


def check(name: str, limit_s: float = 60.0, needs: tuple[str, ...] = ()) -> Check:
    bounds = {"apart_nats": 1.0}
    return Check(name, name, f"{FAULTY}:{name}", bounds, needs=needs, limit_s=limit_s)


def run(folder: Path, *checks: Check, device: str = "cpu", budget_s: float = 300.0) -> list[Result]:
    found: list[Result] = []
    setting = Setting(device, "none", True, str(folder))
    Supervisor(setting, budget_s=budget_s).run(checks, found.append)
    return found


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_check_that_goes_wrong_is_recorded_and_the_others_go_on(
    tmp_path: Path, device: str
) -> None:
    names = ("good", "raises", "traps", "not_finite", "refuses")
    absent = check("good", needs=("no_such_package",))
    found = run(tmp_path, *(check(name) for name in names), absent, device=device)
    assert [(one.check.name, one.outcome) for one in found[1:]] == [
        ("good", Outcome.PASSED),
        ("raises", Outcome.FAILED),
        ("traps", Outcome.CRASHED),
        ("not_finite", Outcome.FAILED),
        ("refuses", Outcome.SKIPPED),
    ]
    skipped, _, raised, trapped, odd, refused = found
    assert (skipped.outcome, skipped.reason) == (Outcome.SKIPPED, "needs no_such_package")
    assert raised.reason == "RuntimeError: CUDA out of memory"
    assert "Traceback" in raised.log
    assert "SIGILL" in trapped.reason
    assert "apart_nats is None, at most 1.0" in odd.reason
    assert refused.reason == "this machine is too small"
    assert verdict(found) == "failed"


def test_a_check_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    hung, after = run(tmp_path, check("hangs", limit_s=6.0), check("good"))
    assert (hung.outcome, after.outcome) == (Outcome.TIMED_OUT, Outcome.PASSED)
    pids = [int(line.split()[1]) for line in hung.log.splitlines() if line.startswith("pid")]
    assert pids
    assert not any(
        psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        for pid in pids
    )


def test_what_the_budget_does_not_reach_is_skipped(tmp_path: Path) -> None:
    hung, after = run(tmp_path, check("hangs"), check("good"), budget_s=3.0)
    assert (hung.outcome, after.outcome) == (Outcome.SKIPPED, Outcome.SKIPPED)
    assert "no time was left" in hung.reason
    assert "no time was left" in after.reason
    assert verdict([hung, after]) == "nothing run"


def test_the_page_shows_text_as_text(tmp_path: Path) -> None:
    odd = Result(check("raises"), Outcome.FAILED, "<script>alert(1)</script>", {"x_s": None})
    write_report(make_report({"gpu0": "<b>"}, [odd], num_checks=1), tmp_path)
    page = (tmp_path / "gpu_check.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "not finite" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpu_check.html", "gpu_check.json"]


def test_the_dry_check_passes_without_a_compiler_from_a_checkout(
    root: Path, tmp_path: Path
) -> None:
    """But for what starts further processes: `job` and `workers`, which have tests of their own."""
    names = [
        name for name in CHECKS if not name.startswith("vllm") and name not in ("job", "workers")
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pmi_kernel.studies.gpu_check",
            "--dry",
            "--out",
            "out",
            "--only",
            *names,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": str(root),
            "CC": "/no/compiler",
            "CXX": "/no/compiler",
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "gpu_check.json").read_text(encoding="utf-8"))
    assert (report["kind"], report["schema"], report["verdict"]) == ("gpu_check", 1, "passed")
    assert [one["name"] for one in report["checks"]] == names
    for one in report["checks"]:
        assert one["outcome"] == "passed", one
        assert one["bounds"].keys() <= one["measures"].keys()
        assert one["peak_rss_bytes"] > 1e6
    shown = {one["what"] for one in report["headlines"]}
    assert {"swap, inplace", "injections per second, K = 64", "peak main memory"} <= shown
    assert "random Llama" in report["facts"]["model is"]
    page = (tmp_path / "out" / "gpu_check.html").read_text(encoding="utf-8")
    assert "http" not in page
    assert all(name in page for name in names)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is what looks for a GPU")
def test_without_a_gpu_nothing_is_run_and_the_status_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pmi_kernel.studies.gpu_check", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "finds no CUDA device" in done.stdout
    report = json.loads((tmp_path / "out" / "gpu_check.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "nothing run"
