#!/usr/bin/env bash
# The compose project is up: ingest the library inside it, ask a question, stop it, and find everything again.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "!! $*" >&2; exit 1; }
inside() { docker compose exec -T tidestone "$@"; }

inside tidestone ingest /library || [ $? -eq 3 ] || fail "ingest in the container"
before=$(inside tidestone status --json)
found=$(inside tidestone search "somebody falls overboard" -k 1 --json)
case $found in *'"key": "library/handbook/man-overboard.txt"'*) ;; *) fail "the wrong search result: $found" ;; esac
inside sh -c 'touch /opt/x 2>/dev/null' && fail "the root file system is writable"

id=$(docker compose ps -q tidestone)
docker compose stop tidestone >/dev/null
code=$(docker inspect -f '{{.State.ExitCode}}' "$id")
[ "$code" = 0 ] || fail "SIGTERM ended with exit code $code"
docker compose start tidestone >/dev/null
for _ in $(seq 100); do inside tidestone verify >/dev/null 2>&1 && break; sleep 0.3; done
inside tidestone verify >/dev/null || fail "the collection does not verify after a restart"
[ -n "$before" ] && echo "ok   ingested, found, stopped with exit 0, verified after the restart"
