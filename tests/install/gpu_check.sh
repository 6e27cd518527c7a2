# tools/gpu_check.sh as on a machine with a GPU and on one without: options, limits, the report; the GPU and its program are played by scripts.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
[ -z "${HFF_TEST_FLAGS:-}" ] || { echo "runs the program often and tests none of it: left out with the sanitizers"; exit 0; }
rm -rf gc && mkdir -p gc/bin gc/deps/bin gc/deps/fonts gc/data/cifar-10-batches-bin && cd gc || exit 1
check="$HFF_SOURCE_DIR/tools/gpu_check.sh"
echo GLIBC_2.2 >deps/glibc
touch data/cifar-10-batches-bin/{data_batch_{1,2,3,4,5},test_batch}.bin
cat >bin/nvidia-smi <<'SH'
#!/bin/sh
[ -n "$PLAY_GPU" ] || exit 9
case "$1" in *compute_cap*) echo 9.0 ;; *) echo "played by a script" ;; esac
SH
# the program on the CPU; PLAY_WRONG: its second run differs; PLAY_SLOW: none ends. A benchmark answers with 20 microseconds.
cat >deps/bin/hff <<'SH'
#!/bin/bash
case "$1 $2" in
"config help") "$HFF_PROGRAM" "$@" | sed 's/auto | cpu/auto | cuda | cpu/' && exit "${PIPESTATUS[0]}" ;;
"info ") echo "  cuda  ${PLAY_GPU:+available }played" && exit ;;
"bench ops") echo '{"rows": [{"op": "linear", "share": 0.5}, {"op": "hff", "ms": {"median": 0.020}, "share": 0.5}]}' && exit ;;
"bench "*) echo "error: not today" >&2 && exit 1 ;;
esac
words=("${@/run.backend=cuda/run.backend=cpu}")
words=("${words[@]/run.dtype=tf32/run.dtype=f32}") # which no CPU computes in
[ "$1$PLAY_SLOW" = train1 ] && exec sleep 60
case "$*" in *again*) [ -n "$PLAY_WRONG" ] && words+=(--set run.seed=2) ;; esac
[ "$1" = train ] && words+=(--set run.backend=cpu --set data.source=digits --set "data.digits={train: 200, test: 50}" --set "data.augment=[]")
exec "$HFF_PROGRAM" "${words[@]}"
SH
# one tool finds nothing, one a race, the others do not run on this machine
cat >bin/compute-sanitizer <<'SH'
#!/bin/sh
echo "========= COMPUTE-SANITIZER"
case "$2" in
memcheck) [ -n "$PLAY_REFUSED" ] || { echo "========= ERROR SUMMARY: 0 errors" && exit; } ;;
racecheck) [ -n "$PLAY_REFUSED" ] || { echo "========= Error: potential RAW hazard" && exit 99; } ;;
esac
echo "========= Error: Device not supported" && exit 1
SH
# a contest that is stopped after its first round
cat >bin/python-played <<'SH'
#!/bin/bash
while [ $# -gt 1 ]; do [ "$1" = --json ] && report="$2"; shift; done
[ -n "$report" ] || exit 0
echo '{"rows": [{"partition": "layer", "kinds": {"hff": {"images_per_s": 2000.5}}, "ratio_eager": {"median": 2, "min": 2, "max": 2}, "ratio_compiled": null}]}' >"$report"
echo "error: stopped" >&2 && exit 1
SH
chmod +x bin/* deps/bin/hff
export PATH="$PWD/bin:$PATH" PYTHON=false PLAY_GPU="" PLAY_WRONG="" PLAY_SLOW="" PLAY_REFUSED=""

# checks STATUS OPTIONS...: runs it; the report is JSON whatever happened
checks() {
    local status="$1" got
    shift
    "$check" --deps deps --prebuilt --build build --out out "$@" >said.txt 2>&1
    got=$?
    [ "$got" = "$status" ] || { echo "exit $got, not $status: $*"; tail -20 said.txt; bad=1; }
    cmake -DFILE=out/gpu_check.json -P "$HFF_SOURCE_DIR/tools/json.cmake" || { echo "no JSON: $*"; bad=1; }
}
says() {
    grep -q "$1" said.txt || { echo "does not say '$1':"; tail -20 said.txt; bad=1; }
}
value() { # KEY VALUE
    local got
    got=$(cmake -DFILE=out/gpu_check.json -DKEY="$1" -P "$HFF_SOURCE_DIR/tools/json.cmake")
    [ "$got" = "$2" ] || { echo "$1 is '$got', not '$2'"; bad=1; }
}

wants 2 "no stage 'tset'" "$check" --only tset
wants 2 "no bar 'head'" "$check" --limit head=3
wants 2 "NAME=NUMBER" "$check" --limit head_10=quick
wants 2 "goes with --deps" "$check" --prebuilt
wants 2 "not a folder of" "$check" --deps bin --build build --out out
wants 2 "usage" "$check" --deps
expect "a list of stages" "$check" --list

checks 1 --only build,tests,equality
says "NO GPU on this machine"
value stages/0/status ok
value stages/1/status "no GPU"
value machine/gpu none
says "cuda *not here"

tar -C deps -czf deps.tar.gz .
wants 1 "" "$check" --deps deps.tar.gz --prebuilt --build build --out out --only build,tests
expect "the archive was unpacked" test -x build/deps/bin/hff

PLAY_GPU=1
checks 0 --only build,equality
value stages/1/status ok
says "f32 again *equal"
PLAY_WRONG=1 checks 1 --only build,equality
value stages/1/status failed
says "f32 again *FAILED: other bytes"
checks 1 --only tests
says "none were brought"
checks 1 --only sanitizer
value stages/0/status failed
says "clean *1 *(memcheck-train)"
says "refused *2"
says "racecheck-train *FAILED: ========= Error: potential RAW"
PLAY_REFUSED=1 checks 1 --only sanitizer
says "nothing was found clean"
PLAY_SLOW=1 checks 1 --only equality --total 10
says "bf16 trains *not measured: the stage's time was over"
value stages/0/status "not run"
PYTHON="$PWD/bin/python-played" checks 1 --only contests --data data --limit vgg8b_eager --limit cnn_compiled
says "vgg8b, layer: hff *2000\|2001 images/s"
says "cnn beside PyTorch *FAILED: error: stopped"
says "vgg8b_eager *2 .*held"
says "bar cnn_compiled was asked for and not measured"
checks 1 --only equality --total 3
value stages/0/status "no time"

# a stage's failures are reported and the rest goes on; the bar that was asked for did not hold, one of your own does
checks 3 --only bench,host --data data --limit head_10
value stages/0/status failed
value stages/1/status "not run"
says "did not hold: head_10"
says "not today"
checks 1 --only bench --data data --limit head_10=20
checks 1 --only bench --data data --limit pipeline
says "bar pipeline was asked for and not measured"
cd .. && rm -rf gc
exit $bad
