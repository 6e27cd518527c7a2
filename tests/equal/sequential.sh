# Schedule sequential: resumed from any of its checkpoints = never stopped, with and without the cache; and what is shown of stages that have
# not learnt yet.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf sq && mkdir sq && cd sq || exit 1
cat >mlp.yaml <<'YAML'
run: {epochs: 1.5, batch: 32, log_every: 5, checkpoint_every: 1, keep: 1000, threads: 2}
data: {source: digits, digits: {train: 800, test: 200}, holdout: 0.1}
net:
  stages:
    - linear: {units: 60, norm: batch}
    - linear: {units: 50}
    - linear: {units: 40}
engine: {schedule: sequential}
objective: {learn_scale: true}
optimizer: {lr: 0.003}
predict: {rule: weighted}
YAML
train() { "$hff" train mlp.yaml --quiet "$@"; }
same() { # A B WHAT
    cmp "$1/model.safetensors" "$2/model.safetensors" || { echo "$3: another model"; bad=1; }
    cmp "$1/checkpoints/step-99/optimizer.safetensors" "$2/checkpoints/step-99/optimizer.safetensors" || { echo "$3: another optimizer"; bad=1; }
    [ "$(grep -c . "$1/log.jsonl")" = "$(grep -c . "$2/log.jsonl")" ] || { echo "$3: log lines lost or doubled"; bad=1; }
}
until_step() { # STEP NAME: as a run that was killed after that step's checkpoint leaves its folder
    [ -d "runs/$2/checkpoints/step-$1" ] || { echo "$2 has no checkpoint of step $1"; bad=1; }
    rm -rf runs/again && cp -r "runs/$2" runs/again && rm -f runs/again/model.safetensors runs/again/result.json
    for at in runs/again/checkpoints/step-*; do [ "${at##*-}" -le "$1" ] || rm -r "$at"; done
}

# 22 steps an epoch, so that stages end in the middle of one: after steps 33, 66 and 99
train --name whole --set run.checkpoint_every=0.2 || exit 1
train --name kept --set engine.cache=memory || bad=1
same runs/whole runs/kept "the cache"
train --name threads --set run.threads=3 --set data.workers=4 --set engine.cache=memory || bad=1
same runs/whole runs/threads "3 threads, 4 loader threads, the cache"
for step in 4 32 36 64 96; do
    until_step $step whole
    cache=memory
    [ $((step % 8)) = 0 ] && cache=none
    train --name again --resume --set engine.cache=$cache --set run.threads=1 || bad=1
    same runs/whole runs/again "from step $step"
    cmp runs/whole/checkpoints/step-88/model.safetensors runs/again/checkpoints/step-88/model.safetensors || { echo "from step $step: another checkpoint"; bad=1; }
done
train --name ends --set run.checkpoint_every=1.5 || bad=1 # at the ends of stages
for step in 33 66; do
    until_step $step ends
    train --name again --resume || bad=1
    same runs/whole runs/again "from the end of a stage, step $step"
done
# stopped by a signal, killed, out of time
"$hff" train mlp.yaml --name term --quiet 2>/dev/null &
pid=$!
for i in $(seq 100); do [ -d runs/term/checkpoints/step-22 ] && break; sleep 0.02; done
kill -TERM $pid
wait $pid
got=$?
[ $got = 143 ] || [ $got = 0 ] || { echo "SIGTERM: exit $got"; bad=1; }
train --name term --resume || bad=1
same runs/whole runs/term "SIGTERM"
"$hff" train mlp.yaml --name killed --quiet --set engine.cache=memory 2>/dev/null &
pid=$!
for i in $(seq 100); do [ -d runs/killed/checkpoints/step-44 ] && break; sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
for i in 1 2 3; do
    train --name killed --resume --set engine.cache=memory --set run.time_limit=0.02 2>/dev/null
    got=$?
    [ $got = 130 ] || [ $got = 0 ] || { echo "time limit: exit $got"; bad=1; }
done
train --name killed --resume || bad=1
same runs/whole runs/killed "kill -9 and time limits"

# ff: frozen stages take both rows of a sample, hard negatives look at the stages so far
cat >ff.yaml <<'YAML'
run: {epochs: 1, batch: 32, log_every: 5, checkpoint_every: 0.4, keep: 1000, threads: 2}
data: {source: digits, digits: {train: 800, test: 100}, augment: [shift: {max: 1}]}
net: {stages: [{linear: {units: 60}, repeat: 3}]}
engine: {schedule: sequential}
objective: {kind: ff, ff: {negatives: hard, hard_after: 0.5}}
YAML
"$hff" train ff.yaml --name ff --quiet || bad=1
for step in 10 40 60; do
    until_step $step ff
    "$hff" train ff.yaml --name again --resume --quiet --set run.threads=3 || bad=1
    cmp runs/ff/model.safetensors runs/again/model.safetensors || { echo "ff from step $step: another model"; bad=1; }
done

