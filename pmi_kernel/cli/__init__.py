"""The command line: `pmi VERB`; each verb is a function, and its settings a frozen config."""

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points

from pmi_kernel.cli import data, evaluate, jobs, look
from pmi_kernel.cli.parsing import parse
from pmi_kernel.errors import PmiError

_USAGE = """usage: pmi VERB [options]

  run      evaluate a system on a data set, or go on with a run: pmi run --out runs/x --train_mem
  resume   go on with a run under its own settings: pmi resume runs/x
  grid     closed book, in context, injected, both, wrong passage: one table
  compare  runs side by side: pmi compare runs/a runs/b --html out.html
  study    what is learned from weights alone: pmi study recipes --questions 12 | accumulation
  card     what each injection of a run did: pmi card runs/x --csv card.csv
  blame    a run's wrong answers by the stage that failed: pmi blame runs/x
  runs     what was run, with EM and F1
  jobs     runs in the background: pmi jobs list | watch runs/x | cancel runs/x
  demo     the main job on the embedded model and sample, small
  data     fetch, check or invent data: pmi data fetch hotpotqa | check FILE | synth --n 60 --out F
           | write world:hops=3,n=40 --out F
  bench    measure; without a name, lists the benchmarks
  show     one recorded episode: pmi show runs/x EPISODE_ID --html out.html
  lab      open JupyterLab on loopback; --copy FOLDER puts the notebooks there first
  export   a saved notebook as one HTML page: pmi export notebooks/x.ipynb --html x.html

pmi VERB --help lists a verb's options."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb; a `PmiError` is one line on stderr and exit status 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _interrupt)
    verbs: dict[str, Callable[[list[str]], int]] = {
        "run": evaluate.run,
        "resume": evaluate.resume,
        "demo": _demo,
        "data": data.dispatch,
        "bench": _bench,
        "jobs": jobs.dispatch,
        "runs": look.runs,
        "grid": evaluate.grid,
        "blame": look.blame,
        "card": look.card,
    }
    for verb in entry_points(group="pmi.verbs"):  # those that need the widgets
        verbs[verb.name] = partial(_elsewhere, verb)
    if not words or words[0] not in verbs:
        is_help = not words or words[0] in ("-h", "--help")
        print(_USAGE if is_help else f"pmi: no verb {words[0]!r}\n\n{_USAGE}", file=sys.stderr)
        raise SystemExit(0 if is_help and words else 2)
    try:
        raise SystemExit(verbs[words[0]](words[1:]))
    except PmiError as error:
        print(f"pmi: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("pmi: interrupted", file=sys.stderr)
        raise SystemExit(evaluate.INTERRUPTED) from None


def _elsewhere(verb: EntryPoint, words: list[str]) -> int:
    return verb.load()(words)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demo(words: list[str]) -> int:
    from pmi_kernel.demo import DemoSettings, demo

    return demo(parse(DemoSettings, words, "demo"))


def _bench(words: list[str]) -> int:
    from pmi_kernel.bench import BENCHMARKS

    known = {**BENCHMARKS, **{e.name: e.load() for e in entry_points(group="pmi.benchmarks")}}
    if not words or words[0] not in known:
        lines = [f"  {name:10} {(fn.__doc__ or '').splitlines()[0]}" for name, fn in known.items()]
        print("usage: pmi bench NAME [options]\n\n" + "\n".join(lines))
        return 0 if words and words[0] in ("-h", "--help") else 2
    parse(known[words[0]], words[1:], f"bench {words[0]}")
    return 0
