# Stopped and resumed = never stopped, byte for byte: kill -9 at random moments, SIGTERM, a time limit, other threads and loader threads.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf r && mkdir r && cd r || exit 1
cat >cnn.yaml <<'YAML'
run: {epochs: 3, batch: 32, log_every: 3, checkpoint_every: 0.1, threads: 2}
data:
  source: digits
  digits: {train: 800, test: 100}
  holdout: 0.1
  augment: [shift: {max: 2}, cutout: {size: 5}, mixup: {alpha: 0.3}]
net:
  stages:
    - conv: {channels: 16, pool: {max: 2}}
    - conv: {channels: 20, pool: {max: 2}}
    - linear: {units: 30}
objective: {learn_scale: true, prototypes: {per_class: 2}, head: {aux: 16}}
predict: {rule: weighted}
YAML
"$hff" train cnn.yaml --name whole --quiet || exit 1
newest() { ls -d runs/whole/checkpoints/step-* | sort -V | tail -1 | xargs basename; }
last=$(newest)

same() { # NAME WHAT
    cmp "runs/whole/model.safetensors" "runs/$1/model.safetensors" || { echo "$2: another model"; bad=1; }
    cmp "runs/whole/checkpoints/$last/optimizer.safetensors" "runs/$1/checkpoints/$last/optimizer.safetensors" || { echo "$2: another optimizer"; bad=1; }
    [ "$(grep -c . "runs/$1/log.jsonl")" = "$(grep -c . runs/whole/log.jsonl)" ] || { echo "$2: log lines lost or doubled"; bad=1; }
}

kills="${HFF_KILLS:-4}"
"$hff" train cnn.yaml --name killed --quiet 2>/dev/null &
for i in $(seq "$kills"); do
    pid=$!
    sleep "0.$((RANDOM % 7 + 2))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -e runs/killed/config.yaml ] || rm -rf runs/killed # killed before it began
    if [ -e runs/killed/config.yaml ]; then more=--resume; else more=; fi
    "$hff" train cnn.yaml --name killed --quiet $more --set run.threads=$((i % 3 + 1)) 2>/dev/null &
done
wait $! || { echo "the last resume failed"; bad=1; }
same killed "kill -9 and resume"

"$hff" train cnn.yaml --name term --quiet 2>/dev/null &
pid=$!
sleep 0.6
kill -TERM $pid
wait $pid
got=$?
[ $got = 143 ] || [ $got = 0 ] || { echo "SIGTERM: exit $got"; bad=1; }
"$hff" train cnn.yaml --name term --quiet --resume || { echo "resume after SIGTERM failed"; bad=1; }
same term "SIGTERM and resume"

for threads in 1 3; do
    for workers in 1 4; do
        "$hff" train cnn.yaml --name t$threads-$workers --quiet --set run.threads=$threads --set data.workers=$workers || bad=1
        same t$threads-$workers "$threads threads, $workers loader threads"
    done
done

# a longer run resumed from a shorter one's end goes on
"$hff" train cnn.yaml --name term --quiet --resume --set run.epochs=4 || { echo "more epochs: failed"; bad=1; }
expect "it went on" test -d runs/term/checkpoints/step-88

# hard negatives: drawn from what the net says, so from everything that a checkpoint holds
cat >ff.yaml <<'YAML'
run: {epochs: 3, batch: 32, log_every: 3, checkpoint_every: 0.1, threads: 2}
data: {source: digits, digits: {train: 800, test: 100}, holdout: 0.1}
net: {stages: [{linear: {units: 60}, repeat: 3}]}
objective: {kind: ff, ff: {negatives: hard, hard_after: 0.5}}
YAML
rm -rf runs && "$hff" train ff.yaml --name whole --quiet || exit 1
last=$(newest)
"$hff" train ff.yaml --name killed --quiet 2>/dev/null &
for i in 1 2 3; do
    pid=$!
    sleep "0.$((RANDOM % 3 + 1))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ -e runs/killed/config.yaml ]; then more=--resume; else more=; rm -rf runs/killed; fi
    "$hff" train ff.yaml --name killed --quiet $more --set run.threads=$((i % 3 + 1)) 2>/dev/null &
done
wait $! || { echo "the last resume of ff failed"; bad=1; }
same killed "ff: kill -9 and resume"
"$hff" train ff.yaml --name t1 --quiet --set run.threads=1 --set data.workers=4 || bad=1
same t1 "ff: 1 thread"
"$hff" train ff.yaml --name even --quiet --set objective.ff.negatives=uniform || bad=1
cmp -s runs/whole/model.safetensors runs/even/model.safetensors && { echo "hard negatives change nothing"; bad=1; }
cd .. && rm -rf r
exit $bad
