"""The command line: `pmi VERB`; each verb is a function here and its settings a frozen config."""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import ValidationError

from pmi_kernel.config import SystemConfig
from pmi_kernel.errors import ConfigError, PmiError
from pmi_kernel.systems import NAMES, config_class

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
  lab      open JupyterLab at the first notebook, on loopback
  export   a saved notebook as one HTML page: pmi export notebooks/x.ipynb --html x.html

pmi VERB --help lists a verb's options."""

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb; a `PmiError` is one line on stderr and exit status 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _interrupt)
    verbs: dict[str, Callable[[list[str]], int]] = {
        "run": _run,
        "resume": _resume,
        "demo": _demo,
        "data": _data,
        "bench": _bench,
        "jobs": _jobs,
        "runs": _runs,
        "grid": _grid,
        "blame": _blame,
        "card": _card,
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
        raise SystemExit(_INTERRUPTED) from None


def _elsewhere(verb: EntryPoint, words: list[str]) -> int:
    return verb.load()(words)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def parse(target: Any, words: list[str], prog: str) -> Any:
    """Parse words into a config or a call; a contradiction between settings is one line."""
    try:
        return tyro.cli(
            target,
            args=words,
            prog=f"pmi {prog}",
            use_underscores=True,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff),
        )
    except ValidationError as error:
        problems = "; ".join(
            ".".join(str(part) for part in e["loc"]) + (": " if e["loc"] else "") + e["msg"]
            for e in error.errors()
        )
        print(f"pmi {prog}: {problems}", file=sys.stderr)
        raise SystemExit(2) from None


# -- run --------------------------------------------------------------------------------------


def _run(words: list[str]) -> int:
    from pmi_kernel.batch import RunSettings

    choose = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    choose.add_argument("--system", choices=NAMES, default="pmi")
    chosen, rest = choose.parse_known_args(words)
    kind = config_class(chosen.system)

    def settings(run: RunSettings, config: kind) -> tuple[RunSettings, SystemConfig]:  # type: ignore[valid-type]
        return run, config

    settings.__doc__ = (
        f"Evaluate a system on a data set.\n\nThese are the options with --system {chosen.system} "
        f"(one of {', '.join(NAMES)})."
    )
    run_settings, config = parse(settings, rest, "run")
    return _finish_run(run_settings, config)


def _resume(words: list[str]) -> int:
    from pmi_kernel.batch import RunSettings
    from pmi_kernel.batch.jobs import request_of

    def resume(
        out: Annotated[Path, tyro.conf.Positional],
        limit: int | None = None,
        workers: int | None = None,
        data: str | None = None,
    ) -> tuple[Path, int | None, int | None, str | None]:
        """Go on with a run under its own settings.

        Args:
            out: Run directory.
            limit: Most episodes to run now.
            workers: Worker processes now; as in pmi run.
            data: Where the run's data file is now, if it moved.
        """
        return out, limit, workers, data

    out, limit, workers, data = parse(resume, words, "resume")
    request = request_of(out)
    config = config_class(request["system"])(**request["config"])
    changed = {"out": out, "limit": limit, "workers": workers}
    if data is not None:
        changed["data"] = data
    return _finish_run(RunSettings(**{**request["settings"], **changed}), config)


def _finish_run(settings: Any, config: SystemConfig) -> int:
    from pmi_kernel.report import render_summary

    outcome = run_shown(settings, config)
    print(render_summary(outcome.summary, settings.out))
    if outcome.is_interrupted:
        print(f"interrupted; `pmi resume {settings.out}` goes on", file=sys.stderr)
        return _INTERRUPTED
    return 1 if outcome.summary["num_errors"] else 0


def run_shown(settings: Any, config: SystemConfig) -> Any:
    """Run on workers, with a progress bar."""
    from tqdm.auto import tqdm

    from pmi_kernel.batch import supervise
    from pmi_kernel.batch.jobs import save_request
    from pmi_kernel.types import EvalResult

    bar = tqdm(total=0, unit="episode", desc=settings.out.name)
    scores: list[tuple[float, float]] = []

    def on_start(num_done: int, num_pending: int) -> None:
        bar.reset(total=num_pending)
        if num_done:
            bar.write(f"{num_done} episodes are done already; {num_pending} to run now")

    def on_result(result: EvalResult) -> None:
        scores.append((result.em, result.f1))
        em, f1 = (sum(column) / len(scores) for column in zip(*scores, strict=True))
        bar.set_postfix(EM=f"{em:.1%}", F1=f"{f1:.1%}")
        bar.update()

    with bar:
        save_request(config, settings)
        return supervise(settings, config, on_start=on_start, on_result=on_result, say=bar.write)


