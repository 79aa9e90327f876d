"""Rules for what the clock decides: batch, precision, XLA, epochs and steps, from training steps that were measured."""

import math
from collections.abc import Sequence

from configs import InputError
from pipeline.planning.choice import Choice
from pipeline.planning.step_trial import StepTrial

FASTER = 1.05  # times as fast: another precision, or XLA, is worth it
ENOUGH_STEPS = 3000  # below, smaller batches gained more by their number than larger ones by their speed
GAIN = 1.25  # times as many crops a second: a batch of twice the size is worth half the steps
EPOCHS = 20  # into which the time is divided, so that the history has so many points
SCORINGS = 5  # of whole photographs, of these
LEAST_STEPS, MOST_STEPS = 10, 200  # of an epoch
FOLDS, FEWEST_PER_FOLD = 5, 3  # of a cross-validation, and patients that each holds out
MARGIN = 1.5  # more epochs than the time should allow are configured, as the clock is to end training
LONGEST_EMA, EMA_PART = 0.995, 0.1  # averages run over 200 steps, or over a tenth of a short training


def fastest(trials: Sequence[StepTrial]) -> StepTrial:
    """Returns the trial that the others do not beat by `FASTER`; the first ones are the simplest."""
    best = trials[0]
    for trial in trials[1:]:
        if trial.crops_per_second > FASTER * best.crops_per_second:
            best = trial
    return best


def is_worth_twice_the_batch(before: StepTrial, after: StepTrial) -> bool:
    """Returns whether a batch of twice the size gives enough more crops a second to halve the number of steps."""
    return after.crops_per_second > GAIN * before.crops_per_second


def with_enough_steps(chosen: StepTrial, trials: Sequence[StepTrial], *, minutes: float) -> StepTrial:
    """Returns the trial with the largest batch, up to the chosen one, of which the time allows `ENOUGH_STEPS`.

    If it allows so many of none, the smallest batch is taken.

    Args:
      chosen: the trial that is fastest.
      trials: all trials.
      minutes: time of training.
    """
    alike = [one for one in trials if (one.precision, one.xla) == (chosen.precision, chosen.xla)]
    smaller = sorted((one for one in alike if one.batch <= chosen.batch), key=lambda one: one.batch)
    enough = [one for one in smaller if steps_in(minutes, one) >= ENOUGH_STEPS]
    return enough[-1] if enough else smaller[0]


def steps_in(minutes: float, trial: StepTrial) -> float:
    """Returns how many steps like these a time allows."""
    return minutes * 60 * trial.crops_per_second / trial.batch


def choose_folds(smallest: StepTrial, *, minutes: float, patients: int) -> int:
    """Returns the number of folds that the time is divided into; 1: a single training, without a cross-validation.

    Args:
      smallest: the trial with the smallest batch.
      minutes: time of all trainings.
      patients: number of patients or photographs to learn from.
    """
    enough = steps_in(minutes / FOLDS, smallest) >= ENOUGH_STEPS
    return FOLDS if enough and patients >= FOLDS * FEWEST_PER_FOLD else 1


def choose_steps(
    chosen: StepTrial, trials: Sequence[StepTrial], *, minutes: float, folds: int = 1
) -> dict[str, Choice]:
    """Chooses batch, precision, XLA, and how the time is divided.

    Args:
      chosen: the trial whose settings are taken.
      trials: all trials.
      minutes: time of each training.
      folds: number of trainings.
    """
    rates = "; ".join(str(trial) for trial in trials)
    steps = steps_in(minutes, chosen)
    per_epoch = min(max(round(steps / EPOCHS), LEAST_STEPS), MOST_STEPS)
    epochs = max(math.ceil(MARGIN * steps / per_epoch), 1)
    momentum = max(min(LONGEST_EMA, 1 - 1 / max(EMA_PART * steps, 2)), 0.5)
    return {
        "train.batch_size": Choice(
            chosen.batch,
            f"Measured here: {rates}. Small batches take more steps in equal time (docs/experiments.md: 0.666 with 4 "
            f"for 0.593 with 8); twice the batch is taken only for {GAIN:g} times as many crops a second, and if at "
            f"least {ENOUGH_STEPS:,} steps are left. The largest "
            f"step took {max(trial.peak_bytes for trial in trials) / 1e9:.1f} GB.",
        ),
        "train.precision": Choice(chosen.precision, "The fastest of these trials, by at least a twentieth."),
        "train.xla": Choice(
            ("on" if chosen.xla else "off") if any(trial.xla for trial in trials) else "auto",
            "The fastest of these trials."
            if any(trial.xla for trial in trials)
            else "Not tried: on a CPU it is slower (docs/decisions.md), and elsewhere it cannot compile this step.",
        ),
        "train.max_minutes": Choice(
            float(minutes),
            ("As given" if folds == 1 else f"As given for all {folds} folds, {minutes * folds:g}, for each")
            + f": about {steps:.0f} steps, {steps * chosen.batch:.0f} crops, without the time for scoring whole "
            "photographs; the learning rate follows the clock.",
        ),
        "train.steps_per_epoch": Choice(per_epoch, f"About {steps / per_epoch:.0f} epochs in that time."),
        "train.epochs": Choice(epochs, "More than the time allows: the clock ends training."),
        "train.photographs_every": Choice(
            max(round(steps / per_epoch / SCORINGS), 1), f"Whole photographs are scored about {SCORINGS} times."
        ),
        "train.ema_momentum": Choice(
            round(momentum, 4), "Averages of the weights over 200 steps, or a tenth of a shorter training."
        ),
    }


def refuse_too_short(minutes: float, chosen: StepTrial, *, tiles: int, folds: int = 1) -> None:
    """Checks that the time suffices for one pass over the training tiles.

    Args:
      minutes: time of each training.
      chosen: the trial whose settings are taken.
      tiles: number of training tiles.
      folds: number of trainings.

    Raises:
      InputError: it does not.
    """
    needed = tiles / chosen.crops_per_second / 60
    if minutes < needed:
        raise InputError(
            f"--minutes={minutes * folds:g}: one epoch, a crop from each of {tiles} tiles, takes {needed:.1f} minutes "
            f"{f'in each of {folds} folds ' if folds > 1 else ''}at the {chosen.crops_per_second:.1f} crops a second "
            f"that were measured here; give at least --minutes={math.ceil(needed * folds)}, and better twenty times as "
            "many."
        )
