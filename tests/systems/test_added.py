"""Adding a system is adding one folder and one line of the registry."""

import textwrap
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.task import Example
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.systems import SYSTEMS, Entry, config_class, open_system

CONFIG = '''
from typing import ClassVar

from pmi_kernel.core.settings import SystemConfig


class EchoConfig(SystemConfig):
    """Says the question again."""

    system: ClassVar[str] = "echo"

    times: int = 1
    """How often."""
'''

SYSTEM = """
from pmi_kernel.core.trace import EndReason, Step


class Echo:
    loaded, max_concurrency = None, None

    def __init__(self, config, loaded=None):
        self.config = config

    def steps(self, task):
        yield Step("answer", task.question * self.config.times, end_reason=EndReason.ANSWERED)

    def describe(self):
        return {}

    def close(self):
        pass
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "echo_system"
    folder.mkdir()
    for name, text in (("__init__", ""), ("config", CONFIG), ("system", SYSTEM)):
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    entry = Entry("echo_system.config:EchoConfig", "echo_system.system:Echo")
    monkeypatch.setitem(SYSTEMS, "echo", entry)


@pytest.mark.usefixtures("added")
def test_a_folder_and_a_line_are_a_system(sample: list[Example]) -> None:
    config = config_class("echo")(times=2)  # type: ignore[call-arg]
    trace = Episode(open_system(config), sample[0]).run()
    assert (trace.system, trace.prediction) == ("echo", 2 * sample[0].task.question)


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize("flag", ["--probe", "--verify_restore"])
def test_what_it_cannot_is_refused_before_the_first_episode(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pmi_kernel.core.errors import ConfigError
    from pmi_kernel.runs import RunSettings, run

    settings = RunSettings(out=tmp_path / "run", **{flag.removeprefix("--"): True})
    with pytest.raises(ConfigError, match="echo cannot be asked outside an episode"):
        run(settings, config_class("echo")(times=2))  # type: ignore[call-arg]
    assert not list((tmp_path / "run").glob("eval_results*.jsonl"))


@pytest.mark.usefixtures("added")
def test_its_settings_are_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--system", "echo", "--help"])
    assert ended.value.code == 0
    assert "--times INT" in capsys.readouterr().out
