# shellcheck shell=bash
# What the scripts share. Read with: source "$(dirname "$0")/lib.sh"

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Where rustup puts cargo, for shells that do not know it yet.
export PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"

# say WORDS: a line for the person at the terminal.
say() { printf '%s\n' "$*"; }

# fail WORDS: what went wrong and what to do; ends the script.
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# step NAME COMMAND…: runs the command, saying what it is and how long it took.
step() {
    local name=$1 begun=$SECONDS
    shift
    say "== $name: $*"
    "$@" || fail "$name failed after $((SECONDS - begun)) s; its output is above"
    say "== $name: done in $((SECONDS - begun)) s"
}

# install REASON PACKAGE…: through apt, as root or by sudo.
install() {
    local reason=$1 as_root=()
    shift
    has apt-get || fail "$reason is missing and there is no apt-get here; install it by hand (on Debian: $*)"
    if [ "$(id -u)" != 0 ]; then
        has sudo || fail "$reason is missing; as root run: apt-get install -y $*"
        as_root=(sudo)
    fi
    say "installing $reason: apt-get install $*"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# at_least WANTED FOUND: whether version FOUND is WANTED or newer.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# postgres_bin: the folder of PostgreSQL's programs, looked for as src/private_postgres.rs does; fails if there is none.
postgres_bin() {
    local folder program missing folders=()
    IFS=: read -r -a folders <<<"${PG_BIN_DIR:+$PG_BIN_DIR:}$PATH"
    while IFS= read -r folder; do
        folders+=("$folder")
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV)
    for folder in "${folders[@]}"; do
        missing=
        for program in initdb pg_ctl postgres createdb; do
            [ -n "$folder" ] && [ -f "$folder/$program" ] || missing=yes
        done
        if [ -z "$missing" ]; then
            printf '%s\n' "$folder"
            return
        fi
    done
    return 1
}
