"""What the command line shows of hostile data, to a closed pipe, and of files it cannot use."""

import base64
import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.visible import visible, visible_line

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
HOSTILE = "\x1b[2J\x00\x9b31m\u202egnp.exe\u2066\r<script>alert(1)</script></style>"


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def test_what_steers_is_escaped_and_the_rest_is_as_it_was() -> None:
    assert visible("a\tb\nc é 漢 😀 \\x1b") == "a\tb\nc é 漢 😀 \\x1b"
    assert visible("\x1b[0m\x00\u202e\r\ud800") == r"\x1b[0m\x00\u202e\r\ud800"
    assert visible_line("a\tb\nc") == r"a\tb\nc"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with `data.json` and `run`, and the ids: every text of it is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    ids = [f"{HOSTILE}{number}" for number in range(3)]
    records = [
        {
            "_id": id_,
            "question": f"Who is {HOSTILE}?",
            "answer": f"{HOSTILE} answer",
            "type": f"bridge{HOSTILE}",
            "level": f"hard{HOSTILE}",
            "supporting_facts": [[f"{HOSTILE} title", 0]],
            "context": [[f"{HOSTILE} title", [f"{HOSTILE} sentence."]]],
        }
        for id_ in ids
    ]
    (folder / "data.json").write_text(json.dumps(records))
    words = ["run", "--data", str(folder / "data.json"), "--out", str(folder / "run")]
    assert pmi(*words, "--engine", "scripted", "--train_mem", "--probe") == 0
    return folder, ids


VERBS = {
    "runs": "runs {folder}",
    "jobs": "jobs list {folder}",
    "show": "show {run}",
    "show an episode": "show {run} {id}",
    "show what is not there": "show {run} {id}x",
    "blame": "blame {run}",
    "card": "card {run}",
    "compare": "compare {run} {run} --html {folder}/compare.html",
    "data check": "data check {folder}/data.json",
    "data check of bad data": "data check {folder}/run/{id}",
    "page": "show {run} {id} --html {folder}/page.html",
    "resume": "resume {run}",
    "verb": "{id}",
}


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_in_the_data_steers_the_terminal(
    verb: str, hostile: tuple[Path, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    folder, ids = hostile
    names = {"folder": folder, "run": folder / "run", "id": ids[0]}
    pmi(*(word.format(**names) for word in VERBS[verb].split(" ")))
    shown = capfd.readouterr()
    assert not STEERING.findall(shown.out)
    if verb != "resume":  # its progress bar goes back to the line's beginning
        assert not STEERING.findall(shown.err)
    assert "Traceback" not in shown.err
    if verb in ("show", "show an episode", "blame", "card", "data check", "verb"):
        assert r"\x1b[2J" in shown.out + shown.err


@pytest.mark.parametrize("words", ["show {run} {id} --html {page}", "compare {run} --html {page}"])
def test_nothing_in_the_data_steers_a_page(
    words: str, hostile: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, ids = hostile
    names = {"run": folder / "run", "id": ids[1], "page": tmp_path / "page.html"}
    assert pmi(*(word.format(**names) for word in words.split(" "))) == 0
    page = (tmp_path / "page.html").read_text()
    assert not STEERING.findall(page)
    scripts = re.findall("<script.*?</script>", page, re.DOTALL)
    assert not any("alert(1)" in script for script in scripts)
    hashes = [
        base64.b64encode(hashlib.sha256(script[8:-9].encode()).digest()).decode()
        for script in scripts
    ]
    assert hashes == re.findall("script-src 'sha256-(.*?)'", page)  # its own one or none
    assert "script-src 'unsafe-inline'" not in page
    assert page.count("</style>") == 1
    assert "default-src 'none'" in page


CANNOT = {
    "compare {run} --csv {no}/x.csv": "No such file or directory",
    "compare {run} --html {folder}": "Is a directory",
    "compare {run} --latex {file}/x": "Not a directory",
    "show {run} {id} --html {no}/x.html": "No such file or directory",
    "card {run} --csv {no}/x.csv": "No such file or directory",
    "data synth --n 1 --out {file}/x.json": "File exists",
    "data write sample --out {folder}/x.json": "Is a directory",
    "show {folder}": "no such file of traces",
    "show {no}": "no such file of traces",
    "blame {folder}": "holds no run",
    "card {folder}": "holds no run",
    "run --data sample --engine scripted --limit 1 --out {file}/run": "Not a directory",
}


def first_id(root: Path) -> str:
    line = (root / "runs" / "example" / "eval_results.jsonl").read_text().splitlines()[0]
    return str(json.loads(line)["episode_id"])


@pytest.mark.parametrize("words", CANNOT)
def test_a_file_that_cannot_be_used_is_one_line(
    words: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").mkdir()
    (tmp_path / "file").touch()
    names = {
        "run": root / "runs" / "example",
        "no": tmp_path / "no",
        "folder": tmp_path,
        "file": tmp_path / "file",
        "id": first_id(root),
    }
    assert pmi(*words.format(**names).split(" ")) == 2
    error = capsys.readouterr().err
    last = error.splitlines()[-1]
    assert last.startswith("pmi: ")
    assert CANNOT[words] in last
    assert str(tmp_path) in last
    assert "Traceback" not in error


def test_an_error_of_the_system_that_names_no_file_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(words: list[str]) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("pmi_kernel.cli.look.runs", fails)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["runs"])


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pmi_kernel.cli", *words]


@pytest.mark.parametrize("words", ["show runs/example", "show --help"])
def test_a_reader_that_is_gone_ends_it_quietly(words: str, root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command(*words.split(" ")), cwd=root, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_what_the_terminal_cannot_encode_is_escaped(
    root: Path, hostile: tuple[Path, list[str]]
) -> None:
    done = subprocess.run(
        command("show", str(root / "runs" / "example"), first_id(root)),
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(root)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")
