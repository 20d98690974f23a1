# SPDX-License-Identifier: MIT
"""Networks that answer an age, and faces cut by their landmarks for training.

Needs torch (tools/train/setup.sh); what needs the program `mien` (MIEN_TOOL) is skipped without.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "train"))
import datasets  # noqa: E402
import faces  # noqa: E402
import metrics  # noqa: E402
from mien_tools import keras_file  # noqa: E402
from mien_tools.errors import ModelError  # noqa: E402

torch.set_num_threads(1)
TRAIN = [sys.executable, str(ROOT / "tools" / "train")]
TEMPLATE = np.array([(-0.2, -0.1), (0.2, -0.1), (0, 0.1), (-0.15, 0.3), (0.15, 0.3)])


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TRAIN, *map(str, arguments)], capture_output=True, text=True, check=False
    )


class TestTargets:
    def test_mean_is_the_age(self) -> None:
        ages = np.arange(0, 100)
        targets = datasets.age_targets(ages)
        assert targets.shape == (100, len(datasets.AGES)) and (targets >= 0).all()
        assert targets.sum(1) == pytest.approx(1, abs=1e-5)
        mean = targets @ np.array(datasets.AGES)
        assert mean[5:75] == pytest.approx(ages[5:75], abs=0.3)
        assert (np.diff(mean) > 0).all()

    def test_nearest_class_and_unknown_ages(self) -> None:
        ages = np.array([0, 23, 117, -1])
        samples = datasets.Samples(
            np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int64), list("abcd"), None, ages
        )
        data = datasets.Dataset("x", "test", datasets.GENDERS, {"train": samples})
        labels = datasets.as_ages(data).splits["train"].labels
        assert [datasets.AGES[k] for k in labels] == [1, 22, 90]
        data.splits["train"].age = None
        with pytest.raises(ModelError, match="no ages in it"):
            datasets.as_ages(data)


class TestQuantiles:
    def test_by_hand(self) -> None:
        values = np.array([10.0, 20.0, 40.0])  # edges 5, 15, 30, 50
        rows = np.array([[1.0, 0, 0], [0, 1, 0], [0.2, 0.3, 0.5]])
        assert metrics.quantiles(rows, values, 0.5) == pytest.approx([10, 22.5, 30])
        assert metrics.quantiles(rows, values, 0.1) == pytest.approx([6, 16.5, 10])
        assert metrics.quantiles(rows, values, 0.9) == pytest.approx([14, 28.5, 46])

    def test_not_below_zero(self) -> None:
        low = metrics.quantiles(np.array([[1.0, 0]]), np.array([1.0, 5.0]), 1e-9)
        assert low == pytest.approx([0], abs=1e-6)


class TestSquares:
    def test_fit_finds_a_similarity(self) -> None:
        a, b, x, y = 40.0, -7.0, 31.0, 22.0
        u, v = TEMPLATE.T
        moved = np.stack([x + a * u - b * v, y + b * u + a * v], 1)
        assert faces.fit_squares(moved[None], TEMPLATE)[0] == pytest.approx([a, b, x, y])

    def test_cut_samples_the_square(self) -> None:
        """A ramp, whose value at a place is the place: bilinear sampling gives it back."""
        ys, xs = np.mgrid[:100, :100]
        image = np.stack([xs, ys], -1).astype(np.uint8)[None] * 2
        crop = faces.cut_squares(image, np.array([[40.0, 0, 50, 45]]))[0].astype(float) / 2
        wide = 40 * (1 + 2 * faces.BORDER)
        at = (np.arange(faces.SIDE) + 0.5) / faces.SIDE * wide - wide / 2 - 0.5
        assert crop[:, :, 0] == pytest.approx(np.tile(50 + at, (faces.SIDE, 1)), abs=0.51)
        assert crop[:, :, 1].T == pytest.approx(np.tile(45 + at, (faces.SIDE, 1)), abs=0.51)

    def test_only_what_is_unseen_is_invented(self) -> None:
        rng = np.random.default_rng(1)
        images = rng.integers(0, 256, (40, 32, 32, 3), np.uint8)
        squares = np.tile([32.0, 0, 16, 10], (40, 1))  # reaches above the image
        invented = np.arange(40) < 20
        plain, changed = (faces.cut_squares(images, squares, i) for i in (None, invented))
        step = 32 * (1 + 2 * faces.BORDER) / faces.SIDE
        at = (np.arange(faces.SIDE) + 0.5) * step - faces.SIDE * step / 2
        seen = ((10 + at >= 0) & (10 + at <= 32))[:, None] & ((16 + at >= 0) & (16 + at <= 32))
        assert (plain[:, seen] == changed[:, seen]).all()
        assert (plain[20:] == changed[20:]).all()
        differs = (plain[:20, ~seen] != changed[:20, ~seen]).any((1, 2))
        assert 5 <= differs.sum() <= 20  # a quarter keeps its edge


def data_set(path: Path, count: int = 360) -> Path:
    """Faces whose brightness is their age."""
    rng = np.random.default_rng(2)
    age = rng.integers(1, 90, count)
    images = np.clip(age[:, None, None, None] * 2.5 + rng.normal(0, 4, (count, 64, 64, 1)), 0, 255)
    np.savez(
        path,
        images=images.astype(np.uint8),
        gender=(np.arange(count) % 2).astype(np.uint8),
        age=age.astype(np.uint8),
        race=(np.arange(count) % 5).astype(np.uint8),
        split=(np.arange(count) % 3).astype(np.uint8),
        name=np.array([f"{k}" for k in range(count)]),
    )
    return path


class TestTraining:
    def test_learns_and_is_measured(self, tmp_path: Path) -> None:
        data, net = data_set(tmp_path / "faces.npz"), tmp_path / "age.hdf5"
        done = run(
            *("age", "--data", data, "-o", net, "--architecture", "tiny_XCEPTION", "--size", 48),
            *("--epochs", 12, "--batch", 20, "--rate", 0.01, "--warm-up", 0, "--strength", 0),
            *("--average", 0.5, "--no-bf16", "--keep-copies", "--best-by", "validation:error"),
        )
        assert done.returncode == 0, done.stderr
        assert keras_file.read_model(str(net)).class_count == len(datasets.AGES)
        measure = ("--data", data, "--split", "test", "--backend", "torch")
        told = json.loads(run("evaluate", net, *measure, "--json").stdout)
        blind = np.abs(np.load(data)["age"] - 45.0).mean()
        assert told["all"]["count"] == 120 and told["all"]["mean_error"] < 0.7 * blind
        table = run("groups", net, *measure).stdout.splitlines()
        assert table[0] == (
            "| group | faces | mean error, years, +- its standard error | too old by | in the range |"
        )
        assert table[2].startswith("| all | 120 | ")
        table = run("conditions", net, *measure).stdout.splitlines()
        assert table[2].startswith("| as it is | ") and table[2].endswith(" years |")

    def test_undecided_about_small_children(self, tmp_path: Path) -> None:
        """Half of each: what the network learns of them does not tell the genders apart."""
        data, net = data_set(tmp_path / "faces.npz"), tmp_path / "gender.hdf5"
        arrays = dict(np.load(data))
        light = np.where(arrays["gender"] == 1, 220, 40).astype(np.uint8)
        arrays["images"][:] = light[:, None, None, None]
        arrays["age"][:] = 2
        np.savez(data, **arrays)
        command = (
            *("gender", "--data", data, "-o", net, "-y", "--architecture", "tiny_XCEPTION"),
            *("--size", 48, "--epochs", 2, "--batch", 10, "--rate", 0.01, "--warm-up", 0),
            *("--strength", 0, "--no-bf16", "--keep-copies", "--label-smoothing", 0),
        )
        losses = {}
        for years, label in ((0, 0.5), (5, 0.5), (5, 0.9)):
            done = run(*command, "--undecided-under", years, "--undecided-label", label)
            assert done.returncode == 0, done.stderr
            last = list(csv.DictReader(net.with_suffix(".csv").open()))[-1]
            losses[years, label] = float(last["train_loss"])
            (tmp_path / "gender.checkpoint.pt").unlink()
        # Nothing is better about two that are as likely than one bit of doubt; about nine of ten,
        # 0.325 nats are left to someone who knows the label.
        assert losses[0, 0.5] < 0.69 < losses[5, 0.5], losses
        assert 0.325 < losses[5, 0.9] < losses[5, 0.5], losses
        done = run(*command, "--undecided-under", 5, "--undecided-label", 1.5)
        assert done.returncode != 0 and "--undecided-label" in done.stderr

    def test_data_without_ages(self, tmp_path: Path) -> None:
        (tmp_path / "train" / "woman").mkdir(parents=True)
        np.savez(tmp_path / "x.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.zeros(4, int))
        done = run("age", "--data", tmp_path / "x.npz", "-o", tmp_path / "age.hdf5")
        assert done.returncode != 0 and "no ages in it" in done.stderr


def test_crops_of_a_data_set(tmp_path: Path) -> None:
    tool = os.environ.get("MIEN_TOOL")
    if not tool:
        pytest.skip("MIEN_TOOL is not set")
    from PIL import Image

    folder = tmp_path / "set"
    folder.mkdir()
    for name, photo, (x, y, side) in (
        ("47_1_0_1.png", "astronaut.jpg", (177, 67, 94)),
        ("54_1_0_2.png", "grace_hopper.jpg", (147, 102, 239)),
    ):
        face = Image.open(ROOT / "tests" / "data" / "photos" / photo)
        face.crop((x, y, x + side, y + side)).save(folder / name)
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(folder / "3_0_2_3.png")
    out = tmp_path / "crops.npz"
    done = run("crops", folder, "-o", out, "--task", "gender", "--mien", tool)
    assert done.returncode == 0, done.stderr
    assert "a face in 2 of 3 images" in done.stdout
    arrays = np.load(out)
    assert arrays["images"].shape == (2, faces.SIDE, faces.SIDE, 3)
    assert sorted(arrays["age"]) == [47, 54] and (arrays["gender"] == 0).all()
    data = datasets.load(out, "gender", (64, 64, 1))
    assert data.kind == "UTKFace, cut by landmarks"
