import hashlib
import json
import re
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from pmi_kernel import Job
from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def scripted(out: Path, *words: str) -> int:
    return pmi("run", "--data", "sample", "--engine", "scripted", "--out", str(out), *words)


@pytest.mark.parametrize("style", ["_", "-"])
def test_flags_take_underscores_and_dashes(tmp_path: Path, style: str) -> None:
    flags = [
        "--model", "m", "--max_steps", "3", "--topk", "2", "--max_chars", "900",
        "--train_mem", "--mem_steps", "7", "--mem_lr", "1e-3", "--seed", "5", "--limit", "2",
    ]  # fmt: skip
    words = [w.replace("_", style) if w.startswith("--") else w for w in flags]
    assert scripted(tmp_path / "run", *words) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert (config["max_steps"], config["topk"], config["max_chars"]) == (3, 2, 900)
    assert (config["train_mem"], config["mem_steps"], config["mem_lr"]) == (True, 7, 1e-3)
    assert config["seed"] == 5


@pytest.mark.parametrize("system", ["pmi", "closed_book", "in_context"])
def test_every_system_runs(tmp_path: Path, system: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert scripted(tmp_path / "run", "--system", system, "--limit", "3") == 0
    shown = capsys.readouterr().out
    assert f"{system}: 3 episodes done, 57 pending" in shown
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["num_episodes"] == 3


def test_resume_goes_on_with_the_runs_own_settings(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert scripted(out, "--limit", "2", "--topk", "1", "--train_mem") == 0
    assert pmi("resume", str(out), "--limit", "3") == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["num_episodes"], summary["config"]["topk"]) == (5, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--evidence", "weights"), "needs train_mem"),
        (
            ("run", "--max_steps", "1"),
            "--max_steps: should be greater than or equal to 2 (given 1)",
        ),
        (("run", "--data", "none.json", "--engine", "scripted"), "no such file"),
        (("run", "--system", "closed_book", "--topk", "3"), "topk"),
        (("run", "--system", "magic"), "--system: there is none called magic (pmi, closed_book"),
        (("run", "--data", "sample", "--model", "./none", "--limit", "1"), "no such folder"),
        (("resume", "none"), "holds no run"),
        (("data", "check", "none.json"), "no such file"),
        (("run", "--data", "world:hops=9", "--engine", "scripted"), "hops (1 to 4"),
        (("data", "synth", "--n", "0"), "of 1 to 1,000,000"),
        (("data", "write", "sample", "--out", "x.txt"), "must end in .json"),
        (("data", "fetch", "squad"), "no such data set"),
        (("fly",), "no verb"),
    ],
)
def test_bad_words_are_answered_in_one_message(
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pmi(*words) == 2
    shown = capfd.readouterr()
    assert message in shown.err + shown.out
    assert "Traceback" not in shown.err


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_an_engine_that_is_not_installed_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", "sample", "--engine", "vllm", "--out", str(tmp_path / "run"))
    assert pmi("run", *words, "--limit", "1") == 2
    assert "make install-vllm" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), {"pmi", "sample, 60 of its 60", "smollm2-135m", "none; --train_mem", "runs/latest"}),
        (
            ("--train_mem", "--strategy", "inplace", "--limit", "7", "--out", "x"),
            {"pmi", "sample, 7 of its 60", "yes, by --strategy inplace", "x"},
        ),
        (("--system", "lexical"), {"lexical", "none"}),
    ],
)
def test_a_run_that_names_no_data_starts_nothing_and_says_what_it_would_run(
    words: tuple[str, ...],
    told: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pmi("run", *words) == 2
    assert list(tmp_path.iterdir()) == []
    shown = capsys.readouterr().err
    assert all(f"  {fact}" in shown for fact in told)
    assert "--data" in shown
    assert "--yes" in shown


def test_a_run_that_is_there_names_its_data_and_yes_starts_the_default(tmp_path: Path) -> None:
    words = ("run", "--engine", "scripted", "--limit", "1", "--out", str(tmp_path / "run"))
    assert pmi(*words) == 2
    assert pmi(*words, "--yes") == 0
    assert pmi(*words) == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["num_episodes"] == 2


@pytest.mark.parametrize("verb", ["grid", "study recipes", "study accumulation"])
def test_many_runs_are_started_only_where_their_questions_are_named(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "many"
    assert pmi(*verb.split(), "--engine", "scripted", "--out", str(out)) == 2
    told = capsys.readouterr().err
    assert "nothing was started" in told
    assert str(out) in told
    assert "--yes" in told
    assert not out.exists()


def test_each_setting_that_is_wrong_has_a_line_whichever_group_it_is_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert pmi("run", "--mem_rank", "0", "--limit", "-1", "--topk", "0") == 2
    assert pmi("study", "recipes", "--ranks", "900", "1", "--topk", "0") == 2
    assert pmi("run", "--topk", "many", "--mem_lr", "fast", "--retriever", "magic") == 2
    least = "should be greater than or equal to"
    assert capsys.readouterr().err.splitlines() == [
        f"pmi: --mem_rank: {least} 1 (given 0)",
        f"pmi: --topk: {least} 1 (given 0)",
        f"pmi: --limit: {least} 0 (given -1)",
        "pmi: --ranks: should be less than or equal to 512 (given 900)",
        f"pmi: --topk: {least} 1 (given 0)",
        "pmi: --mem_lr: should be a valid number, unable to parse string as a number "
        "(given 'fast')",
        "pmi: --retriever: should be 'overlap', 'bm25', 'given' or 'corpus' (given 'magic')",
        "pmi: --topk: should be a valid integer, unable to parse string as an integer "
        "(given 'many')",
    ]


def test_the_help_of_a_run_begins_with_what_is_set_most_and_goes_on_by_groups(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert pmi("run", "--help") == 0
    brief = capsys.readouterr().out
    assert pmi("run", "--help_all") == 0
    whole = capsys.readouterr().out
    order = ("--data DATA", "--out FOLDER", "--train_mem", "system options", "--max_steps INT")
    order += ("memory options", "retrieval options", "engine options", "run options", "--probe")
    for shown in (brief, whole):
        places = [shown.index(mark) for mark in order]
        assert places == sorted(places)
    assert "Runs under different" not in brief
    assert "Runs under different" in whole


def test_another_configuration_is_refused_by_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scripted(tmp_path / "run", "--limit", "1") == 0
    assert scripted(tmp_path / "run", "--limit", "1", "--topk", "2") == 2
    assert "topk: 3 there, 2 here" in capsys.readouterr().err


def test_data_is_made_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.jsonl"
    assert pmi("data", "synth", "--n", "10", "--seed", "3", "--out", str(path)) == 0
    assert pmi("data", "check", str(path)) == 0
    assert "10 valid examples, 0 invalid" in capsys.readouterr().out
    path.write_text(path.read_text() + "{}\n")
    assert pmi("data", "check", str(path)) == 1


def test_a_world_is_a_data_source_and_can_be_written(tmp_path: Path) -> None:
    out, path = tmp_path / "run", tmp_path / "made.json"
    assert scripted(out, "--data", "world:hops=2,n=3,seed=4", "--limit", "1") == 0
    assert pmi("resume", str(out)) == 0
    assert pmi("blame", str(out)) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["num_episodes"] == 3
    source = "world:kind=facts,hops=2,n=3,seed=4,paragraphs=10,mentions=named"
    assert summary["data_source"] == source
    assert pmi("data", "write", source, "--out", str(path)) == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() == summary["data"]["sha256"]


def test_help_and_the_bare_command_show_every_verb_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert pmi("--help") == 0
    helped = capsys.readouterr().out
    assert pmi() == 2
    assert capsys.readouterr().err == helped
    shown = re.findall(r"^  (\S+)  +\S", helped, re.M)
    assert len(shown) == len(set(shown))
    assert {verb for verb in shown if pmi(verb, "--help") != 0} == set()
    assert shown[:3] == ["demo", "run", "lab"]
    assert [words.split()[1] for words in re.findall("^ {16}(pmi .*)", helped, re.M)] == shown[:3]


@pytest.mark.parametrize(
    "words", ["run", "grid", "study recipes", "train regrad", "show", "jobs list"]
)
def test_a_usage_has_placeholders(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pmi(*words.split(), "--help") == 0
    shown = capsys.readouterr().out
    assert not re.search(r"\{None\}|\bSTR\b|\bPATH\b", shown)
    assert re.search(r"\bFOLDER\b|\bRUN\b|\bROOT\b", shown)


def test_version_is_the_installed_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert pmi("--version") == 0
    assert capsys.readouterr().out == f"pmi-workbench {version('pmi-workbench')}\n"


def test_the_help_of_the_lab_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert pmi("lab", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: pmi lab [--copy [FOLDER]]")
    assert "pmi lab --no-browser --port=9000" in " ".join(shown.split())


@pytest.mark.parametrize("verb", ["runs", "jobs list"])
def test_an_empty_list_says_where_it_looked_and_what_to_do(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pmi(*verb.split(), str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert f"under {tmp_path};" in shown
    assert f"pmi run --data sample --train_mem --out {tmp_path / 'first'}" in shown
    assert pmi(*verb.split(), str(tmp_path / "none")) == 0
    assert f"under {tmp_path / 'none'}, which is no folder;" in capsys.readouterr().out


def test_a_job_is_known_by_its_folders_name_and_an_absent_one_says_what_to_write(
    tmp_path: Path,
) -> None:
    assert scripted(tmp_path / "run", "--limit", "1") == 0
    assert Job(str(tmp_path / "run")) == Job(tmp_path / "run")
    assert Job(str(tmp_path / "run")).status()["state"] == "done"
    absent = Job(str(tmp_path / "none"))
    assert not absent.is_running
    for use in (absent.status, absent.cancel, absent.resume, lambda: Job.attach(absent.out)):
        with pytest.raises(ConfigError, match=r"none: .*no such folder.*near it are .*run\)"):
            use()


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pmi_kernel.cli"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage: pmi VERB" in done.stderr
