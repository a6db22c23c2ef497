"""The main job, small: a few questions without and with injection, on one model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from tqdm.auto import tqdm

from pmi_kernel.core.figures import FIGURES, SCORES
from pmi_kernel.core.records import read_records
from pmi_kernel.core.settings import Settings, SystemConfig
from pmi_kernel.core.trace import Trace
from pmi_kernel.data import load_examples, write_examples
from pmi_kernel.engines.base import Engine
from pmi_kernel.engines.models import EMBEDDED
from pmi_kernel.reports.tables import render_table
from pmi_kernel.runs import RunSettings, read_results, run
from pmi_kernel.systems import open_system
from pmi_kernel.systems.baselines.config import ClosedBookConfig
from pmi_kernel.systems.config import ChatConfig
from pmi_kernel.systems.pmi.config import PmiConfig

RECOMMENDED: dict[str, Any] = {
    "retriever": "bm25",
    "action_decoding": "guided",
    "compression": "extractive",
}
"""Settings for the embedded model; see the README."""


class DemoSettings(Settings):
    """What the demo runs."""

    data: str = "sample"
    """Questions, as in pmi run."""
    engine: Literal["hf", "vllm", "scripted"] = "hf"
    """Serving engine, as in pmi run."""
    model: str = EMBEDDED
    """Model, as in pmi run."""
    limit: Annotated[int, Field(ge=1, le=10**9)] = 4
    """Questions, spread evenly over the data."""
    out: Path = Path("runs/demo")
    """Where the runs go; what is done there already is shown again, not run again."""


def demo(settings: DemoSettings) -> int:
    """Ask the same questions closed book, with retrieval, and with injected memory; print both."""
    served: dict[str, Any] = {"engine": settings.engine, "model": settings.model}
    configs: dict[str, ChatConfig] = {
        "closed_book": ClosedBookConfig(**served),
        "without_injection": PmiConfig(**served, **RECOMMENDED),
        "with_injection": PmiConfig(**served, train_mem=True, **RECOMMENDED),
    }
    questions = settings.out / "questions.json"
    examples = load_examples(settings.data)
    settings.out.mkdir(parents=True, exist_ok=True)
    write_examples(
        examples[:: max(1, len(examples) // settings.limit)][: settings.limit], questions
    )
    engine = configs["closed_book"].build_engine()
    summaries = {}
    for label, config in configs.items():
        target = RunSettings(
            data=str(questions), out=settings.out / label, probe=label == "with_injection"
        )
        summaries[label] = _run(target, config, engine)
    print(_changes(settings.out / "with_injection"))
    print()
    print(_scores(summaries))
    print("\nSo few questions say little: the README has the figures on the whole sample.")
    print(f"Every step is in {settings.out}/*/episode_trace.jsonl, one episode a line.")
    return 0


def _run(target: RunSettings, config: SystemConfig, engine: Engine) -> dict[str, Any]:
    """Run what is still owed and return the run's summary."""
    with tqdm(desc=target.out.name, unit="episode") as bar:
        outcome = run(
            target,
            config,
            system=open_system(config, engine),
            on_start=lambda done, pending: bar.reset(total=pending),
            on_result=lambda _: bar.update(),
        )
    if outcome.is_interrupted:
        raise KeyboardInterrupt
    return outcome.summary


def _changes(out: Path) -> str:
    """What each injection did to the model's answer, asked without any evidence in the prompt."""
    golds, nats = read_results(out), FIGURES["asked_gold_nats"]
    rows = []
    for trace in read_records(Trace, out / "episode_trace.jsonl"):
        for probe in trace.probes:
            before, after = probe.before, probe.after
            rows.append(
                (
                    trace.task.question,
                    golds[trace.task.id].answers[0],
                    before.answer_no_evidence,
                    after.answer_no_evidence,
                    *(
                        nats.show(state.gold_no_evidence.total_nats if state else None)
                        for state in (before, after, probe.control)
                    ),
                )
            )
    header = ("question", "gold", "before", "after", "before", "after", "wrong")
    return (
        "Asked without evidence: the answer before and after the injection, and the gold answer's\n"
        "log-probability (nats) before, after, and after injecting another question's snippet.\n\n"
        + render_table(header, rows, max_chars=34)
    )


def _scores(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (
            label,
            str(summary["num_episodes"]),
            *(FIGURES[name].show(summary[name]) for name in SCORES),
            str(summary["num_injections"]),
        )
        for label, summary in summaries.items()
    ]
    labels = [FIGURES[name].label for name in SCORES]
    return render_table(("run", "n", *labels, "injections"), rows)
