"""A study as far as it has been run."""

from IPython.core.getipython import get_ipython

from pmi_kernel.studies.accumulation import Accumulation
from pmi_kernel.studies.pages import study_figures, study_nodes
from pmi_kernel.studies.recipes import Study
from widgets.figures import Chart
from widgets.view import View


class StudyView(View):
    """A study's tables and pictures, as far as it has been run.

    Args:
        study: A recipe study or an accumulation study.
    """

    def __init__(self, study: Study | Accumulation) -> None:
        super().__init__()
        self._figures = study_figures(study)
        self.show(study_nodes(study))
        self.say("")
        if isinstance(study, Study):
            self.say(f"{len(study.cells)} of {study.num_cells} cells have results.")

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None:
            for figure in self._figures:
                Chart().draw(figure, figure.layout.title.text)
