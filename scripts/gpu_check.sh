#!/usr/bin/env bash
# Check xpnet on a machine with a real GPU, within 8 minutes; GPU.md describes the parts.
set -u

PARTS=(environment tests train paths fuzz midcapture bench_gpu peers)

usage() {
  cat <<END
usage: [OUT=FOLDER] [PYTHON=COMMAND] bash scripts/gpu_check.sh [--help] [PART ...]

Check xpnet on a machine with a real GPU. Without arguments all parts run, within 8 minutes.
The part environment always runs first; the others run in the order of this list:

  environment  Install the wheels in .whl/, then print the GPU, CuPy and the usable devices.
  tests        Run the tests that need a GPU.
  train        Train on MNIST with \`xpnet train --device cuda\`.
  paths        Compare the plain, fused and captured steps with NumPy.
  fuzz         Compare the kernels of random programs with NumPy.
  midcapture   Provoke faults during the capture of a CUDA graph.
  bench_gpu    Time xpnet's training steps.
  peers        Time training steps of xpnet, PyTorch and JAX in turns.

OUT is the folder for the results [runs/gpu-check in the repository], PYTHON the interpreter
[python]. The exit code is 1 if a part failed, 2 for an unknown part.
END
}

# Run a command with a time limit in seconds: limited SECONDS COMMAND...
limited() {
  local status=0
  timeout -k 5 "$@" || status=$?
  case $status in
    0) ;;
    124 | 137) echo "!! stopped after the time limit of $1 s: ${*:2}" ;;
    *) echo "!! exit code $status: ${*:2}" ;;
  esac
  return "$status"
}

check_environment() {
  local status=0 wheels=(.whl/*.whl)
  if command -v nvidia-smi >/dev/null; then
    limited 10 nvidia-smi --format=csv \
      --query-gpu=name,driver_version,memory.total,clocks.max.sm,mig.mode.current || status=1
  else
    echo "nvidia-smi is not installed"
  fi
  if [[ -e ${wheels[0]} ]]; then
    limited 15 "$python" -m pip install -q --no-index --no-deps -t "$work/site" "${wheels[@]}" ||
      status=1
  else
    echo "no wheels in .whl/: the packages of $python are used"
  fi
  limited 20 "$python" -c 'import cupy; cupy.show_config()' || status=1
  limited 10 "$python" -m xpnet devices || status=1
  return "$status"
}

# The machine has no pytest-xdist: four processes run side by side, each with a part of the tests.
check_tests() {
  local step=tests/fast/cuda/test_step.py kernels=tests/fast/cuda/test_kernels.py
  local long='fit_gives or every_optimizer or learned' options=() seconds=130
  local name file code status=0
  local -A processes=()
  if "$python" -c 'import pytest_timeout' 2>/dev/null; then
    options=(--timeout 60)
  fi
  start_tests() {
    timeout -k 5 "$seconds" "$python" -m pytest -q --thorough -m cuda --maxfail 50 "${options[@]}" \
      -p no:cacheprovider -rfEs "${@:2}" >"$work/tests-$1" 2>&1 &
    processes[$1]=$!
  }
  start_tests kernels "$kernels"
  start_tests long "$step" -k "$long"
  start_tests step "$step" -k "not ($long)"
  start_tests rest tests --ignore "$kernels" --ignore "$step"
  : >"$OUT/tests.txt"
  for name in kernels long step rest; do
    file=$work/tests-$name code=0
    echo "-- $name"
    wait "${processes[$name]}" || code=$?
    grep -E '^(FAILED|ERROR)' "$file" | cut -c1-200
    printf '%s\n' "$(tail -n1 "$file")"
    if [[ $code -eq 124 || $code -eq 137 ]]; then
      echo "!! stopped after the time limit of $seconds s"
    elif [[ $code -ne 0 ]]; then
      echo "!! exit code $code"
    elif ! tail -n1 "$file" | grep -q ' passed'; then
      echo "!! no test passed"
      grep -m1 '^SKIPPED' "$file" | cut -c1-300
      code=1
    fi
    [[ $code -eq 0 ]] || status=1
    { echo "-- $name"; cat "$file"; } >>"$OUT/tests.txt"
  done
  return "$status"
}

check_train() {
  limited 35 "$python" -m xpnet train --device cuda --strict-device --output "$work/run"
}

check_paths() {
  limited 45 "$python" scripts/gpu_paths.py --limit 4096
}

check_fuzz() {
  limited 30 "$python" scripts/gpu_fuzz.py --programs 100000 --seconds 20
}

check_midcapture() {
  limited 40 "$python" scripts/gpu_midcapture.py
}

# PyTorch and JAX are hidden here, because the part peers measures them.
check_bench_gpu() {
  local library
  mkdir -p "$work/hidden"
  for library in torch jax; do
    echo 'raise ImportError("see the part peers")' >"$work/hidden/$library.py"
  done
  PYTHONPATH=$work/hidden:$PYTHONPATH limited 45 "$python" scripts/benchmarks/bench_gpu.py \
    --batch-sizes 128,1024 --rounds 7 --seconds 0.05
}

check_peers() {
  limited 110 "$python" scripts/gpu_bench_peers.py --rounds 5 --budget 95 --logs "$OUT" \
    --json "$OUT/peers.json"
}

run_parts() {
  local part failed=()
  for part in "${PARTS[@]}"; do
    if [[ " $chosen " == *" $part "* ]]; then
      printf '\n== %s (at %s s)\n' "$part" "$SECONDS"
      "check_$part" || failed+=("$part")
    fi
  done
  printf '\n== end (at %s s)\n' "$SECONDS"
  if [[ ${#failed[@]} -gt 0 ]]; then
    echo "failed: ${failed[*]}"
    return 1
  fi
  echo "no part failed"
}

for argument in "$@"; do
  if [[ $argument == --help || $argument == -h ]]; then
    usage
    exit 0
  fi
  if [[ " ${PARTS[*]} " != *" $argument "* ]]; then
    echo "gpu_check.sh: unknown part '$argument'; the parts are: ${PARTS[*]}" >&2
    exit 2
  fi
done
chosen="environment ${*:-${PARTS[*]}}"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 2
OUT=${OUT:-$root/runs/gpu-check}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || exit 2
cd "$root" || exit 2
python=${PYTHON:-python}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=4 CUPY_CACHE_DIR=$work/kernels
export PYTHONPATH=$root:$work/site${PYTHONPATH:+:$PYTHONPATH}

run_parts 2>&1 | tee "$OUT/log"
exit "${PIPESTATUS[0]}"
