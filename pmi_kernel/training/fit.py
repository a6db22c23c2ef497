"""The training loop: steps, evaluations and checkpoints, gone on with bit by bit."""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, cast

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.settings import stable_seed
from pmi_kernel.jobs.owner import Owned
from pmi_kernel.jobs.status import State
from pmi_kernel.training import checkpoint
from pmi_kernel.training.config import TrainConfig
from pmi_kernel.training.learner import Learner
from pmi_kernel.training.memory import keep_freed_memory
from pmi_kernel.training.order import samples
from pmi_kernel.training.processes import Processes
from pmi_kernel.training.random import draws_undone, load_random, save_random, seed_all
from pmi_kernel.training.record import RECORD, Record, check_same, make_record
from pmi_kernel.training.report import OnRow, Report
from pmi_kernel.training.schedule import num_steps, rate
from pmi_kernel.training.signals import heeded
from pmi_kernel.training.state import Progress, load_state, save_state
from pmi_kernel.training.step import FIRST_LOSS_SCALE, Stepper, choose_precision


def fit(
    learner: Learner,
    config: TrainConfig,
    out: Path,
    *,
    settings: Mapping[str, object] | None = None,
    job: Owned | None = None,
    on_row: OnRow = lambda row, total: None,
    say: Callable[[str], object] = lambda text: None,
) -> Path:
    """Train a learner, or go on with its training, and return the best checkpoint's folder.

    A training that goes on comes to the same weights as one that was never stopped, bit by bit, on
    the same device with as many processes.

    Args:
        learner: What is trained.
        config: How.
        out: The training's folder: checkpoints `step-N`, config.json, train_log.jsonl,
            eval_log.jsonl, summary.json.
        settings: The learner's own, for the record.
        job: Hears how far it is, and says when to stop: after the step at hand, as for a signal.
        on_row: Told of each row of both logs, and how many steps there are.
        say: Told of anything unusual, a line at a time.

    Raises:
        ConfigError: The folder holds another training, or what is asked for cannot be done here.
        EngineError: Too many steps in a row had a loss or gradient that was not finite.
        KeyboardInterrupt: It was cancelled or interrupted; the step at hand is in a checkpoint.
    """
    with plainly(out):
        out.mkdir(parents=True, exist_ok=True)
        return _Training(learner, config, out, settings or {}, job, on_row, say).run()


