# SPDX-License-Identifier: MIT
"""Trains, fine-tunes and measures mien's networks.

  python3 tools/train data FER2013                     what is in a data set, and what is rejected
  python3 tools/train copies FER2013                   images of one split that are in another too
  python3 tools/train emotion --data FER2013 -o X.hdf5
  python3 tools/train gender --data utkface64.npz -o X.hdf5
  python3 tools/train fine-tune X.hdf5 --data MY_FACES -o MINE.hdf5 --mien MINE.mien
  python3 tools/train evaluate X.hdf5 --data FER2013 --split test --png confusion.png
  python3 tools/train crops PHOTOS -o crops.npz        faces as the program cuts them, to measure on: --validate NAME=crops.npz
  python3 tools/train adjust X.hdf5 --data FER2013 --strength 0.5 -o Y.hdf5    rarer classes named more often
  python3 tools/train calibration --data FER2013 -o pictures.npz    for convert_keras.py --calibrate
  python3 tools/train conditions X.hdf5 --data FER2013 glasses, blur, darkness, small faces ...
  python3 tools/train groups GENDER.hdf5 --data utkface64.npz   by gender, age and ancestry
  python3 tools/train votes X.hdf5 --data FER2013      how far labels can be told: by ten raters, by a network, by both

Needs what tools/train/requirements.txt names: sh tools/train/setup.sh. DATA is anything that datasets.py reads.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from mien_tools import errors, keras_file  # noqa: E402

try:
    import numpy as np
    import torch
except ImportError as error:
    sys.exit(
        f"train: {error.name} is missing; run: sh tools/train/setup.sh, then build/train-venv/bin/python tools/train ..."
    )

import conditions  # noqa: E402
import datasets  # noqa: E402
import evaluate  # noqa: E402
import faces  # noqa: E402
import face_net  # noqa: E402
import keras_writer  # noqa: E402
import metrics  # noqa: E402
import plots  # noqa: E402
import votes  # noqa: E402
from architectures import ARCHITECTURES, in_color, in_gray  # noqa: E402
from augment import PRESETS, UTKFACE_BOX, Augmentation, cut  # noqa: E402
from evaluate import Model  # noqa: E402
from torch_net import KerasNet  # noqa: E402
from trainer import (  # noqa: E402
    CRITERION,
    HeldOut,
    Recipe,
    Trainer,
    TrainingData,
    predict,
    settle_norms,
)


class Report:
    """Lines on standard output; transient ones on a terminal only, over each other."""

    def __init__(self) -> None:
        self.open = False

    def __call__(self, text: str, transient: bool = False) -> None:
        if transient:
            if sys.stderr.isatty():
                print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)
                self.open = True
            return
        if self.open:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self.open = False
        print(text, flush=True)


report = Report()
PROGRAM = HERE.parent.parent / "build" / "release" / "mien"


# ---------------------------------------------------------------- data


def load_data(
    args: argparse.Namespace,
    task: str,
    size: Tuple[int, int, int],
    classes: Optional[List[str]] = None,
    quiet: bool = False,
) -> datasets.Dataset:
    votes = getattr(args, "votes", None)
    loaded = []
    for path in args.data:
        progress = lambda n: report(f"{path}: {n:,} read", transient=True)  # noqa: E731,B023
        loaded.append(datasets.load(path, task, size, classes, votes, progress))
        if not quiet:
            report(loaded[-1].table())
    return datasets.merge(loaded)


def box_of(dataset: datasets.Dataset) -> Dict[str, float]:
    """UTKFace chips and crops with a border are wider than faces; everything else is a face from
    edge to edge."""
    if dataset.kind.endswith("cut by landmarks"):
        return {"box_side": 1 / (1 + 2 * faces.BORDER)}
    return dict(UTKFACE_BOX) if dataset.kind.startswith("UTKFace") else {}


def framed(
    dataset: datasets.Dataset, samples: datasets.Samples, size: Tuple[int, int]
) -> np.ndarray:
    box = {k: v for k, v in box_of(dataset).items() if "jitter" not in k}
    return cut(
        samples.images, Augmentation(flip=0, rotation=0, shift=0, zoom=0, stretch=0, **box), size
    )


def source_size(
    task: str, args: argparse.Namespace, size: Tuple[int, int, int]
) -> Tuple[int, int, int]:
    """Images that are to be cut further are read larger than the network's input."""
    wide = task in ("gender", "age") and any(
        Path(p).suffix == ".npz" or Path(p).is_dir() for p in args.data
    )
    return (max(size[0], 64), max(size[1], 64), size[2]) if wide else size


# ---------------------------------------------------------------- training


def recipe_of(args: argparse.Namespace, task: str) -> Recipe:
    augmentation = PRESETS[args.augmentation].scaled(args.strength)
    values = {f.name: getattr(args, f.name) for f in fields(Recipe) if hasattr(args, f.name)}
    values.update(
        augmentation=asdict(augmentation), teachers=[Path(t).name for t in args.teacher], start=""
    )
    return Recipe(**values)


def write_outputs(net: KerasNet, args: argparse.Namespace, log: Path) -> None:
    model = net.store_keras()
    size = keras_writer.write(model, args.output, args.yes)
    report(f"{args.output}: {model.parameter_count:,} parameters, {size:,} bytes")
    if args.curves:
        plots.curves(log, args.curves)
        report(f"{args.curves}: training curves")


def check_outputs(args: argparse.Namespace) -> None:
    """Said before hours of work rather than after."""
    if getattr(args, "view_store", None) is not None and not args.view_store.is_dir():
        raise errors.UsageError(args.view_store, "no such folder")
    for path in (args.output, args.mien if hasattr(args, "mien") else None):
        if path is None:
            continue
        errors.refuse_existing(path, args.yes)
        if not path.parent.is_dir():
            raise errors.UsageError(path.parent, "no such folder")