# a net of one stage: its turn is the run
one='net.stages=[{linear: {units: 30, norm: batch}}]'
train --name alone --set "$one" || bad=1
train --name joint --set "$one" --set engine.schedule=joint || bad=1
cmp runs/alone/checkpoints/step-33/optimizer.safetensors runs/joint/checkpoints/step-33/optimizer.safetensors || { echo "a net of one stage: another result"; bad=1; }

# what is shown: the stages so far
python3 - <<'PY' || bad=1
import json
lines = [json.loads(l) for l in open('runs/whole/log.jsonl')]
assert all(l['step'] <= 99 for l in lines) and lines[-1]['kind'] == 'eval'
turn = lambda step: (step - 1) // 33
for l in lines:
    stages = l['stages']
    assert len(stages) == turn(l['step']) + 1, l
    if l['kind'] == 'train':
        assert all(s is None for s in stages[:-1]) and stages[-1]['loss'] > 0, l
        assert l['lr'] == stages[-1]['lr'] and ('frozen' in stages[-1]['seconds']) == (len(stages) > 1), l
    else:
        assert all(s['accuracy'] > 0.15 for s in stages), l
        assert l['fused']['accuracy'] >= max(s['accuracy'] for s in stages) - 0.1, l
for t in range(3):  # each stage's rate rises and falls in its turn
    rates = [l['lr'] for l in lines if l['kind'] == 'train' and turn(l['step']) == t]
    assert rates[-1] < 0.05 * max(rates) and max(rates) > 0.0025, rates
epochs = [l['step'] for l in lines if l['kind'] == 'epoch']
assert epochs == [22, 33, 44, 66, 88, 99], epochs
first = [l['stages'][0]['accuracy'] for l in lines if l['kind'] == 'epoch' and l['step'] >= 33]
assert len(set(first)) == 1 and len(first) == 5, first  # a trained stage keeps its figures
PY
# a model from the middle predicts with the stages so far, whatever the rule
for step in 32 40; do
    "$hff" eval runs/whole/checkpoints/step-$step/model.safetensors --json >mid.json || bad=1
    python3 - $step <<'PY' || bad=1
import json, sys
e, n = json.load(open('mid.json')), (int(sys.argv[1]) - 1) // 33 + 1
assert len(e['stages']) == n and e['rules']['last'] == e['stages'][n - 1]['accuracy'], e
if n == 1: assert all(abs(a - e['stages'][0]['accuracy']) < 1e-9 for a in e['rules'].values()), e
PY
done
"$hff" info runs/whole/checkpoints/step-32/model.safetensors | grep -q "1 of 3 stages have learnt" || { echo "info does not say which stages have learnt"; bad=1; }
"$hff" info runs/whole/model.safetensors | grep -q "have learnt" && { echo "info doubts a whole model"; bad=1; }
wants 1 "of its stages have learnt" "$hff" eval runs/whole/checkpoints/step-40/model.safetensors --set "$one"
# the best model may be one of fewer stages; a run may be content with these
train --name best --set run.final=best --set optimizer.lr=0.02 || bad=1
content="--set run.until.accuracy=0.2 --set predict.from=3 --set predict.rule=sum"
train --name until $content || bad=1
python3 - <<'PY' || bad=1
import json
best, until = (json.load(open(f'runs/{n}/result.json')) for n in ('best', 'until'))
n = (best['model_step'] - 1) // 33 + 1
assert len(best['test']['stages']) == len(best['val']['stages']) == n, best
n = (until['steps'] - 1) // 33 + 1
assert until['steps'] < 99 and len(until['test']['stages']) == n and until['val']['accuracy'] >= 0.2, until
PY
cp runs/until/model.safetensors until.safetensors
train --name until $content --resume || bad=1
cmp until.safetensors runs/until/model.safetensors || { echo "a run that was content went on"; bad=1; }
expect "a start from a model of some stages" train --name warm --init-from runs/until

# what cannot be
wants 2 "says when a stage's turn ends" train --name whole --resume --set run.epochs=2
wants 2 "engine.schedule differs" train --name whole --resume --set engine.schedule=joint
wants 2 "with engine.schedule joint none is" train --name no --set engine.schedule=joint --set engine.cache=memory
wants 2 "another image in every epoch" train --name no --set engine.cache=memory --set 'data.augment=[shift: {max: 1}]'
wants 2 "another drawing" "$hff" train ff.yaml --name no --set engine.cache=memory --set 'data.augment=[]'
wants 2 "engine.schedule" train --name no --set engine.schedule=later
wants 2 "engine.schedule joint" "$hff" bench train mlp.yaml
[ ! -e runs/no ] || { echo "a wrong config touched something"; bad=1; }
"$hff" train mlp.yaml --dry-run --set engine.cache=memory >plan.txt || bad=1
grep -q "  cache " plan.txt && grep -q "epochs of each stage" plan.txt || { echo "the plan does not tell"; cat plan.txt; bad=1; }
cd .. && rm -rf sq
exit $bad
