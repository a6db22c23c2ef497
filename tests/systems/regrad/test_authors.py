"""The files and names that the authors train with."""

import json
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.data.derived import DOMAINS
from pmi_kernel.systems.regrad.authors import borrowed
from pmi_kernel.systems.regrad.training import RegradTraining
from pmi_kernel.training.record import RECORD
from tests.data.test_derived import with_passages

PEFT = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "inference_mode": False,
    "r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0,
    "target_modules": ["gate_proj", "up_proj", "down_proj"],
    "layers_to_transform": [8, 9, 10, 11, 12, 13, 14, 15],
}
TRAIN_ARGS = {
    "meta_batch_size": 16,
    "meta_lr": 4e-4,
    "num_epochs": 1,
    "logging_steps": 40,
    "eval_steps": 1000,
    "do_eval": True,
    "save_best": True,
    "num_samples_for_eval": 300,
    "eval_only_loss": False,
    "train_with_only_related": False,
    "eval_with_only_related": False,
    "mixed_precision": "bf16",
    "lr_scheduler": "LinearLR",
    "max_context_len": 1536,
}
GENERATION = {"max_new_tokens": 20, "do_sample": False}
LEARNER = {
    "base_model_name_or_path": "meta-llama/Llama-3.2-1B-Instruct",
    "init_alpha": 0.01,
    "alpha_mode": "tie",
    "use_simple_prompt": False,
    "load_dtype": "auto",
}
ALL = {
    "peft_config_file": PEFT,
    "train_args_file": TRAIN_ARGS,
    "generation_config_file": GENERATION,
    "learner_config_file": LEARNER,
}


def files(folder: Path, **changes: dict[str, object]) -> dict[str, str]:
    """The four files, with fields that are others."""
    given = {}
    for name, fields in ALL.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps({**fields, **changes.get(name, {})}))
        given[name] = str(path)
    return given


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def test_the_files_stand_for_settings(tmp_path: Path) -> None:
    found = borrowed({**files(tmp_path), "domain": "general"})
    learner = {name: found[name] for name in RegradTraining.model_fields if name in found}
    config = RegradTraining(**learner)  # type: ignore[arg-type]
    assert (config.model, config.dtype) == ("meta-llama/Llama-3.2-1B-Instruct", "auto")
    assert (config.rank, config.scale, config.layers) == (16, 32.0, tuple(range(8, 16)))
    assert config.targets == ("gate_proj", "up_proj", "down_proj")
    assert (config.alpha, config.init_alpha, config.alpha_lr) == ("tie", 0.01, 4e-4)
    assert (config.max_context_len, config.use_simple_prompt) == (1536, False)
    assert config.eval_questions == 4 * 300
    assert config.data == "mix:" + ",".join(
        f"data_aug/{name}/train.json"
        for name in ("2wikimultihopqa", "complexwebquestions", "hotpotqa", "popqa")
    )
    assert (found["batch"], found["lr"], found["schedule"]) == (16, 4e-4, "linear")
    assert (found["weight_decay"], found["clip"], found["warmup"]) == (0.01, 0.5, 0.1)
    assert (found["precision"], found["log_every"], found["eval_every"]) == ("bf16", 40, 1000)


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_a_domain_names_files(domain: str) -> None:
    names = {"domain": domain, "train_set_name": "t", "dev_set_name": "d", "data_aug": "here"}
    found = borrowed(names)
    assert found["data"] == "mix:" + ",".join(f"here/{one}/t.json" for one in DOMAINS[domain])
    assert found["eval_data"] == str(found["data"]).replace("/t.json", "/d.json")


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("peft_config_file", {"rank": 4}, "rank: no such field"),
        ("peft_config_file", {"lora_dropout": 0.1}, "lora_dropout 0.1 is not offered"),
        ("peft_config_file", {"use_dora": True}, "use_dora True is not offered"),
        ("peft_config_file", {"peft_type": "IA3"}, "only LORA"),
        ("train_args_file", {"meta_batchsize": 4}, "meta_batchsize: no such field"),
        ("train_args_file", {"lr_scheduler": "OneCycle"}, "lr_scheduler 'OneCycle' is not"),
        ("train_args_file", {"eval_only_loss": True}, "only false is offered"),
        ("generation_config_file", {"max_tokens": 20}, "max_tokens: no such field"),
        ("generation_config_file", {"do_sample": True}, "decode greedily"),
        ("learner_config_file", {"alpha": "tie"}, "alpha: no such field"),
        ("learner_config_file", {"load_dtype": "fp16"}, "load_dtype 'fp16' is not offered"),
    ],
)
def test_what_means_nothing_here_is_refused_by_name(
    tmp_path: Path, file: str, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        borrowed(files(tmp_path, **{file: changes}))
    assert f"{file}.json" in str(caught.value)


def test_a_file_that_is_none_and_a_name_without_a_domain_are_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('{"meta_lr": ')
    with pytest.raises(ConfigError, match=r"torn\.json: cannot be read"):
        borrowed({"train_args_file": str(tmp_path / "torn.json")})
    with pytest.raises(ConfigError, match="needs --domain"):
        borrowed({"train_set_name": "train"})
    with pytest.raises(ConfigError, match="expected one of general, med, law"):
        borrowed({"domain": "sports"})


def test_their_command_trains(
    tmp_path: Path, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their flags as they are, on files in their layout; again with --overwrite it begins anew."""
    for name in DOMAINS["med"]:
        with_passages(tmp_path / "data_aug" / name / "train.json", 4)
        with_passages(tmp_path / "data_aug" / name / "dev.json", 2, question="Where is it?")
    given = files(
        tmp_path,
        peft_config_file={"r": 4, "layers_to_transform": [1]},
        train_args_file={
            "meta_batch_size": 4,
            "mixed_precision": "no",
            "eval_steps": 1,
            "logging_steps": 1,
            "max_context_len": 24,
        },
        learner_config_file={"base_model_name_or_path": tiny, "load_dtype": "default"},
    )
    # Both data sets ask the same question in this test: of the dev files one is enough.
    with_passages(tmp_path / "data_aug" / "pubmedqa" / "dev.json", 1, question="When was it?")
    with_passages(tmp_path / "data_aug" / "bioasq" / "dev.json", 1, question="Where is it?")
    words = [word for name, path in given.items() for word in (f"--{name}", path)]
    words += ["--output_dir", str(tmp_path / "out"), "--domain", "med", "--train_set_name", "train"]
    words += ["--dev_set_name", "dev", "--data_aug", str(tmp_path / "data_aug")]
    assert pmi("train", "regrad", *words, "--device", "cpu", "--overwrite") == 0
    record = RECORD.read(tmp_path / "out")
    assert record is not None
    assert record["learner"]["layers"] == [1]
    assert record["config"]["batch"] == 4
    capsys.readouterr()
    assert pmi("train", "regrad", *words, "--device", "cpu", "--overwrite") == 0
    rows = (tmp_path / "out" / "train_log.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3]
    other = tmp_path / "data_aug"
    words[words.index("--output_dir") + 1] = str(other)
    assert pmi("train", "regrad", *words, "--overwrite") == 2
    assert "holds no training" in capsys.readouterr().err
    assert (other / "bioasq" / "dev.json").exists()