def run_training(args: argparse.Namespace) -> int:
    task = args.command
    check_outputs(args)
    shape, make = ARCHITECTURES[args.architecture]
    if args.size:
        shape = (args.size, args.size, shape[2])
    if args.color:
        shape = (shape[0], shape[1], 3)
    start = keras_file.read_model(str(args.start)) if args.start else None
    if start is not None:
        start = in_color(start) if args.color else start
        shape = start.input_shape
    data = load_data(args, task, source_size(task, args, shape))
    if "train" not in data.splits or "validation" not in data.splits:
        raise errors.ModelError(
            data.path,
            "needs training and validation images; it has " + (", ".join(data.splits) or "none"),
        )
    train, validation = data.splits["train"], data.splits["validation"]
    missing = [data.classes[k] for k in range(len(data.classes)) if not (train.labels == k).any()]
    if missing:
        raise errors.ModelError(data.path, f"no training image of {', '.join(missing)}")
    held_out = {"validation": held_out_set(framed(data, validation, shape[:2]), validation)}
    held_out.update(more_held_out(args, task, shape))
    if not args.keep_copies:
        train, dropped = datasets.fresh_training(
            data, lambda k, n: report(f"looking for copies: {k} of {n}", transient=True)
        )
        report(
            f"dropped {dropped:,} training images that are copies of validation or test images (train copies lists them)"
        )
    weights = None
    if getattr(args, "doubtful", "label") != "label":
        if train.votes is None:
            raise errors.ModelError(data.path, "no FER+ votes to tell doubtful images by")
        weights = datasets.nameable(train.votes)
        said = f"dropped {(weights == 0).sum():,} training images that few raters could name"
        train, weights = train.only(weights > 0), weights[weights > 0]
        if args.doubtful == "weight":
            said += f"; the others weigh {weights.mean():.3f} on average"
        else:
            weights = None
        report(said)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    recipe = recipe_of(args, task)
    recipe.augmentation.update(box_of(data))
    if args.glasses is not None:
        recipe.augmentation["p_glasses"] = args.glasses
    teachers = [
        KerasNet(in_color(model) if shape[2] == 3 else model)
        for model in (keras_file.read_model(str(path)) for path in args.teacher)
    ]
    for path, teacher in zip(args.teacher, teachers):
        if teacher.model.input_shape[2] != shape[2] or teacher.model.class_count != len(
            data.classes
        ):
            raise errors.ModelError(path, "a teacher needs as many channels and the same classes")
    auxiliary, soft = None, None
    values, untaught = None, None
    if task == "gender" and train.age is not None and train.ancestry is not None:
        auxiliary = datasets.age_and_ancestry(train.age, train.ancestry)
    if task == "gender" and args.undecided_under:
        if train.age is None:
            raise errors.ModelError(data.path, "no ages to tell small children by")
        if not 0.5 <= args.undecided_label <= 1:
            raise errors.UsageError("--undecided-label", "is not from 0.5 to 1")
        soft = np.eye(2, dtype=np.float32)[train.labels]
        untaught = train.age < args.undecided_under
        sure = np.float32(args.undecided_label)
        soft[untaught] = soft[untaught] * (2 * sure - 1) + (1 - sure)
        recipe.soft_share = 1.0
    elif task == "age":
        values = np.array(datasets.AGES, np.float32)
        soft = datasets.age_targets(train.age)
        recipe.soft_share = 1.0
    elif task == "emotion" and train.votes is not None:
        auxiliary = train.votes / np.maximum(train.votes.sum(1, keepdims=True), 1)
        soft = datasets.soft_labels(train.votes)
    if recipe.auxiliary and auxiliary is None:
        report(
            "no FER+ votes: without the second head and without soft labels"
            if task == "emotion"
            else "no ages and ancestries: without the second head"
        )
    if start is None:
        net = KerasNet(make(shape, len(data.classes)))
    else:
        recipe.architecture, recipe.start = start.name, start.sha256[:16]
        net = KerasNet(
            start
            if start.class_count == len(data.classes)
            else with_classes(start, len(data.classes))
        )
        settle_norms(net, framed(data, train.only(np.arange(min(len(train), 512))), shape[:2]))
    report(
        f"{recipe.architecture}: {net.store_keras().parameter_count:,} parameters, {len(train):,} training and {len(validation):,} validation images"
    )
    checkpoint = args.checkpoint or args.output.with_suffix(".checkpoint.pt")
    log = args.log or args.output.with_suffix(".csv")
    errors.refuse_input(log)  # its default may be the data set
    trainer = Trainer(
        net,
        recipe,
        TrainingData(
            train.images,
            train.labels,
            auxiliary,
            soft,
            held_out,
            weights,
            data.classes,
            values,
            train.age if values is not None else None,
            untaught,
        ),
        teachers,
        checkpoint,
        log,
        report,
        args.view_store,
    )
    best, (value, loss) = trainer.run()
    report(f"best {criterion_name(recipe.criterion)} {value:.4f}, validation loss {loss:.4f}")
    write_outputs(best, args, log)
    return 0


def criterion_name(criterion: List[str]) -> str:
    names = [wanted.replace(":", " ") for wanted in criterion]
    return names[0] if len(names) == 1 else f"mean of {' and '.join(names)}"


def held_out_set(images: np.ndarray, samples: datasets.Samples) -> HeldOut:
    majority = None if samples.votes is None else datasets.ferplus_labels(samples.votes)
    return HeldOut(images, samples.labels, majority, samples.age)


def more_held_out(
    args: argparse.Namespace, task: str, shape: Tuple[int, int, int]
) -> Dict[str, HeldOut]:
    """The sets of --validate, each with all of its splits."""
    result = {}
    for text in args.validate:
        name, equals, path = text.partition("=")
        if not equals or not name.isalnum() or name == "validation" or name in result:
            raise errors.UsageError(
                text, "must be NAME=DATA, each name once, of letters and digits"
            )
        data = datasets.load(Path(path), task, source_size(task, args, shape))
        samples = join(list(data.splits.values()))
        result[name] = held_out_set(framed(data, samples, shape[:2]), samples)
    return result


def run_export(args: argparse.Namespace) -> int:
    """The best weights so far of a run, finished or not."""
    errors.refuse_existing(args.output, args.yes)
    try:
        state = torch.load(args.checkpoint, weights_only=True)
        weights, recipe, best = state["best_state"], state["recipe"], state["best"]
        shape, make = ARCHITECTURES[recipe["architecture"]]
        classes = int(list(weights.values())[-1].shape[0])
        channels = next(
            int(w.shape[1]) for w in weights.values() if w.ndim == 4
        )  # of the first convolution
    except OSError as error:
        raise errors.UnreadableError(args.checkpoint, error.strerror or "cannot be read") from None
    except Exception as error:  # torch raises many kinds
        raise errors.ModelError(
            args.checkpoint, f"not a checkpoint of this program ({type(error).__name__})"
        ) from None
    net = KerasNet(make((args.size or shape[0], args.size or shape[1], channels), classes))
    net.load_state_dict(weights)
    if args.gray:
        net = KerasNet(in_gray(net.store_keras()))
    report(
        f"after {state['epoch']} of {recipe['epochs']} epochs: best "
        f"{criterion_name(recipe.get('criterion', [CRITERION]))} {best[0]:.4f}"
    )
    args.curves = None
    write_outputs(net, args, args.checkpoint)
    return 0


def run_face_net(args: argparse.Namespace) -> int:
    check_outputs(args)
    model = face_net.face_net(args.package, args.size, report)
    args.curves = None
    write_outputs(KerasNet(with_classes(model, model.class_count)), args, args.output)
    return 0


def with_classes(model: keras_file.KerasModel, classes: int) -> keras_file.KerasModel:
    """The same network with a fresh last layer for so many classes."""
    model = copy.deepcopy(model)
    head = next(layer for layer in reversed(model.layers) if layer.kind in ("conv", "dense"))
    head.filters = classes
    keras_file.infer_shapes(model.path, model.layers, model.input_shape)
    rng = np.random.default_rng(0)
    for role, shape in head.weight_shapes():
        deviation = np.sqrt(2 / max(int(np.prod(shape[:-1])), 1))
        head.weights[role] = (
            rng.normal(0, deviation, shape) if role == "kernel" else np.zeros(shape)
        ).astype(np.float32)
    return model


