#!/usr/bin/env bash
# The stages of tools/gpu_check.sh, which runs this file once for each, under a time limit and with everything in the environment:
# HFF the program, BUILD and WORK folders, OUT for results, GPU, ARCH, DEPS, DATA, PYTHON, PREBUILT, END (when the stage's time is over, in seconds
# since 1970), CHOSEN stages. A stage adds rows as it goes, so that what it has measured stays when its time is over. Status: 0; 77 when it had nothing to run; else something in it failed.
set -u
stage="$1"
bad=0
logs="$WORK/logs" CNN=configs/paper/cifar10_cnn.yaml VGG=configs/bench/vgg8b.yaml BEST=configs/bench/cifar10_gpu.yaml

quote() {
    printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

# A row of the report: WHAT VALUE [UNIT [NOTE]]; WHAT with its failure; WHAT that is not there, with the reason; WHAT with a JSON file.
row() {
    local number="$2"
    [[ "$2" =~ ^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$ ]] || number=$(quote "$2")
    printf '{"what": %s, "value": %s, "unit": %s, "note": %s}\n' "$(quote "$1")" "$number" "$(quote "${3:-}")" "$(quote "${4:-}")" >>"$WORK/rows/$stage.json"
    printf '  %-58s %12s %s%s\n' "$1" "$2" "${3:-}" "${4:+  ($4)}" >>"$WORK/rows/$stage.txt"
}
failure() {
    bad=1
    printf '{"what": %s, "failed": %s}\n' "$(quote "$1")" "$(quote "$2")" >>"$WORK/rows/$stage.json"
    printf '  %-58s FAILED: %s\n' "$1" "$2" >>"$WORK/rows/$stage.txt"
}
missing() {
    printf '{"what": %s, "missing": %s}\n' "$(quote "$1")" "$(quote "$2")" >>"$WORK/rows/$stage.json"
    printf '  %-58s not measured: %s\n' "$1" "$2" >>"$WORK/rows/$stage.txt"
}
document() {
    printf '{"what": %s, "document": %s}\n' "$(quote "$1")" "$(tr -d '\n' <"$2")" >>"$WORK/rows/$stage.json"
}
bar() { # NAME NUMBER
    if [[ "$2" =~ ^[0-9]+(\.[0-9]+)?$ ]]; then echo "$1 $2" >>"$WORK/bars"; else missing "bar $1" "its figure is '$2'"; fi
}

left() {
    echo $((END - $(date +%s)))
}

# within SECONDS LOG COMMAND...: with a limit of its own, never past the stage's end; output to logs/LOG, messages to logs/LOG.err.
within() {
    local most="$1" log="$logs/$2"
    shift 2
    [ "$most" -le "$(left)" ] || most=$(left)
    if [ "$most" -lt 2 ]; then
        echo "no time is left for it" >"$log.err"
        return 125
    fi
    timeout -k 3 "$most" "$@" >"$log" 2>"$log.err"
}

why() { # STATUS LOG: the reason of a failure in a line
    case $1 in
    124 | 137) echo "stopped at its time limit" ;;
    *) cat "$logs/$2.err" "$logs/$2" | grep -vE '^(W[0-9]|USDT)' | grep -m 1 -iE 'error|fail' || cat "$logs/$2" "$logs/$2.err" | tail -1 ;;
    esac
}

# What gave no figure: a failure, unless the stage's own time was over, which says nothing about it.
gave_up() { # WHAT STATUS LOG
    case $2 in
    124 | 125 | 137) [ "$(left)" -gt 2 ] || { missing "$1" "the stage's time was over"; return; } ;;
    esac
    failure "$1" "$(why "$2" "$3")"
}

get() { # FILE KEY: a value of a JSON file, or nothing
    cmake -DFILE="$1" -DKEY="$2" -P tools/json.cmake 2>/dev/null
}
is_json() {
    cmake -DFILE="$1" -P tools/json.cmake >/dev/null 2>&1
}
times() { # A EXPRESSION-IN-v: awk's number
    awk -v v="$1" "BEGIN { x = $2; printf((x >= 1000 ? \"%.0f\" : \"%.4g\"), x) }"
}

has_key() { # config key
    "$HFF" config help "$1" >/dev/null 2>&1
}

# ---- build ----

