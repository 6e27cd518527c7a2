# FF as a person uses it: train, evaluate in every way, and hff bench infer.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf f && mkdir f && cd f || exit 1
tiny >tiny.yaml
cat >ff.yaml <<'YAML'
include: tiny.yaml
run: {epochs: 3}
objective: {kind: ff, ff: {negatives: hard, hard_after: 1, predict: readout}}
YAML
for file in tiny ff; do "$hff" train $file.yaml --quiet >/dev/null || { echo "$file: training failed"; bad=1; }; done
"$hff" train ff.yaml --name planes --quiet --set objective.ff.overlay=planes --set objective.ff.predict=batched \
    --set 'net.stages=[{conv: {channels: 8, norm: none, pool: {max: 2}}}, {conv: {channels: 8, norm: none}}]' >/dev/null || { echo "planes: training failed"; bad=1; }
for predict in original batched readout; do
    "$hff" eval runs/ff --json --set objective.ff.predict=$predict >$predict.json || { echo "eval $predict failed"; bad=1; }
done
for rule in last sum weighted best; do expect "rule $rule" "$hff" eval runs/ff --rule $rule; done
expect "a model of convolutions" "$hff" eval runs/planes --scores scores.safetensors
expect "its memory is planned" "$hff" info runs/planes --program

"$hff" bench infer tiny.yaml --classes 3,10 --batch 4,8 --runs 2 --json >points.json || { echo "bench infer failed"; bad=1; }
"$hff" bench infer tiny.yaml --classes 3 --batch 4 --runs 2 --json >point.json || bad=1
"$hff" bench infer runs/tiny runs/ff runs/planes/model.safetensors --runs 2 --figure bars.png --json >models.json || { echo "bench infer of models failed"; bad=1; }
[ -s bars.png ] || { echo "no figure"; bad=1; }
expect "as a table" sh -c '"$0" bench infer tiny.yaml --classes 3 --batch 1 --runs 1 | grep -q "With 3 classes"' "$hff"
python3 - <<'PY' || bad=1
import json
read = lambda name: json.load(open(name))
train = [json.loads(line) for line in open('runs/ff/log.jsonl')]
stage = [line for line in train if line['kind'] == 'train'][0]['stages'][0]
for key in ('goodness_positive', 'goodness_negative', 'loss', 'accuracy'):
    assert key in stage, key
assert stage['seconds']['preview'] > 0 and 'cosine_own' not in stage
original, batched, readout = (read(name + '.json') for name in ('original', 'batched', 'readout'))
assert abs(original['accuracy'] - batched['accuracy']) <= 0.01, 'batched predicts otherwise'
assert original['loss'] != readout['loss']
assert read('runs/ff/result.json')['test']['accuracy'] == readout['accuracy']
points = read('points.json')
assert [(p['classes'], p['batch']) for p in points] == [(3, 4), (3, 8), (10, 4), (10, 8)]
point = read('point.json')
assert set(point) >= {'config', 'backend', 'device', 'classes', 'batch', 'rows', 'ratio_original', 'ratio_best'}
assert [row['method'] for row in point['rows']] == ['hff', 'ff_original', 'ff_best']
for row in point['rows']:
    assert row['runs'] >= 2 and row['images_per_s'] > 0 and row['min_ms'] <= row['p50_ms'] <= row['p99_ms'] <= row['max_ms'], row
flops = {row['method']: row['flops_per_image'] for row in point['rows']}
assert 2.5 < flops['ff_original'] / flops['hff'] <= 3, flops  # a body for each class; heads count on the other side
assert flops['ff_best'] < flops['ff_original']
models = read('models.json')['models']
assert [m['objective'] for m in models] == ['hff', 'ff', 'ff'] and models[0]['ratio'] == 1
assert abs(models[1]['accuracy'] - readout['accuracy']) < 1e-12
PY
wants 2 "--classes takes numbers" "$hff" bench infer tiny.yaml --classes 3,
wants 2 "--batch takes numbers" "$hff" bench infer tiny.yaml --batch none
wants 2 "one config, or runs" "$hff" bench infer tiny.yaml runs/tiny
wants 2 "takes one config" "$hff" bench train tiny.yaml tiny.yaml
wants 1 "nowhere" "$hff" bench infer nowhere
cd .. && rm -rf f
exit $bad
