# A room includes only itself and rooms above it in this list; private headers stay in their room; nothing below cli knows exit statuses' numbers.
set -u
cd "$HFF_SOURCE_DIR/src/host" || exit 1
rooms="base config tensor backend net objective optim program data comm engine report train cli"
rank() { local i=0 r; for r in $rooms; do [ "$r" = "$1" ] && { echo $i; return; }; i=$((i + 1)); done; echo -1; }
bad=0
checked=0
for file in $(find . -name '*.[ch]'); do
    room=$(echo "$file" | cut -d/ -f2)
    own=$(rank "$room")
    [ "$own" -ge 0 ] || { echo "$file: unknown room $room"; bad=1; }
    for target in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file"); do
        [ "$target" = hff ] && continue
        case "$target:$file" in kernels:./backend/cuda/*) continue ;; esac # the device code's only user
        other=$(rank "$target")
        checked=$((checked + 1))
        if [ "$other" -lt 0 ] || [ "$other" -gt "$own" ]; then
            echo "$file includes $target, which is below $room"
            bad=1
        fi
    done
    grep -n '#include ".*/private.h"' "$file" && { echo "$file includes another room's private header"; bad=1; }
    # objective and optim do not know each other
    case "$room" in
    objective) grep -n '"optim/' "$file" && bad=1 ;;
    optim) grep -n '"objective/' "$file" && bad=1 ;;
    esac
done
[ "$checked" -gt 50 ] || { echo "only $checked includes seen: the test is broken"; bad=1; }
# no objective is named in engine, trainer, data, backends' callers
if grep -nE 'strcmp.*"(hff|ff|softmax|cwc)"|OBJECTIVE_' engine/*.c train/*.c data/*.c program/*.c; then echo "an objective is named outside its room"; bad=1; fi
exit $bad
