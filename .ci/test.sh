#!/usr/bin/env bash
# `make test`, once everything it needs is here: runs every step even when one fails, and ends with a summary in which
# nothing is missing: a test that was ignored is named, a step that could not run counts as a failure.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

logs=target/test-logs
rm -rf $logs
mkdir -p $logs
summary=
passed=0 failed=0 skipped=0

# step NAME COMMAND...: its output is shown and kept in target/test-logs/NAME.log.
step() {
    local name=$1 log=$logs/$1.log began=$SECONDS status=ok here_passed here_failed here_skipped
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee "$log" || status=FAILED
    here_passed=$(count passed "$log")
    here_failed=$(count failed "$log")
    here_skipped=$(count ignored "$log")
    # A step without tests of its own (a build, a script), or one that broke before or after its tests.
    if [ "$status" = ok ] && [ "$here_passed" = 0 ]; then here_passed=1; fi
    if [ "$status" != ok ] && [ "$here_failed" = 0 ]; then here_failed=1; fi
    passed=$((passed + here_passed)) failed=$((failed + here_failed)) skipped=$((skipped + here_skipped))
    summary+=$(printf '%-12s %-7s %6d %6d %7d %6d s' \
        "$name" "$status" "$here_passed" "$here_failed" "$here_skipped" $((SECONDS - began)))$'\n'
    [ "$status" = ok ]
}

# count WORD LOG: the sum over the lines "test result: ok. 12 passed; 0 failed; 1 ignored; …".
count() {
    sed -n "s/^test result: .* \([0-9]*\) $1.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

# on_kafka NODES COMMAND...: runs it with MILLSTREAM_TEST_BROKERS set, to brokers that end with it unless it is set already.
on_kafka() {
    local nodes=$1 folder brokers status=0
    shift
    if [ -n "${MILLSTREAM_TEST_BROKERS:-}" ]; then
        "$@"
        return
    fi
    folder=$(mktemp -d)
    brokers=$(deploy/kafka/kafka.sh start --nodes "$nodes" --dir "$folder" --until-exit-of $$) || return 1
    MILLSTREAM_TEST_BROKERS=$brokers "$@" || status=$?
    deploy/kafka/kafka.sh stop --dir "$folder" && rm -rf "$folder"
    return $status
}

step crates cargo test --workspace --exclude tests --no-fail-fast
# The transport's contract holds in memory and on the embedded broker in the step before; here on the real thing.
# With the crate's own tests of transactions that stop half way, which need one, too.
step transport-1 on_kafka 1 cargo test --package transport --lib --test conformance kafka
step transport-3 on_kafka 3 cargo test --package transport --lib --test conformance kafka
step model target/python/bin/python models/digits/evaluate.py --at-least 0.98
if step build cargo build --release --package millstream; then
    # One at a time: each starts brokers and workers of its own, and they measure time.
    export MILLSTREAM_BIN=$PWD/target/release/millstream
    step system timeout --kill-after=30 2700 cargo test --package tests --no-fail-fast -- --test-threads=1 --nocapture
    # The short set of `make fault`: a few thousand jobs a case, about ten minutes.
    step fault timeout --kill-after=30 1500 cargo run --quiet --release --package tests --bin fault -- --case short
else
    failed=$((failed + 1))
    summary+="system, fault not run, for want of a binary"$'\n'
fi

printf '\n%-12s %-7s %6s %6s %7s %8s\n%s' step status passed failed skipped time "$summary"
ignored=$(grep -hE '^test .* \.\.\. ignored' $logs/*.log)
[ -z "$ignored" ] || printf '\nskipped:\n%s\n' "$ignored"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
