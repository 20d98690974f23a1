# SPDX-License-Identifier: MIT
"""Keras models written by Keras itself: the float forward is Keras's, the conversion keeps what they say, bad files get one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mien_tools import errors, fold, keras_file, pictures, quantize, reference
from mien_tools import format as mien

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONVERT = str(ROOT / "tools" / "convert_keras.py")
OUTPUTS = dict(np.load(HERE / "golden" / "outputs.npz"))
PICTURES, SEED = 4, 11  # of make_golden_models.py
PARAMETERS = {"mini_XCEPTION": 58_423, "tiny_XCEPTION": 18_314, "big_XCEPTION": 208_871}


def ends_in_softmax(outputs: np.ndarray) -> bool:
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-5))


def inputs(model: keras_file.KerasModel) -> np.ndarray:
    return pictures.synthetic(PICTURES, model.input_shape, SEED)


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_float_forward_is_keras(name: str, golden_models: Path) -> None:
    model = keras_file.read_model(str(golden_models / name))
    x = reference.scale_pixels(inputs(model), 1 / 127.5, -1).astype(np.float64)
    # The goldens come from Keras on PyTorch, whose AveragePooling2D with `same` padding repeats the edge; TensorFlow, where
    # the original's networks are from, leaves padding out of the mean, and so do we. Only odd_layers can show it.
    tolerance = 2e-3 if name.startswith("odd_layers") else 1e-5
    ours = reference.float_forward(model, x)
    assert np.abs(ours - OUTPUTS[name]).max() < tolerance
    float_net = fold.fold(model)
    folded = (
        reference.softmax(float_net.forward(x))
        if ends_in_softmax(OUTPUTS[name])
        else float_net.forward(x)
    )
    assert np.abs(folded - ours).max() < 1e-5  # batch normalization folded: the same function


def check_engine(net: mien.Network, pixels: np.ndarray, folder: Path) -> None:
    """The engine computes the reference's logits to the bit, on every instruction set. MIEN_NETDUMP is tests/tools/netdump.cpp, built."""
    program = os.environ.get("MIEN_NETDUMP")
    if not program:
        return
    path = folder / "network.mien"
    path.write_bytes(mien.encode_network(net))
    wanted = reference.integer_forward(net, pixels)
    for isa in ("scalar", "best"):
        done = subprocess.run(
            [program, str(path), "--isa", isa],
            input=pixels.tobytes(),
            stdout=subprocess.PIPE,
            check=True,
        )
        got = np.frombuffer(done.stdout, "<f4").reshape(len(pixels), 2, -1)
        assert (got[:, 0] == wanted).all()
        assert (got[:, 1] == reference.scores(net, wanted)).all()


@pytest.mark.parametrize("bits, largest, rows", [(6, 31, 128), (7, 63, 256)])
@pytest.mark.parametrize("rounding", ["error", "nearest"])
def test_fewer_bits(
    bits: int, largest: int, rows: int, rounding: str, golden_models: Path, tmp_path: Path
) -> None:
    name = "mini_xception.h5"
    model = keras_file.read_model(str(golden_models / name))
    labels = [str(i) for i in range(model.class_count)]
    net = quantize.quantize(
        fold.fold(model),
        pictures.synthetic(64, model.input_shape, 3),
        1 / 127.5,
        -1,
        labels,
        quantize.Options(weight_bits=bits, rounding=rounding),
    )
    weights = [layer for layer in net.layers if layer.weights is not None]
    assert any(np.abs(layer.weights).max() == largest for layer in weights)
    assert np.abs(weights[-1].weights.astype(int)).max() == 127  # makes logits
    for layer in weights[:-1]:
        w = layer.weights.astype(int)
        assert np.abs(w).max() <= largest
        if layer.op == mien.DEPTHWISE:
            for sign in (1, -1):
                sums = np.maximum(sign * w, 0).sum(axis=1)
                assert (sums[:-1] + sums[1:]).max() <= rows
    wanted = OUTPUTS[name]
    got = reference.scores(net, reference.integer_forward(net, inputs(model)))
    assert np.abs(got - wanted).max() < 0.1
    check_engine(net, inputs(model), tmp_path)


