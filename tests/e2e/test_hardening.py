#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the built program and library have the protections of cmake/options.cmake (MIEN_HARDEN)? Read
from their ELF files."""
from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

MIEN = Path(os.environ["MIEN_TOOL"])
X86_64, AARCH64 = 62, 183
EXECUTE, WRITE = 1, 2


class Elf:
    """Of 64 bits, little endian: segments, the dynamic section and its symbols."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        if self.data[:6] != b"\x7fELF\x02\x01":
            pytest.skip(f"{path.name} is no 64-bit little-endian ELF file")
        self.type, self.machine = struct.unpack_from("<HH", self.data, 16)
        table, size, count = self.at("<Q", 32)[0], *self.at("<HH", 54)
        # type, flags, offset, address, _, bytes
        self.segments = [self.at("<IIQQQQ", table + i * size) for i in range(count)]
        self.dynamic: dict[int, int] = {}
        for kind, _, offset, _, _, length in self.segments:
            if kind == 2:
                for i in range(offset, offset + length, 16):
                    tag, value = self.at("<QQ", i)
                    self.dynamic.setdefault(tag, value)
        self.symbols = dict(self._symbols())

    def at(self, form: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(form, self.data, offset)

    def offset(self, address: int) -> int:
        for kind, _, offset, start, _, length in self.segments:
            if kind == 1 and start <= address < start + length:
                return offset + address - start
        raise AssertionError(f"no segment holds {address:#x}")

    def _symbols(self):
        strings, table = self.offset(self.dynamic[5]), self.offset(self.dynamic[6])
        # The table has no length of its own; the strings follow it.
        for entry in range(table, strings, 24):
            name, _, _, _, value, _ = self.at("<IBBHQQ", entry)
            end = self.data.index(b"\0", strings + name)
            yield self.data[strings + name : end].decode(), value


@pytest.fixture(params=["program", "library"])
def elf(request) -> Elf:
    if request.param == "program":
        return Elf(MIEN)
    found = sorted(MIEN.parent.glob("libmien.so.*"))
    if not found:
        pytest.skip("the shared library was not built")
    return Elf(found[0])


def test_it_is_moved_in_memory_and_bound_before_it_runs(elf: Elf) -> None:
    assert elf.type == 3, "not position-independent"
    kinds = [segment[0] for segment in elf.segments]
    assert 0x6474E552 in kinds, "no PT_GNU_RELRO: tables of addresses stay writable"
    flags, flags_1 = elf.dynamic.get(30, 0), elf.dynamic.get(0x6FFFFFFB, 0)
    assert flags & 8 or flags_1 & 1, "symbols are bound while it runs"


def test_nothing_is_writable_and_executed(elf: Elf) -> None:
    stack = [flags for kind, flags, *_ in elf.segments if kind == 0x6474E551]
    assert stack and not stack[0] & EXECUTE, "the stack is executed"
    for kind, flags, *_ in elf.segments:
        assert kind != 1 or flags & (WRITE | EXECUTE) != WRITE | EXECUTE


def test_stacks_and_copies_are_checked(elf: Elf) -> None:
    assert "__stack_chk_fail" in elf.symbols
    if "mien_create" not in elf.symbols:  # the program; the core has no copies to check
        assert any(name.endswith("_chk") for name in elf.symbols), "no checked copies"


def test_jumps_have_marked_targets(elf: Elf) -> None:
    marks = {X86_64: [b"\xf3\x0f\x1e\xfa"], AARCH64: [b"\x5f\x24\x03\xd5", b"\x3f\x23\x03\xd5"]}
    if elf.machine not in marks:
        pytest.skip("this processor has no such marks")
    entries = [
        value for name, value in elf.symbols.items() if name.startswith("mien_") and value > 0
    ]
    if not entries:
        pytest.skip("it exports nothing")
    for address in entries:
        start = elf.offset(address)
        assert elf.data[start : start + 4] in marks[elf.machine], hex(address)
