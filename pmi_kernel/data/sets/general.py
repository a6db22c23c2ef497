"""Sets of general knowledge, over Wikipedia."""

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.data.sets.dataset import DataSet, Split

_RAW = "https://raw.githubusercontent.com"

GENERAL = (
    DataSet(
        "hotpotqa",
        "general",
        layouts=("hotpotqa",),
        kind=AnswerKind.FREE,
        metric="hotpotqa",
        splits={
            "dev": Split(
                "hotpot_dev_distractor_v1.json",
                7_405,
                "http://curtis.ml.cmu.edu/datasets/hotpot/hotpot_dev_distractor_v1.json",
            ),
            "train": Split(
                "hotpot_train_v1.1.json",
                90_447,
                "http://curtis.ml.cmu.edu/datasets/hotpot/hotpot_train_v1.1.json",
            ),
        },
        source="https://hotpotqa.github.io (Yang et al. 2018)",
        licence="CC BY-SA 4.0",
    ),
    DataSet(
        "2wikimultihopqa",
        "general",
        layouts=("2wikimultihopqa", "hotpotqa"),
        kind=AnswerKind.FREE,
        metric="2wikimultihopqa",
        splits={"dev": Split("dev.json", 12_576), "train": Split("train.json", 167_454)},
        source="https://github.com/Alab-NII/2wikimultihop (Ho et al. 2020)",
        licence="Apache-2.0",
        how="download https://www.dropbox.com/s/ms2m13252h6xubs/data_ids_april7.zip and put its "
        "dev.json, train.json and id_aliases.json into {folder}",
    ),
    DataSet(
        "musique",
        "general",
        layouts=("musique",),
        kind=AnswerKind.FREE,
        metric="musique",
        splits={
            "dev": Split("musique_ans_v1.0_dev.jsonl", 2_417),
            "train": Split("musique_ans_v1.0_train.jsonl", 19_938),
        },
        source="https://github.com/StonyBrookNLP/musique (Trivedi et al. 2022)",
        licence="CC BY 4.0",
        how="get musique_v1.0.zip from Google Drive as https://github.com/StonyBrookNLP/musique "
        "says, and put its musique_ans_v1.0_dev.jsonl and musique_ans_v1.0_train.jsonl into "
        "{folder}",
    ),
    DataSet(
        "popqa",
        "general",
        layouts=("popqa",),
        kind=AnswerKind.FREE,
        metric="popqa",
        splits={
            "dev": Split(
                "popQA.tsv", 14_267, f"{_RAW}/AlexTMallen/adaptive-retrieval/main/data/popQA.tsv"
            )
        },
        source="https://github.com/AlexTMallen/adaptive-retrieval (Mallen et al. 2023)",
        licence="MIT",
        index="wiki",
    ),
    DataSet(
        "complexwebquestions",
        "general",
        layouts=("complexwebquestions",),
        kind=AnswerKind.FREE,
        metric="hotpotqa",
        splits={
            "dev": Split("ComplexWebQuestions_dev.json", 3_519),
            "train": Split("ComplexWebQuestions_train.json", 27_639),
        },
        source="https://www.tau-nlp.sites.tau.ac.il/compwebq (Talmor and Berant 2018)",
        licence="as published by its authors",
        index="wiki",
        how="follow the link to the data on https://www.tau-nlp.sites.tau.ac.il/compwebq and put "
        "ComplexWebQuestions_dev.json and ComplexWebQuestions_train.json into {folder}",
    ),
    DataSet(
        "nq_lim",
        "general",
        layouts=("nq_lim",),
        kind=AnswerKind.FREE,
        metric="nq_lim",
        splits={
            "dev": Split(
                "nq-open-oracle.jsonl.gz",
                2_655,
                f"{_RAW}/nelson-liu/lost-in-the-middle/main/qa_data/nq-open-oracle.jsonl.gz",
            )
        },
        source="https://github.com/nelson-liu/lost-in-the-middle (Liu et al. 2023)",
        licence="CC BY-SA 3.0",
    ),
)
