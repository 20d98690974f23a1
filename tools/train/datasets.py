# SPDX-License-Identifier: MIT
"""Labeled faces from wherever a user has them: which files are read, what each means, what was rejected and why.

`load` looks at a path and picks the reader:
  fer2013.csv              columns emotion, pixels, Usage; FER+ votes from --votes ferplus.csv or a neighbor of that name
  folder of FER .npz       train.npz, public.npz, private.npz with images, labels and perhaps votes
  one .npz                 images + labels, or jpeg + offset + gender (UTKFace)
  IMDB-WIKI .mat           imdb.mat or wiki.mat beside its images
  UTKFace folder           files named age_gender_race_date
  KDEF folder              files named like AF01ANS.JPG
  CK+ folder               cohn-kanade-images and Emotion
  RAF-DB folder            Image/aligned and EmoLabel/list_patition_label.txt
  any other folder         one sub-folder per class, perhaps below train/, validation/ and test/
"""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from mien_tools import image, pictures
from mien_tools.errors import ModelError, UnreadableError

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
GENDERS = ("woman", "man")
AGE_GROUP_ENDS = (4, 12, 19, 29, 39, 49, 59)  # years
ANCESTRIES = ("White", "Black", "Asian", "Indian", "other")
VOTE_NAMES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
_VOTES_OF_EMOTIONS = (4, 5, 6, 1, 3, 2, 0)  # columns of VOTE_NAMES in the order of EMOTIONS
SPLITS = ("train", "validation", "test")

# What people call the same class.
_SYNONYMS = {
    "anger": "angry",
    "an": "angry",
    "mad": "angry",
    "disgusted": "disgust",
    "di": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "scared": "fear",
    "af": "fear",
    "happiness": "happy",
    "ha": "happy",
    "joy": "happy",
    "smile": "happy",
    "sadness": "sad",
    "sa": "sad",
    "surprised": "surprise",
    "su": "surprise",
    "ne": "neutral",
    "calm": "neutral",
    "female": "woman",
    "f": "woman",
    "women": "woman",
    "male": "man",
    "m": "man",
    "men": "man",
}
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}


@dataclass
class Samples:
    """Images of one split; optional columns are empty or as long as the images."""

    images: np.ndarray  # uint8 [N, h, w, c]
    labels: np.ndarray  # int64 [N]
    names: List[str] = field(default_factory=list)
    votes: Optional[np.ndarray] = None  # float32 [N, 10], FER+
    age: Optional[np.ndarray] = None
    ancestry: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, keep: np.ndarray) -> "Samples":
        rows = np.flatnonzero(keep) if keep.dtype == bool else keep
        pick = lambda column: None if column is None else column[rows]  # noqa: E731
        return Samples(
            self.images[rows],
            self.labels[rows],
            [self.names[i] for i in rows] if self.names else [],
            pick(self.votes),
            pick(self.age),
            pick(self.ancestry),
        )


@dataclass
class Dataset:
    path: str
    kind: str
    classes: Tuple[str, ...]
    splits: Dict[str, Samples]
    rejected: Counter = field(default_factory=Counter)  # reason -> images
    examples: Dict[str, str] = field(default_factory=dict)  # reason -> the first of them

    @property
    def least_likeness(self) -> float:
        """Likeness from which two of its images are taken for copies."""
        return ALIGNED_LIKENESS if self.kind.startswith("UTKFace") else LEAST_LIKENESS

    def reject(self, reason: str, where: str) -> None:
        self.rejected[reason] += 1
        self.examples.setdefault(reason, where)

    def table(self) -> str:
        """What was read, per class and split, and what was not."""
        names = [s for s in SPLITS if s in self.splits]
        width = max(8, *(len(c) for c in self.classes))
        lines = [
            f"{self.path}: {self.kind}",
            f"{'':{width}} " + " ".join(f"{s:>10}" for s in names),
        ]
        counts = {s: np.bincount(self.splits[s].labels, minlength=len(self.classes)) for s in names}
        lines += [
            f"{label:{width}} " + " ".join(f"{counts[s][k]:>10,}" for s in names)
            for k, label in enumerate(self.classes)
        ]
        lines.append(f"{'all':{width}} " + " ".join(f"{counts[s].sum():>10,}" for s in names))
        lines += [
            f"rejected {number:,}: {reason} (first: {self.examples[reason]})"
            for reason, number in self.rejected.most_common()
        ]
        return "\n".join(lines)


