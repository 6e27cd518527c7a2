# Stopped and resumed = never stopped, byte for byte, for every objective and partition; and it learns.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf rv && mkdir rv && cd rv || exit 1
cat >net.yaml <<'YAML'
run: {epochs: 2, batch: 32, log_every: 3, checkpoint_every: 0.3, threads: 2}
data:
  source: digits
  digits: {train: 320, test: 64}
net:
  stages:
    - conv: {channels: 10, stride: 2, norm: none}
    - basic_block: {channels: 20}
    - linear: {units: 30}
objective: {head: {aux: 16}}
YAML
number=0
while read -r set; do
    number=$((number + 1))
    "$hff" train net.yaml --set "$set" --name a$number --quiet || bad=1
    "$hff" train net.yaml --set "$set" --name b$number --quiet --set run.time_limit=0.1 2>/dev/null
    got=$?
    [ $got = 130 ] || [ $got = 0 ] || { echo "$set: exit $got"; bad=1; }
    "$hff" train net.yaml --set "$set" --name b$number --quiet --resume --set run.threads=3 || bad=1
    cmp runs/a$number/model.safetensors runs/b$number/model.safetensors || { echo "$set: another model"; bad=1; }
done <<'SETS'
objective.kind=softmax
objective.kind=cwc
objective={kind: softmax, sim: {beta: 0.8}}
objective={sim: {beta: 0.8}}
net.partition=whole
run.micro_batch=8
SETS
[ $number = 6 ] || { echo "only $number cases"; bad=1; }
expect_in() { grep -q "$2" "$1" || { echo "$1 lacks $2"; bad=1; }; }
expect_in runs/a3/log.jsonl '"slice": 8'
expect_in runs/a3/log.jsonl '"similarity": '
if grep -q cosine_own runs/a1/log.jsonl; then echo "a net without prototypes logs cosines"; bad=1; fi

# recomputation: the same numbers with it and without (the models name their configs), and a resume may change it
same_numbers() {
    python3 - "runs/$1/model.safetensors" "runs/$2/model.safetensors" <<'PY' || { echo "$3: another model"; bad=1; }
import sys
a, b = (open(path, 'rb').read() for path in sys.argv[1:])
numbers = lambda raw: raw[8 + int.from_bytes(raw[:8], 'little'):]
assert len(numbers(a)) > 1000 and numbers(a) == numbers(b)
PY
}
"$hff" train net.yaml --set net.partition=whole --set engine.recompute=auto --name again --quiet || bad=1
same_numbers a5 again "recomputation"
both="net={partition: whole, stages: [{conv: {channels: 10, stride: 2}}, {basic_block: {channels: 10}, repeat: 3}]}"
"$hff" train net.yaml --set "$both" --set run.micro_batch=16 --name c1 --quiet || bad=1
"$hff" train net.yaml --set "$both" --set run.micro_batch=16 --name c2 --quiet --set run.time_limit=0.1 2>/dev/null
"$hff" train net.yaml --set "$both" --set run.micro_batch=16 --name c2 --quiet --resume --set engine.recompute=auto || bad=1
same_numbers c1 c2 "recomputation after a resume"
wants 2 "run.micro_batch" "$hff" train net.yaml --set "$both" --set run.micro_batch=8 --name c2 --resume
cd .. && rm -rf rv
exit $bad
