#!/usr/bin/env bash
# What only a GPU can show, by one command on a machine that has a compiler, CMake, CUDA, cuDNN and NCCL, and no network.
#     tools/gpu_check.sh [--deps DIR|FILE.tar.xz] [--prebuilt] [--data ROOT] [--only STAGE[,STAGE]] [--limit NAME[=NUMBER]]... [--out DIR] [--json FILE]
# --deps: what tools/stage_deps.sh collected elsewhere (else this machine's own libraries); --prebuilt: run the program and tests in it instead of
# building. --data: folder with cifar-10-batches-bin (else random images where only time matters). --only: these stages alone; --list names them.
# --limit: a bar that must hold, at the figure below or yours; "--limit all" for all. --total: seconds for everything (default: all limits
# together; what a stage leaves of its limit goes to the next ones). --build: the build folder (default build-gpu), used again by the next call.
# REVISION names the source where there is no git. Three calls of nine minutes that do it all: experiments/gpu.md.
# Stages run in order of value, each under its own time limit, and write their result before the next begins: OUT/gpu_check.json and .txt, logs.tar.gz.
# Exit: 0 all done; 1 a stage failed, or there is no GPU; 2 asked wrongly; 3 a bar that was asked for did not hold.
set -u
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$top/tools/gpu_find.sh"

# stage, its time limit in seconds, whether it needs a GPU, whether it runs when no stage is named, what it does
STAGES="
build      130 no  yes configure and build, or look at what was brought
tests      120 gpu yes ctest -L gpu: every op on the GPU against the reference
equality   120 gpu yes serial = pipelined = captured, byte by byte
bench      115 gpu yes heads, pipelining, the data path, shares of ops
contests   290 gpu yes training steps beside PyTorch
sanitizer  150 gpu yes compute-sanitizer over the GPU tests, the op tests and a short run
train       60 gpu yes CIFAR-10 to 83.08 %
best       315 gpu no  CIFAR-10: to 90 %, and the best that five minutes of training give
peers      190 gpu no  PyTorch with torch.compile's max-autotune, HFF and backpropagation
host       300 no  no  all other tests (also where there is no GPU)
"
# bar, its number, at least or at most, what it is
BARS="
cnn_compiled    1.5   least CIFAR-10 CNN, batch 128, bf16: images/s of hff / compiled PyTorch
vgg8b_compiled  1.1   least VGG8B size, batch 512, bf16: images/s of hff / compiled PyTorch
vgg8b_eager     1.5   least the same / eager PyTorch
head_10         12    most  microseconds, prototype head (512, 256, 10, 4), bf16
head_100        16    most  microseconds, prototype head (512, 512, 100, 4), bf16
head_1000       1.4   most  prototype head (1024, 2048, 1000, 4) / cuBLASLt's three products
pipeline        1.15  least images/s, pipelined / captured serial, the CNN at batch 128
data_path       3     most  % of a training step that the data path takes
time_83         60    most  seconds of training until CIFAR-10 83.08 %
"

usage() {
    echo "usage: $(sed -n 's/^#     //p' "${BASH_SOURCE[0]}" | head -1)" >&2
    exit 2
}

deps="" prebuilt=0 data="" out="${OUT:-$top/runs/gpu_check}" build="$top/build-gpu" json="" only="" total="" python="${PYTHON:-python3}"
declare -A limit=()
while [ $# -gt 0 ]; do
    case "$1" in
    --prebuilt) prebuilt=1; shift; continue ;;
    --list) echo "$STAGES"; exit 0 ;;
    esac
    [ $# -ge 2 ] || usage
    case "$1" in
    --deps) deps=$(realpath -m "$2") ;;
    --data) data=$(realpath -m "$2") ;;
    --out) out=$(realpath -m "$2") ;;
    --json) json=$(realpath -m "$2") ;;
    --build) build=$(realpath -m "$2") ;;
    --only) only="$2" ;;
    --total) total="$2" ;;
    --limit)
        known=$(echo "$BARS" | awk -v n="${2%%=*}" '$1 == n || (n == "all" && NF) { print $1 "=" $2 }')
        [ -n "$known" ] || { echo "gpu_check.sh: no bar '${2%%=*}'; there are: $(echo "$BARS" | awk '{ printf "%s ", $1 }')" >&2; exit 2; }
        for each in $known; do limit[${each%%=*}]=${each#*=}; done
        case "$2" in *=*)
            [[ "${2#*=}" =~ ^[0-9]+(\.[0-9]+)?$ && "${2%%=*}" != all ]] || { echo "gpu_check.sh: --limit $2: NAME=NUMBER" >&2; exit 2; }
            limit[${2%%=*}]=${2#*=}
            ;;
        esac
        ;;
    *) usage ;;
    esac
    shift 2
