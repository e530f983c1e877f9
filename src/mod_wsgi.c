/* SPDX-License-Identifier: Apache-2.0
 *
 * mod_wsgi: the second record of the module, under the name that existing
 * configurations ask for. httpd takes the name from this file's (see
 * pw_module.h).
 */
#include <httpd.h>

#include "pw_config.h"
#include "pw_module.h"

module AP_MODULE_DECLARE_DATA wsgi_module = {
    STANDARD20_MODULE_STUFF,  pw_config_create_dir,   pw_config_merge_dir,
    pw_config_create_server,  pw_config_merge_server, pw_config_commands,
    pw_module_register_hooks, AP_MODULE_FLAG_NONE};
