"""The terminal: the one place where the command line prints."""

import io
import os
import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TextIO

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.text import shown
from pmi_kernel.core.visible import visible

_HUNG_UP = 141
"""Exit status when nobody reads any more: 128 and the signal SIGPIPE, as a shell has it."""


def say(text: str = "", *, is_error: bool = False) -> None:
    """Print lines, with what would steer the terminal escaped.

    Args:
        text: The lines.
        is_error: Whether they go to stderr.
    """
    print(visible(text), file=sys.stderr if is_error else sys.stdout)


def hear(prompt: str) -> str | None:
    """Return a line that is typed, without its end; None at the end of what is typed.

    Args:
        prompt: Stands before it, where somebody types.
    """
    if sys.stdin.isatty():
        print(prompt, end="")
    sys.stdout.flush()
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def ask_which(verb: str, words: Sequence[str], known: Iterable[str], usage: str) -> int:
    """Show a verb's usage where it was not told which of its own verbs is meant.

    Args:
        verb: The verb.
        words: What followed it.
        known: What may follow it.
        usage: What to show.

    Returns:
        The exit status.

    Raises:
        ConfigError: What followed is none of those.
    """
    is_help = bool(words) and words[0] in ("-h", "--help")
    if words and not is_help:
        raise ConfigError(f"there is no pmi {verb} {shown(words[0])}; there are {', '.join(known)}")
    say(usage)
    return 0 if is_help else 2


def nothing_under(root: Path, what: str) -> str:
    """Return why a list is empty: which folder was looked in, and what to do next."""
    there = "" if root.is_dir() else ", which is no folder"
    return (
        f"no {what} under {root.resolve()}{there}; name another folder, or begin with\n"
        f"  pmi run --data sample --train_mem --out {root / 'first'}"
    )


def escape_what_cannot_be_encoded() -> None:
    """Let the streams write any text, whatever their encoding."""
    for stream in _streams():
        stream.reconfigure(errors="backslashreplace")


@contextmanager
def flushed() -> Iterator[None]:
    """Write all that was printed before this is left, whatever happens, so that errors show."""
    try:
        yield
    finally:
        sys.stdout.flush()


def hang_up(error: BrokenPipeError) -> NoReturn:
    """End quietly, as `pmi show ... | head` wants it.

    Raises:
        BrokenPipeError: The same; what was closed is neither stdout nor stderr.
    """
    closed = [stream for stream in _streams() if _is_closed(stream)]
    if not closed:
        raise error
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in closed:  # or Python tells of what is left to be written, at its end
        os.dup2(nowhere, stream.fileno())
    raise SystemExit(_HUNG_UP) from None


def _streams() -> list[io.TextIOWrapper]:
    both: tuple[TextIO, TextIO] = (sys.stdout, sys.stderr)
    return [stream for stream in both if isinstance(stream, io.TextIOWrapper)]


def _is_closed(stream: io.TextIOWrapper) -> bool:
    """Whether the reading end of a pipe is gone."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
