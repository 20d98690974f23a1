# SPDX-License-Identifier: MIT
"""mien-batch on a local cluster of several processes: every image exactly once, whatever is killed, and every kind of input.

MIEN_BATCH_PICTURES says how many the large test makes (5,000)."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
from conftest import PHOTOS, ROOT

import mien

distributed = pytest.importorskip("distributed", reason="mien[batch] is not installed")
pa = pytest.importorskip("pyarrow", reason="mien[batch] is not installed")
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from mien.batch.__main__ import main  # noqa: E402

LARGE = int(os.environ.get("MIEN_BATCH_PICTURES", "5000"))


def command(*arguments: Any, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mien.batch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(*arguments: Any, code: int = 0, **options: Any) -> "subprocess.CompletedProcess[str]":
    process = command(*arguments, **options)
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, (process.returncode, out, err)
    return subprocess.CompletedProcess(process.args, code, out, err)


def rows_of(output: Path) -> List[Dict[str, Any]]:
    return [
        row
        for part in sorted(output.glob("part-*.parquet"))
        for row in pq.read_table(part).to_pylist()
    ]


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None and k != "timing_ms"}
    return [without_none(v) for v in value] if isinstance(value, list) else value


def make_pictures(folder: Path, count: int) -> "set[str]":
    """Small images of a face, cut in 800 ways, in folders of 500; every 500th is damaged. Returns the names of the damaged ones."""
    photo = mien.read_picture(PHOTOS / "astronaut_320.png")
    bad, cuts = set(), {}
    for number in range(count):
        path = folder / f"{number // 500:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 500 == 250:
            path.write_bytes(
                (b"", b"no picture", (PHOTOS / "astronaut.jpg").read_bytes()[:999])[
                    number // 500 % 3
                ]
            )
            bad.add(str(path))
            continue
        top, left = number % 20, 60 + number // 20 % 40
        if (top, left) not in cuts:
            mien.write_picture(
                path, np.ascontiguousarray(photo[top : top + 112, left : left + 130])
            )
            cuts[top, left] = path.read_bytes()
        path.write_bytes(cuts[top, left])
    return bad


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Dask cluster of two processes that is there before and after mien-batch."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as processes:
        yield processes.scheduler_address


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("some")
    make_pictures(folder, 60)
    return folder


def test_rows_are_those_of_the_engine(
    some: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (some / "notes.txt").write_text("no image by its name")
    (some / "zz.png").write_bytes(b"damaged")
    done = run(some, tmp_path / "out", "--workers", 2, "--part-size", 16, "--json", code=3)
    summary = json.loads(done.stdout)
    assert (summary["pictures"], summary["errors"], summary["done_before"]) == (
        61,
        1,
        0,
    ) and summary["faces"] >= 50
    engine = mien.Engine()
    rows = rows_of(tmp_path / "out")
    assert [row["source"] for row in rows] == sorted(
        str(p) for p in some.rglob("*") if p.suffix in (".jpg", ".png")
    )
    for row in rows[:-1]:
        assert without_none(row) == without_none(engine.analyze(row["source"]).to_dict())
        assert row["timing_ms"]["total"] > 0
    assert without_none(rows[-1])["schema"] == 2 and rows[-1]["error"] and rows[-1]["faces"] is None
    with pytest.raises(mien.PictureError) as error:
        engine.analyze(b"damaged")
    assert rows[-1]["error"] == str(error.value)
    # A second time there is nothing to do; other options and another input are refused.
    arguments = [str(some), str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 3
    again = json.loads(capsys.readouterr().out)
    assert (again["pictures"], again["errors"], again["done_before"]) == (61, 1, 61)
    assert (
        main([*arguments, "--scale-factor", "1.1"]) == 2
        and "scale_factor" in capsys.readouterr().err
    )
    assert main([*arguments, "--emotion", "large"]) == 2 and "emotion" in capsys.readouterr().err
    assert (
        main([str(some / "000"), arguments[1]]) == 2 and "was begun for" in capsys.readouterr().err
    )
    # The same name for other weights is not the same command.
    mine = tmp_path / "mine.mien"
    for name, code in (("emotion.mien", 3), ("emotion-mini_XCEPTION.mien", 2)):
        mine.write_bytes((ROOT / "weights" / name).read_bytes())
        assert (
            main(
                [str(some), str(tmp_path / "other"), "--emotion", str(mine), "--workers", "1", "-q"]
            )
            == code
        )
    assert capsys.readouterr().err.endswith("was begun with other weights; take another folder\n")
    (some / "zz.png").unlink()


def test_archives_and_tables_on_a_cluster(some: Path, tmp_path: Path, cluster: str) -> None:
    files = sorted(some.rglob("*.jpg"))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for path in files:
            archive.add(path, path.relative_to(some))
        archive.add(PHOTOS / "montage.jpg", "readme.txt")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(some))
    with open(tmp_path / "a.csv", "w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["id", "file"])
        for number, path in enumerate(files):
            writer.writerow([number, os.path.relpath(path, tmp_path)])
        writer.writerow([999, "missing.jpg"])
    pq.write_table(
        pa.table({"path": [str(path) for path in files] + [None]}), tmp_path / "a.parquet"
    )
    expected = [[face.to_dict() for face in mien.analyze(path)] for path in files]
    for name, extra, options in (
        ("a.tar", [], []),
        ("a.zip", [], []),
        ("a.csv", ["No such file or directory"], ["--column", "file"]),
        ("a.parquet", ["the table has no path here"], []),
    ):
        output = tmp_path / f"out-{name}"
        assert main(
            [
                str(tmp_path / name),
                str(output),
                "--cluster",
                cluster,
                "--part-size",
                "25",
                "-q",
                *options,
            ]
        ) == (3 if extra else 0)
        rows = rows_of(output)
        assert [row["error"] for row in rows] == [None] * len(files) + extra
        assert [without_none(row["faces"]) for row in rows[: len(files)]] == expected
        if name in ("a.tar", "a.zip"):
            assert rows[0]["source"] == f"{tmp_path / name}/{files[0].relative_to(some)}"


def test_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mien.batch.__main__.CONNECT_SECONDS", 1.0)
    empty = tmp_path / "empty"
    empty.mkdir()
    compressed = io.BytesIO()
    with tarfile.open(fileobj=compressed, mode="w:gz") as archive:
        archive.add(PHOTOS / "astronaut.jpg", "a.jpg")
    (tmp_path / "a.tgz").write_bytes(compressed.getvalue())
    (tmp_path / "a.csv").write_text("file\nx.jpg\n")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no more")
    (tmp_path / "text.txt").write_text("hello")
    for arguments, code, said in (
        (["missing"], 2, "no such file"),
        ([empty], 2, "no image in it"),
        (["a.tgz"], 2, "compressed"),
        (["a.csv"], 2, "no column 'path'"),
        (["bad.parquet"], 2, "bad.parquet"),
        (["text.txt"], 2, "neither a folder"),
        ([PHOTOS, "--emotion", "a.csv"], 4, "a.csv"),
        ([PHOTOS, "--scale-factor", 1], 2, "out of range"),
        ([PHOTOS, "--cluster", "tcp://127.0.0.1:9"], 2, "no Dask scheduler"),
    ):
        assert main([str(arguments[0]), "out", *map(str, arguments[1:])]) == code
        stderr = capsys.readouterr().err
        assert said in stderr and stderr.count("\n") == 1, stderr
    (tmp_path / "file").write_text("")
    assert run(PHOTOS, tmp_path / "file", code=1).stderr.count("\n") == 1


def test_pipes_and_devices_cost_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "folder.bmp").symlink_to(tmp_path)
    (folder / "a.jpg").write_bytes((PHOTOS / "astronaut.jpg").read_bytes())
    run(folder, tmp_path / "out", code=3)  # some could not be read
    rows = {Path(row["source"]).name: row for row in rows_of(tmp_path / "out")}
    assert len(rows) == 4 and rows["a.jpg"]["error"] is None
    for name in ("pipe.jpg", "zero.png", "folder.bmp"):
        assert rows[name]["error"] == "is no regular file", rows[name]


def test_damaged_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A member that cannot be unpacked, or claims to be huge, costs its row; a list that cannot be
    read, one line."""
    photo = (PHOTOS / "astronaut.jpg").read_bytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("bad.jpg", "huge.jpg", "good.jpg"):
            archive.writestr(name, photo)
    data = bytearray(file.getvalue())
    data[30 + len("bad.jpg")] = 0xFF  # no such kind of block
    entry = data.index(b"huge.jpg", data.index(b"PK\1\2")) - 46
    data[entry + 24 : entry + 28] = (1 << 30).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    run(tmp_path / "a.zip", tmp_path / "out", code=3)
    rows = {Path(row["source"]).name: row for row in rows_of(tmp_path / "out")}
    assert rows["good.jpg"]["error"] is None
    assert "invalid block type" in rows["bad.jpg"]["error"]
    assert rows["huge.jpg"]["error"] == "is larger than 256 MiB"

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    data = bytearray(file.getvalue())
    data[124:136] = b"\xff" * 11 + b"\x00"  # a negative size, as binary
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    (tmp_path / "a.tar").write_bytes(data)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", photo)
    (tmp_path / "nameless.zip").write_bytes(file.getvalue().replace(b"a.jpg", b"\0.jpg"))
    for name in ("a.tar", "nameless.zip"):
        assert main([str(tmp_path / name), str(tmp_path / f"out-{name}")]) == 2
        stderr = capsys.readouterr().err
        assert name in stderr and stderr.count("\n") == 1, stderr


