"""`pmi encode | regrad`: retrievable gradients taken ahead, and their authors' own two commands."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import Field

from pmi_kernel.cli.evaluate import INTERRUPTED, run_shown
from pmi_kernel.cli.flags import parse_settings, with_defaults, without
from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import ask_which, say
from pmi_kernel.core.errors import SettingsError
from pmi_kernel.core.visible import visible
from pmi_kernel.data.derived import rows_of

_Row = Annotated[int | None, tyro.conf.arg(help_behavior_hint="")]
_Name = Annotated[str, tyro.conf.arg(help_behavior_hint="")]
_Format = Literal["float32", "bfloat16", "int8"]

_AUTHORS: Mapping[str, Any] = {
    "retriever": "given",
    "max_chars": 100_000_000,
    "answer_tokens": 20,
    "blind_context": False,
}
"""What the authors' command does without a flag: passages as the file has them, whole, and shown in
the prompt."""

_USAGE = """usage: pmi regrad encode | infer [options]

  encode  the gradients of a data set's passages, or of a whole index, taken ahead
            pmi regrad encode --dataset popqa --file_name dev --topk 3 --output_file dev
  infer   every data set of a domain, and one JSON of scores and predictions; the same as pmi run
          --system regrad with these flags
            pmi regrad infer --model_path CHECKPOINT --domain general --prediction_file FILE

their flags are those of the authors of retrievable gradients; pmi train regrad takes theirs too"""


def dispatch(words: list[str]) -> int:
    """Do what the authors' two scripts do, by their flags."""
    verbs = {"encode": _encode_as_authors, "infer": infer}
    if not words or words[0] not in verbs:
        return ask_which("regrad", words, verbs, _USAGE)
    return verbs[words[0]](words[1:])


def encode(words: list[str]) -> int:
    """Take the gradients of a data set's or an index's passages; what is there is kept."""
    from pmi_kernel.systems.regrad.config import RegradConfig

    kept = with_defaults(RegradConfig, {"store": "bfloat16"})

    def arguments(
        config: kept,  # type: ignore[valid-type]
        data: _Name = "",
        corpus: _Name = "",
        num_samples: _Row = None,
        batch: int = 16,
        all_passages: bool = False,
    ) -> tuple[RegradConfig, str, str, int | None, int, bool]:
        """Take passages' gradients ahead, for runs with the same --store.

        What is there is not taken again, so it can be killed at any time; the other options are as
        for pmi run --system regrad.

        Args:
            config: What is encoded, and how it is kept.
            data: Questions, as in pmi run, whose passages are taken.
            corpus: An index instead, all of it; says first what this takes.
            num_samples: Only the first so many questions, or passages of an index.
            batch: Passages in one forward and backward pass.
            all_passages: Every paragraph of the questions, whole; else what a run would find.
        """
        return config, data, corpus, num_samples, batch, all_passages

    config, data, corpus, num, batch, is_all = parse(arguments, words, "encode")
    return _encode(RegradConfig(**config.model_dump()), data, corpus, num, batch, is_all=is_all)


def _encode_as_authors(words: list[str]) -> int:
    """The authors' encode: a set's augmented file, and gradients where theirs lie."""
    from pmi_kernel.systems.regrad.config import RegradConfig
    from pmi_kernel.systems.start import OWN, read_start

    def arguments(
        dataset: _Name = "",
        file_name: str = "dev",
        model_path: str = OWN,
        output_dir: str = "demo",
        output_file: str = "dev",
        topk: int = 3,
        start: _Row = None,
        end: _Row = None,
        mixed: Annotated[float, Field(ge=0, le=1)] = 0.0,
        data_path: _Name = "",
        data_aug: str = "data_aug",
        corpus: _Name = "",
        store: _Format = "bfloat16",
        batch: int = 16,
    ) -> tuple[RegradConfig, str, str, int]:
        """Take the gradients of a data set's passages ahead, by the authors' flags.

        They lie in offline/OUTPUT_DIR/topK/DATASET/OUTPUT_FILE, each passage once, in our format;
        what is there is not taken again, so it can be killed at any time.

        Args:
            dataset: A set, of whose augmented file (pmi data augment) the passages are taken.
            file_name: That file's name, without .json.
            model_path: The start: a checkpoint, or the folder of a training.
            output_dir: Folder in offline/.
            output_file: Its last folder's name.
            topk: Passages of a question, the first ones.
            start: The first row to take, from 0.
            end: The row to stop before.
            mixed: Share of each question's passages, the last ones, that the next one's replace.
            data_path: Taken for their sake; the passages are those of the augmented file.
            data_aug: Folder of the augmented files.
            corpus: An index instead of a set, all of it; says first what this takes.
            store: How gradients are kept.
            batch: Passages in one forward and backward pass.
        """
        if bool(dataset) == bool(corpus):
            raise SettingsError({"dataset": "name a set, or an index with --corpus"})
        name = output_file.removesuffix(".pt")
        folder = Path("offline", output_dir, f"top{topk}", dataset or corpus, name)
        config = RegradConfig(
            **_AUTHORS,
            checkpoint=model_path,
            model=read_start(model_path)[0].on.model,
            topk=topk,
            store=store,
            store_dir=str(folder.resolve()),
        )
        data = f"{data_aug}/{dataset}/{file_name.removesuffix('.json')}.json" if dataset else ""
        data = rows_of(data, start, end)
        return config, f"mixed:{mixed:g}:{data}" if mixed else data, corpus, batch

    config, data, corpus, batch = parse(arguments, words, "regrad encode")
    return _encode(config, data, corpus, None, batch)


