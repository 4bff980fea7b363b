#!/usr/bin/env bash
# From a wheel to a scored model on a machine without a checkout: builds the wheel twice and compares the bytes, installs it into a
# fresh environment outside the checkout, and times a user's first commands there.
#   benchmarks/wheel.sh [FOLDER]          needs a package index; FOLDER (default a temporary one) keeps wheel and environment
#   PYTHON=python3.13 benchmarks/wheel.sh
#   PACKAGES=DIR benchmarks/wheel.sh      without an index: dependencies from another environment's site-packages
#   RESOLUTION=lowest benchmarks/wheel.sh all extras at the lowest versions that pyproject.toml allows; default the newest
#   TORCH=2.13.0+cpu                      with lowest: this torch instead, since old ones bring gigabytes for GPUs
#   TESTS="tests/cli tests/heads"         with lowest: these tests, too, on the installed wheel
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
place=${1:-$(mktemp -d)}
python=${PYTHON:-python3}
commit=$(git -C "$checkout" rev-parse HEAD)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$checkout" log -1 --format=%ct "$commit")}

for build in first second; do
  rm -rf "$place/source"
  mkdir -p "$place/source" "$place/$build"
  git -C "$checkout" archive "$commit" | tar -x -C "$place/source"
  "$python" -m pip wheel --quiet --no-deps ${PACKAGES:+--no-build-isolation} --wheel-dir "$place/$build" "$place/source"
done
rm -rf "$place/source/src" "$place/source/build"
cmp "$place"/first/*.whl "$place"/second/*.whl
echo "the same bytes twice: $(cd "$place/first" && sha256sum ./*.whl)"

"$python" -m venv "$place/venv"
wheel=$(echo "$place"/first/*.whl)
if [ -n "${PACKAGES:-}" ]; then
  "$place/venv/bin/python" -m pip install --quiet --no-deps "$wheel"
  echo "$PACKAGES" > "$("$place/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/others.pth"
elif [ "${RESOLUTION:-highest}" = lowest ]; then
  "$place/venv/bin/python" -m pip install --quiet uv
  echo "${TORCH:+torch==$TORCH}" > "$place/overrides.txt"
  # Beside the wheel its pyproject.toml: what a wheel requires is indirect, and would be installed at its newest.
  "$place/venv/bin/uv" pip install --quiet --python "$place/venv/bin/python" --resolution lowest-direct \
    --override "$place/overrides.txt" --requirements "$place/source/pyproject.toml" --all-extras \
    ${TESTS:+--group "$place/source/pyproject.toml:dev"} "$wheel"
  "$place/venv/bin/python" "$place/source/benchmarks/lowest.py" ${TORCH:+torch}
else
  "$place/venv/bin/python" -m pip install --quiet "$wheel[sample]"
fi

mkdir -p "$place/empty"
cd "$place/empty"
"$place/venv/bin/python" -c 'import biomtl, sys; assert biomtl.__file__.startswith(sys.argv[1]), biomtl.__file__' "$place/venv"
# In one process, because importing torch takes seconds.
"$place/venv/bin/python" -c '
import typer
from typer.testing import CliRunner
from biomtl.cli.main import app
for name in typer.main.get_command(app).commands:
    result = CliRunner().invoke(app, [name, "--help"], catch_exceptions=False)
    assert result.exit_code == 0 and "Usage:" in result.output, (name, result.output)
    print(f"biomtl {name} --help")
'
for command in "--help" "tasks" "recipes" "train sample num_train_epochs=1 output=run --overwrite"; do
  begun=$SECONDS
  # shellcheck disable=SC2086
  "$place/venv/bin/biomtl" $command > "$place/said.txt" 2>&1 || { cat "$place/said.txt"; exit 1; }
  echo "$((SECONDS - begun)) s: biomtl $command"
done
echo "Naloxone reverses the effect of clonidine." | "$place/venv/bin/biomtl" predict run > predicted.jsonl
test -s predicted.jsonl -a -s run/metrics.json -a -s run/report.html
echo "a scored model and its report: $place/empty/run"

if [ -n "${TESTS:-}" ]; then
  cd "$place/source"
  # shellcheck disable=SC2086
  OMP_NUM_THREADS=1 "$place/venv/bin/python" -m pytest -p no:cacheprovider $TESTS
fi
