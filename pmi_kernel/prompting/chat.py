"""A tokenizer with its model's own chat template; text from outside never becomes a control token.

Control tokens say who speaks and where a turn ends, so a paragraph that spells one must not yield
it. Two tokenizers see to that: the model's own decodes; its double, in which the control tokens go
by secret names, encodes and guides. Only the template's own text is put under those names.
"""

import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, TokenizersBackend

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.prompting.messages import Message, Prompt

if TYPE_CHECKING:
    from llguidance import LLTokenizer

_PROBE = (
    Message("system", " Be brief.\n"),
    Message("user", "\tWhat is  1 + 1?\n\n"),
    Message("assistant", " It is 2. "),
    Message("user", "And the naïve café's №?"),
)
"""A chat on which the double must agree with the model's own tokenizer."""

_EDGE = "\u2003"
"""A blank around each message's place: where the template strips blanks, it is gone."""


class ChatTokenizer:
    """Renders prompts and turns text to tokens and back.

    A template that marks its turns with plain words, not tokens, has no token to keep apart.

    Args:
        tokenizer: A fast tokenizer with a chat template.
        name: Names the model in messages.

    Attributes:
        start_ids: What the model's own tokenizer puts before a text; most often one token or none.

    Raises:
        ConfigError: The tokenizer is not a fast one, has no chat template, or one that does more
            with a message than to strip it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, name: str) -> None:
        if not isinstance(tokenizer, TokenizersBackend):
            raise ConfigError(f"model {name!r} has no fast tokenizer (tokenizer.json)")
        if not tokenizer.chat_template:
            raise ConfigError(
                f"model {name!r} has no chat template; use an instruction-tuned model, or put a "
                "chat_template.jinja beside its tokenizer"
            )
        self._tokenizer = tokenizer
        nonce = secrets.token_hex(8)
        self._control = _control_tokens(tokenizer)
        self._secret = {text: f"<{nonce}.{token}>" for text, token in self._control.items()}
        self._double = _renamed(tokenizer.backend_tokenizer, self._secret)
        self._spelled = re.compile(_any_of(self._control))
        self._place = re.compile(rf"({_EDGE}?){nonce}:(\d+);({_EDGE}?)")
        self._places = f"{_EDGE}{nonce}:{{}};{_EDGE}"
        self.start_ids = _start_ids(tokenizer)
        try:
            is_same = self.render(_PROBE) == self._whole(_PROBE)
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise ConfigError(f"the chat template of model {name!r} fails: {error}") from error
        if not is_same:
            raise ConfigError(
                f"the chat template of model {name!r} changes what messages say, so outside text "
                "cannot be kept apart from its control tokens; use a template that does not"
            )

    def render(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens of the prompt up to where the assistant's message begins."""
        if prompt[0].role == "text":
            return (*self.start_ids, *self.encode(prompt[0].content))
        try:
            return self.encode(self._fill(prompt))
        except jinja2.TemplateError:  # templates without a system role (Gemma, early Mistral)
            return self.encode(self._fill(_fold_system(prompt)))

    def _fill(self, prompt: Prompt) -> str:
        """The chat as text, with the template's control tokens under their secret names."""

        def content(place: re.Match[str]) -> str:
            text = prompt[int(place[2])].content
            text = text if place[1] else text.lstrip()
            return text if place[3] else text.rstrip()

        return self._place.sub(content, self._frame(prompt))

    def _frame(self, prompt: Prompt, *, is_asking: bool = True) -> str:
        """As `_fill`, with places where the messages' contents go."""
        places = [
            Message(m.role, self._places.format(at) if m.content.strip() else m.content)
            for at, m in enumerate(prompt)
        ]
        text = self._apply(places, is_asking=is_asking)
        return self._spelled.sub(lambda found: self._secret[found[0]], text)

    def _apply(self, chat: Sequence[Message], *, is_asking: bool = True) -> str:
        text = self._tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in chat],
            add_generation_prompt=is_asking,
            tokenize=False,
            enable_thinking=False,
        )
        assert isinstance(text, str)
        return text

    def _whole(self, prompt: Prompt) -> tuple[int, ...]:
        """What the model's own tokenizer makes of the template with the contents in it."""
        try:
            text = self._apply(prompt)
        except jinja2.TemplateError:
            text = self._apply(_fold_system(prompt))
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a plain text: no control token, whatever it says."""
        return tuple(self._double.encode(text, add_special_tokens=False).ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of the tokens, special tokens left out."""
        text = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        assert isinstance(text, str)
        return text

    def pieces(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token."""
        return tuple(self.decode([token]) for token in token_ids)

    @property
    def eos_id(self) -> int | None:
        """The end token: the tokenizer's, else what the template puts after an assistant's turn."""
        eos = self._tokenizer.eos_token_id
        if isinstance(eos, int):
            return eos
        chat = (Message("user", "Hello"), Message("assistant", "Hello"))
        after = self._place.split(self._frame(chat, is_asking=False))[-1].lstrip()
        ends = (i for t, i in self._control.items() if after.startswith(self._secret[t]))
        return next(ends, None)

    def grammar_tokenizer(self, eos_ids: Sequence[int]) -> "LLTokenizer":
        """Return the double as llguidance needs it, which takes a second to make.

        Where a grammar leaves one text only, llguidance tokenises it by itself.

        Raises:
            EngineError: There is no end token, so that nothing guided could end, or llguidance
                does not know tokenizers of this kind.
        """
        from llguidance import LLTokenizer  # only what is guided needs it

        if not eos_ids:
            raise EngineError("guided decoding needs an end token, and this model has none")
        try:
            return LLTokenizer(self._double.to_str(), eos_token=list(eos_ids))
        except ValueError as error:
            raise EngineError(f"decoding cannot be guided with this tokenizer: {error}") from error

    def save(self, folder: Path) -> None:
        """Write the model's own tokenizer, with its chat template, into a folder."""
        self._tokenizer.save_pretrained(folder)

    def save_double(self, folder: Path, eos_ids: Sequence[int]) -> None:
        """Write the double into a folder, for an engine that decodes and guides by itself."""
        ends = [self._double.id_to_token(token) for token in eos_ids[:1]]
        PreTrainedTokenizerFast(
            tokenizer_object=self._double, **({"eos_token": ends[0]} if ends else {})
        ).save_pretrained(folder)


def _start_ids(tokenizer: TokenizersBackend) -> tuple[int, ...]:
    ends = (tokenizer.eos_token_id, tokenizer.sep_token_id)
    return tuple(token for token in tokenizer("").input_ids if token not in ends)


def _control_tokens(tokenizer: TokenizersBackend) -> dict[str, int]:
    """The special tokens, and the added ones that the template writes, by their text."""
    template = str(tokenizer.chat_template)
    return {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special or (token.content.strip() and token.content in template)
    }


def _renamed(tokenizer: Tokenizer, names: Mapping[str, str]) -> Tokenizer:
    """A copy in which some tokens have other names, and so are found under those alone."""
    made: dict[str, Any] = json.loads(tokenizer.to_str())
    made |= {"post_processor": None, "truncation": None, "padding": None}
    for token in made["added_tokens"]:
        if token["content"] in names:
            token |= {"content": names[token["content"]], "special": True}
    model = made["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): at for piece, at in model["vocab"].items()}
    else:  # Unigram
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if "merges" in model:  # a special token may be a word that merges lead to
        model["merges"] = [
            pair for pair in model["merges"] if names.keys().isdisjoint((*pair, "".join(pair)))
        ]
    if "unk_token" in model:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    return Tokenizer.from_str(json.dumps(made))


def _any_of(words: Collection[str]) -> str:
    """A pattern of any of the words, the longest first; none where there are no words."""
    longest_first = sorted(words, key=len, reverse=True)
    return "|".join(map(re.escape, longest_first)) or r"(?!)"


def _fold_system(prompt: Prompt) -> Prompt:
    """The same chat with its system message put at the head of the first user message."""
    if len(prompt) < 2 or prompt[0].role != "system" or prompt[1].role != "user":
        return prompt
    system, first, *rest = prompt
    return (Message("user", f"{system.content}\n\n{first.content}"), *rest)
