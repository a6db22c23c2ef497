"""`pmi data`: list, fetch, check, show, write and invent questions."""

from pathlib import Path
from typing import Annotated

import tyro

from pmi_kernel.cli import augment, terminal, tokens
from pmi_kernel.cli.parsing import File, parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.text import shown

_MOST = 1_000_000

Name = Annotated[str, tyro.conf.Positional]
"""A data source or a set, named without a flag."""
Layout = Annotated[str, tyro.conf.arg(metavar="LAYOUT", help_behavior_hint="")]
Row = Annotated[int | None, tyro.conf.arg(help_behavior_hint="")]


def dispatch(words: list[str]) -> int:
    """List, fetch, check, show, write or invent questions."""
    verbs = {
        "list": _list,
        "fetch": _fetch,
        "check": _check,
        "show": _show,
        "write": _write,
        "synth": _synth,
        "augment": augment.augment,
        "build": augment.build,
        "tokenize": tokens.tokenize,
        "split": tokens.split,
    }
    if not words or words[0] not in verbs:
        return terminal.ask_which(
            "data",
            words,
            verbs,
            "usage: pmi data list [SET] | fetch SET | check SOURCE | show SOURCE | "
            "write SOURCE --out FILE | synth --n N --seed S --out FILE | augment --dataset SOURCE "
            "--output_file FILE | build nq_lim --out FOLDER | "
            "build scratchpad --from SOURCE --out FILE | tokenize --input TEXT --output FOLDER | "
            "split --input TEXT --output FOLDER\n\nSOURCE is what --data of pmi run takes: "
            "sample, a set, a file, or e.g. world:hops=3,n=40",
        )
    return verbs[words[0]](words[1:])


def _list(words: list[str]) -> int:
    from pmi_kernel.data.fetch import set_named
    from pmi_kernel.data.sets import SETS
    from pmi_kernel.data.sets.listing import describe_set, list_sets

    def arguments(name: Annotated[str, tyro.conf.Positional] = "") -> str:
        """List the data sets, or tell all of one.

        Args:
            name: A set; by default all of them.
        """
        return name

    name = parse(arguments, words, "data list")
    say(describe_set(set_named(name)) if name else list_sets(SETS.values()))
    return 0


def _fetch(words: list[str]) -> int:
    from pmi_kernel.data.fetch import fetch, set_named

    def arguments(name: Name) -> str:
        """Download a set's official files, or go on with a download that broke off.

        Where a person has to accept terms or click, say what to get and where to put it; once it is
        there, check it.

        Args:
            name: A set, as pmi data list has it.
        """
        return name

    for path in fetch(set_named(parse(arguments, words, "data fetch")), say=say):
        say(f"{path}: whole and valid")
    return 0


def _check(words: list[str]) -> int:
    from pmi_kernel.data.check import describe

    def arguments(source: Name, layout: Layout = "", start: Row = None, end: Row = None) -> str:
        """Say what is in a data source, in which layout, and what is wrong with it.

        Args:
            source: A path, a set, sample, or world: with settings.
            layout: The file's layout, or the set that it is of, where its content does not tell.
            start: The first row to take, from 0.
            end: The row to stop before.
        """
        return _arranged(source, layout, start, end)

    report = describe(parse(arguments, words, "data check"))
    say(report.render())
    return 1 if report.problems else 0


def _show(words: list[str]) -> int:
    from pmi_kernel.data import load_stream
    from pmi_kernel.data.show import render_example

    def arguments(
        source: Name, n: int = 3, layout: Layout = "", start: Row = None, end: Row = None
    ) -> tuple[str, int]:
        """Show questions with their answers, options and paragraphs.

        Args:
            source: A path, a set, sample, or world: with settings.
            n: How many.
            layout: The file's layout, or the set that it is of, where its content does not tell.
            start: The first row to take, from 0.
            end: The row to stop before.
        """
        return _arranged(source, layout, start, end), n

    source, n = parse(arguments, words, "data show")
    if n < 1:
        raise ConfigError(f"data show needs --n of 1 or more, and was given {n}")
    say("\n\n".join(map(render_example, load_stream(source)[:n])))
    return 0


def _write(words: list[str]) -> int:
    from pmi_kernel.data import load_data, write_examples
    from pmi_kernel.data.layouts import LAYOUTS

    def arguments(source: Name, out: File, layout: Layout = "") -> tuple[str, Path, str]:
        """Write the questions of a data source to a file, in any layout.

        Args:
            source: As --data of pmi run, for instance world:hops=3,n=40,mentions=paraphrased.
            out: File to write: .json, .jsonl or .tsv, maybe with .gz.
            layout: The layout; by default HotpotQA's, or where that would lose something our own.
        """
        return source, out, layout

    source, out, layout = parse(arguments, words, "data write")
    _check_writable(out)
    if layout and layout not in LAYOUTS:
        raise ConfigError(f"--layout is {shown(layout)}: no such layout ({', '.join(LAYOUTS)})")
    examples = load_data(source).examples
    write_examples(examples, out, layout)
    say(f"{out}: {len(examples)} questions")
    return 0


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


def _arranged(source: str, layout: str, start: int | None, end: int | None) -> str:
    from pmi_kernel.data.derived import rows_of

    return rows_of(f"as:{layout}:{source}" if layout else source, start, end)


def _check_writable(out: Path) -> None:
    from pmi_kernel.data.writing import SUFFIXES, suffix_of

    if not suffix_of(out):
        raise ConfigError(
            f"{shown(str(out))}: --out must end in {', '.join(SUFFIXES)}, or one of these with .gz"
        )
