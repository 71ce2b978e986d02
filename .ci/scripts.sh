#!/usr/bin/env bash
# Every script is read once by the language that will run it: shell scripts by sh and ShellCheck, Python by its compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

files() {
    # Also the files that are not committed yet; without git (an unpacked archive) all that lie here.
    git ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null || find . -path ./target -prune -o -name "$1" -print
}

shells=$(files '*.sh')
shells+=" .ci/run"
for script in $shells; do
    case $(head -n 1 "$script") in
    '#!/usr/bin/env bash' | '#!/bin/bash') bash -n "$script" ;;
    '#!/bin/sh') sh -n "$script" ;;
    *) echo "$script: the first line names no known shell" >&2 && exit 1 ;;
    esac
    [ -x "$script" ] || { echo "$script: is a script and cannot be executed: chmod +x $script" >&2 && exit 1; }
done
pythons=$(files '*.py')
# shellcheck disable=SC2086 # lists of names without spaces
python3 -m py_compile $pythons

if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2086
    shellcheck $shells
else
    echo "shellcheck is not installed, so the shell scripts were only parsed: apt-get install shellcheck"
fi
# shellcheck disable=SC2086
echo "scripts: $(wc -w <<<"$shells") in shell, $(wc -w <<<"$pythons") in Python"
