"""The questions of a data file: checked all, kept none, and any of them again."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown
from pmi_kernel.data.decoding import JsonLines
from pmi_kernel.data.layouts import LAYOUTS, Layout, recognise
from pmi_kernel.data.layouts.fields import Fields
from pmi_kernel.data.limits import DataLimits
from pmi_kernel.data.reading import DataFile
from pmi_kernel.data.sets import DataSet

Watch = Callable[[memoryview], object]


class QuestionFile:
    """A data file as the examples that it holds.

    Args:
        path: The file.
        layout: Its layout; None to recognise it by its first record.
        dataset: The set that it is of; None to take each layout's own answer kind and metric.
        is_kept: Whether examples are to be had again; see `DataFile`.

    Attributes:
        layout: Its layout; None before a record was recognised.
        is_recast: Whether the set or the layout that was named made other questions of it than its
            content alone.
        ids: Of the examples so far.
        twice: A line for each record that says the same as one before it, where ids are made of
            what a record says: its id then ends in a number.
    """

    def __init__(
        self,
        path: Path,
        *,
        layout: Layout | None = None,
        dataset: DataSet | None = None,
        is_kept: bool = False,
    ) -> None:
        self.path, self.layout, self._dataset = path, layout, dataset
        self._is_given, self._is_kept = layout is not None, is_kept
        self._limits = DataLimits.from_environment()
        self._file = DataFile(path, self._limits, is_kept=is_kept)
        self.is_recast = False
        self.ids: list[str] = []
        self.twice: list[str] = []
        self._seen: dict[str, str] = {}
        self._aliases: _Aliases | None = None
        if (beside := path.with_name("id_aliases.json")).is_file():
            self._aliases = _Aliases(beside, self._limits)

    @property
    def missing(self) -> str:
        """The file that its layout has beside it and that is not there; empty where none is."""
        beside = self.layout.beside if self.layout else ""
        return "" if self._aliases else beside

    def read(self, *, watch: Watch = len) -> Iterator[Example]:
        """Yield each example.

        Args:
            watch: Shown every byte of the file, and of what belongs to it, once all are yielded.

        Raises:
            DataError: The file cannot be read to its end, or a record is invalid: names the file,
                the record (from 1) and the field.
        """
        for _, found in self.read_any(watch=watch):
            if isinstance(found, DataError):
                raise found
            yield found

    def read_any(self, *, watch: Watch = len) -> Iterator[tuple[str, Example | DataError]]:
        """Yield (where, example) of each record, or (where, error) of an invalid one.

        Raises:
            DataError: The file cannot be read to its end.
        """
        for raw in self._file.records(watch=watch):
            try:
                example = self._numbered(self._parsed(raw.value, raw.where), raw.where)
            except DataError as error:
                yield raw.where, error
                continue
            if self._is_kept:
                self._file.remember(raw)
            yield raw.where, example
        self._seen.clear()
        if self._aliases is not None and self.layout is LAYOUTS["2wikimultihopqa"]:
            self._aliases.show(watch)
        if self.is_recast:
            name = self._dataset.name if self._dataset else self.layout and self.layout.name
            watch(memoryview(f"as:{name}".encode()))

    def again(self, number: int) -> Example:
        """Return an example that was read; numbers are from 0, and threads may ask at once."""
        example = self._parsed(self._file.again(number), f"{self.path}: record {number + 1}")
        return _called(example, self.ids[number])

    def _parsed(self, value: object, where: str) -> Example:
        layout = self._layout_of(value, where)
        if layout.beside and self._aliases is not None and isinstance(value, dict):
            value = {**value, "answer_aliases": self._aliases.of(value.get("answer_id"))}
        example = layout.parse(Fields(value, where, self._limits))
        if self._dataset is None:
            self.is_recast |= self._is_given and recognise(value) is not layout
            return example
        cast = self._dataset.cast(example, where)
        self.is_recast |= cast != example
        return cast

    def _layout_of(self, value: object, where: str) -> Layout:
        """The file's layout, which the first record shows and every other one has to have."""
        if self._is_given or not isinstance(value, dict):
            return self.layout or LAYOUTS["plain"]
        found = recognise(value)
        if self.layout is None:
            self.layout = self._first_layout(found, value, where)
        elif found is not None and found is not self.layout:
            raise DataError(
                f"{where}, field {shown(found.mark_of(value))}: is of the layout {found.name}, and "
                f"the file began in {self.layout.name}"
            )
        return self.layout

    def _first_layout(
        self, found: Layout | None, value: Mapping[str, object], where: str
    ) -> Layout:
        if self._dataset and not (found and self._dataset.admits(found.name)):
            self._is_given = True
            return LAYOUTS[self._dataset.layouts[0]]
        if found is None:
            raise DataError(
                f"{where}: the fields {shown(list(value))} are of no layout that is known; name "
                f"one as in as:LAYOUT:FILE ({', '.join(LAYOUTS)})"
            )
        return found

    def _numbered(self, example: Example, where: str) -> Example:
        """The example under an id that no other has."""
        assert self.layout is not None
        id_ = example.task.id
        place = where.removeprefix(f"{self.path}: ")
        if id_ in self._seen:
            if self.layout.id_field:
                raise DataError(
                    f"{where}, field {self.layout.id_field!r}: {shown(id_)} stands at "
                    f"{self._seen[id_]} already"
                )
            count = next(n for n in range(2, len(self.ids) + 3) if f"{id_}-{n}" not in self._seen)
            self.twice.append(f"{place} is what {self._seen[id_]} is; its id is {id_}-{count}")
            id_ = f"{id_}-{count}"
        self._seen[id_] = place
        self.ids.append(id_)
        return _called(example, id_)


def _called(example: Example, id_: str) -> Example:
    if example.task.id == id_:
        return example
    return replace(example, task=replace(example.task, id=id_))


class _Aliases:
    """2WikiMultihopQA's `id_aliases.json`: JSON lines of `Q_id aliases demonyms`."""

    def __init__(self, path: Path, limits: DataLimits) -> None:
        self._path, self._limits = path, limits
        self._places: dict[str, int] | None = None
        self._file: DataFile | None = None

    def of(self, entity: object) -> list[str]:
        """Return the other names of an entity; the official script takes its demonyms as well."""
        places, file = self._read()
        if not isinstance(entity, str) or entity not in places:
            return []
        record = file.again(places[entity])
        assert isinstance(record, dict)
        told = [*record.get("aliases", ()), *record.get("demonyms", ())]
        return [name for name in told if isinstance(name, str) and name.strip()]

    def _read(self) -> tuple[dict[str, int], DataFile]:
        if self._file is None or self._places is None:
            file, places = DataFile(self._path, self._limits, JsonLines, is_kept=True), {}
            for number, raw in enumerate(file.records()):
                match raw.value:
                    case {"Q_id": str(entity), "aliases": list()}:
                        places[entity] = number
                    case _:
                        raise DataError(f"{raw.where}: expected Q_id and aliases, a list")
                file.remember(raw)
            self._places, self._file = places, file
        return self._places, self._file

    def show(self, watch: Watch) -> None:
        """Show the file's bytes."""
        for _ in DataFile(self._path, self._limits, JsonLines).records(watch=watch):
            pass
