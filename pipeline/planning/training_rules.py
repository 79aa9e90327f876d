"""Rules for the loss, for what training is shown, and for what is held out."""

from collections.abc import Sequence

from pipeline.planning.choice import Choice
from pipeline.planning.fingerprint import ClassFacts, Fingerprint
from pipeline.planning.photograph_facts import PhotographFacts
from records import Case

FREQUENT = 0.25  # of the lesion pixels of the most frequent class: one with less is shown twice as often
SELDOM = 0.25  # fraction of the photographs: a class that fewer show is lost with a Dice over all classes
HEALTHY = 0.2  # fraction of the crops from healthy photographs
FEWEST_HEALTHY = 3  # patients: a fold holds out a fifth of them and validation may draw one more, but some must be left
VALIDATION, FEWEST_HELD_OUT, MOST_HELD_OUT = 0.15, 2, 30
FEW_PATIENTS = 40  # below this, a cross-validation says more than what is held out

RECIPE = "The recipe of docs/experiments.md."


def choose_loss(classes: Sequence[ClassFacts], *, photographs: int, healthy: int) -> Choice:
    """Chooses `train.loss`.

    Args:
      classes: the lesions.
      photographs: number of photographs.
      healthy: how many of them are said to be healthy.
    """
    if healthy:
        return Choice(
            "bce_present_dice",
            f"{healthy} photographs are healthy: with a Dice over all classes, saying that a rare class is never there "
            "would cost less than finding it (docs/experiments.md: SE 0.002 for 0.645).",
        )
    rarest = min(classes, key=lambda one: one.showing / one.known)
    if rarest.showing < SELDOM * rarest.known:
        return Choice(
            "bce_present_dice",
            f"{rarest.showing} of {rarest.known} photographs show any {rarest.name}: most batches lack it, and with a "
            "Dice over all classes saying that there is none would cost least (docs/experiments.md).",
        )
    return Choice("bce_batch_dice", f"Every class is shown by at least a quarter of the {photographs} photographs.")


def choose_class_sampling(classes: Sequence[ClassFacts]) -> Choice:
    """Chooses `train.class_sampling`: twice as often for classes of few lesion pixels."""
    if len(classes) == 1:
        return Choice((), "There is one class.")
    most = max(one.fraction for one in classes)
    weights = tuple(2.0 if one.fraction < FREQUENT * most else 1.0 for one in classes)
    rare = [one.name for one, weight in zip(classes, weights, strict=True) if weight > 1]
    if not rare:
        return Choice((), "No class has less than a quarter of the lesion pixels of the most frequent one.")
    return Choice(
        weights,
        f"{', '.join(rare)} {'has' if len(rare) == 1 else 'have'} less than a quarter of the lesion pixels of the most "
        "frequent class; small and rare lesions need more crops (docs/experiments.md: MA 0.311 for 0.211).",
    )


def choose_shown(fingerprint: Fingerprint, classes: Sequence[str]) -> dict[str, Choice]:
    """Chooses which crops training is shown, and which tiles are stored for them."""
    healthy = _healthy(fingerprint, classes)
    choices = {
        "data.empty_per_nonempty": Choice(
            1.0, "Two in five crops are cut anywhere, so tiles without lesions are needed as well."
        ),
        "train.balance": Choice("photograph", f"{RECIPE} One with many lesions does not crowd out the others."),
        "train.lesion_pixel_fraction": Choice(0.3, f"{RECIPE} Three in five crops show a lesion …"),
        "train.lesion_fraction": Choice(0.3, "… half of them around a lesion pixel, half around a lesion of any size."),
    }
    if len({case.patient or case.name for case in healthy if case.split == "train"}) >= FEWEST_HEALTHY:
        choices["train.healthy_fraction"] = Choice(
            HEALTHY,
            f"{len(healthy)} photographs are healthy. A fifth of the crops halved false detections on other healthy "
            "eyes (docs/experiments.md).",
        )
    return choices


def choose_held_out(fingerprint: Fingerprint, *, folds: int) -> Choice:
    """Chooses `data.validation_fraction` by the number of patients.

    Several folds are dealt of the source's own validation photographs, too, so that each holds out some of its own.
    """
    own = sum(case.split == "validation" for case in fingerprint.cases)
    if own and folds == 1:
        return Choice(0.0, f"The source has {own} photographs for validation.")
    patients = fingerprint.patients
    held_out = min(max(round(VALIDATION * patients), FEWEST_HELD_OUT), MOST_HELD_OUT)
    reason = f"{held_out} of {patients} patients or photographs choose the best epoch and the thresholds."
    if patients < FEW_PATIENTS and folds == 1:
        reason += " They are few: for a score to rely on, run python -m scripts.crossval with this preset."
    return Choice(round(held_out / patients, 4), reason)


def count_healthy(fingerprint: Fingerprint, classes: Sequence[str]) -> int:
    """Returns the number of photographs that show no lesion, and of some class are said to show none."""
    return len(_healthy(fingerprint, classes))


def _healthy(fingerprint: Fingerprint, classes: Sequence[str]) -> list[Case]:
    def is_healthy(facts: PhotographFacts) -> bool:
        return bool(set(facts.absent) & set(classes)) and not any(one.areas for one in facts.lesions.values())

    return [case for case in fingerprint.learnt_from if is_healthy(fingerprint.facts[case.name])]


def choose_recipe() -> dict[str, Choice]:
    """Chooses what no measurement of the photographs decides: the recipe of the pretrained model."""
    return {
        "augment.rotation": Choice(1.0, RECIPE),
        "augment.rotation_degrees": Choice(15.0, "Cameras and heads are tilted."),
        "augment.scale": Choice(1.0, RECIPE),
        "augment.scale_factor": Choice(1.3333, "Eyes differ in length, so lesions in size."),
        "augment.brightness": Choice(1.0, RECIPE),
        "augment.brightness_fraction": Choice(0.2, "Exposures differ."),
        "augment.color": Choice(1.0, RECIPE),
        "augment.color_fraction": Choice(0.1, "Cameras and fundi differ in colour."),
        "train.learning_rate": Choice(2e-3, RECIPE),
        "train.warmup_fraction": Choice(0.03, RECIPE),
        "train.decay_fraction": Choice(0.4, RECIPE),
        "train.global_clipnorm": Choice(1.0, RECIPE),
        "train.previews": Choice(3, "Three photographs held out are drawn after each epoch."),
        "train.validation_steps": Choice(5, "The loss of tiles is only a guide; whole photographs choose the epoch."),
    }
