# SPDX-License-Identifier: MIT
"""The training loop: schedules, averaged weights, distillation, checkpoints that survive a kill, log, progress."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np
import torch
from mien_tools.errors import ToolError, UsageError
from torch import nn
from torch.nn import functional as F

import metrics
from augment import Augmentation, Augmenter, to_input
from torch_net import KerasNet

CRITERION = "validation:accuracy"
# Columns of the log in checkpoints that do not name them.
FIELDS_BEFORE = (
    "epoch,rate,train_loss,train_accuracy,validation_loss,validation_accuracy,seconds".split(",")
)


@dataclass
class Recipe:
    """Everything that decides the result; a checkpoint of another recipe is refused."""

    architecture: str = ""
    epochs: int = 100
    batch: int = 128
    optimizer: str = "adamw"  # or "adam", "sgd"
    rate: float = 4e-3  # highest learning rate
    weight_decay: float = 0.02
    schedule: str = "cosine"  # or "plateau", "constant"
    warm_up: float = 3.0  # epochs
    plateau_patience: int = (
        12  # epochs without a better validation loss until the rate falls to a tenth
    )
    stop_patience: int = 0  # epochs without a better validation loss until the end; 0: never
    label_smoothing: float = 0.08
    soft_share: float = 0.0  # share of the FER+ votes in the targets
    auxiliary: float = (
        0.0  # weight of a second head that learns what else is known of an image, dropped at the end
    )
    mixup: float = 0.0  # share of batches blended in pairs, Beta(0.3, 0.3)
    clean_epochs: int = 0  # last epochs without soft targets and without mixup
    average: float = 0.999  # decay of the averaged weights; 0: none
    dropout: float = -1.0  # overrides the architecture's; negative: as it is
    class_weight: float = 0.0  # exponent of the inverse class frequency, as weights of the loss
    balance: float = (
        0.0  # exponent of the inverse share of a class in the targets, as chances of being drawn
    )
    logit_adjustment: float = (
        0.0  # times the logarithm of a class's share in the drawn targets, added in the loss alone
    )
    doubtful: str = "label"  # or "drop", "weight": images that few raters could name
    criterion: List[str] = field(
        default_factory=lambda: [CRITERION]
    )  # SET:FIGURE; the epoch with the highest mean of these is kept
    freeze_norm: bool = (
        False  # keeps the batch normalization's statistics: for fine-tuning on few images
    )
    amount: float = 0.0  # weight of the distance between an amount (age) and the answer's mean
    distil: float = 0.0  # share of the teachers' answers in the loss
    temperature: float = 2.0
    views: int = (
        0  # changed copies of the set kept with the teachers' answers and used in turn; 0: new ones every epoch
    )
    teachers: List[str] = field(default_factory=list)
    start: str = ""  # checksum of the file that the weights start from
    seed: int = 1
    bf16: bool = True
    augmentation: Dict[str, float] = field(default_factory=dict)


@dataclass
class HeldOut:
    """Images uint8 [N, h, w, c] at the network's size that are only measured on."""

    images: np.ndarray
    labels: np.ndarray
    majority: Optional[np.ndarray] = None  # int64 [N]: FER+ raters' class, -1 where none is clear
    amounts: Optional[np.ndarray] = None  # [N]: what the classes' values are measured against


@dataclass
class TrainingData:
    """Images uint8 [N, h, w, c] as the augmentation cuts them. `held_out` has a set "validation",
    whose loss decides between epochs that are equal, and when a plateau or the end is reached."""

    images: np.ndarray
    labels: np.ndarray
    auxiliary: Optional[
        np.ndarray
    ]  # float32 [N, k], rows that sum to one or to nothing: what the second head learns
    soft: Optional[
        np.ndarray
    ]  # float32 [N, classes]: the FER+ votes of the classes; rows of zeros where there are none
    held_out: Dict[str, HeldOut]
    weights: Optional[np.ndarray] = None  # float32 [N]: how much each image counts in the loss
    classes: Tuple[str, ...] = ()  # by name, so that the figure `neutral` can be told
    values: Optional[np.ndarray] = None  # float32 [classes]: of a network that answers an amount
    amounts: Optional[np.ndarray] = None  # float32 [N]: the amount of each image
    untaught: Optional[np.ndarray] = None  # bool [N]: teachers' answers do not count for these


