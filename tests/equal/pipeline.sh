# Lanes change no file: model, optimizer, checkpoints and log of a run in lanes are the serial one's, also when it is stopped, killed
# and resumed with other lanes; the timeline shows stages at work on different steps at the same time.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf p && mkdir p && cd p || exit 1
cat >cnn.yaml <<'YAML'
run: {epochs: 3, batch: 32, log_every: 5, checkpoint_every: 0.3, keep: 100, threads: 2}
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
    - linear: {units: 20}
objective: {learn_scale: true, prototypes: {per_class: 2}, head: {aux: 16}}
predict: {rule: weighted}
YAML
cat >mlp.yaml <<'YAML'
run: {epochs: 2, batch: 40, log_every: 7, checkpoint_every: 0.5, keep: 100, threads: 3}
data: {source: digits, digits: {train: 600, test: 100}}
net: {stages: [{linear: {units: 40}, repeat: 3}]}
YAML
cat >ff.yaml <<'YAML'
run: {epochs: 2, batch: 40, log_every: 7, checkpoint_every: 0.5, keep: 100, threads: 2}
data: {source: digits, digits: {train: 600, test: 100}}
net: {stages: [{linear: {units: 40}, repeat: 3}]}
objective: {kind: ff, ff: {negatives: uniform}}
YAML
cat >log.py <<'PY'
import json, sys
def lines(name):
    for text in open(f'runs/{name}/log.jsonl'):
        line = json.loads(text)
        for key in ('time', 'images_per_s', 'data_wait'): line.pop(key, None)
        for stage in line.get('stages', []): stage.pop('seconds', None)
        yield line
a, b = list(lines(sys.argv[1])), list(lines(sys.argv[2]))
assert len(a) > 5 and a == b, next((x, y) for x, y in zip(a + [None], b + [None]) if x != y)
PY
same() { # NAME NAME WHAT
    cmp "runs/$1/model.safetensors" "runs/$2/model.safetensors" || { echo "$3: another model"; bad=1; }
    [ "$(ls "runs/$1/checkpoints")" = "$(ls "runs/$2/checkpoints")" ] || { echo "$3: other checkpoints"; bad=1; }
    for at in "runs/$1/checkpoints"/*; do
        for file in model optimizer; do
            cmp "$at/$file.safetensors" "runs/$2/checkpoints/$(basename "$at")/$file.safetensors" || { echo "$3: another $file"; bad=1; }
        done
    done
    python3 log.py "$1" "$2" || { echo "$3: another log"; bad=1; }
}
for net in cnn mlp ff; do
    "$hff" train $net.yaml --quiet --name $net || bad=1
    for lanes in 2 3; do
        "$hff" train $net.yaml --quiet --name $net-$lanes --set engine.pipeline=$lanes --set run.threads=$lanes || bad=1
        same $net $net-$lanes "$net, $lanes lanes"
    done
done
for lanes in none 3; do
    "$hff" train cnn.yaml --quiet --name device-$lanes --set engine.images=device --set engine.pipeline=$lanes || bad=1
    same cnn device-$lanes "images on the device, $lanes lanes"
done
expect "a plan in lanes" "$hff" train cnn.yaml --dry-run --set engine.pipeline=4

# stopped in the middle, and on with other lanes, or none
stops() { # NAME FIRST THEN
    "$hff" train cnn.yaml --quiet --name "$1" --set engine.pipeline="$2" --set run.time_limit=0.15 2>/dev/null
    got=$?
    [ $got = 130 ] || [ $got = 0 ] || { echo "$1: exit $got"; bad=1; }
    rm -rf "runs/$1/checkpoints/tmp-*"
    "$hff" train cnn.yaml --quiet --name "$1" --resume --set engine.pipeline="$3" --set run.threads=1 || bad=1
    cmp runs/cnn/model.safetensors "runs/$1/model.safetensors" || { echo "stopped with $2, resumed with $3: another model"; bad=1; }
}
stops a 3 3
stops b 3 none
stops c none 2
stops d 4 auto
"$hff" train cnn.yaml --name killed --quiet --set engine.pipeline=3 2>/dev/null &
for i in 1 2 3; do
    pid=$!
    sleep "0.$((RANDOM % 6 + 2))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ -e runs/killed/config.yaml ]; then more=--resume; else more=; rm -rf runs/killed; fi
    "$hff" train cnn.yaml --name killed --quiet $more --set engine.pipeline=$((i + 1)) 2>/dev/null &
done
wait $! || { echo "the last resume failed"; bad=1; }
cmp runs/cnn/model.safetensors runs/killed/model.safetensors || { echo "killed and resumed: another model"; bad=1; }

# the timeline: a step's span on every lane's track, and spans of different steps that overlap
"$hff" train cnn.yaml --quiet --name traced --set engine.pipeline=3 --trace t.json || bad=1
cmp runs/cnn/model.safetensors runs/traced/model.safetensors || { echo "a timeline changes the model"; bad=1; }
python3 - <<'PY' || bad=1
import json
doc = json.load(open('t.json'))
names = {(e['pid'], e['tid']): e['args']['name'] for e in doc['traceEvents'] if e['name'] == 'thread_name'}
spans = [(names[e['pid'], e['tid']], e) for e in doc['traceEvents'] if e['ph'] == 'X']
lanes = sorted({track for track, _ in spans if track.startswith('lane ')})
assert len(lanes) == 3, lanes
steps = {lane: [e for track, e in spans if track == lane and e['name'] == 'step'] for lane in lanes}
for lane in lanes:
    assert [e['args']['step'] for e in sorted(steps[lane], key=lambda e: e['ts'])] == list(range(1, 67)), lane
last = {}
for lane in lanes: # a lane does not begin a step before the one in front has done it
    for e in steps[lane]:
        step = e['args']['step']
        assert e['ts'] >= last.get(step, 0) - 1e-3, (lane, step)
        last[step] = e['ts'] + e['dur']
side_by_side = sum(a['ts'] < b['ts'] + b['dur'] and b['ts'] < a['ts'] + a['dur']
                   for a in steps[lanes[0]] for b in steps[lanes[2]] + steps[lanes[1]])
assert side_by_side > 0
for stage in range(1, 5):
    for section in ('forward', 'head', 'backward', 'update'):
        done = [e['args']['step'] for track, e in spans if track.startswith(f'stage {stage} ') and e['name'] == section]
        assert sorted(done) == list(range(1, 67)), (stage, section)
PY

# what cannot be
wants 2 "the net has 4 stages" "$hff" train cnn.yaml --name no --set engine.pipeline=5
wants 2 "engine.pipeline" "$hff" train cnn.yaml --name no --set engine.pipeline=0
sed 's/uniform}/hard}/' ff.yaml >hard.yaml && printf 'engine:\n  pipeline: 2\n' >>hard.yaml
wants 2 "hard.yaml:6:13: engine.pipeline is 2, but with objective ff as configured the first stage learns from what the last one says" "$hff" train hard.yaml --name no
[ ! -e runs/no ] || { echo "a refused run left a folder"; bad=1; }
expect "hard negatives with auto" "$hff" train hard.yaml --name hard --quiet --set engine.pipeline=auto
wants 1 "stage 1 (conv 3x3, 16), step 1" "$hff" train cnn.yaml --name nan --set engine.pipeline=3 --set 'data.normalize=[0, 1e-39]'
[ ! -e runs/nan/checkpoints ] || [ -z "$(ls runs/nan/checkpoints)" ] || { echo "numbers gone wrong were saved"; bad=1; }
cd .. && rm -rf p
exit $bad
