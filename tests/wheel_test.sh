#!/usr/bin/env bash
# The wheel: it builds, holds all of the package, installs with what it declares into an environment of its own, without
# extras, and there, outside of the repository, it searches, reports and predicts. Usage: wheel_test.sh VENV
# VENV has the pip that installs; none of its packages are seen.
set -euo pipefail
venv=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From a copy, so that nothing of an earlier build gets in, and nothing is left in the working tree; and without the files
# that a test beside this one may be compiling.
mkdir "$work/source"
tar --exclude=__pycache__ --exclude='*.egg-info' -cf - pyproject.toml README.md LICENSE src | tar -xf - -C "$work/source"
"$venv/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" "$work/source"
ls "$work"/dist/netwright-*.whl

"$venv/bin/python" - "$work"/dist/netwright-*.whl <<'PYTHON'
import pathlib, sys, zipfile

package = pathlib.Path("src/netwright")
there = {
    path.relative_to("src").as_posix()
    for path in package.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
if lacking := there - set(zipfile.ZipFile(sys.argv[1]).namelist()):
    sys.exit(f"The wheel lacks {', '.join(sorted(lacking))}: name them in pyproject.toml, under package-data")
PYTHON

# Modules are compiled when they are used, which are few of them.
"$venv/bin/python" -m venv --without-pip "$work/env"
"$venv/bin/python" -m pip --python "$work/env/bin/python" install --quiet --no-compile --constraint constraints.txt \
  "$work"/dist/netwright-*.whl
"$venv/bin/python" -m pip --python "$work/env/bin/python" check

cd "$work"
unset PYTHONPATH
export NETWRIGHT_CACHE="$work/cache" OMP_NUM_THREADS=1
netwright() { echo "\$ netwright $*" && "$work/env/bin/netwright" "$@"; }
"$work/env/bin/python" -c "import netwright, pathlib; print(p := pathlib.Path(netwright.__file__)); assert p.is_relative_to('$work')"
netwright --help >/dev/null
netwright doctor >/dev/null
netwright sample --kind volumes -o Sample --cases 6
netwright inspect Sample >/dev/null
netwright search Sample -o run --recipe segnas4 --trials 1 --epochs 1 --workers 1 --set 'space.n=[1,2]' \
  --set 'space.p=[1,2]' --set verdict.epochs=1 --set 'verdict.references=[]'
rm run/report.html
netwright report run
test -s run/report.html
netwright predict run Sample/imagesTr -o labels
test "$(find labels -name '*.nii.gz' | wc -l)" = "$(find Sample/imagesTr -name '*.nii.gz' | wc -l)"
echo 'the wheel works'
