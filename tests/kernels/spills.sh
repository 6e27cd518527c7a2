# No kernel spills registers or keeps arrays in local memory, on any processor it was compiled for: from what ptxas said
# when the kernels were compiled (HFF_PTXAS, a folder of reports). Nothing here runs on a GPU.
set -u
cd "$HFF_PTXAS" || exit 1
bad=0
kernels=0
for report in *.ptxas; do
    grep -q 'spill stores' "$report" || { echo "$report: no kernels in it"; bad=1; continue; }
    kernels=$((kernels + $(grep -c 'spill stores' "$report")))
    # "ptxas info : Compiling entry function 'NAME' for 'sm_90'", then "... N bytes stack frame, N bytes spill stores, ..."
    awk -v report="$report" '
        /Compiling entry function/ { name = $0; sub(/.*entry function ./, "", name); sub(/. for ./, " for ", name); sub(/.$/, "", name) }
        /bytes stack frame/ && !/ 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads/ {
            print report ": " name ":" $0
            found = 1
        }
        END { exit found }' "$report" || bad=1
done
[ "$kernels" -ge 30 ] || { echo "only $kernels kernels seen: the test is broken"; bad=1; }
[ "$bad" = 0 ] && echo "$kernels kernels, none spills"
exit $bad
