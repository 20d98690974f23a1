#!/usr/bin/env python3
"""Train mien's gender network and write it as a Keras HDF5 file.

  train_gender.py frame --data utkface64.npz --cascade haarcascade_frontalface_default.xml
  train_gender.py train --data utkface64.npz --out gender.hdf5 --log gender_training.csv
  train_gender.py score --data utkface64.npz --model gender.hdf5 --cascade ...

The data is one .npz with the arrays jpeg, offset, gender (0 male, 1 female), age, race and
split (0 train, 1 validation, 2 test). The network's classes are 0 woman, 1 man.

"frame" measures how the detector's box lies in a picture of the set; "train" cuts faces the
same way and chooses the epoch on the validation rows; "score" is for the test rows, once.
Needs numpy and opencv-python-headless (4.x); train also torch, keras and h5py.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NoReturn

os.environ.setdefault("KERAS_BACKEND", "torch")

try:
    import cv2
    import numpy as np
except ImportError as error:
    sys.exit(f"train_gender: {error.name} is missing: pip install numpy 'opencv-python-headless<5'")

SIDE = 48  # the network's input, pixels
STEM = (8, 8)  # channels of the two stem convolutions
MODULES = (16, 32, 64, 128)  # channels of the residual modules
EPSILON = 1e-3  # of batch normalisation
RACES = ("White", "Black", "Asian", "Indian", "Other")

# Where the detector's box lies in a UTKFace chip, in fractions of the chip's side, as
# "frame" measured it on the training rows: mean and deviation.
BOX_X = (0.495, 0.017)
BOX_Y = (0.411, 0.022)
BOX_SIDE = (1.028, 0.085)


def die(message: str) -> NoReturn:
    sys.exit(f"train_gender: {message}")


# ---------------------------------------------------------------- data


@dataclass
class Faces:
    gray: np.ndarray  # uint8 [N, H, W]
    label: np.ndarray  # int64 [N], 0 woman, 1 man
    age: np.ndarray
    race: np.ndarray

    def __len__(self) -> int:
        return len(self.label)


def to_gray(bgr: np.ndarray) -> np.ndarray:
    """OpenCV's 8-bit formula, written out so that no build of it can differ."""
    b, g, r = (bgr[..., k].astype(np.int32) for k in range(3))
    return ((9798 * r + 19235 * g + 3735 * b + 16384) >> 15).astype(np.uint8)


def load_faces(path: Path, split: int) -> Faces:
    if not path.is_file():
        die(f"{path}: no such file")
    try:
        data = np.load(path)
        jpeg, offset, gender, age, race, part = (
            data[key] for key in ("jpeg", "offset", "gender", "age", "race", "split")
        )
    except (KeyError, ValueError, OSError) as error:
        die(f"{path}: not the expected .npz: {str(error).splitlines()[0]}")
    rows = np.nonzero(part == split)[0]
    if len(rows) == 0:
        die(f"{path}: no rows with split {split}")
    pictures = []
    for row in rows:
        picture = cv2.imdecode(jpeg[offset[row] : offset[row + 1]], cv2.IMREAD_COLOR)
        if picture is None:
            die(f"{path}: picture {row} does not decode")
        pictures.append(to_gray(picture))
    return Faces(np.stack(pictures), 1 - gender[rows].astype(np.int64), age[rows], race[rows])


def normalise(gray: np.ndarray) -> np.ndarray:
    """uint8 [N, 48, 48] to float32 [N, 48, 48, 1] in [-1, 1], as the engine does."""
    return ((gray.astype(np.float32) / 255.0 - 0.5) * 2.0)[..., None]


# ---------------------------------------------------------------- framing


def open_cascade(path: Path) -> Any:
    if not path.is_file():
        die(f"{path}: no such file")
    try:
        cascade = cv2.CascadeClassifier(str(path))
        if not cascade.empty():
            return cascade
    except (cv2.error, SystemError):
        pass
    die(f"{path}: not a cascade that OpenCV can read")


def detector_box(cascade: Any, gray: np.ndarray, pad: float, border: int) -> tuple[float, float, float] | None:
    """Centre and side of the largest face near the middle, in fractions of the chip."""
    side = 128
    edge = round(side * pad)
    canvas = cv2.resize(gray, (side, side), interpolation=cv2.INTER_LINEAR)
    canvas = cv2.copyMakeBorder(canvas, edge, edge, edge, edge, border)
    best: tuple[float, float, float] | None = None
    for x, y, w, h in cascade.detectMultiScale(canvas, 1.1, 3, minSize=(50, 50)):
        box = ((x + w / 2 - edge) / side, (y + h / 2 - edge) / side, w / side)
        if 0.2 < box[0] < 0.8 and 0.2 < box[1] < 0.8 and (best is None or box[2] > best[2]):
            best = box
    return best