def check_folders(paths: List[Path], classes: Tuple[str, ...]) -> None:
    """For data in which no image is labeled: says so if its folders are other classes."""
    for path in paths:
        folders = datasets.class_folders(path) if path.is_dir() else []
        if folders and not any(datasets.class_index(classes, name) >= 0 for name in folders):
            raise errors.UsageError(
                path,
                f"folders {', '.join(folders[:8])} are none of the network's classes "
                f"({', '.join(classes)}); for classes of your own: --labels {','.join(folders)}",
            )


def run_fine_tune(args: argparse.Namespace) -> int:
    check_outputs(args)
    base = keras_file.read_model(str(args.model))
    known = {7: datasets.EMOTIONS, 2: datasets.GENDERS}.get(base.class_count)
    task = {7: "emotion", 2: "gender"}.get(base.class_count, "")
    labels = args.labels.split(",") if args.labels else None
    kind = task if labels is None and known else "own"
    try:
        data = load_data(args, kind, source_size(kind, args, base.input_shape), labels)
    except errors.UnreadableError:
        if labels is None and known:
            check_folders(args.data, known)
        raise
    same = tuple(data.classes) == known or (
        labels is not None and len(labels) == base.class_count and args.keep_head
    )
    if "train" not in data.splits:
        raise errors.ModelError(data.path, "no training images")
    if "validation" not in data.splits:
        raise errors.ModelError(
            data.path,
            "too few images to keep some for validation (put them into train/ and validation/)",
        )
    train, validation = data.splits["train"], data.splits["validation"]
    if not same:
        report(f"classes {', '.join(data.classes)}: a new last layer")
        missing = [
            data.classes[k] for k in range(len(data.classes)) if not (train.labels == k).any()
        ]
        if missing:
            raise errors.ModelError(data.path, f"no training image of {', '.join(missing)}")
    torch.set_num_threads(args.threads)
    recipe = Recipe(
        architecture=base.sha256[:16],
        epochs=args.epochs,
        batch=max(1, min(args.batch, len(train))),
        rate=args.rate,
        warm_up=1.0,
        weight_decay=0.0,
        average=0.98,
        freeze_norm=True,
        dropout=0.0,
        seed=args.seed,
        bf16=args.bf16,
        label_smoothing=0.05,
        augmentation=asdict(PRESETS[args.augmentation].scaled(args.strength)),
    )
    recipe.augmentation.update(box_of(data))
    net = KerasNet(base if same else with_classes(base, len(data.classes)))
    log = args.log or args.output.with_suffix(".csv")
    errors.refuse_input(log)  # its default may be the data set
    checkpoint = args.checkpoint or args.output.with_suffix(".checkpoint.pt")
    trainer = Trainer(
        net,
        recipe,
        TrainingData(
            train.images,
            train.labels,
            None,
            None,
            {
                "validation": held_out_set(
                    framed(data, validation, base.input_shape[:2]), validation
                )
            },
            classes=data.classes,
        ),
        [],
        checkpoint,
        log,
        report,
    )
    before = trainer.score_start()
    if same:
        report(f"before: validation accuracy {before[0]:.4f}, loss {before[1]:.4f}")
    best, (accuracy, loss) = trainer.run()
    report(f"after: validation accuracy {accuracy:.4f}, loss {loss:.4f}")
    if same and (accuracy, loss) == before:
        report(
            f"no epoch is better than {args.model} was: what is written is that network, unchanged"
        )
    write_outputs(best, args, log)
    checkpoint.unlink(missing_ok=True)
    if args.mien:
        calibration = args.output.with_suffix(".calibration.npz")
        np.savez_compressed(
            calibration,
            images=framed(data, train.only(np.arange(min(len(train), 500))), base.input_shape[:2]),
        )
        command = [
            sys.executable,
            str(HERE.parent / "convert_keras.py"),
            "-y",
            str(args.output),
            "-o",
            str(args.mien),
            "--labels",
            ",".join(data.classes),
            "--task",
            task if tuple(data.classes) == known else args.mien.stem,
            "--name",
            args.mien.stem,
            "--source",
            f"fine-tuned from {args.model.name}",
            "--calibrate",
            str(calibration),
            "--calibrate-name",
            "the training images",
        ]
        status = subprocess.run(command, check=False).returncode
        calibration.unlink(missing_ok=True)
        return status
    return 0


# ---------------------------------------------------------------- measuring


def scored_split(
    args: argparse.Namespace, model: Model
) -> Tuple[datasets.Dataset, datasets.Samples, np.ndarray, Tuple[str, ...]]:
    """Data set, the chosen split, its images cut as the engine would, and the classes."""
    task = args.task or task_of(model)
    classes = {"gender": datasets.GENDERS, "age": datasets.AGE_CLASSES}
    labels = (
        args.labels.split(",")
        if args.labels
        else list(model.labels or classes.get(task, datasets.EMOTIONS))
    )
    size = model.input_shape
    data = load_data(args, task, source_size(task, args, size), labels, quiet=True)
    if args.split == "all":
        data = datasets.Dataset(
            data.path,
            data.kind,
            data.classes,
            {"all": join(list(data.splits.values()))},
            data.rejected,
            data.examples,
        )
    if args.split not in data.splits:
        raise errors.ModelError(
            data.path, f"no split {args.split} (it has {', '.join(data.splits)})"
        )
    samples = data.splits[args.split]
    return data, samples, framed(data, samples, size[:2]), tuple(labels)


def task_of(model: Model) -> str:
    if model.labels == datasets.AGE_CLASSES:
        return "age"
    return "gender" if model.labels and "woman" in model.labels else "emotion"


def join(parts: List[datasets.Samples]) -> datasets.Samples:
    both = lambda name: (
        None
        if any(getattr(p, name) is None for p in parts)
        else np.concatenate([getattr(p, name) for p in parts])
    )  # noqa: E731
    return datasets.Samples(
        np.concatenate([p.images for p in parts]),
        np.concatenate([p.labels for p in parts]),
        [n for p in parts for n in p.names],
        both("votes"),
        both("age"),
        both("ancestry"),
    )


def open_model(args: argparse.Namespace, path: Path) -> Model:
    return Model(path, args.mien, args.backend)


def mcnemar(here: np.ndarray, there: np.ndarray) -> Tuple[str, Dict[str, float]]:
    """Whether two networks are right as often, for people and for programs."""
    first, second, chance = metrics.mcnemar(here, there)
    said = f"right only here {first}, only there {second}, McNemar p = {chance:.4g}"
    return said, {"only_first": first, "only_second": second, "p": chance}