def test_weight_bits_are_said(golden_models: Path, tmp_path: Path) -> None:
    name = "tiny_xception.keras"
    for bits in ("6", "8"):
        out = tmp_path / f"{bits}.mien"
        subprocess.run(
            [
                sys.executable,
                CONVERT,
                str(golden_models / name),
                "-o",
                str(out),
                "--weight-bits",
                bits,
            ],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said = mien.decode_network(out.read_bytes()).meta["calibration"]
        assert said.get("weight_bits") == (6 if bits == "6" else None)


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_conversion_keeps_the_scores(name: str, golden_models: Path, tmp_path: Path) -> None:
    model = keras_file.read_model(str(golden_models / name))
    labels = [str(i) for i in range(model.class_count)]
    net = quantize.quantize(
        fold.fold(model), pictures.synthetic(64, model.input_shape, 3), 1 / 127.5, -1, labels
    )
    net = mien.decode_network(mien.encode_network(net))
    pixels = inputs(model)
    scores = reference.scores(net, reference.integer_forward(net, pixels))
    # Random weights are the hardest to quantize; trained networks are measured by tests/compare_keras.py.
    spread = max(1.0, float(np.abs(OUTPUTS[name]).max()))
    assert np.abs(scores - OUTPUTS[name]).mean() < 0.06 * spread
    check_engine(net, pixels, tmp_path)


@pytest.mark.parametrize(
    "name", ["simple_CNN", "simpler_CNN", "tiny_XCEPTION", "mini_XCEPTION", "big_XCEPTION"]
)
def test_architectures_of_the_original(name: str, tmp_path: Path) -> None:
    """At full size, built by Keras with random weights: converted and run as they are."""
    pytest.importorskip("keras", reason="Keras is not installed; the reduced goldens stand in")
    pytest.importorskip("torch", reason="PyTorch, the backend, is not installed")
    import make_golden_models as golden

    keras_model = golden.FULL[name]()
    golden.randomise(keras_model, 1)
    path = tmp_path / (name + ".h5")
    keras_model.save(path)
    model = keras_file.read_model(str(path))
    float_net = fold.fold(model)
    if name in PARAMETERS:
        assert model.parameter_count == PARAMETERS[name]
    if name == "mini_XCEPTION":
        assert float_net.macs == 10_163_392
    pixels = inputs(model)
    x = reference.scale_pixels(pixels, 1 / 127.5, -1)
    theirs = keras_model.predict(x, verbose=0).reshape(PICTURES, -1)
    assert np.abs(reference.softmax(float_net.forward(x)) - theirs).max() < 1e-4
    net = quantize.quantize(
        float_net,
        pictures.synthetic(16, model.input_shape, 3),
        1 / 127.5,
        -1,
        [str(i) for i in range(model.class_count)],
        quantize.Options(refit=False, rounding="nearest"),
    )
    check_engine(net, pixels, tmp_path)


def test_shipped_test_models_are_what_the_reference_computes() -> None:
    files = sorted((HERE.parent / "data" / "models").glob("*.mien"))
    assert len(files) >= 8
    for path in files:
        net = mien.decode_network(path.read_bytes())
        for vector in net.tests:
            crcs, logits = reference.layer_checksums(net, vector.pixels)
            assert crcs == list(vector.layer_crcs)
            assert (logits == vector.logits).all()


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, CONVERT, *map(str, arguments)], capture_output=True, text=True
    )


def test_same_input_same_bytes_and_no_overwriting(golden_models: Path, tmp_path: Path) -> None:
    source = golden_models / "mini_xception.h5"
    first, second = tmp_path / "a" / "m.mien", tmp_path / "b" / "m.mien"
    for out in (first, second):
        out.parent.mkdir()
        assert run(source, "-o", out, "--labels", "a,b,c,d,e,f,g").returncode == 0
    assert first.read_bytes() == second.read_bytes()
    again = run(source, "-o", first)
    assert again.returncode == 2 and "exists" in again.stderr


