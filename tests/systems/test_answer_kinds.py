"""Prompts, guided decoding and reading follow a question's answer kind, in every system."""

import re
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from pmi_kernel.core.answers import AnswerForm, AnswerKind
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, ParseOutcome
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Adapter, Engine, Generation, Sampling
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.episodes.probes import Prober
from pmi_kernel.prompting.actions import action_regex
from pmi_kernel.prompting.answer import answer_prompt
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.prompting.shots import MAX_SHOTS, shots_of
from pmi_kernel.reports.pages.render import page
from pmi_kernel.reports.pages.text import render_trace
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.systems import SYSTEMS, config_class, open_system
from pmi_kernel.systems.config import ChatConfig
from tests.systems.test_every_system import TRAINED

FORMS = {
    AnswerKind.YES_NO: AnswerForm(AnswerKind.YES_NO),
    AnswerKind.YES_NO_MAYBE: AnswerForm(AnswerKind.YES_NO_MAYBE),
    AnswerKind.CHOICE: AnswerForm(AnswerKind.CHOICE, ("the first one", "a (second) one")),
}
CHAT = [name for name in SYSTEMS if issubclass(config_class(name), ChatConfig)]


class Recording(ScriptedEngine):
    """Says one thing, and keeps what it was asked."""

    def __init__(self, said: str) -> None:
        super().__init__(lambda prompt, adapter: said)
        self.asked: list[tuple[Prompt, Sampling]] = []

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        self.asked.append((prompt, sampling))
        return super().generate(prompt, adapter=adapter, sampling=sampling)


def asked(kind: AnswerKind) -> Example:
    """A question of a kind, the last of its answers right."""
    (example,) = load_examples("world:n=1,paragraphs=3")
    form = FORMS[kind]
    if kind is AnswerKind.CHOICE:
        titles = tuple(paragraph.title for paragraph in example.task.context)
        form = AnswerForm(kind, titles)
    right = form.bare(form.allowed[-1])
    return replace(
        example,
        task=replace(example.task, form=form),
        gold=replace(example.gold, answers=(right,)),
        metric="labels",
    )


BEGIN = {"regrad": "", "scratchpad": "A line.\n\nQuestion: which?\nAnswer: "}
"""What each system's output has before its answer, where it has no tags."""


def said_by(name: str, answer: str) -> str:
    return f"{BEGIN[name]}{answer}" if name in BEGIN else f"<answer>{answer}</answer>"


def text_of(prompt: Prompt) -> str:
    return "\n".join(message.content for message in prompt)


@pytest.mark.parametrize("name", CHAT)
@pytest.mark.parametrize("kind", FORMS)
def test_a_system_asks_guides_and_reads_by_the_kind(name: str, kind: AnswerKind) -> None:
    example = asked(kind)
    form = example.task.form
    engine = Recording(
        said_by(name, f"{form.allowed[-1].upper()}!"[:2] if form.options else "MAYBE")
    )
    if kind is AnswerKind.YES_NO:
        engine = Recording(said_by(name, "No, it does not."))
    config = config_class(name)(action_decoding="guided")  # type: ignore[call-arg]
    trace = Episode(open_system(config, engine), example).run()
    assert trace.steps[-1].text == form.allowed[-1]
    assert trace.end_reason is EndReason.ANSWERED
    assert evaluate(example, trace).scores["accuracy"] == 1
    prompt, sampling = engine.asked[-1]
    for answer in form.allowed:
        whole = said_by(name, answer) + ("\n" if name == "regrad" else "")
        assert re.match(str(sampling.regex).removeprefix(" "), whole)
        if form.options:
            assert answer in prompt[-1].content
        elif prompt[0].role == "system":
            assert answer in prompt[0].content
    assert not re.match(str(sampling.regex), said_by(name, "something else") + "\n")
    assert sampling.max_tokens >= max(len(answer) for answer in form.allowed)


@pytest.mark.parametrize("name", CHAT)
@pytest.mark.parametrize("kind", FORMS)
def test_what_the_question_does_not_admit_counts_by_the_runs_rule(
    name: str, kind: AnswerKind
) -> None:
    for unparsed, text in (("unknown", "unknown"), ("text", "perhaps it is")):
        config = config_class(name)(unparsed=unparsed, **TRAINED.get(name, {}))  # type: ignore[call-arg]
        engine = ScriptedEngine(lambda prompt, adapter: said_by(name, "perhaps it is"))
        last = Episode(open_system(config, engine), asked(kind)).run().steps[-1]
        assert (last.text, last.parse) == (text, ParseOutcome.NOT_ALLOWED)


