# SPDX-License-Identifier: MIT
"""The program of docs/example.cpp against the package, and run."""
from pathlib import Path

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, cmake_layout


class TestMien(ConanFile):
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeToolchain", "CMakeDeps"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        if can_run(self):
            weights = Path(self.dependencies["mien"].package_folder) / "share" / "mien"
            self.run(f"{self.cpp.build.bindir}/example {weights}", env="conanrun")
