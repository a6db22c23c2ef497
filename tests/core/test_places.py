"""Where data are found and the commit is taken from, in a source tree."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.places import copy_notebooks, fetched_dir
from pmi_kernel.core.provenance import git_state
from pmi_kernel.data import load_examples, write_examples
from pmi_kernel.data.sets import SETS
from pmi_kernel.data.synth import synthesize

DEV = SETS["hotpotqa"].splits["dev"].file


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    """A copy of the package and its sample, as in a source tree that nobody tracks."""
    skipped = shutil.ignore_patterns("__pycache__", "hotpotqa")
    for name in ("pmi_kernel", "data"):
        shutil.copytree(root / name, tmp_path / "tree" / name, ignore=skipped)
    return tmp_path / "tree"


def say(tree: Path, code: str, **env: str) -> str:
    """Run Python on the package of a source tree and return what it printed."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "HOME": str(tree.parent / "home"), **env},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def git(folder: Path, *words: str) -> str:
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *name, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


STATE = (
    "from pmi_kernel.runs.record import git_state as g; s = g(); print(s['commit'], s['is_dirty'])"
)


def test_the_commit_is_the_source_trees_own(tree: Path) -> None:
    git(tree, "init", "-q")
    git(tree, "commit", "-q", "--allow-empty", "-m", "nothing")
    assert say(tree, STATE) == "None None"
    (tree / ".gitignore").write_text("__pycache__\n", encoding="utf-8")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "all")
    assert say(tree, STATE) == f"{git(tree, 'rev-parse', 'HEAD').strip()} False"
    (tree / "data" / "README.md").write_text("changed", encoding="utf-8")
    assert say(tree, STATE).endswith("True")


@pytest.mark.parametrize("is_tracked", [False, True])
def test_the_commit_of_a_repository_around_it_is_not_ours(tree: Path, is_tracked: bool) -> None:
    git(tree.parent, "init", "-q")
    if is_tracked:
        git(tree.parent, "add", "-A")
    git(tree.parent, "commit", "-q", "--allow-empty", "-m", "theirs")
    assert say(tree, STATE) == "None None"


def test_the_code_has_a_hash_of_its_own(tree: Path) -> None:
    code = "from pmi_kernel.runs.record import git_state; print(git_state()['code_sha256'])"
    found = git_state()["code_sha256"]
    assert say(tree, code) == found
    (tree / "pmi_kernel" / "unused.py").write_text("", encoding="utf-8")
    assert say(tree, code) != found


def test_what_was_fetched_to_a_source_tree_is_found(tree: Path) -> None:
    code = (
        "from pmi_kernel.data import load_examples; print(len(load_examples('hotpotqa')));"
        "from pmi_kernel.core.places import fetched_dir; print(fetched_dir('hotpotqa'))"
    )
    there = tree / "data" / "hotpotqa"
    there.mkdir()
    write_examples(synthesize(3, 1), there / DEV)
    assert say(tree, code).split() == ["3", str(there)]


def test_fetched_data_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pmi_kernel.core.places.resource", lambda name: tmp_path / "tree" / name)
    monkeypatch.delenv("PMI_DATA", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetched_dir("x") == tmp_path / ".local" / "share" / "pmi-workbench" / "x"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert fetched_dir("x") == tmp_path / "data" / "pmi-workbench" / "x"
    monkeypatch.setenv("PMI_DATA", str(tmp_path / "own"))
    (tmp_path / "own" / "hotpotqa").mkdir(parents=True)
    write_examples(synthesize(3, 1), tmp_path / "own" / "hotpotqa" / DEV)
    assert load_examples("hotpotqa") == synthesize(3, 1)


def test_notebooks_are_copied_but_never_over_changed_ones(tmp_path: Path) -> None:
    for _ in range(2):
        copy_notebooks(tmp_path)
    first, second = sorted((tmp_path / "notebooks").iterdir())[:2]
    first.write_text("changed", encoding="utf-8")
    second.unlink()
    with pytest.raises(ConfigError, match=f"{first} would be overwritten"):
        copy_notebooks(tmp_path)
    assert first.read_text(encoding="utf-8") == "changed"
    assert not second.exists()


def test_notebooks_cannot_be_copied_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        copy_notebooks(tmp_path / "file")
