"""The command line: `pmi VERB`; each verb is a function, and its settings a frozen config."""

import errno
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from itertools import pairwise

from pmi_kernel.cli import (
    ask,
    data,
    evaluate,
    generate,
    index,
    jobs,
    look,
    regrad,
    studies,
    terminal,
    train,
)
from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import PmiError, SettingsError
from pmi_kernel.core.version import __version__
from pmi_kernel.core.visible import visible

_USAGE = """usage: pmi VERB [options]

begin with
  demo        what one gradient step teaches the embedded model, in two minutes
                pmi demo
  run         evaluate a system on a data set, or go on with a run
                pmi run --data sample --train_mem --limit 5 --out runs/first
  lab         the workbench: the notebooks in JupyterLab, on loopback
                pmi lab --copy work

run and look
  ask         one question after the other, of systems side by side: pmi ask --against closed_book
  resume      go on with a run under its own settings: pmi resume RUN
  runs        what was run, with EM and F1
  show        a run or one recorded episode, as text or as a page: pmi show RUN --html run.html
  compare     runs side by side: pmi compare RUN RUN --html compare.html
  blame       a run's wrong answers by the stage that failed: pmi blame RUN
  card        what each injection of a run with --probe did: pmi card RUN --csv card.csv

train
  train       what a system learns before it is run: pmi train SYSTEM --out FOLDER
  encode      each passage's gradient ahead, once: pmi encode --data SOURCE --store int8
  regrad      the same, and a domain's inference, by their authors' flags: pmi regrad encode | infer
  checkpoint  check what a training wrote, and copy it: pmi checkpoint FOLDER --export COPY
  generate    what a causal checkpoint goes on with: pmi generate --system hmst CHECKPOINT

studies
  grid        closed book, in context, injected, both, wrong passage: one table
  study       what is learned from weights alone: pmi study recipes | accumulation
  bench       measure; without a name, lists the benchmarks
  gpu-check   every CUDA path against the CPU, and the benchmarks, in under ten minutes

data
  data        fetch, check, show or write questions: pmi data list | fetch SET | check SOURCE
  index       a corpus to search: pmi index build --corpus FILE --name wiki | check | search

jobs and lab
  jobs        what is done in the background: pmi jobs list | watch JOB | cancel JOB | resume JOB
  export      a saved notebook as one HTML page: pmi export NOTEBOOK

pmi VERB --help lists a verb's options; pmi --version tells the version."""


_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a user can mend where the error names no file."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb; what the user can mend is one line on stderr and exit status 2.

    That is a `PmiError`, a file that cannot be read or written, and a full disk; any other error
    keeps its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    terminal.escape_what_cannot_be_encoded()
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormat("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            with terminal.flushed():
                raise SystemExit(_run(words))
        except SettingsError as error:
            say("\n".join(f"pmi: {line}" for line in error.lines("--")), is_error=True)
            raise SystemExit(2) from None
        except PmiError as error:
            say(f"pmi: {error}", is_error=True)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            say("pmi: interrupted", is_error=True)
            raise SystemExit(evaluate.INTERRUPTED) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError) or not (error.filename or error.errno in _FULL):
                raise
            where = f"{error.filename}: " if error.filename else ""
            say(f"pmi: {where}{error.strerror}", is_error=True)
            raise SystemExit(2) from None
    except BrokenPipeError as error:
        terminal.hang_up(error)


def _run(words: list[str]) -> int:
    verbs: dict[str, Callable[[list[str]], int]] = {
        "run": _run_system,
        "ask": ask.ask,
        "resume": evaluate.resume,
        "demo": _demo,
        "data": data.dispatch,
        "index": index.dispatch,
        "bench": _bench,
        "gpu-check": _gpu_check,
        "jobs": jobs.dispatch,
        "runs": look.runs,
        "grid": studies.grid,
        "train": train.train,
        "encode": regrad.encode,
        "regrad": regrad.dispatch,
        "checkpoint": train.checkpoint,
        "generate": generate.generate,
        "study": studies.study,
        "blame": look.blame,
        "card": look.card,
        "show": look.show,
        "compare": look.compare,
    }
    for verb in entry_points(group="pmi.verbs"):  # those that need Jupyter
        verbs.setdefault(verb.name, partial(_elsewhere, verb))
    if words and words[0] in verbs:
        return verbs[words[0]](words[1:])
    if words and words[0] in ("-h", "--help"):
        say(_USAGE)
        return 0
    if words and words[0] == "--version":
        say(f"pmi-workbench {_version()}")
        return 0
    say(f"pmi: no verb {words[0]!r}\n\n{_USAGE}" if words else _USAGE, is_error=True)
    return 2


def _run_system(words: list[str]) -> int:
    """`pmi run`; with the flags of retrievable gradients' authors, over the sets of a domain."""
    is_regrad = "--system=regrad" in words or ("--system", "regrad") in pairwise(words)
    if is_regrad and regrad.is_inferred(words):
        return regrad.infer(words)
    return evaluate.run(words)


def _version() -> str:
    """The installed package's version; of a source tree that is not installed, its own."""
    try:
        return version("pmi-workbench")
    except PackageNotFoundError:
        return __version__


class _LogFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _elsewhere(verb: EntryPoint, words: list[str]) -> int:
    return verb.load()(words, say)


def _demo(words: list[str]) -> int:
    from pmi_kernel.studies.demo import DemoSettings, demo

    return demo(parse(DemoSettings, words, "demo"))


def _gpu_check(words: list[str]) -> int:
    from pmi_kernel.studies.gpu_check.__main__ import main as check

    return check(words)


def _bench(words: list[str]) -> int:
    from pmi_kernel.studies.bench import BENCHMARKS

    known = {**BENCHMARKS, **{e.name: e.load() for e in entry_points(group="pmi.benchmarks")}}
    if not words or words[0] not in known:
        lines = [f"  {name:10} {(fn.__doc__ or '').splitlines()[0]}" for name, fn in known.items()]
        usage = "usage: pmi bench NAME [options]\n\n" + "\n".join(lines)
        return terminal.ask_which("bench", words, known, usage)
    parse(known[words[0]], words[1:], f"bench {words[0]}")
    return 0
