"""A search: the query, and what it found, with its words marked."""

from typing import Any

from pmi_kernel.core.trace import Passage, PassageUse, Step, Trace
from pmi_kernel.reports.pages.reading import highlight, words
from pmi_kernel.reports.pages.step import StepPage, found


class SearchPage(StepPage):
    """See `StepPage`."""

    template = "search.html"

    def data(self, step: Step, trace: Trace, prefix: str) -> dict[str, Any]:
        """See `StepPage.data`."""
        wanted = set(words(step.text))

        def shown(passage: Passage) -> dict[str, Any]:
            full = trace.task.context[passage.index].text
            is_out = passage.use is PassageUse.LEFT_OUT
            return {
                "rank": passage.rank,
                "score": passage.score,
                "title": highlight(passage.title, wanted),
                "text": highlight(full if is_out else passage.text, wanted),
                "rest": "" if is_out else full[len(passage.text) :].strip(),
            }

        parts: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for passage in step.passages:
            parts[passage.use is PassageUse.LEFT_OUT].append(shown(passage))
        return {"shown": parts[False], "left_out": parts[True]}

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        return [f"query: {step.text}", *found(step)]
