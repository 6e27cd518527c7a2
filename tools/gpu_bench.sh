# The stages of tools/gpu_check.sh that measure speed: bench, contests, peers. Read by tools/gpu_stages.sh, whose functions and variables it uses.
# shellcheck shell=bash disable=SC2154

# Random images in CIFAR-10's form, where there are no real ones and only time matters.
bench_data() {
    DATA_USED="$DATA" DATA_NOTE=""
    [ -z "$(cifar_lacks "$DATA")" ] && return 0
    DATA_USED="$WORK/random" DATA_NOTE="random images"
    "$PYTHON" - "$DATA_USED/cifar-10-batches-bin" <<'PY' >"$logs/random.log" 2>&1
import os, random, sys
os.makedirs(sys.argv[1], exist_ok=True)
for name in ['data_batch_%d.bin' % i for i in range(1, 6)] + ['test_batch.bin']:
    with open(os.path.join(sys.argv[1], name), 'wb') as out:
        for i in range(10000):
            out.write(bytes([i % 10]) + random.randbytes(3072))
PY
}

has_torch() {
    "$PYTHON" -c 'import torch, yaml, safetensors; assert torch.cuda.is_available()' 2>/dev/null ||
        { missing "beside PyTorch" "no PyTorch with yaml and safetensors that sees the GPU"; return 1; }
}

# contest NAME CONFIG BATCH SECONDS STEPS OPTIONS...: hff beside PyTorch; rows, and FIRST_JSON for bars
contest() {
    local name="$1" config="$2" batch="$3" seconds="$4" steps="$5" kind value status report="$WORK/contest-$1.json" k=0 partition
    shift 5
    within "$seconds" "contest-$name.log" "$PYTHON" experiments/peers/torch_hff.py --hff "$HFF" --device cuda --threads "$(nproc)" \
        --set run.batch="$batch" --set data.root="$DATA_USED/cifar-10-batches-bin" --rounds 3 --steps "$steps" --dtype bf16 --json "$report" "$@" "$config"
    status=$?
    [ $status = 0 ] || gave_up "$name beside PyTorch" $status "contest-$name.log"
    is_json "$report" || return 1
    document "$name beside PyTorch" "$report"
    while partition=$(get "$report" "rows/$k/partition") && [ -n "$partition" ]; do
        for kind in hff eager compiled eager_graph compiled_graph; do
            value=$(get "$report" "rows/$k/kinds/$kind/images_per_s") && [ -n "$value" ] && row "$name, $partition: $kind" "$(times "$value" v)" images/s "$DATA_NOTE"
        done
        for kind in ratio_eager ratio_compiled; do
            value=$(get "$report" "rows/$k/$kind/median") && [ -n "$value" ] &&
                row "$name, $partition: $kind" "$(times "$value" v)" x "rounds $(times "$(get "$report" "rows/$k/$kind/min")" v) to $(times "$(get "$report" "rows/$k/$kind/max")" v)"
        done
        value=$(get "$report" "rows/$k/kinds/eager/convolution_share") && [[ "$value" =~ ^[0-9.]+$ ]] && row "$name, $partition: convolutions of an eager step" "$(times "$value" 'v * 100')" %
        k=$((k + 1))
    done
    FIRST_JSON="$report"
}

contest_bar() { # NAME KEY
    local value
    value=$(get "$FIRST_JSON" "rows/0/$2/median") && [ -n "$value" ] && bar "$1" "$(times "$value" v)"
}

# hff_bench NAME SECONDS WORDS...: hff bench WORDS --json into WORK/NAME.json and the report
hff_bench() {
    local name="$1" seconds="$2" status
    shift 2
    within "$seconds" "$name.json" "$HFF" bench "$@" --json --set run.backend=cuda
    status=$?
    if [ $status != 0 ] || ! is_json "$logs/$name.json"; then
        gave_up "hff bench $*" $status "$name.json"
        return 1
    fi
    document "hff bench $*" "$logs/$name.json"
}

op_ms() { # FILE OP: the median of its first row
    local i=0 op
    while op=$(get "$1" "rows/$i/op") && [ -n "$op" ]; do
        [ "$op" = "$2" ] && { get "$1" "rows/$i/ms/median"; return; }
        i=$((i + 1))
    done
}

head_bench() { # BAR BATCH D CLASSES DTYPE
    local ms name="head-$2-$3-$4-$5" runs=200
    [ "$4 $5" != "1000 f32" ] || runs=20
    hff_bench "$name" 15 ops configs/bench/head.yaml --set "net.stages=[{linear: {units: $3}}]" --set run.batch="$2" --set run.dtype="$5" --classes "$4" --runs $runs || return
    ms=$(op_ms "$logs/$name.json" hff)
    [ -n "$ms" ] || { failure "head ($2, $3, $4, 4) $5" "no row hff"; return; }
    row "head ($2, $3, $4, 4) $5" "$(times "$ms" 'v * 1000')" us
    [ "$5" = bf16 ] || return
    case "$1" in
    head_1000) HEAD_1000="$ms" ;;
    *) bar "$1" "$(times "$ms" 'v * 1000')" ;;
    esac
}

