"""What the browser tests share: the notebook's variants, hostile text, what a page did."""

import json
from dataclasses import dataclass, field
from pathlib import Path

VARIANTS = {
    "scripted": (
        "01_single_episode",
        {r"\"sample\",": r"\"sample\", engine=\"scripted\","},
    ),
    "hostile": (
        "01_single_episode",
        {r"\"sample\",": r"\"hostile.json\", engine=\"scripted\","},
    ),
    "slow_batch": (
        "02_batch_evaluation",
        {
            "PmiConfig(": r"PmiConfig(engine=\"scripted\", model=\"slow:script\", ",
            "limit=2, probe=True": "workers=2, probe=True",
        },
    ),
}
"""Notebooks, word for word but for a few, on the engine without a model."""

SLOW = """
import time
from pmi_kernel.engines.scripted import first_title

def script(prompt, adapter):
    time.sleep(0.07)
    return first_title(prompt, adapter)
"""
"""A script that takes its time, beside the notebooks."""


def write_variants(notebooks: Path) -> None:
    """Write every variant beside the notebook that it comes from."""
    for name, (source, changes) in VARIANTS.items():
        text = (notebooks / f"{source}.ipynb").read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text, (source, old)
            text = text.replace(old, new)
        (notebooks / f"{name}.ipynb").write_text(text, encoding="utf-8")
    (notebooks / "slow.py").write_text(SLOW, encoding="utf-8")


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
    path.write_text(json.dumps([record]), encoding="utf-8")


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
