# SPDX-License-Identifier: MIT
"""Are the maps of `mien explain` those that PyTorch computes from the same Keras file? Gradients, the guided rule, Grad-CAM, and the recipes of the
face_classification demos, written once more in torch; the float twin in the converter's files; integers against floats.

Needs torch and the program `mien` (MIEN_TOOL). The original's own networks are compared where MIEN_DATA is set. As a script it prints the errors:
  MIEN_TOOL=build/check/mien build/train-venv/bin/python tests/python/test_explain.py"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "train")]
import architectures  # noqa: E402
import keras_writer  # noqa: E402
import torch_net  # noqa: E402
from mien_tools import fold, image, keras_file, pictures  # noqa: E402
from mien_tools import format as mien  # noqa: E402
from torch.nn import functional as F  # noqa: E402

torch.set_num_threads(1)
TOLERANCE = 1e-4  # largest difference over largest value of a map
MIEN = os.environ.get("MIEN_TOOL")
DATA = os.environ.get("MIEN_DATA")
needs_mien = pytest.mark.skipif(not MIEN, reason="MIEN_TOOL is not set")
GRADIENT_METHODS = [
    "gradient",
    "guided",
    "cam",
    "grad-cam",
    "guided-cam",
    "original-cam",
    "original-guided",
]
ORIGINAL = {
    "fer2013_mini_XCEPTION.102-0.66.hdf5": (1 / 127.5, -1.0),
    "fer2013_mini_XCEPTION.119-0.65.hdf5": (1 / 127.5, -1.0),
    "fer2013_big_XCEPTION.54-0.66.hdf5": (1 / 127.5, -1.0),
    "gender_mini_XCEPTION.21-0.95.hdf5": (1 / 127.5, -1.0),
    "mini_XCEPTION_KDEF.hdf5": (1 / 127.5, -1.0),
    "tiny_XCEPTION_KDEF.hdf5": (1 / 127.5, -1.0),
}


def convert(source: Path, target: Path, *more: str) -> Path:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools" / "convert_keras.py"),
            str(source),
            "-o",
            str(target),
            "-y",
            "--float-twin",
            *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return target


def explain_all(
    model: Path, faces: np.ndarray, methods: List[str], label: str, folder: Path, *more: str
) -> List[Dict[str, np.ndarray]]:
    """The program's maps of some network inputs, in one run."""
    names = []
    for i, pixels in enumerate(faces):
        h, w, c = pixels.shape
        names.append(folder / f"face{i}.pnm")
        names[-1].write_bytes(f"P{5 if c == 1 else 6}\n{w} {h}\n255\n".encode() + pixels.tobytes())
    done = subprocess.run(
        [
            str(MIEN),
            "explain",
            *map(str, names),
            "--crop",
            "--json",
            "--emotion",
            str(model),
            "--head",
            "emotion",
            "--class",
            label,
            "--method",
            ",".join(methods),
            *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line)["faces"][0]["emotion"] for line in done.stdout.splitlines()]
    assert len(answers) == len(names) and all(answer["class"] == label for answer in answers)
    return [
        {
            m["method"]: np.array(m["values"]).reshape(m["height"], m["width"])
            for m in answer["maps"]
        }
        for answer in answers
    ]


def explain(
    model: Path, pixels: np.ndarray, methods: List[str], label: str, folder: Path, *more: str
) -> Dict[str, np.ndarray]:
    return explain_all(model, pixels[None], methods, label, folder, *more)[0]