stage_build() {
    local options=() generator="Unix Makefiles" start line
    if [ "$PREBUILT" = 1 ]; then
        "$HFF" --version >"$logs/version.log" 2>&1 || { failure "the program that was brought" "$(tail -1 "$logs/version.log")"; return; }
        row "brought prebuilt" "$("$HFF" --version)"
    else
        command -v ninja >/dev/null && generator=Ninja
        mapfile -t options <"$WORK/options"
        # a shared library's own libraries are looked up by DT_RPATH, which is inherited, and not by RUNPATH, which is not
        local loads="$HFF_LIBRARIES"
        if [ -n "$DEPS" ]; then
            loads="$DEPS/lib${loads:+:$loads}"
            options+=("-DCMAKE_PREFIX_PATH=$DEPS" "-DPKG_CONFIG_EXECUTABLE=$DEPS/bin/pkg-config" "-DDNNL_ROOT=$DEPS")
        fi
        local flags="-Wl,--disable-new-dtags,-rpath,$loads"
        start=$(date +%s.%N)
        # another compiler's new warning is no reason to stop here
        within 60 configure.log cmake -S . -B "$BUILD" -G "$generator" -DCMAKE_BUILD_TYPE=Release -DHFF_WERROR=OFF -DHFF_CUDA="$(cuda_wanted)" \
            -DHFF_CUDA_ARCHITECTURES="$ARCH" -DCMAKE_CUDA_ARCHITECTURES="$ARCH" -DCMAKE_EXE_LINKER_FLAGS="$flags" -DCMAKE_MODULE_LINKER_FLAGS="$flags" \
            "${options[@]}" || { failure configure "$(why $? configure.log)"; return; }
        row configure "$(times "$start" "$(date +%s.%N) - v")" s "$generator, $(cuda_wanted | sed 's/on/with CUDA/; s/off/without CUDA: no nvcc/')"
        start=$(date +%s.%N)
        within 600 build.log cmake --build "$BUILD" -j "$(nproc)" --target hff_program || { failure build "$(why $? build.log)"; return; }
        case "$CHOSEN" in *" tests"* | *" sanitizer"*) build_tests "$generator" ;; esac
        row build "$(times "$start" "$(date +%s.%N) - v")" s "$(nproc) at a time"
    fi
    within 20 info.json "$HFF" info --json && is_json "$logs/info.json" && document "hff info" "$logs/info.json"
    within 20 info.txt "$HFF" info
    line=$(grep -E '^ +cuda ' "$logs/info.txt" | sed 's/^ *cuda *//')
    case "${line:-none}" in
    available*) row "the backend cuda" "available" "" "$line" ;;
    none) failure "the backend cuda" "is not in this program (see logs/configure.log for what was not found)" ;;
    *) if [ -n "$GPU" ]; then failure "the backend cuda" "$line"; else row "the backend cuda" "not here" "" "$line"; fi ;;
    esac
}

build_tests() { # GENERATOR: one that does not compile must not keep the others from it; the stage that runs them names it
    local on=(-k)
    [ "$1" = Ninja ] && on=(-k 0)
    within 600 build-tests.log cmake --build "$BUILD" -j "$(nproc)" --target gpu_tests -- "${on[@]}" || missing "all GPU tests" "$(why $? build-tests.log)"
}

cuda_wanted() {
    if command -v nvcc >/dev/null; then echo on; else echo off; fi
}

# ---- tests ----

# ctest_label NAME OPTIONS...: counts as rows; a test that skipped itself counts as a failure where there is a GPU.
ctest_label() {
    local name="$1" status done_count failed_count skipped inside
    shift
    rm -f "$BUILD/Testing/Temporary/LastTest.log"
    within 600 "$name.log" ctest --test-dir "$BUILD" --no-tests=error --output-on-failure --timeout 120 "$@"
    status=$?
    cp "$BUILD/Testing/Temporary/LastTest.log" "$logs/$name.all.log" 2>/dev/null
    done_count=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*Passed' "$logs/$name.log")
    failed_count=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*(Failed|Timeout|Exception|Not Run)' "$logs/$name.log")
    skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*Skipped' "$logs/$name.log")
    inside=$(grep -c '\[  SKIPPED \]' "$logs/$name.all.log" 2>/dev/null)
    row "$name passed" "$done_count"
    row "$name failed" "$failed_count"
    row "$name skipped" "$skipped" "" "${inside:-0} cases inside others"
    sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) .*(Failed|Timeout|Exception|Not Run).*/\1 \2/p' "$logs/$name.log" | while read -r test how; do echo "$test: $how"; done >"$logs/$name.bad"
    while read -r line; do failure "${line%%:*}" "${line#*: }"; done <"$logs/$name.bad"
    case $status in 124 | 125 | 137) failure "$name" "$(why $status "$name.log")" && return ;; esac
    [ $status = 0 ] || [ -s "$logs/$name.bad" ] || failure "$name" "$(why $status "$name.log")"
    [ -z "$GPU" ] || [ "$name" != gpu ] || [ "$skipped${inside:-0}" = 00 ] || failure "$name" "tests skipped themselves although there is a GPU"
}