class _Training:
    def __init__(
        self,
        learner: Learner,
        config: TrainConfig,
        out: Path,
        settings: Mapping[str, object],
        job: Owned | None,
        on_row: OnRow,
        say: Callable[[str], object],
    ) -> None:
        self.learner, self.config, self.out, self.job, self.say = learner, config, out, job, say
        self.processes = processes = Processes(config.device)
        if processes.device.type == "cpu":
            keep_freed_memory()
        self.total = num_steps(config, learner.num_samples)
        self.share, left = divmod(config.batch, processes.count)
        if left or self.share % config.accumulation:
            raise ConfigError(
                f"batch {config.batch} cannot be divided into {config.accumulation} micro-batches "
                f"for each of {processes.count} processes"
            )
        _enable_checkpointing(learner, config)
        precision = choose_precision(config, processes.device)
        machine = {
            "processes": processes.count,
            "device": processes.device.type,
            "precision": precision,
        }
        self.record = make_record(learner, config, settings, machine)
        last = self._last()
        if last is not None:
            learner.load(last)
        self.stepper = Stepper(learner, config, processes)
        if last is None:
            self.progress = Progress(loss_scale=FIRST_LOSS_SCALE if precision == "fp16" else 1.0)
            self.saved_step: int | None = None
            seed_all(stable_seed("training", config.seed, processes.index))
        else:
            state = last / checkpoint.STATE
            self.progress = load_state(state, self.stepper.optimizer, self.stepper.groups)
            self.saved_step = self.progress.step
            self._forget_lost_best()
            load_random(state, processes.index)  # at last: what loads may draw
        processes.wait()  # until all have read what there was
        self.report: Report | None = None
        if processes.is_main:
            checkpoint.remove_partial(out)
            self.report = Report(
                out, learner.system, config, self.progress, self.total, job, on_row
            )
            RECORD.write(out, self.record)  # after the logs, which tell this folder from a run's

    def _last(self) -> Path | None:
        """The checkpoint to go on from, which is this training's; None: nothing is lost yet."""
        last = next(reversed(checkpoint.checkpoints(self.out)), None)
        before = RECORD.read(self.out)
        if last is not None:
            found = checkpoint.read_checkpoint(last, system=self.learner.system)
            known = before or cast("Record", found.meta)
            check_same(self.record, known, self.out, found.step, self.say)
        return last

    def _forget_lost_best(self) -> None:
        progress = self.progress
        if progress.best_step is None:
            return
        best = checkpoint.folder_of(self.out, progress.best_step)
        if best not in checkpoint.checkpoints(self.out):
            self.say(f"{best}, the best so far, is gone; the best is looked for anew")
            progress.best = progress.best_step = None

    def run(self) -> Path:
        config, progress, ended = self.config, self.progress, "failed"
        try:
            with heeded() as is_signalled:
                if self.saved_step is None and config.eval_first:
                    self._evaluate()
                while not self._is_over():
                    self._stop_where_asked(is_signalled())
                    self._step()
                    if self._is_due(config.eval_every) or progress.step == self.total:
                        self._evaluate()
                    if self._is_due(config.save_every):
                        self._save()
                self._save()
            ended = "done" if progress.step >= self.total else "patience"
        except KeyboardInterrupt:
            ended = State.CANCELLED if self.job and self.job.asked() else State.INTERRUPTED
            raise
        finally:
            if self.report:
                self.report.close(ended, self.say)
        best = progress.best_step
        return checkpoint.folder_of(self.out, progress.step if best is None else best)

    def _is_over(self) -> bool:
        patience = self.config.patience
        is_out_of_it = patience is not None and self.progress.num_worse >= patience
        return self.progress.step >= self.total or is_out_of_it

    def _stop_where_asked(self, is_signalled: bool) -> None:
        asked = self.job.asked() if self.job else None
        if asked and asked["force"]:
            raise KeyboardInterrupt
        if any(self.processes.mean([float(bool(asked) or is_signalled)])):
            self._save()
            raise KeyboardInterrupt

    def _step(self) -> None:
        config, progress = self.config, self.progress
        first = progress.step * config.batch + self.processes.index * self.share
        numbers = samples(first, self.share, self.learner.num_samples, config.seed, progress.step)
        num_skipped = progress.num_skipped
        found = self.stepper.step(numbers, rate(config, progress.step, self.total), progress)
        is_skipped = progress.num_skipped > num_skipped
        is_due = self._is_due(config.log_every) or progress.step == self.total
        if self.report and (is_due or is_skipped):
            self.report.stepped(found)

    def _is_due(self, every: int | Literal["epoch"] | None) -> bool:
        """Whether the step that was taken is one of every so many, or the last of an epoch."""
        step, batch = self.progress.step, self.config.batch
        if every == "epoch":
            size = self.learner.num_samples
            return step * batch // size > (step - 1) * batch // size
        return every is not None and step % every == 0

    def _evaluate(self) -> None:
        """Evaluate, and save where nothing was better before."""
        config, progress = self.config, self.progress
        value = math.nan
        if self.report:
            with self.report.aside("evaluating"), draws_undone(), self.stepper.computing():
                found = self.learner.evaluate()
            if config.best_by not in found.measures:
                raise ConfigError(
                    f"best_by {config.best_by!r}: an evaluation of {self.learner.system} measures "
                    f"{', '.join(sorted(found.measures))}"
                )
            value = float(found.measures[config.best_by])
            self.report.evaluated(found)
        value = self.processes.from_main(value)
        best, sign = progress.best, 1 if config.best_is == "highest" else -1
        if math.isfinite(value) and (best is None or sign * value > sign * best):
            progress.best, progress.best_step, progress.num_worse = value, progress.step, 0
            self._save()
        else:
            progress.num_worse += 1

    def _save(self) -> None:
        """Write a checkpoint of this step where there is none, and delete what is not kept."""
        progress, processes = self.progress, self.processes
        if self.saved_step == progress.step:
            return
        folder = checkpoint.folder_of(self.out, progress.step)
        with self.report.aside("saving") if self.report else nullcontext():
            state = checkpoint.partial_of(folder) / checkpoint.STATE
            meta = {"step": progress.step, **self.record}
            with checkpoint.writing(folder, meta) if self.report else nullcontext() as partial:
                if self.report and partial:
                    self.report.saving()
                    state.mkdir()
                    self.learner.save(partial)
                    save_state(state, self.stepper.optimizer, self.stepper.groups, progress)
                processes.wait()
                save_random(state, processes.index)
                processes.wait()
            self.saved_step = progress.step
            if self.report:
                self.report.saved()
                checkpoint.prune(self.out, self.config.keep_last, progress.best_step)
            processes.wait()


def _enable_checkpointing(learner: Learner, config: TrainConfig) -> None:
    if not config.gradient_checkpointing:
        return
    enable = getattr(getattr(learner, "model", None), "gradient_checkpointing_enable", None)
    if enable is None:
        raise ConfigError(
            f"gradient_checkpointing: the learner of {learner.system} has no model that has it"
        )
    enable()
