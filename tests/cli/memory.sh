# Memory: what a run takes on top of what was there before is what was planned, within 2 % or 8 MiB; more than there is is refused.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf m && mkdir m && cd m || exit 1

# ---- more than there is: one message with both figures, before anything is touched
tiny >tiny.yaml
huge='net.stages=[{linear: {units: 900000}}, {linear: {units: 900000}}]' # 12 TB
wants 1 "MiB are left by" "$hff" train tiny.yaml --set "$huge"
wants 1 "MiB are left by" "$hff" bench train tiny.yaml --set "$huge"
"$hff" train tiny.yaml --dry-run --set "$huge" 2>warning.txt | grep -q together || { echo "a dry run does not show a large plan"; bad=1; }
grep -q "MiB are left by" warning.txt || { echo "a dry run does not warn"; bad=1; }
[ ! -e runs ] || { echo "a plan too large touched something"; bad=1; }

if [ -n "${HFF_TEST_FLAGS:-}" ]; then
    echo "(sanitizers have memory of their own: plans not compared)"
    cd .. && rm -rf m
    exit $bad
fi
limited() { (ulimit -v 1100000 && exec "$hff" "$@"); } # KiB
wants 1 "ulimit -v" limited train tiny.yaml --set 'net.stages=[{linear: {units: 9000}}, {linear: {units: 9000}}]'
wants 1 "ulimit -v" limited train tiny.yaml --set data.digits.train=2000000
turns="--set engine.schedule=sequential --set net.stages[0].linear.units=6000 --set data.digits.train=24000"
wants 1 "use engine.cache none" limited train tiny.yaml $turns --set engine.cache=memory
limited train tiny.yaml $turns --dry-run 2>&1 | grep -q "MiB are left by" && { echo "without the cache it does not fit either"; bad=1; }

# ---- plans above 256 MiB
measured() { # NAME WHAT: result.json of runs/NAME
    python3 - "runs/$1/result.json" "$2" <<'PY' || bad=1
import json, sys
result = json.load(open(sys.argv[1]))
plan, took = result['planned_bytes'], result['peak_memory_bytes'] - result['resident_before_plan_bytes']
assert plan > 256 << 20, f'{sys.argv[2]}: a plan of {plan} bytes is too small for this test'
print(f'{sys.argv[2]}: planned {plan / 2**20:.1f} MiB, took {took / 2**20:.1f}')
assert abs(took - plan) <= max(0.02 * plan, 8 << 20), f'{sys.argv[2]}: planned {plan} bytes, took {took}'
PY
}
few='run: {epochs: 1, batch: 256, checkpoint_every: 0}
data: {source: digits, digits: {train: 800, test: 300}, workers: 1}'
printf '%s\nnet: {stages: [{linear: {units: 2600}}, {linear: {units: 2600}}, {linear: {units: 2600}}, {linear: {units: 1300}}]}\n' "$few" >mlp.yaml
printf '%s\nnet: {stages: [{conv: {channels: 64}}, {conv: {channels: 64, pool: {max: 2}}}, {linear: {units: 40}}]}\n' "$few" >cnn.yaml
expect "an MLP" "$hff" train mlp.yaml --quiet
measured mlp "MLP, batch 256"
expect "an MLP resumed" "$hff" train mlp.yaml --quiet --resume --set run.epochs=1.5 --set run.threads=1
measured mlp "the MLP resumed"
expect "an MLP in lanes" "$hff" train mlp.yaml --quiet --name lanes --set engine.pipeline=3
measured lanes "MLP, batch 256, 3 lanes"
expect "a CNN" "$hff" train cnn.yaml --quiet --set run.batch=384 --set run.threads=2 --set data.holdout=0.3 --set run.slices=2
measured cnn "CNN, batch 384, hold-out, 2 slices"
expect "a larger batch" "$hff" train cnn.yaml --quiet --set run.batch=512 --set data.workers=3 --set run.threads=3 --name large --set 'data.augment=[mixup: {alpha: 0.2}]'
measured large "CNN, batch 512, mixup, 3 threads"
expect "a CNN in lanes" "$hff" train cnn.yaml --quiet --set run.batch=384 --set run.threads=2 --name lanes2 --set engine.pipeline=2
measured lanes2 "CNN, batch 384, 2 lanes"
expect "stages in turn" "$hff" train cnn.yaml --quiet --set run.epochs=2 --set engine.schedule=sequential --set engine.cache=memory --name turns
measured turns "the CNN stage by stage, with the cache"
# backpropagation, with recomputation and in micro-batches
printf '%s\nnet: {partition: whole, stages: [{conv: {channels: 16}, repeat: 12}]}\nobjective: {kind: softmax, head: {aux: 0}}\n' "$few" >deep.yaml
expect "recomputation" "$hff" train deep.yaml --quiet --name again --set run.batch=768 --set engine.recompute=auto
measured again "12 layers joined, recomputed"
expect "micro-batches" "$hff" train deep.yaml --quiet --name micro --set run.batch=768 --set run.micro_batch=256
measured micro "12 layers joined, micro-batches of 256"
if "$hff" train cnn.yaml --quiet --set run.batch=768 --name bf16 --set run.dtype=bf16 2>said.txt >/dev/null; then
    measured bf16 "CNN, batch 768, bf16"
else
    grep -q "run.dtype is bf16" said.txt || { echo "bf16 fails"; cat said.txt; bad=1; }
fi
cd .. && rm -rf m
exit $bad
