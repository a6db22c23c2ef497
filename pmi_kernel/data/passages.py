"""Questions with the passages that a search found, as retrievable gradients' authors write them.

One JSON array. A record has `test_id, question, answer, passages`: `answer` is a string or a list
of accepted ones, `passages` a list of strings, best first. Passage i becomes a paragraph that is
called `Passage i`, so that what is learned of it reads `Passage i: ...`, as theirs does.
"""

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.data.hotpot import parse_example
from pmi_kernel.data.limits import DataLimits


def parse_record(record: object, where: str, limits: DataLimits) -> Example:
    """Return the example of one raw record, of this layout or of HotpotQA's.

    Raises:
        DataError: The record is invalid or over a limit; names `where` and the field.
    """
    if not isinstance(record, dict) or "passages" not in record or "context" in record:
        return parse_example(record, where, limits)
    passages = record["passages"]
    if not isinstance(passages, list) or not passages:
        raise DataError(f"{where}, field 'passages': expected a list of at least one string")
    for number, passage in enumerate(passages, start=1):
        if not isinstance(passage, str) or not passage.strip():
            raise DataError(f"{where}, field 'passages': passage {number} is no text")
    id_, answer = record.get("test_id"), record.get("answer")
    if isinstance(id_, bool) or not isinstance(id_, int | str):
        raise DataError(f"{where}, field 'test_id': is missing, or neither a string nor a number")
    return parse_example(
        {
            "_id": str(id_),
            "question": record.get("question"),
            **({"answers": answer} if isinstance(answer, list) else {"answer": answer}),
            "context": [[f"Passage {n}", [text]] for n, text in enumerate(passages, start=1)],
        },
        where,
        limits,
    )