stage_tests() {
    if [ "$PREBUILT" = 1 ]; then
        local test found=0
        for test in "$DEPS"/bin/test_gpu_*; do
            [ -x "$test" ] || continue
            found=1
            if HFF_SOURCE_DIR="$PWD" HFF_PROGRAM="$HFF" within 60 "$(basename "$test").log" "$test"; then
                row "$(basename "$test")" passed
                grep -q '\[  SKIPPED \]' "$logs/$(basename "$test").log" && failure "$(basename "$test")" "skipped itself although there is a GPU"
            else
                failure "$(basename "$test")" "$(why $? "$(basename "$test").log")"
            fi
        done
        [ $found = 1 ] || failure "GPU tests" "none were brought (stage_deps.sh --program BUILD takes those of BUILD)"
        return
    fi
    ctest_label gpu -L '^gpu$' -j 8
}

stage_host() {
    [ "$PREBUILT" = 0 ] || { missing "the other tests" "they need the build folder"; return; }
    local without=()
    if ! command -v python3 >/dev/null; then
        # scripts of tests/GROUP/NAME.sh are the tests GROUP_NAME_sh
        mapfile -t without < <(grep -l python3 tests/*/*.sh | sed 's|tests/\(.*\)/\(.*\)\.sh|\1_\2_sh|')
        missing "${#without[@]} tests" "they want python3, which is not here"
        without=(-E "^($(IFS='|' && echo "${without[*]}"))\$")
    fi
    missing "tests/install" "they are about this machine's packages"
    ctest_label host -LE '^(gpu|install)$' -j "$(nproc)" "${without[@]}"
}

# ---- equality ----

# The tensors' bytes of a safetensors file, without its header, which holds the config.
tensors() {
    local header
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +$((header + 9)) "$1"
}

# The first file of CIFAR-10 that is not in a folder; nothing when all are.
cifar_lacks() {
    local file
    for file in data_batch_{1,2,3,4,5} test_batch; do
        [ -f "$1/cifar-10-batches-bin/$file.bin" ] || { echo "$file.bin"; return; }
    done
}

equality_config() {
    local source="source: digits, digits: {train: 2048, test: 200}, augment: [shift: {max: 2}]"
    [ -z "$(cifar_lacks "$DATA")" ] && source="source: cifar10, root: \"$DATA/cifar-10-batches-bin\", limit: {train: 2048, test: 200}, augment: [crop: {pad: 4}, flip]"
    cat <<YAML
run: {epochs: 3, batch: 96, checkpoint_every: 0, backend: cuda}
data: {$source}
net:
  stages:
    - conv: {channels: 40, pool: {max: 2}}
    - conv: {channels: 72}
    - conv: {channels: 64, pool: {max: 2}}
    - linear: {units: 50}
objective: {prototypes: {per_class: 2}, head: {aux: 32, aux_act: relu, grid: 2}}
YAML
}

# equal_run NAME SETTINGS...: trains
equal_run() {
    local name="$1" words=() set
    shift
    for set in "$@"; do words+=(--set "$set"); done
    within 60 "equality-$name.log" "$HFF" train "$WORK/equality.yaml" --out "$WORK/runs" --name "$name" --force --quiet "${words[@]}"
    echo $? >"$WORK/equality-$name"
}

# All runs of a type side by side: what they compute does not depend on the load.
equal_dtype() { # DTYPE
    local name settings first="$1-first" names=()
    equal_run "$first" "run.dtype=$1" &
    while read -r name settings; do
        names+=("$1-$name")
        # shellcheck disable=SC2086
        equal_run "$1-$name" "run.dtype=$1" $settings &
    done <<'VARIANTS'
again
serial              engine.pipeline=none
two-lanes           engine.pipeline=2
pipelined           engine.pipeline=auto
serial-eager        engine.pipeline=none engine.capture=none
pipelined-eager     engine.pipeline=auto engine.capture=none
loaders             data.workers=5 engine.images=host
VARIANTS
    wait
    [ "$(ran "$first")" = 0 ] || { gave_up "$1 trains" "$(ran "$first")" "equality-$first.log"; return; }
    for name in "${names[@]}"; do
        if [ "$(ran "$name")" != 0 ]; then
            gave_up "${name/-/ }" "$(ran "$name")" "equality-$name.log"
        elif cmp -s <(tensors "$WORK/runs/$first/model.safetensors") <(tensors "$WORK/runs/$name/model.safetensors"); then
            row "${name/-/ }" equal
        else
            failure "${name/-/ }" "other bytes than the first run"
        fi
    done
}

ran() { # NAME: the status of equal_run
    cat "$WORK/equality-$1"
}

stage_equality() {
    local dtype
    equality_config >"$WORK/equality.yaml"
    for dtype in bf16 f32 tf32; do
        "$HFF" config help run.dtype | grep -qw "$dtype" || { missing "$dtype" "this program has no such run.dtype"; continue; }
        [ "$(left)" -gt 5 ] || { missing "$dtype" "no time was left for it"; continue; }
        equal_dtype "$dtype"
    done
}

. tools/gpu_bench.sh # bench, contests, peers

# ---- sanitizer ----

# sanitize SECONDS TOOL NAME COMMAND...: clean, errors, refused by the machine, or not reached in time; into WORK/sanitizer-NAME
sanitize() {
    local seconds="$1" tool="$2" name="$3" status said=errors own=()
    shift 3
    # what NVIDIA's own kernels do among themselves is not ours to judge
    case $tool in racecheck | initcheck) own=(--kernel-name-exclude 'regex=cudnn|cutlass|xmma|cublas|fprop|nchw|nhwc') ;; esac
    within "$seconds" "$name.log" compute-sanitizer --tool "$tool" "${own[@]}" --target-processes all --error-exitcode 99 "$@"
    status=$?
    if grep -qiE 'device not supported|failed to initialize|not supported on this' "$logs/$name.log" "$logs/$name.log.err"; then
        said=refused
    elif [ $status = 0 ] && grep -qE 'ERROR SUMMARY: 0 errors|RACECHECK SUMMARY: 0 hazards' "$logs/$name.log"; then
        said=clean
    elif [ $status = 124 ] || [ $status = 125 ] || [ $status = 137 ]; then
        said="not reached"
    fi
    echo "$said" >"$WORK/sanitizer-$name"
}

# sanitize_pair SECONDS TOOL TOOL: side by side over all programs
sanitize_pair() {
    local seconds="$1" tool program
    shift
    for tool in "$@"; do
        for program in "$BUILD"/tests/test_gpu_* "$BUILD"/tests/test_op_{hff,norm,pool,update,augment,reorder,loss,ff,moments} "$DEPS"/libexec/test_gpu_*; do
            [ -f "$program" ] && [ -x "$program" ] && sanitize "$seconds" "$tool" "$tool-$(basename "$program")" "$program" &
        done
        sanitize "$seconds" "$tool" "$tool-train" "$HFF" train "$WORK/equality.yaml" --set run.epochs=0.2 --out "$WORK/runs" --name "$tool-train" --force --quiet &
    done
    wait
}

stage_sanitizer() {
    local name said found bad_names=()
    command -v compute-sanitizer >/dev/null || { missing compute-sanitizer "it is not installed here"; return; }
    equality_config >"$WORK/equality.yaml"
    export LD_LIBRARY_PATH="${DEPS:+$DEPS/lib:}$HFF_LIBRARIES${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" HFF_SOURCE_DIR="$PWD" HFF_PROGRAM="$HFF" HFF_TEST_BACKEND=cuda
    sanitize_pair $(($(left) * 3 / 5)) memcheck racecheck
    sanitize_pair 600 synccheck initcheck
    for said in clean errors refused "not reached"; do
        found=$(grep -lx "$said" "$WORK"/sanitizer-* | sed 's/.*sanitizer-//')
        row "compute-sanitizer: $said" "$(echo "$found" | grep -c .)" "" "$(echo "$found" | paste -sd' ')"
    done
    mapfile -t bad_names < <(grep -lx errors "$WORK"/sanitizer-* | sed 's/.*sanitizer-//')
    for name in "${bad_names[@]}"; do failure "$name" "$(grep -E '^=========' "$logs/$name.log" | grep -v -m 1 COMPUTE-SANITIZER | cut -c1-150)"; done
    grep -qx clean "$WORK"/sanitizer-* || failure compute-sanitizer "nothing was found clean"
}

# ---- train ----

# learn NAME CONFIG SECONDS SETTINGS...: a run; its best accuracy, its seconds and epochs until some marks, its rate, and the program's seconds
learn() {
    local name="$1" config="$2" seconds="$3" words=() set status log mark at start
    shift 3
    for set in "$@"; do words+=(--set "$set"); done
    start=$(date +%s.%N)
    within "$seconds" "train-$name.log" "$HFF" train "$config" --set run.backend=cuda --set data.root="$DATA/cifar-10-batches-bin" --set run.checkpoint_every=0 \
        --set run.time_limit=$((seconds - 4)) "${words[@]}" --out "$WORK/runs" --name "$name" --force --quiet
    status=$?
    log="$WORK/runs/$name/log.jsonl"
    # seconds, epoch, accuracy of each evaluation
    sed -nE 's/.*"kind": "(epoch|eval)".*"epoch": ([0-9.e+-]+), "time": ([0-9.e+-]+).*"fused": \{[^}]*"accuracy": ([0-9.e+-]+).*/\3 \2 \4/p' "$log" >"$WORK/$name.points" 2>/dev/null
    cp "$log" "$logs/train-$name.jsonl" 2>/dev/null
    if [ ! -s "$WORK/$name.points" ]; then
        gave_up "$name" $status "train-$name.log"
        return 1
    fi
    [ $status = 0 ] || [ $status = 130 ] || failure "$name" "$(why $status "train-$name.log")"
    row "$name: the whole program, start and end included" "$(times "$start" "$(date +%s.%N) - v")" s
    for mark in 0.8308 0.90; do
        at=$(awk -v m=$mark '$3 >= m { print $1, $2; exit }' "$WORK/$name.points")
        [ -n "$at" ] && row "$name: until $(times $mark 'v * 100') %" "$(times "${at% *}" v)" s "epoch ${at#* }"
    done
    row "$name: images/s while it trains" "$(sed -n 's/.*"kind": "train".*"images_per_s": \([0-9.e+-]*\).*/\1/p' "$log" | sort -g | awk '{ v[NR] = $1 } END { printf "%.0f", v[int((NR + 1) / 2)] }')" images/s "median of the log's lines"
    row "$name: best of the test set" "$(awk '$3 > b { b = $3 } END { printf "%.2f", 100 * b }' "$WORK/$name.points")" % \
        "last $(awk 'END { printf "%.2f after %.1f epochs, %.1f s", 100 * $3, $2, $1 }' "$WORK/$name.points"); ${*}"
}

has_data() {
    local lacks
    lacks=$(cifar_lacks "$DATA")
    [ -z "$lacks" ] || { missing "training on CIFAR-10" "no cifar-10-batches-bin/$lacks in --data${DATA:+ $DATA}"; return 1; }
}

# With the most epochs that SECONDS hold, by what the first epoch of the run POINTS took and what its second did.
learn_for() { # NAME CONFIG SECONDS POINTS SETTINGS...
    local name="$1" config="$2" seconds="$3" points="$4" epochs
    shift 4
    epochs=$(awk -v s="$seconds" '$2 == 1 { first = $1 } $2 == 2 && !n { n = 1 + (0.95 * s - first) / ($1 - first) } END { printf "%d", n }' "$WORK/$points.points")
    [ "$epochs" -ge 2 ] || { missing "$name" "$seconds s do not hold two epochs"; return; }
    learn "$name" "$config" "$((seconds + 4))" "$@" run.epochs="$epochs"
}

stage_train() {
    local at
    has_data || return
    learn to-83 "$CNN" 60 run.dtype=bf16 run.batch=128 run.log_every=100 run.until.accuracy=0.8308 || return
    at=$(awk '$3 >= 0.8308 { print $1; exit }' "$WORK/to-83.points")
    [ -n "$at" ] && bar time_83 "$(times "$at" v)"
}

stage_best() {
    has_data || return
    learn pace "$BEST" 60 run.epochs=2 || return
    learn_for five-minutes "$BEST" "$(awk -v l="$(left)" 'BEGIN { print l - 10 < 300 ? l - 10 : 300 }')" pace
}

"stage_$stage"
if [ $bad = 0 ] && ! grep -q '"value"' "$WORK/rows/$stage.json" 2>/dev/null; then
    sed -n 's/.*not measured: //p' "$WORK/rows/$stage.txt" | head -1
    exit 77
fi
[ $bad = 0 ] || echo "$(grep -c '"failed"' "$WORK/rows/$stage.json") of its rows failed: $(grep -m 1 FAILED "$WORK/rows/$stage.txt" | sed 's/  */ /g')"
exit $bad