@pytest.mark.parametrize("kind", FORMS)
def test_the_lexical_system_answers_with_what_is_allowed(kind: AnswerKind) -> None:
    example = asked(kind)
    trace = Episode(open_system(config_class("lexical")()), example).run()
    assert trace.steps[-1].text in example.task.form.allowed


@pytest.mark.parametrize("kind", AnswerKind)
def test_worked_examples_are_answered_as_the_question_is(kind: AnswerKind) -> None:
    form = FORMS.get(kind, AnswerForm())
    shots = shots_of(form)
    assert 2 <= len(shots) <= MAX_SHOTS
    prompt = answer_prompt("Q?", None, form, shots=MAX_SHOTS)
    replies = [message.content for message in prompt if message.role == "assistant"]
    assert len(replies) == len(shots)
    for shot, reply in zip(shots, replies, strict=True):
        assert shot.form.kind is kind or kind is not AnswerKind.CHOICE
        given = reply.removeprefix("<answer>").removesuffix("</answer>")
        if kind is not AnswerKind.FREE:
            assert (shot.form if shot.form.options else form).read(given) == given
        assert shot.answer in shot.note or given in ("yes", "no", "maybe")
    labels = {shot.answer for shot in shots}
    assert labels >= set(form.allowed if not form.options else ())


def test_free_text_is_asked_as_it_always_was() -> None:
    prompt = answer_prompt("Q?", "T: Text.", shots=1)
    assert prompt[0].content == (
        "You answer questions. Each of your turns is <answer>a short answer</answer>. "
        "A short answer is a name, a date, a number, yes or no, never a sentence."
    )
    assert prompt[-1].content == "<information>\nT: Text.\n</information>\n\nQuestion: Q?"


def test_a_probe_tells_a_choice_without_its_letter() -> None:
    example = asked(AnswerKind.CHOICE)
    right = example.task.form.allowed[-1]
    engine = Recording(f"<answer>{right}</answer>")
    system = open_system(config_class("pmi")(train_mem=True, mem_steps=2), engine)  # type: ignore[call-arg]
    episode = Episode(system, example, observer=Prober(system, example))
    episode.run()
    (card,) = episode.cards
    assert (card.em.before, card.em.after) == (1, 1)
    questions = [text_of(prompt) for prompt, _ in engine.asked]
    assert sum(right in text for text in questions) > 2


@pytest.mark.parametrize("name", ["closed_book", "pmi", "regrad"])
@pytest.mark.parametrize("kind", FORMS)
def test_a_model_that_is_guided_says_what_is_allowed(
    engine: Engine, trained: Path, name: str, kind: AnswerKind
) -> None:
    example = asked(kind)
    own = {"checkpoint": str(trained)} if name == "regrad" else {"shots": 0}
    config = config_class(name)(action_decoding="guided", answer_tokens=4, **own)  # type: ignore[call-arg]
    trace = Episode(open_system(config, engine), example).run()
    if trace.end_reason is EndReason.ANSWERED:
        assert trace.steps[-1].text in example.task.form.allowed
    else:
        assert (name, trace.end_reason) == ("pmi", EndReason.MAX_STEPS)  # it went on searching


def test_guiding_an_action_admits_a_search_or_what_may_be_answered() -> None:
    regex = re.compile(action_regex(20, FORMS[AnswerKind.CHOICE]))
    assert regex.fullmatch("<search>anything at all</search>")
    assert regex.fullmatch("<answer>B. a (second) one</answer>")
    assert not regex.fullmatch("<answer>B</answer>")


def test_what_there_is_to_choose_from_is_shown_with_the_question() -> None:
    example = asked(AnswerKind.CHOICE)
    right = example.task.form.allowed[-1]
    engine = ScriptedEngine([f"<answer>{right}</answer>"])
    trace = Episode(open_system(config_class("closed_book")(), engine), example).run()
    result = evaluate(example, trace)
    told = render_trace(trace, result)
    assert all(answer in told for answer in example.task.form.allowed)
    assert f"gold {right}: EM 1" in told
    html = page("An episode", replay_nodes(trace, result))
    assert all(escape(answer) in html for answer in example.task.form.allowed)
    assert "accuracy 1" in html
