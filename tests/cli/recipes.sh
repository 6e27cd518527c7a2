# Every recipe of configs/paper runs end to end, train and eval, on small generated files in its data's format.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf p && mkdir p && cd p || exit 1
export HFF_DATA="$PWD/data"
python3 - <<'PY'
import gzip, os, random, struct
rng = random.Random(1)
TRAIN, TEST = 40, 16
def image(label, classes, size): # the label's own noise, with some of each image's
    own = random.Random(label)
    return bytes((own.randrange(256) + rng.randrange(64)) % 256 for _ in range(size))
def cifar(path, count, classes, extra):
    with open(path, 'wb') as out:
        for i in range(count):
            label = i % classes
            out.write(bytes([label // 5] * extra + [label]) + image(label, classes, 3072))
def idx(folder):
    os.makedirs(folder)
    for part, count in (('train', TRAIN), ('t10k', TEST)):
        with gzip.open(f'{folder}/{part}-images-idx3-ubyte.gz', 'wb') as out:
            out.write(struct.pack('>IIII', 0x803, count, 28, 28) + b''.join(image(i % 10, 10, 784) for i in range(count)))
        with gzip.open(f'{folder}/{part}-labels-idx1-ubyte.gz', 'wb') as out:
            out.write(struct.pack('>II', 0x801, count) + bytes(i % 10 for i in range(count)))
idx('data/mnist')
idx('data/fashion')
os.makedirs('data/cifar-10-batches-bin')
for i in range(5): cifar(f'data/cifar-10-batches-bin/data_batch_{i + 1}.bin', TRAIN // 5, 10, 0)
cifar('data/cifar-10-batches-bin/test_batch.bin', TEST, 10, 0)
os.makedirs('data/cifar-100-binary')
cifar('data/cifar-100-binary/train.bin', TRAIN, 100, 1)
cifar('data/cifar-100-binary/test.bin', TEST, 100, 1)
with open('data/cifar-100-binary/fine_label_names.txt', 'w') as out: out.write(''.join(f'fine {i}\n' for i in range(100)))
PY
tried=0
for recipe in "$HFF_SOURCE_DIR"/configs/paper/*.yaml; do
    name=$(basename "$recipe" .yaml)
    tried=$((tried + 1))
    "$hff" train "$recipe" --quiet --set run.epochs=1 --set run.batch=8 >/dev/null || { echo "$name does not train"; bad=1; continue; }
    "$hff" eval "runs/$name" --json >eval.json || { echo "$name cannot be evaluated"; bad=1; continue; }
    python3 - "$name" "runs/$name" <<'PY' || { echo "$name: wrong result"; bad=1; }
import json, math, sys
name, run = sys.argv[1:]
classes = 100 if 'cifar100' in name else 10
said, result = json.load(open('eval.json')), json.load(open(run + '/result.json'))
assert said['samples'] == 16 and len(said['confusion']) == classes and sum(map(sum, said['confusion'])) == 16
assert all(math.isfinite(stage['loss']) for stage in said['stages']) and said['top5'] >= said['accuracy']
assert said['accuracy'] == result['test']['rules'][said['rule']], (said['accuracy'], result['test'])
log = [json.loads(line) for line in open(run + '/log.jsonl')]
assert [line['step'] for line in log if line['kind'] == 'epoch'] == [5]
PY
done
[ "$tried" -ge 5 ] || { echo "only $tried recipes found"; bad=1; }
"$hff" info runs/cifar100_cnn --json | grep -q '"per_class": 4' || { echo "cifar100_cnn has not four prototypes a class"; bad=1; }
grep -q "fine 99" runs/cifar100_cnn/model.safetensors || { echo "class names are not in the model"; bad=1; }
cd .. && rm -rf p
exit $bad
