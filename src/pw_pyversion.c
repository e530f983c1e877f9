/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_pyversion: asks the loaded libpython; starts nothing.
 */
#include "pw_pyversion.h"

#include <apr_strings.h>
#include <dlfcn.h>
#include <string.h>

#include "pw_python.h"

#define STRING(x) #x
#define MINOR(major, minor) STRING(major) "." STRING(minor)

const char *pw_pyversion(apr_pool_t *pool)
{
    const char *full = Py_GetVersion();

    return apr_pstrndup(pool, full, strcspn(full, " "));
}

const char *pw_pyversion_minor(void)
{
    return MINOR(PY_MAJOR_VERSION, PY_MINOR_VERSION);
}

int pw_pyversion_own_gil(void)
{
    return PW_HAVE_OWN_GIL;
}

int pw_pyversion_ends(void)
{
    return PW_RENEWALS;
}

void pw_pyversion_pin(const void *symbol)
{
    const void *of = symbol ? symbol : (const void *)Py_GetVersion;
    int scope = symbol ? RTLD_LOCAL : RTLD_GLOBAL;
    Dl_info info;

    if (dladdr(of, &info) && info.dli_fname) {
        dlopen(info.dli_fname, RTLD_NOW | scope | RTLD_NODELETE);
    }
}
