# SPDX-License-Identifier: MIT
"""Made-up cascades as XML in both of OpenCV's layouts, for test_cascade.py. They find nothing in particular."""

from __future__ import annotations

from typing import Dict, List, Tuple

# Node of a made-up tree: left, right, feature, threshold. Leaves are numbered by appearance.
Tree = Tuple[List[Tuple[int, int, int, float]], List[float]]


class Random:
    """A small linear congruential generator."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, n: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def real(self, low: float, high: float) -> float:
        return low + (high - low) * self.below(1 << 20) / (1 << 20)


class Made:
    """A cascade as plain lists, and as XML."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.features: List[Tuple[bool, List[Tuple[int, int, int, int, float]]]] = []
        self.stages: List[Tuple[float, List[Tree]]] = []

    def new_layout(self, comment: str = "license: made up, MIT") -> bytes:
        out = [
            '<?xml version="1.0"?>',
            f"<!-- {comment} -->",
            "<opencv_storage>",
            '<cascade type_id="opencv-cascade-classifier">',
            "<stageType>BOOST</stageType><featureType>HAAR</featureType>",
            f"<height>{self.height}</height><width>{self.width}</width>",
            f"<stageParams><maxWeakCount>{max(len(trees) for _, trees in self.stages)}</maxWeakCount></stageParams>",
            "<featureParams><maxCatCount>0</maxCatCount></featureParams>",
            f"<stageNum>{len(self.stages)}</stageNum><stages>",
        ]
        for threshold, trees in self.stages:
            out.append(
                f"<_><maxWeakCount>{len(trees)}</maxWeakCount><stageThreshold>{threshold!r}</stageThreshold><weakClassifiers>"
            )
            for nodes, leaves in trees:
                text = " ".join(f"{a} {b} {f} {t!r}" for a, b, f, t in nodes)
                out.append(
                    f"<_><internalNodes>{text}</internalNodes><leafValues>{' '.join(map(repr, leaves))}</leafValues></_>"
                )
            out.append("</weakClassifiers></_>")
        out.append("</stages><features>")
        for tilted, rectangles in self.features:
            rects = "".join(
                f"<_>{x} {y} {w} {h} {weight:g}.</_>" for x, y, w, h, weight in rectangles
            )
            out.append(
                f"<_><rects>{rects}</rects>" + ("<tilted>1</tilted></_>" if tilted else "</_>")
            )
        return "\n".join(out + ["</features></cascade></opencv_storage>", ""]).encode()

    def old_layout(self) -> bytes:
        out = [
            "<?xml version='1.0'?>",
            "<opencv_storage>",
            '<made_up type_id="opencv-haar-classifier">',
            f"<size>{self.width} {self.height}</size>",
            "<stages>",
        ]
        for threshold, trees in self.stages:
            out.append("<_><trees>")
            for nodes, leaves in trees:
                out.append("<_>")
                for left, right, index, node_threshold in nodes:
                    tilted, rectangles = self.features[index]
                    rects = "".join(
                        f"<_>{x} {y} {w} {h} {weight:g}.</_>" for x, y, w, h, weight in rectangles
                    )
                    out.append(
                        f"<_><feature><rects>{rects}</rects><tilted>{int(tilted)}</tilted></feature><threshold>{node_threshold!r}</threshold>"
                    )
                    for side, child in (("left", left), ("right", right)):
                        out.append(
                            f"<{side}_node>{child}</{side}_node>"
                            if child > 0
                            else f"<{side}_val>{leaves[-child]!r}</{side}_val>"
                        )
                    out.append("</_>")
                out.append("</_>")
            out.append(
                f"</trees><stage_threshold>{threshold!r}</stage_threshold><parent>-1</parent><next>-1</next></_>"
            )
        return "\n".join(out + ["</stages></made_up></opencv_storage>", ""]).encode()


def add_feature(made: Made, random: Random, tilted: bool, third: bool) -> int:
    """Dark against bright halves, upright or tilted, sometimes with a third rectangle."""
    width, height = made.width, made.height
    if tilted:
        h = 1 + random.below(height // 4)
        w = 2 * (1 + random.below(min(width, height) // 6))
        x = h + random.below(width - h - w + 1)
        y = random.below(height - w - h + 1)
        rectangles = [(x, y, w, h, -1.0), (x, y, w // 2, h, 2.0)]
    else:
        w, h = 2 * (1 + random.below(width // 2)), 2 * (1 + random.below(height // 2))
        x, y = random.below(width - w + 1), random.below(height - h + 1)
        rectangles = [(x, y, w, h, -1.0), (x, y, w // 2, h, 2.0)]
        if third:
            rectangles = [
                (x, y, w, h, -1.0),
                (x, y, w // 2, h // 2, 2.0),
                (x + w // 2, y + h // 2, w // 2, h // 2, 2.0),
            ]
    made.features.append((tilted, rectangles))
    return len(made.features) - 1


SHAPES = {  # left and right children of trees with one, two and three nodes
    1: [[(0, -1)]],
    2: [[(1, 0), (-1, -2)], [(0, 1), (-1, -2)]],
    3: [[(1, 2), (0, -1), (-2, -3)], [(1, 0), (2, -1), (-2, -3)]],
}


def make(seed: int, size: Tuple[int, int], stages: List[int], nodes: int, tilted: int) -> Made:
    """`stages`: trees in each. One of `tilted` features is tilted (0: none)."""
    random, made = Random(seed), Made(*size)
    for trees in stages:
        made_trees: List[Tree] = []
        for _ in range(trees):
            shape = SHAPES[nodes][random.below(len(SHAPES[nodes]))]
            tree = []
            for left, right in shape:
                index = add_feature(
                    made,
                    random,
                    bool(tilted) and len(made.features) % tilted == 0,
                    random.below(3) == 0,
                )
                tree.append((left, right, index, random.real(-0.03, 0.03)))
            made_trees.append((tree, [random.real(-1, 1) for _ in range(len(shape) + 1)]))
        made.stages.append((-0.2 * trees**0.5, made_trees))
    return made


def all_cascades() -> Dict[str, Made]:
    return {
        "stumps": make(1, (20, 20), [3, 5, 8], 1, 0),
        "trees": make(2, (24, 24), [2, 4, 6], 2, 0),
        "tilted_trees": make(3, (20, 20), [3, 4], 3, 2),
        "tilted_wide": make(4, (36, 18), [4, 6, 6], 1, 3),
    }
