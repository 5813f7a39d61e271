# A thin face on meson: `meson setup build && meson compile -C build` does as `make`, which optimizes across files besides.
BUILD ?= build/release

.PHONY: all build demo bench test check install clean

all: build

$(BUILD)/build.ninja:
	@.ci/packages build
	meson setup $(BUILD) . -Dtests=disabled -Db_lto=true

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

demo:
	@.ci/packages demo
	@$(MAKE) --no-print-directory build
	@bench/demo $(BUILD)

# Postern beside nginx and HAProxy, the quick comparison
bench:
	@.ci/packages bench
	@$(MAKE) --no-print-directory build
	@bench/compare/compare --build $(BUILD)

test:
	@.ci/packages test
	@.ci/test

# the quick one: a plain build's tests only
check:
	@.ci/packages test
	@.ci/test plain

install: build
	meson install -C $(BUILD)

clean:
	rm -rf build
