import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!\[; ]", requirement)[0]).lower()


def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(line.count("==") == 1 for line in lines)
    return {name_of(line): line.split("==")[1] for line in lines}


def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def direct(root: Path) -> list[str]:
    return project(root)["dependencies"] + project(root)["optional-dependencies"]["dev"]


def test_every_direct_dependency_has_one_pin(root: Path) -> None:
    assert {name_of(requirement) for requirement in direct(root)} <= set(pins(root))


def test_every_pin_is_in_its_range(root: Path) -> None:
    for requirement in map(Requirement, direct(root)):
        assert pins(root)[name_of(requirement.name)] in requirement.specifier, requirement


def test_conda_users_get_the_same_versions(root: Path) -> None:
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{project(root)['requires-python']}", "pip"]
    *lines, itself = pip["pip"]
    assert itself == "-e ."
    assert {name_of(line): line.split("==")[1] for line in lines} == {
        name_of(requirement): pins(root)[name_of(requirement)] for requirement in direct(root)
    }


def find_python(root: Path, path: Path, *candidates: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", root / ".ci" / "python", *candidates],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
    )


def test_a_python_that_does_not_run_is_passed_over(root: Path, tmp_path: Path) -> None:
    shim = tmp_path / "python3.11"  # as a version manager leaves them
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    (tmp_path / "python3.12").symlink_to(sys.executable)
    assert find_python(root, tmp_path).stdout == "python3.12\n"


def test_no_python_in_the_range_is_one_clear_line(root: Path, tmp_path: Path) -> None:
    found = find_python(root, tmp_path, "python2")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("Python 3.11, 3.12 or 3.13 is needed (tried: python2)")


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_make_takes_the_pythons_that_the_package_takes(
    root: Path, tmp_path: Path, version: str
) -> None:
    major, minor = version.split(".")
    fake = f"import sys; sys.version_info = ({major}, {minor}, 0);"
    (tmp_path / "fake").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "{fake} $2"\n', encoding="utf-8"
    )
    (tmp_path / "fake").chmod(0o755)
    is_taken = find_python(root, tmp_path, "fake").returncode == 0
    assert is_taken == (f"{version}.1" in SpecifierSet(project(root)["requires-python"]))
