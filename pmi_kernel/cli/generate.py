"""`pmi generate`: what a causal checkpoint goes on with, and how fast."""

import json
import sys
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import tyro

from pmi_kernel.cli.evaluate import INTERRUPTED
from pmi_kernel.cli.parsing import OptionalFile, parse
from pmi_kernel.cli.terminal import hear, say
from pmi_kernel.core.errors import ConfigError, EngineError, SettingsError
from pmi_kernel.core.visible import visible

if TYPE_CHECKING:
    from pmi_kernel.systems.generating import Continued, Drawing, TextGenerator

_SET = ("max_length", "temperature", "top_p", "top_k", "seed")
_HELP = f"""set NAME VALUE   {", ".join(_SET)}; set alone shows them
stats            tokens a second, latency and time to the first token so far
help             this
quit             the end
anything else    a prompt that is gone on with"""


def generate(words: list[str]) -> int:
    """Go on with one prompt, a file of them, or whatever is typed."""
    from pmi_kernel.systems.generating import Drawing, open_generator, prompts_of

    def arguments(
        checkpoint: Annotated[str, tyro.conf.Positional],
        drawing: Drawing = Drawing(),
        system: str = "hmst",
        prompt: str = "",
        input: OptionalFile = None,
        output: OptionalFile = None,
        device: str = "auto",
    ) -> int:
        """Go on with text: a prompt, a file of prompts, or whatever is typed.

        Args:
            checkpoint: Of pmi train: a folder, or the name of one that comes with the workbench.
            drawing: How the next token is chosen.
            system: Whose checkpoint it is: hmst, scratchpad or regrad.
            prompt: Go on with this, and end.
            input: Go on with each line of this file, and end.
            output: Write what came of it here, a JSON record a line; else it is printed.
            device: cpu, cuda, cuda:1, ..., or auto: CUDA where there is one.
        """
        if prompt and input:
            raise ConfigError("--prompt and --input exclude each other")
        if output and not input:
            raise ConfigError("--output goes with --input; what one prompt gives is printed")
        prompts = prompts_of(input) if input else []
        session = _Session(open_generator(system, checkpoint, device), drawing)
        if prompt:
            return session.typed(prompt)
        return session.listed(prompts, output) if prompts else session.heard()

    try:
        return int(parse(arguments, words, "generate"))
    except KeyboardInterrupt:
        return INTERRUPTED


class _Session:
    """Prompts and what was made of them, until the end."""

    def __init__(self, generator: "TextGenerator", drawing: "Drawing") -> None:
        self._generator, self._drawing = generator, drawing
        self._made: list[Continued] = []

    def typed(self, prompt: str) -> int:
        """Print what a prompt is gone on with while it is made; 1 where it cannot be."""
        try:
            found = self._generator.go_on(prompt, self._drawing, _show)
        except EngineError as error:
            say(f"failed: {error}", is_error=True)
            return 1
        self._made.append(found)
        say(f"\n  ({_speed([found])})")
        return 0

    def listed(self, prompts: list[str], output: Path | None) -> int:
        """Go on with each prompt; 1 where one of them cannot be gone on with."""
        status = 0
        rows: list[dict[str, object]] = []
        for prompt in prompts:
            try:
                found = self._generator.go_on(prompt, self._drawing)
            except EngineError as error:
                say(f"failed: {prompt[:60]!r}: {error}", is_error=True)
                rows.append({"prompt": prompt, "error": str(error)})
                status = 1
                continue
            self._made.append(found)
            rows.append(
                {
                    "prompt": prompt,
                    "text": found.text,
                    "prompt_tokens": found.prompt_tokens,
                    "new_tokens": found.new_tokens,
                    "tokens_per_s": found.tokens_per_s,
                    "first_token_s": found.first_s,
                    "latency_s": found.seconds_s,
                }
            )
            if output is None:
                say(f"{prompt}{found.text}\n")
        if output is not None:
            lines = (json.dumps(row, ensure_ascii=False) for row in rows)
            output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        say(f"{len(prompts)} prompts" + (f", {_speed(self._made)}" if self._made else ""))
        return status

    def heard(self) -> int:
        """Go on with what is typed, until it ends."""
        say("type a prompt, or help for what else can be said")
        while (line := hear(">>> ")) is not None:
            match line.split():
                case []:
                    continue
                case ["quit" | "exit"]:
                    break
                case ["help"]:
                    say(_HELP)
                case ["stats"]:
                    say(_speed(self._made) if self._made else "nothing was made yet")
                case ["set"]:
                    say(", ".join(f"{name} {getattr(self._drawing, name)}" for name in _SET))
                case ["set", name, value] if name in _SET:
                    self._set(name, value)
                case ["set", *_]:
                    say(f"set NAME VALUE, with a name of {', '.join(_SET)}", is_error=True)
                case _:
                    self.typed(line)
        return 0

    def _set(self, name: str, value: str) -> None:
        try:
            self._drawing = self._drawing.but(**{name: value})
        except SettingsError as error:
            say("\n".join(error.lines("")), is_error=True)
        else:
            say(f"{name} is {getattr(self._drawing, name)}")


def _show(text: str) -> None:
    sys.stdout.write(visible(text))
    sys.stdout.flush()


def _speed(made: "list[Continued]") -> str:
    """Tokens a second, time to the first token and latency: means over what was made."""
    return (
        f"{sum(one.new_tokens for one in made)} tokens, "
        f"{mean(one.tokens_per_s for one in made):.1f} a second, "
        f"first after {mean(one.first_s for one in made):.3f} s, "
        f"{mean(one.seconds_s for one in made):.3f} s in all"
    )
