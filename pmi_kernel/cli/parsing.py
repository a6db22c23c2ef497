"""Words of a command line, parsed into a config or a call."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro

from pmi_kernel.core.errors import ConfigError

File = Annotated[Path, tyro.conf.arg(metavar="FILE")]
OptionalFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]


def parse(target: Any, words: list[str], prog: str, *, takes_none: bool = False) -> Any:
    """Parse words into a config or a call.

    Args:
        target: What they are for.
        words: The words.
        prog: The verb.
        takes_none: Whether None can be said of what may be None.

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
        config=(
            tyro.conf.OmitArgPrefixes,
            tyro.conf.HelptextFromCommentsOff,
            tyro.conf.PositionalMetavarFromFieldName,
            *(() if takes_none else (tyro.conf.DisallowNone,)),
        ),
    )
