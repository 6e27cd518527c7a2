# Shared by the scripts of this folder (sourced): small configs and checks.
set -u
hff="$HFF_PROGRAM"
bad=0

# A tiny run that takes well under a second.
tiny() {
    cat <<'YAML'
run: {epochs: 2, batch: 40, log_every: 5}
data: {source: digits, digits: {train: 400, test: 200}, holdout: 0.1}
net:
  stages:
    - linear: {units: 24}
      repeat: 2
YAML
}

# wants STATUS TEXT COMMAND...: exit status and a piece of what it says on standard error.
wants() {
    local status="$1" text="$2" got said
    shift 2
    said=$("$@" 2>&1 >/dev/null)
    got=$?
    if [ "$got" != "$status" ]; then
        echo "exit $got, not $status: $* -> $(printf '%s\n' "$said" | tail -3)"
        bad=1
    fi
    case "$said" in
    *"$text"*) ;;
    *)
        echo "says '$(printf '%s\n' "$said" | tail -3)', not '$text': $*"
        bad=1
        ;;
    esac
    # one message, no dump
    if [ "$status" != 0 ] && [ "$(printf '%s\n' "$said" | grep -c '^error')" -gt 1 ]; then
        echo "more than one error line: $* -> $said"
        bad=1
    fi
}

expect() { # WHAT COMMAND...: the command succeeds
    local what="$1"
    shift
    "$@" >/dev/null 2>&1 || { echo "not so: $what"; bad=1; }
}
