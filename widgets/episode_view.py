"""One episode, stepped through: each search, snippet and injection, and what would be if not."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pmi_kernel.core.system import Changes, Field, FieldKind
from pmi_kernel.core.trace import Change, Step, Trace
from pmi_kernel.core.visible import visible
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.reports.pages.trace_nodes import Live, branch_node, head_node
from widgets.setup import Setup
from widgets.view import View


@dataclass(slots=True)
class _Branch:
    """An episode on the engine; parked while another needs an engine that holds one memory."""

    episode: TapedEpisode
    key: str
    title: str
    is_parked: bool = False


class EpisodeView(View):
    """Steps through the question that a `Setup` chose, with probes around each injection.

    Args:
        setup: Gives the question, the system and the engine; choosing anew there resets here.
        is_probed: Whether to measure around each injection.
    """

    def __init__(self, setup: Setup, *, is_probed: bool = True) -> None:
        super().__init__()
        self._setup = setup
        self._is_probed = is_probed
        self._branches: list[_Branch] = []
        self._num_forks = 0
        setup.listen(self.reset)
        self._show()
        self.reset()

    @property
    def traces(self) -> list[Trace]:
        """The original's trace so far, then each branch's."""
        return [branch.episode.trace for branch in self._branches]

    # -- what can be done ---------------------------------------------------------------------

    def next(self) -> None:
        """Take one step."""
        self.submit("Working on the next step…", lambda: self._advance(0, _always))

    def run(self) -> None:
        """Run to the end, or until stopped."""
        self.submit("Running to the end…", lambda: self._advance(0, _never))

    def run_to_injection(self) -> None:
        """Run until the next injection is done."""
        self.submit("Running to the next injection…", lambda: self._advance(0, _is_injection))

    def reset(self) -> None:
        """Start again with what the setup says now; branches go."""
        self.stop()
        self.submit(f"Loading {self._setup.config.serves or 'the system'}…", self._restart)

    def fork(self, step: int, *, branch: int = 0, **changes: object) -> None:
        """Run a branch that leaves `branch` at `step`, and show it beside the original.

        Args:
            step: Index of the step.
            branch: 0 is the original.
            changes: What is different, as in `TapedEpisode.fork`.
        """
        self.submit("Running the branch…", lambda: self._fork(branch, step, changes))

    def remove(self, branch: int) -> None:
        """Take a branch (1 or more) away."""
        self.submit("Removing the branch…", lambda: self._remove(branch))

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
        number = int(args["branch"])
        self.submit("Running the branch…", lambda: self._advance(number, _never))

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

    def _restart(self) -> None:
        self._close()
        episode = TapedEpisode(self._setup.system(), self._setup.example, is_probed=self._is_probed)
        self._branches = [_Branch(episode, "original", "Episode")]
        self._show()

    def _advance(self, number: int, is_enough: Any) -> None:
        if not self._branches:  # loading was stopped, or failed
            self._restart()
        branch = self._on_engine(number)
        while not branch.episode.is_stopped:
            step = branch.episode.step()
            self._show()
            if step is None or is_enough(step):
                break

    def _fork(self, number: int, at: int, changes: Mapping[str, object]) -> None:
        origin = self._branches[number].episode
        if origin.system.max_concurrency == 1:
            self._park_all()
        episode = origin.fork(at, **changes)
        self._num_forks += 1
        title = f"Branch {self._num_forks}: {episode.change}"
        self._branches.append(_Branch(episode, f"branch-{self._num_forks}", title))
        self._show()
        if not self.is_stopping:
            self._advance(len(self._branches) - 1, _never)

    def _remove(self, number: int) -> None:
        if number == 0:
            raise ValueError("the original cannot be removed; Reset starts again")
        self._branches.pop(number).episode.close()
        self._show()

    def _on_engine(self, number: int) -> _Branch:
        """The branch, with its memory in force."""
        branch = self._branches[number]
        if branch.episode.system.max_concurrency == 1 and not branch.is_parked:
            self._park_all(but=branch)
        if branch.is_parked or branch.episode.is_stopped:
            if branch.episode.system.max_concurrency == 1:
                self._park_all()
            branch.episode.reopen()
            branch.is_parked = False
        return branch

    def _park_all(self, but: _Branch | None = None) -> None:
        for branch in self._branches:
            if branch is not but and not branch.episode.is_done:
                branch.episode.close()
                branch.is_parked = True

    def _close(self) -> None:
        for branch in self._branches:
            branch.episode.close()
        self._branches = []

    # -- what is shown ------------------------------------------------------------------------

    def idle_status(self) -> str:
        """See `View.idle_status`."""
        if not self._branches:
            return ""
        trace = self._branches[0].episode.trace
        if self._branches[0].episode.is_done:
            return f"Done: {len(trace.steps)} steps, {trace.end_reason.replace('_', ' ')}."
        return f"Ready: {len(trace.steps)} steps so far."

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
            ("reset", "Reset", True, "Start this question again; branches go"),
        ]
        names = ("action", "label", "is_on", "help")
        example = original.example if original else setup.example
        prediction = original.trace.prediction if original and is_done else None
        self.show(
            [
                Node(
                    "toolbar",
                    "toolbar.html",
                    {"buttons": [dict(zip(names, button, strict=True)) for button in buttons]},
                ),
                head_node(
                    example.task,
                    example.gold.answers,
                    notes=(config.system, config.serves, example.type, example.level),
                    prediction=prediction,
                ),
                Node("branches", "branches.html", {}, self._branch_nodes()),
            ]
        )

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
                )
            )
        return nodes


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
        raise ValueError(f"{name}: {text!r} is not a number") from None
    if number <= 0:
        raise ValueError(f"{name} must be above 0")
    return number
