# hff train --trace: the timeline as a person opens it: every stage, section and thread, nested; also after a signal and after an error.
. "$HFF_SOURCE_DIR/tests/support/cli.sh"
rm -rf t && mkdir t && cd t || exit 1
cat >net.yaml <<'YAML'
run: {epochs: 2, batch: 40, log_every: 5}
data: {source: digits, digits: {train: 400, test: 200}, holdout: 0.1, workers: 2}
net:
  stages:
    - conv: {channels: 8, pool: {max: 2}}
    - linear: {units: 24}
YAML
cat >look.py <<'PY'
import json, sys
from collections import defaultdict
doc = json.load(open(sys.argv[1]))
events = [e for e in doc['traceEvents'] if e['ph'] == 'X']
threads = {(e['pid'], e['tid']): e['args']['name'] for e in doc['traceEvents'] if e['name'] == 'thread_name'}
assert doc['otherData'] == {'program': doc['otherData']['program'], 'spans': len(events), 'left_out': 0}
tracks = defaultdict(list)
for e in events: tracks[threads[e['pid'], e['tid']]].append(e)
for name, spans in tracks.items(): # spans of a track lie apart or inside one another
    stack = []
    for e in sorted(spans, key=lambda e: (e['ts'], -e['dur'])):
        begin, end = round(1000 * e['ts']), round(1000 * (e['ts'] + e['dur']))
        while stack and stack[-1] <= begin: stack.pop()
        assert not stack or end <= stack[-1], (name, e)
        stack.append(end)
def count(track, name): return sum(e['name'] == name for e in tracks[track])
if sys.argv[2] == 'whole':
    stages = ['stage 1 (conv 3x3, 8)', 'stage 2 (linear 24)']
    for stage in stages:
        for section in ('forward', 'head', 'backward', 'update'):
            steps = [e['args']['step'] for e in tracks[stage] if e['name'] == section]
            assert steps == list(range(1, 19)), (stage, section, steps)
        assert count(stage, 'eval') == 7, count(stage, 'eval') # hold-out of 40 twice, test of 200 once
        # every section's time is that of its ops and little else: no op stands outside a section
        sections = [e for e in tracks[stage] if e['name'] in ('forward', 'head', 'backward', 'update', 'eval')]
        for op in (e for e in tracks[stage] if 'op' in e.get('args', {})):
            assert any(s['ts'] <= op['ts'] and op['ts'] + op['dur'] <= s['ts'] + s['dur'] + 1e-4 for s in sections), op
    assert count(stages[0], 'conv') == 2 * (18 + 7) and count(stages[1], 'hff') == 18 # conv: the body's and the AuxConv
    run = tracks['training']
    assert [e['args']['step'] for e in run if e['name'] == 'step'] == list(range(1, 19))
    for name, times in {'wait for data': 18, 'evaluation': 3, 'checkpoint': 2, 'figures': 1, 'log': 5}.items():
        assert count('training', name) == times, (name, count('training', name))
    batches = [e['args']['batch'] for t in ('loader thread 1', 'loader thread 2') for e in tracks[t]]
    assert len(batches) >= 18 and set(batches) == set(range(1, 10)), batches
    assert count('loader thread 1 of evaluation', 'fill batch') + count('loader thread 2 of evaluation', 'fill batch') == 7
else:
    assert count('stage 1 (conv 3x3, 8)', 'forward') > 0
PY
look() { python3 look.py "$@" || { echo "the timeline of $2 is wrong"; bad=1; }; }

"$hff" train net.yaml --quiet --trace t.json >/dev/null || { echo "train --trace failed"; bad=1; }
look t.json whole
"$hff" train net.yaml --quiet --name plain >/dev/null
cmp runs/net/model.safetensors runs/plain/model.safetensors || { echo "a timeline changes the model"; bad=1; }

"$hff" train net.yaml --quiet --name term --set run.epochs=100000 --set run.checkpoint_every=0 --trace term.json 2>/dev/null &
pid=$!
for i in $(seq 100); do [ -s runs/term/log.jsonl ] && break; sleep 0.05; done
kill -TERM $pid
wait $pid
[ $? = 143 ] || { echo "SIGTERM did not give 143"; bad=1; }
look term.json "a stopped run"
wants 1 "step 1: op" "$hff" train net.yaml --name nan --trace nan.json --set 'data.normalize=[0, 1e-39]'
look nan.json "a run that went wrong"

# refused before anything is touched
rm -rf runs
wants 1 "none/t.json" "$hff" train net.yaml --trace none/t.json
wants 1 "is a folder" "$hff" train net.yaml --trace .
wants 2 "choose one" "$hff" train net.yaml --dry-run --trace t2.json
[ ! -e runs ] && [ ! -e t2.json ] || { echo "a refused --trace touched something"; bad=1; }
ls ./*.tmp.* 2>/dev/null && { echo "temporary files are left"; bad=1; }
cd .. && rm -rf t
exit $bad
