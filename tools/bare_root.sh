#!/usr/bin/env bash
# The install path from nothing: a minimal Debian root, a clean clone in it, both commands of the README, then a program outside the tree that
# uses what cmake --install laid down. Ends with a table of minutes and sizes.
#     tools/bare_root.sh DIR MIRROR [SUITE]
# As root, with debootstrap; MIRROR as in the machine's own apt sources; SUITE bookworm (oneDNN 2.6) or newer (3.x). DIR must not exist; it is
# left for a look, 1.3 GB. The root has no locale, no terminals, no git, no python3, no user; and no /proc until the tests, whose sanitizers need it.
set -u
root="${1:-}" mirror="${2:-}" suite="${3:-bookworm}"
if [ -z "$mirror" ]; then
    echo "usage: tools/bare_root.sh DIR MIRROR [SUITE]" >&2
    exit 2
fi
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null || ! command -v git >/dev/null; then
    echo "needs root, debootstrap and git" >&2
    exit 1
fi
if [ -e "$root" ]; then
    echo "$root is there already: name a new folder" >&2
    exit 2
fi
cd "$(dirname "$0")/.." || exit 1
root=$(realpath -m "$root")
table=$(mktemp) log=$(mktemp)
trap 'rm -f "$table" "$log"' EXIT

bare() {
    debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$log" 2>&1 || { tail "$log"; return 1; }
}

# inside COMMAND: in the root, in the clone, with nothing from this shell; what it mounts goes with it.
inside() {
    unshare --mount env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=dumb \
        chroot "$root" sh -c "cd hff && { $1; }"
}

megabytes() { # PATH
    du -smx "$root/$1" | cut -f1
}

stage() { # NAME COMMAND...: a row of the table
    local name="$1" start=$SECONDS
    shift
    echo "==== $name"
    if ! "$@"; then
        echo "FAILED: $name ($suite)"
        exit 1
    fi
    printf '%-32s %5d s  root %5d MB\n' "$name" $((SECONDS - start)) "$(megabytes .)" >>"$table"
}

stage "debootstrap" bare
stage "clone" git clone -q --no-local . "$root/hff"
stage "packages to build" inside 'bash -c ". tools/packages.sh && install_packages \$BUILD_PACKAGES"'
stage "tools/quickstart.sh" inside 'tools/quickstart.sh'
stage "tools/check.sh" inside 'mount -t proc proc /proc && tools/check.sh'
# as a packager does it: into a folder that is then unpacked over the root, so that nothing names the build or the staging folder
stage "install with DESTDIR" inside 'DESTDIR=/stage cmake --install build --prefix /usr --strip && tar -C /stage -c . | tar -C / -x --no-same-owner'
stage "outside, find_package" inside 'cmake -S tests/install -B /outside -G Ninja && cmake --build /outside'
stage "outside, pkg-config" inside 'gcc tests/install/main.c $(pkg-config --cflags --libs hff) -o /outside/by_pkg_config'
stage "outside, both run" inside 'HFF_PROGRAM=hff && . tests/support/cli.sh && tiny >/outside/tiny.yaml && hff --version &&
    /outside/outside /outside/tiny.yaml /outside/runs-1 && /outside/by_pkg_config /outside/tiny.yaml /outside/runs-2'

echo
echo "$suite, $(nproc) cores, $(inside 'gcc -dumpfullversion; cmake --version | head -1; build/hff info | grep -o "oneDNN [0-9.]*"' | tr '\n' ' ')"
cat "$table"
for path in hff/build hff/build-check stage/usr/bin/hff stage/usr/lib/libhff.a var/cache/apt var/lib/apt; do
    printf '%-32s %8d kB\n' "$path" "$(du -skx "$root/$path" | cut -f1)"
done
