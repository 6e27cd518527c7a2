# Every op has a test that names it, and every config key is in the help with a sentence.
set -u
cd "$HFF_SOURCE_DIR" || exit 1
bad=0
ops=$(sed -n '/^enum op_kind/,/^};/p' src/host/backend/op.h | grep -oE 'OP_[A-Z_]+' | grep -vE 'OP_KINDS')
[ "$(echo "$ops" | wc -l)" -ge 20 ] || { echo "op list not found"; bad=1; }
for op in $ops; do
    grep -rqw "$op" tests/op || { echo "$op has no test in tests/op"; bad=1; }
done
keys=$("$HFF_PROGRAM" config help --markdown | grep -oE '`[a-z_]+(\.[a-z_0-9]+|\[\])*`' | tr -d '`' | sort -u)
for key in run.epochs data.source net.stages objective.scale optimizer.lr predict.rule; do
    echo "$keys" | grep -qx "$key" || { echo "$key is not in the help"; bad=1; }
done
exit $bad