# -- runs, grid -------------------------------------------------------------------------------


def _runs(words: list[str]) -> int:
    from pmi_kernel.batch.jobs import find_jobs
    from pmi_kernel.batch.record import read_json
    from pmi_kernel.report import render_runs

    def arguments(root: Annotated[Path, tyro.conf.Positional] = Path("runs")) -> Path:
        """List the runs under a folder: system, model, EM, F1, data, commit.

        Args:
            root: The folder.
        """
        return root

    root = parse(arguments, words, "runs")
    summaries = {str(job.out): read_json(job.out / "summary.json", {}) for job in find_jobs(root)}
    ended = {name: summary for name, summary in summaries.items() if summary}
    print(render_runs(ended) if ended else f"no runs under {root}")
    return 0


def _blame(words: list[str]) -> int:
    from pmi_kernel.blame import blame
    from pmi_kernel.report import render_blame

    def arguments(run: Annotated[Path, tyro.conf.Positional]) -> Path:
        """Put each wrong answer of a run down to the first stage that failed it.

        Args:
            run: Run directory.
        """
        return run

    print(render_blame(blame(parse(arguments, words, "blame"))))
    return 0


def _card(words: list[str]) -> int:
    from pmi_kernel.cards import cards_frame, read_cards, render_cards

    def arguments(
        run: Annotated[Path, tyro.conf.Positional], csv: Path | None = None
    ) -> tuple[Path, Path | None]:
        """Say what the injections of a run with --probe did: a row an episode, and the means.

        Args:
            run: Run directory.
            csv: Write every figure here, a row an episode; shares are in [0, 1].
        """
        return run, csv

    run, csv = parse(arguments, words, "card")
    cards = read_cards(run)
    print(render_cards(cards))
    if csv is not None:
        csv.write_text(cards_frame(cards).to_csv(), encoding="utf-8")
        print(f"written to {csv}")
    return 0


def _grid(words: list[str]) -> int:
    from pmi_kernel.batch import RunSettings
    from pmi_kernel.grid import GridSettings, grid
    from pmi_kernel.report import render_grid
    from pmi_kernel.systems.pmi.config import PmiConfig

    def arguments(settings: GridSettings, config: PmiConfig) -> tuple[GridSettings, PmiConfig]:
        """Run closed book, in context, injected, injected with context, and the wrong passage."""
        return settings, config

    def run_arm(target: RunSettings, system: SystemConfig) -> None:
        if run_shown(target, system).is_interrupted:
            raise KeyboardInterrupt

    settings, config = parse(arguments, words, "grid")
    print(render_grid(grid(settings, config, run_arm=run_arm)))
    return 0


# -- jobs -------------------------------------------------------------------------------------


def _jobs(words: list[str]) -> int:
    verbs = {"list": _jobs_list, "watch": _jobs_watch, "cancel": _jobs_cancel}
    if not words or words[0] not in verbs:
        print("usage: pmi jobs list [ROOT] | watch RUN | cancel RUN [--force]")
        return 0 if words and words[0] in ("-h", "--help") else 2
    return verbs[words[0]](words[1:])


def _jobs_list(words: list[str]) -> int:
    from pmi_kernel.batch.jobs import find_jobs
    from pmi_kernel.report import render_jobs

    def arguments(root: Annotated[Path, tyro.conf.Positional] = Path("runs")) -> Path:
        """List the runs under a folder, with how far each is.

        Args:
            root: The folder.
        """
        return root

    root = parse(arguments, words, "jobs list")
    statuses = {str(job.out): job.status() for job in find_jobs(root)}
    print(render_jobs(statuses) if statuses else f"no runs under {root}")
    return 0


def _jobs_watch(words: list[str]) -> int:
    from tqdm.auto import tqdm

    from pmi_kernel.batch.jobs import Job

    def arguments(run: Annotated[Path, tyro.conf.Positional]) -> Path:
        """Follow a run until it ends; Ctrl-C stops following, not the run.

        Args:
            run: Run directory.
        """
        return run

    job = Job.attach(parse(arguments, words, "jobs watch"))
    with tqdm(unit="episode", desc=job.out.name) as bar:
        while True:
            status = job.status()
            done = status.get("done_before", 0) + status.get("done_now", 0)
            bar.total = done + status.get("owed", 0)
            bar.n = done
            stages = {name: facts["in_flight"] for name, facts in status["workers"].items()}
            bar.set_postfix(state=status["state"], **stages)
            if not job.is_running:
                break
            time.sleep(0.5)
    print(f"{job.out}: {status['state']} {status.get('error', '')}".rstrip())
    return 0 if status["state"] == "done" else 1


