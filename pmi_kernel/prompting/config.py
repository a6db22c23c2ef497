"""Settings of how questions are put."""

from typing import Annotated, Literal

from pydantic import Field

from pmi_kernel.core.settings import Settings
from pmi_kernel.prompting.shots import MAX_SHOTS


class PromptConfig(Settings):
    """How questions are put to the model."""

    shots: Annotated[int, Field(ge=0, le=MAX_SHOTS)] = MAX_SHOTS
    """Worked examples (fictional) before each question."""
    answer_tokens: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Most new tokens of an answer or an action."""
    action_decoding: Literal["free", "guided"] = "free"
    """free, as the protocol has it, or guided: only legal actions, and answers that the question
    admits (yes or no, a letter with its option), can be decoded."""
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Decoding temperature; 0 is greedy."""
