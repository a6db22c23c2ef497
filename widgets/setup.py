"""Which question, which model, which system: chosen in a form, used by the other views."""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import System
from pmi_kernel.core.task import Example, Task
from pmi_kernel.data import load_examples
from pmi_kernel.episodes.controls import Controls
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.systems import SYSTEMS, config_class, open_system
from widgets.view import View

_MOST_SHOWN = 60


class Setup(View):
    """A form to choose data, question, model, system and settings.

    Args:
        data: Questions, as in `pmi run --data`.
        system: Name of the system.
        **settings: Its settings, as in its config.

    Raises:
        DataError: The data cannot be read.
        ConfigError: A setting is not right.
    """

    def __init__(self, data: str = "sample", *, system: str = "pmi", **settings: Any) -> None:
        super().__init__()
        self.config: SystemConfig = config_class(system)(**settings)
        self._opened: System | None = None
        self._lock = Lock()
        self._listeners: list[Callable[[], object]] = []
        self._find = ""
        self._load(data)
        self._show()
        self.say("")

    # -- what was chosen ----------------------------------------------------------------------

    @property
    def example(self) -> Example:
        """The chosen question."""
        return self.examples[self._chosen]

    @property
    def other_task(self) -> Task:
        """The question whose passage is the wrong one for the chosen one, as in `Controls`.

        Raises:
            ValueError: There is none.
        """
        control = self._controls.of(self.example)
        if control.task is None:
            raise ValueError("the context of every other question tells this one's answer")
        return control.task

    def choose(self, episode_id: str) -> None:
        """Choose a question by its id.

        Raises:
            ValueError: There is none.
        """
        if episode_id not in self.examples:
            raise ValueError(f"no question {episode_id!r} in {self.data}")
        self._chosen = episode_id
        self._changed()

    def configure(self, system: str | None = None, **settings: Any) -> None:
        """Choose a system and its settings; settings not given are as they were.

        Raises:
            ValueError: A setting is not right.
        """
        kind = config_class(system or self.config.system)
        kept = {k: v for k, v in self.config.model_dump().items() if k in kind.model_fields}
        self.config = kind(**{**kept, **settings})
        self._changed()

    def load(self, data: str) -> None:
        """Read another data file.

        Raises:
            DataError: It cannot be read; what was there stays.
        """
        self._load(data)
        self._changed()

    def system(self) -> System:
        """Return the system of the settings; what is loaded serves on where they load the same."""
        with self._lock:
            if self._opened and self._opened.config.loads() != self.config.loads():
                self._opened.close()
                self._opened = None
            self._opened = open_system(self.config, self._opened and self._opened.loaded)
            return self._opened

    @property
    def loaded(self) -> object:
        """What is loaded now; another object once other settings needed another model."""
        return self._opened and self._opened.loaded

    def listen(self, on_change: Callable[[], object]) -> None:
        """Call `on_change` whenever something else was chosen."""
        self._listeners.append(on_change)

    def _load(self, data: str) -> None:
        examples = {example.task.id: example for example in load_examples(data)}
        self.data, self.examples = data, examples
        self._controls = Controls(examples.values())
        self._chosen = next(iter(examples))

    def _changed(self) -> None:
        self._show()
        for listener in self._listeners:
            listener()

    # -- the form -----------------------------------------------------------------------------

    def on_load(self, _: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Read the data file that was typed."""
        name = values["data"].strip()
        self.submit(f"Reading {name}…", lambda: self.load(name))

    def on_find(self, _: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Show the questions that hold every word typed."""
        self._find = values["find"]
        self._show()

    def on_choose(self, args: Mapping[str, Any], _: Mapping[str, Any]) -> None:
        """Choose the question that was clicked."""
        self.choose(args["id"])

    def on_system(self, _: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Choose another system."""
        self.configure(values["system"])

    def on_apply(self, _: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Take the settings from the form."""
        settings = {
            name: _value(field, values[name])
            for name, field in type(self.config).model_fields.items()
            if name in values
        }
        self.configure(**settings)
        self.say("Applied.")

    def _show(self) -> None:
        wanted = self._find.lower().split()
        found = [
            example
            for example in self.examples.values()
            for task in [example.task]
            for text in [f"{task.id} {task.question} {example.type} {example.level}".lower()]
            if all(word in text for word in wanted)
        ]
        shown = found[:_MOST_SHOWN]
        about = f"{len(found)} of {len(self.examples)} questions"
        if len(shown) < len(found):
            about += f", the first {len(shown)} shown"
        choices = [
            {"id": e.task.id, "text": e.task.question, "cells": (e.type, e.level)} for e in shown
        ]
        fields = [_field(n, f, self.config) for n, f in type(self.config).model_fields.items()]
        main = self.config.main
        self.show(
            [
                Node(
                    "data",
                    "setup.html",
                    {
                        "source": self.data,
                        "about": f"{len(self.examples)} questions in {self.data}",
                    },
                ),
                Node(
                    "search",
                    "search_box.html",
                    {"find": "", "what": "a question (words, id, type, level)"},
                ),
                Node(
                    "choices",
                    "choices.html",
                    {
                        "about": about,
                        "columns": ("question", "type", "level"),
                        "choices": choices,
                        "selected": self._chosen,
                    },
                ),
                Node(
                    "settings",
                    "settings.html",
                    {
                        "systems": SYSTEMS,
                        "system": self.config.system,
                        "main": [field for field in fields if field["name"] in main],
                        "more": [field for field in fields if field["name"] not in main],
                        "about": f"settings {self.config.fingerprint()}",
                    },
                ),
            ]
        )


def _field(name: str, field: FieldInfo, config: SystemConfig) -> dict[str, Any]:
    """One setting as a form field: its kind, help, value and options."""
    value = getattr(config, name)
    if isinstance(value, bool):
        kind = "flag"
    elif get_origin(field.annotation) is not None and all(
        isinstance(option, str) for option in get_args(field.annotation)
    ):
        kind = "choice"
    elif isinstance(value, int | float):
        kind = "number"
    else:
        kind = "text"
        value = " ".join(value) if isinstance(value, tuple) else "" if value is None else value
    return {
        "name": name,
        "help": field.description or "",
        "kind": kind,
        "value": f"{value:g}" if isinstance(value, float) else value,
        "options": get_args(field.annotation) if kind == "choice" else (),
    }


def _value(field: FieldInfo, text: Any) -> Any:
    """What was typed, for the config to check: words for a tuple, None for an empty option."""
    if get_origin(field.annotation) is tuple:
        return tuple(text.split())
    if text == "" and type(None) in get_args(field.annotation):
        return None
    return text
