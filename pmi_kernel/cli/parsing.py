"""Words of a command line, parsed into a config or a call."""

from itertools import pairwise
from typing import Any

import tyro

from pmi_kernel.core.errors import ConfigError


def parse(target: Any, words: list[str], prog: str) -> Any:
    """Parse words into a config or a call.

    Raises:
        ConfigError: A setting is not right, or two contradict each other; or `--out` is followed by
            an empty word, which would be the current folder.
    """
    if "--out=" in words or ("--out", "") in pairwise(words):
        raise ConfigError("--out needs the name of a folder or file; it is empty")
    return tyro.cli(
        target,
        args=words,
        prog=f"pmi {prog}",
        use_underscores=True,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff),
    )
