# ezio: see `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# classroom
CLIENTS ?= 3
FIRMWARE ?= mixed
IMAGE ?=

# network boot: the release of Debian that kernel, shim, GRUB and iPXE come from, whatever this machine runs, and the
# architecture of the machines that are booted
SUITE ?= trixie
ARCH ?= amd64
export SUITE ARCH

# stick
STICK ?= build/stick.img

# install
PREFIX ?= /usr/local
DESTDIR ?=
UNIT_DIR ?= /etc/systemd/system

# bench
BENCH ?=

# release: the secret key of minisign that signs it
KEY ?=

# deny: what is checked; advisories come from a git repository of the RustSec project, the others are here
DENY ?= advisories licenses bans sources

export PATH := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
TARGET_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
MUSL := x86_64-unknown-linux-musl
BIN := $(CURDIR)/build/bin
# What differs for machines of another architecture: their init, which rust's own linker links, and where dist is. The C of
# zstd in it asks nothing of a C library that musl has not.
MUSL_arm64 := aarch64-unknown-linux-musl
export CC_aarch64_unknown_linux_musl := aarch64-linux-gnu-gcc
export AR_aarch64_unknown_linux_musl := aarch64-linux-gnu-ar
INIT := $(if $(filter amd64,$(ARCH)),$(BIN)/ezio-init,$(TARGET_DIR)/$(MUSL_$(ARCH))/initrd/ezio-init)
DIST := $(if $(filter amd64,$(ARCH)),dist,dist/$(ARCH))
CHAIN := build/debian/$(ARCH)
# The server for ARM64: against the libudev of the oldest Debian that it runs on.
GNU_arm64 := aarch64-unknown-linux-gnu
LIBUDEV := $(CURDIR)/build/debian/libudev-arm64
SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,EZIO_BIN,QEMU_ACCEL,RUSTUP_HOME,CARGO_HOME)
CARGO := cargo
# End-to-end tests, of the built programs.
TEST := EZIO_BIN=$(BIN) $(if $(SUDO),CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='$(SUDO)') $(CARGO) test --locked -p ezio-tests

.PHONY: help setup build chain netboot stick golden small arm64 server-arm64 deb deny release material classroom test test-programs test-machines test-others soak bench install uninstall lint clean

help: ## what can be made
	@echo 'ezio: a room of running machines from one image. On Debian 12 or 13, as root or through sudo:'
	@echo
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS=$$'\t' read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done
	@echo
	@echo 'make classroom takes:'
	@echo '  CLIENTS=3       how many machines'
	@echo '  FIRMWARE=mixed  bios, uefi, secureboot, secureboot2023 (trusts only the certificates of 2023), httpboot, arm64,'
	@echo '                  stick (without network boot), or mixed: one of the first three in turn'
	@echo '  IMAGE=DIR       an image directory of your own (of a system that says "login:" on ttyS0) instead of the golden disk'
	@echo '  MARKER=TEXT     what that system writes on ttyS0 when it is up, if not "login:"'
	@echo '  QEMU_ACCEL=kvm  use KVM (default: tcg, that works everywhere)'
	@echo 'make netboot takes SUITE=trixie, the release of Debian whose kernel, shim, GRUB and iPXE machines boot,'
	@echo '                   and ARCH=amd64 or arm64.'
	@echo 'make release takes KEY=FILE, the secret key of minisign that signs it.'
	@echo 'make stick takes STICK=FILE, where to write the image of the stick.'
	@echo 'make install takes PREFIX=/usr/local and DESTDIR=; make bench takes BENCH="arguments of ezio-bench".'

setup: ## install what all the others need: packages, Rust, the musl target
	@scripts/setup

build: setup ## build the three programs
	$(CARGO) build --profile initrd --locked --target $(MUSL) -p ezio-init
	$(CARGO) build --release --locked -p ezio-pxe -p image-builder -p ezio-tests
	@mkdir -p $(BIN)
	@cp --update $(TARGET_DIR)/$(MUSL)/initrd/ezio-init $(BIN)/
	@for program in $(TARGET_DIR)/release/{ezio-pxe,image-builder} \
		$$(ls tests/src/bin | sed 's|\.rs$$||; s|^|$(TARGET_DIR)/release/|'); do cp --update "$$program" $(BIN)/; done

chain: setup # build/debian: Debian's kernel and boot programs, unpacked
	@scripts/fetch-chain $(CHAIN)

netboot: build chain ## dist/: vmlinuz, initrd.img and the network boot programs (ARCH=arm64: dist/arm64/)
	$(if $(MUSL_$(ARCH)),CARGO_TARGET_$(shell echo $(MUSL_$(ARCH)) | tr a-z- A-Z_)_LINKER=rust-lld \
		$(CARGO) build --profile initrd --locked --target $(MUSL_$(ARCH)) -p ezio-init)
	$(BIN)/image-builder netboot -o $(DIST) --root $(CHAIN) --init $(INIT) --shell $(CHAIN)/bin/busybox

stick: build chain ## build/stick.img: a USB stick for machines that cannot boot from the network
	$(BIN)/image-builder netboot --stick '$(STICK)' --root $(CHAIN) --init $(BIN)/ezio-init \
		--shell $(CHAIN)/bin/busybox

golden: build chain ## build/golden: a real Debian 12 on a disk, and its image
	@$(SUDO) tests/golden/make-golden build/golden.img build/golden-packages $(CHAIN)
	@$(SUDO) tests/golden/capture-golden $(BIN)/image-builder build/golden.img build/golden

