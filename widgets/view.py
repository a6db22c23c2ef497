"""The widget under every view: shows nodes, hears clicks, works in a thread of its own."""

import contextlib
import logging
import queue
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import display

from pmi_kernel.core.errors import PmiError, SettingsError
from pmi_kernel.core.progress import Stopped, Watch, watched
from pmi_kernel.core.visible import visible
from pmi_kernel.reports.pages.render import READ_SCRIPT, STYLE, Node, static_html
from widgets.progress import Progress

log = logging.getLogger(__name__)

Work = Callable[[], object]


class View(anywidget.AnyWidget):
    """A tree of nodes, alive while the kernel lives and readable after it.

    A click arrives as an action; the method `on_ACTION(args, values)` answers it at once, and
    `submit`s what takes time to the view's own thread, so the kernel is never blocked.
    """

    _esm = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (READ_SCRIPT, Path(__file__).parent / "static" / "workbench.js")
    )
    _css = STYLE
    nodes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Unicode("").tag(sync=True)
    is_busy = traitlets.Bool(False).tag(sync=True)
    is_error = traitlets.Bool(False).tag(sync=True)
    num_replies = traitlets.Int(0).tag(sync=True)
    problems = traitlets.Dict().tag(sync=True)
    """What is wrong with a field of the form that was sent, by its name; shown beside it."""
    view_id = traitlets.Unicode("").tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._tree: Sequence[Node] = ()
        self._work: queue.Queue[tuple[str, Work]] = queue.Queue()
        self._watch = Watch()
        self._display_id = uuid.uuid4().hex
        self._is_displayed = self._is_changed = False
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self.on_msg(self._on_message)

    # -- what is shown ------------------------------------------------------------------------

    def show(self, tree: Sequence[Node]) -> None:
        """Show these nodes."""
        self._tree, self._is_changed = tree, True
        self.nodes = [node.state() for node in tree]

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Show a line of status."""
        with self.hold_sync():
            self.status, self.is_error = visible(text), is_error

    def html(self) -> str:
        """Return what is shown now as HTML that needs no script."""
        return static_html(self._tree)

    def _bundle(self) -> dict[str, Any]:
        live = super()._repr_mimebundle_() or ({}, {})
        bundle = live[0] if isinstance(live, tuple) else live
        return {**bundle, "text/html": self.html(), "text/plain": type(self).__name__}

    def _ipython_display_(self) -> None:
        self._is_displayed = True
        display(self._bundle(), raw=True, display_id=self._display_id)

    def _refresh_saved(self) -> None:
        """Bring what a saved notebook shows without a kernel up to date."""
        shell, self._is_changed = get_ipython(), False
        if self._is_displayed and shell is not None:
            shell.display_pub.publish(
                self._bundle(), transient={"display_id": self._display_id}, update=True
            )

    # -- what is done -------------------------------------------------------------------------

    def submit(self, label: str, work: Work) -> None:
        """Do `work` in the view's thread, after what waits there; `label` is shown meanwhile."""
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, daemon=True)
                self._thread.start()
        if not self.is_busy:
            self._begin(label)
        self._work.put((label, work))

    def stop(self) -> None:
        """Drop what waits, and stop what runs: at the next token, training step or question."""
        if not self.is_busy:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._work.get_nowait()
                self._work.task_done()
        self._watch.stop()
        self.say("Stopping…")

    @property
    def is_stopping(self) -> bool:
        """Whether the running work should end early."""
        return self._watch.is_stopping

    def wait(self) -> None:
        """Block until everything submitted is done; for scripts and tests."""
        self._work.join()

    def _begin(self, label: str) -> None:
        with self.hold_sync():
            self.is_busy, self.is_error, self.status = True, False, visible(label)

    def _serve(self) -> None:
        while True:
            label, work = self._work.get()
            try:
                self._attempt(label, work)
                if self._work.unfinished_tasks == 1:
                    self._idle()
            finally:
                self._work.task_done()

    def _attempt(self, label: str, work: Work) -> None:
        shown = Progress(self._show_progress)
        self._watch = Watch(shown.hear)  # a stop before was meant for what is over or was dropped
        self._begin(label)
        try:
            with shown, watched(self._watch):
                work()
        except Stopped:
            self.say(self.stopped_status())
        except (PmiError, ValueError) as error:
            self._refuse(error)
        except Exception as error:
            log.exception("a view's work failed")
            self.say(f"{type(error).__name__}: {error}", is_error=True)
        else:
            self.say(self.stopped_status() if self.is_stopping else self.idle_status())

    def _refuse(self, error: PmiError | ValueError) -> None:
        self.say(str(error), is_error=True)
        if isinstance(error, SettingsError):
            self.problems = {name: visible(text) for name, text in error.problems.items()}

    def _show_progress(self, text: str) -> None:
        self.progress = visible(text)

    def _idle(self) -> None:
        self._watch = Watch()
        self.is_busy = False
        self.on_idle()
        self._refresh_saved()

    def idle_status(self) -> str:
        """Return the line of status after work that went well."""
        return "Ready."

    def stopped_status(self) -> str:
        """Return the line of status after work that was stopped."""
        return "Stopped."

    def on_idle(self) -> None:
        """Called in the view's thread when nothing is left to do."""

    def on_ping(self, *_: object) -> None:
        """A page that asks whether somebody is there: the reply says it."""

    def _on_message(self, _: object, content: Mapping[str, Any], __: object) -> None:
        action = getattr(self, f"on_{content.get('action')}", None)
        if content.get("action") != "ping":
            self.problems = {}
        if action is None:
            self.say(f"unknown action {content.get('action')!r}", is_error=True)
        else:
            try:
                action(content.get("args", {}), content.get("values", {}))
            except (PmiError, ValueError) as error:
                self._refuse(error)
        if self._is_changed and not self.is_busy:
            self._refresh_saved()
        self.num_replies += 1