def cut(gray: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Cut the boxes [N, 3] (centre x, y, side) out of the chips: bilinear, edges repeated."""
    out = np.empty((len(gray), SIDE, SIDE), np.uint8)
    chip = gray.shape[1]
    for k, (cx, cy, side) in enumerate(boxes):
        step = side * chip / SIDE
        left, top = ((c - side / 2) * chip + step / 2 - 0.5 for c in (cx, cy))
        matrix = np.array([[step, 0, left], [0, step, top]], np.float64)
        cv2.warpAffine(gray[k], matrix, (SIDE, SIDE), out[k], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                       cv2.BORDER_REPLICATE)
    return out


def mean_boxes(count: int) -> np.ndarray:
    return np.tile(np.array([[BOX_X[0], BOX_Y[0], BOX_SIDE[0]]]), (count, 1))


def jittered_boxes(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(mean, deviation, count) for mean, deviation in (BOX_X, BOX_Y, BOX_SIDE)], 1)


def command_frame(args: argparse.Namespace) -> None:
    cascade = open_cascade(args.cascade)
    faces = load_faces(args.data, 0)
    rows = np.random.default_rng(args.seed).choice(len(faces), min(args.count, len(faces)), replace=False)
    print(f"{len(rows)} training pictures, seed {args.seed}")
    for name, border in (("reflected", cv2.BORDER_REFLECT_101), ("repeated", cv2.BORDER_REPLICATE)):
        for pad in (0.5, 1.0):
            found = [detector_box(cascade, faces.gray[row], pad, border) for row in rows]
            boxes = np.array([box for box in found if box is not None])
            if len(boxes) == 0:
                die("the detector found nothing")
            print(f"edges {name}, padded by {pad:.0%}: found {len(boxes)} of {len(rows)}")
            for k, what in enumerate(("centre x", "centre y", "side")):
                low, middle, high = np.percentile(boxes[:, k], [5, 50, 95])
                print(f"  {what:9} mean {boxes[:, k].mean():.3f} deviation {boxes[:, k].std():.3f}"
                      f" median {middle:.3f} 5 % {low:.3f} 95 % {high:.3f}", flush=True)


# ---------------------------------------------------------------- network


def make_torch_net() -> Any:
    """The network for training. Keras on torch computes the same three times slower."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    def norm(channels: int) -> Any:
        return nn.BatchNorm2d(channels, eps=EPSILON, momentum=0.03)

    def separable(inputs: int, outputs: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            norm(outputs),
        )

    class Module(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), norm(outputs))
            self.first = separable(inputs, outputs)
            self.second = separable(outputs, outputs)

        def forward(self, x: Any) -> Any:
            main = self.second(F.relu(self.first(x)))
            # Keras "same": an even side is padded at its end only
            if x.shape[-1] % 2 == 0:
                main = F.max_pool2d(main, 3, 2, ceil_mode=True)
            else:
                main = F.max_pool2d(main, 3, 2, padding=1)
            return main + self.shortcut(x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            stem, inputs = [], 1
            for channels in STEM:
                stem += [nn.Conv2d(inputs, channels, 3, bias=False), norm(channels), nn.ReLU()]
                inputs = channels
            self.stem = nn.Sequential(*stem)
            modules = []
            for channels in MODULES:
                modules.append(Module(inputs, channels))
                inputs = channels
            self.modules_ = nn.Sequential(*modules)
            self.last = nn.Conv2d(inputs, 2, 3, padding=1)
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(self.last.bias)

        def forward(self, x: Any) -> Any:
            return self.last(self.modules_(self.stem(x))).float().mean((2, 3))

    return Net().to(memory_format=torch.channels_last)


def make_keras_model() -> Any:
    import keras

    layers = keras.layers
    x = inputs = keras.Input((SIDE, SIDE, 1), name="input")
    for k, channels in enumerate(STEM, 1):
        x = layers.Conv2D(channels, 3, use_bias=False, name=f"stem{k}_conv")(x)
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"stem{k}_bn")(x)
        x = layers.Activation("relu", name=f"stem{k}_relu")(x)
    for k, channels in enumerate(MODULES, 1):
        name = f"module{k}"
        shortcut = layers.Conv2D(channels, 1, strides=2, padding="same", use_bias=False, name=f"{name}_shortcut_conv")(x)
        shortcut = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_shortcut_bn")(shortcut)
        x = layers.SeparableConv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_sep1")(x)
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn1")(x)
        x = layers.Activation("relu", name=f"{name}_relu1")(x)
        x = layers.SeparableConv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_sep2")(x)
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn2")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    x = layers.Conv2D(2, 3, padding="same", name="last_conv")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, layers.Activation("softmax", name="predictions")(x), name="mien_gender")


def count_macs() -> int:
    macs, inputs, side = 0, 1, SIDE
    for channels in STEM:
        side -= 2
        macs += side * side * 9 * inputs * channels
        inputs = channels
    for channels in MODULES:
        half = (side + 1) // 2
        macs += side * side * (9 * inputs + inputs * channels + 9 * channels + channels * channels)
        macs += half * half * inputs * channels
        inputs, side = channels, half
    return macs + side * side * 9 * inputs * 2


def export_keras(net: Any, path: Path) -> None:
    """Copy the trained weights into the Keras model, check that both agree, save."""
    import torch

    model = make_keras_model()

    def kernel(weight: Any) -> np.ndarray:  # OIHW to HWIO
        return weight.detach().numpy().transpose(2, 3, 1, 0)

    def norm(layer: Any) -> list[np.ndarray]:
        return [t.detach().numpy() for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var)]

    def put(name: str, values: list[np.ndarray]) -> None:
        model.get_layer(name).set_weights([np.ascontiguousarray(v) for v in values])

    def put_separable(name: str, layer: Any) -> None:
        depthwise = layer[0].weight.detach().numpy().transpose(2, 3, 0, 1)  # C1HW to HWC1
        put(name, [depthwise, kernel(layer[1].weight)])

    for k in range(len(STEM)):
        put(f"stem{k + 1}_conv", [kernel(net.stem[3 * k].weight)])
        put(f"stem{k + 1}_bn", norm(net.stem[3 * k + 1]))
    for k, module in enumerate(net.modules_, 1):
        put(f"module{k}_shortcut_conv", [kernel(module.shortcut[0].weight)])
        put(f"module{k}_shortcut_bn", norm(module.shortcut[1]))
        put_separable(f"module{k}_sep1", module.first)
        put(f"module{k}_bn1", norm(module.first[2]))
        put_separable(f"module{k}_sep2", module.second)
        put(f"module{k}_bn2", norm(module.second[2]))
    put("last_conv", [kernel(net.last.weight), net.last.bias.detach().numpy()])

    x = np.random.default_rng(1).uniform(-1, 1, (32, SIDE, SIDE, 1)).astype(np.float32)
    with torch.no_grad():
        expected = torch.softmax(net(torch.from_numpy(x).permute(0, 3, 1, 2)), 1).numpy()
        got = model(torch.from_numpy(x), training=False).detach().numpy()
    difference = float(np.abs(expected - got).max())
    if not difference < 1e-4:
        die(f"the exported model differs from the trained one by {difference}")
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path, include_optimizer=False)
    print(f"wrote {path}: {model.count_params()} parameters, {count_macs()} MAC,"
          f" largest difference of a probability {difference:.1e}")


# ---------------------------------------------------------------- training


def augment(gray: Any, generator: Any) -> Any:
    """uint8 [N, 1, H, W] to float [N, 1, 48, 48] in [-1, 1]: cut as a detector would, and worse."""
    import torch
    from torch.nn import functional as F

    n = len(gray)

    def uniform(low: float, high: float, *shape: int) -> Any:
        return torch.rand(shape or (n,), generator=generator) * (high - low) + low

    def normal(deviation: float) -> Any:
        return torch.randn(n, generator=generator) * deviation

    def scalar(values: Any) -> Any:
        return values.view(n, 1, 1, 1)

    # The window: the measured box with a bit more than its measured spread.
    x = BOX_X[0] + normal(0.030)
    y = BOX_Y[0] + normal(0.035)
    side = BOX_SIDE[0] * torch.exp(normal(0.11)).clamp(0.75, 1.35)
    angle = normal(math.radians(8)).clamp(-0.4, 0.4)
    stretch = torch.exp(normal(0.04))
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * side, torch.sin(angle) * side
    theta = torch.stack(
        [
            torch.stack([cos * stretch * flip, -sin, 2 * x - 1], 1),
            torch.stack([sin * stretch * flip, cos, 2 * y - 1], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, [n, 1, SIDE, SIDE], align_corners=False)
    out = gray.float() / 255.0
    # Outside the chip a real picture shows something else each time: repeat, reflect or fill.
    mode = int(torch.randint(0, 3, (1,), generator=generator))
    if mode == 2:
        fill = scalar(uniform(0, 1))
        out = F.grid_sample(out - fill, grid, padding_mode="zeros", align_corners=False) + fill
    else:
        out = F.grid_sample(out, grid, padding_mode=("border", "reflection")[mode], align_corners=False)

    # Sharpness: from blurred (1) to sharpened (-0.7).
    kernel = torch.tensor([1.0, 2.0, 1.0])
    kernel = (kernel[:, None] * kernel[None, :] / 16).view(1, 1, 3, 3)
    blurred = F.conv2d(F.pad(out, (1, 1, 1, 1), mode="replicate"), kernel)
    out = out + (blurred - out) * scalar(uniform(-0.7, 1.0))
    # Light: gamma, contrast about the mean, brightness, a slope from side to side.
    out = out.clamp(0, 1) ** scalar(torch.exp(uniform(-0.35, 0.35)))
    mean = out.mean((2, 3), keepdim=True)
    out = (out - mean) * scalar(torch.exp(uniform(-0.5, 0.3))) + mean + scalar(uniform(-0.2, 0.2))
    ramp = torch.linspace(-1, 1, SIDE)
    out = out + scalar(normal(0.06)) * ramp.view(1, 1, 1, SIDE) + scalar(normal(0.06)) * ramp.view(1, 1, SIDE, 1)
    out = out + torch.randn(out.shape, generator=generator) * scalar(uniform(0, 0.03))
    # A patch is hidden in some of the pictures.
    hidden = uniform(0, 1) < 0.15
    place = torch.arange(SIDE)
    px, py, pw, ph = (uniform(0, SIDE), uniform(0, SIDE), uniform(4, 11), uniform(4, 11))
    in_x = (place[None] - px[:, None]).abs() < pw[:, None]
    in_y = (place[None] - py[:, None]).abs() < ph[:, None]
    patch = (in_y[:, :, None] & in_x[:, None, :] & hidden[:, None, None]).unsqueeze(1)
    out = torch.where(patch, scalar(uniform(0, 1)), out)
    return ((out.clamp(0, 1) - 0.5) * 2).contiguous(memory_format=torch.channels_last)


def validate(net: Any, x: Any, label: Any) -> tuple[float, float]:
    import torch
    from torch.nn import functional as F

    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(part) for part in x.split(256)])
    return float(F.cross_entropy(logits, label)), float((logits.argmax(1) == label).float().mean())


def command_train(args: argparse.Namespace) -> None:
    try:
        import torch
        from torch.nn import functional as F

        import keras  # noqa: F401  (here so that a missing package shows before the training)
    except ImportError as error:
        die(f"{error.name} is missing: pip install torch keras h5py")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed + 1)

    train, validation = load_faces(args.data, 0), load_faces(args.data, 1)
    print(f"seed {args.seed}, jitter seed {args.jitter_seed}; {len(train)} training and {len(validation)}"
          f" validation faces; {count_macs()} MAC", flush=True)
    gray = torch.from_numpy(train.gray).unsqueeze(1)
    label = torch.from_numpy(train.label)
    cut_validation = cut(validation.gray, jittered_boxes(len(validation), args.jitter_seed))
    x_validation = torch.from_numpy(normalise(cut_validation)).permute(0, 3, 1, 2)
    label_validation = torch.from_numpy(validation.label)

    net, smooth = make_torch_net(), make_torch_net()
    smooth.load_state_dict(net.state_dict())
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": args.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.rate)
    steps = len(train) // args.batch
    total, warm = steps * args.epochs, steps * 3

    first, best, best_state = 0, (0.0, 0.0), {k: v.clone() for k, v in smooth.state_dict().items()}
    fields = ["epoch", "rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds"]
    rows: list[list[str]] = []
    if args.checkpoint.is_file():
        state = torch.load(args.checkpoint, weights_only=True)
        if state["epochs"] != args.epochs or state["seed"] != args.seed:
            die(f"{args.checkpoint}: from a run with other --epochs or --seed; remove it to start anew")
        net.load_state_dict(state["net"])
        smooth.load_state_dict(state["smooth"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        first, best, best_state, rows = state["epoch"], tuple(state["best"]), state["best_state"], state["rows"]
        print(f"resumed after epoch {first}", flush=True)

    args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    args.log.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    for epoch in range(first, args.epochs):
        start = time.monotonic()
        net.train()
        order = torch.randperm(len(train), generator=generator)
        loss_sum, right, rate = 0.0, 0, 0.0
        for step in range(steps):
            now = epoch * steps + step
            rate = args.rate * (now + 1) / warm if now < warm else (
                args.rate * 0.5 * (1 + math.cos(math.pi * (now - warm) / max(total - warm, 1))))
            for group in optimizer.param_groups:
                group["lr"] = rate
            pick = order[step * args.batch : (step + 1) * args.batch]
            x = augment(gray[pick], generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                logits = net(x)
            loss = F.cross_entropy(logits.float(), label[pick], label_smoothing=args.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            right += int((logits.argmax(1) == label[pick]).sum())
            decay = min(args.average, (1 + now) / (10 + now))
            with torch.no_grad():
                for mean, value in zip(smooth.state_dict().values(), net.state_dict().values()):
                    if mean.is_floating_point():
                        mean.lerp_(value, 1 - decay)
                    else:
                        mean.copy_(value)
        if not math.isfinite(loss_sum):
            die(f"epoch {epoch + 1}: the loss is not finite; lower --rate")
        val_loss, val_accuracy = validate(smooth, x_validation, label_validation)
        seconds = time.monotonic() - start
        rows.append([str(epoch + 1), f"{rate:.6f}", f"{loss_sum / steps:.4f}", f"{right / (steps * args.batch):.4f}",
                     f"{val_loss:.4f}", f"{val_accuracy:.4f}", f"{seconds:.1f}"])
        if (val_accuracy, -val_loss) > best:
            best = (val_accuracy, -val_loss)
            best_state = {k: v.clone() for k, v in smooth.state_dict().items()}
        partial = args.checkpoint.with_suffix(".tmp")
        torch.save({"net": net.state_dict(), "smooth": smooth.state_dict(), "optimizer": optimizer.state_dict(),
                    "generator": generator.get_state(), "epoch": epoch + 1, "epochs": args.epochs, "seed": args.seed,
                    "best": list(best), "best_state": best_state, "rows": rows}, partial)
        partial.replace(args.checkpoint)
        with args.log.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(fields)
            writer.writerows(rows)
        left = (time.monotonic() - begin) / (epoch + 1 - first) * (args.epochs - epoch - 1)
        print(f"epoch {epoch + 1}/{args.epochs} loss {rows[-1][2]} accuracy {rows[-1][3]} validation {val_loss:.4f}"
              f" {val_accuracy:.4f} best {best[0]:.4f} {seconds:.0f} s, {left / 60:.1f} min left", flush=True)

    smooth.load_state_dict(best_state)
    smooth.eval()
    print(f"best validation accuracy {best[0]:.4f}, loss {-best[1]:.4f}")
    export_keras(smooth, args.out)


# ---------------------------------------------------------------- scoring


def print_table(faces: Faces, answers: dict[str, np.ndarray], known: dict[str, np.ndarray]) -> None:
    groups: list[tuple[str, Callable[[Faces], np.ndarray]]] = [
        ("all", lambda f: np.ones(len(f), bool)),
        ("woman", lambda f: f.label == 0),
        ("man", lambda f: f.label == 1),
        ("age 0-4", lambda f: f.age < 5),
        ("age 5+", lambda f: f.age >= 5),
        ("age 5+ woman", lambda f: (f.age >= 5) & (f.label == 0)),
        ("age 5+ man", lambda f: (f.age >= 5) & (f.label == 1)),
        ("age 5-12", lambda f: (f.age >= 5) & (f.age < 13)),
        ("age 13-19", lambda f: (f.age >= 13) & (f.age < 20)),
        ("age 20-59", lambda f: (f.age >= 20) & (f.age < 60)),
        ("age 60+", lambda f: f.age >= 60),
    ]
    for k, race in enumerate(RACES):
        groups.append((race, lambda f, k=k: f.race == k))
        groups.append((f"{race} 5+", lambda f, k=k: (f.race == k) & (f.age >= 5)))
    print("| group | faces | " + " | ".join(answers) + " |")
    print("| --- | ---: |" + " ---: |" * len(answers))
    for name, select in groups:
        mask = select(faces)
        cells = []
        for framing, answer in answers.items():
            rows = mask & known[framing]
            cells.append(f"{(answer == faces.label)[rows].mean():.4f}" if rows.any() else "-")
        print(f"| {name} | {mask.sum()} | " + " | ".join(cells) + " |")


def make_predictor(args: argparse.Namespace) -> Any:
    """uint8 [N, 48, 48] to classes [N]: a Keras file in Keras, a .mien file in the engine (through mien-netdump)."""
    if not args.model.is_file():
        die(f"{args.model}: no such file")
    if args.model.suffix == ".mien":
        if args.netdump is None:
            die(f"{args.model}: --netdump is needed to run a .mien file")

        def run_engine(pixels: np.ndarray) -> np.ndarray:
            done = subprocess.run([args.netdump, args.model], input=pixels.tobytes(), stdout=subprocess.PIPE, check=False)
            if done.returncode != 0:
                die(f"{args.model}: the engine refuses it")
            return np.frombuffer(done.stdout, "<f4").reshape(len(pixels), 2, -1)[:, 0].argmax(1)

        return run_engine
    try:
        import keras
    except ImportError as error:
        die(f"{error.name} is missing: pip install torch keras h5py")
    model = keras.models.load_model(args.model, compile=False)
    return lambda pixels: model.predict(normalise(pixels), batch_size=256, verbose=0).argmax(1)


def command_score(args: argparse.Namespace) -> None:
    predict = make_predictor(args)
    faces = load_faces(args.data, {"validation": 1, "test": 2}[args.split])
    boxes = {"mean box": mean_boxes(len(faces)), "jittered box": jittered_boxes(len(faces), args.jitter_seed)}
    known = {name: np.ones(len(faces), bool) for name in boxes}
    if args.cascade:
        cascade = open_cascade(args.cascade)
        found = [detector_box(cascade, gray, 0.5, cv2.BORDER_REPLICATE) for gray in faces.gray]
        name = "detector's box"
        known[name] = np.array([box is not None for box in found])
        boxes[name] = np.array([box or (BOX_X[0], BOX_Y[0], BOX_SIDE[0]) for box in found])
        print(f"the detector found {known[name].sum()} of {len(faces)}; the others are left out of its column")
    print(f"{args.split}, jitter seed {args.jitter_seed}")
    answers = {}
    for name, box in boxes.items():
        answers[name] = predict(cut(faces.gray, box))
    print_table(faces, answers, known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    frame = commands.add_parser("frame", help="measure where the detector's box lies in the pictures")
    frame.add_argument("--data", type=Path, required=True, help="the .npz of faces")
    frame.add_argument("--cascade", type=Path, required=True, help="haarcascade_frontalface_default.xml")
    frame.add_argument("--count", type=int, default=2000, help="training pictures to look at (default %(default)s)")
    frame.add_argument("--seed", type=int, default=0, help="which pictures (default %(default)s)")
    frame.set_defaults(run=command_frame)

    train = commands.add_parser("train", help="train and write the Keras file",
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    train.add_argument("--data", type=Path, required=True, help="the .npz of faces")
    train.add_argument("--out", type=Path, required=True, help="Keras HDF5 file to write")
    train.add_argument("--log", type=Path, default=Path("gender_training.csv"), help="CSV, one row an epoch")
    train.add_argument("--checkpoint", type=Path, default=Path("gender_checkpoint.pt"),
                       help="written after each epoch; a run resumes from it")
    train.add_argument("--epochs", type=int, default=70)
    train.add_argument("--batch", type=int, default=128)
    train.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    train.add_argument("--weight-decay", type=float, default=0.02)
    train.add_argument("--label-smoothing", type=float, default=0.08)
    train.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights")
    train.add_argument("--seed", type=int, default=7)
    train.add_argument("--jitter-seed", type=int, default=11, help="of the validation crops")
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 arithmetic")
    train.set_defaults(run=command_train)

    score = commands.add_parser("score", help="accuracy by group")
    score.add_argument("--data", type=Path, required=True, help="the .npz of faces")
    score.add_argument("--model", type=Path, required=True, help="Keras HDF5 file, or a .mien file with --netdump")
    score.add_argument("--netdump", type=Path, help="build/.../tests/mien-netdump, to run a .mien file in the engine")
    score.add_argument("--cascade", type=Path, help="also cut faces where this detector finds them")
    score.add_argument("--split", choices=("validation", "test"), default="validation")
    score.add_argument("--jitter-seed", type=int, default=11, help="of the jittered crops (default %(default)s)")
    score.set_defaults(run=command_score)

    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