def by_votes(
    plus: np.ndarray, votes: np.ndarray, answers: np.ndarray, labels: Tuple[str, ...]
) -> Tuple[List[str], Dict[str, Any]]:
    """Agreement of answers [N] with FER+, for people and for programs: by its majority `plus` [N]
    (-1: none is clear), and by its own protocol of eight classes."""
    keep = plus >= 0
    agrees = answers[keep] == plus[keep]
    recall = metrics.mean_recall(plus[keep], answers[keep])
    calm = metrics.against_rest(
        metrics.confusion(plus[keep], answers[keep], len(labels)), labels.index("neutral")
    )
    eight = datasets.ferplus_eight(votes)
    counts = eight >= 0
    share = float((answers == eight)[counts].mean())
    contempt = int((eight == datasets.CONTEMPT).sum())
    text = [
        f"on the FER+ majority instead (of {keep.sum():,} with a clear one): "
        f"accuracy {100 * agrees.mean():.2f} %, "
        f"mean recall of classes with {metrics.FEWEST} and more {100 * recall:.2f} %",
        f"of these, neutral: {calm[0, 0]:,} of {calm[0].sum():,} found; "
        f"{calm[1, 0]:,} of {calm[1].sum():,} others called neutral",
        f"by FER+'s eight classes, majority of the votes, contempt ({contempt}) counted as wrong: "
        f"accuracy {100 * share:.2f} % of {counts.sum():,}",
    ]
    return text, {
        "ferplus": {
            "count": int(keep.sum()),
            "accuracy": float(agrees.mean()),
            "mean_recall": recall,
            "neutral": calm.tolist(),
        },
        "ferplus_eight": {"count": int(counts.sum()), "accuracy": share},
    }


def run_evaluate(args: argparse.Namespace) -> int:
    model = open_model(args, args.model)
    data, samples, images, labels = scored_split(args, model)
    probabilities = model.probabilities(images)
    if labels == datasets.AGE_CLASSES:
        return report_ages(args, samples, probabilities, data.path)
    answers = probabilities.argmax(1)
    scores = metrics.score(samples.labels, probabilities, labels)
    result: Dict[str, Any] = {
        "model": str(args.model),
        "source": data.path,
        "split": args.split,
        **scores.as_json(),
    }
    text = [f"{args.model} on {data.path}, {args.split}: {scores.summary()}"]
    if args.train is not None:
        seen = datasets.load(
            args.train,
            "gender" if labels == datasets.GENDERS else "emotion",
            samples.images.shape[1:],
        ).splits["train"]
        known = {p.tobytes() for p in seen.images}
        fresh = np.array([p.tobytes() not in known for p in samples.images])
        near = (
            datasets.likeness(
                samples.images,
                seen.images,
                lambda k, n: report(f"looking for copies: {k} of {n}", transient=True),
            )[0]
            >= data.least_likeness
        )
        right = answers == samples.labels
        for what, keep in (
            ("bit-equal to a training image", fresh),
            ("copies of a training image", ~near),
        ):
            text.append(
                f"without the {(~keep).sum():,} that are {what}: accuracy {100 * right[keep].mean():.2f} % of {keep.sum():,}"
            )
            result[f"without {what}"] = {
                "count": int(keep.sum()),
                "accuracy": float(right[keep].mean()),
            }
    counted, right = np.ones(len(samples), bool), answers == samples.labels
    plus = None
    if samples.votes is not None and labels == datasets.EMOTIONS:
        plus = datasets.ferplus_labels(samples.votes)
        said, figures = by_votes(plus, samples.votes, answers, labels)
        text += said
        result.update(figures)
        if (plus >= 0).any():
            counted, right = plus >= 0, answers == plus
    if args.compare is not None:
        others = open_model(args, args.compare).probabilities(images).argmax(1)
        same = float((answers == others).mean())
        told, compared = mcnemar(answers == samples.labels, others == samples.labels)
        text.append(f"against {args.compare}: the same class for {100 * same:.2f} %; {told}")
        result["compared"] = {"with": str(args.compare), "same_class": same, **compared}
        if plus is not None:
            told, compared = mcnemar((answers == plus)[plus >= 0], (others == plus)[plus >= 0])
            text.append(f"by the FER+ majority: {told}")
            result["compared"]["ferplus"] = compared
    if args.scores is not None:
        lines = ["picture,label," + ",".join(labels)]
        lines += [
            f'"{name}",{labels[label]},' + ",".join(f"{v:.9g}" for v in row)
            for name, label, row in zip(samples.names, samples.labels, probabilities)
        ]
        errors.write_file(args.scores, ("\n".join(lines) + "\n").encode(), True)
    title = args.title or f"{args.model.name}, {args.split}"
    if args.png is not None:
        plots.confusion(scores, title, args.png)
    if args.reliability is not None:
        confidence = probabilities.max(1)[counted]
        threshold = model.unsure_below
        plots.reliability(confidence, right[counted], title, args.reliability, threshold)
    if args.json:
        print(json.dumps(result))
    else:
        print("\n".join(text) + "\n\n" + scores.table())
    return 0


def age_figures(samples: datasets.Samples, probabilities: np.ndarray) -> Dict[str, np.ndarray]:
    """Per image: the answer's mean minus the age, and whether the age lies in its range of 80 %."""
    values = np.array(datasets.AGES, np.float64)
    age = np.asarray(samples.age, np.float64)
    low, high = (metrics.quantiles(probabilities, values, share) for share in (0.1, 0.9))
    # Whole years: a person of 30 is up to 31.
    inside = (age + 1 > low) & (age < high)
    return {"off": probabilities @ values - age, "inside": inside, "width": high - low}


def report_ages(
    args: argparse.Namespace, samples: datasets.Samples, probabilities: np.ndarray, source: str
) -> int:
    told = age_figures(samples, probabilities)
    rows = {"all": np.ones(len(samples), bool), "5 years and over": samples.age >= 5}
    result: Dict[str, Any] = {"model": str(args.model), "source": source, "split": args.split}
    text = []
    for name, keep in rows.items():
        off = told["off"][keep]
        error, inside = float(np.abs(off).mean()), float(told["inside"][keep].mean())
        spread = float(np.abs(off).std() / max(len(off), 1) ** 0.5)
        text.append(
            f"{args.model} on {source}, {args.split}, {name}: mean error {error:.2f} years "
            f"(standard error {spread:.2f}) of {keep.sum():,}, median {np.median(np.abs(off)):.2f}, "
            f"too old by {off.mean():.2f}; {100 * inside:.1f} % in the range, "
            f"{told['width'][keep].mean():.1f} years wide on average"
        )
        result[name] = {"count": int(keep.sum()), "mean_error": error, "in_range": inside}
    if args.compare is not None:
        other = open_model(args, args.compare)
        _, _, images, _ = scored_split(args, other)
        there = np.abs(age_figures(samples, other.probabilities(images))["off"])
        gain = there - np.abs(told["off"])
        rng = np.random.default_rng(0)
        drawn = [gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(2000)]
        low, high = np.quantile(drawn, (0.025, 0.975))
        text.append(
            f"against {args.compare}: better by {gain.mean():.2f} years "
            f"(95 % of bootstraps: {low:.2f} to {high:.2f})"
        )
        result["compared"] = {"gain": float(gain.mean()), "low": float(low), "high": float(high)}
    print(json.dumps(result) if args.json else "\n".join(text))
    return 0


def run_conditions(args: argparse.Namespace) -> int:
    models = [open_model(args, path) for path in args.models]
    data, samples, images, labels = scored_split(args, models[0])
    wanted = samples.labels
    if args.by == "votes":
        if samples.votes is None or labels != datasets.EMOTIONS:
            raise errors.ModelError(data.path, "no FER+ votes")
        wanted = datasets.ferplus_labels(samples.votes)
        images, wanted = images[wanted >= 0], wanted[wanted >= 0]
    header = "| condition | " + " | ".join(path.name for path in args.models) + " |"
    print(header + "\n|---|" + "---:|" * len(models))
    for name in conditions.CONDITIONS:
        changed = conditions.apply(name, images)
        row = []
        for model in models:
            answers = model.probabilities(changed)
            if labels == datasets.AGE_CLASSES:
                row.append(f"{np.abs(age_figures(samples, answers)['off']).mean():.2f} years")
            else:
                row.append(f"{100 * metrics.score(wanted, answers, labels).accuracy:.1f} %")
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)
    return 0


def run_groups(args: argparse.Namespace) -> int:
    """By age and ancestry: how often a gender network is right; the error of an age network; for an
    expression network, how often it gives each answer."""
    model = open_model(args, args.model)
    task = args.task or task_of(model)
    expression = task != "gender"
    chosen = copy.copy(args)
    if expression:  # the images are of the gender set; its labels are only used to group them
        chosen.task, chosen.labels = "gender", ",".join(datasets.GENDERS)
    data, samples, images, labels = scored_split(chosen, model)
    if samples.age is None or samples.ancestry is None:
        raise errors.ModelError(data.path, "has no ages and ancestry groups")
    wide = {"as cut": images}
    if not expression:
        wide["with drawn glasses"] = conditions.apply("glasses (drawn)", images)
    answers = {name: model.probabilities(x).argmax(1) for name, x in wide.items()}
    if args.detector and not expression:
        answers["where the detector finds it"] = model.answers_in_photos(samples.images)
    age, woman = samples.age, samples.labels == 0
    groups = [
        ("all", np.ones(len(age), bool)),
        ("woman", woman),
        ("man", ~woman),
        ("age 0-4", age < 5),
        ("age 5 and older", age >= 5),
        ("age 5-12", (age >= 5) & (age < 13)),
        ("age 13-19", (age >= 13) & (age < 20)),
        ("age 20-59", (age >= 20) & (age < 60)),
        ("age 60+", age >= 60),
    ]
    groups += [
        (f"{name}, 5+", (samples.ancestry == k) & (age >= 5))
        for k, name in enumerate(datasets.ANCESTRIES)
    ]
    groups += [
        (f"{name} {who}, 5+", (samples.ancestry == k) & (age >= 5) & mask)
        for k, name in enumerate(datasets.ANCESTRIES)
        for who, mask in (("women", woman), ("men", ~woman))
    ]
    if task == "age":
        told = age_figures(samples, model.probabilities(images))
        print(
            "| group | faces | mean error, years, +- its standard error | too old by | in the range |"
        )
        print("|---|---:|---:|---:|---:|")
        for name, keep in groups:
            off = told["off"][keep]
            spread = np.abs(off).std() / max(len(off), 1) ** 0.5
            print(
                f"| {name} | {keep.sum():,} | {np.abs(off).mean():.1f} +- {spread:.1f} "
                f"| {off.mean():.1f} | {100 * told['inside'][keep].mean():.1f} % |"
            )
        return 0
    if expression:
        names = list(model.labels or datasets.EMOTIONS)
        print("| group | faces | " + " | ".join(names) + " |\n|---|---:|" + "---:|" * len(names))
        for name, keep in groups:
            share = np.bincount(answers["as cut"][keep], minlength=len(names)) / max(keep.sum(), 1)
            print(
                f"| {name} | {keep.sum():,} | "
                + " | ".join(f"{100 * v:.1f} %" for v in share)
                + " |"
            )
        return 0
    print(
        "| group | faces | "
        + " | ".join(f"right, {name}" for name in answers)
        + " | "
        + " | ".join(f"taken for a man, {name}" for name in answers)
        + " |\n|---|---:|"
        + "---:|" * (2 * len(answers))
    )
    for name, keep in groups:
        found = [keep & (a >= 0) for a in answers.values()]
        right = [
            f"{100 * (a == samples.labels)[k].mean():.1f} %" if k.any() else "-"
            for a, k in zip(answers.values(), found)
        ]
        man = [
            f"{100 * (a == 1)[k].mean():.1f} %" if k.any() else "-"
            for a, k in zip(answers.values(), found)
        ]
        print(f"| {name} | {keep.sum():,} | " + " | ".join(right + man) + " |")
    if args.detector:
        print(
            f"\nThe detector finds {(answers['where the detector finds it'] >= 0).sum():,} of {len(age):,} faces."
        )
    return 0


def run_votes(args: argparse.Namespace) -> int:
    """How far labels can be told: from the votes of ten raters, from a network's answers, and from both."""
    model = Model(args.model, args.mien, args.backend)
    data, samples, pixels, labels = scored_split(args, model)
    if samples.votes is None or "train" not in data.splits or data.splits["train"].votes is None:
        raise errors.ModelError(data.path, "no FER+ votes")
    if labels != datasets.EMOTIONS:
        raise errors.ModelError(
            args.model, "votes are about the classes " + ", ".join(datasets.EMOTIONS)
        )
    train, _ = datasets.fresh_training(data)
    said = votes.evidence(train.votes, train.labels, len(labels), samples.votes)
    answer = np.log(np.maximum(model.probabilities(pixels), 1e-12))
    prior = votes.log_prior(train.labels, len(labels))
    print("| p(label) from | accuracy | log loss |\n|---|---:|---:|")
    rows = [("the votes alone", said + prior), ("the network alone", answer)]
    rows += [
        (f"network ^ {a:g} * votes ^ {b:g}", a * answer + b * said)
        for a in (0.6, 0.8, 1.0)
        for b in (0.4, 0.6, 0.8)
    ]
    for name, logits in rows:
        scores = metrics.score(
            samples.labels, torch.softmax(torch.from_numpy(logits), 1).numpy(), labels
        )
        print(f"| {name} | {100 * scores.accuracy:.2f} % | {scores.log_loss:.3f} |")
    return 0


def run_data(args: argparse.Namespace) -> int:
    load_data(args, args.task, (48, 48, 1), args.labels.split(",") if args.labels else None)
    return 0


def run_crops(args: argparse.Namespace) -> int:
    """The faces of labeled photos as the program cuts them for its expression network, or, with
    --task gender, larger, for training."""
    errors.refuse_existing(args.output, args.yes)
    if not args.mien.is_file():
        raise errors.UsageError(args.mien, "no such file: name the program `mien` with --mien")
    if args.task == "gender":
        return crop_data_set(args)
    images, labels, photos = evaluate.crops_of(
        args.mien, args.photos, datasets.EMOTIONS, args.detector
    )
    written = io.BytesIO()
    np.savez_compressed(written, images=images, labels=labels)
    errors.write_file(args.output, written.getvalue(), True)
    for k, name in enumerate(datasets.EMOTIONS):
        report(f"{name:8} {(labels == k).sum():>6,} of {photos[k]:,}")
    report(f"{args.output}: a face in {len(labels):,} of {photos.sum():,} photos")
    return 0


