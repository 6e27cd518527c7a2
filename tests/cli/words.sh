# Every command as a person types it: help, version, wrong words, JSON that parses.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
tiny >tiny.yaml
for command in "" help "help train" "bench --help" "train --help" "eval --help" "info --help" "config --help" --help; do
    out=$("$hff" $command 2>/dev/null) || { echo "hff $command fails"; bad=1; }
    [ -n "$out" ] || { echo "hff $command prints nothing"; bad=1; }
done
case "$("$hff" --version)" in "hff "[0-9]*) ;; *) echo "version"; bad=1 ;; esac
wants 2 "did you mean train" "$hff" trian
wants 2 "did you mean --resume" "$hff" train tiny.yaml --resmue
wants 2 "did you mean train" "$hff" help trian
wants 1 "standard output" sh -c '"$0" config help >/dev/full' "$hff"
wants 2 "usage" "$hff" train
wants 2 "usage" "$hff" train a b
wants 2 "wants a value" "$hff" train tiny.yaml --out
wants 2 "choose one" "$hff" train tiny.yaml --resume --force
wants 2 "--split" "$hff" eval x --split tets
wants 2 "train, ops, data and infer" "$hff" bench speed tiny.yaml
wants 2 "--runs" "$hff" bench ops tiny.yaml --runs none
wants 2 "the data has 10 classes" "$hff" bench ops tiny.yaml --classes 9
wants 2 "one number of classes" "$hff" bench train tiny.yaml --classes 10,20
expect "heads of more classes than the data has" sh -c '"$0" bench ops tiny.yaml --runs 1 --classes 37 | grep -q "hff .* f32 40x37"' "$hff"
wants 2 "HFF_LOG is quiet" env HFF_LOG=loud "$hff" info
wants 0 "debug: backend cpu" env HFF_LOG=debug "$hff" train tiny.yaml --dry-run
[ -z "$(HFF_LOG=quiet "$hff" eval nothing 2>&1)" ] || { echo "HFF_LOG=quiet says something"; bad=1; }
wants 1 "no such" env HFF_LOG=quiet "$hff" eval nothing -v
wants 2 "--color" "$hff" info --color purple
expect "config help prints keys" sh -c '"$0" config help | grep -q "checkpoint_every"' "$hff"
expect "config help of a prefix" sh -c '"$0" config help optimizer | grep -q "weight_decay"' "$hff"
wants 2 "optimizer" "$hff" config help optimiser
expect "config show reads back" sh -c '"$0" config show tiny.yaml >shown.yaml && "$0" config show shown.yaml | diff - shown.yaml' "$hff"
expect "dry run" sh -c '"$0" train tiny.yaml --dry-run | grep -q "together"' "$hff"
"$hff" train tiny.yaml --dry-run --set run.micro_batch=8 --set net.partition=whole --set 'net.stages=[{linear: {units: 99}, repeat: 9}]' \
    --set engine.recompute=auto >plan.txt
grep -q "of 8 of a step's 40 samples (run.micro_batch)" plan.txt || { echo "a dry run does not show micro-batches"; bad=1; }
grep -q "Stage 1 is recomputed in [2-9] segments" plan.txt || { echo "a dry run does not show recomputation"; bad=1; }
[ ! -e runs ] || { echo "a dry run left a folder"; bad=1; }
"$hff" train tiny.yaml --out runs --quiet >/dev/null 2>quiet.txt || { echo "tiny run failed"; cat quiet.txt; bad=1; }
[ ! -s quiet.txt ] || { echo "--quiet is not quiet: $(cat quiet.txt)"; bad=1; }
for file in config.yaml environment.json log.jsonl model.safetensors result.json figures/accuracy.png figures/confusion.png; do
    [ -s "runs/tiny/$file" ] || { echo "runs/tiny/$file is missing"; bad=1; }
done
for json in "eval runs/tiny --json" "info --json" "info runs/tiny --json" "info tiny.yaml --json" "bench train tiny.yaml --runs 2 --json" "bench ops tiny.yaml --runs 1 --json" \
    "bench data tiny.yaml --runs 5 --json"; do
    "$hff" $json 2>/dev/null | python3 -c 'import json, sys; json.load(sys.stdin)' || { echo "hff $json is not JSON"; bad=1; }
done
python3 - <<'PY' || bad=1
import json
lines = [json.loads(line) for line in open('runs/tiny/log.jsonl')]
kinds = [line['kind'] for line in lines]
assert kinds.count('epoch') == 2 and kinds.count('eval') == 1 and kinds.count('train') >= 2, kinds
train = [line for line in lines if line['kind'] == 'train'][0]
assert len(train['stages']) == 2 and 0 <= train['stages'][0]['accuracy'] <= 1
for key in ('loss', 'cosine_own', 'cosine_other', 'prototype_angle', 'embedding_norm', 'dead', 'grad_norm_body', 'grad_norm_head', 'seconds'):
    assert key in train['stages'][0], key
result = json.load(open('runs/tiny/result.json'))
assert result['test']['samples'] == 200 and result['val']['samples'] == 40 and result['steps'] == 18, result
assert set(result['test']['rules']) == {'last', 'sum', 'weighted', 'best'}
PY
"$hff" info tiny.yaml --program >program.txt
"$hff" info tiny.yaml --program --json | python3 -c '
import json, sys
said = [line.split() for line in open("program.txt") if line.startswith("  ")]
for stage in json.load(sys.stdin)["stages"]:
    for op in stage["ops"]:
        assert [op["section"], str(op["number"]), op["op"]] + [f"{k}={v}" for k, v in op["args"].items()] in said, op
    for slot in stage["slots"]:
        assert any(line[0] == slot["name"] and str(slot["bytes"]) in line for line in said), slot
    assert {op["section"] for op in stage["ops"]} == {"forward", "head", "backward", "update", "eval"}
' || { echo "info --program --json is not what info --program says"; bad=1; }
expect "scores are written" "$hff" eval runs/tiny --scores scores.safetensors
expect "features are written" "$hff" eval runs/tiny --features features.safetensors --split val
python3 - <<'PY' || { echo "the features' file is wrong"; bad=1; }
import json, struct
raw = open('features.safetensors', 'rb').read()
head = json.loads(raw[8:8 + struct.unpack('<Q', raw[:8])[0]])
assert {k: v['shape'] for k, v in head.items()} == {'stage.1.features': [40, 24], 'stage.2.features': [40, 24], 'labels': [40]}, head
PY
for rule in last sum weighted best; do expect "rule $rule" "$hff" eval runs/tiny --rule $rule; done
expect "the folder's config repeats the run" sh -c '"$0" train runs/tiny/config.yaml --out again --name tiny --quiet && cmp runs/tiny/model.safetensors again/tiny/model.safetensors' "$hff"
rm -rf runs again *.yaml *.txt *.safetensors
exit $bad
