#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Manual pages and completions come from the tables behind --help: they name the same options, and the programs that
read them take them."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MIEN = os.environ["MIEN_TOOL"]


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


VERBS = re.findall(r"^  (\w+)  +\w", run(MIEN, "--help"), re.M)


def options_of(verb: str) -> set[str]:
    return set(re.findall(r"^  (?:-\w,)?(--[a-z0-9-]+)", run(MIEN, verb, "--help"), re.M))


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}")
    return found


def test_verbs() -> None:
    assert {"image", "camera", "video", "serve", "info", "manual", "completion"} <= set(VERBS)
    pages = run(MIEN, "manual")
    for verb in VERBS:
        assert f"mien\\-{verb}" in pages
        name = re.search(r"^\.SH NAME\n(.*)", run(MIEN, "manual", verb), re.M)
        assert name is not None and "the same" not in name[1], name  # as what?


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_wrapped(verb: str) -> None:
    text = run(MIEN, verb, "--help")
    for line in text.splitlines():
        assert len(line) <= 100 and line == line.rstrip(), line
    # Nothing is lost on the way: a page has the same words.
    page = run(MIEN, "manual", verb).replace("\\", "")
    described = re.findall(r"^\.TP\n.*\n(.*)", page, re.M)
    words = " ".join(text.split())
    for description in described:
        assert description.partition(". One of ")[0] in words, description


def synopsis(verb: str) -> str:
    found = re.search(r"^\.SH SYNOPSIS\n(.*)", run(MIEN, "manual", verb), re.M)
    assert found is not None
    return re.sub(r"\\f[BIR]", "", found[1])


def test_pages_tell_what_may_be_left_out() -> None:
    for verb in VERBS:
        usage = re.search(r"^Usage: (.*)", run(MIEN, verb, "--help"), re.M)
        assert usage is not None and synopsis(verb) == usage[1].strip()
        for option in re.findall(r"^  (--[a-z0-9-]+)\[=NAME\]", run(MIEN, verb, "--help"), re.M):
            entry = "\\fB" + option.replace("-", "\\-") + "\\fR[=NAME]\n"
            assert entry in run(MIEN, "manual", verb)
    assert "[DEVICE]" in synopsis("camera") and "[FILE]" not in synopsis("video")


@pytest.mark.parametrize("verb", VERBS)
def test_pages_name_every_option(verb: str, tmp_path: Path) -> None:
    page = run(MIEN, "manual", verb)
    named = set(re.findall(r"^(?:\\fB\\-\w\\fR, )?\\fB(\\-\\-[a-z0-9\\-]+)\\fR", page, re.M))
    assert {name.replace("\\", "") for name in named} == options_of(verb)
    (tmp_path / "page.1").write_text(page)
    done = subprocess.run(
        [needs("groff"), "-man", "-ww", "-z", "-Tutf8", str(tmp_path / "page.1")],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_bash(tmp_path: Path) -> None:
    script = tmp_path / "mien"
    script.write_text(run(MIEN, "completion", "bash"))

    def completed(*words: str) -> list[str]:
        line = (
            f". {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _mien;"
            ' printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return run(needs("bash"), "-c", line).split()

    assert completed("mien", "cam") == ["camera"]
    assert set(completed("mien", "''")) == {*VERBS, "--help", "--version"}
    assert set(completed("mien", "manual", "''")) == set(VERBS)
    assert completed("mien", "completion", "z") == ["zsh"]
    assert completed("mien", "image", "--cov") == ["--cover"]
    assert completed("mien", "camera", "--style", "e") == ["emotion", "explain"]
    assert set(completed("mien", "camera", "--")) == options_of("camera")
    assert completed("mien", "image", "x") == []  # the shell's own: files
    # Words as bash takes them apart; folders alone where a folder is wanted, nothing for a number.
    assert completed("mien", "camera", "--style", "=", "e") == ["emotion", "explain"]
    assert completed("mien", "camera", "--style", "=") == ["gender", "emotion", "explain"]
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a file").touch()
    line = (
        f"cd '{tmp_path}'; . {script}; COMP_WORDS=(mien image --crops a); COMP_CWORD=3; _mien;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert run(needs("bash"), "-c", line) == "a folder\n"
    assert completed("mien", "image", "--min-face", "-") == []


def test_fish_and_zsh(tmp_path: Path) -> None:
    script = tmp_path / "mien.fish"
    script.write_text(run(MIEN, "completion", "fish"))
    if shutil.which("fish"):
        answer = run("fish", "-c", f"source {script}; complete -C 'mien camera --style e'")
        assert [line.split("\t")[0] for line in answer.splitlines()] == ["emotion", "explain"]
        answer = run("fish", "-c", f"source {script}; complete -C 'mien '")
        assert {line.split("\t")[0] for line in answer.splitlines()} == set(VERBS)
        answer = run("fish", "-c", f"source {script}; complete -C 'mien completion '")
        assert set(answer.split()) == {"bash", "zsh", "fish"}
        (tmp_path / "a").mkdir()
        (tmp_path / "a.mien").touch()

        def offers(words: str) -> set[str]:
            answer = run("fish", "-c", f"cd {tmp_path}; source {script}; complete -C '{words}'")
            return {line.split("\t")[0] for line in answer.splitlines()}

        assert offers("mien image --crops a") == {"a/"}
        assert offers("mien image --emotion a") == offers("mien image a") == {"a/", "a.mien"}
        assert offers("mien image --min-face a") == set()
        assert "a/" not in offers("mien manual a") | offers("mien completion a")
    script = tmp_path / "_mien"
    script.write_text(run(MIEN, "completion", "zsh"))
    run(needs("zsh"), "-n", script)
    offered = re.findall(r"^    '(\w+):", script.read_text(), re.M)
    assert offered == VERBS
    # What _arguments is told.
    stub = '_arguments() { print -rl -- "$@" }; words=(mien %s); CURRENT=3; . ' + str(script)

    def told(verb: str) -> list[str]:
        return run("zsh", "-f", "-c", stub % verb).splitlines()

    image = told("image")
    assert any(re.fullmatch(r"--crops\[.*\]:FOLDER:_files -/", spec) for spec in image)
    assert any(re.fullmatch(r"--emotion\[.*\]:FILE:_files", spec) for spec in image)
    assert any(re.fullmatch(r"--min-face\[.*\]:PIXELS: ", spec) for spec in image)
    assert [spec for spec in image if spec[0] == "*"] == ["*:PHOTO...:_files"]
    assert "1:SHELL:(bash zsh fish)" in told("completion")
    assert told("video").count("1:FILE:_files") == 1
    for option in re.findall(r"^  (--[a-z0-9-]+)\[=NAME\]", run(MIEN, "video", "--help"), re.M):
        assert any(spec.startswith(option + "=-[") and "]::NAME:" in spec for spec in told("video"))


def test_all_files_and_errors(tmp_path: Path) -> None:
    run(MIEN, "manual", "--all", tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("*.*1")}
    assert names == {"man1/mien.1"} | {f"man1/mien-{verb}.1" for verb in VERBS}
    assert (tmp_path / "out" / "_mien").read_text() == run(MIEN, "completion", "zsh")
    for words in (("manual", "imagine"), ("completion", "csh"), ("completion",)):
        done = subprocess.run([MIEN, *words], capture_output=True, text=True)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
