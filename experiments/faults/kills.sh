#!/usr/bin/env bash
# kill -9 at random moments of the CIFAR-10 CNN's training, each time resumed; then everything against a run that was never killed.
#     experiments/faults/kills.sh HFF [KILLS] [SECONDS]      HFF_DATA holds cifar-10-batches-bin; works in a new folder under $TMPDIR
# Each kill comes at a random moment of the SECONDS (12) after a start, whatever the program does then: read data, train, write a checkpoint.
set -u
hff=$(realpath "$1") kills="${2:-20}" most="${3:-12}"
config=$(realpath "$(dirname "$0")/../../configs/paper/cifar10_cnn.yaml")
folder=$(mktemp -d)
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
train() { # NAME [OPTION...]
    local name="$1"
    shift
    exec "$hff" train "$config" --name "$name" --quiet --set data.limit.train=12800 --set data.limit.test=500 --set run.epochs=2 \
        --set run.checkpoint_every=0.02 --set run.log_every=7 "$@"
}
newest() { ls -d "runs/$1"/checkpoints/step-* 2>/dev/null | sort -V | tail -1; }

for i in $(seq "$kills"); do
    [ -e runs/killed/config.yaml ] && more=--resume || { more=; rm -rf runs/killed; }
    (train killed $more --set run.threads=$((i % 2 + 1))) 2>>killed.txt &
    pid=$!
    sleep "$(awk -v most="$most" -v seed="$RANDOM" 'BEGIN { srand(seed); printf "%.3f", rand() * most }')"
    kill -9 $pid 2>/dev/null || { echo "it had ended before kill $i: choose fewer kills or less time"; exit 1; }
    wait $pid 2>/dev/null
    at=$(newest killed)
    half=$(find runs/killed -name '*.tmp*' 2>/dev/null | wc -l)
    echo "kill $i: newest checkpoint ${at##*/}, $half files or folders half-written"
done
(train killed --resume) || { echo "the last resume failed"; exit 1; }
(train whole) || exit 1
bad=0
for file in model.safetensors "$(basename "$(dirname "$(newest whole)")")/$(basename "$(newest whole)")"/{model,optimizer}.safetensors; do
    cmp "runs/whole/$file" "runs/killed/$file" && echo "the same bytes: $file" || bad=1
done
lines=$(grep -c . runs/whole/log.jsonl)
[ "$(grep -c . runs/killed/log.jsonl)" = "$lines" ] && echo "the same $lines lines of log" || { echo "log lines lost or doubled"; bad=1; }
[ $bad = 0 ] && echo "OK: $kills kills, nothing lost"
exit $bad
