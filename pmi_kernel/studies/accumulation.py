"""The accumulation study: what a second memory does to what the first had taught.

In one episode all memories serve one question, so this is measured between episodes: of a pair of
questions the first one's memory is injected, then the second one's on top of it (`stack`) or
trained on from it (`continue`), and both questions are asked alone before, between and after.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from pmi_kernel.core.errors import ConfigError, DataError, EngineError
from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.folder import read_json, write_json
from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.provenance import git_state, package_versions
from pmi_kernel.core.settings import Settings
from pmi_kernel.core.system import Asks
from pmi_kernel.core.task import Example
from pmi_kernel.data import data_hash, load_examples
from pmi_kernel.engines.base import Engine
from pmi_kernel.engines.injected import injected
from pmi_kernel.episodes.asking import recall
from pmi_kernel.reports.intervals import Interval, mean_of, show_with_n
from pmi_kernel.runs.merge import ERRORS
from pmi_kernel.runs.worker import note_error
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig

if TYPE_CHECKING:
    from pmi_kernel.systems.pmi.system import PmiSystem

Mode = Literal["stack", "continue"]
STUDY = "accumulation.json"
STATES = ("before", "after_first", "after_both")
"""The states of the weights in which a question is asked."""
_MEMORIES = ("by_first", "by_second")
FIGURES_OF_PAIRS = (
    *(f"answered_{state}" for state in STATES),
    *(f"gold_nats_{memory}" for memory in _MEMORIES),
)
"""The figures that such a study shows, of the first and of the second question."""


class AccumulationSettings(Settings):
    """What an accumulation study is run over."""

    data: str = "world:hops=1,n=40"
    """Questions, as in pmi run."""
    out: Path = Path("runs/accumulation")
    """Folder of the study; what is done there is gone on with."""
    pairs: Annotated[int, Field(ge=1, le=10**9)] = 10
    """Pairs of questions, spread evenly over the data."""
    accumulate: Annotated[tuple[Mode, ...], Field(min_length=1)] = ("stack", "continue")
    """Ways to accumulate to try (mem_accumulate)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question asked alone, in three states of the weights: base, first memory, both.

    Attributes:
        answers: The replies.
        answered: Sub-span EM of each, 0 or 1.
        gold_nats: Log-probability of the gold answer in each.
    """

    answers: tuple[str, str, str]
    answered: tuple[float, float, float]
    gold_nats: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """What came of one pair of questions.

    Attributes:
        first_id: The question whose memory was injected first.
        second_id: The other one.
        first: The first question.
        second: The second one.
    """

    first_id: str
    second_id: str
    first: Asked
    second: Asked


@dataclass(frozen=True, slots=True)
class Accumulation:
    """An accumulation study, as far as it has been run.

    Attributes:
        pairs: What came of each pair, by way of accumulating.
        num_left_out: Pairs of which a snippet was empty, in all ways together.
        facts: What it was made with, by name.
    """

    pairs: Mapping[str, tuple[Pair, ...]]
    num_left_out: int
    facts: Mapping[str, str]

    def figures(self, mode: str) -> dict[str, Interval]:
        """Return the mean of each figure over the pairs, by name; shares in [0, 1]."""
        figures: dict[str, Interval] = {}
        for name in ("first", "second"):
            asked: list[Asked] = [getattr(pair, name) for pair in self.pairs[mode]]
            for state, label in enumerate(STATES):
                held = [one.answered[state] for one in asked]
                figures[f"{name}_{label}"] = mean_of(f"answered_{label}", held)
            for start, label in enumerate(_MEMORIES):
                changes = [one.gold_nats[start + 1] - one.gold_nats[start] for one in asked]
                figures[f"{name}_nats_{label}"] = mean_of(f"gold_nats_{label}", changes)
        return figures

    def asked(self, mode: str, name: str) -> dict[str, Interval]:
        """Return the figures of a mode's first or second questions, by their names in `FIGURES`."""
        found = self.figures(mode)
        shown = {state: f"answered_{state}" for state in STATES}
        shown |= {f"nats_{memory}": f"gold_nats_{memory}" for memory in _MEMORIES}
        return {figure: found[f"{name}_{key}"] for key, figure in shown.items()}

    def table(self) -> tuple[tuple[str, ...], Sequence[tuple[str, ...]]]:
        """Return columns and rows; every number with its interval and n."""
        rows = [
            (
                mode,
                f"{name} question",
                *(show_with_n(figure, one) for figure, one in self.asked(mode, name).items()),
            )
            for mode in self.pairs
            for name in ("first", "second")
        ]
        return ("accumulate", "asked", *(FIGURES[one].heading for one in FIGURES_OF_PAIRS)), rows

    @property
    def caption(self) -> str:
        """What the numbers are."""
        left_out = f" {self.num_left_out} pairs had an empty snippet." if self.num_left_out else ""
        return (
            "Pairs of questions, each asked alone; the first one's memory is injected, then the "
            "second one's with it. Percent of replies that hold the gold answer (sub-span EM), and "
            "by how much each memory changed the gold answer's log-probability; means with 95 % "
            f"intervals over the n pairs.{left_out}"
        )


