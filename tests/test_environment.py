import re
import tomllib
from pathlib import Path

import yaml


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!\[; ]", requirement)[0]).lower()


def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text().split()
    assert all(line.count("==") == 1 for line in lines)
    return {name_of(line): line.split("==")[1] for line in lines}


def direct(root: Path) -> list[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + project["optional-dependencies"]["dev"]


def test_every_direct_dependency_has_one_pin(root: Path) -> None:
    assert {name_of(requirement) for requirement in direct(root)} <= set(pins(root))


def test_conda_users_get_the_same_versions(root: Path) -> None:
    environment = yaml.safe_load((root / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == ["python=3.11", "pip"]
    *lines, project = pip["pip"]
    assert project == "-e ."
    assert {name_of(line): line.split("==")[1] for line in lines} == {
        name_of(requirement): pins(root)[name_of(requirement)] for requirement in direct(root)
    }


def test_torch_is_pinned_everywhere(root: Path) -> None:
    assert "torch==2.13.0" in direct(root)
    assert pins(root)["torch"] == "2.13.0"
