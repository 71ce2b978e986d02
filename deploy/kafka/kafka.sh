#!/bin/sh
# A real Apache Kafka on this machine, without containers; `kafka.sh --help` says what it can do.
exec python3 "$(dirname "$0")/kafka.py" "$@"
