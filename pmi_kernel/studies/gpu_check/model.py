"""The model that is checked with: the embedded one, or a random one made on the spot."""

import inspect
from pathlib import Path

from pmi_kernel.engines.models import EMBEDDED, resolve_model

_VOCABULARY = 1024
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def find_model(folder: Path, *, is_small: bool) -> tuple[str, str]:
    """Return a model as engines name it, and what it is in words.

    Args:
        folder: Where a random model is written, if one is made.
        is_small: Make the smallest one, for a CPU.
    """
    why = "a small one was asked for"
    if not is_small:
        try:
            return str(resolve_model(EMBEDDED)), f"the embedded model, {EMBEDDED}"
        except Exception as error:
            why = f"the embedded one cannot be had: {type(error).__name__}: {error}"
    make_llama(folder, is_small=is_small)
    shape = "tiny" if is_small else f"the shape of {EMBEDDED}, but for the vocabulary"
    return str(folder), f"a random Llama ({shape}): {why}"


def make_llama(folder: Path, *, is_small: bool) -> None:
    """Write a Llama with random weights and a byte-level tokenizer trained on our own prompts.

    Args:
        folder: Where.
        is_small: Two narrow blocks, or the shape of SmolLM2-135M.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from pmi_kernel.prompting import shots
    from pmi_kernel.systems.pmi import prompts
    from pmi_kernel.systems.pmi.recipes import paraphrase, qa

    text = "".join(map(inspect.getsource, (shots, prompts, qa, paraphrase)))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_train_tokenizer(text),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        chat_template=_TEMPLATE,
    )
    width = 64 if is_small else 576
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=width,
        intermediate_size=128 if is_small else 1536,
        num_hidden_layers=2 if is_small else 30,
        num_attention_heads=2 if is_small else 9,
        num_key_value_heads=1 if is_small else 3,
        max_position_embeddings=32768,
        initializer_range=0.8 / width**0.5,  # lower: all tokens alike; higher: rounding grows
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _train_tokenizer(text: str) -> object:
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Decoder()
    trainer = BpeTrainer(
        vocab_size=_VOCABULARY - 8,  # as in real models, the embedding has rows to spare
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer
