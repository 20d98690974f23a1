# A thin front for CMake; the build itself is described in CMakeLists.txt.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
DEMO_OUT ?= demo-out

.PHONY: all desktop demo test check format format-check asan tsan scalar fuzz wasm web emulate
.PHONY: icount bench bench-peers install weights clean help page-check container-check packages
.PHONY: packages-check release release-check release-again cross-aarch64 cross-armhf cross-riscv64
.PHONY: camera-vm

all: ## the library and the command line tool, in build/release
	cmake --preset release >/dev/null
	cmake --build --preset release -j $(JOBS)

desktop: ## the same with films by FFmpeg and a window by SDL2, in build/desktop (needs their development packages)
	cmake --preset desktop >/dev/null
	cmake --build --preset desktop -j $(JOBS)

demo: all ## find and read the faces of the sample photos
	build/release/mien image tests/data/photos/*.jpg --out $(DEMO_OUT) -y

test: ## build and run the tests (optimized)
	cmake --preset check >/dev/null
	cmake --build --preset check -j $(JOBS)
	ctest --test-dir build/check --output-on-failure -j $(JOBS)

asan: ## the same under AddressSanitizer and UndefinedBehaviorSanitizer
	cmake --preset asan >/dev/null
	cmake --build --preset asan -j $(JOBS)
	ctest --test-dir build/asan --output-on-failure -j $(JOBS)

scalar: ## the same without any SIMD path
	cmake --preset scalar >/dev/null
	cmake --build --preset scalar -j $(JOBS)
	ctest --test-dir build/scalar --output-on-failure -j $(JOBS)

check: ## build and test; MIEN_CHECK=deep or all: further (tests/README.md)
	sh tests/check.sh

format: ## format C, C++ and Python (clang-format and black of the pinned versions, from PyPI)
	sh tools/format.sh

format-check: ## is all C, C++ and Python formatted?
	sh tools/format.sh --check

tsan: ## the tests with threads under ThreadSanitizer
	cmake --preset tsan >/dev/null
	cmake --build --preset tsan -j $(JOBS) --target mien_tool mien-tests
	ctest --test-dir build/tsan --output-on-failure -R '^(unit|serve|video)$$'

fuzz: ## build the libFuzzer targets (clang) and run each for FUZZ_SECONDS
	cmake --preset fuzz >/dev/null
	cmake --build --preset fuzz -j $(JOBS)
	sh tests/fuzz/run.sh build/fuzz $${FUZZ_SECONDS:-60}

cross-aarch64: ## for 64-bit ARM boards: a static build/aarch64/mien to copy there (also: cross-armhf, cross-riscv64)
cross-aarch64 cross-armhf cross-riscv64: cross-%:
	sh tools/foreign.sh $*
	cmake --preset $* >/dev/null
	cmake --build --preset $* -j $(JOBS) --target mien_tool mien

wasm: ## the WebAssembly modules and the npm package in build/npm (clang, lld, wasi-libc)
	cmake --preset wasm >/dev/null
	cmake --build --preset wasm -j $(JOBS) --target mien_web
	cmake --preset wasm-simd >/dev/null
	cmake --build --preset wasm-simd -j $(JOBS) --target mien_web
	sh src/web/assemble.sh

web: wasm ## the same, and the page as a folder for any web server in build/web; works offline after the first visit

emulate: ## the tests on emulated ARM, RISC-V, s390x and old x86 processors
	sh tests/emulate.sh

camera-vm: ## the camera against real V4L2 drivers in a virtual machine
	sh tests/camera_vm.sh

page-check: all ## the page of mien serve in headless Chromium; its screenshots in build/page-shots
	$$(sh tests/page_venv.sh) -m pytest -q tests/e2e/test_page.py --mien build/release/mien --shots build/page-shots

container-check: ## build the container, run it as docs/SERVICE.md says, and see what it may do (docker or podman; minutes)
	sh tests/container.sh

icount: ## instructions per face and per frame for every path, under emulation
	python3 bench/icount/icount.py

bench: ## measure everything on this machine; results also in build/bench.json (BENCH="net --isa avx2": a part)
	cmake -S . -B build/bench -DCMAKE_BUILD_TYPE=Release -DMIEN_BUILD_BENCH=ON -DMIEN_UNITY=ON >/dev/null
	cmake --build build/bench -j $(JOBS) --target mien-bench
	build/bench/bench/mien-bench $(BENCH) --out build/bench.json

bench-peers: all ## mien beside OpenCV, LiteRT, ONNX Runtime, OpenVINO and ncnn (PHOTOS="a.jpg b.jpg": on these images)
	sh bench/peers/run.sh $(PHOTOS)

packages: ## Debian packages in build/packages (PACKAGES="amd64 arm64 armhf riscv64"; default: this machine's)
	sh tools/packages.sh $(PACKAGES)

packages-check: packages ## install them in clean roots of Debian 12 and 13, and run them (root, debootstrap; minutes)
	sh tests/packages.sh

release: ## all files of a release with checksums in build/release-VERSION (tools/release.sh; long)
	sh tools/release.sh

release-check: ## try these files as their users would (tests/release.sh)
	sh tests/release.sh

release-again: ## build it a second time, elsewhere and without ccache: are the bytes the same? (tests/same_bytes.sh)
	sh tests/same_bytes.sh

install: all ## into PREFIX (default /usr/local)
	cmake --install build/release --prefix $(PREFIX)

weights: ## convert the shipped weights again from their sources
	sh tools/make_weights.sh

clean:
	rm -rf build $(DEMO_OUT)

help:
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 15
