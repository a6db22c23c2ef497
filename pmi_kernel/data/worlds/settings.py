"""What worlds are made, and the string that stands for them wherever data is named."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pmi_kernel.core.errors import DataError
from pmi_kernel.data.worlds.render import Mentions

SCHEME = "world:"
MOST_LOADED = 100_000
"""Questions that are made all at once."""
_ALLOWED = (
    "kind (facts, conflicts or updates), hops (1 to 4; facts only), "
    f"n (1 to {MOST_LOADED}, and to 10000000 where examples are streamed), "
    "seed (0 to 2**63 - 1), paragraphs (1 to 200), mentions (named or paraphrased), "
    "split (empty, train or dev; facts only), wordings (trained or held_out; dev only), "
    "relations (trained or held_out; dev only), unanswerable (0 to 1; with a split only), "
    "asked (1 to 6; with a split and hops=1 only)"
)
_OF_SPLITS = ("split", "wordings", "relations", "unanswerable", "asked")


class WorldSettings(BaseModel):
    """A set of questions over fictional worlds; equal settings give equal questions anywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["facts", "conflicts", "updates"] = "facts"
    """facts: chains of facts about things that do not exist. conflicts: well-known facts of the
    real world, told otherwise. updates: facts that changed."""
    hops: Annotated[int, Field(ge=1, le=4)] = 1
    """Facts that a question chains, one paragraph each."""
    n: Annotated[int, Field(ge=1, le=10_000_000)] = 100
    """Questions; the first k of n are those of k."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seeds every draw."""
    paragraphs: Annotated[int, Field(ge=1, le=200)] = 10
    """Paragraphs of each context, with the supporting ones; the others resemble these first."""
    mentions: Mentions = "named"
    """How sentences speak of what their paragraph is about: by name and in the questions' words, or
    paraphrased. With a split: all by name, or the first by name and the others as they come."""
    split: Literal["", "train", "dev"] = ""
    """train, dev: larger worlds to train on and to evaluate on, that share no name, sentence or
    question. Empty: the smaller worlds, all from one vocabulary."""
    wordings: Literal["trained", "held_out"] = "trained"
    """Of dev: whether all is worded as in train, or as it never is there."""
    relations: Literal["trained", "held_out"] = "trained"
    """Of dev: whether a relation of train is asked for, or one that is never told there."""
    unanswerable: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """With a split: share of the questions whose context lacks the answer, which is `unknown`."""
    asked: Annotated[int, Field(ge=1, le=6)] = 1
    """With a split, hops=1: so many questions in a row are asked about one paragraph, which is then
    the same for all of them; of unanswerable ones all, or the first."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind != "facts" and self.hops != 1:
            raise ValueError(f"kind={self.kind} is asked in one hop, not in {self.hops}")
        if self.kind != "facts" and self.split:
            raise ValueError(f"kind={self.kind} has no split")
        if self.unanswerable and not self.split:
            raise ValueError(f"unanswerable={self.unanswerable} needs split=train or split=dev")
        if self.asked > 1 and (not self.split or self.hops > 1):
            raise ValueError(f"asked={self.asked} needs split=train or split=dev, and hops=1")
        for name in ("wordings", "relations"):
            if getattr(self, name) == "held_out" and self.split != "dev":
                raise ValueError(f"{name}=held_out needs split=dev")
        fewest = 2 if self.kind == "updates" else self.hops
        if self.paragraphs < fewest:
            raise ValueError(f"paragraphs is {self.paragraphs}, and the facts alone take {fewest}")
        return self

    @property
    def source(self) -> str:
        """The data source that stands for the settings: all of them, or all that hold for it."""
        values = self.model_dump(exclude=set() if self.split else set(_OF_SPLITS))
        return SCHEME + ",".join(f"{name}={value}" for name, value in values.items())


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


def parse_loaded(source: str) -> WorldSettings:
    """Return the settings of a data source of which all examples are made at once.

    Raises:
        DataError: As `parse_source`, or there are more than `MOST_LOADED`.
    """
    settings = parse_source(source)
    if settings.n > MOST_LOADED:
        raise DataError(
            f"{source}: n={settings.n} is more than the {MOST_LOADED} that are made at once (more "
            f"can only be streamed); allowed are {_ALLOWED}"
        )
    return settings
