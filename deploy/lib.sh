# Shared by the scripts of this folder. Installs what is missing; touches nothing that is there.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }

# install PACKAGE...: Debian packages that are not installed yet.
install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    say "Installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# install_unstarted PACKAGE...: the same for packages with services, which Debian would start at once, on ports that may be
# somebody's. The file is its way to say no.
install_unstarted() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        sudo=()
        [ "$(id -u)" -eq 0 ] || sudo=(sudo)
        trap '"${sudo[@]}" rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod 755 "$policy"
    fi
    install "$@"
)

need_swift() {
    command -v swift >/dev/null || { echo "Swift 6.3 or later is needed: https://www.swift.org/install/linux" >&2; exit 2; }
}

# release_build PRODUCT: builds a release of it and prints its path. BUILD_FLAGS: CI and deploy/release build with more flags,
# and others would build everything anew.
release_build() {
    need_swift
    # shellcheck disable=SC2086
    swift build -c release --product "$1" --package-path "$here" --scratch-path "$here/.build-release" ${BUILD_FLAGS:-} \
        </dev/null >&2 && echo "$here/.build-release/release/$1"
}

# release_program [PROGRAM]: prints the path of a countersign: of PROGRAM, or, without one or with an option in its place, of a
# release that it builds.
release_program() {
    case ${1:-} in
    '' | -*) release_build countersign ;;
    *) realpath "$1" ;;
    esac
}

# python_with NAME REQUIREMENT...: prints the path of a Python that has these packages, in the folder .build-NAME.
python_with() {
    local venv=$here/.build-$1
    shift
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv" >&2
    "$venv/bin/pip" -q install "$@" >&2 && echo "$venv/bin/python"
}

# proof_build PRODUCT: builds the debug binary, which is that of the tests too, and prints its path. In it, and in no release,
# the environment variable PROOF_BREAKS takes a guarantee away (Sources/CMachine/ProofSwitches.c).
proof_build() {
    need_swift
    swift build --product "$1" </dev/null >&2 && echo "$here/.build/debug/$1"
}
