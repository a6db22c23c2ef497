"""Words of a command line, parsed into a config or a call."""

from typing import Any

import tyro
from pydantic import ValidationError

from pmi_kernel.cli.terminal import say


def parse(target: Any, words: list[str], prog: str) -> Any:
    """Parse words into a config or a call; a contradiction between settings is one line."""
    try:
        return tyro.cli(
            target,
            args=words,
            prog=f"pmi {prog}",
            use_underscores=True,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff),
        )
    except ValidationError as error:
        problems = "; ".join(
            ".".join(str(part) for part in e["loc"]) + (": " if e["loc"] else "") + e["msg"]
            for e in error.errors()
        )
        say(f"pmi {prog}: {problems}", is_error=True)
        raise SystemExit(2) from None
