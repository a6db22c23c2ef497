"""What the notebooks show: widgets that read records and drive an `Episode`.

The names below are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widgets.episode_view import EpisodeView
    from widgets.lab import InjectionLab
    from widgets.replay import Replay
    from widgets.setup import Setup

__all__ = ["EpisodeView", "InjectionLab", "Replay", "Setup"]

_HOMES = {
    "EpisodeView": "widgets.episode_view",
    "InjectionLab": "widgets.lab",
    "Replay": "widgets.replay",
    "Setup": "widgets.setup",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
