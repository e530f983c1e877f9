/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pyversion: asks the loaded libpython; starts nothing.
 */
#include "pw_pyversion.h"

#include <dlfcn.h>
#include <string.h>

#include "pw_python.h"

#define STRING(x) #x
#define MINOR(major, minor) STRING(major) "." STRING(minor)

const char *pw_pyversion(void)
{
    static char version[32]; /* written once, before threads: pre_config */

    if (!version[0]) {
        const char *full = Py_GetVersion();
        size_t len = strcspn(full, " ");

        if (len >= sizeof(version)) {
            len = sizeof(version) - 1;
        }
        memcpy(version, full, len);
    }
    return version;
}

const char *pw_pyversion_minor(void)
{
    return MINOR(PY_MAJOR_VERSION, PY_MINOR_VERSION);
}

int pw_pyversion_own_gil(void)
{
    return PW_HAVE_OWN_GIL;
}

void pw_pyversion_pin(void)
{
    Dl_info info;

    if (dladdr((void *)Py_GetVersion, &info) && info.dli_fname) {
        dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    }
}
