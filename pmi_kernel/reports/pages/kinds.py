"""The pages of the step kinds: each a module of its own, and one line here."""

from collections.abc import Mapping

from pmi_kernel.core.trace import Step, StepKind
from pmi_kernel.reports.pages.answer import AnswerPage
from pmi_kernel.reports.pages.compress import CompressPage
from pmi_kernel.reports.pages.gradients import GradientsPage
from pmi_kernel.reports.pages.inject import InjectPage
from pmi_kernel.reports.pages.scratchpad import ScratchpadPage
from pmi_kernel.reports.pages.search import SearchPage
from pmi_kernel.reports.pages.select import SelectPage
from pmi_kernel.reports.pages.step import StepPage
from pmi_kernel.reports.pages.tell import TellPage

PAGES: Mapping[str, StepPage] = {
    StepKind.SEARCH: SearchPage("Search"),
    StepKind.COMPRESS: CompressPage("Compress"),
    "encode": StepPage("Read"),
    "select": SelectPage("Compress to latents"),
    "closed": AnswerPage("Answer, gate closed"),
    "direct": AnswerPage("Answer without evidence"),
    "scratchpad": ScratchpadPage("Evidence written down"),
    "gradients": GradientsPage("Gradients"),
    "empty": AnswerPage("Answer of empty memories"),
    "tell": TellPage("Tell the memories"),
    StepKind.INJECT: InjectPage("Inject"),
    StepKind.ANSWER: AnswerPage("Answer"),
}
"""How the steps of a kind are shown; any other kind has the page of `StepPage`."""


def page_of(step: Step) -> StepPage:
    """Return how a step is shown."""
    return PAGES.get(step.kind) or StepPage(step.kind.replace("_", " ").capitalize())
