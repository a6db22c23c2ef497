"""Words of a command line, parsed into a config or a call."""

from typing import Any

import tyro


def parse(target: Any, words: list[str], prog: str) -> Any:
    """Parse words into a config or a call.

    Raises:
        ConfigError: A setting is not right, or two contradict each other.
    """
    return tyro.cli(
        target,
        args=words,
        prog=f"pmi {prog}",
        use_underscores=True,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff),
    )
