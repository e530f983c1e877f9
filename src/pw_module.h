/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_module: the module's records, for the FRONT's files. There are two of
 * them in one shared object, with the same commands, hooks and configurations:
 *
 *     LoadModule polywsgi_module modules/mod_polywsgi.so
 *     LoadModule wsgi_module     modules/mod_polywsgi.so
 *
 * The second takes mod_wsgi's name, so that <IfModule mod_wsgi.c> and
 * <IfModule wsgi_module> of packaged configurations hold. One of the two is
 * loaded, and is the key under which httpd keeps our configurations and log
 * levels.
 */
#ifndef PW_MODULE_H
#define PW_MODULE_H

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>

extern module AP_MODULE_DECLARE_DATA polywsgi_module;
extern module AP_MODULE_DECLARE_DATA wsgi_module;

/* The record that is loaded. Any thread. */
static inline module *pw_module(void)
{
    return polywsgi_module.module_index >= 0 ? &polywsgi_module : &wsgi_module;
}

/* For ap_log_error and its kin, in place of APLOG_USE_MODULE. */
#undef APLOG_MODULE_INDEX
#define APLOG_MODULE_INDEX (pw_module()->module_index)

/* For both records. */
void pw_module_register_hooks(apr_pool_t *pool);

#endif