def crop_data_set(args: argparse.Namespace) -> int:
    """All splits of a data set of genders and ages, cut by landmarks; training images that are
    copies of held-out ones are left out."""
    data = datasets.load(args.photos, "gender", (faces.SIDE, faces.SIDE, 3))
    if any(samples.age is None for samples in data.splits.values()):
        raise errors.ModelError(data.path, "no ages in it")
    if "train" in data.splits and len(data.splits) > 1:
        data.splits["train"], dropped = datasets.fresh_training(
            data, lambda k, n: report(f"looking for copies: {k} of {n}", transient=True)
        )
        report(f"dropped {dropped:,} training images that are copies of held-out ones")
    kept = [(k, data.splits[s]) for k, s in enumerate(datasets.SPLITS) if s in data.splits]
    samples = join([part for _, part in kept])
    split = np.concatenate([np.full(len(part), k, np.uint8) for k, part in kept])
    images, found = faces.cut_faces(
        args.mien,
        args.weights,
        samples.images,
        split == datasets.SPLITS.index("train"),
        lambda n: report(f"{n:,} of {len(samples):,}", transient=True),
    )
    written = io.BytesIO()
    np.savez_compressed(
        written,
        images=images,
        gender=samples.labels[found].astype(np.uint8),
        age=samples.age[found].astype(np.uint8),
        race=samples.ancestry[found].astype(np.uint8),
        split=split[found],
        name=np.array(samples.names)[found],
    )
    errors.write_file(args.output, written.getvalue(), True)
    for k, part in kept:
        share = found[split == k]
        report(f"{datasets.SPLITS[k]:10} {share.sum():>6,} of {len(part):,}")
    report(f"{args.output}: a face in {found.sum():,} of {len(found):,} images")
    return 0


def run_adjust(args: argparse.Namespace) -> int:
    """Takes `strength` times the logarithm of each class's share in the training targets off its
    logit, in the last layer's bias."""
    errors.refuse_existing(args.output, args.yes)
    model = keras_file.read_model(str(args.model))
    task = {7: "emotion", 2: "gender"}.get(model.class_count, "")
    if not task:
        raise errors.ModelError(args.model, f"{model.class_count} classes, neither 7 nor 2")
    shape = model.input_shape
    data = load_data(args, task, source_size(task, args, shape), quiet=True)
    if "train" not in data.splits or "validation" not in data.splits:
        raise errors.ModelError(data.path, "needs training and validation images")
    train, validation = data.splits["train"], data.splits["validation"]
    shares = np.eye(model.class_count, dtype=np.float32)[train.labels]
    if train.votes is not None and task == "emotion":
        soft = datasets.soft_labels(train.votes)
        shares = soft[soft.sum(1) > 0]
    prior = np.log(np.maximum(shares.mean(0), 1e-6))
    held_out = {"validation": held_out_set(framed(data, validation, shape[:2]), validation)}
    held_out.update(more_held_out(args, task, shape))
    net = KerasNet(model)
    for name, held in held_out.items():
        logits = predict(net, held.images)
        for strength in args.strength:
            row = metrics.figures(
                held.labels, logits - strength * prior, data.classes, held.majority
            )
            said = ", ".join(f"{what} {value:.4f}" for what, value in row.items())
            report(f"{name}, strength {strength:g}: {said}")
    if len(args.strength) > 1:
        report("several strengths: nothing is written")
        return 0
    add_to_bias(model, -args.strength[0] * prior)
    size = keras_writer.write(model, args.output, args.yes)
    report(f"{args.output}: {size:,} bytes")
    return 0


def add_to_bias(model: keras_file.KerasModel, offsets: np.ndarray) -> None:
    """Adds to the logits [classes]. The last layer with weights must give them and have a bias."""
    head = next(layer for layer in reversed(model.layers) if layer.weights)
    if "bias" not in head.weights or head.weights["bias"].shape != offsets.shape:
        raise errors.ModelError(model.path, f"layer '{head.name}' has no bias for each class")
    head.weights["bias"] = (head.weights["bias"] + offsets).astype(np.float32)


def run_calibration(args: argparse.Namespace) -> int:
    """Training images as the network is given them, none of them a copy of a held-out one: what convert_keras.py takes ranges from."""
    errors.refuse_existing(args.output, args.yes)
    side = (args.size, args.size, 3 if args.color else 1)
    data = load_data(args, args.task, source_size(args.task, args, side), quiet=True)
    if "train" not in data.splits:
        raise errors.ModelError(data.path, "no training images")
    train, dropped = datasets.fresh_training(data)
    chosen = np.random.default_rng(args.seed).permutation(len(train))[: args.count]
    images = framed(data, train.only(np.sort(chosen)), side[:2])
    written = io.BytesIO()
    np.savez_compressed(written, images=images)
    errors.write_file(args.output, written.getvalue(), True)
    report(
        f"{args.output}: {len(images):,} of {len(train):,} training images ({dropped:,} copies of held-out ones left out)"
    )
    return 0


def run_copies(args: argparse.Namespace) -> int:
    """Images of one split that are in another too, and a check that what training uses has none left."""
    data = load_data(args, args.task, (48, 48, 1), quiet=True)
    names = [s for s in datasets.SPLITS if s in data.splits]
    for k, first in enumerate(names):
        for second in names[k + 1 :]:
            a, b = data.splits[first], data.splits[second]
            equal = {p.tobytes() for p in a.images}
            same = sum(p.tobytes() in equal for p in b.images)
            best, which = datasets.likeness(
                b.images,
                a.images,
                lambda n, of: report(f"{first} and {second}: {n} of {of}", transient=True),
            )
            near = best >= data.least_likeness
            report(
                f"{first} and {second}: of {len(b):,} images of {second}, {same} are bit-equal to one of {first}, {near.sum()} are copies "
                f"(likeness {data.least_likeness} and more)"
            )
            if args.list:
                for i in np.flatnonzero(near):
                    print(f"{b.names[i]}\t{a.names[which[i]]}\t{best[i]:.3f}")
    if "train" not in data.splits or len(names) < 2:
        return 0
    held_out = [data.splits[s] for s in names if s != "train"]
    kept, dropped = datasets.fresh_training(data)
    left = {p.tobytes() for p in kept.images} & {p.tobytes() for s in held_out for p in s.images}
    worst = float(
        datasets.likeness(kept.images, np.concatenate([s.images for s in held_out]))[0].max()
    )
    report(
        f"training uses {len(kept):,} of {len(data.splits['train']):,} ({dropped:,} dropped): {len(left)} of them bit-equal to a held-out image, "
        f"largest likeness {worst:.3f}"
    )
    return 1 if left or worst >= data.least_likeness else 0


# ---------------------------------------------------------------- command line