def study_accumulation(
    settings: AccumulationSettings,
    config: PmiConfig,
    *,
    engine: Engine | None = None,
    on_pair: Callable[[str, int], object] = lambda mode, number: None,
) -> Accumulation:
    """Run every pair under every way to accumulate; stopped anywhere, the next call goes on.

    Args:
        settings: What to try, and over which questions.
        config: The PMI system's settings; `mem_accumulate`, `train_mem` and `evidence` are the
            study's own.
        engine: Serves and trains; built from `config` where None.
        on_pair: Called with the way and the pair's number before each pair.

    Raises:
        ConfigError: The strategy cannot go on from a memory, or the folder holds another study.
        DataError: The data cannot be read, or has too few questions.
        EngineError: The engine failed; what is done is kept.
    """
    if "continue" in settings.accumulate and config.strategy != "hot":
        raise ConfigError(
            f"strategy {config.strategy} cannot go on from a memory: use accumulate stack, or "
            "strategy hot"
        )
    examples = load_examples(settings.data)
    if len(examples) < 2 * settings.pairs:
        raise DataError(
            f"{settings.data} has {len(examples)} questions, not the {2 * settings.pairs} of "
            f"{settings.pairs} pairs"
        )
    _begin(settings, config)
    step = len(examples) // (2 * settings.pairs)
    chosen = examples[::step][: 2 * settings.pairs]
    loaded: object = engine
    for mode in settings.accumulate:
        own = {"mem_accumulate": mode, "train_mem": True, "evidence": "weights"}
        system = cast("PmiSystem", open_system(config.but(**own), loaded))
        loaded = system.loaded
        for number, pair in enumerate(zip(chosen[::2], chosen[1::2], strict=True)):
            path = settings.out / mode / f"{number:04}.json"
            if not path.exists():
                on_pair(mode, number)
                path.parent.mkdir(exist_ok=True)
                try:
                    found = inject_pair(system, *pair)
                except Exception as error:
                    raise _failed(settings.out, mode, pair, error) from error
                write_json(path, asdict(found) if found else None)
    return read_accumulation(settings.out)


def _failed(out: Path, mode: Mode, pair: Sequence[Example], error: Exception) -> EngineError:
    """Keep an error with its traceback, and return one that says where."""
    ids, cause = " then ".join(example.task.id for example in pair), f"{error}"
    if not isinstance(error, EngineError):
        cause = f"{type(error).__name__}: {error}"
    note_error(out, mode, ids, error)
    return EngineError(
        f"{mode}: the pair {ids} failed: {cause}; see {out}/{ERRORS}.{mode}.jsonl; what is done is "
        "kept"
    )


