# Everything that can be wrong with input: one clear error, the right exit status, nothing half-written.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf e && mkdir e && cd e || exit 1
tiny >tiny.yaml
export HFF_DATA="$PWD/data"

# ---- configs: exit 2, nothing touched
printf 'run: {epochs: 1}\nnet:\n  stages:\n    - liner: {units: 3}\n' >typo.yaml
wants 2 "typo.yaml:4:" "$hff" train typo.yaml
printf 'run: {epoch: 1}\nnet: {stages: [linear: {units: 3}]}\n' >key.yaml
wants 2 "epochs" "$hff" train key.yaml
wants 2 "run.epochs" "$hff" train tiny.yaml --set run.epochs=-1
wants 2 "run.batch" "$hff" train tiny.yaml --set run.batch=many
wants 2 "run.dtype is bf16, in which the ref backend" "$hff" train tiny.yaml --set run.dtype=bf16 --set run.backend=ref
wants 2 "slices" "$hff" train tiny.yaml --set run.slices=7
wants 2 "run.micro_batch is 7 and does not divide run.batch 40" "$hff" train tiny.yaml --set run.micro_batch=7
wants 2 "does not divide run.batch" "$hff" train tiny.yaml --set run.micro_batch=80
wants 2 "run.slices is 4 and does not divide run.micro_batch 10" "$hff" train tiny.yaml --set run.micro_batch=10
wants 2 "run.micro_batch" "$hff" train tiny.yaml --set run.micro_batch=-1
wants 2 "engine.recompute" "$hff" train tiny.yaml --set engine.recompute=1
wants 2 "did you mean \"auto\"" "$hff" train tiny.yaml --set engine.recompute=aut
wants 2 "holdout" "$hff" train tiny.yaml --set data.holdout=0 --set predict.rule=weighted
wants 2 "smoothing" "$hff" train tiny.yaml --set objective.smoothing=0.1 --set objective.loss=pairwise
wants 2 "batch" "$hff" train tiny.yaml --set run.batch=4000
wants 2 "twice" sh -c 'printf "run: {seed: 1, seed: 2}\nnet: {stages: [linear: {units: 3}]}\n" >dup.yaml; exec "$0" train dup.yaml' "$hff"
wants 2 "odd" "$hff" train tiny.yaml --set 'net.stages=[{conv: {channels: 4, kernel: 2}}]'
wants 2 "stage" "$hff" train tiny.yaml --set 'predict.from=7'
wants 2 "nowhere.yaml" "$hff" train nowhere.yaml
ff() { "$hff" train tiny.yaml --set objective.kind=ff "$@"; }
wants 2 "batch norm" ff --set 'net.stages=[{linear: {units: 9, norm: batch}}]'
wants 2 "batch norm" ff --set 'net.stages=[conv: {channels: 4}]'
wants 2 "net.between l2: otherwise" ff --set net.between=none
wants 2 "mixup makes two" ff --set 'data.augment=[mixup: {alpha: 0.2}]'
wants 2 "use the same one in all stages" ff --set 'net.stages=[{linear: {units: 9}}, {linear: {units: 9}, objective: {kind: hff}}]'
wants 2 "use the same one in all stages" ff --set 'net.stages=[{linear: {units: 9}}, {linear: {units: 9}, objective: {ff: {negatives: hard}}}]'
wants 2 "objective.ff.theta" ff --set objective.ff.theta=many
[ ! -e runs ] || { echo "a wrong config touched something"; bad=1; }

# ---- data: exit 1
mkdir -p data/mnist
idx() { # images labels count classes: writes small IDX files
    python3 - "$@" <<'PY'
import struct, sys
images, labels, count, bad = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
n = count + 1 if bad == 'count' else count
open(images, 'wb').write(struct.pack('>IIII', 0x803, n, 8, 8) + bytes(n * 64 - (10 if bad == 'short' else 0)))
open(labels, 'wb').write(struct.pack('>II', 0x801, count) + bytes([i % 5 for i in range(count)]))
PY
}
wants 1 "train-images" "$hff" train tiny.yaml --set data.source=idx
idx data/mnist/t10k-images-idx3-ubyte data/mnist/t10k-labels-idx1-ubyte 50 ok
idx data/mnist/train-images-idx3-ubyte data/mnist/train-labels-idx1-ubyte 100 short
wants 1 "train-images-idx3-ubyte" "$hff" train tiny.yaml --set data.source=idx
idx data/mnist/train-images-idx3-ubyte data/mnist/train-labels-idx1-ubyte 100 count
wants 1 "train-" "$hff" train tiny.yaml --set data.source=idx
idx data/mnist/train-images-idx3-ubyte data/mnist/train-labels-idx1-ubyte 100 ok
expect "good IDX files are taken" "$hff" train tiny.yaml --set data.source=idx --set data.limit.train=90 --set data.holdout=0 --out good --quiet
wants 1 "cifar" "$hff" train tiny.yaml --set data.source=cifar10
mkdir -p data/cifar-10-batches-bin
for i in 1 2 3 4 5; do head -c 30730 /dev/zero >data/cifar-10-batches-bin/data_batch_$i.bin; done
head -c 30000 /dev/zero >data/cifar-10-batches-bin/test_batch.bin
wants 1 "test_batch.bin" "$hff" train tiny.yaml --set data.source=cifar10
head -c 30730 /dev/zero | tr '\0' '\13' >data/cifar-10-batches-bin/test_batch.bin
wants 1 "label" "$hff" train tiny.yaml --set data.source=cifar10
[ ! -e runs ] || { echo "wrong data touched something"; ls -R runs; bad=1; }

