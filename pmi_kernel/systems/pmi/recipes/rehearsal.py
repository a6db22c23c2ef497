"""What can be learned along with any recipe."""

REHEARSED: tuple[tuple[str, str], ...] = (
    ("What is the capital of Italy?", "Rome"),
    ("How many months are there in a year?", "12"),
    ("What is the color of snow?", "white"),
    ("Which animal barks?", "the dog"),
    ("What is the largest ocean?", "the Pacific Ocean"),
    ("What do fish breathe with?", "gills"),
)
"""Well-known questions that a memory can be made to leave as they are; none is a probe's."""

MAX_REHEARSED = len(REHEARSED)
