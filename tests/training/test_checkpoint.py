"""A checkpoint is whole, unaltered and one's own, or it is refused by name."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.training import export, fit, read_checkpoint
from tests.training.regression import CONFIG, Regression


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    fit(Regression(), CONFIG.but(steps=12), out, settings={"width": 16})
    return out


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of a whole checkpoint."""
    return Path(shutil.copytree(trained / "step-00000012", tmp_path / "checkpoint"))


def test_a_checkpoint_says_what_made_it(folder: Path) -> None:
    found = read_checkpoint(folder, system="regression")
    assert found.step == 12
    assert found.meta["learner"] == {"width": 16}
    assert found.meta["config"]["lr"] == 0.05
    assert found.meta["facts"] == {"data_sha256": "ab" * 32, "rows": [1, 2]}
    assert {"torch", "pmi-workbench"} <= found.meta["versions"].keys()
    assert not any(path.suffix in (".pt", ".pkl", ".bin") for path in folder.rglob("*"))


def test_a_trainings_folder_stands_for_its_best_checkpoint(trained: Path, tmp_path: Path) -> None:
    best = json.loads((trained / "summary.json").read_text())["best_step"]
    assert read_checkpoint(trained, system="regression").step == best
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    (out / "summary.json").unlink()
    assert read_checkpoint(out, system="regression").step == 12  # the last one


def _edit_meta(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "step": 13}))


def _flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn": (lambda f: (f / "meta.json").unlink(), r"holds no whole checkpoint"),
    "cut": (lambda f: (f / "meta.json").write_text("{"), r"meta\.json is damaged"),
    "edited": (_edit_meta, r"meta\.json was altered"),
    "altered": (_flip, r"model\.safetensors was altered"),
    "state altered": (
        lambda f: (f / "state" / "progress.json").write_text("{}"),
        r"progress\.json was altered",
    ),
    "missing": (lambda f: (f / "model.json").unlink(), r"misses model\.json"),
    "unexpected": (lambda f: (f / "notes.txt").touch(), r"holds the unexpected notes\.txt"),
    "half": (lambda f: f.rename(f.with_name(".checkpoint.partial")), r"holds no whole checkpoint"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_as_it_was_written_is_refused_by_name(folder: Path, name: str) -> None:
    damage, problem = REFUSED[name]
    damage(folder)
    there = folder if folder.exists() else folder.with_name(".checkpoint.partial")
    with pytest.raises(ConfigError, match=problem):
        read_checkpoint(there, system="regression")


def test_another_systems_or_none_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"of the system 'regression', not .* 'hmst'"):
        read_checkpoint(folder, system="hmst")
    with pytest.raises(ConfigError, match="holds no whole checkpoint"):
        read_checkpoint(tmp_path / "nowhere", system="regression")


def test_a_damaged_checkpoint_is_not_gone_on_from(trained: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    _flip(out / "step-00000012")
    with pytest.raises(ConfigError, match=r"step-00000012/model\.safetensors was altered"):
        fit(Regression(), CONFIG.but(steps=12), out, settings={"width": 16})


def test_a_lost_best_one_is_said_and_looked_for_anew(tmp_path: Path) -> None:
    config, said = CONFIG.but(schedule="none", warmup=0, steps=12), list[str]()
    fit(Regression(scores=(1, 0, 5)), config, tmp_path)
    shutil.rmtree(tmp_path / "step-00000006")
    best = fit(Regression(scores=(3, 2)), config.but(steps=24), tmp_path, say=said.append)
    assert best.name == "step-00000024"
    assert any("step-00000006, the best so far, is gone" in line for line in said)


def test_an_export_is_what_was_learned_and_no_more(folder: Path, tmp_path: Path) -> None:
    whole = read_checkpoint(folder, system="regression")
    copy = export(whole, tmp_path / "public")
    names = {path.relative_to(copy.folder).as_posix() for path in copy.folder.rglob("*")}
    assert names == {"meta.json", "model.json", "model.safetensors"}
    assert (copy.sha256, copy.step) == (whole.sha256, 12)
    assert copy.meta["facts"] == whole.meta["facts"]
    learner = Regression()
    learner.load(read_checkpoint(tmp_path / "public", system="regression").folder)
    assert learner.bias != 0
    with pytest.raises(ConfigError, match="is there already"):
        export(whole, tmp_path / "public")


FULL = """
import resource, sys
from pathlib import Path
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.training import fit
from tests.training.regression import CONFIG, Regression

class Growing(Regression):
    def save(self, folder):
        super().save(folder)
        if self.num_updates:
            {write}

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    fit(Growing(), CONFIG, Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "write",
    [
        "(folder / 'x.json').write_bytes(bytes(300_000))",
        "import torch; from safetensors.torch import save_file; "
        "save_file({'x': torch.zeros(100_000)}, folder / 'x.safetensors')",
    ],
)
def test_a_full_disk_leaves_the_checkpoints_before(tmp_path: Path, root: Path, write: str) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", FULL.format(write=write), str(out)],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    )
    assert "step-00000005 cannot be written (" in done.stdout
    assert "too large" in done.stdout.lower()
    assert [path.name for path in out.iterdir() if path.is_dir()] == ["step-00000000"]
    assert read_checkpoint(out, system="regression").step == 0
    fit(Regression(), CONFIG.but(steps=40), out)
    assert read_checkpoint(out / "step-00000040", system="regression").step == 40
