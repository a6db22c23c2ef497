"""Sets of law."""

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.data.sets.dataset import DataSet, Split

LAW = (
    DataSet(
        "casehold",
        "law",
        layouts=("casehold",),
        kind=AnswerKind.CHOICE,
        metric="labels",
        splits={"dev": Split("dev.jsonl"), "train": Split("train.jsonl")},
        source="https://huggingface.co/datasets/casehold/casehold (Zheng et al. 2021)",
        licence="CC BY-SA 4.0",
        index="law",
        how="download the set from https://huggingface.co/datasets/casehold/casehold and put it as "
        "JSON lines of question, choices (five holdings) and answer (A to E) into {folder} as "
        "dev.jsonl and train.jsonl",
    ),
    DataSet(
        "lhf",
        "law",
        layouts=("plain",),
        kind=AnswerKind.YES_NO,
        metric="labels",
        splits={"dev": Split("dev.jsonl"), "train": Split("train.jsonl")},
        source="https://huggingface.co/datasets/nguha/legalbench (Guha et al. 2023), Learned Hands",
        licence="CC BY-NC-SA 4.0",
        index="law",
        how="accept the terms at https://huggingface.co/datasets/nguha/legalbench, take its "
        "learned_hands_family, and put it as JSON lines of question and answer (Yes or No) into "
        "{folder} as dev.jsonl and train.jsonl",
    ),
    DataSet(
        "housingqa",
        "law",
        layouts=("housingqa", "plain"),
        kind=AnswerKind.YES_NO,
        metric="labels",
        splits={"dev": Split("dev.jsonl"), "train": Split("train.jsonl")},
        source="https://huggingface.co/datasets/reglab/housing_qa (Zheng et al. 2025)",
        licence="CC BY-SA 4.0",
        index="law",
        how="download the questions from https://huggingface.co/datasets/reglab/housing_qa and put "
        "them as JSON lines of question, answer (Yes or No), state and statutes (pairs of citation "
        "and excerpt) into {folder} as dev.jsonl and train.jsonl",
    ),
)
