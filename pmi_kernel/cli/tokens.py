"""`pmi data tokenize` and `pmi data split`: text for training, once and for all."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError

_Out = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]


def tokenize(words: list[str]) -> int:
    """Write a text as tokens."""

    def arguments(
        input: str, output: _Out, tokenizer_path: str = "", vocab_size: int = 8_192
    ) -> tuple[str, Path, str, int]:
        """Write a text as tokens that are read in place, with the hashes of tokenizer and text.

        Args:
            input: A text file (documents stand apart by blank lines), a JSONL file with a "text" in
                each record, or what --data of pmi run takes.
            output: Folder to write, which is not there yet.
            tokenizer_path: A folder, a Hub name, or smollm2-135m; without it a byte-level BPE is
                trained on the text and saved beside the tokens.
            vocab_size: Most tokens of one that is trained.
        """
        return input, output, tokenizer_path, vocab_size

    source, out, name, vocab_size = parse(arguments, words, "data tokenize")
    from pmi_kernel.data.tokens import documents
    from pmi_kernel.data.tokens import tokenize as write
    from pmi_kernel.engines.loading import read_tokenizer
    from pmi_kernel.training.bpe import train_tokenizer

    if not 300 <= vocab_size <= 1_000_000:
        raise ConfigError(f"--vocab_size is {vocab_size}; expected 300 to 1,000,000")
    tokenizer: Any = (
        read_tokenizer(name) if name else train_tokenizer(documents(source), vocab_size)
    )
    found = write(documents(source), tokenizer, out)
    tokenizer.save_pretrained(out / "tokenizer")
    say(
        f"{out}: {len(found):,} tokens of {found.header['documents']:,} documents in "
        f"{len(found.header['shards'])} file(s), {len(tokenizer):,} kinds of tokens"
    )
    return 0


def split(words: list[str]) -> int:
    """Split a text in two."""

    def arguments(
        input: str, output: _Out, val_split: float = 0.1, seed: int = 0
    ) -> tuple[str, Path, float, int]:
        """Split a text into train.jsonl and val.jsonl, a document being in one of them alone.

        Documents that are the same are on the same side.

        Args:
            input: As in pmi data tokenize.
            output: Folder to write into.
            val_split: Share of the documents that is held out.
            seed: Of the draw.
        """
        return input, output, val_split, seed

    source, out, share, seed = parse(arguments, words, "data split")
    from pmi_kernel.data.tokens import split_documents

    if not 0 < share < 1:
        raise ConfigError(f"--val_split is {share}; expected a share between 0 and 1")
    counts = split_documents(source, out, share, seed)
    for name, count in counts.items():
        say(f"{out / name}: {count:,} documents")
    return 0
