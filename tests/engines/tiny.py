"""Tokenizers and models that are made here, small enough to load at once."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pmi_kernel.prompting.shots import SHOTS
from pmi_kernel.systems.pmi.prompts import act_prompt
from pmi_kernel.systems.pmi.recipes.paraphrase import SHOT_SENTENCES

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
_WORDS = (
    "[CLS]{% for m in messages %}[{{ m.role | upper }}]\n{{ m.content.strip() }}[SEP]{% endfor %}"
    "{% if add_generation_prompt %}[ASSISTANT]\n<think>\n\n</think>\n{% endif %}"
)
_TEXT = [m.content for m in act_prompt("", [], shots=3, in_prompt=True)] + [
    text for shot, said in zip(SHOTS, SHOT_SENTENCES, strict=True) for text in (*said, shot.note)
]


def byte_level(**settings: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE with ChatML, as GPT-2's heirs have it."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(_TEXT, trainer)
    known: dict[str, Any] = {"eos_token": "<|im_end|>", "chat_template": CHATML, **settings}
    return PreTrainedTokenizerFast(tokenizer_object=made, **known)


def sentence_piece() -> PreTrainedTokenizerFast:
    """Unigram with a blank before the first word; text could spell its end token by itself."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("``", '"')])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        special_tokens=["<unk>", "<s>", "</s>"],
        unk_token="<unk>",
        show_progress=False,
    )
    made.train_from_iterator(_TEXT, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=_NO_SYSTEM,
    )


def word_piece() -> PreTrainedTokenizerFast:
    """WordPiece in lower case, with control tokens that swallow blanks, or are no special ones."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # type: ignore[call-arg]
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[UNK]", "[CLS]"], show_progress=False
    )
    made.train_from_iterator(_TEXT, trainer)
    roles = ("[SYSTEM]", "[USER]", "[ASSISTANT]")
    made.add_special_tokens([AddedToken(role, rstrip=True) for role in roles])
    made.add_special_tokens([AddedToken("[SEP]", lstrip=True, rstrip=True, normalized=True)])
    made.add_tokens([AddedToken("<think>"), AddedToken("</think>"), AddedToken("  ")])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="[SEP]", unk_token="[UNK]", chat_template=_WORDS
    )


def save_model(folder: Path, tokenizer: PreTrainedTokenizerFast | None = None, **sizes: Any) -> Any:
    """Write a random two-layer Llama with its tokenizer into a folder; return the model."""
    tokenizer = tokenizer or byte_level()
    known: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
        **sizes,
    }
    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **known))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
