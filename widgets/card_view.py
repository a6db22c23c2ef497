"""Report cards side by side."""

from collections.abc import Mapping

from pmi_kernel.card import Contrast, ReportCard
from pmi_kernel.report import card_facts, percent
from widgets.render import Node
from widgets.view import View


class CardView(View):
    """Report cards side by side, a column each.

    Args:
        cards: At least one, by what to call it.
    """

    def __init__(self, cards: Mapping[str, ReportCard]) -> None:
        super().__init__()
        contrasts = {
            name: {label: _shown(one, is_share) for label, one, is_share in card.contrasts()}
            for name, card in cards.items()
        }
        facts = {name: dict(card_facts(card)) for name, card in cards.items()}
        tables = [
            ("contrasts", "Every question asked alone: before → after (wrong passage)", contrasts),
            ("facts", "Locality, restore, cost", facts),
        ]
        self.show([_table(key, caption, columns) for key, caption, columns in tables])
        self.say("")


def _table(key: str, caption: str, columns: Mapping[str, Mapping[str, str]]) -> Node:
    labels = dict.fromkeys(label for column in columns.values() for label in column)
    rows = [(label, *(column.get(label, "-") for column in columns.values())) for label in labels]
    data = {"caption": caption, "columns": ("figure", *columns), "rows": rows}
    return Node(key, "table.html", data)


def _shown(one: Contrast, is_share: bool) -> str:
    before, after, wrong = (
        "-" if value is None else percent(value) if is_share else f"{value:.2f}"
        for value in (one.before, one.after, one.wrong)
    )
    return f"{before} → {after} ({wrong})"
