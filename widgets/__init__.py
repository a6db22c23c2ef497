"""What the notebooks show: widgets that read records and drive an `Episode`.

The names below are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widgets.card_view import CardView
    from widgets.charts import RunCharts
    from widgets.compare_view import CompareView
    from widgets.episode_view import EpisodeView
    from widgets.home import Home
    from widgets.lab import InjectionLab
    from widgets.latent_curves import LatentCurves
    from widgets.mixer import MemoryMixer
    from widgets.monitor import JobMonitor
    from widgets.position_curve import PositionCurve
    from widgets.replay import Replay
    from widgets.runs_view import RunsView
    from widgets.setup import Setup
    from widgets.study import StudyView
    from widgets.training_view import TrainingView

__all__ = [
    "CardView",
    "CompareView",
    "EpisodeView",
    "Home",
    "InjectionLab",
    "JobMonitor",
    "LatentCurves",
    "MemoryMixer",
    "PositionCurve",
    "Replay",
    "RunCharts",
    "RunsView",
    "Setup",
    "StudyView",
    "TrainingView",
]

_HOMES = {
    "CardView": "widgets.card_view",
    "CompareView": "widgets.compare_view",
    "EpisodeView": "widgets.episode_view",
    "Home": "widgets.home",
    "InjectionLab": "widgets.lab",
    "JobMonitor": "widgets.monitor",
    "LatentCurves": "widgets.latent_curves",
    "MemoryMixer": "widgets.mixer",
    "PositionCurve": "widgets.position_curve",
    "Replay": "widgets.replay",
    "RunsView": "widgets.runs_view",
    "RunCharts": "widgets.charts",
    "Setup": "widgets.setup",
    "StudyView": "widgets.study",
    "TrainingView": "widgets.training_view",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
