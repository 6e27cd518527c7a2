# hff predict on PNG and IDX files, hff data on folders: what a person does with files that lie about.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf f && mkdir f && cd f || exit 1
export HFF_DATA="$PWD/data"
cat >make.py <<'PY'
import gzip, os, random, struct, zlib
rng = random.Random(3)
def png(path, rows, kind): # kind: 0 grey, 2 RGB; rows of bytes
    def chunk(name, body): return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))
    width = len(rows[0]) // (3 if kind == 2 else 1)
    open(path, 'wb').write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, len(rows), 8, kind, 0, 0, 0))
                           + chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows))) + chunk(b'IEND', b''))
def picture(label): # three classes: bright at the top, in the middle, below
    return [bytes((200 if y // 3 == label else 20) + rng.randrange(50) for _ in range(9)) for y in range(9)]
os.makedirs('data/bars')
os.makedirs('some')
kept = {}
for part, count in (('train', 300), ('t10k', 60)):
    images = [picture(i % 3) for i in range(count)]
    kept[part] = images
    with gzip.open(f'data/bars/{part}-images-idx3-ubyte.gz', 'wb') as out:
        out.write(struct.pack('>IIII', 0x803, count, 9, 9) + b''.join(b''.join(image) for image in images))
    with open(f'data/bars/{part}-labels-idx1-ubyte', 'wb') as out:
        out.write(struct.pack('>II', 0x801, count) + bytes(i % 3 for i in range(count)))
for i in range(5): png(f'some/{i}.png', kept['t10k'][i], 0)
png('some/5.PNG', [bytes(v for v in row for _ in range(3)) for row in kept['t10k'][5]], 2)
open('some/notes.txt', 'w').write('nothing to predict')
png('large.png', [bytes(10)] * 9, 0)
PY
python3 make.py
cat >bars.yaml <<'YAML'
run: {epochs: 3, batch: 20}
data: {source: idx, root: "${HFF_DATA}/bars"}
net: {stages: [linear: {units: 30}]}
YAML
"$hff" train bars.yaml --quiet >/dev/null || exit 1
"$hff" predict runs/bars data/bars/t10k-images-idx3-ubyte.gz --json --top 3 >all.json || bad=1
"$hff" predict runs/bars/model.safetensors some --json >some.json 2>said.txt || bad=1
grep -q "6 of its 7 files" said.txt || { echo "left-out files are not told: $(cat said.txt)"; bad=1; }
"$hff" eval runs/bars --json >eval.json || bad=1
python3 - <<'PY' || { echo "predictions are wrong"; bad=1; }
import json
whole, some = json.load(open('all.json'))['predictions'], json.load(open('some.json'))['predictions']
right = sum(p['class'] == p['index'] % 3 for p in whole) / 60
assert right == json.load(open('eval.json'))['accuracy'] and right > 0.9, right
for p in whole:
    assert p['class'] == p['top'][0]['class'] and abs(sum(t['probability'] for t in p['top']) - 1) < 1e-5, p
    assert [t['probability'] for t in p['top']] == sorted((t['probability'] for t in p['top']), reverse=True)
    assert sorted(t['class'] for t in p['top']) == [0, 1, 2]
# a PNG is the same image: the same numbers (the files are listed by bytes: 0.png ... 4.png, 5.PNG)
assert [(p['class'], p['probability']) for p in some] == [(p['class'], p['probability']) for p in whole[:6]], some
assert 'index' not in some[0] and some[5]['file'] == 'some/5.PNG'
PY
set -- $("$hff" predict runs/bars some/0.png 2>/dev/null | tail -1)
[ "$1" = some/0.png ] && [ "$2" = 0 ] || { echo "the table says $*"; bad=1; }
for i in $(seq 100); do echo some/1.png; done | xargs "$hff" predict runs/bars --json | python3 -c 'import json, sys; assert len(json.load(sys.stdin)["predictions"]) == 100' || { echo "100 files"; bad=1; }
wants 1 "large.png: 9 x 10 pixels" "$hff" predict runs/bars some/0.png large.png
wants 1 "neither a PNG nor an IDX" "$hff" predict runs/bars some/notes.txt
wants 1 "nothing.png" "$hff" predict runs/bars nothing.png
mkdir empty
wants 1 "no PNG or IDX" "$hff" predict runs/bars empty
wants 1 "not of images" "$hff" predict runs/bars data/bars/t10k-labels-idx1-ubyte
wants 2 "--top" "$hff" predict runs/bars some --top 0
wants 2 "usage" "$hff" predict runs/bars

# ---- data
"$hff" data list | grep -q "bars (idx)" || { echo "data list does not show bars"; bad=1; }
"$hff" data list --json | python3 -c '
import json, sys
said = json.load(sys.stdin)
assert said["sets"] == [{"name": "bars", "source": "idx"}], said
assert {s["name"]: s["available"] for s in said["sources"]} == {"digits": True, "idx": False, "cifar10": False, "cifar100": False}, said
' || { echo "data list --json"; bad=1; }
for what in bars data/bars "$PWD/data/bars"; do
    "$hff" data info "$what" --json --figure bars.png | python3 -c '
import json, sys
said = json.load(sys.stdin)
assert said["train"] == {"images": 300, "by_class": [100] * 3} and said["test"]["images"] == 60, said
assert (said["channels"], said["height"], said["width"], said["classes"]) == (1, 9, 9, ["0", "1", "2"]), said
' || { echo "data info $what"; bad=1; }
done
[ -s bars.png ] || { echo "no figure"; bad=1; }
"$hff" data info bars | grep -q "300 training and 60 test images" || { echo "data info as text"; bad=1; }
expect "generated digits" "$hff" data info digits
mkdir data/12 && cp data/bars/* data/12
expect "a folder that looks like a number" "$hff" data info 12
printf 'x' >>data/bars/t10k-labels-idx1-ubyte
wants 1 "t10k-labels-idx1-ubyte" "$hff" data info bars
wants 1 "no such folder" "$hff" data info nowhere
wants 1 "no data set that is known" "$hff" data info some
wants 2 "usage" "$hff" data info
wants 2 "usage" "$hff" data get bars
cd .. && rm -rf f
exit $bad