def add_training(parser: argparse.ArgumentParser, task: str) -> None:
    defaults = Recipe()
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="data sets (anything that `data` can show)",
    )
    if task == "emotion":
        parser.add_argument("--votes", type=Path, help="FER+ votes beside a FER2013 CSV")
    else:
        parser.set_defaults(votes=None)
    if task == "gender":
        parser.add_argument(
            "--undecided-under",
            type=int,
            default=0,
            metavar="YEARS",
            help="of younger children it learns that both are nearly as likely",
        )
        parser.add_argument(
            "--undecided-label",
            type=float,
            default=0.5,
            metavar="P",
            help="the probability of their label that it learns; 0.5: nothing of it",
        )
    if task == "age":
        parser.add_argument(
            "--amount",
            type=float,
            default=0.1,
            help="weight of the error in years, beside the distribution's",
        )
    parser.add_argument("-o", "--output", type=Path, required=True, help="Keras HDF5 file to write")
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="small")
    parser.add_argument(
        "--size", type=int, default=0, help="side of the input (default: the architecture's)"
    )
    parser.add_argument("--color", "--colour", action="store_true", help="RGB input")
    parser.add_argument(
        "--start",
        type=Path,
        help="Keras file whose input, layers and weights it starts from, instead of --architecture and --size; with --color a gray one becomes one for RGB",
    )
    parser.add_argument("--augmentation", choices=sorted(PRESETS), default="mild")
    parser.add_argument(
        "--strength", type=float, default=1.0, help="factor of the augmentation's ranges"
    )
    parser.add_argument(
        "--glasses",
        type=float,
        help="share of images that glasses are drawn on (default: the augmentation's)",
    )
    parser.add_argument("--epochs", type=int, default=defaults.epochs)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--optimizer", choices=("adamw", "adam", "sgd"), default=defaults.optimizer)
    parser.add_argument("--rate", type=float, default=defaults.rate, help="highest learning rate")
    parser.add_argument("--weight-decay", type=float, default=defaults.weight_decay)
    parser.add_argument(
        "--schedule", choices=("cosine", "plateau", "constant"), default=defaults.schedule
    )
    parser.add_argument("--warm-up", type=float, default=defaults.warm_up, help="epochs")
    parser.add_argument("--plateau-patience", type=int, default=defaults.plateau_patience)
    parser.add_argument(
        "--stop-patience",
        type=int,
        default=defaults.stop_patience,
        help="epochs without a better validation loss; 0: never stop early",
    )
    parser.add_argument("--label-smoothing", type=float, default=defaults.label_smoothing)
    parser.add_argument(
        "--soft-share",
        type=float,
        default=0.15 if task == "emotion" else 0.0,
        help="share of the FER+ votes in the targets; 1: they are the target",
    )
    parser.add_argument(
        "--auxiliary",
        type=float,
        default=0.4 if task == "emotion" else 0.0,
        help="weight of a second head, which learns "
        + ("the FER+ votes" if task == "emotion" else "ages and ancestries")
        + " and is dropped at the end",
    )
    parser.add_argument(
        "--mixup", type=float, default=defaults.mixup, help="share of batches blended in pairs"
    )
    parser.add_argument(
        "--clean-epochs",
        type=int,
        default=defaults.clean_epochs,
        help="last epochs without soft targets and without mixup",
    )
    parser.add_argument(
        "--average",
        type=float,
        default=defaults.average,
        help="decay of the averaged weights; 0: none",
    )
    parser.add_argument("--dropout", type=float, default=defaults.dropout)
    parser.add_argument("--class-weight", type=float, default=defaults.class_weight)
    parser.add_argument(
        "--balance",
        type=float,
        default=defaults.balance,
        help="draw images with the inverse share of their classes in the targets to this power: "
        "1: every class as often; 0: every image once",
    )
    parser.add_argument(
        "--logit-adjustment",
        type=float,
        default=defaults.logit_adjustment,
        help="while training, add this times the logarithm of a class's share to its logit, so that "
        "the network names rare classes more often; 1: as if all were as frequent",
    )
    if task == "emotion":
        parser.add_argument(
            "--doubtful",
            choices=("label", "drop", "weight"),
            default=defaults.doubtful,
            help="images that fewer than four FER+ votes give a class: learn the label, leave them "
            "out, or leave them out and weigh the others by the share of their votes that is not "
            "contempt, unknown or no face",
        )
    parser.add_argument(
        "--validate",
        nargs="+",
        default=[],
        metavar="NAME=DATA",
        help="further sets to measure on after each epoch, whole",
    )
    parser.add_argument(
        "--best-by",
        dest="criterion",
        nargs="+",
        default=defaults.criterion,
        metavar="SET:FIGURE",
        help="keep the epoch with the highest mean of these: accuracy, recall (mean over classes of "
        "20 images and more), neutral (its recall), votes (agreement with a clear FER+ majority), "
        "loss (its negative), error (of ages, its negative), of validation or a set of --validate",
    )
    parser.add_argument(
        "--teacher", type=Path, nargs="+", default=[], help="Keras files to learn from as well"
    )
    parser.add_argument(
        "--distil", type=float, default=defaults.distil, help="share of the teachers in the loss"
    )
    parser.add_argument("--temperature", type=float, default=defaults.temperature)
    parser.add_argument(
        "--views",
        type=int,
        default=defaults.views,
        help="changed copies of the set to keep in memory with the teachers' answers, used in turn: as fast as without a teacher; 0: new ones every epoch",
    )
    parser.add_argument(
        "--view-store",
        type=Path,
        help="existing folder to keep the views in as well, for a resumed run and for others with the same teachers and augmentation",
    )
    parser.add_argument(
        "--keep-copies",
        action="store_true",
        help="do not drop training images that are copies of held-out ones",
    )
    add_run(parser)


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 arithmetic"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="written after each epoch; the same command resumes (default: beside the output)",
    )
    parser.add_argument("--log", type=Path, help="CSV, a row an epoch (default: beside the output)")
    parser.add_argument("--curves", type=Path, help="PNG of loss and accuracy by epoch")


def add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--split", choices=("train", "validation", "test", "all"), default="test")
    parser.add_argument(
        "--task",
        choices=("emotion", "gender", "age"),
        default="",
        help="what the network does (default: as its labels say, or its number of classes)",
    )
    parser.add_argument("--labels", help="the classes in order, separated by commas")
    parser.add_argument(
        "--mien",
        type=Path,
        default=PROGRAM,
        help="the program that runs .mien files",
    )
    parser.add_argument(
        "--backend", choices=("keras", "torch"), default="keras", help="what runs Keras files"
    )