heads() { # DTYPE
    local products
    HEAD_1000=""
    head_bench head_10 512 256 10 "$1"
    head_bench head_100 512 512 100 "$1"
    head_bench head_1000 1024 2048 1000 "$1"
    [ -n "$HEAD_1000" ] || return
    if within 30 products.json "$PYTHON" experiments/peers/torch_products.py 1024 2048 1000 4 && is_json "$logs/products.json"; then
        products=$(get "$logs/products.json" sum_ms)
        document "cuBLASLt's three products" "$logs/products.json"
        row "cuBLASLt's three products (1024, 2048, 1000, 4) bf16" "$(times "$products" 'v * 1000')" us
        bar head_1000 "$(awk -v a="$HEAD_1000" -v b="$products" 'BEGIN { printf "%.4g", a / b }')"
    else
        missing "cuBLASLt's three products" "$(why 1 products.json)"
    fi
}

# Serial and pipelined in turns, three times.
pipelining() {
    local turn mode value ratio
    has_key engine.pipeline || { missing "pipelined against serial" "this program has no key engine.pipeline"; return; }
    rm -f "$WORK"/pipeline-*
    for turn in 1 2 3; do
        for mode in none auto; do
            hff_bench "pipeline-$mode-$turn" 15 train "$CNN" --set run.batch=128 --set run.dtype=bf16 --set data.root="$DATA_USED/cifar-10-batches-bin" \
                --set engine.pipeline=$mode --runs 300 || return
            value=$(get "$logs/pipeline-$mode-$turn.json" rows/0/images_per_s)
            echo "$value" >>"$WORK/pipeline-$mode"
        done
    done
    ratio=$(paste "$WORK/pipeline-auto" "$WORK/pipeline-none" | awk '{ print $1 / $2 }' | sort -g | sed -n 2p)
    row "pipelined / serial, CNN at batch 128, bf16" "$(times "$ratio" v)" x "median of three turns"
    bar pipeline "$(times "$ratio" v)"
    for mode in auto none; do # replayed, where lanes' steps show; op by op, where sections do
        within 30 "timeline-$mode.log" "$HFF" train "$CNN" --set run.backend=cuda --set run.batch=128 --set run.dtype=bf16 --set data.root="$DATA_USED/cifar-10-batches-bin" \
            --set data.limit.train=3840 --set run.epochs=1 --set engine.capture=$mode --trace "$logs/timeline-$mode.json" --out "$WORK/runs" --name timeline --force --quiet ||
            missing "timeline, engine.capture $mode" "$(why $? "timeline-$mode.log")"
    done
}

convolutions() { # NAME CONFIG BATCH: share of the sum of all ops
    local share
    hff_bench "ops-$1" 30 ops "$2" --set run.batch="$3" --set run.dtype=bf16 --set data.root="$DATA_USED/cifar-10-batches-bin" --runs 20 || return
    share=$(tr -d '\n ' <"$logs/ops-$1.json" | sed 's/},{"stage"/}\n{"stage"/g' | awk '
        match($0, /"op":"[a-z_]*"/) { op = substr($0, RSTART + 6, RLENGTH - 7) }
        match($0, /"share":[0-9.e-]*/) { if (op ~ /^conv/) s += substr($0, RSTART + 8, RLENGTH - 8) }
        END { printf "%.3g", 100 * s }')
    row "$1: convolutions, of all ops of hff" "$share" %
}

autotuned() { # NAME CONFIG BATCH: what choosing plans by trying them gives
    local on
    for on in false true; do
        hff_bench "autotune-$1-$on" 40 train "$2" --set run.batch="$3" --set run.dtype=bf16 --set data.root="$DATA_USED/cifar-10-batches-bin" \
            --set engine.autotune=$on --runs 100 || return
    done
    row "$1: engine.autotune / cuDNN's first plans" "$(awk -v a="$(get "$logs/autotune-$1-true.json" rows/0/images_per_s)" \
        -v b="$(get "$logs/autotune-$1-false.json" rows/0/images_per_s)" 'BEGIN { printf "%.4g", b ? a / b : 0 }')" x "one run each"
}

has_images() {
    bench_data || { failure "data to time with" "no CIFAR-10 in --data, and no Python to make random images"; return 1; }
}

stage_bench() {
    local share
    has_images || return
    heads bf16
    pipelining
    if hff_bench data 20 data "$CNN" --set run.batch=128 --set run.dtype=bf16 --set data.root="$DATA_USED/cifar-10-batches-bin"; then
        share=$(get "$logs/data.json" feed/share_of_step)
        [ -n "$share" ] && row "data path, of a step" "$(times "$share" 'v * 100')" % && bar data_path "$(times "$share" 'v * 100')"
    fi
    heads f32
    heads tf32
    convolutions cnn "$CNN" 128
    convolutions vgg8b "$VGG" 512
    autotuned cnn "$CNN" 128
    autotuned vgg8b "$VGG" 512
}

stage_contests() {
    local kinds=(--kinds eager,compiled_graph,compiled --open-for 50 --share)
    has_images && has_torch || return
    contest cnn "$CNN" 128 145 300 "${kinds[@]}" && contest_bar cnn_compiled ratio_compiled
    contest vgg8b "$VGG" 512 290 100 "${kinds[@]}" && { contest_bar vgg8b_compiled ratio_compiled; contest_bar vgg8b_eager ratio_eager; }
}

stage_peers() {
    local max=(--mode max-autotune --kinds compiled_graph)
    has_images && has_torch || return
    contest cnn-max "$CNN" 128 420 300 "${max[@]}"
    contest vgg8b-max "$VGG" 512 420 100 "${max[@]}"
    contest cnn-whole "$CNN" 128 420 300 "${max[@]}" --partition whole
    contest vgg8b-whole "$VGG" 512 420 100 "${max[@]}" --partition whole
}
