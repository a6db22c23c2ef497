"""`pmi ask`: one question after the other, of one system or of several side by side."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from pmi_kernel.cli.evaluate import INTERRUPTED, system_asked
from pmi_kernel.cli.flags import parse_settings, with_defaults
from pmi_kernel.cli.terminal import hear, say
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.settings import Settings, SystemConfig
from pmi_kernel.core.system import System
from pmi_kernel.core.task import Example, Gold, Task, titled
from pmi_kernel.core.trace import Step, StepKind
from pmi_kernel.systems import SYSTEMS, config_class, open_system

_SHOWN_CHARS = 160
"""Most characters of a document that are shown with a question."""
_STEP_CHARS = 2_000
"""Most characters of a step that are shown."""
_HELP = """next (or an empty line)  the next question of the data
again                    the same question once more
docs                     its documents, whole
gold                     its gold answer
help                     this
quit                     the end
anything else            a question of yours about the same documents"""


class _Asked(Settings):
    """What is asked of the command alone."""

    system: str = "pmi"
    """What answers; each has options of its own."""
    data: str = "sample"
    """Questions and their documents, as in pmi run."""
    question: str = ""
    """Ask this about the first question's documents, and end."""
    against: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Beside it: names of systems, or other settings of the same, as in topk=1,seed=2."""
    limit: Annotated[int, Field(ge=0, le=10**6)] = 0
    """Ask so many questions of the data and end; 0: ask and wait."""


def ask(words: list[str]) -> int:
    """Ask questions one by one."""
    from pmi_kernel.data import load_stream

    name, kind = system_asked(words)
    config, asked = parse_settings(
        {"system": with_defaults(kind, kind.interactive), "asked": _Asked},
        words,
        "ask",
        f"Ask questions one by one. These are the options with --system {name} (one of "
        f"{', '.join(SYSTEMS)}).",
        ("data", "system", "question", "against", "limit", *kind.main[:6]),
    )
    config = kind(**config.model_dump())
    configs = {config.system: config}
    for other in asked.against:
        configs[other] = _other(config, other)
    examples = load_stream(asked.data)
    systems: dict[str, System] = {}
    with ExitStack() as stack:
        try:
            for label, one in configs.items():
                loaded = _loaded(one, systems.values())
                systems[label] = open_system(one, loaded)
                if loaded is None:  # what is shared is closed once
                    stack.callback(systems[label].close)
            return _Session(systems, examples).run(asked.question, asked.limit)
        except KeyboardInterrupt:
            return INTERRUPTED


def _other(config: SystemConfig, told: str) -> SystemConfig:
    """The settings of what stands beside a system: another one's, or its own with changes."""
    if "=" in told:
        pairs = [part.partition("=") for part in told.split(",")]
        return config.but(**{name.strip(): value.strip() for name, _, value in pairs})
    if told not in SYSTEMS:
        raise ConfigError(
            f"--against {told}: neither a system ({', '.join(SYSTEMS)}) nor name=value,..."
        )
    kind = config_class(told)
    changed = {**kind.interactive, **config.model_dump(exclude_defaults=True)}
    return kind(**{name: value for name, value in changed.items() if name in kind.model_fields})


def _loaded(config: SystemConfig, there: Iterable[System]) -> object:
    """What one of the systems has loaded, where this one would load the same."""
    for system in there:
        if config.loads() and system.config.loads() == config.loads():
            return system.loaded
    return None


class _Session:
    """Questions and answers, until the end.

    Args:
        systems: What answers, by what it is called.
        examples: Questions, taken in their order.
    """

    def __init__(self, systems: Mapping[str, System], examples: Sequence[Example]) -> None:
        self._systems, self._examples = systems, examples
        self._place = 0
        self._current = examples[0] if examples else Example(Task("", ""), Gold(()))

    def run(self, question: str, limit: int) -> int:
        """Ask one question, or so many of the data, or whatever is typed; return the exit status.

        Args:
            question: Asked about the first question's documents; empty for none.
            limit: Questions of the data; 0 to wait for what is typed.
        """
        if question:
            return self._asked(self._typed(question))
        if limit:
            return max(self._next() for _ in range(min(limit, len(self._examples))))
        say("type help for what can be said")
        self._next()
        while (line := hear("> ")) is not None:
            match line.strip():
                case "quit" | "exit":
                    break
                case "" | "next":
                    self._next()
                case "again":
                    self._asked(self._current.task)
                case "docs":
                    self._show_documents(whole=True)
                case "gold":
                    say(" / ".join(self._current.gold.answers) or "(not known)")
                case "help":
                    say(_HELP)
                case typed:
                    self._asked(self._typed(typed))
        return 0

    def _typed(self, question: str) -> Task:
        return replace(self._current.task, id="typed", question=question)

    def _next(self) -> int:
        if self._place >= len(self._examples):
            say("these were all; type a question, or quit")
            return 0
        self._current = self._examples[self._place]
        self._place += 1
        say(f"\n[{self._place} of {len(self._examples)}] {self._current.task.question}")
        self._show_documents(whole=False)
        return self._asked(self._current.task)

    def _show_documents(self, *, whole: bool) -> None:
        for number, paragraph in enumerate(self._current.task.context, start=1):
            text = titled(paragraph.title, paragraph.text)
            if not whole:
                text = textwrap.shorten(text, _SHOWN_CHARS, placeholder=" …")
            say(f"  ({number}) {text}")

    def _asked(self, task: Task) -> int:
        """Let each system answer, a step a line; the status is 1 where one of them failed."""
        status = 0
        for label, system in self._systems.items():
            if len(self._systems) > 1:
                say(f"-- {label}")
            try:
                with closing(system.steps(task)) as steps:
                    done = list[Step]()
                    for step in steps:
                        _show(step)
                        done.append(step)
            except EngineError as error:
                say(f"  failed: {error}", is_error=True)
                status = 1
                continue
            say(f"  {_costs(done)}")
        return status


def _show(step: Step) -> None:
    """Print what a step came to."""
    text = step.text or "(empty)"
    if step.kind == StepKind.ANSWER:
        why = step.end_reason.value.replace("_", " ") if step.end_reason else ""
        say(f"  answer: {text}" + ("" if why == "answered" else f" ({why})"))
    else:
        if len(text) > _STEP_CHARS:
            text = f"{text[:_STEP_CHARS]} … ({len(text)} characters)"
        say(textwrap.indent(f"{step.kind.replace('_', ' ')}: {text}", "  "))


def _costs(steps: Sequence[Step]) -> str:
    """Seconds, and tokens in and out, of all steps."""
    sums = {
        suffix: sum(
            value for step in steps for key, value in step.measures.items() if key.endswith(suffix)
        )
        for suffix in ("_prompt_tokens", "_new_tokens", "_s")
    }
    told = f"({sums['_s']:.2f} s"
    if sums["_new_tokens"]:
        told += f", {sums['_prompt_tokens']:g} tokens in, {sums['_new_tokens']:g} out"
    return f"{told})"
