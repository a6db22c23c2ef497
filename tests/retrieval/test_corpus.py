"""Systems that search a corpus in place of a question's own paragraphs."""

import json
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError, SettingsError
from pmi_kernel.core.records import read_records
from pmi_kernel.core.task import Example, Gold, Task
from pmi_kernel.core.trace import Trace
from pmi_kernel.episodes.controls import Controls
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.reports.recording import Recording
from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.retrieval.index.build import build
from pmi_kernel.retrieval.index.passages import CorpusPassage
from pmi_kernel.retrieval.index.settings import IndexSettings
from pmi_kernel.retrieval.index.store import drop
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems import SYSTEMS, config_class, open_system
from pmi_kernel.systems.baselines.config import InContextConfig
from pmi_kernel.systems.lexical.config import LexicalConfig
from tests.retrieval.corpora import made, write_jsonl

SEARCHES = [name for name in SYSTEMS if issubclass(config_class(name), RetrievalConfig)]

TOWN = CorpusPassage("w7", "Ostermoor", "Ostermoor is a town. It lies in Vallmark.")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Two questions without paragraphs."""
    path = tmp_path / "questions.jsonl"
    rows = [
        {"question": "Where does Ostermoor lie?", "answer": "Vallmark"},
        {"question": "Which bridge is unique3?", "answer": "none"},
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def build_towns(tmp_path: Path, *more: CorpusPassage) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [*made(20), TOWN, *more])
    build(IndexSettings(name="towns", min_free_gb=0), [corpus])


def searching(system: str, **more: object) -> dict[str, object]:
    scripted = {"engine": "scripted"} if "engine" in config_class(system).model_fields else {}
    learns = {"train_mem": True} if system == "pmi" else {}
    return {"retriever": "corpus", "index": "towns", **scripted, **learns, **more}


@pytest.mark.parametrize("system", SEARCHES)
def test_any_system_searches_a_corpus_and_records_its_hash(
    tmp_path: Path, questions: Path, system: str, checkpoints: dict[str, str]
) -> None:
    build_towns(tmp_path)
    trained = {"checkpoint": checkpoints[system]} if system in checkpoints else {}
    config = config_class(system)(**searching(system, **trained))
    outcome = run(RunSettings(data=str(questions), out=tmp_path / "run"), config)
    assert outcome.summary["num_errors"] == 0
    traces = list(read_records(Trace, tmp_path / "run" / "episode_trace.jsonl"))
    (trace,) = [one for one in traces if "Ostermoor" in one.task.question]
    best = trace.steps[0].passages[0]
    assert (best.source, best.title, best.text, best.rank) == (
        "towns/w7",
        "Ostermoor",
        TOWN.text,
        1,
    )
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    shown = static_html(Recording(tmp_path / "run").nodes(trace.task.id))
    assert "<bdi>towns/w7</bdi>" in shown
    opened = open_system(config)
    assert record["engine"]["index_sha256"] == opened.describe()["index_sha256"]
    opened.close()


def test_a_found_passage_answers_a_question_that_has_no_paragraphs(
    tmp_path: Path, questions: Path
) -> None:
    build_towns(tmp_path)
    config = LexicalConfig(retriever="corpus", index="towns")
    outcome = run(RunSettings(data=str(questions), out=tmp_path / "run", limit=2), config)
    assert outcome.summary["f1"] == pytest.approx(0.5)


def test_another_index_of_that_name_is_another_run(tmp_path: Path, questions: Path) -> None:
    build_towns(tmp_path)
    settings = RunSettings(data=str(questions), out=tmp_path / "run", limit=1)
    config = LexicalConfig(retriever="corpus", index="towns")
    run(settings, config)
    before = json.loads((tmp_path / "run" / "config.json").read_text())
    drop("towns")
    build_towns(tmp_path, CorpusPassage("new", "Ister", "The Ister is a river."))
    with pytest.raises(ConfigError, match=r"index_sha256: .* there, .* here"):
        run(settings, config)
    again = RunSettings(data=str(questions), out=tmp_path / "again", limit=1)
    run(again, config)
    after = json.loads((tmp_path / "again" / "config.json").read_text())
    assert before["fingerprint"] != after["fingerprint"]


def test_a_wrong_passage_of_a_corpus_does_not_tell_the_answer(tmp_path: Path) -> None:
    said = CorpusPassage("said", "Kelda", "Kelda came from Vallmark.")
    build_towns(tmp_path, said, CorpusPassage("else", "Orm", "Orm is a baker."))
    questions = [("a", "Where does Ostermoor lie?"), ("b", "Who was Kelda?"), ("c", "Who is Orm?")]
    examples = [Example(Task(id_, asked), Gold(("Vallmark",))) for id_, asked in questions]
    config = LexicalConfig(retriever="corpus", index="towns", topk=1)
    control = Controls(examples, config).of(examples[0])
    assert control.task is not None
    assert (control.task.id, control.num_passed_over) == ("c", 1)


@pytest.mark.parametrize("system", SEARCHES)
def test_an_index_that_is_not_there_is_told_of_before_a_model_loads(
    tmp_path: Path, questions: Path, system: str
) -> None:
    fields = config_class(system).model_fields
    model = {name: "nowhere/to/be/found" for name in ("model", "checkpoint") if name in fields}
    config = config_class(system)(retriever="corpus", index="none", **model)
    with pytest.raises(ConfigError, match="there is no index 'none'"):
        open_system(config)
    with pytest.raises(ConfigError, match="there is no index 'none'"):
        run(RunSettings(data=str(questions), out=tmp_path / "run"), config)


def test_the_corpus_retriever_and_its_index_go_together() -> None:
    for given in ({"retriever": "corpus"}, {"index": "wiki"}, {"retriever": "bm25", "index": "x"}):
        with pytest.raises(SettingsError, match="index is needed where the retriever is corpus"):
            RetrievalConfig(**given)  # type: ignore[arg-type]


def test_questions_without_paragraphs_need_a_corpus(tmp_path: Path, questions: Path) -> None:
    config = InContextConfig(model="nowhere/to/be/found")
    with pytest.raises(ConfigError, match="have no paragraphs"):
        run(RunSettings(data=str(questions), out=tmp_path / "run"), config)


def test_evidence_of_a_corpus_is_cut_like_any_other(tmp_path: Path, questions: Path) -> None:
    build_towns(tmp_path)
    config = LexicalConfig(retriever="corpus", index="towns", max_chars=40, topk=2)
    run(RunSettings(data=str(questions), out=tmp_path / "run"), config)
    for trace in read_records(Trace, tmp_path / "run" / "episode_trace.jsonl"):
        assert len(trace.steps[0].passages) <= 2
        assert trace.steps[0].measures["evidence_chars"] <= 40
        assert trace.steps[0].measures["cut_chars"] > 0


def test_a_passage_without_a_title_is_its_text(tmp_path: Path) -> None:
    build_towns(tmp_path, CorpusPassage("m", "", "Apoptosis is programmed."))
    config = RetrievalConfig(retriever="corpus", index="towns")
    (best, *_) = config.build_retriever().search("apoptosis", (), 3)
    assert (best.paragraph.title, best.paragraph.text) == ("", "Apoptosis is programmed.")
    assert best.source == "towns/m"
