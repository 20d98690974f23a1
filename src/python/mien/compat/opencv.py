# SPDX-License-Identifier: MIT
"""CascadeClassifier and FaceDetectorYN of OpenCV, by mien: same arguments, same arrays, no OpenCV.

from mien.compat.opencv import CascadeClassifier     # was: from cv2 import CascadeClassifier

CascadeClassifier gives the rectangles, counts, levels and weights of OpenCV 4.14, in the order that
one thread of OpenCV finds them. FaceDetectorYN runs mien's detector network, which is YuNet in
int8. docs/MIGRATION.md says what differs.
"""

from __future__ import annotations

import operator
import os
from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from .. import _engine
from ..engine import FORMATS

__all__ = [
    "CASCADE_DO_CANNY_PRUNING",
    "CASCADE_DO_ROUGH_SEARCH",
    "CASCADE_FIND_BIGGEST_OBJECT",
    "CASCADE_SCALE_IMAGE",
    "CascadeClassifier",
    "FaceDetectorYN",
    "FaceDetectorYN_create",
    "data",
    "error",
]

CASCADE_DO_CANNY_PRUNING, CASCADE_SCALE_IMAGE = 1, 2
CASCADE_FIND_BIGGEST_OBJECT, CASCADE_DO_ROUGH_SEARCH = 4, 8

_SMALLEST_FACTOR, _LARGEST_FACTOR = 1.001, 1e6
_FRONTAL_FACE = "haarcascade_frontalface_default.xml"
_NO_HEADS: List[Optional[str]] = [None] * len(_engine.heads)

Array = npt.NDArray[Any]
Size = Sequence[int]


class error(Exception):
    """What OpenCV would raise as cv2.error."""


class data:
    """As cv2.data. The package has one cascade: haarcascade_frontalface_default.xml, inside the
    module; other files must lie somewhere (Debian's opencv-data, the package opencv-python)."""

    haarcascades = os.path.join(os.path.dirname(__file__), "data", "")


def _engine_of(**changes: Any) -> _engine.Engine:
    """A detector without networks for faces."""
    options: dict[str, Any] = {
        "cascade": None,
        "networks": _NO_HEADS,
        "scale_factor": 1.1,
        "min_neighbors": 3,
        "min_size": 0,
        "max_size": 0,
        "detect_width": 0,
        "threads": 1,
        "isa": "best",
        "net": None,
        "min_score": 0.0,
        "enlarge_to": 0,
        "any_rotation": False,
        "largest_first": False,
        "max_faces": 0,
        "crops": False,
        "min_confidence": -1.0,
        "network_limit": 1.0,
        "stage_weights": False,
    }
    try:
        return _engine.Engine(**{**options, **changes})
    except _engine.WeightsProblem as problem:
        raise error(str(problem)) from None


