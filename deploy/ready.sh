#!/bin/bash
# Is the worker in this container ready? Asks /readyz over bash's own sockets: the image has no curl.
# Usage: ready.sh [PORT]
exec 3<>"/dev/tcp/127.0.0.1/${1:-9464}" || exit 1
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 5 _version status _reason <&3
[ "$status" = 200 ]
