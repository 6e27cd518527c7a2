#!/usr/bin/env bash
# Collects what hff is built on and run with (headers, libraries with all that they load, pkg-config, a font) from this machine into one folder,
# so that hff builds and runs on a machine that has a compiler and CMake and nothing else, and no network.
#     tools/stage_deps.sh DIR [--program BUILD] [--archive FILE.tar.xz]
# --program: also the program and the GPU tests of the build folder BUILD, to run them without building there. --archive: also as one small file.
# There: CMAKE_PREFIX_PATH=DIR, PKG_CONFIG=DIR/bin/pkg-config, link with -Wl,--disable-new-dtags,-rpath,DIR/lib (tools/gpu_check.sh --deps DIR does
# all that). DIR may lie anywhere. The machine there needs a C library at least as new as this one's part that is used (DIR/glibc names it), the
# same kind of processor, and libstdc++ (which comes with nvcc's compiler). A build machine as old as possible makes the most portable folder.
set -u

# headers that hff includes (FOLDER/:HEADER takes the whole folder that the header lies in), the library's name for the linker, its name for
# pkg-config; - for none
TABLE="
jansson.h,jansson_config.h        jansson  jansson
yaml.h                            yaml     yaml-0.1
zlib.h,zconf.h                    z        zlib
cairo/:cairo.h                    cairo    cairo
oneapi/dnnl/:oneapi/dnnl/dnnl.h   dnnl     -
Random123/:Random123/philox.h     -        -
cmocka.h                          cmocka   cmocka
"
# The C library stays the machine's own, and so does the C++ one, which is newer where the compiler is.
OWN='^(ld-linux.*|libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so'
FONTS="DejaVuSans.ttf DejaVuSans-Bold.ttf"

usage() {
    echo "usage: tools/stage_deps.sh DIR [--program BUILD] [--archive FILE.tar.xz]" >&2
    exit 2
}

stop() {
    echo "stage_deps.sh: $*" >&2
    exit 1
}

header_path() { # NAME: where the compiler finds it
    local flags
    flags=$(pkg-config --cflags cairo 2>/dev/null)
    printf '#include <%s>\n' "$1" | ${CC:-cc} $flags -xc -M - 2>/dev/null | tr ' \\' '\n\n' | grep -m 1 "/$1\$"
}

take_header() { # NAME or FOLDER/:NAME
    local path name="${1#*:}"
    path=$(header_path "$name")
    [ -n "$path" ] || stop "no header <$name>; tools/check.sh installs what is needed"
    case "$1" in
    *:*)
        mkdir -p "$root/include/${1%%:*}"
        cp -RL "$(dirname "$path")/." "$root/include/${1%%:*}"
        ;;
    *) cp -L "$path" "$root/include/" ;;
    esac
}

take_library() { # PATH: the file under the name that programs ask for, without symbols
    local soname
    soname=$(objdump -p "$1" | sed -n 's/^ *SONAME *//p')
    [ -n "$soname" ] || soname=$(basename "$1")
    [ -e "$root/lib/$soname" ] && return
    cp -L "$1" "$root/lib/$soname" && chmod u+w "$root/lib/$soname" && strip --strip-unneeded "$root/lib/$soname" || stop "$1: cannot be copied"
}

take_loaded() { # PATH: every library that it loads
    local loaded
    ldd "$1" | grep -q 'not found' && stop "$1: $(ldd "$1" | grep 'not found' | head -1)"
    for loaded in $(ldd "$1" | sed -n 's|.*=> \(/[^ ]*\) .*|\1|p'); do
        basename "$loaded" | grep -qE "$OWN" || take_library "$loaded"
    done
}

take_link() { # NAME: what -lNAME finds
    local path
    path=$(${CC:-cc} -print-file-name="lib$1.so")
    [ -e "$path" ] || stop "no library lib$1.so; tools/check.sh installs what is needed"
    path=$(readlink -f "$path")
    take_library "$path"
    take_loaded "$path"
    ln -sf "$(objdump -p "$path" | sed -n 's/^ *SONAME *//p')" "$root/lib/lib$1.so"
}

