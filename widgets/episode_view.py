"""One episode, stepped through: each search, snippet and injection, and what would be if not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pmi_kernel.core.errors import PmiError, SettingsError
from pmi_kernel.core.scoring import score
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import Changes, Field, FieldKind
from pmi_kernel.core.trace import Change, Step, Trace
from pmi_kernel.core.visible import visible
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.reports.pages.again import Again
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.reports.pages.trace_nodes import (
    Live,
    branch_node,
    foreseen_node,
    head_node,
    reading_nodes,
)
from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.retrieval.foreseen import foreseen
from widgets.setup import Setup
from widgets.view import View


@dataclass(slots=True)
class _Branch:
    """An episode on the engine; parked while another needs an engine that holds one memory."""

    episode: TapedEpisode
    key: str
    title: str
    is_parked: bool = False


@dataclass(slots=True, eq=False)
class _Sitting:
    """One question under one set of settings, with all its branches.

    Attributes:
        key: Unique in the view.
        config: Its settings.
        source: Where its question is from.
        loaded: What `Setup.loaded` was when it began.
        branches: The episode and its branches.
        num_forks: How many branches there were.
    """

    key: str
    config: SystemConfig
    source: str
    loaded: object
    branches: list[_Branch]
    num_forks: int = 0


class EpisodeView(View):
    """Steps through the question that a `Setup` chose, with probes around each injection.

    Choosing anew in the setup begins another episode beside those that are there: each stays, with
    its branches, until it is closed.

    Args:
        setup: Gives the question, the system and the engine.
        is_probed: Whether to measure around each injection.
    """

    def __init__(self, setup: Setup, *, is_probed: bool = True) -> None:
        super().__init__()
        self._setup = setup
        self._is_probed = is_probed
        self._sittings: list[_Sitting] = []
        self._shown: _Sitting | None = None
        self._num_begun = 0
        setup.listen(self.begin)
        self._show()
        self.begin()

    @property
    def traces(self) -> list[Trace]:
        """The trace so far of the episode that is shown, then each of its branches'."""
        return [branch.episode.trace for branch in self._branches]

    @property
    def _branches(self) -> list[_Branch]:
        return self._shown.branches if self._shown else []

    # -- what can be done ---------------------------------------------------------------------

    def next(self) -> None:
        """Take one step."""
        self._go_on("Working on the next step…", _always)

    def run(self) -> None:
        """Run to the end, or until stopped."""
        self._go_on("Running to the end…", _never)

    def run_to_injection(self) -> None:
        """Run until the next injection is done."""
        self._go_on("Running to the next injection…", _is_injection)

    def _go_on(self, label: str, is_enough: Callable[[Step], bool]) -> None:
        sitting = self._shown
        self.submit(label, lambda: self._advance(sitting, 0, is_enough))

    def begin(self) -> None:
        """Begin an episode with what the setup says now, beside those that have steps."""
        self.stop()
        self.submit(f"Loading {self._setup.config.serves or 'the system'}…", self._begin_beside)

    def reset(self) -> None:
        """Start the episode that is shown again, with what the setup says now; its branches go."""
        self.stop()
        sitting = self._shown
        label = f"Loading {self._setup.config.serves or 'the system'}…"
        self.submit(label, lambda: self._restart(sitting))

    def fork(self, step: int, *, branch: int = 0, **changes: object) -> None:
        """Run a branch that leaves `branch` at `step`, and show it beside the original.

        Args:
            step: Index of the step.
            branch: 0 is the original.
            changes: What is different, as in `TapedEpisode.fork`.
        """
        sitting = self._shown
        self.submit("Running the branch…", lambda: self._fork(sitting, branch, step, changes))

    def remove(self, branch: int) -> None:
        """Take a branch (1 or more) away."""
        sitting = self._shown
        self.submit("Removing the branch…", lambda: self._remove(sitting, branch))

    def show_episode(self, number: int) -> None:
        """Show one of the episodes that were begun, from 0."""
        self._shown = self._sittings[number]
        self._show()

    def close_episode(self, number: int) -> None:
        """Close one of the episodes, with its branches; the last one stays."""
        sitting = self._sittings[number]
        self.submit("Closing the episode…", lambda: self._drop(sitting))

    # -- clicks -------------------------------------------------------------------------------

    def on_next(self, *_: object) -> None:
        """The Next button."""
        self.next()

    def on_run(self, *_: object) -> None:
        """The Run to end button."""
        self.run()

    def on_run_to_injection(self, *_: object) -> None:
        """The Run to next injection button."""
        self.run_to_injection()

    def on_stop(self, *_: object) -> None:
        """The Stop button."""
        self.stop()

    def on_reset(self, *_: object) -> None:
        """The Reset button."""
        self.reset()

    def on_resume(self, args: Mapping[str, Any], _: object) -> None:
        """A branch's Continue button."""
        number, sitting = int(args["branch"]), self._shown
        self.submit("Running the branch…", lambda: self._advance(sitting, number, _never))

    def on_show(self, args: Mapping[str, Any], _: object) -> None:
        """An episode's tab."""
        self.show_episode(int(args["episode"]))

    def on_close(self, args: Mapping[str, Any], _: object) -> None:
        """An episode's Close button."""
        self.close_episode(int(args["episode"]))

    def on_remove(self, args: Mapping[str, Any], _: object) -> None:
        """A branch's Remove button."""
        self.remove(int(args["branch"]))

    def on_fork(self, args: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """A What if form; what was not changed in it stays as it was."""
        number, at = int(args["branch"]), int(args["step"])
        if not number < len(self._branches):
            raise ValueError("this branch is gone")
        episode = self._branches[number].episode
        changes = {
            field.name: value
            for field in _fields(episode, episode.trace.steps[at])
            if (value := self._typed(field, args, values)) is not None
        }
        self.fork(at, branch=number, **changes)

    def _typed(self, field: Field, args: Mapping[str, Any], values: Mapping[str, Any]) -> object:
        """What a form says of a field; None where it is as it was."""
        if field.kind is FieldKind.TASK:
            return self._setup.other_task if field.name in args else None
        if field.kind is FieldKind.FLAG:
            return True if field.name in args else None
        if field.kind is FieldKind.NUMBER:
            return _number(values, field.name, type(field.value))
        typed = values.get(field.name)
        return typed if typed is not None and typed != visible(str(field.value)) else None

    # -- in the thread ------------------------------------------------------------------------

    def _begin_beside(self) -> None:
        for sitting in [one for one in self._sittings if not _has_steps(one)]:
            self._sittings.remove(sitting)
            _close(sitting)
        self._park_all()
        config, system = self._setup.config, self._setup.system()
        episode = TapedEpisode(system, self._setup.example, is_probed=self._is_probed)
        self._num_begun += 1
        key, loaded = f"episode-{self._num_begun}", self._setup.loaded
        self._shown = _Sitting(
            key, config, self._setup.data, loaded, [_Branch(episode, "original", "Episode")]
        )
        self._sittings.append(self._shown)
        self._show()

    def _restart(self, sitting: _Sitting | None) -> None:
        if sitting is not None and sitting in self._sittings:
            self._sittings.remove(sitting)
            _close(sitting)
        self._begin_beside()

    def _advance(
        self, sitting: _Sitting | None, number: int, is_enough: Callable[[Step], bool]
    ) -> None:
        if sitting is None or sitting not in self._sittings:  # loading was stopped, or failed
            self._begin_beside()
            sitting, number = self._sittings[-1], 0
        branch = self._on_engine(sitting, number)
        while not branch.episode.is_stopped:
            step = branch.episode.step()
            self._show()
            if step is None or is_enough(step):
                break

    def _fork(
        self, sitting: _Sitting | None, number: int, at: int, changes: Mapping[str, object]
    ) -> None:
        if sitting is None or sitting not in self._sittings:
            raise ValueError("this episode was closed")
        self._check_loaded(sitting)
        origin = sitting.branches[number].episode
        if origin.system.max_concurrency == 1:
            self._park_all()
        episode = origin.fork(at, **changes)
        sitting.num_forks += 1
        title = f"Branch {sitting.num_forks}: {episode.change}"
        sitting.branches.append(_Branch(episode, f"branch-{sitting.num_forks}", title))
        self._show()
        if not self.is_stopping:
            self._advance(sitting, len(sitting.branches) - 1, _never)

    def _remove(self, sitting: _Sitting | None, number: int) -> None:
        if number == 0 or sitting is None:
            raise ValueError("the original cannot be removed; Reset starts again")
        sitting.branches.pop(number).episode.close()
        self._show()

    def _drop(self, sitting: _Sitting) -> None:
        if len(self._sittings) == 1:
            raise ValueError("the last episode cannot be closed; Reset starts again")
        place = self._sittings.index(sitting)
        self._sittings.remove(sitting)
        _close(sitting)
        if self._shown is sitting:
            self._shown = self._sittings[min(place, len(self._sittings) - 1)]
        self._show()

    def _check_loaded(self, sitting: _Sitting) -> None:
        if sitting.loaded is not self._setup.loaded:
            raise ValueError(
                "the model of this episode is no longer loaded: it can be read, and begun again "
                "with its settings"
            )

    def _on_engine(self, sitting: _Sitting, number: int) -> _Branch:
        """The branch, with its memory in force."""
        branch = sitting.branches[number]
        if not branch.episode.is_done:
            self._check_loaded(sitting)
        if branch.episode.system.max_concurrency == 1 and not branch.is_parked:
            self._park_all(but=branch)
        if branch.is_parked or branch.episode.is_stopped:
            if branch.episode.system.max_concurrency == 1:
                self._park_all()
            branch.episode.reopen()
            branch.is_parked = False
        return branch

    def _park_all(self, but: _Branch | None = None) -> None:
        for branch in [one for sitting in self._sittings for one in sitting.branches]:
            if branch is not but and not branch.episode.is_done:
                branch.episode.close()
                branch.is_parked = True

    # -- what is shown ------------------------------------------------------------------------

    def idle_status(self) -> str:
        """See `View.idle_status`."""
        if not self._branches:
            return ""
        trace = self._branches[0].episode.trace
        if self._branches[0].episode.is_done:
            return f"Done: {_steps(trace)}, {trace.end_reason.replace('_', ' ')}."
        return f"Ready: {_steps(trace)} so far."

    def stopped_status(self) -> str:
        """See `View.stopped_status`."""
        return "Stopped; the memory is out. Next and Run go on from the last whole step."

    def _show(self) -> None:
        setup, config = self._setup, self._setup.config
        original = self._branches[0].episode if self._branches else None
        is_done = original is not None and original.is_done
        buttons = [
            ("next", "Next", not is_done, "Take one step"),
            ("run_to_injection", "Run to next injection", not is_done, "Run until weights change"),
            ("run", "Run to end", not is_done, "Run until the answer"),
            ("stop", "Stop", True, "Stop at once, and take the memory out; the steps so far stay"),
            ("reset", "Reset", True, "Start this episode again, with the setup's settings"),
        ]
        names = ("action", "label", "is_on", "help")
        titles = [branch.title for branch in self._branches]
        example = original.example if original else setup.example
        prediction = original.trace.prediction if original and is_done else None
        self.show(
            [
                Node(
                    "toolbar",
                    "toolbar.html",
                    {"buttons": [dict(zip(names, button, strict=True)) for button in buttons]},
                ),
                *self._tabs(),
                head_node(
                    example.task,
                    example.gold.answers,
                    notes=(config.system, config.serves, example.type, example.level),
                    scores=score(prediction, example) if prediction is not None else {},
                ),
                *self._reading(),
                *self._foreseen(),
                Node(
                    f"branches-{self._shown.key if self._shown else ''}",
                    "branches.html",
                    {"tabs": titles if len(titles) > 1 else []},
                    self._branch_nodes(),
                ),
            ]
        )

    def _reading(self) -> list[Node]:
        """How to find one's way in the episode that is shown, and to run it again."""
        if self._shown is None:
            return []
        episode = self._shown.branches[0].episode
        again = Again(self._shown.config, self._shown.source, self._is_probed)
        return reading_nodes(episode.trace, episode.example.gold, again)

    def _foreseen(self) -> list[Node]:
        """What an episode without steps will begin with, where that needs no model."""
        config, example = self._setup.config, self._setup.example
        if self._shown is not None:
            config, example = self._shown.config, self._shown.branches[0].episode.example
            if _has_steps(self._shown):
                return []
        if not isinstance(config, RetrievalConfig):
            return []
        try:
            return [foreseen_node(example.task, foreseen(config, example.task))]
        except PmiError:  # the episode itself will say it
            return []

    def _tabs(self) -> list[Node]:
        """A tab for each episode, where there are several: question, what differs, outcome."""
        if len(self._sittings) < 2:
            return []
        episodes = [
            {
                "question": original.example.task.question,
                "differs": _differing(sitting.config, self._sittings[0].config),
                "outcome": _outcome(original),
                "is_shown": sitting is self._shown,
            }
            for sitting in self._sittings
            for original in [sitting.branches[0].episode]
        ]
        return [Node("episodes", "sittings.html", {"episodes": episodes})]

    def _branch_nodes(self) -> list[Node]:
        nodes = []
        for number, branch in enumerate(self._branches):
            episode = branch.episode
            live = Live(number, partial(_fields, episode))
            nodes.append(
                branch_node(
                    episode.trace,
                    key=branch.key,
                    gold=episode.example.gold,
                    title=branch.title,
                    forked_at=episode.forked_at,
                    change=episode.change,
                    live=live,
                    is_done=episode.is_done,
                    is_again=episode.forked_at is None,
                )
            )
        return nodes


def _has_steps(sitting: _Sitting) -> bool:
    return any(branch.episode.trace.steps for branch in sitting.branches)


def _close(sitting: _Sitting) -> None:
    for branch in sitting.branches:
        branch.episode.close()


def _differing(config: SystemConfig, first: SystemConfig) -> str:
    """The settings that are not as the first episode's."""
    before = {"system": first.system, **first.model_dump()}
    now = {"system": config.system, **config.model_dump()}
    return ", ".join(f"{name} {value}" for name, value in now.items() if before.get(name) != value)


def _outcome(episode: TapedEpisode) -> str:
    trace = episode.trace
    return trace.prediction if episode.is_done else f"{_steps(trace)} so far"


def _always(_: Step) -> bool:
    return True


def _never(_: Step) -> bool:
    return False


def _is_injection(step: Step) -> bool:
    return step.change is Change.MADE


def _fields(episode: TapedEpisode, step: Step) -> tuple[Field, ...]:
    return episode.system.changes(step) if isinstance(episode.system, Changes) else ()


def _number(values: Mapping[str, Any], name: str, kind: type) -> Any:
    """A number typed in a form; None where nothing was typed."""
    text = str(values.get(name, "")).strip()
    if not text:
        return None
    try:
        number = kind(text)
    except ValueError:
        raise SettingsError({name: f"{text!r} is not a number"}) from None
    if number <= 0:
        raise SettingsError({name: f"must be above 0, and is {text}"})
    return number


def _steps(trace: Trace) -> str:
    """How many steps a trace has, in words."""
    num = len(trace.steps)
    return f"{num} step" if num == 1 else f"{num} steps"
