"""Text as tokens on disk."""

import gzip
import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.data.tokens import Tokens, documents, split_documents, tokenize
from pmi_kernel.training.bpe import train_tokenizer

TEXTS = [f"Ada Brook played the oboe in {year}, and wrote  notes.\nTwice." for year in range(50)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(TEXTS, 400)


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def written(path: Path) -> Path:
    path.write_text("\n\n".join(TEXTS) + "\n\n\n", encoding="utf-8")
    return path


def test_a_text_comes_back_from_its_tokens(tokenizer: Any, tmp_path: Path) -> None:
    found = tokenize(TEXTS, tokenizer, tmp_path / "out", shard_tokens=100)
    rows = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    whole = list(chain.from_iterable([*row, tokenizer.eos_token_id] for row in rows))
    assert len(found) == len(whole)
    assert found.header["documents"] == len(TEXTS)
    assert len(found.header["shards"]) == -(-len(whole) // 100)
    for start, count in ((0, len(whole)), (95, 10), (99, 1), (100, 250), (len(whole) - 3, 9)):
        assert found.window(start, count).tolist() == whole[start : start + count]
    parts = tokenizer.decode(found.window(0, len(whole))).split("</s>")
    assert [one.strip() for one in parts if one] == TEXTS
    with pytest.raises(IndexError, match="there are"):
        found.window(len(whole), 1)
    assert found.header["dtype"] == "uint16"
    found.check(tokenizer)


def test_another_tokenizer_is_known(tokenizer: Any, tmp_path: Path) -> None:
    found = tokenize(TEXTS, tokenizer, tmp_path / "out")
    with pytest.raises(ConfigError, match="another tokenizer"):
        found.check(train_tokenizer(["other words here"], 400))


def test_the_same_text_has_the_same_hash(tokenizer: Any, tmp_path: Path) -> None:
    hashes = [
        tokenize(texts, tokenizer, tmp_path / str(number)).header["text_sha256"]
        for number, texts in enumerate((TEXTS, iter(TEXTS), TEXTS[:-1], ["ab", "c"], ["a", "bc"]))
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize("harm", ["cut", "gone", "altered", "header"])
def test_what_is_damaged_is_refused(tokenizer: Any, tmp_path: Path, harm: str) -> None:
    out = tmp_path / "out"
    tokenize(TEXTS, tokenizer, out, shard_tokens=100)
    path = out / "tokens-00001.bin"
    match harm:
        case "cut":
            path.write_bytes(path.read_bytes()[:-2])
        case "gone":
            path.unlink()
        case "altered":
            path.write_bytes(b"\x07" * path.stat().st_size)
        case "header":
            (out / "header.json").unlink()
    with pytest.raises(DataError, match=r"not whole|altered|no tokens"):
        Tokens(out).check()


def test_nothing_is_left_where_it_cannot_be_written(tokenizer: Any, tmp_path: Path) -> None:
    def broken() -> Any:
        yield "one"
        raise DataError("the text ends here")

    with pytest.raises(DataError, match="ends here"):
        tokenize(broken(), tokenizer, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    tokenize(TEXTS, tokenizer, tmp_path / "out")
    with pytest.raises(ConfigError, match="there already"):
        tokenize(TEXTS, tokenizer, tmp_path / "out")


def test_documents_are_read_from_any_text(tmp_path: Path) -> None:
    text = written(tmp_path / "a.txt")
    assert list(documents(str(text))) == TEXTS
    packed = tmp_path / "a.txt.gz"
    packed.write_bytes(gzip.compress(text.read_bytes()))
    assert list(documents(str(packed))) == TEXTS
    records = tmp_path / "a.jsonl"
    records.write_text("".join(json.dumps({"text": one}) + "\n" for one in TEXTS))
    assert list(documents(str(records))) == TEXTS
    of_questions = list(documents("world:split=train,n=2,paragraphs=2"))
    assert len(of_questions) == 6


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"\n \n", "no text"),
        ("a.txt", b"one\n\n\xff\xfe\n", "line 3 is not UTF-8"),
        ("a.txt.gz", b"no gzip", "broken gzip"),
        ("a.jsonl", b'{"text": "a"}\n{"other": 1}\n', 'record 2 has no "text"'),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "record 2 is not whole"),
        ("a.jsonl", b"not json\n", "record 1 is not whole"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        list(documents(str(path)))


def test_a_document_is_on_one_side(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    twice = [*TEXTS, *TEXTS]
    source.write_text("".join(json.dumps({"text": one}) + "\n" for one in twice))
    counts = split_documents(str(source), tmp_path / "out", 0.3, seed=1)
    train, val = (set(documents(str(tmp_path / "out" / name))) for name in counts)
    assert not train & val
    assert train | val == set(TEXTS)
    assert sum(counts.values()) == len(twice)
    assert 0.1 < counts["val.jsonl"] / len(twice) < 0.5
    assert split_documents(str(source), tmp_path / "again", 0.3, seed=1) == counts
    with pytest.raises(DataError, match="no document is left"):
        split_documents(str(source), tmp_path / "none", 1e-12, seed=1)
    assert not list((tmp_path / "none").iterdir())


def test_the_commands_do_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = str(written(tmp_path / "train.txt"))
    assert pmi("data", "split", "--input", text, "--output", str(tmp_path / "two")) == 0
    train, out = str(tmp_path / "two/train.jsonl"), tmp_path / "out"
    words = ["--input", train, "--output", str(out), "--vocab_size", "400"]
    assert pmi("data", "tokenize", *words) == 0
    assert "kinds of tokens" in capsys.readouterr().out
    tokens = Tokens(out)
    again = ["--input", train, "--output", str(tmp_path / "more")]
    assert pmi("data", "tokenize", *again, "--tokenizer_path", str(out / "tokenizer")) == 0
    other = Tokens(tmp_path / "more")
    assert np.array_equal(tokens.window(0, 10**6), other.window(0, 10**6))
    capsys.readouterr()
    for wrong, told in (
        (["--tokenizer_path", str(tmp_path)], "no tokenizer can be read"),
        (["--vocab_size", "5"], "300 to"),
    ):
        assert (
            pmi("data", "tokenize", "--input", train, "--output", str(tmp_path / "x"), *wrong) == 2
        )
        assert told in capsys.readouterr().err
