# hff bench train --methods: one net by several methods, refusals, training to an accuracy.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf b && mkdir b && cd b || exit 1
tiny >tiny.yaml
cat >conv.yaml <<'YAML'
include: tiny.yaml
net: {stages: [{conv: {channels: 20, pool: {max: 2}}}, {conv: {channels: 12}}]}
YAML
all=hff,ff,softmax,cwc,backprop,backprop_hff
less=backprop,backprop_recompute,backprop_micro
"$hff" bench train tiny.yaml --methods $all,hff --runs 2 --json >mlp.json 2>said.txt || { echo "methods fail"; cat said.txt; bad=1; }
"$hff" bench train tiny.yaml --methods ff,hff --runs 1 --json --set objective.ff.negatives=hard --set net.stages='[{linear: {units: 40}}, {linear: {units: 40}}]' >hard.json || bad=1
"$hff" bench train conv.yaml --methods $all --runs 2 --json >conv.json || { echo "methods of convolutions fail"; bad=1; }
"$hff" bench train tiny.yaml --methods backprop,hff --runs 1 --until 0.15 --json --quiet >until.json 2>until.txt || { echo "--until fails"; bad=1; }
"$hff" bench train tiny.yaml --methods hff --runs 1 --until 1 --json --set data.holdout=0 --set run.epochs=1.5 --set predict.rule=last >never.json 2>never.txt || bad=1
printf 'include: conv.yaml\nnet: {stages: [{conv: {channels: 8}, repeat: 9}]}\n' >deep.yaml
"$hff" bench train deep.yaml --methods $less --runs 1 --json --set run.slices=2 >deep.json || { echo "methods with less memory fail"; bad=1; }
"$hff" bench train deep.yaml --methods $less --runs 1 --json --set run.batch=30 --set run.slices=2 >odd.json || bad=1
[ ! -s until.txt ] || { echo "--quiet says $(cat until.txt)"; bad=1; }
[ "$(grep -c "hff: epoch" never.txt)" = 2 ] || { echo "epochs are not told: $(cat never.txt)"; bad=1; }
"$hff" bench train tiny.yaml --runs 2 --json >alone.json || bad=1
"$hff" bench train conv.yaml --methods $all --runs 1 --until 0.99 --set run.epochs=1 >text.txt 2>/dev/null || { echo "no table"; bad=1; }
for words in "time x" "ff  *refused: .*batch norm" "cwc  *refused: .*do not divide its 12 channels" "hff  *99.00 % not reached in 1 epochs" "% in heads"; do
    grep -q "$words" text.txt || { echo "the table lacks '$words'"; bad=1; }
done
[ "$(awk '{ print length }' text.txt | sort -n | tail -1)" -lt 320 ] || { echo "a line too long"; bad=1; }
HFF_CHECK_MEMORY=$([ -n "${HFF_TEST_FLAGS:-}" ] || echo 1) python3 - <<'PY' || bad=1
import json, os
read = lambda name: json.load(open(name))
def checked(document):
    assert set(document) >= {'config', 'backend', 'device', 'batch', 'slices', 'rounds', 'rows'}
    for row in document['rows']:
        if 'refused' in row:
            assert set(row) == {'method', 'refused'}, row
            continue
        ms = row['step_ms']
        assert row['runs'] >= document['rounds'] and 0 < ms['min'] <= ms['median'] <= ms['max'], row
        assert abs(row['images_per_s'] * ms['median'] / 1e3 / document['batch'] - 1) < 1e-9
        assert 0 < row['activation_bytes'] < row['engine_bytes'] < row['planned_bytes'], row
        assert 0 <= row['head_flops_share'] < 1 and row['step_flops_per_image'] > 0 and row['gflops'] > 0 and row['ratio'] > 0
        assert len(row['stages_ms']) == row['stages'] and all(row['phases_ms'][k] > 0 for k in ('forward', 'head', 'backward', 'update'))
        for phase, value in row['phases_ms'].items():
            assert abs(value - sum(stage[phase] for stage in row['stages_ms'])) < 1e-9
        if os.environ['HFF_CHECK_MEMORY']:
            assert abs(row['resident_bytes'] - row['engine_bytes']) < 8 << 20, row
    return {row['method']: row for row in document['rows']}
