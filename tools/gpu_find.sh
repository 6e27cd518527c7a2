# shellcheck shell=bash
# Where CUDA, cuDNN and NCCL are on this machine; sourced by gpu_check.sh. Looks in CUDA_HOME, beside nvcc, in the system's folders and in Python's
# nvidia-* packages, where libraries have their versioned names only (libcudnn.so.9, libnccl.so.2).

# The toolkit that nvcc belongs to, as it says itself: the nvcc on the PATH may be a script.
gpu_toolkit() {
    local top
    command -v nvcc >/dev/null || return 0
    top=$(nvcc -v __no_such_file 2>&1 | sed -n 's/^#\$ TOP=//p')
    [ -d "$top" ] && realpath "$top"
}

# Folders that may hold include/ and lib*/, one a line, best first. $1: the Python to ask.
gpu_roots() {
    local root
    for root in "${CUDNN_ROOT:-}" "${NCCL_ROOT:-}" "${CUDA_HOME:-}" "${CUDA_PATH:-}"; do [ -d "$root" ] && echo "$root"; done
    gpu_toolkit
    printf '%s\n' /usr/local/cuda /usr/local /usr
    "$1" - 2>/dev/null <<'PY'
import os
import nvidia
for top in nvidia.__path__:
    for name in sorted(os.listdir(top)):
        if os.path.isdir(os.path.join(top, name)):
            print(os.path.join(top, name))
PY
}

# gpu_library NAME PYTHON: the file of lib<NAME>.so, or of its newest versioned name.
gpu_library() {
    local root folder file
    for root in $(gpu_roots "$2"); do
        for folder in lib64 lib lib/x86_64-linux-gnu targets/x86_64-linux/lib; do
            for file in "$root/$folder/lib$1.so" $(ls "$root/$folder/lib$1.so".* 2>/dev/null | sort -Vr); do
                [ -f "$file" ] && { echo "$file"; return; }
            done
        done
    done
    file=$(ldconfig -p 2>/dev/null | sed -n "s|.*lib$1\.so.* => ||p" | head -1)
    [ -n "$file" ] && echo "$file"
}

# gpu_header NAME PYTHON: its folder.
gpu_header() {
    local root folder
    for root in $(gpu_roots "$2"); do
        for folder in include include/x86_64-linux-gnu targets/x86_64-linux/include; do
            [ -f "$root/$folder/$1" ] && { echo "$root/$folder"; return; }
        done
    done
}

# gpu_links DIR PYTHON: fills DIR with the plain names that a linker wants, for libraries that CMake would not find itself; prints a CMake option a
# line. Where a library is missing, a line "missing: NAME" on standard error.
gpu_links() {
    local dir="$1" python="$2" name file header includes="" loads="" toolkit
    mkdir -p "$dir"
    toolkit=$(gpu_toolkit)
    for name in cudart cublas cublasLt cudnn nccl; do
        file=$(gpu_library "$name" "$python")
        if [ -z "$file" ]; then
            echo "missing: lib$name" >&2
            continue
        fi
        case "$name" in
        cudnn) header=$(gpu_header cudnn.h "$python") ;;
        nccl) header=$(gpu_header nccl.h "$python") ;;
        *)
            [ -n "$toolkit" ] && ls "$toolkit"/lib*/lib$name.so "$toolkit"/targets/*/lib/lib$name.so 2>/dev/null | grep -q . && continue # its own is found and fits
            header=
            ;;
        esac
        ln -sf "$file" "$dir/lib$name.so"
        loads="$loads:$(dirname "$file")"
        [ -n "$header" ] && includes="$includes;$header"
    done
    echo "-DCMAKE_LIBRARY_PATH=$dir"
    echo "-DCMAKE_INCLUDE_PATH=${includes#;}"
    [ -n "$toolkit" ] && echo "-DCUDAToolkit_ROOT=$toolkit"
    echo "${loads#:}" | tr : '\n' | awk '!seen[$0]++' | paste -sd: >"$dir/loads"
}
