#!/usr/bin/env bash
# What each device holds at most, foretold by `weft inspect cost` (nothing opened), by `weft bench step`
# before its first step, and measured by it: one line for every stage, as a table.
#
#     bench/memory/table.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
gpt="--layers 4 --hidden 128 --heads 4 --sequence 128 --batch 16"
echo "| | stage | foretold, MB | planned, MB | measured, MB | planned / measured |"
echo "|---|---:|---:|---:|---:|---:|"
row() { # what options...
  local what=$1 foretold stage planned measured
  shift
  foretold=$(${RUNNER:-} ./weft inspect cost "$@" | sed -n 's/^predicted peak memory.*(\([0-9]*\) bytes).*/\1/p')
  ${RUNNER:-} ./weft bench step --steps 1 --format json "$@" |
    sed 's/{"stage":/\n&/g' |
    sed -n 's/^{"stage":\([0-9]*\),"device":0,"device_bytes":\([0-9]*\),"predicted_device_bytes":\([0-9]*\).*/\1 \2 \3/p' |
    while read -r stage measured planned; do
      sed -n "$((stage + 1))p" <<<"$foretold" |
        awk -v what="$what" -v stage="$stage" -v measured="$measured" -v planned="$planned" \
          '{ printf "| %s | %d | %.3f | %.3f | %.3f | %.4f |\n", what, stage, $1 / 1e6, planned / 1e6, measured / 1e6, planned / measured }'
    done
}
row "default GPT"
row "default GPT, bf16" --dtype bf16
row "GPT, 4 micro-batches, full recomputation" $gpt --micro-batches 4 --recompute full
row "GPT, \`data=2\`, ZeRO 3" $gpt --mesh data=2 --zero 3 --micro-batches 2
row "GPT, \`model=2\`, bf16, sub-pipeline 2" $gpt --mesh model=2 --dtype bf16 --sub-pipeline 2
row "GPT, 4 stages, \`1f1b\`" $gpt --stages 4 --micro-batches 8
row "GPT, 2 stages of \`data=2\`, \`gpipe\`, ZeRO 2" $gpt --stages 2 --mesh data=2 --zero 2 --micro-batches 4 --schedule gpipe
row "GPT, 2 stages, \`zero-bubble\`, bf16" $gpt --stages 2 --micro-batches 4 --schedule zero-bubble --dtype bf16
row "MoE, \`expert=2\`" --model moe $gpt --mesh expert=2
row "U-Net, 4 stages" --model unet --image 32 --stages 4 --micro-batches 4
row "ResNet, 2 stages, \`shifted\`, full recomputation" --model resnet --stages 2 --micro-batches 8 --schedule shifted --recompute full
row "MLP" --model mlp
