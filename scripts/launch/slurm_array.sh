#!/bin/bash
# A part of the images for each job of an array: no Ray, and no job waits for another.
#
#   mkdir -p survey
#   job=$(sbatch --parsable --array=1-100%20 scripts/launch/slurm_array.sh survey --folders IMAGES --country KEN)
#   sbatch --dependency=afterok:"$job" --wrap="python -m speciesnet.scripts.merge survey.json survey/part-*.json"
#
# 100 parts, 20 at the same time. The merge starts when all parts are finished; it waits forever if one has
# failed. In that case submit the first line again: finished parts end immediately, and the others continue where
# they stopped. For some of them alone say how many parts there are: PARTS=100 sbatch --array=7,31 ...
#
# Run the program once beforehand, so that 100 jobs need not download the model; see docs/scale.md.
#SBATCH --job-name=speciesnet
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=speciesnet-%A_%a.log
##SBATCH --gpus=1
set -euo pipefail

folder=${1:?the folder for the parts, then the flags of speciesnet}
shift
# Of an array that is given again in part, Slurm's count is another.
parts=${PARTS:-$SLURM_ARRAY_TASK_COUNT}

# The precision is the same on all machines; the last of two equal flags counts.
exec python -m speciesnet.scripts.run_model \
  --shard "$SLURM_ARRAY_TASK_ID/$parts" \
  --predictions_json "$folder/part-$SLURM_ARRAY_TASK_ID.json" \
  --threads "${SLURM_CPUS_PER_TASK:-1}" \
  --precision fp32 \
  --noprogress_bars \
  "$@"
