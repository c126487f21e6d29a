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

# Two containers on one volume: the second follows the first one's job, and takes it over when the first is killed.
second=$(docker compose run -d --no-deps tidestone ingest /library --collection shared --batch-size 5 --json)
first=$(docker compose run -d --no-deps tidestone ingest /library --collection shared --batch-size 5 --json)
for _ in $(seq 300); do
  checkpoints=$(inside tidestone checkpoints --collection shared --json 2>/dev/null | grep -c '"generation"' || true)
  [ "${checkpoints:-0}" -ge 1 ] && break
  sleep 0.1
done
[ "${checkpoints:-0}" -ge 1 ] || fail "two containers on one volume make no checkpoint"
docker kill "$first" >/dev/null 2>&1 || true # whichever of them has the job: the other one, or the service, goes on
code=$(timeout 600 docker wait "$second") || fail "the second container does not end"
docker rm -f "$first" "$second" >/dev/null
case $code in 0 | 3) ;; *) fail "the second container ended with exit code $code" ;; esac
inside tidestone verify --collection shared >/dev/null || fail "what two containers have made does not verify"
shared=$(inside tidestone status --json | grep -c '"name": "shared"') || true
[ "$shared" = 1 ] || fail "there is not one collection that both have made"
echo "ok   two containers on one volume: one killed, the other went on, verified"
