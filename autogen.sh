#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes ./configure from configure.ac.
set -e
cd "$(dirname "$0")"
command -v autoconf >/dev/null || {
    echo "autogen.sh: autoconf is missing; mend: apt-get install autoconf" >&2
    exit 1
}
autoconf --force
rm -rf autom4te.cache configure~
