#!/bin/sh
# Executes day.ipynb headless over an export and fails if a cell does.
#
#   notebooks/execute.sh EXPORT_DIR [RESULT.ipynb]
#
# Uses python3 (or $PYTHON) if it has the packages; otherwise installs them into a temporary environment. With a second
# argument the executed notebook, plots included, is kept there.
set -eu

packages="polars matplotlib nbconvert ipykernel"

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: $0 EXPORT_DIR [RESULT.ipynb]" >&2
    exit 2
fi
if [ ! -f "$1/session_start.parquet" ]; then
    echo "$0: no export in '$1': expected tables there, as 'onetape export JOURNAL --out $1' writes them" >&2
    exit 1
fi
here=$(cd "$(dirname "$0")" && pwd)
ONETAPE_EXPORT=$(cd "$1" && pwd)
export ONETAPE_EXPORT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

python=${PYTHON:-python3}
if ! "$python" -c "import polars, matplotlib, nbconvert, ipykernel" 2>/dev/null; then
    echo "installing $packages into a temporary environment"
    "$python" -m venv "$work/venv"
    python="$work/venv/bin/python"
    # shellcheck disable=SC2086 # one word for each package
    "$python" -m pip install --quiet --disable-pip-version-check $packages
fi

# A kernel of this very interpreter, not of whatever 'python3' kernel the machine has registered.
"$python" -m ipykernel install --prefix "$work/kernel" --name python3 >/dev/null 2>&1
export JUPYTER_PATH="$work/kernel/share/jupyter"
# matplotlib and jupyter keep caches; none of them belongs in a home directory.
export MPLCONFIGDIR="$work/matplotlib" IPYTHONDIR="$work/ipython" JUPYTER_RUNTIME_DIR="$work/runtime"

"$python" -m nbconvert --to notebook --execute --log-level WARN \
    --output-dir "$work" --output executed.ipynb "$here/day.ipynb"

"$python" - "$work/executed.ipynb" <<'END'
import json
import sys

cells = [c for c in json.load(open(sys.argv[1], encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
outputs = [o for c in cells for o in c["outputs"]]
errors = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
skipped = [c["id"] for c in cells if c["execution_count"] is None]
plots = sum("image/png" in o.get("data", {}) for o in outputs)
if errors or skipped:
    sys.exit(f"the notebook failed: errors {errors}, cells that did not run {skipped}")
print(f"the notebook ran: {len(cells)} code cells, {plots} plots, no error")
END

if [ $# -eq 2 ]; then
    cp "$work/executed.ipynb" "$2"
fi
