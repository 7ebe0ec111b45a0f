#!/usr/bin/env bash
# The wheel: it builds, installs without the repository, and searches and predicts. Usage: wheel_test.sh VENV
# The libraries are those of VENV, where they are installed already; netwright itself is not taken from there.
set -euo pipefail
venv=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From a copy, so that nothing of an earlier build gets in, and nothing is left in the working tree.
mkdir "$work/source"
cp -r pyproject.toml README.md LICENSE src "$work/source"
rm -rf "$work"/source/src/*.egg-info
"$venv/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" "$work/source"
ls "$work"/dist/netwright-*.whl

"$venv/bin/python" -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --no-deps "$work"/dist/netwright-*.whl
# A folder named in a .pth file is searched, but the .pth files in it, and so the editable netwright, are not.
"$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
  >"$("$work/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/libraries.pth"

cd "$work"
unset PYTHONPATH
export NETWRIGHT_CACHE="$work/cache" OMP_NUM_THREADS=1
netwright() { echo "\$ netwright $*" && "$work/env/bin/netwright" "$@"; }
"$work/env/bin/python" -c "import netwright, pathlib; print(p := pathlib.Path(netwright.__file__)); assert p.is_relative_to('$work')"
netwright --help >/dev/null
netwright doctor >/dev/null
netwright sample --kind volumes -o Sample --cases 6
netwright search Sample -o run --recipe segnas4 --trials 1 --epochs 1 --workers 1 --set 'space.n=[1,2]' \
  --set 'space.p=[1,2]' --set verdict.epochs=1 --set 'verdict.references=[]'
test -s run/report.html
netwright predict run Sample/imagesTr -o labels
test "$(find labels -name '*.nii.gz' | wc -l)" = "$(find Sample/imagesTr -name '*.nii.gz' | wc -l)"
echo 'the wheel works'
