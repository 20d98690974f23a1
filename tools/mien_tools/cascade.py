# SPDX-License-Identifier: MIT
"""Reads OpenCV's Haar cascades, both layouts of the XML, with the numbers as OpenCV itself stores them:
every decimal becomes a double, then a single; stage thresholds are lowered by 1e-5 in single precision.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple
from xml.parsers import expat

import numpy as np

from .errors import ModelError
from .format import Cascade, Feature, Tree

_FLT_EPSILON = 1.1920929e-07


class Element:
    """One XML element: its own text and its children. Enough for these files."""

    __slots__ = ("tag", "attributes", "text", "children")

    def __init__(self, tag: str, attributes: Dict[str, str]) -> None:
        self.tag, self.attributes, self.text, self.children = tag, attributes, "", []  # type: ignore[var-annotated]

    def find(self, tag: str) -> Optional["Element"]:
        return next((child for child in self.children if child.tag == tag), None)


class _Refused(Exception):
    pass


def parse_xml(path: str, data: bytes) -> Tuple[Element, str]:
    """The tree, and the comments before the stages (where the license is)."""
    top = Element("", {})
    stack: List[Element] = [top]
    comments: List[str] = []
    in_stages = [False]

    def start(tag: str, attributes: Dict[str, str]) -> None:
        if len(stack) > 64:
            raise _Refused("nested too deeply")
        element = Element(tag, attributes)
        stack[-1].children.append(element)
        stack.append(element)
        in_stages[0] = in_stages[0] or tag == "stages"

    def refuse(*_: object) -> None:
        raise _Refused("a DOCTYPE or entities are not accepted")

    def text(data_: str) -> None:
        stack[-1].text += data_

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = text
    parser.CommentHandler = lambda comment: None if in_stages[0] else comments.append(comment)
    # Entities are how a small file becomes a large one.
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ModelError(
            path,
            f"broken XML: {expat.errors.messages.get(error.code, error)} in line {error.lineno}",
        ) from None
    except (_Refused, ValueError, LookupError) as error:
        raise ModelError(path, f"broken XML: {error}") from None
    return top.children[0], "\n\n".join(c.strip("\n") for c in comments if c.strip())


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path

    def fail(self, what: str) -> ModelError:
        return ModelError(self.path, what)

    def child(self, element: Element, tag: str) -> Element:
        found = element.find(tag)
        if found is None:
            raise self.fail(f"<{tag}> is missing in <{element.tag}>")
        return found

    def numbers(self, element: Element) -> List[float]:
        try:
            values = [float(word) for word in element.text.split()]
        except ValueError:
            raise self.fail(f"<{element.tag}> holds something that is not a number") from None
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.array(values, np.float64).astype(np.float32)).all()
        if not finite:
            raise self.fail(f"<{element.tag}> holds a number that is not finite")
        return values

    def number(self, element: Element, tag: str) -> float:
        values = self.numbers(self.child(element, tag))
        if len(values) != 1:
            raise self.fail(f"<{tag}> is not one number")
        return values[0]

    def integer(self, value: float, what: str) -> int:
        if value != int(value) or abs(value) > 1 << 30:
            raise self.fail(f"{what} {value} is not an integer")
        return int(value)

    def feature(self, element: Element, smallest_third: float) -> Feature:
        rectangles = []
        for item in self.child(element, "rects").children:
            values = self.numbers(item)
            if len(values) != 5:
                raise self.fail("a rectangle is not x y width height weight")
            rectangles.append(
                tuple(self.integer(v, "a rectangle's") for v in values[:4]) + (single(values[4]),)
            )
        if len(rectangles) == 3 and abs(rectangles[2][4]) <= smallest_third:
            rectangles.pop()  # OpenCV leaves it out of the sum
        tilted = element.find("tilted")
        return Feature(tilted is not None and any(self.numbers(tilted)), rectangles)


def single(value: float) -> float:
    """As OpenCV reads: decimal to double, double to single."""
    return float(np.float32(value))


def _stage_threshold(value: float) -> float:
    return float(np.float32(value) - np.float32(1e-5))


def _new_layout(reader: _Reader, root: Element) -> Cascade:
    kinds = [(reader.child(root, tag).text.strip()) for tag in ("stageType", "featureType")]
    if kinds != ["BOOST", "HAAR"]:
        raise reader.fail(f"a cascade of type {' '.join(kinds)} is not supported (BOOST HAAR is)")
    size = [reader.integer(reader.number(root, tag), tag) for tag in ("width", "height")]
    features = [reader.feature(item, 0.0) for item in reader.child(root, "features").children]
    stages = []
    for stage in reader.child(root, "stages").children:
        trees = []
        for weak in reader.child(stage, "weakClassifiers").children:
            values = reader.numbers(reader.child(weak, "internalNodes"))
            if not values or len(values) % 4:
                raise reader.fail(
                    f"stage {len(stages)}, tree {len(trees)}: internalNodes are not four numbers a node"
                )
            nodes = []
            for i in range(0, len(values), 4):
                left, right, feature = (
                    reader.integer(v, "internalNodes:") for v in values[i : i + 3]
                )
                nodes.append((left, right, feature, single(values[i + 3])))
            trees.append(
                Tree(nodes, [single(v) for v in reader.numbers(reader.child(weak, "leafValues"))])
            )
        stages.append((_stage_threshold(reader.number(stage, "stageThreshold")), trees))
    return Cascade(size[0], size[1], stages, features)


def _old_layout(reader: _Reader, root: Element) -> Cascade:
    size = reader.numbers(reader.child(root, "size"))
    if len(size) != 2:
        raise reader.fail("<size> is not width height")
    features: List[Feature] = []
    stages = []
    for stage in reader.child(root, "stages").children:
        trees = []
        for item in reader.child(stage, "trees").children:
            nodes: List[Tuple[int, int, int, float]] = []
            leaves: List[float] = []
            for node in item.children:
                children = []
                for side in ("left", "right"):
                    if node.find(f"{side}_node") is not None:
                        children.append(
                            reader.integer(reader.number(node, f"{side}_node"), f"{side}_node")
                        )
                        if children[-1] < 1:
                            raise reader.fail(
                                f"stage {len(stages)}, tree {len(trees)}: {side}_node {children[-1]}"
                            )
                    else:  # leaves are numbered as they appear
                        children.append(-len(leaves))
                        leaves.append(single(reader.number(node, f"{side}_val")))
                nodes.append(
                    (
                        children[0],
                        children[1],
                        len(features),
                        single(reader.number(node, "threshold")),
                    )
                )
                features.append(reader.feature(reader.child(node, "feature"), _FLT_EPSILON))
            trees.append(Tree(nodes, leaves))
        stages.append((_stage_threshold(reader.number(stage, "stage_threshold")), trees))
    return Cascade(
        reader.integer(size[0], "width"), reader.integer(size[1], "height"), stages, features
    )


def _parents_first(tree: Tree) -> bool:
    """Renumbers the nodes so that each child comes after its parent; False when the nodes form a loop or name no node."""
    nodes = tree.nodes
    if any(child >= len(nodes) for node in nodes for child in node[:2]):
        return False
    if all(child <= 0 or child > n for n, node in enumerate(nodes) for child in node[:2]):
        return True
    waiting = [0] * len(nodes)  # parents not placed yet
    for node in nodes:
        for child in node[:2]:
            if child > 0:
                waiting[child] += 1
    ready, order = [n for n in range(len(nodes)) if waiting[n] == 0], []
    while ready:
        n = ready.pop(0)
        order.append(n)
        for child in nodes[n][:2]:
            if child > 0:
                waiting[child] -= 1
                if waiting[child] == 0:
                    ready.append(child)
    if len(order) != len(nodes) or order[0] != 0:
        return False
    place = {old: new for new, old in enumerate(order)}
    tree.nodes = [
        tuple(place[c] if c > 0 else c for c in nodes[n][:2]) + nodes[n][2:] for n in order
    ]
    return True


def read_cascade(path: str, data: bytes) -> Tuple[Cascade, str]:
    """The cascade and the license text in the comments at the top of the file."""
    root, licence = parse_xml(path, data)
    reader = _Reader(path)
    if root.tag != "opencv_storage" or not root.children:
        raise reader.fail("not an OpenCV cascade")
    body = root.children[0]
    if body.attributes.get("type_id") == "opencv-haar-classifier":
        cascade = _old_layout(reader, body)
    elif body.find("featureType") is not None:
        cascade = _new_layout(reader, body)
    else:
        raise reader.fail("not a cascade of a layout that is known")
    trees = cascade.trees
    if all(len(tree.nodes) == 1 for tree in trees):
        # OpenCV evaluates such cascades without looking at the children: leaf 0 for less, leaf 1 otherwise.
        for tree in trees:
            tree.nodes = [(0, -1) + tree.nodes[0][2:]]
    for number, tree in enumerate(trees):
        if not _parents_first(tree):
            raise reader.fail(
                f"tree {number}: its nodes form a loop or name nodes that are not there"
            )
    return cascade, licence
