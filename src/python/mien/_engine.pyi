# Types of the compiled module, for the files beside it; not an interface for users.
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

version: str
heads: Tuple[str, ...]
jpeg_library: str
image_formats: str
image_endings: Tuple[str, ...]
has_explain: bool
explain_methods: Tuple[str, ...]

class WeightsProblem(Exception): ...
class PictureProblem(Exception): ...

Raw = Tuple[int, int, int, Tuple[float, float, float, List[float]], List[Tuple[Any, ...]]]

class Engine:
    def __init__(
        self,
        cascade: Optional[str],
        networks: List[Optional[str]],
        scale_factor: float,
        min_neighbors: int,
        min_size: int,
        max_size: int,
        detect_width: int,
        threads: int,
        isa: str,
        net: Optional[str],
        min_score: float,
        enlarge_to: int,
        any_rotation: bool,
        largest_first: bool,
        max_faces: int,
        crops: bool,
        min_confidence: float,
        network_limit: float,
        stage_weights: bool = False,
    ) -> None: ...
    def search(
        self,
        array: npt.NDArray[np.uint8],
        format: int,
        scale_factor: float,
        min_neighbors: int,
        min_width: int,
        min_height: int,
        max_width: int,
        max_height: int,
        min_score: float,
        /,
    ) -> List[Tuple[int, int, int, int, int, float, float, Tuple[Tuple[float, float], ...]]]: ...
    def window(self) -> Tuple[int, int, int]: ...
    def process(self, array: npt.NDArray[np.uint8], format: int, /) -> Raw: ...
    def detect(self, array: npt.NDArray[np.uint8], format: int, /) -> Raw: ...
    def classify(
        self,
        array: npt.NDArray[np.uint8],
        format: int,
        x: int,
        y: int,
        width: int,
        height: int,
        landmarks: List[float],
        /,
    ) -> Raw: ...
    def classify_crop(self, array: npt.NDArray[np.uint8], format: int, /) -> Raw: ...
    def network_input(
        self,
        array: npt.NDArray[np.uint8],
        format: int,
        box: Optional[List[int]],
        head: int,
        landmarks: List[float],
    ) -> npt.NDArray[np.uint8]: ...
    def explain(
        self,
        array: npt.NDArray[np.uint8],
        format: int,
        box: Optional[List[int]],
        head: int,
        method: str,
        label: int,
        layer: str,
        landmarks: List[float],
    ) -> Tuple[
        npt.NDArray[np.float32], int, Tuple[float, ...], bool, Tuple[int, int, int, int], float
    ]: ...
    def info(self) -> Tuple[str, List[Any], str, str, str]: ...

class Tracker:
    def __init__(
        self,
        engine: Engine,
        smoothing: int,
        average_weight: float,
        max_tracks: int,
        full_every: int,
        cycle_ns: int,
        lost_ns: int,
        keep_neighbors: int,
        /,
    ) -> None: ...
    def process(
        self, array: npt.NDArray[np.uint8], format: int, time_ns: int, /
    ) -> Tuple[int, int, bool, List[Tuple[Any, ...]]]: ...
    def reset(self) -> None: ...

def decode(data: bytes, max_pixels: int, /) -> Tuple[npt.NDArray[np.uint8], str, bool]: ...
def encode(array: npt.NDArray[np.uint8], format: int, jpeg: bool, /) -> bytes: ...
def annotate(
    paper: npt.NDArray[np.uint8],
    engine: Engine,
    boxes: Sequence[List[int]],
    readings: Sequence[List[Tuple[List[float], bool, List[float]]]],
    by_emotion: bool,
    landmarks: Sequence[List[float]],
    /,
) -> None: ...
def draw_map(
    paper: npt.NDArray[np.uint8],
    area: List[int],
    degrees: float,
    values: npt.NDArray[np.float32],
    signed: bool,
    /,
) -> None: ...
def draw_text(
    paper: npt.NDArray[np.uint8],
    left: int,
    top: int,
    text: str,
    size: float,
    r: int,
    g: int,
    b: int,
    /,
) -> None: ...
def text_size(text: str, size: float, /) -> Tuple[int, int]: ...