def _integer(value: Any, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise error(f"Argument '{name}' is required to be an integer") from None


def _number(value: Any, name: str) -> float:
    if isinstance(value, (str, bytes)):
        raise error(f"Argument '{name}' can not be treated as a double")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise error(f"Argument '{name}' can not be treated as a double") from None


def _size(value: Optional[Size], name: str) -> Tuple[int, int]:
    if value is None:
        return 0, 0
    try:
        width, height = value
    except (TypeError, ValueError):
        raise error(f"Can't parse '{name}': two integers are needed") from None
    return _integer(width, name), _integer(height, name)


def _format_of(image: Array) -> int:
    """Of an image that OpenCV would take: one channel, BGR or BGRA."""
    if image.dtype != np.uint8:
        raise error(f"image data type = {image.dtype} is not supported: uint8 is")
    channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
    if channels not in (1, 3, 4):
        raise error(f"an image of shape {image.shape}: (height, width), or with 1, 3 or 4 channels")
    return FORMATS[{1: "gray", 3: "bgr", 4: "bgra"}[channels]]


def _found(engine: _engine.Engine, image: Array, *options: Any) -> List[Tuple[Any, ...]]:
    number = _format_of(image)
    if number == FORMATS["gray"] and image.ndim == 3:
        image = image[:, :, 0]
    try:
        return list(engine.search(image, number, *options))
    except (_engine.PictureProblem, ValueError) as problem:
        raise error(str(problem)) from None


def _array(values: List[Any], dtype: Any) -> Union[Array, Tuple[()]]:
    """As OpenCV returns a vector: a tuple where there is nothing."""
    return np.array(values, dtype) if values else ()


class CascadeClassifier:
    """Haar cascades of OpenCV's XML files, old and new, or of .mien files."""

    def __init__(self, filename: Optional[Union[str, "os.PathLike[str]"]] = None) -> None:
        self._engine: Optional[_engine.Engine] = None
        self._weighing: Optional[_engine.Engine] = None  # the same with stage weights
        self._path, self._reason = "", "nothing was loaded"
        self._process = os.getpid()
        if filename is not None:
            self.load(filename)

    def load(self, filename: Union[str, "os.PathLike[str]"]) -> bool:
        """False, and empty(), if there is no such file; `error` for one that is damaged, or has no
        Haar features (LBP, HOG)."""
        self._engine = self._weighing = None
        path = os.fspath(filename)
        if path == data.haarcascades + _FRONTAL_FACE:
            path = ""  # inside the module
        elif not os.path.isfile(path):
            self._reason = f"{path}: there is no such file"
            return False
        self._engine = _engine_of(cascade=path)
        self._path, self._process = path, os.getpid()
        return True

    def empty(self) -> bool:
        return self._engine is None

    def _loaded(self, weights: bool = False) -> _engine.Engine:
        if self._engine is None:
            raise error(f"!empty(): {self._reason}")
        if os.getpid() != self._process:  # a child after fork() has none of the engine's threads
            self.load(self._path or data.haarcascades + _FRONTAL_FACE)
        if not weights:
            return self._engine
        if self._weighing is None:
            self._weighing = _engine_of(cascade=self._path, stage_weights=True)
        return self._weighing

    def getOriginalWindowSize(self) -> Tuple[int, int]:
        return self._loaded().window()[:2]

    def getFeatureType(self) -> int:
        self._loaded()
        return 0  # FeatureEvaluator::HAAR

    def isOldFormatCascade(self) -> bool:
        """False, as in OpenCV 4: old files are converted when they are loaded."""
        self._loaded()
        return False

    def __reduce__(self) -> Any:  # for other processes: loaded again there
        if self._engine is None:
            return CascadeClassifier, ()
        return CascadeClassifier, (self._path or data.haarcascades + _FRONTAL_FACE,)

    def _detect(
        self,
        image: Optional[Array],
        scaleFactor: float,
        minNeighbors: int,
        flags: int,
        minSize: Optional[Size],
        maxSize: Optional[Size],
        weights: bool = False,
    ) -> List[Tuple[Any, ...]]:
        factor, neighbors = (
            _number(scaleFactor, "scaleFactor"),
            _integer(minNeighbors, "minNeighbors"),
        )
        _integer(flags, "flags")  # of cascades of OpenCV 1; OpenCV 4 ignores them, too
        low, high = _size(minSize, "minSize"), _size(maxSize, "maxSize")
        engine = self._loaded(weights)
        if image is not None and not isinstance(image, np.ndarray):
            raise error("image is not a numpy array")
        if not factor > 1:
            raise error("scaleFactor > 1 is needed")
        if factor < _SMALLEST_FACTOR:
            raise error(f"scaleFactor {factor}: mien needs {_SMALLEST_FACTOR} or more")
        if image is None or image.size == 0:
            return []
        if high[0] == 0 or high[1] == 0:
            high = 0, 0  # the image's, as in OpenCV
        elif min(high) < 0:
            return []
        return _found(
            engine,
            image,
            min(factor, _LARGEST_FACTOR),
            max(neighbors, 0),
            max(low[0], 0),
            low[1] if low[1] > 0 else -1,
            *high,
            0.0,
        )

    def detectMultiScale(
        self,
        image: Optional[Array],
        scaleFactor: float = 1.1,
        minNeighbors: int = 3,
        flags: int = 0,
        minSize: Optional[Size] = None,
        maxSize: Optional[Size] = None,
    ) -> Union[Array, Tuple[()]]:
        """int32 (n, 4): x, y, width, height; () without any."""
        found = self._detect(image, scaleFactor, minNeighbors, flags, minSize, maxSize)
        return _array([face[:4] for face in found], np.int32)

    def detectMultiScale2(
        self,
        image: Optional[Array],
        scaleFactor: float = 1.1,
        minNeighbors: int = 3,
        flags: int = 0,
        minSize: Optional[Size] = None,
        maxSize: Optional[Size] = None,
    ) -> Tuple[Union[Array, Tuple[()]], Union[Array, Tuple[()]]]:
        """The rectangles, and int32 (n,): how many windows each was made of."""
        found = self._detect(image, scaleFactor, minNeighbors, flags, minSize, maxSize)
        return (
            _array([face[:4] for face in found], np.int32),
            _array([face[4] for face in found], np.int32),
        )

    def detectMultiScale3(
        self,
        image: Optional[Array],
        scaleFactor: float = 1.1,
        minNeighbors: int = 3,
        flags: int = 0,
        minSize: Optional[Size] = None,
        maxSize: Optional[Size] = None,
        outputRejectLevels: bool = False,
    ) -> Tuple[Union[Array, Tuple[()]], Union[Array, Tuple[()]], Union[Array, Tuple[()]]]:
        """The rectangles; with outputRejectLevels int32 (n,), the stages that each passed, which
        are all, and float64 (n,), the sum of the last one. Without, both are () (OpenCV 4.14 raises
        an error there)."""
        found = self._detect(
            image, scaleFactor, minNeighbors, flags, minSize, maxSize, bool(outputRejectLevels)
        )
        boxes = _array([face[:4] for face in found], np.int32)
        if not outputRejectLevels:
            return boxes, (), ()
        stages = self._loaded().window()[2]
        return (
            boxes,
            _array([stages] * len(found), np.int32),
            _array([face[5] for face in found], np.float64),
        )


class FaceDetectorYN:
    """The network face detector of OpenCV's face_detection_yunet; made by create()."""

    _net: str
    _engine: _engine.Engine
    _process: int

    def __init__(self) -> None:
        raise error("FaceDetectorYN.create() makes one")

    @classmethod
    def create(
        cls,
        model: Union[str, "os.PathLike[str]"],
        config: str,
        input_size: Size,
        score_threshold: float = 0.9,
        nms_threshold: float = 0.3,
        top_k: int = 5000,
        backend_id: int = 0,
        target_id: int = 0,
    ) -> "FaceDetectorYN":
        """`model`: "" or a file of YuNet (face_detection_yunet_*.onnx, which need not be there) is
        mien's detector; another detector is a .mien file. `config`, `backend_id` and `target_id`
        change nothing; `nms_threshold` is kept, but the network's file says which boxes overlap
        (0.3)."""
        path = os.fspath(model)
        name = os.path.basename(path)
        if path.endswith(".mien"):
            net = path
        elif not path or ("yunet" in name.lower() and name.endswith(".onnx")):
            net = ""  # inside the module
        else:
            raise error(f"{path}: mien runs YuNet, or a detector in a .mien file")
        self = object.__new__(cls)
        self._net = net
        self._start()
        self.setInputSize(input_size)
        self.setScoreThreshold(score_threshold)
        self.setNMSThreshold(nms_threshold)
        self.setTopK(top_k)
        return self

    def _start(self) -> None:
        self._engine = _engine_of(net=self._net)
        self._process = os.getpid()

    def setInputSize(self, input_size: Size) -> None:
        self._size = _size(input_size, "input_size")

    def getInputSize(self) -> Tuple[int, int]:
        return self._size

    def setScoreThreshold(self, score_threshold: float) -> None:
        self._score = _number(score_threshold, "score_threshold")

    def getScoreThreshold(self) -> float:
        return self._score

    def setNMSThreshold(self, nms_threshold: float) -> None:
        self._overlap = _number(nms_threshold, "nms_threshold")

    def getNMSThreshold(self) -> float:
        return self._overlap

    def setTopK(self, top_k: int) -> None:
        self._top = _integer(top_k, "top_k")

    def getTopK(self) -> int:
        return self._top

    def detect(self, image: Array, faces: Any = None) -> Tuple[int, Optional[npt.NDArray[Any]]]:
        """(1, float32 (n, 15)): x, y, width, height, right eye, left eye, tip of the nose, right
        and left corner of the mouth, score; the best first. None without any. The boxes have whole
        numbers."""
        if not isinstance(image, np.ndarray):
            raise error("image is not a numpy array")
        if image.size == 0:
            return 0, None
        if (image.shape[1], image.shape[0]) != self._size:
            raise error(
                "Size does not match. Call setInputSize(size) if input size does not match the preset size"
            )
        if os.getpid() != self._process:
            self._start()
        if self._score > 1:
            return 1, None
        found = _found(self._engine, image, 1.1, 3, 0, 0, 0, 0, max(self._score, 1e-6))
        found.sort(key=lambda face: -face[6])
        if self._top > 0:
            found = found[: self._top]
        rows = [[*face[:4], *(v for point in face[7] for v in point), face[6]] for face in found]
        return 1, np.array(rows, np.float32) if rows else None


FaceDetectorYN_create = FaceDetectorYN.create
