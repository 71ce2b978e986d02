#!/usr/bin/env bash
# The dependency directions of ARCHITECTURE.md, proven with cargo: a boundary is a line here and not a hope.
# Says every line that does not hold, then fails.
set -euo pipefail
cd "$(dirname "$0")/.."

members="schemas transport stages workers producer operations millstream tests"
broken=0

broken() {
    echo "boundary broken: $*" >&2
    broken=1
}

# Every package that a crate is built from, itself included, one name a line.
built_from() {
    cargo tree --locked --package "$1" --edges normal,build --prefix none --format '{p}' | cut -d' ' -f1 | sort -u
}

# uses CRATE [OURS...]: of this workspace, the crate is built from these and nothing else.
uses() {
    local crate=$1 tree other
    shift
    tree=$(built_from "$crate")
    for other in $members; do
        if [ "$other" != "$crate" ] && [[ " $* " != *" $other "* ]] && grep -qx "$other" <<<"$tree"; then
            broken "$crate must not depend on $other (cargo tree -p $crate -i $other)"
        fi
    done
}

# only CRATE names DEPENDENCY...: no other crate asks for it, not even for its tests.
only() {
    local owner=$1 dependency crate direct
    shift 2
    for crate in $members; do
        [ "$crate" = "$owner" ] && continue
        direct=$(cargo tree --locked --package "$crate" --edges all --depth 1 --prefix none --format '{p}' | cut -d' ' -f1)
        for dependency in "$@"; do
            if grep -qx "$dependency" <<<"$direct"; then
                broken "only $owner may name $dependency, and $crate does too"
            fi
        done
    done
}

# never CRATE reaches DEPENDENCY...: not through anything it uses either.
never() {
    local crate=$1 tree dependency
    shift 2
    tree=$(built_from "$crate")
    for dependency in "$@"; do
        if grep -qx "$dependency" <<<"$tree"; then
            broken "$crate must not reach $dependency (cargo tree -p $crate -i $dependency)"
        fi
    done
}

uses schemas
uses transport
uses stages schemas
uses workers schemas transport stages
uses producer schemas transport
uses operations schemas transport
uses millstream schemas transport stages workers producer operations

only schemas names rmp-serde rmp
only transport names rdkafka rdkafka-sys
only stages names ort ort-sys tokenizers image
only millstream names clap

never schemas reaches rdkafka ort image tokio clap
never transport reaches ort image rmp-serde clap
never stages reaches rdkafka clap
never workers reaches clap
never producer reaches ort image clap
never operations reaches ort image clap

[ "$broken" = 0 ] && echo "boundaries: every dependency points the way ARCHITECTURE.md says"
exit "$broken"