def save_atomically(
    state: Any,
    path: Path,
    what: str = "the checkpoint",
    comfort: str = "the one of the last epoch is kept",
    shared: bool = False,
) -> None:
    """The old file stays until the new one is whole on the disk. A `shared` file may be written by several programs at a time."""
    partial = path.with_name(path.name + (f".{os.getpid()}" if shared else "") + ".partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        reason = (
            error.strerror
            if isinstance(error, OSError) and error.strerror
            else str(error).splitlines()[0]
        )
        raise ToolError(path, f"cannot write {what} ({reason}); {comfort}") from None


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 [N, h, w, c] to uint8 [N, c, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).contiguous()


def resized(x: torch.Tensor, size: Tuple[int, int]) -> torch.Tensor:
    return (
        x
        if tuple(x.shape[2:]) == tuple(size)
        else F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)
    )


@torch.no_grad()
def settle_norms(net: nn.Module, images: np.ndarray) -> None:
    """Gives batch normalizations the statistics of these images without changing what the network computes: a network that starts from
    folded weights, or from other data, can then be trained with the statistics of its batches."""
    handles = []

    def settle(norm: nn.BatchNorm2d, inputs: Tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        x = inputs[0].float()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_(scale * (mean - norm.running_mean))
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_hook(settle))
    net.eval()
    net(to_input(as_tensor(images).float() / 255))
    for handle in handles:
        handle.remove()


@torch.no_grad()
def predict(net: nn.Module, images: np.ndarray, batch: int = 256, bf16: bool = False) -> np.ndarray:
    """Logits [N, classes] of uint8 [N, h, w, c]."""
    net.eval()
    out = []
    for begin in range(0, len(images), batch):
        x = to_input(as_tensor(images[begin : begin + batch]).float() / 255)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out.append(net(x).float())
    return torch.cat(out).numpy()


