"""What the browser tests share: the notebook's variants, hostile text, what a page did."""

import json
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE = r"\"sample\","
"""How the first notebook names its data, as its JSON has it."""

VARIANTS = {
    "scripted": SAMPLE + r" engine=\"scripted\",",
    "hostile": r"\"hostile.json\", engine=\"scripted\",",
}
"""The first notebook, word for word, on the engine without a model."""

HOSTILE = (
    "<img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=2</script>",
    "right\u202eto left\u2066 marks \u05e9\u05dc\u05d5\u05dd",
    "{{ 7*7 }} {% raw %} ${7*7}",
)


def write_hostile_data(path: Path) -> None:
    """A question whose every text would be markup, or very long, if it were let."""
    long = "x" * 50_000
    context = [[f"{text} title", [f"{text} is a sentence. ", f"{long} "]] for text in HOSTILE]
    record = {
        "_id": HOSTILE[0],
        "question": " ".join(HOSTILE),
        "answer": HOSTILE[1],
        "type": HOSTILE[0],
        "level": "hard",
        "supporting_facts": [[f"{HOSTILE[0]} title", 0]],
        "context": context,
    }
    path.write_text(json.dumps([record]))


@dataclass
class Lab:
    """A running JupyterLab."""

    root: Path
    url: str
    token: str

    def address(self, notebook: str) -> str:
        return f"{self.url}lab/tree/notebooks/{notebook}?token={self.token}&reset"


@dataclass
class Watch:
    """What a page did that it should not."""

    off_loopback: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
