"""Sets of medicine."""

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.data.sets.dataset import DataSet, Split

_MEDQA = "https://huggingface.co/datasets/GBaker/MedQA-USMLE-4-options/resolve/main"

MEDICINE = (
    DataSet(
        "medqa",
        "medicine",
        layouts=("medqa", "casehold"),
        kind=AnswerKind.CHOICE,
        metric="labels",
        splits={
            "dev": Split(
                "phrases_no_exclude_test.jsonl", 1_273, f"{_MEDQA}/phrases_no_exclude_test.jsonl"
            ),
            "train": Split(
                "phrases_no_exclude_train.jsonl", 10_178, f"{_MEDQA}/phrases_no_exclude_train.jsonl"
            ),
        },
        source="https://github.com/jind11/MedQA (Jin et al. 2020), four options",
        licence="MIT",
        index="med",
    ),
    DataSet(
        "pubmedqa",
        "medicine",
        layouts=("pubmedqa", "plain"),
        kind=AnswerKind.YES_NO_MAYBE,
        metric="labels",
        splits={
            "dev": Split(
                "ori_pqal.json",
                1_000,
                "https://raw.githubusercontent.com/pubmedqa/pubmedqa/master/data/ori_pqal.json",
            )
        },
        source="https://pubmedqa.github.io (Jin et al. 2019), PQA-L",
        licence="MIT",
    ),
    DataSet(
        "bioasq",
        "medicine",
        layouts=("plain",),
        kind=AnswerKind.FREE,
        metric="hotpotqa",
        splits={"dev": Split("dev.jsonl"), "train": Split("train.jsonl")},
        source="http://participants-area.bioasq.org (Tsatsaronis et al. 2015), task B",
        licence="CC BY 2.5, after registration",
        index="med",
        how="register at http://participants-area.bioasq.org, accept its terms, download task B, "
        "and put its questions as JSON lines of question and answer (a text, or a list of accepted "
        "ones) into {folder} as dev.jsonl and train.jsonl",
    ),
)
