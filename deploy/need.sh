#!/usr/bin/env bash
# Makes sure that tools of the operating system are here: `need.sh THING...`.
# What is missing is installed where that is possible (Debian or Ubuntu, as root), and otherwise named, all in one line.
# `need.sh --check THING...` installs and says nothing: the exit status is the answer.
set -euo pipefail

# Is it here? (the checks look at what will be used, not at what package it came from)
have() {
    case $1 in
    cargo) command -v cargo ;;
    # Links something: a compiler without the C library's own files is a common half of an installation.
    cc) command -v make && echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - ;;
    python) python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' ;;
    # Oldest Python for which the pinned numpy and onnxruntime have wheels.
    python-tests) python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ;;
    pip) python3 -m pip --version ;;
    venv) python3 -c 'import venv, ensurepip' ;;
    java) jdk_of_17_or_newer ;;
    maven) command -v mvn ;;
    openssl) command -v openssl ;;
    # pkg-config is how the build finds the headers, unless it is told.
    openssl-headers) [ -n "${OPENSSL_DIR:-}" ] || pkg-config --exists openssl ;;
    *) false ;;
    esac >/dev/null 2>&1
}

jdk_of_17_or_newer() {
    local java=java version
    [ -z "${JAVA_HOME:-}" ] || java=$JAVA_HOME/bin/java
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 17 ]
}

packages_of() {
    case $1 in
    cargo) ;; # Debian's Rust is too old
    cc) echo gcc make libc6-dev ;;
    python | python-tests) echo python3 ;;
    pip) echo python3-pip ;;
    venv) echo python3-venv ;;
    java) echo default-jdk-headless ;;
    maven) echo maven ;;
    openssl) echo openssl ;;
    openssl-headers) echo libssl-dev pkg-config ;;
    esac
}

described() {
    case $1 in
    cargo) echo "Rust (cargo)" ;;
    cc) echo "a C compiler and make" ;;
    python) echo "Python 3.9 or newer" ;;
    python-tests) echo "Python 3.11 or newer" ;;
    pip) echo "pip" ;;
    venv) echo "Python's venv" ;;
    java) echo "Java 17 or newer" ;;
    maven) echo "Maven" ;;
    openssl) echo "openssl" ;;
    openssl-headers) echo "the OpenSSL headers and pkg-config" ;;
    *) echo "'$1', which need.sh does not know" ;;
    esac
}

only_check=no
if [ "${1:-}" = --check ]; then
    only_check=yes
    shift
fi

missing=()
for thing in "$@"; do
    have "$thing" || missing+=("$thing")
done
[ ${#missing[@]} -gt 0 ] || exit 0
[ $only_check = no ] || exit 1

packages=()
names=
for thing in "${missing[@]}"; do
    read -ra some <<<"$(packages_of "$thing")"
    packages+=("${some[@]}")
    names+="${names:+, }$(described "$thing")"
done

if [ ${#packages[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing what is missing here ($names): apt-get install ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # The package lists of a fresh machine are empty or old, so they are fetched first.
    if ! { apt-get update && apt-get install --yes --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
    fi
    rm -f "$log"
fi

still=
packages=()
for thing in "${missing[@]}"; do
    have "$thing" && continue
    read -ra some <<<"$(packages_of "$thing")"
    packages+=("${some[@]}")
    still+="${still:+, }$(described "$thing")"
done
[ -z "$still" ] && exit 0
advice="install it and try again"
[ ${#packages[@]} -eq 0 ] || advice="on Debian or Ubuntu type: sudo apt-get install ${packages[*]}"
echo "missing on this machine: $still; $advice" >&2
exit 1