def inject_pair(system: "PmiSystem", first: Example, second: Example) -> Pair | None:
    """Return what the second of two memories did to the first; None where a snippet is empty.

    Both are out again when this returns.

    Raises:
        EngineError: The engine failed; nothing stays attached.
    """
    # Both are written under the base weights, before any memory is in force.
    lessons = [system.first_lessons(example.task) for example in (first, second)]
    if not all(lessons):
        return None
    states = [_ask(system, (first, second), None)]
    with injected(system.engine) as memory:
        for example, learned in zip((first, second), lessons, strict=True):
            lora = system.first_lora(example.task)
            trained = system.engine.train(learned, lora, adapter=memory.adapter)
            states.append(_ask(system, (first, second), memory.add(trained.weights, lora)))
    return Pair(
        first.task.id,
        second.task.id,
        *(Asked(*zip(*(state[place] for state in states), strict=True)) for place in (0, 1)),
    )


def read_accumulation(out: Path) -> Accumulation:
    """Return an accumulation study, as far as it has been run.

    Raises:
        ConfigError: There is no such study.
        DataError: No pair is done.
    """
    record = read_json(out / STUDY)
    if record is None:
        raise ConfigError(f"{out} holds no accumulation study")
    settings = AccumulationSettings(**{**record["settings"], "out": out})
    num_left_out = 0
    pairs: dict[str, tuple[Pair, ...]] = {}
    for mode in settings.accumulate:
        paths = [out / mode / f"{number:04}.json" for number in range(settings.pairs)]
        found = [read_json(path) for path in paths if path.exists()]
        num_left_out += found.count(None)
        if done := tuple(_pair(fields) for fields in found if fields):
            pairs[mode] = done
    if not pairs:
        raise DataError(f"{out}: no pair is done")
    facts = {
        "questions": settings.data,
        "pairs": str(settings.pairs),
        "commit": f"{record['git']['commit']}{' and changes' if record['git']['is_dirty'] else ''}",
        "versions": ", ".join(f"{name} {one}" for name, one in record["versions"].items()),
    }
    return Accumulation(pairs, num_left_out, facts)


def _begin(settings: AccumulationSettings, config: PmiConfig) -> None:
    """Keep what the study is of; refuse to go on with another."""
    settings.out.mkdir(parents=True, exist_ok=True)
    same = {"data": data_hash(settings.data), "pairs": settings.pairs}
    before = read_json(settings.out / STUDY)
    if before is not None:
        old = {**before["same"], **PmiConfig.recorded(before["config"]).model_dump(mode="json")}
        new = {**same, **config.model_dump(mode="json")}
        differing = [f"{n} ({old[n]!r} there, {v!r} here)" for n, v in new.items() if old[n] != v]
        if differing:
            raise ConfigError(
                f"{settings.out} holds an accumulation study with another {', '.join(differing)}; "
                "use the same settings to go on with it, or another folder"
            )
    write_json(
        settings.out / STUDY,
        {
            "same": same,
            "settings": settings.model_dump(mode="json"),
            "config": config.model_dump(mode="json"),
            "versions": package_versions(),
            "git": git_state(),
        },
    )


def _ask(
    system: Asks, examples: Sequence[Example], state: object
) -> list[tuple[str, float, float]]:
    """Each question's reply, whether it holds the gold answer, and the gold's log-probability."""
    told = []
    for example in examples:
        answers = example.gold.answers
        task = example.task
        (said,) = recall(system, [task.question], answers[0], state, form=task.form)
        told.append((said.answer, score_answer(said.answer, answers).sub_em, said.gold.total_nats))
    return told


def _pair(fields: Mapping[str, Any]) -> Pair:
    asked = {
        name: Asked(**{key: tuple(values) for key, values in fields[name].items()})
        for name in ("first", "second")
    }
    return Pair(fields["first_id"], fields["second_id"], asked["first"], asked["second"])
