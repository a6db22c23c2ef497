"""Tokenizers of one's own."""

from collections.abc import Iterable
from typing import Any

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def train_tokenizer(texts: Iterable[str], vocab_size: int, *, is_ended: bool = False) -> Any:
    """Return a byte-level BPE trained on texts; digits stand alone, so that numbers can be copied.

    Every word has the blank before it, at the beginning of a text too, so that a name is the same
    tokens wherever it stands. Any text comes back as it was, but for a blank at its beginning.

    Args:
        texts: What it is trained on.
        vocab_size: Most tokens; at least 259 are made.
        is_ended: Whether a text ends with the end token where special tokens are asked for.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Digits(True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if is_ended:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN
    )