def _jobs_cancel(words: list[str]) -> int:
    from pmi_kernel.batch.jobs import Job

    def arguments(
        run: Annotated[Path, tyro.conf.Positional], force: bool = False
    ) -> tuple[Path, bool]:
        """Stop a run after the episodes that run now; what is done is kept.

        Args:
            run: Run directory.
            force: At once: the episodes that run now are owed again.
        """
        return run, force

    run, force = parse(arguments, words, "jobs cancel")
    job = Job.attach(run)
    if not job.is_running:
        print(f"{run} is not running ({job.status()['state']})")
        return 0
    job.cancel(is_forced=force, wait_s=10.0 if force else 90.0)
    is_left = job.is_running
    print(f"{run}: {'still finishing its last episodes' if is_left else job.status()['state']}")
    return 0


# -- demo, data, bench ------------------------------------------------------------------------


def _demo(words: list[str]) -> int:
    from pmi_kernel.demo import DemoSettings, demo

    return demo(parse(DemoSettings, words, "demo"))


def _data(words: list[str]) -> int:
    verbs = {
        "fetch": _data_fetch,
        "check": _data_check,
        "synth": _data_synth,
        "write": _data_write,
    }
    if not words or words[0] not in verbs:
        print(
            "usage: pmi data fetch hotpotqa | check SOURCE | synth --n N --seed S --out FILE | "
            "write SOURCE --out FILE"
        )
        return 0 if words and words[0] in ("-h", "--help") else 2
    return verbs[words[0]](words[1:])


def _data_fetch(words: list[str]) -> int:
    from pmi_kernel.data.fetch import fetch
    from pmi_kernel.errors import DataError

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
        print(f"{path}: whole and valid")
    return 0


def _data_check(words: list[str]) -> int:
    from pmi_kernel.data.check import describe

    def file(file: Annotated[str, tyro.conf.Positional]) -> str:
        """Say what is in a data file and what is wrong with it.

        Args:
            file: A path, sample, hotpotqa, hotpotqa-train, or world: with settings.
        """
        return file

    report = describe(parse(file, words, "data check"))
    print(report.render())
    return 1 if report.problems else 0


def _data_synth(words: list[str]) -> int:
    from pmi_kernel.data import write_examples
    from pmi_kernel.data.synth import synthesize

    def synth(
        n: int = 60, seed: int = 7, out: Path = Path("fictional.json")
    ) -> tuple[int, int, Path]:
        """Invent questions over fictional worlds, in HotpotQA's layout.

        Args:
            n: How many.
            seed: Seeds the worlds; the same seed gives the same questions anywhere.
            out: File to write, .json or .jsonl.
        """
        return n, seed, out

    n, seed, out = parse(synth, words, "data synth")
    if n < 1:
        raise ConfigError("data synth needs --n of at least 1")
    _check_writable(out)
    write_examples(synthesize(n, seed), out)
    print(f"{out}: {n} questions (seed {seed})")
    return 0


def _data_write(words: list[str]) -> int:
    from pmi_kernel.data import load_examples, write_examples

    def write(source: Annotated[str, tyro.conf.Positional], out: Path) -> tuple[str, Path]:
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
    print(f"{out}: {len(examples)} questions")
    return 0


def _check_writable(out: Path) -> None:
    if out.suffix not in (".json", ".jsonl"):
        raise ConfigError(f"{out}: --out must end in .json or .jsonl")


def _bench(words: list[str]) -> int:
    from pmi_kernel.bench import BENCHMARKS

    known = {**BENCHMARKS, **{e.name: e.load() for e in entry_points(group="pmi.benchmarks")}}
    if not words or words[0] not in known:
        lines = [f"  {name:10} {(fn.__doc__ or '').splitlines()[0]}" for name, fn in known.items()]
        print("usage: pmi bench NAME [options]\n\n" + "\n".join(lines))
        return 0 if words and words[0] in ("-h", "--help") else 2
    parse(known[words[0]], words[1:], f"bench {words[0]}")
    return 0


if __name__ == "__main__":
    main()
