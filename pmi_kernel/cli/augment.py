"""`pmi data augment | build`: questions with passages of a corpus, as files."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from pmi_kernel.cli.parsing import File, OptionalFile, parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError, SettingsError
from pmi_kernel.core.text import shown

Row = Annotated[int | None, tyro.conf.arg(help_behavior_hint="")]
Name = Annotated[str, tyro.conf.arg(help_behavior_hint="")]


def augment(words: list[str]) -> int:
    """Search a corpus for every question, and write them with what was found."""
    from tqdm.auto import tqdm

    from pmi_kernel.core.progress import Report, Watch, watched
    from pmi_kernel.data.derived import rows_of
    from pmi_kernel.retrieval.augment import AugmentSettings
    from pmi_kernel.retrieval.augment import augment as search_all

    def arguments(
        dataset: str,
        output_file: File,
        split: Name = "",
        index: Name = "",
        topk: int = 3,
        start: Row = None,
        end: Row = None,
        allow_incomplete: bool = False,
        only_gold: bool = False,
    ) -> tuple[AugmentSettings, Path]:
        """Search a corpus for every question of a set, and write them with what was found.

        The file is that of retrievable gradients' authors: test_id, question, answer, passages,
        choices. The same command goes on with one that was stopped or killed.

        Args:
            dataset: A set, or any other data source.
            output_file: File to write, .json.
            split: The set's split, dev by default.
            index: The index to search; by default the set's own.
            topk: Passages for each question.
            start: The first row to take, from 0.
            end: The row to stop before.
            allow_incomplete: Search an index that lacks passages of its corpus, too.
            only_gold: Write the gold passages alone (of PopQA the subject's), by their titles, and
                no question for which none was found.
        """
        source, own = _source(dataset, split)
        if not (index or own):
            raise SettingsError({"index": f"{dataset} has no index of its own; name one"})
        settings = AugmentSettings(
            source=rows_of(source, start, end),
            index=index or own,
            topk=topk,
            allow_incomplete=allow_incomplete,
            only_gold=only_gold,
        )
        return settings, output_file

    settings, out = parse(arguments, words, "data augment")
    if out.suffix != ".json":
        raise ConfigError(f"{shown(str(out))}: --output_file must end in .json")
    bar = tqdm(unit="question", desc=out.name, delay=0.5)

    def hear(report: Report) -> None:
        bar.total = report.total
        bar.update(report.done - bar.n)

    with bar, watched(Watch(hear, every_s=0.2)):
        found = search_all(settings, out)
    before = f", {found.num_before:,} of them searched before" if found.num_before else ""
    each = "the gold ones found alone" if settings.only_gold else f"{settings.topk} passages each"
    say(f"{out}: {found.num_written:,} of {found.num:,} questions{before}, {each}")
    if found.num_short:
        say(f"  {found.num_short:,} of them found fewer passages")
    if found.recall is not None and found.all_found is not None:
        say(
            f"  gold passages found, recall@{settings.topk}: {found.recall:.1%} (all of a "
            f"question's: {found.all_found:.1%}; {found.num_gold:,} questions have some)"
        )
    return 0


def _source(dataset: str, split: str) -> tuple[str, str]:
    """The source of a set's split, or of another data source, and the set's own index."""
    from pmi_kernel.data.sets import SETS, split_named

    if dataset in SETS:
        name = f"{dataset}-{split or 'dev'}"
        split_named(name)
        return name, SETS[dataset].index
    if split:
        raise SettingsError({"split": f"{dataset} is no set of pmi data list, so it has no splits"})
    return dataset, ""


def build(words: list[str]) -> int:
    """Build a data set from others, and an index where it needs one."""
    if words and words[0] == "scratchpad":
        return _build_scratchpad(words[1:])
    if words and not words[0].startswith("-") and words[0] != "nq_lim":
        raise ConfigError(
            f"there is no pmi data build {shown(words[0])}; there are nq_lim, scratchpad"
        )
    return _build_nq_lim(words)


def _build_nq_lim(words: list[str]) -> int:
    from pmi_kernel.data.sets import SETS
    from pmi_kernel.retrieval.lost_in_the_middle import build_nq_lim

    def arguments(
        name: Annotated[Literal["nq_lim"], tyro.conf.Positional],
        out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
        docs: Literal[10, 20, 30] = 20,
        gold_at: Name = "",
        index: str = "wiki",
        oracle: OptionalFile = None,
    ) -> dict[str, Any]:
        """Build the lost-in-the-middle setting: the gold document at places among distractors.

        Distractors are the best passages by BM25 that hold no answer; the authors took Contriever,
        which the first row says.

        Args:
            name: nq_lim.
            out: Folder of the files, which have their official names.
            docs: Documents of a question.
            gold_at: Places of the gold document, from 0, with commas between; a file for each. By
                default the official ones: the first, the fifth and every fifth after it.
            index: The index that distractors are searched in.
            oracle: The oracle file; by default the one that pmi data fetch nq_lim brought.
        """
        try:
            told = gold_at.split(",") if gold_at else ("0", *range(4, docs, 5))
            places = [int(place) for place in told]
        except ValueError:
            problem = f"expected places from 0, as in 0,4,9 (given {shown(gold_at)})"
            raise SettingsError({"gold_at": problem}) from None
        return {
            "oracle": oracle or SETS["nq_lim"].path("dev"),
            "index": index,
            "folder": out,
            "num_docs": docs,
            "gold_at": places,
        }

    given = parse(arguments, words, "data build")
    if not given["oracle"].is_file():
        raise ConfigError(f"{given['oracle']} is not there; {SETS['nq_lim'].to_get()}")
    placed = build_nq_lim(**given)
    for path in placed.files:
        say(f"{path}: {placed.num:,} questions of {given['num_docs']} documents")
    if placed.left_out:
        first = shown(placed.left_out[0])
        say(
            f"  {len(placed.left_out):,} left out: too few passages without an answer ({first} ...)"
        )
    say(
        "  as data, FILE has all documents (the authors' val_anc), gold:FILE the gold one alone "
        "(val_pos)"
    )
    return 0


def _build_scratchpad(words: list[str]) -> int:
    from pmi_kernel.data import load_stream
    from pmi_kernel.systems.scratchpad.building import build_samples

    def arguments(
        source: Annotated[str, tyro.conf.arg(name="from", metavar="SOURCE")],
        out: OptionalFile = None,
        num_docs: Annotated[int, tyro.conf.arg(help_behavior_hint="(default: all)")] = 0,
        gold_at: Annotated[int | None, tyro.conf.arg(help_behavior_hint="")] = None,
        seed: int = 0,
        train_method: Literal["sft", "scratchpad"] = "scratchpad",
        question_first: bool = True,
        model: str = "smollm2-135m",
        show: int = 0,
    ) -> dict[str, Any]:
        """Build samples: system prompt, question, documents, question, evidence, question, answer.

        The evidence is the gold documents, copied. FILE is data as well: a run or a training over
        it has the same documents in the same order.

        Args:
            source: Questions whose gold documents are known: hotpotqa, a nq_lim file, world:...
            out: File to write, .jsonl.
            num_docs: Documents of a sample, the gold ones and the first others.
            gold_at: Place of the gold documents, from 0; by default a seed draws the order.
            seed: Draws the order of the documents.
            train_method: scratchpad, or sft: the answer at once, without evidence.
            question_first: Put the question before the documents as well.
            model: Whose tokens are counted; a sample that is longer than it takes is dropped.
            show: Print so many samples.
        """
        return {
            "source": source,
            "out": out,
            "num_docs": num_docs,
            "gold_at": gold_at,
            "seed": seed,
            "is_written": train_method == "scratchpad",
            "is_first": question_first,
            "model": model,
            "show": show,
        }

    given = parse(arguments, words, "data build scratchpad")
    out, num_shown = given.pop("out"), given.pop("show")
    if out is None and not num_shown:
        raise ConfigError("name a file with --out, or how many samples to print with --show")
    if out is not None and out.suffix != ".jsonl":
        raise ConfigError(f"{shown(str(out))}: --out must end in .jsonl")
    built = build_samples(load_stream(given.pop("source")), out, **given)
    for sample in built.samples[:num_shown]:
        say(f"{sample.text}\n{'-' * 40}")
    where = f"{out}: " if out else ""
    low, middle, high = built.tokens
    say(
        f"{where}{len(built.samples):,} samples, {low:,} to {high:,} tokens (median {middle:,}); "
        f"dropped {built.num_too_long:,} that are longer than the {built.most_tokens:,} tokens of "
        f"the model, {built.num_without_gold:,} without a gold document or with an empty one"
    )
    return 0