class _GuidedReLU(torch.autograd.Function):
    """Springenberg et al. 2015: back goes what is positive, where the input was positive."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return g.clamp(min=0) * (x > 0)


class Torch:
    """A Keras file in double precision; hooks keep what its last convolution takes and gives."""

    def __init__(self, path: Path, scale: float, offset: float) -> None:
        self.model = keras_file.read_model(str(path))
        self.net = torch_net.KerasNet(self.model).double().eval()
        self.scale, self.offset = float(np.float32(scale)), float(np.float32(offset))
        convolutions = [
            layer.name
            for layer in self.model.layers
            if layer.kind in ("conv", "separable", "depthwise", "dense")
        ]
        self.net.blocks[convolutions[-1]].register_forward_hook(self._keep)
        self.kind = next(
            layer.kind for layer in self.model.layers if layer.name == convolutions[-1]
        )

    def _keep(self, _: Any, inputs: Tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        self.taken, self.given = inputs[0], output
        for value in (self.taken, self.given):
            if value.requires_grad:
                value.retain_grad()

    def run(self, pixels: np.ndarray, guided: bool = False) -> Tuple[torch.Tensor, torch.Tensor]:
        x = torch.from_numpy(
            pixels.astype(np.float64).transpose(2, 0, 1)[None] * self.scale + self.offset
        ).requires_grad_()
        plain = F.relu
        try:
            if guided:
                F.relu = _GuidedReLU.apply
            return x, self.net(x)[0]
        finally:
            F.relu = plain

    def pixels_gradient(self, x: torch.Tensor) -> np.ndarray:
        return x.grad[0].sum(0).numpy() * self.scale

    def maps(self, pixels: np.ndarray, k: int) -> Dict[str, np.ndarray]:
        out: Dict[str, np.ndarray] = {}
        x, logits = self.run(pixels)
        logits[k].backward()
        out["gradient"] = self.pixels_gradient(x)
        pooled = self.kind == "conv" and self.given.shape[2] > 1
        if pooled:
            out["cam"] = self.given[0, k].detach().numpy()
            weights = self.taken.grad[0].mean((1, 2))
            grad_cam = (weights[:, None, None] * self.taken[0]).sum(0).clamp(min=0).detach()
            out["grad-cam"] = grad_cam.numpy()
        x, logits = self.run(pixels, guided=True)
        logits[k].backward()
        out["guided"] = self.pixels_gradient(x)
        if pooled:
            large = F.interpolate(
                grad_cam[None, None], pixels.shape[:2], mode="bilinear", align_corners=False
            )[0, 0]
            out["guided-cam"] = out["guided"] * large.numpy()
            # The demos: gradient of the probability by the last convolution's output, over its root mean square; 1 + the weighted sum, cut at 0.
            x, logits = self.run(pixels)
            torch.softmax(logits, 0)[k].backward()
            gradient = self.given.grad[0]
            gradient = gradient / (gradient.square().mean().sqrt() + 1e-5)
            out["original-cam"] = (
                (1 + (gradient.mean((1, 2))[:, None, None] * self.given[0]).sum(0))
                .clamp(min=0)
                .detach()
                .numpy()
            )
            x, _ = self.run(pixels, guided=True)
            self.given.max(1).values.sum().backward()
            out["original-guided"] = self.pixels_gradient(x)
        return out


def errors_of(torch_net_: Torch, model: Path, faces: np.ndarray, folder: Path) -> Dict[str, float]:
    """For each method the largest difference over the largest value, of all faces and some classes."""
    labels = mien.decode_network(model.read_bytes()).labels
    worst: Dict[str, float] = {}
    for k in range(0, len(labels), 3):
        for face, got in zip(faces, explain_all(model, faces, GRADIENT_METHODS, labels[k], folder)):
            wanted = torch_net_.maps(face, k)
            assert set(wanted) <= set(got)
            for method, values in wanted.items():
                top = np.abs(values).max()
                error = (
                    np.abs(got[method] - values).max() / top
                    if top > 0
                    else np.abs(got[method]).max()
                )
                worst[method] = max(worst.get(method, 0.0), float(error))
    return worst


def smooth(shape: Tuple[int, int, int], count: int, seed: int) -> np.ndarray:
    return pictures.synthetic(count, shape, seed)


# odd_layers has what torch_net does not train; the others are the original's architectures, small, with random weights, and what mien adds.
@needs_mien
@pytest.mark.parametrize(
    "name",
    [
        "mini_xception.h5",
        "tiny_xception.keras",
        "big_xception.h5",
        "simple_cnn.h5",
        "simpler_cnn.keras",
        "pooled_relu.h5",
    ],
)
def test_maps_are_those_of_torch(name: str, golden_models: Path, tmp_path: Path) -> None:
    model = convert(golden_models / name, tmp_path / "net.mien", "--calibrate-count", "8")
    reference = Torch(golden_models / name, 1 / 127.5, -1)
    worst = errors_of(reference, model, smooth(reference.model.input_shape, 2, 21), tmp_path)
    assert "gradient" in worst and "guided" in worst
    assert all(error < TOLERANCE for error in worst.values()), worst


@needs_mien
def test_a_head_too_large_for_one_layer(tmp_path: Path) -> None:
    """A last convolution whose sums do not fit in 32 bits is followed by pooling and a copy: the maps are those of the usual head."""
    torch.manual_seed(1)
    net = torch_net.KerasNet(architectures.xception("wide", (48, 48, 1), 4, (8, 8), [24]))
    keras_writer.write(net.store_keras(), tmp_path / "wide.hdf5")
    model = convert(
        tmp_path / "wide.hdf5",
        tmp_path / "net.mien",
        "--labels",
        "a,b,c,d",
        "--calibrate-count",
        "8",
    )
    assert [layer.op_name for layer in mien.decode_network(model.read_bytes()).layers][-3:] == [
        "conv",
        "global_avg_pool",
        "conv",
    ]
    reference = Torch(tmp_path / "wide.hdf5", 1 / 127.5, -1)
    worst = errors_of(reference, model, smooth(reference.model.input_shape, 1, 8), tmp_path)
    assert set(worst) == set(GRADIENT_METHODS)
    assert all(error < TOLERANCE for error in worst.values()), worst


def test_twin_is_the_folded_float_network(golden_models: Path, tmp_path: Path) -> None:
    path = convert(golden_models / "mini_xception.h5", tmp_path / "twin.mien")
    float_net = fold.fold(keras_file.read_model(str(golden_models / "mini_xception.h5")))
    net = mien.decode_network(path.read_bytes())
    for layer, op in zip(net.layers, float_net.ops):
        if op.weights is not None:
            assert (layer.float_weights == op.weights.astype(np.float32)).all()
            assert (layer.float_bias == op.bias.astype(np.float32)).all()
    # It survives being written again, and leaving it out gives the file without.
    assert mien.encode_network(net) == path.read_bytes()
    for layer in net.layers:
        layer.float_weights = None
    assert b"FLTW" not in mien.encode_network(net)


@needs_mien
def test_a_twin_that_does_not_fit_is_none(golden_models: Path, tmp_path: Path) -> None:
    """Cut, or not finite: the engine never looks, and explanations fall back to the integers."""
    good = convert(golden_models / "mini_xception.h5", tmp_path / "twin.mien")
    kind, sections = mien.read_container(good.read_bytes())
    labels = mien.decode_network(good.read_bytes()).labels
    face = smooth(mien.decode_network(good.read_bytes()).input_shape, 1, 3)[0]
    integers = explain(good, face, ["gradient"], labels[0], tmp_path, "--integers")["gradient"]
    floats = explain(good, face, ["gradient"], labels[0], tmp_path)["gradient"]
    assert np.abs(integers - floats).max() > 0
    for broken in (sections["FLTW"][:-4], b"\x00\x00\xc0\x7f" + sections["FLTW"][4:]):
        bad = tmp_path / "bad.mien"
        bad.write_bytes(mien.write_container(kind, {**sections, "FLTW": broken}))
        assert (explain(bad, face, ["gradient"], labels[0], tmp_path)["gradient"] == integers).all()


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values.ravel())).astype(np.float64)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def faces_of(shape: Tuple[int, int, int], count: int) -> np.ndarray:
    with np.load(Path(DATA or "") / "data" / "fer2013" / "private.npz") as data:
        return image.to_network_input(
            data["images"][:: len(data["images"]) // count][:count, :, :, None], *shape
        )


def grainy(faces: np.ndarray) -> np.ndarray:
    """With some grain: in a flat black corner all values that a max pooling sees are equal, and which of them gets the gradient is up to rounding."""
    grain = np.random.default_rng(5).integers(-3, 4, faces.shape)
    return np.clip(np.clip(faces.astype(np.int16), 3, 252) + grain, 0, 255).astype(np.uint8)


needs_data = pytest.mark.skipif(not DATA, reason="MIEN_DATA is not set")


@needs_mien
@needs_data
@pytest.mark.parametrize("name", sorted(ORIGINAL))
def test_networks_of_the_original(name: str, tmp_path: Path) -> None:
    source = Path(DATA or "") / "models" / name
    scale, offset = ORIGINAL[name]
    model = convert(
        source, tmp_path / "net.mien", "--calibrate-count", "8"
    )  # the twin does not depend on calibration
    reference = Torch(source, scale, offset)
    worst = errors_of(reference, model, grainy(faces_of(reference.model.input_shape, 2)), tmp_path)
    assert set(worst) == set(GRADIENT_METHODS)
    assert all(error < TOLERANCE for error in worst.values()), worst


def integer_agreement(source: Path, model: Path, count: int, folder: Path) -> Dict[str, float]:
    """Mean rank correlation of the maps of the integer weights with those of the float ones, for the predicted class."""
    reference = keras_file.read_model(str(source))
    labels = mien.decode_network(model.read_bytes()).labels
    found: Dict[str, List[float]] = {}
    faces = faces_of(reference.input_shape, count)
    for floats, integers in zip(
        explain_all(model, faces, GRADIENT_METHODS, labels[0], folder),
        explain_all(model, faces, GRADIENT_METHODS, labels[0], folder, "--integers"),
    ):
        for method in floats:
            found.setdefault(method, []).append(rank_correlation(floats[method], integers[method]))
    return {method: float(np.nanmean(values)) for method, values in found.items()}


@needs_mien
@needs_data
def test_integers_point_where_floats_do(tmp_path: Path) -> None:
    source = Path(DATA or "") / "models" / "fer2013_mini_XCEPTION.102-0.66.hdf5"
    model = convert(
        source,
        tmp_path / "net.mien",
        "--calibrate",
        str(Path(DATA or "") / "data" / "fer2013" / "public.npz"),
    )
    agreement = integer_agreement(source, model, 6, tmp_path)
    assert (
        agreement["cam"] > 0.9 and agreement["grad-cam"] > 0.8 and agreement["guided"] > 0.6
    ), agreement


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        for name, (scale, offset) in ORIGINAL.items():
            source = Path(DATA or "") / "models" / name
            model = convert(
                source,
                folder / "net.mien",
                "--calibrate",
                str(Path(DATA or "") / "data" / "fer2013" / "train.npz"),
            )
            reference = Torch(source, scale, offset)
            worst = errors_of(
                reference, model, grainy(faces_of(reference.model.input_shape, 4)), folder
            )
            print(name, "largest relative error", {k: f"{v:.1e}" for k, v in worst.items()})
            if reference.model.class_count == 7:
                print(
                    name,
                    "integers against floats, rank correlation",
                    {k: f"{v:.2f}" for k, v in integer_agreement(source, model, 8, folder).items()},
                )
