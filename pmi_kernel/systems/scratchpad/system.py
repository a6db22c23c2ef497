"""The scratchpad system: read all documents, write down the evidence, answer."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

from pmi_kernel.core.answers import AnswerForm
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import stable_seed
from pmi_kernel.core.system import Field, FieldKind
from pmi_kernel.core.task import Paragraph, Task
from pmi_kernel.core.trace import (
    UNKNOWN,
    EndReason,
    ParseOutcome,
    PassageUse,
    Step,
    StepKind,
)
from pmi_kernel.engines.base import Adapter, Engine, Finish, Generation, Sampling
from pmi_kernel.engines.injected import injected
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.actions import value_regex
from pmi_kernel.prompting.answer import most_tokens
from pmi_kernel.prompting.messages import copied as pasted
from pmi_kernel.prompting.messages import plain
from pmi_kernel.retrieval import Evidence
from pmi_kernel.retrieval.foreseen import first_search
from pmi_kernel.systems.branch import Altered
from pmi_kernel.systems.chat import GUIDED_CHARS, GUIDED_TOKENS, ChatSystem
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.scratchpad.config import ScratchpadConfig
from pmi_kernel.systems.scratchpad.prompts import (
    ANSWER,
    END,
    EVIDENCE,
    completed,
    copied,
    question_text,
    read_output,
)
from pmi_kernel.training.checkpoint import Checkpoint

DIRECT, SCRATCHPAD = "direct", "scratchpad"
"""Steps: the answer without the evidence, and the evidence that is written down."""
_EVIDENCE_CHARS = 4_000
"""Most characters of evidence that guided decoding allows."""
WHOLE = "model"
"""Folder of a checkpoint that has all weights of a model."""


class ScratchpadSystem(ChatSystem[ScratchpadConfig]):
    """Steps through episodes; holds no state between them, so threads may share it.

    Args:
        config: The settings.
        engine: Serves; built from `config` where None.
        weights: A LoRA in place of the checkpoint's; None for that.

    Raises:
        ConfigError: The engine or the checkpoint cannot be loaded, or do not fit each other.
    """

    def __init__(
        self,
        config: ScratchpadConfig,
        engine: Engine | None = None,
        *,
        weights: LoraWeights | None = None,
    ) -> None:
        self._retriever = config.build_retriever()
        own = "scripted" if config.engine == "scripted" else config.model
        serves = engine.describe()["model"] if engine else own
        name = "" if serves == "scripted" else config.trained_for(serves)
        found = find_checkpoint(name, system=config.system) if name else None
        super().__init__(config, engine)
        self._sha256, self._weights = "", weights
        if found is not None:
            self._weights = read_adapter(name, found, self.engine.describe())
            self._sha256 = found.sha256

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        hashed = {"checkpoint_sha256": self._sha256} if self._sha256 else {}
        return {**super().describe(), **hashed, **self._retriever.describe()}

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the documents, the evidence that is written down, and the answer."""
        config = self.config
        found, search = first_search(config, task, self._retriever)
        yield search
        documents = self._shown(found)
        at_once = f"{self._text(task, documents)}\n{ANSWER}"
        with injected(self.engine, self._weights) as memory:
            if config.method != "scratchpad":
                yield self._at_once(task, at_once, memory.adapter, StepKind.ANSWER)
                return
            if config.direct:
                yield self._at_once(task, at_once, memory.adapter, DIRECT)
            yield from self._written(task, documents, memory.adapter)

    # -- the parts of a step ------------------------------------------------------------------

    def _shown(self, found: Evidence) -> tuple[Paragraph, ...]:
        """The documents that are read, in their order."""
        whole = found.used
        order = self.config.order or range(1, len(whole) + 1)
        return tuple(whole[rank - 1] for rank in order if rank <= len(whole))

    def _text(self, task: Task, documents: Sequence[Paragraph]) -> str:
        return question_text(
            task.question, documents, task.form, is_first=self.config.question_first
        )

    def _sampling(self, task: Task, *, is_written: bool) -> Sampling:
        """How evidence and answer are decoded, or an answer alone."""
        config = self.config
        is_guided = config.action_decoding == "guided"
        told = value_regex(task.form) or rf"[^\s][^\r\n]{{0,{GUIDED_CHARS - 1}}}"
        most = most_tokens(task.form, GUIDED_TOKENS if is_guided else config.answer_tokens)
        regex = f" ({told}){END}"
        if is_written:
            most = max(most, config.max_new_tokens)
            regex = rf"[\s\S]{{1,{_EVIDENCE_CHARS}}}\n{ANSWER} ({told})"
        return Sampling(
            max_tokens=most,
            temperature=config.temperature,
            stop=() if is_written else (END,),
            regex=regex if is_guided else None,
            seed=stable_seed(config.seed, task.id, "evidence" if is_written else "answer"),
        )

    def _at_once(self, task: Task, text: str, adapter: Adapter | None, kind: str) -> Step:
        """The step that answers with the line after a text."""
        prompt, sampling = plain(text), self._sampling(task, is_written=False)
        output = self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        line = output.text.partition(END)[0].strip()
        step = self._answered(task.form, line or None, output, kind)
        return replace(step, measures=output.measures("act"), prompt=pasted(prompt))

    def _written(
        self, task: Task, documents: Sequence[Paragraph], adapter: Adapter | None
    ) -> Generator[Step, None, None]:
        """The steps that write the evidence down, and answer from it."""
        config = self.config
        given = f"{self._text(task, documents)}\n{EVIDENCE}"
        if config.evidence is not None:
            evidence = config.evidence.strip()
            yield _noted(evidence, documents)
            whole = given + completed(evidence, task.question, task.form)
            yield self._at_once(task, whole, adapter, StepKind.ANSWER)
            return
        prompt, sampling = plain(given), self._sampling(task, is_written=True)
        output = self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        written = read_output(output.text)
        step = _noted(written.evidence, documents)
        measures = {**output.measures("write"), **step.measures}
        yield replace(step, raw=output.text, measures=measures, prompt=pasted(prompt))
        said = written.answer if config.last_answer_only else output.text.strip()
        yield self._answered(task.form, said, output, StepKind.ANSWER)

    def _answered(self, form: AnswerForm, said: str | None, output: Generation, kind: str) -> Step:
        """A step that answers, by the run's own rule for what is no answer."""
        answer = form.read(said) if said else None
        outcome = ParseOutcome.OK
        if said is None:
            outcome = ParseOutcome.NO_ACTION
        elif answer is None:
            outcome = ParseOutcome.NOT_ALLOWED
        elif output.finish is Finish.LENGTH:
            outcome = ParseOutcome.UNCLOSED
        text, end = answer or "", EndReason.ANSWERED
        if outcome is not ParseOutcome.OK:
            text = said or output.text.strip().rpartition(END)[2].strip()
            if self.config.unparsed != "text" or not text:
                text, end = UNKNOWN, EndReason.PARSE_FAILURE
        return Step(
            kind,
            text,
            raw=output.text,
            parse=outcome,
            end_reason=end if kind == StepKind.ANSWER else None,
        )

    # -- changed at a step --------------------------------------------------------------------

    def changes(self, step: Step) -> tuple[Field, ...]:
        """See `Changes.changes`: the query, which documents in which order, the evidence."""
        fields = list(super().changes(step))
        if step.kind == StepKind.SEARCH:
            used = sum(one.use is not PassageUse.LEFT_OUT for one in step.passages)
            order = " ".join(map(str, self.config.order or range(1, used + 1)))
            label = "Documents that are shown, in this order"
            fields.append(Field("order", FieldKind.LINE, label, order, said="documents {}"))
        if step.kind == SCRATCHPAD:
            label = "Evidence to answer from"
            fields.append(Field("evidence", FieldKind.TEXT, label, step.text, said="own evidence"))
        return tuple(fields)

    def altered(
        self, config: ScratchpadConfig, step: Step, changes: Mapping[str, object]
    ) -> Altered:
        """See `Repeatable.altered`."""
        altered = super().altered(config, step, changes)
        own = altered.config
        assert isinstance(own, ScratchpadConfig)
        if (order := changes.get("order")) is not None:
            try:
                ranks = tuple(int(word) for word in str(order).replace(",", " ").split())
            except ValueError:
                raise ValueError(
                    f"{order!r} is no list of documents' numbers, as in 3 1 2"
                ) from None
            if not ranks:
                raise ValueError("name a document or more")
            own = own.but(order=ranks)
        if (evidence := changes.get("evidence")) is not None:
            own = own.but(evidence=str(evidence))
        return Altered(own, altered.said, altered.training)