pkg_file() { # NAME LIBRARY: finds its folder from where it lies
    local sub=""
    [ -d "$root/include/$2" ] && sub="/$2"
    cat >"$root/lib/pkgconfig/$1.pc" <<PC
prefix=\${pcfiledir}/../..
Name: $1
Description: staged by hff's tools/stage_deps.sh
Version: $(pkg-config --modversion "$1")
Libs: -L\${prefix}/lib -l$2
Cflags: -I\${prefix}/include$sub
PC
}

take_table() {
    local headers library package header
    while read -r headers library package; do
        [ -n "$headers" ] || continue
        for header in $(echo "$headers" | tr ',' ' '); do take_header "$header"; done
        [ "$library" = - ] || take_link "$library"
        [ "$package" = - ] || pkg_file "$package" "$library"
    done <<<"$TABLE"
}

# The folder's own pkg-config: CMake asks for one, and bare machines have none.
take_pkg_config() {
    local path
    path=$(readlink -f "$(command -v pkg-config)") || stop "no pkg-config"
    cp "$path" "$root/libexec/pkg-config"
    take_loaded "$path"
    cat >"$root/bin/pkg-config" <<'SH'
#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
export PKG_CONFIG_PATH="$here/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$here/libexec/pkg-config" "$@"
SH
    chmod +x "$root/bin/pkg-config"
}

take_fonts() {
    local font path
    for font in $FONTS; do
        path=$(find /usr/share/fonts -name "$font" -print -quit 2>/dev/null)
        [ -n "$path" ] || stop "no font $font; on Debian: apt-get install fonts-dejavu-core"
        cp "$path" "$root/fonts/"
    done
    cat >"$root/fonts/fonts.conf" <<'XML'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir prefix="relative">.</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
XML
}

# The program and its GPU tests, each behind a script that names the folder's libraries and, from HFF_LIBRARIES, CUDA's.
take_program() { # BUILD
    local file name
    [ -x "$1/hff" ] || stop "$1/hff: no such program; build it first"
    for file in "$1/hff" "$1"/tests/test_gpu_*; do
        [ -f "$file" ] && [ -x "$file" ] || continue
        name=$(basename "$file")
        cp "$file" "$root/libexec/$name" && strip "$root/libexec/$name"
        cat >"$root/bin/$name" <<SH
#!/bin/sh
here=\$(cd "\$(dirname "\$0")/.." && pwd)
export LD_LIBRARY_PATH="\$here/lib\${HFF_LIBRARIES:+:\$HFF_LIBRARIES}\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
exec "\$here/libexec/$name" "\$@"
SH
        chmod +x "$root/bin/$name"
    done
}

newest_glibc() { # the newest version of the C library that anything here asks for
    find "$root/lib" "$root/libexec" -type f -exec objdump -T {} + 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1
}

[ $# -ge 1 ] || usage
case "$1" in -*) usage ;; esac
root="$1" program="" archive=""
shift
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case "$1" in
    --program) program="$2" ;;
    --archive) archive="$2" ;;
    *) usage ;;
    esac
    shift 2
done
for tool in objdump strip ldd "${CC:-cc}" pkg-config; do command -v "$tool" >/dev/null || stop "no $tool here"; done
if [ -e "$root" ] && [ ! -e "$root/glibc" ]; then
    echo "$root is there and was not made by this script: name a new folder" >&2
    exit 2
fi
rm -rf "$root"
mkdir -p "$root/include" "$root/lib/pkgconfig" "$root/libexec" "$root/bin" "$root/fonts" && : >"$root/glibc" || exit 1
root=$(cd "$root" && pwd)
take_table
take_link gomp
rm -f "$root/lib/libgomp.so" # the compiler there links its own
take_pkg_config
take_fonts
[ -n "$program" ] && take_program "$program"
newest_glibc >"$root/glibc"
echo "$root: $(find "$root/lib" -type f -name '*.so*' | wc -l) libraries, $(du -skx "$root" | cut -f1) kB, needs $(cat "$root/glibc") or newer"
if [ -n "$archive" ]; then
    (cd "$root" && XZ_OPT=-9e tar -cJf - --owner=0 --group=0 .) >"$archive" || stop "$archive: cannot be written"
    echo "$archive: $(du -k "$archive" | cut -f1) kB"
fi
