import dataclasses
import json
from pathlib import Path

import pytest

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.probe import GoldScore, Probe, ProbeState
from pmi_kernel.core.records import RecordWriter, decode, encode, read_records
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.task import Paragraph, Task
from pmi_kernel.core.trace import EndReason, Passage, PassageUse, Step, StepKind, Trace

SCORES = {"em": 1.0, "f1": 1.0, "precision": 1.0, "recall": 1.0, "sub_em": 1.0}
RESULT = EvalResult(
    "id", "Paris", ("Paris",), SCORES, EndReason.ANSWERED, "bridge", "hard", 2, 1, 0
)
STATE = ProbeState("a", "b", GoldScore(("x",), (-1.5,)), GoldScore(("x",), (-2.5,)))
TRACE = Trace(
    Task("id", "Où?  \u202e", (Paragraph("T", ("One.", " Two.")),)),
    "pmi",
    "f00",
    (
        Step(
            StepKind.SEARCH,
            "q",
            passages=(Passage(0, "T", "One.", 1.5, 1, PassageUse.CUT),),
            measures={"retrieve_s": 0.25},
            artifacts={"losses_nats": [1.0, 0.5], "nested": {"a": None}},
            state=object(),
        ),
        Step(StepKind.ANSWER, "Paris", index=1, end_reason=EndReason.ANSWERED),
    ),
    (Probe(0, STATE, STATE, None, None, 0.1, 2.0),),
)


@pytest.mark.parametrize("record", [RESULT, TRACE])
def test_a_record_survives_the_round_trip(record: EvalResult | Trace) -> None:
    line = encode(record)
    assert "\n" not in line
    assert decode(type(record), line) == record


def test_a_result_of_the_first_layout_is_read_as_before() -> None:
    fields = json.loads(encode(RESULT))
    line = json.dumps({**fields, **fields.pop("scores"), "schema": 1})
    assert decode(EvalResult, line) == RESULT
    with pytest.raises(DataError, match="'f1'"):
        decode(EvalResult, line.replace('"f1"', '"f2"'))


def test_a_live_state_is_never_recorded() -> None:
    assert "state" not in encode(TRACE)


def test_not_a_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(dataclasses.replace(RESULT, scores={"f1": float("nan")}))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not a line of JSON"),
        ("[]", "expected a JSON object"),
        ('{"schema": 99}', "schema version 99"),
        ('{"schema": 2, "episode_id": "x"}', "prediction"),
    ],
)
def test_a_bad_line_says_where_and_what(line: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        decode(EvalResult, line, where="runs/x.jsonl:7")
    assert "runs/x.jsonl:7" in str(caught.value)


def test_a_torn_last_line_is_owed_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with RecordWriter(path) as writer:
        writer.write(RESULT)
    with path.open("a") as file:
        file.write(encode(RESULT)[:40])
    assert len(list(read_records(EvalResult, path))) == 1
    with RecordWriter(path) as writer:
        writer.write(dataclasses.replace(RESULT, episode_id="next"))
    assert [r.episode_id for r in read_records(EvalResult, path)] == ["id", "next"]
