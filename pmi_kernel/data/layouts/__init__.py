"""The layouts in which questions are written, and which of them a record is in."""

from collections.abc import Mapping

from pmi_kernel.core.answers import FREE
from pmi_kernel.core.task import Example
from pmi_kernel.data.layouts.augmented import AUGMENTED, CASEHOLD, PLAIN
from pmi_kernel.data.layouts.complexwebquestions import COMPLEXWEBQUESTIONS
from pmi_kernel.data.layouts.hotpotqa import HOTPOTQA, TWO_WIKI
from pmi_kernel.data.layouts.housingqa import HOUSINGQA
from pmi_kernel.data.layouts.layout import Layout
from pmi_kernel.data.layouts.medqa import MEDQA
from pmi_kernel.data.layouts.musique import MUSIQUE
from pmi_kernel.data.layouts.nq_lim import NQ_LIM
from pmi_kernel.data.layouts.popqa import POPQA
from pmi_kernel.data.layouts.pubmedqa import PUBMEDQA
from pmi_kernel.data.layouts.workbench import WORKBENCH

__all__ = ["LAYOUTS", "Layout", "layout_for", "recognise"]

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        WORKBENCH,
        POPQA,
        MUSIQUE,
        TWO_WIKI,
        NQ_LIM,
        PUBMEDQA,
        MEDQA,
        HOUSINGQA,
        COMPLEXWEBQUESTIONS,
        AUGMENTED,
        HOTPOTQA,
        CASEHOLD,
        PLAIN,
    )
}
"""Every layout by name, the first that fits a record before the others."""


def recognise(record: object) -> Layout | None:
    """Return the layout that a raw record is in, by its fields; None where none fits."""
    if not isinstance(record, dict):
        return None
    return next((layout for layout in LAYOUTS.values() if layout.is_of(record)), None)


def layout_for(example: Example) -> Layout:
    """Return the layout in which an example loses nothing: HotpotQA's where that will do."""
    is_plain = example.task.form == FREE and example.metric == "hotpotqa" and example.task.context
    return HOTPOTQA if is_plain else WORKBENCH