class _Collector:
    """Gathers single images into splits."""

    def __init__(
        self, dataset: Dataset, size: Tuple[int, int, int], progress: Callable[[int], None]
    ) -> None:
        self.dataset, self.size, self.progress = dataset, size, progress
        self.rows: Dict[str, List[Tuple[np.ndarray, int, str, int, int]]] = {s: [] for s in SPLITS}
        self.seen = 0

    def add(
        self,
        split: str,
        picture: np.ndarray,
        label: int,
        name: str,
        age: int = -1,
        ancestry: int = -1,
    ) -> None:
        self.rows[split].append(
            (image.to_network_input(picture[None], *self.size)[0], label, name, age, ancestry)
        )

    def add_file(
        self,
        split: str,
        path: Path,
        label: int,
        name: str,
        age: int = -1,
        ancestry: int = -1,
        box: Optional[Tuple[int, int, int, int]] = None,
    ) -> None:
        self.seen += 1
        self.progress(self.seen)
        try:
            picture = pictures.read_picture(str(path))
        except UnreadableError:
            self.dataset.reject("cannot be read as an image", name)
            return
        if box is not None:
            x0, y0, x1, y1 = box
            picture = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if min(picture.shape[:2]) < 8:
            self.dataset.reject("smaller than 8 pixels", name)
            return
        self.add(split, picture, label, name, age, ancestry)

    def finish(self) -> Dataset:
        for split, rows in self.rows.items():
            if not rows:
                continue
            age = np.array([r[3] for r in rows])
            ancestry = np.array([r[4] for r in rows])
            self.dataset.splits[split] = Samples(
                np.stack([r[0] for r in rows]),
                np.array([r[1] for r in rows], np.int64),
                [r[2] for r in rows],
                None,
                age if (age >= 0).any() else None,
                ancestry if (ancestry >= 0).any() else None,
            )
        return self.dataset


def share_of(name: str) -> float:
    """A number in 0..1 that depends on the name alone: the same split on every machine and with every other file added."""
    return zlib.crc32(name.encode()) / 2**32


def _split_of(name: str) -> str:
    value = share_of(name)
    return "train" if value < 0.8 else "validation" if value < 0.9 else "test"


def class_index(classes: Sequence[str], name: str) -> int:
    """-1 for a name that is none of the classes."""
    key = re.sub(r"^\d+[ _.-]+", "", name.strip().lower())
    key = _SYNONYMS.get(key, key) if key not in classes else key
    return classes.index(key) if key in classes else -1


# ---------------------------------------------------------------- FER2013


def read_fer_csv(
    path: Path, size: Tuple[int, int, int], votes: Optional[Path], progress: Callable[[int], None]
) -> Dataset:
    dataset = Dataset(str(path), "FER2013, CSV", EMOTIONS, {})
    usage = {"training": "train", "publictest": "validation", "privatetest": "test"}
    rows: Dict[str, List[Tuple[np.ndarray, int, int]]] = {s: [] for s in SPLITS}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = [h.strip().lower() for h in next(reader, [])]
            if header[:3] != ["emotion", "pixels", "usage"]:
                raise ModelError(path, "not FER2013: its columns are not emotion, pixels, Usage")
            for number, row in enumerate(reader):
                where = f"row {number + 1}"
                if number % 500 == 0:
                    progress(number)
                if len(row) < 3:
                    dataset.reject("cut off: fewer than three columns", where)
                    continue
                try:
                    pixels = np.array(row[1].split(), np.int64)
                except ValueError:
                    dataset.reject("a pixel that is not a number", where)
                    continue
                if len(pixels) != 2304:
                    dataset.reject("not 2,304 pixels", f"{where} has {len(pixels):,}")
                elif pixels.min() < 0 or pixels.max() > 255:
                    dataset.reject("a pixel outside 0..255", where)
                elif not row[0].strip().isdigit() or int(row[0]) > 6:
                    dataset.reject("an emotion outside 0..6", f"{where} has {row[0][:20]!r}")
                elif row[2].strip().lower() not in usage:
                    dataset.reject("an unknown usage", f"{where} has {row[2][:20]!r}")
                else:
                    rows[usage[row[2].strip().lower()]].append(
                        (pixels.astype(np.uint8).reshape(48, 48), int(row[0]), number)
                    )
    except OSError as error:
        raise UnreadableError(path, error.strerror or "cannot be read") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ModelError(path, f"not a CSV file: {error}") from None
    table = _read_votes(votes) if votes else None
    for split, items in rows.items():
        if items:
            images = image.to_network_input(np.stack([i[0] for i in items]), *size)
            chosen = None
            if table is not None:
                if max(i[2] for i in items) >= len(table):
                    raise ModelError(votes, f"{len(table):,} rows of votes, fewer than images")
                chosen = table[[i[2] for i in items]]
            dataset.splits[split] = Samples(
                images,
                np.array([i[1] for i in items], np.int64),
                [f"row {i[2] + 1}" for i in items],
                chosen,
            )
    return dataset


