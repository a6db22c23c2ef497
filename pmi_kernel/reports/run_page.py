"""A whole run as one page: its settings and figures, and every episode, to be opened in place."""

import base64
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.trace import StepKind, Trace
from pmi_kernel.episodes.card import ReportCard, episode_card
from pmi_kernel.reports.cards import mean_rows
from pmi_kernel.reports.compare import Comparison, run_scores
from pmi_kernel.reports.pages.reading import costs
from pmi_kernel.reports.pages.render import READ_SCRIPT, RUN_SCRIPT, Node, page, table_node
from pmi_kernel.reports.pages.trace_nodes import prediction_of, replay_nodes
from pmi_kernel.reports.recording import Recording
from pmi_kernel.reports.summary import COUNTS_AS, ending_rule
from pmi_kernel.runs.files import RECORD
from pmi_kernel.systems import SYSTEMS, config_class

_SCORES = ("em", "f1")
_COLUMNS = ("question", "gold", "answer", *(FIGURES[name].label for name in _SCORES))
_COLUMNS += ("end", "searches", "injections", "seconds")


def run_page(recording: Recording) -> str:
    """Return a run as a page of its own, which asks the network for nothing.

    The steps of an episode are kept compressed, and unpacked by the page's script when it is
    opened: there may be thousands.

    Raises:
        ConfigError: The run's record is damaged.
        DataError: There is no episode.
    """
    rows, cards, packed = [], [], []
    for id_ in recording.ids:
        result = recording.results.get(id_)
        try:
            trace = recording.trace(id_)
        except DataError as error:
            rows.append(_row(id_, None, result))
            nodes = [Node("steps", "unreadable.html", {"problem": str(error)})]
        else:
            rows.append(_row(id_, trace, result))
            nodes = replay_nodes(trace, result, recording.notes, recording.again)
            if result and (card := episode_card(trace, result.gold)):
                cards.append(card)
        html = "".join(node.html() for node in nodes)
        packed.append(base64.b64encode(zlib.compress(html.encode(), 9)).decode())
    if not rows:
        raise DataError(f"{recording.path}: no episode is done yet")
    filters = {
        name: sorted({str(row["filters"][place]) for row in rows} - {""})
        for place, name in enumerate(("answers", "ends"))
    }
    table = {"filters": filters, "columns": _COLUMNS, "rows": rows}
    shown = [
        _head(recording),
        *_figures(recording, cards),
        Node("episodes", "episodes.html", table),
    ]
    return page(str(recording.path), shown, scripts=(READ_SCRIPT, RUN_SCRIPT), data=packed)


def _row(id_: str, trace: Trace | None, result: EvalResult | None) -> dict[str, Any]:
    """An episode's row; what neither its trace nor its result tells is empty."""
    prediction, end, numbers = "", "", []
    if trace:
        prediction = prediction_of(trace) or ""
        end = (trace.steps[-1].end_reason or "") if trace.steps else ""
        kinds = Counter(step.kind for step in trace.steps)
        spent_s = sum(costs(trace.steps)["seconds"].values())
        numbers = [kinds[StepKind.SEARCH], kinds[StepKind.INJECT], spent_s]
    if result:
        prediction, end = result.prediction, result.end_reason
        spent_s = sum(value for name, value in result.costs.items() if name.endswith("_s"))
        numbers = [result.num_searches, result.num_injections, spent_s]
    scores = [result.scores[name] if result else None for name in _SCORES]
    return {
        "id": id_,
        "question": trace.task.question if trace else "(its trace cannot be read)",
        "texts": (" / ".join(result.answers) if result else "", prediction),
        "numbers": [
            *(
                ("", "") if score is None else (FIGURES[name].show_score(score), score)
                for name, score in zip(_SCORES, scores, strict=True)
            ),
            (end.replace("_", " "), end),
            *((f"{value:.1f}" if value % 1 else f"{value:g}", value) for value in numbers),
        ],
        "filters": [
            "" if scores[0] is None else "right" if scores[0] else "wrong",
            end.replace("_", " "),
        ],
    }


def _head(recording: Recording) -> Node:
    record = RECORD.read(recording.folder)
    num = len(recording.ids)
    if record is None:
        facts = {"episodes": str(num)}
        return Node("run", "run.html", _told(recording, facts, {}))
    engine, git = record["engine"], record.get("git", {})
    ends = Counter(one.end_reason.replace("_", " ") for one in recording.results.values())
    facts = {
        "system": record["system"],
        "episodes": f"{num} done ({', '.join(f'{end} {n}' for end, n in ends.most_common())})",
        "data": f"{record['data_source']} (sha256 {record['data']['sha256'][:12]})",
        "model": " ".join(engine.get(name, "") for name in ("model", "dtype", "device")).strip(),
        "settings": _changed(record["system"], record["config"]),
        "no whole answer": f"counts as {COUNTS_AS[ending_rule(record)]}",
        "program": f"{record.get('versions', {}).get('pmi-workbench', '')} "
        f"{str(git.get('commit') or '')[:12]}{' and changes' if git.get('is_dirty') else ''}",
    }
    return Node("run", "run.html", _told(recording, facts, record["config"]))


def _told(
    recording: Recording, facts: Mapping[str, str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "title": recording.path.resolve().name,
        "unreadable": recording.unreadable,
        "facts": [(name, value.strip()) for name, value in facts.items() if value.strip()],
        "settings": [
            (name, json.dumps(value, ensure_ascii=False)) for name, value in settings.items()
        ],
    }


def _changed(system: str, config: Mapping[str, Any]) -> str:
    """The settings that are not at their defaults, as flags would have them."""
    kind = config_class(system) if system in SYSTEMS else SystemConfig
    defaults = {name: field.default for name, field in kind.model_fields.items()}
    changed = {
        name: value
        for name, value in config.items()
        if name not in defaults
        or value != (list(d) if isinstance(d := defaults[name], tuple) else d)
    }
    return (
        ", ".join(f"{name}={value}" for name, value in changed.items()) or "all at their defaults"
    )


def _figures(recording: Recording, cards: Sequence[ReportCard]) -> list[Node]:
    """The scores with their intervals, and what injections did where they were probed."""
    results = [recording.results[id_] for id_ in recording.ids if id_ in recording.results]
    if not results:
        return []
    name = recording.path.resolve().name
    scores = run_scores(name, RECORD.read(recording.folder) or {}, results)
    table = Comparison((scores,), (), 0).tables()["scores"]
    nodes = [table_node("scores", *table)]
    if cards:
        told = {
            "summary": "What the injections did",
            "caption": "Asked alone, before and after; the means over episodes.",
            "columns": ("figure", "with 95 % interval", "n"),
            "rows": mean_rows(cards),
        }
        nodes.append(Node("cards", "folded.html", told))
    return nodes