mlp, conv, hard = (read(name) for name in ('mlp.json', 'conv.json', 'hard.json'))
assert [row['method'] for row in mlp['rows']] == ['hff', 'ff', 'softmax', 'cwc', 'backprop', 'backprop_hff', 'hff']
assert mlp['rows'][0]['ratio'] == 1 and mlp['rows'][0]['step_flops_per_image'] == mlp['rows'][6]['step_flops_per_image']
first = dict(mlp['rows'][0])
rows = checked(mlp)
assert 'refused' in rows['cwc']  # 10 classes, 24 units
assert rows['hff']['stages'] == 2 and rows['backprop']['stages'] == rows['backprop_hff']['stages'] == 1
head = lambda row: row['head_flops_share'] * row['step_flops_per_image']
# a head's products: scores, gradient of the embedding, gradient of the prototypes or weights; a head for each stage
assert abs(head(rows['backprop']) - 3 * 2 * 24 * 10) < 0.2 * 3 * 2 * 24 * 10, head(rows['backprop'])
assert abs(head(first) / head(rows['backprop_hff']) - 2) < 1e-9
# backpropagation: one more product of the second layer, one head fewer
assert abs(rows['backprop_hff']['step_flops_per_image'] + head(first) / 2 - first['step_flops_per_image'] - 2 * 24 * 24) < 0.5 * 2 * 24 * 24
assert rows['ff']['step_flops_per_image'] > 1.5 * first['step_flops_per_image']  # two rows of a sample
rows = checked(conv)
assert 'batch norm' in rows['ff']['refused'] and '12 channels' in rows['cwc']['refused'] and 'refused' not in rows['backprop']
rows = checked(read('deep.json'))
plain, again, parts = (rows[name] for name in ('backprop', 'backprop_recompute', 'backprop_micro'))
assert again['step_flops_per_image'] > 1.2 * plain['step_flops_per_image'] == 1.2 * parts['step_flops_per_image']
assert again['activation_bytes'] < 0.7 * plain['activation_bytes'] and parts['activation_bytes'] < 0.4 * plain['activation_bytes']
rows = checked(read('odd.json'))
assert 'run.micro_batch' in rows['backprop_micro']['refused'] and 'refused' not in rows['backprop_recompute']
rows = checked(hard)
assert rows['ff']['ratio'] == 1 and rows['ff']['phases_ms']['preview'] > 0 and 'preview' not in rows['hff']['phases_ms']
alone = read('alone.json')
assert alone['rows'][0]['step_flops_per_image'] == first['step_flops_per_image']
assert alone['rows'][0]['head_flops_share'] == first['head_flops_share'] and alone['rows'][0]['activation_bytes'] == first['activation_bytes']
for row in read('until.json')['rows']:
    until = row['until']
    assert until['reached'] and until['epochs'] in (1, 2) and until['best'] >= 0.15 == until['accuracy'] and until['seconds'] > 0, row
until = read('never.json')['rows'][0]['until']
assert not until['reached'] and abs(until['epochs'] - 1.5) < 0.06 and 0 < until['best'] < 1, until
PY
# what training as usual reaches is what is said here
"$hff" train tiny.yaml --quiet --set run.epochs=1.5 --set data.holdout=0 --set predict.rule=last >/dev/null || bad=1
python3 - <<'PY' || { echo "not the accuracy of hff train"; bad=1; }
import json
lines = [json.loads(line) for line in open('runs/tiny/log.jsonl')]
seen = [line['fused']['last'] for line in lines if line['kind'] == 'epoch']
assert json.load(open('never.json'))['rows'][0]['until']['best'] == max(seen), seen
PY
wants 2 "did you mean softmax" "$hff" bench train tiny.yaml --methods hff,sofmax
wants 2 "there are hff, ff" "$hff" bench train tiny.yaml --methods hff,
wants 2 "at most" "$hff" bench train tiny.yaml --methods hff,hff,hff,hff,hff,hff,hff,hff,hff
wants 2 "12 channels" "$hff" bench train conv.yaml --methods cwc
wants 2 "its own objective.kind" "$hff" bench train tiny.yaml --methods cwc --set 'net.stages=[{linear: {units: 20}}, {linear: {units: 20}, objective: {kind: softmax}}]'
wants 2 "run.batch is 4000" "$hff" bench train tiny.yaml --methods hff --set run.batch=4000
wants 2 'did you mean "batch"'  "$hff" bench train tiny.yaml --methods hff --set run.bacth=4
wants 2 "--until goes with --methods" "$hff" bench train tiny.yaml --until 0.5
for wrong in 0 1.1 98 nan half 0.5x; do wants 2 "--until takes an accuracy" "$hff" bench train tiny.yaml --methods hff --until $wrong; done
cd .. && rm -rf b
exit $bad