def test_a_picture_that_ends_its_worker(tmp_path: Path) -> None:
    """Damage that ends a process (here by a patch that every Python started with this path loads) costs one row."""
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mien.batch.worker':\n"
        "            sys.meta_path.remove(self)\n"
        "            import mien.engine\n"
        "            plain = mien.engine.read_noted\n"
        "            def deadly(source, max_pixels=0):\n"
        "                if source == b'deadly': os.kill(os.getpid(), signal.SIGKILL)\n"
        "                return plain(source, max_pixels)\n"
        "            mien.engine.read_noted = deadly\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    folder = tmp_path / "in"
    make_pictures(folder, 12)
    deadly = folder / "000" / "000005x.jpg"
    deadly.write_bytes(b"deadly")
    done = run(
        folder,
        tmp_path / "out",
        "--workers",
        2,
        "--part-size",
        5,
        "--json",
        code=3,
        env={
            **os.environ,
            "PYTHONPATH": str(patch),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
        },
    )  # 3 by default: this is quicker
    assert json.loads(done.stdout)["errors"] == 1
    rows = rows_of(tmp_path / "out")
    assert Counter(row["source"] for row in rows) == Counter(str(p) for p in folder.rglob("*.jpg"))
    assert [row["source"] for row in rows if row["error"]] == [str(deadly)]
    assert "SIGKILL" in next(row["error"] for row in rows if row["error"])


