#!/usr/bin/env bash
# The most layers of a GPT that train where every device has so much memory: on one device that takes
# the whole batch at once and keeps all, then on 1, 2, 4 and 8 stages with micro-batches and
# recomputation (Huang et al., GPipe, table 1). A model trains if its steps run.
#
#     bench/stages/largest.sh [MEGABYTES PER DEVICE]
set -euo pipefail
cd "$(dirname "$0")/../.."
memory=${1:-64}
model=(--hidden 128 --heads 4 --sequence 128 --vocabulary 256 --batch 32)

trains() { # layers stages options...
  local layers=$1 stages=$2
  shift 2
  ${RUNNER:-} ./weft bench step --steps 1 --layers "$layers" "${model[@]}" --device-memory "$((memory * stages))MB" "$@" \
    >/dev/null 2>"$log"
}

largest() { # stages options...
  local stages=$1 low=0 high=$1
  while trains "$high" "$@"; do
    low=$high
    high=$((high * 2))
  done
  while ((high - low > 1)); do
    local middle=$(((low + high) / 2))
    if trains "$middle" "$@"; then low=$middle; else high=$middle; fi
  done
  echo "$low"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "| devices of $memory MB | recomputation | layers | million parameters |"
echo "|---:|---|---:|---:|"
row() { # stages what options...
  local stages=$1 what=$2
  shift 2
  local layers
  layers=$(largest "$stages" "$@")
  local count
  count=$(./weft inspect parameters --layers "$layers" "${model[@]}" | tail -1 | tr -dc 0-9)
  echo "| $stages | $what | $layers | $(awk "BEGIN { printf \"%.2f\", $count / 1e6 }") |"
}
row 1 "none, batch at once"
for stages in 1 2 4 8; do
  row "$stages" "full, 16 micro-batches" --stages "$stages" --micro-batches 16 --schedule gpipe --recompute full
done
