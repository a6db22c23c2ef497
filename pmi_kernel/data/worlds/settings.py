"""What worlds are made, and the string that stands for them wherever data is named."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pmi_kernel.core.errors import DataError
from pmi_kernel.data.worlds.render import Mentions

SCHEME = "world:"
_ALLOWED = (
    "kind (facts, conflicts or updates), hops (1 to 4; facts only), n (1 to 100000), "
    "seed (0 to 2**63 - 1), paragraphs (1 to 200), mentions (named or paraphrased)"
)


class WorldSettings(BaseModel):
    """A set of questions over fictional worlds; equal settings give equal questions anywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["facts", "conflicts", "updates"] = "facts"
    """facts: chains of facts about things that do not exist. conflicts: well-known facts of the
    real world, told otherwise. updates: facts that changed."""
    hops: Annotated[int, Field(ge=1, le=4)] = 1
    """Facts that a question chains, one paragraph each."""
    n: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Questions; the first k of n are those of k."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seeds every draw."""
    paragraphs: Annotated[int, Field(ge=1, le=200)] = 10
    """Paragraphs of each context, with the supporting ones; the others resemble these first."""
    mentions: Mentions = "named"
    """How sentences speak of what their paragraph is about: by name and in the questions' words, or
    paraphrased."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind != "facts" and self.hops != 1:
            raise ValueError(f"kind={self.kind} is asked in one hop, not in {self.hops}")
        fewest = 2 if self.kind == "updates" else self.hops
        if self.paragraphs < fewest:
            raise ValueError(f"paragraphs is {self.paragraphs}, and the facts alone take {fewest}")
        return self

    @property
    def source(self) -> str:
        """The data source that stands for the settings, every one spelled out."""
        return SCHEME + ",".join(f"{name}={value}" for name, value in self.model_dump().items())


def parse_source(source: str) -> WorldSettings:
    """Return the settings of a data source such as `world:hops=3,n=40,mentions=paraphrased`.

    Raises:
        DataError: A setting is unknown, stands there twice, or has a value that it cannot have;
            the message lists what is allowed.
    """
    given: dict[str, str] = {}
    try:
        for word in filter(None, source.removeprefix(SCHEME).split(",")):
            name, equals, value = (part.strip() for part in word.partition("="))
            if not equals:
                raise ValueError(f"{word.strip()!r} is not of the form name=value")
            if name not in WorldSettings.model_fields:
                raise ValueError(f"there is no setting {name!r}")
            if name in given:
                raise ValueError(f"{name} stands there twice")
            given[name] = value
        return WorldSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}={first['input']}: " for part in first["loc"])
        problem = where + first["msg"].removeprefix("Value error, ")
    except ValueError as error:
        problem = str(error)
    raise DataError(f"{source}: {problem}; allowed are {_ALLOWED}")
