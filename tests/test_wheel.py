"""The wheel, installed into an environment of its own, and used away from the source tree."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pmi_kernel.core.provenance import git_state
from tests.processes import ending_what_starts
from tests.waiting import eventually, within

FROM_THE_TREE = ("pmi_kernel", "widgets", "notebooks", "data/checkpoints", "data/sample")
FROM_THE_TREE += (
    "runs/example",
    "runs/example_study",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
)


def copy_tree(root: Path, to: Path) -> Path:
    """Copy what a wheel is made of, so that building leaves nothing in the source tree."""
    for name in FROM_THE_TREE:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, to / name)
    return to


def call(*words: str | Path, cwd: Path, **env: str) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(words, cwd=cwd, env=environment(**env), capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def environment(**env: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PMI_DATA")} | env


def commit_all(folder: Path) -> str:
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "all"),
    ):
        call("git", *words, cwd=folder)
    return call("git", "rev-parse", "HEAD", cwd=folder).strip()


@pytest.fixture(scope="module")
def home(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, from the running one, everything that it needs."""
    home = tmp_path_factory.mktemp("wheel")
    source = copy_tree(root, home / "source")
    pip = (sys.executable, "-m", "pip", "--quiet")
    build = ("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", home)
    call(*pip, *build, source, cwd=home)
    shutil.rmtree(source)
    venv.create(home / "env", symlinks=True)
    (wheel,) = home.glob("*.whl")
    install = ("--python", home / "env/bin/python", "install", "--no-deps", "--no-index")
    call(*pip, *install, wheel, cwd=home)
    # A folder that a .pth file names is searched, but its own .pth files, the editable install's
    # among them, are not read.
    (site,) = (home / "env").glob("lib/python*/site-packages")
    (site / "needs.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return home / "env"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder in somebody else's git repository."""
    commit_all(tmp_path)
    return tmp_path


def test_a_wheel_runs_what_a_source_tree_runs(home: Path, elsewhere: Path) -> None:
    def pmi(*words: str) -> str:
        return call(home / "bin/pmi", *words, cwd=elsewhere)

    assert "60 valid examples, 0 invalid" in pmi("data", "check", "sample")
    words = "run --data sample --limit 1 --engine scripted --train_mem --out run"
    pmi(*words.split())
    (episode,) = pmi("show", "run").splitlines()
    pmi("show", "run", episode.split()[0], "--html", "episode.html")
    assert "<html" in (elsewhere / "episode.html").read_text(encoding="utf-8")
    assert "2 invented facts" in pmi("demo", "--engine", "scripted", "--facts", "2")
    config = json.loads((elsewhere / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["git"]["commit"] is None
    assert config["git"]["code_sha256"] == git_state()["code_sha256"]


@pytest.mark.slow
@pytest.mark.model
def test_a_wheels_demo_runs_on_the_embedded_model(home: Path, elsewhere: Path) -> None:
    told = call(home / "bin/pmi", "demo", "--facts", "2", cwd=elsewhere)
    assert re.search(r"right before 0, after [012], with another's memory 0", told)


def test_a_wheel_fetches_into_the_users_data(home: Path, elsewhere: Path) -> None:
    code = "from pmi_kernel.core import places as r; print(r.PACKAGE, r.fetched_dir('hotpotqa'))"
    package, folder = call(
        home / "bin/python", "-c", code, cwd=elsewhere, XDG_DATA_HOME=str(elsewhere)
    ).split()
    assert Path(package).is_relative_to(home)
    assert folder == str(elsewhere / "pmi-workbench" / "hotpotqa")


def address(runtime: Path) -> str:
    """Return the address that a server says it has; empty where none does yet."""
    info = next(runtime.glob("jpserver-*.json"), None)
    return json.loads(info.read_text(encoding="utf-8") or "{}").get("url", "") if info else ""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}api") as answer:
            return answer.status == 200
    except (OSError, ValueError):
        return False


@contextmanager
def lab(home: Path, cwd: Path, *words: str) -> Iterator[str]:
    """Start `pmi lab`, yield its address once it is there, and end it."""
    runtime = cwd / "runtime"
    env = {
        "HOME": str(cwd),
        "JUPYTER_TOKEN": "only-a-test",
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTERLAB_DIR": str(Path(sys.prefix) / "share/jupyter/lab"),
    }
    command = [home / "bin/pmi", "lab", *words, "--no-browser", "--ServerApp.port=0"]
    log = cwd / "lab.log"
    with ending_what_starts():
        with log.open("w", encoding="utf-8") as file:
            server = subprocess.Popen(
                command, cwd=cwd, env=environment(**env), stdout=file, stderr=file
            )
        eventually(lambda: server.poll() is not None or answers(address(runtime)), "no answer")
        assert server.poll() is None, log.read_text(encoding="utf-8")[-2000:]
        url = address(runtime)
        yield url
        server.send_signal(signal.SIGTERM)
        server.wait(within(5))
        assert not answers(url)


def test_a_wheels_lab_serves_a_copy_of_the_notebooks(
    home: Path, tmp_path: Path, root: Path
) -> None:
    with lab(home, tmp_path, "--copy", "mine") as url:
        first = "notebooks/00_start_here.ipynb"
        with urllib.request.urlopen(f"{url}files/{first}?token=only-a-test") as answer:
            assert answer.read() == (root / first).read_bytes()
        with urllib.request.urlopen(f"{url}lab/tree/{first}?token=only-a-test") as answer:
            assert b"JupyterLab" in answer.read()
    copies = {path.relative_to(tmp_path / "mine") for path in (tmp_path / "mine").rglob("*.json*")}
    assert Path("runs/example/episode_trace.jsonl") in copies
    assert Path("runs/example_study/study.json") in copies
    assert len(list((tmp_path / "mine/notebooks").iterdir())) == 8


def test_a_lab_without_notebooks_says_how_to_have_them(home: Path, tmp_path: Path) -> None:
    with lab(home, tmp_path) as url, urllib.request.urlopen(f"{url}api") as answer:
        assert answer.status == 200
    assert "`pmi lab --copy FOLDER` brings them" in (tmp_path / "lab.log").read_text(
        encoding="utf-8"
    )
