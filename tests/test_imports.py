import os
import subprocess
import sys

HEAVY = ("torch", "transformers", "vllm", "pandas", "numpy", "pydantic", "IPython")


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=True
    )


def test_the_package_imports_nothing_heavy() -> None:
    code = f"import pmi_kernel, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


def test_the_package_imports_in_under_50_ms() -> None:
    def microseconds() -> int:
        lines = run("import pmi_kernel", "-X", "importtime").stderr.splitlines()
        return next(
            int(li.split("|")[1]) for li in lines if li.split("|")[-1].strip() == "pmi_kernel"
        )

    assert min(microseconds() for _ in range(5)) < 50_000


def test_configs_and_data_do_without_torch() -> None:
    code = (
        "import sys, pmi_kernel as p; p.PmiConfig(train_mem=True); p.load_examples('sample');"
        "print('torch' in sys.modules)"
    )
    assert run(code).stdout.strip() == "False"


def test_the_command_line_helps_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pmi_kernel.cli", "run", "--help"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100"},
    )
    assert done.returncode == 0
    assert "--train_mem" in done.stdout
    assert " torch\n" not in done.stderr
