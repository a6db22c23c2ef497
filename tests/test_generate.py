"""`pmi generate`: a causal checkpoint goes on with text."""

import io
import json
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.systems.generating import Drawing, open_generator


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["generate", *words])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def hmst(checkpoints: dict[str, str]) -> str:
    return checkpoints["hmst"]


def test_text_comes_in_pieces_that_make_the_whole_and_repeats(hmst: str) -> None:
    generator = open_generator("hmst", hmst, "cpu")
    pieces: list[str] = []
    drawing = Drawing(max_length=12)
    found = generator.go_on("Ada Brook played", drawing, pieces.append)
    assert "".join(pieces) == found.text
    assert 0 < found.new_tokens <= 12
    assert 0 < found.first_s <= found.seconds_s
    assert generator.go_on("Ada Brook played", drawing).text == found.text
    texts = {generator.go_on("Ada", drawing.but(seed=seed)).text for seed in range(4)}
    assert len(texts) > 1
    greedy = {generator.go_on("Ada", drawing.but(temperature=0, seed=s)).text for s in range(3)}
    assert len(greedy) == 1


def test_what_cannot_be_gone_on_with_is_said(hmst: str) -> None:
    generator = open_generator("hmst", hmst, "cpu")
    for prompt, said in (("", "an empty prompt"), ("Ada " * 5_000, "the model takes")):
        with pytest.raises(EngineError, match=said):
            generator.go_on(prompt, Drawing())
    with pytest.raises(ConfigError, match="no causal model"):
        open_generator("latent_t5", "latent-t5-tiny")
    with pytest.raises(ConfigError, match="there is no such folder"):
        open_generator("hmst", "nowhere")


@pytest.mark.model
@pytest.mark.parametrize(
    ("system", "checkpoint"), [("scratchpad", "sft-smollm2"), ("regrad", "regrad-smollm2")]
)
def test_a_lora_goes_on_by_its_model(system: str, checkpoint: str) -> None:
    generator = open_generator(system, checkpoint, "cpu")
    found = generator.go_on("The capital of France is", Drawing(max_length=3, temperature=0))
    assert "Paris" in found.text


def test_a_prompt_and_a_file_of_them(
    hmst: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--max_length", "4", "--device", "cpu")
    assert pmi(hmst, "--prompt", "Ada Brook", *few) == 0
    said = capsys.readouterr().out
    assert "a second, first after" in said
    asked, made = tmp_path / "prompts.txt", tmp_path / "results.txt"
    asked.write_text(f"Ada Brook\n\n{'Ada ' * 5_000}\nCole Dunn\n", encoding="utf-8")
    assert pmi(hmst, "--input", str(asked), "--output", str(made), *few) == 1
    rows = [json.loads(line) for line in made.read_text(encoding="utf-8").splitlines()]
    assert [row["prompt"][:9] for row in rows] == ["Ada Brook", "Ada Ada A", "Cole Dunn"]
    assert set(rows[0]) >= {"text", "tokens_per_s", "first_token_s", "latency_s"}
    assert "the model takes" in rows[1]["error"]
    assert "3 prompts" in capsys.readouterr().out


def test_what_is_typed(
    hmst: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [
        "stats", "set temperature 0", "set temperature hot", "set colour red", "set", "",
        "Ada Brook", "stats", "help", "quit", "never read",
    ]  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(typed)))
    assert pmi(hmst, "--max_length", "3", "--device", "cpu") == 0
    out, err = capsys.readouterr()
    assert "nothing was made yet" in out
    assert "temperature is 0.0" in out
    assert "max_length 3, temperature 0.0, top_p 0.9" in out
    assert out.count("first after") == 2
    assert "a prompt that is gone on with" in out
    assert "hot" in err
    assert "set NAME VALUE" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--prompt", "a", "--input", "b"), "exclude each other"),
        (("--prompt", "a", "--output", "b"), "goes with --input"),
        (("--input", "nowhere.txt"), "cannot be read"),
        (("--top_p", "0"), "top_p"),
    ],
)
def test_words_that_do_not_fit(
    hmst: str, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pmi(hmst, *words) == 2
    assert said in capsys.readouterr().err
