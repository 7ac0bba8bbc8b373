# Builds, shows, tests. `make help` lists the targets; each can be run on a clean clone.

SWIFT ?= swift
# The tests are built apart, for they take other flags than the product: neither build undoes the other.
TEST_BUILD := .build-test
TEST_FLAGS := -c release -Xswiftc -enable-testing --scratch-path $(TEST_BUILD)
TEST = $(SWIFT) test $(TEST_FLAGS)
# Where a newer software driver for Vulkan is put.
SOFTWARE_DRIVER := .build-driver
FIXTURE_ENVIRONMENT := .build-fixtures
THIMBLE := .build/release/thimble
LIBRARY := .build/library

BUILD_PACKAGES := libzstd-dev libxxhash-dev libfreetype-dev libpng-dev libjpeg-dev libwebp-dev pkg-config \
	fonts-dejavu-core libvulkan-dev libzip-dev libxml2-dev libmd4c-dev poppler-utils
# 54 MB of glyphs, for pages in Chinese and Japanese.
TEST_PACKAGES := fonts-noto-cjk
# A Vulkan that computes on the processor, and the layers that watch how it is used.
TEST_PACKAGES += libvulkan1 mesa-vulkan-drivers vulkan-validationlayers
# What the C interface's header is tried with, beside the compiler that comes with Swift.
TEST_PACKAGES += gcc g++
ifeq ($(shell uname -m),x86_64)
# What the NEON kernels are compiled with and run by; on a 64-bit ARM they are simply among those tested.
TEST_PACKAGES += gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
endif

# What describes the C interface, links with the library as its users do, builds Debian packages and a system to try them
# in, and builds the examples in one more way.
PACKAGING_PACKAGES := abigail-tools binutils gcc dpkg-dev cmake xz-utils debootstrap

# Where `make install` puts things; DESTDIR goes before it. `make dist` and `make deb` write into PACKAGES.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
PACKAGE_BUILD := .build/package
PACKAGES ?= $(PACKAGE_BUILD)/out

DEMO_DOCUMENT ?= Examples/voyage.txt
DEMO_QUESTION ?= What is the code of copper-kettle?

SOURCES := Package.swift Sources Tests Fuzz

# Seconds for each fuzz target, beside all that is known of it, which is tried first; executions of each in a
# campaign, and the seconds that it may take in all.
FUZZ_SECONDS ?= 8
FUZZ_RUNS ?= 50000000
CAMPAIGN_SECONDS ?= 3600
# What it has found beside that, and its logs.
FUZZ_CORPORA := .build-fuzz/corpora
# One build a sanitizer: the fuzzer is one with the tests.
ADDRESS_BUILD := .build-address
THREAD_BUILD := .build-thread
# Without the tracing of comparisons: less guidance in each execution, and about twice as many.
CAMPAIGN_BUILD := .build-fuzz-campaign

.PHONY: help deps test-deps packaging-deps check-swift build library library-check portable install dist dist-check deb deb-check \
	readme-check examples-check abi abi-check package-check demo test test-driver test-address test-thread sanitized-builds lint format fuzz \
	fuzz-campaign fixtures documents evaluate reader kernel-check kernel-bench shaders shaders-check

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

deps: ## install the Debian packages that the build needs, where they are missing
	@Scripts/install-packages $(BUILD_PACKAGES)

test-deps: deps
	@Scripts/install-packages $(TEST_PACKAGES)

packaging-deps: deps
	@Scripts/install-packages $(PACKAGING_PACKAGES)

check-swift:
	@Scripts/check-swift 6.3 $(SWIFT)

build: deps check-swift ## build the program into .build/release/thimble
	$(SWIFT) build -c release --product thimble

library: deps check-swift ## build the C library and its header into .build/library
	Scripts/build-library $(LIBRARY) $(SWIFT)
# What is installed: the program with all that it needs inside, and the library.
portable: library
	Scripts/build-program $(PACKAGE_BUILD) $(SWIFT)

install: portable ## install the program, the library and the bundled model (PREFIX, LIBDIR, DESTDIR)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" Scripts/install-tree $(PACKAGE_BUILD)/thimble \
		$(LIBRARY)

dist: portable packaging-deps ## make a tarball that runs wherever it is unpacked
	@Scripts/build-dist $(PACKAGE_BUILD)/thimble $(LIBRARY) $(PACKAGES)

deb: portable packaging-deps ## make the Debian packages thimble, libthimble0 and libthimble-dev
	@Scripts/build-deb $(PACKAGE_BUILD)/thimble $(LIBRARY) $(PACKAGES)

dist-check: dist ## unpack the tarball where there is only the C library, and run it there
	@Scripts/check-dist $(PACKAGES)/thimble-$$(Scripts/version)-linux-$$(uname -m).tar.xz

# The system that packages are tried in: this one's kind, or DEB_SUITE of DEB_MIRROR.
DEB_SUITE ?= $(shell . /etc/os-release && echo $$VERSION_CODENAME)

deb-check: deb ## install the packages in a system of its own, run and remove them (DEB_SUITE, DEB_MIRROR)
	@Scripts/check-deb $(PACKAGES) $(PACKAGE_BUILD)/systems/$(DEB_SUITE) $(DEB_SUITE) $(DEB_MIRROR)

readme-check: portable ## repeat what README.md gives names, sizes and times of
	@Scripts/readme-runs $(PACKAGE_BUILD)/thimble

examples-check: portable test-deps packaging-deps ## build and run every example against an installed tree
	@Scripts/check-examples $(PACKAGE_BUILD)/thimble $(LIBRARY)

