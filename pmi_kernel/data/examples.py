"""Examples that are made or read when they are asked for: a hundred thousand take little memory."""

from collections.abc import Callable, Iterable, Sequence
from typing import overload

from pmi_kernel.core.task import Example


class Examples(Sequence[Example]):
    """Some examples in their order, of which the ids alone are held.

    Args:
        ids: Their ids; no two are the same.
        at: Returns the example in a place; threads may ask at once.
    """

    def __init__(self, ids: Sequence[str], at: Callable[[int], Example]) -> None:
        self.ids = ids
        self._at = at
        self._places: dict[str, int] | None = None

    @classmethod
    def of(cls, examples: Iterable[Example]) -> "Examples":
        """Return examples as `Examples`, which they may be."""
        if isinstance(examples, Examples):
            return examples
        held = list(examples)
        return cls([example.task.id for example in held], held.__getitem__)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Examples": ...
    def __getitem__(self, index: "int | slice") -> "Example | Examples":
        places = range(len(self.ids))[index]
        if isinstance(places, int):
            return self._at(places)
        return Examples(self.ids[index], lambda place: self._at(places[place]))

    def by_id(self, id_: str) -> Example:
        """Return the example of an id.

        Raises:
            KeyError: There is none.
        """
        if self._places is None:
            self._places = {id_: place for place, id_ in enumerate(self.ids)}
        return self._at(self._places[id_])
