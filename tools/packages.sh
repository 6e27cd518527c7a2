# Debian and Ubuntu packages; sourced by quickstart.sh and check.sh.
BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libdnnl-dev libyaml-dev libjansson-dev zlib1g-dev librandom123-dev libcairo2-dev fonts-dejavu-core"
TEST_PACKAGES="libcmocka-dev git python3"

# Installs those of the named packages that are missing; without root or sudo, or without apt, says what to do and fails.
install_packages() {
    local missing="" package
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian or Ubuntu: install the equivalents of: $*  (skipped)" >&2
        return 0
    fi
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    local as=""
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as="sudo"
        else
            echo "Please run this line, then this script again:" >&2
            echo "    sudo apt-get update && sudo apt-get install -y$missing" >&2
            return 1
        fi
    fi
    echo "installing:$missing"
    # quiet unless it fails; a failed update alone is no reason to stop: what is known may do
    local said
    if ! said=$($as apt-get update -qq 2>&1; $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing 2>&1); then
        printf '%s\n' "$said" | tail -20 >&2
        return 1
    fi
}

# step NAME COMMAND...: runs it, prints its time, stops the script when it fails.
step() {
    local name="$1" start=$SECONDS
    shift
    echo "== $name"
    if ! "$@"; then
        echo "FAILED: $name"
        exit 1
    fi
    echo "   $name: $((SECONDS - start)) s"
}

# build DIR [TARGET]: builds; what the compiler says is in DIR/build.log and is shown when it fails.
build() {
    if ! cmake --build "$1" ${2:+--target "$2"} >"$1/build.log" 2>&1; then
        tail -50 "$1/build.log"
        return 1
    fi
}