def _noted(evidence: str, documents: Sequence[Paragraph]) -> Step:
    """The step that tells what was written down, and where each sentence of it stands."""
    found = copied(evidence, documents)
    return Step(
        SCRATCHPAD,
        evidence,
        measures={
            "written_sentences": len(found),
            "foreign_sentences": sum(not one.document for one in found),
        },
        artifacts={
            "copied": [asdict(one) for one in found],
            "titles": [document.title for document in documents],
        },
    )


def read_adapter(name: str, found: Checkpoint, served: Mapping[str, str]) -> LoraWeights:
    """Return a checkpoint's LoRA.

    Args:
        name: What the checkpoint is called.
        found: The checkpoint.
        served: What the engine says of itself.

    Raises:
        ConfigError: It is of another model, or of all weights.
    """
    facts = found.meta["facts"]
    if facts["model_hash"] != served["model_hash"]:
        raise ConfigError(
            f"checkpoint {name!r} is of the model {facts['model']!r}, whose weights are not those "
            f"of {served['model']!r}; take one of `pmi train scratchpad --model ...`, or "
            "--checkpoint none for the model as it is"
        )
    if (found.folder / WHOLE).is_dir():
        raise ConfigError(
            f"checkpoint {name!r} has all weights of a model, not a LoRA; serve it with --model "
            f"{found.folder / WHOLE} --checkpoint none"
        )
    return _load(found.folder, found.sha256)


@lru_cache(maxsize=4)
def _load(folder: Path, sha256: str) -> LoraWeights:
    try:
        return LoraWeights.load(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder}: no LoRA can be read from it ({error})") from None