small: build chain # build/small-amd64: the image of a small system
	@tests/golden/make-small build/small-amd64.img build/debian/amd64 amd64
	@$(SUDO) tests/golden/capture-golden $(BIN)/image-builder build/small-amd64.img build/small-amd64

arm64: build # dist/arm64, and build/small-arm64: the same system for ARM64
	@$(MAKE) netboot ARCH=arm64
	@tests/golden/make-small build/small-arm64.img build/debian/arm64 arm64
	@$(SUDO) tests/golden/capture-golden $(BIN)/image-builder build/small-arm64.img build/small-arm64

server-arm64: build # build/bin/arm64: the three programs for ARM64
	@$(MAKE) netboot ARCH=arm64
	@SUITE=bookworm ARCH=arm64 scripts/fetch-packages $(LIBUDEV) libudev-dev libudev1
	PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR=$(LIBUDEV) PKG_CONFIG_LIBDIR=$(LIBUDEV)/usr/lib/aarch64-linux-gnu/pkgconfig \
		CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
		$(CARGO) build --release --locked --target $(GNU_arm64) -p ezio-pxe -p image-builder
	@mkdir -p $(BIN)/arm64
	@cp --update $(TARGET_DIR)/$(MUSL_arm64)/initrd/ezio-init $(TARGET_DIR)/$(GNU_arm64)/release/{ezio-pxe,image-builder} $(BIN)/arm64/

deb: netboot server-arm64 ## build/debs: Debian packages of all this, for amd64 and arm64
	@BIN=$(BIN) scripts/make-debs build/debs amd64 arm64

deny: setup ## licences, sources and known weaknesses of all crates (DENY="licenses bans sources": what needs no network)
	@# Unoptimised it is built in half the time, and is quick enough.
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked --debug cargo-deny@0.20.2
	$(CARGO) deny --locked check $(DENY)

release: deny deb ## build/release: packages, bill of materials and SHA256SUMS, signed with KEY=FILE (minisign)
	@scripts/make-release build/debs build/release '$(KEY)'

material: setup # build/material: what tests and the classroom need of other releases
	@tests/scripts/make-material build/material

classroom: netboot material $(if $(filter arm64,$(FIRMWARE)),arm64,$(if $(IMAGE),,golden)) $(filter stick,$(FIRMWARE)) ## deploy a room of virtual machines, from power-on to their own login
	$(SUDO) $(BIN)/ezio-classroom --clients '$(CLIENTS)' --firmware '$(FIRMWARE)' --programs $(BIN) \
		--netboot dist$(if $(filter arm64,$(FIRMWARE)),/arm64) --folder build/classroom \
		--image '$(if $(IMAGE),$(IMAGE),build/$(if $(filter arm64,$(FIRMWARE)),small-arm64,golden))' $(if $(MARKER),--marker '$(MARKER)')

# Two at once: one core alone links the init of ARM64 while tests are built; machines in QEMU use one core each, others wait for
# disks and networks.
test: netboot stick golden material small ## all tests: units, loop devices, networks, virtual machines
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line arm64 test-programs
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line test-machines test-others

test-programs:
	$(CARGO) test --locked --workspace --no-run

test-machines:
	$(TEST) --no-fail-fast --test 'vm_*' -- --test-threads=1

test-others:
	$(CARGO) test --locked --no-fail-fast --workspace --exclude ezio-tests
	npm --prefix pxe/page test
	$(TEST) --no-fail-fast --lib --bins --test '[!v]*' -- --test-threads=1

soak: netboot golden material small ## the tests that take longer (every network card); an issue is resolved when it passes whole
	$(TEST) -- --test-threads=1 --ignored

bench: build ## the swarm against the chain, udpcast, aria2 and libtorrent; and what it costs over loopback
	$(SUDO) env EZIO_BIN=$(BIN) $(BIN)/ezio-bench $(BENCH)

install: ## put programs, service and examples in place (after make build or make netboot)
	@for program in image-builder ezio-pxe ezio-init; do \
		[ -e $(BIN)/$$program ] || { echo "$$program is not built: run make build first" >&2; exit 1; }; done
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BIN)/image-builder
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(BIN)/ezio-pxe $(BIN)/ezio-init
	install -d $(DESTDIR)$(PREFIX)/share/ezio/config-examples
	cp -r config-examples/. $(DESTDIR)$(PREFIX)/share/ezio/config-examples/
	if [ -e dist/vmlinuz ]; then (cd dist/ && find . -type f -exec install -D -m 644 {} '$(abspath $(DESTDIR)$(PREFIX))/share/ezio/netboot/{}' ';'); fi
	install -d $(DESTDIR)$(UNIT_DIR)
	sed 's|@PREFIX@|$(PREFIX)|g' pxe/ezio-pxe.service >$(DESTDIR)$(UNIT_DIR)/ezio-pxe.service

uninstall: ## remove what make install put in place
	rm -f $(DESTDIR)$(PREFIX)/bin/image-builder $(DESTDIR)$(PREFIX)/sbin/ezio-{pxe,init} $(DESTDIR)$(UNIT_DIR)/ezio-pxe.service
	rm -rf $(DESTDIR)$(PREFIX)/share/ezio

lint: setup ## formatting, clippy, and the same for the page
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets
	@# Its packages are there: the build script of ezio-pxe, which clippy has run, installs them.
	npm --prefix pxe/page run lint

clean: ## remove all that was built (downloads too)
	$(SUDO) rm -rf build dist pxe/page/{node_modules,build} tests/browser/node_modules
	$(CARGO) clean
