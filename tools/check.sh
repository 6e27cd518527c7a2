#!/usr/bin/env bash
# Everything that a change must pass: builds (release, sanitizers), all tests, both ways.  tools/check.sh [--full]
# --full adds the fuzz targets (a minute each). Safe to run again.
set -u
cd "$(dirname "$0")/.." || exit 1
. tools/packages.sh
full=0
case "${1:-}" in
"") ;;
--full) full=1 ;;
*) echo "usage: tools/check.sh [--full]" >&2; exit 2 ;;
esac
begin=$SECONDS
jobs=$(nproc)
out="${HFF_CHECK_DIR:-build-check}"
export LC_ALL="${LC_ALL:-C.UTF-8}"

run_tests() { # DIR [ctest options]
    local dir="$1"
    shift
    (cd "$dir" && ctest --output-on-failure -j "$jobs" "$@")
}

fuzz() { # NAME SECONDS
    local sources
    sources=$(ls src/host/base/*.c src/host/config/*.c src/host/data/*.c src/host/tensor/*.c src/host/train/safetensors.c src/host/backend/activation.c)
    mkdir -p "$out/fuzz/$1.corpus"
    clang -g -O1 -std=c11 -D_GNU_SOURCE -Iinclude -Isrc/host -Itests -fsanitize=fuzzer,address,undefined "tests/fuzz/$1.c" \
        $sources $(pkg-config --cflags --libs cairo) -ljansson -lyaml -lz -lm -lpthread -o "$out/fuzz/$1" &&
        "$out/fuzz/$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -verbosity=0 -artifact_prefix="$out/fuzz/" "$out/fuzz/$1.corpus"
}

if [ ! -e /proc/self/task ]; then
    echo "There is no /proc here, and without it the sanitizers cannot look for leaks. As root: mount -t proc proc /proc" >&2
    exit 1
fi
step "packages" install_packages $BUILD_PACKAGES $TEST_PACKAGES
step "configure, release" cmake -S . -B "$out/release" -G Ninja -DHFF_EXPERIMENTS=ON --log-level=WARNING
step "build, release" build "$out/release"
step "tests, release" run_tests "$out/release"
step "configure, sanitizers" cmake -S . -B "$out/sanitize" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DHFF_SANITIZE=ON -DHFF_CUDA=off --log-level=WARNING
step "build, sanitizers" build "$out/sanitize"
step "tests, sanitizers" run_tests "$out/sanitize"
if [ "$full" = 1 ]; then
    step "packages for fuzzing" install_packages clang
    step "clang's runtime" install_packages "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    for target in tests/fuzz/*.c; do
        step "fuzz $(basename "$target" .c)" fuzz "$(basename "$target" .c)" 60
    done
fi
echo "OK: all checks passed in $((SECONDS - begin)) s"
