#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Can a stranger's project use mien? Builds consumers of an installed mien, by CMake (C++ and C) and
by pkg-config, and of mien's source as a part of their own build, by FetchContent and add_subdirectory.
"""
from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CONSUMER = """cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C CXX)
{take_mien}
add_executable(consumer example.cpp)
{link}
add_executable(readme readme.cpp)
target_link_libraries(readme PRIVATE mien::mien)
target_compile_options(readme PRIVATE -Wall -Wextra -Wshadow -Wconversion -Werror)
add_executable(consumer_c example_c.c)
target_link_libraries(consumer_c PRIVATE mien::mien_shared)
file(WRITE ${{CMAKE_BINARY_DIR}}/weights_dir "${{mien_WEIGHTS_DIR}}")
if(MIEN_UNITY OR MIEN_WERROR OR MIEN_INSTALL OR MIEN_BUILD_TOOL)
  message(FATAL_ERROR "meant for those who build mien itself")
endif()
"""


def blocks(page: str, language: str) -> list[str]:
    """The code of a page, as a reader would copy it."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


FIND_PACKAGE, FETCH_CONTENT, ADD_SUBDIRECTORY, LINK = blocks("docs/EMBEDDING.md", "cmake")
README_PROGRAM = """#include <cstdint>
#include <cstdio>
#include <mien/owned.hpp>
#include <vector>

int main() {
    const int width = 2000, height = 1500;  // larger than the configuration's default
    const std::vector<std::uint8_t> image(3 * width * height, 90);
    const std::uint8_t* const pixels = image.data();
%s
    return engine.status() == mien::Status::ok ? 0 : 1;
}
"""


def run(command: list[str], **kwargs) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        sys.exit(
            f"test_install: {' '.join(command)} failed ({done.returncode})\n"
            f"{done.stdout}{done.stderr}"
        )
    return done.stdout


class Consumers:
    """Builds the example programs in different ways; each has to find faces."""

    def __init__(self, work: pathlib.Path, cxx: str, cc: str) -> None:
        self.work, self.cxx, self.cc = work, cxx, cc

    def configure(self, name: str, take_mien: str, weights: pathlib.Path, *options: str) -> None:
        source, build = self.work / name, self.work / name / "build"
        source.mkdir()
        shutil.copy(ROOT / "docs" / "example.cpp", source)
        shutil.copy(ROOT / "tests" / "tools" / "example_c.c", source)
        snippet = blocks("README.md", "cpp")[0]
        (source / "readme.cpp").write_text(README_PROGRAM % snippet)
        (source / "CMakeLists.txt").write_text(CONSUMER.format(take_mien=take_mien, link=LINK))
        (source / "third_party").mkdir()
        (source / "third_party" / "mien").symlink_to(ROOT)
        run(
            [
                "cmake",
                "-S",
                str(source),
                "-B",
                str(build),
                f"-DCMAKE_CXX_COMPILER={self.cxx}",
                f"-DCMAKE_C_COMPILER={self.cc}",
                *options,
            ]
        )
        weights_dir = pathlib.Path((build / "weights_dir").read_text())
        if weights_dir.resolve() != weights.resolve():
            sys.exit(f"test_install: {name}: mien_WEIGHTS_DIR is {weights_dir}, not {weights}")

    def build(self, name: str, take_mien: str, weights: pathlib.Path, *options: str) -> None:
        self.configure(name, take_mien, weights, *options)
        build = self.work / name / "build"
        run(["cmake", "--build", str(build), "-j", "2"])
        for program in ("consumer", "consumer_c"):
            print(f"{name}:", run([str(build / program), str(weights)]).strip())
        (self.work / name / "weights").symlink_to(weights)  # which the README's program opens
        run([str(build / "readme")], cwd=self.work / name)

    def build_by_pkg_config(self, pkg_config: str, prefix: pathlib.Path) -> None:
        pc_dir = next(prefix.rglob("mien.pc")).parent
        environment = {**os.environ, "PKG_CONFIG_PATH": str(pc_dir)}
        flags = run([pkg_config, "--cflags", "--libs", "mien"], env=environment).split()
        weights = run([pkg_config, "--variable=datadir", "mien"], env=environment).strip()
        program = str(self.work / "by_pkg_config")
        run([self.cxx, "-std=c++20", str(ROOT / "docs" / "example.cpp"), *flags, "-o", program])
        # -lmien prefers the shared library.
        library_path = {**os.environ, "LD_LIBRARY_PATH": str(pc_dir.parent)}
        print("pkg-config:", run([program, weights], env=library_path).strip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="build folder to install from")
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        consumers = Consumers(work, args.cxx, args.cc)

        # Staged as a packager does it, with another prefix than the configured one, and moved.
        staging, prefix = work / "staging", work / "prefix"
        run(
            ["cmake", "--install", args.build, "--prefix", "/opt/mien"],
            env={**os.environ, "DESTDIR": str(staging)},
        )
        (staging / "opt" / "mien").rename(prefix)
        consumers.build(
            "find_package", FIND_PACKAGE, prefix / "share" / "mien", f"-DCMAKE_PREFIX_PATH={prefix}"
        )
        pkg_config = shutil.which("pkg-config")
        if pkg_config is None:
            print("pkg-config: skipped, it is not installed")
        else:
            consumers.build_by_pkg_config(pkg_config, prefix)
        tool = prefix / "bin" / "mien"
        if tool.exists():
            print("tool:", run([str(tool), "--version"], cwd="/").splitlines()[0])

        # Without vectors and optimisation, to keep it short. The folder that FetchContent has fetched
        # is added as a subdirectory, so one build tests both.
        short = ("-DMIEN_SCALAR_ONLY=ON", "-DCMAKE_BUILD_TYPE=None")
        weights = ROOT / "weights"
        consumers.build(
            "FetchContent", FETCH_CONTENT, weights, f"-DFETCHCONTENT_SOURCE_DIR_MIEN={ROOT}", *short
        )
        consumers.configure("add_subdirectory", ADD_SUBDIRECTORY, weights, *short)
    return 0


if __name__ == "__main__":
    sys.exit(main())
