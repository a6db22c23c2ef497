"""Settings of the PMI system."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pmi_kernel.config import MemoryConfig, RetrievalConfig, SystemConfig
from pmi_kernel.engines.base import Engine
from pmi_kernel.episode import System


class PmiConfig(SystemConfig, RetrievalConfig, MemoryConfig):
    """Strict MEM1 search agent, with memories trained and injected during the episode."""

    system: ClassVar[str] = "pmi"

    max_steps: Annotated[int, Field(ge=2, le=1_000)] = 4
    """Most actions, the forced first search included; then the answer is `unknown`."""
    evidence: Literal["both", "prompt", "weights"] = "both"
    """Where the model finds evidence: prompt, weights (needs train_mem), or both."""
    action_decoding: Literal["free", "guided"] = "free"
    """free, as the protocol has it, or guided: only legal actions can be decoded."""
    compression: Literal["free", "extractive"] = "free"
    """free, or extractive: the snippet can only be sentences of the evidence, in their order."""

    @model_validator(mode="after")
    def _evidence_reaches_the_model(self) -> Self:
        if self.evidence == "weights" and not self.train_mem:
            raise ValueError("evidence=weights needs train_mem: nothing would reach the model")
        return self

    @model_validator(mode="after")
    def _a_memory_can_be_gone_on_from(self) -> Self:
        if self.mem_accumulate == "continue" and self.strategy != "hot":
            raise ValueError("mem_accumulate=continue needs strategy hot")
        return self

    def build_engine(self) -> Engine:
        """See `EngineConfig.build_engine`; what no memory can be trained by is refused first."""
        if self.train_mem and self.engine != "scripted":
            from pmi_kernel.engines.loading import check_before_loading

            check_before_loading(self.model, self.lora(self.seed))
        return super().build_engine()

    def build(self, engine: Engine | None = None) -> System:
        """See `SystemConfig.build`."""
        from pmi_kernel.systems.pmi.system import PmiSystem

        return PmiSystem(self, engine or self.build_engine())
