import hashlib
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.data import data_hash, load_examples, resolve_source, write_examples
from pmi_kernel.data.check import describe
from pmi_kernel.data.worlds import WorldSettings, generate

KINDS = [{"hops": hops} for hops in (1, 2, 3, 4)] + [{"kind": "conflicts"}, {"kind": "updates"}]


def worlds(*, most_paragraphs: int = 30) -> st.SearchStrategy[WorldSettings]:
    return st.builds(
        lambda kind, **rest: WorldSettings(**kind, **rest),
        st.sampled_from(KINDS),
        n=st.integers(1, 12),
        seed=st.integers(0, 10**6),
        paragraphs=st.integers(4, most_paragraphs),
        mentions=st.sampled_from(["named", "paraphrased"]),
    )


def facts(example: Example) -> list[str]:
    """The supporting sentences, in order."""
    paragraphs = {paragraph.title: paragraph for paragraph in example.task.context}
    return [
        paragraphs[fact.title].sentences[fact.sentence] for fact in example.gold.supporting_facts
    ]


def holds(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


@given(worlds())
def test_the_answer_stands_in_the_last_supporting_sentence_and_nowhere_else(
    settings: WorldSettings,
) -> None:
    for example in generate(settings):
        (answer,) = example.gold.answers
        sentences = [s for paragraph in example.task.context for s in paragraph.sentences]
        assert [s for s in sentences if holds(s, answer)] == facts(example)[-1:]
        assert not any(holds(p.title, answer) for p in example.task.context)
        assert not holds(example.task.question, answer)


@given(worlds(most_paragraphs=200))
def test_a_context_has_the_paragraphs_asked_for_each_about_another_thing(
    settings: WorldSettings,
) -> None:
    for example in generate(settings.model_copy(update={"n": 2})):
        titles = [paragraph.title for paragraph in example.task.context]
        assert len(titles) == len(set(titles)) == settings.paragraphs
        for paragraph in example.task.context:
            assert holds(paragraph.sentences[0], re.sub(r" \(\d+ notice\)$", "", paragraph.title))


@pytest.mark.parametrize("mentions", ["named", "paraphrased"])
@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_each_hop_leads_to_the_next_paragraph(hops: int, mentions: str) -> None:
    examples = load_examples(f"world:hops={hops},n=200,mentions={mentions},paragraphs={hops}")
    assert {example.type for example in examples} == {f"{hops}-hop"}
    assert len({example.level for example in examples}) >= 4
    for example in examples:
        chain = example.gold.supporting_facts
        assert len(chain) == hops == len({fact.title for fact in chain})
        assert holds(example.task.question, chain[0].title)
        for (_, after), sentence in zip(pairwise(chain), facts(example), strict=False):
            assert holds(sentence, after.title)
            assert not holds(example.task.question, after.title)


def test_there_are_several_questions_for_every_number_of_hops() -> None:
    def wording(example: Example) -> str:
        return example.task.question.replace(example.gold.supporting_facts[0].title, "")

    assert [
        len({wording(e) for e in load_examples(f"world:hops={hops}")}) for hops in (1, 2, 3, 4)
    ] == [15, 23, 26, 15]


@given(worlds(), st.integers(1, 12))
def test_fewer_are_the_first_of_more(settings: WorldSettings, k: int) -> None:
    few = settings.model_copy(update={"n": min(k, settings.n)})
    assert generate(few) == generate(settings)[: few.n]


@given(worlds())
def test_more_paragraphs_and_other_words_leave_question_and_facts_as_they_are(
    settings: WorldSettings,
) -> None:
    more = settings.model_copy(update={"paragraphs": settings.paragraphs + 5})
    for small, large in zip(generate(settings), generate(more), strict=True):
        assert (small.task.question, small.gold) == (large.task.question, large.gold)
        assert set(small.task.context) < set(large.task.context)
    named = settings.model_copy(update={"mentions": "named"})
    told_otherwise = settings.model_copy(update={"mentions": "paraphrased"})
    for one, other in zip(generate(named), generate(told_otherwise), strict=True):
        assert one.task.question == other.task.question
        assert one.gold.answers == other.gold.answers
        assert {p.title for p in one.task.context} == {p.title for p in other.task.context}


def test_distractors_resemble_the_evidence_first() -> None:
    for example in load_examples("world:hops=1,n=60,paragraphs=2"):
        gold = example.gold.supporting_facts[0].title
        (other,) = (p for p in example.task.context if p.title != gold)
        (paragraph,) = (p for p in example.task.context if p.title == gold)
        assert len(paragraph.sentences) == len(other.sentences)
        if example.level in ("job", "birth_year", "born_in", "teacher"):
            assert gold.split()[-1] == other.title.split()[-1]


def test_paraphrases_share_fewer_words_with_the_question() -> None:
    def share(mentions: str) -> float:
        shares = []
        for example in load_examples(f"world:hops=2,n=200,mentions={mentions}"):
            asked = set(re.findall(r"\w+", example.task.question.lower()))
            told = [set(re.findall(r"\w+", sentence.lower())) for sentence in facts(example)]
            shares += [len(asked & words) / len(words) for words in told]
        return sum(shares) / len(shares)

    assert share("paraphrased") < 0.75 * share("named")


def test_a_conflict_tells_another_object_than_the_one_that_is_known() -> None:
    examples = load_examples("world:kind=conflicts,n=200")
    assert {example.type for example in examples} == {"conflict"}
    assert len({example.level for example in examples}) >= 4
    subjects = {example.gold.supporting_facts[0].title for example in examples[:60]}
    assert len(subjects) >= 30
    for example in examples:
        subject = example.gold.supporting_facts[0].title
        (paragraph,) = (p for p in example.task.context if p.title == subject)
        assert example.gold.known not in ("", *example.gold.answers)
        assert not holds(paragraph.text, example.gold.known)


def test_an_update_asks_for_what_holds_now_or_held_before() -> None:
    examples = load_examples("world:kind=updates,n=400")
    levels = [example.level for example in examples]
    assert (levels.count("current"), levels.count("previous")) == (300, 100)
    num_apart = 0
    for example in examples:
        newer = facts(example)[0]
        name = re.sub(r" \(\d+ notice\)$", "", example.gold.supporting_facts[0].title)
        told = [p for p in example.task.context if p.title.startswith(name)]
        num_apart += len(told) == 2
        years = sorted(
            int(year)
            for paragraph in told
            for sentence in paragraph.sentences
            for year in re.findall(r"^ ?(?:From|Since) (\d{4}) ", sentence)
        )
        assert len(years) == 2
        assert f"Since {years[1]} " in newer
        if example.level == "previous":
            assert f"From {years[0]} " in facts(example)[1]
            assert any(
                holds(newer, word)
                for word in [re.split("before |moved to ", example.task.question)[-1][:-1]]
            )
        else:
            assert len(facts(example)) == 1
    assert 100 < num_apart < 300


@given(worlds())
def test_the_source_gives_the_same_examples_again(settings: WorldSettings) -> None:
    assert load_examples(settings.source) == generate(settings)
    assert resolve_source(settings.source) == settings.source


def test_ids_differ_between_settings() -> None:
    sources = [
        "world:",
        "world:seed=1",
        "world:hops=2",
        "world:paragraphs=11",
        "world:mentions=paraphrased",
        "world:kind=conflicts",
        "world:kind=updates",
    ]
    ids = [example.task.id for source in sources for example in load_examples(source)]
    assert len(set(ids)) == len(ids) == 700
    assert load_examples("world:hops=3,n=13")[12].task.id == "world-h3-p10-s0-00012"


def test_another_process_with_another_hash_seed_makes_the_same() -> None:
    code = "from pmi_kernel.data import data_hash; print(data_hash('world:hops=3,n=20,seed=5'))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert seen == {data_hash("world:hops=3,n=20,seed=5")}


def test_a_worlds_hash_is_that_of_its_file(tmp_path: Path) -> None:
    source, path = "world:kind=conflicts,n=5", tmp_path / "made.json"
    write_examples(load_examples(source), path)
    assert data_hash(source) == data_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_examples(path) == load_examples(source)


def test_a_world_is_described_like_a_file() -> None:
    report = describe("world:hops=2,n=7,paragraphs=12")
    assert (report.num_examples, report.problems, report.paragraphs) == (7, (), (12, 12, 12))
    assert report.answer_kinds == {"span in context": 7}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("hopz=2", "there is no setting 'hopz'"),
        ("hops", "'hops' is not of the form name=value"),
        ("hops=1,hops=2", "hops stands there twice"),
        ("hops=5", "hops=5: Input should be less than or equal to 4"),
        ("hops=0", "hops=0: "),
        ("n=0", "n=0: "),
        ("n=ten", "n=ten: Input should be a valid integer"),
        ("n=1.5", "n=1.5: Input should be a valid integer"),
        ("seed=-1", "seed=-1: "),
        ("hops=3,paragraphs=2", "paragraphs is 2, and the facts alone take 3"),
        ("kind=updates,paragraphs=1", "paragraphs is 1, and the facts alone take 2"),
        ("paragraphs=201", "paragraphs=201: "),
        ("kind=conflicts,hops=2", "kind=conflicts is asked in one hop, not in 2"),
        ("kind=riddles", "kind=riddles: "),
        ("mentions=loud", "mentions=loud: "),
    ],
)
def test_bad_settings_are_refused_in_one_line_that_lists_what_is_allowed(
    settings: str, problem: str
) -> None:
    for use in (load_examples, data_hash, resolve_source, describe):
        with pytest.raises(DataError) as caught:
            use(f"world:{settings}")
        message = str(caught.value)
        assert message.startswith(f"world:{settings}: {problem}")
        assert "\n" not in message
        for name in WorldSettings.model_fields:
            assert f" {name} (" in message


def test_settings_in_code_are_checked_too() -> None:
    with pytest.raises(ValidationError, match="facts alone take 4"):
        WorldSettings(hops=4, paragraphs=3)