def _encode(
    config: Any, data: str, corpus: str, num: int | None, batch: int, *, is_all: bool = False
) -> int:
    from tqdm.auto import tqdm

    from pmi_kernel.data import load_stream
    from pmi_kernel.retrieval.index.store import open_index
    from pmi_kernel.systems.regrad.encoding import encode, estimate, index_texts, question_texts
    from pmi_kernel.systems.regrad.system import RegradSystem

    if bool(data) == bool(corpus):
        raise SettingsError({"data": "name questions, or an index with --corpus"})
    index = open_index(corpus) if corpus else None
    questions = () if index else load_stream(data)
    system = RegradSystem(config)
    try:
        texts: Iterable[str]
        total = None
        if index is not None:
            total = min(index.num_passages, num or index.num_passages)
            texts = islice(index_texts(index), total)
            told = estimate(system, list(islice(index_texts(index), min(batch, total))), total)
            say(
                f"{corpus}: {total:,} passages; their gradients take {told.num_bytes / 1e9:,.2f} "
                f"GB as {config.store}, and the missing ones "
                f"{tqdm.format_interval(told.seconds_s)} to take, about"
            )
        else:
            tasks = (example.task for example in islice(questions, num))
            texts = question_texts(system, tasks, is_all=is_all)
        with tqdm(total=total, unit="passage", desc="encode") as bar:
            found = encode(
                system,
                texts,
                batch=batch,
                on_passages=bar.update,
                say=lambda text: bar.write(visible(text), file=sys.stderr),
            )
    except KeyboardInterrupt:
        say("interrupted; the same command goes on", is_error=True)
        return INTERRUPTED
    finally:
        system.close()
    say(
        f"{found.num_passages} passages: {found.num_found} were there, {found.num_taken} taken in "
        f"{found.seconds_s:.1f} s ({found.num_cut} cut to what the start learns at most), "
        f"{found.num_failed} have none\n"
        f"the store has {found.num_bytes / 1e6:.1f} MB as {config.store}"
    )
    return 0


def is_inferred(words: Sequence[str]) -> bool:
    """Return whether a run's words have a flag of the authors' inference."""
    from pmi_kernel.studies.domain import DomainSettings

    names = {f"__{name}" for name in DomainSettings.model_fields}
    return any(word.partition("=")[0].replace("-", "_") in names for word in words)


def infer(words: list[str]) -> int:
    """Run every data set of a domain, and write the authors' JSON of them."""
    from pmi_kernel.reports.regrad_style import regrad_table
    from pmi_kernel.reports.tables import render_table
    from pmi_kernel.runs import RunOutcome, RunSettings
    from pmi_kernel.studies.domain import DomainSettings, infer_domain
    from pmi_kernel.systems.regrad.config import RegradConfig

    own = with_defaults(RegradConfig, _AUTHORS)
    asked, config, settings = parse_settings(
        {
            "domain": DomainSettings,
            "system": without(own, {"checkpoint", "model", "store", "store_dir"}),
            "run": without(RunSettings, {"data", "layout", "start", "end", "num_samples", "out"}),
        },
        _without_system(words),
        "regrad infer",
        "Evaluate retrievable gradients over the data sets of a domain, by the authors' flags.",
        (*DomainSettings.model_fields, "topk", "gamma", "blind_context", "icl", "shift"),
    )
    failed = 0

    def run(settings: RunSettings, config: RegradConfig) -> RunOutcome:
        nonlocal failed
        outcome = run_shown(settings, config)
        failed += outcome.summary.get("num_errors", 0)
        return outcome

    try:
        runs = infer_domain(
            asked,
            RegradConfig(**config.model_dump()),
            RunSettings(**settings.model_dump()),
            run,
        )
    except KeyboardInterrupt:
        say("interrupted; the same command goes on", is_error=True)
        return INTERRUPTED
    table = regrad_table(runs)
    say(f"{render_table(table.columns, table.rows)}\n\n{table.caption}")
    say(f"written to {asked.prediction_file}; the runs are beside it")
    return 1 if failed else 0


def _without_system(words: Sequence[str]) -> list[str]:
    kept = [word for word in words if word != "--system=regrad"]
    if "--system" in kept:
        place = kept.index("--system")
        del kept[place : place + 2]
    return kept
