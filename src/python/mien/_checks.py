# SPDX-License-Identifier: MIT
"""Arguments of the public functions: what they are, or one sentence that says what they should be."""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any, Iterable, List, NoReturn, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

FLOATS = "pixels are of type uint8, 0 to 255; of floats from 0 to 1 (array * 255).astype('uint8')"


def named(value: Any) -> str:
    """What somebody passed, for a sentence."""
    if value is None:
        return "None"
    if isinstance(value, (str, int, float)) and len(repr(value)) <= 40:
        return repr(value)
    return f"of type {type(value).__name__}"


def whole(name: str, value: Any, lowest: int = -(1 << 31), highest: int = (1 << 31) - 1) -> int:
    """An int, also one of NumPy."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is a whole number, not {named(value)}")
    number = operator.index(value)
    if not lowest <= number <= highest:
        raise ValueError(f"{name} is {lowest} to {highest}, not {number}")
    return number


def real(name: str, value: Any) -> float:
    """A float, also an int or one of NumPy; not NaN."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (Real, np.number)):
        raise TypeError(f"{name} is a number, not {named(value)}")
    number = float(value)
    if number != number:
        raise ValueError(f"{name} is a number, not nan")
    return number


def truth(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is True or False, not {named(value)}")
    return bool(value)


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is a str, not {named(value)}")
    return value


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        listed = " or ".join(f'"{word}"' for word in known)
        raise ValueError(f"{name} must be {listed}, not {named(value)}")
    return value


def numbers(name: str, value: Any, parts: str, count: int) -> List[float]:
    """Of a sequence or an array of so many numbers."""
    wrong = f"{name} is {parts}, not {named(value)}"
    if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, "__iter__"):
        raise TypeError(wrong)
    values = list(value)
    if len(values) != count:
        raise ValueError(f"{name} is {parts}, not {len(values)} values")
    try:
        return [real(name, v) for v in values]
    except (TypeError, ValueError) as error:
        unwanted = str(error).rpartition(", not ")[2]
        raise type(error)(f"{name} is {parts}, each a number, not {unwanted}") from None


def box(value: Any) -> List[int]:
    found = numbers("a box", value, "x, y, width, height", 4)
    if not all(abs(v) < 1 << 31 for v in found):
        raise ValueError("a box is x, y, width, height in pixels")
    return [int(v) for v in found]


def landmarks(value: Any) -> List[Tuple[float, float]]:
    points = "five points (x, y)"
    if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, "__iter__"):
        raise TypeError(f"landmarks are {points}, not {named(value)}")
    found = [numbers("a landmark", point, "x, y", 2) for point in value]
    if len(found) != 5:
        raise ValueError(f"landmarks are {points}, not {len(found)}")
    return [(x, y) for x, y in found]


def faces(value: Any, kinds: Tuple[type, ...]) -> List[Any]:
    """Those of a result, or a list of them."""
    if isinstance(value, kinds):
        raise TypeError("faces are a list of them; of a single face, [face]")
    if value is None or isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise TypeError(f"faces are those of analyze(), not {named(value)}")
    found = list(value)
    for face in found:
        if not isinstance(face, kinds):
            raise TypeError(f"faces are those of analyze(), not {named(face)}")
    return found


def pictures(value: Any) -> Iterable[Any]:
    """Several images, not one of which the parts would be taken for images."""
    one = None
    if isinstance(value, (str, bytes, bytearray, memoryview)) or hasattr(value, "__fspath__"):
        one = "a path or the bytes of one image"
    elif isinstance(value, np.ndarray) and value.ndim < 4:
        one = "an array of one image"
    elif hasattr(value, "convert") and hasattr(value, "mode"):
        one = "one Pillow image"
    if one:
        raise TypeError(f"analyze_many() takes a list of images, not {one}")
    if value is None or isinstance(value, dict) or not hasattr(value, "__iter__"):
        raise TypeError(f"analyze_many() takes a list of images, not {named(value)}")
    return value  # type: ignore[no-any-return]


def no_image(value: Any) -> NoReturn:
    several = "; analyze_many() takes several" if isinstance(value, (list, tuple)) else ""
    raise TypeError(
        "an image is a path, the bytes of a file, a Pillow image or a NumPy array, "
        f"not {type(value).__name__}{several}"
    )


def pixels(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """An array that can hold an image."""
    if array.dtype == np.uint8:
        if array.ndim == 4:
            raise ValueError(
                f"the array has shape {array.shape}, which is {len(array)} images: "
                "analyze_many() takes them"
            )
        if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] > 4:
            raise ValueError(
                f"the array has shape {array.shape}, with its channels first: "
                "an image is (height, width, channels), as array.transpose(1, 2, 0) makes it"
            )
        return array
    if array.dtype.kind == "f":
        raise TypeError(f"{FLOATS}, not {array.dtype}")
    if array.dtype.kind == "b":
        raise TypeError("pixels are of type uint8, 0 to 255, not bool: array * np.uint8(255)")
    if array.dtype.kind in "iu":
        raise TypeError(f"pixels are of type uint8, 0 to 255, not {array.dtype}")
    if array.ndim == 0:
        no_image(array.item())
    raise TypeError(f"an array of {array.dtype} is no image; pixels are of type uint8, 0 to 255")


def path_of(value: str) -> Optional[str]:
    """Why this text is no path; None if it may be one."""
    if not value:
        return "an empty path"
    start = value[:16].lower()
    if start.startswith(("http://", "https://", "ftp://", "rtsp://")):
        return f"{value[:60]}: mien fetches nothing from the network: pass the file or its bytes"
    if start.startswith("data:"):
        return "a data URL: pass its bytes, base64.b64decode(url.split(',', 1)[1])"
    if "\0" in value:
        return "a path with a zero byte; the contents of a file are bytes, not str"
    return None
