"""Text from outside, made safe to show: what would steer a terminal or turn a line around.

Data keeps such characters; every place that shows text to a person escapes them.
"""

import re

_STEERING = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls but tab and newline
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they change the direction of reading
    r"\u2028\u2029"  # line ends that are no newline
    r"\ud800-\udfff"  # halves of characters, which cannot be written
)
_IN_TEXT = re.compile(f"[{_STEERING}]")
_IN_LINE = re.compile(f"[{_STEERING}\t\n]")


def visible(text: str) -> str:
    r"""Return text of one or more lines with what steers escaped, e.g. `\x1b` or `\u202e`."""
    return _IN_TEXT.sub(_escape, text)


def visible_line(text: str) -> str:
    r"""Return text for a place that holds one line: `visible`, and `\n` and `\t` escaped too."""
    return _IN_LINE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
