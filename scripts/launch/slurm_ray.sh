#!/bin/bash
# A Ray cluster for the duration of a job: a head, workers, and the driver on the head.
#
#   sbatch --nodes=4 scripts/launch/slurm_ray.sh --instances IMAGES --output SHARDS --country KEN
#
# The arguments after the script's name are flags of run_on_ray; see docs/scale.md. The same command continues
# a run that has stopped.
#SBATCH --job-name=speciesnet-ray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=speciesnet-ray-%j.log
##SBATCH --gpus-per-node=1
set -euo pipefail

# Without a secret, anyone who can reach Ray's ports can run code as you. All processes of this job inherit
# this one, and other users cannot read their environment.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN

head=$SLURMD_NODENAME # this script runs on the first node
host=$(python -c 'import ray.util; print(ray.util.get_node_ip_address())')
port=$((20000 + SLURM_JOB_ID % 10000))
workers=$((SLURM_JOB_NUM_NODES - 1))
cpus=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}
all=(--export=ALL --cpus-per-task="$cpus" --no-kill)
start=(ray start --block --num-cpus="$cpus" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --disable-usage-stats)

# Ray runs in the background until the driver ends, successfully or not.
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
srun "${all[@]}" --nodes=1 --ntasks=1 --nodelist="$head" \
  "${start[@]}" --head --node-ip-address="$host" --port="$port" --temp-dir="/tmp/ray-$SLURM_JOB_ID" &
until ray health-check --address="$host:$port" 2>/dev/null; do
  kill -0 $! # fails if the head has ended
  sleep 2
done
if ((workers > 0)); then
  srun "${all[@]}" --nodes="$workers" --ntasks="$workers" --exclude="$head" --kill-on-bad-exit=0 \
    "${start[@]}" --address="$host:$port" &
fi

# The run chooses its number of processes when it starts, so all nodes should have joined. After 10 minutes it
# starts with those that have.
timeout 600 python - "$host:$port" "$SLURM_JOB_NUM_NODES" <<'END' || echo "Not all nodes have joined." >&2
import sys
import time

import ray

ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(2)
END

python -m speciesnet.scripts.run_on_ray --address="$host:$port" --noprogress_bars "$@"
