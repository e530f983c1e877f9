/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_spec: names of the isolations and of WSGIPreload's values. Pure
 * functions.
 */
#include "pw_spec.h"

#include <string.h>
#include <strings.h>

static const char *const isolation_names[] = {
    [PW_ISOLATION_UNSET] = "unset",
    [PW_ISOLATION_OWN_GIL] = "own-gil",
    [PW_ISOLATION_SHARED_GIL] = "shared-gil",
    [PW_ISOLATION_MAIN] = "main",
};

const char *pw_isolation_name(pw_isolation_e isolation)
{
    return isolation_names[isolation];
}

pw_isolation_e pw_isolation_parse(const char *word)
{
    for (int i = PW_ISOLATION_OWN_GIL; i <= PW_ISOLATION_MAIN; i++) {
        if (strcasecmp(word, isolation_names[i]) == 0) {
            return (pw_isolation_e)i;
        }
    }
    return PW_ISOLATION_UNSET;
}

static const char *const preload_names[] = {
    [PW_PRELOAD_UNSET] = "unset",
    [PW_PRELOAD_ON] = "on",
    [PW_PRELOAD_OFF] = "off",
    [PW_PRELOAD_WAIT] = "wait",
};

const char *pw_preload_name(pw_preload_e preload)
{
    return preload_names[preload];
}

pw_preload_e pw_preload_parse(const char *word)
{
    for (int i = PW_PRELOAD_ON; i <= PW_PRELOAD_WAIT; i++) {
        if (strcasecmp(word, preload_names[i]) == 0) {
            return (pw_preload_e)i;
        }
    }
    return PW_PRELOAD_UNSET;
}
