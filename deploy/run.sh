#!/bin/sh
# What `make run` does once everything is installed: ingest the sample library, start the service, show one answer and where to look.
set -eu
bin=.venv/bin
library=${LIBRARY:-deploy/sample-library}
question=${QUESTION:-What must I do when somebody falls into the sea?}
port=${TIDESTONE_SERVICE__PORT:-$("$bin/python" -c \
  'import tomllib; print(tomllib.load(open("config.toml", "rb")).get("service", {}).get("port", 8080))')}

# 3 = completed with errors: the sample library carries damaged files on purpose, and they are listed, not fatal.
"$bin/tidestone" ingest "$library" || [ $? -eq 3 ]

"$bin/tidestone" serve &
service=$!
trap 'kill -TERM $service 2>/dev/null || true; wait $service || true; exit 130' INT TERM
until "$bin/python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/readyz', timeout=2)" 2>/dev/null; do
  kill -0 $service 2>/dev/null || { wait $service || exit $?; exit 1; }
  sleep 0.3
done

printf '\n%s\n' "$question"
"$bin/tidestone" search "$question" -k 1
cat <<EOF

Tidestone is running.
  API and its description   http://127.0.0.1:$port/docs
  jobs                      http://127.0.0.1:$port/v1/jobs
  metrics                   http://127.0.0.1:$port/metrics
  the same by command line  $bin/tidestone status
Ctrl-C stops it with a checkpoint.
EOF
wait $service
