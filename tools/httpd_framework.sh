#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# httpd's own test framework, without the module and with it: is any result
# another one? It takes minutes, so it is no part of make check.
#
#   tools/httpd_framework.sh FRAMEWORK MODULE OUT [MPM]
#
# FRAMEWORK is httpd's perl-framework (in Debian's source package apache2, as
# debian/perl-framework), MODULE our mod_polywsgi.so, OUT a directory that the
# script makes anew, MPM event, worker or prefork. HTTPD and APXS name others
# than those of PATH. With the module loaded, an application is mounted at
# /polywsgi-beside, in every virtual host of the framework. TESTS names some of
# the framework's files, for a try.
#
# Results are in OUT/{without,with}.log; the last lines compare them. As root it
# runs as nobody, for the framework refuses root.
set -eu

usage="usage: httpd_framework.sh FRAMEWORK MODULE OUT [MPM]"
framework=$(realpath "${1:?$usage}")
module=$(realpath "${2:?$usage}")
out=$(realpath -m "${3:?$usage}")
mpm=${4:-event}
here=$(dirname "$(realpath "$0")")
path=$PATH:/usr/sbin
httpd=${HTTPD:-$(PATH=$path command -v apache2 || PATH=$path command -v httpd)}
apxs=${APXS:-$(command -v apxs || command -v apxs2)}
libexec=$("$apxs" -q LIBEXECDIR)

# httpd's modules but the other MPMs, and without those of other projects.
modules() {
    local file name
    for file in "$libexec"/mod_*.so; do
        name=$(basename "$file" .so)
        name=${name#mod_}
        case $name in
        mpm_"$mpm") ;;
        mpm_* | perl | php* | wsgi | polywsgi) continue ;;
        esac
        echo "LoadModule ${name}_module $file"
    done
    echo "TypesConfig /etc/mime.types"
    echo "ServerName localhost"
}

as_user() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=nobody --regid=nogroup --clear-groups \
            env HOME="$out" "$@"
    else
        "$@"
    fi
}

# The application beside the tests.
add_module() {
    local tree=$1
    echo "LoadModule polywsgi_module $module" >> "$tree.conf"
    cat > "$out/beside.py" <<'END'
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"beside"]
END
    echo "WSGIScriptAlias /polywsgi-beside $out/beside.py" \
        >> "$tree/t/conf/extra.conf.in"
}

run() {
    local name=$1 tree=$out/$1
    cp -r "$framework" "$tree"
    modules > "$tree.conf"
    if [ "$name" = with ]; then
        add_module "$tree"
    fi
    if [ "$(id -u)" = 0 ]; then
        chown -R nobody:nogroup "$tree"
    fi
    cd "$tree"
    as_user perl Makefile.PL -httpd "$httpd" -apxs "$apxs" \
        -httpd_conf "$tree.conf" > "$tree.make.log" 2>&1
    # shellcheck disable=SC2086  # a list of files
    as_user t/TEST -verbose ${TESTS:-} > "$tree.log" 2>&1 || true
    cd "$out"
}

rm -rf "$out"
mkdir -p "$out"
if [ "$(id -u)" = 0 ]; then
    chown nobody:nogroup "$out"
fi
run without
run with
if ! grep -q 'PW0200.*polywsgi-beside' "$out/with/t/logs/error_log"; then
    echo "the application was not loaded: see $out/with/t/logs/error_log"
    exit 1
fi
python3 "$here/httpd_framework.py" "$out/without.log" "$out/with.log"
