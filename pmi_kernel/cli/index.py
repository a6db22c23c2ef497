"""`pmi index`: corpora, built into indexes, proven whole and searched."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from pmi_kernel.cli import terminal
from pmi_kernel.cli.flags import parse_settings
from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import Settings

if TYPE_CHECKING:
    from pmi_kernel.retrieval.index.build import Built

Files = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE [FILE ...]")]


def dispatch(words: list[str]) -> int:
    """Build, check, list, search or drop an index."""
    verbs = {
        "build": _build,
        "check": _check,
        "list": _list,
        "search": _search,
        "drop": _drop,
    }
    if not words or words[0] not in verbs:
        return terminal.ask_which(
            "index",
            words,
            verbs,
            "usage: pmi index build --corpus FILE [FILE ...] --name NAME | check --name NAME | "
            "list | search QUERY --name NAME | drop --name NAME\n\nA corpus is DPR's table "
            "(id, text, title) or JSON lines (_id, title, text), plain or gzipped.",
        )
    return verbs[words[0]](words[1:])


class _Corpus(Settings):
    """What is indexed."""

    corpus: tuple[Path, ...] = ()
    """The corpus's files, in order: .tsv (id, text, title) or .jsonl (_id, title, text), or these
    with .gz."""


def _build(words: list[str]) -> int:
    from tqdm.auto import tqdm

    from pmi_kernel.retrieval.index.build import build
    from pmi_kernel.retrieval.index.settings import IndexSettings

    about = (
        "Index a corpus; the same command goes on with a build that was stopped, killed or "
        "out of room."
    )
    settings, given = parse_settings(
        {"index": IndexSettings, "of": _Corpus},
        words,
        "index build",
        about,
        ("corpus", "name"),
    )
    if not given.corpus:
        raise ConfigError("name the corpus's files with --corpus")
    bar = tqdm(unit="B", unit_scale=True, desc=settings.name, delay=0.1)

    def tell(built: "Built") -> None:
        if built.num_before and not bar.n:
            bar.write(f"{built.num_before:,} passages are in it already", file=sys.stderr)
        bar.total = built.total_bytes
        bar.set_postfix_str(f"{built.num_passages:,} passages, {built.per_s:,.0f}/s", refresh=False)
        bar.update(built.read_bytes - bar.n)

    with bar:
        index = build(settings, given.corpus, on_progress=tell)
    say(f"{index.name}: {index.num_passages:,} passages, whole (sha256 {index.sha256})")
    return 0


def _check(words: list[str]) -> int:
    from pmi_kernel.retrieval.index.checking import check
    from pmi_kernel.retrieval.index.passages import Corpus

    def arguments(name: str, corpus: Files = ()) -> tuple[str, tuple[Path, ...]]:
        """Count and hash what can be searched, and hold it against the corpus as it was built.

        Args:
            name: The index.
            corpus: The corpus's files, to be read again and compared as well.
        """
        return name, corpus

    name, files = parse(arguments, words, "index check")
    found = check(name, Corpus(files) if files else None)
    of = "" if found.num_passages is None else f" of {found.num_passages:,}"
    say(f"{name}: {found.num_found:,}{of} passages can be searched (sha256 {found.sha256})")
    for path, sha256 in found.corpus.items():
        say(f"  {path}: sha256 {sha256}")
    for problem in found.problems:
        say(f"  {problem}")
    say("  not whole" if found.problems else "  whole")
    return 1 if found.problems else 0


def _list(words: list[str]) -> int:
    from pmi_kernel.reports.tables import render_table
    from pmi_kernel.retrieval.index.checking import listed
    from pmi_kernel.retrieval.index.store import root

    def arguments() -> None:
        """List the indexes, whole and not."""

    parse(arguments, words, "index list")
    rows = [
        (
            one.name,
            one.problem or ("whole" if one.is_whole else "not whole"),
            f"{one.num_passages:,}",
            one.backend,
            f"{one.num_bytes / 1e6:.1f}",
            ", ".join(Path(path).name for path in one.corpus),
        )
        for one in listed()
    ]
    columns = ("index", "state", "passages", "on", "MB here", "corpus")
    say(render_table(columns, rows) if rows else f"no index in {root()}")
    return 0


def _search(words: list[str]) -> int:
    from pmi_kernel.retrieval.index.store import open_index

    def arguments(
        query: Annotated[str, tyro.conf.Positional],
        name: str,
        topk: int = 3,
        allow_incomplete: bool = False,
    ) -> tuple[str, str, int, bool]:
        """Show the best passages for a query.

        Args:
            query: The query, in words.
            name: The index.
            topk: How many.
            allow_incomplete: Search an index that lacks passages of its corpus too.
        """
        return query, name, topk, allow_incomplete

    query, name, topk, is_allowed = parse(arguments, words, "index search")
    if not 1 <= topk <= 10_000:
        raise ConfigError(f"index search needs --topk of 1 to 10,000, and was given {topk}")
    index = open_index(name, is_incomplete_allowed=is_allowed)
    if not index.is_whole:
        say(f"not whole: {index.num_passages:,} passages are searched", is_error=True)
    found = index.search(query, topk)
    for rank, hit in enumerate(found, start=1):
        passage = hit.passage
        say(f"{rank}. {passage.title or '(no title)'} [{passage.id}] {hit.score:.3f}")
        say(f"   {passage.text}")
    if not found:
        say("nothing found: no word of the query is in the index")
    return 0 if found else 1


def _drop(words: list[str]) -> int:
    from pmi_kernel.retrieval.index.store import drop

    def arguments(name: str) -> str:
        """Delete an index, whole or not; it can be built again from its corpus.

        Args:
            name: The index.
        """
        return name

    name = parse(arguments, words, "index drop")
    drop(name)
    say(f"{name}: dropped")
    return 0