done
[[ "$total" =~ ^[0-9]*$ ]] || usage
for stage in ${only//,/ }; do
    echo "$STAGES" | grep -q "^$stage " || { echo "gpu_check.sh: no stage '$stage'; there are: $(echo "$STAGES" | awk '{ printf "%s ", $1 }')" >&2; exit 2; }
done
[ "$prebuilt" = 0 ] || [ -n "$deps" ] || { echo "gpu_check.sh: --prebuilt goes with --deps" >&2; exit 2; }

cd "$top" && mkdir -p "$out" "$build" || exit 1
command -v nvcc >/dev/null || PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
begin=$SECONDS
export LC_ALL="${LC_ALL:-C.UTF-8}" WORK="$build/check" BUILD="$build" PYTHON="$python" PREBUILT="$prebuilt" OUT="$out"
rm -rf "$WORK" && mkdir -p "$WORK/rows" "$WORK/logs"
if [ -f "$deps" ]; then # an archive, unpacked once: by cmake, since xz may be missing
    archive="$deps" deps="$build/deps"
    sum=$(cksum <"$archive")
    if [ "$sum" != "$(cat "$deps/archive" 2>/dev/null)" ]; then
        rm -rf "$deps" && mkdir -p "$deps"
        (cd "$deps" && cmake -E tar xf "$archive") || { echo "gpu_check.sh: $archive cannot be unpacked" >&2; exit 1; }
        echo "$sum" >"$deps/archive"
    fi
fi
[ -z "$deps" ] || [ -f "$deps/glibc" ] || { echo "gpu_check.sh: $deps is not a folder of tools/stage_deps.sh" >&2; exit 2; }
export DEPS="$deps" DATA="$data"
[ -z "$data" ] || [ -d "$data" ] || { echo "gpu_check.sh: no folder $data" >&2; exit 2; }
gpu_links "$BUILD/links" "$python" >"$WORK/options" 2>"$WORK/missing"
HFF_LIBRARIES=$(cat "$BUILD/links/loads")
export HFF_LIBRARIES
[ -n "$DEPS" ] && export FONTCONFIG_FILE="$DEPS/fonts/fonts.conf"
if [ "$prebuilt" = 1 ]; then export HFF="$DEPS/bin/hff"; else export HFF="$BUILD/hff"; fi

ask_gpu() { # FIELD
    nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -1
}

quote() { # TEXT: a JSON string
    printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

GPU=$(ask_gpu name) ARCH=$(ask_gpu compute_cap | tr -d .)
[[ "$ARCH" =~ ^[0-9]+$ ]] || { GPU="" ARCH=90; }
export GPU ARCH

version_of() { # HEADER PREFIX: from the three #defines
    local folder
    folder=$(gpu_header "$1" "$python")
    [ -n "$folder" ] && sed -n "s/^#define $2_\(MAJOR\|MINOR\|PATCHLEVEL\|PATCH\) *\([0-9][0-9]*\).*/\2/p" "$folder/$1" | head -3 | paste -sd.
}

machine() { # NAME VALUE lines
    printf 'gpu\t%s\n' "${GPU:-none}"
    printf 'driver\t%s\n' "$(ask_gpu driver_version)"
    printf 'memory\t%s\n' "$(ask_gpu memory.total)"
    printf 'capability\t%s\n' "$(ask_gpu compute_cap)"
    printf 'nvcc\t%s\n' "$(nvcc --version 2>/dev/null | sed -n 's/.*release [^,]*, V//p')"
    printf 'cudnn\t%s\n' "$(version_of cudnn_version.h CUDNN)"
    printf 'nccl\t%s\n' "$(version_of nccl.h NCCL)"
    printf 'missing\t%s\n' "$(sed 's/missing: //' "$WORK/missing" | paste -sd' ')"
    printf 'pytorch\t%s\n' "$("$python" -c 'import torch; print(torch.__version__)' 2>/dev/null)"
    printf 'compiler\t%s\n' "$(${CC:-cc} -dumpfullversion 2>/dev/null)"
    printf 'cmake\t%s\n' "$(cmake --version | sed -n '1s/.* //p')"
    printf 'libc\t%s (the staged folder needs %s)\n' "$(getconf GNU_LIBC_VERSION)" "$( [ -n "$DEPS" ] && cat "$DEPS/glibc" || echo nothing)"
    printf 'cores\t%s\n' "$(nproc)"
    printf 'revision\t%s\n' "$(git rev-parse --short=12 HEAD 2>/dev/null || echo "${REVISION:-}")"
    printf 'date\t%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
}
machine >"$WORK/machine"

field() { # STAGE COLUMN
    echo "$STAGES" | awk -v s="$1" -v c="$2" '$1 == s { print $c }'
}

chosen=""
for stage in $(echo "$STAGES" | awk 'NF { print $1 }'); do
    if [ -n "$only" ]; then
        case ",$only," in *",$stage,"*) chosen="$chosen $stage" ;; esac
    elif [ "$(field "$stage" 4)" = yes ] || { [ -z "$GPU" ] && [ "$stage" = host ]; }; then
        chosen="$chosen $stage"
    fi
done
export CHOSEN="$chosen"
[ -n "$total" ] || total=$(for s in $chosen; do field "$s" 2; done | awk '{ t += $1 } END { print t }')

# held NAME VALUE NUMBER: whether the bar holds
held() {
    awk -v v="$2" -v n="$3" -v side="$(echo "$BARS" | awk -v b="$1" '$1 == b { print $3 }')" 'BEGIN { exit !(side == "least" ? v + 0 >= n + 0 : v + 0 <= n + 0) }'
}

bar_value() { # NAME
    awk -v b="$1" '$1 == b { v = $2 } END { print v }' "$WORK/bars" 2>/dev/null
}

write_json() {
    local name value first=1
    printf '{"machine": {'
    while IFS=$'\t' read -r name value; do
        [ $first = 1 ] || printf ', '
        first=0
        printf '%s: %s' "$(quote "$name")" "$(quote "$value")"
    done <"$WORK/machine"
    printf '},\n"stages": ['
    first=1
    for stage in $chosen; do
        [ -f "$WORK/$stage.json" ] || continue
        [ $first = 1 ] || printf ','
        first=0
        printf '\n'
        cat "$WORK/$stage.json"
    done
    printf '],\n"bars": ['
    first=1
    while read -r name number side what; do
        [ -n "$name" ] || continue
        value=$(bar_value "$name")
        [ $first = 1 ] || printf ','
        first=0
        printf '\n{"bar": "%s", "what": %s, "%s": %s, "asked": %s, "value": %s, "held": ' "$name" "$(quote "$what")" "at_$side" "${limit[$name]:-$number}" \
            "$([ -n "${limit[$name]:-}" ] && echo true || echo false)" "${value:-null}"
        if [ -z "$value" ]; then printf 'null}'; elif held "$name" "$value" "${limit[$name]:-$number}"; then printf 'true}'; else printf 'false}'; fi
    done <<<"$BARS"
    printf ']}\n'
}

write_table() {
    local name value number side what
    echo "hff on a GPU: ${GPU:-NO GPU on this machine: what needs one was not run}"
    awk -F'\t' '$2 != "" && $1 != "gpu" { printf "  %-12s %s\n", $1, $2 }' "$WORK/machine"
    for stage in $chosen; do
        [ -f "$WORK/$stage.txt" ] && cat "$WORK/$stage.txt"
    done
    echo
    echo "bars"
    while read -r name number side what; do
        [ -n "$name" ] || continue
        value=$(bar_value "$name")
        number=${limit[$name]:-$number}
        if [ -z "$value" ]; then said="not measured"; elif held "$name" "$value" "$number"; then said="held"; else said="MISSED"; fi
        printf '  %-15s %10s  at %-5s %-6s %-12s %s%s\n' "$name" "${value:--}" "$side" "$number" "$said" "$what" "${limit[$name]:+ (asked for)}"
    done <<<"$BARS"
}

publish() {
    write_json >"$out/gpu_check.json.part" && mv "$out/gpu_check.json.part" "$out/gpu_check.json"
    write_table >"$out/gpu_check.txt"
    [ -z "$json" ] || cp "$out/gpu_check.json" "$json"
    (cd "$WORK" && tar -czf "$out/logs.tar.gz" logs 2>/dev/null)
}

# What is left of all time, less the limits of the stages after this one: so that none of them is starved, and saved time is passed on. Where that
# is less than the stage's own limit, all get less in proportion.
share() { # STAGE
    local own after=0 seen=0 rest=$((total - (SECONDS - begin))) s
    own=$(field "$1" 2)
    for s in $chosen; do
        [ $seen = 1 ] && { [ "$(field "$s" 3)" != gpu ] || [ -n "$GPU" ]; } && after=$((after + $(field "$s" 2)))
        [ "$s" = "$1" ] && seen=1
    done
    echo $((rest - after > own ? rest - after : rest * own / (own + after)))
}

finish() { # STAGE STATUS SECONDS LIMIT REASON: the stage's part of the report
    {
        printf '{"stage": "%s", "status": %s, "seconds": %s, "limit": %s, "reason": %s, "rows": [' "$1" "$(quote "$2")" "$3" "$4" "$(quote "$5")"
        [ -f "$WORK/rows/$1.json" ] && paste -sd, "$WORK/rows/$1.json"
        printf ']}'
    } >"$WORK/$1.json"
    {
        printf '\n%-10s %-8s %4s s of %s  %s\n' "$1" "$2" "$3" "$4" "${5:-$(echo "$STAGES" | awk -v s="$1" '$1 == s { sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +/, ""); print }')}"
        [ -f "$WORK/rows/$1.txt" ] && cat "$WORK/rows/$1.txt"
    } >"$WORK/$1.txt"
    cat "$WORK/$1.txt"
    publish
}

failed=0
if [ -n "$GPU" ]; then # clocks and heat beside the figures; and the driver stays awake between programs
    nvidia-smi --query-gpu=clocks.sm,power.draw,temperature.gpu --format=csv -l 2 >"$WORK/logs/clocks.csv" 2>/dev/null &
    trap 'kill '$!' 2>/dev/null' EXIT
fi
for stage in $chosen; do
    if [ "$(field "$stage" 3)" = gpu ] && [ -z "$GPU" ]; then
        finish "$stage" "no GPU" 0 0 "no GPU on this machine (nvidia-smi names none): not run"
        failed=1
        continue
    fi
    if [ "$stage" != build ] && [ ! -x "$HFF" ]; then
        finish "$stage" "failed" 0 0 "there is no program: the stage build has to come first"
        failed=1
        continue
    fi
    seconds=$(share "$stage")
    if [ "$seconds" -lt 5 ]; then
        finish "$stage" "no time" 0 0 "nothing is left of $total s"
        failed=1
        continue
    fi
    start=$SECONDS
    # the stage itself stops what it runs a little earlier, to report it
    END=$(($(date +%s) + seconds - (seconds > 20 ? 5 : 1))) timeout -k 5 "$seconds" bash tools/gpu_stages.sh "$stage" >"$WORK/logs/stage-$stage.log" 2>&1 </dev/null
    status=$?
    case $status in
    0) finish "$stage" ok $((SECONDS - start)) "$seconds" "" ;;
    77) finish "$stage" "not run" $((SECONDS - start)) "$seconds" "$(tail -1 "$WORK/logs/stage-$stage.log")"; failed=1 ;;
    124 | 137) finish "$stage" "time out" $((SECONDS - start)) "$seconds" "stopped at its limit; rows are what it had"; failed=1 ;;
    *) finish "$stage" failed $((SECONDS - start)) "$seconds" "$(tail -1 "$WORK/logs/stage-$stage.log")"; failed=1 ;;
    esac
done

missed=""
for name in "${!limit[@]}"; do
    value=$(bar_value "$name")
    if [ -z "$value" ]; then
        failed=1
        echo "bar $name was asked for and not measured" >&2
    elif ! held "$name" "$value" "${limit[$name]}"; then
        missed="$missed $name"
    fi
done
echo
sed -n '/^bars/,$p' "$out/gpu_check.txt"
echo "$out/gpu_check.json, $out/gpu_check.txt, $out/logs.tar.gz; $((SECONDS - begin)) s"
[ -n "$GPU" ] || echo "NO GPU on this machine: nothing that needs one was run"
if [ -n "$missed" ]; then
    echo "did not hold:$missed"
    exit 3
fi
exit $failed
