# Files stay readable: at most 400 lines of code, a first line that says what they are for, nothing left open, no machine's paths.
set -u
cd "$HFF_SOURCE_DIR" || exit 1
bad=0
for file in $(find src include tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh'); do
    code=$(grep -cvE '^[[:space:]]*(/\*|\*|//|$)' "$file")
    case "$file" in tests/*) ;; *) [ "$code" -le 400 ] || { echo "$file: $code lines of code"; bad=1; } ;; esac
    head -1 "$file" | grep -q '^/\*' || { echo "$file: its first line does not say what it is for"; bad=1; }
done
if grep -rnE 'TO''DO|FIX''ME|XX''X' --include='*' src include tests tools configs cmake CMakeLists.txt README.md 2>/dev/null; then echo "something is left open"; bad=1; fi
if grep -rnE '/(root|work|farm)/' src include tests tools configs cmake CMakeLists.txt README.md experiments 2>/dev/null; then echo "a machine's path"; bad=1; fi
exit $bad
