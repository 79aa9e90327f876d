"""The section `train` of the config: how the network is fitted, on what, watched how, and when it ends."""

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
    """How the network is fitted.

    Attributes:
      epochs: number of epochs.
      steps_per_epoch: batches an epoch; None: one pass over the training tiles.
      validation_steps: batches of validation an epoch; None: every validation tile once.
      batch_size: tiles a step, over all devices together.
      micro_batches: parts in which a step works through its batch, one after the other, to take less memory; the
        gradients are those of the whole batch. Batch normalisation sees one part at a time.
      max_minutes: after which training ends cleanly, with a finished model; the schedule then runs by the clock where
        that is ahead of the steps. None: `epochs` alone count.
      strategy: "auto" (all GPUs from two on, else one device), "single", "mirrored" (all GPUs), or "cpus:N" (the CPU as
        N devices, to try out what several do).
      precision: of the network's maps: "float32", "mixed_bfloat16" (faster on CPUs with AVX-512 BF16 and on GPUs since
        Ampere) or "mixed_float16" (older GPUs; the loss is scaled). Weights and probabilities are float32 with each,
        and a saved network keeps its precision.
      xla: whether XLA compiles the step: "on", "off", or "auto", on a single GPU alone; on a CPU it is slower.
      loss: name of the loss in `models.losses.losses`.
      side_output_weights: of a network's side outputs (deep supervision) in the loss, beside 1 for its probabilities,
        all divided by their sum; empty: 1 each.
      presence_weight: in the loss, of whether a tile shows a class at all, for networks that say so.
      metrics: of training and validation tiles, by their names in `models.metrics`; of several classes also each one.
      optimizer: "adam", "adamw" or "sgd".
      momentum: of sgd.
      learning_rate: highest one.
      learning_rate_batch: batch size for which `learning_rate` is meant; with another one it is scaled in proportion
        (Goyal et al. 2017, arXiv:1706.02677). None: it is taken as it is.
      warmup_fraction: share of the training in which the learning rate rises from zero, 0 to below 1.
      schedule: after the warm-up: "constant", or "cosine" (to zero at the end).
      decay_fraction: share of the training, at its end, in which the cosine falls; before, the rate is constant. With
        1 it falls from the warm-up on.
      weight_decay: of adamw and sgd, decoupled; adam has none. Biases and normalisation are spared.
      clipvalue: largest absolute value of a gradient's element; None: not clipped.
      clipnorm: largest norm of each weight's gradient; None: not clipped.
      global_clipnorm: largest norm of all gradients together; None: not clipped. At most one of the three is given.
      ema_momentum: of moving averages of all weights, which then are what is validated, drawn and saved; such as
        0.995, averages over some 200 steps. None: the weights themselves.
      initial_model: model folder whose weights training begins with, of the same `model` section; where its classes are
        others, the head is made new. Empty: random weights.
      frozen_encoder_epochs: epochs at the start in which the weights of the network's encoder stay as they are.
      monitor: what decides which epoch's weights are kept, whether training stops early and the learning rate is
        reduced: a column of history.csv such as "val_loss" or "val_photo_aupr"; losses are to fall, all else is to
        rise. "auto": val_photo_aupr where --source gives photographs, else val_loss, else the last epoch is kept.
      photographs_every: epochs between two validations on whole photographs, where --source gives them; the last epoch
        has one in any case.
      early_stopping_patience: validations without a better value before training ends; 0: never.
      reduce_lr_patience: validations without a better value before the learning rate is reduced; 0: never. Only with
        the constant schedule.
      reduce_lr_factor: what the learning rate is multiplied by then.
      crop: side of what is shown of a stored tile, pixels; None: all of it. Augmentations reach beyond it into the
        tile. With crops of at most `data.tile` - `data.stride`, every place of a photograph is shown equally often,
        but for a rim.
      lesion_pixel_fraction: share of the elements that show a lesion pixel, drawn among all lesion pixels (large
        lesions come more often), anywhere in the crop. Each class comes equally often, or as `class_sampling` says.
      lesion_fraction: the same with a lesion drawn first, then one of its pixels.
      class_sampling: how often a lesion of each class is aimed at, relative to the other classes that the photograph
        (or, balanced by tile, the set) has, in the order of `data.classes`; empty: equally often.
      empty_fraction: share of the elements that come from tiles without any lesion; None: as many as there are among
        the stored ones. What these three shares leave comes from the other tiles, wherever in them.
      balance: "tile": each tile equally often (with a crop, each place); "photograph": each photograph, whatever its
        number of tiles.
      records_weights: how often each of several --records is shown, relative to the others; empty: by its number of
        tiles, or of photographs.
      cache: where tiles wait in memory: "none" (read anew each time), "records" (as they are stored), "decoded" (as
        pixels, 4 bytes each), or "auto", the last of these that takes at most half of the free memory.
      previews: validation photographs (without --source, the fullest tile of each) drawn with their true and predicted
        outlines after each epoch, from few lesion pixels to many; 0: none.
      preview_cases: names of the photographs to draw instead.
      checkpoint_minutes: an epoch that takes longer is warned of, as that much is lost when the machine fails.
      deterministic: the same config on the same machine gives the same bits, for some speed.
      seed: of weights, order of tiles, augmentation and dropout.
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
        clips = ("clipvalue", "clipnorm", "global_clipnorm")
        for name in clips:
            value = getattr(self, name)
            check(value is None or value > 0, f"train.{name}", value, allowed="above 0, or none")
        given = [name for name in clips if getattr(self, name) is not None]
        check(len(given) <= 1, f"of train.{', train.'.join(clips)}", given, allowed="at most one given")
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
            check(0 <= getattr(self, name) <= 1, f"train.{name}", getattr(self, name), allowed="a share, 0 to 1")
        check(
            self.empty_fraction is None or 0 <= self.empty_fraction <= 1,
            "train.empty_fraction",
            self.empty_fraction,
            allowed="a share, 0 to 1, or none",
        )
        shares = self.lesion_pixel_fraction + self.lesion_fraction + (self.empty_fraction or 0)
        check(
            shares <= 1 + 1e-9,
            "train.lesion_pixel_fraction, train.lesion_fraction and train.empty_fraction",
            shares,
            allowed="at most 1 together",
        )
        check(
            all(share > 0 for share in self.class_sampling),
            "train.class_sampling",
            self.class_sampling,
            allowed="numbers above 0, one for each of data.classes",
        )
        check_choice("train.balance", self.balance, get_args(Balance))
        check(
            all(weight > 0 for weight in self.records_weights),
            "train.records_weights",
            self.records_weights,
            allowed="numbers above 0, one for each of --records",
        )
        check_choice("train.cache", self.cache, get_args(CacheChoice))
