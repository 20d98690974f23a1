# SPDX-License-Identifier: MIT
"""Does every kind of data set come in with the right labels and splits, and does bad input say what is wrong with it?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
import datasets  # noqa: E402
import metrics  # noqa: E402
from mien_tools.errors import ModelError, UnreadableError  # noqa: E402

SIZE = (48, 48, 1)


def picture(seed: int, size: int = 48, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, channels), dtype=np.uint8)
    image = Image.fromarray(coarse[..., 0] if channels == 1 else coarse)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def save(path: Path, seed: int, size: int = 48) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed, size)).save(path)


def fer_row(label: object, pixels: np.ndarray, usage: str) -> str:
    return f"{label},{' '.join(str(v) for v in pixels.reshape(-1))},{usage}"


def counts(dataset: datasets.Dataset) -> Dict[str, int]:
    return {name: len(samples) for name, samples in dataset.splits.items()}


class TestFerCsv:
    def rows(self) -> List[str]:
        return [
            "emotion,pixels,Usage",
            fer_row(0, picture(1), "Training"),
            fer_row(3, picture(2), "Training"),
            fer_row(6, picture(3), "PublicTest"),
            fer_row(5, picture(4), "PrivateTest"),
        ]

    def test_splits_and_labels(self, tmp_path: Path) -> None:
        file = tmp_path / "fer2013.csv"
        file.write_text("\n".join(self.rows()) + "\n")
        data = datasets.load(file, "emotion", SIZE)
        assert counts(data) == {"train": 2, "validation": 1, "test": 1}
        assert data.splits["train"].labels.tolist() == [0, 3]
        assert np.array_equal(data.splits["test"].images[0, :, :, 0], picture(4))
        assert "happy" in data.table() and not data.rejected

    def test_votes_of_a_neighbor(self, tmp_path: Path) -> None:
        (tmp_path / "fer2013.csv").write_text("\n".join(self.rows()) + "\n")
        header = "Usage,Image name," + ",".join(datasets.VOTE_NAMES)
        (tmp_path / "ferplus.csv").write_text(
            "\n".join([header] + [f"Training,x.png,{i},0,0,0,0,0,0,0,0,9" for i in range(4)]) + "\n"
        )
        data = datasets.load(tmp_path / "fer2013.csv", "emotion", SIZE)
        assert data.splits["test"].votes[0].tolist() == [3, 0, 0, 0, 0, 0, 0, 0, 0, 9]
        (tmp_path / "ferplus.csv").write_text("a,b\n")
        with pytest.raises(ModelError, match="not FER\\+ votes"):
            datasets.load(tmp_path / "fer2013.csv", "emotion", SIZE)
        (tmp_path / "ferplus.csv").write_text(header + "\nTraining,x.png,1,0,0,0,0,0,0,0,0,9\n")
        with pytest.raises(ModelError, match="fewer than images"):
            datasets.load(tmp_path / "fer2013.csv", "emotion", SIZE)

    def test_bad_rows_are_counted(self, tmp_path: Path) -> None:
        bad = [
            "7" + self.rows()[1][1:],
            "x" + self.rows()[1][1:],
            fer_row(0, picture(1)[:40], "Training"),
            fer_row(0, picture(1), "Elsewhere"),
            "0," + "x " * 2304 + ",Training",
            "0," + "256 " * 2304 + ",Training",
            self.rows()[1][:500],
        ]
        file = tmp_path / "fer2013.csv"
        file.write_text("\n".join(self.rows() + bad))  # cut in the middle of the last row
        data = datasets.load(file, "emotion", SIZE)
        assert counts(data) == {"train": 2, "validation": 1, "test": 1}
        assert sum(data.rejected.values()) == len(bad)
        assert (
            "row 5 has '7'" in data.table()
            and "1,920" in data.table()
            and "cut off" in data.table()
        )

    def test_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("name,age\nx,3\n")
        with pytest.raises(ModelError, match="columns are not emotion, pixels, Usage"):
            datasets.load(tmp_path / "a.csv", "emotion", SIZE)
        (tmp_path / "b.csv").write_bytes(b"emotion,pixels,Usage\n\xff\xfe\x00")
        with pytest.raises(ModelError, match="not a CSV file"):
            datasets.load(tmp_path / "b.csv", "emotion", SIZE)
        with pytest.raises(UnreadableError, match="no such file"):
            datasets.load(tmp_path / "none.csv", "emotion", SIZE)
        (tmp_path / "c.csv").write_text("emotion,pixels,Usage\n")
        with pytest.raises(UnreadableError, match="no labeled image"):
            datasets.load(tmp_path / "c.csv", "emotion", SIZE)


class TestNpz:
    def test_images_and_labels(self, tmp_path: Path) -> None:
        images = np.stack([picture(i) for i in range(60)])
        np.savez(tmp_path / "x.npz", images=images, labels=np.arange(60) % 8)
        data = datasets.load(tmp_path / "x.npz", "emotion", SIZE)
        assert (
            sum(counts(data).values()) == 53 and data.rejected["a label outside the classes"] == 7
        )
        assert set(counts(data)) == {"train", "validation", "test"}

    def test_fer_folder(self, tmp_path: Path) -> None:
        for name, count in (("train", 5), ("public", 2), ("private", 3)):
            np.savez(
                tmp_path / f"{name}.npz",
                images=np.stack([picture(i) for i in range(count)]),
                labels=np.zeros(count, np.uint8),
                votes=np.ones((count, 10), np.uint8),
            )
        data = datasets.load(tmp_path, "emotion", SIZE)
        assert counts(data) == {"train": 5, "validation": 2, "test": 3} and data.splits[
            "train"
        ].votes.shape == (5, 10)

    def test_bad_ones(self, tmp_path: Path) -> None:
        file = tmp_path / "x.npz"
        for arrays, cause in (
            ({"a": np.zeros(3)}, "no `images`"),
            ({"images": np.zeros((3, 4, 4)), "labels": np.zeros(3, int)}, "not uint8"),
            (
                {"images": np.zeros((3, 4, 4), np.uint8), "labels": np.zeros(2, int)},
                "one integer per image",
            ),
            ({"jpeg": np.zeros(3, np.uint8), "offset": np.zeros(2)}, "gender"),
            ({"images": np.array([{}], dtype=object), "labels": np.zeros(1, int)}, "not an .npz"),
        ):
            np.savez(file, **arrays)
            with pytest.raises((ModelError, UnreadableError), match=cause):
                datasets.load(file, "gender" if "jpeg" in arrays else "emotion", SIZE)
        file.write_bytes(file.read_bytes()[:40])
        with pytest.raises(UnreadableError, match="not an .npz file"):
            datasets.load(file, "emotion", SIZE)


class TestColumns:
    def test_age_and_ancestry(self) -> None:
        columns = datasets.age_and_ancestry(
            np.array([0, 4, 5, 116, -1, 30]), np.array([0, 1, 2, 4, 0, -1])
        )
        assert columns.shape == (6, 40) and columns.sum(1).tolist() == [1, 1, 1, 1, 0, 0]
        assert columns.argmax(1)[:4].tolist() == [0, 1, 7, 39]


class TestFolders:
    def test_a_folder_a_class(self, tmp_path: Path) -> None:
        for k, name in enumerate(["Anger", "3_happy", "sadness", "kitten"]):
            for i in range(10):
                save(tmp_path / name / f"{i}.png", 10 * k + i)
        (tmp_path / "sadness" / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
        save(tmp_path / "sadness" / "tiny.png", 1, 4)
        data = datasets.load(tmp_path, "emotion", SIZE)
        assert sum(counts(data).values()) == 30
        assert data.rejected == {
            "folder 'kitten' is none of the classes": 10,
            "cannot be read as an image": 1,
            "smaller than 8 pixels": 1,
        }
        own = datasets.load(tmp_path, "own", SIZE)
        assert own.classes == ("3_happy", "Anger", "kitten", "sadness")

    def test_splits_of_folders_and_names(self, tmp_path: Path) -> None:
        for split, count in (("train", 3), ("val", 2), ("test", 1)):
            for i in range(count):
                save(tmp_path / split / "female" / f"{i}.png", i)
        data = datasets.load(tmp_path, "gender", SIZE)
        assert counts(data) == {"train": 3, "validation": 2, "test": 1} and data.splits[
            "train"
        ].labels.tolist() == [0, 0, 0]

    def test_the_split_of_a_picture_does_not_depend_on_others(self) -> None:
        shares = [datasets.share_of(f"a/{i}.png") for i in range(2000)]
        assert 0.75 < np.mean(np.array(shares) < 0.8) < 0.85
        assert datasets.share_of("a/1.png") == shares[1]

    def test_kdef(self, tmp_path: Path) -> None:
        for i, name in enumerate(["AF01ANS", "AM02HAHL", "BF03AFFL", "BM04SUFR", "AF05NES"]):
            save(tmp_path / name[:4] / f"{name}.png", i, 60)
        save(tmp_path / "AF01" / "readme.png", 9, 60)
        data = datasets.load(tmp_path, "emotion", SIZE)
        assert data.kind == "KDEF" and data.rejected == {"full profile": 2, "not a KDEF name": 1}
        assert sorted(np.concatenate([s.labels for s in data.splits.values()]).tolist()) == [
            0,
            3,
            6,
        ]
        gender = datasets.load(tmp_path, "gender", SIZE)
        assert sorted(np.concatenate([s.labels for s in gender.splits.values()]).tolist()) == [
            0,
            0,
            1,
        ]

    def test_utkface(self, tmp_path: Path) -> None:
        for i, name in enumerate(
            ["25_0_2_20170116174525125.jpg", "3_1_0_20170116174525126.jpg.chip.jpg", "1_9_0_1.jpg"]
        ):
            save(tmp_path / name, i, 64)
        data = datasets.load(tmp_path, "gender", SIZE)
        rows = [
            (int(label), int(age), int(group))
            for s in data.splits.values()
            for label, age, group in zip(s.labels, s.age, s.ancestry)
        ]
        assert sorted(rows) == [(0, 3, 0), (1, 25, 2)] and sum(data.rejected.values()) == 1

    def test_rafdb(self, tmp_path: Path) -> None:
        for i, name in enumerate(["train_00001", "train_00002", "test_0001"]):
            save(tmp_path / "Image" / "aligned" / f"{name}_aligned.jpg", i, 100)
        (tmp_path / "EmoLabel").mkdir()
        (tmp_path / "EmoLabel" / "list_patition_label.txt").write_text(
            "train_00001.jpg 1\ntrain_00002.jpg 7\ntest_0001.jpg 6\ntrain_00009.jpg 2\ntrain_00001.jpg 9\n"
        )
        data = datasets.load(tmp_path, "emotion", SIZE)
        assert data.kind == "RAF-DB" and data.splits["test"].labels.tolist() == [0]
        assert data.rejected == {"named in the list but not there": 1, "a label outside 1..7": 1}

    def test_ckplus(self, tmp_path: Path) -> None:
        for person, mark in (("S001", "5.0000000e+00"), ("S002", "2.0"), ("S003", "?")):
            for i in range(6):
                save(
                    tmp_path / "cohn-kanade-images" / person / "001" / f"{person}_001_{i:08}.png",
                    i,
                    60,
                )
            emotion = tmp_path / "Emotion" / person / "001"
            emotion.mkdir(parents=True)
            (emotion / f"{person}_001_00000005_emotion.txt").write_text(mark)
        data = datasets.load(tmp_path, "emotion", SIZE)
        labels = np.concatenate([s.labels for s in data.splits.values()]).tolist()
        assert sorted(labels) == [3, 3, 3, 6]
        assert data.rejected == {
            "contempt or another class that is not ours": 1,
            "a damaged label": 1,
        }

    def test_nothing_in_it(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match="no labeled image"):
            datasets.load(tmp_path, "emotion", SIZE)
        with pytest.raises(UnreadableError, match="no sub-folders"):
            datasets.load(tmp_path, "own", SIZE)
        (tmp_path / "x.txt").write_text("x")
        with pytest.raises(UnreadableError, match="neither a folder nor"):
            datasets.load(tmp_path / "x.txt", "emotion", SIZE)


class TestImdb:
    def table(self, tmp_path: Path, **columns: object) -> Path:
        io = pytest.importorskip("scipy.io")
        io.savemat(str(tmp_path / "imdb.mat"), {"imdb": columns})
        return tmp_path / "imdb.mat"

    def test_kept_as_the_original_keeps_them(self, tmp_path: Path) -> None:
        names = np.empty(6, object)
        names[:] = [f"0{i}/{i}.jpg" for i in range(6)]
        for i in range(6):
            if i != 5:
                save(tmp_path / names[i], i, 80)
        file = self.table(
            tmp_path,
            full_path=names,
            gender=np.array([0, 1, np.nan, 1, 0, 1.0]),
            face_score=np.array([4, 5, 4, -np.inf, 4, 4.0]),
            second_face_score=np.array([np.nan, np.nan, np.nan, np.nan, 2.0, np.nan]),
        )
        data = datasets.load(file, "gender", SIZE)
        assert data.rejected == {
            "unknown gender": 1,
            "face_score not above 3": 1,
            "a second face": 1,
            "named in the .mat but not there": 1,
        }
        assert np.concatenate([s.labels for s in data.splits.values()]).tolist() == [0, 1]

    def test_another_layout(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="another layout: no imdb.face_score"):
            datasets.load(
                self.table(tmp_path, full_path=np.array(["a"], object), gender=np.array([1.0])),
                "gender",
                SIZE,
            )
        (tmp_path / "wiki.mat").write_bytes(b"not a mat file at all, but longer than a header" * 9)
        with pytest.raises(UnreadableError, match="not a MATLAB 5 file"):
            datasets.load(tmp_path / "wiki.mat", "gender", SIZE)


class TestCopies:
    def test_finds_shifted_mirrored_brighter_copies_and_no_others(self) -> None:
        originals = np.stack([picture(i, 60)[6:54, 6:54] for i in range(40)])[..., None]
        moved = np.stack([picture(i, 60)[9:57, 4:52] for i in range(10)])
        moved[5:] = moved[5:, :, ::-1]
        moved = np.clip(moved * 0.8 + 30, 0, 255).astype(np.uint8)[..., None]
        best, which = datasets.likeness(moved, originals)
        assert (best > datasets.LEAST_LIKENESS).all() and which.tolist() == list(range(10))
        best, _ = datasets.likeness(
            np.stack([picture(i) for i in range(100, 140)])[..., None], originals
        )
        assert (best < datasets.LEAST_LIKENESS).all()

    def test_drops_only_copies(self) -> None:
        train = datasets.Samples(
            np.stack([picture(i) for i in range(20)])[..., None], np.arange(20)
        )
        held_out = datasets.Samples(train.images[[3, 8]], np.zeros(2, np.int64))
        kept, dropped = datasets.without_copies(train, [held_out])
        assert dropped == 2 and sorted(set(range(20)) - set(kept.labels.tolist())) == [3, 8]


class TestMetrics:
    def test_by_hand(self) -> None:
        probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]], np.float32)
        scores = metrics.score(np.array([0, 1, 1, 0]), probabilities, ("a", "b"))
        assert scores.accuracy == 0.75 and scores.confusion.tolist() == [[2, 0], [1, 1]]
        assert scores.balanced_accuracy == 0.75
        assert scores.per_class()[0] == pytest.approx((2 / 3, 1.0, 0.8)) and scores.per_class()[
            1
        ] == pytest.approx((1.0, 0.5, 2 / 3))
        assert scores.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
        # Four bins with an image each: |0.9-1|, |0.6-0|, |0.7-1|, |0.8-1|.
        assert scores.calibration_error == pytest.approx((0.1 + 0.6 + 0.3 + 0.2) / 4, abs=1e-6)
        assert scores.log_loss == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean(), abs=1e-6)

    def test_classes_without_pictures_do_not_count(self) -> None:
        scores = metrics.score(
            np.array([0, 0]), np.array([[1, 0, 0], [1, 0, 0]], np.float32), ("a", "b", "c")
        )
        assert scores.macro_f1 == 1.0 and scores.balanced_accuracy == 1.0

    def test_mcnemar(self) -> None:
        first, second = np.array([True] * 10 + [False] * 2), np.array(
            [True] * 4 + [False] * 6 + [True] * 1 + [False]
        )
        assert metrics.mcnemar(first, second) == (6, 1, pytest.approx(2 * (1 + 7) / 128))
        assert metrics.mcnemar(first, first) == (0, 0, 1.0)

    def test_one_class_against_the_rest(self) -> None:
        confusion = np.array([[5, 1, 2], [3, 7, 4], [6, 8, 9]])
        assert metrics.against_rest(confusion, 1).tolist() == [[7, 7], [9, 22]]

    def test_reliability(self) -> None:
        confidence = np.array([0.95, 0.85, 0.15, 1.0], np.float32)
        bins = metrics.reliability(confidence, np.array([True, False, True, True]), 5)
        assert bins == pytest.approx(
            np.array([[0.15, 1, 0.25], [(0.95 + 0.85 + 1) / 3, 2 / 3, 0.75]])
        )

    def test_risk_and_coverage(self) -> None:
        """Answers as sure as each other are given or left out together."""
        confidence = np.array([0.5, 0.9, 0.5, 0.7], np.float32)
        curve = metrics.risk_coverage(confidence, np.array([True, True, False, False]))
        assert curve == pytest.approx(np.array([[0.25, 0, 0.9], [0.5, 0.5, 0.7], [1, 0.5, 0.5]]))


def test_labels_of_the_eight_classes() -> None:
    """Single votes are dropped, half is no majority, and what is no expression does not count."""
    votes = np.zeros((5, 10), np.float32)
    names = datasets.VOTE_NAMES
    votes[0, [names.index("happiness"), names.index("contempt")]] = 2, 1  # two of two
    votes[1, [names.index("happiness"), names.index("sadness")]] = 5, 5
    votes[2, [names.index("contempt"), names.index("neutral")]] = 6, 4
    votes[3, [names.index("unknown"), names.index("neutral")]] = 6, 4
    votes[4, [names.index("neutral"), names.index("fear")]] = 6, 4
    happy, neutral = datasets.EMOTIONS.index("happy"), datasets.EMOTIONS.index("neutral")
    assert datasets.ferplus_eight(votes).tolist() == [happy, -1, datasets.CONTEMPT, -1, neutral]
    assert datasets.ferplus_eight(np.zeros((1, 10), np.float32)).tolist() == [-1]
