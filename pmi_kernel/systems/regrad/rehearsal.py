"""What a memory must leave alone, as the base model has it: questions and texts of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from pmi_kernel.data.known import well_known
from pmi_kernel.engines.loaded import LoadedModel
from pmi_kernel.lora.training import TrainRow
from pmi_kernel.prompting.messages import Message
from pmi_kernel.systems.regrad.prompts import known_opening, known_prompt

_TEXT_TOKENS = 40
_REPLY_TOKENS = 24
_KNOWN_TOKENS = 8
_TOPICS = (
    "The history of",
    "Once upon a time",
    "In this article, we will",
    "The most important thing about",
    "Scientists have found that",
    "A recipe for",
    "The weather in",
    "She opened the door and",
    "To install the software,",
    "The company announced",
    "Many people believe that",
    "The old man",
    "def ",
    "According to the report,",
    "My favourite",
    "During the war",
    "The human body",
    "For example,",
    "Water is",
    "Dear Sir or Madam,",
)
_REQUESTS = (
    "Write a sentence about {}.",
    "What is {}?",
    "Tell me something about {}.",
    "Why do people like {}?",
    "Explain {} to a child.",
)
_THINGS = (
    "the sea, summer, music, bread, horses, winter, football, computers, the moon, trees, money, "
    "school, birds, rivers, cooking, the sun, history, bicycles, mathematics, friendship, sleep, "
    "paper, tea, mountains, trains, dreams, gardens, cities, books"
).split(", ")
_ASKING = (
    *("What is", "What is the", "Who", "Where is", "Which", "When", "How many", "In which"),
    *("What does", "What color", "Why", "On which", "What was", "Name"),
)
_ASKED_AT = 0.7
"""The temperature at which questions are drawn; at 1 a small model asks nonsense."""
_BATCH = 128


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsed:
    """A text whose last part is as the base model has it.

    Attributes:
        text: Its tokens; those after `num_given` are rehearsed.
        hidden: What the base model's output layer gets at the places before them.
    """

    text: TrainRow
    hidden: Float[Tensor, "tokens hidden"]


def rehearsal(loaded: LoadedModel, num_texts: int, seed: int) -> list[Rehearsed]:
    """Return what is rehearsed: well-known questions as the model answers them, and texts.

    The texts are drawn from the model itself: a third goes on from a few words and a third replies
    to a request, at temperature 1; a third asks a question and answers it, at a lower one. What
    holds a well-known question that is not to be rehearsed is left out.

    Args:
        loaded: The base model.
        num_texts: How many texts are drawn.
        seed: Seeds the draws.
    """
    chat, draw = loaded.chat, Random(f"rehearsal/{seed}")
    known = [chat.render(known_prompt(one.question)) for one in well_known(is_rehearsed=True)]
    rows = continued(loaded, known, _KNOWN_TOKENS)
    texts: list[tuple[int, ...]] = []
    replies: list[tuple[int, ...]] = []
    asked: list[tuple[int, ...]] = []
    for number in range(num_texts):
        if number % 3 == 0:
            texts.append((*chat.start_ids, *chat.encode(draw.choice(_TOPICS))))
        elif number % 3 == 1:
            request = draw.choice(_REQUESTS).format(draw.choice(_THINGS))
            replies.append(chat.render((Message("user", request),)))
        else:
            asked.append(chat.render(known_opening(draw.choice(_ASKING))))
    generator = torch.Generator().manual_seed(seed)
    drawn = continued(loaded, texts, _TEXT_TOKENS, generator)
    drawn += continued(loaded, replies, _REPLY_TOKENS, generator)
    drawn += continued(loaded, asked, _REPLY_TOKENS, generator, temperature=_ASKED_AT)
    kept = [one.question for one in well_known(is_rehearsed=False)]
    told = [chat.decode(row.text.token_ids) for row in drawn]
    return rows + [
        row
        for row, text in zip(drawn, told, strict=True)
        if not any(question in text for question in kept)
    ]


@torch.no_grad()
def continued(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    num_tokens: int,
    generator: torch.Generator | None = None,
    *,
    temperature: float = 1.0,
) -> list[Rehearsed]:
    """Return prompts with so many tokens more, up to an end token; the prompts are given.

    Args:
        loaded: The base model.
        prompts: Their tokens.
        num_tokens: Most tokens more.
        generator: Draws them; the likeliest where None.
        temperature: At which they are drawn.
    """
    ends = set(loaded.eos_ids)
    done: dict[int, Rehearsed] = {}
    states: list[Tensor] = []
    head = loaded.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, inputs, output: states.append(inputs[0][:, -1]))
    try:
        for same in _equally_long(prompts):
            ids = torch.tensor([list(prompts[place]) for place in same], device=loaded.device)
            cache, step = None, ids
            states.clear()
            for _ in range(num_tokens):
                output = loaded.model(
                    input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1
                )
                cache, logits = output.past_key_values, output.logits[:, -1].float().cpu()
                if generator is None:
                    chosen = logits.argmax(-1, keepdim=True)
                else:
                    chosen = torch.multinomial(
                        (logits / temperature).softmax(-1), 1, generator=generator
                    )
                step = chosen.to(loaded.device)
                ids = torch.cat([ids, step], dim=1)
            hidden = torch.stack(states, dim=1)
            for row, (place, tokens) in enumerate(zip(same, ids.tolist(), strict=True)):
                given, last = len(prompts[place]), len(tokens) - 1
                end = next((at for at in range(given, last) if tokens[at] in ends), last) + 1
                text = TrainRow(tuple(tokens[:end]), given)
                done[place] = Rehearsed(text, hidden[row, : end - given].clone())
    finally:
        handle.remove()
    return [done[place] for place in range(len(prompts))]


def _equally_long(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Batches of prompts of one length, so that none needs padding on the left."""
    batches: list[list[int]] = []
    for place in sorted(range(len(prompts)), key=lambda place: len(prompts[place])):
        last = batches[-1] if batches else []
        if not last or len(prompts[last[0]]) != len(prompts[place]) or len(last) == _BATCH:
            batches.append([place])
        else:
            last.append(place)
    return batches
