#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A root directory of another Debian release, to build and test in. As root.
#
#   tools/root.sh make SUITE                 quick when it is there
#   tools/root.sh run SUITE DIR COMMAND ...  in it, DIR is /src there
#   tools/root.sh remove SUITE
#
# The roots lie under ${PW_ROOTS:-/var/tmp/pw-roots}. /proc, /dev and DIR are
# mounted in a mount namespace of the command's own: they vanish with it,
# however it ends, and no remove can reach through them. The mirror and the
# certificates are those that this machine itself uses.
set -eu

usage="usage: root.sh make|run|remove SUITE [DIR COMMAND ...]"
action=${1:?$usage}
suite=${2:?$usage}
shift 2
root=${PW_ROOTS:-/var/tmp/pw-roots}/$suite
bundle=etc/ssl/certs/ca-certificates.crt

packages=(apache2-bin apache2-dev autoconf ca-certificates clang curl gcc gdb
    libapache2-mod-perl2 libc6-dev libclang-rt-dev make nghttp2-client procps
    python3 python3-dev python3-pip python3-venv util-linux)
# Where a release has them.
more=(trac radicale mercurial openssl python3.14 python3.14-dev python3.14-venv
    python3.14-dbg
    python3.15 python3.15-dev python3.15-venv)

# The archive that apt of this machine takes Debian itself from.
# shellcheck disable=SC2016  # apt expands it
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Origin: Debian' 'Label: Debian' | head -n 1
}

# This machine's idea of names, certificates and Python packages.
copy_settings() {
    local file
    cp "${SSL_CERT_FILE:-/$bundle}" "$root/$bundle"
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
        if [ -f "$file" ]; then
            cp "$file" "$root$file"
        fi
    done
    if [ -f "$HOME/.config/pip/pip.conf" ]; then
        mkdir -p "$root/root/.config/pip"
        cp "$HOME/.config/pip/pip.conf" "$root/root/.config/pip/"
    fi
    apt-config dump | grep -E '^Acquire::(http|https)::' \
        > "$root/etc/apt/apt.conf.d/90machine" || true
}

inside() {
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    unset SSL_CERT_DIR
    SSL_CERT_FILE=/$bundle PIP_CERT=/$bundle REQUESTS_CA_BUNDLE=/$bundle \
        DEBIAN_FRONTEND=noninteractive HOME=/root LC_ALL=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$root" "$@"
}

make_root() {
    local from name
    from=$(mirror)
    if [ -z "$from" ]; then
        echo "apt of this machine has no Debian archive; apt-get update first"
        exit 1
    fi
    rm -rf --one-file-system "$root"
    mkdir -p "$root"
    chmod 755 "$root"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" \
        "$from" /usr/share/debootstrap/scripts/sid
    copy_settings
    # No service starts in here, and a mirror may lag behind.
    printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    cat > "$root/etc/apt/apt.conf.d/91roots" <<'END'
APT::Install-Recommends "0";
Acquire::Check-Valid-Until "false";
DPkg::Use-Pty "0";
END
    inside apt-get -q update
    inside apt-get -q install -y "${packages[@]}"
    for name in "${more[@]}"; do
        if inside apt-cache show "$name" > "$root/tmp/show" 2>&1; then
            inside apt-get -q install -y "$name"
        fi
    done
    inside apt-get -q clean
    copy_settings
    touch "$root/.ready"
}

# A private mount namespace, if this is not it already.
if [ "${PW_ROOT_NAMESPACE:-}" != "$$" ] && [ "$action" != remove ]; then
    exec unshare --mount --propagation private \
        bash -c 'export PW_ROOT_NAMESPACE=$$; exec "$@"' - \
        "$0" "$action" "$suite" "$@"
fi

case $action in
make)
    if [ ! -e "$root/.ready" ]; then
        make_root
    fi
    ;;
run)
    tree=${1:?$usage}
    shift
    mkdir -p "$root/src"
    mount --bind "$tree" "$root/src"
    mount -o remount,bind,ro "$root/src"
    inside "$@"
    ;;
remove)
    rm -rf --one-file-system "$root"
    ;;
*)
    echo "$usage" >&2
    exit 2
    ;;
esac