def children(pid: int) -> "list[tuple[int, str]]":
    found = []
    for task in Path("/proc").iterdir():
        if task.name.isdigit():
            try:
                stat, line = (task / "stat").read_text(), (task / "cmdline").read_bytes().replace(
                    b"\0", b" "
                ).decode()
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                found += [(int(task.name), line), *children(int(task.name))]
    return found


def wait_for(process: "subprocess.Popen[str]", output: Path, parts: int) -> None:
    end = time.monotonic() + 300
    while len(list(output.glob("part-*.parquet"))) < parts:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def workers_of(process: "subprocess.Popen[str]") -> "list[int]":
    return [pid for pid, line in children(process.pid) if "spawn_main" in line]


def test_large_with_a_worker_killed_in_the_middle(tmp_path: Path) -> None:
    """At least 5,000 images on 3 processes, one killed in the middle: the run ends well by itself, and every image is there once."""
    bad = make_pictures(tmp_path / "in", LARGE)
    output = tmp_path / "out"
    process = command(tmp_path / "in", output, "--workers", 3, "--part-size", 50, "--json")
    wait_for(process, output, LARGE // 50 * 2 // 5)
    workers = workers_of(process)
    assert len(workers) == 3
    os.kill(workers[1], signal.SIGKILL)
    at = len(list(output.glob("part-*.parquet")))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 3, err  # 3: damaged images are among them
    said = json.loads(out)
    assert (said["pictures"], said["errors"], said["done_before"]) == (LARGE, len(bad), 0)
    rows = rows_of(output)
    assert Counter(row["source"] for row in rows) == Counter(
        str(path) for path in (tmp_path / "in").rglob("*.jpg")
    )
    assert {row["source"] for row in rows if row["error"]} == bad
    assert at < LARGE // 50 and sum(len(row["faces"] or ()) for row in rows) > LARGE * 0.7
    print(
        f"{LARGE} images, each once, with one of 3 workers killed after {at * 50}; {said['per_second']} a second"
    )


def test_everything_killed_and_begun_again(tmp_path: Path) -> None:
    """The command and its workers are killed in the middle: the second run does what is missing and touches no finished part."""
    count = min(LARGE, 1500)
    make_pictures(tmp_path / "in", count)
    output = tmp_path / "out"
    first = command(
        tmp_path / "in", output, "--workers", 2, "--part-size", 20, "--json", start_new_session=True
    )
    wait_for(first, output, count // 60)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    stamps = {path: path.stat().st_mtime_ns for path in output.glob("part-*.parquet")}
    assert count // 60 <= len(stamps) < count // 20
    (output / ".part-00000001.parquet.elsewhere-1-1.tmp").write_bytes(b"half a part")
    second = json.loads(run(tmp_path / "in", output, "--workers", 2, "--json", code=3).stdout)
    assert second["pictures"] == count and second["done_before"] >= len(stamps) * 20
    assert all(
        path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()
    ), "a finished part was done again"
    assert not list(output.glob(".*tmp"))
    assert Counter(row["source"] for row in rows_of(output)) == Counter(
        str(path) for path in (tmp_path / "in").rglob("*.jpg")
    )


def test_a_table_under_a_name_of_its_output_is_kept(some: Path, tmp_path: Path) -> None:
    for name in ("_plan.parquet", ".part-1.tmp"):
        output = tmp_path / f"out{name}"
        output.mkdir()
        table = output / name
        paths = [str(path) for path in sorted(some.rglob("*.png"))]
        pq.write_table(pa.table({"path": paths}), table)
        before = table.read_bytes()
        link = tmp_path / f"link{name}.parquet"
        link.symlink_to(table)
        assert "would be overwritten" in run(link, output, code=2).stderr
        assert table.read_bytes() == before


def photo_of(number: int) -> bytes:
    """Images that can be told apart: a face in one of two sizes."""
    return (PHOTOS / ("astronaut.jpg", "astronaut_320.png")[number]).read_bytes()


def by_name(output: Path, archive: Path) -> "List[tuple[str, Any, Any]]":
    """Member, error and width of each row, in their order."""
    return [
        (row["source"].removeprefix(f"{archive}/"), row["error"], row["width"])
        for row in rows_of(output)
    ]


def test_members_of_tars(tmp_path: Path) -> None:
    """Each member that is an image by name is a row: links, double names, names in every format."""
    path = tmp_path / "a.tar"

    def member(name: str, **values: Any) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        for key, value in values.items():
            setattr(info, key, value)
        return info

    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:

        def file(name: str, data: bytes) -> None:
            archive.addfile(member(name, size=len(data)), io.BytesIO(data))

        def link(name: str, to: str, kind: bytes = tarfile.LNKTYPE) -> None:
            archive.addfile(member(name, type=kind, linkname=to))

        file("d/a.jpg", photo_of(0))
        file("d/data", photo_of(1))  # an image by what it is, not by name
        link("d/hard.jpg", "d/a.jpg")
        link("d/of-data.png", "d/data")
        link("soft.jpg", "./d/../d/a.jpg", tarfile.SYMTYPE)
        link("d/up.jpg", "../soft.jpg", tarfile.SYMTYPE)  # a link to a link
        link("loop.jpg", "loop.jpg", tarfile.SYMTYPE)
        link("out.jpg", "/etc/passwd", tarfile.SYMTYPE)
        link("lost.jpg", "missing.jpg")
        archive.addfile(member("pipe.jpg", type=tarfile.FIFOTYPE))
        archive.addfile(member("folder.jpg", type=tarfile.DIRTYPE))
        file("d/a.jpg", photo_of(1))  # a second one of this name
        file("d/._a.jpg", b"of a Mac")
        file("__MACOSX/a.jpg", b"of a Mac")
        file("n" * 150 + "/\u00fc.jpg", photo_of(0))  # GNU's long names
        file("caf\udce9.jpg", photo_of(0))  # Latin-1
        file("\ufeffb.jpg", photo_of(0))
        file("photo.webp", b"RIFF....WEBP")
        file("read.me", b"")
    done = run(path, tmp_path / "out", "-q", code=3)
    assert "left out" not in done.stderr  # Dask tells of a port that another cluster has
    rows = by_name(tmp_path / "out", path)
    links = [
        ("d/hard.jpg", None, 512),  # of two of a name as after unpacking: the one before the link
        ("d/of-data.png", None, 320),
        ("soft.jpg", None, 320),
        ("d/up.jpg", None, 320),
        ("loop.jpg", "is a symbolic link to loop.jpg, no file of the archive", None),
        ("out.jpg", "is a symbolic link to /etc/passwd, no file of the archive", None),
        ("lost.jpg", "is a hard link to missing.jpg, no file of the archive", None),
    ]
    assert rows[-len(links) :] == links
    assert rows[: -len(links)] == [
        ("d/a.jpg", None, 512),
        ("pipe.jpg", "is no regular file", None),
        ("d/a.jpg", None, 320),
        ("n" * 150 + "/\u00fc.jpg", None, 512),
        ("caf\ufffd.jpg", None, 512),
        ("\ufeffb.jpg", None, 512),
        ("photo.webp", rows[6][1], None),
    ]
    assert rows[6][1]
    said = run(path, tmp_path / "other", code=3).stderr
    assert "left out: 2 without an ending of images, 2 of a Mac" in said, said

    pax = tmp_path / "pax.tar"
    with tarfile.open(pax, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("\u65e5\u672c/" + "x" * 200 + ".jpg", "bad\udcff.jpg"):
            info = member(name, size=len(photo_of(0)))
            archive.addfile(info, io.BytesIO(photo_of(0)))
    run(pax, tmp_path / "out-pax")
    assert by_name(tmp_path / "out-pax", pax) == [
        ("\u65e5\u672c/" + "x" * 200 + ".jpg", None, 512),
        ("bad\ufffd.jpg", None, 512),
    ]


def test_members_of_zips(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:

        def file(name: str, data: bytes, mode: int = 0) -> None:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, data)

        file("a.jpg", photo_of(0))
        with pytest.warns(UserWarning, match="Duplicate"):
            file("a.jpg", photo_of(1))
        file("d/link.jpg", b"../a.jpg", 0o120777)
        file("d/out.jpg", b"/etc/passwd", 0o120777)
        file("bad.jpg", b"../damaged.jpg", 0o120777)
        file("__MACOSX/._a.jpg", b"of a Mac")
        file("d\\._b.jpg", b"of a Mac")
        file("gr\u00fc\u00dfe.jpg", photo_of(0))  # with the flag for UTF-8
        file("caf_.jpg", photo_of(0))  # made code page 437 below
        file("na__ve.jpg", photo_of(0))  # UTF-8 without the flag
        file("d/deep/er/b.jpg", photo_of(0))
    data = path.read_bytes()
    data = data.replace(b"caf_.jpg", b"caf\x82.jpg").replace(b"na__ve", "na\u00efve".encode())
    data = data.replace(b"damaged.jpg", b"damage!.jpg")  # its checksum is another one now
    path.write_bytes(data)
    done = run(path, tmp_path / "out", code=3)
    assert "left out: 2 of a Mac" in done.stderr
    assert by_name(tmp_path / "out", path) == [
        ("a.jpg", None, 512),
        ("a.jpg", None, 320),
        ("d/link.jpg", None, 320),
        ("d/out.jpg", "is a symbolic link to /etc/passwd, no file of the archive", None),
        ("bad.jpg", "is a symbolic link to bad.jpg, no file of the archive", None),
        ("gr\u00fc\u00dfe.jpg", None, 512),
        ("caf\u00e9.jpg", None, 512),
        ("na\u00efve.jpg", None, 512),
        ("d/deep/er/b.jpg", None, 512),
    ]
    from mien.batch.plan import zip_name

    # The name in UTF-8 in Info-ZIP's field counts, where its checksum is that of the other name.
    member = zipfile.ZipInfo("caf\u00e9.jpg")
    field = "\u65e5.jpg".encode()
    for crc, wanted in ((zlib.crc32(b"caf\x82.jpg"), "\u65e5.jpg"), (7, "caf\u00e9.jpg")):
        member.extra = struct.pack("<HHBI", 0x7075, 5 + len(field), 1, crc) + field
        assert zip_name(member) == wanted


def test_folders_and_tables_as_people_have_them(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    names = ["b.jpg", "sub/a.jpg", "caf\udce9.jpg", "sub/._a.jpg", "__MACOSX/a.jpg", "Z.JPG"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo_of(0))
    (folder / "link.jpg").symlink_to("b.jpg")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "loop").symlink_to(folder)
    (folder / "sub" / "read.me").write_text("")
    deep = os.fsencode(folder)  # deeper than a path may be long, and than Python calls itself
    here = os.open(deep, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir(b"deeper", dir_fd=here)
        inner = os.open(b"deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        done = run(folder, tmp_path / "out", code=3)
    finally:
        subprocess.run(["rm", "-rf", str(folder / "deeper")], check=True)
    for left in ("1 links to folders", "2 of a Mac (._NAME, __MACOSX)", "1 without an ending"):
        assert left in done.stderr, done.stderr
    rows = {
        row["source"].removeprefix(f"{folder}/"): row["error"] for row in rows_of(tmp_path / "out")
    }
    (too_deep,) = [name for name in rows if name.startswith("deeper")]
    assert rows.pop(too_deep) == "File name too long"
    assert rows == {
        "Z.JPG": None,
        "b.jpg": None,
        "broken.jpg": "No such file or directory",
        "caf\ufffd.jpg": None,
        "link.jpg": None,
        "sub/a.jpg": None,
    }
    table = tmp_path / "in" / "t.csv"
    table.write_bytes(b'\xef\xbb\xbfpath,x\r\nb.jpg,1\r\n"caf\xe9.jpg",2\r\n,3\r\na\0b.jpg,4\r\n')
    run(table, tmp_path / "out-csv", code=3)
    errors = [row["error"] for row in rows_of(tmp_path / "out-csv")]
    assert errors[:3] == [None, None, "the table has no path here"] and "null" in errors[3]
    pq.write_table(pa.table({"path": [1, 2]}), tmp_path / "n.parquet")
    run(tmp_path / "n.parquet", tmp_path / "out-n", code=3)
    assert rows_of(tmp_path / "out-n")[0]["error"] == "the table has no path here, but 1"
