# A fault at every moment at which a run changes files: killed, told to stop, disk full. Each time there is one message, and a resume
# gives the bytes of the run that nothing happened to. HFF_STRIDE: how many moments to leave out between two (1: none).
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf f && mkdir f && cd f || exit 1
stride="${HFF_STRIDE:-29}"
export ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}"
cat >net.yaml <<'YAML'
run: {epochs: 2, batch: 20, log_every: 2, checkpoint_every: 0.5, keep: 1, threads: 1}
data: {source: digits, digits: {train: 100, test: 40}, holdout: 0.2, workers: 1}
net: {stages: [{conv: {channels: 4, pool: {max: 4}}}, {linear: {units: 12}}]}
YAML
faulty() { # FAULT ARGUMENT...
    local fault="$1"
    shift
    HFF_FAULT="$fault" LD_PRELOAD="$HFF_FAULTS" "$hff" train net.yaml --quiet "$@"
}
go_on() { # NAME: to its end, from wherever it stands
    local more=
    [ -e "runs/$1/config.yaml" ] && more=--resume
    "$hff" train net.yaml --quiet --name "$1" $more
}
same() { # WHAT
    cmp runs/whole/model.safetensors runs/r/model.safetensors || { echo "$1: another model"; bad=1; }
    cmp runs/whole/checkpoints/step-8/optimizer.safetensors runs/r/checkpoints/step-8/optimizer.safetensors || { echo "$1: another optimizer"; bad=1; }
    [ "$(grep -c . runs/r/log.jsonl)" -ge "$(grep -c . runs/whole/log.jsonl)" ] || { echo "$1: log lines lost"; bad=1; }
    [ "$(ls runs/r/checkpoints)" = "$(ls runs/whole/checkpoints)" ] || { echo "$1: left $(ls runs/r/checkpoints)"; bad=1; }
    left=$(find runs/r -name '*.tmp.*')
    [ -z "$left" ] || { echo "$1: left $left"; bad=1; }
}
mkdir runs && HFF_FAULT_COUNT=calls.txt faulty count --name whole || { echo "a run with the preloaded library fails"; exit 1; }
calls=$(cat calls.txt)
[ "$calls" -gt 100 ] || { echo "only $calls calls counted: faults do not reach the program"; bad=1; }

for moment in $(seq 1 "$stride" "$calls"); do
    rm -rf runs/r
    { faulty "kill $moment" --name r; } >/dev/null 2>&1
    [ $? = 137 ] || { echo "kill $moment: it was not killed"; bad=1; }
    go_on r >/dev/null 2>said.txt || { echo "kill $moment: $(cat said.txt)"; bad=1; }
    same "kill $moment"
done
for moment in $(seq 2 "$stride" "$calls"); do
    rm -rf runs/r
    faulty "term $moment" --name r >/dev/null 2>said.txt
    got=$?
    [ $got = 143 ] || [ $got = 0 ] || { echo "term $moment: exit $got: $(cat said.txt)"; bad=1; }
    [ $got = 0 ] || go_on r >/dev/null 2>said.txt || { echo "term $moment: $(cat said.txt)"; bad=1; }
    same "term $moment"
done
for moment in $(seq 3 "$stride" "$calls"); do
    rm -rf runs/r
    faulty "full $moment" --name r >/dev/null 2>said.txt
    got=$?
    if [ $got != 0 ]; then
        [ $got = 1 ] && grep -q "No space left" said.txt && [ "$(grep -c . said.txt)" = 1 ] || { echo "full $moment: exit $got: $(cat said.txt)"; bad=1; }
        left=$(find runs -name '*.tmp.*' -o -name 'tmp-[0-9]*')
        [ -z "$left" ] || { echo "full $moment: left $left"; bad=1; }
        go_on r >/dev/null 2>said.txt || { echo "full $moment: $(cat said.txt)"; bad=1; }
    fi
    same "full $moment"
done

# the wall clock goes back a year, again and again: nothing but dates may show it
rm -rf runs/r
faulty "clock 40" --name r --set run.time_limit=1000 || { echo "clock: the run fails"; bad=1; }
same "clock"
faulty "clock 40" --name r --set run.epochs=3 --resume || { echo "clock: the resume fails"; bad=1; }
python3 - <<'PY' || bad=1
import json
lines = [json.loads(line) for line in open('runs/r/log.jsonl')]
times = [line['time'] for line in lines]
assert all(0 <= a <= b < 600 for a, b in zip(times, times[1:])), times
assert all(line.get('images_per_s', 1) > 0 for line in lines)
assert 0 < json.load(open('runs/r/result.json'))['seconds'] < 600
PY
echo "$calls moments, every ${stride}th of them"
cd .. && rm -rf f
exit $bad
