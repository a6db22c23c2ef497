"""`pmi data`: fetch, check and invent questions."""

from pathlib import Path
from typing import Annotated

import tyro

from pmi_kernel.cli import terminal
from pmi_kernel.cli.parsing import File, parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.text import shown

_MOST = 1_000_000


def dispatch(words: list[str]) -> int:
    """Fetch, check, invent or write questions."""
    verbs = {
        "fetch": _fetch,
        "check": _check,
        "synth": _synth,
        "write": _write,
    }
    if not words or words[0] not in verbs:
        return terminal.ask_which(
            "data",
            words,
            verbs,
            "usage: pmi data fetch hotpotqa | check SOURCE | synth --n N --seed S --out FILE | "
            "write SOURCE --out FILE\n\nSOURCE is what --data of pmi run takes: sample, hotpotqa, "
            "a file, or e.g. world:hops=3,n=40",
        )
    return verbs[words[0]](words[1:])


def _fetch(words: list[str]) -> int:
    from pmi_kernel.core.errors import DataError
    from pmi_kernel.data.fetch import fetch

    def names(name: Annotated[str, tyro.conf.Positional]) -> str:
        """Download a data set's official files, or go on with a download that broke off.

        Args:
            name: hotpotqa (dev distractor and train).
        """
        return name

    name = parse(names, words, "data fetch")
    if name != "hotpotqa":
        raise DataError(f"{name!r}: only hotpotqa can be fetched")
    for path in fetch():
        say(f"{path}: whole and valid")
    return 0


def _check(words: list[str]) -> int:
    from pmi_kernel.data.check import describe

    def file(file: Annotated[str, tyro.conf.Positional]) -> str:
        """Say what is in a data file and what is wrong with it.

        Args:
            file: A path, sample, hotpotqa, hotpotqa-train, or world: with settings.
        """
        return file

    report = describe(parse(file, words, "data check"))
    say(report.render())
    return 1 if report.problems else 0


def _synth(words: list[str]) -> int:
    from pmi_kernel.data import write_examples
    from pmi_kernel.data.synth import synthesize

    def synth(
        n: int = 60, seed: int = 7, out: File = Path("fictional.json")
    ) -> tuple[int, int, Path]:
        """Invent questions over fictional worlds, in HotpotQA's layout.

        Args:
            n: How many.
            seed: Seeds the worlds; the same seed gives the same questions anywhere.
            out: File to write, .json or .jsonl.
        """
        return n, seed, out

    n, seed, out = parse(synth, words, "data synth")
    if not 1 <= n <= _MOST:
        raise ConfigError(f"data synth needs --n of 1 to {_MOST:,}, and was given {n}")
    _check_writable(out)
    write_examples(synthesize(n, seed), out)
    say(f"{out}: {n} questions (seed {seed})")
    return 0


def _write(words: list[str]) -> int:
    from pmi_kernel.data import load_examples, write_examples

    def write(source: Annotated[str, tyro.conf.Positional], out: File) -> tuple[str, Path]:
        """Write the questions of a data source to a file in HotpotQA's layout.

        Args:
            source: As --data of pmi run, for instance world:hops=3,n=40,mentions=paraphrased.
            out: File to write, .json or .jsonl.
        """
        return source, out

    source, out = parse(write, words, "data write")
    _check_writable(out)
    examples = load_examples(source)
    write_examples(examples, out)
    say(f"{out}: {len(examples)} questions")
    return 0


def _check_writable(out: Path) -> None:
    if out.suffix not in (".json", ".jsonl"):
        raise ConfigError(f"{shown(str(out))}: --out must end in .json or .jsonl")