class Trainer:
    def __init__(
        self,
        net: KerasNet,
        recipe: Recipe,
        data: TrainingData,
        teachers: List[KerasNet],
        checkpoint: Path,
        log: Path,
        report: Callable[..., None],
        view_store: Optional[Path] = None,
    ) -> None:
        self.recipe, self.data, self.report, self.view_store = recipe, data, report, view_store
        self.checkpoint, self.log = checkpoint, log
        self.net = net.to(memory_format=torch.channels_last)
        self.teachers = [t.eval().to(memory_format=torch.channels_last) for t in teachers]
        if recipe.dropout >= 0:
            for module in net.modules():
                if isinstance(module, nn.Dropout):
                    module.p = recipe.dropout
        torch.manual_seed(recipe.seed)
        self.generator = torch.Generator().manual_seed(recipe.seed + 1)
        self.augment = Augmenter(
            Augmentation(**recipe.augmentation), net.model.input_shape[:2], self.generator
        )
        self.images = as_tensor(data.images)
        self.labels = torch.from_numpy(data.labels.astype(np.int64))
        classes = net.model.class_count
        self.auxiliary = (
            torch.from_numpy(data.auxiliary)
            if data.auxiliary is not None and recipe.auxiliary > 0
            else None
        )
        self.targets, self.clean_targets = self._targets(classes, recipe.soft_share), self._targets(
            classes, 0.0
        )
        frequency = torch.bincount(self.labels, minlength=classes).float()
        weight = torch.where(
            frequency > 0,
            (len(self.labels) / frequency.clamp(min=1)) ** recipe.class_weight,
            torch.zeros(classes),
        )
        self.weights = (weight / (weight * frequency).sum() * len(self.labels))[self.labels]
        if data.weights is not None:
            self.weights = self.weights * torch.from_numpy(data.weights)
        self.weighted = recipe.class_weight != 0 or data.weights is not None
        self.chances, self.adjustment = self._balance(classes)
        self.untaught = None if data.untaught is None else torch.from_numpy(data.untaught)
        self.values, self.amounts = torch.zeros(0), None
        if data.values is not None and data.amounts is not None and recipe.amount > 0:
            self.values = torch.from_numpy(data.values.astype(np.float32))
            self.amounts = torch.from_numpy(data.amounts.astype(np.float32))
        self.helper = None
        if self.auxiliary is not None:
            width = self._feature_count()
            self.helper = nn.Linear(width, self.auxiliary.shape[1])
        self.steps = max(len(data.images) // recipe.batch, 1)
        self.optimizer = self._optimizer()
        self.smooth = KerasNet(net.model).to(
            memory_format=torch.channels_last
        )  # made before a run is resumed, since it draws random numbers
        self.views: Dict[int, Tuple[torch.Tensor, torch.Tensor]] = {}
        self.view_key = ""
        self.mean = {k: v.clone() for k, v in net.state_dict().items()}
        self.first, self.rows, self.rate_factor, self.since_better = 0, [], 1.0, 0
        self.best: Tuple[float, float] = (-math.inf, 0.0)  # criterion, minus validation loss
        self.figures: Dict[str, Dict[str, float]] = {}  # of the last epoch, by set
        self.fields = self._fields()
        self.lowest = math.inf
        self.best_state = {k: v.clone() for k, v in self.mean.items()}
        if checkpoint.is_file():
            self._resume()

    # ------------------------------------------------------------ set-up

    def _feature_count(self) -> int:
        with torch.no_grad():
            self.net.eval()
            height, width, channels = self.net.model.input_shape
            return self.net.run(torch.zeros(1, channels, height, width))[1].flatten(1).shape[1]

    def _figures(self, held: HeldOut, logits: np.ndarray) -> Dict[str, float]:
        return metrics.figures(
            held.labels, logits, self.data.classes, held.majority, self.data.values, held.amounts
        )

    def _fields(self) -> List[str]:
        """Columns of the log. Refuses a criterion that names none of them."""
        measured: List[Tuple[str, str]] = []
        for key, held in self.data.held_out.items():
            blank = np.zeros((len(held.labels), self.net.model.class_count), np.float32)
            known = self._figures(held, blank)
            measured += [(key, figure) for figure in known]
        names = [":".join(pair) for pair in measured]
        for wanted in self.recipe.criterion:
            if wanted not in names:
                raise UsageError(wanted, f"not measured; there are {', '.join(names)}")
        columns = ["_".join(pair) for pair in measured]
        return ["epoch", "rate", "train_loss", "train_accuracy", *columns, "seconds"]

    def _balance(self, classes: int) -> Tuple[Optional[torch.Tensor], torch.Tensor]:
        """Each image's chance of being drawn [N], None for every image once; and what the loss adds
        to the logits [classes]. Both from the targets before smoothing."""
        r = self.recipe
        shares = self._targets(classes, r.soft_share, 0.0)
        mean = shares.mean(0).clamp(min=1e-6)
        chances = (shares * mean**-r.balance).sum(1)
        mean = (shares * (chances / chances.sum())[:, None]).sum(0).clamp(min=1e-6)
        return chances if r.balance else None, r.logit_adjustment * mean.log()

    def _targets(
        self, classes: int, soft_share: float, smoothing: Optional[float] = None
    ) -> torch.Tensor:
        r = self.recipe
        smoothing = r.label_smoothing if smoothing is None else smoothing
        target = F.one_hot(self.labels, classes).float()
        if soft_share > 0 and self.data.soft is not None:
            soft = torch.from_numpy(self.data.soft)
            known = soft.sum(1, keepdim=True) > 0
            target = torch.where(known, (1 - soft_share) * target + soft_share * soft, target)
        return (1 - smoothing) * target + smoothing / classes

    def _optimizer(self) -> torch.optim.Optimizer:
        r = self.recipe
        parameters = list(self.net.parameters()) + (
            list(self.helper.parameters()) if self.helper else []
        )
        parameters = [p for p in parameters if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": r.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if r.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=r.rate, momentum=0.9, nesterov=True)
        if r.optimizer == "adam":
            return torch.optim.Adam(groups, lr=r.rate)
        return torch.optim.AdamW(groups, lr=r.rate)

    def _resume(self) -> None:
        try:
            state = torch.load(self.checkpoint, weights_only=True)
        except Exception as error:  # torch raises many kinds
            raise ToolError(
                self.checkpoint,
                f"not a checkpoint of this program ({type(error).__name__}); remove it to start anew",
            ) from None
        old, new = state.get("recipe"), asdict(self.recipe)
        if isinstance(old, dict):
            old = {**asdict(Recipe()), **old}  # earlier versions did not know every field
            if isinstance(old.get("augmentation"), dict):
                old["augmentation"].setdefault("p_glasses", 0.0)
        if old != new:
            differing = sorted(k for k in new if not isinstance(old, dict) or old.get(k) != new[k])
            raise ToolError(
                self.checkpoint,
                f"from a run with another recipe ({', '.join(differing)}); remove it to start anew",
            )
        self.net.load_state_dict(state["net"])
        if self.helper:
            self.helper.load_state_dict(state["helper"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_generator"])
        self.mean, self.best_state = state["mean"], state["best_state"]
        self.first = state["epoch"]
        known = state.get("fields", FIELDS_BEFORE)  # the sets that are measured may be others now
        told = [dict(zip(known, row)) for row in state["rows"]]
        self.rows = [[row.get(name, "") for name in self.fields] for row in told]
        self.best, self.lowest = tuple(state["best"]), state["lowest"]
        self.rate_factor, self.since_better = state["rate_factor"], state["since_better"]
        self.report(f"resumed after epoch {self.first}")

    def _save(self, epoch: int) -> None:
        save_atomically(
            {
                "recipe": asdict(self.recipe),
                "net": self.net.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "helper": self.helper.state_dict() if self.helper else {},
                "generator": self.generator.get_state(),
                "torch_generator": torch.get_rng_state(),
                "mean": self.mean,
                "best_state": self.best_state,
                "epoch": epoch,
                "fields": self.fields,
                "rows": self.rows,
                "best": list(self.best),
                "lowest": self.lowest,
                "rate_factor": self.rate_factor,
                "since_better": self.since_better,
            },
            self.checkpoint,
        )
        partial = self.log.with_name(self.log.name + ".partial")
        try:
            with partial.open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(self.fields)
                writer.writerows(self.rows)
            partial.replace(self.log)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ToolError(self.log, f"cannot write the log ({error.strerror})") from None

    # ------------------------------------------------------------ one step

    def _rate(self, now: int) -> float:
        r = self.recipe
        warm, total = int(self.steps * r.warm_up), self.steps * r.epochs
        if now < warm:
            return r.rate * (now + 1) / warm
        if r.schedule == "cosine":
            return r.rate * 0.5 * (1 + math.cos(math.pi * (now - warm) / max(total - warm, 1)))
        return r.rate * self.rate_factor

    @torch.no_grad()
    def _answers(self, x: torch.Tensor) -> torch.Tensor:
        """The teachers' mean probabilities [N, classes] at the recipe's temperature."""
        r = self.recipe
        with torch.autocast("cpu", torch.bfloat16, enabled=r.bf16):
            return torch.stack(
                [
                    F.softmax(
                        t(to_input(resized(x, t.model.input_shape[:2]))).float() / r.temperature, 1
                    )
                    for t in self.teachers
                ]
            ).mean(0)

    def _view_file(self, number: int) -> Optional[Path]:
        """Named by all that decides what is in it, so that runs with the same teachers and augmentation share it and others never take it."""
        if self.view_store is None:
            return None
        if not self.view_key:
            digest = hashlib.sha256(
                json.dumps(
                    [
                        self.recipe.augmentation,
                        list(self.augment.size),
                        self.recipe.temperature,
                        list(self.images.shape),
                    ],
                    sort_keys=True,
                ).encode()
            )
            digest.update(self.images.numpy().tobytes())
            for teacher in self.teachers:
                for value in teacher.state_dict().values():
                    digest.update(value.contiguous().numpy().tobytes())
            self.view_key = digest.hexdigest()[:16]
        return self.view_store / f"view-{self.view_key}-{number}.pt"

    def _view(self, number: int) -> Tuple[torch.Tensor, torch.Tensor]:
        """A changed copy of the whole set, uint8, and the teachers' answers to it. It depends on its number and what `_view_file` says only, so that a
        resumed run makes the same."""
        if number not in self.views:
            path = self._view_file(number)
            if path is not None and path.is_file():
                try:
                    stored = torch.load(path, weights_only=True)
                    self.views[number] = stored["pictures"], stored["answers"]
                    return self.views[number]
                except Exception:  # torch raises many kinds; what cannot be read is made again
                    self.report(f"{path}: cannot be read, made again")
            augment = Augmenter(
                self.augment.settings,
                self.augment.size,
                torch.Generator().manual_seed(1000 + number),
            )
            pictures, answers, shown = [], [], time.monotonic()
            for begin in range(0, len(self.images), 256):
                x = (augment(self.images[begin : begin + 256].float() / 255) * 255).round()
                pictures.append(x.to(torch.uint8))
                answers.append(self._answers(x / 255))
                if time.monotonic() - shown > 2:
                    shown = time.monotonic()
                    self.report(
                        f"view {number + 1}/{self.recipe.views}: the teachers' answers, {begin} of {len(self.images)}",
                        transient=True,
                    )
            self.views[number] = torch.cat(pictures), torch.cat(answers)
            if path is not None:
                save_atomically(
                    {"pictures": self.views[number][0], "answers": self.views[number][1]},
                    path,
                    "the view",
                    "the last checkpoint is kept and the run can go on without --view-store",
                    shared=True,
                )
        return self.views[number]

    def _loss(self, pick: torch.Tensor, epoch: int) -> Tuple[torch.Tensor, int]:
        r = self.recipe
        clean = epoch >= r.epochs - r.clean_epochs
        learns = bool(self.teachers) and r.distil > 0
        if learns and r.views > 0:
            pictures, answers = self._view(
                (epoch + r.seed) % r.views
            )  # by the seed, so that runs side by side make different ones for each other
            x, answer = pictures[pick].float() / 255, answers[pick]
        else:
            x, answer = self.augment(self.images[pick].float() / 255), None
        target = (self.clean_targets if clean else self.targets)[pick]
        amount = self.amounts[pick] if self.amounts is not None else None
        auxiliary = self.auxiliary[pick] if self.auxiliary is not None else None
        if r.mixup > 0 and not clean and float(torch.rand(1, generator=self.generator)) < r.mixup:
            # Beta(0.3, 0.3) from two powers of uniform numbers (Johnk), with the generator that is saved.
            share = 0.5
            for _ in range(100):
                u, v = (torch.rand(2, generator=self.generator).double() ** (1 / 0.3)).tolist()
                if 0 < u + v <= 1:
                    share = u / (u + v)
                    break
            other = torch.randperm(len(x), generator=self.generator)
            x = share * x + (1 - share) * x[other]
            answer = share * answer + (1 - share) * answer[other] if answer is not None else None
            target = share * target + (1 - share) * target[other]
            amount = share * amount + (1 - share) * amount[other] if amount is not None else None
            auxiliary = (
                share * auxiliary + (1 - share) * auxiliary[other]
                if auxiliary is not None
                else None
            )
        with torch.autocast("cpu", torch.bfloat16, enabled=r.bf16):
            logits, features = self.net.run(to_input(x))
        logits = logits.float()
        answered = logits.argmax(1)
        logits = logits + self.adjustment
        if self.weighted:
            loss = -((target * F.log_softmax(logits, 1)).sum(1) * self.weights[pick]).mean()
        else:
            loss = F.cross_entropy(logits, target)
        if learns:
            answer = self._answers(x) if answer is None else answer
            if self.untaught is not None:
                answer = torch.where(self.untaught[pick][:, None], target, answer)
            student = F.log_softmax(logits / r.temperature, 1)
            far = -(answer * student).sum(1).mean() * r.temperature**2
            loss = (1 - r.distil) * loss + r.distil * far
        if amount is not None:
            mean = logits.softmax(1) @ self.values
            loss = loss + r.amount * F.smooth_l1_loss(mean, amount, beta=2.0)
        if self.helper is not None and auxiliary is not None:
            guess = F.log_softmax(self.helper(features.float().flatten(1)), 1)
            loss = loss + r.auxiliary * -(auxiliary * guess).sum(1).mean()
        return loss, int((answered == self.labels[pick]).sum())

    def _order(self) -> torch.Tensor:
        """Of the images in an epoch: each once, or drawn by their chances."""
        if self.chances is None:
            return torch.randperm(len(self.images), generator=self.generator)
        return torch.multinomial(
            self.chances, len(self.images), replacement=True, generator=self.generator
        )

    @torch.no_grad()
    def _average(self, now: int) -> None:
        decay = min(self.recipe.average, (1 + now) / (10 + now))
        for mean, value in zip(self.mean.values(), self.net.state_dict().values()):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def _validate(self) -> Tuple[float, float]:
        """Measures the averaged weights on every held-out set; the validation loss and what the
        criterion says."""
        self.smooth.load_state_dict(self.mean)
        self.figures = {
            name: self._figures(held, predict(self.smooth, held.images, bf16=self.recipe.bf16))
            for name, held in self.data.held_out.items()
        }
        named = [wanted.split(":", 1) for wanted in self.recipe.criterion]
        less = ("loss", "error")
        values = [self.figures[key][what] * (-1 if what in less else 1) for key, what in named]
        return self.figures["validation"]["loss"], sum(values) / len(values)

    def _table(self) -> List[str]:
        """A line per held-out set besides the validation split, and that one's where it has more than
        an accuracy to say."""
        return [
            f"  {name}: " + ", ".join(f"{what} {value:.4f}" for what, value in row.items())
            for name, row in self.figures.items()
            if len(self.figures) > 1 or "votes" in row
        ]

    # ------------------------------------------------------------ all

    def score_start(self) -> Tuple[float, float]:
        """Counts the weights that it starts from as epoch 0, so that fine-tuning never ends worse than it began."""
        loss, value = self._validate()
        if self.first == 0:
            self.best, self.lowest = (value, -loss), loss
        return value, loss

    def run(self) -> Tuple[KerasNet, Tuple[float, float]]:
        """Trains to the end; the net with the best averaged weights, and its criterion and validation loss."""
        r = self.recipe
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        for epoch in range(self.first, r.epochs):
            if r.stop_patience and self.since_better >= r.stop_patience:
                self.report(f"no better validation loss for {self.since_better} epochs: stopped")
                break
            start = time.monotonic()
            self.net.train()
            if r.freeze_norm:
                for module in self.net.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
            order = self._order()
            loss_sum, right, seen, rate = 0.0, 0, 0, 0.0
            shown = start
            for step in range(self.steps):
                now = epoch * self.steps + step
                rate = self._rate(now)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                pick = order[step * r.batch : (step + 1) * r.batch]
                loss, hits = self._loss(pick, epoch)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                loss_sum, right, seen = (
                    loss_sum + float(loss.detach()),
                    right + hits,
                    seen + len(pick),
                )
                if r.average > 0:
                    self._average(now)
                if time.monotonic() - shown > 2:
                    shown = time.monotonic()
                    self.report(
                        f"epoch {epoch + 1}/{r.epochs} step {step + 1}/{self.steps} loss {loss_sum / (step + 1):.4f}"
                        f" {seen / (shown - start):.0f} images/s",
                        transient=True,
                    )
            if not math.isfinite(loss_sum):
                raise ToolError(
                    self.checkpoint,
                    f"epoch {epoch + 1}: the loss is not finite; lower --rate (the checkpoint of epoch {epoch} is kept)",
                )
            if r.average <= 0:
                self.mean = {k: v.clone() for k, v in self.net.state_dict().items()}
            loss_value, value = self._validate()
            if (value, -loss_value) > self.best:
                self.best = (value, -loss_value)
                self.best_state = {k: v.clone() for k, v in self.mean.items()}
            self.since_better += 1
            if loss_value < self.lowest:
                self.lowest, self.since_better = loss_value, 0
            elif r.schedule == "plateau" and self.since_better % r.plateau_patience == 0:
                self.rate_factor *= 0.1
            seconds = time.monotonic() - start
            self.rows.append(
                [
                    str(epoch + 1),
                    f"{rate:.6f}",
                    f"{loss_sum / self.steps:.4f}",
                    f"{right / seen:.4f}",
                    *(f"{v:.4f}" for row in self.figures.values() for v in row.values()),
                    f"{seconds:.1f}",
                ]
            )
            self._save(epoch + 1)
            left = (time.monotonic() - begin) / (epoch + 1 - self.first) * (r.epochs - epoch - 1)
            self.report(
                f"epoch {epoch + 1}/{r.epochs} loss {self.rows[-1][2]} accuracy {self.rows[-1][3]} validation {loss_value:.4f}"
                f" {self.figures['validation']['accuracy']:.4f} best {self.best[0]:.4f}"
                f" {seconds:.0f} s, {left / 60:.0f} min left"
            )
            for line in self._table():
                self.report(line)
        self.smooth.load_state_dict(self.best_state)
        self.smooth.eval()
        return self.smooth, (self.best[0], -self.best[1])
