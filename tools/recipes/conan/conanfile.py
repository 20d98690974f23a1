# SPDX-License-Identifier: MIT
"""mien's library for Conan 2: `conan create tools/recipes/conan`. Out of the repository that the
recipe lies in; its version is that of include/mien/version.h."""
import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load

required_conan_version = ">=2.0"
EXPORTED = (
    "CMakeLists.txt",
    "cmake/*",
    "include/*",
    "src/*",
    "weights/*.mien",
    "LICENSE",
    "THIRD_PARTY.md",
    "README.md",
    "CHANGELOG.md",
    "docs/*.md",
    "docs/example.cpp",
)


class Mien(ConanFile):
    name = "mien"
    license = "MIT"
    description = "Finds faces and reads their expression, gender and age, on small computers"
    topics = ("face-detection", "expression-recognition", "embedded", "simd")
    settings = "os", "arch", "compiler", "build_type"
    package_type = "library"
    options = {"shared": [True, False], "fPIC": [True, False], "simd": [True, False]}
    default_options = {"shared": False, "fPIC": True, "simd": True}

    def _repository(self) -> Path:
        return Path(self.recipe_folder).resolve().parents[2]

    def set_version(self):
        header = load(self, str(self._repository() / "include" / "mien" / "version.h"))
        self.version = ".".join(
            re.findall(r"define MIEN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
        )

    def export_sources(self):
        for pattern in EXPORTED:
            copy(self, pattern, str(self._repository()), self.export_sources_folder)

    def configure(self):
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["MIEN_BUILD_TOOL"] = False
        toolchain.cache_variables["MIEN_SCALAR_ONLY"] = not self.options.simd
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        for target in "mien", "mien_shared":
            cmake.build(target=target)

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, str(Path(self.package_folder) / "licenses"))
        copy(
            self, "THIRD_PARTY.md", self.source_folder, str(Path(self.package_folder) / "licenses")
        )

    def package_info(self):
        # mien's own CMake package has the targets mien::mien and mien::mien_shared.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/mien"]
        self.cpp_info.libs = ["mien"]
        self.cpp_info.resdirs = ["share/mien"]
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
