"""Report cards side by side."""

from collections.abc import Mapping

from pmi_kernel.episodes.card import ReportCard
from pmi_kernel.reports.cards import card_facts, card_rows
from pmi_kernel.reports.pages.render import Node, table_node
from widgets.view import View


class CardView(View):
    """Report cards side by side, a column each.

    Args:
        cards: At least one, by what to call it.
    """

    def __init__(self, cards: Mapping[str, ReportCard]) -> None:
        super().__init__()
        contrasts = {
            name: {
                label: f"{before} → {after} ({wrong})"
                for label, before, after, wrong in card_rows(card)
            }
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
    return table_node(key, caption, ("figure", *columns), rows)
