/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_mount: from the URL of a request to its mount: the translate_name and
 * map_to_storage hooks. Worker threads.
 */
#ifndef PW_MOUNT_H
#define PW_MOUNT_H

#include "pw_config.h"

#define PW_HANDLER "wsgi-script"
#define PW_RETRY_AFTER "5" /* seconds, with every 503 */

/* Of a request that is ours; in its request_config. */
typedef struct pw_mounted_t {
    const pw_mount_t *mount;
    const pw_app_spec_t *app; /* where no section says otherwise; NULL where
                               * the mount finds its scripts */
    const char *file;         /* what stands for it in r->filename; before
                               * httpd's walk where the mount finds */
    const char *script_name;  /* SCRIPT_NAME: "" for a mount at "/" */
    const char *path_info;    /* PATH_INFO: "" or "/..." */
} pw_mounted_t;

/* NULL: the request is not ours. */
pw_mounted_t *pw_mount_of(const request_rec *r);

/*
 * For a request that arrived at our handler without having passed the hooks:
 * mod_dir's DirectoryIndex and FallbackResource copy the file name and the
 * handler of a subrequest into the request. NULL: it is no mount's.
 */
pw_mounted_t *pw_mount_again(request_rec *r);

/* Registers both hooks. */
void pw_mount_register_hooks(void);

#endif
