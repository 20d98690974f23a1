# SPDX-License-Identifier: MIT
"""Are OpenCV's cascades read as OpenCV reads them?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import pytest

import made_cascades
from mien_tools import cascade, errors
from mien_tools import format as mien

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = [Path("/usr/share/opencv4/haarcascades"), Path("/usr/share/opencv/haarcascades")]

# width, height, stages, trees, nodes, nodes with tilted features
COUNTS: Dict[str, Tuple[int, int, int, int, int, int]] = {
    "eye": (20, 20, 24, 1066, 1066, 0),
    "eye_tree_eyeglasses": (20, 20, 30, 851, 2553, 577),
    "frontalcatface": (24, 24, 20, 1275, 1275, 0),
    "frontalcatface_extended": (24, 24, 20, 1184, 1184, 306),
    "frontalface_alt": (20, 20, 22, 2135, 2135, 0),
    "frontalface_alt2": (20, 20, 20, 1047, 2094, 0),
    "frontalface_alt_tree": (20, 20, 47, 8468, 8468, 0),
    "frontalface_default": (24, 24, 25, 2913, 2913, 0),
    "fullbody": (14, 28, 30, 1464, 1464, 201),
    "lefteye_2splits": (20, 20, 20, 366, 732, 185),
    "licence_plate_rus_16stages": (64, 16, 16, 91, 91, 0),
    "lowerbody": (19, 23, 27, 1221, 1221, 110),
    "profileface": (20, 20, 26, 2609, 2609, 0),
    "righteye_2splits": (20, 20, 20, 368, 736, 186),
    "russian_plate_number": (60, 20, 20, 212, 212, 7),
    "smile": (36, 18, 20, 569, 569, 117),
    "upperbody": (22, 18, 30, 2423, 2423, 474),
}


def read(data: bytes) -> mien.Cascade:
    return cascade.read_cascade("x.xml", data)[0]


@pytest.mark.long
@pytest.mark.parametrize("name", COUNTS)
def test_opencvs_files(name: str) -> None:
    path = next(
        (
            f / f"haarcascade_{name}.xml"
            for f in FOLDERS
            if (f / f"haarcascade_{name}.xml").exists()
        ),
        None,
    )
    if path is None:
        pytest.skip("Debian's opencv-data is not installed")
    result, licence = cascade.read_cascade(str(path), path.read_bytes())
    again = mien.decode_cascade(mien.encode_cascade(result))
    nodes = [node for tree in again.trees for node in tree.nodes]
    tilted = sum(again.features[node[2]].tilted for node in nodes)
    assert (
        again.width,
        again.height,
        len(again.stages),
        len(again.trees),
        len(nodes),
        tilted,
    ) == COUNTS[name]
    assert again.stumps == (len(again.trees) == len(nodes))
    assert again.trees == result.trees and again.features == result.features
    if name == "frontalface_default":
        assert "Intel" in licence and "copyright" in licence.lower()
        # The numbers of its first stage, by hand.
        threshold, trees = again.stages[0]
        assert threshold == float(np.float32(np.float32(-5.0425500869750977) - np.float32(1e-5)))
        assert trees[0].nodes == [(0, -1, 0, float(np.float32(-3.1511999666690826e-02)))]
        assert again.features[0].rectangles == [(6, 4, 12, 9, -1.0), (6, 7, 12, 3, 3.0)]


@pytest.mark.parametrize("name,made", made_cascades.all_cascades().items())
def test_both_layouts_give_the_same(name: str, made: made_cascades.Made) -> None:
    new, old = read(made.new_layout()), read(made.old_layout())
    assert mien.encode_cascade(new) == mien.encode_cascade(old)
    assert new.stumps == (name in ("stumps", "tilted_wide"))
    threshold, trees = made.stages[1]
    assert new.stages[1][0] == float(np.float32(threshold) - np.float32(1e-5))
    assert new.stages[1][1][0].leaves == [float(np.float32(v)) for v in trees[0][1]]
    assert [f.tilted for f in new.features] == [tilted for tilted, _ in made.features]


def test_children_of_stumps_do_not_count() -> None:
    made = made_cascades.make(5, (20, 20), [2, 2], 1, 0)
    expected = read(made.new_layout())
    for _, trees in made.stages:
        for nodes, _ in trees:
            nodes[0] = (-1, 0) + nodes[0][2:]
    assert mien.encode_cascade(read(made.new_layout())) == mien.encode_cascade(expected)


def test_nodes_before_their_parents_are_renumbered() -> None:
    made = made_cascades.make(6, (20, 20), [1, 1], 3, 0)
    nodes, leaves = made.stages[0][1][0]
    a, b, c = nodes[0][2:], nodes[1][2:], nodes[2][2:]
    made.stages[0][1][0] = ([(2, 0) + a, (-1, -2) + c, (1, -3) + b], leaves)
    assert read(made.new_layout()).stages[0][1][0].nodes == [
        (1, 0, a[0], float(np.float32(a[1]))),
        (2, -3, b[0], float(np.float32(b[1]))),
        (-1, -2, c[0], float(np.float32(c[1]))),
    ]
    made.stages[0][1][0] = ([(1, 0) + a, (2, -1) + b, (1, -2) + c], leaves)
    with pytest.raises(errors.ModelError, match="loop"):
        read(made.new_layout())


def damaged() -> Dict[str, bytes]:
    xml = made_cascades.make(7, (20, 20), [2, 2], 1, 0).new_layout()
    return {
        "cut": xml[: len(xml) // 2],
        "empty": b"",
        "LBP": xml.replace(b">HAAR<", b">LBP<"),
        "HOG": xml.replace(b">HAAR<", b">HOG<"),
        "no stages": xml.replace(b"stages>", b"stags>"),
        "DOCTYPE": xml.replace(
            b"?>", b'?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', 1
        ),
        "other": b"<html><body/></html>",
        "not a number": xml.replace(b"<width>20", b"<width>ab"),
        "not finite": xml.replace(b"<stageThreshold>", b"<stageThreshold>1e99 "),
        "nan": xml.replace(b"<leafValues>", b"<leafValues>nan "),
        "window": xml.replace(b"<width>20", b"<width>2"),
        "rectangle": xml.replace(b"<width>20", b"<width>4"),
        "feature": xml.replace(b"<internalNodes>0 -1 0", b"<internalNodes>0 -1 99"),
        "leaves": xml.replace(b"<leafValues>", b"<leafValues>0.5 "),
        "encoding": b"\xff\xfe\x00\x80" + xml,
        "deep": b"<opencv_storage>" + b"<a>" * 5000,
    }


@pytest.mark.parametrize("what", damaged())
def test_damage_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    source = tmp_path / "bad.xml"
    source.write_bytes(damaged()[what])
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools" / "convert_cascade.py"),
            str(source),
            "-o",
            str(tmp_path / "out.mien"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith(f"convert_cascade: {source}: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.mien").exists()


def test_random_damage_raises_nothing_else() -> None:
    xml = made_cascades.make(8, (20, 20), [1, 2], 2, 3).new_layout()
    random = np.random.default_rng(3)
    for _ in range(1500):
        bad = bytearray(xml)
        for at in random.integers(0, len(xml), random.integers(1, 3)):
            bad[at] = random.integers(32, 127)
        try:
            mien.encode_cascade(read(bytes(bad)))
        except errors.ModelError:
            pass


def test_command_line(tmp_path: Path) -> None:
    source, target, licence = tmp_path / "a.xml", tmp_path / "a.mien", tmp_path / "licence"
    source.write_bytes(
        made_cascades.make(9, (20, 20), [2], 1, 0).new_layout("License of this file")
    )
    licence.write_text("another license\n")

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(ROOT / "tools" / "convert_cascade.py"), *arguments],
            capture_output=True,
            text=True,
        )

    done = run(str(source), "-o", str(target))
    assert done.returncode == 0 and "1 stages, 2 trees" in done.stdout, done.stderr
    first = target.read_bytes()
    assert mien.decode_cascade(first).meta["licence_text"].strip() == "License of this file"
    assert run(str(source), "-o", str(target)).returncode == 2
    assert (
        run(str(source), "-o", str(target), "-y").returncode == 0 and target.read_bytes() == first
    )
    assert run(str(source), "-o", str(target), "-y", "--license-file", str(licence)).returncode == 0
    assert mien.decode_cascade(target.read_bytes()).meta["licence_text"] == "another license"
    assert json.dumps(str(tmp_path))[1:-1].encode() not in target.read_bytes()
    assert run(str(tmp_path / "missing.xml"), "-o", str(tmp_path / "b")).returncode == 3
    assert run("--nonsense").returncode == 2


def test_no_output_replaces_what_is_read(tmp_path: Path) -> None:
    """Of the converters and the training program, whatever option names it: not the input, under none of its names."""
    data, faces = tmp_path / "data.csv", tmp_path / "faces" / "happy"
    faces.mkdir(parents=True)
    image = faces / "a.png"
    link, model = tmp_path / "link.csv", tmp_path / "model.hdf5"
    for path in (data, image, model):
        path.write_bytes(b"precious")
    link.symlink_to(data)
    commands = [
        ("convert_keras", (model, "-o", model)),
        ("convert_cascade", (model, "-o", data, "--license-file", link)),
        ("convert_cascade", (model, "-o", model)),
        ("convert_yunet", (model, "--calibrate", tmp_path / "faces", "-o", model)),
        ("train", ("adjust", model, "--data", data, "-o", model)),
        ("train", ("adjust", model, "--data", data, "--validate", f"held={link}", "-o", data)),
        ("train", ("crops", tmp_path / "faces", "-o", image)),
        ("train", ("calibration", "--data", tmp_path / "faces", "-o", image)),
    ]
    main = {"train": "train/__main__.py"}
    for tool, arguments in commands:
        yes = [] if "-y" in arguments else ["-y"]
        done = subprocess.run(
            [
                sys.executable,
                str(ROOT / "tools" / main.get(tool, tool + ".py")),
                *map(str, arguments),
                *yes,
            ],
            capture_output=True,
            text=True,
        )
        if " is missing" in done.stderr or "No module named" in done.stderr:
            continue
        assert done.returncode == 2, (tool, arguments, done.stderr)
        assert done.stderr.endswith("would overwrite an input of this run\n"), done.stderr
    assert {path.read_bytes() for path in (data, image, model)} == {b"precious"}


def test_a_new_file_has_the_mode_of_the_old_one(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    errors.write_file(link, b"new", True)
    assert path.read_bytes() == b"new" and link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    errors.note_input(link)
    with pytest.raises(errors.UsageError):
        errors.write_file(path, b"lost", True)
    assert path.read_bytes() == b"new"
