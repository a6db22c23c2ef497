"""What is long is started only where its questions are named, or by `--yes`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pmi_kernel.cli.terminal import say
from pmi_kernel.core.settings import Settings


class Consent(Settings):
    """What is asked of the command alone."""

    yes: bool = False
    """Start with the default questions, where no data is named."""


def is_given(words: Sequence[str], consent: Consent, *begun: Path) -> bool:
    """Return whether to start: the words name the questions, or say yes, or it was begun before.

    Args:
        words: Of the command line.
        consent: What they come to.
        begun: What is there once it was begun, one or another.
    """
    is_named = any(word.partition("=")[0] == "--data" for word in words)
    try:
        return is_named or consent.yes or any(path.exists() for path in begun)
    except OSError:  # it cannot be a folder, which whoever makes it will say
        return False


def refuse(would_run: Mapping[str, str]) -> int:
    """Say what a command that names no data would run, and how it is told to; return the status."""
    width = max(map(len, would_run))
    lines = [
        "pmi: nothing was started, as no data is named; this would run:",
        *(f"  {name:{width}}  {fact}" for name, fact in would_run.items()),
        "name the questions with --data (sample, hotpotqa, a file, world:...), or start it as "
        "it is with --yes",
    ]
    say("\n".join(lines), is_error=True)
    return 2