def test_temperature_and_answers(golden_models: Path, tmp_path: Path) -> None:
    """The temperature is in the weights: every probability, also the float original's, is the softer one."""
    source = golden_models / "mini_xception.h5"

    def converted(name: str, *options: str) -> mien.Network:
        out = tmp_path / name
        done = run(source, "-o", out, "--name", "same", "--float-twin", *options)
        assert done.returncode == 0, done.stderr
        return mien.decode_network(out.read_bytes())

    plain, one = converted("a.mien"), converted("b.mien", "--temperature", "1")
    assert mien.encode_network(plain) == mien.encode_network(one) and plain.answer is None
    warm = converted("c.mien", "--temperature", "2", "--unsure-below", "0.4")
    assert warm.answer == mien.Answer(float(np.float32(0.4)))
    assert warm.meta["temperature"] == 2 and "temperature" not in plain.meta
    last = len(warm.layers) - 1
    for i, (a, b) in enumerate(zip(plain.layers, warm.layers)):
        halved = 2 if i == last else 1
        if a.weights is not None:
            assert (a.weights == b.weights).all() and (a.scale == b.scale * halved).all()
            assert (a.float_weights == b.float_weights * halved).all()
    for a, b in zip(plain.tests, warm.tests):
        assert (a.logits == 2 * b.logits).all()
        softer = reference.softmax(np.log(a.probabilities.astype(np.float64)) / 2)
        assert np.abs(softer - b.probabilities).max() < 1e-6
    ages = converted("d.mien", "--values", "1,2,3.5,4,5,6,60", "--unit", "years")
    assert ages.answer == mien.Answer(0.0, [1, 2, 3.5, 4, 5, 6, 60], "years")

    out = tmp_path / "e.mien"
    for options, words in (
        (["--values", "1,2"], "2 values of 7"),
        (["--values", "7,6,5,4,3,2,1"], "ascend"),
        (["--values", "1,2,3,x"], "'x' is not a number"),
        (["--values", "1,2,3,4,5,6,7", "--unit", "centuries"], "8 bytes"),
        (["--values", "1,2,3,4,5,6,7", "--unsure-below", ".5"], "a quantity has a range"),
        (["--unit", "years"], "--unit needs --values"),
        (["--unsure-below", "1.5"], "0..1"),
        (["--temperature", "0"], "above 0"),
    ):
        one_line(run(source, "-o", out, *options), 2, words)
    one_line(run(golden_models / "dense_head.keras", "-o", out, "--temperature", "2"), 2, "softmax")
    assert not out.exists()


def one_line(done: subprocess.CompletedProcess, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.strip().splitlines() if "warning" not in line]
    assert len(lines) == 1 and all(word in lines[0] for word in words), done.stderr


def test_bad_files_get_one_line(golden_models: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mien"
    one_line(run(tmp_path / "missing.h5", "-o", out), 3, "missing.h5")
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    assert run(text, "-o", out).returncode in (3, 4)
    data = (golden_models / "mini_xception.h5").read_bytes()
    for size in (10, len(data) // 2, len(data) - 100):
        cut = tmp_path / "cut.h5"
        cut.write_bytes(data[:size])
        done = run(cut, "-o", out)
        assert (
            done.returncode in (3, 4) and "Traceback" not in done.stderr and "cut.h5" in done.stderr
        )
    one_line(run(golden_models / "mini_xception.h5", "-o", out, "--labels", "a,b"), 2, "labels")
    assert not out.exists()


def change_config(source: Path, target: Path, change) -> None:
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        text = file.attrs["model_config"]
        config = json.loads(text.decode() if isinstance(text, bytes) else text)
        change(config)
        file.attrs["model_config"] = json.dumps(config)


def test_an_unknown_layer_is_named(golden_models: Path, tmp_path: Path) -> None:
    def change(config: dict) -> None:
        next(
            layer for layer in config["config"]["layers"] if layer["class_name"] == "MaxPooling2D"
        )["class_name"] = "GroupNormalization"

    bad = tmp_path / "bad.h5"
    change_config(golden_models / "mini_xception.h5", bad, change)
    one_line(run(bad, "-o", tmp_path / "o.mien"), 4, "bad.h5", "GroupNormalization")


def test_keys_of_other_versions_are_tolerated(golden_models: Path, tmp_path: Path) -> None:
    def change(config: dict) -> None:
        for layer in config["config"]["layers"]:
            layer["config"]["a_key_of_the_future"] = {"x": 1}
            layer["config"].pop("synchronized", None)
            layer["config"].pop("data_format", None)
            if "Conv" in layer["class_name"]:
                layer["config"]["groups"] = 1

    source, changed = golden_models / "mini_xception.h5", tmp_path / "changed.h5"
    change_config(source, changed, change)
    x = np.zeros((1, *keras_file.read_model(str(source)).input_shape))
    assert (
        reference.float_forward(keras_file.read_model(str(changed)), x)
        == reference.float_forward(keras_file.read_model(str(source)), x)
    ).all()
    with h5py.File(changed, "r+") as file:  # as bytes, which old versions wrote
        file.attrs["model_config"] = np.bytes_(file.attrs["model_config"])
    assert keras_file.read_model(str(changed)).class_count == 7


def test_groups_are_refused(golden_models: Path, tmp_path: Path) -> None:
    def change(config: dict) -> None:
        next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D")[
            "config"
        ]["groups"] = 2

    bad = tmp_path / "groups.h5"
    change_config(golden_models / "mini_xception.h5", bad, change)
    with pytest.raises(errors.ModelError, match="group"):
        keras_file.read_model(str(bad))
