"""How an index is built, and by what name it is found again."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pmi_kernel.core.settings import Settings
from pmi_kernel.retrieval.index.backend import K1, B
from pmi_kernel.retrieval.index.store import NAME


class IndexSettings(Settings):
    """How a corpus is indexed."""

    name: str
    """What the index is called, for instance wiki."""
    backend: Literal["disk", "elasticsearch"] = "disk"
    """What holds it: disk (tantivy, on this machine) or elasticsearch (a server)."""
    url: str = ""
    """Address of the Elasticsearch server, as in http://localhost:9200."""
    k1: Annotated[float, Field(ge=0, le=100)] = K1
    """BM25's k1: how fast a word that comes again counts less."""
    b: Annotated[float, Field(ge=0, le=1)] = B
    """BM25's b: how much a long passage counts less."""
    commit_every: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Passages between two commits; a build that was killed goes on after the last one."""
    min_free_gb: Annotated[float, Field(ge=0, le=1_000_000)] = 2.0
    """Room on the disk, in 10^9 bytes, at which a build stops."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not re.fullmatch(NAME, name):
            raise ValueError("expected letters, digits, _ and -, at most 64")
        return name

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.backend == "elasticsearch") != bool(self.url):
            raise ValueError("url is needed with --backend elasticsearch, and with it alone")
        if self.backend == "elasticsearch" and self.name != self.name.lower():
            raise ValueError("name is in lower case on Elasticsearch")
        if self.backend == "disk" and (self.k1, self.b) != (K1, B):
            raise ValueError(
                f"k1 and b are {K1:g} and {B:g} on disk, as tantivy has them built in; an "
                "index with others is one of --backend elasticsearch"
            )
        return self