def parse(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = errors.Parser(
        prog="train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shown = {"formatter_class": argparse.ArgumentDefaultsHelpFormatter}
    for task in ("emotion", "gender", "age"):
        sub = commands.add_parser(
            task,
            help=f"train a network for {'expressions' if task == 'emotion' else task}",
            **shown,
        )
        add_training(sub, task)
        sub.set_defaults(run=run_training)
    sub = commands.add_parser(
        "fine-tune", help="go on from a trained network with images of your own", **shown
    )
    sub.add_argument("model", type=Path, help="Keras HDF5 file")
    sub.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="a folder with a sub-folder per class, or another data set",
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="Keras HDF5 file to write")
    sub.add_argument("--mien", type=Path, help="also convert to this .mien file")
    sub.add_argument("-y", "--yes", action="store_true", help="overwrite the outputs")
    sub.add_argument(
        "--labels", help="your classes in order, separated by commas (default: the network's)"
    )
    sub.add_argument(
        "--keep-head",
        action="store_true",
        help="as many classes as before, and in the same meaning: keep the last layer",
    )
    sub.add_argument("--epochs", type=int, default=20)
    sub.add_argument("--batch", type=int, default=32)
    sub.add_argument("--rate", type=float, default=5e-4)
    sub.add_argument("--augmentation", choices=sorted(PRESETS), default="mild")
    sub.add_argument("--strength", type=float, default=1.0)
    add_run(sub)
    sub.set_defaults(run=run_fine_tune, votes=None, written=("mien",))
    sub = commands.add_parser(
        "export", help="the best weights of a checkpoint, also of a run that goes on", **shown
    )
    sub.add_argument("checkpoint", type=Path)
    sub.add_argument("-o", "--output", type=Path, required=True, help="Keras HDF5 file to write")
    sub.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    sub.add_argument(
        "--size", type=int, default=0, help="side of the input, if it is not the architecture's"
    )
    sub.add_argument(
        "--gray",
        action="store_true",
        help="a network for RGB becomes one for gray images, with the answers that it gives to images without color",
    )
    sub.set_defaults(run=run_export)
    sub = commands.add_parser(
        "evaluate", help="accuracy, per class figures, confusion matrix, calibration", **shown
    )
    sub.add_argument("model", type=Path, help="Keras HDF5, .keras or .mien file")
    add_measuring(sub)
    sub.add_argument(
        "--train",
        type=Path,
        help="data set that the model was trained on: also scores without images that are in it",
    )
    sub.add_argument("--compare", type=Path, help="a second model on the same images")
    sub.add_argument("--png", type=Path, help="draw the confusion matrix")
    sub.add_argument(
        "--reliability",
        type=Path,
        help="draw how often answers of each probability are right (by clear majorities of the FER+ "
        "votes, where there are votes), and risk against coverage",
    )
    sub.add_argument("--title", help="of the drawing")
    sub.add_argument("--scores", type=Path, help="CSV with the probabilities of every image")
    sub.add_argument("--json", action="store_true")
    sub.set_defaults(run=run_evaluate)
    sub = commands.add_parser(
        "conditions",
        help="accuracy under occlusion, blur, darkness, small faces, rotation",
        **shown,
    )
    sub.add_argument("models", type=Path, nargs="+")
    add_measuring(sub)
    sub.add_argument(
        "--by",
        choices=("label", "votes"),
        default="label",
        help="what is right: the label, or a clear majority of the FER+ votes (other images do not count)",
    )
    sub.set_defaults(run=run_conditions)
    sub = commands.add_parser(
        "votes",
        help="how far labels can be told: from ten raters' votes, from a network, and from both",
        **shown,
    )
    sub.add_argument("model", type=Path)
    add_measuring(sub)
    sub.set_defaults(run=run_votes)
    sub = commands.add_parser("groups", help="by gender, age and ancestry", **shown)
    sub.add_argument("model", type=Path)
    add_measuring(sub)
    sub.add_argument(
        "--detector",
        action="store_true",
        help="a gender network also where the program's own detector finds the face",
    )
    sub.set_defaults(run=run_groups)
    sub = commands.add_parser(
        "crops", help="faces of labeled photos as the program cuts them, in one .npz", **shown
    )
    sub.add_argument(
        "photos",
        type=Path,
        help="a folder with a sub-folder per class; for genders and ages a data set of faces "
        "that has both",
    )
    sub.add_argument(
        "--task",
        choices=("emotion", "gender"),
        default="emotion",
        help="gender: also ages; crops with a border, to train on",
    )
    sub.add_argument(
        "--weights",
        type=Path,
        default=HERE.parent.parent / "weights" / "detector.mien",
        help="the detector whose landmarks lay out the crops of genders and ages",
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help=".npz to write")
    sub.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    sub.add_argument(
        "--detector", choices=("net", "haar"), default="net", help="what finds the faces"
    )
    sub.add_argument("--mien", type=Path, default=PROGRAM, help="the program that cuts them")
    sub.set_defaults(run=run_crops)
    sub = commands.add_parser(
        "adjust",
        help="name rarer classes more often, by the last layer's bias alone",
        **shown,
    )
    sub.add_argument("model", type=Path, help="Keras HDF5 file")
    sub.add_argument("--data", type=Path, nargs="+", required=True, help="what it was trained on")
    sub.add_argument("--votes", type=Path, help="FER+ votes beside a FER2013 CSV")
    sub.add_argument("-o", "--output", type=Path, required=True, help="Keras HDF5 file to write")
    sub.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    sub.add_argument(
        "--strength",
        type=float,
        nargs="+",
        default=[0.5],
        help="how much of the logarithm of a class's share is taken off its logit; several: only measured",
    )
    sub.add_argument(
        "--validate",
        nargs="+",
        default=[],
        metavar="NAME=DATA",
        help="further sets to measure on, whole",
    )
    sub.set_defaults(run=run_adjust)
    sub = commands.add_parser(
        "calibration", help="training images for the converter's --calibrate", **shown
    )
    sub.add_argument("--data", type=Path, nargs="+", required=True)
    sub.add_argument("-o", "--output", type=Path, required=True, help=".npz to write")
    sub.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    sub.add_argument("--task", choices=("emotion", "gender", "age"), default="emotion")
    sub.add_argument("--size", type=int, default=48, help="side of the network's input")
    sub.add_argument(
        "--color", "--colour", action="store_true", help="for a network with RGB input"
    )
    sub.add_argument("--count", type=int, default=500)
    sub.add_argument("--seed", type=int, default=1)
    sub.set_defaults(run=run_calibration)
    sub = commands.add_parser(
        "face-net",
        help="fetch a network trained on millions of faces, for a teacher to start from (--start)",
        **shown,
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="Keras HDF5 file to write")
    sub.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    sub.add_argument("--size", type=int, default=96, help="side of the input, gray")
    sub.add_argument("--package", type=Path, help="the npm package, if it is here already")
    sub.set_defaults(run=run_face_net)
    for name, run, help_text in (
        ("data", run_data, "show what a data set holds, and what is rejected"),
        ("copies", run_copies, "images of one split that are in another too"),
    ):
        sub = commands.add_parser(name, help=help_text, **shown)
        sub.add_argument("data", type=Path, nargs="+")
        sub.add_argument("--task", choices=("emotion", "gender", "age"), default="emotion")
        sub.add_argument("--labels", help="the classes in order, separated by commas")
        sub.add_argument("--votes", type=Path, help="FER+ votes beside a FER2013 CSV")
        if name == "copies":
            sub.add_argument("--list", action="store_true", help="each pair with its likeness")
        sub.set_defaults(run=run)
    return parser.parse_args(arguments)


def main(arguments: Optional[List[str]] = None) -> int:
    args = parse(arguments)
    start = time.monotonic()
    status = args.run(args)
    if args.command in ("emotion", "gender", "age", "fine-tune"):
        report(f"{(time.monotonic() - start) / 60:.1f} minutes")
    return status


if __name__ == "__main__":
    errors.run_tool("train", main)