def _read_votes(path: Path) -> np.ndarray:
    """FER+: [rows, 10]."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = [h.strip() for h in next(reader, [])]
            if tuple(header[2:12]) != VOTE_NAMES:
                raise ModelError(
                    path,
                    "not FER+ votes: its columns are not Usage, Image name, "
                    + ", ".join(VOTE_NAMES),
                )
            return np.array([[float(v) for v in row[2:12]] for row in reader], np.float32).reshape(
                -1, 10
            )
    except OSError as error:
        raise UnreadableError(path, error.strerror or "cannot be read") from None
    except (ValueError, UnicodeDecodeError, csv.Error):
        raise ModelError(path, "damaged votes") from None


def soft_labels(votes: np.ndarray) -> np.ndarray:
    """FER+ votes [N, 10] to shares of the seven classes; zeros where fewer than four votes fall on them."""
    chosen = votes[:, _VOTES_OF_EMOTIONS]
    total = chosen.sum(1, keepdims=True)
    return np.where(total >= 4, chosen / np.maximum(total, 1), 0).astype(np.float32)


def nameable(votes: np.ndarray) -> np.ndarray:
    """Share of an image's FER+ votes [N, 10] that name one of the seven classes, rather than
    contempt, unknown or not a face: float32 [N]. 0 where fewer than four do, as in `soft_labels`.
    """
    chosen = votes[:, _VOTES_OF_EMOTIONS].sum(1)
    return np.where(chosen >= 4, chosen / np.maximum(votes.sum(1), 1), 0).astype(np.float32)


def age_and_ancestry(age: np.ndarray, ancestry: np.ndarray) -> np.ndarray:
    """One of 40 columns for each image, float32 [N, 40]: its age group (ends at 4, 12, 19, 29, ... 59 years) and ancestry; zeros where one is not known."""
    group = np.searchsorted(AGE_GROUP_ENDS, age)
    known = (age >= 0) & (ancestry >= 0)
    columns = np.zeros((len(age), (len(AGE_GROUP_ENDS) + 1) * len(ANCESTRIES)), np.float32)
    columns[known, (group * len(ANCESTRIES) + ancestry)[known]] = 1
    return columns


def ferplus_labels(votes: np.ndarray) -> np.ndarray:
    """The class with most votes where it has more than half of all ten columns' votes, else -1."""
    chosen = votes[:, _VOTES_OF_EMOTIONS]
    clear = chosen.max(1) * 2 > votes.sum(1)
    return np.where(clear, chosen.argmax(1), -1)


CONTEMPT = len(EMOTIONS)


def ferplus_eight(votes: np.ndarray) -> np.ndarray:
    """The labels that Barsoum et al. (arXiv 1608.01041) measure on with "majority voting", of votes
    [N, 10]: single votes are dropped; what more than half of the others name counts, if it is one
    of the eight expressions: a class of EMOTIONS, CONTEMPT, or -1 for images that do not count."""
    kept = np.where(votes > 1, votes, 0)
    majority = kept.max(1) * 2 > kept.sum(1)
    names = np.full(votes.shape[1], -1)
    names[list(_VOTES_OF_EMOTIONS)] = np.arange(len(EMOTIONS))
    names[VOTE_NAMES.index("contempt")] = CONTEMPT
    return np.where(majority, names[kept.argmax(1)], -1)


# ---------------------------------------------------------------- .npz


