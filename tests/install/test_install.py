#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Can a stranger's project use an installed mien? Installs into a fresh prefix and builds consumers by CMake (C++ and C) and by pkg-config."""
from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CONSUMER = """cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C CXX)
find_package(mien 0.1 REQUIRED)
add_executable(consumer example.cpp)
target_link_libraries(consumer PRIVATE mien::mien)
add_executable(consumer_c example_c.c)
target_link_libraries(consumer_c PRIVATE mien::mien_shared)
"""


def run(command: list[str], **kwargs) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f"test_install: {' '.join(command)} failed ({done.returncode})\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, help="build folder to install from")
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        prefix, source, build = work / "prefix", work / "source", work / "build"
        source.mkdir()
        run(["cmake", "--install", args.build, "--prefix", str(prefix)])
        weights = prefix / "share" / "mien"
        shutil.copy(ROOT / "docs" / "example.cpp", source)
        shutil.copy(ROOT / "tests" / "tools" / "example_c.c", source)

        (source / "CMakeLists.txt").write_text(CONSUMER)
        run(["cmake", "-S", str(source), "-B", str(build), f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={args.cxx}",
             f"-DCMAKE_C_COMPILER={args.cc}"])
        run(["cmake", "--build", str(build)])
        for program in ("consumer", "consumer_c"):
            print("cmake:", run([str(build / program), str(weights)]).strip())

        pkg_config = shutil.which("pkg-config")
        if pkg_config is None:
            print("pkg-config: skipped, it is not installed")
        else:
            pc_dir = next(prefix.rglob("mien.pc")).parent
            # The prefix in the file is the configured one; pkg-config replaces it by where the file lies.
            flags = run([pkg_config, f"--define-variable=prefix={prefix}", "--cflags", "--libs", "mien"],
                        env={**os.environ, "PKG_CONFIG_PATH": str(pc_dir)}).split()
            run([args.cxx, "-std=c++20", str(source / "example.cpp"), *flags, "-o", str(work / "by_pkg_config")])
            library_path = {**os.environ, "LD_LIBRARY_PATH": str(pc_dir.parent)}  # -lmien prefers the shared library
            print("pkg-config:", run([str(work / "by_pkg_config"), str(weights)], env=library_path).strip())

        tool = prefix / "bin" / "mien"
        if tool.exists():
            print("tool:", run([str(tool), "--version"], cwd="/").splitlines()[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
