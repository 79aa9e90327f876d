"""The section `train` of the config: how the network is trained."""

import dataclasses
import re
from typing import Literal, get_args

from configs.schema.checks import check, check_choice

Balance = Literal["tile", "photograph"]
CacheChoice = Literal["none", "records", "decoded", "auto"]
Optimizer = Literal["adam", "adamw", "sgd"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Schedule = Literal["constant", "cosine"]
Xla = Literal["auto", "on", "off"]


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the network is trained.

    Attributes:
      epochs: number of epochs, at least 1.
      steps_per_epoch: number of batches per epoch, at least 1. None: one pass over the training tiles.
      validation_steps: number of validation batches per epoch, at least 1. None: every validation tile once.
      batch_size: number of tiles per step over all devices together, at least 1.
      micro_batches: number of equal parts that a step processes one after another to save memory; divides `batch_size`.
        The gradients are those of the whole batch, but batch normalisation sees one part at a time.
      max_minutes: time after which training ends early, with a finished model. The schedule follows the clock where
        that is ahead of the steps. None: only `epochs` count.
      strategy: "auto" (all GPUs if there are at least two, else one device), "single", "mirrored" (all GPUs), or
        "cpus:N" (the CPU as N devices, to try out training on several).
      precision: precision of the network's features: "float32", "mixed_bfloat16" (faster on CPUs with AVX-512 BF16 and
        on GPUs since Ampere) or "mixed_float16" (older GPUs; the loss is scaled). Weights and probabilities are always
        float32, and a saved network keeps its precision.
      xla: whether XLA compiles the training step: "on", "off" or "auto" (only on a single GPU; on a CPU it is slower).
      loss: name of the loss in `models.losses.losses`.
      side_output_weights: weight in the loss of each of the network's side outputs (deep supervision), 0 or more; the
        main output has weight 1, and all are divided by their sum. Empty: 1 each.
      teacher: model folder of a network whose probabilities are learnt beside the masks (Hinton et al. 2015,
        arXiv:1503.02531), of the crops as they are shown; what it says counts also where the masks say nothing. It must
        take photographs at the same scale. Empty: none.
      teacher_weight: weight of the teacher in the loss, above 0 to 1; the masks have the rest.
      teacher_temperature: what the logits of both are divided by, above 0; above 1 small probabilities matter more.
      presence_weight: weight in the loss of predicting which classes a tile shows, 0 or more; for networks that do so.
      metrics: names of the metrics, in `models.metrics`, of training and validation tiles. With several classes each
        class is reported too.
      optimizer: "adam", "adamw" or "sgd".
      momentum: momentum of "sgd", 0 to below 1.
      learning_rate: peak learning rate, above 0.
      learning_rate_batch: batch size for which `learning_rate` is meant; with another `batch_size` the learning rate is
        scaled in proportion (Goyal et al. 2017, arXiv:1706.02677). None: not scaled.
      warmup_fraction: fraction of the training in which the learning rate rises from zero, 0 to below 1.
      schedule: learning rate after the warm-up: "constant", or "cosine" (decays to zero at the end).
      decay_fraction: fraction of the training, at its end, over which the cosine decays, 0.01 to 1; before that, the
        learning rate is constant. 1: decays right after the warm-up.
      weight_decay: decoupled weight decay of "adamw" and "sgd", 0 or more; "adam" has none. Biases and normalisation
        are excluded.
      clipvalue: largest absolute value of a gradient's elements, above 0. None: no clipping.
      clipnorm: largest norm of each weight's gradient, above 0. None: no clipping.
      global_clipnorm: largest norm of all gradients together, above 0. None: no clipping. At most one of the three may
        be given.
      ema_momentum: momentum of an exponential moving average of all weights, which is then validated, drawn and saved
        in their place; between 0 and 1. 0.995 averages over about 200 steps. None: no averaging.
      initial_model: model folder that provides the initial weights; its config must have the same section `model`. Of
        the head, it provides the classes that both have. Empty: random weights.
      frozen_encoder_epochs: number of epochs at the start in which the encoder's weights are frozen, 0 to `epochs`.
      monitor: column of history.csv, such as "val_loss" or "val_photo_aupr", that selects the best epoch, stops
        training early and reduces the learning rate; losses are minimised, everything else is maximised. "auto":
        val_photo_aupr with --source, else val_loss, else the last epoch is kept.
      photographs_every: number of epochs between validations on whole photographs, with --source, at least 1; the last
        epoch always has one.
      early_stopping_patience: number of validations without improvement after which training ends. 0: never.
      reduce_lr_patience: number of validations without improvement after which the learning rate is reduced, with the
        constant schedule only. 0: never.
      reduce_lr_factor: factor by which the learning rate is reduced, between 0 and 1.
      crop: side of the crop that is cut from a tile for training, pixels, 16 to `data.tile`. None: the whole tile.
        Augmentations may read the tile beyond the crop. With crops of at most `data.tile` - `data.stride`, every place
        of a photograph except its margin is shown equally often.
      lesion_pixel_fraction: fraction of the training crops around a lesion pixel drawn from all lesion pixels (so that
        large lesions are drawn more often); the pixel may lie anywhere in the crop. Classes are drawn equally often, or
        as `class_sampling` says. 0 to 1.
      lesion_fraction: as `lesion_pixel_fraction`, but with a lesion drawn first and then one of its pixels.
      class_sampling: how often each class is targeted, relative to the other classes of the photograph (or, balanced by
        tile, of the set); numbers above 0 in the order of `data.classes`. Empty: equally often.
      empty_fraction: fraction of the training crops from tiles without lesions, 0 to 1. None: as in the stored tiles.
        What these three fractions, at most 1 together, leave over is cut from tiles with lesions, at any place.
      healthy_fraction: fraction of the training crops from photographs that --healthy names, 0 to below 1. None: they
        are drawn like all other photographs.
      hard_negative_fraction: fraction of the training crops around what a model mistook for a lesion on photographs
        that show none (see docs/pseudolabels.md), 0 to below 1; each such place is drawn equally often, and the centre
        of the crop lies in a box around it. What these two fractions leave over is drawn as the other fields say.
      paste_fraction: fraction of the training crops into which lesions of other crops are pasted, at places that show
        none, where they darken and brighten as much as they do where they come from; 0 to 1. The lesions are drawn as
        `lesion_fraction` draws them. Not with soft labels.
      paste_classes: names of the classes that are pasted. Empty: all of `data.classes`. An optic disc, of which an eye
        has one, is better left out.
      balance: "tile": each tile is drawn equally often (with a crop: each place); "photograph": each photograph is,
        whatever its number of tiles.
      records_weights: how often each of several --records is drawn, relative to the others; numbers above 0. Empty: by
        its number of tiles, or of photographs.
      cache: how tiles are kept in memory: "none" (read again every time), "records" (as stored), "decoded" (as pixels,
        4 bytes each) or "auto" (the last of these that takes at most half of the free memory).
      previews: number of validation photographs (without --source, of each the tile with the most lesion pixels) that
        are drawn after each epoch with their true and predicted outlines, chosen from few lesion pixels to many.
      preview_cases: names of the photographs to draw instead.
      checkpoint_minutes: a warning is printed when an epoch takes longer, because that much work is lost if the machine
        fails; minutes, above 0.
      deterministic: whether the same config gives the same bits on the same machine, at the cost of some speed.
      seed: seed of weights, tile order, augmentation and dropout, 0 or more.
    """

    epochs: int = 30
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    batch_size: int = 8
    micro_batches: int = 1
    max_minutes: float | None = None
    strategy: str = "auto"
    precision: Precision = "float32"
    xla: Xla = "auto"
    loss: str = "bce_dice"
    side_output_weights: tuple[float, ...] = ()
    teacher: str = ""
    teacher_weight: float = 0.5
    teacher_temperature: float = 1.0
    presence_weight: float = 1.0
    metrics: tuple[str, ...] = ("dice_coef",)
    optimizer: Optimizer = "adamw"
    momentum: float = 0.9
    learning_rate: float = 1e-3
    learning_rate_batch: int | None = None
    warmup_fraction: float = 0.0
    schedule: Schedule = "cosine"
    decay_fraction: float = 1.0
    weight_decay: float = 1e-2
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    ema_momentum: float | None = None
    initial_model: str = ""
    frozen_encoder_epochs: int = 0
    monitor: str = "auto"
    photographs_every: int = 1
    early_stopping_patience: int = 0
    reduce_lr_patience: int = 0
    reduce_lr_factor: float = 0.4
    crop: int | None = None
    lesion_pixel_fraction: float = 0.0
    lesion_fraction: float = 0.0
    class_sampling: tuple[float, ...] = ()
    empty_fraction: float | None = None
    healthy_fraction: float | None = None
    hard_negative_fraction: float = 0.0
    paste_fraction: float = 0.0
    paste_classes: tuple[str, ...] = ()
    balance: Balance = "tile"
    records_weights: tuple[float, ...] = ()
    cache: CacheChoice = "auto"
    previews: int = 3
    preview_cases: tuple[str, ...] = ()
    checkpoint_minutes: float = 15.0
    deterministic: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_length_and_devices()
        self._check_loss_and_optimizer()
        self._check_stream()
        for name in ("early_stopping_patience", "reduce_lr_patience", "previews", "seed"):
            check(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), allowed="0 or more")
        check(
            self.reduce_lr_patience == 0 or self.schedule == "constant",
            "train.reduce_lr_patience",
            self.reduce_lr_patience,
            allowed=f"0 with train.schedule '{self.schedule}'",
        )
        check(
            0 < self.reduce_lr_factor < 1,
            "train.reduce_lr_factor",
            self.reduce_lr_factor,
            allowed="above 0 and below 1",
        )
        check(self.checkpoint_minutes > 0, "train.checkpoint_minutes", self.checkpoint_minutes, allowed="above 0")

    def _check_length_and_devices(self) -> None:
        for name in ("epochs", "batch_size", "micro_batches", "photographs_every"):
            check(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), allowed="at least 1")
        for name in ("steps_per_epoch", "validation_steps"):
            value = getattr(self, name)
            check(value is None or value >= 1, f"train.{name}", value, allowed="at least 1, or none")
        check(
            self.batch_size % self.micro_batches == 0,
            "train.micro_batches",
            self.micro_batches,
            allowed=f"a divisor of train.batch_size ({self.batch_size})",
        )
        check(
            self.max_minutes is None or self.max_minutes > 0, "train.max_minutes", self.max_minutes, allowed="above 0"
        )
        check(
            re.fullmatch("auto|single|mirrored|cpus:[1-9][0-9]*", self.strategy) is not None,
            "train.strategy",
            self.strategy,
            allowed="auto, single, mirrored or cpus:N, such as cpus:2",
        )
        check_choice("train.precision", self.precision, get_args(Precision))
        check_choice("train.xla", self.xla, get_args(Xla))

    def _check_loss_and_optimizer(self) -> None:
        check(
            all(weight >= 0 for weight in self.side_output_weights),
            "train.side_output_weights",
            self.side_output_weights,
            allowed="numbers of 0 or more",
        )
        check(self.presence_weight >= 0, "train.presence_weight", self.presence_weight, allowed="0 or more")
        check(
            0 < self.teacher_weight <= 1,
            "train.teacher_weight",
            self.teacher_weight,
            allowed="above 0 and at most 1",
        )
        check(self.teacher_temperature > 0, "train.teacher_temperature", self.teacher_temperature, allowed="above 0")
        check_choice("train.optimizer", self.optimizer, get_args(Optimizer))
        check(0 <= self.momentum < 1, "train.momentum", self.momentum, allowed="at least 0 and below 1")
        check(self.learning_rate > 0, "train.learning_rate", self.learning_rate, allowed="above 0")
        base = self.learning_rate_batch
        check(base is None or base >= 1, "train.learning_rate_batch", base, allowed="at least 1, or none")
        check(
            0 <= self.warmup_fraction < 1,
            "train.warmup_fraction",
            self.warmup_fraction,
            allowed="at least 0 and below 1",
        )
        check_choice("train.schedule", self.schedule, get_args(Schedule))
        check(0.01 <= self.decay_fraction <= 1, "train.decay_fraction", self.decay_fraction, allowed="0.01 to 1")
        check(self.weight_decay >= 0, "train.weight_decay", self.weight_decay, allowed="0 or more")
        clip_fields = ("clipvalue", "clipnorm", "global_clipnorm")
        for name in clip_fields:
            value = getattr(self, name)
            check(value is None or value > 0, f"train.{name}", value, allowed="above 0, or none")
        given = [name for name in clip_fields if getattr(self, name) is not None]
        check(len(given) <= 1, f"of train.{', train.'.join(clip_fields)}", given, allowed="at most one given")
        ema = self.ema_momentum
        check(ema is None or 0 < ema < 1, "train.ema_momentum", ema, allowed="above 0 and below 1, or none")
        check(
            0 <= self.frozen_encoder_epochs <= self.epochs,
            "train.frozen_encoder_epochs",
            self.frozen_encoder_epochs,
            allowed=f"0 to train.epochs ({self.epochs})",
        )

    def _check_stream(self) -> None:
        check(self.crop is None or self.crop >= 16, "train.crop", self.crop, allowed="at least 16, or none")
        for name in ("lesion_pixel_fraction", "lesion_fraction"):
            check(0 <= getattr(self, name) <= 1, f"train.{name}", getattr(self, name), allowed="a fraction, 0 to 1")
        check(
            self.empty_fraction is None or 0 <= self.empty_fraction <= 1,
            "train.empty_fraction",
            self.empty_fraction,
            allowed="a fraction, 0 to 1, or none",
        )
        fractions = self.lesion_pixel_fraction + self.lesion_fraction + (self.empty_fraction or 0)
        check(
            fractions <= 1 + 1e-9,
            "train.lesion_pixel_fraction, train.lesion_fraction and train.empty_fraction",
            fractions,
            allowed="at most 1 together",
        )
        healthy = self.healthy_fraction
        check(
            healthy is None or 0 <= healthy < 1,
            "train.healthy_fraction",
            healthy,
            allowed="at least 0 and below 1, or none",
        )
        check(
            0 <= self.hard_negative_fraction < 1 and (healthy or 0) + self.hard_negative_fraction < 1,
            "train.hard_negative_fraction",
            self.hard_negative_fraction,
            allowed="at least 0, and below 1 together with train.healthy_fraction",
        )
        check(
            all(weight > 0 for weight in self.class_sampling),
            "train.class_sampling",
            self.class_sampling,
            allowed="numbers above 0, one for each of data.classes",
        )
        check(0 <= self.paste_fraction <= 1, "train.paste_fraction", self.paste_fraction, allowed="a fraction, 0 to 1")
        check_choice("train.balance", self.balance, get_args(Balance))
        check(
            all(weight > 0 for weight in self.records_weights),
            "train.records_weights",
            self.records_weights,
            allowed="numbers above 0, one for each of --records",
        )
        check_choice("train.cache", self.cache, get_args(CacheChoice))
