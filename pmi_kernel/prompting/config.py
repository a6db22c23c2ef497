"""Settings of how questions are put."""

from typing import Annotated

from pydantic import Field

from pmi_kernel.core.settings import Settings
from pmi_kernel.prompting.shots import MAX_SHOTS


class PromptConfig(Settings):
    """How questions are put to the model."""

    shots: Annotated[int, Field(ge=0, le=MAX_SHOTS)] = MAX_SHOTS
    """Worked examples (fictional) before each question."""
    answer_tokens: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Most new tokens of an answer or an action."""
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Decoding temperature; 0 is greedy."""
