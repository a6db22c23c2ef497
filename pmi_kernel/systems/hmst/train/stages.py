"""The stages of a hierarchy's training, by name."""

from pmi_kernel.systems.hmst.train.deciding import ControllerLearner
from pmi_kernel.systems.hmst.train.language import LanguageLearner
from pmi_kernel.systems.hmst.train.remembering import MemoryLearner
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.training.learner import Learner


def open_stage(config: HMSTTraining) -> Learner:
    """Return the learner of a stage.

    Raises:
        ConfigError: A model, tokenizer or checkpoint cannot be loaded, or does not fit the stage.
        DataError: What is learned from cannot be read.
    """
    match config.stage:
        case "language":
            return LanguageLearner(config)
        case "memory":
            return MemoryLearner(config)
        case "controller":
            return ControllerLearner(config)
