"""The PMI system on a model, small."""

import re
from pathlib import Path

from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, StepKind
from pmi_kernel.engines.base import Engine
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.episodes.probes import Prober, verified_restore
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig

CONFIG = PmiConfig(
    train_mem=True,
    retriever="bm25",
    action_decoding="guided",
    compression="extractive",
    snippet_tokens=60,
    mem_steps=6,
    mem_lr=1e-3,
    max_steps=2,
    shots=1,
    dtype="float32",
)


def test_an_extractive_snippet_is_made_of_the_evidences_sentences(
    engine: Engine, sample: list[Example]
) -> None:
    episode = Episode(open_system(CONFIG, engine), sample[0])
    search, compress = episode.step(), episode.step()
    episode.close()
    assert search is not None
    assert compress is not None
    evidence = " ".join(passage.text for passage in search.passages)
    sentences = re.findall(r"[^.]+\.", compress.text)
    assert sentences
    assert all(sentence.strip() in evidence for sentence in sentences)


def test_an_injection_raises_what_it_was_trained_on_and_is_undone(
    engine: Engine, sample: list[Example]
) -> None:
    system = open_system(CONFIG, engine)
    prober = Prober(system, sample[0], control=sample[1].task)
    with verified_restore(system):
        trace = Episode(system, sample[0], observer=prober).run()
    losses = next(s for s in trace.steps if s.kind == StepKind.INJECT).artifacts["losses_nats"]
    assert isinstance(losses, list)
    assert losses[-1] < losses[0]
    (probe,) = trace.probes
    assert probe.before.gold.tokens == probe.after.gold.tokens
    gold = sample[0].gold.answers[0]
    scored = "".join(probe.before.gold.tokens)
    assert gold in scored
    assert len(scored) <= len(gold) + 2  # a token may hold an angle bracket with a letter
    assert probe.before.gold_no_evidence != probe.after.gold_no_evidence
    assert probe.control is not None
    assert probe.control.gold_no_evidence != probe.after.gold_no_evidence
    assert probe.drift_kl_nats > 0
    assert trace.end_reason in (EndReason.ANSWERED, EndReason.MAX_STEPS)


def test_two_runs_with_one_seed_are_the_same_but_for_time(engine: Engine, tmp_path: Path) -> None:
    def results(name: str) -> str:
        out = tmp_path / name
        run(RunSettings(out=out, limit=1), CONFIG, system=open_system(CONFIG, engine))
        text = (out / "eval_results.jsonl").read_text()
        return re.sub(r'("[a-z_]*_s": )[0-9.e-]+', r"\g<1>0", text)

    assert results("one") == results("two")