# ---- run folders
expect "first run" "$hff" train tiny.yaml --quiet
wants 2 "--resume" "$hff" train tiny.yaml
wants 2 "no run to resume" "$hff" train tiny.yaml --resume --name other
wants 2 "objective.scale" "$hff" train tiny.yaml --resume --set objective.scale=20
expect "--force moves the old one aside" "$hff" train tiny.yaml --quiet --force
[ -d runs/tiny.1 ] || { echo "--force kept nothing"; bad=1; }
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod 555 locked
    wants 1 "locked" "$hff" train tiny.yaml --out locked
    chmod 755 locked
elif [ -d /proc/self ]; then # root may write everywhere else
    wants 1 "/proc/nothing" "$hff" train tiny.yaml --out /proc/nothing
else
    echo "(root, and no /proc here: a folder that may not be written not tried)"
fi
: >a_file
wants 1 "a_file" "$hff" train tiny.yaml --out a_file/below
# two runs at once: the second is told who is there
"$hff" train tiny.yaml --name busy --set run.epochs=100000 --quiet --set run.checkpoint_every=0 2>/dev/null &
first=$!
for i in $(seq 100); do [ -s runs/busy/log.jsonl ] && break; sleep 0.05; done
wants 2 "busy" "$hff" train tiny.yaml --name busy --set run.epochs=100000 --resume
kill -TERM $first
wait $first
[ $? = 143 ] || { echo "SIGTERM did not give 143"; bad=1; }
[ -d "$(ls -d runs/busy/checkpoints/step-* | tail -1)" ] || { echo "SIGTERM saved nothing"; bad=1; }

# ---- models
wants 1 "no such" "$hff" eval nothing
head -c 100 /dev/urandom >junk.safetensors
wants 1 "junk.safetensors" "$hff" eval junk.safetensors
printf '\377\377\377\377\377\377\377\177{}' >hostile.safetensors
wants 1 "hostile.safetensors" "$hff" eval hostile.safetensors
head -c 1000 runs/tiny/model.safetensors >cut.safetensors
wants 1 "cut.safetensors" "$hff" eval cut.safetensors
cp -r runs/tiny runs/shape
newest=$(ls -d runs/shape/checkpoints/step-* | sort -V | tail -1)
expect "another net" "$hff" train tiny.yaml --name wide --quiet --set 'net.stages[0].linear.units=25'
cp runs/wide/model.safetensors "$newest/model.safetensors"
wants 1 "another net" "$hff" train tiny.yaml --name shape --resume --set run.epochs=3
wants 2 "hold-out" "$hff" eval good/tiny --rule weighted
wants 2 "choose one" "$hff" train tiny.yaml --name warm --resume --init-from runs/tiny
wants 1 "no such" "$hff" train tiny.yaml --name tiny --force --init-from nope
[ -e runs/tiny/model.safetensors ] || { echo "a missing --init-from moved a run aside"; bad=1; }
wants 2 "no name" "$hff" train tiny.yaml --name ""
python3 - runs/tiny/model.safetensors damaged.safetensors <<'PY'
import sys
raw = open(sys.argv[1], 'rb').read()
changed = raw.replace(b'\\"mean\\"', b'\\"moan\\"')
assert changed != raw
open(sys.argv[2], 'wb').write(changed)
PY
wants 1 "normalisation" "$hff" eval damaged.safetensors
wants 2 "stands at step 18" "$hff" train tiny.yaml --resume --set run.epochs=1
wants 1 "none of its tensors" "$hff" train tiny.yaml --name other --init-from runs/tiny --set 'net.stages=[{linear: {units: 7}}]'
expect "a run that stops early" "$hff" train tiny.yaml --name early --quiet --set run.epochs=20 --set run.until.accuracy=0.05
cp runs/early/model.safetensors early.safetensors
expect "and is resumed" "$hff" train tiny.yaml --name early --quiet --set run.epochs=20 --set run.until.accuracy=0.05 --resume
cmp early.safetensors runs/early/model.safetensors || { echo "a run that stopped early went on when it was resumed"; bad=1; }
expect "init from a run folder" "$hff" train tiny.yaml --name warm2 --init-from runs/tiny --quiet
expect "init from a model" "$hff" train tiny.yaml --name warm --init-from runs/tiny/model.safetensors --quiet

# ---- a full disk
if mkdir small 2>/dev/null && mount -t tmpfs -o size=200k none small 2>/dev/null; then
    wants 1 "No space left" "$hff" train tiny.yaml --out small --set 'net.stages[0].linear.units=400'
    ls small/tiny/checkpoints/step-* >/dev/null 2>&1 && { echo "a full disk left a checkpoint that claims to be complete"; bad=1; }
    ls small/tiny/*.tmp* small/tiny/checkpoints/tmp* 2>/dev/null && { echo "a full disk left temporary files"; bad=1; }
    umount -n small # -n: also where there is no /proc
else
    echo "(no tmpfs here: full disk not tried)"
fi
# ---- numbers that go wrong
wants 1 "stage 1 (linear 24), step 1: op linear" "$hff" train tiny.yaml --name nan --set 'data.normalize=[0, 1e-39]'
wants 1 "stage 1 (linear 24), step 1: op linear" "$hff" train tiny.yaml --name nan --force --set 'data.normalize=[0, 1e-39]' --set run.micro_batch=8
wants 1 "linear 24), step 1: op linear" "$hff" train tiny.yaml --name nan --force --set 'data.normalize=[0, 1e-39]' --set run.micro_batch=8 --set net.partition=whole --set engine.recompute=2
[ ! -e runs/nan/model.safetensors ] || { echo "a run that went wrong left a model"; bad=1; }
cd .. && rm -rf e
exit $bad
