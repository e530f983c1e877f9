/* SPDX-License-Identifier: Apache-2.0
 *
 * pw_module: the module's record, for the FRONT's files: it is the key under
 * which httpd keeps our configurations and log levels.
 */
#ifndef PW_MODULE_H
#define PW_MODULE_H

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>

extern module AP_MODULE_DECLARE_DATA polywsgi_module;

#endif
