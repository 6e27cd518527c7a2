# What changes around a run: its data between start and resume or while it runs, files that killed runs left, the hold-out it is asked about.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf c && mkdir c && cd c || exit 1
export HFF_DATA="$PWD/data"
mkdir -p data/mnist
images() { # FILE COUNT SEED: noise of 8 x 8, with labels 0 to 4 beside it
    python3 - "$@" <<'PY'
import random, struct, sys
name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
open(f'data/mnist/{name}-images-idx3-ubyte', 'wb').write(struct.pack('>IIII', 0x803, count, 8, 8) + random.Random(seed).randbytes(count * 64))
open(f'data/mnist/{name}-labels-idx1-ubyte', 'wb').write(struct.pack('>II', 0x801, count) + bytes(i % 5 for i in range(count)))
PY
}
cat >idx.yaml <<'YAML'
run: {epochs: 1, batch: 20}
data: {source: idx, holdout: 0.1}
net: {stages: [{linear: {units: 20}}]}
YAML
images train 400 1
images t10k 100 2

# ---- other data at a resume: refused, whatever its size and time; the same data packed otherwise is the same
more="--resume --set run.epochs=2 --quiet"
expect "a run" "$hff" train idx.yaml --quiet
cp -r runs/idx runs/twin
expect "twice as long" "$hff" train idx.yaml --name twin $more
cp -r data data.old
train=data/mnist/train-images-idx3-ubyte
printf '\377' | dd of=$train bs=1 seek=5000 conv=notrunc status=none
touch -r data.old/mnist/train-images-idx3-ubyte $train
wants 1 "train images with checksum" "$hff" train idx.yaml $more
wants 1 "--init-from" "$hff" train idx.yaml $more
images train 380 1
wants 1 "360 train images" "$hff" train idx.yaml $more
rm -r data && cp -r data.old data
printf '\4' | dd of=data/mnist/t10k-labels-idx1-ubyte bs=1 seek=20 conv=notrunc status=none
wants 1 "100 test images" "$hff" train idx.yaml $more
rm -r data && cp -r data.old data
gzip $train
expect "the same data, packed" "$hff" train idx.yaml $more
cmp runs/idx/checkpoints/step-36/optimizer.safetensors runs/twin/checkpoints/step-36/optimizer.safetensors || { echo "a resume with packed data differs"; bad=1; }
expect "deliberately from changed data" sh -c 'cp -r data data.kept; printf "\4" | dd of=data/mnist/t10k-labels-idx1-ubyte bs=1 seek=20 conv=notrunc status=none
    "$0" train idx.yaml --quiet --name other --init-from runs/idx; rm -r data; mv data.kept data' "$hff"

# ---- data that shrinks and goes while a run has it: it was read at the start
"$hff" train idx.yaml --name busy --quiet --set run.epochs=1000000 --set run.checkpoint_every=0 2>said.txt &
pid=$!
for i in $(seq 200); do [ -s runs/busy/log.jsonl ] && break; sleep 0.05; done
gunzip $train.gz
: >$train
lines=$(grep -c . runs/busy/log.jsonl)
for i in $(seq 200); do [ "$(grep -c . runs/busy/log.jsonl)" -gt $((lines + 2)) ] && break; sleep 0.05; done
rm -r data
kill -TERM $pid
wait $pid
[ $? = 143 ] || { echo "a run whose data went: $(cat said.txt)"; bad=1; }
wants 1 "no such folder" "$hff" train idx.yaml --name busy --set run.epochs=1000000 --resume
mv data.old data
"$hff" train idx.yaml --name busy --quiet --set run.epochs=1000000 --set run.time_limit=0.1 --resume 2>said.txt
[ $? = 130 ] || { echo "data is back, and yet: $(cat said.txt)"; bad=1; }

# ---- the hold-out that a model is asked about must be the one it had
expect "the hold-out" "$hff" eval runs/idx --split val
for set in run.seed=2 data.holdout=0.2 data.limit.train=300; do wants 2 "may have learnt" "$hff" eval runs/idx --split val --set $set; done
images train 400 3
wants 2 "may have learnt" "$hff" eval runs/idx --split val
images train 400 1
expect "no hold-out" "$hff" train idx.yaml --quiet --name all --set data.holdout=0
wants 2 "the val split is empty" "$hff" eval runs/all --split val
wants 2 "learnt from every" "$hff" eval runs/all --split val --set data.holdout=0.1

# ---- temporary files of killed writers go at the next start, those of running ones and strangers stay
sh -c 'exit 0' &
gone=$!
wait $gone
mkdir -p runs/left/figures
for folder in runs/left runs/left/figures runs/idx; do : >$folder/model.safetensors.tmp.$gone; done
: >runs/left/scores.tmp.$$
: >runs/left/notes.tmp.txt
: >runs/left/.tmp.$gone
expect "a start among leftovers" "$hff" train idx.yaml --quiet --name left
expect "a resume among leftovers" "$hff" train idx.yaml --resume --quiet --set run.epochs=2
left=$(find runs/left runs/idx -name '*.tmp.*' | sort | tr '\n' ' ')
[ "$left" = "runs/left/.tmp.$gone runs/left/notes.tmp.txt runs/left/scores.tmp.$$ " ] || { echo "leftovers: $left"; bad=1; }
# a start that was killed before its config.yaml is no run: the next one takes the folder
mkdir -p runs/dead/checkpoints/step-0
: >runs/dead/log.jsonl
wants 2 "no run to resume" "$hff" train idx.yaml --name dead --resume
expect "a start after a start that died" "$hff" train idx.yaml --quiet --name dead
[ ! -e runs/dead/checkpoints/step-0 ] || { echo "a dead start's checkpoint stays"; bad=1; }
mkdir -p runs/lost && mv runs/dead/checkpoints runs/lost
wants 2 "holds a run" "$hff" train idx.yaml --name lost
cd .. && rm -rf c
exit $bad