abi: packaging-deps ## describe the C interface anew in abi/
	@Scripts/abi write

abi-check: packaging-deps ## fail where the C interface is not what abi/ says, and try that it would
	@Scripts/abi test
	@Scripts/abi check

package-check: abi-check library-check examples-check readme-check dist-check deb-check ## all of the packaging, built once

library-check: library packaging-deps ## hold the C library to what it needs, exports and answers
	Scripts/check-library $(LIBRARY)

demo: build ## read a document and answer a question about it (DEMO_DOCUMENT, DEMO_QUESTION)
	$(THIMBLE) read $(DEMO_DOCUMENT) -q "$(DEMO_QUESTION)"

test: test-deps lint ## check the formatting, and run every test
	$(TEST)
	Scripts/test-newer-driver $(SOFTWARE_DRIVER) $(TEST_BUILD)

test-driver: test-deps check-swift ## run on a newer software driver what Debian 12's cannot do (network)
	$(SWIFT) build --build-tests $(TEST_FLAGS)
	Scripts/test-newer-driver $(SOFTWARE_DRIVER) $(TEST_BUILD)

test-address: test-deps check-swift ## run the tests under the address sanitizer, and look for leaks
	Scripts/test-sanitized address $(ADDRESS_BUILD) $(SWIFT)

test-thread: test-deps check-swift ## run the tests under the thread sanitizer, and look for races
	Scripts/test-sanitized thread $(THREAD_BUILD) $(SWIFT)

# What the next three take most of their time for, but for what they then run.
sanitized-builds: test-deps check-swift
	Scripts/sanitized-build address $(ADDRESS_BUILD) $(SWIFT)
	Scripts/sanitized-build thread $(THREAD_BUILD) $(SWIFT)

fuzz: test-deps check-swift ## fuzz each parser for FUZZ_SECONDS
	@program=$$(Scripts/build-fuzz $(ADDRESS_BUILD) $(SWIFT)) && \
		SWIFT=$(SWIFT) Scripts/fuzz "$$program" $(FUZZ_SECONDS) $(FUZZ_CORPORA)

fuzz-campaign: test-deps check-swift ## fuzz each parser FUZZ_RUNS times on all cores, within CAMPAIGN_SECONDS
	@program=$$(FUZZ_COVERAGE= Scripts/build-fuzz $(CAMPAIGN_BUILD) $(SWIFT)) && \
		Scripts/fuzz-campaign $(CAMPAIGN_SECONDS) "$$(nproc)" "$$program" Fuzz $(CAMPAIGN_BUILD)/campaign \
		$(FUZZ_RUNS)

# The kernels alone, without the package: C files and the program that tries them.
KERNEL_BUILD := .build/kernels
KERNEL_SOURCES := Sources/CKernels/*.c Tests/KernelConformance/*.c
KERNEL_INCLUDES := -ISources/CKernels/include -ITests/KernelConformance/include

kernel-check: ## hold the kernels' variants against their definition, with the sanitizers on
	@mkdir -p $(KERNEL_BUILD)
	clang -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fuse-ld=lld $(KERNEL_INCLUDES) \
		$(KERNEL_SOURCES) -lm -o $(KERNEL_BUILD)/check
	$(KERNEL_BUILD)/check

kernel-bench: ## measure the kernels' variants on one thread (VARIANT=avx2 for one of them)
	@mkdir -p $(KERNEL_BUILD)
	clang -O2 $(KERNEL_INCLUDES) $(KERNEL_SOURCES) -lm -o $(KERNEL_BUILD)/bench
	$(KERNEL_BUILD)/bench bench $(VARIANT)

# Where a shader compiler is put if the path has none.
SHADER_COMPILER := .build-shaders

# What packs the compiled shaders.
SHADER_PACKAGES := zstd

shaders: ## compile shaders/ into the SPIR-V that is committed and embedded
	@Scripts/install-packages $(SHADER_PACKAGES)
	Scripts/build-shaders $(SHADER_COMPILER)

shaders-check: ## hold the committed SPIR-V against its source, and validate it
	@Scripts/install-packages $(SHADER_PACKAGES)
	Scripts/build-shaders $(SHADER_COMPILER) check

lint: check-swift ## check the formatting
	$(SWIFT) format lint --strict --recursive --parallel --configuration .swift-format $(SOURCES)

format: check-swift ## format the sources
	$(SWIFT) format --in-place --recursive --parallel --configuration .swift-format $(SOURCES)

fixtures: ## make the committed fixtures anew (Python 3.11 or newer, network)
	Scripts/make-fixtures $(FIXTURE_ENVIRONMENT)

documents: ## make the committed documents anew, by the programs that make such (many packages, network)
	Scripts/make-documents $(FIXTURE_ENVIRONMENT)-documents

evaluate: test-deps ## how well the bundled model reads, at 4 bits and at float16, from CHECKPOINT=folder
	@test -n "$(CHECKPOINT)" || { echo "say where the checkpoint is: make evaluate CHECKPOINT=folder" >&2; exit 1; }
	THIMBLE_READER_CHECKPOINT="$(CHECKPOINT)" $(TEST) --filter ReaderAccuracyTests

reader: build ## make Models/reader.thimble anew from CHECKPOINT=folder
	@test -n "$(CHECKPOINT)" || { echo "say where the checkpoint is: make reader CHECKPOINT=folder" >&2; exit 1; }
	$(THIMBLE) convert "$(CHECKPOINT)" -o Models/reader.thimble --weights q4 --group 64 \
		--page-settings Models/reader.pages.json --name reader --licence Apache-2.0