def _open_npz(path: Path) -> Dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as data:
            return {key: data[key] for key in data.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableError(
            path, getattr(error, "strerror", None) or "not an .npz file that can be read"
        ) from None


def _npz_samples(
    dataset: Dataset, path: Path, arrays: Dict[str, np.ndarray], size: Tuple[int, int, int]
) -> Samples:
    if "images" not in arrays or "labels" not in arrays:
        raise ModelError(path, "no `images` and `labels` in it")
    images, labels = arrays["images"], arrays["labels"]
    if (
        images.dtype != np.uint8
        or images.ndim not in (3, 4)
        or images.ndim == 4
        and images.shape[3] not in (1, 3)
    ):
        raise ModelError(path, "`images` is not uint8 [N, h, w] or [N, h, w, 1 or 3]")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ModelError(path, "`labels` is not one integer per image")
    votes = arrays.get("votes")
    if votes is not None and votes.shape != (len(labels), 10):
        raise ModelError(path, "`votes` is not [N, 10]")
    keep = (labels >= 0) & (labels < len(dataset.classes))
    for row in np.flatnonzero(~keep):
        dataset.reject("a label outside the classes", f"{path.name} row {row} has {labels[row]}")
    row_numbers = (
        arrays["row"]
        if "row" in arrays and arrays["row"].shape == labels.shape
        else np.arange(len(labels))
    )
    samples = Samples(
        image.to_network_input(images, *size),
        labels.astype(np.int64),
        [f"{path.stem} {r}" for r in row_numbers],
        None if votes is None else votes.astype(np.float32),
    )
    return samples.only(keep) if not keep.all() else samples


def read_fer_folder(path: Path, size: Tuple[int, int, int]) -> Dataset:
    dataset = Dataset(str(path), "FER2013, .npz", EMOTIONS, {})
    for name, split in (("train", "train"), ("public", "validation"), ("private", "test")):
        file = path / f"{name}.npz"
        if file.is_file():
            dataset.splits[split] = _npz_samples(dataset, file, _open_npz(file), size)
    return dataset


def _divide(dataset: Dataset, samples: Samples, numbers: np.ndarray) -> None:
    """Into the splits that `numbers` [N] name, as indices into SPLITS."""
    for k, split in enumerate(SPLITS):
        if (numbers == k).any():
            dataset.splits[split] = samples.only(numbers == k)


def read_npz(
    path: Path,
    task: str,
    classes: Tuple[str, ...],
    size: Tuple[int, int, int],
    progress: Callable[[int], None],
) -> Dataset:
    arrays = _open_npz(path)
    if "gender" in arrays and "images" in arrays:
        return _read_crops(path, arrays, size)
    if "jpeg" not in arrays:
        dataset = Dataset(str(path), ".npz", classes, {})
        samples = _npz_samples(dataset, path, arrays, size)
        if "split" in arrays and arrays["split"].shape == arrays["labels"].shape:
            _divide(dataset, samples, arrays["split"])
        else:
            part = np.array([_split_of(name) for name in samples.names])
            for split in SPLITS:
                if (part == split).any():
                    dataset.splits[split] = samples.only(part == split)
        return dataset
    missing = {"offset", "gender", "age", "race", "split"} - set(arrays)
    if missing or task == "emotion":
        raise ModelError(
            path,
            f"no {', '.join(sorted(missing))} in it" if missing else "has genders, not expressions",
        )
    dataset = Dataset(str(path), "UTKFace, .npz", GENDERS, {})
    jpeg, offset, count = (
        arrays["jpeg"].tobytes(),
        arrays["offset"].astype(np.int64),
        len(arrays["gender"]),
    )
    if (
        offset.shape != (count + 1,)
        or any(arrays[k].shape != (count,) for k in ("age", "race", "split"))
        or (np.diff(offset) < 0).any()
    ):
        raise ModelError(path, "its arrays do not belong together")
    collector = _Collector(dataset, size, progress)
    names = arrays["name"] if "name" in arrays else np.arange(count)
    for k in range(count):
        if k % 200 == 0:
            progress(k)
        if arrays["gender"][k] > 1 or arrays["split"][k] > 2:
            dataset.reject("an unknown gender or split", f"row {k}")
            continue
        try:
            picture = pictures.decode(jpeg[offset[k] : offset[k + 1]], f"row {k}")
        except UnreadableError:
            dataset.reject("cannot be read as an image", f"row {k}")
            continue
        collector.add(
            SPLITS[arrays["split"][k]],
            picture,
            1 - int(arrays["gender"][k]),
            str(names[k]),
            int(arrays["age"][k]),
            int(arrays["race"][k]),
        )
    return collector.finish()


def _read_crops(path: Path, arrays: Dict[str, np.ndarray], size: Tuple[int, int, int]) -> Dataset:
    """What `train crops` makes of a data set with genders and ages."""
    columns = ("images", "gender", "age", "race", "split", "name")
    count = len(arrays["images"])
    if any(len(arrays.get(k, ())) != count for k in columns) or arrays["images"].ndim != 4:
        raise ModelError(path, "its arrays do not belong together")
    if (arrays["gender"] > 1).any() or (arrays["split"] >= len(SPLITS)).any():
        raise ModelError(path, "an unknown gender or split")
    dataset = Dataset(str(path), "UTKFace, cut by landmarks", GENDERS, {})
    whole = Samples(
        image.to_network_input(arrays["images"], *size),
        arrays["gender"].astype(np.int64),
        [str(name) for name in arrays["name"]],
        None,
        arrays["age"].astype(np.int64),
        arrays["race"].astype(np.int64),
    )
    _divide(dataset, whole, arrays["split"])
    return dataset


# ---------------------------------------------------------------- ages

# The answer of an age network is a distribution over these ages, in years; their mean is the age.
AGES = (1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 32, 36, 40, 45, 50, 55, 60, 66, 72, 80, 90)
AGE_CLASSES = tuple(str(age) for age in AGES)


def age_targets(ages: np.ndarray) -> np.ndarray:
    """float32 [N, len(AGES)]: each age as a normal distribution whose deviation grows with it, since
    people cannot be told apart more finely than that, over AGES. The mean is the age, but for the
    oldest."""
    values = np.array(AGES, np.float64)
    deviation = 1.0 + 0.05 * ages.astype(np.float64)
    years = np.arange(-20, 131)
    density = np.exp(-0.5 * ((years[None] - ages[:, None]) / deviation[:, None]) ** 2)
    density /= density.sum(1, keepdims=True)
    # Each year belongs to the two nearest of AGES, in the shares that keep the mean.
    at = np.clip(years, values[0], values[-1])
    upper = np.clip(np.searchsorted(values, at, side="right"), 1, len(values) - 1)
    share = (at - values[upper - 1]) / (values[upper] - values[upper - 1])
    spread = np.zeros((len(years), len(values)))
    spread[np.arange(len(years)), upper - 1] += 1 - share
    spread[np.arange(len(years)), upper] += share
    return (density @ spread).astype(np.float32)


def as_ages(dataset: Dataset) -> Dataset:
    """The same images labeled by the nearest of AGES."""
    splits = {}
    for name, samples in dataset.splits.items():
        if samples.age is None:
            raise ModelError(dataset.path, "no ages in it")
        known = samples.only(samples.age >= 0)
        nearest = np.abs(np.array(AGES)[None] - known.age[:, None]).argmin(1)  # type: ignore[index]
        splits[name] = replace(known, labels=nearest)
    return replace(dataset, classes=AGE_CLASSES, splits=splits)


# ---------------------------------------------------------------- folders


def _pictures_below(path: Path) -> Iterator[Path]:
    return (
        p for p in sorted(path.rglob("*")) if p.suffix.lower() in pictures.SUFFIXES and p.is_file()
    )


def read_utkface(path: Path, files: List[Path], collector: _Collector) -> Dataset:
    """age_gender_race_date.jpg, gender 0 male, 1 female."""
    for file in files:
        parts = file.name.split("_")
        name = str(file.relative_to(path))
        if (
            len(parts) < 4
            or not all(p.isdigit() for p in parts[:3])
            or int(parts[1]) > 1
            or int(parts[0]) > 120
            or int(parts[2]) > 4
        ):
            collector.dataset.reject("a name that is not age_gender_race_date", name)
            continue
        collector.add_file(
            _split_of(file.name), file, 1 - int(parts[1]), name, int(parts[0]), int(parts[2])
        )
    return collector.finish()


_KDEF = re.compile(r"^[AB][FM]\d\d(AF|AN|DI|HA|NE|SA|SU)(S|HL|HR|FL|FR)\.", re.IGNORECASE)


def read_kdef(path: Path, files: List[Path], collector: _Collector, task: str) -> Dataset:
    """Session, sex, person (2 digits), expression (characters 4 and 5), angle. Split by person; full profiles are left out."""
    for file in files:
        name = str(file.relative_to(path))
        match = _KDEF.match(file.name)
        if not match:
            collector.dataset.reject("not a KDEF name", name)
        elif match.group(2).upper() in ("FL", "FR"):
            collector.dataset.reject("full profile", name)
        else:
            label = (
                EMOTIONS.index(_SYNONYMS[match.group(1).lower()])
                if task == "emotion"
                else int(file.name[1].upper() == "M")
            )
            collector.add_file(_split_of("KDEF " + file.name[1:4].upper()), file, label, name)
    return collector.finish()


def read_ckplus(path: Path, collector: _Collector) -> Dataset:
    """The last three images of a labeled sequence are its peak, the first is neutral. Split by person."""
    order = {0: "neutral", 1: "angry", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise"}
    for sequence in sorted((path / "cohn-kanade-images").glob("*/*")):
        files = sorted(p for p in sequence.glob("*.png"))
        marks = sorted((path / "Emotion" / sequence.parent.name / sequence.name).glob("*.txt"))
        name = f"{sequence.parent.name}/{sequence.name}"
        if not files or not marks:
            if files:
                collector.dataset.reject("a sequence without a label", name)
            continue
        try:
            value = int(float(marks[0].read_text().strip()))
        except (OSError, ValueError):
            collector.dataset.reject("a damaged label", name)
            continue
        if value not in order:
            collector.dataset.reject("contempt or another class that is not ours", name)
            continue
        split = _split_of("CK+ " + sequence.parent.name)
        for file in files[-3:]:
            collector.add_file(
                split, file, EMOTIONS.index(order[value]), str(file.relative_to(path))
            )
        if len(files) > 3:
            collector.add_file(
                split, files[0], EMOTIONS.index("neutral"), str(files[0].relative_to(path))
            )
    return collector.finish()


def read_rafdb(path: Path, table: Path, collector: _Collector) -> Dataset:
    order = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
    try:
        lines = table.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise UnreadableError(table, "cannot be read") from None
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if not name:
            continue
        if not value.strip().isdigit() or not 1 <= int(value) <= 7:
            collector.dataset.reject("a label outside 1..7", line[:60])
            continue
        file = next(
            (
                f
                for f in (
                    path / "Image" / "aligned" / f"{Path(name).stem}_aligned.jpg",
                    path / "Image" / "aligned" / name,
                    path / "Image" / "original" / name,
                )
                if f.is_file()
            ),
            None,
        )
        if file is None:
            collector.dataset.reject("named in the list but not there", name)
            continue
        split = (
            "test" if name.startswith("test") else "validation" if share_of(name) < 0.1 else "train"
        )
        collector.add_file(split, file, EMOTIONS.index(order[int(value) - 1]), name)
    return collector.finish()


def _roots(path: Path) -> List[Tuple[Path, str]]:
    """Where the classes' folders lie, each with its split, or "" for all."""
    folders = _sub_folders(path)
    splits = {p: _SPLIT_NAMES.get(p.name.lower()) for p in folders}
    if folders and all(splits.values()):
        return [(p, s) for p, s in splits.items() if s]
    return [(path, "")]


def _sub_folders(path: Path) -> List[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def class_folders(path: Path) -> List[str]:
    """Names of the folders, sorted, that `read_class_folders` takes for classes."""
    return sorted({p.name for root, _ in _roots(path) for p in _sub_folders(root)})


def read_class_folders(
    path: Path,
    classes: Optional[Tuple[str, ...]],
    size: Tuple[int, int, int],
    progress: Callable[[int], None],
) -> Dataset:
    """A sub-folder per class, perhaps below train/, validation/ and test/. Without `classes`, the folders' names are the classes."""
    if classes is None:
        classes = tuple(class_folders(path))
        if len(classes) < 2:
            raise UnreadableError(path, "no sub-folders, one per class")
    dataset = Dataset(str(path), "a folder per class", classes, {})
    collector = _Collector(dataset, size, progress)
    for root, split in _roots(path):
        for folder in _sub_folders(root):
            label = class_index(classes, folder.name)
            for file in _pictures_below(folder):
                name = str(file.relative_to(path))
                if label < 0:
                    dataset.reject(f"folder '{folder.name}' is none of the classes", name)
                else:
                    collector.add_file(split or _split_of(name), file, label, name)
    return collector.finish()


# ---------------------------------------------------------------- IMDB-WIKI


def read_imdb_mat(
    path: Path, size: Tuple[int, int, int], progress: Callable[[int], None]
) -> Dataset:
    """Kept as the original keeps them: face_score > 3, no second face, gender known; keys sorted, the last fifth for validation."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise UnreadableError(path, "reading .mat files needs scipy") from None
    try:
        table = loadmat(str(path))
    except (
        OSError,
        ValueError,
        TypeError,
        NotImplementedError,
        EOFError,
        MatReadError,
        zlib.error,
        KeyError,
        IndexError,
    ):
        raise UnreadableError(path, "not a MATLAB 5 file that can be read") from None
    key = next((k for k in ("imdb", "wiki") if k in table), None)
    columns = {}
    for name in ("full_path", "gender", "face_score", "second_face_score"):
        try:
            columns[name] = table[key][name][0, 0].reshape(-1)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError):
            raise ModelError(path, f"another layout: no imdb.{name} or wiki.{name}") from None
    if len({len(c) for c in columns.values()}) != 1:
        raise ModelError(path, "another layout: its columns differ in length")
    dataset = Dataset(str(path), "IMDB-WIKI", GENDERS, {})
    collector = _Collector(dataset, size, progress)
    chosen: List[Tuple[str, int]] = []
    for full_path, gender, score, second in zip(
        *(columns[k] for k in ("full_path", "gender", "face_score", "second_face_score"))
    ):
        try:
            name, gender, score, second = (
                str(np.ravel(full_path)[0]),
                float(gender),
                float(score),
                float(second),
            )
        except (ValueError, TypeError, IndexError):
            dataset.reject("a damaged row", str(full_path)[:60])
            continue
        if not score > 3:
            dataset.reject("face_score not above 3", name)
        elif not np.isnan(second):
            dataset.reject("a second face", name)
        elif gender not in (0.0, 1.0):
            dataset.reject("unknown gender", name)
        else:
            chosen.append((name, int(gender)))  # 0 woman, 1 man, as ours
    chosen.sort()
    for k, (name, gender) in enumerate(chosen):
        file = path.parent / name
        if not file.is_file():
            dataset.reject("named in the .mat but not there", name)
            continue
        collector.add_file("train" if k < len(chosen) * 0.8 else "validation", file, gender, name)
    return collector.finish()


# ---------------------------------------------------------------- any


def load(
    path: Path,
    task: str,
    size: Tuple[int, int, int],
    classes: Optional[Sequence[str]] = None,
    votes: Optional[Path] = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Dataset:
    """`size` is (height, width, channels) of the images that come out. Raises ToolError; never an empty data set."""
    path = Path(path)
    if task == "age":
        return as_ages(load(path, "gender", size, None, votes, progress))
    wanted = tuple(classes) if classes else {"emotion": EMOTIONS, "gender": GENDERS}.get(task)
    if not path.exists():
        raise UnreadableError(path, "no such file or folder")
    if path.is_dir():
        dataset = _load_folder(path, task, wanted, size, progress)
    elif path.suffix.lower() == ".csv":
        if task != "emotion":
            raise ModelError(path, "a CSV of expressions, not of genders")
        neighbor = next(
            (
                p
                for p in (path.parent / "ferplus.csv", path.parent / "fer2013new.csv")
                if p.is_file()
            ),
            None,
        )
        dataset = read_fer_csv(path, size, votes or neighbor, progress)
    elif path.suffix.lower() == ".npz":
        dataset = read_npz(path, task, wanted or (), size, progress)
    elif path.suffix.lower() == ".mat":
        if task != "gender":
            raise ModelError(path, "has genders, not expressions")
        dataset = read_imdb_mat(path, size, progress)
    else:
        raise UnreadableError(path, "neither a folder nor a .csv, .npz or .mat file")
    if not any(len(s) for s in dataset.splits.values()):
        reasons = "; ".join(
            f"{number:,}: {reason}" for reason, number in dataset.rejected.most_common(3)
        )
        raise UnreadableError(
            path, "no labeled image in it" + (f" (rejected {reasons})" if reasons else "")
        )
    return dataset


def _load_folder(
    path: Path,
    task: str,
    classes: Optional[Tuple[str, ...]],
    size: Tuple[int, int, int],
    progress: Callable[[int], None],
) -> Dataset:
    if (path / "train.npz").is_file():
        return read_fer_folder(path, size)
    if (path / "cohn-kanade-images").is_dir():
        return read_ckplus(
            path, _Collector(Dataset(str(path), "CK+", EMOTIONS, {}), size, progress)
        )
    for table in (path / "EmoLabel" / "list_patition_label.txt", path / "list_patition_label.txt"):
        if table.is_file():
            return read_rafdb(
                path, table, _Collector(Dataset(str(path), "RAF-DB", EMOTIONS, {}), size, progress)
            )
    if task in ("emotion", "gender") and not any(
        class_index(classes or (), p.name) >= 0 or p.name.lower() in _SPLIT_NAMES
        for p in path.iterdir()
        if p.is_dir()
    ):
        files = list(_pictures_below(path))
        names = [f.name for f in files[:200]]
        if names and sum(bool(_KDEF.match(n)) for n in names) * 2 > len(names):
            kind = Dataset(str(path), "KDEF", EMOTIONS if task == "emotion" else GENDERS, {})
            return read_kdef(path, files, _Collector(kind, size, progress), task)
        if (
            names
            and task == "gender"
            and sum(bool(re.match(r"^\d+_[01]_\d+_", n)) for n in names) * 2 > len(names)
        ):
            return read_utkface(
                path, files, _Collector(Dataset(str(path), "UTKFace", GENDERS, {}), size, progress)
            )
    return read_class_folders(path, classes, size, progress)


def merge(datasets: Sequence[Dataset]) -> Dataset:
    """Several data sets of the same classes as one; votes only if all training images have some."""
    if len(datasets) == 1:
        return datasets[0]
    first = datasets[0]
    for other in datasets[1:]:
        if other.classes != first.classes:
            raise ModelError(
                other.path, f"its classes {', '.join(other.classes)} are not those of {first.path}"
            )
    result = Dataset(" + ".join(d.path for d in datasets), "several", first.classes, {})
    for split in SPLITS:
        parts = [d.splits[split] for d in datasets if split in d.splits]
        if parts:
            columns = {}
            for name in ("votes", "age", "ancestry"):
                values = [getattr(p, name) for p in parts]
                columns[name] = None if any(v is None for v in values) else np.concatenate(values)
            result.splits[split] = Samples(
                np.concatenate([p.images for p in parts]),
                np.concatenate([p.labels for p in parts]),
                [n for p in parts for n in p.names],
                **columns,
            )
    for d in datasets:
        result.rejected.update(d.rejected)
        for reason, where in d.examples.items():
            result.examples.setdefault(reason, where)
    return result


# ---------------------------------------------------------------- copies across splits

# Likeness from which two images are taken for copies of one photo. On FER2013, of pairs looked at: above 0.7 nearly all are
# copies (cropped, shifted, mirrored, with other watermarks), below 0.65 nearly none.
LEAST_LIKENESS = 0.7
# In UTKFace eyes and mouths lie at the same places, so that people who are alike come closer: there copies begin at 0.85.
ALIGNED_LIKENESS = 0.85
_SHIFTS = range(-3, 4)  # in pixels of the halved image


def _outline(images: np.ndarray) -> np.ndarray:
    """[N, h, w, c] to float32 [N, 24, 24] without what varies slowly: edges tell photos apart, light does not."""
    gray = images if images.shape[3] == 1 else image.rgb_to_gray(images)[..., None]
    if gray.shape[1:3] != (48, 48):
        gray = image.to_network_input(gray, 48, 48, 1)
    x = gray.reshape(len(gray), 24, 2, 24, 2).mean((2, 4), dtype=np.float32)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2)), "edge")
    total = np.cumsum(np.cumsum(np.pad(padded, ((0, 0), (1, 0), (1, 0))), 1), 2)
    return x - (total[:, 5:, 5:] - total[:, :-5, 5:] - total[:, 5:, :-5] + total[:, :-5, :-5]) / 25


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1 (shorter for nearly flat ones, which are like nothing)."""
    x = x.reshape(len(x), -1)
    x = x - x.mean(1, keepdims=True)
    return x / (np.sqrt((x * x).sum(1, keepdims=True)) + 10)


def likeness(
    images: np.ndarray,
    others: np.ndarray,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Tuple[np.ndarray, np.ndarray]:
    """For each of `images` its largest correlation with one of `others`, shifted by up to 6 of 48 pixels and mirrored, and which one.

    Correlated are the outlines of the middle; cost: 98 matrix products of len(images) x 324 x len(others).
    """
    best, which = np.full(len(images), -1, np.float32), np.zeros(len(images), np.int64)
    rows = _unit(_outline(images)[:, 3:21, 3:21])
    steps, done = 2 * len(_SHIFTS) ** 2, 0
    for mirrored in (False, True):
        reference = _outline(others[:, :, ::-1] if mirrored else others)
        for dy in _SHIFTS:
            for dx in _SHIFTS:
                shifted = _unit(reference[:, 3 + dy : 21 + dy, 3 + dx : 21 + dx]).T
                for begin in range(0, len(rows), 2048):
                    part = slice(begin, begin + 2048)
                    product = rows[part] @ shifted
                    value, place = product.max(1), product.argmax(1)
                    better = value > best[part]
                    best[part] = np.where(better, value, best[part])
                    which[part] = np.where(better, place, which[part])
                done += 1
                progress(done, steps)
    return best, which


def without_copies(
    train: Samples,
    held_out: Sequence[Samples],
    least: float = LEAST_LIKENESS,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Tuple[Samples, int]:
    """The training images that are no copies of a held-out one; how many were dropped."""
    others = [s.images for s in held_out if len(s)]
    if not others:
        return train, 0
    keep = likeness(train.images, np.concatenate(others), progress)[0] < least
    return train.only(keep), int((~keep).sum())


def fresh_training(
    data: Dataset, progress: Callable[[int, int], None] = lambda done, of: None
) -> Tuple[Samples, int]:
    """`without_copies` for a data set's own splits."""
    held_out = [samples for name, samples in data.splits.items() if name != "train"]
    return without_copies(data.splits["train"], held_out, data.least_likeness, progress)
