#!/bin/bash
# Array jobs, each with a part of the images: without Ray, and no job waits for another.
#
#   mkdir -p survey
#   job=$(sbatch --parsable --array=1-100%20 scripts/launch/slurm_array.sh survey --folders IMAGES --country KEN)
#   sbatch --dependency=afterok:"$job" --wrap="python -m speciesnet.scripts.merge survey.json survey/part-*.json"
#
# This runs 100 parts, 20 in parallel. The merge starts when all parts are finished; if one has failed, it waits
# forever. In that case, run the commands again: finished parts end immediately, and the others continue where
# they stopped. To run only some parts, set the number of all parts: PARTS=100 sbatch --array=7,31 ...
#
# Run the program once before, so that 100 jobs need not download the model; see docs/scale.md.
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
# If only some parts are run again, Slurm counts only these.
parts=${PARTS:-$SLURM_ARRAY_TASK_COUNT}

# All machines must use the same precision. Of two equal flags, the last one counts.
exec python -m speciesnet.scripts.run_model \
  --shard "$SLURM_ARRAY_TASK_ID/$parts" \
  --predictions_json "$folder/part-$SLURM_ARRAY_TASK_ID.json" \
  --threads "${SLURM_CPUS_PER_TASK:-1}" \
  --precision fp32 \
  --noprogress_bars \
  "$@"
